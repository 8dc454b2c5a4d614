//! The command line.

use crate::gate::GateCommand;
use clap::{Parser, Subcommand, ValueEnum};
use gradchain_study::{DRAWS, Shard};
use std::path::PathBuf;

/// Measures what gradient chains lose in f16, bf16, f32, f64 and emulated formats.
#[derive(Debug, Parser)]
#[command(
    name = "gradchain",
    version,
    after_help = "Exit codes: 0 all well, 1 a check failed, 2 usage or input error, 3 interrupted (resumable)."
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Measure studies and print their rows
    Run(RunArgs),
    /// Name the studies and the values of their axes
    List,
    /// Measure the committed studies again and demand the same bits: `gate drift` without its options
    Check(CheckArgs),
    /// Judge what was measured against a baseline: drift exactly, time in pairs
    #[command(subcommand)]
    Gate(GateCommand),
    /// Write pages with charts of the committed rows: an index, and a page for each study
    Report(ReportArgs),
    /// Tell what a bug report needs: version, instruction sets, formats
    Info,
    /// Describe every field of a row, in JSON
    Schema,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// Names of built-in studies, or study files (FILE.toml); all built-in studies if absent
    #[arg(value_name = "STUDY|FILE.toml")]
    pub(crate) studies: Vec<String>,
    /// Replace the values of an axis: `depth=1..1024:x2,5000`; `;` separates values that hold commas
    #[arg(long = "set", value_name = "AXIS=V1,V2")]
    pub(crate) set: Vec<String>,
    /// Random networks to average over
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(DRAWS))]
    pub(crate) draws: Option<u64>,
    /// Seed of the networks
    #[arg(long, value_name = "S")]
    pub(crate) seed: Option<u64>,
    /// Measure only every N-th cell, from the K-th on
    #[arg(long, value_name = "K/N")]
    pub(crate) shard: Option<Shard>,
    /// Go on where an interrupted run with the same --out stopped
    #[arg(long, requires = "out")]
    pub(crate) resume: bool,
    /// What to print on standard output; table if there is no --out, nothing if there is
    #[arg(long, value_enum)]
    pub(crate) format: Option<OutputFormat>,
    /// Write the rows to DIR/STUDY/rows.jsonl (a shard: rows-K-of-N.jsonl), cell by cell
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Threads; all that the machine has if absent. The rows do not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// Add the time of each cell and the instruction set; such rows differ from run to run
    #[arg(long)]
    pub(crate) timing: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// A table for people, with 5 significant digits
    Table,
    /// One JSON object a row
    Jsonl,
    /// Comma-separated values by RFC 4180
    Csv,
    /// A Markdown table, with 5 significant digits
    Md,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// Names of studies in the reports directory; all of them if absent
    #[arg(value_name = "STUDY")]
    pub(crate) studies: Vec<String>,
    /// The directory with STUDY/study.toml and STUDY/rows.jsonl
    #[arg(long, value_name = "DIR", default_value = "reports")]
    pub(crate) reports: PathBuf,
    /// Threads; all that the machine has if absent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ReportArgs {
    /// The directory with STUDY/study.toml and STUDY/rows.jsonl
    #[arg(long, value_name = "DIR", default_value = "reports")]
    pub(crate) reports: PathBuf,
    /// Where index.html and STUDY/index.html are written; beside the rows if absent
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Print the studies in Markdown, and write no page
    #[arg(long, conflicts_with = "out")]
    pub(crate) markdown: bool,
}

/// The number of threads to use.
pub(crate) fn threads(asked: Option<u16>) -> usize {
    asked.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from)
}

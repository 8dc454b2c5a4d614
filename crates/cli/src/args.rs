//! The command line.

use crate::gate::GateCommand;
use crate::slurm::shard;
use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use gradchain_study::{Balance, DRAWS, Shard};
use std::path::PathBuf;

/// Measures what gradient chains lose in f16, bf16, f32, f64 and emulated formats.
#[derive(Debug, Parser)]
#[command(
    name = "gradchain",
    version,
    after_help = "Exit codes: 0 all well, 1 a check failed, 2 usage or input error, 3 incomplete (resumable)."
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Measure studies and print their rows
    Run(RunArgs),
    /// Show the cells of studies with their ids and what they cost; measure nothing
    Plan(PlanArgs),
    /// Tell how far the shards of studies are, and which to submit again
    Status(StatusArgs),
    /// Join the rows of shards into those of one run, byte for byte
    Merge(MergeArgs),
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
    /// Print the completions of a shell
    Completions(CompletionsArgs),
    /// Print the manual page, or write those of all commands
    Man(ManArgs),
}

/// Studies, and what the command line changes in them.
#[derive(Debug, clap::Args)]
pub(crate) struct Selection {
    /// Names of built-in studies, or study files (FILE.toml); all built-in studies if absent
    #[arg(value_name = "STUDY|FILE.toml")]
    pub(crate) studies: Vec<String>,
    #[command(flatten)]
    pub(crate) changes: Changes,
}

/// What the command line changes in a study.
#[derive(Debug, clap::Args)]
pub(crate) struct Changes {
    /// Replace the values of an axis: `depth=1..1024:x2,5000`; `;` separates values that hold commas
    #[arg(long = "set", value_name = "AXIS=V1,V2")]
    pub(crate) set: Vec<String>,
    /// Random networks to average over
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(DRAWS))]
    pub(crate) draws: Option<u64>,
    /// Seed of the networks
    #[arg(long, value_name = "S")]
    pub(crate) seed: Option<u64>,
}

impl Changes {
    /// Whether nothing is changed.
    pub(crate) fn is_empty(&self) -> bool {
        self.set.is_empty() && self.draws.is_none() && self.seed.is_none()
    }
}

/// A part of a study.
#[derive(Debug, clap::Args)]
pub(crate) struct ShardArgs {
    /// Only the cells of shard K of N; `slurm` takes both from the job array, `slurm/N` takes K from its task id
    #[arg(long, value_name = "K/N|slurm", value_parser = shard)]
    pub(crate) shard: Option<Shard>,
    /// What the shards share evenly
    #[arg(long, value_enum, default_value = "count", requires = "shard")]
    pub(crate) balance: BalanceArg,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BalanceArg {
    /// Every N-th cell
    Count,
    /// Cells dealt by their estimated time, the dearest first
    Cost,
}

impl From<BalanceArg> for Balance {
    fn from(balance: BalanceArg) -> Balance {
        match balance {
            BalanceArg::Count => Balance::Count,
            BalanceArg::Cost => Balance::Cost,
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) selection: Selection,
    #[command(flatten)]
    pub(crate) part: ShardArgs,
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
    /// Measure the other cells when one cannot be measured; exit code 2 in the end
    #[arg(long)]
    pub(crate) keep_going: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) selection: Selection,
    #[command(flatten)]
    pub(crate) part: ShardArgs,
    /// What to print
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: ListFormat,
}

#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    /// Studies whose rows are in --out; those that have shards there if absent
    #[arg(value_name = "STUDY|FILE.toml")]
    pub(crate) studies: Vec<String>,
    #[command(flatten)]
    pub(crate) changes: Changes,
    /// The --out of the runs
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// What to print
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: ListFormat,
}

#[derive(Debug, clap::Args)]
pub(crate) struct MergeArgs {
    /// Files of rows, or directories: all rows-K-of-N.jsonl below
    #[arg(value_name = "FILE|DIR", required = true)]
    pub(crate) parts: Vec<PathBuf>,
    /// The study; that of the plan beside the rows if absent
    #[arg(long, value_name = "STUDY|FILE.toml")]
    pub(crate) study: Option<String>,
    #[command(flatten)]
    pub(crate) changes: Changes,
    /// Write the rows of the one study to FILE; `-`, and the default, is standard output
    #[arg(short, long, value_name = "FILE", conflicts_with = "out")]
    pub(crate) output: Option<PathBuf>,
    /// Write the rows of each study to DIR/STUDY/rows.jsonl
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Write what there is even if cells are missing; the exit code stays 3, and `run --resume` can go on with the file
    #[arg(long)]
    pub(crate) partial: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListFormat {
    /// A table for people
    Table,
    /// One JSON object a line
    Jsonl,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// Write gradchain.1 and a page for each command to DIR
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
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

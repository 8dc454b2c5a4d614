//! `gradchain gate bless`: measured rows become the baseline, with a reason beside them.

use super::baseline::{Baseline, baselines};
use super::outputs::{say, this_run};
use crate::Verdict;
use crate::args::threads;
use crate::run::stop_flag;
use anyhow::{Context, Result, bail};
use gradchain_arith::Isa;
use gradchain_gate::{Blessing, Refusal};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::Ordering;

#[derive(Debug, clap::Args)]
pub(crate) struct BlessArgs {
    /// Names of studies in the reports directory; all of them if absent
    #[arg(value_name = "STUDY")]
    pub(crate) studies: Vec<String>,
    /// Why the rows changed; it is kept in STUDY/blessings.jsonl
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// The directory with STUDY/study.toml and STUDY/rows.jsonl
    #[arg(long, value_name = "DIR", default_value = "reports")]
    pub(crate) reports: PathBuf,
    /// Threads; all that the machine has if absent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
}

pub(crate) fn bless(args: &BlessArgs) -> Result<Verdict> {
    if args.reason.trim().is_empty() {
        bail!("--reason: {}", Refusal::EmptyReason);
    }
    let baselines = baselines(&args.reports, &args.studies)?;
    for baseline in &baselines {
        can_replace(baseline)?;
    }
    let isa = Isa::choose()?;
    let stop = stop_flag()?;
    let mut accepted: Vec<(&Baseline, Blessing, Vec<u8>)> = Vec::new();
    let mut refused = false;
    for baseline in &baselines {
        let rows = baseline.measure(isa, threads(args.threads), stop)?;
        if stop.load(Ordering::Relaxed) {
            let _ = writeln!(io::stderr(), "gradchain: interrupted: nothing is blessed");
            return Ok(Verdict::Incomplete);
        }
        let run = this_run(&args.reports);
        match baseline.with_input(&rows, "the measurement", |input| Blessing::of(input, &args.reason, &run)) {
            Ok(blessing) => accepted.push((baseline, blessing, rows)),
            Err(Refusal::NothingChanged) => say(&format!("{}: nothing changed\n", baseline.name))?,
            Err(refusal @ Refusal::OverBudget { .. }) => {
                refused = true;
                say(&format!("{}: REFUSED: {refusal}\n", baseline.name))?;
            }
            Err(refusal @ (Refusal::EmptyReason | Refusal::NotMeasured { .. })) => {
                bail!("{}: {refusal}", baseline.name)
            }
        }
    }
    // One refusal refuses all: a baseline is not moved by halves.
    if refused {
        return Ok(Verdict::Failed);
    }
    if accepted.is_empty() {
        bail!("{}", Refusal::NothingChanged);
    }
    for (baseline, blessing, rows) in &accepted {
        write(baseline, blessing, rows)?;
        let counts: Vec<String> =
            blessing.counts.iter().map(|(verdict, n)| format!("{n} {}", verdict.name())).collect();
        say(&format!("{}: blessed: {}\n", baseline.name, counts.join(", ")))?;
    }
    Ok(Verdict::Passed)
}

/// Tries that files can be made beside the rows, before an hour is spent on measuring.
fn can_replace(baseline: &Baseline) -> Result<()> {
    let new = baseline.rows_path.with_extension("jsonl.new");
    File::create(&new).with_context(|| format!("cannot write {}", new.display()))?;
    fs::remove_file(&new).with_context(|| new.display().to_string())
}

/// The rows first, in one step, then the reason. What ends the program in between leaves rows that an earlier blessing does not know, and the gate
/// says so.
fn write(baseline: &Baseline, blessing: &Blessing, rows: &[u8]) -> Result<()> {
    let (path, new) = (&baseline.rows_path, baseline.rows_path.with_extension("jsonl.new"));
    fs::write(&new, rows).with_context(|| format!("cannot write {}", new.display()))?;
    fs::rename(&new, path).with_context(|| path.display().to_string())?;
    let reasons = &baseline.blessings_path;
    let place = || reasons.display().to_string();
    let mut file = OpenOptions::new().append(true).create(true).open(reasons).with_context(place)?;
    file.write_all(blessing.to_line().as_bytes()).with_context(place)
}

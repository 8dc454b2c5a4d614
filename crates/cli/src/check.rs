//! `gradchain check`: the committed rows are the baseline, and a changed bit is a changed program.

use crate::Verdict;
use crate::args::{CheckArgs, threads};
use crate::run::{progress, stop_flag};
use crate::studies::Found;
use anyhow::{Context, Result, bail};
use gradchain_arith::Isa;
use gradchain_study::{Event, Outcome, RunError, compare, measure, run as run_cells};
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// Differences shown for each study; the first ones tell what happened.
const SHOWN: usize = 20;

pub(crate) fn check(args: &CheckArgs) -> Result<Verdict> {
    let isa = Isa::choose()?;
    let known = committed(&args.reports)?;
    let names = if args.studies.is_empty() { &known } else { &args.studies };
    if let Some(name) = names.iter().find(|name| !known.contains(name)) {
        bail!("unknown study `{name}`; known in {}: {}", args.reports.display(), known.join(", "));
    }
    let stop = stop_flag()?;
    let mut verdict = Verdict::Passed;
    for name in names {
        match one(&args.reports.join(name), isa, threads(args.threads), stop)? {
            Verdict::Passed => {}
            Verdict::Failed => verdict = Verdict::Failed,
            Verdict::Incomplete => {
                let _ = writeln!(io::stderr(), "gradchain: interrupted: {name} is not checked");
                return Ok(Verdict::Incomplete);
            }
        }
    }
    Ok(verdict)
}

/// Names of the directories below `reports` that hold a study.
pub(crate) fn committed(reports: &Path) -> Result<Vec<String>> {
    let place = || reports.display().to_string();
    let mut names = Vec::new();
    for entry in fs::read_dir(reports).with_context(place)? {
        let entry = entry.with_context(place)?;
        if entry.path().join("study.toml").is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort_unstable();
    if names.is_empty() {
        bail!("{}: no study.toml in any directory below", reports.display());
    }
    Ok(names)
}

/// Prints a line. A reader that has gone away must not change the verdict.
fn say(line: &str) -> Result<()> {
    match writeln!(io::stdout(), "{line}") {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("standard output"),
    }
}

fn one(directory: &Path, isa: Isa, threads: usize, stop: &AtomicBool) -> Result<Verdict> {
    let found = Found::in_file(&directory.join("study.toml"))?;
    let name = &found.study.name;
    let rows = directory.join("rows.jsonl");
    let committed = match fs::read(&rows) {
        Ok(committed) => committed,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            say(&format!("{name}: FAILED: {}: there are no committed rows", rows.display()))?;
            return Ok(Verdict::Failed);
        }
        Err(e) => return Err(e).with_context(|| rows.display().to_string()),
    };
    let cells = found.plan()?;
    let bar = progress(name, cells.len(), true);
    let mut records = Vec::new();
    let outcome = run_cells(&cells, &|cell| measure(cell, isa), threads, None, stop, |event| {
        match event {
            Event::Measured => bar.inc(1),
            Event::Records { records: of_cell, .. } => records.push(of_cell),
        }
        Ok::<(), std::convert::Infallible>(())
    });
    bar.finish_and_clear();
    match outcome {
        Ok(Outcome::Complete) => {}
        Ok(Outcome::Stopped { .. }) => return Ok(Verdict::Incomplete),
        Err(e @ (RunError::Cell { .. } | RunError::Threads { .. })) => bail!("{}: {e}", found.study.place),
        Err(RunError::Sink(never)) => match never {},
    }
    let count: usize = records.iter().map(Vec::len).sum();
    let differences = compare(&committed, &cells, &records);
    if differences.is_empty() {
        say(&format!("{name}: {} cells, {count} rows: the same bytes", cells.len()))?;
        return Ok(Verdict::Passed);
    }
    say(&format!("{name}: FAILED: {}: {} differences", rows.display(), differences.len()))?;
    for difference in differences.iter().take(SHOWN) {
        say(&format!("  {name}: {difference}"))?;
    }
    if differences.len() > SHOWN {
        say(&format!("  {name}: and {} more", differences.len() - SHOWN))?;
    }
    Ok(Verdict::Failed)
}

//! `gradchain run`: studies in, rows out.

use crate::Verdict;
use crate::args::{RunArgs, threads};
use crate::output::{Failures, RowsFile};
use crate::printer::Printer;
use crate::sidecar::Sidecar;
use crate::studies::Planned;
use anyhow::{Context, Result, bail};
use gradchain_arith::Isa;
use gradchain_study::{
    Cell, Event, MeasureError, Outcome, Record, Row, RunError, assign, cost, measure, run as run_cells,
};
use indicatif::{ProgressBar, ProgressStyle};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

static STOP: AtomicBool = AtomicBool::new(false);

/// The flag that Ctrl-C and SIGTERM set, with which schedulers announce that the time is up. A second one ends the program at once.
pub(crate) fn stop_flag() -> Result<&'static AtomicBool> {
    for signal in [SIGINT, SIGTERM] {
        let registered = flag::register_conditional_shutdown(signal, 128 + signal, &STOP)
            .and_then(|_| flag::register(signal, &STOP));
        registered.context("cannot watch for Ctrl-C")?;
    }
    Ok(&STOP)
}

/// A bar on standard error if that is a terminal, and nothing otherwise.
pub(crate) fn progress(name: &str, cells: usize, visible: bool) -> ProgressBar {
    bar(name, cells as u64, visible, "{prefix} {wide_bar} {pos}/{len} cells, {eta} left")
}

fn bar(name: &str, length: u64, visible: bool, template: &str) -> ProgressBar {
    if !visible || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(length).with_prefix(name.to_owned());
    bar.with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// A bar that grows with the estimated time of the cells that are measured, so that what it says is left does not depend on which come first.
struct Progress {
    bar: ProgressBar,
    measured: usize,
    cells: usize,
}

impl Progress {
    fn new(name: &str, cells: &[Cell], visible: bool) -> Progress {
        let total = cells.iter().map(units).sum();
        let bar = bar(name, total, visible, "{prefix} {wide_bar} {msg} cells, {eta} left");
        bar.set_message(format!("0/{}", cells.len()));
        Progress { bar, measured: 0, cells: cells.len() }
    }

    fn one_more(&mut self, cell: &Cell) {
        self.measured += 1;
        self.bar.inc(units(cell));
        self.bar.set_message(format!("{}/{}", self.measured, self.cells));
    }
}

/// The estimated time of a cell in microseconds, at least one.
fn units(cell: &Cell) -> u64 {
    (cost(cell).seconds * 1e6) as u64 + 1
}

/// Reasons told at the end of a run that kept going.
const TOLD: usize = 5;

pub(crate) fn run(args: &RunArgs) -> Result<Verdict> {
    let isa = Isa::choose()?;
    // All studies are planned before the first is measured: a mistake in the last must not cost the time of the others.
    let planned = args.selection.plan()?;
    let stop = stop_flag()?;
    let mut printer = Printer::new(args)?;
    let mut unmeasured = Vec::new();
    for planned in &planned {
        let cells = own_cells(planned, args);
        let end = one(planned, &cells, args, isa, stop, &mut printer)?;
        if printer.closed && args.out.is_none() {
            return Ok(Verdict::Passed);
        }
        match end {
            End::Complete => {}
            End::Unmeasured(reasons) => {
                unmeasured
                    .extend(reasons.into_iter().map(|reason| format!("{}: {reason}", planned.study.name)));
            }
            End::Interrupted(measured) => {
                let hint = if args.out.is_some() { "; --resume goes on" } else { "" };
                say(&format!(
                    "interrupted: {}: {measured} of {} cells measured{hint}",
                    planned.study.name,
                    cells.len()
                ));
                return Ok(Verdict::Incomplete);
            }
        }
    }
    if !unmeasured.is_empty() {
        let more = if unmeasured.len() > TOLD { "; and more" } else { "" };
        let told: Vec<&str> = unmeasured.iter().take(TOLD).map(String::as_str).collect();
        bail!("{} cells cannot be measured; the others are: {}{more}", unmeasured.len(), told.join("; "));
    }
    Ok(Verdict::Passed)
}

/// A line on standard error; with nobody to read it, none.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "gradchain: {line}");
}

/// The cells of the shard, or all.
fn own_cells(planned: &Planned, args: &RunArgs) -> Vec<Cell> {
    let Some(shard) = args.part.shard else { return planned.cells.clone() };
    let shards = assign(&planned.cells, shard.of(), args.part.balance.into());
    let own = planned.cells.iter().zip(shards).filter(|(_, number)| *number == shard.number());
    own.map(|(cell, _)| cell.clone()).collect()
}

/// How the run of a study ended.
enum End {
    Complete,
    /// So many cells are measured.
    Interrupted(usize),
    /// All that can be measured is. Why not the others, a sentence each.
    Unmeasured(Vec<String>),
}

/// Opens the file of the rows of one study, if there is one, with the plan beside it if it is a shard.
fn open(planned: &Planned, cells: &[Cell], args: &RunArgs) -> Result<Option<RowsFile>> {
    let Some(out) = &args.out else { return Ok(None) };
    let directory = out.join(&planned.recipe.name);
    let name = args.part.shard.map_or("rows.jsonl".to_owned(), |shard| shard.file_name());
    let rows = directory.join(&name);
    let Some(shard) = args.part.shard else {
        return RowsFile::open(&directory, &name, args.resume, cells).map(Some);
    };
    let sidecar = Sidecar::new(planned, shard, args.part.balance.into());
    let has_rows = std::fs::metadata(&rows).is_ok_and(|metadata| metadata.len() > 0);
    if args.resume
        && has_rows
        && let Some(there) = Sidecar::beside(&rows)?
    {
        there.demand(&rows, &planned.hash, &planned.recipe)?;
        if there.balance != sidecar.balance {
            let (theirs, ours) = (there.balance.name(), sidecar.balance.name());
            bail!("{}: these are the cells of --balance {theirs}, not of --balance {ours}", rows.display());
        }
    }
    let file = RowsFile::open(&directory, &name, args.resume, cells)?;
    sidecar.write(&rows)?;
    Ok(Some(file))
}

/// Measures the `cells` of one study.
fn one(
    planned: &Planned,
    cells: &[Cell],
    args: &RunArgs,
    isa: Isa,
    stop: &AtomicBool,
    printer: &mut Printer,
) -> Result<End> {
    let study = &planned.study;
    let mut file = open(planned, cells, args)?;
    let kept = file.as_mut().map(|file| std::mem::take(&mut file.kept)).unwrap_or_default();
    let missing: Vec<usize> = (0..cells.len()).filter(|&index| !kept.has(index)).collect();
    let to_measure: Vec<Cell> = missing.iter().map(|&index| cells[index].clone()).collect();
    let timed = args.timing.then(|| isa.name());
    let mut progress = Progress::new(&study.name, &to_measure, !printer.streams_to_terminal());
    // Cells before this one are printed. Kept rows are printed where they stand in the order of the study.
    let mut next = 0;
    let mut print_kept_before = |end: usize, printer: &mut Printer| -> Result<()> {
        for index in next..end {
            for line in kept.lines(index).into_iter().flat_map(str::lines) {
                printer.record(Record::parse(line).map_err(anyhow::Error::msg)?)?;
            }
        }
        next = end;
        Ok(())
    };
    let failures = Mutex::new(Failures::beside(file.as_ref().map(|file| file.path.as_path())));
    let measure_or_note = |cell: &Cell| -> Result<Vec<Row>, MeasureError> {
        measure(cell, isa).or_else(|error| {
            if let Ok(mut failures) = failures.lock() {
                failures.note(cell, &error.to_string());
            }
            if args.keep_going { Ok(Vec::new()) } else { Err(error) }
        })
    };
    let outcome =
        run_cells(&to_measure, &measure_or_note, threads(args.threads), timed, stop, |event| -> Result<()> {
            match event {
                Event::Measured { index, records } => {
                    if let Some(file) = &mut file
                        && !records.is_empty()
                    {
                        let lines: String = records.iter().map(|record| record.to_json() + "\n").collect();
                        file.append(missing[index], &lines)?;
                    }
                    progress.one_more(&to_measure[index]);
                }
                Event::Records { index, records } => {
                    print_kept_before(missing[index], printer)?;
                    records.into_iter().try_for_each(|record| printer.record(record))?;
                    // With nobody reading and no file to write, the rest would be measured for nothing.
                    if printer.closed && args.out.is_none() {
                        bail!(io::Error::from(io::ErrorKind::BrokenPipe));
                    }
                }
            }
            Ok(())
        });
    progress.bar.finish_and_clear();
    let failures = failures.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    let unmeasured = failures.write()?;
    let complete = matches!(outcome, Ok(Outcome::Complete)) && unmeasured.is_empty();
    if outcome.is_ok() {
        print_kept_before(cells.len(), printer)?;
    }
    printer.study_ends(study)?;
    let path = file.as_ref().map(|file| file.path.display().to_string());
    // A file that could not be written to is left as it is: it may be full.
    if let Some(file) = file
        && !matches!(outcome, Err(RunError::Sink(_)))
    {
        file.finish(cells, complete)?;
    }
    match outcome {
        Ok(Outcome::Complete) => {
            if let Some(path) = path.filter(|_| complete) {
                say(&format!("{path}: {} cells measured, {} kept", to_measure.len(), kept.len()));
            }
            Ok(if complete { End::Complete } else { End::Unmeasured(unmeasured) })
        }
        Ok(Outcome::Stopped { emitted }) => Ok(End::Interrupted(kept.len() + emitted - unmeasured.len())),
        Err(RunError::Sink(e)) => Err(e),
        Err(e @ (RunError::Cell { .. } | RunError::Threads { .. })) => {
            let note = path.map(|path| format!("; {path} keeps the cells that are measured"));
            bail!("{}: {e}{}", study.place, note.unwrap_or_default())
        }
    }
}

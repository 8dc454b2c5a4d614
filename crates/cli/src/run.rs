//! `gradchain run`: studies in, rows out.

use crate::Verdict;
use crate::args::{OutputFormat, RunArgs, threads};
use crate::output::RowsFile;
use crate::studies::Found;
use crate::table;
use anyhow::{Context, Result, bail};
use gradchain_arith::Isa;
use gradchain_study::{
    BUILTIN, Cell, Event, Outcome, Record, RunError, Study, csv_header, measure, run as run_cells,
};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

static STOP: AtomicBool = AtomicBool::new(false);

/// The flag that Ctrl-C sets. A second Ctrl-C ends the program at once.
pub(crate) fn stop_flag() -> Result<&'static AtomicBool> {
    let handler = || {
        if STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    };
    ctrlc::set_handler(handler).context("cannot watch for Ctrl-C")?;
    Ok(&STOP)
}

/// A bar on standard error if that is a terminal, and nothing otherwise.
pub(crate) fn progress(name: &str, cells: usize, visible: bool) -> ProgressBar {
    if !visible || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} cells, {eta} left");
    let bar = ProgressBar::new(cells as u64).with_prefix(name.to_owned());
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

pub(crate) fn run(args: &RunArgs) -> Result<Verdict> {
    let isa = Isa::choose()?;
    // All studies are planned before the first is measured: a mistake in the last must not cost the time of the others.
    let planned =
        args.studies_to_run().into_iter().map(|name| plan(name, args)).collect::<Result<Vec<_>>>()?;
    for (i, (study, _)) in planned.iter().enumerate() {
        if planned[..i].iter().any(|(other, _)| other.name == study.name) {
            bail!("two studies are called `{}`", study.name);
        }
    }
    let stop = stop_flag()?;
    let mut printer = Printer::new(args)?;
    for (study, cells) in planned {
        let outcome = one(&study, &cells, args, isa, stop, &mut printer)?;
        if printer.closed && args.out.is_none() {
            return Ok(Verdict::Passed);
        }
        if let Some(measured) = outcome {
            let hint = if args.out.is_some() { "; --resume goes on" } else { "" };
            let _ = writeln!(
                io::stderr(),
                "gradchain: interrupted: {}: {measured} of {} cells measured{hint}",
                study.name,
                cells.len()
            );
            return Ok(Verdict::Incomplete);
        }
    }
    Ok(Verdict::Passed)
}

impl RunArgs {
    fn studies_to_run(&self) -> Vec<&str> {
        match self.studies.is_empty() {
            true => BUILTIN.iter().map(|(name, _)| *name).collect(),
            false => self.studies.iter().map(String::as_str).collect(),
        }
    }
}

fn plan(name: &str, args: &RunArgs) -> Result<(Study, Vec<Cell>)> {
    let mut found = Found::named(name)?;
    for assignment in &args.set {
        found.study.set(assignment)?;
    }
    found.study.draws = args.draws.unwrap_or(found.study.draws);
    found.study.seed = args.seed.unwrap_or(found.study.seed);
    let mut cells = found.plan()?;
    if let Some(shard) = args.shard {
        let mut index = 0..;
        cells.retain(|_| index.next().is_some_and(|index| shard.holds(index)));
    }
    Ok((found.study, cells))
}

/// Measures one study; gives the number of measured cells if it was interrupted.
fn one(
    study: &Study,
    cells: &[Cell],
    args: &RunArgs,
    isa: Isa,
    stop: &AtomicBool,
    printer: &mut Printer,
) -> Result<Option<usize>> {
    let file_name = args.shard.map_or("rows.jsonl".to_owned(), |shard| shard.file_name());
    let mut file = match &args.out {
        Some(out) => Some(RowsFile::open(&out.join(&*study.name), &file_name, args.resume, cells)?),
        None => None,
    };
    let kept = file.as_ref().map(|file| file.kept.clone()).unwrap_or_default();
    let missing: Vec<usize> = (0..cells.len()).filter(|&index| !kept.has(index)).collect();
    let to_measure: Vec<Cell> = missing.iter().map(|&index| cells[index].clone()).collect();
    let timed = args.timing.then(|| isa.name());
    let bar = progress(&study.name, to_measure.len(), !printer.streams_to_terminal());
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
    let outcome = run_cells(
        &to_measure,
        &|cell| measure(cell, isa),
        threads(args.threads),
        timed,
        stop,
        |event| -> Result<()> {
            match event {
                Event::Measured => bar.inc(1),
                Event::Records { index, records } => {
                    if let Some(file) = &mut file {
                        file.append(
                            &records.iter().map(|record| record.to_json() + "\n").collect::<String>(),
                        )?;
                    }
                    print_kept_before(missing[index], printer)?;
                    records.into_iter().try_for_each(|record| printer.record(record))?;
                    // With nobody reading and no file to write, the rest would be measured for nothing.
                    if printer.closed && file.is_none() {
                        bail!(io::Error::from(io::ErrorKind::BrokenPipe));
                    }
                }
            }
            Ok(())
        },
    );
    bar.finish_and_clear();
    let measured = match outcome {
        Ok(Outcome::Complete) => None,
        Ok(Outcome::Stopped { emitted }) => Some(kept.len() + emitted),
        Err(e) => {
            let note = file.as_ref().map(|file| format!("; {} keeps the cells before", file.path.display()));
            printer.study_ends(study)?;
            return match e {
                RunError::Sink(e) => Err(e),
                e @ (RunError::Cell { .. } | RunError::Threads { .. }) => {
                    bail!("{}: {e}{}", study.place, note.unwrap_or_default())
                }
            };
        }
    };
    print_kept_before(cells.len(), printer)?;
    printer.study_ends(study)?;
    if let Some(file) = file {
        let done = cells.len() - kept.len();
        if measured.is_none() {
            let path = file.path.display().to_string();
            file.finish(cells)?;
            let _ = writeln!(io::stderr(), "gradchain: {path}: {done} cells measured, {} kept", kept.len());
        }
    }
    Ok(measured)
}

/// Writes records to standard output in the asked format: lines at once, tables when their study ends.
struct Printer {
    format: Option<OutputFormat>,
    timing: bool,
    held: Vec<Record>,
    studies: usize,
    /// Whether the reader has gone away.
    closed: bool,
}

impl Printer {
    fn new(args: &RunArgs) -> Result<Printer> {
        let format = args.format.or(if args.out.is_none() { Some(OutputFormat::Table) } else { None });
        let mut printer =
            Printer { format, timing: args.timing, held: Vec::new(), studies: 0, closed: false };
        if format == Some(OutputFormat::Csv) {
            printer.write(&csv_header(args.timing))?;
        }
        Ok(printer)
    }

    fn streams_to_terminal(&self) -> bool {
        let streams = match self.format {
            Some(OutputFormat::Jsonl | OutputFormat::Csv) => true,
            Some(OutputFormat::Table | OutputFormat::Md) | None => false,
        };
        streams && io::stdout().is_terminal()
    }

    fn record(&mut self, record: Record) -> Result<()> {
        match self.format {
            None => Ok(()),
            Some(OutputFormat::Jsonl) => self.write(&(record.to_json() + "\n")),
            Some(OutputFormat::Csv) => self.write(&record.to_csv(self.timing)),
            Some(OutputFormat::Table | OutputFormat::Md) => {
                self.held.push(record);
                Ok(())
            }
        }
    }

    fn study_ends(&mut self, study: &Study) -> Result<()> {
        let records = std::mem::take(&mut self.held);
        let text = match self.format {
            Some(OutputFormat::Table) => table::plain(study, &records),
            Some(OutputFormat::Md) => table::markdown(study, &records),
            Some(OutputFormat::Jsonl | OutputFormat::Csv) | None => return Ok(()),
        };
        let gap = if self.studies == 0 { "" } else { "\n" };
        self.studies += 1;
        self.write(&format!("{gap}{text}"))
    }

    fn write(&mut self, text: &str) -> Result<()> {
        if self.closed {
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => self.closed = true,
            result => result.context("standard output")?,
        }
        Ok(())
    }
}

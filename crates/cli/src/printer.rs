//! Rows on standard output.

use crate::args::{OutputFormat, RunArgs};
use crate::table;
use anyhow::{Context, Result};
use gradchain_study::{Record, Study, csv_header};
use std::io::{self, IsTerminal, Write};

/// Writes records to standard output in the asked format: lines at once, tables when their study ends.
pub(crate) struct Printer {
    format: Option<OutputFormat>,
    timing: bool,
    held: Vec<Record>,
    studies: usize,
    /// Whether the reader has gone away.
    pub(crate) closed: bool,
}

impl Printer {
    pub(crate) fn new(args: &RunArgs) -> Result<Printer> {
        let format = args.format.or(if args.out.is_none() { Some(OutputFormat::Table) } else { None });
        let mut printer =
            Printer { format, timing: args.timing, held: Vec::new(), studies: 0, closed: false };
        if format == Some(OutputFormat::Csv) {
            printer.write(&csv_header(args.timing))?;
        }
        Ok(printer)
    }

    pub(crate) fn streams_to_terminal(&self) -> bool {
        let streams = match self.format {
            Some(OutputFormat::Jsonl | OutputFormat::Csv) => true,
            Some(OutputFormat::Table | OutputFormat::Md) | None => false,
        };
        streams && io::stdout().is_terminal()
    }

    pub(crate) fn record(&mut self, record: Record) -> Result<()> {
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

    pub(crate) fn study_ends(&mut self, study: &Study) -> Result<()> {
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

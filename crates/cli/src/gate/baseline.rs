//! The committed side of the drift gate: studies with their plans, rows, blessings and limits.

use crate::run::progress;
use crate::studies::{Found, committed};
use anyhow::{Context, Result, bail};
use gradchain_arith::Isa;
use gradchain_gate::{Blessing, Budget, DriftInput};
use gradchain_study::{Cell, Event, Outcome, RunError, SCHEMA_VERSION, column, measure, run as run_cells};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// A study of the reports directory, as far as the gate needs it.
pub(crate) struct Baseline {
    pub(crate) name: String,
    pub(crate) cells: Vec<Cell>,
    pub(crate) rows_path: PathBuf,
    pub(crate) blessings_path: PathBuf,
    place: String,
    ids: Vec<String>,
    rows: Option<Vec<u8>>,
    blessed: Option<String>,
    budget: Budget,
}

/// The studies `wanted` of `reports`, or all of them: planned before anything is measured, so that a mistake in the last costs no time of the others.
pub(crate) fn baselines(reports: &Path, wanted: &[String]) -> Result<Vec<Baseline>> {
    let known = committed(reports)?;
    if let Some(name) = wanted.iter().find(|name| !known.contains(name)) {
        bail!("unknown study `{name}`; known in {}: {}", reports.display(), known.join(", "));
    }
    if let Some(name) =
        wanted.iter().enumerate().find(|(i, name)| wanted[..*i].contains(name)).map(|(_, name)| name)
    {
        bail!("the study `{name}` is named twice");
    }
    if wanted.is_empty() {
        for entry in fs::read_dir(reports).with_context(|| reports.display().to_string())? {
            let path = entry.with_context(|| reports.display().to_string())?.path();
            if path.join("rows.jsonl").is_file() && !path.join("study.toml").is_file() {
                bail!("{}: rows without a study: study.toml is gone", path.display());
            }
        }
    }
    let names = if wanted.is_empty() { &known } else { wanted };
    names.iter().map(|name| Baseline::read(&reports.join(name))).collect()
}

impl Baseline {
    fn read(directory: &Path) -> Result<Baseline> {
        let found = Found::in_file(&directory.join("study.toml"))?;
        let cells = found.plan()?;
        let bytes = |path: &Path| match fs::read(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            bytes => bytes.map(Some).with_context(|| path.display().to_string()),
        };
        let rows_path = directory.join("rows.jsonl");
        let blessings_path = directory.join("blessings.jsonl");
        let blessings = bytes(&blessings_path)?.unwrap_or_default();
        let blessed = Blessing::last(&String::from_utf8_lossy(&blessings))
            .map_err(anyhow::Error::msg)
            .with_context(|| blessings_path.display().to_string())?;
        let mut budget = Budget::builtin();
        let limits = directory.join("budgets.toml");
        if let Some(text) = bytes(&limits)? {
            let is_column = |name: &str| column(name).is_some();
            budget =
                budget.with(&limits.display().to_string(), &String::from_utf8_lossy(&text), &is_column)?;
        }
        let rows = bytes(&rows_path)?;
        Ok(Baseline {
            name: found.study.name.to_string(),
            ids: cells.iter().map(Cell::id).collect(),
            place: found.study.place.clone(),
            cells,
            rows_path,
            blessings_path,
            rows,
            blessed,
            budget,
        })
    }

    /// Measures every cell again. Gives the text of the rows; of an interrupted run, those of the cells before.
    pub(crate) fn measure(&self, isa: Isa, threads: usize, stop: &AtomicBool) -> Result<Vec<u8>> {
        let bar = progress(&self.name, self.cells.len(), true);
        let mut text = Vec::new();
        let outcome = run_cells(&self.cells, &|cell| measure(cell, isa), threads, None, stop, |event| {
            match event {
                Event::Measured { .. } => bar.inc(1),
                Event::Records { records, .. } => {
                    records.iter().for_each(|record| text.extend((record.to_json() + "\n").into_bytes()));
                }
            }
            Ok::<(), std::convert::Infallible>(())
        });
        bar.finish_and_clear();
        match outcome {
            Ok(Outcome::Complete | Outcome::Stopped { .. }) => Ok(text),
            Err(e @ (RunError::Cell { .. } | RunError::Threads { .. })) => bail!("{}: {e}", self.place),
            Err(RunError::Sink(never)) => match never {},
        }
    }

    /// Calls `judge` with what the gate judges; `measured_place` is what the measured rows are called.
    pub(crate) fn with_input<T>(
        &self,
        measured: &[u8],
        measured_place: &str,
        judge: impl FnOnce(&DriftInput<'_>) -> T,
    ) -> T {
        let unit = |name: &str| column(name).map_or(String::new(), |column| column.unit.to_owned());
        judge(&DriftInput {
            study: &self.name,
            planned: &self.ids,
            committed: self.rows.as_deref(),
            committed_place: &self.rows_path.display().to_string(),
            measured,
            measured_place,
            blessed: self.blessed.as_deref(),
            schema_version: SCHEMA_VERSION,
            unit: &unit,
            budget: &self.budget,
        })
    }
}

//! `gradchain status`: how far the shards of a study are.

use crate::Verdict;
use crate::args::{ListFormat, StatusArgs};
use crate::output::{Failures, is_being_written};
use crate::parts::{Parts, ShardState, shards_below, submit_again};
use crate::sidecar::Sidecar;
use crate::studies::Planned;
use crate::table::STYLE;
use anyhow::{Result, bail};
use comfy_table::{CellAlignment, Table};
use gradchain_study::Merged;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub(crate) fn status(args: &StatusArgs) -> Result<Verdict> {
    let mut verdict = Verdict::Passed;
    for (number, planned) in studies(args)?.into_iter().enumerate() {
        let directory = args.out.join(&planned.recipe.name);
        let parts = Parts::read(planned, files(&directory)?)?;
        let merged = parts.merge()?;
        if !merged.is_whole() {
            verdict = Verdict::Incomplete;
        }
        let lines = lines(&parts, &merged, &directory);
        let text = match args.format {
            ListFormat::Jsonl => lines.iter().map(|line| line.json(&parts.planned) + "\n").collect(),
            ListFormat::Table => {
                let gap = if number == 0 { "" } else { "\n" };
                format!("{gap}{}", table(&parts, &merged, &lines))
            }
        };
        io::stdout().write_all(text.as_bytes())?;
    }
    Ok(verdict)
}

/// The studies to look at: those named, or those whose plans stand below `--out`.
fn studies(args: &StatusArgs) -> Result<Vec<Planned>> {
    if !args.studies.is_empty() {
        return args.studies.iter().map(|name| args.changes.plan(name)).collect();
    }
    if !args.changes.is_empty() {
        bail!("--set, --draws and --seed change a study that is named");
    }
    let mut plans: BTreeMap<String, (PathBuf, Sidecar)> = BTreeMap::new();
    for rows in shards_below(&args.out)? {
        if let Some(sidecar) = Sidecar::beside(&rows)? {
            plans.entry(sidecar.recipe.name.clone()).or_insert((rows, sidecar));
        }
    }
    if plans.is_empty() {
        bail!("{}: no shards of any study here; name the study", args.out.display());
    }
    plans.into_values().map(|(rows, sidecar)| sidecar.planned(&rows)).collect()
}

/// The files of rows of a study: its shards, and what was not divided.
fn files(directory: &Path) -> Result<Vec<(PathBuf, Option<Sidecar>)>> {
    let mut files = match directory.is_dir() {
        true => shards_below(directory)?,
        false => Vec::new(),
    };
    files.push(whole(directory));
    let there = files.into_iter().filter(|path| path.exists());
    there.map(|path| Sidecar::beside(&path).map(|sidecar| (path, sidecar))).collect()
}

/// The file of rows of an undivided study.
fn whole(directory: &Path) -> PathBuf {
    directory.join("rows.jsonl")
}

/// One shard, or the undivided study.
struct Line {
    shard: Option<String>,
    file: PathBuf,
    cells: usize,
    missing: usize,
    failed: usize,
    state: &'static str,
    resubmit: bool,
}

impl Line {
    fn new(shard: Option<String>, file: PathBuf, cells: usize, missing: usize, failed: usize) -> Line {
        let state = match () {
            () if missing == 0 => "done",
            () if is_being_written(&file) => "running",
            () if failed > 0 => "failed",
            () if !file.exists() => "missing",
            () => "incomplete",
        };
        let resubmit = !["done", "running"].contains(&state);
        Line { shard, file, cells, missing, failed, state, resubmit }
    }

    fn json(&self, planned: &Planned) -> String {
        json!({
            "study": planned.recipe.name,
            "plan": planned.hash,
            "shard": self.shard,
            "state": self.state,
            "cells": self.cells,
            "done": self.cells - self.missing,
            "missing": self.missing,
            "failed": self.failed,
            "file": self.file.to_string_lossy(),
        })
        .to_string()
    }
}

fn lines(parts: &Parts, merged: &Merged<'_>, directory: &Path) -> Vec<Line> {
    let of_shard = |state: &ShardState| {
        let file = state.file.clone().unwrap_or_else(|| directory.join(state.shard.file_name()));
        Line::new(Some(state.shard.to_string()), file, state.cells, state.missing.len(), state.failed)
    };
    let mut lines: Vec<Line> = parts.shards(merged).iter().map(of_shard).collect();
    let whole = whole(directory);
    if lines.is_empty() || whole.exists() {
        let (cells, failed) = (parts.planned.cells.len(), Failures::count(&whole));
        lines.push(Line::new(None, whole, cells, cells - merged.len(), failed));
    }
    lines
}

fn table(parts: &Parts, merged: &Merged<'_>, lines: &[Line]) -> String {
    let mut table = Table::new();
    table.load_style(STYLE).set_header(["shard", "state", "cells", "done", "missing", "failed"]);
    for line in lines {
        let numbers =
            [line.cells, line.cells - line.missing, line.missing, line.failed].map(|x| x.to_string());
        let names = [line.shard.clone().unwrap_or_else(|| "all".to_owned()), line.state.to_owned()];
        table.add_row(names.into_iter().chain(numbers));
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let (done, all) = (merged.len(), parts.planned.cells.len());
    let mut out =
        format!("{}: plan {}: {done} of {all} cells\n", parts.planned.recipe.name, parts.planned.hash);
    out += &(table.trim_fmt() + "\n");
    let again = |state: &&ShardState| {
        lines.iter().any(|line| line.resubmit && line.shard.as_deref() == Some(&state.shard.to_string()))
    };
    let shards = parts.shards(merged);
    for line in submit_again(shards.iter().filter(again)) {
        out += &format!("{line}\n");
    }
    out
}

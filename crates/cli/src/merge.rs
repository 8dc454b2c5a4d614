//! `gradchain merge`: the rows of shards as those of one run.

use crate::Verdict;
use crate::args::MergeArgs;
use crate::output::{is_being_written, replace};
use crate::parts::{Parts, shards_below, submit_again};
use crate::sidecar::Sidecar;
use crate::studies::Planned;
use anyhow::{Context, Result, bail};
use gradchain_study::Merged;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub(crate) fn merge(args: &MergeArgs) -> Result<Verdict> {
    let groups = groups(args)?;
    if args.out.is_none() && groups.len() > 1 {
        let names: Vec<&str> = groups.iter().map(|parts| parts.planned.recipe.name.as_str()).collect();
        bail!(
            "these are rows of {} studies: {}; give --out DIR, or --study and the files of one",
            names.len(),
            names.join(", ")
        );
    }
    let mut verdict = Verdict::Passed;
    for parts in &groups {
        let name = &parts.planned.recipe.name;
        let path = match (&args.output, &args.out) {
            (_, Some(out)) => Some(out.join(name).join("rows.jsonl")),
            (Some(output), None) if output.as_os_str() != "-" => Some(output.clone()),
            (Some(_) | None, None) => None,
        };
        if let Some(path) = &path {
            free(path, parts)?;
        }
        let merged = parts.merge()?;
        merged.left_out.iter().for_each(|line| say(line));
        if !merged.is_whole() {
            verdict = Verdict::Incomplete;
            tell_missing(parts, &merged);
            if !args.partial {
                continue;
            }
        }
        match path {
            None => merged.texts().try_for_each(|text| io::stdout().write_all(text.as_bytes()))?,
            Some(path) => {
                write(&path, &merged)?;
                let (done, all) = (merged.len(), parts.planned.cells.len());
                say(&format!("{}: {done} of {all} cells of {name}", path.display()));
            }
        }
    }
    Ok(verdict)
}

/// A line on standard error; with nobody to read it, none.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "gradchain: {line}");
}

fn tell_missing(parts: &Parts, merged: &Merged<'_>) {
    let (name, all) = (&parts.planned.recipe.name, parts.planned.cells.len());
    say(&format!("{name}: {} of {all} cells are missing", all - merged.len()));
    let shards = parts.shards(merged);
    let lacking = || shards.iter().filter(|state| !state.missing.is_empty());
    lacking().for_each(|state| say(&format!("  {}", state.lack(&parts.planned))));
    if shards.is_empty() {
        let missing: Vec<usize> = (0..all).filter(|&index| !merged.has(index)).collect();
        gradchain_study::labels(&parts.planned.cells, &missing, 10)
            .iter()
            .for_each(|cell| say(&format!("  cell {cell}")));
    }
    submit_again(lacking()).iter().for_each(|line| say(&format!("  {line}")));
}

/// Refuses a place for the merged rows that holds what is to be merged, or what a run is writing.
fn free(path: &Path, parts: &Parts) -> Result<()> {
    if parts.has_file(path) {
        bail!("{}: this is one of the files to merge, and would be replaced", path.display());
    }
    if is_being_written(path) {
        bail!("{}: a run is writing to this file", path.display());
    }
    Ok(())
}

fn write(path: &Path, merged: &Merged<'_>) -> Result<()> {
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    }
    replace(path, merged.texts())
}

/// The files by study.
fn groups(args: &MergeArgs) -> Result<Vec<Parts>> {
    let mut files: Vec<(PathBuf, Option<Sidecar>)> = Vec::new();
    let asked = args.study.as_ref().map(|name| args.changes.plan(name)).transpose()?;
    if asked.is_none() && !args.changes.is_empty() {
        bail!("--set, --draws and --seed change a study that --study names");
    }
    for part in &args.parts {
        if !part.is_dir() {
            files.push((part.clone(), Sidecar::beside(part)?));
            continue;
        }
        let below = shards_below(part)?;
        if below.is_empty() {
            bail!("{}: no rows-K-of-N.jsonl in this directory or below", part.display());
        }
        for path in below {
            let sidecar = Sidecar::beside(&path)?;
            // A directory may hold other studies than the one that is asked for.
            let other = |(asked, sidecar): (&Planned, &Sidecar)| asked.recipe.name != sidecar.recipe.name;
            if !asked.as_ref().zip(sidecar.as_ref()).is_some_and(other) {
                files.push((path, sidecar));
            }
        }
    }
    if let Some(planned) = asked {
        return Ok(vec![Parts::read(planned, files)?]);
    }
    let (planned, unplanned): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|(_, sidecar)| sidecar.is_some());
    let mut groups: BTreeMap<String, Vec<(PathBuf, Option<Sidecar>)>> = BTreeMap::new();
    for (path, sidecar) in planned {
        let name = sidecar.as_ref().map(|sidecar| sidecar.recipe.name.clone()).unwrap_or_default();
        groups.entry(name).or_default().push((path, sidecar));
    }
    if let Some((path, _)) = unplanned.first() {
        let (count, path) = (groups.len(), path.display().to_string());
        // Rows without a plan join those of the only one there is.
        match groups.values_mut().next() {
            Some(only) if count == 1 => only.extend(unplanned),
            Some(_) | None => {
                bail!("{path}: no plan stands beside these rows; name their study with --study")
            }
        }
    }
    let parts = |files: Vec<(PathBuf, Option<Sidecar>)>| {
        let (path, sidecar) = &files[0];
        let planned = sidecar.as_ref().context("rows without a plan")?.planned(path)?;
        Parts::read(planned, files)
    };
    groups.into_values().map(parts).collect()
}

//! The files of rows that shards of a study left, and what is missing in them.

use crate::output::Failures;
use crate::sidecar::Sidecar;
use crate::studies::Planned;
use anyhow::{Context, Result, bail};
use gradchain_study::{Balance, Merged, Part, Shard, assign, labels, merge};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Files of rows of one plan.
pub(crate) struct Parts {
    pub(crate) planned: Planned,
    /// Each file with its content.
    files: Vec<(String, Vec<u8>)>,
    /// How the study was divided: by the number of shards, what they share evenly, and the file of each shard that is there.
    divisions: BTreeMap<usize, (Balance, BTreeMap<usize, PathBuf>)>,
}

impl Parts {
    /// Reads `files`, each with the plan beside it, if there is one.
    ///
    /// # Errors
    /// If a file is of another plan, or shards of one number were divided in two ways.
    pub(crate) fn read(planned: Planned, files: Vec<(PathBuf, Option<Sidecar>)>) -> Result<Parts> {
        let mut parts = Parts { planned, files: Vec::new(), divisions: BTreeMap::new() };
        for (path, sidecar) in files {
            let place = path.display().to_string();
            if let Some(sidecar) = sidecar {
                sidecar.demand(&path, &parts.planned.hash, &parts.planned.recipe)?;
                let (of, balance) = (sidecar.shard.of(), sidecar.balance);
                let (known, shards) = parts.divisions.entry(of).or_insert((balance, BTreeMap::new()));
                if *known != balance {
                    let (ours, theirs) = (balance.name(), known.name());
                    bail!(
                        "{place}: divided by --balance {ours}, others of {of} shards by --balance {theirs}"
                    );
                }
                shards.insert(sidecar.shard.number(), path.clone());
            }
            parts.files.push((place.clone(), fs::read(&path).context(place)?));
        }
        Ok(parts)
    }

    /// Whether `path` is one of the files.
    pub(crate) fn has_file(&self, path: &Path) -> bool {
        let is = |name: &str| {
            fs::canonicalize(name).is_ok_and(|file| fs::canonicalize(path).is_ok_and(|path| path == file))
        };
        self.files.iter().any(|(name, _)| is(name))
    }

    /// The rows of all files.
    pub(crate) fn merge(&self) -> Result<Merged<'_>> {
        let parts: Vec<Part<'_>> = self.files.iter().map(|(name, text)| Part { name, text }).collect();
        merge(&parts, &self.planned.cells).map_err(anyhow::Error::msg)
    }

    /// Every shard of every division, also those that left no file.
    pub(crate) fn shards(&self, merged: &Merged<'_>) -> Vec<ShardState> {
        let mut out = Vec::new();
        for (&of, (balance, files)) in &self.divisions {
            let numbers = assign(&self.planned.cells, of, *balance);
            let mut states: Vec<ShardState> = (1..=of)
                .filter_map(|number| {
                    let (shard, file) = (Shard::new(number, of).ok()?, files.get(&number).cloned());
                    let failed = file.as_deref().map_or(0, Failures::count);
                    Some(ShardState { shard, file, cells: 0, missing: Vec::new(), failed })
                })
                .collect();
            for (index, number) in numbers.into_iter().enumerate() {
                let state = &mut states[number - 1];
                state.cells += 1;
                if !merged.has(index) {
                    state.missing.push(index);
                }
            }
            out.extend(states);
        }
        out
    }
}

/// How far a shard is. A cell counts as measured whichever file it is in.
pub(crate) struct ShardState {
    pub(crate) shard: Shard,
    pub(crate) file: Option<PathBuf>,
    pub(crate) cells: usize,
    /// Indices of the cells that are not measured.
    pub(crate) missing: Vec<usize>,
    /// Cells that the last run could not measure.
    pub(crate) failed: usize,
}

/// Cells of a shard that messages name.
const NAMED: usize = 3;

impl ShardState {
    /// What is missing, in a sentence.
    pub(crate) fn lack(&self, planned: &Planned) -> String {
        let (shard, missing, cells) = (self.shard, self.missing.len(), self.cells);
        if self.file.is_none() {
            return format!("shard {shard}: there is no {}: {missing} cells", shard.file_name());
        }
        let named = labels(&planned.cells, &self.missing, NAMED).join(", ");
        let more = if missing > NAMED { format!(" and {} more", missing - NAMED) } else { String::new() };
        format!("shard {shard}: {missing} of {cells} cells: {named}{more}")
    }
}

/// How to submit these shards again, one line for each number of shards: the list of a job array.
pub(crate) fn submit_again<'a>(shards: impl Iterator<Item = &'a ShardState>) -> Vec<String> {
    let mut lists: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for state in shards {
        lists.entry(state.shard.of()).or_default().push(state.shard.number());
    }
    let line = |(of, numbers): (&usize, &Vec<usize>)| {
        format!("submit again: --array={} with --shard slurm/{of} --resume", ranges(numbers))
    };
    lists.iter().map(line).collect()
}

/// Ascending numbers as a list in which neighbours are joined: `3,7-9`.
fn ranges(numbers: &[usize]) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            Some(_) | None => ranges.push((number, number)),
        }
    }
    let text = |&(first, last): &(usize, usize)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    ranges.iter().map(text).collect::<Vec<_>>().join(",")
}

/// The files of shards in `directory` and all directories below, in the order of their names.
pub(crate) fn shards_below(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut out = Vec::new();
    let mut entries = fs::read_dir(directory)
        .and_then(Iterator::collect::<std::io::Result<Vec<_>>>)
        .with_context(|| directory.display().to_string())?;
    entries.sort_by_key(|entry| {
        let name = entry.file_name();
        let shard = name.to_str().and_then(Shard::of_file_name);
        (shard.map(|shard| (shard.of(), shard.number())), name)
    });
    for entry in entries {
        let path = entry.path();
        let kind = entry.file_type().with_context(|| path.display().to_string())?;
        if kind.is_dir() {
            out.extend(shards_below(&path)?);
        } else if entry.file_name().to_str().and_then(Shard::of_file_name).is_some() {
            out.push(path);
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_joined() {
        assert_eq!(ranges(&[3]), "3");
        assert_eq!(ranges(&[1, 2, 3, 7, 9, 10]), "1-3,7,9-10");
        assert_eq!(ranges(&[]), "");
    }
}

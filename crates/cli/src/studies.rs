//! Finds studies: built in, or in files.

use anyhow::{Context, Result, bail};
use gradchain_study::{BUILTIN, Cell, Origin, Study};
use std::fs;
use std::path::{Path, PathBuf};

/// A study, and the directory to which the paths in its file are relative.
pub(crate) struct Found {
    pub(crate) study: Study,
    pub(crate) directory: PathBuf,
}

impl Found {
    /// The built-in study `name`, or the one in the file `name` if that ends in `.toml`.
    pub(crate) fn named(name: &str) -> Result<Found> {
        if name.ends_with(".toml") {
            return Found::in_file(Path::new(name));
        }
        match BUILTIN.iter().find(|(known, _)| *known == name) {
            Some((name, text)) => {
                let study = Study::parse(name, &format!("reports/{name}/study.toml (built in)"), text)?;
                Ok(Found { study, directory: PathBuf::new() })
            }
            None => {
                let known: Vec<&str> = BUILTIN.iter().map(|(name, _)| *name).collect();
                bail!("unknown study `{name}`; known: {}, or a file that ends in .toml", known.join(", "))
            }
        }
    }

    /// The study in a file. It is called as the file, or as its directory if the file is called `study.toml`.
    pub(crate) fn in_file(path: &Path) -> Result<Found> {
        let place = path.display().to_string();
        let text = fs::read_to_string(path).with_context(|| place.clone())?;
        let directory = path.parent().unwrap_or(Path::new("")).to_path_buf();
        let stem = path.file_stem().unwrap_or_default();
        let directory_name = || Some(fs::canonicalize(&directory).ok()?.file_name()?.to_owned());
        let absolute = || Some(std::env::current_dir().ok()?.file_name()?.to_owned());
        let name = match (stem == "study", directory == Path::new("")) {
            (false, _) => Some(stem.to_owned()),
            (true, true) => absolute(),
            (true, false) => directory_name(),
        };
        let name = name.and_then(|name| name.into_string().ok()).unwrap_or_default();
        if name.is_empty() || name.starts_with('.') {
            bail!("{place}: `{name}` cannot name a study: its rows go to a directory of that name");
        }
        Ok(Found { study: Study::parse(&name, &place, &text)?, directory })
    }

    /// The cells; network files are read here.
    pub(crate) fn plan(&self) -> Result<Vec<Cell>> {
        let load = |path: &str, origin: Origin| {
            let path = match origin {
                Origin::StudyFile => self.directory.join(path),
                Origin::CommandLine => PathBuf::from(path),
            };
            fs::read(path).map_err(|e| e.to_string())
        };
        Ok(self.study.plan(&load)?)
    }
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

//! Finds studies: built in, or in files; and plans them as the command line asks.

use crate::args::Selection;
use anyhow::{Context, Result, bail};
use gradchain_study::{BUILTIN, Cell, Origin, Study, plan_hash};
use std::fs;
use std::path::{Path, PathBuf};

/// A study, and the directory to which the paths in its file are relative.
pub(crate) struct Found {
    pub(crate) study: Study,
    pub(crate) directory: PathBuf,
    /// The text of its file.
    text: String,
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
                Ok(Found { study, directory: PathBuf::new(), text: (*text).to_owned() })
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
        Ok(Found { study: Study::parse(&name, &place, &text)?, directory, text })
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

/// All that a plan follows from: the study's file and what the command line changes in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recipe {
    pub(crate) name: String,
    /// The file, for messages.
    pub(crate) place: String,
    pub(crate) directory: PathBuf,
    pub(crate) text: String,
    pub(crate) set: Vec<String>,
    pub(crate) draws: u64,
    pub(crate) seed: u64,
}

/// A study with its cells.
pub(crate) struct Planned {
    pub(crate) recipe: Recipe,
    pub(crate) study: Study,
    pub(crate) cells: Vec<Cell>,
    /// Equal for equal names and cells, measured by equal versions.
    pub(crate) hash: String,
}

impl Recipe {
    /// Plans the study once more.
    pub(crate) fn plan(self) -> Result<Planned> {
        let study = Study::parse(&self.name, &self.place, &self.text)?;
        let mut found = Found { study, directory: self.directory.clone(), text: self.text.clone() };
        for assignment in &self.set {
            found.study.set(assignment)?;
        }
        found.study.draws = self.draws;
        found.study.seed = self.seed;
        let cells = found.plan()?;
        let hash = plan_hash(&self.name, &cells);
        Ok(Planned { recipe: self, study: found.study, cells, hash })
    }

    /// What the command line changed, for messages that tell two plans of a study apart.
    pub(crate) fn options(&self) -> String {
        let set = self.set.iter().map(|assignment| format!(" --set {assignment}")).collect::<String>();
        format!("{}{set} --draws {} --seed {}", self.name, self.draws, self.seed)
    }
}

impl Selection {
    /// The named studies, each with its cells; all built-in ones if none is named.
    pub(crate) fn plan(&self) -> Result<Vec<Planned>> {
        let names: Vec<&str> = match self.studies.is_empty() {
            true => BUILTIN.iter().map(|(name, _)| *name).collect(),
            false => self.studies.iter().map(String::as_str).collect(),
        };
        let planned = names.into_iter().map(|name| self.changes.plan(name)).collect::<Result<Vec<_>>>()?;
        for (i, one) in planned.iter().enumerate() {
            if planned[..i].iter().any(|other| other.recipe.name == one.recipe.name) {
                bail!("two studies are called `{}`", one.recipe.name);
            }
        }
        Ok(planned)
    }
}

impl crate::args::Changes {
    /// The study `name` with these changes, and its cells.
    pub(crate) fn plan(&self, name: &str) -> Result<Planned> {
        let Found { study, directory, text } = Found::named(name)?;
        Recipe {
            name: study.name.to_string(),
            place: study.place,
            directory,
            text,
            set: self.set.clone(),
            draws: self.draws.unwrap_or(study.draws),
            seed: self.seed.unwrap_or(study.seed),
        }
        .plan()
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

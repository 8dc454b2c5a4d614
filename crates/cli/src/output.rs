//! The file of rows of a study: written cell by cell, so that whatever stops the program, the file is a prefix of the whole.

use anyhow::{Context, Result, bail};
use gradchain_study::{Cell, Kept, in_order, keep};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// An open file of rows.
pub(crate) struct RowsFile {
    pub(crate) path: PathBuf,
    /// What an earlier run left.
    pub(crate) kept: Kept,
    file: File,
}

impl RowsFile {
    /// Opens `directory/name` for the rows of `cells`. With `resume`, what is there is kept; without, it is set aside under a name that ends
    /// in `.old` until the new rows are complete, so that an interruption loses nothing.
    pub(crate) fn open(directory: &Path, name: &str, resume: bool, cells: &[Cell]) -> Result<RowsFile> {
        fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
        let path = directory.join(name);
        let place = || path.display().to_string();
        let kept = if resume && path.exists() {
            let text = fs::read(&path).with_context(place)?;
            keep(&text, cells).map_err(anyhow::Error::msg).with_context(place)?
        } else {
            Kept::default()
        };
        if resume {
            replace(&path, kept.text().as_bytes())?;
        } else if path.exists() {
            let old = old(&path);
            if old.exists() {
                let (path, old) = (path.display(), old.display());
                bail!(
                    "{path}: this is what an interrupted run left, and {old} what was there before; --resume goes on, or remove one of them"
                );
            }
            fs::rename(&path, &old).with_context(place)?;
        }
        let file = OpenOptions::new().append(true).create(true).open(&path).with_context(place)?;
        Ok(RowsFile { path, kept, file })
    }

    /// Appends the lines of a cell with one write.
    pub(crate) fn append(&mut self, lines: &str) -> Result<()> {
        self.file.write_all(lines.as_bytes()).with_context(|| self.path.display().to_string())
    }

    /// Called when all cells are measured: puts the lines in the order of the cells if an earlier run left gaps, and removes what was set
    /// aside.
    pub(crate) fn finish(self, cells: &[Cell]) -> Result<()> {
        let place = || self.path.display().to_string();
        self.file.sync_all().with_context(place)?;
        if !self.kept.is_prefix() {
            let text = fs::read(&self.path).with_context(place)?;
            replace(
                &self.path,
                in_order(&text, cells).map_err(anyhow::Error::msg).with_context(place)?.as_bytes(),
            )?;
        }
        let old = old(&self.path);
        if old.exists() {
            fs::remove_file(&old).with_context(|| old.display().to_string())?;
        }
        Ok(())
    }
}

fn old(path: &Path) -> PathBuf {
    with_suffix(path, ".old")
}

/// Writes a whole file in one step: readers, and a crash, see the old or the new content.
fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let new = with_suffix(path, ".new");
    fs::write(&new, content).with_context(|| new.display().to_string())?;
    fs::rename(&new, path).with_context(|| path.display().to_string())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

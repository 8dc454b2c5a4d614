//! The file of rows of a study: each cell is written when it is measured, so that whatever stops the program loses the cells under way and no more.
//!
//! While a run goes on its file is locked, cells stand in it in the order in which they were measured, and a line may be torn if the program is killed. When
//! the run ends, complete or not, they are put in the order of the plan.

use anyhow::{Context, Result, bail};
use gradchain_study::{Cell, Kept, Part, keep, merge};
use serde_json::json;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// An open file of rows.
pub(crate) struct RowsFile {
    pub(crate) path: PathBuf,
    /// What an earlier run left.
    pub(crate) kept: Kept,
    file: File,
    /// Bytes of whole cells.
    length: u64,
    /// How many cells there are, if they are the first ones in their order.
    in_order: Option<usize>,
}

impl RowsFile {
    /// Opens `directory/name` for the rows of `cells`, and locks it. With `resume`, what is there is kept; without, it is set aside under a name that
    /// ends in `.old` until the new rows are complete, so that an interruption loses nothing.
    pub(crate) fn open(directory: &Path, name: &str, resume: bool, cells: &[Cell]) -> Result<RowsFile> {
        fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
        let path = directory.join(name);
        if resume {
            return RowsFile::resume(path, cells);
        }
        let place = || path.display().to_string();
        let _old_run = match path.exists() {
            true => Some(set_aside(&path)?),
            false => None,
        };
        let file =
            OpenOptions::new().read(true).append(true).create_new(true).open(&path).with_context(place)?;
        lock(&file, &path)?;
        Ok(RowsFile { path, kept: Kept::default(), file, length: 0, in_order: Some(0) })
    }

    fn resume(path: PathBuf, cells: &[Cell]) -> Result<RowsFile> {
        let place = || path.display().to_string();
        let mut file = open_locked(&path)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).with_context(place)?;
        let kept = keep(&text, cells).map_err(anyhow::Error::msg).with_context(place)?;
        let whole = kept.text();
        let length = whole.len() as u64;
        // What was torn is cut off, which needs no room on the disk; only rows out of order are written anew.
        if text.starts_with(whole.as_bytes()) {
            file.set_len(length).with_context(place)?;
        } else {
            replace(&path, [whole.as_str()])?;
            file = open_locked(&path)?;
        }
        let in_order = kept.is_prefix().then_some(kept.len());
        Ok(RowsFile { path, kept, file, length, in_order })
    }

    /// Appends the lines of the cell at `index` with one write. If they do not fit on the disk, the file ends with the cell before.
    pub(crate) fn append(&mut self, index: usize, lines: &str) -> Result<()> {
        let written = self.file.write_all(lines.as_bytes());
        if written.is_err() {
            // Should this fail too, the torn line is dropped by whoever reads the file.
            let _ = self.file.set_len(self.length);
        }
        self.length += lines.len() as u64;
        self.in_order = self.in_order.filter(|&next| next == index).map(|next| next + 1);
        written.with_context(|| {
            let path = self.path.display();
            format!(
                "{path}: cannot write; the cells measured so far are kept, and --resume goes on with them"
            )
        })
    }

    /// Called when the run ends: puts the lines in the order of `cells`, and if all of these are `complete` removes what was set aside.
    pub(crate) fn finish(mut self, cells: &[Cell], complete: bool) -> Result<()> {
        let place = || self.path.display().to_string();
        self.file.sync_all().with_context(place)?;
        if self.in_order.is_none() {
            let mut text = Vec::new();
            self.file.rewind().and_then(|()| self.file.read_to_end(&mut text)).with_context(place)?;
            let part = Part { name: &place(), text: &text };
            replace(&self.path, merge(&[part], cells).map_err(anyhow::Error::msg)?.texts())?;
        }
        let old = old(&self.path);
        if complete && old.exists() {
            fs::remove_file(&old).with_context(|| old.display().to_string())?;
        }
        Ok(())
    }
}

/// The cells that cannot be measured: in a file beside the rows, until a run measures them.
pub(crate) struct Failures {
    path: Option<PathBuf>,
    lines: Vec<(String, String)>,
}

impl Failures {
    /// None so far. What an earlier run failed at is forgotten: this one tries again.
    pub(crate) fn beside(rows: Option<&Path>) -> Failures {
        let path = rows.map(Failures::path);
        if let Some(path) = &path {
            let _ = fs::remove_file(path);
        }
        Failures { path, lines: Vec::new() }
    }

    fn path(rows: &Path) -> PathBuf {
        rows.with_extension("failed.jsonl")
    }

    pub(crate) fn note(&mut self, cell: &Cell, message: &str) {
        self.lines.push((cell.id(), message.to_owned()));
    }

    /// Writes the file if there is anything to write; gives a sentence for each cell.
    pub(crate) fn write(self) -> Result<Vec<String>> {
        if let (Some(path), false) = (&self.path, self.lines.is_empty()) {
            let line = |(cell, message): &(String, String)| {
                json!({"cell": cell, "message": message}).to_string() + "\n"
            };
            replace(path, [self.lines.iter().map(line).collect::<String>().as_str()])?;
        }
        Ok(self.lines.iter().map(|(cell, message)| format!("cell {cell}: {message}")).collect())
    }

    /// How many cells the last run of the rows in the file `rows` could not measure.
    pub(crate) fn count(rows: &Path) -> usize {
        fs::read_to_string(Failures::path(rows)).map_or(0, |text| text.lines().count())
    }
}

/// Whether a run writes to the file of rows at `path` now.
pub(crate) fn is_being_written(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Gives what is at `path` the name for what was there before; the file stays locked as long as what this returns lives.
fn set_aside(path: &Path) -> Result<File> {
    let file = open_locked(path)?;
    let old = old(path);
    if old.exists() {
        let (path, old) = (path.display(), old.display());
        bail!(
            "{path}: this is what an interrupted run left, and {old} what was there before; --resume goes on, or remove one of them"
        );
    }
    fs::rename(path, &old).with_context(|| path.display().to_string())?;
    Ok(file)
}

/// Opens the file of rows at `path`, empty if there is none, and locks it.
fn open_locked(path: &Path) -> Result<File> {
    let place = || path.display().to_string();
    loop {
        let file = OpenOptions::new().read(true).append(true).create(true).open(path).with_context(place)?;
        if !file.metadata().with_context(place)?.is_file() {
            bail!("{}: this is no regular file, and rows go to one", path.display());
        }
        lock(&file, path)?;
        // The run that held the lock may have put another file in its place.
        if is_at(&file, path) {
            return Ok(file);
        }
    }
}

/// How often, and how far apart, a lock is asked for: `gradchain status` holds it for an instant.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(50);

/// Locks a file of rows against other runs until it is closed. A file system without locks is taken as it is: each shard has a file of its own.
fn lock(file: &File, path: &Path) -> Result<()> {
    for _ in 0..TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
            Err(TryLockError::Error(_)) => return Ok(()),
        }
    }
    bail!(
        "{}: another run is writing to this file; wait for it, or give this one another --out",
        path.display()
    )
}

/// Whether `file` is what stands at `path`.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let same = |a: fs::Metadata, b: fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    file.metadata().is_ok_and(|a| fs::metadata(path).is_ok_and(|b| same(a, b)))
}

/// Elsewhere an open file cannot be replaced.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

fn old(path: &Path) -> PathBuf {
    with_suffix(path, ".old")
}

/// Writes a whole file in one step: readers, and a crash, see the old or the new content.
pub(crate) fn replace<'a>(path: &Path, pieces: impl IntoIterator<Item = &'a str>) -> Result<()> {
    let new = with_suffix(path, ".new");
    let write = || -> io::Result<()> {
        let mut file = BufWriter::new(File::create(&new)?);
        pieces.into_iter().try_for_each(|piece| file.write_all(piece.as_bytes()))?;
        file.into_inner()?.sync_all()
    };
    if let Err(error) = write() {
        let _ = fs::remove_file(&new);
        return Err(error).with_context(|| new.display().to_string());
    }
    fs::rename(&new, path).with_context(|| path.display().to_string())
}

pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

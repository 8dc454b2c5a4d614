//! Studies: a question, a measure and grids of axes; from them the cells.
//!
//! Cells that occur twice are measured once, at their first place.

use crate::axis::Axis;
use crate::cell::{Cell, Init, Measure, NetworkFile};
use crate::grid::{MAX_CELLS, list};
use crate::memory::{GIB, MAX_CELL_BYTES, drawn, estimate, widths_of};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Why a study cannot be run: what is wrong, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StudyError {
    /// The file, or `--set`.
    pub place: String,
    /// Line and column, from 1; the column counts characters.
    pub position: Option<(usize, usize)>,
    /// The field with the wrong value.
    pub field: Option<String>,
    /// The value and what is allowed.
    pub message: String,
}

impl fmt::Display for StudyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)?;
        if let Some((line, column)) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        if let Some(field) = &self.field {
            write!(f, ": {field}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for StudyError {}

/// Where a value was written: paths in a study file are relative to that file, those of `--set` to the current directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// In the study file.
    StudyFile,
    /// On the command line.
    CommandLine,
}

/// Reads the whole of a network file by its path as the user wrote it.
pub type Load<'a> = dyn Fn(&str, Origin) -> Result<Vec<u8>, String> + 'a;

/// The values of one axis of a grid.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Values {
    pub(crate) axis: Axis,
    pub(crate) texts: Vec<String>,
    pub(crate) origin: Origin,
    pub(crate) position: Option<(usize, usize)>,
}

/// A study: a question with axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Study {
    /// The name, which is also that of its directory of rows.
    pub name: Arc<str>,
    /// The file that it was read from, for messages.
    pub place: String,
    /// The question, in prose.
    pub question: String,
    /// What a cell computes.
    pub measure: Measure,
    /// Random networks to average over.
    pub draws: u64,
    /// The seed.
    pub seed: u64,
    /// What a table shows; empty: all that is not null.
    pub columns: Vec<&'static str>,
    pub(crate) grids: Vec<Vec<Values>>,
}

/// Allowed numbers of draws.
pub const DRAWS: RangeInclusive<u64> = 1..=10_000_000;

impl Study {
    /// Replaces the values of one axis in all grids, as `--set axis=v1,v2` asks.
    ///
    /// # Errors
    /// If `assignment` names no known axis, or no value of it.
    pub fn set(&mut self, assignment: &str) -> Result<(), StudyError> {
        let error = |field: Option<&str>, message: String| StudyError {
            place: "--set".to_owned(),
            position: None,
            field: field.map(str::to_owned),
            message,
        };
        let (name, text) = assignment
            .split_once('=')
            .ok_or_else(|| error(None, format!("`{assignment}` is no assignment; allowed: axis=v1,v2")))?;
        let axis = Axis::named(name.trim()).map_err(|e| error(None, e))?;
        let texts = list(axis, text).map_err(|e| error(Some(axis.name()), e))?;
        for grid in &mut self.grids {
            replace(grid, Values { axis, texts: texts.clone(), origin: Origin::CommandLine, position: None });
        }
        Ok(())
    }

    /// The cells, each once, in the order of the grids; within a grid the first axis varies slowest. `load` reads the network files
    /// that the study names.
    ///
    /// # Errors
    /// If there are too many cells, if axes contradict each other, if a cell would need too much memory, or a file cannot be read or is no
    /// network.
    pub fn plan(&self, load: &Load<'_>) -> Result<Vec<Cell>, StudyError> {
        self.count()?;
        let mut files = Files { load, known: BTreeMap::new() };
        let mut cells: Vec<Cell> = Vec::new();
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for grid in &self.grids {
            let mut choice = vec![0; grid.len()];
            loop {
                let cell = self.cell(grid, &choice, &mut files)?;
                let id = cell.id();
                match seen.get(&id) {
                    None => {
                        seen.insert(id, cells.len());
                        cells.push(cell);
                    }
                    Some(&at) if cells[at].canonical() == cell.canonical() => {}
                    Some(_) => {
                        return Err(self.whole(&format!("two different cells share the id {id}")));
                    }
                }
                if !advance(&mut choice, grid) {
                    break;
                }
            }
        }
        Ok(cells)
    }

    fn count(&self) -> Result<(), StudyError> {
        let grids = self
            .grids
            .iter()
            .map(|grid| grid.iter().map(|values| values.texts.len()).try_fold(1usize, usize::checked_mul));
        let count = grids.into_iter().try_fold(0usize, |sum, grid| sum.checked_add(grid?));
        match count {
            Some(count) if count <= MAX_CELLS => Ok(()),
            Some(count) => Err(self.whole(&format!("{count} cells; allowed: at most {MAX_CELLS}"))),
            None => Err(self.whole(&format!("too many cells to count; allowed: at most {MAX_CELLS}"))),
        }
    }

    fn cell(&self, grid: &[Values], choice: &[usize], files: &mut Files<'_>) -> Result<Cell, StudyError> {
        let (study, measure, draws, seed) = (self.name.clone(), self.measure, self.draws, self.seed);
        let mut cell = Cell { study, measure, draws, seed, ..Cell::default() };
        let mut widths = None;
        for (values, &at) in grid.iter().zip(choice) {
            let at_axis = |message| self.error(values, message);
            values.axis.set(&mut cell, &values.texts[at]).map_err(at_axis)?;
            if let Init::File(file) = &mut cell.init
                && values.axis == Axis::Init
            {
                *file = files.read(file, values.origin).map_err(at_axis)?;
                widths = Some(file.widths.clone());
                self.alone(grid, values, &file.path)?;
            }
        }
        if let Some((axis, message)) = cell.contradiction() {
            return Err(match grid.iter().find(|values| values.axis == axis) {
                Some(values) => self.error(values, message),
                None => self.whole(&message),
            });
        }
        self.fits(grid, &cell, widths.as_deref())?;
        Ok(cell)
    }

    /// Refuses axes that a network file takes the place of. `--set init=file:..` takes the place of those in the study file too, since the command
    /// line cannot leave them out.
    fn alone(&self, grid: &[Values], init: &Values, path: &str) -> Result<(), StudyError> {
        const REPLACED: [Axis; 5] =
            [Axis::WeightScale, Axis::BiasScale, Axis::Width, Axis::Widths, Axis::Depth];
        let set = grid.iter().find(|values| REPLACED.contains(&values.axis) && values.origin >= init.origin);
        set.map_or(Ok(()), |values| {
            let (name, value) = (values.axis.name(), values.texts.join(","));
            let message = format!(
                "`{value}` has no effect: init=file:{path} gives the whole network; leave {name} out, or give each `init` a grid of its own"
            );
            Err(self.error(values, message))
        })
    }

    /// Refuses a cell that needs more memory than any cell may; `widths` are those of the network of its file.
    fn fits(&self, grid: &[Values], cell: &Cell, widths: Option<&[usize]>) -> Result<(), StudyError> {
        let bytes = widths.map_or_else(|| estimate(cell, &drawn(cell)), |widths| estimate(cell, widths));
        if bytes <= MAX_CELL_BYTES {
            return Ok(());
        }
        // One decimal, rounded up: what is refused never reads as what is allowed.
        let needs = (bytes / GIB * 10.0).ceil() / 10.0;
        let widths = cell.widths.map_or(format!("width {}", cell.width), |widths| format!("widths {widths}"));
        let drawn = || format!("{widths}, depth {}", cell.depth);
        let network =
            if let Init::File(file) = &cell.init { format!("init file:{}", file.path) } else { drawn() };
        let message = format!(
            "{network}, batch {}, draws {}: a cell needs about {needs:.1} GiB of memory; allowed: at most {} GiB",
            cell.batch,
            cell.draws,
            MAX_CELL_BYTES / GIB
        );
        let sizes = [Axis::Width, Axis::Widths, Axis::Depth, Axis::Batch];
        let axis =
            grid.iter().filter(|values| sizes.contains(&values.axis)).max_by_key(|values| values.origin);
        Err(axis.map_or_else(|| self.whole(&message), |values| self.error(values, message.clone())))
    }

    /// What is wrong with the values of one axis.
    fn error(&self, values: &Values, message: String) -> StudyError {
        let place = match values.origin {
            Origin::StudyFile => self.place.clone(),
            Origin::CommandLine => "--set".to_owned(),
        };
        StudyError { place, position: values.position, field: Some(values.axis.name().to_owned()), message }
    }

    /// What is wrong with the study as a whole.
    fn whole(&self, message: &str) -> StudyError {
        StudyError { place: self.place.clone(), position: None, field: None, message: message.to_owned() }
    }
}

/// Network files that were read already.
struct Files<'a> {
    load: &'a Load<'a>,
    known: BTreeMap<(Arc<str>, Origin), NetworkFile>,
}

impl Files<'_> {
    fn read(&mut self, file: &NetworkFile, origin: Origin) -> Result<NetworkFile, String> {
        let key = (file.path.clone(), origin);
        if let Some(known) = self.known.get(&key) {
            return Ok(known.clone());
        }
        let bytes: Arc<[u8]> =
            (self.load)(&file.path, origin).map_err(|e| format!("{}: {e}", file.path))?.into();
        // A file that is no network must stop the study before hours of other cells, not after them.
        let network = gradchain_chain::from_safetensors(&bytes, Cell::default().activation)
            .map_err(|e| format!("{}: {e}", file.path))?;
        let read = NetworkFile { path: file.path.clone(), bytes, widths: widths_of(&network).into() };
        self.known.insert(key, read.clone());
        Ok(read)
    }
}

/// Gives an axis of a grid other values; an axis that the grid does not have becomes its last.
pub(crate) fn replace(grid: &mut Vec<Values>, values: Values) {
    match grid.iter_mut().find(|old| old.axis == values.axis) {
        Some(old) => *old = values,
        None => grid.push(values),
    }
}

/// The next combination, the last axis fastest; false after the last one.
fn advance(choice: &mut [usize], grid: &[Values]) -> bool {
    for (at, values) in choice.iter_mut().zip(grid).rev() {
        *at += 1;
        if *at < values.texts.len() {
            return true;
        }
        *at = 0;
    }
    false
}

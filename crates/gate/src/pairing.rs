//! Which committed lines belong to which cell.

use crate::rows::Line;
use std::collections::BTreeMap;

/// A planned cell with its lines.
#[derive(Debug, Default)]
pub(crate) struct Cell<'a> {
    pub(crate) id: &'a str,
    pub(crate) committed: Vec<&'a Line>,
    pub(crate) measured: Vec<&'a Line>,
    /// Committed lines that are no rows, where by their place a row of this cell should be; with the row that was measured.
    pub(crate) torn: Vec<(&'a Line, &'a Line)>,
    /// A committed row of another cell, which the study does not have, where a row of this cell should be: line and id.
    pub(crate) replaced_by: Option<(usize, &'a str)>,
}

/// All lines of both files.
#[derive(Debug)]
pub(crate) struct Pairing<'a> {
    /// In the order of the plan.
    pub(crate) cells: Vec<Cell<'a>>,
    /// Committed rows of cells that the study does not have, by cell, in the order met.
    pub(crate) foreign: Vec<Vec<&'a Line>>,
    /// Committed lines in all.
    pub(crate) committed: usize,
}

impl<'a> Pairing<'a> {
    /// Every measured line must be a row of a planned cell.
    pub(crate) fn new(planned: &'a [String], committed: &'a [Line], measured: &'a [Line]) -> Pairing<'a> {
        let mut cells: Vec<Cell<'a>> = planned.iter().map(|id| Cell { id, ..Cell::default() }).collect();
        let index_of: BTreeMap<&str, usize> =
            planned.iter().enumerate().map(|(index, id)| (id.as_str(), index)).collect();
        let index =
            |line: &Line| line.row.as_ref().ok().and_then(|row| index_of.get(row.cell.as_str()).copied());
        for line in measured {
            if let Some(index) = index(line) {
                cells[index].measured.push(line);
            }
        }
        // The files stand in the order of the study, so that the place of a line tells which row it was.
        let expected: Vec<(usize, &Line)> = cells
            .iter()
            .enumerate()
            .flat_map(|(index, cell)| cell.measured.iter().map(move |line| (index, *line)))
            .collect();
        let mut foreign: BTreeMap<&str, Vec<&Line>> = BTreeMap::new();
        let mut order: Vec<&str> = Vec::new();
        let mut strays = Vec::new();
        for (number, line) in committed.iter().enumerate() {
            match (&line.row, index(line)) {
                (Ok(_), Some(index)) => cells[index].committed.push(line),
                (Ok(row), None) => {
                    let lines = foreign.entry(&row.cell).or_default();
                    if lines.is_empty() {
                        order.push(&row.cell);
                    }
                    lines.push(line);
                    strays.push((number, line, Some(row.cell.as_str())));
                }
                (Err(_), _) => strays.push((number, line, None)),
            }
        }
        for (number, line, other) in strays {
            let Some((index, expected)) = expected.get(number.min(expected.len().saturating_sub(1))) else {
                continue;
            };
            let cell = &mut cells[*index];
            match other {
                Some(other) => {
                    if cell.committed.len() + cell.torn.len() < cell.measured.len() {
                        cell.replaced_by.get_or_insert((line.number, other));
                    }
                }
                None => cell.torn.push((line, *expected)),
            }
        }
        let foreign = order.into_iter().filter_map(|id| foreign.remove(id)).collect();
        Pairing { cells, foreign, committed: committed.len() }
    }
}

//! Rows from many files joined into those of one run.
//!
//! The rows come out in the order of the plan, whatever files they were in and in whatever order, so their bytes are those of a run that was never
//! divided.

use crate::blocks::{Block, blocks};
use crate::cell::Cell;
use crate::labels::Labels;
use crate::plan::ById;
use crate::record::{Record, plain};

/// A file of rows.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// What messages call it.
    pub name: &'a str,
    /// The whole content.
    pub text: &'a [u8],
}

/// The rows of a plan, as far as there are any.
#[derive(Debug)]
pub struct Merged<'a> {
    /// The lines of each cell.
    found: Vec<Option<&'a str>>,
    /// What was left out: torn lines, and cells without all their rows. One sentence each, with file and line.
    pub left_out: Vec<String>,
}

/// Joins the rows of `cells`. A torn last line and rows of a cell that are not all there are left out, as a run that goes on leaves them out. A cell that is
/// measured twice counts once if its rows are the same, timing aside.
///
/// # Errors
/// If a line is no row of these cells, or two measurements of a cell differ. The message names file and line, or both.
pub fn merge<'a>(parts: &[Part<'a>], cells: &[Cell]) -> Result<Merged<'a>, String> {
    let plan = ById::new(cells);
    let mut found: Vec<Option<(usize, Block<'a>)>> = vec![None; cells.len()];
    let mut left_out = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        let blocks = blocks(part.text, &plan).map_err(|message| format!("{}: {message}", part.name))?;
        let torn = blocks.torn.map(|line| format!("{}: line {line} is torn", part.name));
        left_out.extend(blocks.unfinished.iter().map(|block| {
            let (rows, all) = (block.text.lines().count(), cells[block.index].row_count());
            format!(
                "{}: line {}: cell {} has {rows} of its {all} rows",
                part.name,
                block.line,
                cells[block.index].id()
            )
        }));
        left_out.extend(torn);
        for block in blocks.whole {
            match found[block.index] {
                None => found[block.index] = Some((number, block)),
                Some((other, first)) => same(first.text, block.text).map_err(|difference| {
                    let (first_part, cell) = (parts[other].name, Labels::new(cells).of(block.index));
                    format!(
                        "cell {cell} is measured twice, with results that differ: {first_part}: line {}, and {}: line {}: {difference}",
                        first.line, part.name, block.line
                    )
                })?,
            }
        }
    }
    let found = found.into_iter().map(|found| found.map(|(_, block)| block.text)).collect();
    Ok(Merged { found, left_out })
}

impl<'a> Merged<'a> {
    /// Whether the cell at `index` is measured.
    pub fn has(&self, index: usize) -> bool {
        self.found[index].is_some()
    }

    /// Number of cells that are measured.
    pub fn len(&self) -> usize {
        self.found.iter().flatten().count()
    }

    /// Whether no cell is measured.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether all cells are measured.
    pub fn is_whole(&self) -> bool {
        self.found.iter().all(Option::is_some)
    }

    /// The lines of the measured cells in the order of the plan, each with its line feed.
    pub fn texts(&self) -> impl Iterator<Item = &'a str> {
        self.found.iter().flatten().copied()
    }
}

/// Whether two measurements of a cell say the same, time and instruction set aside; if they do not, where they differ first.
pub(crate) fn same(a: &str, b: &str) -> Result<(), String> {
    if a == b {
        return Ok(());
    }
    for (row, (x, y)) in a.lines().zip(b.lines()).enumerate() {
        if let Some(difference) = difference(x, y) {
            let row = if a.lines().count() == 1 { String::new() } else { format!("row {}, ", row + 1) };
            return Err(format!("{row}{difference}"));
        }
    }
    Ok(())
}

fn difference(a: &str, b: &str) -> Option<String> {
    let untimed = |line: &str| Record::parse(line).map(|record| Record { timing: None, ..record });
    let (Ok(a), Ok(b)) = (untimed(a), untimed(b)) else { return Some("a line is no row".to_owned()) };
    if a.to_json() == b.to_json() {
        return None;
    }
    let mut columns = a.fields.iter().chain(&b.fields).map(|(name, _)| *name);
    Some(match columns.find(|name| a.get(name) != b.get(name)) {
        Some(name) => format!("column {name}: {} and {}", plain(a.get(name)), plain(b.get(name))),
        None => "in which columns there are, or in their order".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Timing;
    use crate::row::Row;

    fn cells() -> Vec<Cell> {
        (1..=4).map(|depth| Cell { study: "s".into(), depth, ..Cell::default() }).collect()
    }

    fn line(cell: &Cell, drift: f64, timing: Option<f64>) -> String {
        let timing = timing.map(|seconds| Timing { seconds, isa: "portable".to_owned() });
        Record::new(cell, &Row::new().with("drift", drift), timing).to_json() + "\n"
    }

    fn part<'a>(name: &'a str, text: &'a str) -> Part<'a> {
        Part { name, text: text.as_bytes() }
    }

    #[test]
    fn rows_come_in_the_order_of_the_plan() {
        let cells = cells();
        let line = |index: usize| line(&cells[index], 0.5, None);
        let (a, b) = (line(2) + &line(0), line(3) + &line(1) + &line(0));
        let merged = merge(&[part("a", &a), part("b", &b)], &cells).unwrap();
        assert!(merged.is_whole() && merged.left_out.is_empty());
        assert_eq!(merged.texts().collect::<String>(), (0..4).map(line).collect::<String>());
        let merged = merge(&[part("a", &a)], &cells).unwrap();
        assert_eq!((merged.is_whole(), merged.len(), merged.has(0), merged.has(1)), (false, 2, true, false));
    }

    #[test]
    fn what_is_torn_is_told_and_left_out() {
        let cells = cells();
        let text = line(&cells[0], 0.5, None) + "{\"schema";
        let merged = merge(&[part("a", &text)], &cells).unwrap();
        assert_eq!((merged.len(), merged.left_out.as_slice()), (1, &["a: line 2 is torn".to_owned()][..]));
    }

    #[test]
    fn measurements_that_differ_are_named_on_both_sides() {
        let cells = cells();
        let (a, b) = (line(&cells[1], 0.5, None), line(&cells[0], 1.0, None) + &line(&cells[1], 0.25, None));
        let message = merge(&[part("a", &a), part("b", &b)], &cells).unwrap_err();
        let cell = format!("cell {} (depth 2) is measured twice", cells[1].id());
        assert!(message.starts_with(&cell), "{message}");
        assert!(message.ends_with("a: line 1, and b: line 2: column drift: 0.5 and 0.25"), "{message}");
    }

    #[test]
    fn times_may_differ() {
        let cells = cells();
        let (a, b) = (line(&cells[1], 0.5, Some(1.0)), line(&cells[1], 0.5, Some(2.0)));
        let merged = merge(&[part("a", &a), part("b", &b), part("c", &line(&cells[1], 0.5, None))], &cells)
            .map(|m| m.len());
        assert_eq!(merged, Ok(1));
    }
}

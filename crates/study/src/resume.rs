//! What of an interrupted run is kept.

use crate::cell::Cell;
use crate::record::Record;
use std::collections::BTreeMap;

/// Measured lines by the index of their cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    lines: BTreeMap<usize, String>,
}

impl Kept {
    /// Whether the cell at `index` is measured already.
    pub fn has(&self, index: usize) -> bool {
        self.lines.contains_key(&index)
    }

    /// Number of cells kept.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The lines of the cell at `index`, each with its line feed.
    pub fn lines(&self, index: usize) -> Option<&str> {
        self.lines.get(&index).map(String::as_str)
    }

    /// Whether the cells kept are the first ones: rows measured from here on can be appended in order.
    pub fn is_prefix(&self) -> bool {
        (0..self.len()).all(|index| self.has(index))
    }

    /// The kept lines in the order of the cells, each with its line feed.
    pub fn text(&self) -> String {
        self.lines.values().map(String::as_str).collect()
    }
}

/// Reads the rows of an interrupted run of `cells`. The last line is dropped if it is torn, and so is the cell that the file ends
/// with if `cells` give several rows each: nothing tells whether its rows are all there.
///
/// # Errors
/// If a line other than the last is no row, or belongs to no cell of the study, or another version measured it: to go on would
/// lose or mix measurements. The message names the line.
pub fn keep(text: &[u8], cells: &[Cell]) -> Result<Kept, String> {
    let (mut kept, last) = gather(text, cells)?;
    if let Some(index) = last
        && (cells[index].measure.has_many_rows() || kept.lines[&index].matches('\n').count() > 1)
    {
        kept.lines.remove(&index);
    }
    Ok(kept)
}

/// The lines of a finished file of rows in the order of `cells`.
///
/// # Errors
/// As [`keep`].
pub fn in_order(text: &[u8], cells: &[Cell]) -> Result<String, String> {
    gather(text, cells).map(|(kept, _)| kept.text())
}

/// The whole lines of a file by cell, and the cell of the last one.
fn gather(text: &[u8], cells: &[Cell]) -> Result<(Kept, Option<usize>), String> {
    let index_of: BTreeMap<String, usize> =
        cells.iter().enumerate().map(|(i, cell)| (cell.id(), i)).collect();
    let mut kept = Kept::default();
    let mut last = None;
    for (number, line) in text.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let at_line = |message: String| format!("line {}: {message}", number + 1);
        let Some(line) = line.strip_suffix(b"\n") else { break };
        let line = str::from_utf8(line).map_err(|_| at_line("not UTF-8".to_owned()))?;
        let record = Record::parse(line).map_err(at_line)?;
        if record.version != env!("CARGO_PKG_VERSION") {
            let message =
                format!("measured by version {}, this is {}", record.version, env!("CARGO_PKG_VERSION"));
            return Err(at_line(message));
        }
        let index = *index_of.get(&record.cell).ok_or_else(|| {
            at_line(format!("cell {} is none of this study with these axes, draws and seed", record.cell))
        })?;
        let lines = kept.lines.entry(index).or_default();
        lines.push_str(line);
        lines.push('\n');
        last = Some(index);
    }
    Ok((kept, last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Measure;
    use crate::row::Row;

    fn cells(measure: Measure) -> Vec<Cell> {
        (0..4).map(|depth| Cell { depth, measure, ..Cell::default() }).collect()
    }

    fn line(cell: &Cell, layer: usize) -> String {
        Record::new(cell, &Row::new().with("layer", layer), None).to_json() + "\n"
    }

    #[test]
    fn a_torn_line_is_dropped() {
        let cells = cells(Measure::Chain);
        let whole = line(&cells[0], 1) + &line(&cells[1], 1);
        for cut in [1, 10, line(&cells[1], 1).len() - 1] {
            let kept = keep(&whole.as_bytes()[..whole.len() - cut], &cells).unwrap();
            assert_eq!(kept.text(), line(&cells[0], 1));
        }
        let kept = keep(whole.as_bytes(), &cells).unwrap();
        assert!(kept.has(1) && !kept.has(2) && kept.len() == 2);
        assert!(keep(b"", &cells).unwrap().is_empty());
    }

    #[test]
    fn the_last_cell_of_many_rows_is_measured_again() {
        let cells = cells(Measure::Layers);
        let text = line(&cells[0], 1) + &line(&cells[0], 2) + &line(&cells[1], 1);
        assert_eq!(keep(text.as_bytes(), &cells).unwrap().text(), line(&cells[0], 1) + &line(&cells[0], 2));
    }

    #[test]
    fn lines_come_in_the_order_of_the_cells() {
        let cells = cells(Measure::Chain);
        let text = line(&cells[3], 1) + &line(&cells[0], 1);
        let kept = keep(text.as_bytes(), &cells).unwrap();
        assert_eq!(kept.text(), line(&cells[0], 1) + &line(&cells[3], 1));
        assert_eq!(in_order(text.as_bytes(), &cells).unwrap(), kept.text());
        assert!(!kept.is_prefix() && kept.lines(3) == Some(&*line(&cells[3], 1)) && kept.lines(1).is_none());
    }

    #[test]
    fn what_would_be_lost_or_mixed_is_refused() {
        let cells = cells(Measure::Chain);
        let good = line(&cells[0], 1);
        let foreign = line(&Cell { depth: 99, ..Cell::default() }, 1);
        let older =
            good.replace(&format!("\"version\":\"{}\"", env!("CARGO_PKG_VERSION")), "\"version\":\"0.0.0\"");
        for (text, reason) in [
            (good.clone() + &foreign, "line 2: cell"),
            (older, "line 1: measured by version 0.0.0"),
            ("x\n".to_owned() + &good, "line 1: no JSON"),
        ] {
            let message = keep(text.as_bytes(), &cells).unwrap_err();
            assert!(message.contains(reason), "{message}");
        }
    }
}

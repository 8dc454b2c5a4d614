//! What of an interrupted run is kept.

use crate::blocks::blocks;
use crate::cell::Cell;
use crate::merge::same;
use crate::plan::ById;
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

/// The measured cells in the rows of `cells` that a run left, in whatever order. A torn last line is dropped, and so are the rows of a cell that are
/// not all there. Equal rows that stand twice count once.
///
/// # Errors
/// If a line other than the last is no row, or belongs to no cell of the study, or another version measured it, or two measurements of a cell differ: to go
/// on would lose or mix measurements. The message names the line.
pub fn keep(text: &[u8], cells: &[Cell]) -> Result<Kept, String> {
    let blocks = blocks(text, &ById::new(cells))?;
    let mut kept = Kept::default();
    for block in blocks.whole {
        match kept.lines.get(&block.index) {
            None => {
                kept.lines.insert(block.index, block.text.to_owned());
            }
            Some(other) => same(other, block.text).map_err(|difference| {
                let cell = cells[block.index].id();
                format!("line {}: cell {cell} stands above with other results: {difference}", block.line)
            })?,
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Measure;
    use crate::record::Record;
    use crate::row::Row;

    fn cells(measure: Measure) -> Vec<Cell> {
        (1..5).map(|depth| Cell { depth, measure, ..Cell::default() }).collect()
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
    fn a_cell_without_all_its_rows_is_measured_again() {
        let cells = cells(Measure::Layers);
        let (first, second) = (line(&cells[0], 1), line(&cells[1], 1) + &line(&cells[1], 2));
        let text = second.clone() + &first + &line(&cells[2], 1);
        let kept = keep(text.as_bytes(), &cells).unwrap();
        assert_eq!((kept.text(), kept.is_prefix()), (first + &second, true));
    }

    #[test]
    fn lines_come_in_the_order_of_the_cells() {
        let cells = cells(Measure::Chain);
        let text = line(&cells[3], 1) + &line(&cells[0], 1);
        let kept = keep(text.as_bytes(), &cells).unwrap();
        assert_eq!(kept.text(), line(&cells[0], 1) + &line(&cells[3], 1));
        assert!(!kept.is_prefix() && kept.lines(3) == Some(&*line(&cells[3], 1)) && kept.lines(1).is_none());
        assert_eq!(
            keep((text.clone() + &text).as_bytes(), &cells).unwrap(),
            kept,
            "twice the same counts once"
        );
    }

    #[test]
    fn what_would_be_lost_or_mixed_is_refused() {
        let cells = cells(Measure::Chain);
        let good = line(&cells[0], 1);
        let foreign = line(&Cell { depth: 99, ..Cell::default() }, 1);
        let seeded = line(&Cell { seed: 7, ..cells[0].clone() }, 1);
        let named = line(&Cell { study: "other".into(), ..cells[0].clone() }, 1);
        let older =
            good.replace(&format!("\"version\":\"{}\"", env!("CARGO_PKG_VERSION")), "\"version\":\"0.0.0\"");
        for (text, reason) in [
            (good.clone() + &foreign, "line 2: cell"),
            (good.clone() + &seeded, "it has seed 7, the study 1"),
            (good.clone() + &named, "line 2: a row of the study `other`, this is ``"),
            (older, "line 1: measured by version 0.0.0"),
            ("x\n".to_owned() + &good, "line 1: no JSON"),
            (good.clone() + &line(&cells[1], 1) + &line(&cells[0], 2), "line 3: cell"),
            (good.clone() + &line(&cells[0], 2), "layer: 1 and 2"),
        ] {
            let message = keep(text.as_bytes(), &cells).unwrap_err();
            assert!(message.contains(reason), "{message}");
        }
    }
}

//! What a study is to those who share it out: its cells in their order, and one hash that tells whether two mean the same.

use crate::cell::{Cell, fnv};
use std::collections::BTreeMap;

/// The hash of a plan, 16 hexadecimal digits: of the program's version, the name of the study and the ids of its cells in their order. Shards whose
/// hashes differ are not of the same rows.
pub fn plan_hash(study: &str, cells: &[Cell]) -> String {
    let mut text = format!("{}\n{study}", env!("CARGO_PKG_VERSION"));
    for cell in cells {
        text.push('\n');
        text += &cell.id();
    }
    let hash = fnv(text.as_bytes());
    format!("{:016x}", (hash >> 64) as u64 ^ hash as u64)
}

/// The cells of a study, found by their ids.
pub(crate) struct ById<'a> {
    pub(crate) cells: &'a [Cell],
    index_of: BTreeMap<String, usize>,
}

impl<'a> ById<'a> {
    pub(crate) fn new(cells: &'a [Cell]) -> ById<'a> {
        ById { cells, index_of: cells.iter().enumerate().map(|(index, cell)| (cell.id(), index)).collect() }
    }

    pub(crate) fn index(&self, id: &str) -> Option<usize> {
        self.index_of.get(id).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_its_name_and_its_cells_in_their_order() {
        let cells: Vec<Cell> = (1..4).map(|depth| Cell { depth, ..Cell::default() }).collect();
        let hash = plan_hash("s", &cells);
        assert_eq!((hash.len(), &hash), (16, &plan_hash("s", &cells.clone())));
        let reversed: Vec<Cell> = cells.iter().rev().cloned().collect();
        let seeded: Vec<Cell> = cells.iter().map(|cell| Cell { seed: 2, ..cell.clone() }).collect();
        for other in [
            plan_hash("t", &cells),
            plan_hash("s", &cells[1..]),
            plan_hash("s", &reversed),
            plan_hash("s", &seeded),
        ] {
            assert_ne!(other, hash);
        }
    }
}

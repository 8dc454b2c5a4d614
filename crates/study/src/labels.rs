//! What messages call cells.

use crate::axis::Axis;
use crate::cell::Cell;
use crate::record::plain;

/// Short names of the cells of a study: the id, and the axes on which the cells differ.
pub(crate) struct Labels<'a> {
    cells: &'a [Cell],
    axes: Vec<Axis>,
}

impl Labels<'_> {
    pub(crate) fn new(cells: &[Cell]) -> Labels<'_> {
        let varies = |axis: &Axis| cells.iter().any(|cell| cell.value(*axis) != cells[0].value(*axis));
        Labels { cells, axes: Axis::ALL.into_iter().filter(varies).collect() }
    }

    pub(crate) fn of(&self, index: usize) -> String {
        let cell = &self.cells[index];
        let axes = self.axes.iter().map(|axis| {
            let value = plain(&cell.value(*axis));
            format!("{} {}", axis.name(), if value.is_empty() { "none" } else { &value })
        });
        let axes: Vec<String> = axes.collect();
        if axes.is_empty() { cell.id() } else { format!("{} ({})", cell.id(), axes.join(", ")) }
    }
}

/// What messages call the cells at `indices`; the first `most` of them.
pub fn labels(cells: &[Cell], indices: &[usize], most: usize) -> Vec<String> {
    let labels = Labels::new(cells);
    indices.iter().take(most).map(|&index| labels.of(index)).collect()
}

//! What a cell computes: a chain in the setting of the cell, beside the reference.
//!
//! [`chain`] looks at whole chains, also at what a remedy does to them, [`layers`] at every layer of a network on real digits, [`association`] at
//! chains multiplied in other orders. These compute the same things of each gradient, a [`Sample`](sample::Sample), and sum them up over the draws alike. [`derivative`] has no chain: it looks at the
//! slopes of an activation at single numbers; [`growth`] has no reference: it holds rates against theory. To add a measure: a file here, and the variant that the compiler
//! then asks for in [`Measure`].

mod arithmetic;
mod association;
mod chain;
mod derivative;
mod growth;
mod layers;
mod network;
mod prediction;
mod sample;

use crate::cell::{Cell, Measure};
use crate::row::Row;
use gradchain_arith::Isa;
use gradchain_gradients::GradientError;
use thiserror::Error;

/// Why a cell cannot be measured.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum MeasureError {
    /// The network of the cell cannot be made or loaded.
    #[error("{0}")]
    Network(String),
    /// The remedy does not work as it is set.
    #[error(transparent)]
    Remedy(#[from] GradientError),
}

/// The rows of a cell, computed with the instructions of `isa`, which do not change them.
///
/// # Errors
/// If the network of the cell cannot be made.
pub fn measure(cell: &Cell, isa: Isa) -> Result<Vec<Row>, MeasureError> {
    match cell.measure {
        Measure::Chain => chain::measure(cell, isa),
        Measure::Remedies => chain::measure_remedy(cell, isa),
        Measure::Growth => growth::measure(cell, isa),
        Measure::Layers => layers::measure(cell, isa),
        Measure::Association => association::measure(cell, isa),
        Measure::Derivative => derivative::measure(cell, isa),
    }
}

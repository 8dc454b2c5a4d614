//! The network of a cell.

use super::MeasureError;
use crate::cell::{Cell, Init, NetworkFile};
use gradchain_chain::{Draw, Network, from_safetensors};

/// The widths at the two ends of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EndWidths {
    pub inputs: usize,
    pub outputs: usize,
}

impl EndWidths {
    /// Those of the axes of `cell`.
    pub(super) fn of(cell: &Cell) -> EndWidths {
        EndWidths { inputs: cell.width_at(0), outputs: cell.width_at(cell.depth) }
    }
}

/// The networks of a cell: one for each draw, or the one of a file for all.
pub(super) enum Networks<'a> {
    Drawn { cell: &'a Cell, widths: EndWidths, init: gradchain_chain::Init },
    Loaded(Network),
}

impl<'a> Networks<'a> {
    /// The networks of `cell`, drawn with these `widths` at the ends.
    ///
    /// # Errors
    /// If the cell names a file that is no network.
    pub(super) fn of(cell: &'a Cell, widths: EndWidths) -> Result<Networks<'a>, MeasureError> {
        let drawn = match (&cell.gain, &cell.init) {
            (Some(gain), _) => Some(gain.init()),
            (None, init) => init.drawn(),
        };
        match (drawn, &cell.init) {
            (Some(init), _) => Ok(Networks::Drawn { cell, widths, init }),
            (None, Init::File(file)) => load(file, cell).map(Networks::Loaded),
            (None, _) => Err(MeasureError::Network("the cell has neither weights nor a file".to_owned())),
        }
    }

    /// The network of draw `number`.
    pub(super) fn draw(&self, number: u64) -> Network {
        match self {
            Networks::Loaded(network) => network.clone(),
            Networks::Drawn { cell, widths, init } => Draw {
                init: *init,
                weight_scale: cell.weight_scale,
                bias_scale: cell.bias_scale,
                inputs: widths.inputs,
                width: cell.width,
                outputs: widths.outputs,
                depth: cell.depth,
                activation: cell.activation,
                seed: cell.seed,
                number,
            }
            .network_of_widths(|t| match t {
                0 => widths.inputs,
                _ if t == cell.depth => widths.outputs,
                _ => cell.width_at(t),
            }),
        }
    }
}

fn load(file: &NetworkFile, cell: &Cell) -> Result<Network, MeasureError> {
    from_safetensors(&file.bytes, cell.activation)
        .map_err(|error| MeasureError::Network(format!("{}: {error}", file.path)))
}

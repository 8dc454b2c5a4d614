//! The network of a cell.

use super::MeasureError;
use crate::cell::{Cell, Init, NetworkFile};
use gradchain_chain::{Draw, Ends, Network, Wiring, draw_ends, from_safetensors};

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

/// The networks of a cell, wired as its remedy says.
pub(super) struct Networks<'a> {
    cell: &'a Cell,
    source: Source,
}

/// Where they come from: one for each draw, or the one of a file for all.
enum Source {
    Drawn { widths: EndWidths, init: gradchain_chain::Init },
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
        let source = match (drawn, &cell.init) {
            (Some(init), _) => Source::Drawn { widths, init },
            (None, Init::File(file)) => Source::Loaded(load(file, cell)?),
            (None, _) => {
                return Err(MeasureError::Network("the cell has neither weights nor a file".to_owned()));
            }
        };
        Ok(Networks { cell, source })
    }

    /// The network of draw `number`.
    pub(super) fn draw(&self, number: u64) -> Network {
        let cell = self.cell;
        let network = match &self.source {
            Source::Loaded(network) => network.clone(),
            Source::Drawn { widths, init } => Draw {
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
        };
        Network { wiring: Wiring::of(cell.remedy), ..network }
    }

    /// What enters `network`, that of draw `number`, at its two ends.
    pub(super) fn ends(&self, network: &Network, number: u64) -> Ends {
        let cell = self.cell;
        // Without layers there is no network to ask: the chain is the identity on vectors of the cell's width.
        let widths = match network.layers.is_empty() {
            true => (cell.width_at(0), cell.width_at(0)),
            false => (network.inputs(), network.outputs()),
        };
        draw_ends(widths, cell.batch, cell.upstream, cell.seed, number)
    }
}

fn load(file: &NetworkFile, cell: &Cell) -> Result<Network, MeasureError> {
    from_safetensors(&file.bytes, cell.activation)
        .map_err(|error| MeasureError::Network(format!("{}: {error}", file.path)))
}

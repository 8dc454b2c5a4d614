//! How much memory a cell needs, before anything is drawn: an allocation that fails ends the program without a message, hours into a run.
//!
//! The rule: of each weight the network as drawn (f64, and what f64 leaves off of a gain), its copy in the format, and that copy as f64 again for
//! the reference; of each unit, sample and layer what the passes and their references keep; of each layer the headers of its vectors; of each draw
//! what it says about its gradients. The peak of twelve measured runs was 0.96 to 1.45 times the estimate. It counts one cell: a run holds as many at
//! once as it has threads, and what the machine has is not asked, so that a study is refused everywhere or nowhere.

use crate::cell::{Cell, Measure};
use crate::gain::Gain;
use gradchain_activations::Activation;
use gradchain_arith::{Format, Rules};

/// The most that a cell may need, 16 GiB: what a workstation has.
pub(crate) const MAX_CELL_BYTES: f64 = 16.0 * GIB;

/// Bytes in a GiB.
pub(crate) const GIB: f64 = 1_073_741_824.0;

/// Bytes of one f64.
const F64: f64 = 8.0;
/// Bytes of one number of the reference: double-double.
const REFERENCE: f64 = 16.0;
/// Bytes of one slope of the reference: double-double and an exponent.
const SLOPE: f64 = 24.0;
/// Bytes of one layer beside its numbers: the headers of its vectors in the three networks, and what the allocator adds to each.
const LAYER: f64 = 360.0;
/// Bytes of what one draw says about a gradient, kept until the row is written.
const SAMPLE: f64 = 400.0;

/// The size of a network. Numbers are f64: sizes that are too large for a machine must not overflow here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Size {
    /// Layers.
    pub(crate) layers: f64,
    /// Weights of all layers.
    pub(crate) weights: f64,
    /// Outputs of all layers, and the inputs.
    pub(crate) units: f64,
}

impl Size {
    /// The size of the networks that `cell` draws: `depth` layers of the widths of the cell. The measure `layers` has other widths at its two ends, which do
    /// not matter here.
    pub(crate) fn drawn(cell: &Cell) -> Size {
        let layers = cell.depth as f64;
        if cell.widths.is_none() {
            let width = cell.width as f64;
            return Size { layers, weights: layers * width * width, units: (layers + 1.0) * width };
        }
        let width = |t: usize| cell.width_at(t) as f64;
        Size {
            layers,
            weights: (0..cell.depth).map(|t| width(t) * width(t + 1)).sum(),
            units: (0..=cell.depth).map(width).sum(),
        }
    }

    /// The size of `network`.
    pub(crate) fn of(network: &gradchain_chain::Network) -> Size {
        let sum = |size: fn(&gradchain_chain::Layer) -> f64| network.layers.iter().map(size).sum::<f64>();
        Size {
            layers: network.layers.len() as f64,
            weights: sum(|layer| layer.weights.len() as f64),
            units: sum(|layer| layer.outputs as f64) + network.inputs() as f64,
        }
    }
}

/// The bytes that `cell` needs with networks of this size.
pub(crate) fn estimate(cell: &Cell, size: Size) -> f64 {
    let number = bytes_of_number(cell);
    let rest = match &cell.gain {
        Some(Gain::Constant(_) | Gain::Alternating(..)) if cell.width == 1 => F64,
        Some(Gain::Constant(_) | Gain::Alternating(..) | Gain::Normal { .. }) | None => 0.0,
    };
    // Products of matrices take the place of their factors, and may be as many numbers; each is looked at as f64 numbers.
    let products = match cell.measure {
        Measure::Association => number + F64,
        Measure::Chain | Measure::Layers => 0.0,
    };
    let weights = size.weights * (F64 + rest + number + F64 + products);
    let slope = match cell.activation {
        Activation::Identity => 0.0,
        Activation::Relu => F64,
        Activation::Sigmoid | Activation::Tanh => SLOPE,
    };
    let trace = if cell.activation == Activation::Identity { 0.0 } else { 2.0 * number };
    let unit = match cell.measure {
        // The computed gradients.
        Measure::Chain | Measure::Association => F64 + trace + slope,
        // The same, those of both references, and the values of the reference under way, which are kept for linear layers too.
        Measure::Layers => F64 + 2.0 * number + slope + 3.0 * REFERENCE,
    };
    let gradients = match cell.measure {
        Measure::Chain | Measure::Association => 1.0,
        Measure::Layers => size.layers,
    };
    let samples = cell.draws as f64 * gradients * SAMPLE;
    weights + size.units * cell.batch as f64 * unit + size.layers * LAYER + samples
}

/// What a number of the format takes in the arithmetic of the cell: emulated formats compute in f64.
fn bytes_of_number(cell: &Cell) -> f64 {
    let native = cell.rules() == Rules::default();
    let stored = [(Format::F16, 2.0), (Format::BF16, 2.0), (Format::F32, 4.0)];
    let stored = stored.into_iter().find(|(format, _)| native && *format == cell.format);
    stored.map_or(F64, |(_, bytes)| bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradchain_arith::Rounding;

    fn of(cell: &Cell) -> f64 {
        estimate(cell, Size::drawn(cell))
    }

    #[test]
    fn each_weight_counts_with_its_copies() {
        let cell = Cell { width: 1000, depth: 10, ..Cell::default() };
        let (weights, rest) = (1e7, 11_000.0 * 8.0 + 10.0 * 360.0 + 400.0);
        assert_eq!(of(&cell), weights * (8.0 + 4.0 + 8.0) + rest);
        assert_eq!(of(&Cell { format: Format::F16, ..cell.clone() }), weights * 18.0 + rest);
        assert_eq!(of(&Cell { format: Format::F64, ..cell.clone() }), weights * 24.0 + rest);
        // Computed in f64: 4 bytes more of each weight.
        assert_eq!(of(&Cell { rounding: Rounding::Zero, ..cell.clone() }), weights * 24.0 + rest);
        assert_eq!(of(&Cell { format: Format::E4M3, ..cell.clone() }), weights * 24.0 + rest);
        assert_eq!(of(&Cell { measure: Measure::Association, ..cell.clone() }), weights * 32.0 + rest);
        // Ten layers of 1000 x 10 and 10 x 1000.
        let narrow = Cell { widths: Some("alternating:1000,10".parse().unwrap()), ..cell };
        assert_eq!(of(&narrow), 1e5 * 20.0 + (6.0 * 1000.0 + 5.0 * 10.0) * 8.0 + 10.0 * 360.0 + 400.0);
    }

    #[test]
    fn units_count_with_the_batch_and_with_what_the_activation_keeps() {
        let cell = Cell { width: 1, depth: 99, batch: 1000, ..Cell::default() };
        let bytes = |unit: f64, weight: f64| 100.0 * 1000.0 * unit + 99.0 * (weight + 360.0) + 400.0;
        assert_eq!(of(&cell), bytes(8.0, 20.0));
        assert_eq!(of(&Cell { gain: Some("1.5".parse().unwrap()), ..cell.clone() }), bytes(8.0, 28.0));
        assert_eq!(of(&Cell { activation: Activation::Relu, ..cell.clone() }), bytes(24.0, 20.0));
        assert_eq!(of(&Cell { activation: Activation::Tanh, ..cell.clone() }), bytes(40.0, 20.0));
        assert_eq!(of(&Cell { draws: 11, ..cell.clone() }), bytes(8.0, 20.0) + 4000.0);
        assert_eq!(of(&Cell { measure: Measure::Layers, ..cell }), bytes(64.0, 20.0 + 400.0) - 400.0);
    }
}

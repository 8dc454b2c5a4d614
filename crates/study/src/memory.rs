//! How much memory a cell needs, before anything is drawn: an allocation that fails ends the program without a message, hours into a run.
//!
//! The rule: of each weight the network as drawn (f64, and what f64 leaves off of a gain), its copy in the format, and that copy as f64 again for
//! the reference; of each unit, sample and layer what the passes and their references keep; of each layer the headers of its vectors; of each draw
//! what it says about its gradients. The peak of twelve measured runs was 0.96 to 1.45 times the estimate. It counts one draw of one
//! cell: a run holds as many cells at once as it has threads, and the measure `growth` as many draws of its cell. What the machine has is not asked, so
//! that a study is refused everywhere or nowhere.

use crate::cell::{Cell, Init, Measure};
use crate::gain::Gain;
use gradchain_activations::Activation;
use gradchain_arith::{Format, Rules};
use gradchain_chain::{Network, Wiring};
use gradchain_kernels::Plan;

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

/// The most numbers that the measure `derivative` looks at, and the bytes of each: with results and references.
const NUMBERS: f64 = 131_072.0;
const POINT: f64 = 300.0;

/// n_0 .. n_d of the networks that `cell` draws. The measure `layers` has other widths at its two ends, which do not matter here.
pub(crate) fn drawn(cell: &Cell) -> Vec<usize> {
    (0..=cell.depth).map(|t| cell.width_at(t)).collect()
}

/// n_0 .. n_d of the networks of `cell`, drawn or of its file.
pub(crate) fn widths(cell: &Cell) -> Vec<usize> {
    match &cell.init {
        Init::File(file) => file.widths.to_vec(),
        Init::Gaussian | Init::Xavier | Init::He | Init::LeCun | Init::Torch | Init::Orthogonal => {
            drawn(cell)
        }
    }
}

/// n_0 .. n_d of `network`.
pub(crate) fn widths_of(network: &Network) -> Vec<usize> {
    [network.inputs()].into_iter().chain(network.layers.iter().map(|layer| layer.outputs)).collect()
}

/// The bytes that `cell` needs with networks of these widths. They are f64: sizes that are too large for a machine must not overflow here.
pub(crate) fn estimate(cell: &Cell, widths: &[usize]) -> f64 {
    if cell.measure == Measure::Derivative {
        return NUMBERS * POINT;
    }
    let batch = cell.batch as f64;
    let layers = widths.len().saturating_sub(1) as f64;
    let units: f64 = widths.iter().map(|&n| n as f64).sum();
    let weights: f64 = widths.windows(2).map(|pair| pair[0] as f64 * pair[1] as f64).sum();
    let widest = widths.iter().fold(0.0, |most: f64, &n| most.max(n as f64));
    let number = bytes_of_number(cell);
    let rest = match &cell.gain {
        Some(Gain::Constant(_) | Gain::Alternating(..)) if widths.iter().all(|&n| n == 1) => F64,
        Some(Gain::Constant(_) | Gain::Alternating(..) | Gain::Normal { .. }) | None => 0.0,
    };
    let slope = match cell.activation {
        Activation::Identity => 0.0,
        Activation::Relu | Activation::LeakyRelu | Activation::HardTanh => F64,
        Activation::Sigmoid
        | Activation::Tanh
        | Activation::Elu
        | Activation::Selu
        | Activation::Gelu
        | Activation::GeluTanh
        | Activation::Silu
        | Activation::Softplus
        | Activation::Erf => SLOPE,
    };
    let trace = if cell.activation == Activation::Identity { 0.0 } else { 2.0 * number };
    let wiring = match Wiring::of(cell.remedy) {
        Wiring::Plain => 0.0,
        Wiring::Residual { .. } => number,
        Wiring::RmsNorm | Wiring::BatchNorm => 2.0 * number + slope + REFERENCE,
    };
    // Bytes for each weight beside its three copies, for each unit and sample, the gradients that a draw tells of, and what else there is.
    let (weight, unit, gradients, more) = match cell.measure {
        // The computed gradients.
        Measure::Chain | Measure::Remedies => (0.0, F64 + trace + slope + wiring, 1.0, 0.0),
        // No reference.
        Measure::Growth => (0.0, trace + wiring, batch, 0.0),
        // The same, those of both references, and the values of the reference under way, which are kept for linear layers too.
        Measure::Layers => (0.0, F64 + 2.0 * number + slope + 3.0 * REFERENCE + wiring, layers, 0.0),
        // The magnitudes of the weights; intermediate products, and one of them as f64.
        Measure::Association => (F64, F64, 1.0, intermediates(cell, widths) * (number + F64)),
        // The slopes; the layers' logarithms and some squares of the widest layer.
        Measure::Spectrum => (0.0, trace + slope, 0.0, 24.0 * F64 * widest * widest),
        Measure::Derivative => unreachable!("it has no network"),
    };
    weights * (F64 + rest + number + F64 + weight)
        + units * batch * unit
        + layers * LAYER
        + cell.draws as f64 * gradients * SAMPLE
        + more
}

/// The most numbers that products of matrices in the order of the cell take at once. An order that cannot be planned takes none: measuring
/// the cell says why.
fn intermediates(cell: &Cell, widths: &[usize]) -> f64 {
    let dimensions: Vec<usize> = [cell.batch].into_iter().chain(widths.iter().rev().copied()).collect();
    Plan::new(cell.association, &dimensions).map_or(0.0, |plan| plan.peak_numbers() as f64)
}

/// What a number of the format takes in the arithmetic of the cell: emulated formats compute in f64.
fn bytes_of_number(cell: &Cell) -> f64 {
    let stored = [(Format::F16, 2.0), (Format::BF16, 2.0), (Format::F32, 4.0)];
    let stored = stored.into_iter().find(|(format, _)| is_native(cell) && *format == cell.format);
    stored.map_or(F64, |(_, bytes)| bytes)
}

/// Whether the kernels compute in the format of `cell` itself; other formats and rules are emulated in f64.
pub(crate) fn is_native(cell: &Cell) -> bool {
    cell.rules() == Rules::default()
        && [Format::F16, Format::BF16, Format::F32, Format::F64].contains(&cell.format)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradchain_arith::Rounding;

    fn of(cell: &Cell) -> f64 {
        estimate(cell, &drawn(cell))
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

    #[test]
    fn orders_of_multiplication_count_with_their_intermediate_products() {
        let cell = Cell {
            measure: Measure::Association,
            widths: Some("bottleneck:1000,1".parse().unwrap()),
            depth: 2,
            batch: 5,
            ..Cell::default()
        };
        // Two matrices of 1000 weights, 2001 units; the order decides whether their product of 1000 x 1000 is ever made.
        let rest = 2000.0 * 28.0 + 2001.0 * 5.0 * 8.0 + 2.0 * 360.0 + 400.0;
        for (association, peak) in [("vector-first", 5.0 * 1001.0), ("matrix-first", 1e6 + 5.0 * 1000.0)] {
            let cell = Cell { association: association.parse().unwrap(), ..cell.clone() };
            assert_eq!(of(&cell), rest + peak * 12.0, "{association}");
        }
    }
}

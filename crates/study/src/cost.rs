//! What a cell costs, before anything is drawn: so that shards can be dealt evenly, and a progress bar knows what is left.
//!
//! The multiply-adds are counted. The time is a rough estimate, a sum of these counts, each times what it took on one core of a desktop of 2023: it is
//! meant to compare cells with each other, and no promise of seconds.

use crate::cell::{Cell, Master, Measure};
use crate::measure::MOST_TRAININGS;
use crate::memory::{estimate, is_native, widths};
use gradchain_activations::Activation;
use gradchain_arith::Format;
use gradchain_chain::Wiring;
use gradchain_kernels::Plan;

/// What a cell is estimated to cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Multiplications, each with an addition, of the products of matrices that the cell computes in its format, over all draws. 0 for the measure
    /// `derivative`, which has no matrices.
    pub multiply_adds: f64,
    /// Memory in bytes, that of one draw; a study with a cell above 16 GiB is refused.
    pub bytes: f64,
    /// Time on one core in seconds, roughly.
    pub seconds: f64,
}

/// A multiply-add of a format that the kernels compute in.
const NATIVE: f64 = 0.5e-9;
/// A multiply-add of an emulated format: a product and a sum, each rounded.
const EMULATED: f64 = 60e-9;
/// A multiply-add of the reference, in double-double.
const REFERENCE: f64 = 2e-9;
/// A multiply-add of a factorisation or a rotation, in f64.
const ALGEBRA: f64 = 1e-9;
/// A weight: drawn, rounded, and widened again.
const WEIGHT: f64 = 20e-9;
/// What is seen of one unit of one sample at one layer: events, and the reference's activation.
const UNIT: f64 = 150e-9;
/// A layer, however narrow.
const LAYER: f64 = 400e-9;
/// One unit of one sample at one layer in training, unless a layer normalises it.
const TRAINED_UNIT: f64 = 5e-9;
/// The update of a weight.
const UPDATE: f64 = 8e-9;
/// A number at which the measure `derivative` looks.
const POINT: f64 = 300e-9;

/// The cost of `cell`, a function of its parameters alone.
pub fn cost(cell: &Cell) -> Cost {
    let widths = widths(cell);
    let bytes = estimate(cell, &widths);
    let (batch, draws) = (cell.batch as f64, cell.draws as f64);
    let weights: f64 = widths.windows(2).map(|pair| pair[0] as f64 * pair[1] as f64).sum();
    let units: f64 = widths.iter().map(|&n| n as f64).sum();
    let layers = widths.len().saturating_sub(1) as f64;
    let widest = widths.iter().fold(0.0, |most: f64, &n| most.max(n as f64));
    let forward = match is_linear(cell) {
        true => 0.0,
        false => 1.0,
    };
    // How often the weights meet the batch: in the format, and in the reference, which has the rounded inputs and the unrounded ones.
    let (computed, referenced) = match cell.measure {
        Measure::Chain | Measure::Remedies => (forward + 1.0, 2.0 * (forward + 1.0)),
        Measure::Growth => (forward + 1.0, 0.0),
        Measure::Layers => (3.0, 6.0),
        // A unit vector as upstream gradient for each output.
        Measure::Spectrum => (forward + widest, forward),
        // All of it is training.
        Measure::LearningRate => (0.0, 0.0),
        Measure::Association => (orders(cell, &widths) / (batch * weights).max(1.0), 3.0),
        Measure::Derivative => {
            return Cost { multiply_adds: 0.0, bytes, seconds: POINT * numbers(cell.format) };
        }
    };
    // Two factorisations of each layer times what came before it, and the rotations at the end, two times.
    let algebra = match cell.measure == Measure::Spectrum {
        true => 12.0 * widest * weights + 100.0 * widest * widest * widest,
        false => 0.0,
    };
    let products = batch * weights;
    let steps = steps(cell);
    // Of each step a forward and a backward pass, and the gradients of the weights.
    let multiply_adds = draws * (computed + 3.0 * steps) * products;
    let each = if is_native(cell) { NATIVE } else { EMULATED };
    let once = referenced * products * REFERENCE
        + weights * WEIGHT
        + batch * units * UNIT
        + layers * LAYER
        + algebra * ALGEBRA;
    let unit = if Wiring::of(cell.remedy).normalises() { UNIT } else { TRAINED_UNIT };
    let update = if cell.master == Master::Stochastic { EMULATED } else { UPDATE };
    let step = weights * update + batch * units * unit + layers * LAYER;
    Cost { multiply_adds, bytes, seconds: multiply_adds * each + draws * (once + steps * step) }
}

/// The steps of all trainings of one draw; of a search for a window the most that it may make.
fn steps(cell: &Cell) -> f64 {
    let trainings = match (cell.measure, cell.learning_rate) {
        (Measure::LearningRate, Some(_)) => 1,
        (Measure::LearningRate, None) => MOST_TRAININGS,
        (Measure::Layers, Some(_)) => 2,
        _ => 0,
    };
    trainings as f64 * cell.steps as f64
}

/// Whether the network of `cell` needs no forward pass.
fn is_linear(cell: &Cell) -> bool {
    let normalises = match Wiring::of(cell.remedy) {
        Wiring::Plain | Wiring::Residual { .. } => false,
        Wiring::RmsNorm | Wiring::BatchNorm => true,
    };
    cell.activation == Activation::Identity && !normalises
}

/// The multiply-adds of the products in the order of the cell. An order that cannot be planned has none: measuring the cell says why.
fn orders(cell: &Cell, widths: &[usize]) -> f64 {
    let dimensions: Vec<usize> = [cell.batch].into_iter().chain(widths.iter().rev().copied()).collect();
    Plan::new(cell.association, &dimensions).map_or(0.0, |plan| plan.multiply_adds() as f64)
}

/// About how many numbers of `format` the measure `derivative` looks at: all, or 2^16.
fn numbers(format: Format) -> f64 {
    let binades = f64::from(format.emax() - format.emin() + 2);
    let all = binades * f64::powi(2.0, format.precision() as i32);
    if all <= 131_072.0 { all } else { 65_536.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(cell: &Cell) -> Cost {
        cost(cell)
    }

    #[test]
    fn passes_are_counted() {
        let cell = Cell { width: 10, depth: 7, batch: 3, draws: 2, ..Cell::default() };
        let pass = 10.0 * 10.0 * 7.0 * 3.0 * 2.0;
        // A linear network needs no forward pass; layers need a third product for the gradients of the weights.
        assert_eq!(of(&cell).multiply_adds, pass);
        let relu = Cell { activation: Activation::Relu, ..cell.clone() };
        assert_eq!(of(&relu).multiply_adds, 2.0 * pass);
        assert_eq!(of(&Cell { measure: Measure::Layers, ..relu.clone() }).multiply_adds, 3.0 * pass);
        assert_eq!(of(&Cell { measure: Measure::Growth, ..relu.clone() }).multiply_adds, 2.0 * pass);
        // Of every step of a training three; 29 powers of two, and 5 halvings at both ends. Layers train twice.
        let trains = Cell { measure: Measure::LearningRate, steps: 11, ..relu.clone() };
        assert_eq!(of(&trains).multiply_adds, 39.0 * 11.0 * 3.0 * pass);
        let once = Cell { learning_rate: Some(0.1), ..trains };
        assert_eq!(of(&once).multiply_adds, 11.0 * 3.0 * pass);
        let layers = Cell { measure: Measure::Layers, ..once };
        assert_eq!(of(&layers).multiply_adds, (1.0 + 2.0 * 11.0) * 3.0 * pass);
        let normed = Cell { remedy: "rmsnorm".parse().unwrap(), ..cell.clone() };
        assert_eq!(of(&normed).multiply_adds, 2.0 * pass);
        assert_eq!(of(&Cell { measure: Measure::Derivative, ..Cell::default() }).multiply_adds, 0.0);
        assert_eq!(of(&Cell { depth: 0, ..cell }).multiply_adds, 0.0);
    }

    #[test]
    fn orders_cost_what_they_multiply() {
        let cell = Cell {
            measure: Measure::Association,
            width: 10,
            depth: 3,
            batch: 1,
            draws: 5,
            ..Cell::default()
        };
        assert_eq!(of(&cell).multiply_adds, 5.0 * 300.0);
        let matrix_first = Cell { association: "matrix-first".parse().unwrap(), ..cell };
        assert_eq!(of(&matrix_first).multiply_adds, 5.0 * (2.0 * 1000.0 + 100.0));
    }

    #[test]
    fn time_grows_with_what_there_is_to_do() {
        let cell = Cell::default();
        let seconds = |cell: &Cell| of(cell).seconds;
        for more in [
            Cell { depth: 65, ..cell.clone() },
            Cell { width: 65, ..cell.clone() },
            Cell { batch: 2, ..cell.clone() },
            Cell { draws: 2, ..cell.clone() },
            Cell { format: Format::E4M3, ..cell.clone() },
            Cell { activation: Activation::Tanh, ..cell.clone() },
        ] {
            assert!(seconds(&more) > seconds(&cell), "{more:?}");
        }
        let growth = Cell { measure: Measure::Growth, ..cell.clone() };
        assert!(seconds(&growth) < seconds(&cell));
        let derivative = |format| seconds(&Cell { measure: Measure::Derivative, format, ..Cell::default() });
        assert!(derivative(Format::F16) > 100.0 * derivative(Format::E4M3));
    }
}

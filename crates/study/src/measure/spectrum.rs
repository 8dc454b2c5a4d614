//! Lyapunov exponents and singular values of the Jacobian of a network, and what a format leaves of them.
//!
//! Two Jacobians of each draw are looked at, both at its first input. The reference is that of the network whose weights and input are rounded into the format: slopes in double-double,
//! products by [`GradedProduct`] and [`LyapunovFrame`], which hold singular values of any exponents. The computed one is what the backward pass of the format makes
//! of the unit vectors as upstream gradients: its forward pass, path, summation and rounding. After each layer it is multiplied by the power of two that brings its largest
//! number below 1, which is exact but for numbers that become subnormal: so a row shows what the precision does, where rows of `growth` show the range. Noise of
//! the size of u times the largest singular value is all that is left of those below it.
//!
//! A cell gives a row for each index k of a singular value: all of them up to [`SPECTRUM_ROWS`], else so many, evenly spread from the first to the last. What the whole spectrum is described by
//! stands in the row of index 1.

use super::MeasureError;
use super::arithmetic::{WithArithmetic, with_arithmetic};
use super::growth::Ratio;
use super::network::{EndWidths, Networks};
use super::prediction::SpectrumPrediction;
use crate::cell::{Cell, SPECTRUM_ROWS};
use crate::row::Row;
use gradchain_activations::backpropagate_slice;
use gradchain_arith::{Format, Isa};
use gradchain_chain::{ChainArithmetic, Ends, Network, Rounded, Trace, forward, round_ends};
use gradchain_drift::{
    GradedProduct, Keep, LayerJacobian, LyapunovFrame, Scaled, Weights, reference_forward, singular_values,
};
use gradchain_kernels::Shape;
use rayon::prelude::*;

/// The rows of a cell.
pub(super) fn measure(cell: &Cell, isa: Isa) -> Result<Vec<Row>, MeasureError> {
    let networks = Networks::of(cell, EndWidths::of(cell))?;
    // The draws depend on their numbers alone, and are summed up in order: threads change no bit.
    let draws: Vec<Spectrum> = (0..cell.draws)
        .into_par_iter()
        .map(|number| {
            let network = networks.draw(number);
            let ends = networks.ends(&network, number);
            with_arithmetic(cell, isa, number, &OneDraw { cell, isa, network, ends })
        })
        .collect();
    let count = draws[0].reference.len();
    let prediction = SpectrumPrediction::of(cell);
    let rows = indices(count).map(|k| {
        let mut row = Row::new().with("index", k);
        lyapunov(&mut row, &draws, k);
        prediction.set_exponent(&mut row, cell, k);
        of_one_index(&mut row, &draws, cell.format, k - 1);
        if k == 1 {
            of_all_indices(&mut row, &draws);
            prediction.set_moments(&mut row, cell);
        }
        row
    });
    Ok(rows.collect())
}

/// The indices that have rows, counted from 1.
fn indices(count: usize) -> impl Iterator<Item = usize> {
    let rows = count.min(SPECTRUM_ROWS);
    // Rounded to the nearest; all of them where they are few.
    (0..rows).map(move |i| 1 + (2 * i * (count - 1) + (rows - 1)) / (2 * rows.max(2) - 2))
}

/// λ_k over the layers of all draws in which dimension k is not lost.
fn lyapunov(row: &mut Row, draws: &[Spectrum], k: usize) {
    let blocks: Vec<Vec<(f64, f64)>> = draws
        .iter()
        .flat_map(|draw| &draw.blocks)
        .map(|block| block[k - 1])
        .filter(|(_, n)| *n > 0.0)
        .map(|x| vec![x])
        .collect();
    let Some(Ratio { value, standard_error }) = Ratio::of(&blocks) else { return };
    row.set("lyapunov", value);
    row.set("lyapunov_stderr", standard_error);
}

/// What the row of index `i`, counted from 0, says about its singular value.
fn of_one_index(row: &mut Row, draws: &[Spectrum], format: Format, i: usize) {
    let mean = |f: &dyn Fn(&Spectrum) -> f64| draws.iter().map(f).sum::<f64>() / draws.len() as f64;
    row.set("log2_singular_value", mean(&|draw| draw.computed[i].log2()));
    row.set("log2_singular_value_reference", mean(&|draw| draw.reference[i].log2()));
    // A singular value that is rightly 0 has no relative error.
    let errors: Vec<f64> = draws
        .iter()
        .filter(|draw| draw.reference[i].mantissa() != 0.0)
        .map(|draw| draw.computed[i].divided_by(draw.reference[i]).to_f64() - 1.0)
        .collect();
    if errors.is_empty() {
        return;
    }
    let mean_square = errors.iter().map(|x| x * x).sum::<f64>() / errors.len() as f64;
    let bits = if mean_square.is_nan() { 0.0 } else { 0.0 - libm::log2(mean_square) / 2.0 };
    row.set("singular_value_bits", bits.clamp(0.0, f64::from(format.precision())));
}

/// What the row of index 1 says about all singular values.
fn of_all_indices(row: &mut Row, draws: &[Spectrum]) {
    let n = draws[0].reference.len() as f64;
    let mean = |f: &dyn Fn(&Spectrum) -> f64| draws.iter().map(f).sum::<f64>() / draws.len() as f64;
    let condition = |values: &[Scaled]| match (values.first(), values.last()) {
        (Some(first), Some(last)) => first.log2() - last.log2(),
        _ => f64::NAN,
    };
    row.set("log2_condition", mean(&|draw| condition(&draw.computed)));
    row.set("log2_condition_reference", mean(&|draw| condition(&draw.reference)));
    let rank = |draw: &Spectrum| draw.reference.iter().filter(|s| s.mantissa() != 0.0).count();
    row.set("rank", draws.iter().map(rank).min());
    // One exponent for all draws, so that no square overflows.
    let largest = draws.iter().map(|draw| draw.reference[0]).filter(|s| s.mantissa() != 0.0);
    let Some(top) = largest.map(Scaled::exponent).max() else { return };
    let squares = |draw: &Spectrum| {
        let value = |s: &Scaled| Scaled::new(s.mantissa(), s.exponent().saturating_sub(top)).to_f64();
        draw.reference.iter().map(|s| value(s) * value(s)).collect::<Vec<f64>>()
    };
    let all: Vec<Vec<f64>> = draws.iter().map(squares).collect();
    let of_draws = |f: &dyn Fn(&[f64]) -> f64| all.iter().map(|squares| f(squares)).collect::<Vec<f64>>();
    let average = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let alive = draws.iter().filter(|draw| draw.reference[0].mantissa() != 0.0);
    let stable_ranks: Vec<f64> = alive
        .map(|draw| {
            draw.reference.iter().map(|s| s.divided_by(draw.reference[0]).to_f64()).map(|x| x * x).sum()
        })
        .collect();
    row.set("stable_rank", average(&stable_ranks));
    let first = of_draws(&|squares| squares.iter().sum::<f64>() / n);
    let second = of_draws(&|squares| squares.iter().map(|x| x * x).sum::<f64>() / n);
    let (mean_first, mean_second) = (average(&first), average(&second));
    let moment = mean_second / (mean_first * mean_first);
    row.set("largest_square", average(&of_draws(&|squares| squares[0])) / mean_first);
    row.set("second_moment", moment);
    if draws.len() > 1 {
        // A ratio of means moves by these, to first order.
        let residuals =
            first.iter().zip(&second).map(|(a, b)| moment * (b / mean_second - 2.0 * a / mean_first + 1.0));
        let count = draws.len() as f64;
        let variance = residuals.map(|x| x * x).sum::<f64>() / (count - 1.0);
        row.set("second_moment_stderr", (variance / count).sqrt());
    }
}

/// What one draw says.
struct Spectrum {
    /// Of each block of layers and each k the sum of `ln |r_kk|` over the layers in which dimension k is left, and their number.
    blocks: Vec<Vec<(f64, f64)>>,
    reference: Vec<Scaled>,
    computed: Vec<Scaled>,
}

struct OneDraw<'a> {
    cell: &'a Cell,
    isa: Isa,
    network: Network,
    ends: Ends,
}

impl WithArithmetic for OneDraw<'_> {
    type Output = Spectrum;

    fn run<K: ChainArithmetic>(&self, arith: &K, inputs: &K) -> Spectrum {
        let OneDraw { cell, isa, network, ends } = self;
        let rounded = Rounded::of(inputs, network);
        let (input, _) = round_ends(inputs, ends);
        let values: Vec<f64> = input.iter().map(|&x| arith.value(x)).collect();
        let (blocks, reference) = reference(*isa, &rounded.widened(arith), &values, cell.width_at(0));
        let trace = (!network.is_linear()).then(|| forward(arith, &rounded, cell.summation, 1, &input));
        let computed = computed(arith, cell, *isa, network, &rounded, trace.as_ref());
        Spectrum { blocks, reference, computed }
    }
}

/// The blocks of logarithms and the singular values of the network as it stands.
///
/// Logarithms of neighbouring layers may depend on each other, those of blocks of √d layers hardly (batch means; Flegal and Jones 2010, Ann. Statist. 38): the scatter of
/// blocks gives the standard error. Layers of linear Gaussian networks are independent.
fn reference(
    isa: Isa,
    network: &Network,
    input: &[f64],
    inputs: usize,
) -> (Vec<Vec<(f64, f64)>>, Vec<Scaled>) {
    let trace = (!network.is_linear())
        .then(|| reference_forward(isa, network, Weights::Stored, 1, input, Keep::Slopes));
    // Without layers there is no network to ask.
    let inputs = if network.layers.is_empty() { inputs } else { network.inputs() };
    let mut frame = LyapunovFrame::identity(inputs);
    let mut product = GradedProduct::identity(inputs);
    let length = network.layers.len().isqrt().max(1);
    let mut blocks = Vec::new();
    for (t, layer) in network.layers.iter().enumerate() {
        if t.is_multiple_of(length) {
            blocks.push(vec![(0.0, 0.0); inputs]);
        }
        let jacobian = LayerJacobian::of_layer(layer, trace.as_ref(), t);
        let logarithms = frame.pass(isa, &jacobian);
        product.multiply(isa, &jacobian);
        if let Some(block) = blocks.last_mut() {
            for ((sum, count), logarithm) in block.iter_mut().zip(logarithms) {
                if logarithm != f64::NEG_INFINITY {
                    (*sum, *count) = (*sum + logarithm, *count + 1.0);
                }
            }
        }
    }
    (blocks, product.singular_values(isa))
}

/// The singular values of the Jacobian that the format computes, scaled after each layer.
fn computed<K: ChainArithmetic>(
    arith: &K,
    cell: &Cell,
    isa: Isa,
    network: &Network,
    rounded: &Rounded<K::Number>,
    trace: Option<&Trace<K::Number>>,
) -> Vec<Scaled> {
    let depth = network.layers.len();
    let outputs = if depth == 0 { cell.width_at(0) } else { network.outputs() };
    let unit = |i: usize| arith.round(if i.is_multiple_of(outputs + 1) { 1.0 } else { 0.0 });
    let mut gradient: Vec<K::Number> = (0..outputs * outputs).map(unit).collect();
    let mut exponent = 0;
    for ((t, layer), weights) in network.layers.iter().enumerate().rev().zip(rounded.weights_from_the_last())
    {
        let arith = arith.stream((depth + t) as u64);
        if let Some(trace) = trace {
            let (pre, post) = (&trace.pre[t], &trace.post[t + 1]);
            for (i, row) in gradient.chunks_exact_mut(layer.outputs).enumerate() {
                let arith = arith.stream(i as u64);
                backpropagate_slice(&arith, network.activation_of(t), cell.path, row, pre, post);
            }
        }
        let shape = Shape { rows: outputs, inner: layer.outputs, columns: layer.inputs };
        let mut before = vec![arith.round(0.0); outputs * layer.inputs];
        arith.times(cell.summation, &gradient, weights, &mut before, shape);
        let values = before.iter().map(|&x| arith.value(x));
        let largest = values.filter(|x| x.is_finite()).fold(0.0_f64, |most, x| most.max(x.abs()));
        let shift = if largest == 0.0 { 0 } else { Scaled::from(largest).exponent() };
        if shift != 0 {
            for x in &mut before {
                let scaled = Scaled::new(arith.value(*x), -shift).to_f64();
                *x = arith.round(scaled);
            }
        }
        exponent += shift;
        gradient = before;
    }
    let columns = if depth == 0 { outputs } else { network.inputs() };
    let values: Vec<f64> = gradient.iter().map(|&x| arith.value(x)).collect();
    singular_values(isa, outputs, columns, &values)
        .into_iter()
        .map(|s| Scaled::new(s.mantissa(), s.exponent().saturating_add(exponent)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_run_from_the_first_to_the_last() {
        let all = |count| indices(count).collect::<Vec<_>>();
        assert_eq!((all(0), all(1), all(2)), (vec![], vec![1], vec![1, 2]));
        assert_eq!(all(16), (1..=16).collect::<Vec<_>>());
        for count in [17, 31, 64, 1000] {
            let all = all(count);
            assert!(all.len() == 16 && all[0] == 1 && all[15] == count, "{all:?}");
            assert!(all.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}

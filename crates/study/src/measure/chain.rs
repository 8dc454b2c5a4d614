//! Whole chains: the events on the way, and the gradient at the bottom beside its two references.

use super::MeasureError;
use super::arithmetic::{WithArithmetic, with_arithmetic};
use super::network::{EndWidths, Networks};
use super::prediction::predict;
use super::sample::{Sample, earliest, earliest_classes, summarise};
use crate::cell::{Cell, Init};
use crate::gain::Gain;
use crate::row::Row;
use gradchain_activations::Activation;
use gradchain_arith::{Isa, Overflow, Rounding, Subnormals, Summation, computed_format, wide_unit};
use gradchain_chain::{ChainArithmetic, Ends, Network, Rounded, Setting, backward, forward, round_ends};
use gradchain_drift::{
    ErrorBound, EventReport, Events, Keep, LayerError, ReferenceStep, Scaled, ScaledVector, Weights, compare,
    cosine, reference_backward, reference_forward, sine,
};
use gradchain_gradients::Remedy;
use gradchain_theory::{
    NEAREST_RMS, STOCHASTIC_RMS, gaussian_growth, matrix_chain_drift, scalar_chain_drift,
};

/// The row of a cell.
pub(super) fn measure(cell: &Cell, isa: Isa) -> Result<Vec<Row>, MeasureError> {
    let Drawn { samples, events, value, .. } = draw_all(cell, isa)?;
    let mut row = Row::new();
    earliest(&mut row, &events, cell.format);
    if let (1, Some(value)) = (cell.draws, value) {
        row.set("value", value);
    }
    summarise(&mut row, &samples, cell);
    if let Some(drift) = expected_drift(cell) {
        row.set("theory_drift", drift);
    }
    Ok(vec![row])
}

/// The row of a cell of the measure `remedies`: what the remedy buys in depth, what it keeps of the direction, and what is destroyed.
pub(super) fn measure_remedy(cell: &Cell, isa: Isa) -> Result<Vec<Row>, MeasureError> {
    let Drawn { samples, events, directions, .. } = draw_all(cell, isa)?;
    let mut row = Row::new();
    earliest_classes(&mut row, &events);
    row.set("direction_lost", events.iter().filter_map(|e| e.direction_lost).min());
    row.set("surviving_depth", events.iter().map(surviving_depth).min());
    if let Some(depth) =
        predict(cell).and_then(|prediction| expected_survival(cell, prediction.rate_log2(cell)))
    {
        row.set("theory_surviving_depth", depth);
    }
    summarise(&mut row, &samples, cell);
    let sines: Vec<f64> = directions.iter().map(|direction| direction.sine).collect();
    let mean_square = sines.iter().map(|x| x * x).sum::<f64>() / sines.len() as f64;
    let bits = if mean_square.is_nan() { 0.0 } else { 0.0 - libm::log2(mean_square) / 2.0 };
    row.set("direction_bits", bits.clamp(0.0, f64::from(cell.format.precision())));
    row.set("destroyed", directions.iter().map(|direction| direction.destroyed).sum::<usize>());
    Ok(vec![row])
}

/// The layers that a gradient passes before it is all zero, not finite, or has lost its direction.
fn surviving_depth(events: &EventReport) -> usize {
    let ends = [events.first_zero, events.first_infinite, events.first_nan, events.direction_lost];
    ends.into_iter().flatten().min().map_or(events.depth, |end| end.saturating_sub(1))
}

/// The layers after which the root mean square of the gradient's components, 1 at the top, is half the least number of the format or reaches the power of
/// two that the format does not: at most those of the cell. None where it does not move.
fn expected_survival(cell: &Cell, rate_log2: f64) -> Option<f64> {
    let scale = libm::log2(cell.remedy.loss_scale().unwrap_or(1.0));
    let above = f64::from(cell.format.emax()) + 1.0 - scale;
    let below = scale - f64::from(cell.format.min_exponent()) + 1.0;
    let layers = match rate_log2.partial_cmp(&0.0)? {
        std::cmp::Ordering::Greater => above / rate_log2,
        std::cmp::Ordering::Less => below / -rate_log2,
        std::cmp::Ordering::Equal => return None,
    };
    Some(if above <= 0.0 { 0.0 } else { layers.min(cell.depth as f64) })
}

/// What the draws of a cell say.
#[derive(Default)]
struct Drawn {
    samples: Vec<Sample>,
    events: Vec<EventReport>,
    directions: Vec<Direction>,
    /// The gradient at the bottom of the last draw, where it is one number.
    value: Option<f64>,
}

fn draw_all(cell: &Cell, isa: Isa) -> Result<Drawn, MeasureError> {
    let networks = Networks::of(cell, EndWidths::of(cell))?;
    let mut drawn = Drawn::default();
    for number in 0..cell.draws {
        let network = networks.draw(number);
        let ends = networks.ends(&network, number);
        let chain = Chain { cell, isa, network, ends };
        let result = with_arithmetic(cell, isa, number, &chain)?;
        drawn.value = result.value;
        drawn.samples.push(result.sample);
        drawn.events.push(result.events);
        drawn.directions.push(result.direction);
    }
    Ok(drawn)
}

/// One drawn chain with what enters it.
struct Chain<'a> {
    cell: &'a Cell,
    isa: Isa,
    network: Network,
    ends: Ends,
}

struct Measured {
    /// The gradient at the bottom, where it is one number.
    value: Option<f64>,
    events: EventReport,
    sample: Sample,
    direction: Direction,
}

/// What is left of the gradient at the bottom when a factor on all of it does not count.
struct Direction {
    /// The sine of its angle to the reference for the same rounded inputs.
    sine: f64,
    /// Components that are zero, infinite or NaN though the reference is neither.
    destroyed: usize,
}

impl Direction {
    fn of(computed: &[f64], reference: &ScaledVector) -> Direction {
        let destroyed = computed.iter().enumerate().filter(|&(i, &c)| {
            let exact = reference.mantissa(i).hi;
            exact != 0.0 && exact.is_finite() && (c == 0.0 || !c.is_finite())
        });
        Direction { sine: sine(computed, reference), destroyed: destroyed.count() }
    }
}

impl WithArithmetic for Chain<'_> {
    type Output = Result<Measured, MeasureError>;

    fn run<K: ChainArithmetic>(&self, arith: &K, inputs: &K) -> Result<Measured, MeasureError> {
        let Chain { cell, isa, network, ends } = self;
        let rounded = Rounded::of(inputs, network);
        let (input, upstream) = round_ends(inputs, ends);
        let linear = network.is_linear();
        let trace = (!linear).then(|| forward(arith, &rounded, cell.summation, ends.batch, &input));
        let setting = Setting { summation: cell.summation, path: cell.path, remedy: cell.remedy };
        let mut computed = Gradients::default();
        let scale = cell.remedy.loss_scale().unwrap_or(1.0);
        backward(arith, &rounded, setting, trace.as_ref(), ends.batch, &upstream, |step| {
            computed.push(step.gradient.iter().map(|&x| arith.value(x) / scale));
        })?;

        let values = |numbers: &[K::Number]| numbers.iter().map(|&x| arith.value(x)).collect::<Vec<f64>>();
        let same = Ends { batch: ends.batch, input: values(&input), upstream: values(&upstream) };
        let same_network = rounded.widened(arith);
        let mut events = Events::new(cell.format);
        let mut bound =
            (linear && cell.remedy == Remedy::None).then(|| ErrorBound::new(ends.batch, same.upstream.len()));
        let limit = unseen_overflow_limit(cell);
        let mut reference = ScaledVector::default();
        let mut before = ScaledVector::default();
        reference_chain(*isa, &same_network, &same, Weights::Stored, |step| {
            let gradient = computed.get(step.passed);
            events.observe(gradient, cosine(gradient, step.gradient));
            if let Some(bound) = &mut bound {
                if step.passed > 0 {
                    let layer = &same_network.layers[same_network.layers.len() - step.passed];
                    bound.pass(
                        *isa,
                        layer,
                        &before,
                        layer_error(cell, layer.outputs, Some(&layer.weights)),
                        limit,
                    );
                }
                before.clone_from(step.gradient);
            }
            if step.passed == same_network.layers.len() {
                reference.clone_from(step.gradient);
            }
        });
        let mut unrounded = ScaledVector::default();
        reference_chain(*isa, network, ends, Weights::Unrounded, |step| {
            if step.passed == network.layers.len() {
                unrounded.clone_from(step.gradient);
            }
        });

        let last = computed.get(network.layers.len());
        let events = events.report();
        let overflowed = events.counts.infinite + events.counts.nan > 0;
        let sample = Sample {
            drift: compare(last, &reference, cell.format),
            total: compare(last, &unrounded, cell.format),
            counts: events.counts,
            bound: bound.map(|bound| match overflowed {
                true => Scaled::from(f64::INFINITY),
                false => bound.relative(&reference),
            }),
        };
        let value = if let [value] = last { Some(*value) } else { None };
        let direction = Direction::of(last, &reference);
        Ok(Measured { value, events, sample, direction })
    }
}

/// The reference for a chain: forward where slopes are needed, then backward.
pub(super) fn reference_chain(
    isa: Isa,
    network: &Network,
    ends: &Ends,
    weights: Weights,
    visit: impl FnMut(ReferenceStep<'_>),
) {
    let linear = network.is_linear();
    let trace =
        (!linear).then(|| reference_forward(isa, network, weights, ends.batch, &ends.input, Keep::Slopes));
    let upstream = ScaledVector::new(&ends.upstream);
    reference_backward(isa, network, weights, trace.as_ref(), ends.batch, &upstream, visit);
}

/// The gradients after each layer, one behind the other.
#[derive(Default)]
struct Gradients {
    values: Vec<f64>,
    ends: Vec<usize>,
}

impl Gradients {
    fn push(&mut self, gradient: impl Iterator<Item = f64>) {
        self.values.extend(gradient);
        self.ends.push(self.values.len());
    }

    fn get(&self, passed: usize) -> &[f64] {
        let start = if passed == 0 { 0 } else { self.ends[passed - 1] };
        &self.values[start..self.ends[passed]]
    }
}

/// The number beyond which an overflow may go unseen: in a format that saturates, or rounded in a direction that stops at the largest number. Any
/// other overflow shows in the result, as an infinity or a NaN.
pub(super) fn unseen_overflow_limit(cell: &Cell) -> f64 {
    match (cell.overflow, cell.rounding) {
        (Overflow::Saturate, _) | (_, Rounding::Zero | Rounding::Up | Rounding::Down) => cell.format.max(),
        (Overflow::Infinity, Rounding::Nearest | Rounding::Stochastic) => f64::INFINITY,
    }
}

/// What one layer with this many outputs may add to the error, in the setting of the cell. Roundings that are not to nearest err by up to
/// 2u; a flushed result errs by up to the least normal number, in every product and every sum.
///
/// The hardware's dot product flushes operands too: a flushed number of the gradient costs at most the least normal number times the largest
/// of the `weights`; there is no bound where a weight is flushed itself, or where the other factor is not known.
pub(super) fn layer_error(cell: &Cell, terms: usize, weights: Option<&[f64]>) -> LayerError {
    let format = cell.format;
    let nearest = cell.rounding == Rounding::Nearest;
    let unit = format.unit_roundoff() * if nearest { 1.0 } else { 2.0 };
    let underflow = match (cell.subnormals, nearest) {
        (Subnormals::Keep, true) => cell.summation.underflow(terms, format),
        (Subnormals::Keep, false) => 2.0 * cell.summation.underflow(terms, format),
        (Subnormals::Flush, _) => 8.0 * terms as f64 * format.min_normal(),
    };
    let operands = match (cell.summation, weights) {
        (Summation::Bf16Dot, Some(weights)) => {
            let flushed = weights.iter().any(|w| *w != 0.0 && w.abs() < format.min_normal());
            let largest = weights.iter().fold(0.0, |largest, w| f64::max(largest, w.abs()));
            if flushed { f64::INFINITY } else { 2.0 * terms as f64 * format.min_normal() * largest }
        }
        (Summation::Bf16Dot, None) => f64::INFINITY,
        (
            Summation::Recursive
            | Summation::Fused
            | Summation::Interleaved
            | Summation::Pairwise
            | Summation::Compensated
            | Summation::Wide,
            _,
        ) => 0.0,
    };
    let underflow = underflow + operands;
    LayerError { gamma: cell.summation.bound(terms, unit, wide_unit(format)), underflow }
}

/// The random-walk law, where its conditions hold: random scalar gains, or Gaussian or orthogonal matrices with a summation whose law is known.
fn expected_drift(cell: &Cell) -> Option<f64> {
    let unit = cell.format.unit_roundoff();
    let linear = cell.activation == Activation::Identity && cell.remedy == Remedy::None;
    if !linear || cell.depth == 0 || cell.widths.is_some() {
        return None;
    }
    let one_rounding = match cell.rounding {
        Rounding::Nearest => NEAREST_RMS,
        Rounding::Stochastic => STOCHASTIC_RMS,
        Rounding::Zero | Rounding::Up | Rounding::Down => return None,
    };
    if let (Some(Gain::Normal { .. }), 1) = (&cell.gain, cell.width) {
        return Some(scalar_chain_drift(unit, cell.depth, one_rounding));
    }
    let growth = match (&cell.gain, &cell.init) {
        (None, Init::Gaussian | Init::LeCun) if cell.width > 2 => gaussian_growth(cell.width),
        (None, Init::Orthogonal) if cell.width > 2 => 1.0,
        _ => return None,
    };
    let n = cell.width as f64;
    let roundings = match cell.summation {
        _ if cell.rounding != Rounding::Nearest => return None,
        Summation::Recursive => n / 2.0 + 1.5,
        Summation::Fused => (n + 1.0) / 2.0,
        Summation::Compensated | Summation::Wide | Summation::Bf16Dot => 1.0,
        // In a wider format the sum itself hardly errs.
        Summation::Interleaved if computed_format(cell.format) != Some(cell.format) => 1.0,
        Summation::Interleaved | Summation::Pairwise => return None,
    };
    Some(matrix_chain_drift(unit, cell.depth, growth, roundings))
}

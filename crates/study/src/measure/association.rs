//! Linear chains multiplied in any order: what an order costs, and what it does to the gradient.
//!
//! The factors are the upstream gradient G_d (batch x n_d) and the matrices W_d .. W_1; the plan follows from their dimensions. The gradient G_0 that comes
//! out is compared as that of the measure `chain` is, with the same references; with the association `vector-first` it has the same bits. Events count
//! products in place of layers, and see intermediate Jacobians too: those of an exploding chain overflow before or after its gradient does.

use super::MeasureError;
use super::arithmetic::{WithArithmetic, with_arithmetic};
use super::chain::{layer_error, reference_chain, unseen_overflow_limit};
use super::network::{EndWidths, Networks};
use super::sample::{Sample, earliest_classes, summarise};
use crate::cell::Cell;
use crate::row::{Row, Value};
use gradchain_arith::Isa;
use gradchain_chain::{ChainArithmetic, Ends, Network, Rounded, round_ends};
use gradchain_drift::{EventReport, Events, ProductError, Scaled, ScaledVector, Weights, compare};
use gradchain_kernels::{Operand, Plan, evaluate};

/// The row of a cell.
pub(super) fn measure(cell: &Cell, isa: Isa) -> Result<Vec<Row>, MeasureError> {
    let networks = Networks::of(cell, EndWidths::of(cell))?;
    let mut planned = None;
    let mut samples = Vec::new();
    let mut events = Vec::new();
    let mut row = Row::new();
    for number in 0..cell.draws {
        let network = networks.draw(number);
        let dimensions = dimensions(cell, &network);
        // All draws of a cell have the same widths.
        let plan = match &planned {
            Some(plan) => plan,
            None => {
                let plan = Plan::new(cell.association, &dimensions)
                    .map_err(|error| MeasureError::Network(error.to_string()))?;
                planned.insert(plan)
            }
        };
        row.set("multiply_adds", count(plan.multiply_adds()));
        row.set("peak_numbers", count(plan.peak_numbers()));
        let ends = networks.ends(&network, number);
        let result = with_arithmetic(cell, isa, number, &Chain { cell, isa, network, ends, plan });
        samples.push(result.0);
        events.push(result.1);
    }
    earliest_classes(&mut row, &events);
    summarise(&mut row, &samples, cell);
    Ok(vec![row])
}

/// p_0 .. p_m of the chain `G_d W_d ··· W_1`: batch, n_d, .. n_0.
fn dimensions(cell: &Cell, network: &Network) -> Vec<usize> {
    let inputs = network.layers.first().map_or(cell.width_at(0), |layer| layer.inputs);
    let outputs = network.layers.iter().rev().map(|layer| layer.outputs);
    [cell.batch].into_iter().chain(outputs).chain([inputs]).collect()
}

/// A count; the nearest f64 above 63 bits.
fn count(x: u128) -> Value {
    i64::try_from(x).map_or(Value::Number(x as f64), Value::Integer)
}

/// One drawn chain with what enters it and the order of its products.
struct Chain<'a> {
    cell: &'a Cell,
    isa: Isa,
    network: Network,
    ends: Ends,
    plan: &'a Plan,
}

impl WithArithmetic for Chain<'_> {
    type Output = (Sample, EventReport);

    fn run<K: ChainArithmetic>(&self, arith: &K, inputs: &K) -> (Sample, EventReport) {
        let Chain { cell, isa, network, ends, plan } = self;
        let values = |numbers: &[K::Number]| numbers.iter().map(|&x| arith.value(x)).collect::<Vec<f64>>();
        let rounded = Rounded::of(inputs, network);
        let (_, upstream) = round_ends(inputs, ends);
        let mut factors = vec![upstream.as_slice()];
        factors.extend(rounded.weights_from_the_last());
        // Only classes of numbers are watched: an intermediate Jacobian has no direction to lose.
        let mut events = Events::new(cell.format);
        events.observe(&values(&upstream), 1.0);
        let gradient = values(&evaluate(arith, cell.summation, plan, &factors, |product| {
            events.observe(&values(product), 1.0);
        }));
        let events = events.report();

        let same = Ends { batch: ends.batch, input: Vec::new(), upstream: values(&upstream) };
        let same_network = rounded.widened(arith);
        let reference = bottom(*isa, &same_network, &same, Weights::Stored);
        let unrounded = bottom(*isa, network, ends, Weights::Unrounded);
        let overflowed = events.counts.infinite + events.counts.nan > 0;
        let bound = match overflowed {
            true => Scaled::from(f64::INFINITY),
            false => bound(cell, *isa, plan, &same_network, &same, &reference),
        };
        let sample = Sample {
            drift: compare(&gradient, &reference, cell.format),
            total: compare(&gradient, &unrounded, cell.format),
            counts: events.counts,
            bound: Some(bound),
        };
        (sample, events)
    }
}

/// The reference gradient at the input.
fn bottom(isa: Isa, network: &Network, ends: &Ends, weights: Weights) -> ScaledVector {
    let mut gradient = ScaledVector::default();
    reference_chain(isa, network, ends, weights, |step| {
        if step.passed == network.layers.len() {
            gradient.clone_from(step.gradient);
        }
    });
    gradient
}

/// What the published bound allows the drift of a plan to be, where nothing overflowed that was seen.
fn bound(
    cell: &Cell,
    isa: Isa,
    plan: &Plan,
    network: &Network,
    ends: &Ends,
    reference: &ScaledVector,
) -> Scaled {
    let p = plan.dimensions();
    let mut factors = vec![ProductError::exact(&ends.upstream, p[1])];
    factors
        .extend(network.layers.iter().rev().map(|layer| ProductError::exact(&layer.weights, layer.inputs)));
    let limit = Scaled::from(unseen_overflow_limit(cell));
    let mut products: Vec<ProductError> = Vec::new();
    for product in plan.products() {
        let error = |operand| match operand {
            Operand::Factor(index) => &factors[index],
            Operand::Product(index) => &products[index],
        };
        let (shape, (left, right)) = (product.shape, (error(product.left), error(product.right)));
        let result = left.times(right, shape.rows, shape.columns, layer_error(cell, shape.inner, None));
        let unseen = result.largest().log2() > limit.log2();
        if unseen {
            return Scaled::from(f64::INFINITY);
        }
        products.push(result);
    }
    // The reference computes the product of magnitudes too, from a chain of magnitudes.
    let (mut network, mut ends) = (network.clone(), ends.clone());
    let weights = network.layers.iter_mut().flat_map(|layer| &mut layer.weights);
    weights.chain(&mut ends.upstream).for_each(|x| *x = x.abs());
    let magnitudes = bottom(isa, &network, &ends, Weights::Stored);
    products.last().unwrap_or(&factors[0]).relative(magnitudes.norm(), reference.norm())
}

//! Every layer of a network on real digits: do the bottom layers get a gradient?
//!
//! The network takes handwritten digits of 8 x 8 pixels, divided by 16, and has ten outputs; the loss is `½ Σ ||h_d - y||²` over the batch, with y the
//! unit vector of the label. Row t holds dL/dh_t, the gradient at the output of layer t, and dL/dW_t.

use super::MeasureError;
use super::arithmetic::{WithArithmetic, with_arithmetic};
use super::network::{EndWidths, Networks};
use super::sample::{Sample, summarise};
use crate::cell::Cell;
use crate::row::Row;
use gradchain_arith::{Counts, Isa};
use gradchain_chain::{
    ChainArithmetic, Digits, Network, Rounded, Setting, backward, forward, weight_gradient,
};
use gradchain_drift::{
    Keep, Weights, compare, norm, reference_backward, reference_forward, upstream_from_targets,
    weight_gradient_norm,
};
use gradchain_gradients::{Adaptive, GradientError, NonFinite, Remedy, Units, clip_adaptively};

/// The rows of a cell, one a layer, the bottom layer first.
pub(super) fn measure(cell: &Cell, isa: Isa) -> Result<Vec<Row>, MeasureError> {
    let available = Digits::built_in().count();
    if cell.batch > available {
        let problem =
            format!("batch = {}: there are {available} digits; allowed: 1 to {available}", cell.batch);
        return Err(MeasureError::Network(problem));
    }
    let networks = Networks::of(cell, EndWidths { inputs: Digits::PIXELS, outputs: Digits::CLASSES })?;
    let mut layers: Vec<Layer> = Vec::new();
    for number in 0..cell.draws {
        let network = networks.draw(number);
        if network.layers.is_empty()
            || (network.inputs(), network.outputs()) != (Digits::PIXELS, Digits::CLASSES)
        {
            return Err(MeasureError::Network(format!(
                "the measure `layers` feeds digits of {} pixels and expects {} outputs; the network has {} layers, {} inputs, {} outputs",
                Digits::PIXELS,
                Digits::CLASSES,
                network.layers.len(),
                network.inputs(),
                network.outputs()
            )));
        }
        let results = with_arithmetic(cell, isa, number, &OneDraw { cell, isa, network })?;
        layers.resize_with(results.len(), Layer::default);
        for (layer, result) in layers.iter_mut().zip(results) {
            layer.samples.push(result.sample);
            layer.computed.push(result.computed);
            layer.reference.push(result.reference);
        }
    }
    let row = |(index, layer): (usize, &Layer)| {
        let mut row = Row::new().with("layer", index + 1);
        summarise(&mut row, &layer.samples, cell);
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        row.set("weight_gradient_log2_norm", mean(&layer.computed));
        row.set("weight_gradient_log2_norm_reference", mean(&layer.reference));
        row
    };
    Ok(layers.iter().enumerate().map(row).collect())
}

/// What the draws say about one layer.
#[derive(Default)]
struct Layer {
    samples: Vec<Sample>,
    computed: Vec<f64>,
    reference: Vec<f64>,
}

/// What one draw says about one layer: its gradient compared, and log2 of the norm of its weight gradient, computed and reference.
struct LayerResult {
    sample: Sample,
    computed: f64,
    reference: f64,
}

struct OneDraw<'a> {
    cell: &'a Cell,
    isa: Isa,
    network: Network,
}

impl WithArithmetic for OneDraw<'_> {
    type Output = Result<Vec<LayerResult>, MeasureError>;

    fn run<K: ChainArithmetic>(&self, arith: &K, inputs: &K) -> Result<Vec<LayerResult>, MeasureError> {
        let OneDraw { cell, isa, network } = self;
        let (batch, depth) = (cell.batch, network.layers.len());
        let pixels = &Digits::built_in().pixels[..batch * Digits::PIXELS];
        let targets: Vec<f64> = Digits::built_in().labels[..batch]
            .iter()
            .flat_map(|&label| (0..Digits::CLASSES).map(move |class| if class == label { 1.0 } else { 0.0 }))
            .collect();

        let rounded = Rounded::of(inputs, network);
        let input: Vec<K::Number> = pixels.iter().map(|&x| inputs.round(x)).collect();
        let trace = forward(arith, &rounded, cell.summation, batch, &input);
        let upstream: Vec<K::Number> =
            trace.post[depth].iter().zip(&targets).map(|(&h, &y)| arith.sub(h, inputs.round(y))).collect();
        let setting = Setting { summation: cell.summation, path: cell.path, remedy: cell.remedy };
        let scale = cell.remedy.loss_scale().unwrap_or(1.0);
        let unscaled =
            |numbers: &[K::Number]| numbers.iter().map(|&x| arith.value(x) / scale).collect::<Vec<f64>>();
        let mut gradients = Vec::new();
        let mut clipped = Ok(());
        let mut weight_norms = Vec::new();
        let mut weights = rounded.weights_from_the_last();
        backward(arith, &rounded, setting, Some(&trace), batch, &upstream, |step| {
            gradients.push(unscaled(step.gradient));
            // The upstream gradient has passed no weights.
            let Some(delta) = step.delta else { return };
            let Some(weights) = weights.next() else { return };
            let h = &trace.post[depth - step.passed];
            let mut gradient = weight_gradient(arith, cell.summation, batch, delta, h);
            if let Err(error) = clip(arith, cell.remedy, h.len() / batch, weights, &mut gradient) {
                clipped = Err(error);
            }
            weight_norms.push(norm(&unscaled(&gradient)).log2());
        })?;
        clipped?;

        let values = |numbers: &[K::Number]| numbers.iter().map(|&x| arith.value(x)).collect::<Vec<f64>>();
        let same =
            reference(*isa, &rounded.widened(arith), Weights::Stored, &values(&input), batch, &targets);
        let unrounded = reference(*isa, network, Weights::Unrounded, pixels, batch, &targets);
        // The k-th gradient on the way down is that at the output of layer depth - k.
        let result = |t: usize| {
            let k = depth - t;
            let gradient = &gradients[k];
            LayerResult {
                sample: Sample {
                    drift: compare(gradient, &same.gradients[k], cell.format),
                    total: compare(gradient, &unrounded.gradients[k], cell.format),
                    counts: Counts::of(gradient.iter().map(|x| x * scale), cell.format),
                    bound: None,
                },
                computed: weight_norms[k],
                reference: same.weight_norms[k],
            }
        };
        Ok((1..=depth).map(result).collect())
    }
}

/// What the remedy does to the gradient of a layer's weights, of which a row of `width` belongs to one unit.
fn clip<K: ChainArithmetic>(
    arith: &K,
    remedy: Remedy,
    width: usize,
    weights: &[K::Number],
    gradient: &mut [K::Number],
) -> Result<(), GradientError> {
    let Remedy::Adaptive(clipping) = remedy else { return Ok(()) };
    let adaptive = Adaptive { clipping, eps: ADAPTIVE_EPSILON };
    clip_adaptively(arith, adaptive, Units::Rows, width, NonFinite::Propagate, weights, gradient).map(|_| ())
}

/// The norm that the weights of a unit count with at least, as in the paper.
const ADAPTIVE_EPSILON: f64 = 1e-3;

/// The reference's gradients from the output down, and log2 of the norms of its weight gradients.
struct Reference {
    gradients: Vec<gradchain_drift::ScaledVector>,
    weight_norms: Vec<f64>,
}

fn reference(
    isa: Isa,
    network: &Network,
    weights: Weights,
    input: &[f64],
    batch: usize,
    targets: &[f64],
) -> Reference {
    let trace = reference_forward(isa, network, weights, batch, input, Keep::Values);
    let upstream = upstream_from_targets(&trace.output, targets);
    let mut result = Reference { gradients: Vec::new(), weight_norms: Vec::new() };
    reference_backward(isa, network, weights, Some(&trace), batch, &upstream, |step| {
        result.gradients.push(step.gradient.clone());
        if let Some(delta) = step.delta {
            let values = &trace.values[network.layers.len() - step.passed];
            result.weight_norms.push(weight_gradient_norm(isa, batch, delta, values).log2());
        }
    });
    result
}

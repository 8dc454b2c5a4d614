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
    ChainArithmetic, Network, Rounded, Setting, Wiring, backward, forward, weight_gradient,
};
use gradchain_drift::{
    Keep, Weights, compare, norm, reference_backward, reference_forward, upstream_from_targets,
    weight_gradient_norm,
};
use safetensors::SafeTensors;
use std::sync::LazyLock;

/// Pixels of a digit.
const PIXELS: usize = 64;
/// Kinds of digit.
const CLASSES: usize = 10;

/// The digits that are built in.
struct Digits {
    /// Row-major `count · PIXELS`, 0 to 1 in sixteenths: exact in every format with p >= 5 bits.
    pixels: Vec<f64>,
    labels: Vec<u8>,
}

static DIGITS: LazyLock<Digits> = LazyLock::new(|| {
    let built_in = "the built-in digits are a well-formed file";
    let file = SafeTensors::deserialize(include_bytes!("../../data/digits.safetensors")).expect(built_in);
    let pixels = file.tensor("x").expect(built_in).data().iter().map(|&x| f64::from(x) / 16.0).collect();
    Digits { pixels, labels: file.tensor("label").expect(built_in).data().to_vec() }
});

/// The rows of a cell, one a layer, the bottom layer first.
pub(super) fn measure(cell: &Cell, isa: Isa) -> Result<Vec<Row>, MeasureError> {
    let available = DIGITS.labels.len();
    if cell.batch > available {
        let problem =
            format!("batch = {}: there are {available} digits; allowed: 1 to {available}", cell.batch);
        return Err(MeasureError::Network(problem));
    }
    let networks = Networks::of(cell, EndWidths { inputs: PIXELS, outputs: CLASSES })?;
    let mut layers: Vec<Layer> = Vec::new();
    for number in 0..cell.draws {
        let network = Network { wiring: Wiring::of(cell.remedy), ..networks.draw(number) };
        if network.layers.is_empty() || (network.inputs(), network.outputs()) != (PIXELS, CLASSES) {
            return Err(MeasureError::Network(format!(
                "the measure `layers` feeds digits of {PIXELS} pixels and expects {CLASSES} outputs; the network has {} layers, {} inputs, {} outputs",
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
        let pixels = &DIGITS.pixels[..batch * PIXELS];
        let targets: Vec<f64> = DIGITS.labels[..batch]
            .iter()
            .flat_map(|&label| {
                (0..CLASSES).map(move |class| if class == usize::from(label) { 1.0 } else { 0.0 })
            })
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
        let mut weight_norms = Vec::new();
        backward(arith, &rounded, setting, Some(&trace), batch, &upstream, |step| {
            gradients.push(unscaled(step.gradient));
            if let Some(delta) = step.delta {
                let h = &trace.post[depth - step.passed];
                weight_norms
                    .push(norm(&unscaled(&weight_gradient(arith, cell.summation, batch, delta, h))).log2());
            }
        })?;

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

//! The reference: the gradient chain in scaled double-double, which cannot overflow.
//!
//! With `f` the activation, rows of H and G the samples of a batch:
//!
//! ```text
//! Z_t = H_(t-1) W_t^T + b_t     H_t = f(Z_t)            t = 1 .. d
//! D_t = G_t ∘ f'(Z_t)           G_(t-1) = D_t W_t       t = d .. 1
//! dL/dW_t = D_t^T H_(t-1)       dL/db_t = Σ over the batch of D_t
//! ```
//!
//! and with the wirings of [`Wiring`](gradchain_chain::Wiring) as the pass of the chain has them, without its roundings.
//!
//! Every operation has a relative error of a few 2^-106, and after each layer the vector is brought back to the size of 1 by an exact power of two. A
//! chain of d layers of width n is right to about `d n 2^-104` relative to the chain of absolute values; measured, width 8: 2^-102 after 60 layers,
//! 2^-95 after 20 000. Limits: those of [`ScaledVector`] on the range within one layer, and beyond `|z| = 2^40` every activation is what it tends to. An infinite or
//! NaN weight, bias or input makes every component that it reaches NaN.

use crate::kernels::{Matrix, times, times_transposed};
use crate::scaled_vector::ScaledVector;
use crate::slopes::{Slopes, activate, times_slopes};
use crate::wiring::{Normalised, denormalise, normalise};
use gradchain_arith::Isa;
use gradchain_chain::{Layer, Network};

/// Which weights the reference takes for the true ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// The f64 weights of the network as they stand: the distance to the reference is then arithmetic error alone.
    Stored,
    /// With [`Layer::weights_rest`] added where a layer has it.
    Unrounded,
}

/// Whether the forward pass keeps what only weight gradients need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Slopes alone: enough for the gradients by the activations.
    Slopes,
    /// H_0 .. H_(d-1) too, for [`weight_gradient_norm`](crate::weight_gradient_norm).
    Values,
}

/// What the reference's forward pass keeps.
#[derive(Clone, Debug)]
pub struct ReferenceTrace {
    slopes: Vec<Slopes>,
    /// Of the layers that normalise.
    normalised: Vec<Option<Normalised>>,
    /// H_0 .. H_(d-1), row-major `batch · width`; empty unless they were to be kept.
    pub values: Vec<ScaledVector>,
    /// H_d.
    pub output: ScaledVector,
}

/// The gradient after some layers.
#[derive(Clone, Copy, Debug)]
pub struct ReferenceStep<'a> {
    /// How many layers the gradient has passed: 0 is the upstream gradient itself.
    pub passed: usize,
    /// G_t with t = d - `passed`, row-major `batch · width`.
    pub gradient: &'a ScaledVector,
    /// D_(t+1), from which the weight gradient of the layer just passed follows; none at the upstream gradient.
    pub delta: Option<&'a ScaledVector>,
}

/// The forward pass of the `batch` rows of `input`. Without layers the output is the input.
///
/// # Panics
/// If `input` is not `batch` times the input width of the network, or a layer's shapes do not fit.
pub fn reference_forward(
    isa: Isa,
    network: &Network,
    weights: Weights,
    batch: usize,
    input: &[f64],
    keep: Keep,
) -> ReferenceTrace {
    let mut trace = ReferenceTrace {
        slopes: Vec::with_capacity(network.layers.len()),
        normalised: Vec::with_capacity(network.layers.len()),
        values: Vec::new(),
        output: ScaledVector::new(input),
    };
    for (t, layer) in network.layers.iter().enumerate() {
        let matrix = matrix_of(layer, weights);
        check_rows("input", trace.output.len(), batch, layer.inputs);
        let mut z = ScaledVector::default();
        times_transposed(isa, &trace.output, matrix, batch, &mut z);
        if let Some(bias) = &layer.bias {
            assert_eq!(bias.len(), layer.outputs, "bias of a layer with {} outputs", layer.outputs);
            z.add_rows(bias, 1.0);
        }
        trace.normalised.push(normalise(network.wiring, &mut z, batch, layer.outputs));
        trace.slopes.push(activate(isa, network.activation_of(t), &mut z));
        if let Some(scale) = network.wiring.skips(layer.inputs, layer.outputs) {
            z.scale(scale);
            z.add(&trace.output);
        }
        let value = std::mem::replace(&mut trace.output, z);
        match keep {
            Keep::Slopes => {}
            Keep::Values => trace.values.push(value),
        }
    }
    trace
}

/// The backward pass of the gradient `upstream`: calls `visit` with the upstream gradient and then after each layer, from the last to the first.
/// Without a `trace` the derivatives are taken for one, as for the identity.
///
/// Three buffers of the widest layer are all the memory that it takes, whatever the depth.
///
/// # Panics
/// If a network that is not linear comes without its trace, or shapes do not fit.
pub fn reference_backward(
    isa: Isa,
    network: &Network,
    weights: Weights,
    trace: Option<&ReferenceTrace>,
    batch: usize,
    upstream: &ScaledVector,
    mut visit: impl FnMut(ReferenceStep<'_>),
) {
    assert!(
        trace.is_some() || network.is_linear(),
        "the backward pass of a network with activation {:?} needs its forward pass",
        network.activation
    );
    let depth = network.layers.len();
    if let Some(trace) = trace {
        assert_eq!(trace.slopes.len(), depth, "layers of the forward pass and of the network");
    }
    let mut gradient = upstream.clone();
    gradient.renormalise();
    visit(ReferenceStep { passed: 0, gradient: &gradient, delta: None });
    let (mut before, mut delta, mut exponents) =
        (ScaledVector::default(), ScaledVector::default(), Vec::new());
    for (t, layer) in network.layers.iter().enumerate().rev() {
        check_rows("gradient", gradient.len(), batch, layer.outputs);
        let skips = network.wiring.skips(layer.inputs, layer.outputs);
        if let Some(scale) = skips {
            delta.clone_from(&gradient);
            delta.scale(scale);
        } else {
            // The gradient is not asked for again.
            std::mem::swap(&mut delta, &mut gradient);
        }
        if let Some(trace) = trace {
            times_slopes(isa, &mut delta, &trace.slopes[t], &mut exponents);
            if let Some(normalised) = &trace.normalised[t] {
                denormalise(&mut delta, normalised, &mut exponents);
            }
        }
        times(isa, &delta, matrix_of(layer, weights), batch, &mut before);
        if skips.is_some() {
            before.add(&gradient);
        }
        visit(ReferenceStep { passed: depth - t, gradient: &before, delta: Some(&delta) });
        std::mem::swap(&mut gradient, &mut before);
    }
}

fn matrix_of(layer: &Layer, weights: Weights) -> Matrix<'_> {
    let (rows, columns) = (layer.outputs, layer.inputs);
    let rest = match weights {
        Weights::Stored => None,
        Weights::Unrounded => layer.weights_rest.as_deref(),
    };
    for values in [Some(layer.weights.as_slice()), rest].into_iter().flatten() {
        assert_eq!(
            values.len(),
            rows * columns,
            "weights of a layer with {rows} outputs and {columns} inputs"
        );
    }
    Matrix { rows, columns, values: &layer.weights, rest }
}

fn check_rows(what: &str, len: usize, batch: usize, width: usize) {
    assert_eq!(len, batch * width, "{what} of {batch} rows at a layer of width {width}");
}

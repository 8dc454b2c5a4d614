//! The forward and the backward pass in one arithmetic.
//!
//! With `f` the activation, rows of H and G the samples of a batch, and fl(.) the stated summation or operation of the arithmetic:
//!
//! ```text
//! Z_t = fl(H_(t-1) W_t^T) + b_t     H_t = f(Z_t)                     t = 1 .. d
//! D_t = G_t ∘ f'(Z_t)               G_(t-1) = fl(D_t W_t)            t = d .. 1
//! dL/dW_t = fl(D_t^T H_(t-1))       dL/db_t = fl(Σ over the batch of D_t)
//! ```
//!
//! With the [`Wiring`] of the network, N being its normalisation, and α and the sums rounded into the format one after the other:
//!
//! ```text
//! rmsnorm, batchnorm:   H_t = f(N(Z_t))               D_t = N'(Z_t)^T (G_t ∘ f'(N(Z_t)))
//! residual:             H_t = H_(t-1) + α f(Z_t)      D_t = (α G_t) ∘ f'(Z_t)       G_(t-1) = G_t + fl(D_t W_t)
//! ```
//!
//! The bias is added after the sum has been rounded into the format; how often the product of gradient and derivative is rounded, the path says.

use crate::network::{Ends, Network, Wiring};
use crate::train::Storage;
use gradchain_activations::{Activation, Activations, Path, apply, backpropagate_slice};
use gradchain_arith::{Arithmetic, Summation};
use gradchain_gradients::layers::{self, Affine, NormLayer, Statistics, statistics};
use gradchain_gradients::{GradientError, Gradients, Remedy};
use gradchain_kernels::{Kernels, Shape};

/// An arithmetic that chains are computed in: with products of matrices, activations, what is done to gradients, and parameters.
pub trait ChainArithmetic: Kernels + Activations + Storage {}

impl<A: Kernels + Activations + Storage> ChainArithmetic for A {}

/// A network rounded once into the format of an arithmetic.
#[derive(Clone, Debug)]
pub struct Rounded<N> {
    layers: Vec<RoundedLayer<N>>,
    activation: Activation,
    output: Activation,
    wiring: Wiring,
}

/// One layer of a [`Rounded`] network; see [`Layer`](crate::Layer).
#[derive(Clone, Debug)]
struct RoundedLayer<N> {
    outputs: usize,
    inputs: usize,
    weights: Vec<N>,
    bias: Option<Vec<N>>,
}

impl<N: Copy> Rounded<N> {
    /// Every weight and bias of `network`, and the factor of its branches, rounded by `arith`.
    pub fn of<A: Arithmetic<Number = N>>(arith: &A, network: &Network) -> Rounded<N> {
        let round = |values: &[f64]| values.iter().map(|&x| arith.round(x)).collect::<Vec<N>>();
        let layers = network.layers.iter().map(|layer| RoundedLayer {
            outputs: layer.outputs,
            inputs: layer.inputs,
            weights: round(&layer.weights),
            bias: layer.bias.as_deref().map(round),
        });
        let wiring = match network.wiring {
            Wiring::Residual { scale } => Wiring::Residual { scale: arith.value(arith.round(scale)) },
            Wiring::Plain | Wiring::RmsNorm | Wiring::BatchNorm => network.wiring,
        };
        Rounded { layers: layers.collect(), activation: network.activation, output: network.output, wiring }
    }

    /// The rounded network as f64 numbers: what the reference for the same rounded inputs starts from.
    pub fn widened<A: Arithmetic<Number = N>>(&self, arith: &A) -> Network {
        let widen = |values: &[N]| values.iter().map(|&x| arith.value(x)).collect::<Vec<f64>>();
        let layers = self.layers.iter().map(|layer| crate::Layer {
            outputs: layer.outputs,
            inputs: layer.inputs,
            weights: widen(&layer.weights),
            weights_rest: None,
            bias: layer.bias.as_deref().map(widen),
        });
        Network {
            layers: layers.collect(),
            activation: self.activation,
            output: self.output,
            wiring: self.wiring,
        }
    }

    /// Whether the output is an affine function of the input; see [`Network::is_linear`].
    pub fn is_linear(&self) -> bool {
        let identity = (0..self.depth()).all(|t| self.activation_of(t) == Activation::Identity);
        identity && !self.wiring.normalises()
    }

    /// The activation of layer number `t`, counted from 0 at the input.
    pub fn activation_of(&self, t: usize) -> Activation {
        if t + 1 == self.layers.len() { self.output } else { self.activation }
    }

    /// Number of layers.
    pub fn depth(&self) -> usize {
        self.layers.len()
    }

    /// The weights of each layer, row-major, in the order in which the gradient meets them: from the last layer to the first.
    pub fn weights_from_the_last(&self) -> impl Iterator<Item = &[N]> {
        self.layers.iter().rev().map(|layer| layer.weights.as_slice())
    }

    /// The weights and then the bias, if there is one, of each layer, from the first to the last: what training changes.
    pub(crate) fn parameters_mut(&mut self) -> impl Iterator<Item = &mut [N]> {
        self.layers
            .iter_mut()
            .flat_map(|layer| std::iter::once(layer.weights.as_mut_slice()).chain(layer.bias.as_deref_mut()))
    }
}

/// How a chain is computed, beside its arithmetic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setting {
    /// The summation of every product of matrices.
    pub summation: Summation,
    /// The derivative path.
    pub path: Path,
    /// What is done to the gradient against vanishing and exploding.
    pub remedy: Remedy,
}

/// What a forward pass keeps: two numbers a unit, sample and layer; three with a wiring that is not plain.
#[derive(Clone, Debug)]
pub struct Trace<N> {
    /// Samples.
    pub batch: usize,
    /// What the activation of each layer takes: Z_1 .. Z_d, normalised where the wiring normalises.
    pub pre: Vec<Vec<N>>,
    /// H_0 .. H_d.
    pub post: Vec<Vec<N>>,
    /// f(Z_t) of the layers that hand on their input beside it; empty for the others.
    branches: Vec<Vec<N>>,
    /// Z_1 .. Z_d before they were normalised, with the statistics; empty where they are not.
    normalised: Vec<Normalised<N>>,
}

/// The gradient after some layers.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a, N> {
    /// How many layers the gradient has passed: 0 is the upstream gradient itself.
    pub passed: usize,
    /// G_t with t = d - `passed`, row-major `batch · width`, still multiplied by the loss scale where there is one.
    pub gradient: &'a [N],
    /// D_(t+1), from which the weight gradient of the layer just passed follows; none at the upstream gradient.
    pub delta: Option<&'a [N]>,
}

/// The normalisation of one layer's Z.
#[derive(Clone, Debug)]
struct Normalised<N> {
    z: Vec<N>,
    statistics: Statistics,
}

impl<N: Copy> Normalised<N> {
    /// Replaces `z` by its normalised numbers.
    fn of<A: Gradients<Number = N>>(arith: &A, kind: NormLayer, width: usize, z: &mut [N]) -> Normalised<N> {
        let fits = "a batch is whole rows, and epsilon is positive";
        let kept = z.to_vec();
        let statistics = statistics(arith, kind, Wiring::EPSILON, width, &kept).expect(fits);
        layers::forward(arith, &statistics, &kept, Affine::NONE, z).expect(fits);
        Normalised { z: kept, statistics }
    }
}

/// The layer that a wiring normalises with.
fn norm_layer(wiring: Wiring) -> Option<NormLayer> {
    match wiring {
        Wiring::Plain | Wiring::Residual { .. } => None,
        Wiring::RmsNorm => Some(NormLayer::RmsNorm),
        Wiring::BatchNorm => Some(NormLayer::BatchNorm),
    }
}

/// The forward pass of `batch` rows of `input`.
///
/// # Panics
/// If `input` is not `batch` times the input width of the network.
pub fn forward<K: ChainArithmetic>(
    arith: &K,
    network: &Rounded<K::Number>,
    summation: Summation,
    batch: usize,
    input: &[K::Number],
) -> Trace<K::Number> {
    let mut trace = Trace {
        batch,
        pre: Vec::with_capacity(network.depth()),
        post: vec![input.to_vec()],
        branches: Vec::new(),
        normalised: Vec::new(),
    };
    for (t, layer) in network.layers.iter().enumerate() {
        let arith = arith.stream(t as u64);
        let shape = Shape { rows: batch, inner: layer.inputs, columns: layer.outputs };
        let mut pre = vec![arith.round(0.0); batch * layer.outputs];
        arith.times_transposed(summation, &trace.post[t], &layer.weights, &mut pre, shape);
        if let Some(bias) = &layer.bias {
            for row in pre.chunks_exact_mut(layer.outputs) {
                row.iter_mut().zip(bias).for_each(|(z, &b)| *z = arith.add(*z, b));
            }
        }
        if let Some(kind) = norm_layer(network.wiring) {
            let normalised = Normalised::of(&arith, kind, layer.outputs, &mut pre);
            trace.normalised.push(normalised);
        }
        let mut post = pre.clone();
        apply(&arith, network.activation_of(t), &pre, &mut post);
        if let Wiring::Residual { .. } = network.wiring {
            let mut branch = Vec::new();
            if let Some(scale) = network.wiring.skips(layer.inputs, layer.outputs) {
                branch.clone_from(&post);
                let scale = arith.round(scale);
                for (h, &before) in post.iter_mut().zip(&trace.post[t]) {
                    *h = arith.add(before, arith.mul(scale, *h));
                }
            }
            trace.branches.push(branch);
        }
        trace.pre.push(pre);
        trace.post.push(post);
    }
    trace
}

/// The backward pass of the gradient `upstream`: calls `visit` with the upstream gradient and then after each layer, from the last to the
/// first. Without a `trace` the derivatives are taken for one, as for [`Activation::Identity`].
///
/// Three buffers of the widest layer are all the memory it takes, whatever the depth; four with layers that normalise.
///
/// # Errors
/// If the remedy has a limit or a scale that it does not allow.
///
/// # Panics
/// If a network that is not linear comes without its trace, or shapes do not fit.
pub fn backward<K: ChainArithmetic>(
    arith: &K,
    network: &Rounded<K::Number>,
    setting: Setting,
    trace: Option<&Trace<K::Number>>,
    batch: usize,
    upstream: &[K::Number],
    mut visit: impl FnMut(Step<'_, K::Number>),
) -> Result<(), GradientError> {
    assert!(
        trace.is_some() || network.is_linear(),
        "the backward pass of a {} network needs its forward pass",
        network.activation
    );
    let mut gradient = upstream.to_vec();
    setting.remedy.scale_upstream(arith, &mut gradient)?;
    visit(Step { passed: 0, gradient: &gradient, delta: None });
    let (mut before, mut delta, mut by_normalised) = (Vec::new(), Vec::new(), Vec::new());
    for (t, layer) in network.layers.iter().enumerate().rev() {
        let arith = arith.stream((network.depth() + t) as u64);
        let skips = network.wiring.skips(layer.inputs, layer.outputs);
        if let Some(scale) = skips {
            let scale = arith.round(scale);
            delta.clear();
            delta.extend(gradient.iter().map(|&g| arith.mul(scale, g)));
        } else {
            // The gradient is not asked for again.
            std::mem::swap(&mut delta, &mut gradient);
        }
        if let Some(trace) = trace {
            let values = if skips.is_some() { &trace.branches[t] } else { &trace.post[t + 1] };
            let activation = network.activation_of(t);
            backpropagate_slice(&arith, activation, setting.path, &mut delta, &trace.pre[t], values);
            if let Some(Normalised { z, statistics }) = trace.normalised.get(t) {
                by_normalised.clone_from(&delta);
                layers::backward(&arith, statistics, z, None, &by_normalised, &mut delta)?;
            }
        }
        let shape = Shape { rows: batch, inner: layer.outputs, columns: layer.inputs };
        before.clear();
        before.resize(batch * layer.inputs, arith.round(0.0));
        arith.times(setting.summation, &delta, &layer.weights, &mut before, shape);
        if skips.is_some() {
            before.iter_mut().zip(&gradient).for_each(|(branch, &g)| *branch = arith.add(g, *branch));
        }
        setting.remedy.apply(&arith, &mut before)?;
        visit(Step { passed: network.depth() - t, gradient: &before, delta: Some(&delta) });
        std::mem::swap(&mut gradient, &mut before);
    }
    Ok(())
}

/// dL/dW of a layer, `outputs x inputs` row-major: the sum over the batch of D^T H, D being `batch x outputs` and H `batch x inputs`.
pub fn weight_gradient<K: ChainArithmetic>(
    arith: &K,
    summation: Summation,
    batch: usize,
    delta: &[K::Number],
    h: &[K::Number],
) -> Vec<K::Number> {
    let (rows, columns) = (delta.len() / batch.max(1), h.len() / batch.max(1));
    let mut out = vec![arith.round(0.0); rows * columns];
    arith.transposed_times(summation, delta, h, &mut out, Shape { rows, inner: batch, columns });
    out
}

/// dL/db of a layer, the sum of the rows of D.
pub fn bias_gradient<K: ChainArithmetic>(
    arith: &K,
    summation: Summation,
    batch: usize,
    delta: &[K::Number],
) -> Vec<K::Number> {
    weight_gradient(arith, summation, batch, delta, &vec![arith.round(1.0); batch])
}

/// `ends` rounded into the format of `arith`: input and upstream gradient.
pub fn round_ends<A: Arithmetic>(arith: &A, ends: &Ends) -> (Vec<A::Number>, Vec<A::Number>) {
    let round = |values: &[f64]| values.iter().map(|&x| arith.round(x)).collect();
    (round(&ends.input), round(&ends.upstream))
}

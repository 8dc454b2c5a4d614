//! A network: what to compute, in f64, before any rounding into a format.

use gradchain_activations::Activation;
use gradchain_gradients::Remedy;

/// One layer `h' = f(W h + b)`, unless the [`Wiring`] of its network says otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Rows of W: the width of h'.
    pub outputs: usize,
    /// Columns of W: the width of h.
    pub inputs: usize,
    /// W, row-major, `outputs · inputs` numbers.
    pub weights: Vec<f64>,
    /// What the f64 weights leave off, where the true weights are known beyond f64 (0.8, the square root of 2): the true weight is
    /// `weights[i] + weights_rest[i]`. Only the reference for unrounded inputs reads it.
    pub weights_rest: Option<Vec<f64>>,
    /// b, `outputs` numbers.
    pub bias: Option<Vec<f64>>,
}

/// How a layer is built around `z = W h + b` and the activation f.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wiring {
    /// `h' = f(z)`.
    Plain,
    /// `h' = h + scale · f(z)` where the layer is square, and `f(z)` where it is not (He, Zhang, Ren and Sun 2016, "Deep residual learning").
    Residual {
        /// The factor of the branch.
        scale: f64,
    },
    /// `h' = f(z / sqrt(mean(z²) + ε))`, sample by sample (Zhang and Sennrich 2019, without weights), ε being [`EPSILON`](Wiring::EPSILON).
    RmsNorm,
    /// `h' = f((z - mean) / sqrt(variance + ε))`, unit by unit over the batch (Ioffe and Szegedy 2015, training mode, without weights and biases).
    BatchNorm,
}

impl Wiring {
    /// The ε of the normalisations: what PyTorch takes for its batch and layer normalisation.
    pub const EPSILON: f64 = 1e-5;

    /// What a remedy does to the network itself; plain where it treats gradients alone.
    pub fn of(remedy: Remedy) -> Wiring {
        match remedy {
            Remedy::Residual(scale) => Wiring::Residual { scale },
            Remedy::RmsNorm => Wiring::RmsNorm,
            Remedy::BatchNorm => Wiring::BatchNorm,
            Remedy::None
            | Remedy::ClipValue(_)
            | Remedy::ClipNorm(_)
            | Remedy::Adaptive(_)
            | Remedy::Normalise
            | Remedy::LossScale(_) => Wiring::Plain,
        }
    }

    /// The factor of the branch beside which a layer of this shape hands on its input, where it does.
    pub fn skips(self, inputs: usize, outputs: usize) -> Option<f64> {
        match self {
            Wiring::Residual { scale } if inputs == outputs => Some(scale),
            Wiring::Residual { .. } | Wiring::Plain | Wiring::RmsNorm | Wiring::BatchNorm => None,
        }
    }

    /// Whether z is normalised.
    pub fn normalises(self) -> bool {
        match self {
            Wiring::RmsNorm | Wiring::BatchNorm => true,
            Wiring::Plain | Wiring::Residual { .. } => false,
        }
    }
}

/// Layers that share one activation, the last one perhaps apart. Width 1 is a scalar chain; no layers at all is the identity.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// The layers, from the input on; the outputs of each are the inputs of the next.
    pub layers: Vec<Layer>,
    /// The activation of every layer but the last.
    pub activation: Activation,
    /// The activation of the last layer: that of the others in a plain chain, the identity in a network that is trained on classes.
    pub output: Activation,
    /// How every layer is built.
    pub wiring: Wiring,
}

/// What enters a network at its two ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Ends {
    /// Samples.
    pub batch: usize,
    /// h_0, row-major `batch · inputs of the first layer`.
    pub input: Vec<f64>,
    /// dL/dh_d, row-major `batch · outputs of the last layer`.
    pub upstream: Vec<f64>,
}

impl Network {
    /// These layers, plainly one after the other, every one with this activation.
    pub fn plain(layers: Vec<Layer>, activation: Activation) -> Network {
        Network { layers, activation, output: activation, wiring: Wiring::Plain }
    }

    /// The activation of layer number `t`, counted from 0 at the input.
    pub fn activation_of(&self, t: usize) -> Activation {
        if t + 1 == self.layers.len() { self.output } else { self.activation }
    }

    /// Whether the output is an affine function of the input, so that the backward pass needs no forward pass.
    pub fn is_linear(&self) -> bool {
        let identity = (0..self.layers.len()).all(|t| self.activation_of(t) == Activation::Identity);
        identity && !self.wiring.normalises()
    }

    /// Width of the input; 0 for a network without layers.
    pub fn inputs(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.inputs)
    }

    /// Width of the output; 0 for a network without layers.
    pub fn outputs(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.outputs)
    }
}

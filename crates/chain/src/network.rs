//! A network: what to compute, in f64, before any rounding into a format.

use gradchain_activations::Activation;

/// One layer `h' = f(W h + b)`.
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

/// Layers that share one activation. Width 1 is a scalar chain; no layers at all is the identity.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// The layers, from the input on; the outputs of each are the inputs of the next.
    pub layers: Vec<Layer>,
    /// The activation of every layer, the last included.
    pub activation: Activation,
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
    /// Width of the input; 0 for a network without layers.
    pub fn inputs(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.inputs)
    }

    /// Width of the output; 0 for a network without layers.
    pub fn outputs(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.outputs)
    }
}

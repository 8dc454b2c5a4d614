//! Variances of common initialisations, and how the variances of signals and gradients change with them: Glorot and Bengio (2010), He et al. (2015).

use crate::error::{TheoryError, width};
use std::fmt;
use std::str::FromStr;

/// How the weights of a layer are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Initialisation {
    /// `1/fan_in` (LeCun et al. 1998, section 4.6).
    LeCun,
    /// `2/fan_in` (He et al. 2015, eq. 10).
    He,
    /// `2/(fan_in + fan_out)` (Glorot and Bengio 2010, eq. 16).
    Xavier,
    /// `1/(3 fan_in)`: uniform on `±1/√fan_in`, the standard initialisation of Glorot and Bengio (2010, eq. 1) and the default of torch.nn.Linear.
    Torch,
}

impl Initialisation {
    /// All of them, in the order in which they are listed to users.
    pub const ALL: [Initialisation; 4] =
        [Initialisation::Xavier, Initialisation::He, Initialisation::LeCun, Initialisation::Torch];

    /// The name used in studies.
    pub const fn name(self) -> &'static str {
        match self {
            Initialisation::LeCun => "lecun",
            Initialisation::He => "he",
            Initialisation::Xavier => "xavier",
            Initialisation::Torch => "torch",
        }
    }

    /// Variance of a weight.
    ///
    /// # Errors
    /// If a fan is 0 or above 2^32.
    pub fn variance(self, fan_in: usize, fan_out: usize) -> Result<f64, TheoryError> {
        let (fan_in, fan_out) = (width("fan_in", fan_in)?, width("fan_out", fan_out)?);
        Ok(match self {
            Initialisation::LeCun => 1.0 / fan_in,
            Initialisation::He => 2.0 / fan_in,
            Initialisation::Xavier => 2.0 / (fan_in + fan_out),
            Initialisation::Torch => 1.0 / (3.0 * fan_in),
        })
    }

    /// σ_w² of mean-field theory, `fan_in` times the variance of a weight.
    ///
    /// # Errors
    /// If a fan is 0 or above 2^32.
    pub fn weight_variance(self, fan_in: usize, fan_out: usize) -> Result<f64, TheoryError> {
        let (wide_in, wide_out) = (width("fan_in", fan_in)?, width("fan_out", fan_out)?);
        Ok(match self {
            Initialisation::LeCun => 1.0,
            Initialisation::He => 2.0,
            Initialisation::Xavier => 2.0 * wide_in / (wide_in + wide_out),
            Initialisation::Torch => 1.0 / 3.0,
        })
    }
}

impl fmt::Display for Initialisation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Initialisation {
    type Err = TheoryError;

    fn from_str(text: &str) -> Result<Initialisation, TheoryError> {
        Initialisation::ALL.into_iter().find(|init| init.name() == text).ok_or_else(|| TheoryError::Unknown {
            kind: "initialisation",
            text: text.to_owned(),
            known: Initialisation::ALL.map(Initialisation::name).join(", "),
        })
    }
}

/// Natural logarithms of variances around one layer of a linear network, in units of those of the input and of the upstream gradient, per component.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerVariances {
    /// Of the layer's input: `Σ ln(n_in Var W)` over the layers before (Glorot and Bengio 2010, eq. 5).
    pub ln_forward: f64,
    /// Of the gradient with respect to the layer's output: `Σ ln(n_out Var W)` over the layers behind (eq. 6).
    pub ln_backward: f64,
    /// Of the gradient with respect to a weight, the product of both (eq. 7): the same in all layers of equal width, whether the back-propagated
    /// gradient vanishes or not (eq. 14).
    pub ln_weight_gradient: f64,
}

/// The variances around each layer, from the input on, of a linear network, or of a symmetric one in its linear regime; `widths` are n_0 to n_d,
/// `weight_variances` one for each of the d layers.
///
/// # Errors
/// If the numbers of layers do not agree, a width is 0 or above 2^32, or a variance not a finite number above 0.
pub fn layer_variances(
    widths: &[usize],
    weight_variances: &[f64],
) -> Result<Vec<LayerVariances>, TheoryError> {
    let depth = weight_variances.len();
    if widths.len() != depth + 1 {
        return Err(TheoryError::OutOfRange {
            what: "number of widths",
            value: widths.len() as f64,
            allowed: "one more than the number of variances",
        });
    }
    let mut logarithms = Vec::with_capacity(depth);
    for &n in widths {
        logarithms.push(libm::log(width("width", n)?));
    }
    let mut layers =
        vec![LayerVariances { ln_forward: 0.0, ln_backward: 0.0, ln_weight_gradient: 0.0 }; depth];
    for l in 1..depth {
        let variance = crate::error::positive("weight_variance", weight_variances[l - 1])?;
        layers[l].ln_forward = layers[l - 1].ln_forward + logarithms[l - 1] + libm::log(variance);
    }
    for l in (0..depth).rev() {
        let variance = crate::error::positive("weight_variance", weight_variances[l])?;
        if l > 0 {
            layers[l - 1].ln_backward = layers[l].ln_backward + logarithms[l + 1] + libm::log(variance);
        }
    }
    for layer in &mut layers {
        layer.ln_weight_gradient = layer.ln_forward + layer.ln_backward;
    }
    Ok(layers)
}

/// The factor of a back-propagated gradient's standard deviation per component over one ReLU layer: `√(fan_out Var W / 2)` (He et al. 2015, eq. 14).
/// With Xavier's variance on equal widths `1/√2` a layer: 2^-11 over 22 layers, 2^-15 over 30.
///
/// # Errors
/// If the fan is 0 or above 2^32, or the variance not a finite number above 0.
pub fn relu_backward_factor(fan_out: usize, weight_variance: f64) -> Result<f64, TheoryError> {
    let variance = crate::error::positive("weight_variance", weight_variance)?;
    Ok((0.5 * width("fan_out", fan_out)? * variance).sqrt())
}

/// He's standard deviation for a convolution with kernels of `kernel` by `kernel` and `channels` channels: `√(2/(k² c))` (He et al. 2015, eq. 10
/// and 14).
///
/// # Errors
/// If the kernel or the channels are 0, or their product is above 2^32.
pub fn convolution_deviation(kernel: usize, channels: usize) -> Result<f64, TheoryError> {
    let kernel = width("kernel", kernel)?;
    let fan = kernel * kernel * width("channels", channels)?;
    Ok((2.0 / fan).sqrt())
}

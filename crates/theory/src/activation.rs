//! The activation functions of networks: value, slope and curvature, to a few ulp in f64.
//!
//! The names are those of studies. Nothing here is shared with the functions whose results are predicted.

use crate::error::TheoryError;
use crate::special::{erf, normal_density, normal_distribution};
use std::f64::consts::{FRAC_2_SQRT_PI, PI};
use std::fmt;
use std::str::FromStr;

/// An elementwise activation function φ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// `x`.
    Identity,
    /// `1 / (1 + e^-x)`.
    Sigmoid,
    /// `max(x, 0)`.
    Relu,
    /// `tanh x`.
    Tanh,
    /// `x`, and [`LEAKY_SLOPE`]` x` for x < 0.
    LeakyRelu,
    /// `x`, and `e^x - 1` for x < 0 (Clevert et al. 2016, α = 1).
    Elu,
    /// `λ x`, and `λ α (e^x - 1)` for x < 0 (Klambauer et al. 2017).
    Selu,
    /// `x Φ(x)` (Hendrycks and Gimpel 2016).
    Gelu,
    /// `x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))`, the approximation of the same paper.
    GeluTanh,
    /// `x / (1 + e^-x)` (Elfwing et al. 2018; swish of Ramachandran et al. 2017).
    Silu,
    /// `ln(1 + e^x)`.
    Softplus,
    /// `erf x`.
    Erf,
    /// `x` between -1 and 1, and these beyond.
    HardTanh,
}

/// Slope of leaky ReLU for x < 0 (Maas et al. 2013).
pub const LEAKY_SLOPE: f64 = 0.01;

/// λ and α of SELU (Klambauer et al. 2017).
pub const SELU: (f64, f64) = (1.050_700_987_355_480_5, 1.673_263_242_354_377_2);

/// A point at which the slope jumps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kink {
    /// The argument.
    pub at: f64,
    /// Slope before it.
    pub before: f64,
    /// Slope behind it.
    pub after: f64,
}

impl Activation {
    /// All activations, in the order in which they are listed to users.
    pub const ALL: [Activation; 13] = [
        Activation::Identity,
        Activation::Sigmoid,
        Activation::Relu,
        Activation::Tanh,
        Activation::LeakyRelu,
        Activation::Elu,
        Activation::Selu,
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Silu,
        Activation::Softplus,
        Activation::Erf,
        Activation::HardTanh,
    ];

    /// The name used in studies and rows.
    pub const fn name(self) -> &'static str {
        match self {
            Activation::Identity => "identity",
            Activation::Sigmoid => "sigmoid",
            Activation::Relu => "relu",
            Activation::Tanh => "tanh",
            Activation::LeakyRelu => "leaky-relu",
            Activation::Elu => "elu",
            Activation::Selu => "selu",
            Activation::Gelu => "gelu",
            Activation::GeluTanh => "gelu-tanh",
            Activation::Silu => "silu",
            Activation::Softplus => "softplus",
            Activation::Erf => "erf",
            Activation::HardTanh => "hard-tanh",
        }
    }

    /// φ(x) for finite x.
    pub fn value(self, x: f64) -> f64 {
        match self {
            Activation::Identity => x,
            Activation::Sigmoid => sigmoid(x),
            Activation::Relu => x.max(0.0),
            Activation::Tanh => libm::tanh(x),
            Activation::LeakyRelu => x * if x < 0.0 { LEAKY_SLOPE } else { 1.0 },
            Activation::Elu => {
                if x < 0.0 {
                    libm::expm1(x)
                } else {
                    x
                }
            }
            Activation::Selu => SELU.0 * if x < 0.0 { SELU.1 * libm::expm1(x) } else { x },
            Activation::Gelu => x * normal_distribution(x),
            Activation::GeluTanh => x * sigmoid(2.0 * inner(x).0),
            Activation::Silu => x * sigmoid(x),
            Activation::Softplus => x.max(0.0) + libm::log1p(libm::exp(-x.abs())),
            Activation::Erf => erf(x),
            Activation::HardTanh => x.clamp(-1.0, 1.0),
        }
    }

    /// φ'(x) for finite x; at a kink the slope behind it for x >= 0.
    pub fn slope(self, x: f64) -> f64 {
        match self {
            Activation::Identity => 1.0,
            Activation::Sigmoid => sigmoid_slope(x),
            Activation::Relu => {
                if x < 0.0 {
                    0.0
                } else {
                    1.0
                }
            }
            Activation::Tanh => 4.0 * sigmoid_slope(2.0 * x),
            Activation::LeakyRelu => {
                if x < 0.0 {
                    LEAKY_SLOPE
                } else {
                    1.0
                }
            }
            Activation::Elu => {
                if x < 0.0 {
                    libm::exp(x)
                } else {
                    1.0
                }
            }
            Activation::Selu => SELU.0 * if x < 0.0 { SELU.1 * libm::exp(x) } else { 1.0 },
            Activation::Gelu => normal_distribution(x) + x * normal_density(x),
            Activation::GeluTanh => {
                let (u, du, _) = inner(x);
                sigmoid(2.0 * u) + x * 2.0 * du * sigmoid_slope(2.0 * u)
            }
            Activation::Silu => sigmoid(x) + x * sigmoid_slope(x),
            Activation::Softplus => sigmoid(x),
            Activation::Erf => FRAC_2_SQRT_PI * libm::exp(-x * x),
            Activation::HardTanh => {
                if x.abs() < 1.0 {
                    1.0
                } else {
                    0.0
                }
            }
        }
    }

    /// φ''(x) for finite x away from kinks.
    pub fn curvature(self, x: f64) -> f64 {
        match self {
            Activation::Identity | Activation::Relu | Activation::LeakyRelu | Activation::HardTanh => 0.0,
            Activation::Sigmoid => sigmoid_curvature(x),
            Activation::Tanh => 8.0 * sigmoid_curvature(2.0 * x),
            Activation::Elu => {
                if x < 0.0 {
                    libm::exp(x)
                } else {
                    0.0
                }
            }
            Activation::Selu => {
                if x < 0.0 {
                    SELU.0 * SELU.1 * libm::exp(x)
                } else {
                    0.0
                }
            }
            Activation::Gelu => {
                let density = normal_density(x);
                if density == 0.0 { 0.0 } else { density * (2.0 - x * x) }
            }
            Activation::GeluTanh => {
                let (u, du, ddu) = inner(x);
                let slope = sigmoid_slope(2.0 * u);
                4.0 * du * slope + x * (2.0 * ddu * slope + 4.0 * du * du * sigmoid_curvature(2.0 * u))
            }
            Activation::Silu => 2.0 * sigmoid_slope(x) + x * sigmoid_curvature(x),
            Activation::Softplus => sigmoid_slope(x),
            Activation::Erf => -2.0 * x * FRAC_2_SQRT_PI * libm::exp(-x * x),
        }
    }

    /// Where the slope jumps.
    pub fn kinks(self) -> &'static [Kink] {
        const fn kink(at: f64, before: f64, after: f64) -> Kink {
            Kink { at, before, after }
        }
        match self {
            Activation::Relu => const { &[kink(0.0, 0.0, 1.0)] },
            Activation::LeakyRelu => const { &[kink(0.0, LEAKY_SLOPE, 1.0)] },
            Activation::Selu => const { &[kink(0.0, SELU.0 * SELU.1, SELU.0)] },
            Activation::HardTanh => const { &[kink(-1.0, 0.0, 1.0), kink(1.0, 1.0, 0.0)] },
            Activation::Identity
            | Activation::Sigmoid
            | Activation::Tanh
            | Activation::Elu
            | Activation::Gelu
            | Activation::GeluTanh
            | Activation::Silu
            | Activation::Softplus
            | Activation::Erf => &[],
        }
    }

    /// The slopes at -∞ and +∞.
    pub fn outer_slopes(self) -> (f64, f64) {
        match self {
            Activation::Identity => (1.0, 1.0),
            Activation::Sigmoid | Activation::Tanh | Activation::Erf | Activation::HardTanh => (0.0, 0.0),
            Activation::LeakyRelu => (LEAKY_SLOPE, 1.0),
            Activation::Selu => (0.0, SELU.0),
            Activation::Relu
            | Activation::Elu
            | Activation::Gelu
            | Activation::GeluTanh
            | Activation::Silu
            | Activation::Softplus => (0.0, 1.0),
        }
    }

    /// The slopes on both sides of 0, where φ is a straight line on each: `φ(c x) = c φ(x)` for c > 0.
    pub fn homogeneous_slopes(self) -> Option<(f64, f64)> {
        match self {
            Activation::Identity | Activation::Relu | Activation::LeakyRelu => Some(self.outer_slopes()),
            Activation::Sigmoid
            | Activation::Tanh
            | Activation::Elu
            | Activation::Selu
            | Activation::Gelu
            | Activation::GeluTanh
            | Activation::Silu
            | Activation::Softplus
            | Activation::Erf
            | Activation::HardTanh => None,
        }
    }

    /// The largest |φ'|: the constant γ of Pascanu, Mikolov and Bengio (2013, section 2.1), 1 for tanh and 1/4 for sigmoid.
    ///
    /// GELU has it at √2; SiLU and the approximate GELU where their curvature, found by bisection, is 0.
    pub fn steepest_slope(self) -> f64 {
        match self {
            Activation::Sigmoid => 0.25,
            Activation::Selu => SELU.0 * SELU.1,
            Activation::Gelu => self.slope(std::f64::consts::SQRT_2),
            Activation::GeluTanh | Activation::Silu => {
                self.slope(crate::roots::bisect(1.0, 4.0, |x| self.curvature(x)))
            }
            Activation::Erf => FRAC_2_SQRT_PI,
            Activation::Identity
            | Activation::Relu
            | Activation::Tanh
            | Activation::LeakyRelu
            | Activation::Elu
            | Activation::Softplus
            | Activation::HardTanh => 1.0,
        }
    }
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Activation {
    type Err = TheoryError;

    fn from_str(text: &str) -> Result<Activation, TheoryError> {
        Activation::ALL.into_iter().find(|activation| activation.name() == text).ok_or_else(|| {
            TheoryError::Unknown {
                kind: "activation",
                text: text.to_owned(),
                known: Activation::ALL.map(Activation::name).join(", "),
            }
        })
    }
}

fn sigmoid(x: f64) -> f64 {
    let e = libm::exp(-x.abs());
    if x < 0.0 { e / (1.0 + e) } else { 1.0 / (1.0 + e) }
}

/// `σ'(x) = e / (1 + e)²` with `e = e^-|x|`.
fn sigmoid_slope(x: f64) -> f64 {
    let e = libm::exp(-x.abs());
    e / ((1.0 + e) * (1.0 + e))
}

/// `σ''(x) = -σ'(x) tanh(x/2)`.
fn sigmoid_curvature(x: f64) -> f64 {
    -sigmoid_slope(x) * libm::tanh(0.5 * x)
}

/// `u(x) = √(2/π) (x + 0.044715 x³)`, its slope and its curvature; x is limited to ±40, where `tanh u` is ±1 and its slope 0.
fn inner(x: f64) -> (f64, f64, f64) {
    const CUBIC: f64 = 0.044_715;
    let (scale, x) = ((2.0 / PI).sqrt(), x.clamp(-40.0, 40.0));
    (scale * x * (1.0 + CUBIC * x * x), scale * (1.0 + 3.0 * CUBIC * x * x), scale * 6.0 * CUBIC * x)
}

//! The activation functions by name.

use std::fmt;
use std::str::FromStr;

/// An elementwise activation function. Constants are the real numbers that the decimals stand for.
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
    /// `x`, and `0.01 x` for x < 0.
    LeakyRelu,
    /// `x`, and `e^x - 1` for x < 0 (Clevert et al. 2016, α = 1).
    Elu,
    /// `λ x`, and `λ α (e^x - 1)` for x < 0, with λ = 1.0507009873554804934193349852946 and α = 1.6732632423543772848170429916717
    /// (Klambauer et al. 2017; the digits are PyTorch's).
    Selu,
    /// `x Φ(x)` with Φ the distribution function of the normal distribution (Hendrycks and Gimpel 2016).
    Gelu,
    /// `x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))`, the approximation of the same paper.
    GeluTanh,
    /// `x / (1 + e^-x)`, also called swish.
    Silu,
    /// `ln(1 + e^x)`.
    Softplus,
    /// `erf x`, the error function.
    Erf,
    /// `x` between -1 and 1, and these beyond.
    HardTanh,
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

    /// The name used in studies, rows and bench ids.
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
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Activation {
    type Err = String;

    fn from_str(text: &str) -> Result<Activation, String> {
        Activation::ALL.into_iter().find(|activation| activation.name() == text).ok_or_else(|| {
            let known = Activation::ALL.map(Activation::name).join(", ");
            format!("unknown activation `{text}`; known: {known}")
        })
    }
}

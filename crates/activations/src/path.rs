//! Ways to compute a derivative.

use crate::activation::Activation;
use std::fmt;
use std::str::FromStr;

/// How a derivative is computed; [`derivative`](crate::derivative) has the formulas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Path {
    /// From the stored output, every operation rounded in the format.
    Output,
    /// From the stored input, recomputing the output in the wide format, one rounding at the end.
    Input,
    /// From the values at x and -x, each rounded in the format.
    Symmetric,
    /// The true derivative; its product with the upstream gradient is rounded once.
    #[default]
    Fused,
    /// The true derivative, rounded into the format, and then multiplied with the upstream gradient: two roundings.
    Multiplied,
    /// The textbook formula from the stored input, every operation rounded in the format.
    Native,
    /// As fused, but at the kink of a function the one of its two slopes that is not the default: 1 for ReLU at 0, as in candle.
    SlopeOne,
    /// As fused, but at the kink of a function the mean of its two slopes: 1/2 for ReLU at 0, as JAX has it for `maximum(x, 0)`.
    SlopeHalf,
}

impl Path {
    /// All paths, in the order in which they are listed to users.
    pub const ALL: [Path; 8] = [
        Path::Output,
        Path::Input,
        Path::Symmetric,
        Path::Fused,
        Path::Multiplied,
        Path::Native,
        Path::SlopeOne,
        Path::SlopeHalf,
    ];

    /// The name used in studies, rows and bench ids.
    pub const fn name(self) -> &'static str {
        match self {
            Path::Output => "output",
            Path::Input => "input",
            Path::Symmetric => "symmetric",
            Path::Fused => "fused",
            Path::Multiplied => "multiplied",
            Path::Native => "native",
            Path::SlopeOne => "slope-one",
            Path::SlopeHalf => "slope-half",
        }
    }

    /// Whether the derivative of `activation` can be computed this way. From the output alone it cannot where the function is not
    /// monotone (GELU, SiLU) or its inverse has no simple form (erf); from the output recomputed, and from those at x and -x, where no
    /// such formula is in use.
    pub const fn is_defined_for(self, activation: Activation) -> bool {
        let linear = matches!(
            activation,
            Activation::Identity | Activation::Relu | Activation::LeakyRelu | Activation::HardTanh
        );
        let classical = linear || matches!(activation, Activation::Sigmoid | Activation::Tanh);
        match self {
            Path::Output => {
                classical || matches!(activation, Activation::Elu | Activation::Selu | Activation::Softplus)
            }
            Path::Input | Path::Symmetric => classical,
            Path::Fused | Path::Multiplied | Path::Native | Path::SlopeOne | Path::SlopeHalf => true,
        }
    }

    /// # Panics
    /// If the path is not defined for the activation: callers are to ask [`is_defined_for`](Path::is_defined_for) first.
    pub(crate) fn check(self, activation: Activation) {
        assert!(self.is_defined_for(activation), "the path `{self}` is not defined for `{activation}`");
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Path {
    type Err = String;

    fn from_str(text: &str) -> Result<Path, String> {
        Path::ALL.into_iter().find(|path| path.name() == text).ok_or_else(|| {
            let known = Path::ALL.map(Path::name).join(", ");
            format!("unknown derivative path `{text}`; known: {known}")
        })
    }
}

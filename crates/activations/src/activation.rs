//! The activation functions by name, on numbers and on slices.

use crate::function::Function;
use crate::identity::Identity;
use crate::path::Path;
use crate::relu::Relu;
use crate::sigmoid::Sigmoid;
use crate::tanh::Tanh;
use gradchain_arith::Arithmetic;
use std::fmt;
use std::str::FromStr;

/// An elementwise activation function.
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
}

/// `$body` with `$function` the type of the activation: the one place that joins names to functions.
macro_rules! dispatch {
    ($activation:expr, $function:ident => $body:expr) => {
        match $activation {
            Activation::Identity => {
                type $function = Identity;
                $body
            }
            Activation::Sigmoid => {
                type $function = Sigmoid;
                $body
            }
            Activation::Relu => {
                type $function = Relu;
                $body
            }
            Activation::Tanh => {
                type $function = Tanh;
                $body
            }
        }
    };
}

impl Activation {
    /// All activations, in the order in which they are listed to users.
    pub const ALL: [Activation; 4] =
        [Activation::Identity, Activation::Sigmoid, Activation::Relu, Activation::Tanh];

    /// The name used in studies, rows and bench ids.
    pub const fn name(self) -> &'static str {
        match self {
            Activation::Identity => "identity",
            Activation::Sigmoid => "sigmoid",
            Activation::Relu => "relu",
            Activation::Tanh => "tanh",
        }
    }
}

/// The activation at `x`, rounded once.
///
/// The result is the correctly rounded one when rounding to nearest (for formats above 24 bits, up to the chance that the true value
/// agrees with a midpoint to 100 bits). Other directions round a value that is close to the true one and lies on the right side
/// of 0, 1/2, 1 and x; `rounded.rs` says how closely. NaN gives NaN. σ(0) = 1/2, σ(-∞) = +0, σ(∞) = 1, tanh(±0) = ±0, tanh(±∞) = ±1,
/// relu(-0) = +0.
#[inline]
pub fn value<A: Arithmetic>(arith: &A, activation: Activation, x: A::Number) -> A::Number {
    dispatch!(activation, F => F::value(arith, x))
}

/// The derivative of the activation by `path`, where `x` is the pre-activation and `y` the stored [`value`] at x.
///
/// - [`Path::Output`] reads y alone. Sigmoid: `u = fl(1 - y)`, `fl(y · u)`. Tanh: `q = fl(y · y)`, `fl(1 - q)`.
/// - [`Path::Input`] reads x alone. In the wide format, each step rounded to nearest: sigmoid `e = e^-x`, `s = 1 / (1 + e)`,
///   `s · (1 - s)`; tanh `t = tanh x`, `1 - t · t`; then one rounding by `arith`.
/// - [`Path::Symmetric`]: sigmoid `fl(y · value(-x))`; tanh `fl(fl(1 - y) · fl(1 + y))`.
/// - [`Path::Fused`] reads x alone and is the true derivative rounded once, as closely as [`value`] is. Bitwise even in x.
///
/// At ±∞ sigmoid and tanh have slope +0, and at 0 exactly 1/4 and 1. ReLU has slope 0 at ±0 and 1 from the least positive number
/// on. The slope at NaN is NaN, but that of the identity is 1 everywhere.
#[inline]
pub fn derivative<A: Arithmetic>(
    arith: &A,
    activation: Activation,
    path: Path,
    x: A::Number,
    y: A::Number,
) -> A::Number {
    dispatch!(activation, F => F::derivative(arith, path, x, y))
}

/// The gradient with respect to x: `fl(upstream · d)`, where `d` is the [`derivative`], rounded before it is multiplied.
///
/// ReLU and the identity do not multiply: an active unit hands on the upstream gradient as it is, an inactive one gives +0 whatever the
/// upstream gradient, infinite and NaN included (a mask, as in PyTorch; IEEE multiplication would give NaN).
#[inline]
pub fn backpropagate<A: Arithmetic>(
    arith: &A,
    activation: Activation,
    path: Path,
    upstream: A::Number,
    x: A::Number,
    y: A::Number,
) -> A::Number {
    dispatch!(activation, F => F::backpropagate(arith, path, upstream, x, y))
}

/// `y[i] = ` [`value`] at `x[i]`. Element i draws its random bits from stream i. Nothing is allocated.
///
/// # Panics
/// If the slices differ in length.
pub fn apply<A: Arithmetic>(arith: &A, activation: Activation, x: &[A::Number], y: &mut [A::Number]) {
    assert_eq!(x.len(), y.len(), "activation of {} numbers into {}", x.len(), y.len());
    dispatch!(activation, F => for (i, (y, &x)) in y.iter_mut().zip(x).enumerate() {
        *y = F::value(&arith.stream(i as u64), x);
    });
}

/// `gradient[i] = ` [`backpropagate`] of the upstream `gradient[i]` at `x[i]`, `y[i]`, in place. Element i draws its random bits
/// from stream i. Nothing is allocated.
///
/// # Panics
/// If the slices differ in length.
pub fn backpropagate_slice<A: Arithmetic>(
    arith: &A,
    activation: Activation,
    path: Path,
    gradient: &mut [A::Number],
    x: &[A::Number],
    y: &[A::Number],
) {
    let n = gradient.len();
    assert!(x.len() == n && y.len() == n, "gradient of {n} numbers, {} inputs, {} outputs", x.len(), y.len());
    dispatch!(activation, F => for (i, (g, (&x, &y))) in gradient.iter_mut().zip(x.iter().zip(y)).enumerate() {
        *g = F::backpropagate(&arith.stream(i as u64), path, *g, x, y);
    });
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

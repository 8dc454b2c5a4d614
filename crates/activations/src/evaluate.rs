//! The functions on numbers and on slices, by every path.

use crate::accurate::Activations;
use crate::activation::Activation;
use crate::path::Path;
use crate::paths;

/// The activation at `x`, rounded once.
///
/// In f16 and bf16 the result is correctly rounded. In f32 it is within 0.6 ulp, in f64 within 1 ulp. In every other
/// format, and under other rules than those of the native arithmetic, a value within 1 ulp of f64 is rounded once, so that its error is at
/// most 0.5 ulp + 2^(p - 53) ulp at a precision of p bits; sigmoid and tanh are correctly rounded to nearest there too, and `rounded.rs` says how
/// closely for other directions. Where the true function rises or falls, so do the values of f16, bf16 and f32 (`tests/properties.rs`, `tests/order.rs`).
///
/// NaN gives NaN; zeros keep their sign where f(0) = 0, but relu(-0) = +0. At ±∞ stand the limits, gelu(-∞) = silu(-∞) = -0.
#[inline]
pub fn value<A: Activations>(arith: &A, activation: Activation, x: A::Number) -> A::Number {
    arith.accurate_value(activation, x)
}

/// The derivative of the activation by `path`, where `x` is the pre-activation and `y` the stored [`value`] at x. fl(·) is one operation
/// rounded in the format.
///
/// - [`Path::Fused`] and [`Path::Multiplied`] read x alone and give the true derivative rounded once, as closely as [`value`] is.
/// - [`Path::Output`] reads y alone. Sigmoid: `u = fl(1 - y)`, `fl(y · u)`. Tanh: `q = fl(y · y)`, `fl(1 - q)`. Softplus:
///   `fl(1 - fl(e^-y))`. ELU `fl(y + 1)` and SELU `fl(y + λα)` where y is not positive.
/// - [`Path::Input`] reads x alone. In the wide format, each step rounded to nearest: sigmoid `e = e^-x`, `s = 1 / (1 + e)`,
///   `s · (1 - s)`; tanh `t = tanh x`, `1 - t · t`; then one rounding by `arith`.
/// - [`Path::Symmetric`]: sigmoid `fl(y · value(-x))`; tanh `fl(fl(1 - y) · fl(1 + y))`.
/// - [`Path::Native`] reads x alone; `paths.rs` has the formulas, which are those of the textbooks.
/// - [`Path::SlopeOne`] and [`Path::SlopeHalf`] are the fused path but for the kinks: ReLU, leaky ReLU and SELU at ±0, hard tanh at ±1.
///
/// The slopes of the linear functions are the same on all other paths. At a kink they are those of PyTorch: ReLU 0, leaky ReLU 0.01,
/// SELU λα, hard tanh 0. The slope at NaN is NaN, but that of the identity is 1 everywhere.
///
/// # Panics
/// If the path is not [defined](Path::is_defined_for) for the activation.
#[inline]
pub fn derivative<A: Activations>(
    arith: &A,
    activation: Activation,
    path: Path,
    x: A::Number,
    y: A::Number,
) -> A::Number {
    paths::derivative(arith, activation, path, x, y)
}

/// The gradient with respect to x: on the fused path the upstream gradient times the true derivative, rounded once; on the others
/// `fl(upstream · d)`, where `d` is the [`derivative`], rounded before it is multiplied.
///
/// The identity, ReLU, leaky ReLU and hard tanh do not multiply where their slope is 1 or 0: an active unit hands on the upstream gradient as
/// it is, an inactive one gives +0 whatever the upstream gradient, infinite and NaN included (a mask, as in PyTorch). On
/// [`Path::Multiplied`] they do multiply, and infinity times 0 is NaN.
///
/// # Panics
/// If the path is not [defined](Path::is_defined_for) for the activation.
#[inline]
pub fn backpropagate<A: Activations>(
    arith: &A,
    activation: Activation,
    path: Path,
    upstream: A::Number,
    x: A::Number,
    y: A::Number,
) -> A::Number {
    paths::backpropagate(arith, activation, path, upstream, x, y)
}

/// `y[i] = ` [`value`] at `x[i]`. Element i draws its random bits from stream i. Nothing is allocated.
///
/// # Panics
/// If the slices differ in length.
pub fn apply<A: Activations>(arith: &A, activation: Activation, x: &[A::Number], y: &mut [A::Number]) {
    assert_eq!(x.len(), y.len(), "activation of {} numbers into {}", x.len(), y.len());
    arith.accurate_values(activation, x, y);
}

/// `d[i] = ` [`derivative`] at `x[i]`, `y[i]`. Element i draws its random bits from stream i. Nothing is allocated.
///
/// # Panics
/// If the slices differ in length, or the path is not [defined](Path::is_defined_for) for the activation.
pub fn derivative_slice<A: Activations>(
    arith: &A,
    activation: Activation,
    path: Path,
    x: &[A::Number],
    y: &[A::Number],
    d: &mut [A::Number],
) {
    let n = d.len();
    assert!(x.len() == n && y.len() == n, "{n} derivatives of {} inputs, {} outputs", x.len(), y.len());
    path.check(activation);
    match path {
        Path::Fused | Path::Multiplied => arith.accurate_slopes(activation, x, d),
        Path::Output | Path::Input | Path::Symmetric | Path::Native | Path::SlopeOne | Path::SlopeHalf => {
            arith.path_slopes(activation, path, x, y, d);
        }
    }
}

/// `gradient[i] = ` [`backpropagate`] of the upstream `gradient[i]` at `x[i]`, `y[i]`, in place. Element i draws its random bits
/// from stream i. Nothing is allocated.
///
/// # Panics
/// If the slices differ in length, or the path is not [defined](Path::is_defined_for) for the activation.
pub fn backpropagate_slice<A: Activations>(
    arith: &A,
    activation: Activation,
    path: Path,
    gradient: &mut [A::Number],
    x: &[A::Number],
    y: &[A::Number],
) {
    let n = gradient.len();
    assert!(x.len() == n && y.len() == n, "gradient of {n} numbers, {} inputs, {} outputs", x.len(), y.len());
    path.check(activation);
    match path {
        Path::Fused => arith.accurate_pulls(activation, gradient, x),
        Path::Multiplied => arith.accurate_products(activation, gradient, x),
        Path::Output | Path::Input | Path::Symmetric | Path::Native | Path::SlopeOne | Path::SlopeHalf => {
            arith.path_pulls(activation, path, gradient, x, y);
        }
    }
}

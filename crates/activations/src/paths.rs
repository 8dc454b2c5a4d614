//! The derivative of one number by each path.

use crate::accurate::{Activations, has_flat_parts};
use crate::activation::Activation;
use crate::exp::exp_rounded;
use crate::lanes::{LAMBDA, LAMBDA_ALPHA};
use crate::path::Path;
use crate::{sigmoid, tanh};

/// [`derivative`](crate::derivative()).
pub(crate) fn derivative<A: Activations>(
    arith: &A,
    activation: Activation,
    path: Path,
    x: A::Number,
    y: A::Number,
) -> A::Number {
    path.check(activation);
    match path {
        Path::Fused | Path::Multiplied => arith.accurate_slope(activation, x),
        Path::SlopeOne | Path::SlopeHalf => match kink(activation, path, arith.value(x)) {
            Some(slope) => arith.round(slope),
            None => arith.accurate_slope(activation, x),
        },
        Path::Output | Path::Input | Path::Symmetric | Path::Native if has_flat_parts(activation) => {
            arith.accurate_slope(activation, x)
        }
        Path::Output => from_output(arith, activation, y),
        Path::Input => {
            let in_f32 = arith.format().precision() <= 12;
            let x = arith.value(x);
            arith.round(if activation == Activation::Tanh {
                tanh::from_input(x, in_f32)
            } else {
                sigmoid::from_input(x, in_f32)
            })
        }
        Path::Symmetric if activation == Activation::Tanh => {
            let one = arith.round(1.0);
            arith.mul(arith.sub(one, y), arith.add(one, y))
        }
        Path::Symmetric => arith.mul(y, arith.accurate_value(activation, arith.round(-arith.value(x)))),
        Path::Native => native(arith, activation, x),
    }
}

/// [`backpropagate`](crate::backpropagate).
pub(crate) fn backpropagate<A: Activations>(
    arith: &A,
    activation: Activation,
    path: Path,
    upstream: A::Number,
    x: A::Number,
    y: A::Number,
) -> A::Number {
    path.check(activation);
    match path {
        Path::Fused => arith.accurate_pull(activation, upstream, x),
        Path::Multiplied => arith.mul(upstream, arith.accurate_slope(activation, x)),
        Path::SlopeOne | Path::SlopeHalf => match kink(activation, path, arith.value(x)) {
            Some(1.0) => upstream,
            Some(slope) => arith.mul(upstream, arith.round(slope)),
            None => arith.accurate_pull(activation, upstream, x),
        },
        Path::Output | Path::Input | Path::Symmetric | Path::Native => {
            let slope = derivative(arith, activation, path, x, y);
            if has_flat_parts(activation) {
                if arith.value(slope) == 1.0 {
                    return upstream;
                } else if arith.value(slope) == 0.0 {
                    return arith.round(0.0);
                }
            }
            arith.mul(upstream, slope)
        }
    }
}

/// The slope that a path takes at a kink of the function, if x is one: the one that is not the default, or the mean of both.
pub(crate) fn kink(activation: Activation, path: Path, x: f64) -> Option<f64> {
    let (at_kink, [left, right]) = match activation {
        Activation::Relu => (x == 0.0, [0.0, 1.0]),
        Activation::LeakyRelu => (x == 0.0, [0.01, 1.0]),
        Activation::Selu => (x == 0.0, [LAMBDA_ALPHA[0], LAMBDA[0]]),
        Activation::HardTanh => (x.abs() == 1.0, [0.0, 1.0]),
        Activation::Identity
        | Activation::Sigmoid
        | Activation::Tanh
        | Activation::Elu
        | Activation::Gelu
        | Activation::GeluTanh
        | Activation::Silu
        | Activation::Softplus
        | Activation::Erf => (false, [0.0, 0.0]),
    };
    at_kink.then_some(if path == Path::SlopeHalf { (left + right) / 2.0 } else { right })
}

/// [`Path::Output`].
fn from_output<A: Activations>(arith: &A, activation: Activation, y: A::Number) -> A::Number {
    let one = arith.round(1.0);
    let positive = arith.value(y) > 0.0;
    match activation {
        Activation::Tanh => arith.sub(one, arith.mul(y, y)),
        Activation::Softplus => arith.sub(one, exp_rounded(arith, -arith.value(y))),
        Activation::Elu if positive || arith.value(y) == 0.0 => one,
        Activation::Elu => arith.add(y, one),
        Activation::Selu if positive => arith.round(LAMBDA[0]),
        Activation::Selu => arith.add(y, arith.round(LAMBDA_ALPHA[0])),
        Activation::Sigmoid => arith.mul(y, arith.sub(one, y)),
        Activation::Identity
        | Activation::Relu
        | Activation::LeakyRelu
        | Activation::HardTanh
        | Activation::Gelu
        | Activation::GeluTanh
        | Activation::Silu
        | Activation::Erf => unreachable!("no function of this path"),
    }
}

/// [`Path::Native`]: with every operation rounded in the format, exponentials, erf and tanh rounded once,
///
/// - sigmoid `s (1 - s)`, SiLU `s + x (s (1 - s))`, both with `s = 1 / (1 + e^-x)`; softplus `e / (1 + e)` with `e = e^x`;
/// - tanh `1 - t t`; ELU `(e^x - 1) + 1`, with the value for `e^x - 1`; SELU `λα (m + 1)` with the ELU's value m;
/// - erf `2/√π e^(-x x)`; GELU `(1 + erf(x 1/√2)) / 2 + x (e^(-(x x) / 2) 1/√(2π))`;
/// - GELU in the tanh form `(1 + t) / 2 + ((x / 2) (1 - t t)) u'` with `t = tanh u`, `u = k (x + β (x (x x)))`,
///   `u' = k (1 + 3β (x x))`, `k = √(2/π)`.
fn native<A: Activations>(arith: &A, activation: Activation, x: A::Number) -> A::Number {
    let one = arith.round(1.0);
    let half = arith.round(0.5);
    let exp_of = |x: A::Number| exp_rounded(arith, arith.value(x));
    let negated = |x: A::Number| arith.round(-arith.value(x));
    let sigmoid = || arith.div(one, arith.add(one, exp_of(negated(x))));
    match activation {
        Activation::Tanh => {
            let t = arith.accurate_value(activation, x);
            arith.sub(one, arith.mul(t, t))
        }
        Activation::Silu => {
            let s = sigmoid();
            arith.add(s, arith.mul(x, arith.mul(s, arith.sub(one, s))))
        }
        Activation::Softplus => {
            let e = exp_of(x);
            arith.div(e, arith.add(one, e))
        }
        Activation::Elu | Activation::Selu => {
            let m = arith.accurate_value(Activation::Elu, x);
            match (activation, arith.value(x) > 0.0, arith.value(x) == 0.0) {
                (Activation::Elu, true, _) | (Activation::Elu, _, true) => one,
                (Activation::Elu, ..) => arith.add(m, one),
                (_, true, _) => arith.round(LAMBDA[0]),
                _ => arith.mul(arith.round(LAMBDA_ALPHA[0]), arith.add(m, one)),
            }
        }
        Activation::Erf => {
            arith.mul(arith.round(std::f64::consts::FRAC_2_SQRT_PI), exp_of(negated(arith.mul(x, x))))
        }
        Activation::Gelu => {
            let scaled = arith.mul(x, arith.round(std::f64::consts::FRAC_1_SQRT_2));
            let below = arith.mul(half, arith.add(one, arith.accurate_value(Activation::Erf, scaled)));
            let exponent = negated(arith.mul(half, arith.mul(x, x)));
            // 1/√(2π)
            let density = arith.mul(exp_of(exponent), arith.round(0.398_942_280_401_432_7));
            arith.add(below, arith.mul(x, density))
        }
        Activation::GeluTanh => {
            let (k, beta) = (arith.round(0.797_884_560_802_865_4), arith.round(0.044_715));
            let square = arith.mul(x, x);
            let inner = arith.mul(k, arith.add(x, arith.mul(beta, arith.mul(x, square))));
            let t = arith.accurate_value(Activation::Tanh, inner);
            let slope = arith.mul(k, arith.add(one, arith.mul(arith.round(0.134_145), square)));
            let bend = arith.mul(arith.mul(half, x), arith.sub(one, arith.mul(t, t)));
            arith.add(arith.mul(half, arith.add(one, t)), arith.mul(bend, slope))
        }
        Activation::Sigmoid => {
            let s = sigmoid();
            arith.mul(s, arith.sub(one, s))
        }
        Activation::Identity | Activation::Relu | Activation::LeakyRelu | Activation::HardTanh => {
            arith.accurate_slope(activation, x)
        }
    }
}

//! Activations that are made of one exponential: ELU, SELU, softplus, SiLU, and GELU with a tanh.
//!
//! As in [`functions`](crate::functions) nothing is subtracted that could cancel, and beside the roots of the derivatives of SiLU and GELU their
//! [Taylor polynomials](roots) are used. Bounds are relative, hold for the x given, and saturation begins where the exponent of the exponential passes 2^40.

use crate::double_double::DoubleDouble;
use crate::functions::{AtPoint, exp, expm1_with_exp, magnitude, scaled_down};
use crate::roots::{self, Root};
use crate::triple::Triple;

/// SELU's scale, 1.0507009873554804934193349852946 (Klambauer, Unterthiner, Mayr and Hochreiter 2017), the decimal rounded to 106 bits.
pub(crate) const SELU_SCALE: DoubleDouble =
    DoubleDouble { hi: 1.0507009873554805, lo: 3.9874847667154144e-17 };

/// SELU's scale times its alpha, 1.6732632423543772848170429916717: the product of the decimals, rounded to 106 bits.
pub(crate) const SELU_SCALE_ALPHA: DoubleDouble =
    DoubleDouble { hi: 1.7580993408473768, lo: 1.41535193800845e-17 };

/// ln 2.
pub(crate) const LN_2: DoubleDouble = DoubleDouble { hi: std::f64::consts::LN_2, lo: 2.3190468138462996e-17 };

/// 2 sqrt(2/π).
const GELU_RATE: Triple =
    Triple { parts: [1.5957691216057308, -9.96930880911092e-17, -1.3699701790918484e-33] };

/// The decimal 0.044715.
const GELU_CUBIC: Triple = Triple { parts: [0.044715, 2.1960211427085595e-18, 1.1413831222416513e-34] };

/// Value and derivative of a gate where its exponential counts as 0: zeros that are approached from below.
pub(crate) const CLOSED: AtPoint = ((NEGATIVE_ZERO, 0), (NEGATIVE_ZERO, 0));

const NEGATIVE_ZERO: DoubleDouble = DoubleDouble { hi: -0.0, lo: 0.0 };

/// Below `2^TINY` an exponential is its own `ln(1 + e)`, to a relative 2^-121.
const TINY: i64 = -120;

/// `e^x - 1` and `e^x` for `x <= 0`: ELU with alpha 1 where it bends. Relative errors at most 2^-97.
#[inline(always)]
pub(crate) fn elu_with_derivative(x: DoubleDouble) -> AtPoint {
    let (value, slope) = expm1_with_exp(x);
    ((value, 0), slope)
}

/// `s a (e^x - 1)` and `s a e^x` for `x <= 0`: SELU where it bends. Relative errors at most 2^-96.
#[inline(always)]
pub(crate) fn selu_with_derivative(x: DoubleDouble) -> AtPoint {
    let (value, (m, e)) = expm1_with_exp(x);
    ((value.times(SELU_SCALE_ALPHA), 0), (m.times(SELU_SCALE_ALPHA), e))
}

/// `ln(1 + e^x)`, as `max(x, 0) + ln(1 + e^-|x|)`, and the sigmoid. Relative errors at most 2^-95.
#[inline(always)]
pub(crate) fn softplus_with_derivative(x: DoubleDouble) -> AtPoint {
    let (m, e) = exp(magnitude(x).negated());
    let small = scaled_down(m, e);
    let larger = DoubleDouble::ONE.divided_by(small.plus_f64(1.0));
    let (bend, of_bend) = if e < TINY { (m, e) } else { (log1p(small), 0) };
    if x.hi > 0.0 {
        ((scaled_down(bend, of_bend).plus(x), 0), (larger, 0))
    } else {
        ((bend, of_bend), (m.times(larger), e))
    }
}

/// `x σ(x)` and `σ(x) (1 + x σ(-x))`. Relative errors at most 2^-95, beside the root -1.2785 of the derivative too.
#[inline(always)]
pub(crate) fn silu_with_derivative(x: DoubleDouble) -> AtPoint {
    gated(x, exp(magnitude(x).negated()), x, &roots::SILU)
}

/// `x σ(v)` with `v = 2 sqrt(2/π) (x + 0.044715 x³)`, which is `½ x (1 + tanh(v/2))`, and `σ(v) (1 + x v' σ(-v))`.
/// Relative errors at most 2^-95, beside the root -0.7525 of the derivative too.
#[inline(always)]
pub(crate) fn gelu_tanh_with_derivative(x: DoubleDouble) -> AtPoint {
    let size = Triple::from(magnitude(x));
    let cubic = size.times(size).times(size).times(GELU_CUBIC);
    let v = size.plus(cubic).times(GELU_RATE);
    // x v' = 2 sqrt(2/π) (x + 3 · 0.044715 x³), up to its sign.
    let x_slope = size.to_double_double().plus(cubic.to_double_double().times_f64(3.0));
    let x_slope = x_slope.times(GELU_RATE.to_double_double());
    gated(
        x,
        v.times_power(-1.0).exp(),
        if x.hi < 0.0 { x_slope.negated() } else { x_slope },
        &roots::GELU_TANH,
    )
}

/// `x σ(v)` and its derivative `σ(v) (1 + x v' σ(-v))` for v of the sign of x, from `e^-|v| = m · 2^e` and `x v'`.
///
/// Only for negative x do the terms of the derivative differ in sign, and there σ(-v) is no small number.
#[inline(always)]
fn gated(x: DoubleDouble, (m, e): (DoubleDouble, i64), x_slope: DoubleDouble, root: &Root) -> AtPoint {
    if x.hi < 0.0 && m.hi == 0.0 {
        return CLOSED;
    }
    let larger = DoubleDouble::ONE.divided_by(scaled_down(m, e).plus_f64(1.0));
    let smaller = m.times(larger);
    if x.hi < 0.0 {
        let slope = (smaller.times(x_slope.times(larger).plus_f64(1.0)), e);
        ((x.times(smaller), e), root.nearby(x).map_or(slope, |slope| (slope, 0)))
    } else {
        let bend = scaled_down(x_slope.times(smaller), e);
        ((x.times(larger), 0), (larger.times(bend.plus_f64(1.0)), 0))
    }
}

/// `ln(1 + w)` for w in [0, 1]; relative error at most 2^-98.
///
/// A step of Newton's method and the next term, from an f64 value y: with `d = (1 + w) e^-y - 1`, of the size of `2^-53 w`, the
/// logarithm is `y + d - d²/2` up to a relative 2^-150. d is formed from `e^-y - 1`, so that it is right relative to w.
#[inline(always)]
fn log1p(w: DoubleDouble) -> DoubleDouble {
    let y = libm::log1p(w.hi);
    let (minus_one, _) = expm1_with_exp(DoubleDouble::from(-y));
    let d = w.plus(minus_one).plus(w.times(minus_one));
    d.minus(d.times(d).times_power(0.5)).plus_f64(y)
}

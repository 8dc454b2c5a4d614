//! Sigmoid, tanh, SiLU and softplus, from `e = e^-|x|` or `e^-2|x|`, which never overflows.

use super::coefficients::{ATANH_FULL, ATANH_LOW, SILU_FULL, SILU_LOW, SILU_ROOT, SILU_SLOPE};
use super::curve::Curve;
use super::exp::{Power, power};
use super::number::{Lanes, Parts, Two, quotient};
use gradchain_arith::Simd;

/// `e^-|x|`; an |x| beyond what matters is taken for the bound.
#[inline(always)]
fn falling<S: Simd, const FULL: bool>(x: Lanes<S>) -> Power<S> {
    power::<S, FULL>(Two::one(-x.abs().at_most(if FULL { 1500.0 } else { 400.0 })))
}

/// σ(v) for `e = e^-|v|`, where `v < 0` says so: `e / (1 + e)`, else `1 / (1 + e)`.
#[inline(always)]
pub(super) fn sigmoid<S: Simd, const FULL: bool>(e: Power<S>, negative: S::Mask) -> Parts<S> {
    let one = Two::one(e.scale.all(1.0));
    if FULL {
        let numerator = e.significand().when(negative, one);
        let value = quotient::<S, FULL>(numerator, e.plus::<FULL>(1.0));
        Parts { value, exponent: Some(e.exponent.when(negative, e.scale.all(0.0))) }
    } else {
        let numerator = e.number::<FULL>().when(negative, one);
        quotient::<S, FULL>(numerator, e.plus::<FULL>(1.0)).into()
    }
}

/// `x s` for a sigmoid s in LOW precision. Next to 0 the value is more than x/2 (in size less for x < 0) by less than f64 holds, and x/2 may
/// be a midpoint of subnormal numbers: s is moved off 1/2 by an ulp or two, so that they are rounded to the right side.
#[inline(always)]
pub(super) fn gated<S: Simd>(s: Lanes<S>, x: Lanes<S>) -> Lanes<S> {
    let side = x.all(f64::powi(2.0, -51)).with_sign_of(x);
    s.mul_add(side, s) * x
}

/// `e / (1 + e)²`.
#[inline(always)]
pub(super) fn bell<S: Simd, const FULL: bool>(e: Power<S>) -> Parts<S> {
    let d = e.plus::<FULL>(1.0);
    if !FULL {
        return Two::one(e.number::<FULL>().high / (d.high * d.high)).into();
    }
    let inverse = d.high.all(1.0) / d.high;
    // 1 / d = inverse (1 + error), up to the square of the error.
    let error = (-inverse).mul_add(d.high, d.high.all(1.0)) - inverse * d.low;
    let square = Two::product(inverse, inverse);
    let square = square.plus_low((square.high * 2.0) * error);
    Parts { value: e.significand().times(square), exponent: Some(e.exponent) }
}

/// `e V / (1 + e)²` where x is negative, and 1 less that elsewhere: the slope of `x σ(v(x))` with v odd, `e = e^-|v|` and
/// `V = 1 + e - |x v'(x)|`.
#[inline(always)]
pub(super) fn gate_slope<S: Simd, const FULL: bool>(e: Power<S>, v: Two<S>, negative: S::Mask) -> Parts<S> {
    let bell = bell::<S, FULL>(e);
    if !FULL {
        let falling = bell.value.high * v.high;
        return Two::one(falling.when(negative, falling.all(1.0) - falling)).into();
    }
    let falling = Parts { value: bell.value.times(v), exponent: Some(e.exponent) };
    falling.when(negative, one_less(falling.value, e.scale).into())
}

/// `1 - a · scale`, for `|a · scale| <= 1`.
#[inline(always)]
pub(super) fn one_less<S: Simd>(a: Two<S>, scale: Lanes<S>) -> Two<S> {
    let scaled = a.scaled(scale).neg();
    Two::sum_ordered(scaled.high.all(1.0), scaled.high).plus_low(scaled.low)
}

/// A function with a root `root` where its slope is `slope`, next to it: `h (slope + h p(h))` with `h = a - root`; returned with |h|.
#[inline(always)]
pub(super) fn around_root<S: Simd, const FULL: bool, const N: usize>(
    a: Lanes<S>,
    root: [f64; 2],
    slope: [f64; 2],
    coefficients: &[f64; N],
) -> (Two<S>, Lanes<S>) {
    // Exact in the neighbourhood where it counts.
    let h = a - root[0];
    let bend = h.polynomial(coefficients);
    let value = if FULL {
        let first = Two::product(h, a.all(slope[0]));
        let rest = h.mul_add(a.all(slope[1]), a.all(-root[1] * slope[0]));
        Two::sum_ordered(first.high, first.low + (h * h).mul_add(bend, rest))
    } else {
        Two::one((h - root[1]) * h.mul_add(bend, a.all(slope[0])))
    };
    (value, h.abs())
}

/// How far around the root [`around_root`] is taken.
#[inline(always)]
pub(super) const fn root_range(full: bool) -> f64 {
    if full { 0.125 } else { 0.0625 }
}

pub(super) struct Sigmoid;

impl Curve for Sigmoid {
    const SLOPES_AT_INFINITY: [f64; 2] = [0.0, 0.0];

    #[inline(always)]
    fn value<S: Simd, const FULL: bool>(x: Lanes<S>) -> Parts<S> {
        sigmoid::<S, FULL>(falling::<S, FULL>(x), x.negative())
    }

    #[inline(always)]
    fn slope<S: Simd, const FULL: bool>(x: Lanes<S>) -> Parts<S> {
        bell::<S, FULL>(falling::<S, FULL>(x))
    }
}

/// `tanh x = -m / (2 + m)` with `m = e^-2|x| - 1`, odd; `tanh' x = 4 e / (1 + e)²` with `e = e^-2|x|`.
pub(super) struct Tanh;

impl Tanh {
    #[inline(always)]
    fn falling<S: Simd, const FULL: bool>(x: Lanes<S>) -> Power<S> {
        power::<S, FULL>(Two::one(x.abs().at_most(if FULL { 750.0 } else { 200.0 }) * -2.0))
    }
}

impl Curve for Tanh {
    const SLOPES_AT_INFINITY: [f64; 2] = [0.0, 0.0];

    #[inline(always)]
    fn value<S: Simd, const FULL: bool>(x: Lanes<S>) -> Parts<S> {
        let m = Tanh::falling::<S, FULL>(x).minus_one::<FULL>();
        if FULL {
            let d = Two::sum_ordered(x.all(2.0), m.high).plus_low(m.low);
            quotient::<S, FULL>(m.neg(), d).signed(x).into()
        } else {
            Two::one((m.high / (m.high + 2.0)).with_sign_of(x)).into()
        }
    }

    #[inline(always)]
    fn slope<S: Simd, const FULL: bool>(x: Lanes<S>) -> Parts<S> {
        let bell = bell::<S, FULL>(Tanh::falling::<S, FULL>(x));
        Parts { value: bell.value.scaled(x.all(4.0)), exponent: bell.exponent }
    }
}

/// `x σ(x)`; the slope is `σ(x) (1 + x σ(-x))`.
pub(super) struct Silu;

impl Curve for Silu {
    const SLOPES_AT_INFINITY: [f64; 2] = [-0.0, 1.0];

    #[inline(always)]
    fn value<S: Simd, const FULL: bool>(x: Lanes<S>) -> Parts<S> {
        let s = sigmoid::<S, FULL>(falling::<S, FULL>(x), x.negative());
        // No -∞ · 0: the value is -0 from far less on.
        let x = x.at_least(-1500.0);
        if FULL {
            Parts { value: s.value.times_one(x), exponent: s.exponent }.half_of_subnormal(x)
        } else {
            Two::one(gated(s.value.high, x)).into()
        }
    }

    #[inline(always)]
    fn slope<S: Simd, const FULL: bool>(x: Lanes<S>) -> Parts<S> {
        let e = falling::<S, FULL>(x);
        let a = x.abs().at_most(1500.0);
        let d = e.plus::<FULL>(1.0);
        let (near, distance, far) = if FULL {
            let (near, distance) = around_root::<S, FULL, _>(a, SILU_ROOT, SILU_SLOPE, &SILU_FULL);
            (near, distance, Two::sum(d.high, -a).plus_low(d.low))
        } else {
            let (near, distance) = around_root::<S, FULL, _>(a, SILU_ROOT, SILU_SLOPE, &SILU_LOW);
            (near, distance, Two::one(d.high - a))
        };
        let v = near.when(distance.less(a.all(root_range(FULL))), far);
        gate_slope::<S, FULL>(e, v, x.negative())
    }
}

/// `ln(1 + e^x) = max(x, 0) + 2 atanh z` with `z = e / (2 + e)`, `e = e^-|x|`; the slope is σ(x).
pub(super) struct Softplus;

impl Curve for Softplus {
    const SLOPES_AT_INFINITY: [f64; 2] = [0.0, 1.0];

    #[inline(always)]
    fn value<S: Simd, const FULL: bool>(x: Lanes<S>) -> Parts<S> {
        let e = falling::<S, FULL>(x);
        let d = e.plus::<FULL>(2.0);
        let positive = x.at_least(0.0);
        if !FULL {
            let z = e.number::<FULL>().high / d.high;
            let w = z * z;
            let log = (z * 2.0).mul_add(w * w.polynomial(&ATANH_LOW), z * 2.0);
            return Two::one(positive + log).into();
        }
        // z / 2^exponent, and 2 atanh z / 2^exponent.
        let z = quotient::<S, FULL>(e.significand(), d);
        let w = z.high * e.scale;
        let w = w * w;
        let log = z.plus_low(z.high * (w * w.polynomial(&ATANH_FULL))).scaled(x.all(2.0));
        let scaled = log.scaled(e.scale);
        let sum = Two::sum(positive, scaled.high).plus_low(scaled.low);
        Parts { value: log, exponent: Some(e.exponent) }.when(x.negative(), sum.into())
    }

    #[inline(always)]
    fn slope<S: Simd, const FULL: bool>(x: Lanes<S>) -> Parts<S> {
        Sigmoid::value::<S, FULL>(x)
    }
}

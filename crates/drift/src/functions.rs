//! exp, sigmoid and tanh with their derivatives, in double-double, over a range of exponents that f64 does not have.
//!
//! A result is `(m, e)` for `m · 2^e`, so that `e^-1000000` and the derivative of a saturated sigmoid are numbers. No formula here
//! subtracts nearly equal numbers: everything is written in `e^-|x|`, whatever the sign of x.
//!
//! Relative errors hold for the x given: at most 2^-98 for exp and 2^-95 for the rest. Whoever passes an x that is
//! itself off by a relative 2^-100 gets `|x| · 2^-100` on top, which is the conditioning of the problem.
//! Beyond `|x| = 2^40` the functions are taken as saturated: 0, 1, or -1.

use crate::double_double::DoubleDouble;

/// A value and a derivative at one point, each as `(m, e)` for `m · 2^e`.
pub type AtPoint = ((DoubleDouble, i64), (DoubleDouble, i64));

/// Beyond this magnitude the exponential is 0 or infinite.
pub(crate) const SATURATED: f64 = (1u64 << 40) as f64;

/// log2(e), to find the nearest multiple of ln 2.
const LOG2_E: f64 = std::f64::consts::LOG2_E;

/// ln 2 as a sum of three f64 numbers: 2^41 multiples of it are right to 2^-120.
const LN_2: [f64; 3] = [std::f64::consts::LN_2, 2.3190468138462996e-17, 5.707708438416212e-34];

/// 1/n! for n = 3..=8, in double-double.
const INVERSE_FACTORIALS: [DoubleDouble; 6] = [
    DoubleDouble { hi: 0.16666666666666666, lo: 9.25185853854297e-18 },
    DoubleDouble { hi: 0.041666666666666664, lo: 2.3129646346357427e-18 },
    DoubleDouble { hi: 0.008333333333333333, lo: 1.1564823173178714e-19 },
    DoubleDouble { hi: 0.001388888888888889, lo: -5.300543954373577e-20 },
    DoubleDouble { hi: 0.0001984126984126984, lo: 1.7209558293420705e-22 },
    DoubleDouble { hi: 2.48015873015873e-05, lo: 2.1511947866775882e-23 },
];

/// 1/n! for n = 9..=16: at |x| < 0.044 these terms lie 2^-56 below the sum, so f64 is enough for them.
const INVERSE_FACTORIALS_TAIL: [f64; 8] = [
    2.7557319223985893e-06,
    2.755731922398589e-07,
    2.505210838544172e-08,
    2.08767569878681e-09,
    1.6059043836821613e-10,
    1.1470745597729725e-11,
    7.647163731819816e-13,
    4.779477332387385e-14,
];

/// `e^x = m · 2^e` with m between 0.7 and 1.42; relative error at most 2^-98. `x >= 2^40` gives infinity, `x <= -2^40` zero.
#[inline(always)]
pub fn exp(x: DoubleDouble) -> (DoubleDouble, i64) {
    if x.hi.abs() >= SATURATED {
        return (DoubleDouble::from(if x.hi > 0.0 { f64::INFINITY } else { 0.0 }), 0);
    }
    let (rest, multiple) = reduce(x);
    (expm1_of_reduced(rest).plus_f64(1.0), multiple)
}

/// `1 / (1 + e^-x)`, as `m · 2^e`; relative error at most 2^-95.
#[inline(always)]
pub fn sigmoid(x: DoubleDouble) -> (DoubleDouble, i64) {
    sigmoid_with_derivative(x).0
}

/// `e^-|x| / (1 + e^-|x|)²`, the derivative of the sigmoid, as `m · 2^e`; relative error at most 2^-95.
#[inline(always)]
pub fn sigmoid_derivative(x: DoubleDouble) -> (DoubleDouble, i64) {
    sigmoid_with_derivative(x).1
}

/// [`sigmoid`] and [`sigmoid_derivative`] from one exponential.
#[inline(always)]
pub fn sigmoid_with_derivative(x: DoubleDouble) -> AtPoint {
    let (m, e) = exp(magnitude(x).negated());
    let larger = DoubleDouble::ONE.divided_by(scaled_down(m, e).plus_f64(1.0));
    let smaller = m.times(larger);
    (if x.hi > 0.0 { (larger, 0) } else { (smaller, e) }, (smaller.times(larger), e))
}

/// `tanh x = -sign(x) · expm1(-2|x|) / (1 + e^-2|x|)`; relative error at most 2^-95.
#[inline(always)]
pub fn tanh(x: DoubleDouble) -> DoubleDouble {
    tanh_with_derivative(x).0
}

/// `4 e^-2|x| / (1 + e^-2|x|)²`, the derivative of tanh, as `m · 2^e`; relative error at most 2^-95.
#[inline(always)]
pub fn tanh_derivative(x: DoubleDouble) -> (DoubleDouble, i64) {
    tanh_with_derivative(x).1
}

/// [`tanh`] and [`tanh_derivative`] from one exponential.
#[inline(always)]
pub fn tanh_with_derivative(x: DoubleDouble) -> (DoubleDouble, (DoubleDouble, i64)) {
    let (difference, (m, e)) = expm1_with_exp(magnitude(x).times_power(-2.0));
    let inverse = DoubleDouble::ONE.divided_by(difference.plus_f64(2.0));
    let value = difference.times(inverse);
    (if x.hi > 0.0 { value.negated() } else { value }, (m.times(inverse).times(inverse), e + 2))
}

/// `e^x - 1` and `e^x` for `x <= 0`; relative errors at most 2^-97 and 2^-98.
#[inline(always)]
pub(crate) fn expm1_with_exp(x: DoubleDouble) -> (DoubleDouble, (DoubleDouble, i64)) {
    if x.hi <= -SATURATED {
        return (DoubleDouble::from(-1.0), (DoubleDouble::default(), 0));
    }
    let (rest, e) = reduce(x);
    let minus_one = expm1_of_reduced(rest);
    let m = minus_one.plus_f64(1.0);
    // Where no power of two was split off, the series has e^x - 1 without cancellation.
    (if e == 0 { minus_one } else { scaled_down(m, e).plus_f64(-1.0) }, (m, e))
}

/// `|x|`.
#[inline(always)]
pub(crate) fn magnitude(x: DoubleDouble) -> DoubleDouble {
    if x.hi < 0.0 { x.negated() } else { x }
}

/// `m · 2^e` for `e <= 0`, as a term beside a number of the size of 1: what lies below 2^-900 is dropped.
#[inline(always)]
pub(crate) fn scaled_down(m: DoubleDouble, e: i64) -> DoubleDouble {
    if e < -900 { DoubleDouble::default() } else { m.times_power(f64::from_bits(((e + 1023) as u64) << 52)) }
}

/// `x = k ln 2 + r` with integer k and `|r| <= 0.35`, as `(r, k)`, for `|x| < 2^41`. NaN gives NaN and 0.
#[inline(always)]
pub(crate) fn reduce(x: DoubleDouble) -> (DoubleDouble, i64) {
    // The cast truncates and takes NaN to 0: no rounding function of the platform's is called.
    let multiple = (x.hi * LOG2_E + f64::copysign(0.5, x.hi)) as i64;
    let mut rest = x;
    // Each product is exact as a double-double, and each difference is right relative to what remains of it.
    for part in LN_2 {
        rest = rest.minus(DoubleDouble::from(part).times_f64(multiple as f64));
    }
    (rest, multiple)
}

/// `e^r - 1` for `|r| <= 0.35`, relative error at most 2^-100: Taylor's series at r/8, then three times `s -> 2s + s²`.
#[inline(always)]
pub(crate) fn expm1_of_reduced(r: DoubleDouble) -> DoubleDouble {
    let x = r.times_power(0.125);
    let tail = INVERSE_FACTORIALS_TAIL.into_iter().rev().fold(0.0, |sum, term| f64::mul_add(sum, x.hi, term));
    let mut sum = DoubleDouble::from(tail);
    for term in INVERSE_FACTORIALS.into_iter().rev() {
        sum = sum.times(x).plus(term);
    }
    sum = sum.times(x).plus_f64(0.5);
    let mut s = sum.times(x).plus_f64(1.0).times(x);
    for _ in 0..3 {
        s = s.times_power(2.0).plus(s.times(s));
    }
    s
}

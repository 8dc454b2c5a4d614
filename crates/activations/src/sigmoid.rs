//! The logistic sigmoid, `σ(x) = 1 / (1 + e^-x)`, and `σ'(x) = e / (1 + e)²` with `e = e^-|x|`.
//!
//! Where x is so small that the exact value lies near a rounding midpoint (x/4 may be one exactly), the next term of the series decides
//! the side: `σ = 1/2 + x/4 - x³/48 + …`, `σ' = 1/4 - x²/16 + x⁴/96 - …`.

use crate::exp::{exp, exp_f32, exp_f64, exp_pair};
use crate::pair::Pair;
use crate::rounded::{Scaled, power_of_two, rounded, strictly_between};
use gradchain_arith::Arithmetic;

/// The value at x, rounded once by `arith`; see `rounded.rs`.
#[inline]
pub(crate) fn value<A: Arithmetic>(arith: &A, x: A::Number) -> A::Number {
    rounded(arith, x, value_quick, value_pair::<4>, value_pair::<14>)
}

/// The derivative at x, rounded once by `arith`; see `rounded.rs`.
#[inline]
pub(crate) fn slope<A: Arithmetic>(arith: &A, x: A::Number) -> A::Number {
    rounded(arith, x, slope_quick, slope_pair::<4>, slope_pair::<14>)
}

/// `s · (1 - s)` with `s = 1 / (1 + e^-x)`, each operation rounded to nearest in f32 or f64.
pub(crate) fn from_input(x: f64, in_f32: bool) -> f64 {
    if x.is_nan() {
        f64::NAN
    } else if in_f32 {
        let s = 1.0 / (1.0 + exp_f32(-x));
        f64::from(s * (1.0 - s))
    } else {
        let s = 1.0 / (1.0 + exp_f64(-x));
        s * (1.0 - s)
    }
}

/// σ in f64. The exponent is never positive, so that nothing overflows and small values keep their bits.
#[inline]
fn value_quick(x: f64) -> f64 {
    let e = exp(-x.abs());
    let s = if x < 0.0 { e / (1.0 + e) } else { 1.0 / (1.0 + e) };
    if x.is_infinite() || x == 0.0 {
        s
    } else if x < 0.0 {
        strictly_between(0.0, 0.5, s)
    } else {
        strictly_between(0.5, 1.0, s)
    }
}

/// σ' in f64.
#[inline]
fn slope_quick(x: f64) -> f64 {
    let e = exp(-x.abs());
    let d = 1.0 + e;
    let slope = e / (d * d);
    if x.is_infinite() || x == 0.0 { slope } else { strictly_between(0.0, 0.25, slope) }
}

/// σ for finite x other than 0.
fn value_pair<const TERMS: usize>(x: f64) -> Scaled {
    if x.abs() < power_of_two(-26) {
        // x³/48 is below an ulp of x/4, and midpoints are multiples of that ulp: one step towards zero stays on the right side.
        let quarter = x / 4.0;
        let below = if quarter == 0.0 { quarter } else { f64::from_bits(quarter.to_bits() - 1) };
        return Pair::sum_ordered(0.5, below).into();
    }
    let e = exp_pair::<TERMS>(-x.abs().min(2000.0));
    if x < 0.0 {
        Scaled { pair: e.significand().div(e.plus_one()), exponent: e.exponent }
    } else {
        Pair::ONE.div(e.plus_one()).into()
    }
}

/// σ' for finite x other than 0.
fn slope_pair<const TERMS: usize>(x: f64) -> Scaled {
    if x.abs() < power_of_two(-22) {
        // The square is right to 2^-53 of 2^-48 of the value or less: 98 bits.
        let x2 = x * x;
        // At least something, so that the value stays below 1/4 where the square underflows.
        let below = (x2 / 16.0 - x2 * x2 / 96.0).max(1e-300);
        return Pair::sum_ordered(0.25, -below).into();
    }
    let e = exp_pair::<TERMS>(-x.abs().min(2000.0));
    let d = e.plus_one();
    Scaled { pair: e.significand().div(d.mul(d)), exponent: e.exponent }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rounded::greatest_ulps;

    /// The f64 results are as close as the guard around midpoints supposes.
    #[test]
    fn quick_is_within_16_ulp() {
        let value = greatest_ulps(value_quick, value_pair::<14>);
        let slope = greatest_ulps(slope_quick, slope_pair::<14>);
        println!("f64: value {value:.2} ulp, slope {slope:.2} ulp");
        assert!(value < 16.0 && slope < 16.0);
    }
}

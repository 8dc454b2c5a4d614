//! The hyperbolic tangent, `tanh x = (1 - e) / (1 + e)` for x >= 0 with `e = e^-2|x|`, odd; and `tanh' x = 4e / (1 + e)²`.
//!
//! Near zero `1 - e` is taken from `e - 1`, which the exponential gives without cancellation. Nearer still the series
//! `tanh x = x - x³/3 + …` and `tanh' x = 1 - x² + 2x⁴/3 - …` say on which side of a rounding midpoint the value lies.

use crate::exp::{exp, exp_pair, exp_parts};
use crate::pair::Pair;
use crate::rounded::{Scaled, power_of_two, rounded, strictly_between};
use gradchain_arith::{Arithmetic, Isa, Native};

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

/// `1 - t · t` with t = tanh x, each rounded to nearest in f32 or f64.
pub(crate) fn from_input(x: f64, in_f32: bool) -> f64 {
    if in_f32 {
        let t = value(&Native::<f32>::new(Isa::PORTABLE), x as f32);
        f64::from(1.0 - t * t)
    } else {
        let t = value(&Native::<f64>::new(Isa::PORTABLE), x);
        1.0 - t * t
    }
}

/// tanh in f64.
#[inline]
fn value_quick(x: f64) -> f64 {
    let size = x.abs();
    let (k, m) = exp_parts(-2.0 * size);
    let t = if k == 0 {
        -m / (2.0 + m)
    } else {
        // -760 is the least exponent that the parts know: 2^-1097.
        let e = (1.0 + m) * power_of_two(k.max(-1022));
        (1.0 - e) / (1.0 + e)
    };
    let inside = if x.is_infinite() || x == 0.0 { t } else { strictly_between(0.0, size.min(1.0), t) };
    inside.copysign(x)
}

/// tanh' in f64.
#[inline]
fn slope_quick(x: f64) -> f64 {
    let e = exp(-2.0 * x.abs());
    let d = 1.0 + e;
    let slope = 4.0 * e / (d * d);
    if x.is_infinite() || x == 0.0 { slope } else { strictly_between(0.0, 1.0, slope) }
}

/// tanh for finite x other than 0.
fn value_pair<const TERMS: usize>(x: f64) -> Scaled {
    let size = x.abs();
    let scaled = if size < power_of_two(-28) {
        // At least something, so that the value stays below x where the cube underflows.
        let below = (size * size * size / 3.0).max(size * power_of_two(-110));
        Pair { high: size, low: -below }
    } else {
        let e = exp_pair::<TERMS>(-2.0 * size.min(1000.0));
        if e.exponent == 0 {
            let two = Pair { high: 2.0, low: 0.0 };
            e.minus_one.neg().div(two.add(e.minus_one))
        } else {
            let difference = Pair::ONE.add(e.significand().scale(-power_of_two(e.exponent.max(-300))));
            difference.div(e.plus_one())
        }
    };
    if x < 0.0 { scaled.neg().into() } else { scaled.into() }
}

/// tanh' for finite x other than 0.
fn slope_pair<const TERMS: usize>(x: f64) -> Scaled {
    if x.abs() < power_of_two(-24) {
        let x2 = x * x;
        // At least something, so that the value stays below 1 where the square underflows.
        let below = (x2 - x2 * x2 * (2.0 / 3.0)).max(1e-300);
        return Pair::sum_ordered(1.0, -below).into();
    }
    let e = exp_pair::<TERMS>(-2.0 * x.abs().min(1000.0));
    let d = e.plus_one();
    Scaled { pair: e.significand().div(d.mul(d)), exponent: e.exponent + 2 }
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

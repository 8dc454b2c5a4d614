//! `e^z` for z <= 0 in parts.
//!
//! `e^z = 2^k · e^r` with k the integer nearest to `z / ln 2` and `|r| <= ln 2 / 2`, and `e^r = 1 + r + r² q(r)` with a polynomial q
//! (Muller 2016, "Elementary functions", chapter 11). FULL keeps `1 + r` and what its rounding leaves in two numbers, with an error of about
//! 2^-57; LOW sums to one number, with an error of about 2^-42.

use super::coefficients::{EXP_FULL, EXP_LOW};
use super::number::{Lanes, Two};
use gradchain_arith::Simd;

/// `e^z = 2^exponent · (1 + rest)`.
#[derive(Clone, Copy)]
pub(super) struct Power<S: Simd> {
    pub(super) exponent: Lanes<S>,
    rest: Two<S>,
    /// 2^exponent, in FULL not below 2^-200: for sums with numbers near 1.
    pub(super) scale: Lanes<S>,
}

/// `e^z`, for `-2000 <= z.high <= 0` (FULL) or `-400 <= z.high <= 0` (LOW).
#[inline(always)]
pub(super) fn power<S: Simd, const FULL: bool>(z: Two<S>) -> Power<S> {
    /// ln 2 in two parts, the first with 40 bits: its products with k, of at most 12 bits, are exact.
    const LN_2: [f64; 2] = [0.6931471805592082, 7.371002565167799e-13];
    let exponent = (z.high * std::f64::consts::LOG2_E).nearest_integer();
    if FULL {
        let first = (-exponent).mul_add(z.high.all(LN_2[0]), z.high);
        let second = (-exponent).mul_add(z.high.all(LN_2[1]), z.low);
        let r = Two::sum_ordered(first, second);
        let q = r.high.polynomial(&EXP_FULL);
        let rest = Two::sum_ordered(r.high, (r.high * r.high).mul_add(q, r.low));
        Power { exponent, rest, scale: exponent.at_least(-200.0).power_of_two() }
    } else {
        let r = (-exponent).mul_add(z.high.all(std::f64::consts::LN_2), z.high);
        let q = r.polynomial(&EXP_LOW);
        Power { exponent, rest: Two::one((r * r).mul_add(q, r)), scale: exponent.power_of_two() }
    }
}

impl<S: Simd> Power<S> {
    /// `1 + rest`, in FULL alone.
    #[inline(always)]
    pub(super) fn significand(self) -> Two<S> {
        let one = self.exponent.all(1.0);
        Two::sum_ordered(one, self.rest.high).plus_low(self.rest.low)
    }

    /// `e^z` as a number, in FULL not below 2^-200.
    #[inline(always)]
    pub(super) fn number<const FULL: bool>(self) -> Two<S> {
        if FULL {
            self.significand().scaled(self.scale)
        } else {
            Two::one(self.rest.high.mul_add(self.scale, self.scale))
        }
    }

    /// `c + e^z` for a constant c >= 1; in FULL an e^z below 2^-200 is taken for larger than it is.
    #[inline(always)]
    pub(super) fn plus<const FULL: bool>(self, c: f64) -> Two<S> {
        let e = self.number::<FULL>();
        let c = e.high.all(c);
        if FULL { Two::sum_ordered(c, e.high).plus_low(e.low) } else { Two::one(c + e.high) }
    }

    /// `e^z - 1`, with its relative accuracy next to z = 0, where k = 0.
    #[inline(always)]
    pub(super) fn minus_one<const FULL: bool>(self) -> Two<S> {
        let whole = self.scale - 1.0;
        if FULL {
            // What the difference lost: something where k < -53.
            let lost = self.scale - (whole + 1.0);
            let sum = Two::sum_ordered(whole, self.rest.high * self.scale);
            sum.plus_low(self.rest.low.mul_add(self.scale, lost))
        } else {
            Two::one(self.rest.high.mul_add(self.scale, whole))
        }
    }
}

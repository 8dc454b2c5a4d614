//! Exact sums of signed numbers.
//!
//! The counterpart of [`Sum`](crate::Sum) for terms of both signs: one long fixed-point number (Kulisch and Miranker 1986) in signed digits of
//! 32 bits. Only the digits that terms have touched are ever looked at, so that numbers of like magnitude cost a few words.

use crate::extended::Extended;
use gradchain_arith::Exact;

/// The exponent of the lowest bit: that of the least f64.
const LOWEST: i32 = -1074;
/// Bits from 2^-1074 to 2^1024 times a count of 64 bits, 64 more for as many terms, and the sign.
const DIGITS: usize = (1074 + 1024 + 64 + 64_usize).div_ceil(32) + 3;
const LOW_HALF: i64 = 0xffff_ffff;

/// A sum of signed f64 numbers and of whole multiples of them; exact, whatever the order.
#[derive(Clone, Debug)]
pub(crate) struct SignedSum {
    /// `Σ digits[i] · 2^(32 i + LOWEST)`, zero outside `first..=last`. After a carry all but the last are at least 0 and below 2^32.
    digits: [i64; DIGITS],
    first: usize,
    last: usize,
    /// Additions since the last carry.
    pending: u32,
    /// The sum of the terms that are not finite.
    special: f64,
}

impl SignedSum {
    /// The sum of no terms.
    pub(crate) fn new() -> SignedSum {
        SignedSum { digits: [0; DIGITS], first: DIGITS, last: 0, pending: 0, special: 0.0 }
    }

    /// The sum of `values`.
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> SignedSum {
        let mut sum = SignedSum::new();
        values.for_each(|x| sum.add_multiple(1, x));
        sum
    }

    /// Adds `n · x`.
    #[inline]
    pub(crate) fn add_multiple(&mut self, n: u64, x: f64) {
        if !x.is_finite() {
            self.special += x;
            return;
        }
        let Exact { negative, mantissa, exponent, .. } = Exact::from_f64(x);
        self.add_at(negative, mantissa * u128::from(n), exponent);
    }

    /// Infinity or NaN if the terms that are not finite add up to it, by IEEE 754's rules.
    pub(crate) fn special(&self) -> Option<f64> {
        (self.special != 0.0).then_some(self.special)
    }

    /// The sum of the finite terms, rounded to odd at [`Extended`]'s precision; +0 if it is zero.
    pub(crate) fn leading(&mut self) -> Extended {
        self.carry();
        if self.first > self.last {
            return Extended::ZERO;
        }
        let negative = self.digits[self.last] < 0;
        let mut digits = [0_u32; DIGITS];
        let mut carry = 0;
        for (digit, &signed) in
            digits[self.first..=self.last].iter_mut().zip(&self.digits[self.first..=self.last])
        {
            let sum = if negative { carry - signed } else { signed };
            *digit = sum as u32;
            carry = sum >> 32;
        }
        let Some(top) = digits[..=self.last].iter().rposition(|&digit| digit != 0) else {
            return Extended::ZERO;
        };
        let top = top.max(3);
        let mantissa = digits[top - 3..=top].iter().rev().fold(0, |m, &digit| m << 32 | u128::from(digit));
        // Four digits hold 97 bits of the sum or more; the digit below fills the rest.
        let exponent = LOWEST + 32 * (top as i32 - 3);
        if top == 3 {
            return Extended::normalised(negative, mantissa, exponent, false);
        }
        let shift = mantissa.leading_zeros();
        let below = u128::from(digits[top - 4]) << shift;
        let sticky =
            below as u32 != 0 || digits[self.first.min(top - 4)..top - 4].iter().any(|&digit| digit != 0);
        Extended::normalised(negative, mantissa << shift | below >> 32, exponent - shift as i32, sticky)
    }

    /// The sum of the finite terms in two parts, each cut off at the precision of [`Extended`]: 250 bits or more.
    pub(crate) fn parts(&mut self) -> [Extended; 2] {
        let first = self.leading();
        self.add(first.negated());
        let second = self.leading();
        self.add(first);
        [first, second]
    }

    /// Adds the multiple of 2^-1074 `x`; of a number with bits below that, the rest is left off.
    fn add(&mut self, x: Extended) {
        let below = (LOWEST - x.exponent()).clamp(0, 127);
        self.add_at(x.is_negative(), x.mantissa() >> below, x.exponent() + below);
    }

    /// Adds `± m · 2^exponent`.
    #[inline]
    fn add_at(&mut self, negative: bool, m: u128, exponent: i32) {
        if m == 0 {
            return;
        }
        let bit = (exponent - LOWEST) as usize;
        let at = bit / 32;
        let sign = if negative { -1 } else { 1 };
        let low = u128::from(m as u64) << (bit % 32);
        let high = (m >> 64) << (bit % 32);
        let digit = |word: u128, i: u32| sign * ((word >> (32 * i)) as i64 & LOW_HALF);
        for i in 0..3 {
            self.digits[at + i] += digit(low, i as u32);
        }
        let mut last = at + 2;
        if high != 0 {
            for i in 0..3 {
                self.digits[at + 2 + i] += digit(high, i as u32);
            }
            last += 2;
        }
        self.first = self.first.min(at);
        self.last = self.last.max(last);
        self.pending += 1;
        if self.pending == 1 << 30 {
            self.carry();
        }
    }

    /// Brings all digits but the last to 0..2^32, and the last into 32 bits with a sign.
    fn carry(&mut self) {
        self.pending = 0;
        if self.first > self.last {
            return;
        }
        let mut carry = 0;
        for digit in &mut self.digits[self.first..self.last] {
            let sum = *digit + carry;
            *digit = sum & LOW_HALF;
            carry = sum >> 32;
        }
        self.digits[self.last] += carry;
        while i32::try_from(self.digits[self.last]).is_err() {
            let top = self.digits[self.last];
            self.digits[self.last] = top & LOW_HALF;
            self.last += 1;
            self.digits[self.last] = top >> 32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(values: &[f64]) -> f64 {
        SignedSum::of(values.iter().copied()).leading().to_nearest()
    }

    #[test]
    fn sums_are_exact_over_all_of_f64() {
        let least = f64::from_bits(1);
        assert_eq!(total(&[]), 0.0);
        assert_eq!(total(&[f64::MAX, f64::MAX, least, -f64::MAX, -f64::MAX]), least);
        assert_eq!(total(&[-least, f64::MAX, -f64::MAX]), -least);
        assert_eq!(total(&[1.0, -1.0, -0.0]).to_bits(), 0);
        assert_eq!(total(&[f64::MAX, f64::MAX]), f64::INFINITY);
        assert_eq!(total(&[-f64::MAX, f64::MAX / 2.0]), -f64::MAX / 2.0);
        // A tie, and the tie broken 1000 binades below, upwards and downwards.
        let half = f64::EPSILON / 2.0;
        assert_eq!(total(&[1.0, half]), 1.0);
        assert_eq!(total(&[1.0, half, 1e-300]), 1.0 + f64::EPSILON);
        assert_eq!(total(&[1.0, half, f64::EPSILON, -1e-300]), 1.0 + f64::EPSILON);
        assert_eq!(total(&[-1.0, -half, -1e-300]), -1.0 - f64::EPSILON);
    }

    #[test]
    fn terms_that_are_not_finite_follow_ieee() {
        let special = |values: &[f64]| SignedSum::of(values.iter().copied()).special();
        let infinity = f64::INFINITY;
        assert_eq!(special(&[1.0, f64::MAX, f64::MAX]), None);
        assert_eq!(special(&[1.0, -infinity, -infinity]), Some(-infinity));
        assert!(special(&[infinity, 1.0, -infinity]).unwrap().is_nan());
        assert!(special(&[1.0, f64::NAN]).unwrap().is_nan());
    }

    /// Parts add up to the sum, multiples are products, and both leave the sum as it was.
    #[test]
    fn parts_and_multiples() {
        let n = u64::MAX;
        let mut sum = SignedSum::of([1.0, f64::powi(2.0, -140), -f64::powi(2.0, -1000)].into_iter());
        let [first, second] = sum.parts();
        let mut rest = sum.clone();
        rest.add(first.negated());
        rest.add(second.negated());
        let rest = rest.leading().to_nearest().abs();
        assert!(first.to_nearest() == 1.0 && 0.0 < rest && rest < f64::powi(2.0, -249), "{rest:e}");
        sum.add_multiple(n, -f64::MAX);
        sum.add_multiple(n, f64::MAX);
        sum.add_multiple(1, -1.0);
        sum.add_multiple(1, -f64::powi(2.0, -140));
        assert_eq!(sum.leading().to_nearest(), -f64::powi(2.0, -1000));
        let mut product = SignedSum::new();
        product.add_multiple(n, 1.0 + f64::EPSILON);
        product.add_multiple(n, -1.0);
        assert_eq!(product.leading().to_nearest(), n as f64 * f64::EPSILON);
    }

    /// Carries are passed on before a digit can overflow: more additions than a test can make.
    #[test]
    fn carries_after_2_to_the_30_additions() {
        for sign in [1.0, -1.0] {
            let mut sum = SignedSum::of([sign, 3.5 * sign].into_iter());
            sum.pending = (1 << 30) - 1;
            let at = sum.last - 1;
            sum.digits[at] += (sign as i64) * ((1 << 30) - 1) * LOW_HALF;
            let before = sum.clone().leading().to_nearest();
            sum.add_multiple(1, f64::from_bits(1));
            sum.add_multiple(1, -f64::from_bits(1));
            assert_eq!((sum.pending, sum.leading().to_nearest()), (1, before));
        }
    }
}

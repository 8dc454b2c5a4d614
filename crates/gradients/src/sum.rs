//! Exact sums of magnitudes and of squares.
//!
//! The sum is one long fixed-point number that holds every bit that a magnitude or a square of an f64 can have (Kulisch's long
//! accumulator; Kulisch and Miranker 1986, "The arithmetic of the digital computer"). Adding to it is exact, so that a sum does not
//! depend on the order of its terms, on how they are grouped, or on the number of threads. The number is kept in digits of 32
//! bits in words of 64, which leaves 2^30 additions before carries must be passed on.

use crate::extended::Extended;
use crate::norm::Norm;
use gradchain_arith::Exact;

/// The exponent of the lowest bit: that of the square of the least f64.
const LOWEST: i32 = 2 * -1074;
/// Bits from 2^-2148 to 2^2048, and 64 more for as many terms.
const DIGITS: usize = (2 * 1074 + 2048 + 64_usize).div_ceil(32) + 1;

/// What is added up for a norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Terms {
    /// |x|: their sum is the one norm.
    Magnitudes,
    /// x²: the root of their sum is the two norm.
    Squares,
    /// The largest |x| alone: the infinity norm.
    Largest,
}

/// The terms of a norm, added exactly. Sums over parts of a gradient [`merge`](Sum::merge) into the sum over all of it.
#[derive(Clone, Debug)]
pub struct Sum {
    terms: Terms,
    /// `Σ digits[i] · 2^(32 i + LOWEST)`; unused for the largest alone.
    digits: [u64; DIGITS],
    /// Additions since the digits last were below 2^32.
    pending: u32,
    /// The largest finite magnitude.
    largest: f64,
    infinite: bool,
    nan: bool,
}

impl Sum {
    /// The sum of no terms.
    pub fn new(terms: Terms) -> Sum {
        Sum { terms, digits: [0; DIGITS], pending: 0, largest: 0.0, infinite: false, nan: false }
    }

    /// Adds the term of the number `x`: |x| or x²; exact.
    #[inline]
    pub fn add(&mut self, x: f64) {
        let magnitude = x.abs();
        if !magnitude.is_finite() {
            self.nan |= x.is_nan();
            self.infinite |= !x.is_nan();
            return;
        }
        match self.terms {
            Terms::Largest => self.largest = self.largest.max(magnitude),
            Terms::Magnitudes => {
                let Exact { mantissa, exponent, .. } = Exact::from_f64(magnitude);
                self.add_at(mantissa as u64, exponent);
            }
            Terms::Squares => {
                let Exact { mantissa, exponent: e, .. } = Exact::from_f64(magnitude);
                let m = mantissa as u64;
                // Numbers of 32 bits and fewer, all those of the narrower formats, have squares of one word.
                if m as u32 == 0 {
                    self.add_at((m >> 32) * (m >> 32), 2 * (e + 32));
                } else if m.trailing_zeros() >= 21 {
                    self.add_at((m >> 21) * (m >> 21), 2 * (e + 21));
                } else {
                    let square = u128::from(m) * u128::from(m);
                    self.add_at(square as u64, 2 * e);
                    self.add_at((square >> 64) as u64, 2 * e + 64);
                }
            }
        }
    }

    /// What is added.
    pub fn terms(&self) -> Terms {
        self.terms
    }

    /// Adds `high · 2^high_exponent + low · 2^low_exponent`, which is not negative; exact. The first exponent is at most 64 above the
    /// second one. What lies below the lowest bit of the sum is zero.
    pub(crate) fn add_fixed(&mut self, high: i128, high_exponent: i32, low: i128, low_exponent: i32) {
        // Whole units of the first part go over to it, so that the second one is not negative.
        let shift = high_exponent - low_exponent;
        let units = low >> shift;
        self.add_wide((high + units) as u128, high_exponent);
        self.add_wide((low - (units << shift)) as u128, low_exponent);
    }

    /// Adds `m · 2^exponent`, whose bits below the lowest of the sum are zeros.
    pub(crate) fn add_wide(&mut self, m: u128, exponent: i32) {
        let below = (LOWEST - exponent).max(0);
        let (m, exponent) = (m >> below.min(127), exponent + below);
        self.add_at(m as u64, exponent);
        if m >> 64 != 0 {
            self.add_at((m >> 64) as u64, exponent + 64);
        }
    }

    /// Adds all terms of `other`, a sum of the same terms; exact.
    ///
    /// # Panics
    /// If the terms differ.
    pub fn merge(&mut self, other: &Sum) {
        assert_eq!(self.terms, other.terms, "sums of different terms");
        self.carry();
        let mut other = other.clone();
        other.carry();
        for (digit, theirs) in self.digits.iter_mut().zip(other.digits) {
            *digit += theirs;
        }
        self.pending = 1;
        self.largest = self.largest.max(other.largest);
        self.infinite |= other.infinite;
        self.nan |= other.nan;
    }

    /// The norm, the exact one rounded once to 53 bits: NaN if a term was, else infinite if a term was.
    pub fn norm(&self) -> Norm {
        if self.nan {
            return Norm::from_f64(f64::NAN);
        }
        if self.infinite {
            return Norm::from_f64(f64::INFINITY);
        }
        match self.terms {
            Terms::Largest => Norm::from_f64(self.largest),
            Terms::Magnitudes => {
                let (top, exponent, sticky) = self.leading_bits();
                Norm::rounded(top, exponent, sticky)
            }
            Terms::Squares => Norm::root(self.leading_bits()),
        }
    }

    /// `sqrt(sum / count)`, rounded once to 53 bits: the root mean square of as many numbers. 0 for none.
    pub fn root_mean(&self, count: u64) -> Norm {
        if count == 0 || self.nan || self.infinite {
            return self.norm();
        }
        let (top, exponent, sticky) = self.leading_bits();
        // A long division, so that the quotient has 128 bits too: a root has half as many bits as are known of its square.
        let n = u128::from(count);
        let (quotient, rest) = (top / n, top % n);
        let more = quotient.leading_zeros().min(64);
        let rest = rest << more;
        Norm::root(((quotient << more) | (rest / n), exponent - i64::from(more), sticky || rest % n != 0))
    }

    /// The sum, of finite terms, rounded to odd at [`Extended`]'s precision.
    pub(crate) fn leading(&self) -> Extended {
        let (top, exponent, sticky) = self.leading_bits();
        Extended::normalised(false, top, exponent as i32, sticky)
    }

    /// Adds `m · 2^exponent`.
    #[inline]
    fn add_at(&mut self, m: u64, exponent: i32) {
        let bit = (exponent - LOWEST) as usize;
        let shifted = u128::from(m) << (bit % 32);
        let digits = &mut self.digits[bit / 32..][..3];
        digits[0] += u64::from(shifted as u32);
        digits[1] += u64::from((shifted >> 32) as u32);
        digits[2] += (shifted >> 64) as u64;
        self.pending += 1;
        if self.pending == 1 << 30 {
            self.carry();
        }
    }

    /// Whether the sums are the same number.
    #[cfg(test)]
    pub(crate) fn equals(&self, other: &Sum) -> bool {
        let [mut a, mut b] = [self.clone(), other.clone()];
        a.carry();
        b.carry();
        a.digits == b.digits
    }

    /// Brings all digits below 2^32.
    fn carry(&mut self) {
        let mut carry = 0;
        for digit in &mut self.digits {
            let sum = *digit + carry;
            *digit = u64::from(sum as u32);
            carry = sum >> 32;
        }
        self.pending = 0;
    }

    /// The sum as (m, e, sticky): `m · 2^e`, and more, by less than 2^e, where sticky. Unless the sum is zero, m has all 128 bits.
    fn leading_bits(&self) -> (u128, i64, bool) {
        let mut sum = self.clone();
        sum.carry();
        let top = sum.digits.iter().rposition(|&digit| digit != 0).unwrap_or(0).max(3);
        let mut m = sum.digits[top - 3..=top].iter().rev().fold(0, |m, &digit| m << 32 | u128::from(digit));
        let mut exponent = i64::from(LOWEST) + 32 * (top as i64 - 3);
        if m == 0 {
            return (0, exponent, false);
        }
        let shift = m.leading_zeros();
        m <<= shift;
        exponent -= i64::from(shift);
        let Some((&next, rest)) = sum.digits[..top - 3].split_last() else { return (m, exponent, false) };
        // With digits below the four, the first of the four is not zero: the shift is below 32, and the next digit fills the gap.
        let filled = next << shift;
        m |= u128::from(filled >> 32);
        (m, exponent, filled as u32 != 0 || rest.iter().any(|&digit| digit != 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Carries are passed on before a digit can overflow, with the same sum as without them: more additions than a test can make.
    #[test]
    fn carries_after_2_to_the_30_additions() {
        let mut sum = Sum::new(Terms::Magnitudes);
        sum.add(1.0);
        sum.add(3.5);
        sum.pending = (1 << 30) - 1;
        let digit = sum.digits.iter().rposition(|&digit| digit != 0).unwrap();
        // As many as the additions that are pending could have left there.
        sum.digits[digit] += ((1 << 30) - 1) << 32;
        let before = sum.norm();
        sum.add(0.0);
        assert_eq!((sum.pending, sum.norm()), (0, before));
        assert!(sum.digits.iter().all(|digit| *digit < 1 << 32));
    }
}

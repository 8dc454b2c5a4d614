//! Sums of squares that neither overflow nor underflow.

use crate::double_double::{DoubleDouble, two_sum};
use crate::scaled::{Scaled, pow2};
use crate::scaled_vector::common_exponent;

/// `Σ x_i²` as `(sum + error) · 2^(2 · exponent)`; NaN once a term is not finite.
///
/// Each square is rounded to f64 and all of them are added with the errors of the additions kept: the sum is right to a
/// relative 3 · 2^-53, whatever the number of terms, and its root to half of that.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SumOfSquares {
    sum: DoubleDouble,
    exponent: i64,
}

impl SumOfSquares {
    /// Adds the squares of `(hi_i + lo_i) · 2^exponent`.
    #[inline(always)]
    pub(crate) fn add(&mut self, hi: &[f64], lo: &[f64], exponent: i64) {
        if hi.iter().any(|x| !x.is_finite()) {
            self.sum = DoubleDouble::from(f64::NAN);
        }
        let Some(own) = common_exponent(hi) else { return };
        // In two steps: a power of two that takes subnormals to 1 is beyond f64's range.
        let (first, second) = (pow2(-(own / 2)), pow2(-(own - own / 2)));
        let (mut sum, mut error) = (0.0, 0.0);
        for (&hi, &lo) in hi.iter().zip(lo) {
            let (hi, lo) = (hi * first * second, lo * first * second);
            let (next, lost) = two_sum(sum, hi * hi + 2.0 * hi * lo);
            (sum, error) = (next, error + lost);
        }
        self.join(DoubleDouble::new(sum, error), exponent.saturating_add(own));
    }

    /// Adds `sum · 2^(2 · exponent)`.
    #[inline(always)]
    fn join(&mut self, sum: DoubleDouble, exponent: i64) {
        if self.sum.hi == 0.0 {
            (self.sum, self.exponent) = (sum, exponent);
            return;
        }
        let common = self.exponent.max(exponent);
        let down = |e: i64| pow2(2 * (e.saturating_sub(common)).max(-600));
        self.sum = self.sum.times_power(down(self.exponent)).plus(sum.times_power(down(exponent)));
        self.exponent = common;
    }

    /// The square root.
    pub(crate) fn root(self) -> Scaled {
        Scaled::new(self.sum.hi.sqrt(), self.exponent)
    }
}

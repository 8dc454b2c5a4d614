//! Double-double arithmetic: a number as the exact sum of two f64 numbers.
//!
//! A value is `hi + lo` with `|lo| <= ulp(hi) / 2`: 106 bits or more, and the exponents of f64. Error bounds are relative to the exact
//! result with `u = 2^-53`, absent overflow and underflow (Joldes, Muller and Popescu 2017, "Tight and rigorous error bounds for basic
//! building blocks of double-word arithmetic"). [`two_prod`] needs an FMA: `f64::mul_add` is exact on every machine, and fast where the
//! caller was compiled for a machine that has one; see `kernels.rs` for who sees to that.

/// The sum `hi + lo` of two f64 numbers, `|lo| <= ulp(hi) / 2`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DoubleDouble {
    /// The value rounded to f64.
    pub hi: f64,
    /// What the rounding left off, rounded to f64.
    pub lo: f64,
}

/// `a + b` as the rounded sum and its error, exactly (Knuth 1969; Møller 1965).
#[inline(always)]
pub fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_in_sum = sum - a;
    (sum, (a - (sum - b_in_sum)) + (b - b_in_sum))
}

/// [`two_sum`] for `|a| >= |b|` or `a = 0` (Dekker 1971).
#[inline(always)]
pub fn quick_two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    (sum, b - (sum - a))
}

/// `a · b` as the rounded product and its error, exactly where the error does not underflow (`|a · b| >= 2^-968`).
#[inline(always)]
pub fn two_prod(a: f64, b: f64) -> (f64, f64) {
    let product = a * b;
    (product, f64::mul_add(a, b, -product))
}

impl DoubleDouble {
    /// One.
    pub const ONE: DoubleDouble = DoubleDouble { hi: 1.0, lo: 0.0 };

    /// `hi + lo`, where `|hi| >= |lo|` or `hi = 0`.
    #[inline(always)]
    pub fn new(hi: f64, lo: f64) -> DoubleDouble {
        let (hi, lo) = quick_two_sum(hi, lo);
        DoubleDouble { hi, lo }
    }

    /// `a + b` of any two f64 numbers; exact.
    #[inline(always)]
    pub fn sum(a: f64, b: f64) -> DoubleDouble {
        let (hi, lo) = two_sum(a, b);
        DoubleDouble { hi, lo }
    }

    /// `self + other`, relative error at most `3u² / (1 - 4u)`, whatever cancels (2017, algorithm 6).
    #[inline(always)]
    #[must_use]
    pub fn plus(self, other: DoubleDouble) -> DoubleDouble {
        let (high, high_error) = two_sum(self.hi, other.hi);
        let (low, low_error) = two_sum(self.lo, other.lo);
        let (first, second) = quick_two_sum(high, high_error + low);
        DoubleDouble::new(first, low_error + second)
    }

    /// `self + x`, relative error at most `2u²` (2017, algorithm 4).
    #[inline(always)]
    #[must_use]
    pub fn plus_f64(self, x: f64) -> DoubleDouble {
        let (sum, error) = two_sum(self.hi, x);
        DoubleDouble::new(sum, self.lo + error)
    }

    /// `-self`; exact.
    #[inline(always)]
    #[must_use]
    pub fn negated(self) -> DoubleDouble {
        DoubleDouble { hi: -self.hi, lo: -self.lo }
    }

    /// `self - other`, relative error as [`DoubleDouble::plus`].
    #[inline(always)]
    #[must_use]
    pub fn minus(self, other: DoubleDouble) -> DoubleDouble {
        self.plus(other.negated())
    }

    /// `self · other`, relative error at most `5u²` (2017, algorithm 12).
    #[inline(always)]
    #[must_use]
    pub fn times(self, other: DoubleDouble) -> DoubleDouble {
        let (product, error) = two_prod(self.hi, other.hi);
        let cross = f64::mul_add(self.lo, other.hi, f64::mul_add(self.hi, other.lo, self.lo * other.lo));
        DoubleDouble::new(product, error + cross)
    }

    /// `self · x`, relative error at most `2u²` (2017, algorithm 9).
    #[inline(always)]
    #[must_use]
    pub fn times_f64(self, x: f64) -> DoubleDouble {
        let (product, error) = two_prod(self.hi, x);
        DoubleDouble::new(product, f64::mul_add(self.lo, x, error))
    }

    /// `self · power` for a power of two; exact where nothing overflows or underflows.
    #[inline(always)]
    #[must_use]
    pub fn times_power(self, power: f64) -> DoubleDouble {
        DoubleDouble { hi: self.hi * power, lo: self.lo * power }
    }

    /// `self / other` by long division with three quotients, relative error below `16u²` (Hida, Li and Bailey 2001, section 3.4).
    #[inline(always)]
    #[must_use]
    pub fn divided_by(self, other: DoubleDouble) -> DoubleDouble {
        let first = self.hi / other.hi;
        let rest = self.minus(other.times_f64(first));
        let second = rest.hi / other.hi;
        let rest = rest.minus(other.times_f64(second));
        DoubleDouble::new(first, second).plus_f64(rest.hi / other.hi)
    }

    /// The square root of a number `>= 0`, relative error at most `25u² / 8` (Lefèvre, Louvet, Muller, Picot and Rideau 2023,
    /// "Accurate calculation of Euclidean norms using double-word arithmetic", algorithm 2). NaN for negative numbers.
    #[inline(always)]
    #[must_use]
    pub fn sqrt(self) -> DoubleDouble {
        if self.hi == 0.0 {
            return self;
        }
        let root = self.hi.sqrt();
        let rest = f64::mul_add(-root, root, self.hi) + self.lo;
        DoubleDouble::new(root, rest / (2.0 * root))
    }
}

impl From<f64> for DoubleDouble {
    #[inline(always)]
    fn from(x: f64) -> DoubleDouble {
        DoubleDouble { hi: x, lo: 0.0 }
    }
}

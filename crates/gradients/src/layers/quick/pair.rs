//! Numbers in two parts, on vectors and on scalars (Dekker 1971, "A floating-point technique for extending the available precision").
//!
//! `high + low` with `|low|` at most an ulp of `high`. A sum is off by at most 2^-104 of the magnitudes that are added, a product by at most 2^-101 of
//! itself, as long as nothing overflows or underflows.

use gradchain_arith::Simd;

/// A number in two parts: of one lane or of a vector.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair<V> {
    pub(super) high: V,
    pub(super) low: V,
}

/// `a + b`; exact.
#[inline(always)]
pub(super) fn sum<S: Simd>(simd: S, a: S::F64, b: S::F64) -> Pair<S::F64> {
    let high = simd.add_f64(a, b);
    let other = simd.sub_f64(high, a);
    let low = simd.add_f64(simd.sub_f64(a, simd.sub_f64(high, other)), simd.sub_f64(b, other));
    Pair { high, low }
}

/// `a + b` of numbers of which the first is the larger one; exact.
#[inline(always)]
pub(super) fn settle<S: Simd>(simd: S, a: S::F64, b: S::F64) -> Pair<S::F64> {
    let high = simd.add_f64(a, b);
    Pair { high, low: simd.sub_f64(b, simd.sub_f64(high, a)) }
}

/// `a + b`.
#[inline(always)]
pub(super) fn plus<S: Simd>(simd: S, a: Pair<S::F64>, b: Pair<S::F64>) -> Pair<S::F64> {
    let high = sum(simd, a.high, b.high);
    settle(simd, high.high, simd.add_f64(high.low, simd.add_f64(a.low, b.low)))
}

/// `-a`.
#[inline(always)]
pub(super) fn negated<S: Simd>(simd: S, a: Pair<S::F64>) -> Pair<S::F64> {
    Pair { high: simd.neg_f64(a.high), low: simd.neg_f64(a.low) }
}

/// `a · b`; exact.
#[inline(always)]
pub(super) fn product<S: Simd>(simd: S, a: S::F64, b: S::F64) -> Pair<S::F64> {
    let high = simd.mul_f64(a, b);
    Pair { high, low: simd.mul_add_f64(a, b, simd.neg_f64(high)) }
}

/// `a · b`.
#[inline(always)]
pub(super) fn times<S: Simd>(simd: S, a: Pair<S::F64>, b: Pair<S::F64>) -> Pair<S::F64> {
    let high = product(simd, a.high, b.high);
    let low = simd.mul_add_f64(a.high, b.low, simd.mul_add_f64(a.low, b.high, high.low));
    settle(simd, high.high, low)
}

/// `a · b`.
#[inline(always)]
pub(super) fn times_single<S: Simd>(simd: S, a: Pair<S::F64>, b: S::F64) -> Pair<S::F64> {
    let high = product(simd, a.high, b);
    settle(simd, high.high, simd.mul_add_f64(a.low, b, high.low))
}

impl Pair<f64> {
    pub(super) const ZERO: Pair<f64> = Pair { high: 0.0, low: 0.0 };

    fn settled(high: f64, low: f64) -> Pair<f64> {
        let sum = high + low;
        Pair { high: sum, low: low - (sum - high) }
    }

    /// `a · b`; exact.
    pub(super) fn product(a: f64, b: f64) -> Pair<f64> {
        let high = a * b;
        Pair { high, low: a.mul_add(b, -high) }
    }

    /// `self + other`.
    pub(super) fn plus(self, other: Pair<f64>) -> Pair<f64> {
        let high = self.high + other.high;
        let part = high - self.high;
        let low = (self.high - (high - part)) + (other.high - part);
        Pair::settled(high, low + (self.low + other.low))
    }

    /// `self / n`, off by at most 2^-103 of it.
    pub(super) fn over(self, n: f64) -> Pair<f64> {
        let high = self.high / n;
        let rest = high.mul_add(-n, self.high) + self.low;
        Pair::settled(high, rest / n)
    }

    /// `1 / sqrt(self)` of a positive number, off by at most 2^-100 of it: Newton's iteration once from the root in f64.
    pub(super) fn reciprocal_root(self) -> Pair<f64> {
        let root = 1.0 / self.high.sqrt();
        let square = Pair::product(root, root);
        let Pair { high, low } = Pair::product(self.high, square.high);
        // 1 less the product, which is next to it.
        let rest = (1.0 - high) - (low + self.high.mul_add(square.low, self.low * square.high));
        Pair::settled(root, 0.5 * root * rest)
    }

    /// The nearest f64, if it is the same for all numbers within `error`, and those are normal numbers or zero.
    pub(super) fn nearest(self, error: f64) -> Option<f64> {
        let [below, above] = [self.low - error, self.low + error].map(|low| self.high + low);
        let within = self.high == 0.0 || (1e-270..=1e270).contains(&self.high.abs());
        (below == above && within).then_some(below)
    }
}

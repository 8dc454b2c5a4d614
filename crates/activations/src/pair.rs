//! Double-double numbers: unevaluated sums of two f64s, for what one rounding to f64 needs to know about a result.
//!
//! The operations are those of Dekker (1971) as analysed by Joldes, Muller and Popescu (2017), with u = 2^-53. Products are split by
//! Veltkamp's method rather than by a fused multiply-add, which is a library call on processors without one. Splitting needs
//! operands below 2^996, and exact product errors need products above 2^-968; the callers stay within both, or do not look at `low`.

/// `high + low`, with `high` the f64 nearest to the sum.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    pub(crate) high: f64,
    pub(crate) low: f64,
}

impl Pair {
    pub(crate) const ONE: Pair = Pair { high: 1.0, low: 0.0 };

    /// `a + b` exactly, for any two numbers (Knuth's TwoSum).
    pub(crate) fn sum(a: f64, b: f64) -> Pair {
        let high = a + b;
        let b_part = high - a;
        let a_part = high - b_part;
        Pair { high, low: (a - a_part) + (b - b_part) }
    }

    /// `a + b` exactly, where `|a| >= |b|` or `a = 0` (Dekker's Fast2Sum).
    pub(crate) fn sum_ordered(a: f64, b: f64) -> Pair {
        let high = a + b;
        Pair { high, low: b - (high - a) }
    }

    /// `a · b` exactly (Dekker's TwoProduct).
    fn product(a: f64, b: f64) -> Pair {
        let high = a * b;
        let ((a1, a2), (b1, b2)) = (split(a), split(b));
        Pair { high, low: ((a1 * b1 - high) + a1 * b2 + a2 * b1) + a2 * b2 }
    }

    /// `self + other`, relative error below 3u² + 13u³ (their algorithm 6).
    pub(crate) fn add(self, other: Pair) -> Pair {
        let high = Pair::sum(self.high, other.high);
        let low = Pair::sum(self.low, other.low);
        let middle = Pair::sum_ordered(high.high, high.low + low.high);
        Pair::sum_ordered(middle.high, low.low + middle.low)
    }

    /// `self · other`, relative error below 7u² (their algorithm 10, theorem 5.1).
    pub(crate) fn mul(self, other: Pair) -> Pair {
        let product = Pair::product(self.high, other.high);
        let cross = self.high * other.low + self.low * other.high;
        Pair::sum_ordered(product.high, product.low + cross)
    }

    /// `self · b`, relative error below 3u²/2 + 4u³ (their algorithm 7).
    pub(crate) fn mul_f64(self, b: f64) -> Pair {
        let product = Pair::product(self.high, b);
        let first = Pair::sum_ordered(product.high, self.low * b);
        Pair::sum_ordered(first.high, first.low + product.low)
    }

    /// `self / other`, relative error below 15u² + 56u³ (their algorithm 17).
    pub(crate) fn div(self, other: Pair) -> Pair {
        let quotient = self.high / other.high;
        let product = other.mul_f64(quotient);
        // The quotient's product agrees with the dividend to 52 bits: this difference is exact.
        let rest = (self.high - product.high) + (self.low - product.low);
        Pair::sum_ordered(quotient, rest / other.high)
    }

    /// `-self`, exactly.
    pub(crate) fn neg(self) -> Pair {
        Pair { high: -self.high, low: -self.low }
    }

    /// `self · power` for a power of two, exact above 2^-968.
    pub(crate) fn scale(self, power: f64) -> Pair {
        Pair { high: self.high * power, low: self.low * power }
    }
}

/// `x` as the sum of two numbers of at most 26 bits (Veltkamp).
fn split(x: f64) -> (f64, f64) {
    let scaled = 134_217_729.0 * x; // 2^27 + 1
    let high = scaled - (scaled - x);
    (high, x - high)
}

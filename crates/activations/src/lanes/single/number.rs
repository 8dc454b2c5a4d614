//! Sums of two f32 numbers, and `e^z` in parts.

use crate::lanes::quick::number::Quick;
use gradchain_arith::{LANES, Simd};

/// `high + low`, where `low` is far less than `high`, and of the order of its rounding error unless a function says otherwise.
#[derive(Clone, Copy)]
pub(super) struct Two<S: Simd> {
    pub(super) high: Quick<S>,
    pub(super) low: Quick<S>,
}

impl<S: Simd> Two<S> {
    /// A number alone.
    #[inline(always)]
    pub(super) fn one(high: Quick<S>) -> Two<S> {
        Two { high, low: high.all(0.0) }
    }

    /// All lanes the sum of two constants.
    #[inline(always)]
    pub(super) fn all(like: Quick<S>, [high, low]: [f32; 2]) -> Two<S> {
        Two { high: like.all(high), low: like.all(low) }
    }

    /// `a + b` exactly, where `|a| >= |b|` or `a = 0` (Dekker's Fast2Sum).
    #[inline(always)]
    pub(super) fn sum_ordered(a: Quick<S>, b: Quick<S>) -> Two<S> {
        let high = a + b;
        Two { high, low: (a - high) + b }
    }

    /// `a + b` exactly, for any two numbers (Knuth's TwoSum).
    #[inline(always)]
    pub(super) fn sum(a: Quick<S>, b: Quick<S>) -> Two<S> {
        let high = a + b;
        let b_part = high - a;
        let a_part = high - b_part;
        Two { high, low: (a - a_part) + (b - b_part) }
    }

    /// `a · b` exactly, absent underflow.
    #[inline(always)]
    pub(super) fn product(a: Quick<S>, b: Quick<S>) -> Two<S> {
        let high = a * b;
        Two { high, low: a.mul_add(b, -high) }
    }

    /// `self · b`, the error of order 2^-47.
    #[inline(always)]
    pub(super) fn times(self, b: Two<S>) -> Two<S> {
        let Two { high, low } = Two::product(self.high, b.high);
        Two { high, low: self.high.mul_add(b.low, self.low.mul_add(b.high, low)) }
    }

    /// `self · b` for a single number.
    #[inline(always)]
    pub(super) fn times_one(self, b: Quick<S>) -> Two<S> {
        let Two { high, low } = Two::product(self.high, b);
        Two { high, low: self.low.mul_add(b, low) }
    }

    /// The low part greater by `more`.
    #[inline(always)]
    pub(super) fn plus_low(self, more: Quick<S>) -> Two<S> {
        Two { high: self.high, low: self.low + more }
    }

    /// With the sign bits turned.
    #[inline(always)]
    pub(super) fn neg(self) -> Two<S> {
        Two { high: -self.high, low: -self.low }
    }

    /// `self` where the mask says so, else `other`.
    #[inline(always)]
    pub(super) fn when(self, mask: S::F32Mask, other: Two<S>) -> Two<S> {
        Two { high: self.high.when(mask, other.high), low: self.low.when(mask, other.low) }
    }

    /// `1 + self`, for a size of at most 1.
    #[inline(always)]
    pub(super) fn plus_one(self) -> Two<S> {
        Two::sum_ordered(self.high.all(1.0), self.high).plus_low(self.low)
    }

    /// `1 - self`, for a size of at most 1.
    #[inline(always)]
    pub(super) fn one_less(self) -> Two<S> {
        self.neg().plus_one()
    }

    /// `1 / self`, as `inverse (1 + error)`.
    #[inline(always)]
    pub(super) fn inverse(self) -> (Quick<S>, Quick<S>) {
        let one = self.high.all(1.0);
        let inverse = one / self.high;
        let error = (-inverse).mul_add(self.high, one);
        (inverse, (-inverse).mul_add(self.low, error))
    }

    /// `self / b`.
    #[inline(always)]
    pub(super) fn over(self, b: Two<S>) -> Two<S> {
        let inverse = b.high.all(1.0) / b.high;
        let high = self.high * inverse;
        let rest = (-high).mul_add(b.high, self.high) + (-high).mul_add(b.low, self.low);
        Two { high, low: rest * inverse }
    }

    /// The same sum, with a low part that is no more than the rounding error of the high one: for quotients and products, which take the
    /// product of two low parts for nothing.
    #[inline(always)]
    pub(super) fn normal(self) -> Two<S> {
        Two::sum_ordered(self.high, self.low)
    }

    /// One f32, rounded once.
    #[inline(always)]
    pub(super) fn join(self) -> Quick<S> {
        self.high + self.low
    }
}

/// `e^z = scale · (1 + first + rest)`: `scale` is a sixteenth root of a power of two as f32 has it, `first` the exact difference of z and a
/// multiple of `ln 2 / 16`, at most `ln 2 / 32` in size, and `rest`, below 2^-11, has what remains.
#[derive(Clone, Copy)]
pub(super) struct Power<S: Simd> {
    scale: Quick<S>,
    first: Quick<S>,
    rest: Quick<S>,
}

/// The least z of [`power`]: some powers of two above the least normal number, so that low parts are normal too.
pub(super) const LEAST: f32 = -75.0;

/// `2^(i/16)`, rounded, with the bits of i sixteenths of a binade left off.
const ROOTS: [f32; LANES] = {
    let roots = [
        1.0_f32,
        1.0442737,
        1.0905077,
        1.1387886,
        1.1892071,
        1.2418578,
        1.2968396,
        1.3542556,
        std::f32::consts::SQRT_2,
        1.4768262,
        1.5422108,
        1.6104903,
        1.6817929,
        1.7562522,
        1.8340081,
        1.9152066,
    ];
    let mut table = [0.0; LANES];
    let mut i = 0;
    while i < LANES {
        table[i] = f32::from_bits(roots[i].to_bits() - ((i as u32) << 19));
        i += 1;
    }
    table
};

/// The logarithms of what the roots above were rounded by.
const ROOTS_LOW: [f32; LANES] = [
    0.0,
    4.628547e-08,
    -1.19921575e-08,
    4.729782e-08,
    3.193418e-08,
    3.6210572e-08,
    -3.0990723e-08,
    -7.475213e-09,
    1.7114271e-08,
    -3.0476834e-08,
    5.233334e-09,
    6.1075918e-09,
    -1.4719606e-08,
    -5.258795e-09,
    -6.1282597e-09,
    5.1406093e-09,
];

/// `(e^r - 1 - r) / r²` for `|r| <= 0.02167`, interpolated as in `coefficients.rs`: error of `e^r` below 2^-36.
const EXP: [f32; 3] = [0.5, 0.1666696, 0.041667156];

/// `e^(z + low)`, for z from [`LEAST`] to 75 and a low part that is far less than 1. A sixteenth of a binade is so narrow that a polynomial of
/// three terms does, and that its rounding errors are small beside `first` (Tang 1989, "Table-driven implementation of the exponential
/// function").
#[inline(always)]
pub(super) fn power<S: Simd>(z: Quick<S>, low: Option<Quick<S>>) -> Power<S> {
    /// `ln 2 / 16` in two parts. The product of a whole number of 12 bits with the first is a multiple of 2^-28, and so is z where that counts: their
    /// difference is exact.
    const STEP: [f32; 2] = [std::f32::consts::LN_2 / 16.0, -1.190_408_9e-10];
    /// 1.5 · 2^23: a sum with it has no bits for a fraction.
    const SHIFT: f32 = 12_582_912.0;
    let simd = z.simd;
    let shifted = z.mul_add(z.all(std::f32::consts::LOG2_E * 16.0), z.all(SHIFT));
    let steps = shifted - SHIFT;
    let root = shifted.of_table(&ROOTS);
    let scale = Quick::new(simd, simd.add_sixteenths_to_exponent_f32(root.value, shifted.value));
    let first = steps.mul_add(z.all(-STEP[0]), z);
    let close = steps.mul_add(z.all(-STEP[1]), shifted.of_table(&ROOTS_LOW));
    let close = match low {
        Some(low) => close + low,
        None => close,
    };
    let bent = first.mul_add(z.all(EXP[2]), z.all(EXP[1])).mul_add(first, z.all(EXP[0]));
    // first² bent + close (1 + first)
    let rest = first.mul_add(first.mul_add(bent, close), close);
    Power { scale, first, rest }
}

impl<S: Simd> Power<S> {
    /// `e^z` with an error of about 2^-31 of it, that of a sum.
    #[inline(always)]
    pub(super) fn number(self) -> Two<S> {
        let sum = self.first + self.rest;
        let high = self.scale.mul_add(sum, self.scale);
        Two { high, low: self.scale.mul_add(sum, self.scale - high) }
    }

    /// `e^z` with an error of about 2^-36 of it.
    #[inline(always)]
    pub(super) fn close_number(self) -> Two<S> {
        let product = Two::product(self.scale, self.first);
        let sum = Two::sum_ordered(self.scale, product.high);
        sum.plus_low(self.scale.mul_add(self.rest, product.low)).normal()
    }

    /// `e^z - 1` for z <= 0, with its relative accuracy next to z = 0. The low part may be a hundredth of the high one.
    #[inline(always)]
    pub(super) fn minus_one(self) -> Two<S> {
        let whole = self.scale - 1.0;
        // Something where the scale is below 1/2.
        let lost = self.scale - (whole + 1.0);
        let product = Two::product(self.scale, self.first);
        // The whole is zero, or greater than the product.
        let sum = Two::sum_ordered(whole, product.high);
        sum.plus_low(self.scale.mul_add(self.rest, product.low) + lost)
    }
}

//! The text of each summation, over vectors of independent sums.
//!
//! An accumulator takes products one by one in ascending order of the index; lane by lane it does what
//! [`dot`](crate::dot()) does on scalars in the same format.

use crate::real::Real;
use crate::simd::Simd;

/// [`LANES`](crate::LANES) running sums of products in the format `T`.
pub trait Accumulator<T: Real, S: Simd>: Copy {
    /// The empty sums.
    fn zero(simd: S) -> Self;
    /// Adds the products `a · b`.
    fn add_product(&mut self, simd: S, a: T::Vector<S>, b: T::Vector<S>);
    /// The sums.
    fn finish(self, simd: S) -> T::Vector<S>;
}

/// [`Summation::Recursive`](crate::Summation::Recursive).
#[derive(Clone, Copy)]
pub struct Recursive<T: Real, S: Simd>(T::Vector<S>);

impl<T: Real, S: Simd> Accumulator<T, S> for Recursive<T, S> {
    #[inline(always)]
    fn zero(simd: S) -> Self {
        Recursive(T::splat(simd, T::default()))
    }

    #[inline(always)]
    fn add_product(&mut self, simd: S, a: T::Vector<S>, b: T::Vector<S>) {
        self.0 = T::add(simd, self.0, T::mul(simd, a, b));
    }

    #[inline(always)]
    fn finish(self, _simd: S) -> T::Vector<S> {
        self.0
    }
}

/// [`Summation::Fused`](crate::Summation::Fused).
#[derive(Clone, Copy)]
pub struct Fused<T: Real, S: Simd>(T::Vector<S>);

impl<T: Real, S: Simd> Accumulator<T, S> for Fused<T, S> {
    #[inline(always)]
    fn zero(simd: S) -> Self {
        Fused(T::splat(simd, T::default()))
    }

    #[inline(always)]
    fn add_product(&mut self, simd: S, a: T::Vector<S>, b: T::Vector<S>) {
        self.0 = T::fused(simd, a, b, self.0);
    }

    #[inline(always)]
    fn finish(self, _simd: S) -> T::Vector<S> {
        self.0
    }
}

/// [`Summation::Pairwise`](crate::Summation::Pairwise): `blocks[k]` holds the sum of 2^k products where bit k of `count` is set,
/// for fewer than 2^32 products.
#[derive(Clone, Copy)]
pub struct Pairwise<T: Real, S: Simd> {
    blocks: [T::Vector<S>; 32],
    count: u32,
}

impl<T: Real, S: Simd> Accumulator<T, S> for Pairwise<T, S> {
    #[inline(always)]
    fn zero(simd: S) -> Self {
        Pairwise { blocks: [T::splat(simd, T::default()); 32], count: 0 }
    }

    #[inline(always)]
    fn add_product(&mut self, simd: S, a: T::Vector<S>, b: T::Vector<S>) {
        let mut sum = T::mul(simd, a, b);
        let full = self.count.trailing_ones() as usize;
        for block in &self.blocks[..full] {
            sum = T::add(simd, *block, sum);
        }
        self.blocks[full] = sum;
        self.count += 1;
    }

    #[inline(always)]
    fn finish(self, simd: S) -> T::Vector<S> {
        let mut sum = None;
        for (k, block) in self.blocks.into_iter().enumerate() {
            if self.count >> k & 1 == 1 {
                sum = Some(sum.map_or(block, |sum| T::add(simd, block, sum)));
            }
        }
        sum.unwrap_or_else(|| T::splat(simd, T::default()))
    }
}

/// [`Summation::Compensated`](crate::Summation::Compensated).
#[derive(Clone, Copy)]
pub struct Compensated<T: Real, S: Simd> {
    sum: T::Vector<S>,
    correction: T::Vector<S>,
}

impl<T: Real, S: Simd> Accumulator<T, S> for Compensated<T, S> {
    #[inline(always)]
    fn zero(simd: S) -> Self {
        let zero = T::splat(simd, T::default());
        Compensated { sum: zero, correction: zero }
    }

    #[inline(always)]
    fn add_product(&mut self, simd: S, a: T::Vector<S>, b: T::Vector<S>) {
        let product = T::mul(simd, a, b);
        let minus_product = T::sub(simd, T::splat(simd, T::default()), product);
        let product_error = T::fused(simd, a, b, minus_product);
        let (sum, sum_error) = two_sum::<T, S>(simd, self.sum, product);
        self.sum = sum;
        self.correction = T::add(simd, self.correction, T::add(simd, sum_error, product_error));
    }

    #[inline(always)]
    fn finish(self, simd: S) -> T::Vector<S> {
        // An overflow leaves the correction NaN: the infinity itself is the result then.
        T::where_finite(simd, self.sum, T::add(simd, self.sum, self.correction))
    }
}

/// `(fl(a + b), a + b - fl(a + b))`, exact absent overflow (TwoSum; Knuth 1969, theorem 4.2.2 B), in 6 operations.
#[inline(always)]
fn two_sum<T: Real, S: Simd>(simd: S, a: T::Vector<S>, b: T::Vector<S>) -> (T::Vector<S>, T::Vector<S>) {
    let sum = T::add(simd, a, b);
    let from_b = T::sub(simd, sum, a);
    let from_a = T::sub(simd, sum, from_b);
    (sum, T::add(simd, T::sub(simd, a, from_a), T::sub(simd, b, from_b)))
}

/// [`Summation::Wide`](crate::Summation::Wide) of the formats that have a wider one: fused there, rounded once at the end.
#[derive(Clone, Copy)]
pub struct WideFused<T: Real, S: Simd>(<T::Wide as Real>::Vector<S>);

impl<T: Real, S: Simd> Accumulator<T, S> for WideFused<T, S> {
    #[inline(always)]
    fn zero(simd: S) -> Self {
        WideFused(T::Wide::splat(simd, T::Wide::default()))
    }

    #[inline(always)]
    fn add_product(&mut self, simd: S, a: T::Vector<S>, b: T::Vector<S>) {
        self.0 = T::Wide::fused(simd, T::to_wide(simd, a), T::to_wide(simd, b), self.0);
    }

    #[inline(always)]
    fn finish(self, simd: S) -> T::Vector<S> {
        T::from_wide(simd, self.0)
    }
}

/// [`Summation::Wide`](crate::Summation::Wide) of f64: each product enters as TwoProduct, each sum is the accurate double-double addition
/// (AccurateDWPlusDW; Joldes, Muller and Popescu 2017, algorithm 6).
#[derive(Clone, Copy)]
pub struct WideDoubleDouble<S: Simd> {
    high: S::F64,
    low: S::F64,
}

impl<S: Simd> Accumulator<f64, S> for WideDoubleDouble<S> {
    #[inline(always)]
    fn zero(simd: S) -> Self {
        let zero = simd.splat_f64(0.0);
        WideDoubleDouble { high: zero, low: zero }
    }

    #[inline(always)]
    fn add_product(&mut self, simd: S, a: S::F64, b: S::F64) {
        let product = simd.mul_f64(a, b);
        let product_error = simd.mul_add_f64(a, b, simd.sub_f64(simd.splat_f64(0.0), product));
        let (high, high_error) = two_sum::<f64, S>(simd, self.high, product);
        let (low, low_error) = two_sum::<f64, S>(simd, self.low, product_error);
        let (sum, rest) = quick_two_sum(simd, high, simd.add_f64(high_error, low));
        let (corrected, low) = quick_two_sum(simd, sum, simd.add_f64(low_error, rest));
        // Once the leading sum is infinite the corrections are NaN; the infinity itself goes on.
        self.high = simd.where_finite_f64(high, corrected);
        self.low = simd.where_finite_f64(high, low);
    }

    #[inline(always)]
    fn finish(self, _simd: S) -> S::F64 {
        self.high
    }
}

/// `(fl(a + b), a + b - fl(a + b))` for `|a| >= |b|` or `a = 0` (Fast2Sum; Dekker 1971).
#[inline(always)]
fn quick_two_sum<S: Simd>(simd: S, a: S::F64, b: S::F64) -> (S::F64, S::F64) {
    let sum = simd.add_f64(a, b);
    (sum, simd.sub_f64(b, simd.sub_f64(sum, a)))
}

//! The text of each summation, over vectors of independent sums.
//!
//! An accumulator takes products one by one in ascending order of the index; lane by lane it does what
//! [`dot`](crate::dot()) does on scalars in the same format. Its factors come from memory in the numbers that it computes in, so that a kernel can
//! convert them once and use them often.

use crate::computed::Computed;
use crate::real::Real;
use crate::simd::{LANES, Simd, portable};
use crate::summation::INTERLEAVED;
use half::bf16;

/// [`LANES`] running sums of products in the format `T`.
///
/// A step takes [`TERMS`](Accumulator::TERMS) products: one, or the two of a pair.
pub trait Accumulator<T: Real, S: Simd>: Copy {
    /// What a factor is held as in memory, once a kernel has prepared it: the factors of one step.
    type Number: Computed;
    /// The factors of one step, [`LANES`] of them, in registers.
    type Vector: Copy;
    /// Products in a step.
    const TERMS: usize = 1;
    /// Vectors of `Number` that hold the sums while they are interrupted; 0 where there are too many for that to pay.
    const STATE: usize;
    /// How many vectors of f32 the sums take in registers.
    const REGISTERS: usize;

    /// The factors of one step; where it has but one product, `second` is not looked at.
    fn number(first: T, second: T) -> Self::Number;
    /// The factors of one step for each lane; where it has but one product, `second` is not looked at.
    fn vector(simd: S, first: &[T; LANES], second: &[T; LANES]) -> Self::Vector;
    /// [`vector`](Accumulator::vector) of twice as many lanes, in an order of their own, which
    /// [`store_two`](Accumulator::store_two) undoes.
    fn two_vectors(simd: S, first: &[T; 2 * LANES], second: &[T; 2 * LANES]) -> [Self::Vector; 2];
    /// The sums of lanes that [`two_vectors`](Accumulator::two_vectors) gave, rounded to numbers of the format before.
    fn store_two(simd: S, sums: [T::Vector<S>; 2], out: &mut [T; 2 * LANES]);
    /// The factors of [`LANES`] steps, step i in lane i; `factors` are those of their products one after the other.
    ///
    /// # Panics
    /// If there are not `TERMS · LANES` of them.
    fn steps(simd: S, factors: &[T]) -> Self::Vector;
    /// Turns a square: lane j of `rows[i]` becomes lane i of `rows[j]`.
    fn transpose(simd: S, rows: &mut [Self::Vector; LANES]);
    /// The same factors for all lanes.
    fn splat(simd: S, x: Self::Number) -> Self::Vector;
    /// Factors that a kernel has prepared.
    fn load(simd: S, x: &[Self::Number; LANES]) -> Self::Vector;
    /// Puts prepared factors to memory.
    fn store(simd: S, x: Self::Vector, out: &mut [Self::Number; LANES]);

    /// The empty sums.
    fn zero(simd: S) -> Self;
    /// Adds the products of one step.
    fn add_products(&mut self, simd: S, a: Self::Vector, b: Self::Vector);
    /// The sums.
    fn finish(self, simd: S) -> T::Vector<S>;

    /// Puts the running sums to memory.
    fn save(self, simd: S, out: &mut [[Self::Number; LANES]]);
    /// The sums that [`save`](Accumulator::save) put there.
    fn restore(simd: S, saved: &[[Self::Number; LANES]]) -> Self;
}

/// Factors that are computed with in the format itself.
macro_rules! factors_of_the_format {
    () => {
        type Number = T::Computed;
        type Vector = T::Vector<S>;

        #[inline(always)]
        fn number(first: T, _second: T) -> T::Computed {
            first.computed()
        }

        #[inline(always)]
        fn vector(simd: S, first: &[T; LANES], _second: &[T; LANES]) -> T::Vector<S> {
            T::load(simd, first)
        }

        #[inline(always)]
        fn two_vectors(simd: S, first: &[T; 2 * LANES], _second: &[T; 2 * LANES]) -> [T::Vector<S>; 2] {
            T::load_two(simd, first)
        }

        #[inline(always)]
        fn store_two(simd: S, sums: [T::Vector<S>; 2], out: &mut [T; 2 * LANES]) {
            T::store_two(simd, sums, out);
        }

        #[inline(always)]
        fn steps(simd: S, factors: &[T]) -> T::Vector<S> {
            T::load(simd, lanes(factors))
        }

        #[inline(always)]
        fn transpose(simd: S, rows: &mut [T::Vector<S>; LANES]) {
            T::transpose(simd, rows);
        }

        #[inline(always)]
        fn splat(simd: S, x: T::Computed) -> T::Vector<S> {
            T::splat_computed(simd, x)
        }

        #[inline(always)]
        fn load(simd: S, x: &[T::Computed; LANES]) -> T::Vector<S> {
            T::load_computed(simd, x)
        }

        #[inline(always)]
        fn store(simd: S, x: T::Vector<S>, out: &mut [T::Computed; LANES]) {
            T::store_computed(simd, x, out);
        }
    };
}

/// Sums that cannot be interrupted.
macro_rules! never_interrupted {
    () => {
        const STATE: usize = 0;

        #[inline(always)]
        fn save(self, _simd: S, _out: &mut [[Self::Number; LANES]]) {}

        #[inline(always)]
        fn restore(simd: S, _saved: &[[Self::Number; LANES]]) -> Self {
            Self::zero(simd)
        }
    };
}

/// [`Summation::Recursive`](crate::Summation::Recursive).
#[derive(Clone, Copy)]
pub struct Recursive<T: Real, S: Simd>(T::Vector<S>);

impl<T: Real, S: Simd> Accumulator<T, S> for Recursive<T, S> {
    factors_of_the_format!();
    const STATE: usize = 1;
    const REGISTERS: usize = registers::<T::Computed>();

    #[inline(always)]
    fn zero(simd: S) -> Self {
        Recursive(T::splat(simd, T::default()))
    }

    #[inline(always)]
    fn add_products(&mut self, simd: S, a: T::Vector<S>, b: T::Vector<S>) {
        self.0 = T::add(simd, self.0, T::mul(simd, a, b));
    }

    #[inline(always)]
    fn finish(self, _simd: S) -> T::Vector<S> {
        self.0
    }

    #[inline(always)]
    fn save(self, simd: S, out: &mut [[T::Computed; LANES]]) {
        T::store_computed(simd, self.0, &mut out[0]);
    }

    #[inline(always)]
    fn restore(simd: S, saved: &[[T::Computed; LANES]]) -> Self {
        Recursive(T::load_computed(simd, &saved[0]))
    }
}

/// [`Summation::Fused`](crate::Summation::Fused).
#[derive(Clone, Copy)]
pub struct Fused<T: Real, S: Simd>(T::Vector<S>);

impl<T: Real, S: Simd> Accumulator<T, S> for Fused<T, S> {
    factors_of_the_format!();
    const STATE: usize = 1;
    const REGISTERS: usize = registers::<T::Computed>();

    #[inline(always)]
    fn zero(simd: S) -> Self {
        Fused(T::splat(simd, T::default()))
    }

    #[inline(always)]
    fn add_products(&mut self, simd: S, a: T::Vector<S>, b: T::Vector<S>) {
        self.0 = T::fused(simd, a, b, self.0);
    }

    #[inline(always)]
    fn finish(self, _simd: S) -> T::Vector<S> {
        self.0
    }

    #[inline(always)]
    fn save(self, simd: S, out: &mut [[T::Computed; LANES]]) {
        T::store_computed(simd, self.0, &mut out[0]);
    }

    #[inline(always)]
    fn restore(simd: S, saved: &[[T::Computed; LANES]]) -> Self {
        Fused(T::load_computed(simd, &saved[0]))
    }
}

/// [`Summation::Interleaved`](crate::Summation::Interleaved), the partial sums one behind the other and `next` the one whose turn it is.
#[derive(Clone, Copy)]
pub struct Interleaved<T: Real, S: Simd> {
    sums: [<T::Computed as Real>::Vector<S>; INTERLEAVED],
    next: usize,
}

impl<T: Real, S: Simd> Accumulator<T, S> for Interleaved<T, S> {
    factors_of_the_format!();
    never_interrupted!();
    const REGISTERS: usize = INTERLEAVED;

    #[inline(always)]
    fn zero(simd: S) -> Self {
        Interleaved { sums: [T::Computed::splat(simd, T::Computed::default()); INTERLEAVED], next: 0 }
    }

    #[inline(always)]
    fn add_products(&mut self, simd: S, a: T::Vector<S>, b: T::Vector<S>) {
        let sum = &mut self.sums[self.next % INTERLEAVED];
        *sum = T::Computed::fused(simd, T::to_computed(simd, a), T::to_computed(simd, b), *sum);
        self.next += 1;
    }

    #[inline(always)]
    fn finish(self, simd: S) -> T::Vector<S> {
        let Interleaved { mut sums, .. } = self;
        let mut left = INTERLEAVED;
        while left > 1 {
            left /= 2;
            for j in 0..left {
                sums[j] = T::Computed::add(simd, sums[j], sums[j + left]);
            }
        }
        T::from_computed(simd, sums[0])
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
    factors_of_the_format!();
    never_interrupted!();
    const REGISTERS: usize = 32;

    #[inline(always)]
    fn zero(simd: S) -> Self {
        Pairwise { blocks: [T::splat(simd, T::default()); 32], count: 0 }
    }

    #[inline(always)]
    fn add_products(&mut self, simd: S, a: T::Vector<S>, b: T::Vector<S>) {
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
    factors_of_the_format!();
    const STATE: usize = 2;
    const REGISTERS: usize = 2 * registers::<T::Computed>();

    #[inline(always)]
    fn zero(simd: S) -> Self {
        let zero = T::splat(simd, T::default());
        Compensated { sum: zero, correction: zero }
    }

    #[inline(always)]
    fn add_products(&mut self, simd: S, a: T::Vector<S>, b: T::Vector<S>) {
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

    #[inline(always)]
    fn save(self, simd: S, out: &mut [[T::Computed; LANES]]) {
        T::store_computed(simd, self.sum, &mut out[0]);
        T::store_computed(simd, self.correction, &mut out[1]);
    }

    #[inline(always)]
    fn restore(simd: S, saved: &[[T::Computed; LANES]]) -> Self {
        Compensated { sum: T::load_computed(simd, &saved[0]), correction: T::load_computed(simd, &saved[1]) }
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

impl<T: Real<Wide: Computed>, S: Simd> Accumulator<T, S> for WideFused<T, S> {
    type Number = T::Wide;
    type Vector = <T::Wide as Real>::Vector<S>;
    const STATE: usize = 1;
    const REGISTERS: usize = registers::<T::Wide>();

    #[inline(always)]
    fn number(first: T, _second: T) -> T::Wide {
        first.wide()
    }

    #[inline(always)]
    fn vector(simd: S, first: &[T; LANES], _second: &[T; LANES]) -> Self::Vector {
        T::to_wide(simd, T::load(simd, first))
    }

    #[inline(always)]
    fn two_vectors(simd: S, first: &[T; 2 * LANES], _second: &[T; 2 * LANES]) -> [Self::Vector; 2] {
        let [a, b] = T::load_two(simd, first);
        [T::to_wide(simd, a), T::to_wide(simd, b)]
    }

    #[inline(always)]
    fn store_two(simd: S, sums: [T::Vector<S>; 2], out: &mut [T; 2 * LANES]) {
        T::store_two(simd, sums, out);
    }

    #[inline(always)]
    fn steps(simd: S, factors: &[T]) -> Self::Vector {
        T::to_wide(simd, T::load(simd, lanes(factors)))
    }

    #[inline(always)]
    fn transpose(simd: S, rows: &mut [Self::Vector; LANES]) {
        T::Wide::transpose(simd, rows);
    }

    #[inline(always)]
    fn splat(simd: S, x: T::Wide) -> Self::Vector {
        T::Wide::splat(simd, x)
    }

    #[inline(always)]
    fn load(simd: S, x: &[T::Wide; LANES]) -> Self::Vector {
        T::Wide::load(simd, x)
    }

    #[inline(always)]
    fn store(simd: S, x: Self::Vector, out: &mut [T::Wide; LANES]) {
        T::Wide::store(simd, x, out);
    }

    #[inline(always)]
    fn zero(simd: S) -> Self {
        WideFused(T::Wide::splat(simd, T::Wide::default()))
    }

    #[inline(always)]
    fn add_products(&mut self, simd: S, a: Self::Vector, b: Self::Vector) {
        self.0 = T::Wide::fused(simd, a, b, self.0);
    }

    #[inline(always)]
    fn finish(self, simd: S) -> T::Vector<S> {
        T::from_wide(simd, self.0)
    }

    #[inline(always)]
    fn save(self, simd: S, out: &mut [[T::Wide; LANES]]) {
        T::Wide::store(simd, self.0, &mut out[0]);
    }

    #[inline(always)]
    fn restore(simd: S, saved: &[[T::Wide; LANES]]) -> Self {
        WideFused(T::Wide::load(simd, &saved[0]))
    }
}

/// [`Summation::Wide`](crate::Summation::Wide) of f64: each product enters as TwoProduct, each sum is the accurate double-double addition
/// (AccurateDWPlusDW; Joldes, Muller and Popescu 2017, algorithm 6).
#[derive(Clone, Copy)]
pub struct WideDoubleDouble<T: Real, S: Simd> {
    high: T::Vector<S>,
    low: T::Vector<S>,
}

impl<T: Real, S: Simd> Accumulator<T, S> for WideDoubleDouble<T, S> {
    factors_of_the_format!();
    const STATE: usize = 2;
    const REGISTERS: usize = 2 * registers::<T::Computed>();

    #[inline(always)]
    fn zero(simd: S) -> Self {
        let zero = T::splat(simd, T::default());
        WideDoubleDouble { high: zero, low: zero }
    }

    #[inline(always)]
    fn add_products(&mut self, simd: S, a: T::Vector<S>, b: T::Vector<S>) {
        let product = T::mul(simd, a, b);
        let product_error = T::fused(simd, a, b, T::sub(simd, T::splat(simd, T::default()), product));
        let (high, high_error) = two_sum::<T, S>(simd, self.high, product);
        let (low, low_error) = two_sum::<T, S>(simd, self.low, product_error);
        let (sum, rest) = quick_two_sum::<T, S>(simd, high, T::add(simd, high_error, low));
        let (corrected, low) = quick_two_sum::<T, S>(simd, sum, T::add(simd, low_error, rest));
        // Once the leading sum is infinite the corrections are NaN; the infinity itself goes on.
        self.high = T::where_finite(simd, high, corrected);
        self.low = T::where_finite(simd, high, low);
    }

    #[inline(always)]
    fn finish(self, _simd: S) -> T::Vector<S> {
        self.high
    }

    #[inline(always)]
    fn save(self, simd: S, out: &mut [[T::Computed; LANES]]) {
        T::store_computed(simd, self.high, &mut out[0]);
        T::store_computed(simd, self.low, &mut out[1]);
    }

    #[inline(always)]
    fn restore(simd: S, saved: &[[T::Computed; LANES]]) -> Self {
        WideDoubleDouble { high: T::load_computed(simd, &saved[0]), low: T::load_computed(simd, &saved[1]) }
    }
}

/// `(fl(a + b), a + b - fl(a + b))` for `|a| >= |b|` or `a = 0` (Fast2Sum; Dekker 1971).
#[inline(always)]
fn quick_two_sum<T: Real, S: Simd>(
    simd: S,
    a: T::Vector<S>,
    b: T::Vector<S>,
) -> (T::Vector<S>, T::Vector<S>) {
    let sum = T::add(simd, a, b);
    (sum, T::sub(simd, b, T::sub(simd, sum, a)))
}

/// [`Summation::Bf16Dot`](crate::Summation::Bf16Dot). A number in memory is a pair of bf16 numbers in the bits of an f32.
#[derive(Clone, Copy)]
pub struct Bf16Dot<S: Simd>(S::F32);

impl<S: Simd> Accumulator<bf16, S> for Bf16Dot<S> {
    type Number = f32;
    type Vector = S::F32;
    const TERMS: usize = 2;
    const STATE: usize = 1;
    const REGISTERS: usize = 1;

    #[inline(always)]
    fn number(first: bf16, second: bf16) -> f32 {
        portable::bf16_pair(first, second)
    }

    #[inline(always)]
    fn vector(simd: S, first: &[bf16; LANES], second: &[bf16; LANES]) -> S::F32 {
        simd.pair_bf16(first, second)
    }

    #[inline(always)]
    fn two_vectors(simd: S, first: &[bf16; 2 * LANES], second: &[bf16; 2 * LANES]) -> [S::F32; 2] {
        simd.pair_two_bf16(first, second)
    }

    #[inline(always)]
    fn store_two(simd: S, sums: [S::F32; 2], out: &mut [bf16; 2 * LANES]) {
        simd.store_two_bf16(sums, out);
    }

    #[inline(always)]
    fn steps(simd: S, factors: &[bf16]) -> S::F32 {
        simd.load_bf16_pairs(lanes(factors))
    }

    #[inline(always)]
    fn transpose(simd: S, rows: &mut [S::F32; LANES]) {
        simd.transpose_f32(rows);
    }

    #[inline(always)]
    fn splat(simd: S, x: f32) -> S::F32 {
        simd.splat_f32(x)
    }

    #[inline(always)]
    fn load(simd: S, x: &[f32; LANES]) -> S::F32 {
        simd.load_f32(x)
    }

    #[inline(always)]
    fn store(simd: S, x: S::F32, out: &mut [f32; LANES]) {
        simd.store_f32(x, out);
    }

    #[inline(always)]
    fn zero(simd: S) -> Self {
        Bf16Dot(simd.splat_f32(0.0))
    }

    #[inline(always)]
    fn add_products(&mut self, simd: S, a: S::F32, b: S::F32) {
        self.0 = simd.dot_bf16(a, b, self.0);
    }

    #[inline(always)]
    fn finish(self, simd: S) -> S::F32 {
        simd.round_bf16(self.0)
    }

    #[inline(always)]
    fn save(self, simd: S, out: &mut [[f32; LANES]]) {
        simd.store_f32(self.0, &mut out[0]);
    }

    #[inline(always)]
    fn restore(simd: S, saved: &[[f32; LANES]]) -> Self {
        Bf16Dot(simd.load_f32(&saved[0]))
    }
}

/// The slice as an array.
#[inline(always)]
fn lanes<T, const N: usize>(factors: &[T]) -> &[T; N] {
    factors.try_into().expect("the factors of LANES steps")
}

/// How many vectors of f32 take the registers of one vector of `N`.
const fn registers<N>() -> usize {
    size_of::<N>() / size_of::<f32>()
}

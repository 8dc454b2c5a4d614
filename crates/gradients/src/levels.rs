//! Exact sums of a block of numbers, in floating-point accumulators that stand on fixed grids: in one look at the numbers, and proved afterwards.
//!
//! An accumulator starts at a power of two, `2^k`, so large that its ulp does not change while numbers are added: it stands on the grid of the multiples of
//! `2^(k-52)`. Adding a term to it rounds the term to the grid; what the rounding left off is exact, and goes to the next accumulator, whose grid is finer (Rump,
//! Ogita and Oishi 2008, "Accurate floating-point summation", section 3; the grids are those of Demmel and Nguyen 2013, "Fast reproducible floating-point
//! summation"). The last one takes what is left without a rest.
//!
//! With at most `2^c` terms in each lane, and e the least exponent of a number that is not zero:
//!
//! | text | terms | accumulators start at 2^ | all of it is exact if |
//! | --- | --- | --- | --- |
//! | [`Whole`] | \|x\|, or x² that f64 has | k | terms are multiples of 2^(k-52) |
//! | [`Halves`] | the same, over a wider range | k, k-52+c | terms are multiples of 2^(k-104+c) |
//! | [`Quarters`] | x² = fl(x²) + rest | k, k-51+c; k-51, k-103+c | 2e >= k-51+c |
//!
//! and in all of them, if the first accumulator is below 2^(k+1) in the end: terms are not negative, so the sum does not fall, and has never left its
//! binade. The other accumulators take numbers of both signs; they start in the middle of a binade, at 1.5 times the power of the table, and cannot leave it:
//!
//! - Half a unit of the grid above is the most that one term leaves, 2^(k-53): 2^c of them stay within 2^(k-53+c), half of the second one's
//!   binade. In [`Quarters`] it is up to a whole unit, for x² is added in a fused operation, but the rest is taken of fl(x²).
//! - [`Quarters`] adds fl(x²), a multiple of 2^(2e-52), and x² - fl(x²), a multiple of 2^(2e-104) and at most 2^-53 of it. So the sum of the latter
//!   is at most 2^(k-52) (a factor of 2 is for roundings), half of the third one's binade, and of each at most 2^(k-104) is left for the fourth one.
//!
//! So no bound of the numbers is needed before: a k that fitted the block before is tried, and a block that does not bear it out is added in another way. The
//! result is an integer, the difference of the bits of the accumulators.

use crate::stored::Bits;
use gradchain_arith::{Isa, LANES, Simd, WithSimd};
use std::marker::PhantomData;

/// Where the accumulators of a block stand: the first starts at 2^k, after numbers have been multiplied by 2^scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) k: i32,
    pub(crate) scale: i32,
}

/// What the accumulators of a block took: `Σ units[i] · 2^exponents[i]` if `fits` and if no number was below the least one of the grid.
pub(crate) struct Taken<M> {
    /// For each accumulator the multiples of its grid.
    pub(crate) units: [i64; LEVELS],
    /// The bits of the most multiples of the first grid in a lane.
    pub(crate) bits: i32,
    /// Whether the first accumulator stayed in its binade.
    pub(crate) fits: bool,
    /// The least magnitude, zero where there are zeros.
    pub(crate) least: M,
}

/// The most accumulators of a text.
pub(crate) const LEVELS: usize = 4;

/// Numbers between two looks at the loop.
pub(crate) const STEP: usize = 2 * LANES;

/// How the terms of a block are added to accumulators.
pub(crate) trait Text<T: Bits> {
    /// The text for blocks of more magnitudes than this one holds; itself, where there is none.
    type Wide: Text<T>;
    /// Whether there is one.
    const NARROW: bool;
    /// Whether squares are added; else magnitudes.
    const SQUARE: bool;
    /// Accumulators that are used.
    const LEVELS: usize;
    /// Independent sets of them, of which each takes a part of the block.
    const SETS: usize;

    /// The exponents of the accumulators' starts, for `2^c` terms in each lane.
    fn exponents(k: i32, c: i32) -> [i32; LEVELS];

    /// The least e so that all is exact if numbers that are not zero are `2^e` or more, for numbers of `precision` bits. With gradual underflow, multiples of
    /// the least subnormal number can be smaller.
    fn least_exponent(k: i32, c: i32, precision: i32) -> i32;

    /// One look at a block, with at most `2^c` terms in each lane.
    fn take(isa: Isa, numbers: &[T], grid: Grid, c: i32) -> Taken<T::Magnitude>;
}

/// How terms are added to accumulators of f64.
trait Doubles {
    /// Adds the terms of a vector. `one` is 1 in all lanes: a fused product with it is an addition on the multipliers, of which the CPU has as many as
    /// adders.
    fn add<S: Simd>(simd: S, x: S::F64, one: S::F64, sums: &mut [S::F64; LEVELS]);
}

/// One accumulator: for magnitudes, and squares of 16-bit numbers. W is the text for more magnitudes.
pub(crate) struct Whole<const SQUARE: bool, W>(PhantomData<W>);
/// Two accumulators: for magnitudes of f64, and squares of f32.
pub(crate) struct Halves<const SQUARE: bool>;
/// Four accumulators: for squares of f64.
pub(crate) struct Quarters;

/// The e of the last bit 2^unit of a term, for the exponents of the text's numbers.
pub(crate) const fn exponent_for(unit: i32, square: bool, precision: i32) -> i32 {
    let last_bit = if square { unit.div_euclid(2) + unit.rem_euclid(2) } else { unit };
    last_bit + precision - 1
}

impl<T: Bits, W: Text<T>, const SQUARE: bool> Text<T> for Whole<SQUARE, W> {
    type Wide = W;
    const NARROW: bool = true;
    const SQUARE: bool = SQUARE;
    const LEVELS: usize = 1;
    // The text is so short that an addition would wait for the last one.
    const SETS: usize = 2;

    fn exponents(k: i32, _c: i32) -> [i32; LEVELS] {
        [k, 0, 0, 0]
    }

    fn least_exponent(k: i32, _c: i32, precision: i32) -> i32 {
        exponent_for(k - 52, SQUARE, precision)
    }

    fn take(isa: Isa, numbers: &[T], grid: Grid, c: i32) -> Taken<T::Magnitude> {
        isa.run(Pass::<T, Self> { numbers, grid, c, text: PhantomData })
    }
}

impl<W, const SQUARE: bool> Doubles for Whole<SQUARE, W> {
    #[inline(always)]
    fn add<S: Simd>(simd: S, x: S::F64, one: S::F64, sums: &mut [S::F64; LEVELS]) {
        let (a, b) = if SQUARE { (x, x) } else { (simd.abs_f64(x), one) };
        sums[0] = simd.mul_add_f64(a, b, sums[0]);
    }
}

impl<T: Bits, const SQUARE: bool> Text<T> for Halves<SQUARE> {
    type Wide = Self;
    const NARROW: bool = false;
    const SQUARE: bool = SQUARE;
    const LEVELS: usize = 2;
    const SETS: usize = 1;

    fn exponents(k: i32, c: i32) -> [i32; LEVELS] {
        [k, k - 52 + c, 0, 0]
    }

    fn least_exponent(k: i32, c: i32, precision: i32) -> i32 {
        exponent_for(k - 104 + c, SQUARE, precision)
    }

    fn take(isa: Isa, numbers: &[T], grid: Grid, c: i32) -> Taken<T::Magnitude> {
        isa.run(Pass::<T, Self> { numbers, grid, c, text: PhantomData })
    }
}

impl<const SQUARE: bool> Doubles for Halves<SQUARE> {
    #[inline(always)]
    fn add<S: Simd>(simd: S, x: S::F64, one: S::F64, sums: &mut [S::F64; LEVELS]) {
        let (a, b) = if SQUARE { (x, x) } else { (simd.abs_f64(x), one) };
        let first = simd.mul_add_f64(a, b, sums[0]);
        let rest = simd.mul_add_f64(a, b, simd.sub_f64(sums[0], first));
        sums[0] = first;
        sums[1] = simd.add_f64(sums[1], rest);
    }
}

impl<T: Bits> Text<T> for Quarters {
    type Wide = Self;
    const NARROW: bool = false;
    const SQUARE: bool = true;
    const LEVELS: usize = 4;
    const SETS: usize = 1;

    fn exponents(k: i32, c: i32) -> [i32; LEVELS] {
        [k, k - 51 + c, k - 51, k - 103 + c]
    }

    fn least_exponent(k: i32, c: i32, _precision: i32) -> i32 {
        exponent_for(k - 51 + c, true, 1)
    }

    fn take(isa: Isa, numbers: &[T], grid: Grid, c: i32) -> Taken<T::Magnitude> {
        isa.run(Pass::<T, Self> { numbers, grid, c, text: PhantomData })
    }
}

impl Doubles for Quarters {
    #[inline(always)]
    fn add<S: Simd>(simd: S, x: S::F64, one: S::F64, sums: &mut [S::F64; LEVELS]) {
        let square = simd.mul_f64(x, x);
        let first = simd.mul_add_f64(x, x, sums[0]);
        let rest = simd.add_f64(square, simd.sub_f64(sums[0], first));
        sums[0] = first;
        sums[1] = simd.mul_add_f64(one, rest, sums[1]);
        // What the rounding of the square left off.
        let left = simd.mul_add_f64(x, x, simd.neg_f64(square));
        let third = simd.add_f64(sums[2], left);
        let rest = simd.mul_add_f64(one, left, simd.sub_f64(sums[2], third));
        sums[2] = third;
        sums[3] = simd.add_f64(sums[3], rest);
    }
}

/// One look at a block, by the text X.
struct Pass<'a, T, X> {
    numbers: &'a [T],
    grid: Grid,
    /// `2^c` is the most terms in a lane.
    c: i32,
    text: PhantomData<X>,
}

/// 2^e, for e from -1074 to 1023.
pub(crate) fn power_of_two(e: i32) -> f64 {
    if e < -1022 { f64::from_bits(1 << (e + 1074)) } else { f64::from_bits(((e + 1023) as u64) << 52) }
}

impl<T: Bits, X: Text<T> + Doubles> WithSimd for Pass<'_, T, X> {
    type Output = Taken<T::Magnitude>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Output {
        let exponents = X::exponents(self.grid.k, self.c);
        // The first takes terms of one sign.
        let mut starts = exponents.map(|e| 1.5 * power_of_two(e));
        starts[0] = power_of_two(self.grid.k);
        let scale = power_of_two(self.grid.scale);
        let one = std::hint::black_box(1.0);
        let numbers = self.numbers;
        simd.call(
            #[inline(always)]
            || look::<T, S, X>(simd, numbers, [scale, one], starts),
        )
    }
}

#[inline(always)]
fn look<T: Bits, S: Simd, X: Text<T> + Doubles>(
    simd: S,
    numbers: &[T],
    [scale, one]: [f64; 2],
    starts: [f64; LEVELS],
) -> Taken<T::Magnitude> {
    let (scale, one) = (simd.splat_f64(scale), simd.splat_f64(one));
    let mut sums = [starts.map(|start| simd.splat_f64(start)); 2];
    let mut least = [T::LARGEST; STEP];
    let (steps, rest) = numbers.as_chunks::<STEP>();
    for numbers in steps {
        step::<T, S, X>(simd, numbers, [scale, one], &mut sums, &mut least);
    }
    if !rest.is_empty() {
        let mut last = [T::default(); STEP];
        last[..rest.len()].copy_from_slice(rest);
        step::<T, S, X>(simd, &last, [scale, one], &mut sums, &mut least);
    }
    let mut taken = Taken { units: [0; LEVELS], bits: 0, fits: true, least: T::LARGEST };
    let mut all = 0;
    for level in 0..X::LEVELS {
        let start = starts[level].to_bits();
        for sums in &sums[..X::SETS] {
            let mut lanes = [0.0; LANES];
            simd.store_f64(sums[level], &mut lanes);
            // In a binade, numbers are as far apart as their bits.
            let mut units: u64 = 0;
            for lane in lanes {
                let lane = lane.to_bits().wrapping_sub(start);
                units = units.wrapping_add(lane);
                all |= if level == 0 { lane } else { 0 };
            }
            taken.units[level] = taken.units[level].wrapping_add(units as i64);
        }
    }
    taken.bits = 64 - all.leading_zeros() as i32;
    taken.fits = taken.bits <= 52;
    if size_of::<T>() > 2 {
        taken.least = least.iter().fold(taken.least, |least, x| least.min(*x));
    } else {
        taken.least = numbers.iter().fold(T::LARGEST, |least, x| least.min(x.magnitude()));
    }
    taken
}

#[inline(always)]
fn step<T: Bits, S: Simd, X: Text<T> + Doubles>(
    simd: S,
    numbers: &[T; STEP],
    [scale, one]: [S::F64; 2],
    sums: &mut [[S::F64; LEVELS]; 2],
    least: &mut [T::Magnitude; STEP],
) {
    for (half, vector) in T::load_two(simd, numbers).into_iter().enumerate() {
        let x = T::to_f64(simd, vector);
        // Only squares and magnitudes of f64 can leave f64.
        let x = if T::FORMAT.precision() == 53 { simd.mul_f64(x, scale) } else { x };
        X::add(simd, x, one, &mut sums[half % X::SETS]);
    }
    // Of 16-bit numbers compilers make no vectors here.
    if size_of::<T>() > 2 {
        for (least, x) in least.iter_mut().zip(numbers) {
            *least = (*least).min(x.magnitude());
        }
    }
}

//! Exact sums of a block of numbers, in floating-point accumulators that stand on fixed grids.
//!
//! Every number of the block is first divided by a power of two, so that none reaches 1. An accumulator starts at a constant of its own, large enough that
//! its ulp does not change while `2^c` terms are added to it. Adding a term t to it rounds t to a multiple of that ulp; what the rounding left off is exact and
//! goes to the next accumulator, whose grid is finer (Rump, Ogita and Oishi 2008, "Accurate floating-point summation", section 3; the grids are those of Demmel and
//! Nguyen 2013, "Fast reproducible floating-point summation"). The last accumulator stands on no grid: it adds exactly as long as all terms are multiples of
//! its [`LEAST`](Sums::LEAST). That is asked of the block before, so nothing here is approximate, and the sum does not depend on the order.
//!
//! Sums are bound by the adders of the CPU, of which the multipliers can take a part: some additions are written as `one · a + b`, with a one that the compiler does
//! not know, or it would make an addition of it.
//!
//! | format | lanes | adds, 2^c | grids | least multiple |
//! | --- | --- | --- | --- | --- |
//! | f16, bf16 | f32 | 2^5 | 2^-18, 2^-36 | 2^-56 |
//! | f32 | f64 | 2^7 | 2^-45, 2^-90 | 2^-90 |
//! | f64 | f64 | 2^6 | 2^-46, 2^-91 | 2^-138 |

use gradchain_arith::{Isa, LANES, Real, Simd, WithSimd, bf16, f16};

/// What is added for each number x of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Term {
    /// |x|
    Magnitude,
    /// x²
    Square,
}

/// A sum `high · 2^LEAST_HIGH + low · 2^LEAST`, the first part being the larger one by far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fixed {
    pub(crate) high: i128,
    pub(crate) low: i64,
}

/// A stored format with an exact sum of blocks.
pub(crate) trait Sums: Real {
    /// The most numbers of a block.
    const BLOCK: usize;
    /// The exponent of what every term must be a multiple of, numbers being below 1.
    const LEAST: i32;
    /// The exponent of the grid of [`Fixed::high`].
    const LEAST_HIGH: i32;

    /// `Σ term(x · scale)` over at most [`BLOCK`](Sums::BLOCK) numbers; `scale`, a power of two that the lanes hold, brings all of them below 1.
    fn sum(isa: Isa, term: Term, scale: f64, numbers: &[Self]) -> Fixed;
}

/// Runs the text for magnitudes or for squares.
macro_rules! sums {
    ($format:ty, $text:ident, $block:expr, $least:expr, $high:expr) => {
        impl Sums for $format {
            const BLOCK: usize = $block;
            const LEAST: i32 = $least;
            const LEAST_HIGH: i32 = $high;

            fn sum(isa: Isa, term: Term, scale: f64, numbers: &[Self]) -> Fixed {
                let one = std::hint::black_box(1.0);
                match term {
                    Term::Magnitude => isa.run($text::<$format, false> { numbers, scale, one }),
                    Term::Square => isa.run($text::<$format, true> { numbers, scale, one }),
                }
            }
        }
    };
}

sums!(f16, InSingles, 4096, -56, -36);
sums!(bf16, InSingles, 4096, -56, -36);
sums!(f32, InDoubles, 128 * LANES, -90, -90);
sums!(f64, InTriples, 64 * LANES, -138, -91);

/// `2^e`.
const fn power(e: i32) -> f64 {
    f64::from_bits(((e + 1023) as u64) << 52)
}

/// Vectors of `numbers`, the last one filled up with zeros.
#[inline(always)]
fn each<T: Real>(numbers: &[T], mut work: impl FnMut(&[T; LANES])) {
    let (vectors, rest) = numbers.as_chunks::<LANES>();
    for vector in vectors {
        work(vector);
    }
    if !rest.is_empty() {
        let mut last = [T::default(); LANES];
        last[..rest.len()].copy_from_slice(rest);
        work(&last);
    }
}

/// The sum of the lanes over `2^exponent`, of which each is a multiple; below 2^58.
#[inline(always)]
fn whole<S: Simd>(simd: S, lanes: S::F64, exponent: i32) -> i64 {
    let mut numbers = [0.0; LANES];
    simd.store_f64(lanes, &mut numbers);
    numbers.iter().map(|&x| (x * power(-exponent)) as i64).sum()
}

/// 16-bit numbers, whose squares f32 has: two accumulators on grids, and one without.
struct InSingles<'a, T, const SQUARE: bool> {
    numbers: &'a [T],
    scale: f64,
    one: f64,
}

/// The accumulators of a vector of sums.
#[derive(Clone, Copy)]
struct Levels<V> {
    first: V,
    second: V,
    third: V,
}

/// The constants at which the accumulators of f32 start: `2^5` and `1.5 · 2^-13`.
const SINGLE_FIRST: f32 = 32.0;
const SINGLE_SECOND: f32 = 1.5 / 8192.0;
/// Adds to each f32 accumulator before it is emptied.
const SINGLE_ADDS: usize = 32;

impl<T: Real<Computed = f32>, const SQUARE: bool> InSingles<'_, T, SQUARE> {
    #[inline(always)]
    fn add<S: Simd>(simd: S, [scale, one]: [S::F32; 2], numbers: &[T; LANES], sums: &mut Levels<S::F32>) {
        let x = simd.mul_f32(T::to_computed(simd, T::load(simd, numbers)), scale);
        let (a, b) = if SQUARE { (x, x) } else { (simd.abs_f32(x), one) };
        let first = simd.mul_add_f32(a, b, sums.first);
        let rest = simd.mul_add_f32(a, b, simd.sub_f32(sums.first, first));
        let second = simd.mul_add_f32(one, rest, sums.second);
        let rest = simd.add_f32(rest, simd.sub_f32(sums.second, second));
        *sums = Levels { first, second, third: simd.mul_add_f32(one, rest, sums.third) };
    }

    /// The accumulators as they start.
    #[inline(always)]
    fn empty<S: Simd>(simd: S) -> Levels<S::F32> {
        Levels {
            first: simd.splat_f32(SINGLE_FIRST),
            second: simd.splat_f32(SINGLE_SECOND),
            third: simd.splat_f32(0.0),
        }
    }

    /// What the accumulators hold, added to f64 lanes: (multiples of 2^-36, multiples of 2^-56).
    #[inline(always)]
    fn empty_into<S: Simd>(simd: S, sums: Levels<S::F32>, (high, low): (S::F64, S::F64)) -> (S::F64, S::F64) {
        let first = simd.widen(simd.sub_f32(sums.first, simd.splat_f32(SINGLE_FIRST)));
        let second = simd.widen(simd.sub_f32(sums.second, simd.splat_f32(SINGLE_SECOND)));
        (simd.add_f64(high, simd.add_f64(first, second)), simd.add_f64(low, simd.widen(sums.third)))
    }
}

impl<T: Real<Computed = f32>, const SQUARE: bool> WithSimd for InSingles<'_, T, SQUARE> {
    type Output = Fixed;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Fixed {
        let factors = [simd.splat_f32(self.scale as f32), simd.splat_f32(self.one as f32)];
        let zero = simd.splat_f64(0.0);
        let mut totals = (zero, zero);
        // Two sets of accumulators, so that one does not wait for the other's additions.
        for group in self.numbers.chunks(2 * SINGLE_ADDS * LANES) {
            let (mut even, mut odd) = (Self::empty(simd), Self::empty(simd));
            let (pairs, rest) = group.as_chunks::<{ 2 * LANES }>();
            for pair in pairs {
                let (left, right) = pair.split_at(LANES);
                let is_half = "half of two vectors";
                Self::add(simd, factors, left.try_into().expect(is_half), &mut even);
                Self::add(simd, factors, right.try_into().expect(is_half), &mut odd);
            }
            if !rest.is_empty() {
                let mut last = [[T::default(); LANES]; 2];
                last.as_flattened_mut()[..rest.len()].copy_from_slice(rest);
                Self::add(simd, factors, &last[0], &mut even);
                Self::add(simd, factors, &last[1], &mut odd);
            }
            totals = Self::empty_into(simd, odd, Self::empty_into(simd, even, totals));
        }
        Fixed { high: whole(simd, totals.0, -36).into(), low: whole(simd, totals.1, -56) }
    }
}

/// f32 numbers, whose squares f64 has: two accumulators on grids.
struct InDoubles<'a, T, const SQUARE: bool> {
    numbers: &'a [T],
    scale: f64,
    one: f64,
}

impl<T: Real, const SQUARE: bool> WithSimd for InDoubles<'_, T, SQUARE> {
    type Output = Fixed;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Fixed {
        let scale = simd.splat_f64(self.scale);
        let one = simd.splat_f64(self.one);
        let starts = [simd.splat_f64(power(7)), simd.splat_f64(1.5 * power(-38))];
        let [mut first, mut second] = starts;
        each(
            self.numbers,
            #[inline(always)]
            |numbers| {
                let x = simd.mul_f64(T::to_f64(simd, T::load(simd, numbers)), scale);
                let (a, b) = if SQUARE { (x, x) } else { (simd.abs_f64(x), one) };
                let next = simd.mul_add_f64(a, b, first);
                let rest = simd.mul_add_f64(a, b, simd.sub_f64(first, next));
                first = next;
                second = simd.add_f64(second, rest);
            },
        );
        let high = whole(simd, simd.sub_f64(first, starts[0]), -45);
        let low = whole(simd, simd.sub_f64(second, starts[1]), -90);
        Fixed { high: (i128::from(high) << 45) + i128::from(low), low: 0 }
    }
}

/// f64 numbers, whose squares are two numbers of f64: two accumulators on grids, and one without.
struct InTriples<'a, T, const SQUARE: bool> {
    numbers: &'a [T],
    scale: f64,
    one: f64,
}

impl<T: Real, const SQUARE: bool> WithSimd for InTriples<'_, T, SQUARE> {
    type Output = Fixed;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Fixed {
        let scale = simd.splat_f64(self.scale);
        let one = simd.splat_f64(self.one);
        let starts = [simd.splat_f64(power(6)), simd.splat_f64(1.5 * power(-39))];
        let [mut first, mut second] = starts;
        let mut third = simd.splat_f64(0.0);
        each(
            self.numbers,
            #[inline(always)]
            |numbers| {
                let x = simd.mul_f64(T::to_f64(simd, T::load(simd, numbers)), scale);
                let term = if SQUARE { simd.mul_f64(x, x) } else { simd.abs_f64(x) };
                let next = simd.mul_add_f64(one, term, first);
                let rest = simd.add_f64(term, simd.sub_f64(first, next));
                first = next;
                let next = simd.mul_add_f64(one, rest, second);
                third = simd.mul_add_f64(one, simd.add_f64(rest, simd.sub_f64(second, next)), third);
                second = next;
                if SQUARE {
                    // What the rounding of the square left off.
                    let rest = simd.mul_add_f64(x, x, simd.neg_f64(term));
                    let next = simd.mul_add_f64(one, rest, second);
                    third = simd.mul_add_f64(one, simd.add_f64(rest, simd.sub_f64(second, next)), third);
                    second = next;
                }
            },
        );
        let high = whole(simd, simd.sub_f64(first, starts[0]), -46);
        let middle = whole(simd, simd.sub_f64(second, starts[1]), -91);
        Fixed { high: (i128::from(high) << 45) + i128::from(middle), low: whole(simd, third, -138) }
    }
}

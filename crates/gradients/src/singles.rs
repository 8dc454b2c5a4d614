//! Exact sums of the squares of f16 numbers in lanes of f32, which has these squares: three accumulators, by the method of [`levels`](crate::levels).
//!
//! | starts at | grid | takes |
//! | --- | --- | --- |
//! | 2^k | 2^(k-23) | squares |
//! | 1.5 · 2^(k-18) | 2^(k-41) | rests of at most 2^(k-24) |
//! | 0 | none | rests of at most 2^(k-42) |
//!
//! At most 2^5 of each; squares of f16 lie between 2^-48 and 2^32, and nothing here leaves f32. The last accumulator adds exactly as long as all squares are
//! multiples of 2^(k-61), for its sum is at most 2^24 of them. After 2^5 squares what was taken moves on to lanes of f64. In these one accumulator takes numbers
//! of 12 binades, a little faster, and two would take all of f16, at half the speed; here numbers may have 17.

use crate::levels::{Grid, Halves, LEVELS, STEP, Taken, Text, exponent_for, power_of_two};
use crate::stored::Bits;
use gradchain_arith::{Isa, LANES, Real, Simd, WithSimd, f16};

/// Three accumulators of f32: for squares of f16.
pub(crate) struct Thirds;

/// Numbers of which each lane of two sets of accumulators takes 2^5.
const GROUP: usize = 32 * STEP;
/// The exponents of what the second and the third accumulator count, less k.
const UNITS: [i32; 2] = [-41, -61];

impl Text<f16> for Thirds {
    type Wide = Halves<true>;
    const NARROW: bool = true;
    const SQUARE: bool = true;
    const LEVELS: usize = 3;
    // Two at a time, and new ones for each group.
    const SETS: usize = 2 * f16::BLOCK / GROUP;

    fn exponents(k: i32, _c: i32) -> [i32; LEVELS] {
        // Of accumulators of f64 with these units.
        let [high, low] = UNITS.map(|unit| k + unit + 52);
        [high, low, low, low]
    }

    fn least_exponent(k: i32, _c: i32, precision: i32) -> i32 {
        exponent_for(k + UNITS[1], true, precision)
    }

    fn take(isa: Isa, numbers: &[f16], grid: Grid, _c: i32) -> Taken<u16> {
        isa.run(Pass { numbers, k: grid.k })
    }
}

/// One look at a block.
struct Pass<'a> {
    numbers: &'a [f16],
    k: i32,
}

/// The accumulators of a vector of sums.
#[derive(Clone, Copy)]
struct Levels<V> {
    first: V,
    second: V,
    third: V,
}

/// What accumulators held, in lanes of f64.
struct Totals<V> {
    high: V,
    low: V,
    /// The most of the first accumulators.
    most: V,
}

impl WithSimd for Pass<'_> {
    type Output = Taken<u16>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Output {
        simd.call(
            #[inline(always)]
            || look(simd, self.numbers, self.k),
        )
    }
}

#[inline(always)]
fn look<S: Simd>(simd: S, numbers: &[f16], k: i32) -> Taken<u16> {
    let [first, second] =
        [power_of_two(k), 1.5 * power_of_two(k - 18)].map(|start| simd.splat_f32(start as f32));
    let start = Levels { first, second, third: simd.splat_f32(0.0) };
    // A fused product with 1 is an addition on the multipliers.
    let one = simd.splat_f32(std::hint::black_box(1.0));
    let zero = simd.splat_f64(0.0);
    let mut totals = Totals { high: zero, low: zero, most: zero };
    let mut least = f16::LARGEST;
    for group in numbers.chunks(GROUP) {
        // A loop of its own, of which the compiler makes vectors; inside the other one it would take the vectors there apart.
        least = group.iter().fold(least, |least, x| least.min(x.magnitude()));
        // Two sets of accumulators, so that one does not wait for the other's additions.
        let mut sums = [start; 2];
        let (steps, rest) = group.as_chunks::<STEP>();
        for numbers in steps {
            step(simd, numbers, one, &mut sums);
        }
        if !rest.is_empty() {
            let mut last = [f16::ZERO; STEP];
            last[..rest.len()].copy_from_slice(rest);
            step(simd, &last, one, &mut sums);
        }
        for sums in sums {
            move_on(simd, sums, start, &mut totals);
        }
    }
    let lanes = |vector| {
        let mut lanes = [0.0; LANES];
        simd.store_f64(vector, &mut lanes);
        lanes
    };
    let whole = |vector, exponent: i32| {
        let unit = power_of_two(-exponent);
        lanes(vector).iter().map(|x| (x * unit) as i64).fold(0, i64::wrapping_add)
    };
    let [high, low] = UNITS.map(|unit| k + unit);
    let units = [whole(totals.high, high), whole(totals.low, low), 0, 0];
    let most = lanes(totals.most).into_iter().fold(0.0, f64::max);
    // An infinity or NaN makes the sum infinite or NaN.
    let fits = most < power_of_two(k) && lanes(totals.high).iter().all(|x| x.is_finite());
    // As many as if the first accumulator had 53 bits; too many where it does not fit.
    let bits = match most {
        0.0 => 0,
        _ if fits => libm::ilogb(most) + 53 - k,
        _ => 64,
    };
    Taken { units, bits, fits, least }
}

#[inline(always)]
fn step<S: Simd>(simd: S, numbers: &[f16; STEP], one: S::F32, sums: &mut [Levels<S::F32>; 2]) {
    for (x, sums) in f16::load_two(simd, numbers).into_iter().zip(sums) {
        let first = simd.mul_add_f32(x, x, sums.first);
        let rest = simd.mul_add_f32(x, x, simd.sub_f32(sums.first, first));
        let second = simd.mul_add_f32(one, rest, sums.second);
        let rest = simd.add_f32(rest, simd.sub_f32(sums.second, second));
        *sums = Levels { first, second, third: simd.mul_add_f32(one, rest, sums.third) };
    }
}

/// Adds what the accumulators took to the totals.
#[inline(always)]
fn move_on<S: Simd>(simd: S, sums: Levels<S::F32>, start: Levels<S::F32>, totals: &mut Totals<S::F64>) {
    let first = simd.widen(simd.sub_f32(sums.first, start.first));
    let second = simd.widen(simd.sub_f32(sums.second, start.second));
    totals.high = simd.add_f64(totals.high, simd.add_f64(first, second));
    totals.low = simd.add_f64(totals.low, simd.widen(sums.third));
    totals.most = simd.max_f64(first, totals.most);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2^5 squares of 2^((k-5)/2) are 2^k, which is one too much for the binade; of the next smaller number it has room.
    #[test]
    fn fits_below_twice_the_start() {
        for isa in Isa::available() {
            for e in [-12, 0, 7] {
                let fits =
                    |numbers: &[f16]| Thirds::take(isa, numbers, Grid { k: 2 * e + 5, scale: 0 }, 5).fits;
                let x = f16::round_from(libm::scalbn(1.0, e));
                let less = f16::from_bits(x.to_bits() - 1);
                let mut numbers = vec![less; f16::BLOCK];
                assert!(fits(&numbers), "{isa} 2^{e}");
                // One lane of the third group.
                numbers[2 * GROUP..3 * GROUP].iter_mut().skip(5).step_by(STEP).for_each(|number| *number = x);
                assert!(!fits(&numbers), "{isa} 2^{e}");
                for other in [f16::INFINITY, f16::NEG_INFINITY, f16::NAN] {
                    for place in [0, 77, f16::BLOCK - 1] {
                        let mut numbers = vec![less; f16::BLOCK];
                        numbers[place] = other;
                        assert!(!fits(&numbers), "{isa} {other}");
                    }
                }
            }
        }
    }
}

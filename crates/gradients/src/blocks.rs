//! Sums of long tensors: exact, a block at a time, and on several threads.
//!
//! A look at the bits of a block finds its largest and its least magnitude. If all terms are multiples of what the accumulators of [`levels`](crate::levels) can tell
//! apart, these add the block. If not, the small numbers are set aside, to be added as a block of their own, and the rest is added. So every
//! number is added exactly, and how fast depends on how many magnitudes a block holds: in ordinary gradients a few numbers of ten thousand are set aside.

use crate::clip::{Clipping, Scaling};
use crate::levels::{Fixed, Sums, Term};
use crate::multiply::multiply;
use crate::sum::{Sum, Terms};
use gradchain_arith::{Arithmetic, Emulated, Isa, Native, Simd, WithSimd, bf16, f16};

/// An arithmetic whose numbers can be summed exactly, at the speed of memory where the machine has the format.
pub trait Gradients: Arithmetic {
    /// Adds the terms of `numbers` to `sum`.
    fn add_to(&self, sum: &mut Sum, numbers: &[Self::Number]);

    /// Scales all numbers of a tensor, each rounded once, and counts in `report` what became of them. Number i draws its random bits from stream i.
    fn scale_all(&self, scaling: &Scaling, numbers: &mut [Self::Number], report: &mut Clipping);
}

impl<T: Measured> Gradients for Native<T> {
    fn add_to(&self, sum: &mut Sum, numbers: &[T]) {
        T::add_to(self.isa(), sum, numbers);
    }

    fn scale_all(&self, scaling: &Scaling, numbers: &mut [T], report: &mut Clipping) {
        T::scale_all(self.isa(), scaling, numbers, report);
    }
}

impl Gradients for Emulated {
    fn add_to(&self, sum: &mut Sum, numbers: &[f64]) {
        numbers.iter().for_each(|&x| sum.add(x));
    }

    fn scale_all(&self, scaling: &Scaling, numbers: &mut [f64], report: &mut Clipping) {
        for (i, g) in numbers.iter_mut().enumerate() {
            let before = *g;
            *g = scaling.scaled(&self.stream(i as u64), before);
            report.count(self, before, *g);
        }
    }
}

/// A stored format, f16, bf16, f32 or f64, with exact sums that are compiled here, once.
pub trait Measured: gradchain_arith::Real {
    /// [`Gradients::add_to`] on the instruction set `isa`.
    fn add_to(isa: Isa, sum: &mut Sum, numbers: &[Self]);

    /// [`Gradients::scale_all`] on the instruction set `isa`.
    fn scale_all(isa: Isa, scaling: &Scaling, numbers: &mut [Self], report: &mut Clipping);
}

/// The bits of a magnitude: unsigned integers in the order of the numbers.
pub(crate) trait Bits: Sums {
    type Magnitude: Copy + Ord;
    const ZERO: Self::Magnitude;
    const INFINITE: Self::Magnitude;

    fn magnitude(self) -> Self::Magnitude;
    /// The largest magnitude, and the least one that is not zero, less one (the largest integer where there is none).
    fn extremes(numbers: &[Self]) -> (Self::Magnitude, Self::Magnitude);
    /// The magnitude of the least normal number.
    fn least_normal() -> Self::Magnitude;
    /// How many numbers became zero, and how many normal numbers subnormal, from `before` to `after`.
    fn lost(before: &[Self], after: &[Self], normal: Self::Magnitude) -> (usize, usize);
    /// The number of this magnitude.
    fn of(magnitude: Self::Magnitude) -> f64;
    /// The number whose magnitude is one more than this.
    fn after(magnitude: Self::Magnitude) -> f64;
}

macro_rules! measured {
    ($($format:ident, $bits:ident, $infinite:expr;)*) => {$(
        impl Bits for $format {
            type Magnitude = $bits;
            const ZERO: $bits = 0;
            const INFINITE: $bits = $infinite;

            #[inline(always)]
            fn magnitude(self) -> $bits {
                self.to_bits() & ($bits::MAX >> 1)
            }

            #[inline(always)]
            fn extremes(numbers: &[$format]) -> ($bits, $bits) {
                let (mut largest, mut least) = (0, $bits::MAX);
                for x in numbers {
                    let magnitude = x.magnitude();
                    largest = largest.max(magnitude);
                    // Zero becomes the largest integer.
                    least = least.min(magnitude.wrapping_sub(1));
                }
                (largest, least)
            }

            fn least_normal() -> $bits {
                <$format as gradchain_arith::Real>::round_from(<$format as gradchain_arith::Real>::FORMAT.min_normal()).magnitude()
            }

            #[inline(always)]
            fn lost(before: &[$format], after: &[$format], normal: $bits) -> (usize, usize) {
                // Counted in integers as wide as the numbers: blocks are short.
                let (mut flushed, mut subnormal): ($bits, $bits) = (0, 0);
                for (before, after) in before.iter().zip(after) {
                    let (before, after) = (before.magnitude(), after.magnitude());
                    flushed += $bits::from(after == 0) & $bits::from(before != 0);
                    subnormal += $bits::from(after < normal) & $bits::from(after != 0) & $bits::from(before >= normal);
                }
                (flushed as usize, subnormal as usize)
            }

            fn of(magnitude: $bits) -> f64 {
                gradchain_arith::Real::value($format::from_bits(magnitude))
            }

            fn after(magnitude: $bits) -> f64 {
                gradchain_arith::Real::value($format::from_bits(magnitude + 1))
            }
        }

        impl Measured for $format {
            fn add_to(isa: Isa, sum: &mut Sum, numbers: &[Self]) {
                add(isa, sum, numbers);
            }

            fn scale_all(isa: Isa, scaling: &Scaling, numbers: &mut [Self], report: &mut Clipping) {
                multiply(isa, scaling, numbers, report);
            }
        }
    )*};
}

measured! {
    f16, u16, 0x7c00;
    bf16, u16, 0x7f80;
    f32, u32, 0x7f80_0000;
    f64, u64, 0x7ff0_0000_0000_0000;
}

/// Below as many numbers a second thread is not worth its start.
const NUMBERS_FOR_A_THREAD: usize = 1 << 18;

/// Adds `numbers` on the threads of the current rayon pool: the sums are exact, so that no bit depends on where they are cut.
fn add<T: Bits>(isa: Isa, sum: &mut Sum, numbers: &[T]) {
    if numbers.len() >= 2 * NUMBERS_FOR_A_THREAD && rayon::current_num_threads() > 1 {
        let middle = (numbers.len() / 2).next_multiple_of(T::BLOCK);
        let mut other = Sum::new(sum.terms());
        let (left, right) = numbers.split_at(middle.min(numbers.len()));
        rayon::join(|| add(isa, sum, left), || add(isa, &mut other, right));
        sum.merge(&other);
        return;
    }
    for block in numbers.chunks(T::BLOCK) {
        add_block(isa, sum, block);
    }
}

/// Fewer numbers than this are added one by one.
const FEW: usize = 24;

fn add_block<T: Bits>(isa: Isa, sum: &mut Sum, block: &[T]) {
    let one_by_one = |sum: &mut Sum, numbers: &[T]| numbers.iter().for_each(|x| sum.add(x.value()));
    let (largest, least) = isa.run(Extremes(block));
    if largest == T::ZERO {
        return;
    }
    if block.len() < FEW || largest >= T::INFINITE {
        return one_by_one(sum, block);
    }
    let term = match sum.terms() {
        Terms::Magnitudes => Term::Magnitude,
        Terms::Squares => Term::Square,
        Terms::Largest => return sum.add(T::of(largest)),
    };
    // All numbers are below 2^exponent.
    let exponent = exponent_of(T::of(largest)) + 1;
    if !(-126..=1024).contains(&exponent) && T::FORMAT.precision() < 53 || exponent < -1022 {
        return one_by_one(sum, block);
    }
    let factor = if term == Term::Square { 2 } else { 1 };
    // A number of exponent e is a multiple of 2^(e - p + 1), or of the least subnormal number.
    let last_bit = |e: i32| (e - T::FORMAT.precision() as i32 + 1).max(T::FORMAT.min_exponent());
    let fits = |e: i32| factor * (last_bit(e) - exponent) >= T::LEAST;
    let mut add = |numbers: &[T]| {
        let scale = power_of_two(-exponent);
        let Fixed { high, low } = T::sum(isa, term, scale, numbers);
        sum.add_fixed(high, factor * exponent + T::LEAST_HIGH, low, factor * exponent + T::LEAST);
    };
    if fits(exponent_of(T::after(least))) {
        return add(block);
    }
    // The least exponent that fits, by its formula: all smaller numbers are set aside.
    let from = (exponent - T::LEAST.unsigned_abs() as i32 / factor) + T::FORMAT.precision() as i32 - 1;
    let bound = power_of_two(from);
    let (mut large, mut small) = (Vec::with_capacity(block.len()), Vec::new());
    for &x in block {
        if x.value().abs() >= bound {
            large.push(x);
        } else if x.magnitude() > T::ZERO {
            small.push(x);
        }
    }
    add(&large);
    if small.len() < FEW { one_by_one(sum, &small) } else { add_block(isa, sum, &small) }
}

struct Extremes<'a, T>(&'a [T]);

impl<T: Bits> WithSimd for Extremes<'_, T> {
    type Output = (T::Magnitude, T::Magnitude);

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Output {
        simd.call(
            #[inline(always)]
            || T::extremes(self.0),
        )
    }
}

/// The e with `2^e <= x < 2^(e+1)` of a positive number.
fn exponent_of(x: f64) -> i32 {
    let field = (x.to_bits() >> 52) as i32;
    if field > 0 { field - 1023 } else { -1011 - x.to_bits().leading_zeros() as i32 }
}

/// 2^e, for e from -1074 to 1023; 0 below.
fn power_of_two(e: i32) -> f64 {
    libm::scalbn(1.0, e)
}

//! What this crate does with gradients in each arithmetic, and what its passes read of the stored formats: the bits of magnitudes.

use crate::blocks::sum;
use crate::census::{counts, first_non_finite};
use crate::clip::{Clipping, Scaling};
use crate::levels::{Halves, Quarters, Text, Whole};
use crate::multiply::multiply;
use crate::powers::Powers;
use crate::singles::Thirds;
use crate::sum::{Sum, Terms};
use crate::threads::{NUMBERS_FOR_A_THREAD_OF_POWERS, on_threads};
use gradchain_arith::{Arithmetic, Counts, Emulated, Isa, Native, Real, bf16, f16};

/// An arithmetic with the passes over its numbers that this crate needs: exact, and for the formats of the machine on its vectors.
pub trait Gradients: Arithmetic {
    /// The sum of the terms of all numbers of `tensors`; exact.
    fn sum(&self, terms: Terms, tensors: &[&[Self::Number]]) -> Sum;

    /// The sum of powers of all numbers of `tensors`.
    fn sum_of_powers(&self, powers: &Powers, tensors: &[&[Self::Number]]) -> u128;

    /// How many numbers there are of each class.
    fn counts(&self, numbers: &[Self::Number]) -> Counts;

    /// The place of the first infinity or NaN.
    fn first_non_finite(&self, numbers: &[Self::Number]) -> Option<usize>;

    /// Scales all numbers of a tensor, each rounded once, and counts in `report` what became of them. Number i draws its random bits from stream i.
    fn scale_all(&self, scaling: &Scaling, numbers: &mut [Self::Number], report: &mut Clipping);
}

impl<T: Measured> Gradients for Native<T> {
    fn sum(&self, terms: Terms, tensors: &[&[T]]) -> Sum {
        T::sum(self.isa(), terms, tensors)
    }

    fn sum_of_powers(&self, powers: &Powers, tensors: &[&[T]]) -> u128 {
        T::sum_of_powers(powers, tensors)
    }

    fn counts(&self, numbers: &[T]) -> Counts {
        T::counts(self.isa(), numbers)
    }

    fn first_non_finite(&self, numbers: &[T]) -> Option<usize> {
        T::first_non_finite(self.isa(), numbers)
    }

    fn scale_all(&self, scaling: &Scaling, numbers: &mut [T], report: &mut Clipping) {
        T::scale_all(self.isa(), scaling, numbers, report);
    }
}

impl Gradients for Emulated {
    fn sum(&self, terms: Terms, tensors: &[&[f64]]) -> Sum {
        let mut sum = Sum::new(terms);
        tensors.iter().flat_map(|tensor| tensor.iter()).for_each(|&x| sum.add(x));
        sum
    }

    fn sum_of_powers(&self, powers: &Powers, tensors: &[&[f64]]) -> u128 {
        powers.sum(tensors.iter().flat_map(|tensor| tensor.iter()).copied())
    }

    fn counts(&self, numbers: &[f64]) -> Counts {
        Counts::of(numbers.iter().copied(), self.format())
    }

    fn first_non_finite(&self, numbers: &[f64]) -> Option<usize> {
        numbers.iter().position(|x| !x.is_finite())
    }

    fn scale_all(&self, scaling: &Scaling, numbers: &mut [f64], report: &mut Clipping) {
        for (i, g) in numbers.iter_mut().enumerate() {
            let before = *g;
            *g = scaling.scaled(&self.stream(i as u64), before);
            report.count(self, before, *g);
        }
    }
}

/// A stored format, f16, bf16, f32 or f64, with the passes of [`Gradients`] on the instruction set `isa`: compiled here, once.
pub trait Measured: Real {
    /// [`Gradients::sum`].
    fn sum(isa: Isa, terms: Terms, tensors: &[&[Self]]) -> Sum;

    /// [`Gradients::sum_of_powers`].
    fn sum_of_powers(powers: &Powers, tensors: &[&[Self]]) -> u128;

    /// [`Gradients::counts`].
    fn counts(isa: Isa, numbers: &[Self]) -> Counts;

    /// [`Gradients::first_non_finite`].
    fn first_non_finite(isa: Isa, numbers: &[Self]) -> Option<usize>;

    /// [`Gradients::scale_all`].
    fn scale_all(isa: Isa, scaling: &Scaling, numbers: &mut [Self], report: &mut Clipping);
}

/// The bits of a magnitude: unsigned integers in the order of the numbers.
pub(crate) trait Bits: Real {
    type Magnitude: Copy + Ord + Send + Sync;
    /// How squares are added.
    type Squares: Text<Self>;
    /// How magnitudes are added.
    type Magnitudes: Text<Self>;
    /// The most numbers of a block.
    const BLOCK: usize;
    const ZERO: Self::Magnitude;
    const LARGEST: Self::Magnitude;
    const INFINITE: Self::Magnitude;

    fn magnitude(self) -> Self::Magnitude;
    /// The largest magnitude below `below`, and how many there are, zeros left out, of at most [`BLOCK`](Bits::BLOCK) numbers.
    fn largest_below(numbers: &[Self], below: Self::Magnitude) -> (Self::Magnitude, usize);
    /// Whether a number that is not zero is below `floor`.
    fn any_below(numbers: &[Self], floor: Self::Magnitude) -> bool;
    /// How many zeros, subnormal numbers, infinities and NaNs there are of at most [`BLOCK`](Bits::BLOCK) numbers.
    fn classes(numbers: &[Self], normal: Self::Magnitude) -> [u64; 4];
    /// The magnitude of the least normal number.
    fn least_normal() -> Self::Magnitude;
    /// How many numbers became zero, and how many normal numbers subnormal, from `before` to `after`.
    fn lost(before: &[Self], after: &[Self], normal: Self::Magnitude) -> (usize, usize);
    /// The number of this magnitude.
    fn of(magnitude: Self::Magnitude) -> f64;
}

macro_rules! measured {
    ($($format:ident, $bits:ident, $infinite:expr, $squares:ty, $magnitudes:ty, $block:expr;)*) => {$(
        impl Bits for $format {
            type Magnitude = $bits;
            type Squares = $squares;
            type Magnitudes = $magnitudes;
            const BLOCK: usize = $block;
            const ZERO: $bits = 0;
            const LARGEST: $bits = $bits::MAX;
            const INFINITE: $bits = $infinite;

            #[inline(always)]
            fn magnitude(self) -> $bits {
                self.to_bits() & ($bits::MAX >> 1)
            }

            #[inline(always)]
            fn largest_below(numbers: &[$format], below: $bits) -> ($bits, usize) {
                let (mut largest, mut count): ($bits, $bits) = (0, 0);
                for x in numbers {
                    let magnitude = x.magnitude();
                    let inside = if magnitude < below { magnitude } else { 0 };
                    largest = largest.max(inside);
                    count += $bits::from(inside != 0);
                }
                (largest, count as usize)
            }

            #[inline(always)]
            fn any_below(numbers: &[$format], floor: $bits) -> bool {
                // Less one, zero becomes the largest integer.
                let least = numbers.iter().fold($bits::MAX, |least, x| least.min(x.magnitude().wrapping_sub(1)));
                least < floor.saturating_sub(1)
            }

            #[inline(always)]
            fn classes(numbers: &[$format], normal: $bits) -> [u64; 4] {
                let (mut zero, mut subnormal, mut infinite, mut nan): ($bits, $bits, $bits, $bits) = (0, 0, 0, 0);
                for x in numbers {
                    let magnitude = x.magnitude();
                    zero += $bits::from(magnitude == 0);
                    subnormal += $bits::from(magnitude < normal);
                    infinite += $bits::from(magnitude == $infinite);
                    nan += $bits::from(magnitude > $infinite);
                }
                [zero, subnormal - zero, infinite, nan].map(u64::from)
            }

            fn least_normal() -> $bits {
                <$format as Real>::round_from(<$format as Real>::FORMAT.min_normal()).magnitude()
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
                Real::value($format::from_bits(magnitude))
            }
        }

        impl Measured for $format {
            fn sum(isa: Isa, terms: Terms, tensors: &[&[Self]]) -> Sum {
                sum(isa, terms, tensors)
            }

            fn sum_of_powers(powers: &Powers, tensors: &[&[Self]]) -> u128 {
                let of_pieces = |pieces: &[&[Self]]| powers.sum(pieces.iter().flat_map(|piece| piece.iter()).map(|x| x.value()));
                on_threads(tensors, NUMBERS_FOR_A_THREAD_OF_POWERS, &of_pieces, &|a, b| a + b)
            }

            fn counts(isa: Isa, numbers: &[Self]) -> Counts {
                counts(isa, numbers)
            }

            fn first_non_finite(isa: Isa, numbers: &[Self]) -> Option<usize> {
                first_non_finite(isa, numbers)
            }

            fn scale_all(isa: Isa, scaling: &Scaling, numbers: &mut [Self], report: &mut Clipping) {
                multiply(isa, scaling, numbers, report);
            }
        }
    )*};
}

measured! {
    f16, u16, 0x7c00, Whole<true, Thirds>, Whole<false, Halves<false>>, 4096;
    bf16, u16, 0x7f80, Whole<true, Halves<true>>, Whole<false, Halves<false>>, 2048;
    f32, u32, 0x7f80_0000, Halves<true>, Whole<false, Halves<false>>, 2048;
    f64, u64, 0x7ff0_0000_0000_0000, Quarters, Halves<false>, 2048;
}

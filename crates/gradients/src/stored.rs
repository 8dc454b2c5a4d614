//! What this crate does with gradients in each arithmetic, and what its passes read of the stored formats: the bits of magnitudes.

use crate::blocks::sum;
use crate::census::{counts, first_non_finite};
use crate::clamp::{Range, clamp};
use crate::clip::{Clipping, Scaling};
use crate::layers::{LayerPass, all_groups, on_vectors};
use crate::levels::{Halves, Quarters, Text, Whole};
use crate::multiply::{multiply, multiply_by_power};
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

    /// Multiplies all numbers of a tensor with a power of two: the product of f64, rounded once. Number i draws its random bits from stream i.
    fn scale_by_power(&self, power: f64, numbers: &mut [Self::Number]);

    /// Limits all numbers of a tensor to `low..=high` and counts those that were outside. These become the bound, at most the largest number, rounded once;
    /// number i draws its random bits from stream i. NaN stays.
    fn clamp(&self, low: f64, high: f64, numbers: &mut [Self::Number]) -> usize;

    /// Does what vectors can of a pass of a [layer](crate::layers), and returns the groups, or columns of parameters, that are left to the definition.
    fn layer_pass(&self, pass: LayerPass<'_, Self::Number>) -> Vec<usize>;
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

    fn scale_by_power(&self, power: f64, numbers: &mut [T]) {
        T::scale_by_power(self.isa(), power, numbers);
    }

    fn clamp(&self, low: f64, high: f64, numbers: &mut [T]) -> usize {
        T::clamp_to(self.isa(), low, high, numbers)
    }

    fn layer_pass(&self, pass: LayerPass<'_, T>) -> Vec<usize> {
        T::layer_pass(self.isa(), pass)
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

    fn scale_by_power(&self, power: f64, numbers: &mut [f64]) {
        for (i, g) in numbers.iter_mut().enumerate() {
            *g = self.stream(i as u64).round(*g * power);
        }
    }

    fn clamp(&self, low: f64, high: f64, numbers: &mut [f64]) -> usize {
        let largest = self.format().max();
        let mut clipped = 0;
        for (i, g) in numbers.iter_mut().enumerate() {
            if *g < low || *g > high {
                let bound = if *g < low { low } else { high };
                *g = self.stream(i as u64).round(bound.clamp(-largest, largest));
                clipped += 1;
            }
        }
        clipped
    }

    fn layer_pass(&self, pass: LayerPass<'_, f64>) -> Vec<usize> {
        all_groups(&pass)
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

    /// [`Gradients::scale_by_power`].
    fn scale_by_power(isa: Isa, power: f64, numbers: &mut [Self]);

    /// [`Gradients::clamp`].
    fn clamp_to(isa: Isa, low: f64, high: f64, numbers: &mut [Self]) -> usize;

    /// [`Gradients::layer_pass`].
    fn layer_pass(isa: Isa, pass: LayerPass<'_, Self>) -> Vec<usize>;
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
    /// The next larger number, of one that is not NaN or the largest.
    fn above(self) -> Self;
    /// Gives the numbers outside of the range its bounds, and counts them; of at most 2^15 numbers. Nothing is written if there are none.
    fn clamp(numbers: &mut [Self], range: &Range<Self>) -> usize;
    /// Whether the numbers are finite and have the same bits.
    fn agree(a: &[Self], b: &[Self]) -> bool;
}

macro_rules! measured {
    ($($format:ident, $bits:ident, $signed:ident, $infinite:expr, $squares:ty, $magnitudes:ty, $block:expr;)*) => {$(
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

            fn above(self) -> $format {
                let bits = self.to_bits();
                $format::from_bits(match bits >> ($bits::BITS - 1) {
                    0 => bits + 1,
                    _ if self.magnitude() == 0 => 1,
                    _ => bits - 1,
                })
            }

            #[inline(always)]
            fn clamp(numbers: &mut [$format], range: &Range<$format>) -> usize {
                /// The place of a number in the order of all, with one place for both zeros.
                #[inline(always)]
                fn place(x: $format) -> $signed {
                    let sign = x.to_bits() as $signed >> ($bits::BITS - 1);
                    (x.magnitude() as $signed ^ sign) - sign
                }

                let [least, largest] = range.inside.map(place);
                let mut outside: $bits = 0;
                for x in &*numbers {
                    let place = place(*x);
                    let out = (place < least) | (place > largest);
                    outside += $bits::from(out & (x.magnitude() <= $infinite));
                }
                if outside > 0 {
                    let [low, high] = range.bounds.map($format::to_bits);
                    for x in numbers {
                        let place = place(*x);
                        let bits = if place < least { low } else { x.to_bits() };
                        let bits = if place > largest { high } else { bits };
                        *x = $format::from_bits(if x.magnitude() <= $infinite { bits } else { x.to_bits() });
                    }
                }
                outside as usize
            }

            #[inline(always)]
            fn agree(a: &[$format], b: &[$format]) -> bool {
                let (mut differs, mut largest): ($bits, $bits) = (0, 0);
                for (a, b) in a.iter().zip(b) {
                    differs |= a.to_bits() ^ b.to_bits();
                    largest = largest.max(a.magnitude());
                }
                differs == 0 && largest < $infinite
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

            fn scale_by_power(isa: Isa, power: f64, numbers: &mut [Self]) {
                multiply_by_power(isa, power, numbers);
            }

            fn clamp_to(isa: Isa, low: f64, high: f64, numbers: &mut [Self]) -> usize {
                clamp(isa, low, high, numbers)
            }

            fn layer_pass(isa: Isa, pass: LayerPass<'_, Self>) -> Vec<usize> {
                on_vectors(isa, pass)
            }
        }
    )*};
}

measured! {
    f16, u16, i16, 0x7c00, Whole<true, Thirds>, Whole<false, Halves<false>>, 4096;
    bf16, u16, i16, 0x7f80, Whole<true, Halves<true>>, Whole<false, Halves<false>>, 2048;
    f32, u32, i32, 0x7f80_0000, Halves<true>, Whole<false, Halves<false>>, 2048;
    f64, u64, i64, 0x7ff0_0000_0000_0000, Quarters, Halves<false>, 2048;
}

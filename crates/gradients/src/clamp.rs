//! The pass that limits numbers to a range, on the integers that their bits are.
//!
//! Numbers of both signs in the order of their values are integers in their order: the magnitude with the sign of the number, ([`Bits::clamp`]). So whether a number
//! lies outside is decided as by the definition, a comparison of its value with the bounds, and what it becomes is known before.

use crate::stored::Bits;
use crate::threads::on_parts;
use gradchain_arith::{Isa, Simd, WithSimd};

/// Numbers in a block: it stays in the first cache between the two looks at it.
const BLOCK: usize = 1024;

/// A range of numbers, and what those outside become.
pub(crate) struct Range<T: Bits> {
    /// The least number and the largest that are inside.
    pub(crate) inside: [T; 2],
    /// What smaller and larger numbers become.
    pub(crate) bounds: [T; 2],
}

impl<T: Bits> Range<T> {
    /// The numbers from `low` to `high`, which are not NaN; the bounds are these rounded, no further out than the largest number.
    fn of(low: f64, high: f64) -> Range<T> {
        let most = T::FORMAT.max();
        // The nearest number can lie outside; then its neighbour is the first one inside.
        let least = T::round_from(low);
        let least = if least.value() < low { least.above() } else { least };
        // Mirrored, the largest number is the least.
        let largest = T::round_from(-high);
        let largest = if largest.value() < -high { largest.above() } else { largest };
        let bounds = [low, high].map(|bound| T::round_from(bound.clamp(-most, most)));
        Range { inside: [least, T::round_from(-largest.value())], bounds }
    }
}

/// Limits `numbers` to `low..=high` on the instruction set `isa`, long ones on the threads of the current rayon pool, and counts those outside. Blocks without
/// any are not written.
pub(crate) fn clamp<T: Bits>(isa: Isa, low: f64, high: f64, numbers: &mut [T]) -> usize {
    let range = Range::of(low, high);
    let work = |numbers: &mut [T]| isa.run(Clamp { range: &range, numbers });
    on_parts(numbers, BLOCK, &work, &|a, b| a + b)
}

struct Clamp<'a, T: Bits> {
    range: &'a Range<T>,
    numbers: &'a mut [T],
}

impl<T: Bits> WithSimd for Clamp<'_, T> {
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> usize {
        let Clamp { range, numbers } = self;
        let clamp = |block: &mut [T]| {
            simd.call(
                #[inline(always)]
                || T::clamp(block, range),
            )
        };
        numbers.chunks_mut(BLOCK).map(clamp).sum()
    }
}

//! What a gradient is made of.

use crate::blocks::Largest;
use crate::stored::{Bits, Gradients};
use gradchain_arith::{Counts, Isa, Simd, WithSimd};

/// What numbers a gradient holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Census {
    /// How many numbers there are of each class.
    pub counts: Counts,
    /// The first infinity or NaN.
    pub first_non_finite: Option<Found>,
}

/// A number of a gradient, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// The tensor.
    pub tensor: usize,
    /// The place in the tensor.
    pub index: usize,
    /// The number.
    pub value: f64,
}

/// Counts the numbers of `tensors` by class, and finds the first that is not finite.
pub fn census<A: Gradients>(arith: &A, tensors: &[&[A::Number]]) -> Census {
    let mut census = Census { counts: Counts::default(), first_non_finite: None };
    for (tensor, numbers) in tensors.iter().enumerate() {
        let counts = arith.counts(numbers);
        census.counts += counts;
        if counts.infinite + counts.nan > 0 && census.first_non_finite.is_none() {
            let found = |index: usize| Found { tensor, index, value: arith.value(numbers[index]) };
            census.first_non_finite = arith.first_non_finite(numbers).map(found);
        }
    }
    census
}

/// How many numbers there are of each class.
pub(crate) fn counts<T: Bits>(isa: Isa, numbers: &[T]) -> Counts {
    isa.run(Classes(numbers))
}

struct Classes<'a, T>(&'a [T]);

impl<T: Bits> WithSimd for Classes<'_, T> {
    type Output = Counts;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Counts {
        let normal = T::least_normal();
        let mut counts = Counts::default();
        for block in self.0.chunks(T::BLOCK) {
            let [zero, subnormal, infinite, nan] = simd.call(
                #[inline(always)]
                || T::classes(block, normal),
            );
            let normal = block.len() as u64 - zero - subnormal - infinite - nan;
            counts += Counts { zero, subnormal, normal, infinite, nan };
        }
        counts
    }
}

/// The place of the first infinity or NaN.
pub(crate) fn first_non_finite<T: Bits>(isa: Isa, numbers: &[T]) -> Option<usize> {
    let (block, numbers) =
        numbers.chunks(T::BLOCK).enumerate().find(|(_, block)| isa.run(Largest(block)) >= T::INFINITE)?;
    let index = numbers.iter().position(|x| x.magnitude() >= T::INFINITE)?;
    Some(block * T::BLOCK + index)
}

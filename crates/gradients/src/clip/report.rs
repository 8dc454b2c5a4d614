//! What a clip did.

use crate::norm::Norm;
use gradchain_arith::Arithmetic;

/// What became of a gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its norm asked for no change: the same bits.
    Kept,
    /// Every number was scaled.
    Scaled,
    /// It was not finite, and now it holds NaN, or zeros of both signs.
    Spoiled,
    /// It was not finite, and now all numbers are +0.
    Zeroed,
    /// It was not finite: the same bits.
    Skipped,
}

/// The norm of a gradient before it was changed, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clipping {
    /// The norm before.
    pub norm: Norm,
    /// What every number was multiplied by, rounded to 53 bits: 1 where nothing changed, NaN where all became NaN.
    pub coefficient: Norm,
    /// What was done.
    pub outcome: Outcome,
    /// Numbers that the change made zero, and were not.
    pub flushed: usize,
    /// Numbers that the change made subnormal, and were normal.
    pub made_subnormal: usize,
}

impl Clipping {
    /// A report on nothing changed.
    pub(crate) fn kept(norm: Norm) -> Clipping {
        Clipping {
            norm,
            coefficient: Norm::from_f64(1.0),
            outcome: Outcome::Kept,
            flushed: 0,
            made_subnormal: 0,
        }
    }

    /// Counts what became of the number `before`.
    #[inline]
    pub(crate) fn count<A: Arithmetic>(&mut self, arith: &A, before: f64, after: A::Number) {
        let (before, after) = (before.abs(), arith.value(after).abs());
        let normal = arith.format().min_normal();
        self.flushed += usize::from(after == 0.0 && before != 0.0);
        self.made_subnormal += usize::from(after < normal && after != 0.0 && before >= normal);
    }
}

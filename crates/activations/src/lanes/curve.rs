//! What a function on lanes is made of.

use super::number::{Lanes, Parts};
use gradchain_arith::Simd;

/// An activation function on vectors of sixteen f64 numbers: one text for every instruction set.
///
/// With FULL the parts joined are within 1 ulp in f64; without it (LOW) their relative error is below about 2^-36, which is enough
/// for one rounding to at most 24 bits. NaN in any way: whoever calls puts NaN where x is NaN.
pub(super) trait Curve {
    /// The slopes at -∞ and ∞.
    const SLOPES_AT_INFINITY: [f64; 2];

    /// The value at x.
    fn value<S: Simd, const FULL: bool>(x: Lanes<S>) -> Parts<S>;

    /// The derivative at x.
    fn slope<S: Simd, const FULL: bool>(x: Lanes<S>) -> Parts<S>;

    /// `g` times the derivative at x, rounded once (LOW: not rounded yet).
    #[inline(always)]
    fn pull<S: Simd, const FULL: bool>(g: Lanes<S>, x: Lanes<S>) -> Lanes<S> {
        let product = Self::slope::<S, FULL>(x).join_product::<FULL>(g);
        // The parts of a slope that vanishes at infinity do not: they are those of a large x, since only the rounded slope counts.
        let [left, right] = Self::SLOPES_AT_INFINITY;
        let limit = g.all(left).when(x.negative(), g.all(right)) * g;
        limit.when(g.all(f64::MAX).less(x.abs()), product)
    }
}

//! What an activation function is made of.

use crate::path::Path;
use gradchain_arith::Arithmetic;

/// One activation function; see the functions of the same names in [`activation`](crate::activation) for what they promise.
pub(crate) trait Function {
    /// The value at x.
    fn value<A: Arithmetic>(arith: &A, x: A::Number) -> A::Number;

    /// The derivative at x, where the value is y.
    fn derivative<A: Arithmetic>(arith: &A, path: Path, x: A::Number, y: A::Number) -> A::Number;

    /// `upstream · derivative`, rounded once.
    #[inline]
    fn backpropagate<A: Arithmetic>(
        arith: &A,
        path: Path,
        upstream: A::Number,
        x: A::Number,
        y: A::Number,
    ) -> A::Number {
        arith.mul(upstream, Self::derivative(arith, path, x, y))
    }
}

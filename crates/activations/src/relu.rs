//! ReLU, `max(x, 0)`: exact on every path. Its derivative at 0 is 0, as in PyTorch and TensorFlow.

use crate::function::Function;
use crate::path::Path;
use gradchain_arith::Arithmetic;

pub(crate) struct Relu;

impl Function for Relu {
    #[inline]
    fn value<A: Arithmetic>(arith: &A, x: A::Number) -> A::Number {
        masked(arith, x, x)
    }

    #[inline]
    fn derivative<A: Arithmetic>(arith: &A, _path: Path, x: A::Number, _y: A::Number) -> A::Number {
        masked(arith, x, arith.round(1.0))
    }

    /// Not a product: an inactive unit must not make NaN of an infinite upstream gradient.
    #[inline]
    fn backpropagate<A: Arithmetic>(
        arith: &A,
        _path: Path,
        upstream: A::Number,
        x: A::Number,
        _y: A::Number,
    ) -> A::Number {
        masked(arith, x, upstream)
    }
}

/// `active` where x > 0, NaN where x is NaN, and +0 elsewhere.
#[inline]
fn masked<A: Arithmetic>(arith: &A, x: A::Number, active: A::Number) -> A::Number {
    let value = arith.value(x);
    if value > 0.0 {
        active
    } else if value.is_nan() {
        x
    } else {
        arith.round(0.0)
    }
}

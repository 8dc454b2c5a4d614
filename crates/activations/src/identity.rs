//! The identity: a linear layer.

use crate::function::Function;
use crate::path::Path;
use gradchain_arith::Arithmetic;

pub(crate) struct Identity;

impl Function for Identity {
    fn value<A: Arithmetic>(_arith: &A, x: A::Number) -> A::Number {
        x
    }

    fn derivative<A: Arithmetic>(arith: &A, _path: Path, _x: A::Number, _y: A::Number) -> A::Number {
        arith.round(1.0)
    }

    fn backpropagate<A: Arithmetic>(
        _arith: &A,
        _path: Path,
        upstream: A::Number,
        _x: A::Number,
        _y: A::Number,
    ) -> A::Number {
        upstream
    }
}

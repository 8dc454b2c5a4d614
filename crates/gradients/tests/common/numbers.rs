//! Numbers of a format, and f64 numbers compared bit for bit.

use gradchain_arith::{Isa, Native, Real};

pub(crate) fn native<T: Real>() -> Native<T> {
    Native::new(Isa::PORTABLE)
}

pub(crate) fn numbers<T: Real>(values: &[f64]) -> Vec<T> {
    values.iter().map(|&x| T::round_from(x)).collect()
}

pub(crate) fn values<T: Real>(numbers: &[T]) -> Vec<f64> {
    numbers.iter().map(|x| x.value()).collect()
}

/// Equal bits, or both NaN.
pub(crate) fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

pub(crate) fn assert_same(a: &[f64], b: &[f64]) {
    assert!(a.len() == b.len() && a.iter().zip(b).all(|(&a, &b)| same(a, b)), "{a:?}, not {b:?}");
}

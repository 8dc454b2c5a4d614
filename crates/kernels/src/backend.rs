//! Backends that own the order of their sums: peers to compare with, never the definition of a result.

use crate::Shape;
use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2, LinalgScalar};

/// A format that the `matrixmultiply` crate has kernels for: f32 and f64.
pub trait MatrixMultiply: LinalgScalar {}

impl MatrixMultiply for f32 {}
impl MatrixMultiply for f64 {}

/// `out = A · B` by the `matrixmultiply` crate, through ndarray's safe door; shapes as in [`Kernels::times`](crate::Kernels::times).
///
/// It blocks and fuses as its kernel for this CPU likes: its bits differ between machines, and results are compared within a
/// tolerance, under this backend's name.
///
/// # Panics
/// If a slice has not the length of its shape.
pub fn matrixmultiply_times<T: MatrixMultiply>(a: &[T], b: &[T], out: &mut [T], shape: Shape) {
    shape.check(a, b, out);
    let Shape { rows, inner, columns } = shape;
    let fits = "the lengths were checked against the shape";
    let a = ArrayView2::from_shape((rows, inner), a).expect(fits);
    let b = ArrayView2::from_shape((inner, columns), b).expect(fits);
    let mut out = ArrayViewMut2::from_shape((rows, columns), out).expect(fits);
    general_mat_mul(T::one(), &a, &b, T::zero(), &mut out);
}

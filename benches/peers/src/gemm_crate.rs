//! A safe door to the `gemm` crate, whose own interface takes pointers.

use gemm::Parallelism;
use gradchain_arith::f16;
use gradchain_kernels::Shape;

/// A format that the `gemm` crate has kernels for.
pub(crate) trait Gemm: Copy + 'static {
    const ZERO: Self;
    const ONE: Self;
}

impl Gemm for f16 {
    const ZERO: f16 = f16::ZERO;
    const ONE: f16 = f16::ONE;
}

impl Gemm for f32 {
    const ZERO: f32 = 0.0;
    const ONE: f32 = 1.0;
}

impl Gemm for f64 {
    const ZERO: f64 = 0.0;
    const ONE: f64 = 1.0;
}

/// `out = A · B`, or `A · B^T` where B is `transposed` (stored `columns x inner`), on the threads of the pool.
pub(crate) fn gemm<T: Gemm>(a: &[T], b: &[T], out: &mut [T], shape: Shape, transposed: bool) {
    let Shape { rows, inner, columns } = shape;
    assert!(
        a.len() == rows * inner && b.len() == inner * columns && out.len() == rows * columns,
        "lengths {} and {} -> {} do not fit {shape:?}",
        a.len(),
        b.len(),
        out.len()
    );
    let stride = |length: usize| isize::try_from(length).expect("a slice is no longer than isize::MAX");
    let (b_column, b_row) = if transposed { (stride(inner), 1) } else { (1, stride(columns)) };
    let threads = rayon::current_num_threads();
    let parallelism = if threads == 1 { Parallelism::None } else { Parallelism::Rayon(threads) };
    // SAFETY: the type is one that the crate dispatches on. With the lengths just checked, row and column strides (inner, 1), (columns, 1) and those
    // of B reach every entry of the three matrices and nothing else, and `out` is borrowed for writing.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            inner,
            out.as_mut_ptr(),
            1,
            stride(columns),
            false,
            a.as_ptr(),
            1,
            stride(inner),
            b.as_ptr(),
            b_column,
            b_row,
            T::ZERO,
            T::ONE,
            false,
            false,
            false,
            parallelism,
        );
    }
}

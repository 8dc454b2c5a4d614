//! What each format is compared with: products of matrices by other crates, which own the order of their sums.

use crate::gemm_crate::gemm;
use bytemuck::Pod;
use faer::{Accum, MatMut, MatRef, Par};
use gradchain_arith::{bf16, f16};
use gradchain_kernels::{Shape, Stored};
use half::slice::HalfFloatSliceExt;
use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView1, ArrayView2, ArrayViewMut2, LinalgScalar};
use std::cell::RefCell;
use std::ops::AddAssign;

/// A product of A (`rows x inner`), B and the result (`rows x columns`), all row-major; B is `inner x columns`, or `columns x inner` where
/// the flag says that it is transposed.
pub type Product<T> = fn(&[T], &[T], &mut [T], Shape, bool);

/// How long one must wait for a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Within a small factor of the ceiling.
    Vector,
    /// One number at a time, with a call for each conversion: hundreds of times slower, and left out of large works.
    Scalar,
}

/// Another crate, in one format.
#[derive(Clone, Copy)]
pub struct Peer<T> {
    /// The name in bench ids and tables.
    pub name: &'static str,
    /// The product.
    pub product: Product<T>,
    /// How long it takes.
    pub pace: Pace,
}

/// A format with its peers.
pub trait Peers: Stored + LinalgScalar + AddAssign + Pod {
    /// The peers.
    const PEERS: &'static [Peer<Self>];
}

impl Peers for f16 {
    const PEERS: &'static [Peer<f16>] = &[
        Peer { name: "gemm", product: gemm, pace: Pace::Vector },
        Peer { name: "half slices, gemm f32", product: through_f32, pace: Pace::Vector },
        Peer { name: "ndarray", product: ndarray_dot, pace: Pace::Scalar },
        Peer { name: "half loop", product: half_loop, pace: Pace::Scalar },
    ];
}

impl Peers for bf16 {
    const PEERS: &'static [Peer<bf16>] = &[
        Peer { name: "half slices, gemm f32", product: through_f32, pace: Pace::Vector },
        Peer { name: "ndarray", product: ndarray_dot, pace: Pace::Scalar },
        Peer { name: "half loop", product: half_loop, pace: Pace::Scalar },
    ];
}

impl Peers for f32 {
    const PEERS: &'static [Peer<f32>] = &[
        Peer { name: "gemm", product: gemm, pace: Pace::Vector },
        Peer { name: "faer", product: faer, pace: Pace::Vector },
        Peer { name: "matrixmultiply", product: matrixmultiply, pace: Pace::Vector },
        Peer { name: "ndarray", product: ndarray_dot, pace: Pace::Vector },
    ];
}

impl Peers for f64 {
    const PEERS: &'static [Peer<f64>] = &[
        Peer { name: "gemm", product: gemm, pace: Pace::Vector },
        Peer { name: "faer", product: faer, pace: Pace::Vector },
        Peer { name: "matrixmultiply", product: matrixmultiply, pace: Pace::Vector },
        Peer { name: "ndarray", product: ndarray_dot, pace: Pace::Vector },
    ];
}

fn faer<T: faer::traits::ComplexField + Copy>(
    a: &[T],
    b: &[T],
    out: &mut [T],
    shape: Shape,
    transposed: bool,
) {
    let Shape { rows, inner, columns } = shape;
    let a = MatRef::from_row_major_slice(a, rows, inner);
    let b = if transposed {
        MatRef::from_column_major_slice(b, inner, columns)
    } else {
        MatRef::from_row_major_slice(b, inner, columns)
    };
    let out = MatMut::from_row_major_slice_mut(out, rows, columns);
    let threads = rayon::current_num_threads();
    let par = if threads == 1 { Par::Seq } else { Par::rayon(threads) };
    faer::linalg::matmul::matmul(out, Accum::Replace, a, b, T::one_impl(), par);
}

const FITS: &str = "the works make matching shapes";

/// B as ndarray sees it: `inner x columns`, row-major or the transpose of a row-major one.
fn right<T>(b: &[T], shape: Shape, transposed: bool) -> ArrayView2<'_, T> {
    if transposed {
        ArrayView2::from_shape((shape.columns, shape.inner), b).expect(FITS).reversed_axes()
    } else {
        ArrayView2::from_shape((shape.inner, shape.columns), b).expect(FITS)
    }
}

/// Through ndarray's safe function, which calls the crate; always on one thread.
fn matrixmultiply<T: LinalgScalar>(a: &[T], b: &[T], out: &mut [T], shape: Shape, transposed: bool) {
    let a = ArrayView2::from_shape((shape.rows, shape.inner), a).expect(FITS);
    let mut out = ArrayViewMut2::from_shape((shape.rows, shape.columns), out).expect(FITS);
    general_mat_mul(T::one(), &a, &right(b, shape, transposed), T::zero(), &mut out);
}

/// As a user of ndarray writes it; a single row is a vector. It allocates its result.
fn ndarray_dot<T: LinalgScalar>(a: &[T], b: &[T], out: &mut [T], shape: Shape, transposed: bool) {
    let b = right(b, shape, transposed);
    if shape.rows == 1 {
        let a = ArrayView1::from_shape(shape.inner, a).expect(FITS);
        out.copy_from_slice(b.t().dot(&a).as_slice().expect(FITS));
    } else {
        let a = ArrayView2::from_shape((shape.rows, shape.inner), a).expect(FITS);
        out.copy_from_slice(a.dot(&b).as_slice().expect(FITS));
    }
}

/// As a user of `half` writes it: loops along the rows of B, operators of the 16-bit type.
fn half_loop<T: LinalgScalar + AddAssign>(a: &[T], b: &[T], out: &mut [T], shape: Shape, transposed: bool) {
    for (a, out) in a.chunks_exact(shape.inner).zip(out.chunks_exact_mut(shape.columns)) {
        if transposed {
            for (row, out) in b.chunks_exact(shape.inner).zip(out) {
                let mut sum = T::zero();
                for (&b, &a) in row.iter().zip(a) {
                    sum += a * b;
                }
                *out = sum;
            }
        } else {
            out.fill(T::zero());
            for (row, &a) in b.chunks_exact(shape.columns).zip(a) {
                for (out, &b) in out.iter_mut().zip(row) {
                    *out += a * b;
                }
            }
        }
    }
}

/// A 16-bit format whose slices the crate `half` converts.
trait Sixteen: Copy {
    fn widen(from: &[Self], to: &mut [f32]);
    fn narrow(from: &[f32], to: &mut [Self]);
}

impl Sixteen for f16 {
    fn widen(from: &[f16], to: &mut [f32]) {
        from.convert_to_f32_slice(to);
    }

    fn narrow(from: &[f32], to: &mut [f16]) {
        to.convert_from_f32_slice(from);
    }
}

impl Sixteen for bf16 {
    fn widen(from: &[bf16], to: &mut [f32]) {
        from.convert_to_f32_slice(to);
    }

    fn narrow(from: &[f32], to: &mut [bf16]) {
        to.convert_from_f32_slice(from);
    }
}

/// What a user does who knows both crates: whole matrices to f32 by `half`, the product by `gemm`, the result back. The f32 matrices stay
/// allocated between calls.
fn through_f32<T: Sixteen>(a: &[T], b: &[T], out: &mut [T], shape: Shape, transposed: bool) {
    thread_local!(static MATRICES: RefCell<[Vec<f32>; 3]> = const { RefCell::new([const { Vec::new() }; 3]) });
    MATRICES.with_borrow_mut(|[wide_a, wide_b, wide_out]| {
        wide_a.resize(a.len(), 0.0);
        wide_b.resize(b.len(), 0.0);
        wide_out.resize(out.len(), 0.0);
        T::widen(a, wide_a);
        T::widen(b, wide_b);
        gemm::<f32>(wide_a, wide_b, wide_out, shape, transposed);
        T::narrow(wide_out, out);
    });
}

//! Matrix-chain kernels: pure functions of slices, with ndarray views at the door.
//!
//! The invariant of this crate: **every result is the stated summation of its products, whatever the shape, the blocking, the
//! instruction set and the number of threads**. Vector lanes run over independent results, or over the partial
//! sums of a summation that has them; no kernel splits a sum otherwise.
//!
//! All matrices are row-major. With W of shape m x n (m outputs, n inputs of a layer), batches as rows:
//!
//! | step | function | computes |
//! | --- | --- | --- |
//! | backward, W^T g | [`Kernels::times`] | G (b x m) · W (m x n) |
//! | forward, W x | [`Kernels::times_transposed`] | H (b x n) · W^T |
//! | weight gradient | [`Kernels::transposed_times`] | G^T · H (m x n), summed over the batch |
//! | Jacobian product | [`Kernels::times`] | P (m x k) · M (k x n) |
//!
//! [`Native`](gradchain_arith::Native) kernels do not allocate; an emulated pairwise sum keeps a stack of partial sums, and the functions on views
//! make what they return. A shape mismatch is a bug of the caller and panics with the shapes.

mod association;
mod backend;
mod blocked;
mod emulated;
mod interleaved;
mod native;
mod streamed;
mod threads;
mod view;

pub use association::{Association, MAX_OPTIMAL_LAYERS, Operand, Plan, PlanError, Product, evaluate};
pub use backend::{MatrixMultiply, matrixmultiply_times};
pub use native::Stored;
pub use view::{backward_step, forward_step, jacobian_product};

use gradchain_arith::{Arithmetic, Summation};

/// The shape of a product of matrices: `rows x inner` times `inner x columns`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Rows of the result.
    pub rows: usize,
    /// Terms in each sum.
    pub inner: usize,
    /// Columns of the result.
    pub columns: usize,
}

/// The products of matrices that chains are made of, in one arithmetic.
///
/// Each entry of a result is the [`Summation`] of `inner` products in ascending order of the inner index; with `inner = 0` it is +0. NaN,
/// infinities and signed zeros follow IEEE 754: no term is skipped, also where a factor is zero.
pub trait Kernels: Arithmetic {
    /// `out = A · B`: `out[i][j] = Σ_k a[i][k] · b[k][j]`, with A `rows x inner` and B `inner x columns`.
    ///
    /// # Panics
    /// If a slice has not the length of its shape.
    fn times(
        &self,
        summation: Summation,
        a: &[Self::Number],
        b: &[Self::Number],
        out: &mut [Self::Number],
        shape: Shape,
    );

    /// `out = A · B^T`: `out[i][j] = Σ_k a[i][k] · b[j][k]`, with A `rows x inner` and B `columns x inner`.
    ///
    /// # Panics
    /// If a slice has not the length of its shape.
    fn times_transposed(
        &self,
        summation: Summation,
        a: &[Self::Number],
        b: &[Self::Number],
        out: &mut [Self::Number],
        shape: Shape,
    );

    /// `out = A^T · B`: `out[i][j] = Σ_k a[k][i] · b[k][j]`, with A `inner x rows` and B `inner x columns`.
    ///
    /// # Panics
    /// If a slice has not the length of its shape.
    fn transposed_times(
        &self,
        summation: Summation,
        a: &[Self::Number],
        b: &[Self::Number],
        out: &mut [Self::Number],
        shape: Shape,
    );
}

impl Shape {
    fn check<T>(self, a: &[T], b: &[T], out: &[T]) {
        let Shape { rows, inner, columns } = self;
        assert!(
            a.len() == rows * inner && b.len() == inner * columns && out.len() == rows * columns,
            "lengths {} and {} -> {} do not fit a product of {rows} x {inner} and {inner} x {columns}",
            a.len(),
            b.len(),
            out.len(),
        );
    }
}

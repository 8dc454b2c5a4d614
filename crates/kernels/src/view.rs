//! The door for ndarray: the steps of a chain on array views.

use crate::{Kernels, Shape};
use gradchain_arith::Summation;
use ndarray::{Array1, Array2, ArrayView, ArrayView1, ArrayView2, Dimension};
use std::borrow::Cow;

/// `W^T g`: the gradient before a layer with weights W (m x n) from the gradient after it (m). Views of any layout; what is not row-major is
/// copied first.
///
/// # Panics
/// If `g` has not as many entries as `weights` has rows.
pub fn backward_step<K: Kernels>(
    arith: &K,
    summation: Summation,
    weights: ArrayView2<'_, K::Number>,
    g: ArrayView1<'_, K::Number>,
) -> Array1<K::Number> {
    let (inner, columns) = weights.dim();
    product_of(arith, g, weights, Shape { rows: 1, inner, columns }, |g, w, out, shape| {
        arith.times(summation, g, w, out, shape);
    })
}

/// `W x`: the pre-activations of a layer with weights W (m x n) at the input x (n). Views of any layout; what is not row-major is copied first.
///
/// # Panics
/// If `x` has not as many entries as `weights` has columns.
pub fn forward_step<K: Kernels>(
    arith: &K,
    summation: Summation,
    weights: ArrayView2<'_, K::Number>,
    x: ArrayView1<'_, K::Number>,
) -> Array1<K::Number> {
    let (columns, inner) = weights.dim();
    product_of(arith, x, weights, Shape { rows: 1, inner, columns }, |x, w, out, shape| {
        arith.times_transposed(summation, x, w, out, shape);
    })
}

/// `P · M`: a product of Jacobians (m x k) and (k x n). Views of any layout; what is not row-major is copied first.
///
/// # Panics
/// If the inner dimensions differ.
pub fn jacobian_product<K: Kernels>(
    arith: &K,
    summation: Summation,
    p: ArrayView2<'_, K::Number>,
    m: ArrayView2<'_, K::Number>,
) -> Array2<K::Number> {
    let (rows, inner) = p.dim();
    assert!(m.nrows() == inner, "a product of {:?} and {:?} has no inner dimension", p.dim(), m.dim());
    let columns = m.ncols();
    let mut out = vec![arith.round(0.0); rows * columns];
    arith.times(summation, &row_major(p), &row_major(m), &mut out, Shape { rows, inner, columns });
    Array2::from_shape_vec((rows, columns), out).expect("the vector was made for the shape")
}

fn product_of<K: Kernels>(
    arith: &K,
    vector: ArrayView1<'_, K::Number>,
    matrix: ArrayView2<'_, K::Number>,
    shape: Shape,
    product: impl FnOnce(&[K::Number], &[K::Number], &mut [K::Number], Shape),
) -> Array1<K::Number> {
    let mut out = vec![arith.round(0.0); shape.columns];
    product(&row_major(vector), &row_major(matrix), &mut out, shape);
    Array1::from_vec(out)
}

/// The numbers of a view, one row after the other.
fn row_major<T: Copy, D: Dimension>(view: ArrayView<'_, T, D>) -> Cow<'_, [T]> {
    match view.to_slice() {
        Some(slice) => slice.into(),
        None => view.iter().copied().collect::<Vec<T>>().into(),
    }
}

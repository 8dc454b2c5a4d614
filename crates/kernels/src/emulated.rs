//! The kernels of emulated formats: the definition of each entry, one after the other.

use crate::{Kernels, Shape};
use gradchain_arith::{Arithmetic, Emulated, Summation, dot};

impl Kernels for Emulated {
    fn times(&self, summation: Summation, a: &[f64], b: &[f64], out: &mut [f64], shape: Shape) {
        shape.check(a, b, out);
        let term = |i: usize, j: usize, k: usize| (a[i * shape.inner + k], b[k * shape.columns + j]);
        entries(self, summation, out, shape, term);
    }

    fn times_transposed(&self, summation: Summation, a: &[f64], b: &[f64], out: &mut [f64], shape: Shape) {
        shape.check(a, b, out);
        let term = |i: usize, j: usize, k: usize| (a[i * shape.inner + k], b[j * shape.inner + k]);
        entries(self, summation, out, shape, term);
    }

    fn transposed_times(&self, summation: Summation, a: &[f64], b: &[f64], out: &mut [f64], shape: Shape) {
        shape.check(a, b, out);
        let term = |i: usize, j: usize, k: usize| (a[k * shape.rows + i], b[k * shape.columns + j]);
        entries(self, summation, out, shape, term);
    }
}

/// `out[i][j] = Σ_k x · y` with `(x, y) = term(i, j, k)`. Entry number e draws its random bits from stream e.
fn entries(
    arith: &Emulated,
    summation: Summation,
    out: &mut [f64],
    shape: Shape,
    term: impl Fn(usize, usize, usize) -> (f64, f64),
) {
    for (entry, out) in out.iter_mut().enumerate() {
        let (i, j) = (entry / shape.columns, entry % shape.columns);
        *out = dot(&arith.stream(entry as u64), summation, (0..shape.inner).map(|k| term(i, j, k)));
    }
}

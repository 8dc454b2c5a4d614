//! The loops of the reference, compiled for the instruction set that the caller chose.
//!
//! Plain loops over slices: [`Isa::run`] compiles them with vector registers and FMA, and without an FMA `f64::mul_add` gives the same bits, slowly.
//! Their order is stated and does not depend on the instruction set, and neither do their results.

use crate::double_double::DoubleDouble;
use crate::scaled::pow2;
use crate::scaled_vector::{ScaledVector, common_exponent};
use gradchain_arith::{Isa, Simd, WithSimd};

/// A matrix of f64 numbers, row-major, and what they leave off of the true ones.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) values: &'a [f64],
    pub(crate) rest: Option<&'a [f64]>,
}

/// Sums that a step back through a layer keeps at a time.
const BLOCK: usize = 32;

/// The power of two that takes the largest entry of `values` into [0.5, 1), where it is within reach, and its exponent. The products of a chain
/// then keep their errors in f64's range, whatever the weights.
#[inline(always)]
fn normaliser(values: &[f64]) -> (f64, i64) {
    let exponent = common_exponent(values).unwrap_or(0).clamp(-1000, 1000);
    (pow2(-exponent), exponent)
}

/// `out = x W` for each of the `batch` rows of x: the step back through a layer, `G = D W`.
///
/// Sums run over the rows of W in ascending order; each term costs two roundings to double-double.
pub(crate) fn times(isa: Isa, x: &ScaledVector, matrix: Matrix<'_>, batch: usize, out: &mut ScaledVector) {
    out.reset(batch * matrix.columns);
    isa.run(Times { x, matrix, batch, out });
}

struct Times<'a> {
    x: &'a ScaledVector,
    matrix: Matrix<'a>,
    batch: usize,
    out: &'a mut ScaledVector,
}

impl WithSimd for Times<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Times { x, matrix, batch, out } = self;
        let (scale, exponent) = normaliser(matrix.values);
        let n = matrix.columns;
        let terms = Terms { x, matrix, scale };
        for b in 0..batch {
            let (hi, lo) = (&mut out.hi[b * n..][..n], &mut out.lo[b * n..][..n]);
            let (hi_blocks, hi_tail) = hi.as_chunks_mut::<BLOCK>();
            let (lo_blocks, lo_tail) = lo.as_chunks_mut::<BLOCK>();
            let tail = hi_blocks.len() * BLOCK;
            for (block, (hi, lo)) in hi_blocks.iter_mut().zip(lo_blocks).enumerate() {
                // In local arrays the sums stay in registers.
                let (mut sum_hi, mut sum_lo) = ([0.0; BLOCK], [0.0; BLOCK]);
                terms.add_up(b, block * BLOCK, &mut sum_hi, &mut sum_lo);
                (*hi, *lo) = (sum_hi, sum_lo);
            }
            terms.add_up(b, tail, hi_tail, lo_tail);
        }
        out.exponent = x.exponent.saturating_add(exponent);
        out.renormalise();
    }
}

struct Terms<'a> {
    x: &'a ScaledVector,
    matrix: Matrix<'a>,
    scale: f64,
}

impl Terms<'_> {
    /// Adds row b of `x W` to (hi, lo), from column `start` on and for as many columns as there are sums.
    #[inline(always)]
    fn add_up(&self, b: usize, start: usize, hi: &mut [f64], lo: &mut [f64]) {
        let Matrix { rows, columns, values, rest } = self.matrix;
        let len = hi.len();
        let lo = &mut lo[..len];
        for i in 0..rows {
            let factor = self.x.mantissa(b * rows + i);
            let at = i * columns + start;
            let row = &values[at..][..len];
            match rest {
                None => {
                    for j in 0..len {
                        accumulate(&mut hi[j], &mut lo[j], factor.times_f64(row[j] * self.scale));
                    }
                }
                Some(rest) => {
                    let rest = &rest[at..][..len];
                    for j in 0..len {
                        let weight = DoubleDouble::sum(row[j] * self.scale, rest[j] * self.scale);
                        accumulate(&mut hi[j], &mut lo[j], factor.times(weight));
                    }
                }
            }
        }
    }
}

/// `(hi, lo) += term`.
#[inline(always)]
fn accumulate(hi: &mut f64, lo: &mut f64, term: DoubleDouble) {
    let sum = DoubleDouble { hi: *hi, lo: *lo }.plus(term);
    (*hi, *lo) = (sum.hi, sum.lo);
}

/// Partial sums of [`times_transposed`], a power of two.
const PARTIAL_SUMS: usize = 16;

/// `out = x W^T` for each of the `batch` rows of x: the step forward through a layer, `Z = H W^T`.
///
/// Of as many terms as make whole blocks of 16, term j goes to partial sum j mod 16; the partial sums are halved until one is left, and the remaining
/// terms are added to it in ascending order.
pub(crate) fn times_transposed(
    isa: Isa,
    x: &ScaledVector,
    matrix: Matrix<'_>,
    batch: usize,
    out: &mut ScaledVector,
) {
    out.reset(batch * matrix.rows);
    isa.run(TimesTransposed { x, matrix, batch, out });
}

struct TimesTransposed<'a> {
    x: &'a ScaledVector,
    matrix: Matrix<'a>,
    batch: usize,
    out: &'a mut ScaledVector,
}

impl WithSimd for TimesTransposed<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let TimesTransposed { x, matrix: Matrix { rows, columns, values, rest }, batch, out } = self;
        let (scale, exponent) = normaliser(values);
        for b in 0..batch {
            let (hi, lo) = (&x.hi[b * columns..][..columns], &x.lo[b * columns..][..columns]);
            for i in 0..rows {
                let row = &values[i * columns..][..columns];
                let total = match rest {
                    None => dot(hi, lo, |x, j| x.times_f64(row[j] * scale)),
                    Some(rest) => {
                        let rest = &rest[i * columns..][..columns];
                        dot(hi, lo, |x, j| x.times(DoubleDouble::sum(row[j] * scale, rest[j] * scale)))
                    }
                };
                (out.hi[b * rows + i], out.lo[b * rows + i]) = (total.hi, total.lo);
            }
        }
        out.exponent = x.exponent.saturating_add(exponent);
        out.renormalise();
    }
}

/// `Σ term(x_j, j)` in the order of [`times_transposed`].
#[inline(always)]
fn dot(hi: &[f64], lo: &[f64], term: impl Fn(DoubleDouble, usize) -> DoubleDouble) -> DoubleDouble {
    let mut total = DoubleDouble::default();
    let blocks = hi.len() / PARTIAL_SUMS;
    if blocks > 0 {
        let (mut sum_hi, mut sum_lo) = ([0.0; PARTIAL_SUMS], [0.0; PARTIAL_SUMS]);
        for block in 0..blocks {
            for k in 0..PARTIAL_SUMS {
                let j = block * PARTIAL_SUMS + k;
                accumulate(&mut sum_hi[k], &mut sum_lo[k], term(DoubleDouble { hi: hi[j], lo: lo[j] }, j));
            }
        }
        let mut left = PARTIAL_SUMS / 2;
        while left > 0 {
            for k in 0..left {
                let upper = DoubleDouble { hi: sum_hi[k + left], lo: sum_lo[k + left] };
                accumulate(&mut sum_hi[k], &mut sum_lo[k], upper);
            }
            left /= 2;
        }
        total = DoubleDouble { hi: sum_hi[0], lo: sum_lo[0] };
    }
    for j in blocks * PARTIAL_SUMS..hi.len() {
        total = total.plus(term(DoubleDouble { hi: hi[j], lo: lo[j] }, j));
    }
    total
}

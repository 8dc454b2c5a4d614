//! The loops of the reference, compiled for the instruction set that the caller chose.
//!
//! Plain loops over slices: [`Isa::run`] compiles them with vector registers and FMA, and without an FMA `f64::mul_add` gives the same bits, slowly.
//! Their order is stated and does not depend on the instruction set, and neither do their results.
//!
//! A product with a weight costs 26 operations: 3 for `x w` and its error, 3 to normalise it, 20 to add it; with a rest of the weight 35. They follow
//! each other so closely that one sum leaves a core idle. [`CHAINS`] times [`LANES`] sums advance in step, their operations in turn.

use crate::double_double::DoubleDouble;
use crate::scaled::pow2;
use crate::scaled_vector::{ScaledVector, common_exponent};
use gradchain_arith::{Isa, Simd, WithSimd};
use std::array::from_fn;
use std::hint::black_box;
use std::marker::PhantomData;

/// A matrix of f64 numbers, row-major, and what they leave off of the true ones.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) values: &'a [f64],
    pub(crate) rest: Option<&'a [f64]>,
}

/// `out = x W` for each of the `batch` rows of x: the step back through a layer, `G = D W`.
///
/// Sums run over the rows of W in ascending order; each term costs two roundings to double-double.
pub(crate) fn times(isa: Isa, x: &ScaledVector, matrix: Matrix<'_>, batch: usize, out: &mut ScaledVector) {
    out.reset(batch * matrix.columns);
    in_range(x, matrix, out, |matrix, out| isa.run(Times { x, matrix, batch, out }));
}

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
    in_range(x, matrix, out, |matrix, out| isa.run(TimesTransposed { x, matrix, batch, out }));
}

/// Adds a product to the zeros of `out` and gives it its exponent. Where weights near the ends of f64's range may have cost bits, the product is taken
/// once more with weights that a power of two has brought below 1.
///
/// The error of a product is exact down to products of 2^-968 ([`two_prod`](crate::two_prod)): a largest result of 2^-64 or more leaves 2^-900 for
/// what lies below it. A sum that overflowed is not finite at its end. So the weights need no look beforehand, which would cost a tenth of the product.
#[inline(always)]
fn in_range(
    x: &ScaledVector,
    matrix: Matrix<'_>,
    out: &mut ScaledVector,
    add_product: impl Fn(Matrix<'_>, &mut ScaledVector),
) {
    add_product(matrix, out);
    out.exponent = x.exponent;
    let mut largest = common_exponent(&out.hi);
    let vanishing = largest.is_none_or(|e| e < -64) && x.hi.iter().any(|&x| x != 0.0);
    if vanishing || !out.is_finite() {
        let exponent = common_exponent(matrix.values).unwrap_or(0).clamp(-1000, 1000);
        // Weights of an ordinary size are not to blame.
        if !(-32..900).contains(&exponent) {
            let scaled = |values: &[f64]| values.iter().map(|w| w * pow2(-exponent)).collect::<Vec<f64>>();
            let (values, rest) = (scaled(matrix.values), matrix.rest.map(scaled));
            out.reset(out.len());
            add_product(Matrix { values: &values, rest: rest.as_deref(), ..matrix }, out);
            out.exponent = x.exponent.saturating_add(exponent);
            largest = common_exponent(&out.hi);
        }
    }
    out.renormalise_from(largest);
}

/// Lanes of a vector: independent sums. A register of AVX-512, two of AVX2.
const LANES: usize = 8;

/// Vectors whose operations alternate, so that each has its operands by its turn.
const CHAINS: usize = 4;

/// [`CHAINS`] numbers in double-double, one lane of the vectors.
#[derive(Clone, Copy)]
struct Chains<const C: usize = CHAINS> {
    hi: [f64; C],
    lo: [f64; C],
}

impl<const C: usize> Chains<C> {
    #[inline(always)]
    fn splat(x: DoubleDouble) -> Chains<C> {
        Chains { hi: [x.hi; C], lo: [x.lo; C] }
    }
}

/// [`CHAINS`] vectors in double-double.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Sums {
    hi: [[f64; LANES]; CHAINS],
    lo: [[f64; LANES]; CHAINS],
}

impl Sums {
    const ZERO: Sums = Sums { hi: [[0.0; LANES]; CHAINS], lo: [[0.0; LANES]; CHAINS] };

    #[inline(always)]
    fn lane(&self, k: usize) -> Chains {
        Chains { hi: from_fn(|c| self.hi[c][k]), lo: from_fn(|c| self.lo[c][k]) }
    }

    #[inline(always)]
    fn set_lane(&mut self, k: usize, lane: Chains) {
        for c in 0..CHAINS {
            (self.hi[c][k], self.lo[c][k]) = (lane.hi[c], lane.lo[c]);
        }
    }
}

/// The operations of [`DoubleDouble`] on chains, part of the additions on the multipliers: `a + b` as `a · 1 + b`, which rounds the same number.
///
/// 23 of the 26 operations of a product are additions. A core with as many multipliers as adders works at both when 10 of them move over: all of the
/// low parts' [`two_sum`](crate::two_sum), one of the high parts' and those that normalise the product, for which the next sum waits least. The
/// compiler, which would undo this, must not know that the factor is 1. Without an FMA, where `f64::mul_add` is a function, additions they stay.
#[derive(Clone, Copy)]
struct Multipliers<S> {
    one: f64,
    isa: PhantomData<S>,
}

impl<S: Simd> Multipliers<S> {
    const FUSED: bool = !matches!(S::NAME.as_bytes(), b"portable");

    #[inline(always)]
    fn new() -> Multipliers<S> {
        Multipliers { one: black_box(1.0), isa: PhantomData }
    }

    #[inline(always)]
    fn add<const C: usize>(self, a: [f64; C], b: [f64; C]) -> [f64; C] {
        if Self::FUSED { from_fn(|c| f64::mul_add(a[c], self.one, b[c])) } else { add(a, b) }
    }

    #[inline(always)]
    fn sub<const C: usize>(self, a: [f64; C], b: [f64; C]) -> [f64; C] {
        self.add(a, b.map(|b| -b))
    }

    /// [`DoubleDouble::sum`].
    #[inline(always)]
    fn sum<const C: usize>(self, a: [f64; C], b: [f64; C]) -> Chains<C> {
        let sum = self.add(a, b);
        let b_in_sum = sub(sum, a);
        Chains { hi: sum, lo: add(self.sub(a, sub(sum, b_in_sum)), self.sub(b, b_in_sum)) }
    }

    /// [`DoubleDouble::plus`], the steps of the high and the low parts in turn.
    #[inline(always)]
    fn plus<const C: usize>(self, a: Chains<C>, b: Chains<C>) -> Chains<C> {
        let (high, low) = (add(a.hi, b.hi), self.add(a.lo, b.lo));
        let (b_in_high, b_in_low) = (sub(high, a.hi), self.sub(low, a.lo));
        let (a_in_high, a_in_low) = (sub(high, b_in_high), self.sub(low, b_in_low));
        let (of_high, of_low) = (sub(a.hi, a_in_high), self.sub(a.lo, a_in_low));
        let (b_of_high, b_of_low) = (self.sub(b.hi, b_in_high), self.sub(b.lo, b_in_low));
        let (high_error, low_error) = (add(of_high, b_of_high), self.add(of_low, b_of_low));
        let first = quick_sum(high, add(high_error, low));
        quick_sum(first.hi, add(low_error, first.lo))
    }

    /// `x (weight + rest)`, where there is a rest only if `REST`.
    #[inline(always)]
    fn term<const REST: bool, const C: usize>(
        self,
        x: Chains<C>,
        weight: [f64; C],
        rest: [f64; C],
    ) -> Chains<C> {
        if REST { self.times(x, self.sum(weight, rest)) } else { self.times_f64(x, weight) }
    }

    /// [`DoubleDouble::times_f64`].
    #[inline(always)]
    fn times_f64<const C: usize>(self, x: Chains<C>, weight: [f64; C]) -> Chains<C> {
        let product: [f64; C] = from_fn(|c| x.hi[c] * weight[c]);
        let error: [f64; C] = from_fn(|c| f64::mul_add(x.hi[c], weight[c], -product[c]));
        self.quick_sum(product, from_fn(|c| f64::mul_add(x.lo[c], weight[c], error[c])))
    }

    /// [`DoubleDouble::times`].
    #[inline(always)]
    fn times<const C: usize>(self, x: Chains<C>, weight: Chains<C>) -> Chains<C> {
        let product: [f64; C] = from_fn(|c| x.hi[c] * weight.hi[c]);
        let cross: [f64; C] = from_fn(|c| x.lo[c] * weight.lo[c]);
        let error: [f64; C] = from_fn(|c| f64::mul_add(x.hi[c], weight.hi[c], -product[c]));
        let cross: [f64; C] = from_fn(|c| f64::mul_add(x.hi[c], weight.lo[c], cross[c]));
        let cross: [f64; C] = from_fn(|c| f64::mul_add(x.lo[c], weight.hi[c], cross[c]));
        self.quick_sum(product, add(error, cross))
    }

    /// [`DoubleDouble::new`].
    #[inline(always)]
    fn quick_sum<const C: usize>(self, hi: [f64; C], lo: [f64; C]) -> Chains<C> {
        let sum = self.add(hi, lo);
        Chains { hi: sum, lo: self.sub(lo, self.sub(sum, hi)) }
    }
}

#[inline(always)]
fn add<const C: usize>(a: [f64; C], b: [f64; C]) -> [f64; C] {
    from_fn(|c| a[c] + b[c])
}

#[inline(always)]
fn sub<const C: usize>(a: [f64; C], b: [f64; C]) -> [f64; C] {
    from_fn(|c| a[c] - b[c])
}

/// [`DoubleDouble::new`], on the adders.
#[inline(always)]
fn quick_sum<const C: usize>(hi: [f64; C], lo: [f64; C]) -> Chains<C> {
    let sum = add(hi, lo);
    Chains { hi: sum, lo: sub(lo, sub(sum, hi)) }
}

/// Columns whose sums stay in registers while [`ROWS_AT_ONCE`] rows pass by.
const COLUMNS: usize = CHAINS * LANES;

/// Rows that [`Times`] adds at a time: few enough for the machine to follow each of them as a stream.
const ROWS_AT_ONCE: usize = 4;

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
        let Matrix { values, rest, .. } = self.matrix;
        match rest {
            None => self.add_all::<S, false>(values),
            Some(rest) => self.add_all::<S, true>(rest),
        }
    }
}

impl Times<'_> {
    #[inline(always)]
    fn add_all<S: Simd, const REST: bool>(self, rest: &[f64]) {
        let Times { x, matrix: Matrix { rows, columns, values, .. }, batch, out } = self;
        let on = Multipliers::<S>::new();
        for b in 0..batch {
            let (hi, lo) = (&mut out.hi[b * columns..][..columns], &mut out.lo[b * columns..][..columns]);
            for first in (0..rows).step_by(ROWS_AT_ONCE) {
                let count = ROWS_AT_ONCE.min(rows - first);
                let at = b * rows + first;
                let factors = (&x.hi[at..][..count], &x.lo[at..][..count]);
                let of_rows = first * columns..(first + count) * columns;
                let (values, rest) = (&values[of_rows.clone()], &rest[of_rows]);
                add_rows::<S, REST>(on, factors, values, rest, hi, lo);
            }
        }
    }
}

/// `(hi_j, lo_j) += Σ over r of factor_r (values_rj + rest_rj)`, the rows in ascending order.
#[inline(always)]
fn add_rows<S: Simd, const REST: bool>(
    on: Multipliers<S>,
    (factors_hi, factors_lo): (&[f64], &[f64]),
    values: &[f64],
    rest: &[f64],
    hi: &mut [f64],
    lo: &mut [f64],
) {
    let columns = hi.len();
    let ((hi, hi_tail), (lo, lo_tail)) = (hi.as_chunks_mut::<COLUMNS>(), lo.as_chunks_mut::<COLUMNS>());
    let tail = hi.len() * COLUMNS;
    for (block, (hi, lo)) in hi.iter_mut().zip(lo).enumerate() {
        // In a local variable the sums stay in registers.
        let mut sums = Sums::ZERO;
        for c in 0..CHAINS {
            sums.hi[c].copy_from_slice(&hi[c * LANES..][..LANES]);
            sums.lo[c].copy_from_slice(&lo[c * LANES..][..LANES]);
        }
        for (r, (&factor_hi, &factor_lo)) in factors_hi.iter().zip(factors_lo).enumerate() {
            let factor = DoubleDouble { hi: factor_hi, lo: factor_lo };
            let at = r * columns + block * COLUMNS;
            let (values, rest) = (&values[at..][..COLUMNS], &rest[at..][..COLUMNS]);
            for k in 0..LANES {
                let (weight, rest) = (from_fn(|c| values[c * LANES + k]), from_fn(|c| rest[c * LANES + k]));
                let term = on.term::<REST, CHAINS>(Chains::splat(factor), weight, rest);
                sums.set_lane(k, on.plus(sums.lane(k), term));
            }
        }
        for c in 0..CHAINS {
            hi[c * LANES..][..LANES].copy_from_slice(&sums.hi[c]);
            lo[c * LANES..][..LANES].copy_from_slice(&sums.lo[c]);
        }
    }
    for (r, (&factor_hi, &factor_lo)) in factors_hi.iter().zip(factors_lo).enumerate() {
        let factor = DoubleDouble { hi: factor_hi, lo: factor_lo };
        let at = r * columns + tail;
        let (values, rest) = (&values[at..][..hi_tail.len()], &rest[at..][..hi_tail.len()]);
        for (((hi, lo), &weight), &rest) in hi_tail.iter_mut().zip(&mut *lo_tail).zip(values).zip(rest) {
            let term = on.term::<REST, 1>(Chains::splat(factor), [weight], [rest]);
            accumulate(on, hi, lo, term);
        }
    }
}

/// `(hi, lo) += term`.
#[inline(always)]
fn accumulate<S: Simd>(on: Multipliers<S>, hi: &mut f64, lo: &mut f64, term: Chains<1>) {
    let sum = on.plus(Chains { hi: [*hi], lo: [*lo] }, term);
    (*hi, *lo) = (sum.hi[0], sum.lo[0]);
}

/// Partial sums of a row of W in [`TimesTransposed`]: two vectors, so that [`CHAINS`] are two rows.
const PARTIAL_SUMS: usize = 16;

/// Rows whose partial sums [`TimesTransposed`] adds up together.
const ROWS: usize = 16;

/// The partial sums of a row.
type Partial = [f64; PARTIAL_SUMS];

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
        let Matrix { values, rest, .. } = self.matrix;
        match rest {
            None => self.add_all::<S, false>(values),
            Some(rest) => self.add_all::<S, true>(rest),
        }
    }
}

impl TimesTransposed<'_> {
    #[inline(always)]
    fn add_all<S: Simd, const REST: bool>(self, rest: &[f64]) {
        let TimesTransposed { x, matrix: Matrix { rows, columns, values, .. }, batch, out } = self;
        let on = Multipliers::<S>::new();
        for b in 0..batch {
            let x = (&x.hi[b * columns..][..columns], &x.lo[b * columns..][..columns]);
            for first in (0..rows).step_by(ROWS) {
                let count = ROWS.min(rows - first);
                let of_rows = first * columns..(first + count) * columns;
                let (values, rest) = (&values[of_rows.clone()], &rest[of_rows]);
                let at = b * rows + first;
                add_dots::<S, REST>(
                    on,
                    x,
                    values,
                    rest,
                    &mut out.hi[at..][..count],
                    &mut out.lo[at..][..count],
                );
            }
        }
    }
}

/// `(hi_r, lo_r) += Σ over j of x_j (values_rj + rest_rj)` for at most [`ROWS`] rows and zeros, in the order of [`times_transposed`].
#[inline(always)]
fn add_dots<S: Simd, const REST: bool>(
    on: Multipliers<S>,
    (x_hi, x_lo): (&[f64], &[f64]),
    values: &[f64],
    rest: &[f64],
    hi: &mut [f64],
    lo: &mut [f64],
) {
    let (columns, count) = (x_hi.len(), hi.len());
    let ((x_hi, hi_tail), (x_lo, lo_tail)) =
        (x_hi.as_chunks::<PARTIAL_SUMS>(), x_lo.as_chunks::<PARTIAL_SUMS>());
    let tail = x_hi.len() * PARTIAL_SUMS;
    if tail > 0 {
        let (mut of_rows_hi, mut of_rows_lo) = ([[0.0; PARTIAL_SUMS]; ROWS], [[0.0; PARTIAL_SUMS]; ROWS]);
        for r in (0..count).step_by(2) {
            // The last row of an odd number of them goes with itself.
            let pair = [r, (r + 1).min(count - 1)];
            let of_pair = |matrix| pair.map(|r| blocks_of(matrix, r * columns, x_hi.len()));
            let sums = partial_sums::<S, REST>(on, (x_hi, x_lo), of_pair(values), of_pair(rest));
            for c in 0..CHAINS {
                let at = c % 2 * LANES;
                of_rows_hi[pair[c / 2]][at..][..LANES].copy_from_slice(&sums.hi[c]);
                of_rows_lo[pair[c / 2]][at..][..LANES].copy_from_slice(&sums.lo[c]);
            }
        }
        let (mut all_hi, mut all_lo) = (transposed(&of_rows_hi), transposed(&of_rows_lo));
        halve::<S, 8>(on, &mut all_hi, &mut all_lo);
        halve::<S, 4>(on, &mut all_hi, &mut all_lo);
        halve::<S, 2>(on, &mut all_hi, &mut all_lo);
        halve::<S, 1>(on, &mut all_hi, &mut all_lo);
        hi.copy_from_slice(&all_hi[0][..count]);
        lo.copy_from_slice(&all_lo[0][..count]);
    }
    for (j, (&x_hi, &x_lo)) in hi_tail.iter().zip(lo_tail).enumerate() {
        for (r, (hi, lo)) in hi.iter_mut().zip(&mut *lo).enumerate() {
            let at = r * columns + tail + j;
            let x = Chains { hi: [x_hi], lo: [x_lo] };
            accumulate(on, hi, lo, on.term::<REST, 1>(x, [values[at]], [rest[at]]));
        }
    }
}

/// `blocks` blocks of a matrix from number `at` on.
#[inline(always)]
fn blocks_of(matrix: &[f64], at: usize, blocks: usize) -> &[Partial] {
    matrix[at..][..blocks * PARTIAL_SUMS].as_chunks().0
}

/// The partial sums of two rows: chain c holds half c mod 2 of those of row c / 2.
#[inline(always)]
fn partial_sums<S: Simd, const REST: bool>(
    on: Multipliers<S>,
    (x_hi, x_lo): (&[Partial], &[Partial]),
    rows: [&[Partial]; 2],
    rests: [&[Partial]; 2],
) -> Sums {
    let mut sums = Sums::ZERO;
    for (block, (x_hi, x_lo)) in x_hi.iter().zip(x_lo).enumerate() {
        let (row, rest) = (rows.map(|row| &row[block]), rests.map(|rest| &rest[block]));
        for k in 0..LANES {
            let at = |c: usize| c % 2 * LANES + k;
            let x = Chains { hi: from_fn(|c| x_hi[at(c)]), lo: from_fn(|c| x_lo[at(c)]) };
            let (weight, rest) = (from_fn(|c| row[c / 2][at(c)]), from_fn(|c| rest[c / 2][at(c)]));
            sums.set_lane(k, on.plus(sums.lane(k), on.term::<REST, CHAINS>(x, weight, rest)));
        }
    }
    sums
}

/// The partial sums number k of all rows, for each k. Apart from where they are computed, lest the compiler take their vectors to pieces.
#[inline(always)]
fn transposed(of_rows: &[[f64; PARTIAL_SUMS]; ROWS]) -> [[f64; ROWS]; PARTIAL_SUMS] {
    let mut all = [[0.0; ROWS]; PARTIAL_SUMS];
    for (r, row) in of_rows.iter().enumerate() {
        for k in 0..PARTIAL_SUMS {
            all[k][r] = row[k];
        }
    }
    all
}

/// Adds partial sum `k + LEFT` of each row to its partial sum k, for the first `LEFT` of them. Rows are lanes, so that none waits for another.
#[inline(always)]
fn halve<S: Simd, const LEFT: usize>(on: Multipliers<S>, hi: &mut [[f64; ROWS]], lo: &mut [[f64; ROWS]]) {
    let ((hi, upper_hi), (lo, upper_lo)) = (hi.split_at_mut(LEFT), lo.split_at_mut(LEFT));
    for k in 0..LEFT {
        for r in 0..ROWS {
            accumulate(
                on,
                &mut hi[k][r],
                &mut lo[k][r],
                Chains { hi: [upper_hi[k][r]], lo: [upper_lo[k][r]] },
            );
        }
    }
}

//! `A · B^T` by [`Summation::Interleaved`](gradchain_arith::Summation::Interleaved), where both factors lie along the inner index: the
//! partial sums of one result are the lanes of a few vectors, so that memory is read as it lies.
//!
//! Two vectors hold 32 partial sums in the order of [`Real::load_two`]: sums j and j + 16 in the same lane of one and the other, or sums with an even
//! and with an odd index ([`Real::EVEN_ODD`]). Which of the halvings of the sums goes over lanes, and which over vectors, follows from that;
//! each adds the same two sums.

#![expect(
    clippy::needless_range_loop,
    reason = "indices into arrays of registers: plain loops are unrolled whole, iterators over several arrays are not always"
)]

use crate::native::Product;
use gradchain_arith::{Computed, INTERLEAVED, LANES, Real, Simd};

/// Terms that two vectors take.
const TWO: usize = 2 * LANES;
/// Pairs of vectors of partial sums.
const PAIRS: usize = INTERLEAVED / TWO;

type Vector<T, S> = <<T as Real>::Computed as Real>::Vector<S>;

/// The product of a left factor with inner stride 1 and a turned right factor.
pub(crate) fn interleaved<T: Real, S: Simd>(simd: S, mut product: Product<'_, T>) {
    T::Computed::with_scratch(product.inner, |factors| {
        for i in 0..product.rows {
            simd.call(
                #[inline(always)]
                || row_of_dots(simd, &mut product, i, factors),
            );
        }
    });
}

/// Row i of the product; `factors` is memory for row i of A.
#[inline(always)]
fn row_of_dots<T: Real, S: Simd>(
    simd: S,
    product: &mut Product<'_, T>,
    i: usize,
    factors: &mut [T::Computed],
) {
    let Product { left, right, inner, columns, .. } = *product;
    widen(simd, &left.values[i * left.row_stride..][..inner], factors);
    let factors = &*factors;
    for first in (0..columns).step_by(LANES) {
        let width = LANES.min(columns - first);
        let zero = T::Computed::splat(simd, T::Computed::default());
        let (mut totals, mut odd_totals) = ([zero; LANES], [zero; LANES]);
        let rows = &right.values[first * right.stride..];
        // One row of B after the other: memory comes fastest in one stream.
        for k in 0..width {
            let row = &rows[k * right.stride..][..inner];
            dot::<T, S>(simd, factors, row, &mut totals[k], &mut odd_totals[k]);
        }
        let mut sum = T::Computed::sum_lanes(simd, &totals);
        if T::EVEN_ODD {
            // Lanes j and j + 8 were sums 2 j and 2 j + 16, and so on; sums 0 and 1 are left.
            sum = T::Computed::add(simd, sum, T::Computed::sum_lanes(simd, &odd_totals));
        }
        let mut lanes = [T::default(); LANES];
        T::store(simd, T::from_computed(simd, sum), &mut lanes);
        product.out.row(i)[first..][..width].copy_from_slice(&lanes[..width]);
    }
}

/// Row i of A as numbers that are computed with, in the order of [`Real::load_two`] as far as there are whole pairs of vectors.
#[inline(always)]
fn widen<T: Real, S: Simd>(simd: S, row: &[T], out: &mut [T::Computed]) {
    let (pairs, tail) = row.as_chunks::<TWO>();
    let (out, out_tail) = out.as_chunks_mut::<TWO>();
    for (x, out) in pairs.iter().zip(out) {
        let two = T::load_two(simd, x);
        let (first, second) = out.split_at_mut(LANES);
        T::store_computed(simd, two[0], first.first_chunk_mut().expect("a vector of two"));
        T::store_computed(simd, two[1], second.first_chunk_mut().expect("a vector of two"));
    }
    for (x, out) in tail.iter().zip(out_tail) {
        *out = x.computed();
    }
}

/// The partial sums of A's row with one of B, halved down to one vector, or to two where even and odd sums are apart.
#[inline(always)]
fn dot<T: Real, S: Simd>(
    simd: S,
    factors: &[T::Computed],
    row: &[T],
    total: &mut Vector<T, S>,
    odd_total: &mut Vector<T, S>,
) {
    let zero = T::Computed::splat(simd, T::Computed::default());
    let mut sums = [[zero; 2]; PAIRS];
    let (blocks, tail) = factors.as_chunks::<INTERLEAVED>();
    let (rows, row_tail) = row.as_chunks::<INTERLEAVED>();
    // Said once, it need not be checked in the loop.
    assert!(rows.len() == blocks.len());
    for (block, factors) in blocks.iter().enumerate() {
        let row = &rows[block];
        for pair in 0..PAIRS {
            let start = pair * TWO;
            let a = [
                T::Computed::load(simd, vector_at(factors, start)),
                T::Computed::load(simd, vector_at(factors, start + LANES)),
            ];
            let b = T::load_two(simd, row[start..].first_chunk().expect("two vectors of a row"));
            for v in 0..2 {
                sums[pair][v] = T::Computed::fused(simd, a[v], T::to_computed(simd, b[v]), sums[pair][v]);
            }
        }
    }
    if !tail.is_empty() {
        add_tail::<T, S>(simd, tail, row_tail, &mut sums);
    }
    let mut left = PAIRS;
    while left > 1 {
        left /= 2;
        for pair in 0..left {
            for v in 0..2 {
                sums[pair][v] = T::Computed::add(simd, sums[pair][v], sums[pair + left][v]);
            }
        }
    }
    if T::EVEN_ODD {
        [*total, *odd_total] = sums[0];
    } else {
        // Sums j and j + 16 are the two vectors.
        *total = T::Computed::add(simd, sums[0][0], sums[0][1]);
    }
}

/// The vector of numbers that begins at `start`.
#[inline(always)]
fn vector_at<T>(values: &[T], start: usize) -> &[T; LANES] {
    values[start..].first_chunk().expect("a whole vector of factors")
}

/// Adds the last products, fewer than there are partial sums. Each sum is named by a constant: an index that is computed would keep all of
/// them in memory.
#[inline(always)]
fn add_tail<T: Real, S: Simd>(
    simd: S,
    factors: &[T::Computed],
    row: &[T],
    sums: &mut [[Vector<T, S>; 2]; PAIRS],
) {
    let whole = factors.len() / TWO;
    for pair in 0..PAIRS {
        if pair < whole {
            let b = T::load_two(simd, row[pair * TWO..].first_chunk().expect("two vectors of a row"));
            for v in 0..2 {
                let a = T::Computed::load(simd, vector_at(factors, pair * TWO + v * LANES));
                sums[pair][v] = T::Computed::fused(simd, a, T::to_computed(simd, b[v]), sums[pair][v]);
            }
        } else if pair == whole && factors.len() > whole * TWO {
            // A lane without a product keeps its sum: adding a product of zeros would make +0 of -0.
            let mut lanes = [[T::Computed::default(); LANES]; 2];
            for v in 0..2 {
                T::Computed::store(simd, sums[pair][v], &mut lanes[v]);
            }
            for (j, (&a, b)) in factors.iter().zip(row).skip(pair * TWO).enumerate() {
                let sum = match T::EVEN_ODD {
                    true => &mut lanes[j % 2][j / 2],
                    false => &mut lanes[j / LANES][j % LANES],
                };
                *sum = a.mul_add(b.computed(), *sum);
            }
            for v in 0..2 {
                sums[pair][v] = T::Computed::load(simd, &lanes[v]);
            }
        }
    }
}

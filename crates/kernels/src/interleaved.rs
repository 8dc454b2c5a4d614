//! `A · B^T` by [`Summation::Interleaved`](gradchain_arith::Summation::Interleaved), where both factors lie along the inner index: the
//! partial sums of one result are the lanes of a few vectors, so that memory is read as it lies.
//!
//! Two vectors hold 32 partial sums in the order of [`Real::load_two`]: sums j and j + 16 in the same lane of one and the other, or sums with an even
//! and with an odd index ([`Real::EVEN_ODD`]). Which of the halvings of the sums goes over lanes, and which over vectors, follows from that;
//! each adds the same two sums.

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
    for first in (0..columns).step_by(LANES) {
        let width = LANES.min(columns - first);
        let mut totals = [[T::Computed::splat(simd, T::Computed::default()); LANES]; 2];
        let mut k = 0;
        while k < width {
            let rows = &right.values[(first + k) * right.stride..];
            if together::<T, S>() == 4 && k + 4 <= width {
                dots::<T, S, 4>(simd, factors, rows, right.stride, &mut totals, k);
                k += 4;
            } else if together::<T, S>() >= 2 && k + 2 <= width {
                dots::<T, S, 2>(simd, factors, rows, right.stride, &mut totals, k);
                k += 2;
            } else {
                dots::<T, S, 1>(simd, factors, rows, right.stride, &mut totals, k);
                k += 1;
            }
        }
        store(simd, totals, &mut product.out.row(i)[first..][..width]);
    }
}

/// Rows of B that are taken at once: as many as there are registers for their sums. Each vector of A then serves all of them.
const fn together<T: Real, S: Simd>() -> usize {
    match S::REGISTERS * size_of::<f32>() / size_of::<T::Computed>() / PAIRS / 4 {
        0 | 1 => 1,
        2 | 3 => 2,
        _ => 4,
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

/// Bytes ahead of a row that are asked for.
const AHEAD: usize = 4096;
/// Bytes of a cache line.
const CACHE_LINE: usize = 64;

/// For each of R rows of B, which begin `stride` numbers apart, its partial sums with A's row, halved down to two vectors, which go to lane
/// `at + r` of `totals` (lane in the sense of the result: the vectors are turned later).
#[inline(always)]
fn dots<T: Real, S: Simd, const R: usize>(
    simd: S,
    factors: &[T::Computed],
    rows: &[T],
    stride: usize,
    totals: &mut [[Vector<T, S>; LANES]; 2],
    at: usize,
) {
    let zero = T::Computed::splat(simd, T::Computed::default());
    let mut sums = [[[zero; 2]; PAIRS]; R];
    let (blocks, tail) = factors.as_chunks::<INTERLEAVED>();
    for (block, factors) in blocks.iter().enumerate() {
        for pair in 0..PAIRS {
            let mut a = [zero; 2];
            a[0] = T::Computed::load(simd, vector_at(factors, pair * TWO));
            a[1] = T::Computed::load(simd, vector_at(factors, pair * TWO + LANES));
            let start = block * INTERLEAVED + pair * TWO;
            for r in 0..R {
                let row = &rows[start + r * stride..][..TWO];
                for line in 0..(TWO * size_of::<T>()).div_ceil(CACHE_LINE) {
                    simd.prefetch(row, (AHEAD + line * CACHE_LINE) / size_of::<T>());
                }
                let b = T::load_two(simd, row.first_chunk().expect("two vectors of a row"));
                for v in 0..2 {
                    let b = T::to_computed(simd, b[v]);
                    sums[r][pair][v] = T::Computed::fused(simd, a[v], b, sums[r][pair][v]);
                }
            }
        }
    }
    let start = blocks.len() * INTERLEAVED;
    for r in 0..R {
        let mut sums = sums[r];
        if !tail.is_empty() {
            add_tail::<T, S>(simd, tail, &rows[start + r * stride..], &mut sums);
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
        totals[0][at + r] = sums[0][0];
        totals[1][at + r] = sums[0][1];
    }
}

/// The vector of numbers that begins at `start`.
#[inline(always)]
fn vector_at<T>(values: &[T], start: usize) -> &[T; LANES] {
    values[start..].first_chunk().expect("a whole vector of factors")
}

/// Adds the last products, fewer than there are partial sums.
#[inline(always)]
fn add_tail<T: Real, S: Simd>(
    simd: S,
    factors: &[T::Computed],
    row: &[T],
    sums: &mut [[Vector<T, S>; 2]; PAIRS],
) {
    let (whole, rest) = factors.as_chunks::<TWO>();
    for (pair, a) in whole.iter().enumerate() {
        let b = T::load_two(simd, row[pair * TWO..].first_chunk().expect("two vectors of a row"));
        for v in 0..2 {
            let a = T::Computed::load(simd, vector_at(a, v * LANES));
            sums[pair][v] = T::Computed::fused(simd, a, T::to_computed(simd, b[v]), sums[pair][v]);
        }
    }
    if !rest.is_empty() {
        // A lane without a product keeps its sum: adding a product of zeros would make +0 of -0.
        let mut lanes = [[T::Computed::default(); LANES]; 2];
        let pair = whole.len();
        for v in 0..2 {
            T::Computed::store(simd, sums[pair][v], &mut lanes[v]);
        }
        for (j, (&a, b)) in rest.iter().zip(&row[pair * TWO..]).enumerate() {
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

/// Halves the last 32 sums of each result down to one, and rounds them into `out`.
#[inline(always)]
fn store<T: Real, S: Simd>(simd: S, mut totals: [[Vector<T, S>; LANES]; 2], out: &mut [T]) {
    if !T::EVEN_ODD {
        // Sums j and j + 16 are the two vectors.
        for k in 0..LANES {
            totals[0][k] = T::Computed::add(simd, totals[0][k], totals[1][k]);
        }
    }
    let mut sum = halve_lanes::<T, S>(simd, &mut totals[0]);
    if T::EVEN_ODD {
        // Lanes j and j + 8 were sums 2 j and 2 j + 16, and so on; sums 0 and 1 are left.
        sum = T::Computed::add(simd, sum, halve_lanes::<T, S>(simd, &mut totals[1]));
    }
    let mut lanes = [T::default(); LANES];
    T::store(simd, T::from_computed(simd, sum), &mut lanes);
    out.copy_from_slice(&lanes[..out.len()]);
}

/// The sums of the lanes of each vector, halved: lane j takes lane j + 8, then lane j + 4, and so on. Lane k of the result belongs to vector k.
#[inline(always)]
fn halve_lanes<T: Real, S: Simd>(simd: S, vectors: &mut [Vector<T, S>; LANES]) -> Vector<T, S> {
    // Turned, lane r of vector l is lane l of vector r: the halving goes over vectors.
    T::Computed::transpose(simd, vectors);
    let mut left = LANES;
    while left > 1 {
        left /= 2;
        for l in 0..left {
            vectors[l] = T::Computed::add(simd, vectors[l], vectors[l + left]);
        }
    }
    vectors[0]
}

//! `G W` for very few rows of G, one after the other: W is read as it lies, while the sums of all columns wait in the first cache.
//!
//! ```text
//! for each row of G, for each block of a few rows of W                 in ascending order: no sum changes its order
//!   for each panel of P vectors of columns          its sums stay in registers while the rows of the block pass
//! ```
//!
//! Measured on Zen 4: memory comes fastest in one stream, or in streams whose rows are a page apart; asking for lines ahead of their use only slows
//! that down.

#![expect(
    clippy::needless_range_loop,
    reason = "indices into arrays of registers: plain loops are unrolled whole, iterators over several arrays are not always"
)]

use crate::native::{Product, Right};
use gradchain_arith::{Accumulator, Computed, LANES, Real, Simd};

/// Bytes of a row from which on its memory is far enough from that of the next row for the prefetchers to see two streams: a page.
const LONG_ROW: usize = 4096;

/// The product of a left factor with inner stride 1 and a right factor that is not turned.
pub(crate) fn streamed<T: Real, S: Simd, A: Accumulator<T, S>>(simd: S, product: Product<'_, T>) {
    // A panel of half a kilobyte of a long row, or of all of a short one, as far as registers and columns go.
    let registers = S::REGISTERS / A::REGISTERS / 2;
    let long_row = product.right.stride * size_of::<T>() >= LONG_ROW;
    let row = if long_row { 512 / (LANES * size_of::<T>()) } else { product.columns / LANES };
    match registers.min(row) {
        16.. if registers >= 16 => in_panels::<T, S, A, 16>(simd, product),
        8.. if registers >= 8 => in_panels::<T, S, A, 8>(simd, product),
        4.. if registers >= 4 => in_panels::<T, S, A, 4>(simd, product),
        _ => in_panels::<T, S, A, 2>(simd, product),
    }
}

/// [`streamed`] with panels of P vectors, an even number.
fn in_panels<T: Real, S: Simd, A: Accumulator<T, S>, const P: usize>(simd: S, mut product: Product<'_, T>) {
    let Product { left, right, rows, inner, columns, .. } = product;
    let steps = inner.div_ceil(A::TERMS);
    // Rows that are shorter than a panel follow each other without a gap.
    let block = if columns <= P * LANES { 32 } else { 8 };
    let left_len = steps.next_multiple_of(LANES);
    let sums_len = if steps > block { columns.div_ceil(LANES) * A::STATE * LANES } else { 0 };
    A::Number::with_scratch(left_len + sums_len, |scratch| {
        let (factors, sums) = scratch.split_at_mut(left_len);
        let sums = sums.as_chunks_mut::<LANES>().0;
        for i in 0..rows {
            let row = &left.values[i * left.row_stride..][..inner];
            simd.call(
                #[inline(always)]
                || prepare::<T, S, A>(simd, row, factors),
            );
            let out = &mut product.out.row(i)[..columns];
            for start in (0..steps.max(1)).step_by(block) {
                let end = steps.min(start + block);
                let part = Block { start, first: start == 0, last: end == steps };
                let factors = &factors[start..end];
                simd.call(
                    #[inline(always)]
                    || part.add::<T, S, A, P>(simd, right, inner, factors, sums, out),
                );
            }
        }
    });
}

/// The row as numbers that are computed with.
#[inline(always)]
fn prepare<T: Real, S: Simd, A: Accumulator<T, S>>(simd: S, row: &[T], out: &mut [A::Number]) {
    let vector = A::TERMS * LANES;
    let (out, _) = out.as_chunks_mut::<LANES>();
    for (row, out) in row.chunks(vector).zip(out) {
        if row.len() == vector {
            A::store(simd, A::steps(simd, row), out);
            continue;
        }
        for (factors, out) in row.chunks(A::TERMS).zip(out) {
            // Zero completes the last pair of an odd number of products.
            *out = A::number(factors[0], factors.get(1).copied().unwrap_or_default());
        }
    }
}

/// A block of rows of W.
#[derive(Clone, Copy)]
struct Block {
    /// The first step.
    start: usize,
    first: bool,
    last: bool,
}

impl Block {
    /// Adds the products of the block to the sums of all columns.
    #[inline(always)]
    fn add<T: Real, S: Simd, A: Accumulator<T, S>, const P: usize>(
        self,
        simd: S,
        right: Right<'_, T>,
        inner: usize,
        factors: &[A::Number],
        sums: &mut [[A::Number; LANES]],
        out: &mut [T],
    ) {
        let mut column = self.add_panels::<T, S, A, P>(simd, right, inner, factors, sums, out, 0);
        if P > 2 {
            column = self.add_panels::<T, S, A, 2>(simd, right, inner, factors, sums, out, column);
        }
        while column < out.len() {
            self.add_narrow::<T, S, A>(simd, right, inner, factors, sums, out, column);
            column += LANES;
        }
    }

    /// [`add`](Block::add) to the sums of all panels that fit from `column` on; returns where they end.
    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "those of `add`, and the column")]
    fn add_panels<T: Real, S: Simd, A: Accumulator<T, S>, const P: usize>(
        self,
        simd: S,
        right: Right<'_, T>,
        inner: usize,
        factors: &[A::Number],
        sums: &mut [[A::Number; LANES]],
        out: &mut [T],
        mut column: usize,
    ) -> usize {
        while column + P * LANES <= out.len() {
            let saved = column / LANES * A::STATE;
            let mut tile = [A::zero(simd); P];
            if !self.first {
                for p in 0..P {
                    tile[p] = A::restore(simd, &sums[saved + p * A::STATE..]);
                }
            }
            for (step, &a) in factors.iter().enumerate() {
                let a = A::splat(simd, a);
                let term = (self.start + step) * A::TERMS;
                let at = term * right.stride + column;
                let first = right.values[at..][..P * LANES].as_chunks().0;
                let zeros = [[T::default(); 2 * LANES]; P];
                let second = if A::TERMS == 1 {
                    first
                } else if term + 1 < inner {
                    right.values[at + right.stride..][..P * LANES].as_chunks().0
                } else {
                    &zeros
                };
                for pair in 0..P / 2 {
                    let b = A::two_vectors(simd, &first[pair], &second[pair]);
                    tile[2 * pair].add_products(simd, a, b[0]);
                    tile[2 * pair + 1].add_products(simd, a, b[1]);
                }
            }
            if self.last {
                let (out, _) = out[column..][..P * LANES].as_chunks_mut();
                for pair in 0..P / 2 {
                    A::store_two(
                        simd,
                        [tile[2 * pair].finish(simd), tile[2 * pair + 1].finish(simd)],
                        &mut out[pair],
                    );
                }
            } else {
                for p in 0..P {
                    tile[p].save(simd, &mut sums[saved + p * A::STATE..]);
                }
            }
            column += P * LANES;
        }
        column
    }

    /// [`add`](Block::add) to the sums of at most one vector of columns.
    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "those of `add`, and the column")]
    fn add_narrow<T: Real, S: Simd, A: Accumulator<T, S>>(
        self,
        simd: S,
        right: Right<'_, T>,
        inner: usize,
        factors: &[A::Number],
        sums: &mut [[A::Number; LANES]],
        out: &mut [T],
        column: usize,
    ) {
        let width = LANES.min(out.len() - column);
        let saved = column / LANES * A::STATE;
        let mut sum = if self.first { A::zero(simd) } else { A::restore(simd, &sums[saved..]) };
        for (step, &a) in factors.iter().enumerate() {
            let term = (self.start + step) * A::TERMS;
            let at = term * right.stride + column;
            let mut lanes = [[T::default(); LANES]; 2];
            for i in 0..A::TERMS {
                if term + i < inner {
                    let row = &right.values[at + i * right.stride..];
                    match row.first_chunk::<LANES>() {
                        Some(row) if width == LANES => lanes[i] = *row,
                        Some(_) | None => lanes[i][..width].copy_from_slice(&row[..width]),
                    }
                }
            }
            sum.add_products(simd, A::splat(simd, a), A::vector(simd, &lanes[0], &lanes[1]));
        }
        if self.last {
            let mut lanes = [T::default(); LANES];
            T::store(simd, sum.finish(simd), &mut lanes);
            out[column..][..width].copy_from_slice(&lanes[..width]);
        } else {
            sum.save(simd, &mut sums[saved..]);
        }
    }
}

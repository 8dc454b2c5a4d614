//! `G W` for very few rows of G, one after the other: W is read as it lies, in one stream.
//!
//! ```text
//! for each row of G
//!   rows of W that fit into the registers: for each block of rows of W, for each panel of P vectors of columns
//!                                            the sums stay in registers while the rows of the block pass
//!   longer rows:                           for each row of W
//!                                            its products go to sums that wait in the first cache
//! ```
//!
//! Measured on Zen 4: a few rows side by side, closer than a page, come from memory at a third of the speed of one row after the other, and asking for
//! lines ahead of their use only slows that down. From the caches several rows at once would save a tenth at most.

#![expect(
    clippy::needless_range_loop,
    reason = "indices into arrays of registers: plain loops are unrolled whole, iterators over several arrays are not always"
)]

use crate::native::{Product, Right};
use gradchain_arith::{Accumulator, Computed, LANES, Real, Simd};

/// Numbers that two vectors take.
const TWO: usize = 2 * LANES;
/// Rows in a block of the rows that fit into the registers.
const BLOCK: usize = 32;
/// Bytes of the sums that wait: longer rows of W are cut. Measured on Zen 4: sums that leave the first cache cost less than rows that are read in pieces.
const SUMS_BYTES: usize = 256 << 10;

/// The product of a left factor with inner stride 1 and a right factor that is not turned.
pub(crate) fn streamed<T: Real, S: Simd, A: Accumulator<T, S>>(simd: S, mut product: Product<'_, T>) {
    let Product { left, right, rows, inner, columns, .. } = product;
    let steps = inner.div_ceil(A::TERMS);
    let left_len = steps.next_multiple_of(LANES);
    let sums_len = columns.div_ceil(LANES) * A::STATE * LANES;
    A::Number::with_scratch(left_len + sums_len, |scratch| {
        let (factors, sums) = scratch.split_at_mut(left_len);
        let sums = sums.as_chunks_mut::<LANES>().0;
        for i in 0..rows {
            let row = &left.values[i * left.row_stride..][..inner];
            simd.call(
                #[inline(always)]
                || prepare::<T, S, A>(simd, row, factors),
            );
            let factors = &factors[..steps];
            let out = &mut product.out.row(i)[..columns];
            let panel = S::REGISTERS / A::REGISTERS / 2;
            if columns > panel * LANES {
                simd.call(
                    #[inline(always)]
                    || by_rows::<T, S, A>(simd, right, inner, factors, sums, out),
                );
                continue;
            }
            match panel.min(columns.div_ceil(LANES)) {
                16.. if panel >= 16 => in_panels::<T, S, A, 16>(simd, right, inner, factors, sums, out),
                8.. if panel >= 8 => in_panels::<T, S, A, 8>(simd, right, inner, factors, sums, out),
                4.. if panel >= 4 => in_panels::<T, S, A, 4>(simd, right, inner, factors, sums, out),
                _ => in_panels::<T, S, A, 2>(simd, right, inner, factors, sums, out),
            }
        }
    });
}

/// One row of the product, by panels of P vectors, an even number.
fn in_panels<T: Real, S: Simd, A: Accumulator<T, S>, const P: usize>(
    simd: S,
    right: Right<'_, T>,
    inner: usize,
    factors: &[A::Number],
    sums: &mut [[A::Number; LANES]],
    out: &mut [T],
) {
    let steps = factors.len();
    simd.call(
        #[inline(always)]
        || {
            for start in (0..steps.max(1)).step_by(BLOCK) {
                let end = steps.min(start + BLOCK);
                let block = Block { start, first: start == 0, last: end == steps };
                block.add::<T, S, A, P>(simd, right, inner, &factors[start..end], sums, out);
            }
        },
    );
}

/// One row of the product, one row of W (or pair of rows, where a step takes two) after the other.
#[inline(always)]
fn by_rows<T: Real, S: Simd, A: Accumulator<T, S>>(
    simd: S,
    right: Right<'_, T>,
    inner: usize,
    factors: &[A::Number],
    sums: &mut [[A::Number; LANES]],
    out: &mut [T],
) {
    let columns = out.len();
    let whole = columns / TWO * TWO;
    let (sums, last_sums) = sums.split_at_mut(whole / LANES * A::STATE);
    let strip = (SUMS_BYTES / (TWO * A::STATE * size_of::<A::Number>())).max(1) * TWO;
    for start in (0..whole).step_by(strip) {
        let end = whole.min(start + strip);
        let sums = &mut sums[start / LANES * A::STATE..end / LANES * A::STATE];
        add_rows::<T, S, A>(simd, right.skip(start), inner, factors, sums, end - start);
        let out = out[start..end].as_chunks_mut().0;
        for (out, saved) in out.iter_mut().zip(sums.chunks_exact(2 * A::STATE)) {
            let two = [A::restore(simd, saved), A::restore(simd, &saved[A::STATE..])];
            A::store_two(simd, [two[0].finish(simd), two[1].finish(simd)], out);
        }
    }
    // The last columns, fewer than two vectors.
    let block = Block { start: 0, first: true, last: true };
    let mut column = whole;
    while column < columns {
        block.add_narrow::<T, S, A>(simd, right, inner, factors, last_sums, out, column);
        column += LANES;
    }
}

/// The sums of all products with the first columns of `right`, whole pairs of vectors.
#[inline(always)]
fn add_rows<T: Real, S: Simd, A: Accumulator<T, S>>(
    simd: S,
    right: Right<'_, T>,
    inner: usize,
    factors: &[A::Number],
    sums: &mut [[A::Number; LANES]],
    columns: usize,
) {
    for saved in sums.chunks_exact_mut(A::STATE) {
        A::zero(simd).save(simd, saved);
    }
    let zeros = [T::default(); TWO];
    for (step, &a) in factors.iter().enumerate() {
        let a = A::splat(simd, a);
        let term = step * A::TERMS;
        let first = &right.values[term * right.stride..][..columns];
        let has_second = A::TERMS == 2 && term + 1 < inner;
        let second = if has_second { &right.values[(term + 1) * right.stride..][..columns] } else { first };
        let pairs = first.as_chunks().0.iter().zip(second.as_chunks().0);
        for ((first, second), saved) in pairs.zip(sums.chunks_exact_mut(2 * A::STATE)) {
            let second = if A::TERMS == 1 || has_second { second } else { &zeros };
            let b = A::two_vectors(simd, first, second);
            let (saved, next_saved) = saved.split_at_mut(A::STATE);
            let mut two = [A::restore(simd, saved), A::restore(simd, next_saved)];
            two[0].add_products(simd, a, b[0]);
            two[1].add_products(simd, a, b[1]);
            two[0].save(simd, saved);
            two[1].save(simd, next_saved);
        }
    }
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

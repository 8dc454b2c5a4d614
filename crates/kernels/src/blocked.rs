//! Products of matrices whose sums run over lanes of independent results.
//!
//! ```text
//! for each band of rows, for each strip of columns          the sums of a strip fit into the second cache
//!   for each block of the inner index                       in ascending order: no sum changes its order
//!     prepare the left factor of the band                   its numbers as they are computed with, a tile's rows side by side
//!     for each panel of a few vectors of columns
//!       prepare the right factor, or take it as it lies     a tile or three of rows use each vector so seldom: nothing to prepare
//!       for each tile of rows                               its sums stay in registers while the inner index runs
//! ```
//!
//! Sums wait in memory between blocks, unrounded: that is exact, so the blocking changes no bit. 16-bit numbers are widened where they are
//! prepared, a panel at a time.

#![expect(
    clippy::needless_range_loop,
    reason = "indices into arrays of registers: plain loops are unrolled whole, iterators over several arrays are not always"
)]

use crate::native::{Left, Out, Product, Right};
use gradchain_arith::{Accumulator, Computed, LANES, Real, Simd};
use std::ops::Range;

/// Rows in a band.
const BAND: usize = 384;
/// Vectors of columns in a strip.
const STRIP: usize = 64;
/// Bytes of the factors of one tile in one block: a part of the second cache. Measured on Zen 4: longer blocks, which put sums away less often, gain
/// more than factors that stay in the first cache.
const TILE_BYTES: usize = 64 << 10;
/// Bytes of the right factor in a block that takes it as it lies. Pieces of its rows are read side by side: of long rows fewer.
const DIRECT_BYTES: usize = 256 << 10;
/// Bytes of the rows of the right factor up to which a few tiles take it as it lies: pieces of longer rows fall into the same sets of the first cache.
const DIRECT_ROW_BYTES: usize = 8 << 10;

/// The product, with tiles of R rows and P vectors of columns.
pub(crate) fn blocked<T: Real, S: Simd, A: Accumulator<T, S>, const R: usize, const P: usize>(
    simd: S,
    mut product: Product<'_, T>,
) {
    let Product { rows, inner, columns, .. } = product;
    let steps = inner.div_ceil(A::TERMS);
    let few_rows = rows == tile_rows(R, rows)
        || (rows <= 3 * R && product.right.stride * size_of::<T>() <= DIRECT_ROW_BYTES);
    let direct = few_rows && !product.right.turned;
    let block = if A::STATE == 0 {
        steps
    } else if direct {
        (DIRECT_BYTES / (product.right.stride * size_of::<T>())).clamp(16, 64) / A::TERMS
    } else {
        TILE_BYTES / ((R + P * LANES) * size_of::<A::Number>()) / LANES * LANES
    };
    let band = rows.min(BAND);
    // Few rows have few sums: their strip is long, so that the right factor is read in long pieces.
    let strip = columns.div_ceil(LANES).min(STRIP * (BAND / band).min(8));
    let left_len = (band * block.min(steps) + LANES).next_multiple_of(LANES);
    let right_len = P * LANES * block.min(steps);
    let sums_len = if steps > block { band * strip * A::STATE * LANES } else { 0 };
    A::Number::with_scratch(left_len + right_len + sums_len, |scratch| {
        let (left, scratch) = scratch.split_at_mut(left_len);
        let (right, sums) = scratch.split_at_mut(right_len);
        let memory = &mut Memory { left, right: right.as_chunks_mut().0, sums: sums.as_chunks_mut().0 };
        for first_row in (0..rows).step_by(band) {
            for first_column in (0..columns).step_by(strip * LANES) {
                let part = Part {
                    rows: first_row..rows.min(first_row + band),
                    columns: first_column..columns.min(first_column + strip * LANES),
                    steps,
                    block,
                    direct,
                };
                part.compute::<T, S, A, R, P>(simd, &mut product, memory);
            }
        }
    });
}

/// What a product keeps beside its factors and its result.
struct Memory<'a, N> {
    /// The left factor of a band and a block.
    left: &'a mut [N],
    /// The right factor of a panel and a block.
    right: &'a mut [[N; LANES]],
    /// The sums of a band and a strip between two blocks.
    sums: &'a mut [[N; LANES]],
}

/// A band of rows and a strip of columns.
struct Part {
    rows: Range<usize>,
    columns: Range<usize>,
    steps: usize,
    /// Steps in a block.
    block: usize,
    /// Whether the right factor is taken as it lies.
    direct: bool,
}

/// A block of the inner index, in steps.
#[derive(Clone, Copy)]
struct Block {
    start: usize,
    steps: usize,
    first: bool,
    last: bool,
}

impl Part {
    fn compute<T: Real, S: Simd, A: Accumulator<T, S>, const R: usize, const P: usize>(
        &self,
        simd: S,
        product: &mut Product<'_, T>,
        memory: &mut Memory<'_, A::Number>,
    ) {
        let mut start = 0;
        loop {
            let steps = self.block.min(self.steps - start);
            let block = Block { start, steps, first: start == 0, last: start + steps == self.steps };
            let (left, inner, out) = (product.left, product.inner, &mut *memory.left);
            let rows = self.rows.clone();
            // A single row would only be read twice.
            if self.direct && R > 1 {
                let terms = start * A::TERMS..inner.min((start + steps) * A::TERMS);
                fetch(product.right, terms, self.columns.clone());
            }
            simd.call(
                #[inline(always)]
                || prepare_left::<T, S, A, R>(simd, left, inner, rows, block, out),
            );
            let mut column = self.columns.start;
            while column < self.columns.end {
                let left_over = self.columns.end - column;
                // A single row would waste much on a panel that is mostly empty.
                if R == 1 && left_over < P * LANES {
                    self.panel::<T, S, A, R, 1>(simd, product, block, column, memory);
                    column += LANES;
                } else {
                    self.panel::<T, S, A, R, P>(simd, product, block, column, memory);
                    column += P * LANES;
                }
            }
            start += steps;
            if block.last {
                return;
            }
        }
    }

    /// All tiles of one panel, which begins at `column`. The last panel may be narrower than its vectors.
    fn panel<T: Real, S: Simd, A: Accumulator<T, S>, const R: usize, const P: usize>(
        &self,
        simd: S,
        product: &mut Product<'_, T>,
        block: Block,
        column: usize,
        memory: &mut Memory<'_, A::Number>,
    ) {
        let width = (self.columns.end - column).min(P * LANES);
        let whole = width == P * LANES;
        let direct = self.direct && whole;
        let Memory { left, right, sums } = memory;
        if !direct {
            let (factor, inner, out) = (product.right, product.inner, &mut **right);
            simd.call(
                #[inline(always)]
                || prepare_right::<T, S, A, P>(simd, factor, inner, column..column + width, block, out),
            );
        }
        let vectors = (self.columns.end - self.columns.start).div_ceil(LANES);
        let mut tile = Tile {
            row: self.rows.start,
            column,
            width,
            direct,
            in_twos: whole && P.is_multiple_of(2) && !product.right.turned,
            block,
            first_sum: (column - self.columns.start) / LANES * A::STATE,
            sums_stride: vectors * A::STATE,
        };
        let mut left = &**left;
        while tile.row < self.rows.end {
            let rows = tile_rows(R, self.rows.end - tile.row);
            let (factors, rest) = left.split_at(rows * block.steps);
            if rows == R {
                tile.compute::<T, S, A, R, P>(simd, product, factors, right, sums);
            } else if R > 8 && rows == 8 {
                tile.compute::<T, S, A, 8, P>(simd, product, factors, right, sums);
            } else if R > 4 && rows == 4 {
                tile.compute::<T, S, A, 4, P>(simd, product, factors, right, sums);
            } else {
                tile.compute::<T, S, A, 1, P>(simd, product, factors, right, sums);
            }
            left = rest;
            tile.row += rows;
            tile.first_sum += rows * tile.sums_stride;
        }
    }
}

/// Rows of the next tile when `left` rows are left to do: `most`, or the largest of 8, 4 and 1 that there are.
#[inline(always)]
fn tile_rows(most: usize, left: usize) -> usize {
    match left {
        _ if left >= most => most,
        8.. if most > 8 => 8,
        4.. if most > 4 => 4,
        _ => 1,
    }
}

/// Where a tile of results lies, and its sums while they wait.
struct Tile {
    row: usize,
    column: usize,
    width: usize,
    direct: bool,
    /// Whether the columns stand in the order of [`Accumulator::two_vectors`].
    in_twos: bool,
    block: Block,
    first_sum: usize,
    sums_stride: usize,
}

impl Tile {
    fn compute<T: Real, S: Simd, A: Accumulator<T, S>, const R: usize, const P: usize>(
        &self,
        simd: S,
        product: &mut Product<'_, T>,
        left: &[A::Number],
        right: &[[A::Number; LANES]],
        sums: &mut [[A::Number; LANES]],
    ) {
        let left = left.as_chunks().0;
        let Product { right: factor, inner, out, .. } = product;
        if self.direct {
            simd.call(
                #[inline(always)]
                || {
                    let mut tile = self.begin::<T, S, A, R, P>(simd, sums);
                    self.add_direct::<T, S, A, R, P>(simd, *factor, *inner, left, &mut tile);
                    self.end(simd, tile, sums, out);
                },
            );
        } else {
            simd.call(
                #[inline(always)]
                || {
                    let mut tile = self.begin::<T, S, A, R, P>(simd, sums);
                    for (a, panel) in left.iter().zip(right.as_chunks::<P>().0) {
                        let mut b = [A::load(simd, &panel[0]); P];
                        for p in 1..P {
                            b[p] = A::load(simd, &panel[p]);
                        }
                        add(simd, a, b, &mut tile);
                    }
                    self.end(simd, tile, sums, out);
                },
            );
        }
    }

    /// The sums as the block before left them.
    #[inline(always)]
    fn begin<T: Real, S: Simd, A: Accumulator<T, S>, const R: usize, const P: usize>(
        &self,
        simd: S,
        sums: &[[A::Number; LANES]],
    ) -> [[A; P]; R] {
        let mut tile = [[A::zero(simd); P]; R];
        if !self.block.first {
            for r in 0..R {
                let saved = &sums[self.first_sum + r * self.sums_stride..][..self.vectors() * A::STATE];
                for (sum, saved) in tile[r].iter_mut().zip(saved.chunks_exact(A::STATE.max(1))) {
                    *sum = A::restore(simd, saved);
                }
            }
        }
        tile
    }

    /// Leaves the sums to the next block, or rounds them.
    #[inline(always)]
    fn end<T: Real, S: Simd, A: Accumulator<T, S>, const R: usize, const P: usize>(
        &self,
        simd: S,
        tile: [[A; P]; R],
        sums: &mut [[A::Number; LANES]],
        out: &mut Out<'_, T>,
    ) {
        for r in 0..R {
            if !self.block.last {
                let saved = &mut sums[self.first_sum + r * self.sums_stride..][..self.vectors() * A::STATE];
                for (sum, saved) in tile[r].iter().zip(saved.chunks_exact_mut(A::STATE.max(1))) {
                    sum.save(simd, saved);
                }
                continue;
            }
            let out = &mut out.row(self.row + r)[self.column..][..self.width];
            if self.in_twos {
                for (pair, out) in out.as_chunks_mut().0.iter_mut().enumerate() {
                    let sums = [tile[r][2 * pair].finish(simd), tile[r][2 * pair + 1].finish(simd)];
                    A::store_two(simd, sums, out);
                }
                continue;
            }
            for p in 0..P.min(self.vectors()) {
                let mut lanes = [T::default(); LANES];
                T::store(simd, tile[r][p].finish(simd), &mut lanes);
                let out = &mut out[p * LANES..];
                let width = out.len().min(LANES);
                out[..width].copy_from_slice(&lanes[..width]);
            }
        }
    }

    /// Vectors of columns that are there.
    #[inline(always)]
    fn vectors(&self) -> usize {
        self.width.div_ceil(LANES)
    }

    /// Adds the products of a block with the right factor as it lies in memory.
    #[inline(always)]
    fn add_direct<T: Real, S: Simd, A: Accumulator<T, S>, const R: usize, const P: usize>(
        &self,
        simd: S,
        right: Right<'_, T>,
        inner: usize,
        left: &[[A::Number; R]],
        tile: &mut [[A; P]; R],
    ) {
        let zeros = [T::default(); 2 * LANES];
        for (step, a) in left.iter().enumerate() {
            let term = (self.block.start + step) * A::TERMS;
            let start = term * right.stride + self.column;
            let first = &right.values[start..][..P * LANES];
            let mut second = first;
            let has_second = A::TERMS == 2 && term + 1 < inner;
            if has_second {
                second = &right.values[start + right.stride..][..P * LANES];
            }
            let mut b = [A::splat(simd, A::Number::default()); P];
            if P.is_multiple_of(2) {
                let (first, second) = (first.as_chunks().0, second.as_chunks().0);
                for pair in 0..P / 2 {
                    let second = if A::TERMS == 1 || has_second { &second[pair] } else { &zeros };
                    let two = A::two_vectors(simd, &first[pair], second);
                    b[2 * pair] = two[0];
                    b[2 * pair + 1] = two[1];
                }
            } else {
                for p in 0..P {
                    let zeros = vector_at(&zeros, 0);
                    let second =
                        if A::TERMS == 1 || has_second { vector_at(second, p * LANES) } else { zeros };
                    b[p] = A::vector(simd, vector_at(first, p * LANES), second);
                }
            }
            add(simd, a, b, tile);
        }
    }
}

/// Reads a block of the right factor row by row, so that its panels, which take a piece of each row, find it in the second cache. From memory that
/// doubles the speed of a batch of 8; what is in the second cache already is read once more.
#[inline(never)]
fn fetch<T: Real>(right: Right<'_, T>, terms: Range<usize>, columns: Range<usize>) {
    let mut zeros = 0;
    for term in terms {
        let row = &right.values[term * right.stride..][columns.clone()];
        for line in row.chunks(64 / size_of::<T>()) {
            zeros += usize::from(line[0] == T::default());
        }
    }
    // Without a use of what was read it would not be read.
    std::hint::black_box(zeros);
}

/// The vector of numbers that begins at `start`.
#[inline(always)]
fn vector_at<T>(values: &[T], start: usize) -> &[T; LANES] {
    values[start..].first_chunk().expect("a whole vector of columns")
}

/// Adds `a[r] · b[p]` to the sum of each (r, p).
#[inline(always)]
fn add<T: Real, S: Simd, A: Accumulator<T, S>, const R: usize, const P: usize>(
    simd: S,
    a: &[A::Number; R],
    b: [A::Vector; P],
    tile: &mut [[A; P]; R],
) {
    for r in 0..R {
        let a = A::splat(simd, a[r]);
        for p in 0..P {
            tile[r][p].add_products(simd, a, b[p]);
        }
    }
}

/// Puts the left factor of a band into `out`: tile after tile, the numbers of a tile's rows side by side for each step.
#[inline(always)]
fn prepare_left<T: Real, S: Simd, A: Accumulator<T, S>, const R: usize>(
    simd: S,
    left: Left<'_, T>,
    inner: usize,
    rows: Range<usize>,
    block: Block,
    out: &mut [A::Number],
) {
    let mut row = rows.start;
    let mut begin = 0;
    while row < rows.end {
        let size = tile_rows(R, rows.end - row);
        let mut step = 0;
        // Whole vectors of steps are turned in registers. The lanes without a row are written too, and overwritten by what follows.
        while left.inner_stride == 1 && step + LANES <= block.steps {
            let term = (block.start + step) * A::TERMS;
            if term + LANES * A::TERMS > inner {
                break;
            }
            let start = row * left.row_stride + term;
            let mut square = [A::steps(simd, &left.values[start..][..LANES * A::TERMS]); LANES];
            if size == 1 {
                A::store(simd, square[0], out[begin + step..].first_chunk_mut().expect("room for a vector"));
            } else {
                for r in 1..size {
                    let start = start + r * left.row_stride;
                    square[r] = A::steps(simd, &left.values[start..][..LANES * A::TERMS]);
                }
                A::transpose(simd, &mut square);
                for (k, lanes) in square.into_iter().enumerate() {
                    let at = begin + (step + k) * size;
                    A::store(simd, lanes, out[at..].first_chunk_mut().expect("room for a vector"));
                }
            }
            step += LANES;
        }
        for step in step..block.steps {
            let term = (block.start + step) * A::TERMS;
            for r in 0..size {
                // Zero completes the last pair of an odd number of products.
                let second =
                    if A::TERMS == 2 && term + 1 < inner { left.at(row + r, term + 1) } else { T::default() };
                out[begin + step * size + r] = A::number(left.at(row + r, term), second);
            }
        }
        begin += size * block.steps;
        row += size;
    }
}

/// Puts some columns of the right factor into `out`, P vectors for each step; columns that are not there are zeros.
#[inline(always)]
fn prepare_right<T: Real, S: Simd, A: Accumulator<T, S>, const P: usize>(
    simd: S,
    right: Right<'_, T>,
    inner: usize,
    columns: Range<usize>,
    block: Block,
    out: &mut [[A::Number; LANES]],
) {
    let (out, _) = out.as_chunks_mut::<P>();
    if right.turned {
        for p in 0..P {
            let first = (columns.start + p * LANES).min(columns.end);
            let lanes = first..columns.end.min(first + LANES);
            turn::<T, S, A, P>(simd, right, inner, lanes, block, out, p);
        }
        return;
    }
    let (zeros, two_zeros) = ([T::default(); LANES], [T::default(); 2 * LANES]);
    for (step, out) in out[..block.steps].iter_mut().enumerate() {
        let term = (block.start + step) * A::TERMS;
        let start = term * right.stride + columns.start;
        let has_second = A::TERMS == 2 && term + 1 < inner;
        if P.is_multiple_of(2) && columns.len() == P * LANES {
            let first = right.values[start..][..P * LANES].as_chunks().0;
            let second = if has_second {
                right.values[start + right.stride..][..P * LANES].as_chunks().0
            } else {
                first
            };
            for pair in 0..P / 2 {
                let second = if A::TERMS == 1 || has_second { &second[pair] } else { &two_zeros };
                let two = A::two_vectors(simd, &first[pair], second);
                A::store(simd, two[0], &mut out[2 * pair]);
                A::store(simd, two[1], &mut out[2 * pair + 1]);
            }
            continue;
        }
        for p in 0..P {
            let width = columns.len().saturating_sub(p * LANES).min(LANES);
            let vector = if width == LANES {
                let first = vector_at(right.values, start + p * LANES);
                let second = if has_second {
                    vector_at(right.values, start + right.stride + p * LANES)
                } else {
                    &zeros
                };
                A::vector(simd, first, second)
            } else {
                let mut narrow = [zeros; 2];
                if width > 0 {
                    narrow[0][..width].copy_from_slice(&right.values[start + p * LANES..][..width]);
                    if has_second {
                        let start = start + right.stride + p * LANES;
                        narrow[1][..width].copy_from_slice(&right.values[start..][..width]);
                    }
                }
                A::vector(simd, &narrow[0], &narrow[1])
            };
            A::store(simd, vector, &mut out[p]);
        }
    }
}

/// [`prepare_right`] of the columns of one vector, which lie along memory: squares of them are turned in registers.
#[inline(always)]
fn turn<T: Real, S: Simd, A: Accumulator<T, S>, const P: usize>(
    simd: S,
    right: Right<'_, T>,
    inner: usize,
    columns: Range<usize>,
    block: Block,
    out: &mut [[[A::Number; LANES]; P]],
    p: usize,
) {
    let mut step = 0;
    while step + LANES <= block.steps {
        let term = (block.start + step) * A::TERMS;
        if term + LANES * A::TERMS > inner {
            break;
        }
        let mut square = [A::splat(simd, A::Number::default()); LANES];
        for l in 0..LANES {
            if l < columns.len() {
                let start = (columns.start + l) * right.stride + term;
                square[l] = A::steps(simd, &right.values[start..][..LANES * A::TERMS]);
            }
        }
        A::transpose(simd, &mut square);
        for (out, lanes) in out[step..].iter_mut().zip(square) {
            A::store(simd, lanes, &mut out[p]);
        }
        step += LANES;
    }
    for (step, out) in out[..block.steps].iter_mut().enumerate().skip(step) {
        let term = (block.start + step) * A::TERMS;
        out[p] = [A::Number::default(); LANES];
        for (out, column) in out[p].iter_mut().zip(columns.clone()) {
            let at = column * right.stride + term;
            let second = if A::TERMS == 2 && term + 1 < inner { right.values[at + 1] } else { T::default() };
            *out = A::number(right.values[at], second);
        }
    }
}

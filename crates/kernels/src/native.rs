//! The kernels of the stored formats, written once over vectors.
//!
//! A block of the result, R rows by P vectors of columns, stays in accumulators while the inner index runs. B is read along its rows; where
//! it is wanted transposed, tiles of it are turned on the stack first. Summation and instruction set are chosen once for a product.

use crate::{Kernels, Shape};
use gradchain_arith::{
    Accumulator, Compensated, Fused, LANES, Native, Pairwise, Real, Recursive, Simd, Summation, WithSimd,
};

impl<T: Real> Kernels for Native<T> {
    fn times(&self, summation: Summation, a: &[T], b: &[T], out: &mut [T], shape: Shape) {
        shape.check(a, b, out);
        let left = Left { values: a, row_stride: shape.inner, inner_stride: 1 };
        self.isa().run(Product { summation, left, b, transposed: false, out, shape });
    }

    fn times_transposed(&self, summation: Summation, a: &[T], b: &[T], out: &mut [T], shape: Shape) {
        shape.check(a, b, out);
        let left = Left { values: a, row_stride: shape.inner, inner_stride: 1 };
        self.isa().run(Product { summation, left, b, transposed: true, out, shape });
    }

    fn transposed_times(&self, summation: Summation, a: &[T], b: &[T], out: &mut [T], shape: Shape) {
        shape.check(a, b, out);
        let left = Left { values: a, row_stride: 1, inner_stride: shape.rows };
        self.isa().run(Product { summation, left, b, transposed: false, out, shape });
    }
}

/// The left factor: entry (i, k) is `values[i · row_stride + k · inner_stride]`.
#[derive(Clone, Copy)]
struct Left<'a, T> {
    values: &'a [T],
    row_stride: usize,
    inner_stride: usize,
}

impl<T: Copy> Left<'_, T> {
    #[inline(always)]
    fn at(self, i: usize, k: usize) -> T {
        self.values[i * self.row_stride + k * self.inner_stride]
    }
}

/// One product of matrices: B is `inner x columns`, or `columns x inner` where it is `transposed`.
struct Product<'a, T> {
    summation: Summation,
    left: Left<'a, T>,
    b: &'a [T],
    transposed: bool,
    out: &'a mut [T],
    shape: Shape,
}

impl<T: Real> WithSimd for Product<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match self.summation {
            Summation::Recursive => self.all_blocks::<S, Recursive<T, S>>(simd),
            Summation::Fused => self.all_blocks::<S, Fused<T, S>>(simd),
            Summation::Pairwise => self.all_blocks::<S, Pairwise<T, S>>(simd),
            Summation::Compensated => self.all_blocks::<S, Compensated<T, S>>(simd),
            Summation::Wide => self.all_blocks::<S, T::WideAccumulator<S>>(simd),
        }
    }
}

/// Where a block of the result begins, and how many of its columns there are.
#[derive(Clone, Copy)]
struct Block {
    row: usize,
    column: usize,
    width: usize,
}

impl<T: Real> Product<'_, T> {
    /// Rows go in fours where there are four, so that a vector of B serves four sums; a single row (a matrix-vector step) takes more
    /// columns at a time, so that as many sums are under way.
    #[inline(always)]
    fn all_blocks<S: Simd, A: Accumulator<T, S>>(mut self, simd: S) {
        let mut row = 0;
        while row + 4 <= self.shape.rows {
            self.row_blocks::<S, A, 4, 2>(simd, row);
            row += 4;
        }
        while row < self.shape.rows {
            self.row_blocks::<S, A, 1, 8>(simd, row);
            row += 1;
        }
    }

    #[inline(always)]
    fn row_blocks<S: Simd, A: Accumulator<T, S>, const R: usize, const P: usize>(
        &mut self,
        simd: S,
        row: usize,
    ) {
        let mut column = 0;
        while column + P * LANES <= self.shape.columns {
            self.block::<S, A, R, P>(simd, Block { row, column, width: P * LANES });
            column += P * LANES;
        }
        while column < self.shape.columns {
            let width = LANES.min(self.shape.columns - column);
            self.block::<S, A, R, 1>(simd, Block { row, column, width });
            column += LANES;
        }
    }

    /// One block of R rows and P vectors; only a block of one vector may be narrower than its vectors.
    #[inline(always)]
    fn block<S: Simd, A: Accumulator<T, S>, const R: usize, const P: usize>(
        &mut self,
        simd: S,
        block: Block,
    ) {
        let mut sums = [[A::zero(simd); P]; R];
        if self.transposed {
            self.add_turned(simd, block, &mut sums);
        } else if block.width == P * LANES {
            self.add_whole(simd, block, &mut sums);
        } else {
            self.add_narrow(simd, block, &mut sums);
        }
        for (r, sums) in sums.into_iter().enumerate() {
            let start = (block.row + r) * self.shape.columns + block.column;
            let out = &mut self.out[start..start + block.width];
            for (p, sum) in sums.into_iter().enumerate() {
                let mut lanes = [T::default(); LANES];
                T::store(simd, sum.finish(simd), &mut lanes);
                let part = &mut out[p * LANES..];
                let width = part.len().min(LANES);
                part[..width].copy_from_slice(&lanes[..width]);
            }
        }
    }

    #[inline(always)]
    fn add_whole<S: Simd, A: Accumulator<T, S>, const R: usize, const P: usize>(
        &self,
        simd: S,
        block: Block,
        sums: &mut [[A; P]; R],
    ) {
        for k in 0..self.shape.inner {
            let start = k * self.shape.columns + block.column;
            let (vectors, _) = self.b[start..start + P * LANES].as_chunks::<LANES>();
            let mut b = [T::load(simd, &vectors[0]); P];
            for (b, vector) in b.iter_mut().zip(vectors) {
                *b = T::load(simd, vector);
            }
            self.add_row_of_products(simd, block.row, k, b, sums);
        }
    }

    #[inline(always)]
    fn add_narrow<S: Simd, A: Accumulator<T, S>, const R: usize, const P: usize>(
        &self,
        simd: S,
        block: Block,
        sums: &mut [[A; P]; R],
    ) {
        let mut lanes = [T::default(); LANES];
        for k in 0..self.shape.inner {
            let start = k * self.shape.columns + block.column;
            lanes[..block.width].copy_from_slice(&self.b[start..start + block.width]);
            let b = [T::load(simd, &lanes); P];
            self.add_row_of_products(simd, block.row, k, b, sums);
        }
    }

    #[inline(always)]
    fn add_turned<S: Simd, A: Accumulator<T, S>, const R: usize, const P: usize>(
        &self,
        simd: S,
        block: Block,
        sums: &mut [[A; P]; R],
    ) {
        let inner = self.shape.inner;
        let mut tile = [[[T::default(); LANES]; P]; LANES];
        for first in (0..inner).step_by(LANES) {
            let depth = LANES.min(inner - first);
            for column in 0..block.width {
                let start = (block.column + column) * inner + first;
                for (k, &b) in self.b[start..start + depth].iter().enumerate() {
                    tile[k][column / LANES][column % LANES] = b;
                }
            }
            for (k, vectors) in tile[..depth].iter().enumerate() {
                let mut b = [T::load(simd, &vectors[0]); P];
                for (b, vector) in b.iter_mut().zip(vectors) {
                    *b = T::load(simd, vector);
                }
                self.add_row_of_products(simd, block.row, first + k, b, sums);
            }
        }
    }

    /// Adds `a[row + r][k] · b[p]` to the sum of each (r, p).
    #[inline(always)]
    fn add_row_of_products<S: Simd, A: Accumulator<T, S>, const R: usize, const P: usize>(
        &self,
        simd: S,
        row: usize,
        k: usize,
        b: [T::Vector<S>; P],
        sums: &mut [[A; P]; R],
    ) {
        for (r, sums) in sums.iter_mut().enumerate() {
            let a = T::splat(simd, self.left.at(row + r, k));
            for (sum, b) in sums.iter_mut().zip(b) {
                sum.add_product(simd, a, b);
            }
        }
    }
}

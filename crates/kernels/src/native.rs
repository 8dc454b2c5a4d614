//! The kernels of the stored formats: which text a product of matrices takes, on which instruction set and on how many threads.

use crate::blocked::blocked;
use crate::interleaved::interleaved;
use crate::streamed::streamed;
use crate::threads::on_threads;
use crate::{Kernels, Shape};
use gradchain_arith::{
    Accumulator, Compensated, Fused, Interleaved, Isa, Native, Pairwise, Real, Recursive, Simd, Summation,
    WithSimd,
};

impl<T: Real> Kernels for Native<T> {
    fn times(&self, summation: Summation, a: &[T], b: &[T], out: &mut [T], shape: Shape) {
        shape.check(a, b, out);
        let left = Left { values: a, row_stride: shape.inner, inner_stride: 1 };
        let right = Right { values: b, stride: shape.columns, turned: false };
        product(self.isa(), summation, left, right, out, shape);
    }

    fn times_transposed(&self, summation: Summation, a: &[T], b: &[T], out: &mut [T], shape: Shape) {
        shape.check(a, b, out);
        let left = Left { values: a, row_stride: shape.inner, inner_stride: 1 };
        let right = Right { values: b, stride: shape.inner, turned: true };
        product(self.isa(), summation, left, right, out, shape);
    }

    fn transposed_times(&self, summation: Summation, a: &[T], b: &[T], out: &mut [T], shape: Shape) {
        shape.check(a, b, out);
        let left = Left { values: a, row_stride: 1, inner_stride: shape.rows };
        let right = Right { values: b, stride: shape.columns, turned: false };
        product(self.isa(), summation, left, right, out, shape);
    }
}

fn product<T: Real>(
    isa: Isa,
    summation: Summation,
    left: Left<'_, T>,
    right: Right<'_, T>,
    out: &mut [T],
    shape: Shape,
) {
    assert!(
        summation.is_defined_for(T::FORMAT),
        "the summation `{summation}` is not defined for {}",
        T::NAME
    );
    let Shape { rows, inner, columns } = shape;
    if out.is_empty() {
        return;
    }
    let out = Out::Whole { values: out, stride: columns };
    let product = Product { left, right, out, rows, inner, columns };
    on_threads(product, |part| match summation {
        Summation::Bf16Dot => isa.run_bf16_dot(WithBf16Dot(part)),
        Summation::Recursive
        | Summation::Fused
        | Summation::Interleaved
        | Summation::Pairwise
        | Summation::Compensated
        | Summation::Wide => isa.run(WithSummation(summation, part)),
    });
}

/// The left factor: entry (i, k) is `values[i · row_stride + k · inner_stride]`. One of the strides is 1.
#[derive(Clone, Copy)]
pub(crate) struct Left<'a, T> {
    pub(crate) values: &'a [T],
    pub(crate) row_stride: usize,
    pub(crate) inner_stride: usize,
}

impl<'a, T: Copy> Left<'a, T> {
    #[inline(always)]
    pub(crate) fn at(self, i: usize, k: usize) -> T {
        self.values[i * self.row_stride + k * self.inner_stride]
    }

    /// The factor without its first `rows` rows.
    pub(crate) fn skip(self, rows: usize) -> Left<'a, T> {
        let start = (rows * self.row_stride).min(self.values.len());
        Left { values: &self.values[start..], ..self }
    }
}

/// The right factor: entry (k, j) is `values[k · stride + j]`, or `values[j · stride + k]` where it is `turned`.
#[derive(Clone, Copy)]
pub(crate) struct Right<'a, T> {
    pub(crate) values: &'a [T],
    pub(crate) stride: usize,
    pub(crate) turned: bool,
}

impl<'a, T: Copy> Right<'a, T> {
    /// The factor without its first `columns` columns.
    pub(crate) fn skip(self, columns: usize) -> Right<'a, T> {
        let start = (if self.turned { columns * self.stride } else { columns }).min(self.values.len());
        Right { values: &self.values[start..], ..self }
    }
}

/// Where results go.
pub(crate) enum Out<'a, T> {
    /// A matrix, whose rows begin `stride` numbers apart.
    Whole { values: &'a mut [T], stride: usize },
    /// Some columns of a matrix: a piece of each of its rows.
    Pieces(&'a mut [&'a mut [T]]),
}

impl<T> Out<'_, T> {
    #[inline(always)]
    pub(crate) fn row(&mut self, i: usize) -> &mut [T] {
        match self {
            Out::Whole { values, stride } => &mut values[i * *stride..],
            Out::Pieces(pieces) => pieces[i],
        }
    }
}

/// One product of matrices, or a part of it: `rows x inner` times `inner x columns`, none of the result's two dimensions being 0.
pub(crate) struct Product<'a, T> {
    pub(crate) left: Left<'a, T>,
    pub(crate) right: Right<'a, T>,
    pub(crate) out: Out<'a, T>,
    pub(crate) rows: usize,
    pub(crate) inner: usize,
    pub(crate) columns: usize,
}

/// A product by any summation but [`Summation::Bf16Dot`].
struct WithSummation<'a, T>(Summation, Product<'a, T>);

impl<T: Real> WithSimd for WithSummation<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let WithSummation(summation, product) = self;
        match summation {
            Summation::Recursive => tiled::<T, S, Recursive<T, S>>(simd, product),
            Summation::Fused => tiled::<T, S, Fused<T, S>>(simd, product),
            Summation::Interleaved if product.right.turned => interleaved(simd, product),
            Summation::Interleaved => blocked::<T, S, Interleaved<T, S>, 1, 1>(simd, product),
            Summation::Pairwise => blocked::<T, S, Pairwise<T, S>, 1, 1>(simd, product),
            Summation::Compensated => tiled::<T, S, Compensated<T, S>>(simd, product),
            Summation::Wide => tiled::<T, S, T::WideAccumulator<S>>(simd, product),
            Summation::Bf16Dot => unreachable!("it is run with the instruction"),
        }
    }
}

/// A product by [`Summation::Bf16Dot`].
struct WithBf16Dot<'a, T>(Product<'a, T>);

impl<T: Real> WithSimd for WithBf16Dot<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        if const { T::FORMAT.precision() == 8 } {
            tiled::<T, S, T::Bf16DotAccumulator<S>>(simd, self.0);
        }
    }
}

/// Chooses how many sums are under way at once: as many rows and vectors of columns as the registers hold beside the factors. Of very few
/// rows each takes more columns instead.
fn tiled<T: Real, S: Simd, A: Accumulator<T, S>>(simd: S, product: Product<'_, T>) {
    let registers = S::REGISTERS / A::REGISTERS;
    if product.rows < 4 && !product.right.turned && product.left.inner_stride == 1 {
        streamed::<T, S, A>(simd, product);
    } else if product.rows == 1 {
        match registers {
            0..4 => blocked::<T, S, A, 1, 1>(simd, product),
            4..8 => blocked::<T, S, A, 1, 2>(simd, product),
            8.. => blocked::<T, S, A, 1, 4>(simd, product),
        }
    } else if registers >= 32 {
        blocked::<T, S, A, 12, 2>(simd, product);
    } else if registers >= 16 && A::STATE == 1 {
        blocked::<T, S, A, 12, 1>(simd, product);
    } else if registers >= 16 {
        blocked::<T, S, A, 8, 1>(simd, product);
    } else if registers >= 8 {
        blocked::<T, S, A, 4, 1>(simd, product);
    } else {
        blocked::<T, S, A, 2, 1>(simd, product);
    }
}

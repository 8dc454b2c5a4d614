//! Slices of the stored formats, on an instruction set.
//!
//! Values and slopes of the formats of at most 24 bits go from number to number in one pass, by f32 lanes where these decide, else by f64 lanes. For
//! f64, and for the products with gradients that f32 lanes leave, numbers are widened to f64 a block at a time, the function is computed in place, and
//! the results are rounded into the format: fewer texts to compile. The last vector of a slice is filled up with zeros, so that a number's result
//! depends on it alone.

use crate::activation::Activation;
use crate::flat::flat;
use crate::lanes::{Apply, ApplyQuick, ApplySingle, Evaluate, Precision, Short, What};
use crate::leaky::Leaky;
use crate::path::Path;
use crate::slices;
use gradchain_arith::{Format, Isa, LANES, Real, Simd, WithSimd, bf16, f16};

/// A stored format, f16, bf16, f32 or f64, as this crate has functions for its slices: compiled here, once, and not again wherever they are
/// used.
pub trait Vectorized: Real {
    /// `out[i] = ` the value at `x[i]`.
    fn values(isa: Isa, activation: Activation, x: &[Self], out: &mut [Self]);

    /// `out[i] = ` the derivative at `x[i]`.
    fn slopes(isa: Isa, activation: Activation, x: &[Self], out: &mut [Self]);

    /// `gradient[i] = gradient[i] · ` the derivative at `x[i]`, rounded once.
    fn pull(isa: Isa, activation: Activation, gradient: &mut [Self], x: &[Self]);

    /// `gradient[i] = gradient[i] · ` the derivative at `x[i]`, which is rounded before it is multiplied.
    fn multiply(isa: Isa, activation: Activation, gradient: &mut [Self], x: &[Self]);

    /// `d[i] = ` the derivative at `x`, whose value is `y`, by a path that `slices.rs` has.
    fn path_slopes(isa: Isa, activation: Activation, path: Path, x_and_y: [&[Self]; 2], d: &mut [Self]);

    /// `gradient[i] = gradient[i] · ` that derivative.
    fn path_pulls(isa: Isa, activation: Activation, path: Path, gradient: &mut [Self], x_and_y: [&[Self]; 2]);
}

/// The table of stored formats, and by what.
macro_rules! vectorized {
    ($($format:ty: $process:ident),*) => {$(
        impl Vectorized for $format {
            fn values(isa: Isa, activation: Activation, x: &[Self], out: &mut [Self]) {
                $process(isa, activation, Work::Value, x, out);
            }

            fn slopes(isa: Isa, activation: Activation, x: &[Self], out: &mut [Self]) {
                $process(isa, activation, Work::Slope, x, out);
            }

            fn pull(isa: Isa, activation: Activation, gradient: &mut [Self], x: &[Self]) {
                $process(isa, activation, Work::Pull, x, gradient);
            }

            fn multiply(isa: Isa, activation: Activation, gradient: &mut [Self], x: &[Self]) {
                $process(isa, activation, Work::Multiply, x, gradient);
            }

            fn path_slopes(isa: Isa, activation: Activation, path: Path, x_and_y: [&[Self]; 2], d: &mut [Self]) {
                slices::slopes(isa, activation, path, x_and_y, d);
            }

            fn path_pulls(
                isa: Isa,
                activation: Activation,
                path: Path,
                gradient: &mut [Self],
                x_and_y: [&[Self]; 2],
            ) {
                slices::pulls(isa, activation, path, gradient, x_and_y);
            }
        }
    )*};
}

vectorized!(f16: process_short, bf16: process_short, f32: process_single, f64: process);

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// The value.
    Value,
    /// The derivative.
    Slope,
    /// The derivative times a gradient, rounded once.
    Pull,
    /// The rounded derivative times a gradient.
    Multiply,
}

/// Vectors in a block: few enough for the first cache, enough that the calls for each are nothing.
pub(crate) const BLOCK: usize = 16;

/// [`process`] by f32 lanes first, for the formats of 16 bits.
fn process_short<T: Leaky + Short + Vectorized>(
    isa: Isa,
    activation: Activation,
    work: Work,
    x: &[T],
    out: &mut [T],
) {
    assert_eq!(x.len(), out.len());
    if !isa.run(ApplyQuick { activation, work, x, out: &mut *out }) {
        process(isa, activation, work, x, out);
    }
}

/// [`process`] by f32 lanes, for f32 itself.
fn process_single(isa: Isa, activation: Activation, work: Work, x: &[f32], out: &mut [f32]) {
    assert_eq!(x.len(), out.len());
    let in_f64 = |x: &[f32; LANES], out: &mut [f32; LANES]| process(isa, activation, work, x, out);
    if !isa.run(ApplySingle { activation, work, x, out: &mut *out, in_f64: &in_f64 }) {
        process(isa, activation, work, x, out);
    }
}

/// `work` by the texts in f64 lanes, or by choices alone.
fn process<T: Leaky + Vectorized>(isa: Isa, activation: Activation, work: Work, x: &[T], out: &mut [T]) {
    assert_eq!(x.len(), out.len());
    if flat(isa, activation, work, x, out) {
        return;
    }
    match (work, precision(T::FORMAT)) {
        (Work::Value | Work::Slope, Precision::Low) => {
            isa.run(Apply { activation, slope: work == Work::Slope, x, out });
        }
        (Work::Value, Precision::Full) => by_blocks(isa, activation, false, x, out),
        (Work::Slope, Precision::Full) => by_blocks(isa, activation, true, x, out),
        (Work::Pull, precision) => pull(isa, activation, precision, x, out),
        (Work::Multiply, _) => {
            let mut factors = [T::default(); BLOCK * LANES];
            for (x, out) in x.chunks(BLOCK * LANES).zip(out.chunks_mut(BLOCK * LANES)) {
                let factors = &mut factors[..x.len()];
                T::slopes(isa, activation, x, factors);
                isa.run(Multiply { factors, to: out });
            }
        }
    }
}

/// Values or slopes of f64.
fn by_blocks<T: Real>(isa: Isa, activation: Activation, slope: bool, x: &[T], out: &mut [T]) {
    let mut numbers = [[0.0; LANES]; BLOCK];
    for (x, out) in x.chunks(BLOCK * LANES).zip(out.chunks_mut(BLOCK * LANES)) {
        let numbers = &mut numbers[..x.len().div_ceil(LANES)];
        isa.run(Widen { from: x, to: numbers });
        let what = if slope { What::Slope } else { What::Value };
        isa.run(Evaluate { activation, precision: Precision::Full, what, numbers: &mut *numbers });
        isa.run(Narrow { from: numbers, to: out });
    }
}

/// The gradients in `out` times the slopes.
fn pull<T: Real>(isa: Isa, activation: Activation, precision: Precision, x: &[T], out: &mut [T]) {
    let mut numbers = [[0.0; LANES]; BLOCK];
    let mut gradients = [[0.0; LANES]; BLOCK];
    for (x, out) in x.chunks(BLOCK * LANES).zip(out.chunks_mut(BLOCK * LANES)) {
        let vectors = x.len().div_ceil(LANES);
        let (numbers, gradients) = (&mut numbers[..vectors], &mut gradients[..vectors]);
        isa.run(Widen { from: x, to: numbers });
        isa.run(Widen { from: out, to: gradients });
        isa.run(Evaluate { activation, precision, what: What::Pull(gradients), numbers: &mut *numbers });
        isa.run(Narrow { from: numbers, to: out });
    }
}

/// What one rounding into the format needs.
pub(crate) fn precision(format: Format) -> Precision {
    if format.precision() <= 24 { Precision::Low } else { Precision::Full }
}

/// Numbers of a format to f64, and zeros to the end of the last vector.
struct Widen<'a, T> {
    from: &'a [T],
    to: &'a mut [[f64; LANES]],
}

impl<T: Real> WithSimd for Widen<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (vectors, rest) = self.from.as_chunks::<LANES>();
        for (from, to) in vectors.iter().zip(&mut *self.to) {
            simd.store_f64(T::to_f64(simd, T::load(simd, from)), to);
        }
        if !rest.is_empty() {
            let mut last = [T::default(); LANES];
            last[..rest.len()].copy_from_slice(rest);
            simd.store_f64(T::to_f64(simd, T::load(simd, &last)), &mut self.to[vectors.len()]);
        }
    }
}

/// f64 to numbers of a format, rounded once.
struct Narrow<'a, T> {
    from: &'a [[f64; LANES]],
    to: &'a mut [T],
}

impl<T: Real> WithSimd for Narrow<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (vectors, rest) = self.to.as_chunks_mut::<LANES>();
        let whole = vectors.len();
        for (from, to) in self.from.iter().zip(vectors) {
            T::store_f64(simd, simd.load_f64(from), to);
        }
        if !rest.is_empty() {
            let mut last = [T::default(); LANES];
            T::store_f64(simd, simd.load_f64(&self.from[whole]), &mut last);
            rest.copy_from_slice(&last[..rest.len()]);
        }
    }
}

/// Factors times the numbers that are there, rounded.
pub(crate) struct Multiply<'a, T> {
    pub(crate) factors: &'a [T],
    pub(crate) to: &'a mut [T],
}

impl<T: Real> Multiply<'_, T> {
    #[inline(always)]
    fn one<S: Simd>(simd: S, factors: &[T; LANES], to: &mut [T; LANES]) {
        let product = T::mul(simd, T::load(simd, to), T::load(simd, factors));
        T::store(simd, product, to);
    }
}

impl<T: Real> WithSimd for Multiply<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (factors, rest_factors) = self.factors.as_chunks::<LANES>();
        let (vectors, rest) = self.to.as_chunks_mut::<LANES>();
        for (factors, to) in factors.iter().zip(vectors) {
            Self::one(simd, factors, to);
        }
        if !rest.is_empty() {
            let (mut last_factors, mut last) = ([T::default(); LANES], [T::default(); LANES]);
            last_factors[..rest.len()].copy_from_slice(rest_factors);
            last[..rest.len()].copy_from_slice(rest);
            Self::one(simd, &last_factors, &mut last);
            rest.copy_from_slice(&last[..rest.len()]);
        }
    }
}

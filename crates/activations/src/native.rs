//! Slices of the stored formats, on an instruction set.
//!
//! Numbers are widened to f64 a block at a time, the function is computed in place, and the results are rounded into the format. The last vector
//! of a slice is filled up with zeros, so that a number's result depends on it alone.

use crate::activation::Activation;
use crate::flat::{Bits, flat};
use crate::lanes::{Evaluate, Precision, What};
use crate::{sigmoid, tanh};
use gradchain_arith::{Format, Isa, LANES, Native, Real, Simd, WithSimd, bf16, f16};

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
}

/// The table of stored formats.
macro_rules! vectorized {
    ($($format:ty),*) => {$(
        impl Vectorized for $format {
            fn values(isa: Isa, activation: Activation, x: &[Self], out: &mut [Self]) {
                process(isa, activation, Work::Value, x, out);
            }

            fn slopes(isa: Isa, activation: Activation, x: &[Self], out: &mut [Self]) {
                process(isa, activation, Work::Slope, x, out);
            }

            fn pull(isa: Isa, activation: Activation, gradient: &mut [Self], x: &[Self]) {
                process(isa, activation, Work::Pull, x, gradient);
            }

            fn multiply(isa: Isa, activation: Activation, gradient: &mut [Self], x: &[Self]) {
                process(isa, activation, Work::Multiply, x, gradient);
            }
        }
    )*};
}

vectorized!(f16, bf16, f32, f64);

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
const BLOCK: usize = 16;

fn process<T: Bits>(isa: Isa, activation: Activation, work: Work, x: &[T], out: &mut [T]) {
    assert_eq!(x.len(), out.len());
    if flat(isa, activation, work, x, out) {
        return;
    }
    let precision = precision(T::FORMAT);
    let mut numbers = [[0.0; LANES]; BLOCK];
    let mut gradients = [[0.0; LANES]; BLOCK];
    for (x, out) in x.chunks(BLOCK * LANES).zip(out.chunks_mut(BLOCK * LANES)) {
        let vectors = x.len().div_ceil(LANES);
        let numbers = &mut numbers[..vectors];
        isa.run(Widen { from: x, to: numbers });
        let what = match work {
            Work::Value => What::Value,
            Work::Slope | Work::Multiply => What::Slope,
            Work::Pull => {
                isa.run(Widen { from: out, to: &mut gradients[..vectors] });
                What::Pull(&gradients[..vectors])
            }
        };
        isa.run(Evaluate { activation, precision, what, numbers: &mut *numbers });
        if T::FORMAT == Format::F32 && correctly_rounded(activation) && work != Work::Pull {
            decide(isa, activation, work == Work::Value, x, numbers);
        }
        if work == Work::Multiply {
            isa.run(Multiply { from: numbers, to: out });
        } else {
            isa.run(Narrow { from: numbers, to: out });
        }
    }
}

/// What one rounding into the format needs.
pub(crate) fn precision(format: Format) -> Precision {
    if format.precision() <= 24 { Precision::Low } else { Precision::Full }
}

/// The functions with a definition in double-double, which are correctly rounded in f32 too.
pub(crate) fn correctly_rounded(activation: Activation) -> bool {
    matches!(activation, Activation::Sigmoid | Activation::Tanh)
}

/// The correctly rounded value or derivative of a function that has such.
pub(crate) fn decided(activation: Activation, value: bool, x: f32) -> f32 {
    let arith = Native::<f32>::new(Isa::PORTABLE);
    match (activation, value) {
        (Activation::Tanh, true) => tanh::value(&arith, x),
        (Activation::Tanh, false) => tanh::slope(&arith, x),
        (_, true) => sigmoid::value(&arith, x),
        (_, false) => sigmoid::slope(&arith, x),
    }
}

/// Replaces results that lie so near to a rounding midpoint of f32 that their error might matter.
#[inline(never)]
fn decide<T: Real>(isa: Isa, activation: Activation, value: bool, x: &[T], numbers: &mut [[f64; LANES]]) {
    let uncertain = isa.run(Uncertain { numbers });
    for (i, (x, numbers)) in x.chunks(LANES).zip(numbers).enumerate() {
        if uncertain >> i & 1 == 1 {
            for (x, number) in x.iter().zip(numbers) {
                *number = f64::from(decided(activation, value, x.value() as f32));
            }
        }
    }
}

/// Bit i says whether vector i has a number that its error might make round to another number of f32.
struct Uncertain<'a> {
    numbers: &'a [[f64; LANES]],
}

impl WithSimd for Uncertain<'_> {
    type Output = u32;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> u32 {
        /// More than the error of LOW precision for the functions that are correctly rounded.
        const ERROR: f64 = 1.0 / (1_u64 << 41) as f64;
        let mut uncertain = 0;
        for (i, numbers) in self.numbers.iter().enumerate() {
            let y = simd.load_f64(numbers);
            let low = simd.narrow(simd.mul_f64(y, simd.splat_f64(1.0 - ERROR)));
            let high = simd.narrow(simd.mul_f64(y, simd.splat_f64(1.0 + ERROR)));
            uncertain |= u32::from(simd.any_differs_f32(low, high)) << i;
        }
        uncertain
    }
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
            T::store(simd, T::from_f64(simd, simd.load_f64(from)), to);
        }
        if !rest.is_empty() {
            let mut last = [T::default(); LANES];
            T::store(simd, T::from_f64(simd, simd.load_f64(&self.from[whole])), &mut last);
            rest.copy_from_slice(&last[..rest.len()]);
        }
    }
}

/// [`Narrow`], and then the product with the numbers that are there, rounded.
struct Multiply<'a, T> {
    from: &'a [[f64; LANES]],
    to: &'a mut [T],
}

impl<T: Real> Multiply<'_, T> {
    #[inline(always)]
    fn one<S: Simd>(simd: S, from: &[f64; LANES], to: &mut [T; LANES]) {
        let factor = T::from_f64(simd, simd.load_f64(from));
        let product = T::mul(simd, T::load(simd, to), factor);
        T::store(simd, product, to);
    }
}

impl<T: Real> WithSimd for Multiply<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (vectors, rest) = self.to.as_chunks_mut::<LANES>();
        let whole = vectors.len();
        for (from, to) in self.from.iter().zip(vectors) {
            Self::one(simd, from, to);
        }
        if !rest.is_empty() {
            let mut last = [T::default(); LANES];
            last[..rest.len()].copy_from_slice(rest);
            Self::one(simd, &self.from[whole], &mut last);
            rest.copy_from_slice(&last[..rest.len()]);
        }
    }
}

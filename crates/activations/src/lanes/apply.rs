//! Values and slopes from numbers of a format of at most 24 bits to such numbers, in one pass.

use super::curve::Curve;
use super::number::Lanes;
use super::{WithCurve, with_curve};
use crate::activation::Activation;
use gradchain_arith::{Format, LANES, Real, Simd, WithSimd};

/// `out[i]` is the value (or the slope) of the function at `x[i]`, computed in LOW precision and rounded once.
///
/// Where the function is correctly rounded in f32 and a vector of results has one that lies so near to a rounding midpoint that its
/// error might matter, `decide` gives each of them.
pub(crate) struct Apply<'a, T> {
    pub(crate) activation: Activation,
    pub(crate) slope: bool,
    pub(crate) x: &'a [T],
    pub(crate) out: &'a mut [T],
    pub(crate) decide: fn(T) -> T,
}

impl<T: Real> WithCurve for Apply<'_, T> {
    #[inline(always)]
    fn by<S: Simd, C: Curve>(self, simd: S) {
        if self.slope {
            self.each::<S, true, C>(simd);
        } else {
            self.each::<S, false, C>(simd);
        }
    }
}

impl<T: Real> Apply<'_, T> {
    #[inline(always)]
    fn each<S: Simd, const SLOPE: bool, C: Curve>(self, simd: S) {
        let Apply { x, out, decide, .. } = self;
        // A function of its own, as in `Evaluate`.
        simd.call(
            #[inline(always)]
            || {
                let (vectors, rest) = x.as_chunks::<LANES>();
                let (out, rest_out) = out.as_chunks_mut::<LANES>();
                for (x, out) in vectors.iter().zip(out) {
                    one::<T, S, SLOPE, C>(simd, x, out, decide);
                }
                if !rest.is_empty() {
                    let mut last = [T::default(); LANES];
                    last[..rest.len()].copy_from_slice(rest);
                    let mut last_out = last;
                    one::<T, S, SLOPE, C>(simd, &last, &mut last_out, decide);
                    rest_out.copy_from_slice(&last_out[..rest.len()]);
                }
            },
        );
    }
}

/// One vector.
#[inline(always)]
pub(super) fn one<T: Real, S: Simd, const SLOPE: bool, C: Curve>(
    simd: S,
    numbers: &[T; LANES],
    out: &mut [T; LANES],
    decide: fn(T) -> T,
) {
    let x = Lanes::new(simd, T::to_f64(simd, T::load(simd, numbers)));
    let parts = if SLOPE { C::slope::<S, false>(x) } else { C::value::<S, false>(x) };
    let y = parts.join::<false>();
    let at_nan = if SLOPE { x.all(C::SLOPE_AT_NAN) } else { x };
    let y = at_nan.when(simd.is_nan_f64(x.value), y);
    T::store_f64(simd, y.value, out);
    if C::CORRECTLY_ROUNDED && T::FORMAT == Format::F32 {
        let low = simd.narrow((y * (1.0 - C::ERROR)).value);
        let high = simd.narrow((y * (1.0 + C::ERROR)).value);
        if simd.any_differs_f32(low, high) {
            all(numbers, out, decide);
        }
    }
}

/// Every number of a vector by `decide`.
#[cold]
#[inline(never)]
fn all<T: Copy>(numbers: &[T; LANES], out: &mut [T; LANES], decide: fn(T) -> T) {
    for (out, &x) in out.iter_mut().zip(numbers) {
        *out = decide(x);
    }
}

impl<T: Real> WithSimd for Apply<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        with_curve(self.activation, simd, self);
    }
}

//! Values and slopes from numbers of a format of at most 24 bits to such numbers, in one pass.

use super::curve::Curve;
use super::number::Lanes;
use super::{WithCurve, with_curve};
use crate::activation::Activation;
use gradchain_arith::{LANES, Real, Simd, WithSimd};

/// `out[i]` is the value (or the slope) of the function at `x[i]`, computed in LOW precision and rounded once.
pub(crate) struct Apply<'a, T> {
    pub(crate) activation: Activation,
    pub(crate) slope: bool,
    pub(crate) x: &'a [T],
    pub(crate) out: &'a mut [T],
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
        let Apply { x, out, .. } = self;
        // A function of its own, as in `Evaluate`.
        simd.call(
            #[inline(always)]
            || {
                let (vectors, rest) = x.as_chunks::<LANES>();
                let (out, rest_out) = out.as_chunks_mut::<LANES>();
                for (x, out) in vectors.iter().zip(out) {
                    one::<T, S, SLOPE, C>(simd, x, out);
                }
                if !rest.is_empty() {
                    let mut last = [T::default(); LANES];
                    last[..rest.len()].copy_from_slice(rest);
                    let mut last_out = last;
                    one::<T, S, SLOPE, C>(simd, &last, &mut last_out);
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
) {
    let x = Lanes::new(simd, T::to_f64(simd, T::load(simd, numbers)));
    let parts = if SLOPE { C::slope::<S, false>(x) } else { C::value::<S, false>(x) };
    let y = parts.join::<false>();
    T::store_f64(simd, x.when(simd.is_nan_f64(x.value), y).value, out);
}

impl<T: Real> WithSimd for Apply<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        with_curve(self.activation, simd, self);
    }
}

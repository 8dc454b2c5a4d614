//! Leaky ReLU on vectors: x, and `x / 100` where x is not positive, rounded once.
//!
//! A division takes too long. In f32 and f64 the decimal 0.01 is a sum of two numbers, `high` and what that leaves, so that the sum of the exact
//! `x high` and `fl(x low)` is within 2^-47 (f64 2^-105) of the quotient, relatively, before it is rounded. That decides it: unless `x / 100` is
//! a midpoint of two numbers of the format, it lies at least 2^-31.7 (2^-60.7) of itself from each. Midpoints are only among subnormal quotients:
//! vectors with so small ones are divided. For 16 bits one f32 product, with an error of 2^-24, does: midpoints are 2^-18.7 away, and f32 has
//! them exactly.

use crate::flat::Bits;
use gradchain_arith::{LANES, Simd, WithSimd, bf16, f16};

/// The number below 0.01 and what it leaves: both are positive, so that infinities and zeros keep their sign.
const HUNDREDTH_F32: [f32; 2] = {
    let near = 0.01_f32;
    let high = if near as f64 > 0.01 { near.next_down() } else { near };
    [high, (0.01 - high as f64) as f32]
};

/// The same in f64. The f64 number 0.01 lies 2.08e-19 above the decimal, and 2^-59 above the number below.
const HUNDREDTH_F64: [f64; 2] = [0.01_f64.next_down(), 1.734723475976807e-18 - 2.0816681711721684e-19];

/// Quotients below these are divided: from here on what `fl(x low)` loses below the least number is nothing.
const LEAST_F32: f32 = 1.0 / (1_u128 << 100) as f32;
const LEAST_F64: f64 = f64::from_bits((1023 - 1000) << 52);

/// A stored format, as this function needs it.
pub(crate) trait Leaky: Bits {
    /// `out[i]` is g where `x[i]` is positive, else `g / 100`, with `x[i]` for g, or to HAND_ON a gradient what `out[i]` is.
    fn leak<S: Simd, const HAND_ON: bool>(simd: S, x: &[Self; LANES], out: &mut [Self; LANES]);
}

impl Leaky for f16 {
    #[inline(always)]
    fn leak<S: Simd, const HAND_ON: bool>(simd: S, x: &[f16; LANES], out: &mut [f16; LANES]) {
        let x = simd.load_f16(x);
        let g = if HAND_ON { simd.load_f16(out) } else { x };
        simd.store_f16(leak_short(simd, x, g), out);
    }
}

impl Leaky for bf16 {
    #[inline(always)]
    fn leak<S: Simd, const HAND_ON: bool>(simd: S, x: &[bf16; LANES], out: &mut [bf16; LANES]) {
        let x = simd.load_bf16(x);
        let g = if HAND_ON { simd.load_bf16(out) } else { x };
        let y = leak_short(simd, x, g);
        // Only midpoints are not sure.
        if !simd.store_sure_bf16(y, out) {
            simd.store_bf16(y, out);
        }
    }
}

/// A vector of 16-bit numbers in f32 lanes, to be rounded into the format.
#[inline(always)]
fn leak_short<S: Simd>(simd: S, x: S::F32, g: S::F32) -> S::F32 {
    let y = simd.mul_f32(g, simd.splat_f32(0.01));
    simd.select_f32(simd.less_f32(simd.splat_f32(0.0), x), g, y)
}

impl Leaky for f32 {
    #[inline(always)]
    fn leak<S: Simd, const HAND_ON: bool>(simd: S, x: &[f32; LANES], out: &mut [f32; LANES]) {
        let x = simd.load_f32(x);
        let g = if HAND_ON { simd.load_f32(out) } else { x };
        let (high, low) = (simd.splat_f32(HUNDREDTH_F32[0]), simd.splat_f32(HUNDREDTH_F32[1]));
        let mut y = simd.mul_add_f32(g, high, simd.mul_f32(g, low));
        // What is smaller than g is not the quotient of a zero, of which gradients have many.
        let least = simd.splat_f32(LEAST_F32);
        let least = if HAND_ON { simd.min_f32(simd.abs_f32(g), least) } else { least };
        if simd.any_f32(simd.less_f32(simd.abs_f32(y), least)) {
            y = simd.div_f32(g, simd.splat_f32(100.0));
        }
        simd.store_f32(simd.select_f32(simd.less_f32(simd.splat_f32(0.0), x), g, y), out);
    }
}

impl Leaky for f64 {
    #[inline(always)]
    fn leak<S: Simd, const HAND_ON: bool>(simd: S, x: &[f64; LANES], out: &mut [f64; LANES]) {
        let x = simd.load_f64(x);
        let g = if HAND_ON { simd.load_f64(out) } else { x };
        let (high, low) = (simd.splat_f64(HUNDREDTH_F64[0]), simd.splat_f64(HUNDREDTH_F64[1]));
        let mut y = simd.mul_add_f64(g, high, simd.mul_f64(g, low));
        let least = simd.splat_f64(LEAST_F64);
        let least = if HAND_ON { simd.min_f64(simd.abs_f64(g), least) } else { least };
        if simd.any(simd.less_f64(simd.abs_f64(y), least)) {
            y = simd.div_f64(g, simd.splat_f64(100.0));
        }
        simd.store_f64(simd.select_f64(simd.less_f64(simd.splat_f64(0.0), x), g, y), out);
    }
}

/// Values, or with `hand_on` the gradients in `out` times the slope.
pub(crate) struct Leak<'a, T> {
    pub(crate) hand_on: bool,
    pub(crate) x: &'a [T],
    pub(crate) out: &'a mut [T],
}

impl<T: Leaky> Leak<'_, T> {
    #[inline(always)]
    fn each<S: Simd, const HAND_ON: bool>(self, simd: S) {
        let (vectors, rest) = self.x.as_chunks::<LANES>();
        let (out, rest_out) = self.out.as_chunks_mut::<LANES>();
        for (x, out) in vectors.iter().zip(out) {
            T::leak::<S, HAND_ON>(simd, x, out);
        }
        if !rest.is_empty() {
            let (mut last, mut last_out) = ([T::default(); LANES], [T::default(); LANES]);
            last[..rest.len()].copy_from_slice(rest);
            last_out[..rest.len()].copy_from_slice(rest_out);
            T::leak::<S, HAND_ON>(simd, &last, &mut last_out);
            rest_out.copy_from_slice(&last_out[..rest.len()]);
        }
    }
}

impl<T: Leaky> WithSimd for Leak<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        if self.hand_on { self.each::<S, true>(simd) } else { self.each::<S, false>(simd) }
    }
}

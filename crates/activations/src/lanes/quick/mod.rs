//! f16 and bf16 results by f32 lanes, where these decide.
//!
//! A result in f32 lanes is close to the true one; only next to a midpoint of two numbers of the format it does not say which of them is nearer.
//! A vector with such a lane, or with one outside of where the formula is close, goes through the LOW text in f64 lanes. So both give the same
//! bits: those of the correctly rounded result.
//!
//! How close is found by trying: the inputs are 65 536. For products of a slope with a gradient the rounding of the product comes on top.

mod gelu_tanh;
mod logistic;
mod normal;
pub(super) mod number;
mod pieces;

use super::apply;
use super::curve::Curve;
use super::number::Lanes;
use super::{elu, gelu_tanh as full_gelu_tanh, logistic as full, normal as full_normal};
use crate::activation::Activation;
use crate::native::Work;
use gradchain_arith::{Format, LANES, Real, Simd, WithSimd, bf16, f16};
use number::Quick;

/// A function in f32 lanes. The relative error of values is at most 6.5 · 2^-24, that of slopes at most 5.5 · 2^-24; NaN gives
/// NaN.
///
/// The ranges count for bf16, where the smallest numbers of f32 are numbers of the format: within them results are as close as promised, or
/// an error of an ulp or two of a subnormal f32. In f16 what is too small for f32 is zero anyway.
trait QuickCurve: Curve {
    /// Where values are close.
    const VALUES: [f32; 2];

    /// Where slopes are close.
    const SLOPES: [f32; 2];

    /// The value at x.
    fn quick_value<S: Simd>(x: Quick<S>) -> Quick<S>;

    /// The derivative at x.
    fn quick_slope<S: Simd>(x: Quick<S>) -> Quick<S>;
}

/// All numbers.
const EVERYWHERE: [f32; 2] = [f32::NEG_INFINITY, f32::INFINITY];

/// A format of 16 bits in f32 lanes.
pub(crate) trait Short: Real {
    /// The numbers, exactly.
    fn to_f32<S: Simd>(simd: S, x: &[Self; LANES]) -> S::F32;
    /// The numbers rounded, and whether none of them could have been another for a relative error of 7 · 2^-24.
    fn store_sure<S: Simd>(simd: S, x: S::F32, out: &mut [Self; LANES]) -> bool;
}

impl Short for f16 {
    #[inline(always)]
    fn to_f32<S: Simd>(simd: S, x: &[f16; LANES]) -> S::F32 {
        simd.load_f16(x)
    }

    #[inline(always)]
    fn store_sure<S: Simd>(simd: S, x: S::F32, out: &mut [f16; LANES]) -> bool {
        simd.store_sure_f16(x, out)
    }
}

impl Short for bf16 {
    #[inline(always)]
    fn to_f32<S: Simd>(simd: S, x: &[bf16; LANES]) -> S::F32 {
        simd.load_bf16(x)
    }

    #[inline(always)]
    fn store_sure<S: Simd>(simd: S, x: S::F32, out: &mut [bf16; LANES]) -> bool {
        simd.store_sure_bf16(x, out)
    }
}

/// `$work.by` of the activation's curve, or `$none` where it has no text in f32 lanes.
macro_rules! by_curve {
    ($work:expr, $simd:expr, $none:expr) => {
        match $work.activation {
            Activation::Sigmoid => $work.by::<S, full::Sigmoid>($simd),
            Activation::Tanh => $work.by::<S, full::Tanh>($simd),
            Activation::Silu => $work.by::<S, full::Silu>($simd),
            Activation::Softplus => $work.by::<S, full::Softplus>($simd),
            Activation::Elu => $work.by::<S, elu::Elu>($simd),
            Activation::Selu => $work.by::<S, elu::Selu>($simd),
            Activation::Gelu => $work.by::<S, full_normal::Gelu>($simd),
            Activation::GeluTanh => $work.by::<S, full_gelu_tanh::GeluTanh>($simd),
            Activation::Erf => $work.by::<S, full_normal::Erf>($simd),
            Activation::Identity | Activation::Relu | Activation::LeakyRelu | Activation::HardTanh => $none,
        }
    };
}

/// `work` of the function at each x in `out`, with the bits of the LOW text; says no, and leaves `out` as it is, for the functions that have none
/// in f32 lanes.
pub(crate) struct ApplyQuick<'a, T> {
    pub(crate) activation: Activation,
    pub(crate) work: Work,
    pub(crate) x: &'a [T],
    pub(crate) out: &'a mut [T],
}

impl<T: Short> ApplyQuick<'_, T> {
    #[inline(always)]
    fn by<S: Simd, C: QuickCurve>(self, simd: S) -> bool {
        match self.work {
            Work::Value => each::<T, S, C, false, false>(simd, self.x, self.out),
            Work::Slope => each::<T, S, C, true, false>(simd, self.x, self.out),
            Work::Pull => each::<T, S, C, true, true>(simd, self.x, self.out),
            Work::Multiply => return false,
        }
        true
    }
}

impl<T: Short> WithSimd for ApplyQuick<'_, T> {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> bool {
        by_curve!(self, simd, false)
    }
}

#[inline(always)]
fn each<T: Short, S: Simd, C: QuickCurve, const SLOPE: bool, const PULL: bool>(
    simd: S,
    x: &[T],
    out: &mut [T],
) {
    // A function of its own, as in `Evaluate`.
    simd.call(
        #[inline(always)]
        || {
            let (vectors, rest) = x.as_chunks::<LANES>();
            let (out, rest_out) = out.as_chunks_mut::<LANES>();
            for (x, out) in vectors.iter().zip(out) {
                one::<T, S, C, SLOPE, PULL>(simd, x, out);
            }
            if !rest.is_empty() {
                let (mut last, mut last_out) = ([T::default(); LANES], [T::default(); LANES]);
                last[..rest.len()].copy_from_slice(rest);
                last_out[..rest.len()].copy_from_slice(rest_out);
                one::<T, S, C, SLOPE, PULL>(simd, &last, &mut last_out);
                rest_out.copy_from_slice(&last_out[..rest.len()]);
            }
        },
    );
}

/// Values, slopes, or with PULL the slopes times what `out` holds.
#[inline(always)]
fn one<T: Short, S: Simd, C: QuickCurve, const SLOPE: bool, const PULL: bool>(
    simd: S,
    numbers: &[T; LANES],
    out: &mut [T; LANES],
) {
    let x = Quick::new(simd, T::to_f32(simd, numbers));
    let mut y = if SLOPE { C::quick_slope(x) } else { C::quick_value(x) };
    if PULL {
        y = y * Quick::new(simd, T::to_f32(simd, out));
    }
    let [left, right] = range::<C>(T::FORMAT, SLOPE, PULL);
    let outside = left > f32::NEG_INFINITY && simd.any_f32(x.less(x.all(left)))
        || right < f32::INFINITY && simd.any_f32(x.all(right).less(x));
    let mut rounded = [T::default(); LANES];
    let sure = T::store_sure(simd, y.value, &mut rounded);
    if outside || !sure {
        by_f64::<T, S, C, SLOPE, PULL>(simd, numbers, out);
    } else {
        *out = rounded;
    }
}

/// Where the function is close, and for products not infinite: the slope is zero there, which its product with infinity shows.
const fn range<C: QuickCurve>(format: Format, slope: bool, pull: bool) -> [f32; 2] {
    let [left, right] = if format.precision() == Format::F16.precision() {
        EVERYWHERE
    } else if slope {
        C::SLOPES
    } else {
        C::VALUES
    };
    if pull { [left.max(-f32::MAX), right.min(f32::MAX)] } else { [left, right] }
}

/// The vector in f64 lanes.
#[cold]
#[inline(always)]
fn by_f64<T: Short, S: Simd, C: QuickCurve, const SLOPE: bool, const PULL: bool>(
    simd: S,
    numbers: &[T; LANES],
    out: &mut [T; LANES],
) {
    simd.call(
        #[inline(always)]
        || {
            if PULL {
                let x = Lanes::new(simd, T::to_f64(simd, T::load(simd, numbers)));
                let g = Lanes::new(simd, T::to_f64(simd, T::load(simd, out)));
                let y = C::pull::<S, false>(g, x);
                let y = x.when(simd.is_nan_f64(x.value), y);
                T::store_f64(simd, y.value, out);
            } else {
                apply::one::<T, S, SLOPE, C>(simd, numbers, out);
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradchain_arith::Isa;

    /// The greatest errors of value and slope in units of 2^-24 of the result, over all numbers of a format that lie in the ranges. Below
    /// the normal numbers of f32, where only bf16 has any, the unit is as large as there.
    struct Errors<T> {
        activation: Activation,
        from_bits: fn(u16) -> T,
    }

    impl<T: Short> Errors<T> {
        #[inline(always)]
        fn by<S: Simd, C: QuickCurve>(self, simd: S) -> [(f64, f64); 2] {
            let mut greatest = [(0.0, 0.0); 2];
            for first in (0..=u16::MAX).step_by(LANES) {
                let numbers: [T; LANES] = std::array::from_fn(|i| (self.from_bits)(first + i as u16));
                let x = Lanes::new(simd, T::to_f64(simd, T::load(simd, &numbers)));
                let quick = Quick::new(simd, T::to_f32(simd, &numbers));
                for slope in [false, true] {
                    let [close, got] = if slope {
                        [C::slope::<S, true>(x).join::<true>().value, simd.widen(C::quick_slope(quick).value)]
                    } else {
                        [C::value::<S, true>(x).join::<true>().value, simd.widen(C::quick_value(quick).value)]
                    };
                    let (mut expected, mut results) = ([0.0; LANES], [0.0; LANES]);
                    simd.store_f64(close, &mut expected);
                    simd.store_f64(got, &mut results);
                    let [left, right] = range::<C>(T::FORMAT, slope, false);
                    // What rounds to zero in f16, slopes after the product with a gradient, need not be close.
                    let least = if slope { -42 } else { -26 };
                    let tiny = if T::FORMAT == Format::F16 { f64::powi(2.0, least) } else { 0.0 };
                    for ((x, expected), got) in numbers.iter().zip(expected).zip(results) {
                        let x = x.value();
                        assert_eq!(got.is_nan(), x.is_nan(), "{} {x}: {got}", T::NAME);
                        let inside = f64::from(left) <= x && x <= f64::from(right);
                        // What overflows in f32 is infinite in the formats too.
                        let expected =
                            if expected.abs() > f64::from(f32::MAX) { f64::INFINITY } else { expected };
                        if inside && got != expected && !(expected.abs() < tiny && got.abs() < tiny) {
                            let unit = expected.abs().max(f64::from(f32::MIN_POSITIVE)) * f64::powi(2.0, -24);
                            let error = (got - expected).abs() / unit;
                            if error > greatest[usize::from(slope)].0 {
                                greatest[usize::from(slope)] = (error, x);
                            }
                        }
                    }
                }
            }
            greatest
        }
    }

    impl<T: Short> WithSimd for Errors<T> {
        type Output = [(f64, f64); 2];

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> [(f64, f64); 2] {
            by_curve!(self, simd, [(0.0, 0.0); 2])
        }
    }

    /// Every input. A store is sure for errors up to 7; the product with a gradient adds 1.
    #[test]
    fn errors_are_less_than_stores_allow() {
        fn check<T: Short>(from_bits: fn(u16) -> T) {
            let mut right = true;
            for activation in Activation::ALL {
                let [value, slope] = Isa::PORTABLE.run(Errors { activation, from_bits });
                println!("{} {activation}: value {value:.2?}, slope {slope:.2?}", T::NAME);
                right &= value.0 < 6.5 && slope.0 < 5.5;
            }
            assert!(right);
        }
        check(f16::from_bits);
        check(bf16::from_bits);
    }
}

//! f32 results in f32 lanes: within 0.6 ulp, most within 0.52, of the true ones.
//!
//! Where the text in f64 lanes has sixteen numbers in two registers, this one has them in one. To be as close as that without a wider format, what
//! counts is kept as a sum of two f32 numbers, and rounded once at the end. Lanes are taken from the LOW text in f64 lanes where they have a number
//! for which that is not close: in the tails and next to 0, where results or their low parts are subnormal, and next to the roots of the slopes of SiLU and GELU.
//!
//! Neighbours of x give results in order where the function rises: all errors but a few of 2^-36 come from roundings of numbers that are in
//! order themselves.

mod elu;
mod gelu_tanh;
mod logistic;
mod normal;
mod number;
mod pieces;

use super::quick::number::Quick;
use super::{elu as full_elu, gelu_tanh as full_gelu_tanh, logistic as full, normal as full_normal};
use crate::activation::Activation;
use crate::native::Work;
use gradchain_arith::{LANES, Simd, WithSimd};
use number::Two;

/// A function in f32 lanes; NaN gives NaN.
trait SingleCurve {
    /// Where values are close.
    const VALUES: [f32; 2];

    /// Where slopes are close, except next to [`ROOT`](SingleCurve::ROOT).
    const SLOPES: [f32; 2];

    /// Whether small values are another multiple of x than x itself, so that subnormal ones are rounded, and low parts of others too.
    const SCALES: bool = false;

    /// A root of the slope next to which this one is not close.
    const ROOT: Option<f32> = None;

    /// The value at x.
    fn single_value<S: Simd>(x: Quick<S>) -> Quick<S>;

    /// The derivative at x.
    fn single_slope<S: Simd>(x: Quick<S>) -> Two<S>;
}

/// All numbers.
const EVERYWHERE: [f32; 2] = [f32::NEG_INFINITY, f32::INFINITY];

/// How far from a root slopes are close: `V` of `gate_slope` is about 2^-9 there, with an error of 2^-36.
const ROOT_RANGE: f32 = 1.0 / 512.0;

/// A number in two parts of f32.
const fn split(x: f64) -> [f32; 2] {
    [x as f32, (x - x as f32 as f64) as f32]
}

/// `work` of the function at each x in `out`; says no, and leaves `out` as it is, for the functions and works that have no text in f32 lanes.
pub(crate) struct ApplySingle<'a> {
    pub(crate) activation: Activation,
    pub(crate) work: Work,
    pub(crate) x: &'a [f32],
    pub(crate) out: &'a mut [f32],
    /// The same work by f64 lanes.
    pub(crate) in_f64: &'a dyn Fn(&[f32; LANES], &mut [f32; LANES]),
}

impl ApplySingle<'_> {
    #[inline(always)]
    fn by<S: Simd, C: SingleCurve>(self, simd: S) -> bool {
        match self.work {
            Work::Value => self.each::<S, C, false, false>(simd),
            Work::Slope => self.each::<S, C, true, false>(simd),
            Work::Pull => self.each::<S, C, true, true>(simd),
            Work::Multiply => return false,
        }
        true
    }

    #[inline(always)]
    fn each<S: Simd, C: SingleCurve, const SLOPE: bool, const PULL: bool>(self, simd: S) {
        let ApplySingle { x, out, in_f64, .. } = self;
        // A function of its own, as in `Evaluate`.
        simd.call(
            #[inline(always)]
            || {
                let (vectors, rest) = x.as_chunks::<LANES>();
                let (out, rest_out) = out.as_chunks_mut::<LANES>();
                for (x, out) in vectors.iter().zip(out) {
                    one::<S, C, SLOPE, PULL>(simd, x, out, in_f64);
                }
                if !rest.is_empty() {
                    let (mut last, mut last_out) = ([0.0; LANES], [0.0; LANES]);
                    last[..rest.len()].copy_from_slice(rest);
                    last_out[..rest.len()].copy_from_slice(rest_out);
                    one::<S, C, SLOPE, PULL>(simd, &last, &mut last_out, in_f64);
                    rest_out.copy_from_slice(&last_out[..rest.len()]);
                }
            },
        );
    }
}

impl WithSimd for ApplySingle<'_> {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> bool {
        match self.activation {
            Activation::Sigmoid => self.by::<S, full::Sigmoid>(simd),
            Activation::Tanh => self.by::<S, full::Tanh>(simd),
            Activation::Silu => self.by::<S, full::Silu>(simd),
            Activation::Softplus => self.by::<S, full::Softplus>(simd),
            Activation::Elu => self.by::<S, full_elu::Elu>(simd),
            Activation::Selu => self.by::<S, full_elu::Selu>(simd),
            Activation::Gelu => self.by::<S, full_normal::Gelu>(simd),
            Activation::GeluTanh => self.by::<S, full_gelu_tanh::GeluTanh>(simd),
            Activation::Erf => self.by::<S, full_normal::Erf>(simd),
            Activation::Identity | Activation::Relu | Activation::LeakyRelu | Activation::HardTanh => false,
        }
    }
}

/// Values, slopes, or with PULL the slopes times what `out` holds.
#[inline(always)]
fn one<S: Simd, C: SingleCurve, const SLOPE: bool, const PULL: bool>(
    simd: S,
    numbers: &[f32; LANES],
    out: &mut [f32; LANES],
    in_f64: &dyn Fn(&[f32; LANES], &mut [f32; LANES]),
) {
    let x = Quick::new(simd, simd.load_f32(numbers));
    let [left, right] = if SLOPE { C::SLOPES } else { C::VALUES };
    // The slope is zero at infinity, which its product with infinity shows.
    let [left, right] = if PULL { [left.max(-f32::MAX), right.min(f32::MAX)] } else { [left, right] };
    // Lanes that are not close.
    let below = if left > f32::NEG_INFINITY { Some(x.less(x.all(left))) } else { None };
    let above = if right < f32::INFINITY { Some(x.all(right).less(x)) } else { None };
    let mut near_root = None;
    let mut tiny = None;
    let y = if SLOPE {
        if let Some(root) = C::ROOT {
            near_root = Some((x - root).abs().less(x.all(ROOT_RANGE)));
        }
        let slope = C::single_slope(x);
        if PULL {
            let g = Quick::new(simd, simd.load_f32(out));
            let product = g.mul_add(slope.high, g * slope.low);
            tiny = Some(lost(product, g));
            // The parts of a product with infinity or zero may have unlike signs.
            let rough = g * slope.join();
            product.with_sign_of(rough).when(g.abs().less(g.all(f32::INFINITY)), rough)
        } else {
            slope.join()
        }
    } else {
        let value = C::single_value(x);
        if C::SCALES {
            tiny = Some(lost(value, x));
        }
        value
    };
    if any(simd, below) || any(simd, above) || any(simd, near_root) || any(simd, tiny) {
        let mut wide = *out;
        in_f64(numbers, &mut wide);
        simd.store_f32(y.value, out);
        // The other lanes keep their bits: a result does not depend on its neighbours.
        let mut chosen = x.all(0.0);
        for mask in [below, above, near_root, tiny].into_iter().flatten() {
            chosen = x.all(1.0).when(mask, chosen);
        }
        let mut lanes = [0.0; LANES];
        simd.store_f32(chosen.value, &mut lanes);
        for (out, (wide, chosen)) in out.iter_mut().zip(wide.into_iter().zip(lanes)) {
            if chosen != 0.0 {
                *out = wide;
            }
        }
    } else {
        simd.store_f32(y.value, out);
    }
}

/// Whether a mask that is there says yes anywhere.
#[inline(always)]
fn any<S: Simd>(simd: S, mask: Option<S::F32Mask>) -> bool {
    match mask {
        Some(mask) => simd.any_f32(mask),
        None => false,
    }
}

/// Where y, less than twice x and not of an x that is zero, is so small that its low part may be lost.
#[inline(always)]
fn lost<S: Simd>(y: Quick<S>, x: Quick<S>) -> S::F32Mask {
    const LEAST: f32 = 1.0 / (1_u128 << 100) as f32;
    y.abs().less((x + x).abs().at_most(LEAST))
}

//! ELU and SELU in f32 lanes: the formulas of `lanes/elu.rs` with results in two parts.

use super::number::{LEAST, Power, Two, power};
use super::{EVERYWHERE, SingleCurve, split};
use crate::lanes::elu::{Elu, LAMBDA, LAMBDA_ALPHA, Selu};
use crate::lanes::quick::number::Quick;
use gradchain_arith::Simd;

const SCALE: [f32; 2] = split(LAMBDA[0]);
const LEFT_SCALE: [f32; 2] = split(LAMBDA_ALPHA[0]);

/// `e^x` for x < 0, as far as it goes, and something finite elsewhere.
#[inline(always)]
fn falling<S: Simd>(x: Quick<S>) -> Power<S> {
    power(-x.abs().at_most(-LEAST), None)
}

impl SingleCurve for Elu {
    const VALUES: [f32; 2] = EVERYWHERE;
    const SLOPES: [f32; 2] = [LEAST, f32::INFINITY];

    #[inline(always)]
    fn single_value<S: Simd>(x: Quick<S>) -> Quick<S> {
        falling(x).minus_one().join().when(x.negative(), x)
    }

    #[inline(always)]
    fn single_slope<S: Simd>(x: Quick<S>) -> Two<S> {
        Two::one(x.all(1.0)).when(x.all(0.0).less(x), falling(x).number())
    }
}

impl SingleCurve for Selu {
    // An infinite product would have an infinite low part of unlike sign.
    const VALUES: [f32; 2] = [f32::NEG_INFINITY, f32::MAX];
    const SLOPES: [f32; 2] = [LEAST, f32::INFINITY];
    const SCALES: bool = true;

    #[inline(always)]
    fn single_value<S: Simd>(x: Quick<S>) -> Quick<S> {
        let left = falling(x).minus_one().times(Two::all(x, LEFT_SCALE)).join();
        // A zero has two products of unlike signs.
        let right = x.mul_add(x.all(SCALE[0]), x * SCALE[1]).with_sign_of(x);
        left.when(x.negative(), right)
    }

    #[inline(always)]
    fn single_slope<S: Simd>(x: Quick<S>) -> Two<S> {
        let left = falling(x).number().times(Two::all(x, LEFT_SCALE));
        Two::all(x, SCALE).when(x.all(0.0).less(x), left)
    }
}

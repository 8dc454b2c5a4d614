//! Sigmoid, tanh, SiLU and softplus in f32 lanes: the formulas of `lanes/logistic.rs` with results in two parts.

use super::number::{LEAST, Power, Two, power};
use super::{EVERYWHERE, SingleCurve};
use crate::lanes::coefficients::SILU_ROOT;
use crate::lanes::logistic::{Sigmoid, Silu, Softplus, Tanh};
use crate::lanes::quick::number::Quick;
use gradchain_arith::Simd;

/// `1 / (1 + e)` for an e of any size.
#[inline(always)]
pub(super) fn sigmoid<S: Simd>(e: Two<S>) -> Two<S> {
    let one = e.high.all(1.0);
    let simd = one.simd;
    let greater = Quick::new(simd, simd.max_f32(e.high.value, one.value));
    let smaller = Quick::new(simd, simd.min_f32(e.high.value, one.value));
    let (high, error) = Two::sum_ordered(greater, smaller).plus_low(e.low).inverse();
    Two { high, low: high * error }
}

/// `e^-x`, so that σ has its relative accuracy for both signs.
#[inline(always)]
fn opposite<S: Simd>(x: Quick<S>) -> Power<S> {
    power((-x).at_least(LEAST), None)
}

/// `e / (1 + e)²` for e <= 1.
#[inline(always)]
pub(super) fn bell<S: Simd>(e: Two<S>) -> Two<S> {
    let (inverse, error) = e.plus_one().inverse();
    let bell = e.times(Two::product(inverse, inverse));
    bell.plus_low(bell.high * (error + error))
}

/// `x s` for a sigmoid s.
#[inline(always)]
pub(super) fn gated<S: Simd>(x: Quick<S>, s: Two<S>) -> Quick<S> {
    x.mul_add(s.high, x * s.low)
}

/// `e V / (1 + e)²` where x is negative, and 1 less that elsewhere, as in `lanes/logistic.rs`.
#[inline(always)]
pub(super) fn gate_slope<S: Simd>(e: Two<S>, v: Two<S>, negative: S::F32Mask) -> Two<S> {
    let falling = bell(e).times(v);
    falling.when(negative, falling.one_less())
}

impl SingleCurve for Sigmoid {
    const VALUES: [f32; 2] = [LEAST, f32::INFINITY];
    const SLOPES: [f32; 2] = [LEAST, -LEAST];

    #[inline(always)]
    fn single_value<S: Simd>(x: Quick<S>) -> Quick<S> {
        sigmoid(opposite(x).number()).join()
    }

    #[inline(always)]
    fn single_slope<S: Simd>(x: Quick<S>) -> Two<S> {
        bell(power(-x.abs().at_most(-LEAST), None).number())
    }
}

impl SingleCurve for Tanh {
    const VALUES: [f32; 2] = EVERYWHERE;
    const SLOPES: [f32; 2] = [LEAST / 2.0, -LEAST / 2.0];

    #[inline(always)]
    fn single_value<S: Simd>(x: Quick<S>) -> Quick<S> {
        let m = power(x.abs().at_most(-LEAST / 2.0) * -2.0, None).minus_one().normal();
        let d = Two::sum_ordered(x.all(2.0), m.high).plus_low(m.low);
        m.over(d).join().with_sign_of(x)
    }

    #[inline(always)]
    fn single_slope<S: Simd>(x: Quick<S>) -> Two<S> {
        let Two { high, low } = bell(power(x.abs().at_most(-LEAST / 2.0) * -2.0, None).number());
        Two { high: high * 4.0, low: low * 4.0 }
    }
}

impl SingleCurve for Silu {
    const VALUES: [f32; 2] = [LEAST, f32::MAX];
    const SLOPES: [f32; 2] = [LEAST, f32::INFINITY];
    const SCALES: bool = true;
    const ROOT: Option<f32> = Some(-SILU_ROOT[0] as f32);

    #[inline(always)]
    fn single_value<S: Simd>(x: Quick<S>) -> Quick<S> {
        // Closely, for the order of values next to the minimum.
        gated(x, sigmoid(opposite(x).close_number()))
    }

    #[inline(always)]
    fn single_slope<S: Simd>(x: Quick<S>) -> Two<S> {
        let a = x.abs().at_most(-LEAST);
        let e = power(-a, None).close_number();
        let d = e.plus_one();
        let v = Two::sum(d.high, -a).plus_low(d.low);
        gate_slope(e, v, x.negative())
    }
}

/// `(atanh z / z - 1) / z²` in z² for `z² <= 1/9`, interpolated as in `coefficients.rs`: error of `atanh z / z` below 2^-29.9.
const ATANH: [f32; 5] = [0.333_333_34, 0.199_998_53, 0.142_961_79, 0.108_532_876, 0.116_121_65];

/// `ln(1 + e^x) = ln 2 + x/2 + x² q(x²)` for `|x| <= 1/8`, where the errors of the other formula are greater than the steps from x to x: ln 2 in
/// two parts, and q interpolated as in `coefficients.rs` with an error of the value below 2^-32.
const LN_2: [f32; 2] = [std::f32::consts::LN_2, -1.904_654_2e-9];
const SOFTPLUS: [f32; 2] = [0.125, -0.005_202_91];

/// Softplus next to 0.
#[inline(always)]
fn softplus_near<S: Simd>(x: Quick<S>) -> Quick<S> {
    let bent = x * (x * x).mul_add(x.all(SOFTPLUS[1]), x.all(SOFTPLUS[0]));
    let factor = Two::sum_ordered(x.all(0.5), bent);
    let rise = factor.times_one(x);
    Two::sum_ordered(x.all(LN_2[0]), rise.high).plus_low(rise.low + LN_2[1]).join()
}

impl SingleCurve for Softplus {
    const VALUES: [f32; 2] = [LEAST, f32::MAX];
    const SLOPES: [f32; 2] = Sigmoid::VALUES;

    #[inline(always)]
    fn single_value<S: Simd>(x: Quick<S>) -> Quick<S> {
        let e = power(-x.abs().at_most(-LEAST), None).number();
        let z = e.over(Two::sum_ordered(x.all(2.0), e.high).plus_low(e.low));
        let w = z.high * z.high;
        let twice = z.high + z.high;
        // The slope of 2 atanh z is 2 / (1 - z²).
        let twice_low = z.low + z.low;
        let low = twice.mul_add(w * w.polynomial(&ATANH), twice_low.mul_add(w, twice_low));
        let far = Two::sum(x.at_least(0.0), twice).plus_low(low).join();
        softplus_near(x).when(x.abs().less(x.all(0.125)), far)
    }

    #[inline(always)]
    fn single_slope<S: Simd>(x: Quick<S>) -> Two<S> {
        sigmoid(opposite(x).number())
    }
}

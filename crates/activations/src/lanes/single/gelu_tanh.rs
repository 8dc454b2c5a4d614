//! GELU in the tanh form in f32 lanes: the formulas of `lanes/gelu_tanh.rs` with `v = κ x + κ β x³` in two parts.

use super::logistic::{gate_slope, gated, sigmoid};
use super::number::{Two, power};
use super::{SingleCurve, split};
use crate::lanes::coefficients::GELU_TANH_ROOT;
use crate::lanes::gelu_tanh::{BETA, GeluTanh, KAPPA};
use crate::lanes::quick::number::Quick;
use gradchain_arith::Simd;

/// κ and κ β, each in two numbers.
const LINEAR: [f32; 2] = split(KAPPA[0]);
const CUBIC: [f32; 2] = split(KAPPA[0] * BETA[0]);

/// The greatest |x| that is told from others: v is 74.2 there.
const LAST: f32 = 9.375;

/// `κ x` and `κ β x³`.
#[inline(always)]
fn terms<S: Simd>(x: Quick<S>) -> [Two<S>; 2] {
    let cube = Two::product(x, x).times_one(x);
    [Two::all(x, LINEAR).times_one(x), cube.times(Two::all(x, CUBIC))]
}

/// Their sum. Either may be the greater one.
#[inline(always)]
fn sum<S: Simd>([linear, cubic]: [Two<S>; 2]) -> Two<S> {
    Two::sum(linear.high, cubic.high).plus_low(linear.low + cubic.low)
}

impl SingleCurve for GeluTanh {
    const VALUES: [f32; 2] = [-LAST, f32::MAX];
    const SLOPES: [f32; 2] = [-LAST, f32::INFINITY];
    const SCALES: bool = true;
    const ROOT: Option<f32> = Some(-GELU_TANH_ROOT[0] as f32);

    #[inline(always)]
    fn single_value<S: Simd>(x: Quick<S>) -> Quick<S> {
        let v = sum(terms(x.at_least(-LAST).at_most(LAST)));
        let e = power(-v.high, Some(-v.low)).close_number();
        gated(x, sigmoid(e))
    }

    #[inline(always)]
    fn single_slope<S: Simd>(x: Quick<S>) -> Two<S> {
        let a = x.abs().at_most(LAST);
        let [linear, cubic] = terms(a);
        let v = sum([linear, cubic]);
        let e = power(-v.high, Some(-v.low)).close_number();
        let d = e.plus_one();
        let steep = cubic.times_one(a.all(3.0));
        let rising = sum([linear, steep]);
        let left = Two::sum(d.high, -rising.high).plus_low(d.low - rising.low);
        gate_slope(e, left, x.negative())
    }
}

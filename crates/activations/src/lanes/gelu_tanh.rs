//! GELU in the tanh form, `x/2 (1 + tanh(√(2/π) (x + β x³))) = x σ(v)` with `v = κ x (1 + β x²)`, `κ = 2 √(2/π)`, `β = 0.044715`.
//!
//! v reaches hundreds where the value is still a number, so that e^v needs v to more than 53 bits.

use super::coefficients::{GELU_TANH_FULL, GELU_TANH_LOW, GELU_TANH_ROOT, GELU_TANH_SLOPE};
use super::curve::Curve;
use super::exp::power;
use super::logistic::{around_root, gate_slope, gated, root_range, sigmoid};
use super::number::{Lanes, Parts, Two};
use gradchain_arith::Simd;

/// `2 √(2/π)`.
pub(super) const KAPPA: [f64; 2] = [1.5957691216057308, -9.96930880911092e-17];
/// The decimal number 0.044715.
pub(super) const BETA: [f64; 2] = [0.044715, 2.1960211427085595e-18];
/// Three times that.
const THREE_BETA: [f64; 2] = [0.134145, 1.3526957332032908e-17];

/// `κ a (1 + c a²)`.
#[inline(always)]
fn cubic<S: Simd, const FULL: bool>(a: Lanes<S>, c: [f64; 2]) -> Two<S> {
    if FULL {
        let square = Two::product(a, a).times(Two::all(a, c));
        let sum = Two::sum(a.all(1.0), square.high).plus_low(square.low);
        Two::all(a, KAPPA).times_one(a).times(sum)
    } else {
        Two::one(a * KAPPA[0] * (a * a).mul_add(a.all(c[0]), a.all(1.0)))
    }
}

/// |x|, or the bound beyond which the tail is nothing in any product: the exponent of v there is as far as [`power`] goes.
#[inline(always)]
fn bounded<S: Simd, const FULL: bool>(x: Lanes<S>) -> Lanes<S> {
    x.abs().at_most(if FULL { 28.0 } else { 16.5 })
}

pub(super) struct GeluTanh;

impl Curve for GeluTanh {
    const SLOPES_AT_INFINITY: [f64; 2] = [-0.0, 1.0];

    #[inline(always)]
    fn value<S: Simd, const FULL: bool>(x: Lanes<S>) -> Parts<S> {
        let v = cubic::<S, FULL>(bounded::<S, FULL>(x), BETA);
        let s = sigmoid::<S, FULL>(power::<S, FULL>(v.neg()), x.negative());
        // No -∞ · 0: the value is -0 from far less on.
        let x = x.at_least(-1500.0);
        if FULL {
            Parts { value: s.value.times_one(x), exponent: s.exponent }.half_of_subnormal(x)
        } else {
            Two::one(gated(s.value.high, x)).into()
        }
    }

    #[inline(always)]
    fn slope<S: Simd, const FULL: bool>(x: Lanes<S>) -> Parts<S> {
        let a = bounded::<S, FULL>(x);
        let e = power::<S, FULL>(cubic::<S, FULL>(a, BETA).neg());
        let rising = cubic::<S, FULL>(a, THREE_BETA);
        let d = e.plus::<FULL>(1.0);
        let (near, distance, far) = if FULL {
            let (near, distance) =
                around_root::<S, FULL, _>(a, GELU_TANH_ROOT, GELU_TANH_SLOPE, &GELU_TANH_FULL);
            (near, distance, Two::sum(d.high, -rising.high).plus_low(d.low - rising.low))
        } else {
            let (near, distance) =
                around_root::<S, FULL, _>(a, GELU_TANH_ROOT, GELU_TANH_SLOPE, &GELU_TANH_LOW);
            (near, distance, Two::one(d.high - rising.high))
        };
        let v = near.when(distance.less(a.all(root_range(FULL))), far);
        gate_slope::<S, FULL>(e, v, x.negative())
    }
}

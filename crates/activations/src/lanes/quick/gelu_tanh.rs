//! GELU in the tanh form in f32 lanes: the formulas of LOW precision in `gelu_tanh.rs`, where `v = κ a + κ β a³` is a sum of two numbers,
//! for the sake of e^v.

use super::QuickCurve;
use super::logistic::{around_root, bell, sigmoid, split};
use super::number::{Quick, power};
use crate::lanes::coefficients::{GELU_TANH_LOW, GELU_TANH_ROOT, GELU_TANH_SLOPE};
use crate::lanes::gelu_tanh::{BETA, GeluTanh, KAPPA};
use gradchain_arith::Simd;

/// κ and κ β, each in two numbers.
const LINEAR: [f32; 2] = split(KAPPA[0]);
const CUBIC: [f32; 2] = split(KAPPA[0] * BETA[0]);

/// The greatest |x| that is told from others: v is 85 there.
const LAST: f32 = 9.875;

/// The sum `high + low`, where low is far less.
#[derive(Clone, Copy)]
struct Two<S: Simd> {
    high: Quick<S>,
    low: Quick<S>,
}

impl<S: Simd> Two<S> {
    /// `(a + a_low) · constant`.
    #[inline(always)]
    fn product(a: Quick<S>, a_low: Option<Quick<S>>, [high, low]: [f32; 2]) -> Two<S> {
        let product = a * high;
        let rest = a.mul_add(a.all(high), -product);
        let rest = a.mul_add(a.all(low), rest);
        let rest = match a_low {
            Some(a_low) => a_low.mul_add(a.all(high), rest),
            None => rest,
        };
        Two { high: product, low: rest }
    }
}

/// `κ a` and `κ β a³`.
#[inline(always)]
fn terms<S: Simd>(a: Quick<S>) -> (Two<S>, Two<S>) {
    // Exact, because a has few bits.
    let square = a * a;
    let cube = square * a;
    let rest = square.mul_add(a, -cube);
    (Two::product(a, None, LINEAR), Two::product(cube, Some(rest), CUBIC))
}

/// `e^-v`.
#[inline(always)]
fn falling<S: Simd>(linear: Two<S>, cubic: Two<S>) -> Quick<S> {
    // Either may be the greater one.
    let high = linear.high + cubic.high;
    let part = high - linear.high;
    let lost = (linear.high - (high - part)) + (cubic.high - part);
    power(-high, Some(-(lost + (linear.low + cubic.low)))).number()
}

impl QuickCurve for GeluTanh {
    const VALUES: [f32; 2] = [-LAST, f32::INFINITY];
    const SLOPES: [f32; 2] = [-LAST, f32::INFINITY];

    #[inline(always)]
    fn quick_value<S: Simd>(x: Quick<S>) -> Quick<S> {
        let (linear, cubic) = terms(x.abs().at_most(LAST));
        // No -∞ · 0: in f16 the value is -0 from far less on.
        sigmoid(falling(linear, cubic), x) * x.at_least(-1500.0)
    }

    #[inline(always)]
    fn quick_slope<S: Simd>(x: Quick<S>) -> Quick<S> {
        const ROOT: [f32; 2] = split(GELU_TANH_ROOT[0]);
        let a = x.abs().at_most(LAST);
        let (linear, cubic) = terms(a);
        let e = falling(linear, cubic);
        // 1 + e - κ a - 3 κ β a³, where the first difference is exact next to the root.
        let far = (a.all(1.0) - linear.high) + (cubic.high.mul_add(a.all(-3.0), e) - linear.low);
        let h = a - ROOT[0];
        let near = around_root(h - ROOT[1], GELU_TANH_SLOPE[0], &GELU_TANH_LOW);
        let v = near.when(h.abs().less(h.all(0.0625)), far);
        let falling = bell(e) * v;
        falling.when(x.negative(), falling.all(1.0) - falling)
    }
}

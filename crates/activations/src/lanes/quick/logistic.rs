//! Sigmoid, tanh, SiLU, softplus, ELU and SELU in f32 lanes: the formulas of LOW precision in `logistic.rs` and `elu.rs`.

use super::number::{LEAST, Quick, QuickPower, power};
use super::{EVERYWHERE, QuickCurve};
use crate::lanes::coefficients::{SILU_LOW, SILU_ROOT};
use crate::lanes::elu::{Elu, LAMBDA, LAMBDA_ALPHA, Selu};
use crate::lanes::logistic::{Sigmoid, Silu, Softplus, Tanh};
use gradchain_arith::Simd;

/// `e^-|x|`, as far as the exponent goes.
#[inline(always)]
fn falling<S: Simd>(x: Quick<S>) -> QuickPower<S> {
    power(-x.abs().at_most(-LEAST), None)
}

/// σ(v) for `e = e^-|v|`, where v has the sign of x.
#[inline(always)]
pub(super) fn sigmoid<S: Simd>(e: Quick<S>, x: Quick<S>) -> Quick<S> {
    e.when(x.negative(), e.all(1.0)) / (e + 1.0)
}

/// `e / (1 + e)²`.
#[inline(always)]
pub(super) fn bell<S: Simd>(e: Quick<S>) -> Quick<S> {
    let d = e + 1.0;
    e / (d * d)
}

/// `a (slope + a p(a))` with a the distance from a root.
#[inline(always)]
pub(super) fn around_root<S: Simd, const N: usize>(
    distance: Quick<S>,
    slope: f64,
    coefficients: &[f64; N],
) -> Quick<S> {
    let mut c = [distance; N];
    for (c, &constant) in c.iter_mut().zip(coefficients) {
        *c = distance.all(constant as f32);
    }
    distance * distance.mul_add(distance.polynomial_of(&c), distance.all(slope as f32))
}

/// A root in two parts of f32.
pub(super) const fn split(root: f64) -> [f32; 2] {
    [root as f32, (root - root as f32 as f64) as f32]
}

impl QuickCurve for Sigmoid {
    const VALUES: [f32; 2] = [LEAST, f32::INFINITY];
    const SLOPES: [f32; 2] = [LEAST, -LEAST];

    #[inline(always)]
    fn quick_value<S: Simd>(x: Quick<S>) -> Quick<S> {
        sigmoid(falling(x).number(), x)
    }

    #[inline(always)]
    fn quick_slope<S: Simd>(x: Quick<S>) -> Quick<S> {
        bell(falling(x).number())
    }
}

impl QuickCurve for Tanh {
    const VALUES: [f32; 2] = EVERYWHERE;
    const SLOPES: [f32; 2] = [LEAST / 2.0, -LEAST / 2.0];

    #[inline(always)]
    fn quick_value<S: Simd>(x: Quick<S>) -> Quick<S> {
        let m = power(x.abs().at_most(-LEAST / 2.0) * -2.0, None).minus_one();
        (m / (m + 2.0)).with_sign_of(x)
    }

    #[inline(always)]
    fn quick_slope<S: Simd>(x: Quick<S>) -> Quick<S> {
        bell(power(x.abs().at_most(-LEAST / 2.0) * -2.0, None).number()) * 4.0
    }
}

impl QuickCurve for Silu {
    const VALUES: [f32; 2] = [LEAST, f32::INFINITY];
    const SLOPES: [f32; 2] = [LEAST, f32::INFINITY];

    #[inline(always)]
    fn quick_value<S: Simd>(x: Quick<S>) -> Quick<S> {
        // No -∞ · 0: in f16 the value is -0 from far less on.
        sigmoid(falling(x).number(), x) * x.at_least(-1500.0)
    }

    #[inline(always)]
    fn quick_slope<S: Simd>(x: Quick<S>) -> Quick<S> {
        const ROOT: [f32; 2] = split(SILU_ROOT[0]);
        let e = falling(x).number();
        let a = x.abs().at_most(-LEAST);
        // Both differences are exact: a has few bits.
        let (h, far) = (a - ROOT[0], (a.all(1.0) - a) + e);
        let near = around_root(h - ROOT[1], -SILU_ROOT[0], &SILU_LOW);
        let v = near.when(h.abs().less(h.all(0.125)), far);
        let falling = bell(e) * v;
        falling.when(x.negative(), falling.all(1.0) - falling)
    }
}

/// `(atanh z / z - 1) / z²` in z² for `z² <= 1/9`, interpolated as in `coefficients.rs`: error of `atanh z / z` below 2^-25.8.
const ATANH: [f32; 4] = [0.333_333_2, 0.200_037_8, 0.141_183_1, 0.134_257_5];

impl QuickCurve for Softplus {
    const VALUES: [f32; 2] = [LEAST, f32::INFINITY];
    const SLOPES: [f32; 2] = Sigmoid::VALUES;

    #[inline(always)]
    fn quick_value<S: Simd>(x: Quick<S>) -> Quick<S> {
        let e = falling(x).number();
        let z = e / (e + 2.0);
        let w = z * z;
        let log = (z * 2.0).mul_add(w * w.polynomial(&ATANH), z * 2.0);
        x.at_least(0.0) + log
    }

    #[inline(always)]
    fn quick_slope<S: Simd>(x: Quick<S>) -> Quick<S> {
        Sigmoid::quick_value(x)
    }
}

impl QuickCurve for Elu {
    const VALUES: [f32; 2] = EVERYWHERE;
    const SLOPES: [f32; 2] = [LEAST, f32::INFINITY];

    #[inline(always)]
    fn quick_value<S: Simd>(x: Quick<S>) -> Quick<S> {
        falling(x).minus_one().when(x.negative(), x)
    }

    #[inline(always)]
    fn quick_slope<S: Simd>(x: Quick<S>) -> Quick<S> {
        let one = x.all(1.0);
        one.when(x.all(0.0).less(x), falling(x).number())
    }
}

impl QuickCurve for Selu {
    const VALUES: [f32; 2] = EVERYWHERE;
    const SLOPES: [f32; 2] = [LEAST, f32::INFINITY];

    #[inline(always)]
    fn quick_value<S: Simd>(x: Quick<S>) -> Quick<S> {
        let left = falling(x).minus_one() * LAMBDA_ALPHA[0] as f32;
        left.when(x.negative(), x * LAMBDA[0] as f32)
    }

    #[inline(always)]
    fn quick_slope<S: Simd>(x: Quick<S>) -> Quick<S> {
        let right = x.all(LAMBDA[0] as f32);
        right.when(x.all(0.0).less(x), falling(x).number() * LAMBDA_ALPHA[0] as f32)
    }
}

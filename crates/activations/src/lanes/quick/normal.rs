//! GELU in the erf form and erf in f32 lanes: the formulas of LOW precision in `normal.rs`.
//!
//! The square of a number of 16 bits is exact in f32, so that its exponential is as close as any.

use super::number::{Quick, power};
use super::pieces::{LAST, QuickPieces, SLOPE, TAIL};
use super::{EVERYWHERE, QuickCurve};
use crate::lanes::normal::{Erf, Gelu};
use gradchain_arith::Simd;
use std::f32::consts::{FRAC_2_SQRT_PI, SQRT_2};

/// The piecewise polynomial at a.
#[inline(always)]
fn piecewise<S: Simd, const N: usize>(a: Quick<S>, pieces: &QuickPieces<N>) -> Quick<S> {
    let piece = (a + pieces.offset).binade_quarter();
    let h = a - piece.of_table(&pieces.centre);
    let mut c = [h; N];
    for (c, row) in c.iter_mut().zip(&pieces.coefficients) {
        *c = piece.of_table(row);
    }
    h.polynomial_of(&c)
}

impl QuickCurve for Gelu {
    const VALUES: [f32; 2] = [-LAST, f32::INFINITY];
    const SLOPES: [f32; 2] = [-LAST, f32::INFINITY];

    #[inline(always)]
    fn quick_value<S: Simd>(x: Quick<S>) -> Quick<S> {
        let a = x.abs().at_most(LAST);
        let e = power(a * a * -0.5, None).number();
        let lost = e * piecewise(a, &TAIL) * a;
        (-lost).when(x.negative(), x - lost)
    }

    #[inline(always)]
    fn quick_slope<S: Simd>(x: Quick<S>) -> Quick<S> {
        let a = x.abs().at_most(LAST);
        let e = power(a * a * -0.5, None).number();
        let falling = e * piecewise(a, &SLOPE);
        falling.when(x.negative(), falling.all(1.0) - falling)
    }
}

/// `(erf x / x - 2/√π) / x²` in x² for `x² <= 0.5626`, interpolated as in `coefficients.rs`: error of `erf x / x` below 2^-27.
const ERF: [f32; 5] = [-0.376_126_38, 0.112_836_92, -0.026_851_92, 0.005_151_886, -0.000_702_966_4];

impl QuickCurve for Erf {
    const VALUES: [f32; 2] = EVERYWHERE;
    const SLOPES: [f32; 2] = [-9.25, 9.25];

    #[inline(always)]
    fn quick_value<S: Simd>(x: Quick<S>) -> Quick<S> {
        // 1 in f32 from 3.9 on.
        let a = x.abs().at_most(7.0);
        let e = power(-(a * a), None).number();
        let far = (piecewise(a * SQRT_2, &TAIL) * -2.0).mul_add(e, a.all(1.0)).with_sign_of(x);
        let w = x * x;
        let near = x * w.mul_add(w.polynomial(&ERF), x.all(FRAC_2_SQRT_PI));
        near.when(a.less(a.all(0.75)), far)
    }

    #[inline(always)]
    fn quick_slope<S: Simd>(x: Quick<S>) -> Quick<S> {
        let a = x.abs().at_most(9.25);
        power(-(a * a), None).number() * FRAC_2_SQRT_PI
    }
}

//! GELU in the erf form and erf in f32 lanes: the formulas of `lanes/normal.rs` with results in two parts.

use super::number::{Power, Two, power};
use super::pieces::{ClosePieces, LAST, OFFSET, SLOPE, TAIL};
use super::{EVERYWHERE, SingleCurve};
use crate::lanes::normal::{Erf, Gelu};
use crate::lanes::quick::number::Quick;
use gradchain_arith::Simd;

/// `e^(scale · a²)` for a scale that is a power of two.
#[inline(always)]
fn power_of_square<S: Simd>(a: Quick<S>, scale: f32) -> Power<S> {
    let Two { high, low } = Two::product(a, a);
    power(high * scale, Some(low * scale))
}

/// The piecewise polynomial at `a + low`. With ORDERED, the first coefficient is known to be greater than what follows.
#[inline(always)]
fn piecewise<S: Simd, const ORDERED: bool, const N: usize>(
    a: Quick<S>,
    low: Option<Quick<S>>,
    pieces: &ClosePieces<N>,
) -> Two<S> {
    let piece = (a + OFFSET).binade_quarter();
    // Exact next to a root.
    let h = a - piece.of_table(&pieces.centre);
    let h = match low {
        Some(low) => h + low,
        None => h,
    };
    let mut rest = [h; N];
    for (c, row) in rest.iter_mut().zip(&pieces.rest) {
        *c = piece.of_table(row);
    }
    let (c0, c1) = (piece.of_table(&pieces.first[0]), piece.of_table(&pieces.first[1]));
    let (c0_low, c1_low) = (piece.of_table(&pieces.first_low[0]), piece.of_table(&pieces.first_low[1]));
    let linear = Two::product(h, c1);
    let bent = h.mul_add(h.polynomial_of(&rest), c1_low).mul_add(h, linear.low) + c0_low;
    let sum = if ORDERED { Two::sum_ordered(c0, linear.high) } else { Two::sum(c0, linear.high) };
    sum.plus_low(bent)
}

impl SingleCurve for Gelu {
    const VALUES: [f32; 2] = [-LAST, f32::MAX];
    const SLOPES: [f32; 2] = [-LAST, f32::INFINITY];
    const SCALES: bool = true;

    #[inline(always)]
    fn single_value<S: Simd>(x: Quick<S>) -> Quick<S> {
        let a = x.abs().at_most(LAST);
        let tail = piecewise::<S, true, _>(a, None, &TAIL);
        let lost = power_of_square(a, -0.5).close_number().times(tail).times_one(a).neg();
        let kept = Two::sum_ordered(x, lost.high).plus_low(lost.low);
        // The difference of two zeros has lost their sign.
        lost.when(x.negative(), kept).join().with_sign_of(x)
    }

    #[inline(always)]
    fn single_slope<S: Simd>(x: Quick<S>) -> Two<S> {
        let a = x.abs().at_most(LAST);
        let falling = power_of_square(a, -0.5).number().times(piecewise::<S, false, _>(a, None, &SLOPE));
        falling.when(x.negative(), falling.one_less())
    }
}

/// `(erf x / x - 2/√π) / x²` in x² for `x² <= 0.26`, interpolated as in `coefficients.rs`: error of `erf x / x` below 2^-28.6.
const ERF: [f32; 5] = [-0.376_126_38, 0.112_837_866, -0.026_864_637, 0.005_207_329_5, -0.000_780_418_6];

/// `2/√π`.
const SLOPE_AT_0: [f32; 2] = [std::f32::consts::FRAC_2_SQRT_PI, -5.863_538_3e-8];

impl SingleCurve for Erf {
    const VALUES: [f32; 2] = EVERYWHERE;
    const SLOPES: [f32; 2] = [-8.625, 8.625];
    const SCALES: bool = true;

    #[inline(always)]
    fn single_value<S: Simd>(x: Quick<S>) -> Quick<S> {
        const SQRT_2: [f32; 2] = [std::f32::consts::SQRT_2, 2.420_323_5e-8];
        // 1 in f32 from 3.92 on.
        let a = x.abs().at_most(5.0);
        let Two { high, low } = Two::all(x, SQRT_2).times_one(a);
        let tail = piecewise::<S, true, _>(high, Some(low), &TAIL);
        let lost = power_of_square(a, -1.0).number().times(tail);
        let far = Two { high: lost.high * 2.0, low: lost.low * 2.0 }.one_less().join();
        let Two { high: w, low: w_low } = Two::product(a, a);
        let bent = w.mul_add(w.polynomial(&ERF), w_low.mul_add(a.all(ERF[0]), a.all(SLOPE_AT_0[1])));
        let near = a.mul_add(a.all(SLOPE_AT_0[0]), a * bent);
        near.when(a.less(a.all(0.375)), far).with_sign_of(x)
    }

    #[inline(always)]
    fn single_slope<S: Simd>(x: Quick<S>) -> Two<S> {
        power_of_square(x.abs().at_most(8.625), -1.0).number().times(Two::all(x, SLOPE_AT_0))
    }
}

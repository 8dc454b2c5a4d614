//! GELU (erf form) and erf, from the upper tail of the normal distribution `Q(a) = erfc(a/√2) / 2 = e^(-a²/2) · t(a)`, where a² is split
//! exactly and t is the smooth function of `pieces.rs`.

use super::coefficients::{ERF_FULL, ERF_LOW};
use super::curve::Curve;
use super::exp::{Power, power};
use super::logistic::one_less;
use super::number::{Lanes, Parts, Two};
use super::pieces::{Pieces, SLOPE_FULL, SLOPE_LOW, TAIL_FULL, TAIL_LOW};
use gradchain_arith::Simd;

/// `e^(scale · a²)`.
#[inline(always)]
fn power_of_square<S: Simd, const FULL: bool>(a: Lanes<S>, scale: f64) -> Power<S> {
    if FULL {
        power::<S, FULL>(Two::product(a, a).scaled(a.all(scale)))
    } else {
        power::<S, FULL>(Two::one(a * a * scale))
    }
}

/// The piecewise polynomial at a.
#[inline(always)]
fn piecewise<S: Simd, const FULL: bool, const N: usize>(a: Two<S>, pieces: &Pieces<N>) -> Two<S> {
    let simd = a.high.simd;
    // Beyond the end of its quarter of a binade the last piece goes on.
    let place = a.high.at_most(pieces.last - 2.25) + pieces.offset;
    let piece = simd.binade_quarter_f64(place.value);
    let centre = Lanes::new(simd, simd.lookup_f64(&pieces.centre, piece));
    let rest = Lanes::new(simd, simd.lookup_f64(&pieces.centre_low, piece));
    // The first difference is exact next to a root.
    let (first, second) = (a.high - centre, a.low - rest);
    let h = first + second;
    let mut c = [h; N];
    for (c, row) in c.iter_mut().zip(&pieces.coefficients) {
        *c = Lanes::new(simd, simd.lookup_f64(row, piece));
    }
    if !FULL {
        return Two::one(h.polynomial_of(&c));
    }
    // c0 + (first + second) (c1 + h bend); where c0 is zero, the product must keep its relative accuracy.
    let (c0, c1) = (c[0], c[1]);
    // The zeros cost a multiplication or two: an array of N - 2 cannot be named.
    let zero = h.all(0.0);
    (c[0], c[1]) = (zero, zero);
    let bent = h.polynomial_of(&c);
    let c0_low = Lanes::new(simd, simd.lookup_f64(&pieces.low[0], piece));
    let c1_low = Lanes::new(simd, simd.lookup_f64(&pieces.low[1], piece));
    let linear = Two::product(first, c1);
    let bent = bent + h.mul_add(c1_low, second.mul_add(c1, c0_low));
    let sum = Two::sum(c0, linear.high);
    Two::sum_ordered(sum.high, sum.low + (linear.low + bent))
}

/// `t(a) = e^(a²/2) Q(a)`.
#[inline(always)]
fn tail<S: Simd, const FULL: bool>(a: Two<S>) -> Two<S> {
    if FULL { piecewise::<S, FULL, _>(a, &TAIL_FULL) } else { piecewise::<S, FULL, _>(a, &TAIL_LOW) }
}

/// The greatest a that the pieces are made for.
const fn last(full: bool) -> f64 {
    if full { TAIL_FULL.last } else { TAIL_LOW.last }
}

/// `x Φ(x) = max(x, 0) - a Q(a)` with `a = |x|`; the slope is `Φ(x) + x φ(x)`.
pub(super) struct Gelu;

impl Curve for Gelu {
    const SLOPES_AT_INFINITY: [f64; 2] = [-0.0, 1.0];

    #[inline(always)]
    fn value<S: Simd, const FULL: bool>(x: Lanes<S>) -> Parts<S> {
        let a = x.abs().at_most(last(FULL));
        let e = power_of_square::<S, FULL>(a, -0.5);
        let t = tail::<S, FULL>(Two::one(a));
        if FULL {
            let lost = e.significand().times(t).times_one(a);
            let scaled = lost.scaled(e.scale).neg();
            let kept = Two::sum_ordered(x, scaled.high).plus_low(scaled.low);
            let left = Parts { value: lost.neg(), exponent: Some(e.exponent) };
            left.when(x.negative(), kept.into()).half_of_subnormal(x)
        } else {
            let lost = e.number::<FULL>().high * t.high * a;
            Two::one((-lost).when(x.negative(), x - lost)).into()
        }
    }

    #[inline(always)]
    fn slope<S: Simd, const FULL: bool>(x: Lanes<S>) -> Parts<S> {
        let a = x.abs().at_most(last(FULL));
        let e = power_of_square::<S, FULL>(a, -0.5);
        if FULL {
            let w = piecewise::<S, FULL, _>(Two::one(a), &SLOPE_FULL);
            let falling = Parts { value: e.significand().times(w), exponent: Some(e.exponent) };
            falling.when(x.negative(), one_less(falling.value, e.scale).into())
        } else {
            let w = piecewise::<S, FULL, _>(Two::one(a), &SLOPE_LOW);
            let falling = e.number::<FULL>().high * w.high;
            Two::one(falling.when(x.negative(), falling.all(1.0) - falling)).into()
        }
    }
}

/// `erf x = 1 - 2 Q(√2 x)` from 3/4 on, a polynomial in x² below; the slope is `2/√π e^(-x²)`.
pub(super) struct Erf;

/// `2/√π`.
const SLOPE_AT_0: [f64; 2] = [std::f64::consts::FRAC_2_SQRT_PI, 1.533545961316588e-17];

impl Curve for Erf {
    const SLOPES_AT_INFINITY: [f64; 2] = [0.0, 0.0];

    #[inline(always)]
    fn value<S: Simd, const FULL: bool>(x: Lanes<S>) -> Parts<S> {
        const SQRT_2: [f64; 2] = [std::f64::consts::SQRT_2, -9.667293313452913e-17];
        // 1 in f64 from 5.93 on.
        let a = x.abs().at_most(7.0);
        let e = power_of_square::<S, FULL>(a, -1.0);
        let w = x * x;
        let small = a.all(0.75);
        if FULL {
            let t = tail::<S, FULL>(Two::all(x, SQRT_2).times_one(a));
            let far = one_less(e.significand().times(t).scaled(x.all(2.0)), e.scale).signed(x);
            let bend = w.mul_add(w.polynomial(&ERF_FULL), x.all(SLOPE_AT_0[1]));
            let near = Two::product(x, x.all(SLOPE_AT_0[0])).plus_low(x * bend);
            near.when(a.less(small), far).into()
        } else {
            let t = tail::<S, FULL>(Two::one(a * SQRT_2[0]));
            let far = (t.high * (e.number::<FULL>().high * -2.0) + 1.0).with_sign_of(x);
            let near = x * w.mul_add(w.polynomial(&ERF_LOW), x.all(SLOPE_AT_0[0]));
            Two::one(near.when(a.less(small), far)).into()
        }
    }

    #[inline(always)]
    fn slope<S: Simd, const FULL: bool>(x: Lanes<S>) -> Parts<S> {
        let a = x.abs().at_most(if FULL { 38.5 } else { 19.5 });
        let e = power_of_square::<S, FULL>(a, -1.0);
        if FULL {
            let value = e.significand().times(Two::all(x, SLOPE_AT_0));
            Parts { value, exponent: Some(e.exponent) }
        } else {
            Two::one(e.number::<FULL>().high * SLOPE_AT_0[0]).into()
        }
    }
}

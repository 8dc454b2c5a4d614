//! erf and what is made of it: the distribution function of the normal law, and GELU.
//!
//! Everything comes from two functions without cancellation, both of `q = s²`: a series for small s, and `erfcx(s) = e^(s²) erfc(s)`
//! for the others. The exponential `e^(-s²)` stays a factor with an exponent of its own, and its argument has three parts
//! ([`Triple`]), so that tails are right to their last bit: erfc(700), which is about 2^-706931, no less than erfc(1).

use crate::double_double::DoubleDouble;
use crate::functions::{AtPoint, exp, magnitude, scaled_down};
use crate::roots;
use crate::smooth::CLOSED;
use crate::triple::Triple;
use std::f64::consts::{FRAC_1_PI, FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

/// 2/√π.
pub(crate) const TWO_OVER_ROOT_PI: DoubleDouble =
    DoubleDouble { hi: FRAC_2_SQRT_PI, lo: 1.533545961316588e-17 };

/// 1/√(2π), the density of the normal law at 0.
const DENSITY_AT_0: DoubleDouble = DoubleDouble { hi: 0.3989422804014327, lo: -2.49232720227773e-17 };

/// √½.
const ROOT_HALF: DoubleDouble = DoubleDouble { hi: FRAC_1_SQRT_2, lo: -4.833646656726457e-17 };

/// 1/π.
const INVERSE_PI: DoubleDouble = DoubleDouble { hi: FRAC_1_PI, lo: -1.9678676675182486e-17 };

/// 6π.
const SIX_PI: DoubleDouble = DoubleDouble { hi: 18.84955592153876, lo: 7.347880794884119e-16 };

/// Below this q the series is used: s below 1/2.
const SERIES_BELOW: f64 = 0.25;

/// The s at which the pole of the trapezoidal rule lies a period away: 3π.
const POLE_FROM: f64 = 9.42477796076938;

/// (-1)^n / (n! (2n + 1)) for n = 0..=11.
const SERIES: [DoubleDouble; 12] = [
    DoubleDouble { hi: 1.0, lo: 0.0 },
    DoubleDouble { hi: -0.3333333333333333, lo: -1.850371707708594e-17 },
    DoubleDouble { hi: 0.1, lo: -5.551115123125783e-18 },
    DoubleDouble { hi: -0.023809523809523808, lo: -1.32169407693471e-18 },
    DoubleDouble { hi: 0.004629629629629629, lo: 2.569960705150825e-19 },
    DoubleDouble { hi: -0.0007575757575757576, lo: -6.570922257487906e-22 },
    DoubleDouble { hi: 0.00010683760683760684, lo: 9.266685234918841e-23 },
    DoubleDouble { hi: -1.3227513227513228e-05, lo: 5.532155926405864e-22 },
    DoubleDouble { hi: 1.4589169000933706e-06, lo: 1.009163436691398e-22 },
    DoubleDouble { hi: -1.4503852223150468e-07, lo: -2.75729942161183e-24 },
    DoubleDouble { hi: 1.3122532963802806e-08, lo: -7.589026085854777e-25 },
    DoubleDouble { hi: -1.0892221037148573e-09, lo: -2.691902001941988e-26 },
];

/// The same for n = 12..=21: at q < 1/4 these terms lie 2^-57 below the sum, so f64 is enough for them.
const SERIES_TAIL: [f64; 10] = [
    8.35070279514724e-11,
    -5.9477940136376354e-12,
    3.9554295164585257e-13,
    -2.466827010264457e-14,
    1.4483264643598138e-15,
    -8.032735012415773e-17,
    4.221407288807088e-18,
    -2.107855191442136e-19,
    1.0025164934907719e-20,
    -4.5518467589282e-22,
];

/// e^(-n²/9) for n = 1..=27.
const WEIGHTS: [DoubleDouble; 27] = [
    DoubleDouble { hi: 0.8948393168143698, lo: -1.497302238813192e-17 },
    DoubleDouble { hi: 0.6411803884299546, lo: -3.520591975660814e-17 },
    DoubleDouble { hi: 0.36787944117144233, lo: -1.2428753672788363e-17 },
    DoubleDouble { hi: 0.16901331540606607, lo: 9.783193514480887e-18 },
    DoubleDouble { hi: 0.06217652402211631, lo: -1.1339810300018466e-18 },
    DoubleDouble { hi: 0.01831563888873418, lo: 1.6250688994271399e-18 },
    DoubleDouble { hi: 0.004320239474094067, lo: -3.541522346305961e-19 },
    DoubleDouble { hi: 0.0008159878350721479, lo: 1.645517829627671e-20 },
    DoubleDouble { hi: 0.00012340980408667956, lo: -1.1716659184174644e-20 },
    DoubleDouble { hi: 1.4945338524781446e-05, lo: -2.1211500391171047e-22 },
    DoubleDouble { hi: 1.4492788871477613e-06, lo: 5.486186824838039e-24 },
    DoubleDouble { hi: 1.1253517471925912e-07, lo: -1.94396212385793e-24 },
    DoubleDouble { hi: 6.99704599426507e-09, lo: 2.9084346773577636e-25 },
    DoubleDouble { hi: 3.483624072895636e-10, lo: 1.2871248808079175e-26 },
    DoubleDouble { hi: 1.3887943864964021e-11, lo: -3.0169520590348644e-28 },
    DoubleDouble { hi: 4.433377746328039e-13, lo: -1.7878644617090055e-30 },
    DoubleDouble { hi: 1.133239324797551e-14, lo: -2.335376463037603e-31 },
    DoubleDouble { hi: 2.3195228302435696e-16, lo: -2.4569853636432666e-32 },
    DoubleDouble { hi: 3.801594419390546e-18, lo: 1.7409973844295315e-34 },
    DoubleDouble { hi: 4.9891093927950105e-20, lo: 1.772877127351789e-36 },
    DoubleDouble { hi: 5.242885663363464e-22, lo: 3.946311221816784e-39 },
    DoubleDouble { hi: 4.4117191969960055e-24, lo: -3.3666691011993708e-40 },
    DoubleDouble { hi: 2.972593012420698e-26, lo: -2.2252851108737875e-42 },
    DoubleDouble { hi: 1.603810890548638e-28, lo: -7.361325221284214e-45 },
    DoubleDouble { hi: 6.928847118330184e-31, lo: 8.967103839578447e-48 },
    DoubleDouble { hi: 2.3969496688980594e-33, lo: 1.2833429749681595e-49 },
    DoubleDouble { hi: 6.639677199580735e-36, lo: -4.116072741059906e-52 },
];

/// `erf(s) / s · √π/2 = Σ (-q)^n / (n! (2n + 1))` with `q = s²` up to 1/4; truncated at 2^-115 of the sum, relative error at most 2^-101.
#[inline(always)]
fn erf_series(q: DoubleDouble) -> DoubleDouble {
    let tail = SERIES_TAIL.into_iter().rev().fold(0.0, |sum, term| f64::mul_add(sum, q.hi, term));
    SERIES.into_iter().rev().fold(DoubleDouble::from(tail), |sum, term| sum.times(q).plus(term))
}

/// `e^q erfc(s)` with `q = s²`, for s from 1/2 on; relative error at most 2^-98.
///
/// The trapezoidal rule with step h = 1/3 for the integral `erfcx(s) = (s/π) ∫ e^(-u²) / (u² + s²) du` over all real u, and the residue of its
/// pole where that lies within a period of the step (Goodwin 1949; Chiarella and Reichel 1968; Hunter and Regan 1972, "A note on the evaluation of the
/// complementary error function"). With `S = s/h`
///
/// ```text
/// erfcx(s) = (S/π) (1/S² + 2 Σ e^(-n²h²) / (n² + S²)) - 2 e^q / (e^(2πS) - 1)
/// ```
///
/// up to a relative 2^-123: `e^(-π²/h²)` is 2^-128, and the terms from n = 28 on are as small. All terms of the sum are positive, and the residue
/// is at most 2^-12 of it.
#[inline(always)]
fn scaled_erfc(s: DoubleDouble, q: DoubleDouble) -> DoubleDouble {
    let square = q.times_f64(9.0);
    let mut sum = DoubleDouble::default();
    let mut n = WEIGHTS.len() as f64;
    for weight in WEIGHTS.into_iter().rev() {
        sum = sum.plus(weight.divided_by(square.plus_f64(n * n)));
        n -= 1.0;
    }
    sum = sum.times_power(2.0).plus(DoubleDouble::ONE.divided_by(square));
    let integral = sum.times(s).times(INVERSE_PI).times_f64(3.0);
    if s.hi >= POLE_FROM {
        return integral;
    }
    let (period, of_period) = exp(s.times(SIX_PI).negated());
    let (growth, of_growth) = exp(q);
    let rest = scaled_down(period, of_period).negated().plus_f64(1.0);
    let residue = scaled_down(growth.times(period), of_growth + of_period).divided_by(rest);
    integral.minus(residue.times_power(2.0))
}

/// `erf x` and `2/√π e^(-x²)`. Relative errors at most 2^-95; the derivative is 0 where `x² >= 2^40`.
#[inline(always)]
pub(crate) fn erf_with_derivative(x: DoubleDouble) -> AtPoint {
    let size = Triple::from(magnitude(x));
    let square = size.times(size);
    let q = square.to_double_double();
    let (m, e) = square.times_power(-1.0).exp();
    let value = if q.hi < SERIES_BELOW {
        x.times(TWO_OVER_ROOT_PI).times(erf_series(q))
    } else {
        let complement = scaled_down(m.times(scaled_erfc(magnitude(x), q)), e);
        let value = complement.negated().plus_f64(1.0);
        if x.hi < 0.0 { value.negated() } else { value }
    };
    ((value, 0), (m.times(TWO_OVER_ROOT_PI), e))
}

/// `x Φ(x)` and `Φ(x) + x φ(x)`, with Φ and φ the distribution function and the density of the normal law.
///
/// Below 0 both have the factor `g = e^(-x²/2)`: with `t = -x` and `r = erfcx(t/√2) / 2`, the value is `-t g r` and the derivative `g (r - t/√(2π))`,
/// which cancels beside its root -0.7518 alone ([`roots`]). Relative errors at most 2^-95. For negative x with `x² >= 2^41` both are 0.
#[inline(always)]
pub(crate) fn gelu_with_derivative(x: DoubleDouble) -> AtPoint {
    let t = magnitude(x);
    let half_square = Triple::from(t).times(Triple::from(t)).times_power(0.5);
    let q = half_square.to_double_double();
    let (m, e) = half_square.times_power(-1.0).exp();
    if q.hi < SERIES_BELOW {
        let probability = x.times(DENSITY_AT_0).times(erf_series(q)).plus_f64(0.5);
        let bend = x.times(DENSITY_AT_0).times(scaled_down(m, e));
        return ((x.times(probability), 0), (probability.plus(bend), 0));
    }
    if x.hi < 0.0 && m.hi == 0.0 {
        return CLOSED;
    }
    let tail = scaled_erfc(t.times(ROOT_HALF), q).times_power(0.5);
    let bend = t.times(DENSITY_AT_0);
    if x.hi < 0.0 {
        let value = (x.times(m.times(tail)), e);
        return (value, roots::GELU.nearby(x).map_or((m.times(tail.minus(bend)), e), |slope| (slope, 0)));
    }
    let probability = scaled_down(m.times(tail), e).negated().plus_f64(1.0);
    ((x.times(probability), 0), (probability.plus(scaled_down(m.times(bend), e)), 0))
}

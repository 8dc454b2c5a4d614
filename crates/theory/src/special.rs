//! Special functions: the error function and its kin, and the first polygamma functions.
//!
//! All are fixed sequences of `+ - · /`, square roots and functions of the pinned `libm` crate, so that a prediction has the same bits on
//! every machine.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// The error function `(2/√π) ∫_0^x e^(-t²) dt`, within an ulp (`libm`).
pub fn erf(x: f64) -> f64 {
    libm::erf(x)
}

/// `1 - erf(x)` without cancellation, within an ulp (`libm`).
pub fn erfc(x: f64) -> f64 {
    libm::erfc(x)
}

/// Density of the standard normal distribution, `e^(-x²/2) / √(2π)`. Relative error below `(x²/2 + 4)` unit roundoffs.
pub fn normal_density(x: f64) -> f64 {
    libm::exp(-0.5 * x * x) / (2.0 * PI).sqrt()
}

/// Distribution function of the standard normal distribution, `erfc(-x/√2) / 2`: also for negative x to a relative error below
/// `(x² + 4)` unit roundoffs.
pub fn normal_distribution(x: f64) -> f64 {
    0.5 * erfc(-x * FRAC_1_SQRT_2)
}

/// Where the asymptotic series of the polygamma functions begin: there their first omitted term is below 1e-17 of the first.
const ASYMPTOTIC: f64 = 12.0;

/// The Bernoulli numbers B_2 to B_16.
const BERNOULLI: [f64; 8] = [
    1.0 / 6.0,
    -1.0 / 30.0,
    1.0 / 42.0,
    -1.0 / 30.0,
    5.0 / 66.0,
    -691.0 / 2730.0,
    7.0 / 6.0,
    -3617.0 / 510.0,
];

/// The digamma function `ψ(x) = d/dx ln Γ(x)` for x > 0, within 1.5e-15 · max(1, |ψ|); NaN elsewhere. Its first zero is at 1.4616.
///
/// Recurrence and asymptotic series of Abramowitz and Stegun (1964), 6.3.5 and 6.3.18.
pub fn digamma(x: f64) -> f64 {
    digamma_minus_ln(x) + libm::log(x)
}

/// `ψ(x) - ln x`, which is near `-1/(2x)`, for x > 0 to a relative error below 1e-14; NaN elsewhere.
///
/// The mean of the logarithm of a chi-square variable of n degrees of freedom over its mean n is this at n/2; through [`digamma`] it would lose
/// all digits at large n.
pub fn digamma_minus_ln(x: f64) -> f64 {
    if x.is_nan() || x <= 0.0 {
        return f64::NAN;
    }
    let (mut shifted, mut sum) = (x, 0.0);
    while shifted < ASYMPTOTIC {
        sum -= 1.0 / shifted;
        shifted += 1.0;
    }
    let inverse_square = 1.0 / (shifted * shifted);
    let mut series = 0.0;
    for (k, bernoulli) in BERNOULLI.iter().enumerate().rev() {
        series = inverse_square * (bernoulli / (2 * k + 2) as f64 + series);
    }
    let logarithm = if shifted == x { 0.0 } else { libm::log(shifted / x) };
    (sum + logarithm) - 0.5 / shifted - series
}

/// The trigamma function `ψ_1(x) = d²/dx² ln Γ(x)` for x > 0, to a relative error below 2e-15; NaN elsewhere.
///
/// Recurrence and asymptotic series of Abramowitz and Stegun (1964), 6.4.6 and 6.4.12.
pub fn trigamma(x: f64) -> f64 {
    if x.is_nan() || x <= 0.0 {
        return f64::NAN;
    }
    let (mut shifted, mut sum) = (x, 0.0);
    while shifted < ASYMPTOTIC {
        sum += 1.0 / (shifted * shifted);
        shifted += 1.0;
    }
    let inverse = 1.0 / shifted;
    let inverse_square = inverse * inverse;
    let mut series = 0.0;
    for bernoulli in BERNOULLI.iter().rev() {
        series = inverse_square * (bernoulli + series);
    }
    sum + inverse * (1.0 + 0.5 * inverse + series)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of Abramowitz and Stegun, tables 6.1 and 7.1, and closed forms.
    #[test]
    fn known_values() {
        let euler = 0.577_215_664_901_532_9;
        let ln2 = std::f64::consts::LN_2;
        assert!((digamma(1.0) + euler).abs() < 4e-16);
        assert!((digamma(0.5) + euler + 2.0 * ln2).abs() < 1e-15);
        assert!((digamma(0.25) + euler + PI / 2.0 + 3.0 * ln2).abs() < 4e-15);
        assert!((digamma(1.461_632_144_968_362_3)).abs() < 1e-15);
        assert!((trigamma(1.0) / (PI * PI / 6.0) - 1.0).abs() < 1e-15);
        assert!((trigamma(0.5) / (PI * PI / 2.0) - 1.0).abs() < 1e-15);
        let catalan = 0.915_965_594_177_219;
        assert!((trigamma(0.25) / (PI * PI + 8.0 * catalan) - 1.0).abs() < 1e-15);
        assert!((normal_distribution(-10.0) / 7.619_853_024_160_527e-24 - 1.0).abs() < 1e-14);
    }

    /// ψ(n) and ψ_1(n) of whole numbers are finite sums; the recurrence holds across the start of the series.
    #[test]
    fn whole_numbers_and_recurrence() {
        let euler = 0.577_215_664_901_532_9;
        let (mut harmonic, mut squares) = (0.0, 0.0);
        for n in 1..2000 {
            let x = f64::from(n);
            // What the sums of the test itself lose.
            let lost = 2e-16 * x.max(20.0);
            assert!((digamma(x) - (harmonic - euler)).abs() < lost, "{n}");
            assert!((trigamma(x) - (PI * PI / 6.0 - squares)).abs() < lost, "{n}");
            harmonic += 1.0 / x;
            squares += 1.0 / (x * x);
        }
        for k in 1..400 {
            let x = f64::from(k) * 0.0731;
            assert!((digamma(x + 1.0) - digamma(x) - 1.0 / x).abs() < 1e-14 * (1.0 + 1.0 / x), "{x}");
            assert!(
                (trigamma(x) - trigamma(x + 1.0) - 1.0 / (x * x)).abs() < 1e-14 * (1.0 + 1.0 / (x * x)),
                "{x}"
            );
        }
    }

    #[test]
    fn far_and_bad_arguments() {
        for x in [1e5, 1e8, 1e100, 1e300] {
            assert!((digamma_minus_ln(x) / (-0.5 / x - 1.0 / 12.0 / x / x) - 1.0).abs() < 1e-14, "{x}");
            assert!((trigamma(x) * x - 1.0 - 0.5 / x).abs() < 1e-6, "{x}");
        }
        for x in [0.0, -0.5, f64::NAN, f64::NEG_INFINITY] {
            assert!(digamma(x).is_nan() && trigamma(x).is_nan() && digamma_minus_ln(x).is_nan(), "{x}");
        }
        assert_eq!(digamma(f64::INFINITY), f64::INFINITY);
        assert_eq!(trigamma(f64::INFINITY), 0.0);
        assert_eq!(trigamma(1e-300), f64::INFINITY);
    }
}

//! Chains `g_k = fl(g_(k-1) r)` of one constant factor r, from g_0 = 1: where they leave the range, and where they stick.

use crate::error::{TheoryError, positive};

/// Depths at which a chain can pass a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// No chain of rounded products passes it before.
    pub earliest: u64,
    /// Where the exact powers pass it.
    pub exact: u64,
    /// Every chain has passed it here; None if roundings might hold it back for ever.
    pub latest: Option<u64>,
}

/// Where the powers of `factor` pass `2^log2_threshold`: rise to it at least (factor above 1), or fall below it (factor below 1).
///
/// Each product has a relative error of at most u, so that `log2 g_k` lies within `k log2(1 ± u)` of `k log2 r`; that gives the earliest and the
/// latest depth. `factor` is the factor as the format has it: a decimal one may be off by u itself. Holds above the subnormal range and at the
/// passage into it, where the last product may round up to the least normal number once more, and with the factor `1 - u` for ever. None if the
/// powers never pass.
///
/// # Errors
/// If the factor is not a finite number above 0, the unit roundoff not in 0..1 or the threshold not finite.
pub fn crossing(factor: f64, log2_threshold: f64, unit: f64) -> Result<Option<Crossing>, TheoryError> {
    let rate = libm::log2(positive("factor", factor)?);
    if !(0.0..1.0).contains(&unit) {
        return Err(TheoryError::OutOfRange { what: "unit", value: unit, allowed: "0 to below 1" });
    }
    if !log2_threshold.is_finite() {
        let value = log2_threshold;
        return Err(TheoryError::OutOfRange { what: "log2_threshold", value, allowed: "a finite number" });
    }
    if rate == 0.0 || (rate > 0.0) != (log2_threshold > 0.0) {
        return Ok(None);
    }
    let (up, down) =
        (libm::log1p(unit) * std::f64::consts::LOG2_E, libm::log1p(-unit) * std::f64::consts::LOG2_E);
    let rising = rate > 0.0;
    let at = |rate: f64| {
        let depth = log2_threshold / rate;
        // Rising chains pass when they reach it, falling ones when they are below it.
        if rising { depth.ceil() as u64 } else { depth.floor() as u64 + 1 }
    };
    let (fast, slow) = if rising { (rate + up, rate + down) } else { (rate + down, rate + up) };
    let held = if rising { slow <= 0.0 } else { slow >= 0.0 || 1.0 - factor <= unit };
    let latest = (!held).then(|| at(slow) + u64::from(!rising));
    Ok(Some(Crossing { earliest: at(fast), exact: at(rate), latest }))
}

/// The number m for which a falling chain sticks at m times the least subnormal number under rounding to nearest, ties to even: the largest m with
/// `m (1 - r) <= 1/2`, where a tie asks for an even m. (Worked out here: m r rounds to m.)
///
/// `factor` is the factor as the format has it. None if the chain reaches 0 (r <= 1/2) or does not fall (r >= 1); with subnormals flushed to zero
/// every falling chain reaches 0.
pub fn sticking_multiple(factor: f64) -> Option<u64> {
    if factor.is_nan() || factor <= 0.5 || factor >= 1.0 {
        return None;
    }
    // Exact: both numbers are within a factor of two.
    let lost = 1.0 - factor;
    let mut m = (0.5 / lost).ceil();
    // The sign of m · lost - 1/2, exactly.
    while libm::fma(m, lost, -0.5) > 0.0 {
        m -= 1.0;
    }
    if libm::fma(m, lost, -0.5) == 0.0 && m % 2.0 != 0.0 {
        m -= 1.0;
    }
    Some(m as u64)
}

/// Where a sum of ones stops under rounding to nearest, ties to even: `2^p`.
pub fn sum_of_ones(precision: u32) -> f64 {
    libm::ldexp(1.0, precision.min(2000) as i32)
}

/// The largest addend that may be lost beside `sum`: half a unit in its last place, `2^(⌊log2 sum⌋ - p)`. A smaller one is lost for certain, this
/// one itself if the last bit of the sum is even. 0 for sum 0; NaN if it is not finite.
pub fn largest_lost_addend(sum: f64, precision: u32) -> f64 {
    if sum == 0.0 {
        return 0.0;
    }
    if !sum.is_finite() {
        return f64::NAN;
    }
    let (_, exponent) = libm::frexp(sum);
    libm::ldexp(1.0, exponent - 1 - precision.min(5000) as i32)
}

/// The ratio of weight to update from which the update may be lost, `2^p`, and that above which it is lost for certain, `2^(p+1)`: 2048 and 4096
/// for f16 (Micikevicius et al. 2018, arXiv:1710.03740, section 3.1).
pub fn lost_update_ratios(precision: u32) -> (f64, f64) {
    let ratio = sum_of_ones(precision);
    (ratio, 2.0 * ratio)
}

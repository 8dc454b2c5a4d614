//! What finite width adds to mean-field theory: fluctuations of `ln‖g‖²` of order depth over width.
//!
//! For width n and depth d, `Var ln‖g‖² ≈ v d/n`, with
//!
//! `v = (3 m_4/m_2² - 1) + A² σ_w⁴ Var φ² + 2 A σ_w² Cov(φ², φ'²)/m_2`, `m_k = E φ'^k`, `A = (d ln m_2/dq) / (1 - χ_q)`.
//!
//! The first term comes from the draw of a layer's weights and slopes at given q, as in Hanin and Nica (2018, arXiv:1812.05994): 2 for linear
//! networks, 5 for ReLU. The others come from q itself, which fluctuates by `σ_w² √(Var φ²/n)` a layer and forgets at the rate χ_q. The formula is
//! derived here from the variance map and holds to first order in 1/n, for d much larger than ξ_q and n much larger than v; near half-stable points
//! v is large, and large widths are needed.

use crate::error::TheoryError;
use crate::mean_field::{Growth, Limit, MeanField};
use crate::moments::{mean_power_of_outer_slopes, moments};

/// v, to first order in 1/n, at the fixed point that `growth` found.
///
/// Infinite at χ_q = 1, where q is not held, unless the slopes do not depend on q.
///
/// # Errors
/// If the fixed point is above 1e70, where fourth powers overflow, or not stable (χ_q > 1).
pub fn log_variance_coefficient(field: MeanField, growth: &Growth) -> Result<f64, TheoryError> {
    let activation = field.activation();
    if activation.homogeneous_slopes().is_some() || growth.limit == Limit::Diverges {
        let (m2, m4) = (mean_power_of_outer_slopes(activation, 2), mean_power_of_outer_slopes(activation, 4));
        return Ok(3.0 * m4 / (m2 * m2) - 1.0);
    }
    let (q, factor) = (growth.variance, growth.variance_factor);
    if q > 1e70 {
        return Err(TheoryError::OutOfRange { what: "q*", value: q, allowed: "0 to 1e70" });
    }
    if factor.is_nan() || factor > 1.0 {
        return Err(TheoryError::OutOfRange {
            what: "variance_factor",
            value: factor,
            allowed: "at most 1: a stable fixed point",
        });
    }
    let m = moments(activation, q);
    let at_given_q = 3.0 * m.slope4 / (m.slope2 * m.slope2) - 1.0;
    if m.slope2_rate == 0.0 || field.weight_variance() == 0.0 || q == 0.0 {
        // At q = 0 there is nothing that fluctuates.
        return Ok(at_given_q);
    }
    let per_unit = m.slope2_rate / m.slope2 / (1.0 - factor);
    let spread = per_unit * field.weight_variance();
    let value_variance = m.value4 - m.value2 * m.value2;
    let covariance = m.value2_slope2 - m.value2 * m.slope2;
    Ok(at_given_q + spread * spread * value_variance + 2.0 * spread * covariance / m.slope2)
}

/// Mean of `ln‖g‖²` added per layer at width n: `ln χ_1 - v/(2n)`, the log-normal value at which `E‖g‖² = χ_1^d`.
///
/// To first order in 1/n, and exact in that order where `E‖g‖²` is (linear and ReLU networks); simulations of tanh and sigmoid networks agree
/// within their errors of 5% to 30% of the shift.
///
/// # Errors
/// If the width is 0 or above 2^32.
pub fn mean_log_growth(gradient_factor: f64, coefficient: f64, width: usize) -> Result<f64, TheoryError> {
    let n = crate::error::width("width", width)?;
    Ok(libm::log(gradient_factor) - 0.5 * coefficient / n)
}

/// Standard error of the mean rate `log2‖g‖` per layer, over `draws` independent networks: `√(v / (n d N)) / (2 ln 2)`.
///
/// # Errors
/// If the width, depth or number of draws is 0 or above 2^32.
pub fn rate_standard_error(
    coefficient: f64,
    width: usize,
    depth: usize,
    draws: usize,
) -> Result<f64, TheoryError> {
    let n = crate::error::width("width", width)?;
    let (d, draws) = (crate::error::width("depth", depth)?, crate::error::width("draws", draws)?);
    Ok((coefficient / n / d / draws).sqrt() / (2.0 * std::f64::consts::LN_2))
}

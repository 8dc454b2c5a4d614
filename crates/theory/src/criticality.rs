//! Critical networks, χ_1 = 1: the edge of chaos of Poole et al. (2016) and Schoenholz et al. (2017).
//!
//! The line is given by the variance q of pre-activations (notebook of Poole et al.): `σ_w² = 1 / E φ'(√q z)²` makes χ_1 = 1 and
//! `σ_b² = q - σ_w² E φ(√q z)²` makes q a fixed point. Roberts, Yaida and Hanin (2021, arXiv:2106.10165, section 5.3.4) call a point with
//! χ_q = 1 as well half-stable. Of its printed values for SiLU one public code has C_b = 0.055514317; the true one is 0.55514317.

use crate::activation::Activation;
use crate::error::{TheoryError, positive};
use crate::moments::{moments, slope2, value2};
use crate::quadrature::MAX_VARIANCE;
use crate::roots::bisect;

/// A network with χ_1 = 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CriticalPoint {
    /// The fixed point q* (for identity, ReLU and leaky ReLU, where every variance is one, 1 stands for all).
    pub variance: f64,
    /// σ_w².
    pub weight_variance: f64,
    /// σ_b².
    pub bias_variance: f64,
    /// χ_q: the fixed point is stable below 1, half-stable at 1 and not reached above.
    pub variance_factor: f64,
}

/// The critical network whose fixed point is `q`.
///
/// # Errors
/// If q is negative, NaN or above 1e300, or if its critical network would need a negative σ_b².
pub fn critical_at(activation: Activation, q: f64) -> Result<CriticalPoint, TheoryError> {
    if !(0.0..=MAX_VARIANCE).contains(&q) {
        return Err(TheoryError::OutOfRange { what: "q", value: q, allowed: "0 to 1e300" });
    }
    let (point, noise) = point_at(activation, q);
    if point.bias_variance < -noise {
        return Err(TheoryError::OutOfRange {
            what: "q",
            value: q,
            allowed: "variances with E φ² <= q E φ'², as the critical network needs a bias variance of at least 0",
        });
    }
    Ok(CriticalPoint { bias_variance: point.bias_variance.max(0.0), ..point })
}

/// All critical networks with biases of standard deviation `bias_scale`, q increasing.
///
/// Found as changes of sign of `q - E φ² / E φ'² - σ_b²` over q from 1e-12 to 1e6 in steps of 10%, bisected to the last bit; q = 0 is a
/// solution where σ_b = 0 and φ(0) = 0, except at a kink. The error of σ_w is below 1e-12 for σ_b above 1e-4.
///
/// # Errors
/// If `bias_scale` is negative, NaN or above 1e100.
pub fn critical_with_bias(
    activation: Activation,
    bias_scale: f64,
) -> Result<Vec<CriticalPoint>, TheoryError> {
    if !(0.0..=1e100).contains(&bias_scale) {
        return Err(TheoryError::OutOfRange { what: "bias_scale", value: bias_scale, allowed: "0 to 1e100" });
    }
    let bias_variance = bias_scale * bias_scale;
    if activation.homogeneous_slopes().is_some() {
        return Ok(if bias_variance == 0.0 { vec![point_at(activation, 1.0).0] } else { Vec::new() });
    }
    let mut points = Vec::new();
    if bias_variance == 0.0
        && activation.value(0.0) == 0.0
        && activation.kinks().iter().all(|kink| kink.at != 0.0)
    {
        points.push(point_at(activation, 0.0).0);
    }
    let relative = |q: f64| (bias_at(activation, q) - bias_variance) / q;
    points.extend(
        changes_of_sign(relative, 1e-13)
            .into_iter()
            .map(|q| CriticalPoint { bias_variance, ..point_at(activation, q).0 }),
    );
    Ok(points)
}

/// All critical networks with weights of variance `weight_variance / fan_in`, q increasing: `E φ'² = 1/σ_w²` for q between 1e-12 and 1e6, in
/// steps of 10%, where σ_b² is not negative. For identity, ReLU and leaky ReLU the one whose σ_w² is `weight_variance` to 4 units in the last place.
///
/// # Errors
/// If `weight_variance` is not a finite number above 0.
pub fn critical_with_weights(
    activation: Activation,
    weight_variance: f64,
) -> Result<Vec<CriticalPoint>, TheoryError> {
    let wanted = 1.0 / positive("weight_variance", weight_variance)?;
    if activation.homogeneous_slopes().is_some() {
        let point = point_at(activation, 1.0).0;
        let equal = (point.weight_variance / weight_variance - 1.0).abs() <= 4.0 * f64::EPSILON;
        return Ok(if equal { vec![point] } else { Vec::new() });
    }
    let roots = changes_of_sign(|q| slope2(activation, q) - wanted, 1e-14);
    Ok(roots.into_iter().filter_map(|q| critical_at(activation, q).ok()).collect())
}

/// Half-stable critical networks, χ_1 = χ_q = 1 with q* > 0 (Roberts, Yaida and Hanin 2021): changes of sign of `E φ φ''`, q from 1e-12 to 1e6, where
/// σ_b² is not negative. Empty for activations without such a point.
pub fn half_stable(activation: Activation) -> Vec<CriticalPoint> {
    if activation.homogeneous_slopes().is_some() {
        return Vec::new();
    }
    let roots = changes_of_sign(|q| moments(activation, q).value_curvature, 0.0);
    roots.into_iter().filter_map(|q| critical_at(activation, q).ok()).collect()
}

fn bias_at(activation: Activation, q: f64) -> f64 {
    q - value2(activation, q) / slope2(activation, q)
}

/// The point at q, whatever the sign of its σ_b², and the rounding error of that.
fn point_at(activation: Activation, q: f64) -> (CriticalPoint, f64) {
    let weight_variance = 1.0 / slope2(activation, q);
    let curvature =
        if activation.homogeneous_slopes().is_some() { 0.0 } else { moments(activation, q).value_curvature };
    let point = CriticalPoint {
        variance: q,
        weight_variance,
        bias_variance: if activation.homogeneous_slopes().is_some() { 0.0 } else { bias_at(activation, q) },
        variance_factor: 1.0 + weight_variance * curvature,
    };
    (point, 1e-13 * q)
}

/// Where f changes its sign between 1e-12 and 1e6; magnitudes up to `noise` have no sign.
fn changes_of_sign(f: impl Fn(f64) -> f64, noise: f64) -> Vec<f64> {
    let mut roots = Vec::new();
    let mut clear: Option<(f64, f64)> = None;
    let mut q = 1e-12;
    while q <= 1e6 {
        let value = f(q);
        if value.abs() > noise {
            if let Some((from, before)) = clear
                && (before < 0.0) != (value < 0.0)
            {
                roots.push(bisect(from, q, &f));
            }
            clear = Some((q, value));
        }
        q *= 1.1;
    }
    roots
}

//! Moments of an activation and its slope under normal pre-activations: what all of mean-field theory is made of.
//!
//! x is normal with mean 0 and variance q throughout. Closed forms stand where they keep all digits; the rest is quadrature with an error below
//! 1e-13, relative to the mean of the absolute integrand ([`gaussian_mean`]).

use crate::activation::{Activation, SELU};
use crate::quadrature::gaussian_mean;
use crate::special::{erf, erfc, normal_density, normal_distribution};
use std::f64::consts::{FRAC_1_PI, FRAC_2_PI, SQRT_2};

/// Means over x normal with variance q.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    /// `E φ`.
    pub mean: f64,
    /// `E φ²`.
    pub value2: f64,
    /// `E φ⁴`.
    pub value4: f64,
    /// `E φ'²`.
    pub slope2: f64,
    /// `E φ'⁴`.
    pub slope4: f64,
    /// `E φ² φ'²`.
    pub value2_slope2: f64,
    /// `E φ φ''`, jumps of the slope included.
    pub value_curvature: f64,
    /// `d/dq E φ'²`, jumps of the slope included; NaN at q = 0.
    pub slope2_rate: f64,
}

/// All moments by quadrature; NaN if q is not in 0..=1e300. Fourth powers of values overflow from about q = 1e75 on.
pub fn moments(activation: Activation, q: f64) -> Moments {
    let [mean, value2, value4, slope2, slope4, value2_slope2, smooth, rate] =
        gaussian_mean(q, &kinks(activation), |x| {
            let (value, slope, curvature) =
                (activation.value(x), activation.slope(x), activation.curvature(x));
            let (v2, s2) = (value * value, slope * slope);
            [value, v2, v2 * v2, s2, s2 * s2, v2 * s2, value * curvature, x * slope * curvature]
        });
    let (mut value_curvature, mut slope2_rate) = (smooth, if q > 0.0 { rate / q } else { f64::NAN });
    for kink in activation.kinks() {
        // A jump of the slope is a delta function of the curvature; at 0 it meets φ = 0 and x = 0.
        if kink.at != 0.0 && q > 0.0 {
            let density = normal_density(kink.at / q.sqrt()) / q.sqrt();
            value_curvature += activation.value(kink.at) * (kink.after - kink.before) * density;
            slope2_rate +=
                kink.at * (kink.after * kink.after - kink.before * kink.before) * density / (2.0 * q);
        }
    }
    Moments { mean, value2, value4, slope2, slope4, value2_slope2, value_curvature, slope2_rate }
}

/// `E φ²`: a closed form, else quadrature. NaN if q is not in 0..=1e300.
pub fn value2(activation: Activation, q: f64) -> f64 {
    let closed = match activation {
        // Differences of large numbers: their sum keeps fewer digits than quadrature.
        Activation::HardTanh | Activation::Elu | Activation::Selu => None,
        Activation::Identity
        | Activation::Sigmoid
        | Activation::Relu
        | Activation::Tanh
        | Activation::LeakyRelu
        | Activation::Gelu
        | Activation::GeluTanh
        | Activation::Silu
        | Activation::Softplus
        | Activation::Erf => closed_value2(activation, q),
    };
    closed.unwrap_or_else(|| {
        let [mean] = gaussian_mean(q, &kinks(activation), |x| [activation.value(x) * activation.value(x)]);
        mean
    })
}

/// `E φ'²`: a closed form, else quadrature. At q = ∞ it is the mean square of the outer slopes; NaN if q is not in 0..=1e300 or ∞.
pub fn slope2(activation: Activation, q: f64) -> f64 {
    if q == f64::INFINITY {
        return mean_power_of_outer_slopes(activation, 2);
    }
    let closed = match activation {
        Activation::Elu | Activation::Selu => None,
        Activation::Identity
        | Activation::Sigmoid
        | Activation::Relu
        | Activation::Tanh
        | Activation::LeakyRelu
        | Activation::Gelu
        | Activation::GeluTanh
        | Activation::Silu
        | Activation::Softplus
        | Activation::Erf
        | Activation::HardTanh => closed_slope2(activation, q),
    };
    closed.unwrap_or_else(|| {
        let [mean] = gaussian_mean(q, &kinks(activation), |x| [activation.slope(x) * activation.slope(x)]);
        mean
    })
}

/// `E φ'^power` at infinite variance.
pub(crate) fn mean_power_of_outer_slopes(activation: Activation, power: u32) -> f64 {
    let (left, right) = activation.outer_slopes();
    0.5 * (libm::pow(left, f64::from(power)) + libm::pow(right, f64::from(power)))
}

/// `E φ²` in closed form, where there is one. The arc sines are those of Williams (1997, "Computing with infinite networks") and, for
/// GELU, of Tsuchida et al. (2021, arXiv:2002.08517); ELU, SELU and hard-tanh are integrals of exponentials and of x².
///
/// Hard-tanh and the exponential units lose digits at large and at small q: 1e-16 · max(q, 1/q) of the result, and ELU overflows
/// beyond q = 300. None if there is no closed form, or q is not in 0..=1e300.
pub fn closed_value2(activation: Activation, q: f64) -> Option<f64> {
    if q.is_nan() || !(0.0..=crate::quadrature::MAX_VARIANCE).contains(&q) {
        return None;
    }
    match activation {
        Activation::Identity | Activation::Relu | Activation::LeakyRelu => {
            Some(q * mean_power_of_outer_slopes(activation, 2))
        }
        Activation::Erf => Some(FRAC_2_PI * libm::asin(2.0 * q / (1.0 + 2.0 * q))),
        Activation::Gelu => {
            let algebraic = (q / (1.0 + q)) * (q / (1.0 + 2.0 * q).sqrt()) * FRAC_1_PI;
            Some(0.25 * q + q * (0.5 * FRAC_1_PI) * libm::asin(q / (1.0 + q)) + algebraic)
        }
        Activation::HardTanh => {
            let c = 1.0 / q.sqrt();
            if q == 0.0 {
                return Some(0.0);
            }
            Some(q * (erf(c / SQRT_2) - 2.0 * c * normal_density(c)) + erfc(c / SQRT_2))
        }
        Activation::Elu => Some(0.5 * q + negative_exponential2(q)),
        Activation::Selu => Some(SELU.0 * SELU.0 * (0.5 * q + SELU.1 * SELU.1 * negative_exponential2(q))),
        Activation::Sigmoid
        | Activation::Tanh
        | Activation::GeluTanh
        | Activation::Silu
        | Activation::Softplus => None,
    }
}

/// `E φ'²` in closed form, where there is one; sources as for [`closed_value2`], the derivative for GELU worked out from the same integral.
/// None if there is no closed form, or q is not in 0..=1e300.
pub fn closed_slope2(activation: Activation, q: f64) -> Option<f64> {
    if q.is_nan() || !(0.0..=crate::quadrature::MAX_VARIANCE).contains(&q) {
        return None;
    }
    match activation {
        Activation::Identity | Activation::Relu | Activation::LeakyRelu => {
            Some(mean_power_of_outer_slopes(activation, 2))
        }
        Activation::Erf => Some(4.0 * FRAC_1_PI / (1.0 + 4.0 * q).sqrt()),
        Activation::Gelu => {
            let wide = 1.0 + 2.0 * q;
            let algebraic = (q / (1.0 + q)) * ((3.0 + 5.0 * q) / wide) / wide.sqrt();
            Some(0.25 + 0.5 * FRAC_1_PI * (libm::asin(q / (1.0 + q)) + algebraic))
        }
        Activation::HardTanh => Some(if q == 0.0 { 1.0 } else { erf(1.0 / (2.0 * q).sqrt()) }),
        Activation::Elu => Some(0.5 + exponential(q, 2.0)),
        Activation::Selu => Some(SELU.0 * SELU.0 * (0.5 + SELU.1 * SELU.1 * exponential(q, 2.0))),
        Activation::Sigmoid
        | Activation::Tanh
        | Activation::GeluTanh
        | Activation::Silu
        | Activation::Softplus => None,
    }
}

/// `E e^(rate x)` over x < 0: `e^(rate² q/2) Φ(-rate √q)`.
fn exponential(q: f64, rate: f64) -> f64 {
    libm::exp(0.5 * rate * rate * q) * normal_distribution(-rate * q.sqrt())
}

/// `E (e^x - 1)²` over x < 0.
fn negative_exponential2(q: f64) -> f64 {
    exponential(q, 2.0) - 2.0 * exponential(q, 1.0) + 0.5
}

/// Where panels of quadrature must end.
pub(crate) fn kinks(activation: Activation) -> [f64; 2] {
    match activation.kinks() {
        [] => [0.0; 2],
        [one] => [one.at; 2],
        [first, .., last] => [first.at, last.at],
    }
}

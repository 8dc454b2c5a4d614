//! Mean-field signal propagation in wide random networks: Poole et al. 2016 (arXiv:1606.05340) and Schoenholz et al. 2017 (arXiv:1611.01232).
//!
//! Layers are `h = W x + b`, `x' = φ(h)`; entries of W are independent with mean 0 and variance σ_w²/fan_in, entries of b have variance σ_b². In the
//! limit of infinite width, h is normal with variance q and (z standard normal)
//!
//! - `q' = σ_w² E φ(√q z)² + σ_b²` (Poole et al., eq. 3), with the fixed point q*;
//! - `χ_1 = σ_w² E φ'(√q z)²` (Schoenholz et al., eq. 5): `E‖g‖²` is multiplied by it a layer, so that `log2 ‖g‖` grows by `log2(χ_1) / 2`;
//! - `χ_q = dq'/dq = σ_w² E[φ'² + φ φ'']`: how fast q comes to q*;
//! - depth scales `ξ = -1 / ln χ`: of the gradient and, in the ordered phase, of the correlation between two inputs with χ_1, of q with χ_q.
//!
//! What it assumes, beside infinite width: weights of the backward pass independent of those of the forward pass (exact in the limit; Yang 2019,
//! arXiv:1902.04760), and an upstream gradient that does not depend on the input. For finite widths see [`finite_width`](crate::finite_width).
//!
//! A few public values are not reproducible: for σ_b² = 0.04 code around Hayou et al. (2019) has σ_w² = 1.722 for tanh and 2.952 for swish, where
//! accurate quadrature has 1.700796 and 2.820826. Nothing here uses them.

use crate::activation::Activation;
use crate::error::TheoryError;
use crate::moments::{mean_power_of_outer_slopes, moments, slope2, value2};
use crate::quadrature::MAX_VARIANCE;
use crate::roots::{bisect, least};

/// A wide random network with the same activation and variances in every layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeanField {
    activation: Activation,
    weight_variance: f64,
    bias_variance: f64,
}

/// Where the variance of pre-activations goes with depth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// To this fixed point q*.
    Reached(f64),
    /// Nowhere: the map is the identity to rounding, as for linear networks and ReLU on the critical line.
    Kept,
    /// To infinity.
    Diverges,
}

/// How a network treats signals and gradients far from its ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Growth {
    /// Where the variance goes.
    pub limit: Limit,
    /// The variance at which the rest is taken: q*, the start if it is kept, ∞ if it diverges.
    pub variance: f64,
    /// χ_1, the factor of `E‖g‖²` per layer.
    pub gradient_factor: f64,
    /// χ_q, the factor of a small deviation from q* per layer.
    pub variance_factor: f64,
    /// `log2(χ_1) / 2`: what is added to `log2 ‖g‖` per layer.
    pub rate_log2: f64,
    /// ξ = -1/ln χ_1 layers: over it `‖g‖²` falls by e; negative where it grows, infinite at criticality.
    pub gradient_depth: f64,
    /// ξ_q = -1/ln χ_q layers.
    pub variance_depth: f64,
}

/// A layer on the way to the fixed point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TransientLayer {
    /// Variance q of the layer's pre-activations.
    pub variance: f64,
    /// σ_w² E φ'² at this q: the factor of `E‖g‖²` in this layer.
    pub gradient_factor: f64,
}

/// `-1 / ln χ` layers, the depth over which a quantity multiplied by χ a layer falls by e: negative for growth, infinite for χ = 1, 0 for χ = 0.
pub fn depth_scale(factor: f64) -> f64 {
    if factor == 1.0 { f64::INFINITY } else { -1.0 / libm::log(factor) }
}

/// The depth to which a network can be trained, about `6 ξ`: an observation in Schoenholz et al. (2017, figures 5 and 6), not a theorem. The
/// larger magnitude of growth or decay counts.
pub fn trainable_depth(gradient_depth: f64) -> f64 {
    6.0 * gradient_depth.abs()
}

impl MeanField {
    /// A network with weights of standard deviation `weight_scale / √fan_in` and biases of standard deviation `bias_scale`.
    ///
    /// The square of a rounded σ_w is not exact: for He's variance 2 take [`MeanField::from_variances`].
    ///
    /// # Errors
    /// If a scale is negative, NaN or infinite, or its square overflows.
    pub fn new(activation: Activation, weight_scale: f64, bias_scale: f64) -> Result<MeanField, TheoryError> {
        for (what, scale) in [("weight_scale", weight_scale), ("bias_scale", bias_scale)] {
            if !(0.0..=1e100).contains(&scale) {
                return Err(TheoryError::OutOfRange { what, value: scale, allowed: "0 to 1e100" });
            }
        }
        MeanField::from_variances(activation, weight_scale * weight_scale, bias_scale * bias_scale)
    }

    /// A network with weights of variance `weight_variance / fan_in` (σ_w²) and biases of variance `bias_variance` (σ_b²).
    ///
    /// # Errors
    /// If a variance is negative, NaN or above 1e200.
    pub fn from_variances(
        activation: Activation,
        weight_variance: f64,
        bias_variance: f64,
    ) -> Result<MeanField, TheoryError> {
        for (what, variance) in [("weight_variance", weight_variance), ("bias_variance", bias_variance)] {
            if !(0.0..=1e200).contains(&variance) {
                return Err(TheoryError::OutOfRange { what, value: variance, allowed: "0 to 1e200" });
            }
        }
        Ok(MeanField { activation, weight_variance, bias_variance })
    }

    /// φ.
    pub const fn activation(self) -> Activation {
        self.activation
    }

    /// σ_w².
    pub const fn weight_variance(self) -> f64 {
        self.weight_variance
    }

    /// σ_b².
    pub const fn bias_variance(self) -> f64 {
        self.bias_variance
    }

    /// The next layer's variance, `σ_w² E φ(√q z)² + σ_b²` (Poole et al. 2016, eq. 3); NaN if q is not in 0..=1e300.
    pub fn next_variance(self, q: f64) -> f64 {
        self.weight_variance * value2(self.activation, q) + self.bias_variance
    }

    /// χ at variance q, `σ_w² E φ'(√q z)²` (Schoenholz et al. 2017, eq. 5), which is χ_1 at q*; NaN if q is not in 0..=1e300 or ∞.
    pub fn gradient_factor(self, q: f64) -> f64 {
        self.weight_variance * slope2(self.activation, q)
    }

    /// χ_q, the slope of [`MeanField::next_variance`]: `σ_w² E[φ'² + φ φ'']` (Schoenholz et al. 2017, section 3), at q = ∞ that of the outer lines;
    /// NaN if q is not in 0..=1e300 or ∞.
    pub fn variance_factor(self, q: f64) -> f64 {
        if q == f64::INFINITY || self.activation.homogeneous_slopes().is_some() {
            return self.gradient_factor(q);
        }
        let moments = moments(self.activation, q);
        self.weight_variance * (moments.slope2 + moments.value_curvature)
    }

    /// Where the variance goes from the first layer's variance `start`.
    ///
    /// The map increases with q for every activation here, so the variances of successive layers go in one direction to the next fixed point.
    /// It is bracketed by steps of 10% (between 1e-12 and 1e6; of 10 beyond), tangent pairs included, and bisected to the last bit. The error of
    /// q* is about `1e-15 / |1 - χ_q|`, relative: near criticality no method in f64 has more digits. A variance that creeps up by less than
    /// 1e-12 a layer at 1e13 counts as divergent, one that creeps down below 1e-14 without biases as 0.
    ///
    /// # Errors
    /// If `start` is negative, NaN or above 1e300.
    pub fn limit(self, start: f64) -> Result<Limit, TheoryError> {
        let start = check_start(start)?;
        if self.activation.homogeneous_slopes().is_some() {
            return Ok(self.limit_of_straight_lines(start));
        }
        let at_zero = self.next_variance(0.0);
        if start == 0.0 && at_zero == 0.0 {
            return Ok(Limit::Reached(0.0));
        }
        let start = if start == 0.0 { at_zero } else { start };
        let excess = self.excess(start);
        if excess.abs() <= 2.0 * f64::EPSILON {
            return Ok(Limit::Reached(start));
        }
        Ok(self.next_root(start, excess > 0.0, at_zero))
    }

    /// Everything at once, for the first layer's variance `start`.
    ///
    /// # Errors
    /// As [`MeanField::limit`].
    pub fn growth(self, start: f64) -> Result<Growth, TheoryError> {
        let limit = self.limit(start)?;
        let variance = match limit {
            Limit::Reached(q) => q,
            Limit::Kept => start,
            Limit::Diverges => f64::INFINITY,
        };
        let gradient_factor = self.gradient_factor(variance);
        let variance_factor = self.variance_factor(variance);
        Ok(Growth {
            limit,
            variance,
            gradient_factor,
            variance_factor,
            rate_log2: 0.5 * libm::log2(gradient_factor),
            gradient_depth: depth_scale(gradient_factor),
            variance_depth: depth_scale(variance_factor),
        })
    }

    /// The first `layers` layers from the first layer's variance `start` on: what to compare with a chain that does not start at q*.
    ///
    /// Inputs of mean square m give `start = σ_w² m + σ_b²`. The gradient that has passed layers 1 to d down to the input has
    /// `ln E‖g‖² = Σ ln χ(q_l)`. A variance beyond 1e300 is returned as ∞.
    ///
    /// # Errors
    /// As [`MeanField::limit`], and if there are more than 2^20 layers.
    pub fn transient(self, start: f64, layers: usize) -> Result<Vec<TransientLayer>, TheoryError> {
        let mut variance = check_start(start)?;
        if layers > 1 << 20 {
            return Err(TheoryError::OutOfRange {
                what: "layers",
                value: layers as f64,
                allowed: "0 to 2^20",
            });
        }
        let mut passed = Vec::with_capacity(layers);
        for _ in 0..layers {
            passed.push(TransientLayer { variance, gradient_factor: self.gradient_factor(variance) });
            let next = self.next_variance(variance);
            variance = if next <= MAX_VARIANCE { next } else { f64::INFINITY };
        }
        Ok(passed)
    }

    /// `F(q)/q - 1`.
    fn excess(self, q: f64) -> f64 {
        self.next_variance(q) / q - 1.0
    }

    /// The map `q' = c q + σ_b²`.
    fn limit_of_straight_lines(self, start: f64) -> Limit {
        let factor = self.weight_variance * mean_power_of_outer_slopes(self.activation, 2);
        match (factor - 1.0).abs() <= 4.0 * f64::EPSILON {
            true if self.bias_variance == 0.0 => Limit::Kept,
            true => Limit::Diverges,
            false if factor < 1.0 => Limit::Reached(self.bias_variance / (1.0 - factor)),
            false if start == 0.0 && self.bias_variance == 0.0 => Limit::Reached(0.0),
            false => Limit::Diverges,
        }
    }

    /// The fixed point next to `start` above (`rising`) or below it.
    fn next_root(self, start: f64, rising: bool, at_zero: f64) -> Limit {
        /// The excess at which two fixed points that merge are taken for one.
        const TANGENT: f64 = 1e-14;
        // Positive until the fixed point.
        let distance = |q: f64| if rising { self.excess(q) } else { -self.excess(q) };
        let mut before: Option<(f64, f64)> = None;
        let mut here = (start, distance(start));
        loop {
            let step = if (1e-12..=1e6).contains(&here.0) { 1.1 } else { 10.0 };
            let next = if rising { here.0 * step } else { here.0 / step };
            if rising && (next > MAX_VARIANCE || next > 1e13 && here.1 < 1e-12) {
                return Limit::Diverges;
            }
            if !rising && (next < 1e-14 && at_zero == 0.0 || next < 1e-300) {
                return Limit::Reached(at_zero);
            }
            let there = (next, distance(next));
            if there.1 <= 0.0 {
                return Limit::Reached(bisect(here.0, there.0, distance));
            }
            if let Some(first) = before
                && here.1 < first.1
                && here.1 < there.1
            {
                let lowest = least(first.0.min(there.0), first.0.max(there.0), distance);
                let least_distance = distance(lowest);
                if least_distance < -TANGENT {
                    return Limit::Reached(bisect(first.0, lowest, distance));
                }
                if least_distance <= TANGENT {
                    return Limit::Reached(lowest);
                }
            }
            (before, here) = (Some(here), there);
        }
    }
}

fn check_start(start: f64) -> Result<f64, TheoryError> {
    match (0.0..=MAX_VARIANCE).contains(&start) {
        true => Ok(start),
        false => Err(TheoryError::OutOfRange { what: "start", value: start, allowed: "0 to 1e300" }),
    }
}

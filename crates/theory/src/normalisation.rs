//! Growth of gradients through normalised layers, infinite width.
//!
//! All factors are those of `E‖g‖²` per layer `x' = φ(norm(W x))` without trainable gains; the scale of W drops out.

use crate::activation::Activation;
use crate::error::{TheoryError, positive};
use crate::moments::{moments, slope2, value2};

/// RMSNorm or LayerNorm on pre-activations that are scaled to the root mean square `gain`: `gain² E φ'(gain z)² / E φ(gain z)²`.
///
/// The norm divides by `σ_w √(E φ²)`, and its own derivative costs a relative order of 1/n (setting of Doshi, He and Gromov 2021,
/// arXiv:2111.12143; worked out here). ReLU and linear networks are critical; tanh grows by 1.1778 at gain 1 and sigmoid falls by 0.1528. At
/// width n the mean of `ln‖g‖²` lies about v/(2n) per layer below the logarithm of this. LayerNorm also takes the mean over neurons away, which
/// is 0 in the limit.
///
/// # Errors
/// If the gain is not above 0 and at most 1e140.
pub fn rms_norm_factor(activation: Activation, gain: f64) -> Result<f64, TheoryError> {
    if positive("gain", gain)? > 1e140 {
        return Err(TheoryError::OutOfRange { what: "gain", value: gain, allowed: "above 0, at most 1e140" });
    }
    let q = gain * gain;
    // One division at a time, so that a small q does not underflow beside a small E φ².
    Ok(slope2(activation, q) / (value2(activation, q) / q))
}

/// Batch normalisation in the limit of large batches: `E φ'(z)² / Var φ(z)`.
///
/// A normalised neuron has standard normal values over the batch, and the next normalisation divides by `σ_w √(Var φ)`, as the mean over the batch is
/// taken away. For linear networks 1, for ReLU `π/(π - 1) = 1.4669`, as in Yang et al. (2019, arXiv:1902.08129); for other functions this is
/// the same argument, which assumes that all pairs of samples stay equally correlated.
pub fn batch_norm_factor(activation: Activation) -> f64 {
    let m = moments(activation, 1.0);
    m.slope2 / (m.value2 - m.mean * m.mean)
}

/// Batch normalisation of linear layers with batches of `batch` samples: `(B - 2)/(B - 3)` (Yang et al. 2019).
///
/// # Errors
/// If the batch has fewer than 4 samples, where the mean is infinite.
pub fn linear_batch_norm_factor(batch: usize) -> Result<f64, TheoryError> {
    match batch >= 4 {
        true => Ok((batch - 2) as f64 / (batch - 3) as f64),
        false => Err(TheoryError::OutOfRange { what: "batch", value: batch as f64, allowed: "at least 4" }),
    }
}

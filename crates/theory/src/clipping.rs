//! Clipping by norm, and when recurrent gradients vanish: Pascanu, Mikolov and Bengio (2013, arXiv:1211.5063).

use crate::activation::Activation;
use crate::error::{TheoryError, non_negative};

/// The norm after clipping: `min(norm, limit)`, the direction being kept (algorithm 1).
///
/// # Errors
/// If the norm is negative or NaN, or the limit is; infinite ones are allowed.
pub fn clipped_norm(norm: f64, limit: f64) -> Result<f64, TheoryError> {
    for (what, value) in [("norm", norm), ("limit", limit)] {
        if value.is_nan() || value < 0.0 {
            return Err(TheoryError::OutOfRange { what, value, allowed: "at least 0, or infinite" });
        }
    }
    Ok(norm.min(limit))
}

/// Gradients vanish for certain if the largest singular value of W is below this, `1 / max |φ'|` (section 2.1): 1 for tanh, 4 for sigmoid.
/// Above it they may explode.
pub fn vanishing_below(activation: Activation) -> f64 {
    1.0 / activation.steepest_slope()
}

/// Upper bound on `‖g‖` behind `depth` layers, `(γ s)^d`, with γ the steepest slope and s the largest singular value of each W; as its log2.
///
/// # Errors
/// If the singular value is negative, NaN or infinite.
pub fn log2_norm_bound(
    activation: Activation,
    largest_singular_value: f64,
    depth: usize,
) -> Result<f64, TheoryError> {
    let s = non_negative("largest_singular_value", largest_singular_value)?;
    let per_layer = libm::log2(activation.steepest_slope() * s);
    Ok(if depth == 0 { 0.0 } else { depth as f64 * per_layer })
}

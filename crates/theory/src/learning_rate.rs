//! Learning rates above which gradient descent does not converge.
//!
//! Near a minimum with largest curvature λ (sharpness) a step multiplies the deviation by `1 - η λ`. For networks of one layer the loss diverges
//! above the threshold; deep ones leave the minimum, and often oscillate around it: the test is "converges or not". During training sharpness tends
//! to rise to about 2/η and to stay there (Cohen et al. 2021, arXiv:2103.00065).

use crate::error::{TheoryError, positive, width};

/// Gradient descent converges for `η < 2/λ`.
///
/// # Errors
/// If the curvature is not a finite number above 0.
pub fn gradient_descent(curvature: f64) -> Result<f64, TheoryError> {
    Ok(2.0 / positive("curvature", curvature)?)
}

/// Heavy-ball momentum β (Polyak 1964): `η < (2 + 2β)/λ` (Cohen et al. 2021).
///
/// # Errors
/// If the curvature is not a finite number above 0, or β not in 0..1.
pub fn heavy_ball(curvature: f64, momentum: f64) -> Result<f64, TheoryError> {
    Ok((2.0 + 2.0 * check_momentum(momentum)?) / positive("curvature", curvature)?)
}

/// Nesterov momentum β: `η < (2 + 2β)/((1 + 2β) λ)` (Cohen et al. 2021).
///
/// # Errors
/// If the curvature is not a finite number above 0, or β not in 0..1.
pub fn nesterov(curvature: f64, momentum: f64) -> Result<f64, TheoryError> {
    let b = check_momentum(momentum)?;
    Ok((2.0 + 2.0 * b) / (1.0 + 2.0 * b) / positive("curvature", curvature)?)
}

/// The sharpness at which gradient descent with learning rate η hovers, `2/η`.
///
/// # Errors
/// If the learning rate is not a finite number above 0.
pub fn edge_of_stability(learning_rate: f64) -> Result<f64, TheoryError> {
    Ok(2.0 / positive("learning_rate", learning_rate)?)
}

/// Sharpness of the loss `(w_L ... w_1 - s)²/2` at its balanced minimum `w_i = s^(1/L)`: `λ = L s^(2 - 2/L)`, the least of all its minima (Nar
/// and Sastry 2018, arXiv:1805.08890; Mulayoff and Michaeli 2020). For matrices and whitened data s is the largest singular value of the target.
///
/// # Errors
/// If the depth is 0 or above 2^32, or the target not a finite number above 0.
pub fn balanced_sharpness(depth: usize, target: f64) -> Result<f64, TheoryError> {
    let layers = width("depth", depth)?;
    Ok(layers * libm::pow(positive("target", target)?, 2.0 - 2.0 / layers))
}

/// Sharpness at any minimum of the same loss: `Σ_i (Π_(j≠i) w_j)²`, as the Hessian there has rank one.
///
/// # Errors
/// If there are no weights, or one is not finite.
pub fn minimum_sharpness(weights: &[f64]) -> Result<f64, TheoryError> {
    width("weights", weights.len())?;
    for &value in weights {
        if !value.is_finite() {
            return Err(TheoryError::OutOfRange { what: "weight", value, allowed: "a finite number" });
        }
    }
    // Products of all weights before and behind each.
    let mut behind = vec![1.0; weights.len() + 1];
    for (i, &w) in weights.iter().enumerate().rev() {
        behind[i] = behind[i + 1] * w;
    }
    let (mut before, mut sum) = (1.0, 0.0);
    for (i, &w) in weights.iter().enumerate() {
        let others: f64 = before * behind[i + 1];
        sum += others * others;
        before *= w;
    }
    Ok(sum)
}

/// The largest eigenvalue of the Hessian of the same loss where all L weights are w, not at a minimum: the larger of
/// `L w^(2L-2) + r (L - 1) w^(L-2)` and `-r w^(L-2)`, with the residual `r = w^L - s`. For w = 1 and s <= 1 it is `L + (1 - s)(L - 1)`.
///
/// # Errors
/// If the depth is 0 or above 2^32, w not a finite number above 0, or s not finite.
pub fn equal_weights_sharpness(depth: usize, weight: f64, target: f64) -> Result<f64, TheoryError> {
    let (layers, w) = (width("depth", depth)?, positive("weight", weight)?);
    if !target.is_finite() {
        return Err(TheoryError::OutOfRange { what: "target", value: target, allowed: "a finite number" });
    }
    let mixed = (libm::pow(w, layers) - target) * libm::pow(w, layers - 2.0);
    let along = layers * libm::pow(w, 2.0 * layers - 2.0);
    // With one weight there is no other direction.
    Ok(if depth == 1 { 1.0 } else { (along + mixed * (layers - 1.0)).max(-mixed) })
}

fn check_momentum(value: f64) -> Result<f64, TheoryError> {
    match (0.0..1.0).contains(&value) {
        true => Ok(value),
        false => Err(TheoryError::OutOfRange { what: "momentum", value, allowed: "0 to below 1" }),
    }
}

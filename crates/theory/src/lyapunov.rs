//! Lyapunov spectrum of products of square Gaussian matrices.
//!
//! `λ_k = (ln(2σ²/n) + ψ((n - k + 1)/2)) / 2` nats per layer for k = 1..=n, matrices real n by n with independent entries `N(0, σ²/n)` (Newman
//! 1986, Commun. Math. Phys. 103; Forrester 2013; Akemann, Burda and Kieburg 2014, arXiv:1406.0803). The k-th singular value of a product of d
//! matrices grows like `e^(λ_k d)`, and so does the k-th diagonal entry of R in a QR recursion, whose logarithms are exactly independent over
//! layers. Orthogonal matrices of gain c have the single exponent ln c.

use crate::error::{TheoryError, positive, width};
use crate::special::{digamma_minus_ln, trigamma};

/// λ_k in nats per layer; `weight_variance` is σ². To a relative error of about 1e-14, also where λ is near 0.
///
/// # Errors
/// If the width is 0 or above 2^32, k not in 1..=width, or the variance not a finite number above 0.
pub fn exponent(n: usize, k: usize, weight_variance: f64) -> Result<f64, TheoryError> {
    let degrees = degrees_of_freedom(n, k)?;
    let logarithm = libm::log(positive("weight_variance", weight_variance)?);
    Ok(0.5 * (logarithm + libm::log1p(-((k - 1) as f64) / n as f64) + digamma_minus_ln(0.5 * degrees)))
}

/// λ_1 to λ_n in nats per layer, decreasing.
///
/// # Errors
/// If the width is 0 or above 2^24, or the variance not a finite number above 0.
pub fn spectrum(n: usize, weight_variance: f64) -> Result<Vec<f64>, TheoryError> {
    if !(1..=1 << 24).contains(&n) {
        return Err(TheoryError::OutOfRange { what: "width", value: n as f64, allowed: "1 to 2^24" });
    }
    (1..=n).map(|k| exponent(n, k, weight_variance)).collect()
}

/// Standard error of λ_k measured over `depth` layers by QR: `√(ψ_1((n - k + 1)/2) / (4 d))`.
///
/// # Errors
/// If the width or depth is 0 or above 2^32, or k not in 1..=width.
pub fn standard_error(n: usize, k: usize, depth: usize) -> Result<f64, TheoryError> {
    let degrees = degrees_of_freedom(n, k)?;
    Ok((trigamma(0.5 * degrees) / (4.0 * width("depth", depth)?)).sqrt())
}

/// `Σ λ_k = E ln |det W|` in nats per layer.
///
/// # Errors
/// As [`spectrum`].
pub fn mean_log_determinant(n: usize, weight_variance: f64) -> Result<f64, TheoryError> {
    Ok(spectrum(n, weight_variance)?.iter().sum())
}

fn degrees_of_freedom(n: usize, k: usize) -> Result<f64, TheoryError> {
    width("width", n)?;
    match (1..=n).contains(&k) {
        true => Ok((n - k + 1) as f64),
        false => Err(TheoryError::OutOfRange { what: "k", value: k as f64, allowed: "1 to the width" }),
    }
}

//! Residual connections: `x' = x + α F(x)`.

use crate::error::{TheoryError, non_negative, positive, width};
use crate::mixtures::poisson;
use crate::products::NormLaw;
use crate::special::{digamma_minus_ln, trigamma};

/// `ln E‖g‖²` gained over `depth` layers: `d ln(1 + α² χ)`, χ being the factor of the branch alone.
///
/// Exact where the branch has a mean of 0 given its input: W with entries `N(0, σ²/n)` has χ = σ², and ReLU before He weights χ = 1. With
/// α² = 1/d the growth tends to e.
///
/// # Errors
/// If α or χ is negative, NaN or infinite.
pub fn ln_mean_growth(alpha: f64, branch_factor: f64, depth: usize) -> Result<f64, TheoryError> {
    let (alpha, factor) = (non_negative("alpha", alpha)?, non_negative("branch_factor", branch_factor)?);
    Ok(depth as f64 * libm::log1p(alpha * alpha * factor))
}

/// Beyond this mean of the Poisson count the logarithm is expanded in cumulants; the first omitted term is below 1e-15 of the leading one.
const EXPANDED: f64 = 1e8;

/// The exact law of one linear residual layer `g' = g + α Wᵀ g`, W of `n` by `n` entries `N(0, σ²/n)`.
///
/// With `β² = α² σ²/n`, `‖g'‖²/‖g‖²` is β² times a noncentral chi-square variable of n degrees of freedom and noncentrality 1/β², that is a
/// central one of n + 2J degrees with J a Poisson count of mean 1/(2β²) (worked out here). Layers are independent: use [`NormLaw::repeated`].
///
/// # Errors
/// If the width is 0 or above 2^32, or α or σ² negative, NaN, infinite or so large that their product overflows.
pub fn linear_law(n: usize, alpha: f64, weight_variance: f64) -> Result<NormLaw, TheoryError> {
    let n = width("width", n)?;
    let (alpha, variance) =
        (non_negative("alpha", alpha)?, non_negative("weight_variance", weight_variance)?);
    let branch = non_negative("alpha² · weight_variance", alpha * alpha * variance)?;
    let beta2 = branch / n;
    if beta2 == 0.0 {
        return Ok(NormLaw::ONE);
    }
    let ln_moment1 = libm::log1p(branch);
    // E² = (1 + nβ²)² + 2nβ⁴ + 4β², divided by the first summand.
    let spread = (2.0 * beta2 / (1.0 + branch)) * ((branch + 2.0) / (1.0 + branch));
    let (mean, variance) = if 0.5 / beta2 > EXPANDED { expanded(n, beta2) } else { summed(n, beta2) };
    Ok(NormLaw {
        mean,
        variance,
        ln_moment1,
        ln_moment2: 2.0 * ln_moment1 + libm::log1p(spread),
        ln_alive: 0.0,
    })
}

/// Scale of the weights inside a branch of `branch_layers` layers in a network of `branches` branches: `L^(-1/(2m - 2))` (Zhang, Dauphin and Ma 2019,
/// arXiv:1901.09321, section 3). The last layer of every branch starts at 0, so the gradient factor is exactly 1 at initialisation.
///
/// # Errors
/// If there is no branch, or a branch has fewer than 2 layers.
pub fn fixup_scale(branches: usize, branch_layers: usize) -> Result<f64, TheoryError> {
    let branches = positive("branches", branches as f64)?;
    if branch_layers < 2 {
        return Err(TheoryError::OutOfRange {
            what: "branch_layers",
            value: branch_layers as f64,
            allowed: "at least 2",
        });
    }
    Ok(libm::pow(branches, -1.0 / (2.0 * branch_layers as f64 - 2.0)))
}

/// Mean and variance of the logarithm by the sum over J.
fn summed(n: f64, beta2: f64) -> (f64, f64) {
    let degrees = |j: usize| 0.5 * n + j as f64;
    let rate = 0.5 / beta2;
    let (mean, between) =
        poisson(rate, |j| libm::log(2.0 * beta2 * degrees(j)) + digamma_minus_ln(degrees(j)));
    let (within, _) = poisson(rate, |j| trigamma(degrees(j)));
    (mean, between + within)
}

/// The same from the cumulants `κ_r = 2^(r-1) (r-1)! (n + r/β²) / (n + 1/β²)^r` of the variable over its mean, to second order in β².
fn expanded(n: f64, beta2: f64) -> (f64, f64) {
    let noncentrality = 1.0 / beta2;
    let whole = n + noncentrality;
    let second = 2.0 * ((n + 2.0 * noncentrality) / whole) / whole;
    let third = 8.0 * ((n + 3.0 * noncentrality) / whole) / whole / whole;
    let mean = libm::log1p(n * beta2) - second / 2.0 + third / 3.0 - 0.75 * second * second;
    (mean, second - third + 2.5 * second * second)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left is of third order: 8 times less for half of β².
    #[test]
    fn expansion_meets_the_sum() {
        for n in [1.0, 64.0] {
            let left = |beta2: f64| {
                let ((a, b), (c, d)) = (summed(n, beta2), expanded(n, beta2));
                [(a - c).abs(), (b - d).abs()]
            };
            for (coarse, fine) in left(4e-4).into_iter().zip(left(2e-4)) {
                assert!((6.5..9.5).contains(&(coarse / fine)), "{n}: {coarse} {fine}");
            }
        }
    }
}

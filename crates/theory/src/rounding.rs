//! The random-walk law of rounding errors along a chain.
//!
//! One rounding to nearest of a number whose significand is distributed log-uniformly has the root-mean-square relative error
//! `u / sqrt(8 ln 2)`, one stochastic rounding sqrt 2 times that (error model of Hull and Swenson 1966 with the significands of Brent 1973).
//! Independent errors of d layers add up like the steps of a random walk.

/// Root-mean-square relative error of one rounding to nearest, in units of the unit roundoff: `1 / sqrt(8 ln 2)`.
pub const NEAREST_RMS: f64 = 0.424_660_900_144_009_5;

/// The same of one stochastic rounding: `1 / sqrt(4 ln 2)`.
pub const STOCHASTIC_RMS: f64 = 0.600_561_204_393_225_2;

/// Root-mean-square relative drift of a chain of `depth` random scalar factors that are themselves numbers of the format:
/// `c u sqrt(d)`, `c` being one of the constants above.
pub fn scalar_chain_drift(unit: f64, depth: usize, one_rounding: f64) -> f64 {
    one_rounding * unit * (depth as f64).sqrt()
}

/// Root-mean-square relative drift of a vector that passes `depth` matrices whose entries are numbers of the format: `c u sqrt(f Σ_(k<d) ρ^k)`.
///
/// - `growth` is ρ, how much the square of a relative error grows from layer to layer: [`gaussian_growth`], or 1 for orthogonal matrices.
/// - `roundings` is the factor f: 1 where each sum is rounded once (wide or compensated summation), `(n + 1) / 2` for a fused,
///   `n / 2 + 3 / 2` for a recursive sum of n products in the format.
pub fn matrix_chain_drift(unit: f64, depth: usize, growth: f64, roundings: f64) -> f64 {
    let (mut power, mut sum) = (1.0, 0.0);
    for _ in 0..depth {
        sum += power;
        power *= growth;
    }
    NEAREST_RMS * unit * (roundings * sum).sqrt()
}

/// `n / (n - 2)`: the mean square of the norm of an error in a random direction over that of the gradient, after one Gaussian matrix of
/// width n (the mean of 1 over a chi-square variable of n degrees of freedom is `1 / (n - 2)`). Where `2 d / n` is larger than about 2, the mean over a chain of d layers is made by rare draws, and a few draws lie far below it.
/// Infinite for n <= 2, where that mean does not exist.
pub fn gaussian_growth(width: usize) -> f64 {
    if width <= 2 { f64::INFINITY } else { width as f64 / (width - 2) as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants() {
        let ln2 = std::f64::consts::LN_2;
        assert!((NEAREST_RMS - 1.0 / (8.0 * ln2).sqrt()).abs() < 1e-15);
        assert!((STOCHASTIC_RMS - 1.0 / (4.0 * ln2).sqrt()).abs() < 1e-15);
    }

    /// For n = 64, d = 16 in units of u sqrt(d): storage alone 0.481, weights rounded too 0.680, a recursive sum 2.783.
    #[test]
    fn matrix_chains() {
        let in_units = |roundings| matrix_chain_drift(1.0, 16, gaussian_growth(64), roundings) / 4.0;
        assert!((in_units(1.0) - 0.481).abs() < 5e-4, "{}", in_units(1.0));
        assert!((in_units(2.0) - 0.680).abs() < 5e-4, "{}", in_units(2.0));
        assert!((in_units(33.5) - 2.783).abs() < 1e-3, "{}", in_units(33.5));
        assert_eq!(matrix_chain_drift(1.0, 16, 1.0, 4.0), 8.0 * NEAREST_RMS);
        assert!((scalar_chain_drift(1.0, 100, NEAREST_RMS) - 4.246_609).abs() < 1e-6);
    }
}

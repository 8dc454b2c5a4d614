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

/// `n / (n - 2)`: the mean square of the norm of an error in a random direction over that of the gradient, after one Gaussian matrix of width n
/// (the mean of 1 over a chi-square variable of n degrees of freedom is `1 / (n - 2)`). Where `2 d / n` is larger than about 2, the mean over a
/// chain of d layers is made by rare draws, and a few draws lie far below it. Infinite for n <= 2, where that mean does not exist.
pub fn gaussian_growth(width: usize) -> f64 {
    if width <= 2 { f64::INFINITY } else { width as f64 / (width - 2) as f64 }
}

/// The factor f of [`matrix_chain_drift`] for recursive summation of n products in the format, `n/2 + 3/2`: each of n - 1 sums and n products is
/// rounded, and a rounding in the middle touches half of the sum; the gradient is rounded before.
pub fn recursive_roundings(width: usize) -> f64 {
    0.5 * width as f64 + 1.5
}

/// The same for fused products and sums, `(n + 1)/2`.
pub fn fused_roundings(width: usize) -> f64 {
    0.5 * (width as f64 + 1.0)
}

/// Root-mean-square error of rounding to nearest a vector of `N(0, scale²)`, relative to its norm and in unit roundoffs: `√(Σ_k 4^k P_k / 3) /
/// scale`, P_k being the probability of the binade `2^k..2^(k+1)`.
///
/// Nearly [`NEAREST_RMS`] whatever the scale: 0.42370 to 0.42562. Assumes that nothing is subnormal or overflows. NaN for a scale that is not a
/// finite number above 0.
pub fn gaussian_vector_rms(scale: f64) -> f64 {
    if !(scale > 0.0 && scale.is_finite()) {
        return f64::NAN;
    }
    // Only the place of the scale in its binade matters.
    let (place, _) = libm::frexp(scale);
    let below = |x: f64| libm::erf(x / (place * std::f64::consts::SQRT_2));
    let mut sum = 0.0;
    for k in -40..6 {
        let low = libm::ldexp(1.0, k);
        sum += low * low * (below(2.0 * low) - below(low));
    }
    (sum / 3.0).sqrt() / place
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

    /// Over all places in a binade the mean square is that of a log-uniform significand, and no place is far from it.
    #[test]
    fn gaussian_vectors() {
        let places = 1000;
        let squares = (0..places).map(|i| {
            let rms = gaussian_vector_rms(libm::exp2(f64::from(i) / f64::from(places)));
            assert!((0.42370..0.42562).contains(&rms), "{i}: {rms}");
            rms * rms
        });
        let mean = squares.sum::<f64>() / f64::from(places);
        assert!((mean.sqrt() - NEAREST_RMS).abs() < 1e-12, "{}", mean.sqrt());
        assert_eq!(gaussian_vector_rms(3.0).to_bits(), gaussian_vector_rms(libm::ldexp(3.0, -400)).to_bits());
        assert!(gaussian_vector_rms(0.0).is_nan());
    }

    #[test]
    fn counts_of_roundings() {
        assert_eq!((recursive_roundings(64), fused_roundings(64)), (33.5, 32.5));
        assert_eq!(matrix_chain_drift(0.5, 0, 1.0, 1.0), 0.0);
        assert_eq!(gaussian_growth(2), f64::INFINITY);
    }
}

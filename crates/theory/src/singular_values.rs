//! Squared singular values of the Jacobian `J = Π D_l W_l` of a network at criticality, their mean scaled to 1.
//!
//! From free probability (Pennington, Schoenholz and Ganguli 2017, arXiv:1711.04735; 2018, arXiv:1802.09979) in the limit of infinite width: with
//! the fraction p of slopes that are 1 and the rest 0 (linear p = 1, ReLU p = 1/2) the S-transforms multiply to `S(z) = (1 + z/p)^-L` for
//! Gaussian and `((1 + z)/(1 + z/p))^L` for orthogonal weights. Moments, edges and densities follow; [`second_moment`] alone is exact at finite
//! width.
//!
//! Off criticality every squared singular value is multiplied by χ_1^L.

use crate::error::{TheoryError, fraction, positive, width};
use crate::products::Ensemble;
use std::f64::consts::{FRAC_PI_2, PI};

/// Variance of the squared singular values, `L (μ_2/μ_1² - 1 - s_1)` with `μ_k = E φ'^2k`, s_1 = -1 for Gaussian and 0 for orthogonal weights
/// (Pennington et al. 2017; mean 1).
///
/// `slope2` and `slope4` are `E φ'²` and `E φ'⁴` at q*: Gaussian L/p and orthogonal L (1 - p)/p for a fraction p of slopes 1.
///
/// # Errors
/// If a moment is not a finite number above 0 or `slope4 < slope2²` by more than rounding.
pub fn variance(ensemble: Ensemble, depth: usize, slope2: f64, slope4: f64) -> Result<f64, TheoryError> {
    let ratio = positive("slope4", slope4)? / positive("slope2", slope2)? / slope2;
    if ratio < 1.0 - 1e-12 {
        return Err(TheoryError::OutOfRange { what: "slope4", value: slope4, allowed: "at least slope2²" });
    }
    let per_layer = match ensemble {
        Ensemble::Gaussian => ratio,
        Ensemble::Orthogonal => (ratio - 1.0).max(0.0),
    };
    Ok(depth as f64 * per_layer)
}

/// The largest squared singular value, infinite width: `min_z (1 + 1/z)(1 + z/p)^L`, for orthogonal weights `min_z (1 + 1/z)((1 + z/p)/(1 + z))^L`
/// over z > 0.
///
/// The minimiser is `2p / (L - 1 + √((L - 1)² + 4 L p))`, and `p / (L (1 - p) - 1)` or ∞. Linear Gaussian: `(L + 1)^(L + 1) / L^L -> e L`; ReLU:
/// `2 e L`; ReLU orthogonal: `L^L / (L - 1)^(L - 1) -> e L`. At finite width the largest one is lower by a relative order of n^(-2/3).
///
/// # Errors
/// If p is not above 0 and at most 1.
pub fn largest(ensemble: Ensemble, depth: usize, active: f64) -> Result<f64, TheoryError> {
    let (p, layers) = (fraction("active", active)?, depth as f64);
    if depth == 0 {
        return Ok(1.0);
    }
    let ln_gate = |z: f64| libm::log1p(z / p);
    let ln_edge = match ensemble {
        Ensemble::Gaussian => {
            let below = layers - 1.0;
            let z = 2.0 * p / (below + (below * below + 4.0 * layers * p).sqrt());
            libm::log1p(1.0 / z) + layers * ln_gate(z)
        }
        Ensemble::Orthogonal => {
            let closed = layers * (1.0 - p) - 1.0;
            // Without a minimum the infimum is at z = ∞.
            match closed > 0.0 {
                true => {
                    let z = p / closed;
                    libm::log1p(1.0 / z) + layers * (ln_gate(z) - libm::log1p(z))
                }
                false => -layers * libm::log(p),
            }
        }
    };
    Ok(libm::exp(ln_edge))
}

/// The k-th moment of the squared singular values, infinite width: `(1/k) [z^(k-1)] ((1 + z)/S(z))^k` (Lagrange's inversion of the S-transform).
///
/// Gaussian weights: `(1/k) Σ_(j<k) C(k, k - 1 - j) C(kL, j) p^-j`, for linear networks the Fuss-Catalan numbers of [`fuss_catalan`]. Orthogonal
/// weights: `(1/k) Σ_(j<k) (k - j) C(kL, j) (1/p - 1)^j`. All terms are positive: the relative error is below 4k unit roundoffs. Infinite where
/// a term overflows.
///
/// # Errors
/// If p is not above 0 and at most 1, or the order is above 500, where binomial coefficients overflow.
pub fn moment(ensemble: Ensemble, depth: usize, active: f64, order: usize) -> Result<f64, TheoryError> {
    let p = fraction("active", active)?;
    if order == 0 {
        return Ok(1.0);
    }
    let k = order as f64;
    if order > 500 {
        return Err(TheoryError::OutOfRange { what: "order", value: k, allowed: "0 to 500" });
    }
    let (trials, scale) = match ensemble {
        Ensemble::Gaussian => (k * depth as f64, 1.0 / p),
        Ensemble::Orthogonal => (k * depth as f64, (1.0 - p) / p),
    };
    // C(k, k - 1 - j) = C(k, j + 1) and C(kL, j) scale^j, term by term.
    let (mut open, mut gated, mut sum) = (k, 1.0, 0.0);
    for j in 0..order {
        let j = j as f64;
        sum += gated
            * match ensemble {
                Ensemble::Gaussian => open,
                Ensemble::Orthogonal => k - j,
            };
        open *= (k - 1.0 - j) / (j + 2.0);
        // Zero once j reaches kL.
        gated *= (trials - j).max(0.0) / (j + 1.0) * scale;
        if gated == 0.0 {
            break;
        }
    }
    Ok(sum / k)
}

/// The Fuss-Catalan number `C((L + 1)k, k) / (L k + 1)`: the k-th moment of squared singular values of a product of L Gaussian matrices of
/// infinite width (Banica et al. 2011, Canad. J. Math. 63; Penson and Zyczkowski 2011, arXiv:1103.3453). Infinite where it overflows.
pub fn fuss_catalan(depth: usize, order: usize) -> f64 {
    if depth == 0 {
        return 1.0;
    }
    let (layers, k) = (depth as f64, order as f64);
    let top = (layers + 1.0) * k;
    let mut product = 1.0;
    for j in 1..=order {
        product *= (top - (order - j) as f64) / j as f64;
        if product.is_infinite() {
            break;
        }
    }
    product / (layers * k + 1.0)
}

/// A point of the Fuss-Catalan density: the squared singular value and its density, for an angle in (0, π/(L + 1)), along which the value falls
/// from the edge to 0 (parametrisation of Haagerup and Möller 2013; Neuschel 2014): `x = sin((L + 1)θ)^(L + 1) / (sin θ sin(Lθ)^L)`, `ρ = sin²θ
/// sin(Lθ)^(L - 1) / (π sin((L + 1)θ)^L)`.
///
/// # Errors
/// If the depth is 0 or above 2^32, or the angle not inside the interval.
pub fn fuss_catalan_density(depth: usize, angle: f64) -> Result<(f64, f64), TheoryError> {
    let layers = width("depth", depth)?;
    if angle.is_nan() || angle <= 0.0 || angle >= PI / (layers + 1.0) {
        return Err(TheoryError::OutOfRange {
            what: "angle",
            value: angle,
            allowed: "above 0 and below π/(L + 1)",
        });
    }
    let (sine, below, above) =
        (libm::sin(angle), libm::sin(layers * angle), libm::sin((layers + 1.0) * angle));
    let ratio = above / below;
    let value = libm::pow(ratio, layers) * above / sine;
    Ok((value, sine * sine / (PI * below * libm::pow(ratio, layers))))
}

/// Mean of the squares of the squared singular values, exact at any width for Gaussian weights: `E Tr(J Jᵀ)² / n` with entries of
/// variance 1/(p n) and slopes that are 1 with probability p independently, else 0.
///
/// With `P = J Jᵀ`, `a = E Tr P²` and `b = E (Tr P)²`, from a = n and b = n², a layer makes
/// `a' = s² [(n(n - 1)p² + 2np) a + np b]`, `b' = s² [2np a + (np + n(n - 1)p²) b]`, `s = 1/(p n)` (fourth moments of normal numbers by
/// Isserlis' theorem). The limit of infinite width is `1 + L/p`. Infinite where it overflows.
///
/// # Errors
/// If the width is 0 or above 2^32, or p not above 0 and at most 1.
pub fn second_moment(n: usize, depth: usize, active: f64) -> Result<f64, TheoryError> {
    let (n, p) = (width("width", n)?, fraction("active", active)?);
    // Divided by n² p²; a in units of n, b in units of n².
    let pairs = (n - 1.0) / n;
    let single = 1.0 / (n * p);
    let mut layers = [[pairs + 2.0 * single, 1.0 / p], [2.0 * single / n, single + pairs]];
    let times = |x: [[f64; 2]; 2], y: [[f64; 2]; 2]| {
        [0, 1].map(|i| [0, 1].map(|k| x[i][0] * y[0][k] + x[i][1] * y[1][k]))
    };
    // The power of the matrix of one layer by squaring, so that any depth is cheap.
    let mut power = [[1.0, 0.0], [0.0, 1.0]];
    let mut left = depth;
    while left > 0 {
        if left % 2 == 1 {
            power = times(power, layers);
        }
        left /= 2;
        if left > 0 {
            layers = times(layers, layers);
        }
    }
    let a = power[0][0] + power[0][1];
    // Zero times infinity stands only where the result has overflowed.
    Ok(if a.is_nan() { f64::INFINITY } else { a })
}

/// Mean singular value of one square Gaussian matrix with entries of variance σ²/n, infinite width: `8σ/(3π)` (quarter-circle law). Glorot and
/// Bengio (2010, section 4.2.1) measured about 0.8 for σ = 1 and 0.5 for σ² = 1/3.
///
/// # Errors
/// If σ² is not a finite number above 0.
pub fn quarter_circle_mean(weight_variance: f64) -> Result<f64, TheoryError> {
    Ok(8.0 / (3.0 * PI) * positive("weight_variance", weight_variance)?.sqrt())
}

/// The density of singular values of one such matrix, `√(4σ² - s²) / (π σ²)` on 0..=2σ, and 0 elsewhere.
///
/// # Errors
/// If σ² is not a finite number above 0.
pub fn quarter_circle_density(weight_variance: f64, singular_value: f64) -> Result<f64, TheoryError> {
    let variance = positive("weight_variance", weight_variance)?;
    let scaled = singular_value / (2.0 * variance.sqrt());
    if !(0.0..=1.0).contains(&scaled) {
        return Ok(0.0);
    }
    Ok((1.0 - scaled * scaled).sqrt() / (FRAC_PI_2 * variance.sqrt()))
}

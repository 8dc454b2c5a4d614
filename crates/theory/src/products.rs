//! Exact laws of the norm of a vector that passes random matrices and gates, at any width and depth.
//!
//! For a matrix with independent normal entries and any fixed vector, the factors of `‖g‖²` over successive layers are independent, so that
//! `ln‖g‖²` is a sum of independent logarithms (Newman 1986, Commun. Math. Phys. 103; Cohen and Newman 1984; Forrester 2013). A chain is a list of
//! [`Step`]s, and each step has an exact law:
//!
//! - a Gaussian matrix that gives m numbers: `variance · χ²_m`;
//! - an orthogonal one: its squared gain, and where it loses dimensions `Beta(to/2, (from - to)/2)`;
//! - the gate of ReLU or leaky ReLU on n numbers, of which K, binomial with probability 1/2, pass: `a² + (1 - a²) Beta(K/2, (n - K)/2)`.
//!
//! A gate behind a Gaussian matrix with ReLU is `variance · χ²_K` (Hanin and Nica 2018, arXiv:1812.05994, for the limit; the law for finite n is
//! worked out here). The gate assumes that the signs of pre-activations are fair coins, independent of the vector: weights symmetric, biases 0,
//! and an upstream gradient of random direction with zero mean. With a fixed upstream gradient g·x is conserved, and the law is another one.
//!
//! Weights that are not normal, but independent with the same variance, change a variance by a relative order of 1/n alone.

use crate::error::{TheoryError, fraction, non_negative, positive, width};
use crate::mixtures::half_binomial;
use crate::quadrature::panel;
use crate::special::{digamma, digamma_minus_ln, normal_distribution, trigamma};
use std::f64::consts::{FRAC_PI_2, LN_2};

/// One factor of a chain that a vector passes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// A matrix of independent `N(0, entry_variance)` that gives `width` numbers: backward through `W` of fan_in columns, that is fan_in.
    Gaussian {
        /// Length of the vector that comes out.
        width: usize,
        /// Variance of an entry, σ_w²/fan_in.
        entry_variance: f64,
    },
    /// `gain` times a Haar-distributed matrix with orthonormal rows or columns, whichever are fewer.
    Orthogonal {
        /// Length of the vector that enters.
        from: usize,
        /// Length of the vector that comes out.
        to: usize,
        /// Factor on the matrix.
        gain: f64,
    },
    /// Multiplication with slopes of ReLU (0) or leaky ReLU: 1 or `negative_slope`, each with probability 1/2.
    Gate {
        /// Length of the vector.
        width: usize,
        /// The slope for negative pre-activations.
        negative_slope: f64,
    },
}

/// The law of `ln(‖g_out‖² / ‖g_in‖²)`, in nats, given that the gradient is not 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NormLaw {
    /// Mean of the logarithm.
    pub mean: f64,
    /// Variance of the logarithm.
    pub variance: f64,
    /// `ln E(‖g_out‖² / ‖g_in‖²)`, dead gradients included.
    pub ln_moment1: f64,
    /// `ln E(‖g_out‖² / ‖g_in‖²)²`, dead gradients included.
    pub ln_moment2: f64,
    /// ln of the probability that the gradient is not exactly 0.
    pub ln_alive: f64,
}

/// How the matrices of a chain of equal layers are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ensemble {
    /// Independent normal entries.
    Gaussian,
    /// Haar-distributed orthogonal matrices.
    Orthogonal,
}

impl NormLaw {
    /// The law of a chain without steps.
    pub const ONE: NormLaw =
        NormLaw { mean: 0.0, variance: 0.0, ln_moment1: 0.0, ln_moment2: 0.0, ln_alive: 0.0 };

    /// The law of both factors, which are independent.
    pub fn then(self, next: NormLaw) -> NormLaw {
        NormLaw {
            mean: self.mean + next.mean,
            variance: self.variance + next.variance,
            ln_moment1: self.ln_moment1 + next.ln_moment1,
            ln_moment2: self.ln_moment2 + next.ln_moment2,
            ln_alive: self.ln_alive + next.ln_alive,
        }
    }

    /// The law of `depth` independent factors of this law.
    pub fn repeated(self, depth: usize) -> NormLaw {
        let times = |x: f64| if depth == 0 { 0.0 } else { depth as f64 * x };
        NormLaw {
            mean: times(self.mean),
            variance: times(self.variance),
            ln_moment1: times(self.ln_moment1),
            ln_moment2: times(self.ln_moment2),
            ln_alive: times(self.ln_alive),
        }
    }

    /// Mean of `log2 ‖g‖`, the norm itself: `mean / (2 ln 2)`.
    pub fn mean_log2_norm(self) -> f64 {
        self.mean / (2.0 * LN_2)
    }

    /// Standard deviation of `log2 ‖g‖`.
    pub fn log2_norm_deviation(self) -> f64 {
        self.variance.sqrt() / (2.0 * LN_2)
    }

    /// Probability that the gradient is exactly 0: `1 - (1 - 2^-n)^d` for ReLU (bound of Lu et al. 2020, arXiv:1903.06733, exact at a fixed input
    /// without biases).
    pub fn dead_probability(self) -> f64 {
        -libm::expm1(self.ln_alive)
    }

    /// Probability that a gradient which is not dead has `ln‖g‖²` below `ln_norm2`, as if the logarithm were normal: the limit law for many
    /// layers (Hanin and Nica 2018). NaN if `ln_norm2` is NaN.
    pub fn probability_below(self, ln_norm2: f64) -> f64 {
        if self.variance == 0.0 {
            return if ln_norm2.is_nan() { f64::NAN } else { f64::from(u8::from(self.mean < ln_norm2)) };
        }
        normal_distribution((ln_norm2 - self.mean) / self.variance.sqrt())
    }
}

impl Step {
    /// The exact law of this step.
    ///
    /// Errors of mean and variance are below 1e-14 · max(1, |value|), of a leaky gate below 1e-12.
    ///
    /// # Errors
    /// If a width is 0 or above 2^32 (2^22 for a leaky gate), a variance or gain not a finite number above 0, or a slope neither 0 nor in 1e-100..=1.
    pub fn law(self) -> Result<NormLaw, TheoryError> {
        match self {
            Step::Gaussian { width: m, entry_variance } => {
                let (m, variance) = (width("width", m)?, positive("entry_variance", entry_variance)?);
                let ln_moment1 = libm::log(variance) + libm::log(m);
                Ok(NormLaw {
                    mean: ln_moment1 + digamma_minus_ln(0.5 * m),
                    variance: trigamma(0.5 * m),
                    ln_moment1,
                    ln_moment2: 2.0 * ln_moment1 + libm::log1p(2.0 / m),
                    ln_alive: 0.0,
                })
            }
            Step::Orthogonal { from, to, gain } => {
                let (from, to) = (width("from", from)?, width("to", to)?);
                let ln_gain2 = 2.0 * libm::log(positive("gain", gain)?);
                let mut law = NormLaw {
                    mean: ln_gain2,
                    ln_moment1: ln_gain2,
                    ln_moment2: 2.0 * ln_gain2,
                    ..NormLaw::ONE
                };
                if to < from {
                    law = law.then(NormLaw {
                        mean: digamma(0.5 * to) - digamma(0.5 * from),
                        variance: trigamma(0.5 * to) - trigamma(0.5 * from),
                        ln_moment1: libm::log(to / from),
                        ln_moment2: libm::log((to / from) * ((to + 2.0) / (from + 2.0))),
                        ln_alive: 0.0,
                    });
                }
                Ok(law)
            }
            Step::Gate { width: n, negative_slope } => {
                let wide = width("width", n)?;
                let a2 = match non_negative("negative_slope", negative_slope)? {
                    a if a == 0.0 || (1e-100..=1.0).contains(&a) => a * a,
                    value => {
                        let allowed = "0, or 1e-100 to 1";
                        return Err(TheoryError::OutOfRange { what: "negative_slope", value, allowed });
                    }
                };
                let (m2, m4) = (0.5 * (1.0 + a2), 0.5 * (1.0 + a2 * a2));
                let (mean, variance) = match a2 > 0.0 {
                    true => leaky_gate(n, a2)?,
                    false => relu_gate(n),
                };
                Ok(NormLaw {
                    mean,
                    variance,
                    ln_moment1: libm::log(m2),
                    ln_moment2: libm::log((3.0 * m4 + (wide - 1.0) * m2 * m2) / (wide + 2.0)),
                    ln_alive: if a2 > 0.0 { 0.0 } else { libm::log1p(-libm::pow(2.0, -wide)) },
                })
            }
        }
    }
}

/// The law of a chain of steps.
///
/// # Errors
/// Those of [`Step::law`].
pub fn chain_law(steps: impl IntoIterator<Item = Step>) -> Result<NormLaw, TheoryError> {
    let mut law = NormLaw::ONE;
    for step in steps {
        law = law.then(step.law()?);
    }
    Ok(law)
}

/// The law of `depth` square layers of `width` numbers: a matrix with `E‖W g‖² = weight_variance ‖g‖²`, that is σ_w² (He: 2), and the gate of
/// `slopes`, the two slopes of identity, ReLU or leaky ReLU, on every one.
///
/// For ReLU and Gaussian matrices this is, per layer, `ln(2σ_w²/n) + E ψ(K/2)` with variance `Var ψ(K/2) + E ψ_1(K/2)`, K binomial and at least
/// 1, and `E‖g‖⁴ = (σ_w²/2)^2d (1 + 5/n)^d`; for linear ones `ln(2σ_w²/n) + ψ(n/2)`, `ψ_1(n/2)` and `σ_w^4d (1 + 2/n)^d`.
///
/// # Errors
/// Those of [`Step::law`], and if the slopes are not (a, 1) with a in 0..=1.
pub fn square_chain(
    ensemble: Ensemble,
    slopes: (f64, f64),
    width: usize,
    depth: usize,
    weight_variance: f64,
) -> Result<NormLaw, TheoryError> {
    let weight_variance = positive("weight_variance", weight_variance)?;
    if slopes.1 != 1.0 {
        return Err(TheoryError::OutOfRange { what: "slope for x > 0", value: slopes.1, allowed: "1" });
    }
    let matrix = match ensemble {
        Ensemble::Gaussian => Step::Gaussian { width, entry_variance: weight_variance / width.max(1) as f64 },
        Ensemble::Orthogonal => Step::Orthogonal { from: width, to: width, gain: weight_variance.sqrt() },
    };
    let mut layer = matrix.law()?;
    if slopes.0 != 1.0 {
        layer = layer.then(Step::Gate { width, negative_slope: slopes.0 }.law()?);
    }
    Ok(layer.repeated(depth))
}

/// Probability that ReLU layers of these widths are all closed somewhere at a fixed input without biases: `1 - Π (1 - 2^-n)`.
///
/// # Errors
/// If a width is 0 or above 2^32.
pub fn dead_probability(widths: impl IntoIterator<Item = usize>) -> Result<f64, TheoryError> {
    let mut ln_alive = 0.0;
    for n in widths {
        ln_alive += libm::log1p(-libm::pow(2.0, -width("width", n)?));
    }
    Ok(-libm::expm1(ln_alive))
}

/// `Σ 1/n` over the hidden layers, which controls fluctuations of ReLU networks (Hanin 2018, arXiv:1801.03744).
///
/// # Errors
/// If a width is 0 or above 2^32.
pub fn inverse_widths(widths: impl IntoIterator<Item = usize>) -> Result<f64, TheoryError> {
    widths.into_iter().try_fold(0.0, |sum, n| Ok(sum + 1.0 / width("width", n)?))
}

/// Mean and variance of `ln Beta(K/2, (n - K)/2)` with K at least 1.
fn relu_gate(n: usize) -> (f64, f64) {
    let all = 0.5 * n as f64;
    let (mean, between) =
        half_binomial(n, 1, |k| digamma_minus_ln(0.5 * k as f64) + libm::log(k as f64 / n as f64));
    let (within, _) = half_binomial(n, 1, |k| trigamma(0.5 * k as f64));
    (mean - digamma_minus_ln(all), between + (within - trigamma(all)))
}

/// Mean and variance of `ln(a² + (1 - a²) Beta(K/2, (n - K)/2))`, by quadrature over the angle θ with `Beta = sin²θ`.
fn leaky_gate(n: usize, a2: f64) -> Result<(f64, f64), TheoryError> {
    if n > 1 << 22 {
        return Err(TheoryError::OutOfRange {
            what: "width",
            value: n as f64,
            allowed: "1 to 2^22 for a leaky gate",
        });
    }
    let given = |k: usize| match k {
        0 => (libm::log(a2), 0.0),
        k if k == n => (0.0, 0.0),
        k => leaky_gate_given(k as f64, (n - k) as f64, a2),
    };
    let (mean, between) = half_binomial(n, 0, |k| given(k).0);
    let (within, _) = half_binomial(n, 0, |k| given(k).1);
    Ok((mean, between + within))
}

/// The same for given numbers of open and closed gates, both above 0.
///
/// θ has the density `sin^(K-1)θ cos^(n-K-1)θ` on (0, π/2), up to its integral; its mode has `tan²θ = (K - 1)/(n - K - 1)`.
fn leaky_gate_given(open: f64, closed: f64, a2: f64) -> (f64, f64) {
    let exponents = (open - 1.0, closed - 1.0);
    let mode = libm::atan2(exponents.0.sqrt(), exponents.1.sqrt());
    let power = |exponent: f64, x: f64| if exponent == 0.0 { 0.0 } else { exponent * libm::log(x) };
    let height = |theta: f64| power(exponents.0, libm::sin(theta)) + power(exponents.1, libm::cos(theta));
    let highest = height(mode);
    // The logarithm of the density falls at least like that of a normal one with this deviation.
    let deviation = 1.0 / (open + closed).sqrt();
    let (low, high) = ((mode - 12.0 * deviation).max(0.0), (mode + 12.0 * deviation).min(FRAC_PI_2));
    // The logarithm bends at sin θ = a: panels shrink towards 0 by that scale.
    let mut ends = vec![low];
    let mut end = low;
    while end < high {
        end = (end + deviation.min(0.125).min(0.5 * (end + a2.sqrt()))).min(high);
        ends.push(end);
    }
    let mut sums = [0.0; 3];
    let mut add = |shift: f64| {
        sums = [0.0; 3];
        for pair in ends.windows(2) {
            let part = panel(pair[0], pair[1], |theta| {
                let density = libm::exp(height(theta) - highest);
                let (sine, cosine) = (libm::sin(theta), libm::cos(theta));
                // sin² + a² cos² = a² + (1 - a²) sin².
                let value = libm::log(sine * sine + a2 * cosine * cosine) - shift;
                [density, density * value, density * value * value]
            });
            for (sum, term) in sums.iter_mut().zip(part) {
                *sum += term;
            }
        }
        sums
    };
    let [total, first, _] = add(0.0);
    let mean = first / total;
    let [total, _, second] = add(mean);
    (mean, second / total)
}

/// Variance of `ln‖g‖²` of a ReLU-like gate with active fraction p behind a Gaussian matrix, to first order: `(3/p - 1)/n` per layer, 5/n for ReLU.
///
/// # Errors
/// If p is not above 0 and at most 1, or the width is 0 or above 2^32.
pub fn first_order_variance(active: f64, n: usize) -> Result<f64, TheoryError> {
    Ok((3.0 / fraction("active", active)? - 1.0) / width("width", n)?)
}

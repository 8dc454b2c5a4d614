//! Published bounds on rounding errors of inner products and chains; u is the unit roundoff 2^-p.
//!
//! Bounds are never estimates: for Gaussian matrices the deterministic bound on a chain grows like `(2n/π)^(d/2)` over the true norm
//! ([`log2_bound_over_norm`]). The laws of [`rounding`](crate::rounding) say what to expect.

/// `γ_n = n u / (1 - n u)` (Higham 2002, Accuracy and Stability of Numerical Algorithms, lemma 3.1): `|fl(x·y) - x·y| <= γ_n |x|·|y|` for n
/// products in any order, and for a vector through d matrices `γ_(nd)` times the product of absolute values. Infinite, that is void, for n u >=
/// 1; NaN if u is negative or NaN.
pub fn gamma(n: usize, unit: f64) -> f64 {
    let part = n as f64 * unit;
    if part.is_nan() || part < 0.0 {
        return f64::NAN;
    }
    if part >= 1.0 { f64::INFINITY } else { part / (1.0 - part) }
}

/// `γ~_n(λ) = e^(λ√n u + n u²/(1 - u)) - 1` (Higham and Mary 2019, SIAM J. Sci. Comput. 41, theorem 2.4): bounds a product of n factors `1 + δ` with
/// probability [`probability`], if rounding errors are independent with mean 0. Stochastic rounding satisfies the model with 2u in the place of u
/// (Connolly, Higham and Mary 2021, SIAM J. Sci. Comput. 43). NaN unless 0 <= u < 1 and λ >= 0.
pub fn probabilistic_gamma(n: usize, unit: f64, lambda: f64) -> f64 {
    if !(0.0..1.0).contains(&unit) || lambda.is_nan() || lambda < 0.0 {
        return f64::NAN;
    }
    let n = n as f64;
    libm::expm1(lambda * n.sqrt() * unit + n * unit * unit / (1.0 - unit))
}

/// `1 - 2 e^(-λ²(1 - u)²/2)`, at least 0: the probability with which [`probabilistic_gamma`] holds for one product.
pub fn probability(lambda: f64, unit: f64) -> f64 {
    let reduced = lambda * (1.0 - unit);
    (1.0 - 2.0 * libm::exp(-0.5 * reduced * reduced)).max(0.0)
}

/// The same for an inner product of n terms, which has n such products: `1 - n (1 - P(λ))`, at least 0 (Higham and Mary 2019, theorem 3.1).
pub fn inner_product_probability(n: usize, lambda: f64, unit: f64) -> f64 {
    let reduced = lambda * (1.0 - unit);
    (1.0 - n as f64 * (2.0 * libm::exp(-0.5 * reduced * reduced)).min(1.0)).max(0.0)
}

/// `log2` of how far the bound on a chain lies above the norm itself for Gaussian matrices: `(d/2) log2(2n/π)`, from `E|w| = √(2/π) σ`.
pub fn log2_bound_over_norm(width: usize, depth: usize) -> f64 {
    0.5 * depth as f64 * libm::log2(2.0 * width as f64 / std::f64::consts::PI)
}

/// How a matrix unit of 4 by 4 blocks multiplies 16-bit matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BlockMode {
    /// Everything in f16.
    F16,
    /// Blocks in f32, their results stored in f16.
    BlocksToF16,
    /// Factors rounded to f16, everything else in f32.
    BlocksToF32,
    /// Everything in f32, with f32 factors.
    F32,
}

/// First-order bounds on the relative error of a product of matrices with n inner terms (Blanchard et al. 2020, SIAM J. Sci. Comput. 42, C124,
/// blocks of 4): `(n + 2) u_16`, `(n/4 + 2) u_16 + n u_32`, `2 u_16 + n u_32` and `n u_32`, relative to the product of absolute values.
pub fn block_product(n: usize, mode: BlockMode) -> f64 {
    const U16: f64 = 1.0 / 2048.0;
    const U32: f64 = 1.0 / 16_777_216.0;
    let n = n as f64;
    match mode {
        BlockMode::F16 => (n + 2.0) * U16,
        BlockMode::BlocksToF16 => (n / 4.0 + 2.0) * U16 + n * U32,
        BlockMode::BlocksToF32 => 2.0 * U16 + n * U32,
        BlockMode::F32 => n * U32,
    }
}

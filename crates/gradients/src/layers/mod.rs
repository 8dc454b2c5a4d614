//! Normalisation layers over a batch, with their backward passes.
//!
//! `x` holds `rows · width` numbers, row-major: a row is a sample, a column a unit. A layer normalises groups of n numbers, rows or columns,
//! and then scales and shifts each column j:
//!
//! ```text
//! y = weight_j · x̂ + bias_j
//!
//! RMSNorm     rows      x̂ = x / sqrt(mean(x²) + ε)             Zhang and Sennrich 2019, "Root mean square layer normalization", eq. 4
//! LayerNorm   rows      x̂ = (x - mean) / sqrt(variance + ε)    Ba, Kiros and Hinton 2016, "Layer normalization", eq. 3
//! BatchNorm   columns   x̂ = (x - mean) / sqrt(variance + ε)    Ioffe and Szegedy 2015, "Batch normalization", algorithm 1
//! UnitNorm    rows      x̂ = x / max(‖x‖, ε)                    ‖x‖ the 2-norm; PyTorch's `functional.normalize`
//! ```
//!
//! The variance divides by n. BatchNorm takes its mean and variance from the batch, as in training. With `g` = dL/dy, `γ = g · weight_j` and
//! r the factor of the group (1 over the root, or over the maximum), the gradients are
//!
//! ```text
//! RMSNorm                 dL/dx = r (γ - x̂ mean(γ x̂))                1/r = sqrt(mean(x²) + ε)
//! LayerNorm, BatchNorm    dL/dx = r (γ - mean(γ) - x̂ mean(γ x̂))      Ioffe and Szegedy 2015, section 3, in one line
//! UnitNorm                dL/dx = r (γ - x̂ Σ γ x̂) for ‖x‖ >= ε, else γ / ε
//! dL/dweight_j = Σ over the rows of g x̂        dL/dbias_j = Σ over the rows of g
//! ```
//!
//! [`statistics()`] reads x once; [`forward`], [`backward()`] and [`parameter_gradients`] take its result, so that a chain keeps x and, for each
//! group, a few numbers. ε, which frameworks add to the papers' formulas, is exact as an f64 and may be 0. Every pass draws its random bits from
//! the streams of the arithmetic that it is given: give each pass its own.
//!
//! # Error
//!
//! The definition, which vectors follow bit by bit, computes everything with 126 bits and an unbounded exponent; x̂ is rounded to 112 bits; the sums behind the mean of x and dL/dbias are exact,
//! other sums run in the order of the numbers; each result is then rounded once into the format. So nothing overflows or underflows but a
//! result itself, whatever the magnitude of x, ε, weights and gradients. With `δ = 2^-110 + n 2^-124`, and `round` a rounding by the arithmetic,
//!
//! ```text
//! y            = round(exact + e)    |e| <= δ (|weight x̂| + |bias|)
//! dL/dx        = round(exact + e)    |e| <= δ r (|γ| + mean|γ| + |x̂| mean|γ x̂|)     (UnitNorm: sums for means)
//! dL/dweight   = round(exact + e)    |e| <= δ Σ|g x̂|, n the rows
//! dL/dbias     = round(exact)
//! ```
//!
//! To nearest that is half an ulp, unless a midpoint lies within e: in f64 less than 0.51 ulp for n up to 2^14, wherever the terms do not cancel
//! by more than 50 bits. The sum of a row holds 250 bits: what x lies nearer to its mean than that counts as the mean. Formats of more
//! than 51 bits round to the nearest f64 first, whatever their rules. Where the exact x̂ is a short number (equal numbers in a row, rows of
//! two numbers with ε = 0) it is found exactly, and gradients that then cancel are zeros.
//!
//! # Infinities, NaN, and nothing to divide by
//!
//! - A group with a NaN, one of LayerNorm or BatchNorm with an infinity, and one whose root or maximum is 0 (zeros or equal numbers with ε = 0):
//!   x̂ is NaN.
//! - A group of RMSNorm or UnitNorm with an infinity: x̂ is NaN for infinities, and a zero of the sign of x for the others.
//! - `y = weight · x̂ + bias` then follows IEEE 754, infinite weights and biases included.
//! - dL/dx is NaN in all of a group if one of its x, weights or gradients is not finite or its x̂ is NaN; dL/dweight of a column alike.
//! - dL/dbias is infinite or NaN as the sum is by IEEE 754.
//! - Equal numbers with ε > 0, a row of width 1 or a batch of one row for BatchNorm included, have `x̂ = 0`, `y = bias`.

mod affine;
mod backward;
mod quick;
mod statistics;

pub use affine::{Affine, forward};
pub use backward::{backward, parameter_gradients};
pub use quick::LayerPass;
pub(crate) use quick::{Pass, all_groups, on_vectors};
pub use statistics::{Statistics, statistics};

use crate::error::GradientError;
use std::fmt;
use std::str::FromStr;

/// A normalisation layer; the formulas stand in the [module](self).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NormLayer {
    /// Each row over its root mean square.
    RmsNorm,
    /// Each row, centred, over its standard deviation.
    LayerNorm,
    /// Each column, centred, over its standard deviation in the batch.
    BatchNorm,
    /// Each row over its 2-norm, or over ε where that is larger.
    UnitNorm,
}

impl NormLayer {
    /// All layers, in the order in which they are listed to users.
    pub const ALL: [NormLayer; 4] =
        [NormLayer::RmsNorm, NormLayer::LayerNorm, NormLayer::BatchNorm, NormLayer::UnitNorm];

    /// The name.
    pub const fn name(self) -> &'static str {
        match self {
            NormLayer::RmsNorm => "rmsnorm",
            NormLayer::LayerNorm => "layernorm",
            NormLayer::BatchNorm => "batchnorm",
            NormLayer::UnitNorm => "unitnorm",
        }
    }

    /// Whether a group is a column.
    const fn is_over_columns(self) -> bool {
        matches!(self, NormLayer::BatchNorm)
    }

    /// Whether the mean is subtracted.
    const fn is_centred(self) -> bool {
        matches!(self, NormLayer::LayerNorm | NormLayer::BatchNorm)
    }
}

impl fmt::Display for NormLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for NormLayer {
    type Err = GradientError;

    fn from_str(text: &str) -> Result<NormLayer, GradientError> {
        NormLayer::ALL.into_iter().find(|layer| layer.name() == text).ok_or_else(|| GradientError::Unknown {
            kind: "normalisation layer",
            text: text.to_owned(),
            known: "rmsnorm, layernorm, batchnorm, unitnorm".to_owned(),
        })
    }
}

/// Refuses a slice `what` of another length than `expected`.
fn check_length(what: &'static str, found: usize, expected: usize) -> Result<(), GradientError> {
    if found == expected {
        return Ok(());
    }
    Err(GradientError::Length { what, found, allowed: expected.to_string() })
}

/// Refuses an `x` that is not made of rows of `width`.
pub(crate) fn check_rows(what: &'static str, found: usize, width: usize) -> Result<(), GradientError> {
    if found == 0 || (width != 0 && found.is_multiple_of(width)) {
        return Ok(());
    }
    Err(GradientError::Length { what, found, allowed: format!("a multiple of the width {width}") })
}

//! Loss scaling (Micikevicius et al. 2018, arXiv:1710.03740): which gradients a scale S saves, and which it loses.
//!
//! Everything holds for scales that are powers of two, rounding to nearest with ties to even, and subnormals kept. The paper: values of f16 below
//! 2^-27 are irrelevant to training, those in 2^-27..2^-24 needed, hence S = 8 suffices for its SSD network; 8 to 32768 were tried.

use crate::error::{TheoryError, positive};
use crate::formats::NumberFormat;

/// What becomes of gradients under a scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// Magnitudes up to this become 0 (this one itself is a tie and does too).
    pub zero_up_to: f64,
    /// Magnitudes from here on keep all digits; above `zero_up_to` and below, fewer.
    pub normal_from: f64,
    /// Magnitudes from here on overflow.
    pub overflow_from: f64,
}

/// The thresholds of unscaled gradients under the scale S: `2^(e_min - p) / S`, `2^e_min / S` and `overflow / S`.
///
/// # Errors
/// If the scale is not a finite number above 0.
pub fn thresholds(format: NumberFormat, scale: f64) -> Result<Thresholds, TheoryError> {
    let scale = positive("scale", scale)?;
    Ok(Thresholds {
        zero_up_to: libm::ldexp(1.0 / scale, format.log2_zero() as i32),
        normal_from: libm::ldexp(1.0 / scale, format.log2_min_normal() as i32),
        overflow_from: libm::ldexp(format.overflow_significand() / scale, format.max_exponent()),
    })
}

/// The least power of two that keeps the gradient `2^log2_gradient` from becoming 0, as its log2: `⌊log2_zero - log2|g|⌋ + 1`, for f16 and `|g| =
/// 2^-e` e - 24.
pub fn log2_scale_to_keep(format: NumberFormat, log2_gradient: f64) -> f64 {
    (format.log2_zero() - log2_gradient).floor() + 1.0
}

/// The least power of two that makes it normal, as its log2: for f16 e - 14.
pub fn log2_scale_to_normal(format: NumberFormat, log2_gradient: f64) -> f64 {
    (format.log2_min_normal() - log2_gradient).ceil()
}

/// The largest power of two under which the largest gradient does not overflow, as its log2: `⌈log2(overflow / |g|)⌉ - 1`.
///
/// # Errors
/// If the gradient is not a finite number above 0.
pub fn log2_largest_scale(format: NumberFormat, largest_gradient: f64) -> Result<f64, TheoryError> {
    let gradient = positive("largest_gradient", largest_gradient)?;
    let (significand, exponent) = libm::frexp(gradient);
    // Significands are compared exactly; logarithms would not tell 65519 from 65520.
    let fits = 2.0 * significand < format.overflow_significand();
    Ok(f64::from(format.max_exponent() - (exponent - 1)) - if fits { 0.0 } else { 1.0 })
}

/// How often a dynamic scale that starts at `2^log2_scale` is halved before `largest_gradient` fits: PyTorch's GradScaler starts at 2^16, and a
/// gradient of 100 in f16 takes 7 halvings to 512.
///
/// # Errors
/// If the gradient is not a finite number above 0.
pub fn halvings(format: NumberFormat, log2_scale: i32, largest_gradient: f64) -> Result<u32, TheoryError> {
    Ok((f64::from(log2_scale) - log2_largest_scale(format, largest_gradient)?).max(0.0) as u32)
}

/// The scales, as log2 of powers of two, that keep the least gradient from 0 and the largest from overflow; None if no scale does both.
///
/// # Errors
/// If a gradient is not a finite number above 0.
pub fn log2_scales_that_keep(
    format: NumberFormat,
    least_gradient: f64,
    largest_gradient: f64,
) -> Result<Option<(f64, f64)>, TheoryError> {
    let least = log2_scale_to_keep(format, libm::log2(positive("least_gradient", least_gradient)?));
    let largest = log2_largest_scale(format, largest_gradient)?;
    Ok((least <= largest).then_some((least, largest)))
}

/// How many overflows in a row turn a scale of `2^log2_scale` that is kept in `format` into 0, being halved until it rounds to 0: 166 for
/// PyTorch's 2^16 in f32, whose reciprocal is infinite from 144 on.
pub fn overflows_until_zero(format: NumberFormat, log2_scale: i32) -> u32 {
    (f64::from(log2_scale) - format.log2_zero()).max(0.0) as u32
}

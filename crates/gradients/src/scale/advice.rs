//! Which loss scale a gradient needs in a format.
//!
//! A number g becomes `round(g S)` in the format. Rounded to nearest it is 0 up to half the least subnormal number, that half included (the tie goes to even),
//! and not finite from half an ulp above the largest number on. Between the least subnormal and the least normal number it keeps fewer bits than the format has.

use super::histogram::Histogram;
use crate::error::GradientError;
use gradchain_arith::{Format, Rules, round_f64};
use std::fmt;

/// The magnitude below which Micikevicius et al. (2018, section 3.2) found that a gradient may be dropped: 2^-27 "was irrelevant to the training of this model"
/// (Multibox SSD), values from there to 2^-24 were needed. Hence their scale 8.
pub const IRRELEVANT_BELOW: f64 = 1.0 / 134_217_728.0;

/// What becomes of a gradient that is multiplied by a scale and rounded into a format, to nearest, subnormals kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AtScale {
    /// log2 of the scale.
    pub log2_scale: i32,
    /// Whether the largest magnitude becomes infinite (NaN in a format without infinities).
    pub overflows: bool,
    /// The fraction of the numbers that are not zero which become zero.
    pub flushed: f64,
    /// The fraction of them that lie below the least normal number and do not become zero.
    pub subnormal: f64,
}

/// What `histogram` becomes in `format` at the scale `2^log2_scale`. Infinities and NaNs stay out of the fractions; without numbers these are 0.
pub fn at_scale(histogram: &Histogram, format: Format, log2_scale: i32) -> AtScale {
    let nonzero = histogram.nonzero();
    let (flushed, below) =
        (flushed(histogram, format, log2_scale), below_normal(histogram, format, log2_scale));
    let fraction = |count: u64| if nonzero == 0 { 0.0 } else { count as f64 / nonzero as f64 };
    AtScale {
        log2_scale,
        overflows: overflows(histogram, format, log2_scale),
        flushed: fraction(flushed),
        subnormal: fraction(below - flushed),
    }
}

/// Which scale a gradient needs in a format, and what it costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Advice {
    /// The format.
    pub format: Format,
    /// log2 of the largest power of two that no number overflows at; none without numbers.
    pub largest: Option<i32>,
    /// log2 of the least power of two, from 1 on, at which no more numbers than may lie below the least number of the format: none if that overflows, or the
    /// gradient is not finite.
    pub recommended: Option<i32>,
    /// Without a scale.
    pub plain: AtScale,
    /// At the recommended scale; at the largest where there is none.
    pub scaled: AtScale,
}

/// The advice for `histogram` in `format`: the least scale at which, of the magnitudes from `irrelevant_below` on, at most the fraction `tolerance` of all
/// numbers that are not zero lies below the least subnormal number. Such a number becomes zero, or, above half of it, is rounded up to it: no bit of it
/// is right. [`IRRELEVANT_BELOW`] and 0 are Micikevicius' criterion.
///
/// # Errors
/// If `tolerance` lies outside 0 to 1, or `irrelevant_below` is negative, infinite or NaN.
pub fn advise(
    histogram: &Histogram,
    format: Format,
    irrelevant_below: f64,
    tolerance: f64,
) -> Result<Advice, GradientError> {
    if !(0.0..=1.0).contains(&tolerance) {
        return Err(GradientError::OutOfRange { what: "tolerance", value: tolerance, allowed: "0 to 1" });
    }
    if !(irrelevant_below >= 0.0 && irrelevant_below.is_finite()) {
        let allowed = "0 and finite positive numbers";
        return Err(GradientError::OutOfRange { what: "irrelevant-below", value: irrelevant_below, allowed });
    }
    let relevant_from = match irrelevant_below {
        0.0 => i32::MIN,
        // The binade that holds it; what lies in the lower part of that binade counts as relevant.
        limit => libm::ilogb(limit),
    };
    let largest = largest_scale(histogram, format);
    let may = tolerance * histogram.nonzero() as f64;
    let lost = |k: i32| {
        let below = (format.min_exponent() - k).max(relevant_from);
        histogram.binades.range(relevant_from..below).map(|(_, binade)| binade.count).sum::<u64>()
    };
    let suffices = |k: &i32| lost(*k) as f64 <= may;
    let finite = histogram.infinities == 0 && histogram.nans == 0;
    let recommended = match largest {
        _ if !finite => None,
        None => Some(0),
        Some(largest) => (0..=largest).find(suffices),
    };
    let scaled = at_scale(histogram, format, recommended.or(largest).unwrap_or(0));
    Ok(Advice { format, largest, recommended, plain: at_scale(histogram, format, 0), scaled })
}

impl Advice {
    /// Whether there is a scale that keeps what must be kept without overflow.
    pub fn survives(&self) -> bool {
        self.recommended.is_some()
    }
}

impl fmt::Display for Advice {
    /// One sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AtScale { flushed, subnormal, .. } = self.scaled;
        let percent = |fraction: f64| 100.0 * fraction;
        match (self.recommended, self.largest) {
            (Some(0), _) => write!(
                f,
                "{} needs no loss scale: {:.3} % of the numbers become zero, {:.3} % subnormal",
                self.format,
                percent(flushed),
                percent(subnormal)
            ),
            (Some(scale), largest) => write!(
                f,
                "{} needs the loss scale 2^{scale} (at most 2^{}): {:.3} % become zero instead of {:.3} %, {:.3} % subnormal",
                self.format,
                largest.unwrap_or(scale),
                percent(flushed),
                percent(self.plain.flushed),
                percent(subnormal)
            ),
            (None, Some(largest)) => write!(
                f,
                "{} cannot hold the gradient: above the scale 2^{largest} it overflows, and there {:.3} % become zero",
                self.format,
                percent(flushed)
            ),
            (None, None) => write!(f, "{} cannot hold the gradient: it has infinities or NaNs", self.format),
        }
    }
}

/// log2 of the largest power of two at which the largest magnitude does not overflow.
fn largest_scale(histogram: &Histogram, format: Format) -> Option<i32> {
    let (&top, _) = histogram.binades.last_key_value()?;
    let scale = format.emax() - top;
    Some(if overflows(histogram, format, scale) { scale - 1 } else { scale })
}

fn overflows(histogram: &Histogram, format: Format, log2_scale: i32) -> bool {
    let Some((&top, binade)) = histogram.binades.last_key_value() else { return false };
    match (top + log2_scale).cmp(&format.emax()) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Equal => {
            let scaled = libm::scalbn(binade.largest, format.emax());
            !round_f64(scaled, format, Rules::default(), 0).is_finite()
        }
    }
}

/// How many magnitudes become zero.
fn flushed(histogram: &Histogram, format: Format, log2_scale: i32) -> u64 {
    // Half the least subnormal number, which itself becomes zero.
    let half = format.min_exponent() - 1 - log2_scale;
    let whole: u64 = histogram.binades.range(..half).map(|(_, binade)| binade.count).sum();
    whole + histogram.binades.get(&half).map_or(0, |binade| binade.powers)
}

/// How many magnitudes lie below the least normal number.
fn below_normal(histogram: &Histogram, format: Format, log2_scale: i32) -> u64 {
    let normal = format.emin() - log2_scale;
    histogram.binades.range(..normal).map(|(_, binade)| binade.count).sum()
}

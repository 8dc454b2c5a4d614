//! Which loss scale a gradient needs in a format.
//!
//! A number g becomes `round(g S)` in the format, to nearest, subnormals kept. It is 0 up to half the least number, that half included (the tie goes to even),
//! and not finite from half a unit above the largest number on. Between the least number and the least normal one it keeps fewer bits than the
//! format has. This is one rounding of the finished gradient; a backward pass in the format rounds at every layer, and what it has lost is not in the histogram of
//! its result. So take the histogram from a gradient in a wider format, or in the format at a scale that kept it ([`Histogram::unscaled`]).

use super::histogram::{Border, Histogram};
use crate::error::GradientError;
use gradchain_arith::Format;
use std::fmt;

/// The magnitude below which Micikevicius et al. (2018, section 3.2) found that a gradient may be dropped: values below 2^-27 "were irrelevant to the training of
/// this model" (Multibox SSD), values from there to 2^-24 were needed. Hence their scale 8.
pub const IRRELEVANT_BELOW: f64 = 1.0 / 134_217_728.0;

/// The formats of 16 and 8 bits that gradients are stored in.
pub const NARROW_FORMATS: [Format; 4] = [Format::F16, Format::BF16, Format::E5M2, Format::E4M3];

/// The largest and the smallest log2 of a loss scale.
const LOG2_SCALES: std::ops::RangeInclusive<i32> = -1022..=1022;

/// What becomes of a gradient that is multiplied by a scale and rounded into a format: a row of a table of scales.
///
/// The four fractions are of the finite numbers that are not zero; they add up to 1, or are all 0 where there are no such numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AtScale {
    /// log2 of the scale.
    pub log2_scale: i32,
    /// The fraction that becomes zero.
    pub flushed: f64,
    /// The fraction that becomes subnormal.
    pub subnormal: f64,
    /// The fraction that becomes a normal number.
    pub normal: f64,
    /// The fraction that becomes infinite (NaN in a format without infinities).
    pub overflowed: f64,
    /// Whether a number overflows, or may: the largest is known by its binade only, and the upper end of that overflows.
    pub overflows: bool,
}

/// What `histogram` becomes in `format` at the scale `2^log2_scale`; exact.
pub fn at_scale(histogram: &Histogram, format: Format, log2_scale: i32) -> AtScale {
    let nonzero = histogram.nonzero();
    let [not_zero, normal, overflow] = [Border::not_zero, Border::normal, Border::overflow]
        .map(|border| border(format).before_scaling(log2_scale));
    let [to_zero, to_subnormal, to_normal] =
        [not_zero, normal, overflow].map(|border| histogram.below(border));
    let fraction = |count: u64| if nonzero == 0 { 0.0 } else { count as f64 / nonzero as f64 };
    AtScale {
        log2_scale,
        flushed: fraction(to_zero),
        subnormal: fraction(to_subnormal - to_zero),
        normal: fraction(to_normal - to_subnormal),
        overflowed: fraction(nonzero - to_normal),
        overflows: histogram.reaches(overflow),
    }
}

impl AtScale {
    /// The columns of the [`Display`](fmt::Display) of a row, in its widths; fractions in per cent.
    pub const HEADER: &'static str = "  scale   % zero  % subnormal  % normal  % overflow";
}

impl fmt::Display for AtScale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AtScale { log2_scale, flushed, subnormal, normal, overflowed, .. } = self;
        let [flushed, subnormal, normal, overflowed] =
            [flushed, subnormal, normal, overflowed].map(|x| 100.0 * x);
        let scale = format!("2^{log2_scale}");
        write!(f, "{scale:>7} {flushed:>8.3} {subnormal:>12.3} {normal:>9.3} {overflowed:>11.3}")
    }
}

/// What a gradient must keep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Demand {
    /// The bits that a number must keep, from 0 to the precision of the format. b bits are kept from 2^(b-1) times the least number of the format on: there the
    /// rounding error is at most `2^-b |g|`, for b = p the unit roundoff of normal numbers. With b = 0 a number must not become zero, whatever else.
    pub bits: u32,
    /// Magnitudes below this may be lost; 0 for none. A number that is no power of two counts as the one below it.
    pub irrelevant_below: f64,
    /// The fraction of the numbers that are not zero which may be lost besides.
    pub tolerance: f64,
    /// Binades to leave free below the overflow, for gradients larger than these.
    pub headroom: u32,
}

impl Default for Demand {
    /// The criterion of Micikevicius et al. (2018): every number from 2^-27 on keeps its leading bit, and the largest does not overflow.
    fn default() -> Demand {
        Demand { bits: 1, irrelevant_below: IRRELEVANT_BELOW, tolerance: 0.0, headroom: 0 }
    }
}

/// Which scale a gradient needs in a format, and what it costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Advice {
    /// The format.
    pub format: Format,
    /// The infinities and NaNs of the gradient, whose magnitudes nobody knows.
    pub non_finite: u64,
    /// log2 of the largest power of two at which no number overflows, less the headroom and at most 1022; none where no number can overflow.
    pub largest: Option<i32>,
    /// log2 of the least power of two that meets the demand: 0 where no scale is needed, below 0 only where 1 overflows. None if no scale does, or the
    /// gradient is not finite.
    pub recommended: Option<i32>,
    /// The fraction of the numbers that are not zero which the demand counts as lost, at the scale of [`scaled`](Advice::scaled).
    pub lost: f64,
    /// Without a scale.
    pub plain: AtScale,
    /// At the recommended scale; at the largest where there is none.
    pub scaled: AtScale,
}

/// The advice for `histogram` in `format`. The least scale that meets the demand leaves the most room above.
///
/// # Errors
/// If a number of the demand lies outside its range; the error names it.
pub fn advise(histogram: &Histogram, format: Format, demand: Demand) -> Result<Advice, GradientError> {
    let Demand { bits, irrelevant_below, tolerance, headroom } = demand;
    if bits > format.precision() {
        let allowed = "0 to the precision of the format";
        return Err(GradientError::OutOfRange { what: "bits", value: f64::from(bits), allowed });
    }
    if !(irrelevant_below >= 0.0 && irrelevant_below.is_finite()) {
        let allowed = "0 and finite positive numbers";
        return Err(GradientError::OutOfRange { what: "irrelevant-below", value: irrelevant_below, allowed });
    }
    if !(0.0..=1.0).contains(&tolerance) {
        return Err(GradientError::OutOfRange { what: "tolerance", value: tolerance, allowed: "0 to 1" });
    }
    let irrelevant = match irrelevant_below {
        0.0 => 0,
        limit => histogram.below(Border::power(libm::ilogb(limit))),
    };
    let kept = match bits {
        0 => Border::not_zero(format),
        bits => Border::power(format.min_exponent() + bits as i32 - 1),
    };
    let lost = |k: i32| histogram.below(kept.before_scaling(k)).saturating_sub(irrelevant);
    let nonzero = histogram.nonzero();
    let suffices = |k: &i32| lost(*k) as f64 <= tolerance * nonzero as f64;
    let largest = largest_scale(histogram, format, headroom);
    let recommended = match largest {
        _ if histogram.non_finite() > 0 => None,
        None => Some(0),
        // A larger scale loses less: where 1 overflows, the largest is the best.
        Some(largest) if largest < 0 => Some(largest).filter(|k| LOG2_SCALES.contains(k)).filter(suffices),
        Some(largest) => (0..=largest).find(suffices),
    };
    let at = recommended.or(largest).unwrap_or(0);
    let fraction = if nonzero == 0 { 0.0 } else { lost(at) as f64 / nonzero as f64 };
    Ok(Advice {
        format,
        non_finite: histogram.non_finite(),
        largest,
        recommended,
        lost: fraction,
        plain: at_scale(histogram, format, 0),
        scaled: at_scale(histogram, format, at),
    })
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
        let (format, percent) = (self.format, |fraction: f64| 100.0 * fraction);
        let (zero, subnormal) = (percent(flushed), percent(subnormal));
        match (self.recommended, self.largest) {
            (Some(0), _) => write!(
                f,
                "{format} needs no loss scale: {zero:.3} % of the numbers become zero, {subnormal:.3} % subnormal"
            ),
            (Some(scale), largest) => write!(
                f,
                "{format} needs the loss scale 2^{scale} (at most 2^{}): {zero:.3} % become zero instead of {:.3} %, {subnormal:.3} % subnormal",
                largest.unwrap_or(scale),
                percent(self.plain.flushed)
            ),
            (None, _) if self.non_finite > 0 => {
                write!(
                    f,
                    "{format}: no advice, {} numbers of the gradient are infinite or NaN",
                    self.non_finite
                )
            }
            (None, largest) => write!(
                f,
                "{format} cannot hold the gradient: at the largest scale without overflow, 2^{}, {:.3} % are lost",
                largest.unwrap_or(0),
                percent(self.lost)
            ),
        }
    }
}

/// log2 of the largest power of two at which the largest magnitude does not overflow, less the headroom.
fn largest_scale(histogram: &Histogram, format: Format, headroom: u32) -> Option<i32> {
    let edge = format.emax() - histogram.top()?;
    let edge = if histogram.reaches(Border::overflow(format).before_scaling(edge)) { edge - 1 } else { edge };
    // More headroom than f64 has binades changes nothing.
    Some((edge - headroom.min(10_000) as i32).min(*LOG2_SCALES.end()))
}

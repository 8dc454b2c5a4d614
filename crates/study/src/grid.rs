//! Values of an axis from text: single values, ranges, and the lists of `--set`.

use crate::axis::Axis;
use crate::cell::Cell;

/// Most cells of a study.
pub const MAX_CELLS: usize = 1_000_000;

/// The values that `text` gives to `axis`: one, or those of a range `first..last:xFACTOR` or `first..last:+STEP`, both ends included.
///
/// # Errors
/// If it is no value of the axis, or no range.
pub(crate) fn values(axis: Axis, text: &str) -> Result<Vec<String>, String> {
    let values = match axis.is_numeric() && text.contains("..") {
        true => range(text)?,
        false => vec![text.to_owned()],
    };
    let mut cell = Cell::default();
    for value in &values {
        axis.set(&mut cell, value)?;
    }
    Ok(values)
}

/// The values of a list as `--set` takes it. `;` separates values. Without one, commas do, and a value takes as many pieces as it needs to be
/// one: `alternating:1.5,0.8,2` is two gains, `custom:5,-14,15,f16` two formats. A `;` at the end keeps a value with commas whole.
///
/// # Errors
/// If a piece is no value of the axis.
pub(crate) fn list(axis: Axis, text: &str) -> Result<Vec<String>, String> {
    let mut out = Vec::new();
    if text.contains(';') {
        for piece in text.split(';').map(str::trim).filter(|piece| !piece.is_empty()) {
            out.extend(values(axis, piece)?);
        }
    } else {
        let pieces: Vec<&str> = text.split(',').collect();
        let mut at = 0;
        while at < pieces.len() {
            let tries =
                (at + 1..=pieces.len()).map(|end| (end, values(axis, pieces[at..end].join(",").trim())));
            let mut first_error = None;
            let mut last_error = None;
            let mut found = None;
            for (end, result) in tries {
                match result {
                    Ok(values) => {
                        found = Some((end, values));
                        break;
                    }
                    Err(e) if first_error.is_none() => first_error = Some(e),
                    Err(e) => last_error = Some(e),
                }
            }
            let Some((end, values)) = found else {
                // Only values that begin with a word and a colon hold commas: of others the first piece alone is wrong.
                let whole = pieces[at].contains(':');
                let error = if whole { last_error.or(first_error) } else { first_error };
                return Err(error.unwrap_or_default());
            };
            out.extend(values);
            at = end;
        }
    }
    if out.is_empty() { Err("a list needs at least one value".to_owned()) } else { Ok(out) }
}

fn range(text: &str) -> Result<Vec<String>, String> {
    let explain =
        |e: &str| format!("bad range `{text}`: {e}; allowed: first..last:xFACTOR or first..last:+STEP");
    let (first, rest) = text.split_once("..").ok_or_else(|| explain("no `..`"))?;
    let (last, step) = rest.split_once(':').ok_or_else(|| explain("the step is missing"))?;
    let number = |text: &str| {
        Fixed::parse(text)
            .ok_or_else(|| explain(&format!("`{text}` is not a decimal number of at most 18 digits")))
    };
    let (first, last) = (number(first)?, number(last)?);
    let too_far = || explain("the numbers are too long");
    let next: Box<dyn Fn(Fixed) -> Option<Fixed>> = if let Some(factor) = step.strip_prefix('x') {
        let factor = number(factor)?;
        if !factor.above(Fixed::ONE) || !first.above(Fixed::ZERO) {
            return Err(explain("a factor must be above 1, and the first value above 0"));
        }
        Box::new(move |x| x.times(factor))
    } else if let Some(step) = step.strip_prefix('+') {
        let step = number(step)?;
        if !step.above(Fixed::ZERO) {
            return Err(explain("a step must be above 0"));
        }
        Box::new(move |x| x.plus(step))
    } else {
        return Err(explain("the step is neither xFACTOR nor +STEP"));
    };
    let mut out = Vec::new();
    let mut x = first;
    while !x.above(last) {
        if out.len() == MAX_CELLS {
            return Err(explain(&format!("more than {MAX_CELLS} values")));
        }
        out.push(x.text());
        x = next(x).ok_or_else(too_far)?;
    }
    if out.is_empty() { Err(explain("the last value lies below the first")) } else { Ok(out) }
}

/// A decimal `mantissa / 10^places`: the steps of a range are exact, so `0..1:+0.1` holds 0.3 and not 0.30000000000000004.
#[derive(Clone, Copy)]
struct Fixed {
    mantissa: i128,
    places: u32,
}

impl Fixed {
    const ZERO: Fixed = Fixed { mantissa: 0, places: 0 };
    const ONE: Fixed = Fixed { mantissa: 1, places: 0 };

    fn parse(text: &str) -> Option<Fixed> {
        let text = text.trim();
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = whole.strip_prefix('-').unwrap_or(whole);
        let all_digits = digits.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit());
        if !all_digits || !(1..=18).contains(&(digits.len() + fraction.len())) {
            return None;
        }
        Some(
            Fixed { mantissa: format!("{whole}{fraction}").parse().ok()?, places: fraction.len() as u32 }
                .short(),
        )
    }

    /// Without zeros at the end.
    fn short(mut self) -> Fixed {
        while self.places > 0 && self.mantissa % 10 == 0 {
            self = Fixed { mantissa: self.mantissa / 10, places: self.places - 1 };
        }
        self
    }

    /// Both over the same power of ten.
    fn aligned(self, other: Fixed) -> Option<(i128, i128, u32)> {
        let places = self.places.max(other.places);
        let scale = |x: Fixed| x.mantissa.checked_mul(10i128.checked_pow(places - x.places)?);
        Some((scale(self)?, scale(other)?, places))
    }

    fn above(self, other: Fixed) -> bool {
        // Where the exact comparison does not fit, so many digits stand behind the point that f64 decides.
        let rough = |x: Fixed| x.mantissa as f64 / f64::powi(10.0, x.places as i32);
        self.aligned(other).map_or_else(|| rough(self) > rough(other), |(a, b, _)| a > b)
    }

    fn plus(self, other: Fixed) -> Option<Fixed> {
        let (a, b, places) = self.aligned(other)?;
        Some(Fixed { mantissa: a.checked_add(b)?, places }.short())
    }

    fn times(self, other: Fixed) -> Option<Fixed> {
        let mantissa = self.mantissa.checked_mul(other.mantissa)?;
        Some(Fixed { mantissa, places: self.places + other.places }.short())
    }

    fn text(self) -> String {
        let sign = if self.mantissa < 0 { "-" } else { "" };
        let digits = format!("{:0>1$}", self.mantissa.unsigned_abs(), self.places as usize + 1);
        let (whole, fraction) = digits.split_at(digits.len() - self.places as usize);
        if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_both_ends_and_exact_steps() {
        assert_eq!(values(Axis::Depth, "1..10:x2").unwrap(), ["1", "2", "4", "8"]);
        assert_eq!(values(Axis::Depth, "0..30:+10").unwrap(), ["0", "10", "20", "30"]);
        assert_eq!(values(Axis::Depth, "5..5:x2").unwrap(), ["5"]);
        assert_eq!(values(Axis::Depth, "1..1024:x2").unwrap().len(), 11);
        assert_eq!(values(Axis::WeightScale, "0..0.4:+0.1").unwrap(), ["0", "0.1", "0.2", "0.3", "0.4"]);
        assert_eq!(values(Axis::WeightScale, "1..3:x1.5").unwrap(), ["1", "1.5", "2.25"]);
        assert_eq!(values(Axis::Gain, "-0.5..0.5:+0.5").unwrap(), ["-0.5", "0", "0.5"]);
    }

    #[test]
    fn ranges_that_are_none() {
        for (text, reason) in [
            ("1..8", "the step is missing"),
            ("8..1:x2", "below the first"),
            ("1..8:x1", "above 1"),
            ("0..8:x2", "above 0"),
            ("1..8:+0", "above 0"),
            ("1..8:*2", "neither"),
            ("a..8:x2", "`a`"),
            ("..8:x2", "``"),
            ("1..9999999:+1", "more than 1000000 values"),
            ("1..100000000000000000:x1.00000000000000001", "too long"),
            ("1..4:x1.5", "integers"),
        ] {
            let message = values(Axis::Depth, text).unwrap_err();
            assert!(message.contains(reason), "{text}: {message}");
        }
    }

    #[test]
    fn lists_split_where_every_piece_is_a_value() {
        assert_eq!(list(Axis::Gain, "alternating:1.5,0.8,2").unwrap(), ["alternating:1.5,0.8", "2"]);
        assert_eq!(list(Axis::Gain, "2,normal:1,0.1").unwrap(), ["2", "normal:1,0.1"]);
        assert_eq!(
            list(Axis::Format, "f16,custom:5,-14,15,bf16").unwrap(),
            ["f16", "custom:5,-14,15", "bf16"]
        );
        assert_eq!(list(Axis::Init, "file:a,b;he").unwrap(), ["file:a,b", "he"]);
        assert_eq!(list(Axis::Init, "file:a,b;").unwrap(), ["file:a,b"]);
        assert_eq!(list(Axis::Depth, "1..4:x2, 100").unwrap(), ["1", "2", "4", "100"]);
        for (axis, text, part) in [
            (Axis::Format, "f16,f15,f32", "`f15`;"),
            (Axis::Format, "f16,custom:1,2", "`custom:1,2`"),
            (Axis::Format, "", "``"),
            (Axis::Format, ";", "at least one"),
            (Axis::Format, "f16,", "``"),
            (Axis::Depth, "1,x", "`x`"),
        ] {
            let message = list(axis, text).unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}

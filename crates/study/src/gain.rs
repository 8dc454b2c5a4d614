//! Gains: the factor of each layer of a chain, known beyond f64.
//!
//! A gain of 0.8 means four fifths, not the f64 number next to it: after 100 layers the two differ by 6e-15. So a study keeps the text, and
//! [`Decimal`] knows what f64 leaves off.

use gradchain_chain::{Decimal, Init};
use std::fmt;
use std::str::FromStr;

/// A number with its text: one text for each number, so that `0.80` and `8e-1` name the same cell as `0.8`.
#[derive(Clone, Debug, PartialEq)]
pub struct Number {
    text: String,
    decimal: Decimal,
}

impl Number {
    /// The number, to about 106 bits.
    pub fn decimal(&self) -> Decimal {
        self.decimal
    }
}

impl FromStr for Number {
    type Err = String;

    fn from_str(text: &str) -> Result<Number, String> {
        let decimal: Decimal = text.parse().map_err(|e: gradchain_chain::DecimalError| e.to_string())?;
        let text = match text {
            "sqrt2" | "1/sqrt2" => text.to_owned(),
            // At most 15 digits: the shortest text of the nearest f64 number is the decimal itself. Adding zero drops the sign of -0.
            _ => (decimal.nearest + 0.0).to_string(),
        };
        Ok(Number { text, decimal })
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The gain of each layer of a chain.
#[derive(Clone, Debug, PartialEq)]
pub enum Gain {
    /// The same in every layer.
    Constant(Number),
    /// Two gains in turn, the first in the layer that the gradient passes first.
    Alternating(Number, Number),
    /// Drawn from a normal distribution, independently for each layer.
    Normal {
        /// Mean.
        mean: Number,
        /// Standard deviation, not negative.
        sd: Number,
    },
}

impl Gain {
    /// The initialisation that gives every layer its gain.
    pub fn init(&self) -> Init {
        match self {
            Gain::Constant(gain) => Init::Constant(gain.decimal),
            Gain::Alternating(first, second) => Init::Alternating(first.decimal, second.decimal),
            Gain::Normal { mean, sd } => {
                Init::RandomGain { mean: mean.decimal.nearest, sd: sd.decimal.nearest }
            }
        }
    }
}

impl FromStr for Gain {
    type Err = String;

    fn from_str(text: &str) -> Result<Gain, String> {
        const KNOWN: &str = "known: none, a number, sqrt2, 1/sqrt2, alternating:a,b, normal:mean,sd";
        let explain = |e: String| format!("bad gain `{text}`: {e}; {KNOWN}");
        let pair = |pair: &str| -> Result<(Number, Number), String> {
            let (a, b) = pair.split_once(',').ok_or_else(|| explain("two numbers are needed".to_owned()))?;
            Ok((a.trim().parse().map_err(explain)?, b.trim().parse().map_err(explain)?))
        };
        if let Some(rest) = text.strip_prefix("alternating:") {
            return pair(rest).map(|(first, second)| Gain::Alternating(first, second));
        }
        if let Some(rest) = text.strip_prefix("normal:") {
            let (mean, sd) = pair(rest)?;
            if sd.decimal.nearest < 0.0 {
                return Err(explain(format!("sd = {sd} is negative")));
            }
            return Ok(Gain::Normal { mean, sd });
        }
        text.parse().map(Gain::Constant).map_err(explain)
    }
}

impl fmt::Display for Gain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Gain::Constant(gain) => gain.fmt(f),
            Gain::Alternating(a, b) => write!(f, "alternating:{a},{b}"),
            Gain::Normal { mean, sd } => write!(f, "normal:{mean},{sd}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_for_each_number() {
        for (written, canonical) in [
            ("0.8", "0.8"),
            ("0.80", "0.8"),
            ("8e-1", "0.8"),
            ("-0.0", "0"),
            ("1.50", "1.5"),
            ("1e2", "100"),
            ("0.123456789012345", "0.123456789012345"),
            ("1/sqrt2", "1/sqrt2"),
            ("alternating:1.50, sqrt2", "alternating:1.5,sqrt2"),
            ("normal:1,0.10", "normal:1,0.1"),
        ] {
            let gain: Gain = written.parse().unwrap();
            assert_eq!(gain.to_string(), canonical);
            assert_eq!(canonical.parse::<Gain>().unwrap(), gain);
        }
    }

    #[test]
    fn what_is_no_gain() {
        for bad in [
            "nan",
            "inf",
            "",
            "alternating:1",
            "normal:1,-1",
            "normal:1",
            "sqrt3",
            "alternating:1,2,3",
            "1,2",
        ] {
            let message = bad.parse::<Gain>().unwrap_err();
            assert!(message.contains(bad) && message.contains("alternating:a,b"), "{message}");
        }
    }
}

//! What can be wrong with a call.

use thiserror::Error;

/// Why there is no prediction.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum TheoryError {
    /// A number lies outside the range in which the formula holds or can be evaluated.
    #[error("{what} = {value} is out of range; allowed: {allowed}")]
    OutOfRange {
        /// The name of the number.
        what: &'static str,
        /// The number given.
        value: f64,
        /// The range, in words.
        allowed: &'static str,
    },
    /// No activation, initialisation or format of this name.
    #[error("unknown {kind} `{text}`; known: {known}")]
    Unknown {
        /// What was to be named.
        kind: &'static str,
        /// The text given.
        text: String,
        /// The names that exist.
        known: String,
    },
}

/// Largest width of a layer: sums over a binomial distribution take about 20 √width terms.
pub const MAX_WIDTH: usize = 1 << 32;

/// The number itself if it is finite and at least 0.
pub(crate) fn non_negative(what: &'static str, value: f64) -> Result<f64, TheoryError> {
    match value.is_finite() && value >= 0.0 {
        true => Ok(value),
        false => Err(TheoryError::OutOfRange { what, value, allowed: "a finite number, at least 0" }),
    }
}

/// The number itself if it is finite and above 0.
pub(crate) fn positive(what: &'static str, value: f64) -> Result<f64, TheoryError> {
    match value.is_finite() && value > 0.0 {
        true => Ok(value),
        false => Err(TheoryError::OutOfRange { what, value, allowed: "a finite number above 0" }),
    }
}

/// The number itself if it is a probability other than 0.
pub(crate) fn fraction(what: &'static str, value: f64) -> Result<f64, TheoryError> {
    match value > 0.0 && value <= 1.0 {
        true => Ok(value),
        false => Err(TheoryError::OutOfRange { what, value, allowed: "above 0, at most 1" }),
    }
}

/// The width as a float if there can be such a layer.
pub(crate) fn width(what: &'static str, value: usize) -> Result<f64, TheoryError> {
    match (1..=MAX_WIDTH).contains(&value) {
        true => Ok(value as f64),
        false => Err(TheoryError::OutOfRange { what, value: value as f64, allowed: "1 to 2^32" }),
    }
}

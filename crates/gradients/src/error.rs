//! What can be wrong with a call.

use thiserror::Error;

/// Why a gradient was not changed.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum GradientError {
    /// A limit or scale lies outside its range.
    #[error("{what} = {value} is out of range; allowed: {allowed}")]
    OutOfRange {
        /// The name of the number.
        what: &'static str,
        /// The number given.
        value: f64,
        /// The range, in words.
        allowed: &'static str,
    },
    /// The policy is [`NonFinite::Error`](crate::NonFinite::Error), and the gradient holds an infinity or a NaN.
    #[error("gradient {tensor} holds {value} at index {index}")]
    NonFinite {
        /// The first tensor with such a number.
        tensor: usize,
        /// Its first place in that tensor.
        index: usize,
        /// The number there.
        value: f64,
    },
    /// No remedy or norm of this name.
    #[error("unknown {kind} `{text}`; known: {known}")]
    Unknown {
        /// What was to be named.
        kind: &'static str,
        /// The text given.
        text: String,
        /// The names that exist.
        known: String,
    },
    /// A slice has the wrong length.
    #[error("{what} has {found} numbers; allowed: {allowed}")]
    Length {
        /// The name of the slice.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The length that fits, in words.
        allowed: String,
    },
}

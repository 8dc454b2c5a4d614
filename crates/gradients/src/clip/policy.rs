//! What becomes of gradients that are not finite.

use crate::error::GradientError;
use std::fmt;
use std::str::FromStr;

/// What to do with a gradient that holds an infinity or a NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NonFinite {
    /// `propagate`: multiply all the same, as PyTorch does: under an infinite norm finite numbers become zeros of their sign and infinities NaN; under
    /// a NaN norm, or an infinite one with the limit ∞, everything becomes NaN.
    Propagate,
    /// `all-nan`: make every number NaN, as TensorFlow does.
    AllNan,
    /// `zero`: make every number +0, so that the step changes no weight.
    Zero,
    /// `skip`: leave the gradient as it is and say so.
    Skip,
    /// `error`: leave the gradient as it is and return an error that names the tensor and the place of the first such number.
    Error,
}

impl NonFinite {
    /// All policies by name.
    pub const NAMED: [(&'static str, NonFinite); 5] = [
        ("propagate", NonFinite::Propagate),
        ("all-nan", NonFinite::AllNan),
        ("zero", NonFinite::Zero),
        ("skip", NonFinite::Skip),
        ("error", NonFinite::Error),
    ];
}

impl fmt::Display for NonFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NonFinite::NAMED.iter().find(|(_, policy)| policy == self).map(|(name, _)| *name);
        f.pad(name.expect("every policy is named"))
    }
}

impl FromStr for NonFinite {
    type Err = GradientError;

    fn from_str(text: &str) -> Result<NonFinite, GradientError> {
        let found = NonFinite::NAMED.iter().find(|(name, _)| *name == text).map(|(_, policy)| *policy);
        found.ok_or_else(|| GradientError::Unknown {
            kind: "policy",
            text: text.to_owned(),
            known: NonFinite::NAMED.map(|(name, _)| name).join(", "),
        })
    }
}

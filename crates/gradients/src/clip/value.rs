//! Clipping by value.

use super::policy::NonFinite;
use super::{Outcome, check_limit, refuse};
use crate::error::GradientError;
use crate::stored::Gradients;

/// What clipping by value did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueClipping {
    /// What became of the gradient; [`Outcome::Scaled`] means that numbers were clipped.
    pub outcome: Outcome,
    /// How many numbers lay outside.
    pub clipped: usize,
}

/// Limits every number to `-limit..=limit` and returns how many lay outside.
///
/// These become the limit rounded by `arith`, or the format's largest number if that is less; numbers inside keep their bits, and NaN stays.
/// The limit 0 gives zeros that keep their sign, the limit ∞ changes nothing. Number i draws its random bits from stream i.
///
/// # Errors
/// If the limit is negative or NaN.
pub fn clip_by_value<A: Gradients>(
    arith: &A,
    limit: f64,
    gradient: &mut [A::Number],
) -> Result<usize, GradientError> {
    check_limit("clip-value", limit)?;
    Ok(arith.clamp(-limit, limit, gradient))
}

/// Limits every number of `tensors` to `low..=high`, with a choice of what to do with infinities and NaN.
///
/// Numbers outside become the bound rounded by `arith`, or the format's number of largest magnitude if the bound lies beyond it; numbers inside
/// keep their bits. Under [`NonFinite::Propagate`] infinities are numbers outside and NaN stays, as in every framework; the other policies act on all
/// tensors if one number is infinite or NaN. Number i of tensor t draws its random bits from stream t, i.
///
/// # Errors
/// If a bound is NaN or `low` is above `high`, or as `policy` says. Nothing has been changed then.
pub fn clip_by_range<A: Gradients>(
    arith: &A,
    low: f64,
    high: f64,
    policy: NonFinite,
    tensors: &mut [&mut [A::Number]],
) -> Result<ValueClipping, GradientError> {
    if low.is_nan() {
        return Err(GradientError::OutOfRange { what: "low", value: low, allowed: "-inf to inf" });
    }
    if high.is_nan() || high < low {
        return Err(GradientError::OutOfRange { what: "high", value: high, allowed: "low to inf" });
    }
    refuse(arith, policy, tensors)?;
    let spoiled = || tensors.iter().any(|tensor| arith.first_non_finite(tensor).is_some());
    let all = match policy {
        NonFinite::Propagate | NonFinite::Error => None,
        _ if !spoiled() => None,
        NonFinite::AllNan => Some(f64::NAN),
        NonFinite::Zero => Some(0.0),
        NonFinite::Skip => return Ok(ValueClipping { outcome: Outcome::Skipped, clipped: 0 }),
    };
    let mut clipped = 0;
    for (t, tensor) in tensors.iter_mut().enumerate() {
        let arith = arith.stream(t as u64);
        match all {
            Some(x) => {
                tensor.iter_mut().enumerate().for_each(|(i, g)| *g = arith.stream(i as u64).round(x));
            }
            None => clipped += arith.clamp(low, high, tensor),
        }
    }
    let outcome = match all {
        Some(x) if x.is_nan() => Outcome::Spoiled,
        Some(_) => Outcome::Zeroed,
        None if clipped == 0 => Outcome::Kept,
        None => Outcome::Scaled,
    };
    Ok(ValueClipping { outcome, clipped })
}

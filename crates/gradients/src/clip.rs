//! Clipping by value and by norm, and normalisation.
//!
//! Clipping by norm follows Pascanu, Mikolov and Bengio (2013, "On the difficulty of training recurrent neural networks", algorithm 1):
//! `g · min(1, limit / ‖g‖)`, here with the exact norm and without the epsilon that frameworks add to it.

use crate::error::GradientError;
use crate::norm::{Norm, Order, norm_of, times_power_of_two};
use crate::scale::first_non_finite;
use gradchain_arith::Arithmetic;

/// What to do with a gradient whose norm is infinite or NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NonFinite {
    /// Multiply all the same, as PyTorch does: under an infinite norm finite numbers become zeros of their sign and infinities NaN; under
    /// a NaN norm, or an infinite one with the limit ∞, everything becomes NaN.
    Propagate,
    /// Make every number NaN, as TensorFlow does.
    AllNan,
    /// Leave the gradient as it is and say so.
    Skip,
    /// Leave the gradient as it is and return an error that names the first such number.
    Error,
}

/// What became of a gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its norm asked for no change: the same bits.
    Kept,
    /// Every number was scaled.
    Scaled,
    /// Its norm was not finite, and now it holds NaN or zeros.
    Spoiled,
    /// Its norm was not finite: the same bits.
    Skipped,
}

/// The norm of a gradient before it was changed, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clipping {
    /// The norm before.
    pub norm: Norm,
    /// What was done.
    pub outcome: Outcome,
}

/// Limits every number to `-limit..=limit` and returns how many lay outside.
///
/// These become the limit rounded by `arith`, or the format's largest number if that is less; numbers inside keep their bits, and NaN stays.
/// The limit 0 gives zeros that keep their sign, the limit ∞ changes nothing. Number i draws its random bits from stream i.
///
/// # Errors
/// If the limit is negative or NaN.
pub fn clip_by_value<A: Arithmetic>(
    arith: &A,
    limit: f64,
    gradient: &mut [A::Number],
) -> Result<usize, GradientError> {
    check_limit("clip-value", limit)?;
    let mut clipped = 0;
    for (i, g) in gradient.iter_mut().enumerate() {
        let value = arith.value(*g);
        if value.abs() > limit {
            *g = arith.stream(i as u64).round(limit.min(arith.format().max()).copysign(value));
            clipped += 1;
        }
    }
    Ok(clipped)
}

/// Scales all `tensors` by `limit / norm` if their common norm is above `limit`.
///
/// The factor is taken in f64 from the norm rounded to 53 bits, with an exponent that is not bounded; each number becomes
/// `round(fl(g · factor))`: the product in f64, then one rounding by `arith`. In f64 itself the product is the rounding: together an error of at
/// most 2 ulp of the exact `g · limit / norm`. Up to rounding the norm is at most the limit afterwards: `limit · (1 + u) · (1 + 2^-51)` where
/// nothing is subnormal. Number i of tensor t draws its random bits from stream t, i.
///
/// A norm that is not above the limit changes no bit. The limit 0 gives zeros that keep their sign; the limit ∞ changes no finite gradient.
/// A norm that is not finite is a matter of `policy`, whatever the limit.
///
/// # Errors
/// If the limit is negative or NaN, or as `policy` says. Nothing has been changed then.
pub fn clip_by_norm<A: Arithmetic>(
    arith: &A,
    order: Order,
    limit: f64,
    policy: NonFinite,
    tensors: &mut [&mut [A::Number]],
) -> Result<Clipping, GradientError> {
    check_limit("clip-norm", limit)?;
    let norm = norm_over(arith, order, tensors);
    if !norm.is_finite() {
        let factor = limit / norm.to_f64();
        return spoil(arith, norm, policy, tensors, |g| g * factor);
    }
    if !norm.exceeds(limit) {
        return Ok(Clipping { norm, outcome: Outcome::Kept });
    }
    let limit = Norm::from_f64(limit);
    let (ratio, exponent) = (limit.mantissa() / norm.mantissa(), limit.exponent() - norm.exponent());
    let factor = times_power_of_two(ratio, exponent);
    if exponent > -1022 {
        round_each(arith, tensors, |g| g * factor);
    } else {
        // Half the ratio is at most 1: the first product cannot overflow.
        round_each(arith, tensors, |g| times_power_of_two(g * (0.5 * ratio), exponent + 1));
    }
    Ok(Clipping { norm, outcome: Outcome::Scaled })
}

/// Divides all `tensors` by their common norm; zeros stay zeros.
///
/// Each number becomes `round(fl(g / norm))` with the norm rounded to 53 bits, whatever its exponent: the quotient in f64, then one rounding by
/// `arith` (below 2^-1022 the quotient's dividend has been rounded too). Number i of tensor t draws its random bits from stream t, i.
///
/// # Errors
/// As `policy` says of a norm that is not finite. Nothing has been changed then.
pub fn normalise<A: Arithmetic>(
    arith: &A,
    order: Order,
    policy: NonFinite,
    tensors: &mut [&mut [A::Number]],
) -> Result<Clipping, GradientError> {
    let norm = norm_over(arith, order, tensors);
    if !norm.is_finite() {
        let divisor = norm.to_f64();
        return spoil(arith, norm, policy, tensors, |g| g / divisor);
    }
    if norm.mantissa() == 0.0 {
        return Ok(Clipping { norm, outcome: Outcome::Kept });
    }
    round_each(arith, tensors, |g| times_power_of_two(g, -norm.exponent()) / norm.mantissa());
    Ok(Clipping { norm, outcome: Outcome::Scaled })
}

/// Refuses limits that are negative or NaN.
pub(crate) fn check_limit(what: &'static str, limit: f64) -> Result<(), GradientError> {
    if limit >= 0.0 {
        return Ok(());
    }
    Err(GradientError::OutOfRange { what, value: limit, allowed: "0 to inf" })
}

fn norm_over<A: Arithmetic>(arith: &A, order: Order, tensors: &[&mut [A::Number]]) -> Norm {
    norm_of(order, tensors.iter().flat_map(|tensor| tensor.iter()).map(|&g| arith.value(g)))
}

/// Each number becomes `change` of it, rounded.
fn round_each<A: Arithmetic>(arith: &A, tensors: &mut [&mut [A::Number]], change: impl Fn(f64) -> f64) {
    for (t, tensor) in tensors.iter_mut().enumerate() {
        let arith = arith.stream(t as u64);
        for (i, g) in tensor.iter_mut().enumerate() {
            *g = arith.stream(i as u64).round(change(arith.value(*g)));
        }
    }
}

/// What `policy` does with a gradient whose norm is not finite.
fn spoil<A: Arithmetic>(
    arith: &A,
    norm: Norm,
    policy: NonFinite,
    tensors: &mut [&mut [A::Number]],
    change: impl Fn(f64) -> f64,
) -> Result<Clipping, GradientError> {
    match policy {
        NonFinite::Propagate => round_each(arith, tensors, change),
        NonFinite::AllNan => round_each(arith, tensors, |_| f64::NAN),
        NonFinite::Skip => return Ok(Clipping { norm, outcome: Outcome::Skipped }),
        NonFinite::Error => {
            let found = tensors.iter().enumerate().find_map(|(tensor, numbers)| {
                let index = first_non_finite(arith, numbers)?;
                Some(GradientError::NonFinite { tensor, index, value: arith.value(numbers[index]) })
            });
            return Err(found.expect("finite numbers have a finite norm"));
        }
    }
    Ok(Clipping { norm, outcome: Outcome::Spoiled })
}

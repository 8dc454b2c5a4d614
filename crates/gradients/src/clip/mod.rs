//! Clipping by value and by norm, and normalisation.
//!
//! Clipping by norm follows Pascanu, Mikolov and Bengio (2013, "On the difficulty of training recurrent neural networks", algorithm 1):
//! `g · min(1, limit / ‖g‖)`, here with the exact norm and without the epsilon that frameworks add to it
//! ([`frameworks`](crate::frameworks) has theirs).
//!
//! # How near a clipped number is to the exact one
//!
//! The norm of order 1, 2 or infinity is the exact one rounded to 53 bits, the factor `limit / norm` its quotient rounded to 53 bits with an exponent that
//! is not bounded. So the factor is the exact one times `1 + d`, `|d| <= 2^-52`; for the other orders, whose norms have a few errors of that size,
//! `|d| <= 2^-50`. Each number becomes the exact product with this factor, rounded once by the
//! arithmetic: there is no double rounding. In f16, bf16, f32 and every format of at most 51 bits this is `g · limit / ‖g‖` rounded once, unless a
//! midpoint (or a number, in the directed roundings) lies within a relative 2^-52 of it: then it can be the neighbour. In f64, and in formats of more
//! than 51 bits, it lies within 2 ulp of the exact value rounded once. These formats round to the nearest f64 first, whatever the rules of the
//! arithmetic; stochastic rounding of narrow formats sees 53 bits of the product.
//!
//! # The norm afterwards
//!
//! For a p-norm with p ≥ 1 over n numbers, in a format with unit roundoff u and least subnormal number η (rounding to nearest), the norm after clipping is
//! at most `limit · (1 + u) (1 + 2^-51) + n^(1/p) η / 2`, for the other orders with 2^-49 in place of 2^-51. [`excess`] measures it.

mod change;
mod policy;
mod report;
mod units;
mod value;

pub use change::Scaling;
pub use policy::NonFinite;
pub use report::{Clipping, Outcome};
pub(crate) use units::copy_columns;
pub use units::{Adaptive, Units, clip_adaptively, clip_by_rms};
pub use value::{ValueClipping, clip_by_range, clip_by_value};

use crate::error::GradientError;
use crate::norm::{Norm, Order, norm, times_power_of_two};
use crate::scale::first_non_finite;
use crate::stored::Gradients;
use change::Change;

/// Scales all `tensors` by `limit / norm` if their common norm is above `limit`.
///
/// Each number becomes `round(g · factor)`, the exact product rounded once; the module's text bounds the error of the factor. Number i of tensor t
/// draws its random bits from stream t, i.
///
/// A norm that is not above the limit, when it is rounded to 53 bits, changes no bit. The limit 0 gives zeros that keep their sign; the limit ∞ changes
/// no finite gradient. A norm that is not finite is a matter of `policy`, whatever the limit.
///
/// # Errors
/// If the limit is negative or NaN, or as `policy` says. Nothing has been changed then.
pub fn clip_by_norm<A: Gradients>(
    arith: &A,
    order: Order,
    limit: f64,
    policy: NonFinite,
    tensors: &mut [&mut [A::Number]],
) -> Result<Clipping, GradientError> {
    check_limit("clip-norm", limit)?;
    let norm = norm_over(arith, order, tensors);
    // Of finite numbers every norm is finite.
    if !norm.is_finite() {
        refuse(arith, policy, tensors)?;
    }
    Ok(apply_to_all(arith, Change::to_limit(Norm::from_f64(limit), norm, policy), norm, tensors))
}

/// Scales each of the `tensors` by `limit / norm` if its own norm is above `limit`: [`clip_by_norm`] of every tensor alone, with the random bits
/// of number i of tensor t from stream t, i. One report a tensor.
///
/// # Errors
/// If the limit is negative or NaN, or as `policy` says of any tensor. Nothing has been changed then, in no tensor.
pub fn clip_by_tensor_norm<A: Gradients>(
    arith: &A,
    order: Order,
    limit: f64,
    policy: NonFinite,
    tensors: &mut [&mut [A::Number]],
) -> Result<Vec<Clipping>, GradientError> {
    check_limit("clip-norm", limit)?;
    clip_each(arith, policy, limit, tensors, |tensor| norm(arith, order, &[tensor]))
}

/// Divides all `tensors` by their common norm; zeros stay zeros.
///
/// Each number becomes `round(g / norm)`: the exact quotient by the norm rounded to 53 bits, whatever its exponent, rounded once. Number i of
/// tensor t draws its random bits from stream t, i.
///
/// # Errors
/// As `policy` says of a norm that is not finite. Nothing has been changed then.
pub fn normalise<A: Gradients>(
    arith: &A,
    order: Order,
    policy: NonFinite,
    tensors: &mut [&mut [A::Number]],
) -> Result<Clipping, GradientError> {
    let norm = norm_over(arith, order, tensors);
    // Of finite numbers every norm is finite.
    if !norm.is_finite() {
        refuse(arith, policy, tensors)?;
    }
    Ok(apply_to_all(arith, Change::to_unit(norm, policy), norm, tensors))
}

/// How far the norm of `tensors` lies above `limit`, relative to it: `max(0, norm / limit - 1)`, to about 2^-52. Infinite if the limit is 0 and
/// the norm is not; NaN if the norm is NaN.
///
/// # Errors
/// If the limit is negative or NaN.
pub fn excess<A: Gradients>(
    arith: &A,
    order: Order,
    limit: f64,
    tensors: &[&[A::Number]],
) -> Result<f64, GradientError> {
    check_limit("clip-norm", limit)?;
    let norm = norm(arith, order, tensors);
    if norm.is_finite() && !norm.exceeds(limit) {
        return Ok(0.0);
    }
    let limit = Norm::from_f64(limit);
    // Near the limit the difference of the mantissas is exact, and the quotient keeps its bits.
    let scaled = times_power_of_two(norm.mantissa(), norm.exponent() - limit.exponent());
    Ok((scaled - limit.mantissa()) / limit.mantissa())
}

/// Copies of the `tensors`, changed by `clip`, and what `clip` returns: `clipped(&g, |copy| clip_by_norm(&arith, order, limit, policy, copy))`.
///
/// # Errors
/// Those of `clip`.
pub fn clipped<N: Copy, R>(
    tensors: &[&[N]],
    clip: impl FnOnce(&mut [&mut [N]]) -> Result<R, GradientError>,
) -> Result<(Vec<Vec<N>>, R), GradientError> {
    let mut copies: Vec<Vec<N>> = tensors.iter().map(|tensor| tensor.to_vec()).collect();
    let mut slices: Vec<&mut [N]> = copies.iter_mut().map(Vec::as_mut_slice).collect();
    let result = clip(&mut slices)?;
    Ok((copies, result))
}

/// Refuses limits that are negative or NaN.
pub(crate) fn check_limit(what: &'static str, limit: f64) -> Result<(), GradientError> {
    if limit >= 0.0 {
        return Ok(());
    }
    Err(GradientError::OutOfRange { what, value: limit, allowed: "0 to inf" })
}

/// Refuses numbers that are not finite, if `policy` says so.
pub(crate) fn refuse<A: Gradients>(
    arith: &A,
    policy: NonFinite,
    tensors: &[&mut [A::Number]],
) -> Result<(), GradientError> {
    if policy != NonFinite::Error {
        return Ok(());
    }
    let found = tensors.iter().enumerate().find_map(|(tensor, numbers)| {
        let index = first_non_finite(arith, numbers)?;
        Some(GradientError::NonFinite { tensor, index, value: arith.value(numbers[index]) })
    });
    found.map_or(Ok(()), Err)
}

fn norm_over<A: Gradients>(arith: &A, order: Order, tensors: &[&mut [A::Number]]) -> Norm {
    norm(arith, order, &tensors.iter().map(|tensor| &**tensor).collect::<Vec<&[A::Number]>>())
}

/// One change of all tensors, whose common norm is `norm`.
fn apply_to_all<A: Gradients>(
    arith: &A,
    change: Change,
    norm: Norm,
    tensors: &mut [&mut [A::Number]],
) -> Clipping {
    let mut report = change.report(norm);
    for (t, tensor) in tensors.iter_mut().enumerate() {
        change.apply(&arith.stream(t as u64), tensor, &mut report);
    }
    report
}

/// Brings the `norm` of each tensor to the limit.
fn clip_each<A: Gradients>(
    arith: &A,
    policy: NonFinite,
    limit: f64,
    tensors: &mut [&mut [A::Number]],
    norm: impl Fn(&[A::Number]) -> Norm,
) -> Result<Vec<Clipping>, GradientError> {
    refuse(arith, policy, tensors)?;
    let limit = Norm::from_f64(limit);
    let each = tensors.iter_mut().enumerate().map(|(t, tensor)| {
        let norm = norm(tensor);
        let change = Change::to_limit(limit, norm, policy);
        let mut report = change.report(norm);
        change.apply(&arith.stream(t as u64), tensor, &mut report);
        report
    });
    Ok(each.collect())
}

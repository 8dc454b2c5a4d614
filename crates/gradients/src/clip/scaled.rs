//! Unscaling and clipping as one multiplication.

use super::change::{Change, Scaling};
use super::{Clipping, NonFinite, Outcome, apply_to_all, check_limit, clip_by_norm, norm_over};
use crate::blocks::Gradients;
use crate::error::GradientError;
use crate::norm::{Norm, Order};
use crate::scale::check_scale;

/// Divides scaled gradients by their loss scale and clips them to `limit` by their common norm: `g / scale · min(1, limit · scale / ‖g‖)`.
///
/// The limit is one of the unscaled gradient. Its norm is that of the scaled one over the scale, a power of two, without another rounding: no number needs to be
/// unscaled to know it, and none that unscaling would make zero is missing from it. Each number is read once for the norm and changed once: multiplied by
/// one factor, `1 / scale` or, where the norm is above the limit, `limit / ‖g‖`, in which the scale has cancelled. The exact product is rounded once, with the
/// error bound of [`clip_by_norm`]. Number i of tensor t draws its random bits from stream t, i.
///
/// The report has the norm of the unscaled gradient and the one factor. [`Outcome::Kept`] says that the norm was within the limit: the numbers are unscaled only.
/// A norm that is not finite is a matter of `policy`; with [`NonFinite::Skip`] and [`NonFinite::Error`] the gradients stay scaled, and their step must be
/// skipped.
///
/// # Errors
/// If `scale` is not a power of two from 2^-1022 to 2^1022, if the limit is negative or NaN, or as `policy` says. Nothing has been changed then.
pub fn unscale_and_clip<A: Gradients>(
    arith: &A,
    scale: f64,
    order: Order,
    limit: f64,
    policy: NonFinite,
    tensors: &mut [&mut [A::Number]],
) -> Result<Clipping, GradientError> {
    check_scale(scale)?;
    check_limit("clip-norm", limit)?;
    let scaled_norm = norm_over(arith, order, tensors);
    if !scaled_norm.is_finite() {
        // It is infinite or NaN at any scale, and so is what the policy makes of it.
        return clip_by_norm(arith, order, limit, policy, tensors);
    }
    let scale = Norm::from_f64(scale);
    let norm = scaled_norm.times_power_of_two(-scale.exponent());
    if norm.exceeds(limit) {
        let change = Change::Scale(Scaling::product(Norm::from_f64(limit), scaled_norm));
        return Ok(apply_to_all(arith, change, norm, tensors));
    }
    let change = Change::Scale(Scaling::product(Norm::from_f64(1.0), scale));
    Ok(Clipping { outcome: Outcome::Kept, ..apply_to_all(arith, change, norm, tensors) })
}

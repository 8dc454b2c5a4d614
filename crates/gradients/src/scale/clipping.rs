//! Unscaling and clipping as one multiplication.

use super::fixed::check_scale;
use crate::clip::{Clipping, NonFinite, Outcome, Scaling, check_limit, clip_by_norm};
use crate::error::GradientError;
use crate::norm::{Norm, Order, norm};
use crate::stored::Gradients;

/// Divides scaled gradients by their loss scale and clips them to `limit` by their common norm: `g / scale · min(1, limit · scale / ‖g‖)`.
///
/// The limit is one of the unscaled gradient. Its norm is that of the scaled one over the scale, a power of two, without another rounding: no number needs to be
/// unscaled to know it, and none that unscaling would make zero is missing from it. Each number is read once for the norm and changed once: multiplied by
/// one factor, `1 / scale` or, where the norm is above the limit, `limit / ‖g‖`, in which the scale has cancelled. The exact product is
/// rounded once by `arith`, as in [`clip_by_norm`], whose error bound holds here. Number i of tensor t draws its random bits from stream t, i.
///
/// The report has the norm of the unscaled gradient. [`Outcome::Kept`] says that the norm was within the limit: the numbers are unscaled only, as by
/// [`unscale`](crate::unscale). A norm that is not finite is a matter of `policy`; with [`NonFinite::Skip`] and [`NonFinite::Error`] the gradients stay
/// scaled, and their step must be skipped.
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
    let scaled = norm(arith, order, &tensors.iter().map(|tensor| &**tensor).collect::<Vec<_>>());
    if !scaled.is_finite() {
        // It is infinite or NaN at any scale, and so is what the policy makes of it.
        return clip_by_norm(arith, order, limit, policy, tensors);
    }
    let log2_scale = Norm::from_f64(scale).exponent();
    let norm = scaled.times_power_of_two(-log2_scale);
    let (outcome, scaling) = if norm.exceeds(limit) {
        (Outcome::Scaled, Scaling::product(Norm::from_f64(limit), scaled))
    } else {
        (Outcome::Kept, Scaling::product(Norm::from_f64(1.0), Norm::from_f64(scale)))
    };
    let mut report = Clipping { outcome, coefficient: scaling.coefficient(), ..Clipping::kept(norm) };
    for (t, tensor) in tensors.iter_mut().enumerate() {
        arith.stream(t as u64).scale_all(&scaling, tensor, &mut report);
    }
    Ok(report)
}

//! Gradient centralisation, and normalisation by the root mean square or tensor by tensor.

use crate::clip::{Clipping, NonFinite, Outcome, Scaling, normalise, refuse};
use crate::error::GradientError;
use crate::layers::{Pass, check_rows};
use crate::norm::Order;
use crate::scale::first_non_finite;
use crate::signed_sum::SignedSum;
use crate::stored::Gradients;
use crate::sum::Terms;

/// Subtracts from each row of `width` numbers its mean: `g - Σ / width` (Yong, Huang, Hua and Zhang 2020, "Gradient centralization: a new
/// optimization technique for deep neural networks", eq. 1).
///
/// A row is what one unit receives: of weights `[out, in]` the gradient has `out` rows of `in` numbers, of a convolution's the width is the product of
/// all but the first dimension. Each number becomes the exact difference rounded once by `arith`, and a row whose mean is 0 keeps its bits.
/// Number j of row i draws its random bits from stream i, j. (In formats of more than 51 bits the difference is the nearest f64, whatever the rules.)
///
/// What `policy` says concerns the whole tensor. Under [`NonFinite::Propagate`] rows of finite numbers are centralised all the same; a row
/// with infinities of one sign becomes infinities of the other, and NaN for the infinities themselves; another row that is not finite becomes NaN.
///
/// # Errors
/// If the gradient is not made of whole rows, or as `policy` says; the error then names tensor 0. Nothing has been changed then.
pub fn centralise<A: Gradients>(
    arith: &A,
    width: usize,
    policy: NonFinite,
    gradient: &mut [A::Number],
) -> Result<Outcome, GradientError> {
    check_rows("gradient", gradient.len(), width)?;
    let spoiled = first_non_finite(arith, gradient).is_some();
    if spoiled && policy != NonFinite::Propagate {
        return normalise(arith, Order::Two, policy, &mut [gradient]).map(|clipping| clipping.outcome);
    }
    let mut outcome = if spoiled { Outcome::Spoiled } else { Outcome::Kept };
    let mut changed = false;
    let pass = Pass::Centre { width, numbers: &mut *gradient, changed: &mut changed };
    let left = arith.layer_pass(pass.into());
    if changed && !spoiled {
        outcome = Outcome::Scaled;
    }
    for i in left {
        let row = &mut gradient[i * width..][..width];
        let arith = arith.stream(i as u64);
        let mut rest = SignedSum::of(row.iter().map(|&g| -arith.value(g)));
        if let Some(special) = rest.special() {
            for (j, g) in row.iter_mut().enumerate() {
                *g = arith.stream(j as u64).round(arith.value(*g) + special);
            }
            continue;
        }
        if rest.leading().is_zero() {
            continue;
        }
        for (j, g) in row.iter_mut().enumerate() {
            let value = arith.value(*g);
            rest.add_multiple(width as u64, value);
            *g = rest.leading().divided_by(width as u64).round(&arith.stream(j as u64));
            rest.add_multiple(width as u64, -value);
        }
        if !spoiled {
            outcome = Outcome::Scaled;
        }
    }
    Ok(outcome)
}

/// Divides all `tensors` by their common root mean square, `‖g‖ / sqrt(n)` over all n numbers; zeros stay zeros. The [`Clipping`] holds the root
/// mean square in place of the norm.
///
/// Each number becomes `round(g / rms · (1 + e))` with `|e| <= 2^-111`: the exact quotient rounded once by `arith`, unless a midpoint
/// lies that near. (In formats of more than 51 bits it is the nearest f64, whatever the rules.) Number i of tensor t draws its random bits
/// from stream t, i.
///
/// # Errors
/// As `policy` says of a norm that is not finite. Nothing has been changed then.
pub fn normalise_rms<A: Gradients>(
    arith: &A,
    policy: NonFinite,
    tensors: &mut [&mut [A::Number]],
) -> Result<Clipping, GradientError> {
    let squares = arith.sum(Terms::Squares, &tensors.iter().map(|tensor| &**tensor).collect::<Vec<_>>());
    let count = tensors.iter().map(|tensor| tensor.len() as u64).sum();
    let norm = squares.root_mean(count);
    if !norm.is_finite() {
        // The root mean square is infinite or NaN as the norm is.
        return normalise(arith, Order::Two, policy, tensors);
    }
    if norm.mantissa() == 0.0 {
        return Ok(Clipping::kept(norm));
    }
    let factor = Scaling::long(squares.leading().divided_by(count).reciprocal_root());
    let mut report =
        Clipping { coefficient: factor.coefficient(), outcome: Outcome::Scaled, ..Clipping::kept(norm) };
    for (t, tensor) in tensors.iter_mut().enumerate() {
        arith.stream(t as u64).scale_all(&factor, tensor, &mut report);
    }
    Ok(report)
}

/// Divides each of the `tensors` by its own norm, as [`normalise`] does with one; so every layer takes a step of the same length (You, Gitman and
/// Ginsburg 2017, "Large batch training of convolutional networks", without the norm of the weights). Number i of tensor t draws its random
/// bits from stream t, 0, i.
///
/// # Errors
/// As `policy` says of the first tensor whose norm is not finite. Nothing has been changed then, in no tensor.
pub fn normalise_each<A: Gradients>(
    arith: &A,
    order: Order,
    policy: NonFinite,
    tensors: &mut [&mut [A::Number]],
) -> Result<Vec<Clipping>, GradientError> {
    refuse(arith, policy, tensors)?;
    let each = tensors.iter_mut().enumerate();
    each.map(|(t, tensor)| normalise(&arith.stream(t as u64), order, policy, &mut [&mut **tensor])).collect()
}

//! Scaling by a power of two.

use crate::error::GradientError;
use crate::stored::Gradients;

/// Multiplies every number by `factor`, a power of two.
///
/// Exact unless the result overflows the format or falls below its least normal number; then it is rounded once, in formats that reach as far as
/// f64 by f64's own rules. Number i draws its random bits from stream i.
///
/// # Errors
/// If `factor` is not a power of two from 2^-1022 to 2^1022.
pub fn scale<A: Gradients>(arith: &A, factor: f64, gradient: &mut [A::Number]) -> Result<(), GradientError> {
    check_scale(factor)?;
    arith.scale_by_power(factor, gradient);
    Ok(())
}

/// Divides every number by `factor`, a power of two: undoes [`scale`] bit for bit, unless a number left the normal range on the way.
///
/// Exact unless the result falls below the least normal number of the format (or overflows, for factors below 1); then it is rounded
/// as by [`scale`].
///
/// # Errors
/// If `factor` is not a power of two from 2^-1022 to 2^1022.
pub fn unscale<A: Gradients>(
    arith: &A,
    factor: f64,
    gradient: &mut [A::Number],
) -> Result<(), GradientError> {
    check_scale(factor)?;
    // The reciprocal of a power of two is exact, and so is the product with it.
    arith.scale_by_power(1.0 / factor, gradient);
    Ok(())
}

/// The place of the first infinity or NaN: what a loss scaler asks of the stored gradient (a sum of finite numbers may overflow).
pub fn first_non_finite<A: Gradients>(arith: &A, gradient: &[A::Number]) -> Option<usize> {
    arith.first_non_finite(gradient)
}

/// Refuses what is not a power of two, or has no exact reciprocal.
pub(crate) fn check_scale(factor: f64) -> Result<(), GradientError> {
    let invertible = (f64::MIN_POSITIVE..=1.0 / f64::MIN_POSITIVE).contains(&factor);
    if invertible && factor.to_bits() & ((1 << 52) - 1) == 0 {
        return Ok(());
    }
    let allowed = "the powers of two from 2^-1022 to 2^1022";
    Err(GradientError::OutOfRange { what: "loss-scale", value: factor, allowed })
}

//! The forward pass.

use super::check_length;
use super::quick::Pass;
use super::statistics::{Group, State, Statistics};
use crate::error::GradientError;
use crate::extended::Extended;
use crate::stored::Gradients;
use gradchain_arith::Arithmetic;

/// The weight and the bias of each column; 1 and 0 where there are none.
#[derive(Clone, Copy, Debug)]
pub struct Affine<'a, N> {
    /// What x̂ is multiplied by.
    pub weight: Option<&'a [N]>,
    /// What is added to the product.
    pub bias: Option<&'a [N]>,
}

impl<N> Affine<'_, N> {
    /// No weight, no bias: y = x̂.
    pub const NONE: Self = Affine { weight: None, bias: None };
}

/// `y = weight · x̂ + bias` into `out`, each number rounded once; the error is that of the [module](super).
///
/// `x` is what the statistics were taken of. The number in row i, column j draws its random bits from stream i, j.
///
/// # Errors
/// If a slice has another length than the statistics say. Nothing has been written then.
pub fn forward<A: Gradients>(
    arith: &A,
    statistics: &Statistics,
    x: &[A::Number],
    affine: Affine<'_, A::Number>,
    out: &mut [A::Number],
) -> Result<(), GradientError> {
    let size = statistics.rows * statistics.width;
    check_length("x", x.len(), size)?;
    check_length("out", out.len(), size)?;
    for (what, numbers) in [("weight", affine.weight), ("bias", affine.bias)] {
        numbers.map_or(Ok(()), |numbers| check_length(what, numbers.len(), statistics.width))?;
    }
    for index in arith.layer_pass(Pass::Forward { statistics, x, affine, out: &mut *out }.into()) {
        let group = statistics.defined(arith, index, x);
        for (i, j) in statistics.members(index) {
            let at = i * statistics.width + j;
            let weight = affine.weight.map_or(1.0, |weight| arith.value(weight[j]));
            // -0 is what added changes nothing.
            let bias = affine.bias.map_or(-0.0, |bias| arith.value(bias[j]));
            let stream = arith.stream(i as u64).stream(j as u64);
            out[at] = scaled(&stream, &group, arith.value(x[at]), weight, bias);
        }
    }
    Ok(())
}

/// `weight · x̂ + bias`, rounded.
#[inline]
fn scaled<A: Arithmetic>(arith: &A, group: &Group, x: f64, weight: f64, bias: f64) -> A::Number {
    let finite = weight.is_finite() && bias.is_finite();
    // What is left of x̂ where only its sign matters, or whether it is zero.
    let sign = match group.state {
        State::Finite => {
            let normalised = group.normalised(x);
            if finite {
                return normalised
                    .times(Extended::from_f64(weight))
                    .plus(Extended::from_f64(bias))
                    .round(arith);
            }
            let magnitude = if normalised.is_zero() { 0.0 } else { 1.0_f64 };
            if normalised.is_negative() { -magnitude } else { magnitude }
        }
        State::Infinite if x.is_finite() => 0.0_f64.copysign(x),
        State::Infinite | State::Undefined => f64::NAN,
    };
    arith.round(sign * weight + bias)
}

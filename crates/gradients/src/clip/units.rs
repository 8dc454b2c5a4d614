//! Clipping unit by unit: adaptive clipping, and clipping by the root mean square of a tensor.

use super::change::Change;
use super::policy::NonFinite;
use super::report::Clipping;
use super::{check_limit, clip_each, refuse};
use crate::error::GradientError;
use crate::layers::check_rows;
use crate::norm::{Norm, Order, norm, root_mean_square};
use crate::stored::Gradients;
use crate::units::COLUMNS;
use gradchain_arith::Exact;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// Which numbers of a matrix, or of a tensor seen as one, belong to one unit. A matrix lies row by row, `width` numbers a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Units {
    /// `whole`: all numbers are one unit; for vectors such as biases and gains.
    Whole,
    /// `rows`: PyTorch's `[out, in]`: row i holds what unit i receives. For a convolution `[out, in, h, w]` the width is the product of
    /// all but the first dimension.
    Rows,
    /// `columns`: JAX's `[in, out]`: column i holds what unit i receives. For a convolution `[h, w, in, out]` the width is the last dimension.
    Columns,
}

/// The two numbers of adaptive clipping.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adaptive {
    /// The largest norm of a gradient, as a part of the norm of its weights; 0.01 in the paper.
    pub clipping: f64,
    /// The least norm that weights count with, so that weights that are zero can learn; 0.001 in the paper.
    pub eps: f64,
}

/// Scales each unit of `gradient` to its limit, if its two norm is above: `limit_i = clipping · max(‖w_i‖, eps)` (Brock, De, Smith and Simonyan 2021,
/// "High-performance large-scale image recognition without normalization", eq. 3).
///
/// `weights` and `gradient` have the same shape: rows of `width` numbers ([`Units::Whole`] asks for no width). Both norms are exact, rounded
/// once to 53 bits, and so is the limit; nothing is added to a norm. For the limit the module's error bound has one more rounding of the norm and one of
/// the product: `|d| <= 2^-51`. Each number is rounded once; number i of unit k draws its random bits from stream k, i. A unit that is not
/// above its limit keeps its bits. What `policy` says concerns each unit alone. One report a unit.
///
/// # Errors
/// If `clipping` or `eps` is negative or NaN, or `eps` is infinite; if the lengths do not fit; if a weight is not finite; or as `policy` says; the
/// error then names tensor 0. Nothing has been changed then.
pub fn clip_adaptively<A: Gradients>(
    arith: &A,
    adaptive: Adaptive,
    units: Units,
    width: usize,
    policy: NonFinite,
    weights: &[A::Number],
    gradient: &mut [A::Number],
) -> Result<Vec<Clipping>, GradientError> {
    let Adaptive { clipping, eps } = adaptive;
    check_limit("clipping", clipping)?;
    if !(0.0..f64::INFINITY).contains(&eps) {
        return Err(GradientError::OutOfRange { what: "eps", value: eps, allowed: "finite numbers from 0" });
    }
    if weights.len() != gradient.len() {
        let allowed = format!("{}, as many as the gradient", gradient.len());
        return Err(GradientError::Length { what: "weights", found: weights.len(), allowed });
    }
    if units != Units::Whole {
        check_rows("gradient", gradient.len(), width)?;
    }
    if let Some(i) = arith.first_non_finite(weights) {
        let value = arith.value(weights[i]);
        return Err(GradientError::OutOfRange { what: "weight", value, allowed: "finite numbers" });
    }
    refuse(arith, policy, &[&mut *gradient])?;
    let clip = |unit: usize, weights: &[A::Number], gradient: &mut [A::Number]| {
        let [norm, weight] = [&*gradient, weights].map(|numbers| norm(arith, Order::Two, &[numbers]));
        let floor = Norm::from_f64(eps);
        let limit = product(clipping, if weight > floor { weight } else { floor });
        let change = Change::to_limit(limit, norm, policy);
        let mut report = change.report(norm);
        change.apply(&arith.stream(unit as u64), gradient, &mut report);
        report
    };
    Ok(match units {
        Units::Whole => vec![clip(0, weights, gradient)],
        Units::Rows => {
            let rows = gradient.chunks_mut(width.max(1)).zip(weights.chunks(width.max(1)));
            rows.enumerate().map(|(unit, (gradient, weights))| clip(unit, weights, gradient)).collect()
        }
        Units::Columns => clip_columns(width, weights, gradient, clip),
    })
}

/// Clips each column of `gradient`, by copies of a few columns at a time.
fn clip_columns<N: Copy>(
    width: usize,
    weights: &[N],
    gradient: &mut [N],
    clip: impl Fn(usize, &[N], &mut [N]) -> Clipping,
) -> Vec<Clipping> {
    let rows = gradient.len().checked_div(width).unwrap_or(0);
    let mut reports = Vec::with_capacity(width);
    let (mut copy, mut weights_copy) = (gradient[..0].to_vec(), gradient[..0].to_vec());
    for first in (0..width).step_by(COLUMNS) {
        let columns = first..width.min(first + COLUMNS);
        copy_columns(gradient, width, columns.clone(), &mut copy);
        copy_columns(weights, width, columns.clone(), &mut weights_copy);
        for (k, unit) in columns.clone().enumerate() {
            let column = k * rows..(k + 1) * rows;
            reports.push(clip(unit, &weights_copy[column.clone()], &mut copy[column]));
        }
        for (i, row) in gradient.chunks_exact_mut(width).enumerate() {
            row[columns.clone()].iter_mut().enumerate().for_each(|(k, g)| *g = copy[k * rows + i]);
        }
    }
    reports
}

/// The `columns` of `matrix`, one after the other.
pub(crate) fn copy_columns<N: Copy>(matrix: &[N], width: usize, columns: Range<usize>, copy: &mut Vec<N>) {
    let rows = matrix.len() / width;
    copy.clear();
    // Any numbers of the right count, to be overwritten.
    copy.extend_from_slice(&matrix[..rows * columns.len()]);
    for (i, row) in matrix.chunks_exact(width).enumerate() {
        row[columns.clone()].iter().enumerate().for_each(|(k, &x)| copy[k * rows + i] = x);
    }
}

/// Scales each of the `tensors` whose root mean square is above `limit` to it: `g · min(1, limit / sqrt(Σ g² / n))` (Shazeer and Stern 2018,
/// "Adafactor", section 6, for updates).
///
/// The reports hold the root mean square, exact and rounded once to 53 bits, in place of the norm. All else is as in
/// [`clip_by_tensor_norm`](crate::clip_by_tensor_norm).
///
/// # Errors
/// If the limit is negative or NaN, or as `policy` says of any tensor. Nothing has been changed then, in no tensor.
pub fn clip_by_rms<A: Gradients>(
    arith: &A,
    limit: f64,
    policy: NonFinite,
    tensors: &mut [&mut [A::Number]],
) -> Result<Vec<Clipping>, GradientError> {
    check_limit("clip-rms", limit)?;
    clip_each(arith, policy, limit, tensors, |tensor| root_mean_square(arith, &[tensor]))
}

impl Units {
    /// All kinds of units by name.
    pub const NAMED: [(&'static str, Units); 3] =
        [("whole", Units::Whole), ("rows", Units::Rows), ("columns", Units::Columns)];
}

impl fmt::Display for Units {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Units::NAMED.iter().find(|(_, units)| units == self).map(|(name, _)| *name);
        f.pad(name.expect("every kind of unit is named"))
    }
}

impl FromStr for Units {
    type Err = GradientError;

    fn from_str(text: &str) -> Result<Units, GradientError> {
        let found = Units::NAMED.iter().find(|(name, _)| *name == text).map(|(_, units)| *units);
        found.ok_or_else(|| GradientError::Unknown {
            kind: "unit",
            text: text.to_owned(),
            known: Units::NAMED.map(|(name, _)| name).join(", "),
        })
    }
}

/// `x · norm` rounded to 53 bits, for a finite norm.
fn product(x: f64, norm: Norm) -> Norm {
    if !x.is_finite() {
        return Norm::from_f64(x * norm.mantissa());
    }
    let exact = Exact::product(x, norm.mantissa());
    Norm::rounded(exact.mantissa, i64::from(exact.exponent) + norm.exponent(), false)
}

//! Norms of the units of a layer, and what a gradient is made of.

use crate::blocks::Gradients;
use crate::clip::Units;
use crate::error::GradientError;
use crate::norm::{Norm, Order, norm};
use gradchain_arith::{Arithmetic, Counts};

/// The norm of each unit of `tensor`, whose rows have `width` numbers ([`Units::Whole`] asks for no width); as exact as [`norm()`].
///
/// # Errors
/// If the tensor is not made of whole rows.
pub fn unit_norms<A: Gradients>(
    arith: &A,
    order: Order,
    units: Units,
    width: usize,
    tensor: &[A::Number],
) -> Result<Vec<Norm>, GradientError> {
    let whole_rows = if width == 0 { tensor.is_empty() } else { tensor.len().is_multiple_of(width) };
    if units != Units::Whole && !whole_rows {
        let allowed = format!("whole rows of {width}");
        return Err(GradientError::Length { what: "tensor", found: tensor.len(), allowed });
    }
    Ok(match units {
        Units::Whole => vec![norm(arith, order, &[tensor])],
        Units::Rows => tensor.chunks(width.max(1)).map(|row| norm(arith, order, &[row])).collect(),
        Units::Columns => {
            let mut column = Vec::with_capacity(tensor.len() / width.max(1));
            let of = |j: usize| {
                column.clear();
                column.extend(tensor.iter().skip(j).step_by(width).copied());
                norm(arith, order, &[&column])
            };
            (0..width).map(of).collect()
        }
    })
}

/// What numbers a gradient holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Census {
    /// How many numbers there are of each class.
    pub counts: Counts,
    /// The first infinity or NaN.
    pub first_non_finite: Option<Found>,
}

/// A number of a gradient, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// The tensor.
    pub tensor: usize,
    /// The place in the tensor.
    pub index: usize,
    /// The number.
    pub value: f64,
}

/// Counts the numbers of `tensors` by class, and finds the first that is not finite.
pub fn census<A: Arithmetic>(arith: &A, tensors: &[&[A::Number]]) -> Census {
    let mut census = Census { counts: Counts::default(), first_non_finite: None };
    for (tensor, numbers) in tensors.iter().enumerate() {
        census.counts += Counts::of(numbers.iter().map(|&x| arith.value(x)), arith.format());
        if census.first_non_finite.is_none() {
            let not_finite = |(index, &x): (usize, &A::Number)| {
                let value = arith.value(x);
                (!value.is_finite()).then_some(Found { tensor, index, value })
            };
            census.first_non_finite = numbers.iter().enumerate().find_map(not_finite);
        }
    }
    census
}

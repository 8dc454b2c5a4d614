//! Norms of the units of a layer.

use crate::clip::{Units, copy_columns};
use crate::error::GradientError;
use crate::norm::{Norm, Order, norm};
use crate::stored::Gradients;

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
            let rows = tensor.len().checked_div(width).unwrap_or(0);
            let mut norms = Vec::with_capacity(width);
            let mut copy = Vec::new();
            for first in (0..width).step_by(COLUMNS) {
                copy_columns(tensor, width, first..width.min(first + COLUMNS), &mut copy);
                match rows {
                    0 => norms.extend((first..width.min(first + COLUMNS)).map(|_| norm(arith, order, &[]))),
                    _ => norms.extend(copy.chunks(rows).map(|column| norm(arith, order, &[column]))),
                }
            }
            norms
        }
    })
}

/// Columns that are copied at a time: as many numbers lie in one or two lines of the cache.
pub(crate) const COLUMNS: usize = 16;

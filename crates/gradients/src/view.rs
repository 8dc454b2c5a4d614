//! Views of ndarray, of any dimension and memory order, at the door of the functions on slices.

use crate::clip::{Clipping, NonFinite, clip_by_norm};
use crate::error::GradientError;
use crate::norm::{Norm, Order, norm};
use crate::stored::Gradients;
use ndarray::{ArrayViewD, ArrayViewMutD};
use std::borrow::Cow;

/// [`norm()`] of `arrays`, as one vector. Arrays that are not contiguous are copied.
pub fn norm_of_arrays<A: Gradients>(arith: &A, order: Order, arrays: &[ArrayViewD<'_, A::Number>]) -> Norm {
    // A norm does not ask in which order the numbers lie.
    let numbers: Vec<Cow<'_, [A::Number]>> = arrays
        .iter()
        .map(|array| match array.as_slice_memory_order() {
            Some(slice) => Cow::Borrowed(slice),
            None => Cow::Owned(array.iter().copied().collect()),
        })
        .collect();
    norm(arith, order, &numbers.iter().map(|numbers| &**numbers).collect::<Vec<&[A::Number]>>())
}

/// [`clip_by_norm`] of `arrays`, in place. Arrays that are not contiguous are copied and written back. Number i of an array, from which its random bits
/// follow, is the i-th in memory where the array is contiguous, else the i-th in row-major order.
///
/// # Errors
/// Those of [`clip_by_norm`]; an index in an error counts in the same way.
pub fn clip_arrays_by_norm<A: Gradients>(
    arith: &A,
    order: Order,
    limit: f64,
    policy: NonFinite,
    arrays: &mut [ArrayViewMutD<'_, A::Number>],
) -> Result<Clipping, GradientError> {
    let mut copies: Vec<Option<Vec<A::Number>>> = arrays
        .iter()
        .map(|array| array.as_slice_memory_order().is_none().then(|| array.iter().copied().collect()))
        .collect();
    let clipping = {
        let mut tensors: Vec<&mut [A::Number]> = arrays
            .iter_mut()
            .zip(&mut copies)
            .map(|(array, copy)| match copy {
                Some(copy) => copy.as_mut_slice(),
                // What was not copied is contiguous.
                None => array.as_slice_memory_order_mut().unwrap_or_default(),
            })
            .collect();
        clip_by_norm(arith, order, limit, policy, &mut tensors)?
    };
    for (array, copy) in arrays.iter_mut().zip(copies) {
        if let Some(copy) = copy {
            array.iter_mut().zip(copy).for_each(|(number, clipped)| *number = clipped);
        }
    }
    Ok(clipping)
}

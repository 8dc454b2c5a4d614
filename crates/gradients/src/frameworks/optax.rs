//! optax 0.2.8 with JAX 0.10.2: `clip`, `clip_by_global_norm`, `clip_by_block_rms`, `adaptive_grad_clip`, `normalize_by_update_norm`.
//!
//! Every square is rounded into the format before the sum, and so are the sum of a tensor, the sum of these sums, and each quotient and product after that:
//! in f16 a gradient of 300 has the norm infinity and becomes 0. Divisions by a scalar are products with its rounded reciprocal. f32 and f64
//! lose subnormal numbers.

use super::Raised;
use super::xla;
use gradchain_arith::Real;

/// A tensor, row by row. The shape tells units apart, and the order of sums.
#[derive(Debug)]
pub struct Leaf<'a, T> {
    /// The dimensions.
    pub shape: &'a [usize],
    /// As many numbers as their product.
    pub numbers: &'a mut [T],
}

/// `clip(max_delta)`: `min(max(u, -max_delta), max_delta)`; NaN stays.
pub fn clip<T: Real>(max_delta: f64, updates: &mut [Leaf<'_, T>]) {
    let limit = xla::operand::<T>(xla::scalar::<T>(max_delta));
    for u in updates.iter_mut().flat_map(|leaf| leaf.numbers.iter_mut()) {
        let raised = xla::larger::<T>(xla::operand::<T>(u.value()), -limit);
        // The smaller one, NaN if one is.
        *u = T::round_from(if raised.is_nan() || raised <= limit { raised } else { limit });
    }
}

/// `clip_by_global_norm(max_norm)`: `u if norm < max_norm else u / norm · max_norm`; returns the norm, which the library keeps to itself.
///
/// A zero gradient with the limit 0 becomes NaN: 0 < 0 is false.
pub fn clip_by_global_norm<T: Real>(max_norm: f64, updates: &mut [Leaf<'_, T>]) -> f64 {
    let norm = global_norm(updates);
    let limit = xla::scalar::<T>(max_norm);
    if xla::less::<T>(norm, limit) {
        return norm;
    }
    let divided = xla::division_by::<T>(norm);
    for u in updates.iter_mut().flat_map(|leaf| leaf.numbers.iter_mut()) {
        *u = T::round_from(xla::multiplied::<T>(divided(u.value()), limit));
    }
    norm
}

/// `tree.norm(updates)`: `sqrt(Σ sum(u²))`.
pub fn global_norm<T: Real>(updates: &[Leaf<'_, T>]) -> f64 {
    let sums = updates.iter().map(|leaf| xla::result::<T>(xla::sum::<T>(leaf.shape, &squares(leaf.numbers))));
    xla::root::<T>(sums.fold(0.0, xla::added::<T>))
}

/// `clip_by_block_rms(threshold)`: `u / max(1, sqrt(mean(u²)) / threshold)`, each tensor by itself.
pub fn clip_by_block_rms<T: Real>(threshold: f64, updates: &mut [Leaf<'_, T>]) {
    for leaf in updates {
        let sum = xla::sum::<T>(leaf.shape, &squares(leaf.numbers));
        let mean = xla::result::<T>(sum / leaf.numbers.len() as f64);
        let excess = xla::divided::<T>(xla::root::<T>(mean), xla::scalar::<T>(threshold));
        let divided = xla::division_by::<T>(xla::larger::<T>(excess, 1.0));
        leaf.numbers.iter_mut().for_each(|u| *u = T::round_from(divided(u.value())));
    }
}

/// `adaptive_grad_clip(clipping, eps)`: `u if norm < limit else u · (limit / max(norm, 1e-6))` with `limit = clipping · max(‖w‖, eps)`, unit by
/// unit. `params[i]` has the shape of `updates[i]`.
///
/// Units are what shares the last dimensions: vectors, and what has one dimension longer than 1, are one unit; of two and three dimensions the first
/// is summed over, of four the first three.
///
/// # Errors
/// [`Raised::Dimensions`] for a tensor of more than four. No update is changed then.
pub fn adaptive_grad_clip<T: Real>(
    clipping: f64,
    eps: f64,
    updates: &mut [Leaf<'_, T>],
    params: &[&[T]],
) -> Result<(), Raised> {
    for (tensor, leaf) in updates.iter().enumerate() {
        if leaf.shape.len() > 4 && !is_vector(leaf.shape) {
            return Err(Raised::Dimensions { tensor, dimensions: leaf.shape.len() });
        }
    }
    let [clipping, eps, floor] = [clipping, eps, 1e-6].map(xla::scalar::<T>);
    for (leaf, &weights) in updates.iter_mut().zip(params) {
        let norms = unit_norms(leaf.shape, leaf.numbers);
        let limits: Vec<f64> = unit_norms(leaf.shape, weights)
            .into_iter()
            .map(|norm| xla::multiplied::<T>(clipping, xla::larger::<T>(norm, eps)))
            .collect();
        for (i, u) in leaf.numbers.iter_mut().enumerate() {
            let (norm, limit) = (norms[i % norms.len()], limits[i % limits.len()]);
            if !xla::less::<T>(norm, limit) {
                let factor = xla::divided::<T>(limit, xla::larger::<T>(norm, floor));
                *u = T::round_from(xla::multiplied::<T>(u.value(), factor));
            }
        }
    }
    Ok(())
}

/// `normalize_by_update_norm(scale_factor, eps)`: `u / ((norm + eps) / scale_factor)`; returns the norm.
pub fn normalize_by_update_norm<T: Real>(scale_factor: f64, eps: f64, updates: &mut [Leaf<'_, T>]) -> f64 {
    let norm = global_norm(updates);
    let [scale_factor, eps] = [scale_factor, eps].map(xla::scalar::<T>);
    let divided = xla::division_by::<T>(xla::divided::<T>(xla::added::<T>(norm, eps), scale_factor));
    for u in updates.iter_mut().flat_map(|leaf| leaf.numbers.iter_mut()) {
        *u = T::round_from(divided(u.value()));
    }
    norm
}

fn squares<T: Real>(x: &[T]) -> Vec<f64> {
    x.iter().map(|x| xla::multiplied::<T>(x.value(), x.value())).collect()
}

/// `unitwise_norm`: number i belongs to unit i modulo their number.
fn unit_norms<T: Real>(shape: &[usize], x: &[T]) -> Vec<f64> {
    let summed = match shape.len() {
        _ if is_vector(shape) => shape.len(),
        4 => 3,
        _ => 1,
    };
    let (summed, kept) = shape.split_at(summed);
    let (squares, units) = (squares(x), kept.iter().product::<usize>());
    let unit = |unit| squares[unit..].iter().step_by(units).copied().collect::<Vec<f64>>();
    (0..if x.is_empty() { 0 } else { units })
        .map(|u| xla::root::<T>(xla::result::<T>(xla::sum::<T>(summed, &unit(u)))))
        .collect()
}

fn is_vector(shape: &[usize]) -> bool {
    shape.iter().filter(|d| **d != 1).count() <= 1
}

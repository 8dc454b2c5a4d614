//! JAX 0.10.2: `jax.example_libraries.optimizers.clip_grads` and `l2_norm`.
//!
//! `g if norm < max_norm else g · (max_norm / norm)`: no epsilon. The sum of squares of each tensor and the sum of these sums are rounded into the
//! format, so that they overflow from the square root of its largest number on; f32 and f64 lose subnormal numbers.

use super::xla;
use gradchain_arith::Real;

/// `clip_grads(grad_tree, max_norm)`: returns [`l2_norm`], which the library keeps to itself.
///
/// A zero gradient with the limit 0 becomes NaN: 0 < 0 is false.
pub fn clip_grads<T: Real>(max_norm: f64, gradients: &mut [&mut [T]]) -> f64 {
    let tensors: Vec<&[T]> = gradients.iter().map(|g| &**g).collect();
    let norm = l2_norm(&tensors);
    let limit = xla::scalar::<T>(max_norm);
    if xla::less::<T>(norm, limit) {
        return norm;
    }
    let factor = xla::divided::<T>(limit, norm);
    for g in gradients.iter_mut().flat_map(|tensor| tensor.iter_mut()) {
        *g = T::round_from(xla::multiplied::<T>(g.value(), factor));
    }
    norm
}

/// `l2_norm(tree)`: `sqrt(Σ vdot(g, g))`.
pub fn l2_norm<T: Real>(gradients: &[&[T]]) -> f64 {
    let squares = gradients.iter().map(|g| xla::result::<T>(xla::vdot::<T>(g)));
    xla::root::<T>(squares.fold(0.0, xla::added::<T>))
}

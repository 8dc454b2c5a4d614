//! PyTorch 2.15: `torch.nn.utils.clip_grad_norm_` and `clip_grad_value_`.
//!
//! `g · min(1, reciprocal(norm + 1e-6) · max_norm)`. For f16 and bf16 every operation is done in f32 and rounded into the format; the epsilon enters
//! in the format (1.0133e-6 in f16), `max_norm` as an f32. The norm of each tensor is rounded into the format, and so is the norm of these
//! norms: it overflows where the format does. `foreach` changes no bit.

use super::Raised;
use gradchain_arith::{Format, Real};

/// `clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite)`: returns the total norm.
///
/// # Errors
/// [`Raised::NonFiniteNorm`] if the norm is not finite and `error_if_nonfinite`; [`Raised::EmptyNorm`] if a tensor is empty and `norm_type`
/// infinite. The gradients are unchanged then.
pub fn clip_grad_norm<T: Real>(
    max_norm: f64,
    norm_type: f64,
    error_if_nonfinite: bool,
    gradients: &mut [&mut [T]],
) -> Result<f64, Raised> {
    let tensors: Vec<&[T]> = gradients.iter().map(|g| &**g).collect();
    let norm = total_norm(norm_type, &tensors)?;
    if error_if_nonfinite && !norm.is_finite() && !gradients.is_empty() {
        return Err(Raised::NonFiniteNorm { norm_type });
    }
    let padded = stored::<T>(norm + T::round_from(1e-6).value());
    let coefficient = stored::<T>(stored::<T>(1.0 / padded) * computed::<T>(max_norm));
    // clamp(max=1) lets NaN through.
    let coefficient = if coefficient > 1.0 { 1.0 } else { coefficient };
    for g in gradients.iter_mut().flat_map(|tensor| tensor.iter_mut()) {
        *g = T::round_from(computed::<T>(g.value() * coefficient));
    }
    Ok(norm)
}

/// `clip_grad_value_(parameters, clip_value)`: the larger of a number and the rounded `-clip_value`, then the smaller of that and `clip_value`.
///
/// # Errors
/// [`Raised::NoGradients`] if there are none.
pub fn clip_grad_value<T: Real>(clip_value: f64, gradients: &mut [&mut [T]]) -> Result<(), Raised> {
    if gradients.is_empty() {
        return Err(Raised::NoGradients);
    }
    let limit = T::round_from(clip_value).value();
    for g in gradients.iter_mut().flat_map(|tensor| tensor.iter_mut()) {
        let mut x = g.value();
        for (bound, below) in [(-limit, true), (limit, false)] {
            if bound.is_nan() || (below && x < bound) || (!below && x > bound) {
                x = bound;
            }
        }
        *g = T::round_from(x);
    }
    Ok(())
}

/// The norm of the norms of the tensors: `get_total_norm`. Of no tensors 0.
///
/// # Errors
/// [`Raised::EmptyNorm`] as in [`clip_grad_norm`].
pub fn total_norm<T: Real>(norm_type: f64, gradients: &[&[T]]) -> Result<f64, Raised> {
    if gradients.is_empty() {
        return Ok(0.0);
    }
    let each = gradients.iter().enumerate().map(|(tensor, g)| {
        if g.is_empty() && norm_type.is_infinite() {
            return Err(Raised::EmptyNorm { norm_type, tensor });
        }
        Ok(T::round_from(vector_norm(norm_type, g)))
    });
    let norms: Vec<T> = each.collect::<Result<_, Raised>>()?;
    Ok(stored::<T>(vector_norm(norm_type, &norms)))
}

/// `linalg.vector_norm` in the format that is computed in.
fn vector_norm<T: Real>(p: f64, x: &[T]) -> f64 {
    let magnitudes = x.iter().map(|x| x.value().abs());
    if p == 0.0 {
        return magnitudes.fold(0.0, |sum, x| computed::<T>(sum + f64::from(u8::from(x != 0.0))));
    }
    if p == 1.0 {
        return magnitudes.fold(0.0, |sum, x| computed::<T>(sum + x));
    }
    if p == 2.0 {
        return computed::<T>(sum_of_squares(x).sqrt());
    }
    if p == f64::INFINITY {
        return magnitudes.fold(0.0, |a, b| if a > b || a.is_nan() { a } else { b });
    }
    if p == f64::NEG_INFINITY {
        return magnitudes.fold(f64::INFINITY, |a, b| if a < b || a.is_nan() { a } else { b });
    }
    let p = computed::<T>(p);
    let sum = magnitudes.fold(0.0, |sum, x| computed::<T>(sum + computed::<T>(libm::pow(x, p))));
    computed::<T>(libm::pow(sum, computed::<T>(1.0 / p)))
}

/// `Σ x²` in the order of torch's kernels.
fn sum_of_squares<T: Real>(x: &[T]) -> f64 {
    let fused = |sum: f64, x: f64| {
        let [x, sum] = [x, sum].map(T::Computed::round_from);
        x.mul_add(x, sum).value()
    };
    // A register has 32 bytes of numbers; two of bf16 go into one partial sum of f32. The kernel is not made for f16.
    let (block, lanes) = if T::FORMAT == Format::F16 {
        (usize::MAX, 1)
    } else {
        (32 / size_of::<T>(), 32 / size_of::<T::Computed>())
    };
    let mut partial = vec![0.0; lanes];
    let blocks = x.chunks_exact(block);
    let rest = blocks.remainder();
    for numbers in blocks {
        for (i, x) in numbers.iter().enumerate() {
            let square = computed::<T>(x.value() * x.value());
            partial[i % lanes] = computed::<T>(partial[i % lanes] + square);
        }
    }
    let sum = partial[1..].iter().fold(partial[0], |sum, &part| computed::<T>(sum + part));
    rest.iter().fold(sum, |sum, x| fused(sum, x.value()))
}

/// Rounded into the format that is computed in. The f64 result of one operation on numbers of f32 rounds on to the correctly rounded f32
/// result, for 53 >= 2 · 24 + 2 (Figueroa 1995); of f64 it is the result.
fn computed<T: Real>(x: f64) -> f64 {
    T::Computed::round_from(x).value()
}

/// Rounded into the format that is computed in, then into the format.
fn stored<T: Real>(x: f64) -> f64 {
    T::round_from(computed::<T>(x)).value()
}

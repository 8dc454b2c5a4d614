//! What frameworks make of the same gradients: their roundings, epsilons and overflows, reproduced.
//!
//! [`torch`] is PyTorch 2.15, [`optax`] is optax 0.2.8 and [`jax`] is `jax.example_libraries.optimizers` of JAX 0.10.2, all on an x86-64 CPU with one
//! thread; JAX operation by operation, as outside of `jit`. The functions take gradients in f16, bf16, f32 and f64, change them in place and return the
//! norm that the library returns, a number of the gradients' format. Use them to find out what a framework did; [the clipping of this
//! crate](crate::clip_by_norm) is what it should have done.
//!
//! Each operation is rounded where the library rounds it. That includes what no documentation says, the order of summation:
//!
//! | library, sum | order |
//! | --- | --- |
//! | torch, two norm, bf16, f32, f64 | partial sums of one 256-bit register (8 of f32, 4 of f64), products rounded; the sums added from the first to the last; then the rest of the numbers, fused |
//! | torch, two norm of f16, other norms | one number after the other, in f32 for f16 and bf16 |
//! | optax, `sum` | windows of at most 32 in every dimension, centred over the padded length, each added row by row; then the windows likewise |
//! | jax, `vdot` | the same over the numbers in a row; up to 32 of them fused |
//!
//! In which the order of torch rests on the norms of up to 10^7 equal numbers that torch was seen to return, and that of JAX on probing the library with one
//! large number and its opposite at every pair of places.
//!
//! All 892 recorded calls of the test data agree in every bit, results and norms. What the recorded calls do not hold, and may differ in the last places:
//!
//! - torch's norms other than 0, 1, 2 and ±∞: it takes the C library's `pow`, here it is the f64 `pow` of the crate `libm`.
//! - Whether torch fuses the last numbers of a two norm, fewer than a register, in f32 and f64: the recorded norms are the same either way.
//! - XLA's sums of 4096 numbers and more: these are added in another order. Of 26 recorded norms of that length 16 agree, the other 10 (f32, f64) are
//!   up to 8 numbers of their format away.
//! - XLA's compiler unrolls the loops over small matrices. Where the second last dimension is 2 and the last at most 8, the second row is summed by
//!   itself, which is reproduced; where it is 4 or 8 and the last at most 8, the order is another one, which is not.
//! - Functions under `jax.jit`, where squares may be fused with sums.

pub mod jax;
pub mod optax;
pub mod torch;
mod xla;

use thiserror::Error;

/// Where a library raises an exception.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Raised {
    /// torch, with `error_if_nonfinite`.
    #[error("the total norm of order {norm_type} is non-finite")]
    NonFiniteNorm {
        /// The order p.
        norm_type: f64,
    },
    /// torch: the maximum or minimum of nothing.
    #[error("the norm of order {norm_type} of gradient {tensor}, which is empty, has no identity")]
    EmptyNorm {
        /// The order: inf or -inf.
        norm_type: f64,
        /// The first empty tensor.
        tensor: usize,
    },
    /// torch's clipping by value of no gradients.
    #[error("no gradients")]
    NoGradients,
    /// optax's adaptive clipping knows tensors of up to four dimensions.
    #[error("tensor {tensor} has {dimensions} dimensions; allowed: 1 to 4")]
    Dimensions {
        /// The first such tensor.
        tensor: usize,
        /// Its dimensions.
        dimensions: usize,
    },
}

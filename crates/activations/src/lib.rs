//! Activation functions and their derivatives by every path.
//!
//! The invariant of this crate: **a value is the true value of the function rounded once into the format (in f64 within 1 ulp of it), and a
//! derivative is exactly the operations that its path names**. So what a study sees of a path is the path's own error, and the bits are the same on every
//! machine: no platform's libm takes part.
//!
//! | path | derivative | product with the upstream gradient |
//! | --- | --- | --- |
//! | [`Path::Fused`] (default) | the true one rounded once | of the true one: one rounding |
//! | [`Path::Multiplied`] | the same | of the rounded one: two |
//! | [`Path::Output`] | from the stored output, each operation rounded in the format: `s (1 - s)`, `1 - t t` | rounded |
//! | [`Path::Input`] | from the stored input, each operation in the wide format, then one rounding | rounded |
//! | [`Path::Symmetric`] | `s(x) s(-x)`, `(1 - t) (1 + t)`, each operation in the format | rounded |
//! | [`Path::Native`] | the textbook's formula from the stored input, each operation in the format | rounded |
//! | [`Path::SlopeOne`], [`Path::SlopeHalf`] | fused, with another slope at a kink | one rounding |
//!
//! The wide format of the input path is f32 for formats of at most 12 bits and f64 for all others; for f64 it is no wider. The slopes
//! of the linear functions are the same on every path that does not name another.
//!
//! | format | value and derivative | by |
//! | --- | --- | --- |
//! | f16, bf16 | correctly rounded: the tests try all inputs | `lanes/quick`; next to a midpoint `lanes`, LOW |
//! | f32 | within 0.6 ulp, most functions within 0.52 | `lanes/single`; in tails and next to roots `lanes`, LOW |
//! | f64 | within 1 ulp; 0.93 is the greatest error found, most functions stay below 0.7 | `lanes`, FULL |
//! | other formats and rules | sigmoid and tanh as `rounded.rs` says; the others a FULL result, rounded once | |
//!
//! In f64 correct rounding would cost double-double arithmetic at every element. In f32 it would cost an error of 2^-36 before the last rounding, as
//! f64 lanes have it, and a look at every result: half the speed, for a bound of 0.5 ulp instead of 0.52. Without the sums of two parts f32 would be as
//! fast as bf16 at most, which has such a text (`ratios activations`: 1.1 times for sigmoid, 1.4 for tanh, 1.5 for softplus, 1.6 for GELU), but by its
//! error bound off by several ulp. Under other rules than the native ones sigmoid and tanh are correctly rounded.
//!
//! To add a function: its text in `lanes`, its lines in `lanes/mod.rs`, `activation.rs` and `paths.rs` that the compiler asks for, and texts in
//! `lanes/quick` and `lanes/single` if it shall be fast in 16 bits and f32.

mod accurate;
mod activation;
mod evaluate;
mod exp;
mod flat;
mod lanes;
mod leaky;
mod native;
mod pair;
mod path;
mod paths;
mod rounded;
mod sigmoid;
mod slices;
mod tanh;

pub use accurate::Activations;
pub use activation::Activation;
pub use evaluate::{apply, backpropagate, backpropagate_slice, derivative, derivative_slice, value};
pub use native::Vectorized;
pub use path::Path;

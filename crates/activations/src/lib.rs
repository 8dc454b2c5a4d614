//! Activation functions and their derivatives by every path.
//!
//! The invariant of this crate: **a value is the true value of the function rounded once into the format, and a derivative is exactly the
//! operations that its path names**. So what a study sees of a path is the path's own error, and the bits are the same on every
//! machine: no platform's libm takes part.
//!
//! | path | sigmoid, s = σ(x) | tanh, t = tanh x | roundings |
//! | --- | --- | --- | --- |
//! | [`Path::Output`] | `s · (1 - s)` | `1 - t · t` | each operation in the format, from the stored output |
//! | [`Path::Input`] | `s · (1 - s)`, `s = 1 / (1 + e^-x)` | `1 - t · t` | each operation in the wide format, then one into the format |
//! | [`Path::Symmetric`] | `s(x) · s(-x)` | `(1 - t) · (1 + t)` | each operation in the format |
//! | [`Path::Fused`] | `e / (1 + e)²`, `e = e^-abs(x)` | `4e / (1 + e)²`, `e = e^(-2 abs(x))` | one: the true derivative rounded once |
//!
//! The wide format of the input path is f32 for formats of at most 12 bits and f64 for all others; for f64 it is no wider. The slopes
//! of ReLU and the identity are exact on every path.
//!
//! To add a function: one file that implements `Function`, and the lines in `activation.rs` that the compiler asks for.

mod accurate;
mod activation;
mod evaluate;
mod exp;
mod flat;
mod lanes;
mod native;
mod pair;
mod path;
mod paths;
mod rounded;
mod sigmoid;
mod tanh;

pub use accurate::Activations;
pub use activation::Activation;
pub use evaluate::{apply, backpropagate, backpropagate_slice, derivative, derivative_slice, value};
pub use native::Vectorized;
pub use path::Path;

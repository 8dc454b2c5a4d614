//! Activation functions and their derivatives by every path.

use std::fmt;
use std::str::FromStr;

/// An elementwise activation function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// `x`.
    Identity,
    /// `1 / (1 + e^-x)`.
    Sigmoid,
    /// `max(x, 0)`.
    Relu,
    /// `tanh x`.
    Tanh,
}

/// How a derivative is computed. `s` is the value of the activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Path {
    /// From the stored output, every operation rounded in the format.
    Output,
    /// From the stored input, recomputing the output in the wide format, one rounding at the end.
    Input,
    /// From the values at x and -x, each rounded in the format.
    Symmetric,
    /// `e / (1 + e)^2`, one rounding at the end.
    Fused,
}

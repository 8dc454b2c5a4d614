//! The judge: a reference that cannot overflow, and the distances to it.
//!
//! The invariant of this crate: **it shares no arithmetic with the judged**. Its double-double numbers, its functions
//! and its sums are its own. From `gradchain-arith` it takes the constants of formats, the classes of numbers, and
//! [`Isa`](gradchain_arith::Isa) as a way to compile plain loops for the machine; never a rounding, a summation
//! or a vector operation. Results do not depend on the instruction set.
//!
//! - [`DoubleDouble`] and [`functions`]: 106 bits, with exp, sigmoid, tanh and their derivatives. [`values_and_slopes`]: every activation.
//! - [`Scaled`], [`ScaledVector`]: numbers and vectors with an exponent of their own.
//! - [`reference_forward`], [`reference_backward`], [`weight_gradient_norm`]: the reference for a network.
//! - [`ErrorBound`]: what the published error bound allows a linear chain. [`ProductError`]: the same with the brackets set otherwise.
//! - [`GradedProduct`], [`LyapunovFrame`]: singular values and Lyapunov exponents of products of Jacobians of any depth.
//! - [`compare`]: drift, bits left and other distances. [`Events`]: the layers at which something happens first.

mod bound;
mod double_double;
mod error_function;
mod events;
pub mod functions;
mod kernels;
mod metrics;
mod norm;
mod pointwise;
mod product_error;
mod reference;
mod roots;
mod scaled;
mod scaled_vector;
mod slopes;
mod smooth;
mod spectrum;
mod triple;
mod weight_norms;
mod wiring;

pub use bound::{ErrorBound, LayerError};
pub use double_double::{DoubleDouble, quick_two_sum, two_prod, two_sum};
pub use events::{DIRECTION_LOST_BELOW, EventReport, Events};
pub use functions::AtPoint;
pub use metrics::{Comparison, compare, cosine, norm, sine};
pub use pointwise::values_and_slopes;
pub use product_error::ProductError;
pub use reference::{Keep, ReferenceStep, ReferenceTrace, Weights, reference_backward, reference_forward};
pub use scaled::Scaled;
pub use scaled_vector::{ScaledVector, upstream_from_targets};
pub use spectrum::{GradedProduct, LayerJacobian, LyapunovFrame, singular_values};
pub use weight_norms::{bias_gradient_norm, weight_gradient_norm};

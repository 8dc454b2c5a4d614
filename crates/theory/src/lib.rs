//! Predictions from the literature, to stand beside measurements and never in their place.
//!
//! The invariant of this crate: **it knows nothing of the programs whose results it predicts**; it depends on no other crate of the workspace.
//!
//! Every function names its source and what it assumes; "worked out here" marks results that follow from a cited one in a few lines and are
//! tested by simulation. Formulas take any parameters in a stated range. Beyond it a function returns a [`TheoryError`] or, where it returns a
//! plain number, NaN or ∞ as it says.
//!
//! - Wide networks: [`mean_field`] (q*, χ_1, χ_q, depth scales, transients), [`criticality`] (critical lines, half-stable points), [`finite_width`]
//!   (fluctuations of order depth/width), all made of the [`moments`] of an [`Activation`].
//! - Products of random matrices: [`products`] (exact laws of the norm at any width and depth), [`lyapunov`] (spectrum), [`singular_values`]
//!   (moments, edges, densities).
//! - Remedies: [`normalisation`], [`residual`], [`clipping`], [`loss_scale`].
//! - Rounding: [`rounding`] (random-walk law), [`error_bounds`] (γ, probabilistic γ), [`scalar_chains`] (crossing, sticking, stagnation),
//!   [`formats`].
//! - Training: [`initialisation`] (variances), [`learning_rate`] (thresholds).
//! - [`special`] functions and [`quadrature`].
//!
//! Norm or squared norm: factors such as χ_1 multiply `‖g‖²`, and laws are those of `ln‖g‖²`; what ends in `log2` of a norm says so. The mean of a
//! logarithm lies below the logarithm of the mean: [`products`] and [`finite_width`] say by how much.

pub mod activation;
pub mod clipping;
pub mod criticality;
pub mod error;
pub mod error_bounds;
pub mod finite_width;
pub mod formats;
pub mod initialisation;
pub mod learning_rate;
pub mod loss_scale;
pub mod lyapunov;
pub mod mean_field;
mod mixtures;
pub mod moments;
pub mod normalisation;
pub mod products;
pub mod quadrature;
pub mod residual;
mod roots;
pub mod rounding;
pub mod scalar_chains;
pub mod singular_values;
pub mod special;

pub use activation::Activation;
pub use error::TheoryError;
pub use mean_field::MeanField;
pub use rounding::{NEAREST_RMS, STOCHASTIC_RMS, gaussian_growth, matrix_chain_drift, scalar_chain_drift};

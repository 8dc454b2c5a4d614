//! Loss scaling (Micikevicius et al. 2018, "Mixed precision training", section 3.2).
//!
//! The upstream gradient is multiplied by a power of two before the backward pass, which is linear in it, and the gradients are divided
//! by it afterwards: what would have been subnormal or zero on the way keeps its bits.
//!
//! - [`scale()`], [`unscale`]: by a power of two that the caller keeps.
//! - [`unscale_and_clip`]: one factor for both.
//! - [`DynamicScale`]: a scale that follows the gradients, and that neither reaches zero nor takes a step on a NaN.
//! - [`TorchScaler`]: torch.amp.GradScaler, bit for bit, for comparison.
//! - [`Histogram`], [`Advice`]: which scale a gradient needs, and which formats it survives in.

mod advice;
mod clipping;
mod dynamic;
mod fixed;
mod histogram;
mod torch;

pub use advice::{Advice, AtScale, Demand, IRRELEVANT_BELOW, NARROW_FORMATS, advise, at_scale};
pub use clipping::unscale_and_clip;
pub use dynamic::{Decision, DynamicScale, ScaleRule};
pub(crate) use fixed::check_scale;
pub use fixed::{first_non_finite, scale, unscale};
pub use histogram::Histogram;
pub use torch::TorchScaler;

//! Norms, clipping, normalisation and loss scaling of gradients.
//!
//! The invariant of this crate: **a remedy reads exact norms and rounds each number once**. Norms neither overflow nor underflow and do not
//! depend on grouping or threads; no epsilon enters a factor but the one that a layer is given; what need not change keeps its bits.
//!
//! - [`norm()`], [`Sum`], [`Norm`]: exact sums of magnitudes or squares, rounded once.
//! - [`clip_by_value`], [`clip_by_range`]; [`clip_by_norm`], [`clip_by_tensor_norm`], [`clip_by_rms`], [`clip_adaptively`]; [`normalise`]: with a
//!   [`NonFinite`] policy and a report, [`Clipping`]. [`clipped`] makes copies, [`excess`] measures the norm afterwards.
//! - [`frameworks`]: what PyTorch, optax and JAX make of the same gradients, to the last bit.
//! - [`normalise_rms`], [`normalise_each`], [`centralise()`]: by the root mean square, tensor by tensor, row by row to the mean 0.
//! - [`layers`]: RMSNorm, LayerNorm, BatchNorm and the unit norm over a batch, forward and backward.
//! - [`scale()`], [`unscale`], [`unscale_and_clip`], [`DynamicScale`], [`TorchScaler`]: loss scales that stand still and that move; [`Histogram`],
//!   [`advise`]: which one is needed.
//! - [`norm_of_arrays`], [`clip_arrays_by_norm`]: for views of ndarray.
//! - [`Remedy`]: these by name.

mod blocks;
mod census;
mod centralise;
mod clamp;
mod clip;
mod error;
mod extended;
pub mod frameworks;
pub mod layers;
mod levels;
mod multiply;
mod norm;
mod powers;
mod remedy;
mod scale;
mod signed_sum;
mod singles;
mod stored;
mod sum;
mod threads;
mod units;
mod view;

pub use census::{Census, Found, census};
pub use centralise::{centralise, normalise_each, normalise_rms};
pub use clip::{
    Adaptive, Clipping, NonFinite, Outcome, Scaling, Units, ValueClipping, clip_adaptively, clip_by_norm,
    clip_by_range, clip_by_rms, clip_by_tensor_norm, clip_by_value, clipped, excess, normalise,
};
pub use error::GradientError;
pub use norm::{Norm, Order, Power, norm, root_mean_square};
pub use powers::Powers;
pub use remedy::Remedy;
pub use scale::{
    Advice, AtScale, Decision, Demand, DynamicScale, Histogram, IRRELEVANT_BELOW, NARROW_FORMATS, ScaleRule,
    TorchScaler, advise, at_scale, first_non_finite, scale, unscale, unscale_and_clip,
};
pub use stored::{Gradients, Measured};
pub use sum::{Sum, Terms};
pub use units::unit_norms;
pub use view::{clip_arrays_by_norm, norm_of_arrays};

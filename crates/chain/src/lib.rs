//! Networks: initialisation, forward, backward, per-layer weight gradients, training.
//!
//! The invariant of this crate: **a chain is a function of its seed (or file) and its setting**; the same draw is the same network in every
//! format, and a pass allocates no more than it returns and the buffers of the widest layer, three or four.

mod decimal;
mod digits;
mod draw;
mod load;
mod loss;
mod network;
mod normal;
mod pass;
pub mod train;

pub use decimal::{Decimal, DecimalError};
pub use digits::{Digits, batches};
pub use draw::{Draw, Init, Upstream, draw_ends};
pub use load::{LoadError, from_safetensors};
pub use loss::{Loss, LossError, Targets};
pub use network::{Ends, Layer, Network, Wiring};
pub use normal::StandardNormal;
pub use pass::{
    ChainArithmetic, Rounded, Setting, Step, Trace, backward, bias_gradient, forward, round_ends,
    weight_gradient,
};

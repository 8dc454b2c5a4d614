//! Networks: initialisation, forward, backward, per-layer weight gradients.
//!
//! The invariant of this crate: **a chain is a function of its seed (or file) and its setting**; the same draw is the same network in every
//! format, and a pass allocates no more than it returns and two buffers of the widest layer.

mod decimal;
mod draw;
mod load;
mod network;
mod normal;
mod pass;

pub use decimal::{Decimal, DecimalError};
pub use draw::{Draw, Init, Upstream, draw_ends};
pub use load::{LoadError, from_safetensors};
pub use network::{Ends, Layer, Network, Wiring};
pub use normal::StandardNormal;
pub use pass::{
    ChainArithmetic, Rounded, Setting, Step, Trace, backward, bias_gradient, forward, round_ends,
    weight_gradient,
};

//! Networks: initialisation, forward, backward, per-layer weight gradients.

mod network;

pub use network::{Ends, Layer, Network};

//! Predictions from the literature, to stand beside measurements and never in their place.
//!
//! The invariant of this crate: **it knows nothing of the programs whose results it predicts**; it depends on no other crate of the workspace.

mod rounding;

pub use rounding::{NEAREST_RMS, STOCHASTIC_RMS, gaussian_growth, matrix_chain_drift, scalar_chain_drift};

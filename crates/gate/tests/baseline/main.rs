//! The drift gate and its baseline.

mod blessing;
mod committed;
mod common;
mod verdicts;

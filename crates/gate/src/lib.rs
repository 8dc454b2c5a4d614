//! Gates: what was measured goes in, a verdict with an exit code comes out.
//!
//! The invariant of this crate: **what was not measured never passes, and a verdict is a function of its inputs.** It opens no file, starts no
//! process and reads no clock: it takes texts and numbers, and gives values and texts.
//!
//! - [`Verdict`]: what a gate says of one id; [`Verdict::outcome`]: what that means for the exit code.
//! - [`Finding`]: a verdict with its id, its figures and one sentence; [`GateReport`]: all findings of a run, and its [`Outcome`].

mod finding;
pub mod time;
mod verdict;

pub use finding::{Effect, Figure, Finding, GateReport, Level, Place, Run};
pub use verdict::{Gate, Outcome, Verdict};

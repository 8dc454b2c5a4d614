//! Gates: what was measured goes in, a verdict with an exit code comes out.
//!
//! The invariant of this crate: **what was not measured never passes, and a verdict is a function of its inputs.** It opens no file, starts no
//! process and reads no clock: it takes texts and numbers, and gives values and texts.
//!
//! - [`Verdict`]: what a gate says of one id; [`Verdict::outcome`]: what that means for the exit code.
//! - [`Finding`]: a verdict with its id, its figures and one sentence; [`GateReport`]: all findings of a run, and its [`Outcome`].
//! - [`judge`]: the drift gate. [`Blessing`]: how measured rows become its baseline. [`DIRECTIONS`]: which way of a column is better. [`Budget`]: what no baseline can move.
//! - [`terminal`], [`markdown`], [`json`], [`junit`], [`github`] and [`page`]: the report in each form; [`History`]: runs of gates.

mod blessing;
mod budget;
mod direction;
mod drift;
mod finding;
mod history;
mod number;
mod output;
mod pairing;
mod rows;
pub mod time;
mod verdict;

pub use blessing::{BLESSING_SCHEMA_VERSION, Blessing, Refusal};
pub use budget::{Budget, BudgetError};
pub use direction::{DIRECTIONS, Direction};
pub use drift::{DriftInput, WHOLE_FILE, judge};
pub use finding::{Effect, Figure, Finding, GateReport, Level, Place, Run};
pub use history::{HISTORY_SCHEMA_VERSION, History, PastRun};
pub use output::{REPORT_SCHEMA_VERSION, SCHEMA, github, json, junit, markdown, page, terminal};
pub use verdict::{Gate, Outcome, Verdict};

use sha2::{Digest, Sha256};
use std::fmt::Write;

/// SHA-256 of a file in hexadecimal digits: what `sha256sum` prints.
pub fn sha256(bytes: &[u8]) -> String {
    let mut out = String::new();
    for byte in Sha256::digest(bytes) {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

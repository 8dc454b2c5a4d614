//! Studies: a text in, rows out.
//!
//! The invariant of this crate: **the bytes of the rows depend on the study and the program alone**, never on the number of threads, the
//! machine, the order in which cells finish, or an interruption in between. It opens no file and knows no terminal: it takes texts,
//! callbacks and flags.
//!
//! - [`Study`]: a study file; [`Study::plan`] gives its [`Cell`]s, each with a stable id.
//! - [`measure()`]: the [`Row`]s of a cell. [`COLUMNS`]: what every field of a row means.
//! - [`run()`]: cells in parallel, [`Record`]s in order. [`keep`]: what an interrupted run left. [`compare`]: committed against measured.
//! - [`plan_hash`], [`cost()`], [`assign`]: what machines must agree on to share out a study. [`merge()`]: their rows as those of one run.

mod axis;
mod blocks;
mod builtin;
mod cell;
mod check;
mod columns;
mod cost;
mod gain;
mod grid;
mod measure;
mod memory;
mod merge;
mod plan;
mod record;
mod resume;
mod row;
mod run;
mod shard;
mod study;
mod study_file;
mod widths;

pub use gradchain_activations::{Activation, Path};
pub use gradchain_chain::Upstream;
pub use gradchain_chain::train::Momentum;
pub use gradchain_gradients::Remedy;
pub use gradchain_kernels::Association;

pub use axis::Axis;
pub use builtin::BUILTIN;
pub use cell::{Cell, Init, Master, Measure, NetworkFile};
pub use check::{Difference, compare};
pub use columns::{COLUMNS, Column, Kind, column};
pub use cost::{Cost, cost};
pub use gain::{Gain, Number};
pub use grid::MAX_CELLS;
pub use measure::{MeasureError, measure};
pub use merge::{Merged, Part, labels, merge};
pub use plan::plan_hash;
pub use record::{Record, SCHEMA_VERSION, Timing, csv_header, plain};
pub use resume::{Kept, keep};
pub use row::{Row, Value};
pub use run::{Event, MeasureFn, Outcome, RunError, run};
pub use shard::{Balance, Shard, assign};
pub use study::{DRAWS, Load, Origin, Study, StudyError};
pub use widths::Widths;

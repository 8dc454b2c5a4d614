//! gradchain's kernels beside other crates and the ceilings of the machine, in one run and on the same data.
//!
//! A figure of a shared machine says little; its ratio to a ceiling measured in the same minute says what is left to gain. So a [`Contest`]
//! is one piece of work at one shape in one format, with everybody who does it: our summations, the [`peers`], and the
//! [`ceilings`], which do as many loads or multiply-adds and nothing else. The works are listed once, in [`works`], [`elementwise`] and [`remedies`]; the criterion
//! benches of this package and the program `ratios` both read those lists:
//!
//! ```text
//! cargo bench -p gradchain-peers [--bench steps] [-- FILTER]            charts
//! cargo run --release -p gradchain-peers --bin ratios [-- WORD...]      the table of ratios, interleaved
//! ```
//!
//! Everybody uses the threads of the rayon pool that it is called in, and is checked before it is timed. The variable `GRADCHAIN_ISA`
//! holds for us and the ceilings; the peers choose for themselves.
//!
//! Nothing of the product depends on this package, and plain `cargo test` and `cargo bench` leave it out.

pub mod ceilings;
mod contest;
mod data;
pub mod elementwise;
#[expect(
    unsafe_code,
    reason = "the gemm crate has no safe interface; the one call is behind a check of the lengths"
)]
mod gemm_crate;
mod loops;
mod measure;
pub mod peers;
mod reference;
pub mod remedies;
pub mod works;

pub use contest::{Contest, Entrant, Limit, Role, Unit};
pub use measure::{Clock, measure, pool};
pub use reference::reference;

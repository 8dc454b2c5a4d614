//! The time gate: has a change made anything slower?
//!
//! Three programs are measured: the base, a copy of the base, and the head. All three run on the same processor, one short burst of each in random
//! order: a *round*. Rounds of one set of processes share their luck (where pages, stacks and heaps came to lie), so they are reduced to one
//! number, their median, and the processes are started anew: a *respawn*. What is decided on is the medians of respawns.
//!
//! With b, c, h the times that the base, its copy and the head took in a round,
//!
//! ```text
//! head = ln h - ln b        how much slower the head is
//! null = ln c - ln b        the same question, where the answer is known to be 0
//! ```
//!
//! If nothing differs, the programs can be exchanged, and both are as often positive as negative, however noise is distributed: that is all the sign test asks
//! for. (The mean of ln b and ln c in place of ln b would have less noise, and a bias: noise is skewed, and the mean of two is more often late than one.) Time
//! is the processor time of the whole process, in which what others do on the machine counts for nothing but caches and clock rate; works on several
//! threads are judged by the time that passes as well.
//!
//! Two stages: the first looks at every work and routes what stands out ([`Limits::routes`]), the second measures those again, from nothing, and its
//! numbers alone decide ([`decide()`]). Nothing here knows of processes, files or clocks.

mod calibrate;
pub mod criterion;
mod decide;
mod inventory;
mod protocol;
mod ratios;
mod schedule;
mod series;
mod statistics;

pub use calibrate::{Floor, floor};
pub use decide::{Judged, Limits, Test, decide};
pub use inventory::{Inventory, inventory};
pub use protocol::{GREETING, Kind, Listed, ProtocolError, Reply, Request, Took, listing};
pub use ratios::{Claim, Claims, ClaimsError, JudgedClaim, judge_claim};
pub use schedule::{Effort, Schedule};
pub use series::{Clock, Round, Series, TimeError, medians};
pub use statistics::{Interval, deviation, holm, interval, median, sign_test};

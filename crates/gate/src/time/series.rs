//! From the times of bursts to one number a respawn.

use crate::time::protocol::Took;
use crate::time::statistics::median;
use std::fmt;
use thiserror::Error;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Clock {
    /// Processor time of the whole process, all its threads together.
    Cpu,
    /// The time that passes.
    Wall,
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Clock::Cpu => "CPU",
            Clock::Wall => "wall",
        })
    }
}

/// One burst of each program, the same number of calls of the same work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Round {
    /// The base.
    pub base: Took,
    /// The copy of the base.
    pub copy: Took,
    /// The head.
    pub head: Took,
}

/// Medians of respawns: natural logarithms of ratios of times, one for each respawn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// The head against the base.
    pub head: Vec<f64>,
    /// The copy against the base.
    pub null: Vec<f64>,
}

impl Series {
    /// Adds the medians of one respawn.
    pub fn push(&mut self, head: f64, null: f64) {
        self.head.push(head);
        self.null.push(null);
    }

    /// Adds the medians of more respawns.
    pub fn extend(&mut self, more: Series) {
        self.head.extend(more.head);
        self.null.extend(more.null);
    }
}

/// Why bursts say nothing.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TimeError {
    /// A clock that stood still.
    #[error("the {clock} clock did not advance during a burst")]
    StoodStill {
        /// Which.
        clock: Clock,
    },
    /// No round.
    #[error("no round was measured")]
    NoRounds,
}

/// The medians over the rounds of a respawn: (head, null), as the module's documentation defines them.
///
/// # Errors
/// If there is no round, or a burst took no time: its logarithm would be infinite, and a ratio with it would mean nothing.
pub fn medians(rounds: &[Round], clock: Clock) -> Result<(f64, f64), TimeError> {
    let ln = |took: Took| {
        let ns = match clock {
            Clock::Cpu => took.cpu_ns,
            Clock::Wall => took.wall_ns,
        };
        if ns == 0 { Err(TimeError::StoodStill { clock }) } else { Ok(libm::log(ns as f64)) }
    };
    let (mut head, mut null) = (Vec::new(), Vec::new());
    for round in rounds {
        let (b, c, h) = (ln(round.base)?, ln(round.copy)?, ln(round.head)?);
        head.push(h - b);
        null.push(c - b);
    }
    median(&head).zip(median(&null)).ok_or(TimeError::NoRounds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn took(cpu_ns: u64, wall_ns: u64) -> Took {
        Took { cpu_ns, wall_ns, checksum: 0 }
    }

    #[test]
    fn ratios_by_hand() {
        let round = Round { base: took(100, 10), copy: took(400, 10), head: took(800, 20) };
        let (head, null) = medians(&[round], Clock::Cpu).unwrap();
        assert!((head - libm::log(8.0)).abs() < 1e-15);
        assert!((null - libm::log(4.0)).abs() < 1e-15);
        let (head, null) = medians(&[round], Clock::Wall).unwrap();
        assert!((head - libm::log(2.0)).abs() < 1e-15);
        assert_eq!(null, 0.0);
    }

    #[test]
    fn one_wild_round_in_three_changes_nothing() {
        let calm = Round { base: took(100, 1), copy: took(100, 1), head: took(103, 1) };
        let wild = Round { head: took(1_000_000, 1), ..calm };
        assert_eq!(medians(&[calm, wild, calm], Clock::Cpu), medians(&[calm], Clock::Cpu));
    }

    #[test]
    fn no_time_is_no_measurement() {
        let round = Round { base: took(100, 0), copy: took(100, 1), head: took(0, 1) };
        let stood = |clock| Err(TimeError::StoodStill { clock });
        assert_eq!(medians(&[round], Clock::Cpu), stood(Clock::Cpu));
        assert_eq!(medians(&[round], Clock::Wall), stood(Clock::Wall));
        assert_eq!(medians(&[], Clock::Cpu), Err(TimeError::NoRounds));
    }
}

//! What became of a run: learning that converges, stalls, oscillates or diverges.

use super::progress::{NonFinite, Progress};
use std::fmt;

/// What became of a run, decided by the first of these rules that holds. With F the first loss, T the mean of the last [`WINDOW`](History::WINDOW)
/// losses (of all, where there are fewer), and P the mean of as many before them:
///
/// | outcome | rule |
/// | --- | --- |
/// | diverges | a number of a step that was not skipped is infinite or NaN |
/// | oscillates | the last changes reverse, their mean [`turn`](Progress::turn) below -0.9, while `0.8 P < T < 1.25 P` and `T > 10^-6 F` |
/// | converges | `T < 0.7 F` |
/// | diverges | `T > 1.5 F` |
/// | explodes, then stalls | the greatest loss is above 5 F |
/// | stalls | otherwise |
///
/// A deep network just above its greatest stable learning rate does not diverge: it settles on an orbit around the minimum, each step undoing the last
/// one. Below 10^-6 F the same is only the rounding of a minimum that was reached. Steps on batches that differ turn as well, but not straight back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The loss has fallen.
    Converges,
    /// The loss is about what it was.
    Stalls,
    /// The parameters jump to and fro around a minimum, and the loss neither falls nor grows.
    Oscillates,
    /// The loss grew by far and came back to about what it was, most often with units that are dead or saturated.
    Explodes {
        /// The first step whose loss was above 5 F.
        step: u64,
    },
    /// The loss has grown, or left the format.
    Diverges {
        /// The first step with an infinity or a NaN; else the first from which on the loss never was at or below 1.5 F again.
        step: u64,
        /// The infinity or NaN.
        non_finite: Option<NonFinite>,
    },
}

/// What the steps of a run told, as far as its outcome needs it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// The loss before each step.
    pub losses: Vec<f64>,
    /// The turn of each step.
    pub turns: Vec<Option<f64>>,
    /// The first infinity or NaN of a step that was not skipped, and its step.
    pub non_finite: Option<(u64, NonFinite)>,
    /// Updates lost to rounding in all steps.
    pub lost_updates: u64,
    /// Steps that were skipped.
    pub skipped: u64,
}

impl History {
    /// How many losses are averaged at the end of a run.
    pub const WINDOW: usize = 5;

    /// Adds a step.
    pub fn push(&mut self, progress: &Progress) {
        if !progress.skipped && self.non_finite.is_none() {
            self.non_finite = progress.non_finite.map(|found| (progress.step, found));
        }
        self.losses.push(progress.loss);
        self.turns.push(progress.turn);
        self.lost_updates += progress.lost_updates() as u64;
        self.skipped += u64::from(progress.skipped);
    }

    /// What became of the run; one without steps stalls.
    pub fn outcome(&self) -> Outcome {
        let Some(&first) = self.losses.first() else { return Outcome::Stalls };
        if let Some((step, found)) = self.non_finite {
            return Outcome::Diverges { step, non_finite: Some(found) };
        }
        let count = self.losses.len();
        let window = History::WINDOW.min(count);
        let (rest, tail) = self.losses.split_at(count - window);
        let last = mean(tail);
        if rest.len() >= window && last > 1e-6 * first {
            let ratio = last / mean(&rest[rest.len() - window..]);
            let turns: Vec<f64> = self.turns[count - window..].iter().copied().flatten().collect();
            if turns.len() == window && mean(&turns) < -0.9 && 0.8 < ratio && ratio < 1.25 {
                return Outcome::Oscillates;
            }
        }
        if last < 0.7 * first {
            return Outcome::Converges;
        }
        let grown = |loss: f64, factor: f64| loss.is_nan() || loss > factor * first;
        if grown(last, 1.5) {
            let step = self.losses.iter().rposition(|&loss| !grown(loss, 1.5)).map_or(0, |below| below + 1);
            return Outcome::Diverges { step: step as u64, non_finite: None };
        }
        match self.losses.iter().position(|&loss| grown(loss, 5.0)) {
            Some(step) => Outcome::Explodes { step: step as u64 },
            None => Outcome::Stalls,
        }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

impl Outcome {
    /// The name, without the step.
    pub const fn name(self) -> &'static str {
        match self {
            Outcome::Converges => "converges",
            Outcome::Stalls => "stalls",
            Outcome::Oscillates => "oscillates",
            Outcome::Explodes { .. } => "explodes",
            Outcome::Diverges { .. } => "diverges",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Place;

    fn outcome(losses: &[f64], turn: f64) -> Outcome {
        let turns = losses.iter().map(|_| Some(turn)).collect();
        History { losses: losses.to_vec(), turns, ..History::default() }.outcome()
    }

    /// One history on each side of every rule.
    #[test]
    fn rules() {
        let constant = |loss: f64| vec![1.0, loss, loss, loss, loss, loss, loss, loss, loss, loss, loss];
        assert_eq!(outcome(&constant(0.69), 0.0), Outcome::Converges);
        assert_eq!(outcome(&constant(0.71), 0.0), Outcome::Stalls);
        assert_eq!(outcome(&constant(1.49), 0.0), Outcome::Stalls);
        assert_eq!(outcome(&constant(1.51), 0.0), Outcome::Diverges { step: 1, non_finite: None });
        let with_jump = |jump: f64| [vec![1.0, 1.0, jump], constant(1.0)].concat();
        assert_eq!(outcome(&with_jump(4.9), 0.0), Outcome::Stalls);
        assert_eq!(outcome(&with_jump(5.1), 0.0), Outcome::Explodes { step: 2 });
        // Straight back and forth: an orbit, unless the loss falls, grows or is nothing but rounding.
        for loss in [0.01, 1.0, 100.0] {
            assert_eq!(outcome(&constant(loss), -0.95), Outcome::Oscillates);
            assert_ne!(outcome(&constant(loss), -0.85), Outcome::Oscillates);
        }
        assert_eq!(outcome(&constant(1e-7), -1.0), Outcome::Converges);
        let geometric = |ratio: f64| (0..20).map(|k| f64::powi(ratio, k)).collect::<Vec<f64>>();
        assert_eq!(outcome(&geometric(0.95), -1.0), Outcome::Converges);
        assert_eq!(outcome(&geometric(1.05), -1.0), Outcome::Diverges { step: 9, non_finite: None });
        // Short runs, and none.
        assert_eq!(outcome(&[], 0.0), Outcome::Stalls);
        assert_eq!(outcome(&[1.0, 0.3], 0.0), Outcome::Converges);
        assert_eq!(outcome(&[1.0, f64::NAN], 0.0), Outcome::Diverges { step: 1, non_finite: None });
    }

    /// The first infinity or NaN counts, and none in a step that was skipped.
    #[test]
    fn non_finite_numbers() {
        let mut history = History::default();
        for step in 0..6 {
            let found = NonFinite { place: Place::Forward, layer: step as usize };
            let progress = Progress {
                step,
                loss: 1.0,
                skipped: step < 3,
                non_finite: (step > 1).then_some(found),
                ..Progress::new(1)
            };
            history.push(&progress);
        }
        let non_finite = Some(NonFinite { place: Place::Forward, layer: 3 });
        assert_eq!(history.outcome(), Outcome::Diverges { step: 3, non_finite });
        assert_eq!((history.skipped, history.losses.len()), (3, 6));
    }
}

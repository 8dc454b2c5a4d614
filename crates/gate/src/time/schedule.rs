//! How often, and in which order: seeded, so that a run can be repeated.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// How often everything is measured in a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Sets of processes.
    pub respawns: usize,
    /// Rounds of each work in each.
    pub rounds: usize,
}

impl Effort {
    /// The first stage: every work.
    pub const ROUTING: Effort = Effort { respawns: 12, rounds: 24 };
    /// The second stage: what stood out in the first.
    pub const DECIDING: Effort = Effort { respawns: 24, rounds: 24 };
    /// Rounds below which a respawn says too little to be worth its start.
    pub const FEWEST_ROUNDS: usize = 3;

    /// The effort whose rounds fit: as many as asked for, if `round` seconds each stay within `budget` seconds for all respawns together, and never fewer than
    /// [`Self::FEWEST_ROUNDS`]. Respawns are not given up: they are worth more than rounds.
    #[must_use]
    pub fn within(self, budget: f64, round: f64) -> Effort {
        let fit = (budget / (self.respawns as f64 * round)).clamp(0.0, self.rounds as f64) as usize;
        Effort { rounds: fit.max(Effort::FEWEST_ROUNDS).min(self.rounds), ..self }
    }
}

/// Random orders. The order of programs in a round and of works in a respawn is drawn, so that no program profits from its place.
#[derive(Clone, Debug)]
pub struct Schedule {
    rng: ChaCha8Rng,
}

impl Schedule {
    /// The orders of one stage of a run.
    pub fn new(seed: u64, stage: u64) -> Schedule {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stage);
        Schedule { rng }
    }

    /// The next order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        items.shuffle(&mut self.rng);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_and_a_stage_name_the_orders() {
        let orders = |seed, stage| {
            let mut schedule = Schedule::new(seed, stage);
            let draw = |_| {
                let mut order = [0, 1, 2];
                schedule.shuffle(&mut order);
                order
            };
            (0..600).map(draw).collect::<Vec<_>>()
        };
        assert_eq!(orders(1, 1), orders(1, 1));
        assert_ne!(orders(1, 1), orders(1, 2));
        assert_ne!(orders(1, 1), orders(2, 1));
        // Each program comes first equally often: 200 of 600, with a standard deviation of 11.5; five of them.
        for program in 0..3 {
            let first = orders(7, 0).iter().filter(|order| order[0] == program).count();
            assert!((142..=258).contains(&first), "{program} came first {first} times");
        }
    }

    #[test]
    fn rounds_give_way_to_the_budget_and_respawns_do_not() {
        let effort = Effort { respawns: 10, rounds: 24 };
        assert_eq!(effort.within(1e9, 1.0), effort);
        assert_eq!(effort.within(100.0, 1.0), Effort { respawns: 10, rounds: 10 });
        assert_eq!(effort.within(0.0, 1.0), Effort { respawns: 10, rounds: Effort::FEWEST_ROUNDS });
        assert_eq!(Effort { respawns: 10, rounds: 2 }.within(0.0, 1.0).rounds, 2);
    }
}

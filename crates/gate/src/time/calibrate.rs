//! What the gate would find, given the noise that was measured.

use crate::time::decide::{Limits, Test, decide};
use crate::time::schedule::Effort;
use crate::time::series::Series;
use crate::time::statistics::{deviation, median};
use crate::verdict::Verdict;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Simulated runs of the gate for each slowdown that is tried.
const TRIALS: usize = 200;
/// How many of them must find it.
const FOUND: f64 = 0.95;
/// Slowdowns are tried up to this; beyond it the gate is of no use.
const LARGEST: f64 = 0.5;
/// The answer is this exact.
const STEP: f64 = 0.0005;

/// The noise of one test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Floor {
    /// How far the medians of respawns are apart: the deviation of one.
    pub respawn: f64,
    /// The deviation of the estimate of the first stage, the median over its respawns: `1.2533 · respawn / √respawns`, as for normal values.
    pub estimate: f64,
    /// The smallest slowdown, as a fraction, that both stages find in 95 % of simulated runs; `None` if that is more than 50 %.
    pub found: Option<f64>,
}

/// The noise floor of a test whose head is its base, and the smallest slowdown that a run with `family` tests finds: respawns are drawn with replacement
/// from the measured ones, centred, and slowed down; the gate decides as it does. The same draws serve every slowdown, so the answer depends
/// on `seed` alone. `None` without a respawn.
pub fn floor(
    measured: &Series,
    limits: Limits,
    family: usize,
    efforts: [Effort; 2],
    seed: u64,
) -> Option<Floor> {
    let (head, null) = (median(&measured.head)?, median(&measured.null)?);
    let centred = Series {
        head: measured.head.iter().map(|x| x - head).collect(),
        null: measured.null.iter().map(|x| x - null).collect(),
    };
    let respawn = deviation(&measured.head)?;
    // Bisection: `low` is not found, `high` is.
    let (mut low, mut high) = (0.0, LARGEST);
    let finds = |slower| share_found(&centred, slower, limits, family, efforts, seed) >= FOUND;
    let found = finds(high).then(|| {
        while high - low > STEP {
            let middle = f64::midpoint(low, high);
            if finds(middle) { high = middle } else { low = middle }
        }
        high
    });
    Some(Floor { respawn, estimate: 1.2533 * respawn / (efforts[0].respawns as f64).sqrt(), found })
}

fn share_found(
    noise: &Series,
    slower: f64,
    limits: Limits,
    family: usize,
    efforts: [Effort; 2],
    seed: u64,
) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut draw = |respawns: usize| {
        let mut series = Series::default();
        for _ in 0..respawns {
            let at = (rng.next_u64() % noise.head.len() as u64) as usize;
            series.push(noise.head[at] + libm::log1p(slower), noise.null[at]);
        }
        series
    };
    let calm = Test { limits, routing: Series::default(), deciding: None };
    let mut found = 0;
    for _ in 0..TRIALS {
        // Both stages are drawn in every trial, so that the draws of a trial do not depend on the slowdown.
        let [routing, deciding] = efforts.map(|effort| draw(effort.respawns));
        if limits.routes(&routing) {
            let mut tests = vec![calm.clone(); family.max(1)];
            tests[0] = Test { limits, routing, deciding: Some(deciding) };
            found += usize::from(decide(&tests)[0].verdict == Verdict::Worse);
        }
    }
    f64::from(found as u32) / TRIALS as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const EFFORTS: [Effort; 2] = [Effort::ROUTING, Effort::DECIDING];

    #[test]
    fn without_noise_the_threshold_is_the_floor() {
        let silent = Series { head: vec![0.001; 12], null: vec![0.0; 12] };
        let floor = floor(&silent, Limits::PINNED, 100, EFFORTS, 1).unwrap();
        assert_eq!((floor.respawn, floor.estimate), (0.0, 0.0));
        let found = floor.found.unwrap();
        assert!((0.015..=0.015 + STEP).contains(&found), "{found}");
    }

    #[test]
    fn noise_raises_the_floor() {
        let of = |scale: f64| {
            let head = (-12..=12).map(|k| f64::from(k) * scale).collect();
            let noisy = Series { head, null: vec![0.0; 25] };
            floor(&noisy, Limits::PINNED, 100, EFFORTS, 1).unwrap()
        };
        assert!(of(0.0005).found.unwrap() > 0.0155);
        assert!(of(0.001).found > of(0.0005).found);
        assert_eq!(of(1.0).found, None, "respawns that differ by a factor e");
        assert_eq!(floor(&Series::default(), Limits::PINNED, 1, EFFORTS, 1), None);
    }
}

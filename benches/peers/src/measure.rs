//! Interleaved measurement: on a shared machine speed drifts within seconds, so everybody is timed in short bursts, one after the other,
//! for several rounds, and what counts is the median.

use crate::contest::Entrant;
use cpu_time::ThreadTime;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::time::{Duration, Instant};

/// The least length of a burst: long beside the clock and short beside the drift.
const BURST: Duration = Duration::from_millis(4);
/// Calls that take longer than this are timed in few rounds.
const LONG: Duration = Duration::from_millis(60);
/// The rounds of those.
const FEW: usize = 3;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The processor time of the one thread that works: what others do on the machine costs nothing, but for caches and memory.
    ThreadTime,
    /// The time that passes, for several threads.
    Wall,
}

/// A pool of so many threads, in which everybody works on so many.
///
/// # Panics
/// If the system gives no threads.
pub fn pool(threads: usize) -> ThreadPool {
    ThreadPoolBuilder::new().num_threads(threads).build().expect("the system gives a few threads")
}

/// Seconds a call in each round, for each pool and each entrant: `seconds[pool][entrant][round]`.
pub fn measure(
    entrants: &mut [Entrant],
    pools: &[&ThreadPool],
    clock: Clock,
    rounds: usize,
) -> Vec<Vec<Vec<f64>>> {
    let mut seconds = vec![vec![Vec::new(); entrants.len()]; pools.len()];
    // The first call warms up and the second says how many make a burst.
    let calls: Vec<Vec<u32>> = pools
        .iter()
        .map(|pool| {
            let calls = |entrant: &mut Entrant| {
                burst(entrant, pool, clock, 1);
                let once = burst(entrant, pool, clock, 1);
                if once > LONG { 0 } else { (BURST.as_secs_f64() / once.as_secs_f64()).ceil() as u32 }
            };
            entrants.iter_mut().map(calls).collect()
        })
        .collect();
    for round in 0..rounds {
        for ((pool, calls), seconds) in pools.iter().zip(&calls).zip(&mut seconds) {
            for ((entrant, &calls), seconds) in entrants.iter_mut().zip(calls).zip(seconds) {
                if calls > 0 || round < FEW {
                    let calls = calls.max(1);
                    seconds.push(burst(entrant, pool, clock, calls).as_secs_f64() / f64::from(calls));
                }
            }
        }
    }
    seconds
}

fn burst(entrant: &mut Entrant, pool: &ThreadPool, clock: Clock, calls: u32) -> Duration {
    pool.install(|| {
        let (thread, wall) = (ThreadTime::now(), Instant::now());
        for _ in 0..calls {
            (entrant.call)();
        }
        match clock {
            Clock::ThreadTime => thread.elapsed(),
            Clock::Wall => wall.elapsed(),
        }
    })
}

//! At which learning rates training works: a step multiplies the deviation from a minimum by `1 - λ·curvature`, and a format or a remedy moves both ends of
//! what works. [`training`](super::training) says what is learnt.
//!
//! With `learning_rate` a cell trains at it, and its row says what became of that.
//!
//! Without, it looks for its **window**: the learning rates whose last losses have a mean below 0.7 times the first one and below that of nothing. They converge,
//! or oscillate so low down, as narrow formats do between the numbers next to the minimum. It tries the powers of two from 2^-20 to 2^8, takes the longest run of them in which
//! training works (the upper one of equals), and bisects log2 of the learning rate at both ends down to 1/32. So an end is known to 2.2 %. The ends are learning rates
//! that work. A window narrower than an octave that holds no power of two is not found. The low end belongs to the steps: more of them get further.

use super::MeasureError;
use super::arithmetic::with_arithmetic;
use super::network::{EndWidths, Networks};
use super::sample::{mean, standard_deviation};
use super::training::{OneDraw, Run, Task, WithTraining};
use crate::cell::Cell;
use crate::row::{Row, Value};
use gradchain_arith::Isa;
use gradchain_chain::Digits;
use gradchain_chain::train::Outcome;
use rayon::prelude::*;

/// The powers of two that are tried.
const LEAST: i32 = -20;
const GREATEST: i32 = 8;
/// Halvings of an octave at the ends of a window.
const HALVINGS: u32 = 5;
/// The most trainings of one draw.
pub(crate) const MOST_TRAININGS: u32 = (GREATEST - LEAST + 1) as u32 + 2 * HALVINGS;

/// The row of a cell.
pub(super) fn measure(cell: &Cell, isa: Isa) -> Result<Vec<Row>, MeasureError> {
    if let Some((axis, message)) = cell.contradiction() {
        return Err(MeasureError::Network(format!("{}: {message}", axis.name())));
    }
    let task = Task::of(cell);
    let ends = match task {
        Task::Digits => EndWidths { inputs: Digits::PIXELS, outputs: Digits::CLASSES },
        Task::Chain { .. } => EndWidths::of(cell),
    };
    let networks = Networks::of(cell, ends)?;
    let mut row = Row::new();
    match cell.learning_rate {
        Some(rate) => describe_runs(&mut row, &draws(cell, isa, task, &networks, || AtRate(rate))?),
        None => describe_windows(&mut row, &draws(cell, isa, task, &networks, || Windowed)?),
    }
    if let Some(threshold) = task.threshold(cell) {
        row.set("theory_threshold", threshold);
    }
    Ok(vec![row])
}

/// What `work` says of each draw. Draws depend on their numbers alone, and stand in order: threads change no bit.
fn draws<W: WithTraining<Output: Send>>(
    cell: &Cell,
    isa: Isa,
    task: Task,
    networks: &Networks<'_>,
    work: impl Fn() -> W + Sync,
) -> Result<Vec<W::Output>, MeasureError> {
    let draw = |number| {
        let network = task.network(cell, networks.draw(number))?;
        with_arithmetic(cell, isa, number, &OneDraw { cell, isa, number, network, task, work: work() })
    };
    (0..cell.draws).into_par_iter().map(draw).collect()
}

/// A training at this learning rate.
struct AtRate(f64);

impl WithTraining for AtRate {
    type Output = Run;

    fn run(&self, train: &dyn Fn(f64) -> Result<Run, MeasureError>) -> Result<Run, MeasureError> {
        train(self.0)
    }
}

/// Trainings at all learning rates.
struct Windowed;

impl WithTraining for Windowed {
    type Output = Search;

    fn run(&self, train: &dyn Fn(f64) -> Result<Run, MeasureError>) -> Result<Search, MeasureError> {
        search(|log2| train(libm::exp2(log2)))
    }
}

/// What the trainings of one draw say.
#[derive(Debug)]
struct Search {
    /// At the powers of two.
    sweep: Vec<Run>,
    window: Option<Window>,
    /// The least last loss at any learning rate.
    best: f64,
}

/// The ends of what works, as log2, and the trainings just outside; none beyond what is tried.
#[derive(Debug)]
struct Window {
    low: f64,
    high: f64,
    below: Option<Run>,
    above: Option<Run>,
}

/// The window of what `train` does at each log2 of the learning rate.
fn search(train: impl Fn(f64) -> Result<Run, MeasureError>) -> Result<Search, MeasureError> {
    let sweep: Vec<Run> =
        (LEAST..=GREATEST).map(|log2| train(f64::from(log2))).collect::<Result<_, MeasureError>>()?;
    let mut best = sweep.iter().map(|run| run.last).fold(f64::INFINITY, f64::min);
    let Some((from, to)) = longest(&sweep) else { return Ok(Search { sweep, window: None, best }) };
    let log2 = |index: usize| f64::from(LEAST) + index as f64;
    let mut end = |inside: usize, outside: Option<usize>| -> Result<(f64, Option<Run>), MeasureError> {
        let mut inside = log2(inside);
        let Some((index, &run)) = outside.and_then(|index| Some((index, sweep.get(index)?))) else {
            return Ok((inside, None));
        };
        let (mut beyond, mut outside) = (run, log2(index));
        for _ in 0..HALVINGS {
            let middle = 0.5 * (inside + outside);
            let run = train(middle)?;
            best = best.min(run.last);
            if run.works {
                inside = middle;
            } else {
                (beyond, outside) = (run, middle);
            }
        }
        Ok((inside, Some(beyond)))
    };
    let (low, below) = end(from, from.checked_sub(1))?;
    let (high, above) = end(to, Some(to + 1))?;
    Ok(Search { window: Some(Window { low, high, below, above }), sweep, best })
}

/// The longest run of trainings that work, the last one of equals: its first and last index.
fn longest(runs: &[Run]) -> Option<(usize, usize)> {
    let (mut longest, mut from) = (None, None);
    for (index, run) in runs.iter().enumerate() {
        from = run.works.then(|| from.unwrap_or(index));
        if let Some(from) = from
            && longest.is_none_or(|(first, last)| index - from >= last - first)
        {
            longest = Some((from, index));
        }
    }
    longest
}

fn describe_runs(row: &mut Row, runs: &[Run]) {
    row.set("usable", runs.iter().filter(|run| run.works).count());
    row.set("outcome", commonest(runs.iter().map(|run| run.outcome)));
    let diverged = runs.iter().filter_map(|run| match run.outcome {
        Outcome::Diverges { step, .. } => Some(step),
        Outcome::Converges | Outcome::Stalls | Outcome::Oscillates | Outcome::Explodes { .. } => None,
    });
    row.set("diverged_at", diverged.min());
    row.set("overflowed_at", runs.iter().filter_map(|run| run.overflowed_at).min());
    let mean_of = |f: fn(&Run) -> f64| mean(&runs.iter().map(f).collect::<Vec<f64>>());
    row.set("loss_first", mean_of(|run| run.first));
    row.set("loss_last", mean_of(|run| run.last));
    row.set("lost_updates", mean_of(|run| run.lost));
}

fn describe_windows(row: &mut Row, searches: &[Search]) {
    let windows: Vec<&Window> = searches.iter().filter_map(|search| search.window.as_ref()).collect();
    let over = |f: fn(&Search) -> f64| searches.iter().map(f).collect::<Vec<f64>>();
    row.set("usable", windows.len());
    row.set("sweep", sweep(searches));
    row.set("loss_first", mean(&over(|search| search.sweep[0].first)));
    row.set("loss_last", mean(&over(|search| search.best)));
    let ends = |f: fn(&Window) -> f64| {
        let ends: Vec<f64> = windows.iter().map(|window| f(window)).collect();
        (!ends.is_empty()).then(|| libm::exp2(mean(&ends)))
    };
    row.set("window_low", ends(|window| window.low));
    row.set("window_high", ends(|window| window.high));
    let octaves = over(|search| search.window.as_ref().map_or(0.0, |window| window.high - window.low));
    row.set("window_octaves", mean(&octaves));
    let error = standard_deviation(&octaves) / (octaves.len() as f64).sqrt();
    row.set("window_stderr", (octaves.len() > 1).then_some(error));
    let below: Vec<Run> = windows.iter().filter_map(|window| window.below).collect();
    let above: Vec<Run> = windows.iter().filter_map(|window| window.above).collect();
    row.set("outcome_below", commonest(below.iter().map(|run| run.outcome)));
    row.set("outcome_above", commonest(above.iter().map(|run| run.outcome)));
    row.set("overflowed_at", above.iter().filter_map(|run| run.overflowed_at).min());
    let lost: Vec<f64> = below.iter().map(|run| run.lost).collect();
    row.set("lost_updates", (!lost.is_empty()).then(|| mean(&lost)));
}

/// A letter for each power of two: the first one of what became of most draws, a capital where at least half of them work.
fn sweep(searches: &[Search]) -> String {
    let letter = |index: usize| {
        let runs = || searches.iter().map(|search| search.sweep[index]);
        let name = most(runs().map(|run| run.outcome)).unwrap_or_default();
        let works = 2 * runs().filter(|run| run.works).count() >= searches.len();
        name.chars().next().map(|letter| if works { letter.to_ascii_uppercase() } else { letter })
    };
    (0..(GREATEST - LEAST + 1) as usize).filter_map(letter).collect()
}

/// [`most`] of `outcomes`; null where there are none.
fn commonest(outcomes: impl Iterator<Item = Outcome>) -> Value {
    most(outcomes).into()
}

/// The name that most of `outcomes` have, the worse one of equals.
fn most(outcomes: impl Iterator<Item = Outcome>) -> Option<&'static str> {
    const FROM_GOOD_TO_BAD: [&str; 5] = ["converges", "stalls", "oscillates", "explodes", "diverges"];
    let names: Vec<&str> = outcomes.map(Outcome::name).collect();
    let count = |name: &&str| names.iter().filter(|other| *other == name).count();
    FROM_GOOD_TO_BAD.into_iter().max_by_key(count).filter(|name| count(name) > 0)
}

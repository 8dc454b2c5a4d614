//! At which learning rates training converges: a step multiplies the deviation from a minimum by `1 - λ·curvature`, and a format or a remedy moves both ends of
//! what works.
//!
//! Training is plain gradient descent (see [`gradchain_chain::train`]) on one of two tasks, the same for every learning rate:
//!
//! - **digits**, unless the cell has a gain: the network takes 8 x 8 pixels and gives ten outputs without activation; softmax and cross-entropy, the mean over
//!   the batch. 120 steps on batches in an order that depends on the seed of the study alone.
//! - **a linear chain of width 1**, where the cell has the gain g: `½ (w_L .. w_1 - s)²` with `s = g^L`, from the weights `0.99 g`, next to the balanced minimum
//!   of curvature `L s^(2 - 2/L)`. 600 steps.
//!
//! What became of a training is an [`Outcome`]; it ends early where a number left the format. A loss that fell by far, but not below 0.7 times the loss of a network
//! that gives nothing (ln 10, or `½ s²`), stalls: weights that explode at first and then die are not learning.
//!
//! Without `learning_rate` a cell looks for its **window**: the learning rates whose last losses have a mean below 0.7 times the first one and below that of nothing. They converge,
//! or oscillate so low down, as narrow formats do between the numbers next to the minimum. It tries the powers of two from 2^-20 to 2^8, takes the longest run of them in which
//! training works (the upper one of equals), and bisects log2 of the learning rate at both ends down to 1/32. So an end is known to 2.2 %. The ends are learning rates
//! that work.
//!
//! A remedy stands where training has it: `clip-value` and `clip-norm` clip the gradients of all parameters together, `adaptive` those of each unit; a loss scale is
//! taken off them again, and skips steps that are not finite; `normalise` gives the gradient of each layer, over the whole batch, the norm 1; `residual`, `rmsnorm` and
//! `batchnorm` change the network.

use super::MeasureError;
use super::arithmetic::{WithArithmetic, with_arithmetic};
use super::network::{EndWidths, Networks};
use crate::cell::{Cell, Master};
use crate::gain::Gain;
use crate::row::{Row, Value};
use gradchain_activations::Activation;
use gradchain_arith::{Isa, Native};
use gradchain_chain::train::{Clip, History, LossScale, OnNonFinite, Outcome, Recipe, Samples, Trainer};
use gradchain_chain::{ChainArithmetic, Digits, Loss, Network, Setting, Targets, Wiring, batches};
use gradchain_gradients::{Adaptive, Gradients, Remedy};
use gradchain_theory::learning_rate::{balanced_sharpness, gradient_descent};
use rayon::prelude::*;

/// Steps on digits, and on a chain of a gain.
const STEPS: [usize; 2] = [120, 600];
/// The powers of two that are tried.
const LEAST: i32 = -20;
const GREATEST: i32 = 8;
/// Halvings of an octave at the ends of a window.
const HALVINGS: u32 = 5;
/// What the weights of a chain start from, in units of the gain.
const START: f64 = 0.99;
/// The part of the loss at first, and of the loss of nothing, below which training works: that of [`Outcome::Converges`].
const FALLEN: f64 = 0.7;
/// The norm that the weights of a unit count with at least, as in the paper on adaptive clipping.
const ADAPTIVE_EPSILON: f64 = 1e-3;

/// The row of a cell.
pub(super) fn measure(cell: &Cell, isa: Isa) -> Result<Vec<Row>, MeasureError> {
    if let Some((axis, message)) = cell.contradiction() {
        return Err(MeasureError::Network(format!("{}: {message}", axis.name())));
    }
    let task = Task::of(cell);
    let ends = match task {
        Task::Digits(_) => EndWidths { inputs: Digits::PIXELS, outputs: Digits::CLASSES },
        Task::Chain { .. } => EndWidths::of(cell),
    };
    let networks = Networks::of(cell, ends)?;
    // The draws depend on their numbers alone, and are summed up in order: threads change no bit.
    let draws: Result<Vec<Trained>, MeasureError> = (0..cell.draws)
        .into_par_iter()
        .map(|number| {
            let network = task.network(cell, networks.draw(number))?;
            with_arithmetic(cell, isa, number, &OneDraw { cell, isa, network, task: &task })
        })
        .collect();
    let draws = draws?;
    let mut row = Row::new();
    row.set("steps", task.steps());
    match cell.learning_rate {
        Some(_) => describe_runs(&mut row, &draws),
        None => describe_windows(&mut row, &draws),
    }
    if let Some(threshold) = threshold(cell, &task) {
        row.set("theory_threshold", threshold);
    }
    Ok(vec![row])
}

/// The learning rate above which gradient descent leaves the minimum of a chain, where nothing but a loss scale treats its gradients.
fn threshold(cell: &Cell, task: &Task) -> Option<f64> {
    match (task, cell.remedy) {
        (Task::Chain { target }, Remedy::None | Remedy::LossScale(_)) => {
            balanced_sharpness(cell.depth, *target).and_then(gradient_descent).ok()
        }
        _ => None,
    }
}

/// What is learnt.
enum Task {
    /// Handwritten digits, a batch for each step.
    Digits(Vec<Digits>),
    /// The product of as many weights as layers, as f64 has it.
    Chain { target: f64 },
}

impl Task {
    fn of(cell: &Cell) -> Task {
        if let Some(Gain::Constant(gain)) = &cell.gain {
            return Task::Chain { target: libm::pow(gain.decimal().nearest, cell.depth as f64) };
        }
        let digits = Digits::built_in();
        let batches = batches(cell.seed, digits.count(), cell.batch).take(STEPS[0]);
        Task::Digits(batches.filter_map(|numbers| digits.select(&numbers)).collect())
    }

    fn steps(&self) -> usize {
        match self {
            Task::Digits(batches) => batches.len(),
            Task::Chain { .. } => STEPS[1],
        }
    }

    fn loss(&self) -> Loss {
        match self {
            Task::Digits(_) => Loss::CrossEntropy,
            Task::Chain { .. } => Loss::HalfSquaredError,
        }
    }

    /// The loss of a network all of whose outputs are zero.
    fn loss_of_nothing(&self) -> f64 {
        match self {
            Task::Digits(_) => std::f64::consts::LN_10,
            Task::Chain { target } => 0.5 * target * target,
        }
    }

    fn samples(&self, step: usize) -> Samples<'_> {
        match self {
            Task::Digits(batches) => {
                let digits = &batches[step];
                let targets = Targets::Classes(&digits.labels);
                Samples { batch: digits.count(), input: &digits.pixels, targets }
            }
            Task::Chain { target } => {
                let targets = Targets::Values(std::slice::from_ref(target));
                Samples { batch: 1, input: &[1.0], targets }
            }
        }
    }

    /// The network that training starts from.
    fn network(&self, cell: &Cell, drawn: Network) -> Result<Network, MeasureError> {
        let mut network = Network { wiring: Wiring::of(cell.remedy), output: Activation::Identity, ..drawn };
        match self {
            Task::Chain { .. } => {
                for layer in &mut network.layers {
                    layer.weights.iter_mut().for_each(|w| *w *= START);
                    layer.weights_rest = None;
                }
            }
            Task::Digits(_) if (network.inputs(), network.outputs()) != (Digits::PIXELS, Digits::CLASSES) => {
                return Err(MeasureError::Network(format!(
                    "the measure `learning-rate` feeds digits of {} pixels and expects {} outputs; the network has {} layers, {} inputs, {} outputs",
                    Digits::PIXELS,
                    Digits::CLASSES,
                    network.layers.len(),
                    network.inputs(),
                    network.outputs()
                )));
            }
            Task::Digits(_) => {}
        }
        Ok(network)
    }
}

/// How the cell trains at a learning rate.
fn recipe(cell: &Cell, loss: Loss, rate: f64) -> Recipe {
    let setting = Setting { summation: cell.summation, path: cell.path, remedy: Remedy::None };
    let plain = Recipe::sgd(loss, setting, rate);
    match cell.remedy {
        Remedy::None => plain,
        Remedy::ClipValue(limit) => Recipe { clip: Clip::Value(limit), ..plain },
        Remedy::ClipNorm(limit) => Recipe { clip: Clip::Norm(limit), ..plain },
        Remedy::Adaptive(clipping) => {
            Recipe { clip: Clip::Adaptive(Adaptive { clipping, eps: ADAPTIVE_EPSILON }), ..plain }
        }
        Remedy::LossScale(factor) => {
            Recipe { loss_scale: LossScale::Static(factor), non_finite: OnNonFinite::Skip, ..plain }
        }
        remedy @ (Remedy::Normalise | Remedy::Residual(_) | Remedy::RmsNorm | Remedy::BatchNorm) => {
            Recipe { setting: Setting { remedy, ..setting }, ..plain }
        }
    }
}

/// One training.
#[derive(Clone, Copy, Debug)]
struct Run {
    outcome: Outcome,
    /// The loss fell far enough.
    works: bool,
    overflowed_at: Option<u64>,
    first: f64,
    /// The mean of the last losses.
    last: f64,
    /// The fraction of the updates that changed nothing.
    lost: f64,
}

impl Run {
    fn of(history: &History, parameters: usize, loss_of_nothing: f64) -> Run {
        let losses = &history.losses;
        let last = mean(&losses[losses.len().saturating_sub(History::WINDOW)..]);
        let fallen = history.non_finite.is_none() && last < FALLEN * losses[0].min(loss_of_nothing);
        let outcome = match history.outcome() {
            Outcome::Converges if !fallen => Outcome::Stalls,
            outcome => outcome,
        };
        Run {
            outcome,
            works: fallen && matches!(outcome, Outcome::Converges | Outcome::Oscillates),
            overflowed_at: history.non_finite.map(|(step, _)| step),
            first: losses[0],
            last,
            lost: history.lost_updates as f64 / (parameters as f64 * losses.len() as f64),
        }
    }
}

/// What one draw says.
enum Trained {
    /// At the learning rate of the cell.
    At(Run),
    /// At all learning rates.
    Search(Search),
}

/// The window of one draw.
struct Search {
    window: Option<Window>,
    /// The least last loss at any learning rate.
    best: f64,
    first: f64,
}

/// The ends of what works, as log2, and the trainings just outside; none beyond what is tried.
struct Window {
    low: f64,
    high: f64,
    below: Option<Run>,
    above: Option<Run>,
}

struct OneDraw<'a> {
    cell: &'a Cell,
    isa: Isa,
    network: Network,
    task: &'a Task,
}

impl WithArithmetic for OneDraw<'_> {
    type Output = Result<Trained, MeasureError>;

    fn run<K: ChainArithmetic>(&self, arith: &K, inputs: &K) -> Result<Trained, MeasureError> {
        match self.cell.master {
            Master::None => self.with_storage(arith, inputs, arith),
            Master::F32 => self.with_storage(arith, inputs, &Native::<f32>::new(self.isa)),
        }
    }
}

impl OneDraw<'_> {
    fn with_storage<K: ChainArithmetic, S: Gradients>(
        &self,
        arith: &K,
        inputs: &K,
        storage: &S,
    ) -> Result<Trained, MeasureError> {
        match self.cell.learning_rate {
            Some(rate) => self.train(arith, inputs, storage, rate).map(Trained::At),
            None => search(|log2| self.train(arith, inputs, storage, libm::exp2(log2))).map(Trained::Search),
        }
    }

    fn train<K: ChainArithmetic, S: Gradients>(
        &self,
        arith: &K,
        inputs: &K,
        storage: &S,
        rate: f64,
    ) -> Result<Run, MeasureError> {
        let recipe = recipe(self.cell, self.task.loss(), rate);
        let mut trainer =
            Trainer::new(arith.clone(), inputs.clone(), storage.clone(), &self.network, recipe)?;
        let mut history = History::default();
        for step in 0..self.task.steps() {
            history.push(trainer.step(self.task.samples(step))?);
            if history.non_finite.is_some() {
                break;
            }
        }
        let layers = self.network.layers.iter();
        let parameters = layers.map(|layer| layer.weights.len() + layer.bias.as_ref().map_or(0, Vec::len));
        Ok(Run::of(&history, parameters.sum(), self.task.loss_of_nothing()))
    }
}

/// The window of what `train` does at each log2 of the learning rate.
fn search(train: impl Fn(f64) -> Result<Run, MeasureError>) -> Result<Search, MeasureError> {
    let runs: Vec<Run> =
        (LEAST..=GREATEST).map(|log2| train(f64::from(log2))).collect::<Result<_, MeasureError>>()?;
    let mut best = runs.iter().map(|run| run.last).fold(f64::INFINITY, f64::min);
    let first = runs[0].first;
    let Some((from, to)) = longest(&runs) else { return Ok(Search { window: None, best, first }) };
    let log2 = |index: usize| f64::from(LEAST) + index as f64;
    let mut end = |inside: usize, outside: Option<usize>| -> Result<(f64, Option<Run>), MeasureError> {
        let mut inside = log2(inside);
        let Some(outside) = outside.filter(|&index| index < runs.len()) else { return Ok((inside, None)) };
        let (mut beyond, mut outside) = (runs[outside], log2(outside));
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
    Ok(Search { window: Some(Window { low, high, below, above }), best, first })
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

fn describe_runs(row: &mut Row, draws: &[Trained]) {
    let runs: Vec<&Run> = draws.iter().filter_map(Trained::run).collect();
    row.set("outcome", commonest(runs.iter().map(|run| run.outcome)));
    let diverged = runs.iter().filter_map(|run| match run.outcome {
        Outcome::Diverges { step, .. } => Some(step),
        Outcome::Converges | Outcome::Stalls | Outcome::Oscillates | Outcome::Explodes { .. } => None,
    });
    row.set("diverged_at", diverged.min());
    row.set("overflowed_at", runs.iter().filter_map(|run| run.overflowed_at).min());
    let mean_of = |f: fn(&Run) -> f64| mean(&runs.iter().map(|run| f(run)).collect::<Vec<f64>>());
    row.set("loss_first", mean_of(|run| run.first));
    row.set("loss_last", mean_of(|run| run.last));
    row.set("lost_updates", mean_of(|run| run.lost));
}

fn describe_windows(row: &mut Row, draws: &[Trained]) {
    let searches: Vec<&Search> = draws.iter().filter_map(Trained::search).collect();
    let windows: Vec<&Window> = searches.iter().filter_map(|search| search.window.as_ref()).collect();
    let over = |f: fn(&Search) -> f64| searches.iter().map(|search| f(search)).collect::<Vec<f64>>();
    row.set("loss_first", mean(&over(|search| search.first)));
    row.set("loss_last", mean(&over(|search| search.best)));
    row.set("windows", windows.len());
    let octaves = over(|search| search.window.as_ref().map_or(0.0, |window| window.high - window.low));
    row.set("window_octaves", mean(&octaves));
    row.set("window_stderr", standard_error(&octaves));
    let ends = |f: fn(&Window) -> f64| {
        let ends: Vec<f64> = windows.iter().map(|window| f(window)).collect();
        (!ends.is_empty()).then(|| libm::exp2(mean(&ends)))
    };
    row.set("window_low", ends(|window| window.low));
    row.set("window_high", ends(|window| window.high));
    let below: Vec<Run> = windows.iter().filter_map(|window| window.below).collect();
    let above: Vec<Run> = windows.iter().filter_map(|window| window.above).collect();
    row.set("outcome_below", commonest(below.iter().map(|run| run.outcome)));
    row.set("outcome_above", commonest(above.iter().map(|run| run.outcome)));
    row.set("overflowed_at", above.iter().filter_map(|run| run.overflowed_at).min());
    let lost: Vec<f64> = below.iter().map(|run| run.lost).collect();
    row.set("lost_updates", (!lost.is_empty()).then(|| mean(&lost)));
}

impl Trained {
    fn run(&self) -> Option<&Run> {
        match self {
            Trained::At(run) => Some(run),
            Trained::Search(_) => None,
        }
    }

    fn search(&self) -> Option<&Search> {
        match self {
            Trained::Search(search) => Some(search),
            Trained::At(_) => None,
        }
    }
}

/// The name that most of `outcomes` have, the worse one of equals.
fn commonest(outcomes: impl Iterator<Item = Outcome>) -> Value {
    const FROM_GOOD_TO_BAD: [&str; 5] = ["converges", "stalls", "oscillates", "explodes", "diverges"];
    let names: Vec<&str> = outcomes.map(Outcome::name).collect();
    let count = |name: &&str| names.iter().filter(|other| *other == name).count();
    FROM_GOOD_TO_BAD.into_iter().max_by_key(count).filter(|name| count(name) > 0).into()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The standard error of the mean; none for one value.
fn standard_error(values: &[f64]) -> Option<f64> {
    let (n, mean) = (values.len() as f64, mean(values));
    let squares: f64 = values.iter().map(|x| (x - mean) * (x - mean)).sum();
    (n > 1.0).then(|| (squares / (n - 1.0) / n).sqrt())
}

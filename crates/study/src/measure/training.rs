//! One training of the measure `learning-rate`: what is learnt, how, and what became of it.
//!
//! The task is the same at every learning rate:
//!
//! - **digits**, unless the cell has a gain: the network takes 8 x 8 pixels and gives ten outputs without activation; softmax and cross-entropy, the mean over
//!   the batch. Batches come in an order that depends on the seed of the study alone.
//! - **a linear chain of width 1**, where the cell has the gain g: `½ (w_L .. w_1 - s)²` with `s = g^L`, from the weights g but for the first, `0.99 g`: next to the
//!   balanced minimum of curvature `L s^(2 - 2/L)`, and so near that an orbit around it is no progress.
//!
//! A remedy stands where training has it: `clip-value` and `clip-norm` clip the gradients of all parameters together, `adaptive` those of each unit; a loss scale is
//! taken off them again, and skips steps that are not finite; `normalise` gives the gradient of each layer, over the whole batch, the norm 1; `residual`, `rmsnorm` and
//! `batchnorm` change the network.
//!
//! What became of a training is an [`Outcome`]. A loss that fell by far, but not below 0.7 times the loss of a network that gives nothing (ln 10, or `½ s²`), stalls:
//! weights that explode at first and then die are not learning.

use super::MeasureError;
use super::arithmetic::WithArithmetic;
use super::sample::mean;
use super::steps::ADAPTIVE_EPSILON;
use crate::cell::{Cell, Master};
use crate::gain::Gain;
use gradchain_activations::Activation;
use gradchain_arith::{Arithmetic, Emulated, Isa, Native, Rounding, Rules};
use gradchain_chain::train::{
    Clip, History, LossScale, Momentum, OnNonFinite, Outcome, Recipe, Samples, Storage, Trainer,
};
use gradchain_chain::{ChainArithmetic, Digits, Loss, Network, Setting, Targets, Wiring, batches};
use gradchain_gradients::{Adaptive, Remedy};
use gradchain_theory::learning_rate::{balanced_sharpness, gradient_descent, heavy_ball, nesterov};

/// What the first weight of a chain starts from, in units of the gain.
const START: f64 = 0.99;
/// The part of the loss at first, and of the loss of nothing, below which training works: that of [`Outcome::Converges`].
const FALLEN: f64 = 0.7;
/// The stream of stochastic updates, which no pass draws from.
const UPDATES: u64 = u64::MAX;

/// What is learnt.
#[derive(Clone, Copy, Debug)]
pub(super) enum Task {
    /// Handwritten digits, a batch for each step.
    Digits,
    /// The product of as many weights as layers, as f64 has it.
    Chain { target: f64 },
}

impl Task {
    /// The task of `cell`.
    pub(super) fn of(cell: &Cell) -> Task {
        match &cell.gain {
            Some(Gain::Constant(gain)) => {
                Task::Chain { target: libm::pow(gain.decimal().nearest, cell.depth as f64) }
            }
            _ => Task::Digits,
        }
    }

    fn loss(self) -> Loss {
        match self {
            Task::Digits => Loss::CrossEntropy,
            Task::Chain { .. } => Loss::HalfSquaredError,
        }
    }

    /// The loss of a network all of whose outputs are zero.
    fn loss_of_nothing(self) -> f64 {
        match self {
            Task::Digits => std::f64::consts::LN_10,
            Task::Chain { target } => 0.5 * target * target,
        }
    }

    /// The network that training starts from.
    ///
    /// # Errors
    /// If the network, that of a file, does not fit the digits.
    pub(super) fn network(self, cell: &Cell, drawn: Network) -> Result<Network, MeasureError> {
        let mut network = Network { wiring: Wiring::of(cell.remedy), output: Activation::Identity, ..drawn };
        match self {
            Task::Chain { .. } => {
                network.layers.iter_mut().for_each(|layer| layer.weights_rest = None);
                network.layers[0].weights[0] *= START;
            }
            Task::Digits if (network.inputs(), network.outputs()) != (Digits::PIXELS, Digits::CLASSES) => {
                return Err(MeasureError::Network(format!(
                    "the measure `learning-rate` feeds digits of {} pixels and expects {} outputs; the network has {} layers, {} inputs, {} outputs",
                    Digits::PIXELS,
                    Digits::CLASSES,
                    network.layers.len(),
                    network.inputs(),
                    network.outputs()
                )));
            }
            Task::Digits => {}
        }
        Ok(network)
    }

    /// The learning rate above which `cell` leaves the minimum of a chain, where nothing but a loss scale treats its gradients.
    pub(super) fn threshold(self, cell: &Cell) -> Option<f64> {
        let Task::Chain { target } = self else { return None };
        if !matches!(cell.remedy, Remedy::None | Remedy::LossScale(_)) {
            return None;
        }
        let curvature = balanced_sharpness(cell.depth, target).ok()?;
        match cell.optimiser {
            Momentum::None => gradient_descent(curvature),
            Momentum::HeavyBall(momentum) => heavy_ball(curvature, momentum),
            Momentum::Nesterov(momentum) => nesterov(curvature, momentum),
        }
        .ok()
    }
}

/// What became of one training.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) outcome: Outcome,
    /// The loss fell far enough.
    pub(super) works: bool,
    /// The step with the first infinity or NaN.
    pub(super) overflowed_at: Option<u64>,
    /// The loss before the first step.
    pub(super) first: f64,
    /// The mean of the last losses.
    pub(super) last: f64,
    /// The fraction of the updates that changed nothing.
    pub(super) lost: f64,
}

impl Run {
    fn of(history: &History, parameters: usize, loss_of_nothing: f64) -> Run {
        let losses = &history.losses;
        let last = mean(&losses[losses.len().saturating_sub(History::WINDOW)..]);
        let fallen = history.non_finite.is_none() && last < FALLEN * losses[0].min(loss_of_nothing);
        let outcome = history.outcome();
        let outcome = if outcome == Outcome::Converges && !fallen { Outcome::Stalls } else { outcome };
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

/// Work on the trainings of one draw, written once for every arithmetic and storage.
pub(super) trait WithTraining {
    /// What the work returns.
    type Output;

    /// The work; `train` trains the network of the draw anew at a learning rate.
    fn run(&self, train: &dyn Fn(f64) -> Result<Run, MeasureError>) -> Result<Self::Output, MeasureError>;
}

/// The trainings of the network of draw `number`, for `work`.
pub(super) struct OneDraw<'a, W> {
    pub(super) cell: &'a Cell,
    pub(super) isa: Isa,
    pub(super) number: u64,
    pub(super) network: Network,
    pub(super) task: Task,
    pub(super) work: W,
}

impl<W: WithTraining> WithArithmetic for OneDraw<'_, W> {
    type Output = Result<W::Output, MeasureError>;

    fn run<K: ChainArithmetic>(&self, arith: &K, inputs: &K) -> Result<W::Output, MeasureError> {
        let cell = self.cell;
        match cell.master {
            Master::None => self.work.run(&|rate| self.train(arith, inputs, arith, rate)),
            Master::F32 => {
                let storage = Native::<f32>::new(self.isa);
                self.work.run(&|rate| self.train(arith, inputs, &storage, rate))
            }
            Master::Stochastic => {
                let rules = Rules { rounding: Rounding::Stochastic, ..cell.rules() };
                let storage =
                    Emulated::new(cell.format, rules, cell.seed).stream(self.number).stream(UPDATES);
                self.work.run(&|rate| self.train(arith, inputs, &storage, rate))
            }
        }
    }
}

impl<W> OneDraw<'_, W> {
    fn train<K: ChainArithmetic, S: Storage>(
        &self,
        arith: &K,
        inputs: &K,
        storage: &S,
        rate: f64,
    ) -> Result<Run, MeasureError> {
        let (cell, task) = (self.cell, self.task);
        let recipe = recipe(cell, task.loss(), rate);
        let mut trainer =
            Trainer::new(arith.clone(), inputs.clone(), storage.clone(), &self.network, recipe)?;
        let mut history = History::default();
        let mut step = |samples: Samples<'_>| -> Result<bool, MeasureError> {
            history.push(trainer.step(samples)?);
            Ok(history.non_finite.is_some())
        };
        match task {
            Task::Digits => {
                let digits = Digits::built_in();
                let batches = batches(cell.seed, digits.count(), cell.batch).take(cell.steps);
                for batch in batches.filter_map(|numbers| digits.select(&numbers)) {
                    let targets = Targets::Classes(&batch.labels);
                    if step(Samples { batch: batch.count(), input: &batch.pixels, targets })? {
                        break;
                    }
                }
            }
            Task::Chain { target } => {
                let targets = Targets::Values(std::slice::from_ref(&target));
                for _ in 0..cell.steps {
                    if step(Samples { batch: 1, input: &[1.0], targets })? {
                        break;
                    }
                }
            }
        }
        let layers = self.network.layers.iter();
        let parameters = layers.map(|layer| layer.weights.len() + layer.bias.as_ref().map_or(0, Vec::len));
        Ok(Run::of(&history, parameters.sum(), task.loss_of_nothing()))
    }
}

/// How the cell trains at a learning rate.
fn recipe(cell: &Cell, loss: Loss, rate: f64) -> Recipe {
    let setting = Setting { summation: cell.summation, path: cell.path, remedy: Remedy::None };
    let plain = Recipe { momentum: cell.optimiser, ..Recipe::sgd(loss, setting, rate) };
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

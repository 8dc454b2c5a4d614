//! Training: gradient descent with momentum, in any format.
//!
//! Three arithmetics take part, and a study chooses each:
//!
//! - `arith` computes the passes and the gradients;
//! - `inputs`, of the same numbers, rounds the samples, and the parameters where they are stored in another format. It rounds to nearest while
//!   `arith` may not;
//! - `storage` keeps the parameters and their velocities, and makes the updates: the arithmetic of the passes again for weights in the format
//!   itself, [`Native<f32>`](gradchain_arith::Native) or f64 for master weights.
//!
//! A step, with S the loss scale, `st(·)` a rounding into the storage and everything inside it computed in f64, operation by operation:
//!
//! ```text
//! parameters of the passes = inputs(w)                          exact where the storage is the format itself
//! upstream = arith(S dL/dh_d)                                   the loss, see `Loss`
//! dL/dW, dL/db                                                  the passes, in arith
//! g = st(dL/dW), then unscaled, then clipped                    gradchain_gradients, in storage, over all parameters
//! v' = st(μ v + g)       d = v'  (heavy ball)   d = st(g + μ v')  (Nesterov)   d = g  (no momentum)
//! w' = st(w - λ d)
//! ```
//!
//! So an update is rounded once for each number that is stored, as in PyTorch's kernels, which compute in f32 and round what they store; λ and μ are not
//! rounded into the format. An update is lost where `w' = w` though `λ d` is not zero. With stochastic rounding in the storage, number i of tensor t
//! draws from stream t, i of the step.

mod outcome;
mod progress;
mod recipe;
mod storage;
mod update;

pub use outcome::{History, Outcome};
pub use progress::{LayerProgress, NonFinite, Place, Progress};
pub use recipe::{Clip, LossScale, Momentum, OnNonFinite, Recipe, TrainError};
pub use storage::Storage;

use crate::loss::Targets;
use crate::network::{Layer, Network, Wiring};
use crate::pass::{ChainArithmetic, Rounded, backward, forward};
use gradchain_gradients::{DynamicScale, unscale};
use gradchain_kernels::Shape;
use progress::two_norm;
use update::{Tensor, Updated, check_clip, clip};

/// Samples to train on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Samples<'a> {
    /// How many.
    pub batch: usize,
    /// h_0, row-major `batch · inputs`.
    pub input: &'a [f64],
    /// What should come out.
    pub targets: Targets<'a>,
}

/// A network in training.
#[derive(Clone, Debug)]
pub struct Trainer<K: ChainArithmetic, S: Storage> {
    arith: K,
    inputs: K,
    storage: S,
    recipe: Recipe,
    /// The loss scale, where it moves.
    scale: Option<DynamicScale>,
    /// The network as it was given: shapes, activations and wiring; its parameters are those of `tensors`.
    network: Network,
    rounded: Rounded<K::Number>,
    tensors: Vec<Tensor<S::Number>>,
    /// Where the tensors of each layer begin.
    first: Vec<usize>,
    input: Vec<K::Number>,
    upstream: Vec<K::Number>,
    /// The gradient of one tensor, as the passes give it.
    product: Vec<K::Number>,
    /// As many ones as samples: the gradient of a bias is that of a weight whose input is 1.
    ones: Vec<K::Number>,
    /// Values of numbers, for a moment.
    buffers: [Vec<f64>; 2],
    progress: Progress,
    steps: u64,
    last_change: f64,
}

impl<K: ChainArithmetic, S: Storage> Trainer<K, S> {
    /// Training of `network` from the weights that it has: rounded by `inputs` if `storage` is of the same format, and by `storage` otherwise.
    ///
    /// # Errors
    /// If a number of the recipe is out of range, or its remedy has no place in training or is not how the network is wired.
    pub fn new(
        arith: K,
        inputs: K,
        storage: S,
        network: &Network,
        recipe: Recipe,
    ) -> Result<Trainer<K, S>, TrainError> {
        let scale = check(&arith, &storage, network, &recipe)?;
        let own_format = storage.format() == inputs.format();
        let first_value = |x: f64| if own_format { inputs.value(inputs.round(x)) } else { x };
        let (mut tensors, mut first) = (Vec::new(), Vec::new());
        for (t, layer) in network.layers.iter().enumerate() {
            first.push(tensors.len());
            let tensor = |width, values: &[f64]| {
                let values: Vec<f64> = values.iter().map(|&x| first_value(x)).collect();
                Tensor::new(&storage, t, width, &values)
            };
            tensors.push(tensor(Some(layer.inputs), &layer.weights));
            tensors.extend(layer.bias.as_deref().map(|bias| tensor(None, bias)));
        }
        let mut trainer = Trainer {
            rounded: Rounded::of(&inputs, network),
            progress: Progress::new(network.layers.len()),
            network: network.clone(),
            arith,
            inputs,
            storage,
            recipe,
            scale,
            tensors,
            first,
            input: Vec::new(),
            upstream: Vec::new(),
            product: Vec::new(),
            ones: Vec::new(),
            buffers: Default::default(),
            steps: 0,
            last_change: f64::NAN,
        };
        trainer.refresh();
        Ok(trainer)
    }

    /// One step on `samples`: a forward and a backward pass and an update of every parameter.
    ///
    /// # Errors
    /// If input or targets do not fit the network. Nothing has been changed then.
    pub fn step(&mut self, samples: Samples<'_>) -> Result<&Progress, TrainError> {
        self.gradients(samples)?;
        let storage = self.storage.stream(self.steps).stream(1);
        let non_finite = if self.scale.is_some() { OnNonFinite::Skip } else { self.recipe.non_finite };
        let (norm, clipped) = clip(&storage, self.recipe.clip, non_finite, &mut self.tensors)?;
        let progress = &mut self.progress;
        (progress.gradient_norm, progress.clipped, progress.turn) = (norm, clipped, None);
        progress.skipped = !norm.is_finite() && non_finite == OnNonFinite::Skip;
        if let Some(scale) = &mut self.scale {
            scale.update(!norm.is_finite());
        }
        let before = std::mem::replace(&mut self.last_change, 0.0);
        if progress.skipped {
            for layer in &mut progress.layers {
                (layer.update_ratio, layer.lost_updates) = (0.0, 0);
            }
        } else {
            self.update(before);
            self.refresh();
        }
        self.steps += 1;
        Ok(&self.progress)
    }

    /// The loss of `samples`; nothing is changed.
    ///
    /// # Errors
    /// If input or targets do not fit the network.
    pub fn loss(&self, samples: Samples<'_>) -> Result<f64, TrainError> {
        let mut input = Vec::new();
        self.round_input(samples, &mut input)?;
        let arith = self.arith.stream(self.steps);
        let trace = forward(&arith, &self.rounded, self.recipe.setting.summation, samples.batch, &input);
        let outputs = &trace.post[self.rounded.depth()];
        Ok(self.recipe.loss.evaluate(
            &arith,
            samples.targets,
            samples.batch,
            outputs,
            1.0,
            &mut Vec::new(),
        )?)
    }

    /// The network with the parameters as they are stored.
    pub fn network(&self) -> Network {
        let mut network = self.network.clone();
        for (layer, &first) in network.layers.iter_mut().zip(&self.first) {
            layer.weights.clone_from(&self.tensors[first].values);
            layer.weights_rest = None;
            if let Some(bias) = &mut layer.bias {
                bias.clone_from(&self.tensors[first + 1].values);
            }
        }
        network
    }

    /// The network that the passes compute with: the parameters rounded into their format.
    pub fn rounded(&self) -> &Rounded<K::Number> {
        &self.rounded
    }

    /// How the network is trained.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Goes on by another recipe: a schedule of learning rates, say. Velocities stay, and so does a dynamic loss scale whose rule is the same.
    ///
    /// # Errors
    /// As [`new`](Trainer::new). Nothing has been changed then.
    pub fn set_recipe(&mut self, recipe: Recipe) -> Result<(), TrainError> {
        let scale = check(&self.arith, &self.storage, &self.network, &recipe)?;
        if recipe.loss_scale != self.recipe.loss_scale {
            self.scale = scale;
        }
        self.recipe = recipe;
        Ok(())
    }

    /// The loss scale of the next step, 1 where there is none.
    pub fn loss_scale(&self) -> f64 {
        match (&self.scale, self.recipe.loss_scale) {
            (Some(scale), _) => scale.scale(),
            (None, LossScale::Static(factor)) => factor,
            (None, LossScale::None | LossScale::Dynamic(_)) => 1.0,
        }
    }

    /// The passes on `samples`: fills the gradients of all tensors, unscaled, and what `progress` says of them.
    fn gradients(&mut self, samples: Samples<'_>) -> Result<(), TrainError> {
        let mut input = std::mem::take(&mut self.input);
        self.round_input(samples, &mut input)?;
        self.input = input;
        let (batch, depth) = (samples.batch, self.rounded.depth());
        let (setting, factor) = (self.recipe.setting, self.loss_scale());
        let arith = self.arith.stream(self.steps);
        let stream = |pass: usize, t: usize| arith.stream((pass * depth + t) as u64);
        let trace = forward(&arith, &self.rounded, setting.summation, batch, &self.input);
        let outputs = &trace.post[depth];
        let upstream = &mut self.upstream;
        let loss =
            self.recipe.loss.evaluate(&stream(4, 0), samples.targets, batch, outputs, factor, upstream)?;

        let progress = &mut self.progress;
        (progress.step, progress.loss, progress.loss_scale) = (self.steps, loss, factor);
        progress.non_finite = None;
        let [buffer, _] = &mut self.buffers;
        for t in 0..depth {
            progress.look(Place::Forward, t + 1, widened(&arith, &trace.pre[t], buffer));
            progress.look(Place::Forward, t + 1, widened(&arith, &trace.post[t + 1], buffer));
        }
        if progress.non_finite.is_none() && !loss.is_finite() {
            progress.non_finite = Some(NonFinite { place: Place::Loss, layer: depth });
        }
        let storage = self.storage.stream(self.steps).stream(0);
        let (tensors, first, layers) = (&mut self.tensors, &self.first, &self.network.layers);
        let (product, ones, zero) = (&mut self.product, &mut self.ones, arith.round(0.0));
        ones.clear();
        ones.resize(batch, arith.round(1.0));
        backward(&arith, &self.rounded, setting, Some(&trace), batch, &self.upstream, |step| {
            let t = depth - step.passed;
            // The gradient of the input, t = 0, changes no parameter, whatever becomes of it.
            if t > 0 {
                let values = widened(&arith, step.gradient, buffer);
                progress.look(Place::HiddenGradient, t, values);
                // Exact but for what f64 itself cannot hold.
                values.iter_mut().for_each(|g| *g /= factor);
                progress.layers[t - 1].hidden_gradient = two_norm(values);
            }
            let Some(delta) = step.delta else { return };
            let Layer { outputs, inputs, ref bias, .. } = layers[t];
            let mut take = |number: usize, arith: &K, h: &[K::Number], columns: usize| {
                product.clear();
                product.resize(outputs * columns, zero);
                let shape = Shape { rows: outputs, inner: batch, columns };
                arith.transposed_times(setting.summation, delta, h, product, shape);
                let values = widened(arith, product, buffer);
                progress.look(Place::ParameterGradient, t + 1, values);
                storage.stream(number as u64).round_all(0, values, &mut tensors[number].gradient);
            };
            take(first[t], &stream(2, t), &trace.post[t], inputs);
            if bias.is_some() {
                take(first[t] + 1, &stream(3, t), ones, 1);
            }
        })?;
        if factor != 1.0 {
            for (number, tensor) in tensors.iter_mut().enumerate() {
                let storage = storage.stream((first.len() * 2 + number) as u64);
                unscale(&storage, factor, &mut tensor.gradient)?;
            }
        }
        for (layer, &first) in progress.layers.iter_mut().zip(first) {
            let gradient = &tensors[first].gradient;
            layer.weight_gradient = two_norm(widened(&self.storage, gradient, &mut self.buffers[0]));
        }
        Ok(())
    }

    /// Updates every tensor and says what became of it; `before` is the norm of the change before this one.
    fn update(&mut self, before: f64) {
        let recipe = &self.recipe;
        let storage = self.storage.stream(self.steps).stream(2);
        self.progress.layers.iter_mut().for_each(|layer| layer.lost_updates = 0);
        let (mut along, mut changes) = (0.0, Vec::with_capacity(self.tensors.len()));
        for (number, tensor) in self.tensors.iter_mut().enumerate() {
            let layer = &mut self.progress.layers[tensor.layer];
            let is_weights = self.first[tensor.layer] == number;
            let size = if is_weights { two_norm(&tensor.values) } else { 0.0 };
            let storage = storage.stream(number as u64);
            let (rate, momentum) = (recipe.learning_rate, recipe.momentum);
            let updated: Updated = tensor.update(&storage, rate, momentum, &mut self.buffers);
            along += updated.along;
            layer.lost_updates += updated.lost;
            let change = two_norm(&tensor.change);
            changes.push(change);
            if is_weights {
                layer.update_ratio = change / size;
            }
            self.progress.look(Place::Parameter, tensor.layer + 1, &tensor.values);
        }
        self.last_change = two_norm(&changes);
        let squared = f64::powi(2.0, -500)..f64::powi(2.0, 500);
        if squared.contains(&before) && squared.contains(&self.last_change) {
            self.progress.turn = Some((along / before / self.last_change).clamp(-1.0, 1.0));
        }
    }

    /// Rounds the stored parameters into the format of the passes.
    fn refresh(&mut self) {
        let inputs = self.inputs.stream(self.steps);
        for (tensor, numbers) in self.tensors.iter().zip(self.rounded.parameters_mut()) {
            inputs.round_all(0, &tensor.values, numbers);
        }
    }

    fn round_input(&self, samples: Samples<'_>, input: &mut Vec<K::Number>) -> Result<(), TrainError> {
        let (found, batch, inputs) = (samples.input.len(), samples.batch, self.network.inputs());
        if found != batch * inputs {
            return Err(TrainError::Input { found, batch, inputs, allowed: batch * inputs });
        }
        input.clear();
        input.extend(samples.input.iter().map(|&x| self.inputs.round(x)));
        Ok(())
    }
}

/// The values of `numbers`, in `buffer`.
fn widened<'a, A: Storage>(arith: &A, numbers: &[A::Number], buffer: &'a mut Vec<f64>) -> &'a mut [f64] {
    buffer.clear();
    buffer.resize(numbers.len(), 0.0);
    arith.values(numbers, buffer);
    buffer
}

/// Refuses a recipe that `network` cannot be trained by, and gives the loss scale that moves, if there is one. Limits and scale are tried on nothing, so
/// that they are refused here and not in a step.
fn check<K: ChainArithmetic, S: Storage>(
    arith: &K,
    storage: &S,
    network: &Network,
    recipe: &Recipe,
) -> Result<Option<DynamicScale>, TrainError> {
    recipe.check()?;
    let remedy = recipe.setting.remedy;
    if Wiring::of(remedy) != Wiring::Plain && Wiring::of(remedy) != network.wiring {
        return Err(TrainError::Wiring(remedy));
    }
    check_clip(storage, recipe.clip)?;
    remedy.apply(arith, &mut [])?;
    match recipe.loss_scale {
        LossScale::None => Ok(None),
        LossScale::Static(factor) => Ok(unscale(storage, factor, &mut []).map(|()| None)?),
        LossScale::Dynamic(rule) => Ok(Some(DynamicScale::new(rule)?)),
    }
}

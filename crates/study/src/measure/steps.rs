//! What becomes of a step of gradient descent in the weights of a layer: how much of it the format keeps, at once and over a training.
//!
//! With G the gradient of the weights, summed over the batch of B samples as the loss is, a step is `s = -(λ/B) G`, computed in f64: λ times the gradient of the mean loss.
//! The weights become `w + s`, rounded into the format: a step below half an ulp of its weight is lost. Rounded stochastically, it is lost most of the time,
//! and a whole ulp at other times, so that its expectation is s.

use super::MeasureError;
use super::sample::mean;
use crate::cell::Cell;
use crate::row::{Row, Value};
use gradchain_arith::{Arithmetic, Emulated, Rounding, Rules};
use gradchain_chain::train::{Clip, History, LossScale, OnNonFinite, Recipe, Samples, Storage, Trainer};
use gradchain_chain::{ChainArithmetic, Digits, Loss, Network, Setting, Targets, batches};
use gradchain_drift::norm;
use gradchain_gradients::{Adaptive, Remedy};

/// The streams of stochastic updates, of one step and of a training, which no pass draws from.
const STEP: u64 = u64::MAX;
const TRAINING: u64 = u64::MAX - 1;
/// The norm that the weights of a unit count with at least, as in the paper on adaptive clipping.
pub(super) const ADAPTIVE_EPSILON: f64 = 1e-3;

/// One step of the weights of one layer in one draw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Step {
    /// ||s|| / ||W||.
    ratio: f64,
    /// The fraction of the weights whose step is zero.
    zero: f64,
    nearest: Arrival,
    stochastic: Arrival,
}

/// What a rounding leaves of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Arrival {
    /// The fraction of the weights that do not change though their step is not zero.
    lost: f64,
    /// `<change, s> / <s, s>`: 1 where all of the step arrives. None without a step.
    kept: Option<f64>,
}

impl Step {
    /// The step by `learning_rate` from `weights`, of layer `layer` in draw `number`, with the `gradient` of the loss that is a sum over the batch.
    pub(super) fn of(
        cell: &Cell,
        learning_rate: f64,
        (number, layer): (u64, usize),
        weights: &[f64],
        gradient: &[f64],
    ) -> Step {
        let rate = learning_rate / cell.batch as f64;
        let step: Vec<f64> = gradient.iter().map(|g| -rate * g).collect();
        let arith = |rounding| Emulated::new(cell.format, Rules { rounding, ..cell.rules() }, cell.seed);
        let nearest = arith(Rounding::Nearest);
        let stochastic = arith(Rounding::Stochastic).stream(number).stream(STEP).stream(layer as u64);
        let zero = step.iter().filter(|&&s| s == 0.0).count();
        Step {
            ratio: libm::exp2(norm(&step).log2() - norm(weights).log2()),
            zero: zero as f64 / step.len() as f64,
            nearest: Arrival::of(weights, &step, |_, x| nearest.round(x)),
            stochastic: Arrival::of(weights, &step, |i, x| stochastic.stream(i as u64).round(x)),
        }
    }
}

impl Arrival {
    fn of(weights: &[f64], step: &[f64], round: impl Fn(usize, f64) -> f64) -> Arrival {
        // In units of the largest component, so that no square underflows.
        let largest =
            step.iter().fold(0.0_f64, |most, s| if s.abs() > most || s.is_nan() { s.abs() } else { most });
        let (mut lost, mut along, mut square) = (0, 0.0, 0.0);
        for (i, (&w, &s)) in weights.iter().zip(step).enumerate() {
            let change = round(i, w + s) - w;
            lost += usize::from(change == 0.0 && s != 0.0);
            along += change / largest * (s / largest);
            square += (s / largest) * (s / largest);
        }
        let kept = (largest != 0.0).then_some(along / square);
        Arrival { lost: lost as f64 / step.len() as f64, kept }
    }
}

/// What a training did.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Training {
    /// Of each layer, ||W' - W|| / ||W||.
    moved: Vec<f64>,
    first: f64,
    last: f64,
}

/// Trainings of the network of draw `number` with steps as above, in the numbers of the passes: rounded to nearest, and stochastically.
pub(super) fn trainings<K: ChainArithmetic>(
    cell: &Cell,
    learning_rate: f64,
    number: u64,
    network: &Network,
    arith: &K,
    inputs: &K,
) -> Result<[Training; 2], MeasureError> {
    let rules = Rules { rounding: Rounding::Stochastic, ..cell.rules() };
    let stochastic = Emulated::new(cell.format, rules, cell.seed).stream(number).stream(TRAINING);
    Ok([
        training(cell, learning_rate, network, arith, inputs, inputs)?,
        training(cell, learning_rate, network, arith, inputs, &stochastic)?,
    ])
}

fn training<K: ChainArithmetic, S: Storage>(
    cell: &Cell,
    learning_rate: f64,
    network: &Network,
    arith: &K,
    inputs: &K,
    storage: &S,
) -> Result<Training, MeasureError> {
    let rate = learning_rate / cell.batch as f64;
    let mut trainer =
        Trainer::new(arith.clone(), inputs.clone(), storage.clone(), network, recipe(cell, rate))?;
    let before = trainer.network();
    let mut history = History::default();
    let digits = Digits::built_in();
    let batches = batches(cell.seed, digits.count(), cell.batch).take(cell.steps);
    for batch in batches.filter_map(|numbers| digits.select(&numbers)) {
        let targets = Targets::Classes(&batch.labels);
        history.push(trainer.step(Samples { batch: batch.count(), input: &batch.pixels, targets })?);
        if history.non_finite.is_some() {
            break;
        }
    }
    let after = trainer.network();
    let moved = before.layers.iter().zip(&after.layers).map(|(before, after)| {
        let change: Vec<f64> = after.weights.iter().zip(&before.weights).map(|(a, b)| a - b).collect();
        libm::exp2(norm(&change).log2() - norm(&before.weights).log2())
    });
    let losses: Vec<f64> = history.losses.iter().map(|loss| loss / cell.batch as f64).collect();
    let last = mean(&losses[losses.len().saturating_sub(History::WINDOW)..]);
    Ok(Training { moved: moved.collect(), first: losses[0], last })
}

/// The remedy does in training what it does to the gradients of the other columns.
fn recipe(cell: &Cell, rate: f64) -> Recipe {
    let setting = Setting { summation: cell.summation, path: cell.path, remedy: Remedy::None };
    let plain = Recipe::sgd(Loss::HalfSquaredError, setting, rate);
    match cell.remedy {
        Remedy::Adaptive(clipping) => {
            Recipe { clip: Clip::Adaptive(Adaptive { clipping, eps: ADAPTIVE_EPSILON }), ..plain }
        }
        Remedy::LossScale(factor) => {
            Recipe { loss_scale: LossScale::Static(factor), non_finite: OnNonFinite::Skip, ..plain }
        }
        remedy @ (Remedy::None
        | Remedy::ClipValue(_)
        | Remedy::ClipNorm(_)
        | Remedy::Normalise
        | Remedy::Residual(_)
        | Remedy::RmsNorm
        | Remedy::BatchNorm) => Recipe { setting: Setting { remedy, ..setting }, ..plain },
    }
}

/// Writes the steps of one layer, one a draw, into its row.
pub(super) fn describe_steps(row: &mut Row, steps: &[Step]) {
    let over = |f: fn(&Step) -> f64| mean(&steps.iter().map(f).collect::<Vec<f64>>());
    let kept = |f: fn(&Step) -> Option<f64>| -> Value {
        let values: Vec<f64> = steps.iter().filter_map(f).collect();
        (!values.is_empty()).then(|| mean(&values)).into()
    };
    row.set("update_ratio", over(|step| step.ratio));
    row.set("zero_updates", over(|step| step.zero));
    row.set("lost_updates", over(|step| step.nearest.lost));
    row.set("update_kept", kept(|step| step.nearest.kept));
    row.set("lost_updates_stochastic", over(|step| step.stochastic.lost));
    row.set("update_kept_stochastic", kept(|step| step.stochastic.kept));
}

/// Writes what trainings, one pair a draw, did to layer number `layer`, from 0, into its row.
pub(super) fn describe_trainings(row: &mut Row, layer: usize, trainings: &[[Training; 2]]) {
    let over = |f: &dyn Fn(&[Training; 2]) -> f64| mean(&trainings.iter().map(f).collect::<Vec<f64>>());
    row.set("moved", over(&|[nearest, _]| nearest.moved[layer]));
    row.set("moved_stochastic", over(&|[_, stochastic]| stochastic.moved[layer]));
    row.set("loss_first", over(&|[nearest, _]| nearest.first));
    row.set("loss_last", over(&|[nearest, _]| nearest.last));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(format: &str, weights: &[f64], steps: &[f64]) -> Step {
        let cell = Cell { format: format.parse().unwrap(), ..Cell::default() };
        let gradient: Vec<f64> = steps.iter().map(|s| -s).collect();
        Step::of(&cell, 1.0, (0, 0), weights, &gradient)
    }

    /// In bf16 the ulp of 1 is 2^-7 above and 2^-8 below: half of it is lost, more is not. Zero steps are not lost.
    #[test]
    fn half_an_ulp_is_lost() {
        let half = f64::powi(2.0, -8);
        let found = step("bf16", &[1.0, 1.0, 1.0, 1.0], &[half, 1.01 * half, -half, 0.0]);
        assert_eq!((found.zero, found.nearest.lost), (0.25, 0.25));
        // Changes 0, 2 and 1 times the half for steps of 1, 1.01 and 1: (0 + 2.02 + 1) / (1 + 1.0201 + 1).
        assert!((found.nearest.kept.unwrap() - 3.02 / 3.0201).abs() < 1e-12);
        assert!((found.ratio - half * 3.0201_f64.sqrt() / 2.0).abs() < 1e-12);
        let none = step("bf16", &[1.0], &[0.0]);
        assert_eq!((none.nearest.kept, none.stochastic.kept, none.zero), (None, None, 1.0));
    }

    /// Of steps of a tenth of an ulp none arrives to nearest; stochastically one of ten does, as a whole ulp: on average all of it. With n weights the standard error is
    /// sqrt(0.9 / 0.1 / n) of what is kept and sqrt(0.9 · 0.1 / n) of what is lost.
    #[test]
    fn stochastic_steps_arrive_on_average() {
        const N: usize = 40_000;
        let ulp = f64::powi(2.0, -10);
        for (format, scale) in [("f16", 1.0), ("f16", f64::powi(2.0, 9)), ("e5m2", 1.0)] {
            let ulp = if format == "e5m2" { 0.25 } else { ulp } * scale;
            let found = step(format, &[1.25 * scale; N], &[ulp / 10.0; N]);
            assert_eq!((found.nearest.lost, found.nearest.kept), (1.0, Some(0.0)));
            let (kept, lost) = (found.stochastic.kept.unwrap(), found.stochastic.lost);
            assert!((kept - 1.0).abs() < 4.0 * (9.0 / N as f64).sqrt(), "{format}: {kept}");
            assert!((lost - 0.9).abs() < 4.0 * (0.09 / N as f64).sqrt(), "{format}: {lost}");
        }
    }

    /// Squares of small steps do not underflow, and what is not finite is not hidden.
    #[test]
    fn extreme_steps() {
        let tiny = step("f64", &[0.0, 1.0], &[1e-300, 1e-300]);
        assert_eq!((tiny.nearest.lost, tiny.nearest.kept), (0.5, Some(0.5)));
        assert!(step("f32", &[1.0, 1.0], &[f64::NAN, 1.0]).nearest.kept.unwrap().is_nan());
        assert!(step("f32", &[1.0, 1.0], &[1.0, f64::INFINITY]).ratio.is_infinite());
    }
}

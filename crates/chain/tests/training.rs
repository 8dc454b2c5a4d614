//! Training beside PyTorch's traces: losses, gradient norms and outcomes of 63 runs.

use gradchain_activations::{Activation, Path};
use gradchain_arith::{Isa, Native, Summation};
use gradchain_chain::train::{Clip, History, Recipe, Samples, Storage, Trainer};
use gradchain_chain::{ChainArithmetic, Digits, Layer, Loss, Network, Setting, Targets};
use gradchain_gradients::Remedy;
use safetensors::SafeTensors;
use serde_json::Value;

const PLAIN: Setting = Setting { summation: Summation::Wide, path: Path::Fused, remedy: Remedy::None };
const STEPS: usize = 50;
const LAYERS: usize = 6;

/// The traces.
struct Traces {
    bytes: Vec<u8>,
    json: Value,
}

impl Traces {
    fn read() -> Traces {
        let path = |ending: &str| format!("{}/tests/data/training.{ending}", env!("CARGO_MANIFEST_DIR"));
        let json = std::fs::read_to_string(path("json")).unwrap();
        Traces {
            bytes: std::fs::read(path("safetensors")).unwrap(),
            json: serde_json::from_str(&json).unwrap(),
        }
    }

    fn runs(&self) -> Vec<Run<'_>> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        self.json["runs"].as_array().unwrap().iter().map(|json| Run::of(&file, json)).collect()
    }

    /// The digits of each step.
    fn batches(&self) -> Vec<Digits> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let tensor = file.tensor("batch_index").unwrap();
        let numbers =
            tensor.data().chunks_exact(4).map(|b| i32::from_le_bytes(b.try_into().unwrap()) as usize);
        let numbers: Vec<usize> = numbers.collect();
        numbers.chunks_exact(32).map(|batch| Digits::built_in().select(batch).unwrap()).collect()
    }

    /// The network as every run with this activation starts from it.
    fn network(&self, activation: Activation) -> Network {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let layers = (0..LAYERS).map(|t| {
            let name = |kind| format!("{activation}/{kind}/{t}");
            let shape = file.tensor(&name("w")).unwrap().shape().to_vec();
            Layer {
                outputs: shape[0],
                inputs: shape[1],
                weights: singles(&file, &name("w")),
                weights_rest: None,
                bias: Some(singles(&file, &name("b"))),
            }
        });
        Network { output: Activation::Identity, ..Network::plain(layers.collect(), activation) }
    }
}

/// One run of the traces.
struct Run<'a> {
    id: &'a str,
    activation: Activation,
    clip: Clip,
    rate: f64,
    outcome: &'a str,
    comparable: usize,
    loss: Vec<f64>,
    loss_f32: Vec<f64>,
    gradient_norm: Vec<f64>,
    layer_norms: Vec<f64>,
    sensitivity: Vec<f64>,
}

impl<'a> Run<'a> {
    fn of(file: &SafeTensors<'_>, json: &'a Value) -> Run<'a> {
        let id = json["id"].as_str().unwrap();
        let limit = || json["clip"]["limit"].as_f64().unwrap();
        assert!(json["first_nonfinite_step"].is_null(), "{id}");
        Run {
            id,
            activation: json["activation"].as_str().unwrap().parse().unwrap(),
            clip: match json["clip"]["kind"].as_str() {
                None => Clip::None,
                Some("norm") => Clip::Norm(limit()),
                Some(_) => Clip::Value(limit()),
            },
            rate: json["lr"].as_f64().unwrap(),
            outcome: json["outcome"].as_str().unwrap(),
            comparable: json["comparable_steps"].as_u64().unwrap() as usize,
            loss: doubles(file, &format!("{id}/loss_f64")),
            loss_f32: singles(file, &format!("{id}/loss_f32")),
            gradient_norm: doubles(file, &format!("{id}/grad_norm")),
            layer_norms: singles(file, &format!("{id}/layer_grad_norm")),
            sensitivity: singles(file, &format!("{id}/sensitivity")),
        }
    }
}

fn doubles(file: &SafeTensors<'_>, name: &str) -> Vec<f64> {
    let data = file.tensor(name).unwrap().data();
    data.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect()
}

fn singles(file: &SafeTensors<'_>, name: &str) -> Vec<f64> {
    let data = file.tensor(name).unwrap().data();
    data.chunks_exact(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap()))).collect()
}

fn samples(digits: &Digits) -> Samples<'_> {
    Samples { batch: digits.count(), input: &digits.pixels, targets: Targets::Classes(&digits.labels) }
}

/// The outcome's name here for the one in the traces.
fn name_of(outcome: &str) -> &'static str {
    match outcome {
        "stagnant" => "stalls",
        "converging" => "converges",
        "diverged (loss grew)" => "diverges",
        "exploded, then stagnant" => "explodes",
        _ => panic!("unknown outcome {outcome}"),
    }
}

/// PyTorch clips by `limit / (norm + 10^-6)` where that is below 1, this project by `limit / norm`: gives the next step the limit that makes ours into theirs.
fn clip_as_pytorch<K: ChainArithmetic, S: Storage>(
    trainer: &mut Trainer<K, S>,
    run: &Run<'_>,
    digits: &Digits,
) {
    if let Clip::Norm(limit) = run.clip {
        let norm = trainer.clone().step(samples(digits)).unwrap().gradient_norm.to_f64();
        let clip = Clip::Norm(limit * (norm / (norm + 1e-6)));
        trainer.set_recipe(Recipe { clip, ..recipe(run) }).unwrap();
    }
}

fn recipe(run: &Run<'_>) -> Recipe {
    Recipe { clip: run.clip, ..Recipe::sgd(Loss::CrossEntropy, PLAIN, run.rate) }
}

fn close(got: f64, expected: f64, tolerance: f64) -> bool {
    (got - expected).abs() <= tolerance * expected.abs()
}

/// Every run for as long as it can be compared: the loss to 1e-8, the norm of the gradient to 1e-8, those of the layers to the f32 that they
/// are kept in. Where a run can be compared for fewer than all steps, the gradient of its last one is what makes the next loss differ, by the sign of
/// a pre-activation that is zero but for rounding; that one gradient is left out.
#[test]
fn losses_and_gradients_are_those_of_the_traces() {
    let traces = Traces::read();
    let batches = traces.batches();
    let arith = Native::<f64>::new(Isa::choose().unwrap());
    let runs = traces.runs();
    assert_eq!(runs.len(), 63);
    let mut compared = 0;
    for run in &runs {
        let network = traces.network(run.activation);
        let mut trainer = Trainer::new(arith, arith, arith, &network, recipe(run)).unwrap();
        for (k, digits) in batches.iter().enumerate().take(run.comparable) {
            clip_as_pytorch(&mut trainer, run, digits);
            let progress = trainer.step(samples(digits)).unwrap();
            let context = format!("{} step {k}: {progress:?}", run.id);
            assert!(close(progress.loss, run.loss[k], 1e-8), "{context}, expected {}", run.loss[k]);
            if run.comparable < STEPS && k + 1 == run.comparable {
                continue;
            }
            let norm = progress.gradient_norm.to_f64();
            assert!(close(norm, run.gradient_norm[k], 1e-8), "{context}, expected {}", run.gradient_norm[k]);
            for (layer, &expected) in progress.layers.iter().zip(&run.layer_norms[k * LAYERS..]) {
                // Half an ulp of f32, and what the runs differ by.
                let tolerance = f64::powi(2.0, -24) + 1e-8;
                let got = layer.weight_gradient;
                let beyond = !expected.is_finite() && got > f64::from(f32::MAX);
                let subnormal = got < f64::from(f32::MIN_POSITIVE) && expected < f64::from(f32::MIN_POSITIVE);
                assert!(
                    beyond || subnormal || close(got, expected, tolerance),
                    "{context}, expected {expected}"
                );
            }
            compared += 1;
        }
    }
    println!("{compared} steps of 63 runs");
}

/// Stalls, converges, diverges, explodes: every run as the traces have it, here with the clipping of this project.
#[test]
fn outcomes_are_those_of_the_traces() {
    let traces = Traces::read();
    let batches = traces.batches();
    let arith = Native::<f64>::new(Isa::choose().unwrap());
    for run in &traces.runs() {
        let mut trainer =
            Trainer::new(arith, arith, arith, &traces.network(run.activation), recipe(run)).unwrap();
        let mut history = History::default();
        for digits in &batches {
            let progress = trainer.step(samples(digits)).unwrap();
            match run.clip {
                Clip::None => assert!(!progress.clipped),
                Clip::Norm(limit) => assert_eq!(progress.clipped, progress.gradient_norm.exceeds(limit)),
                Clip::Value(_) | Clip::Adaptive(_) => {}
            }
            history.push(progress);
        }
        assert_eq!(history.outcome().name(), name_of(run.outcome), "{}: {:?}", run.id, history.losses);
        assert_eq!(history.non_finite, None, "{}", run.id);
    }
}

/// Each step in f32 adds some rounding errors, which the rest of the run enlarges by its sensitivity at most, unless a pre-activation of ReLU changes its
/// sign: there PyTorch's own f32 run leaves that of f64 as well.
#[test]
fn f32_stays_as_near_as_the_sensitivity_allows() {
    let traces = Traces::read();
    let batches = traces.batches();
    let arith = Native::<f32>::new(Isa::choose().unwrap());
    let unit = f64::powi(2.0, -24);
    let mut worst = 0.0_f64;
    for run in &traces.runs() {
        let mut trainer =
            Trainer::new(arith, arith, arith, &traces.network(run.activation), recipe(run)).unwrap();
        let (mut sensitivity, mut theirs) = (0.0_f64, 0.0_f64);
        for (k, digits) in batches.iter().enumerate().take(run.comparable) {
            clip_as_pytorch(&mut trainer, run, digits);
            let loss = trainer.step(samples(digits)).unwrap().loss;
            // Both leave f32 at the same step.
            assert_eq!(loss.is_finite(), run.loss_f32[k].is_finite(), "{} step {k}: {loss}", run.id);
            if !loss.is_finite() {
                break;
            }
            let error = |loss: f64| (loss / run.loss[k] - 1.0).abs();
            sensitivity = sensitivity.max(run.sensitivity[k]);
            theirs = theirs.max(error(run.loss_f32[k]));
            let allowed = (k + 1) as f64 * unit * (1.0 + sensitivity) + 2.0 * theirs;
            worst = worst.max(error(loss) / allowed);
            assert!(error(loss) <= allowed, "{} step {k}: {} against {allowed}", run.id, error(loss));
        }
    }
    println!("worst part of the allowance: {worst}");
}

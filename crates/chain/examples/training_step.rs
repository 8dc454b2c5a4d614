//! How long a training step takes beside its passes alone: `cargo run --release -p gradchain-chain --example training_step`.
//!
//! A network 64-32-32-32-32-32-10 with ReLU, batches of 32 digits, gradient descent with momentum. "passes" are forward, backward and the gradients of weights
//! and biases by themselves; a step adds the loss, the norms, the clipping and the update.

use gradchain_activations::{Activation, Path};
use gradchain_arith::{Isa, IsaError, Native, Summation, bf16, f16};
use gradchain_chain::train::{Clip, Momentum, Recipe, Samples, Storage, Trainer};
use gradchain_chain::{
    ChainArithmetic, Digits, Draw, Init, Loss, Network, Rounded, Setting, Targets, backward, bias_gradient,
    forward, weight_gradient,
};
use gradchain_gradients::Remedy;
use std::hint::black_box;
use std::time::Instant;

const BATCH: usize = 32;
const SETTING: Setting = Setting { summation: Summation::Recursive, path: Path::Fused, remedy: Remedy::None };

fn main() -> Result<(), IsaError> {
    let isa = Isa::choose()?;
    println!("{:>16} {:>10} {:>12} {:>12}", "format", "storage", "step (us)", "passes (us)");
    line(&Native::<f64>::new(isa), &Native::<f64>::new(isa));
    line(&Native::<f32>::new(isa), &Native::<f32>::new(isa));
    line(&Native::<bf16>::new(isa), &Native::<f32>::new(isa));
    line(&Native::<f16>::new(isa), &Native::<f16>::new(isa));
    Ok(())
}

fn line<K: ChainArithmetic, S: Storage>(arith: &K, storage: &S) {
    let draw = Draw {
        inputs: Digits::PIXELS,
        outputs: Digits::CLASSES,
        bias_scale: 0.1,
        ..Draw::square(Init::He, 32, 6, Activation::Relu, 1)
    };
    let network = Network { output: Activation::Identity, ..draw.network() };
    let digits = Digits::built_in();
    let input = &digits.pixels[..BATCH * Digits::PIXELS];
    let samples = Samples { batch: BATCH, input, targets: Targets::Classes(&digits.labels[..BATCH]) };
    let recipe = Recipe {
        momentum: Momentum::HeavyBall(0.9),
        clip: Clip::Norm(1.0),
        ..Recipe::sgd(Loss::CrossEntropy, SETTING, 1e-3)
    };
    let (copy, masters) = (arith.clone(), storage.clone());
    let mut trainer =
        Trainer::new(copy.clone(), copy, masters, &network, recipe).expect("the recipe fits the network");
    let step = microseconds(|| {
        black_box(trainer.step(samples).expect("the digits fit the network"));
    });

    let rounded = Rounded::of(arith, &network);
    let rounded_input: Vec<K::Number> = input.iter().map(|&x| arith.round(x)).collect();
    let upstream = vec![arith.round(1.0 / 64.0); BATCH * Digits::CLASSES];
    let passes = microseconds(|| {
        let trace = forward(arith, &rounded, SETTING.summation, BATCH, &rounded_input);
        let passed = backward(arith, &rounded, SETTING, Some(&trace), BATCH, &upstream, |step| {
            let Some(delta) = step.delta else { return };
            let h = &trace.post[rounded.depth() - step.passed];
            black_box(weight_gradient(arith, SETTING.summation, BATCH, delta, h));
            black_box(bias_gradient(arith, SETTING.summation, BATCH, delta));
        });
        passed.expect("no remedy, no limit");
    });
    println!("{:>16} {:>10} {step:>12.1} {passes:>12.1}", arith.format(), storage.format());
}

/// The least time of 20 rounds of 100 calls, in microseconds a call.
fn microseconds(mut work: impl FnMut()) -> f64 {
    let rounds = (0..20).map(|_| {
        let start = Instant::now();
        (0..100).for_each(|_| work());
        start.elapsed().as_secs_f64() * 1e6 / 100.0
    });
    rounds.fold(f64::INFINITY, f64::min)
}

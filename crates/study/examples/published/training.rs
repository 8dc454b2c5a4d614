//! Items of training: thresholds of the learning rate, and weight gradients that do not vanish.

use crate::Item;
use gradchain_activations::{Activation, Path};
use gradchain_arith::{Isa, Native, Summation};
use gradchain_chain::train::{History, Recipe, Samples, Trainer};
use gradchain_chain::{
    Draw, Init, Layer, Loss, Network, Rounded, Setting, Targets, Upstream, backward, draw_ends, forward,
    weight_gradient,
};
use gradchain_gradients::Remedy;

const PLAIN: Setting = Setting { summation: Summation::Wide, path: Path::Fused, remedy: Remedy::None };

pub(crate) fn items(seed: u64) -> Vec<Item> {
    vec![thresholds(), weight_gradients(seed)]
}

fn arith() -> Native<f64> {
    Native::new(Isa::choose().expect("an instruction set of this machine"))
}

/// P14: `2 / (L s^(2 - 2/L))` for deep linear chains (Nar and Sastry 2018; Mulayoff and Michaeli 2020): training converges at 0.98 of it and not at 1.02.
fn thresholds() -> Item {
    let mut cases = Vec::new();
    for (depth, s, threshold) in [
        (1, 1.0, 2.0),
        (2, 1.0, 1.0),
        (5, 1.0, 0.4),
        (10, 1.0, 0.2),
        (100, 1.0, 0.02),
        (5, 2.0, 0.131_950_791_1),
        (10, 3.0, 0.027_682_909_77),
    ] {
        // Near the minimum at which all weights are equal.
        let weight = libm::pow(s, 1.0 / f64::from(depth)) * (1.0 + 0.02 / f64::from(depth));
        let layer = Layer { outputs: 1, inputs: 1, weights: vec![weight], weights_rest: None, bias: None };
        let network = Network::plain(vec![layer; depth as usize], Activation::Identity);
        for (part, converges) in [(0.98, true), (1.02, false)] {
            let recipe = Recipe::sgd(Loss::HalfSquaredError, PLAIN, part * threshold);
            let samples = Samples { batch: 1, input: &[1.0], targets: Targets::Values(&[s]) };
            let mut trainer =
                Trainer::new(arith(), arith(), arith(), &network, recipe).expect("a recipe in range");
            let mut history = History::default();
            for _ in 0..600 {
                history.push(trainer.step(samples).expect("a sample that fits"));
            }
            cases.push((history.outcome().name() == "converges") == converges);
        }
    }
    Item::cases(
        "P14",
        "learning rates 2 % below and above 2/λ of seven deep linear chains",
        &cases,
        "`gradchain_chain::train::Trainer`",
    )
}

/// P17 (Glorot and Bengio 2010, equation 14): the weight gradients of a linear network have the same size in all layers, though the gradients of the layers vanish.
fn weight_gradients(seed: u64) -> Item {
    let (width, depth, draws) = (64, 20, 400_u64);
    let arith = arith();
    let log_ratio = |number: u64| {
        let draw = Draw {
            number,
            weight_scale: 1.0 / f64::sqrt(3.0),
            ..Draw::square(Init::Gaussian, width, depth, Activation::Identity, seed)
        };
        let network = draw.network();
        let rounded = Rounded::of(&arith, &network);
        let ends = draw_ends((width, width), 1, Upstream::Normal, seed, number);
        let trace = forward(&arith, &rounded, PLAIN.summation, 1, &ends.input);
        let mut norms = Vec::new();
        let visited = backward(&arith, &rounded, PLAIN, Some(&trace), 1, &ends.upstream, |step| {
            if let Some(delta) = step.delta {
                let h = &trace.post[depth - step.passed];
                norms.push(
                    gradchain_drift::norm(&weight_gradient(&arith, PLAIN.summation, 1, delta, h)).to_f64(),
                );
            }
        });
        visited.expect("no remedy to refuse");
        libm::log(norms[depth - 1] / norms[0])
    };
    let ratios: Vec<f64> = (0..draws).map(log_ratio).collect();
    let n = draws as f64;
    let mean = ratios.iter().sum::<f64>() / n;
    let error = (ratios.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (n - 1.0) / n).sqrt();
    Item {
        id: "P17",
        what: "mean ln of weight gradients, first layer over last, linear 64 x 20, n Var W = 1/3".to_owned(),
        expected: 0.0,
        measured: mean,
        standard_error: Some(error),
        tolerance: 4.0 * error,
        by: "`gradchain_chain::weight_gradient`".to_owned(),
    }
}

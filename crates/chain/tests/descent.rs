//! Training where the answer is known: thresholds of the learning rate, recurrences by hand, what a format loses.

use gradchain_activations::{Activation, Path};
use gradchain_arith::{Arithmetic, Emulated, Format, Isa, Native, Rounding, Rules, Summation, bf16, f16};
use gradchain_chain::train::{
    Clip, History, LossScale, Momentum, NonFinite, OnNonFinite, Outcome, Place, Recipe, Samples, Storage,
    Trainer,
};
use gradchain_chain::{
    ChainArithmetic, Digits, Draw, Init, Layer, Loss, Network, Setting, Targets, Upstream, Wiring, batches,
    draw_ends,
};
use gradchain_gradients::{Adaptive, Remedy, ScaleRule};

const PLAIN: Setting = Setting { summation: Summation::Wide, path: Path::Fused, remedy: Remedy::None };

fn native<T>() -> Native<T> {
    Native::new(Isa::choose().unwrap())
}

fn squared(rate: f64) -> Recipe {
    Recipe::sgd(Loss::HalfSquaredError, PLAIN, rate)
}

/// A linear chain of width 1 with these weights.
fn scalars(weights: &[f64]) -> Network {
    let layer = |&w: &f64| Layer { outputs: 1, inputs: 1, weights: vec![w], weights_rest: None, bias: None };
    Network::plain(weights.iter().map(layer).collect(), Activation::Identity)
}

/// One sample of an input and its y.
fn sample<'a>(input: &'a [f64], y: &'a [f64]) -> Samples<'a> {
    Samples { batch: 1, input, targets: Targets::Values(y) }
}

fn run<A: ChainArithmetic>(
    arith: &A,
    network: &Network,
    recipe: Recipe,
    samples: Samples<'_>,
    steps: usize,
) -> History {
    let mut trainer = Trainer::new(arith.clone(), arith.clone(), arith.clone(), network, recipe).unwrap();
    let mut history = History::default();
    for _ in 0..steps {
        history.push(trainer.step(samples).unwrap());
    }
    history
}

/// Two per cent below the threshold of the learning rate a run converges, two per cent above it does not: in f64, and in f32.
fn check_threshold(
    network: &Network,
    momentum: Momentum,
    samples: Samples<'_>,
    threshold: f64,
    beyond: &str,
) {
    for (part, expected) in [(0.98, "converges"), (1.02, beyond)] {
        let recipe = Recipe { momentum, ..squared(part * threshold) };
        for history in [
            run(&native::<f64>(), network, recipe, samples, 600),
            run(&native::<f32>(), network, recipe, samples, 600),
        ] {
            let depth = network.layers.len();
            let context = format!("{depth} layers, {momentum:?}, {part}: {:?}", history.losses);
            assert_eq!(history.outcome().name(), expected, "{context}");
        }
    }
}

/// Deep linear chains at their balanced minimum, `½ (w_L .. w_1 - s)²`: the threshold is `2 / (L s^(2 - 2/L))` (Nar and Sastry 2018; Mulayoff and Michaeli
/// 2020). One layer diverges beyond it; more of them settle on an orbit.
#[test]
fn thresholds_of_deep_linear_chains() {
    for (depth, s, threshold) in [
        (1, 1.0, 2.0),
        (1, 5.0, 2.0),
        (2, 1.0, 1.0),
        (5, 1.0, 0.4),
        (10, 1.0, 0.2),
        (5, 2.0, 0.131_950_791_1),
        (10, 3.0, 0.027_682_909_77),
    ] {
        let weight = libm::pow(s, 1.0 / f64::from(depth)) * 1.01;
        let network = scalars(&vec![weight; depth as usize]);
        let beyond = if depth == 1 { "diverges" } else { "oscillates" };
        check_threshold(&network, Momentum::None, sample(&[1.0], &[s]), threshold, beyond);
    }
}

/// At the minimum (2, ½) of two layers the curvature is 2² + ½² = 4.25. Beyond 2/4.25 the loss grows there, until the weights find a minimum that is flat
/// enough for the learning rate.
#[test]
fn an_unbalanced_minimum_is_left_for_a_flatter_one() {
    for part in [0.98, 1.02] {
        let rate = part * 2.0 / 4.25;
        let arith = native::<f64>();
        let mut trainer = Trainer::new(arith, arith, arith, &scalars(&[2.001, 0.5]), squared(rate)).unwrap();
        let losses: Vec<f64> =
            (0..4000).map(|_| trainer.step(sample(&[1.0], &[1.0])).unwrap().loss).collect();
        let weights: Vec<f64> = trainer.network().layers.iter().map(|layer| layer.weights[0]).collect();
        assert_eq!(losses[20] > losses[0], part > 1.0, "{losses:?}");
        assert!(losses[3999] < 1e-20 && (weights[0] * weights[1] - 1.0).abs() < 1e-10);
        let curvature = weights[0] * weights[0] + weights[1] * weights[1];
        assert!(curvature < 2.0 / rate, "{curvature}");
        assert_eq!(curvature < 4.2, part > 1.0, "{curvature}");
    }
}

/// On a quadratic with the curvature x²: heavy ball `(2 + 2μ) / x²`, Nesterov `(2 + 2μ) / ((1 + 2μ) x²)` (Cohen et al. 2021).
#[test]
fn thresholds_with_momentum() {
    for factor in [0.0, 0.5, 0.9] {
        let (network, samples) = (scalars(&[1.0]), sample(&[1.5], &[0.75]));
        let heavy = (2.0 + 2.0 * factor) / 2.25;
        check_threshold(&network, Momentum::HeavyBall(factor), samples, heavy, "diverges");
        let nesterov = heavy / (1.0 + 2.0 * factor);
        check_threshold(&network, Momentum::Nesterov(factor), samples, nesterov, "diverges");
    }
}

/// One weight in one layer, `z = w x`, loss `½ (z - y)²`: the recurrence written out, each line rounded where the module says.
fn recurrence<A: Arithmetic, S: Storage>(
    arith: &A,
    storage: &S,
    momentum: Momentum,
    steps: usize,
) -> Vec<f64> {
    let (x, y, rate) = (arith.round(1.375), 0.3, 0.07);
    let (mut w, mut v) = (storage.round(0.9), storage.round(0.0));
    let round = |value: f64| storage.value(storage.round(value));
    let weights = (0..steps).map(|_| {
        let upstream = arith.round(arith.value(arith.mul(arith.round(storage.value(w)), x)) - y);
        let g = round(arith.value(arith.mul(upstream, x)));
        let d = match momentum {
            Momentum::None => g,
            Momentum::HeavyBall(factor) => {
                v = storage.round(factor * storage.value(v) + g);
                storage.value(v)
            }
            Momentum::Nesterov(factor) => {
                v = storage.round(factor * storage.value(v) + g);
                round(g + factor * storage.value(v))
            }
        };
        w = storage.round(storage.value(w) - rate * d);
        storage.value(w)
    });
    weights.collect()
}

/// Every momentum, with the parameters in the format itself and in masters, bit for bit.
#[test]
fn updates_are_the_stated_recurrence() {
    fn check<K: ChainArithmetic, S: Storage>(arith: &K, storage: &S) {
        for momentum in [Momentum::None, Momentum::HeavyBall(0.9), Momentum::Nesterov(0.85)] {
            let recipe = Recipe { momentum, ..squared(0.07) };
            let network = scalars(&[0.9]);
            let mut trainer =
                Trainer::new(arith.clone(), arith.clone(), storage.clone(), &network, recipe).unwrap();
            for (k, expected) in recurrence(arith, storage, momentum, 40).into_iter().enumerate() {
                trainer.step(sample(&[1.375], &[0.3])).unwrap();
                let got = trainer.network().layers[0].weights[0];
                assert_eq!(got, expected, "{} {} {momentum:?} step {k}", arith.format(), storage.format());
            }
        }
    }
    check(&native::<f64>(), &native::<f64>());
    check(&native::<f32>(), &native::<f32>());
    check(&native::<f32>(), &native::<f64>());
    check(&native::<bf16>(), &native::<bf16>());
    check(&native::<bf16>(), &native::<f32>());
    check(&native::<f16>(), &native::<f32>());
    let e4m3 = Emulated::new(Format::E4M3, Rules::default(), 0);
    check(&e4m3, &e4m3);
    check(&e4m3, &native::<bf16>());
}

/// On a quadratic of curvature 1 the error is multiplied by 1 - λ: for λ < 1 a step goes on in the direction of the last one, for λ > 1 it goes back. Two weights
/// turn by an angle: in the curvatures 4 and 1 of two samples, with λ = ½, the first error is -1 times itself and the second a half.
#[test]
fn steps_turn() {
    let turn = |network: &Network, rate, samples: Samples<'_>| {
        let arith = native::<f64>();
        let mut trainer = Trainer::new(arith, arith, arith, network, squared(rate)).unwrap();
        let first = trainer.step(samples).unwrap().turn;
        assert_eq!(first, None);
        trainer.step(samples).unwrap().turn.unwrap()
    };
    assert_eq!(turn(&scalars(&[1.0]), 0.5, sample(&[1.0], &[3.0])), 1.0);
    assert_eq!(turn(&scalars(&[1.0]), 1.5, sample(&[1.0], &[3.0])), -1.0);
    let layer = Layer { outputs: 1, inputs: 2, weights: vec![1.0, 1.0], weights_rest: None, bias: None };
    let network = Network::plain(vec![layer], Activation::Identity);
    // Changes (-2, -½) and (2, -¼): the cosine is (-4 + ⅛) / sqrt(4¼ · (4 + 1/16)).
    let samples = Samples { batch: 2, input: &[2.0, 0.0, 0.0, 1.0], targets: Targets::Values(&[0.0, 0.0]) };
    let expected = -3.875 / (4.25_f64 * 4.0625).sqrt();
    assert!((turn(&network, 0.5, samples) - expected).abs() < 1e-15);
}

/// Twelve weights of 1, one output: h = Σ x_i = 2 - 2^-11, which bf16 rounds to 2. With y = 1 the gradient of weight i is x_i = 2^-i and its update 2^-(i + 2).
/// Below 1 bf16 has steps of 2^-8: updates up to 2^-9 round back to 1 (the tie to the even 1), so i = 7 .. 11 are lost. With y = 3 the weights grow, in steps
/// of 2^-7 from 1 on: i = 6 .. 11 are lost.
#[test]
fn a_coarse_format_loses_updates_and_masters_do_not() {
    let input: Vec<f64> = (0..12).map(|i| f64::powi(2.0, -i)).collect();
    let layer = Layer { outputs: 1, inputs: 12, weights: vec![1.0; 12], weights_rest: None, bias: None };
    let network = Network::plain(vec![layer], Activation::Identity);
    let arith = native::<bf16>();
    for (y, kept) in [(1.0, 7), (3.0, 6)] {
        let mut alone = Trainer::new(arith, arith, arith, &network, squared(0.25)).unwrap();
        let progress = alone.step(sample(&input, &[y])).unwrap();
        assert_eq!((progress.lost_updates(), progress.loss), (12 - kept, 0.5));
        let weights = alone.network().layers[0].weights.clone();
        assert_eq!(weights.iter().filter(|w| **w != 1.0).count(), kept);
        let mut master = Trainer::new(arith, arith, native::<f32>(), &network, squared(0.25)).unwrap();
        let progress = master.step(sample(&input, &[y])).unwrap();
        assert_eq!(progress.lost_updates(), 0);
        // ‖0.25 x‖ / ‖w‖, with Σ x_i² = Σ 4^-i.
        let ratio = 0.25 * ((1.0 - f64::powi(4.0, -12)) / 0.75 / 12.0).sqrt();
        assert!((progress.layers[0].update_ratio / ratio - 1.0).abs() < 1e-15);
        let sign = if y > 2.0 { 1.0 } else { -1.0 };
        let expected: Vec<f64> = input.iter().map(|x| 1.0 + sign * 0.25 * x).collect();
        assert_eq!(master.network().layers[0].weights, expected);
        // What the passes compute with is the master in bf16.
        let rounded: Vec<f64> = expected.iter().map(|&w| arith.value(arith.round(w))).collect();
        assert_eq!(master.rounded().widened(&arith).layers[0].weights, rounded);
    }
}

/// Where every update is lost, a run in bf16 stands still; with masters it learns.
#[test]
fn small_steps_need_masters() {
    fn history<S: Storage>(storage: S) -> History {
        let arith = native::<bf16>();
        let mut trainer = Trainer::new(arith, arith, storage, &scalars(&[1.0]), squared(0.003)).unwrap();
        let mut history = History::default();
        for _ in 0..1000 {
            history.push(trainer.step(sample(&[1.0], &[1.5])).unwrap());
        }
        history
    }
    // λ d = 0.003 · 0.5 = 0.0015, below half a step of bf16, 2^-8 = 0.0039.
    let alone = history(native::<bf16>());
    assert_eq!((alone.outcome(), alone.lost_updates), (Outcome::Stalls, 1000));
    assert_eq!(alone.losses[999], 0.125);
    // At the minimum nothing is taken off, and nothing lost.
    assert_eq!(
        run(&native::<bf16>(), &scalars(&[1.0]), squared(0.003), sample(&[1.0], &[1.0]), 9).lost_updates,
        0
    );
    let master = history(native::<f32>());
    assert_eq!((master.outcome(), master.lost_updates), (Outcome::Converges, 0));
    assert!(master.losses[999] < 1e-3, "{}", master.losses[999]);
}

/// Stochastic rounding of the updates keeps their mean. 1000 weights of 1, each to be lowered by 2^-10, where bf16 has steps of 2^-8: a quarter of
/// them goes down, within 4 standard errors of a binomial count, sqrt(N p (1 - p)) = 13.7.
#[test]
fn stochastic_updates_are_right_on_average() {
    let layer = Layer { outputs: 1, inputs: 1000, weights: vec![1.0; 1000], weights_rest: None, bias: None };
    let network = Network::plain(vec![layer], Activation::Identity);
    let rules = Rules { rounding: Rounding::Stochastic, ..Rules::default() };
    let run = |seed| {
        let storage = Emulated::new(Format::BF16, rules, seed);
        let arith = native::<bf16>();
        let mut trainer =
            Trainer::new(arith, arith, storage, &network, squared(f64::powi(2.0, -10))).unwrap();
        let progress = trainer.step(sample(&[1.0; 1000], &[999.0])).unwrap();
        assert_eq!(progress.loss, 0.5);
        (progress.lost_updates(), trainer.network().layers[0].weights.clone())
    };
    let (lost, weights) = run(1);
    assert!((lost as f64 - 750.0).abs() < 4.0 * 13.7, "{lost}");
    assert!(weights.iter().all(|&w| w == 1.0 || w == 1.0 - f64::powi(2.0, -8)));
    assert_eq!(weights.iter().filter(|w| **w == 1.0).count(), lost);
    assert_eq!(run(1).1, weights);
    assert_ne!(run(2).1, weights);
}

/// A gradient of 2^-26 is nothing in f16 and 2^-16 with the scale 2^10; in the master of f32 it is 2^-26 again.
#[test]
fn a_loss_scale_saves_what_f16_cannot_hold() {
    let arith = native::<f16>();
    let bottom = |loss_scale| {
        let recipe = Recipe { loss_scale, ..squared(1024.0) };
        let network = scalars(&[1.0, f64::powi(2.0, -13), f64::powi(2.0, -13)]);
        let mut trainer = Trainer::new(arith, arith, native::<f32>(), &network, recipe).unwrap();
        // h = 2^-26 is zero in f16, so that the upstream gradient is -y = 1.
        let progress = trainer.step(sample(&[1.0], &[-1.0])).unwrap().clone();
        (progress, trainer.network().layers[0].weights[0])
    };
    let (lost, weight) = bottom(LossScale::None);
    assert_eq!((lost.layers[0].weight_gradient, weight), (0.0, 1.0));
    let (saved, weight) = bottom(LossScale::Static(1024.0));
    let tiny = f64::powi(2.0, -26);
    assert_eq!((saved.layers[0].weight_gradient, saved.layers[0].hidden_gradient), (tiny, tiny));
    assert_eq!(weight, 1.0 - 1024.0 * tiny);
    assert_eq!(saved.loss, 0.5);
    assert_eq!(lost.layers[2].weight_gradient, saved.layers[2].weight_gradient);
}

/// A scale that takes the gradient out of f16: the step is left out or spoils the weights, as the recipe has it.
#[test]
fn steps_that_overflow() {
    let arith = native::<f16>();
    let network = scalars(&[1.0, 1.0]);
    let recipe = Recipe {
        loss_scale: LossScale::Static(65536.0),
        momentum: Momentum::HeavyBall(0.5),
        ..squared(0.125)
    };
    let skip = Recipe { non_finite: OnNonFinite::Skip, ..recipe };
    let mut trainer = Trainer::new(arith, arith, native::<f32>(), &network, skip).unwrap();
    let mut history = History::default();
    let progress = trainer.step(sample(&[1.0], &[0.0])).unwrap();
    let at = |place, layer| Some(NonFinite { place, layer });
    assert!(progress.skipped && progress.gradient_norm.to_f64().is_infinite());
    assert_eq!(progress.non_finite, at(Place::HiddenGradient, 2));
    assert_eq!((progress.turn, progress.layers[0].update_ratio), (None, 0.0));
    history.push(progress);
    assert_eq!(trainer.network(), network);
    // With a scale that fits, training goes on as if the step had not been: the velocity is still zero.
    trainer.set_recipe(Recipe { loss_scale: LossScale::Static(1024.0), ..skip }).unwrap();
    let progress = trainer.step(sample(&[1.0], &[0.0])).unwrap();
    assert!(!progress.skipped);
    history.push(progress);
    assert_eq!(trainer.network().layers[0].weights, [0.875]);
    assert_eq!((history.skipped, history.outcome()), (1, Outcome::Stalls));

    // Clipping by value makes numbers of infinities, but not behind a scaler.
    for (recipe, weight) in [(recipe, 1.0 - 0.125 * 0.5), (skip, 1.0)] {
        let recipe = Recipe { clip: Clip::Value(0.5), ..recipe };
        let mut trainer = Trainer::new(arith, arith, arith, &network, recipe).unwrap();
        let progress = trainer.step(sample(&[1.0], &[0.0])).unwrap();
        assert_eq!((progress.clipped, progress.skipped), (weight < 1.0, weight == 1.0));
        assert_eq!(trainer.network().layers[1].weights, [weight]);
    }

    let mut trainer = Trainer::new(arith, arith, arith, &network, recipe).unwrap();
    let mut history = History::default();
    history.push(trainer.step(sample(&[1.0], &[0.0])).unwrap());
    assert!(!trainer.network().layers[0].weights[0].is_finite());
    history.push(trainer.step(sample(&[1.0], &[0.0])).unwrap());
    let found = at(Place::HiddenGradient, 2);
    assert_eq!(history.outcome(), Outcome::Diverges { step: 0, non_finite: found });
}

/// What is given is rounded to nearest, whatever the rounding of the updates.
#[test]
fn first_weights_are_rounded_to_nearest() {
    let rules = Rules { rounding: Rounding::Stochastic, ..Rules::default() };
    let stochastic = Emulated::new(Format::BF16, rules, 3);
    let nearest = Emulated::new(Format::BF16, Rules::default(), 0);
    let network = Draw::square(Init::Gaussian, 8, 2, Activation::Identity, 3).network();
    let trainer =
        Trainer::new(stochastic.clone(), nearest.clone(), stochastic, &network, squared(0.0)).unwrap();
    for (got, given) in trainer.network().layers.iter().zip(&network.layers) {
        let rounded: Vec<f64> = given.weights.iter().map(|&w| nearest.round(w)).collect();
        assert_eq!(got.weights, rounded);
    }
}

/// Gradients of 100 in f16 from PyTorch's 2^16 on: 7 halvings, each of them a skipped step, to 2^9, where 51200 fits. Then the scale is doubled after 3 clean
/// steps, and halved again.
#[test]
fn a_dynamic_loss_scale_finds_the_range() {
    let arith = native::<f16>();
    let rule = ScaleRule { interval: 3, ..ScaleRule::default() };
    let recipe = Recipe { loss_scale: LossScale::Dynamic(rule), ..squared(0.0) };
    let mut trainer = Trainer::new(arith, arith, native::<f32>(), &scalars(&[1.0]), recipe).unwrap();
    let mut history = History::default();
    let mut scales = Vec::new();
    for _ in 0..12 {
        let progress = trainer.step(sample(&[1.0], &[-99.0])).unwrap();
        scales.push((libm::log2(progress.loss_scale), progress.skipped));
        assert!(progress.skipped || progress.layers[0].weight_gradient == 100.0);
        history.push(progress);
    }
    let mut expected: Vec<(f64, bool)> = (10..=16).rev().map(|power| (f64::from(power), true)).collect();
    expected.extend([(9.0, false), (9.0, false), (9.0, false), (10.0, true), (9.0, false)]);
    assert_eq!(scales, expected);
    assert_eq!((history.skipped, history.outcome()), (8, Outcome::Stalls));
    // Another learning rate keeps the scale, another rule begins anew.
    trainer.set_recipe(Recipe { learning_rate: 0.1, ..recipe }).unwrap();
    assert_eq!(trainer.loss_scale(), 512.0);
    let again = LossScale::Dynamic(ScaleRule { interval: 4, ..rule });
    trainer.set_recipe(Recipe { loss_scale: again, ..recipe }).unwrap();
    assert_eq!(trainer.loss_scale(), 65536.0);
}

/// Where the first infinity arises: 300 in each of four layers leaves f16 in the second; the loss of an output that f64 cannot square; a weight that is moved
/// out of its format.
#[test]
fn the_first_number_that_is_not_finite() {
    let found = |network: &Network, rate, input, y| {
        let arith = native::<f16>();
        let mut trainer = Trainer::new(arith, arith, arith, network, squared(rate)).unwrap();
        trainer.step(sample(&[input], &[y])).unwrap().non_finite.map(|at| (at.place, at.layer))
    };
    assert_eq!(found(&scalars(&[300.0; 4]), 1.0, 1.0, 0.0), Some((Place::Forward, 2)));
    assert_eq!(found(&scalars(&[300.0, 300.0]), 1e4, 1e-3, 0.0), Some((Place::Parameter, 1)));
    assert_eq!(found(&scalars(&[1.0, 300.0, 300.0]), 1.0, 1e-3, 0.0), Some((Place::HiddenGradient, 1)));
    assert_eq!(found(&scalars(&[1.0, 1.0]), 1.0, 300.0, 0.0), Some((Place::ParameterGradient, 2)));
    assert_eq!(found(&scalars(&[1.0, 1.0]), 1e-3, 1.0, 1e200), Some((Place::Loss, 2)));
    assert_eq!(found(&scalars(&[1.0, 1.0]), 0.1, 1.0, 0.0), None);
    // The sigmoid of an infinite z is 1, and SELU takes 65000 beyond f16: either side of the activation can be the one that is not finite.
    let activated = |activation, weight| Network {
        output: Activation::Identity,
        ..Network::plain(scalars(&[weight, 1.0]).layers, activation)
    };
    assert_eq!(found(&activated(Activation::Sigmoid, 300.0), 0.1, 300.0, 0.0), Some((Place::Forward, 1)));
    assert_eq!(found(&activated(Activation::Selu, 1.0), 0.1, 65000.0, 0.0), Some((Place::Forward, 1)));
}

/// In a linear network dL/dW_t has the same norm in every layer, on average (Glorot and Bengio 2010, eq. 14): the mean of the log of the ratio between the first
/// and the last layer is 0, by symmetry, within 4 standard errors taken from the sample. Targets of 10^3 make the upstream gradient independent of the output,
/// to about 10^-3.
#[test]
fn weight_gradients_of_a_linear_network_are_equal_over_the_layers() {
    let arith = native::<f64>();
    let (draws, width, depth) = (300, 16, 8);
    let logs: Vec<f64> = (0..draws)
        .map(|number| {
            let draw = Draw { number, ..Draw::square(Init::Xavier, width, depth, Activation::Identity, 17) };
            let ends = draw_ends((width, width), 1, Upstream::Normal, 17, number);
            let y: Vec<f64> = ends.upstream.iter().map(|g| 1e3 * g).collect();
            let mut trainer = Trainer::new(arith, arith, arith, &draw.network(), squared(1e-9)).unwrap();
            let layers = &trainer.step(sample(&ends.input, &y)).unwrap().layers;
            libm::log(layers[0].weight_gradient / layers[depth - 1].weight_gradient)
        })
        .collect();
    let n = draws as f64;
    let mean = logs.iter().sum::<f64>() / n;
    let variance = logs.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (n - 1.0);
    let error = (variance / n).sqrt();
    println!("mean ln ratio {mean:.3} +- {error:.3}");
    assert!(error < 0.06 && mean.abs() < 4.0 * error, "{mean} +- {error}");
}

/// The network after some steps on digits, with every part of a recipe, and how its steps turned.
fn trained<K: ChainArithmetic, S: Storage>(
    arith: &K,
    storage: &S,
    loss_scale: LossScale,
) -> (Network, Vec<Option<f64>>) {
    let draw = Draw::square(Init::Torch, 9, 3, Activation::Tanh, 5);
    let draw = Draw { inputs: Digits::PIXELS, outputs: Digits::CLASSES, ..draw };
    let network = Network { output: Activation::Identity, ..draw.network() };
    let recipe = Recipe {
        momentum: Momentum::Nesterov(0.9),
        clip: Clip::Norm(0.75),
        loss_scale,
        ..Recipe::sgd(Loss::CrossEntropy, PLAIN, 0.1)
    };
    let mut trainer = Trainer::new(arith.clone(), arith.clone(), storage.clone(), &network, recipe).unwrap();
    let mut clipped = 0;
    let turns = batches(5, 512, 7).take(4).map(|numbers| {
        let digits = Digits::built_in().select(&numbers).unwrap();
        let targets = Targets::Classes(&digits.labels);
        let progress = trainer.step(Samples { batch: 7, input: &digits.pixels, targets }).unwrap();
        clipped += usize::from(progress.clipped);
        progress.turn
    });
    let turns = turns.collect();
    assert!((1..=3).contains(&clipped), "{clipped} of 4 steps clipped");
    (trainer.network(), turns)
}

/// Adaptive clipping at 2^-4 of a unit's weights, at least 2^-3: rows (2, 0), (0, 0) and (16, 0) have the limits 1/8, 2^-7 and 1; the bias, with the norm 1, 1/16.
#[test]
fn adaptive_clipping_goes_by_rows() {
    let layer = Layer {
        outputs: 3,
        inputs: 2,
        weights: vec![2.0, 0.0, 0.0, 0.0, 16.0, 0.0],
        weights_rest: None,
        bias: Some(vec![1.0, 0.0, 0.0]),
    };
    let network = Network::plain(vec![layer], Activation::Identity);
    let adaptive = Adaptive { clipping: 0.0625, eps: 0.125 };
    let arith = native::<f64>();
    let recipe = Recipe { clip: Clip::Adaptive(adaptive), ..squared(1.0) };
    let mut trainer = Trainer::new(arith, arith, arith, &network, recipe).unwrap();
    // h = (3, 0, 16) for x = (1, 0): the upstream gradient is (½, -½, ½).
    let progress = trainer.step(sample(&[1.0, 0.0], &[2.5, 0.5, 15.5])).unwrap();
    assert!(progress.clipped);
    let trained = &trainer.network().layers[0];
    assert_eq!(trained.weights, [2.0 - 0.125, 0.0, f64::powi(2.0, -7), 0.0, 16.0 - 0.5, 0.0]);
    let each = 0.0625 / 3.0_f64.sqrt();
    for (got, expected) in trained.bias.as_deref().unwrap().iter().zip([1.0 - each, each, -each]) {
        assert!((got - expected).abs() < 1e-16, "{got}, {expected}");
    }
}

/// A power of two goes through passes that do not underflow and comes off before the gradients are clipped.
#[test]
fn in_f64_a_loss_scale_changes_no_bit() {
    let arith = native::<f64>();
    let plain = trained(&arith, &arith, LossScale::None);
    assert_eq!(trained(&arith, &arith, LossScale::Static(65536.0)), plain);
    assert_eq!(trained(&arith, &arith, LossScale::Static(1.0 / 64.0)), plain);
    assert_eq!(trained(&arith, &arith, LossScale::Dynamic(ScaleRule::default())), plain);
}

/// In every arithmetic the same bits on every instruction set, and in emulation.
#[test]
fn the_bits_do_not_depend_on_the_instruction_set() {
    fn with_scale<K: ChainArithmetic, S: Storage>(arith: &K, storage: &S) -> (Network, Vec<Option<f64>>) {
        trained(arith, storage, LossScale::Static(8.0))
    }
    let nearest = |format| Emulated::new(format, Rules::default(), 0);
    let double = native::<f64>();
    for isa in Isa::available() {
        let (f16, bf16) = (Native::<f16>::new(isa), Native::<bf16>::new(isa));
        assert_eq!(with_scale(&f16, &f16), with_scale(&nearest(Format::F16), &nearest(Format::F16)));
        assert_eq!(with_scale(&bf16, &double), with_scale(&nearest(Format::BF16), &double));
        assert_eq!(with_scale(&Native::<f32>::new(isa), &double), with_scale(&native::<f32>(), &double));
        assert_eq!(with_scale(&Native::<f64>::new(isa), &double), with_scale(&double, &double));
    }
}

#[test]
fn bad_recipes_and_samples_are_refused() {
    let arith = native::<f32>();
    let network = scalars(&[1.0, 1.0]);
    let good = squared(0.1);
    let with = |remedy| Recipe { setting: Setting { remedy, ..PLAIN }, ..good };
    for (recipe, expected) in [
        (squared(-0.1), "learning_rate = -0.1 is out of range; allowed: finite numbers from 0 on"),
        (squared(f64::NAN), "learning_rate = NaN is out of range"),
        (
            Recipe { momentum: Momentum::HeavyBall(1.0), ..good },
            "momentum = 1 is out of range; allowed: 0 to 1 exclusive",
        ),
        (Recipe { momentum: Momentum::Nesterov(f64::NAN), ..good }, "momentum = NaN"),
        (Recipe { clip: Clip::Norm(-1.0), ..good }, "clip-norm = -1 is out of range; allowed: 0 to inf"),
        (Recipe { clip: Clip::Value(f64::NAN), ..good }, "clip-value = NaN"),
        (
            Recipe { clip: Clip::Adaptive(Adaptive { clipping: -0.01, eps: 1e-3 }), ..good },
            "clipping = -0.01 is out of range; allowed: 0 to inf",
        ),
        (
            Recipe { loss_scale: LossScale::Static(3.0), ..good },
            "loss-scale = 3 is out of range; allowed: the powers of two",
        ),
        (
            Recipe {
                loss_scale: LossScale::Dynamic(ScaleRule { interval: 0, ..ScaleRule::default() }),
                ..good
            },
            "loss-scale interval = 0 is out of range; allowed: 1 and more",
        ),
        (with(Remedy::ClipNorm(-2.0)), "clip-norm = -2"),
        (with(Remedy::LossScale(2.0)), "remedy = loss-scale:2 does nothing between the layers"),
        (with(Remedy::Adaptive(0.01)), "remedy = adaptive:0.01 does nothing between the layers"),
        (with(Remedy::RmsNorm), "remedy = rmsnorm is built into a network; this one has another wiring"),
    ] {
        let message = Trainer::new(arith, arith, arith, &network, recipe).unwrap_err().to_string();
        assert!(message.starts_with(expected), "{message}");
        let mut trainer = Trainer::new(arith, arith, arith, &network, good).unwrap();
        assert_eq!(trainer.set_recipe(recipe).unwrap_err().to_string(), message);
        assert_eq!(*trainer.recipe(), good);
    }
    let normalised = Network { wiring: Wiring::RmsNorm, ..network.clone() };
    Trainer::new(arith, arith, arith, &normalised, with(Remedy::RmsNorm)).unwrap();
    let mut trainer = Trainer::new(arith, arith, arith, &network, good).unwrap();
    for (samples, expected) in [
        (sample(&[1.0, 2.0], &[1.0]), "2 numbers of input for a batch of 1; allowed: 1, 1 for each sample"),
        (sample(&[1.0], &[]), "0 targets for a batch of 1 with 1 outputs; allowed: 1"),
    ] {
        assert!(trainer.step(samples).unwrap_err().to_string().starts_with(expected));
        assert!(trainer.loss(samples).is_err());
    }
    assert_eq!(trainer.network(), network);
    // The loss is that of the next step, and asking for it changes nothing.
    let loss = trainer.loss(sample(&[1.0], &[3.0])).unwrap();
    assert_eq!((loss, trainer.step(sample(&[1.0], &[3.0])).unwrap().loss), (2.0, 2.0));
    // An empty batch moves nothing.
    let before = trainer.network();
    let empty = Samples { batch: 0, input: &[], targets: Targets::Classes(&[]) };
    assert_eq!((trainer.step(empty).unwrap().loss, trainer.network()), (0.0, before));
}

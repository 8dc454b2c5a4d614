//! Forward and backward passes: against a plain f64 computation, in every arithmetic, and at the edges of shape and depth.

use gradchain_activations::{Activation, Path};
use gradchain_arith::{Arithmetic, Emulated, Format, Isa, Native, Rules, Summation, bf16, f16};
use gradchain_chain::{
    ChainArithmetic, Draw, Init, Network, Rounded, Setting, Upstream, Wiring, backward, bias_gradient,
    draw_ends, forward, round_ends, weight_gradient,
};
use gradchain_gradients::Remedy;

const PLAIN: Setting = Setting { summation: Summation::Wide, path: Path::Fused, remedy: Remedy::None };

fn draw(activation: Activation) -> Network {
    let draw = Draw::square(Init::Gaussian, 5, 4, activation, 3);
    Draw { inputs: 7, outputs: 3, bias_scale: 0.3, weight_scale: 1.4, ..draw }.network()
}

/// What a pass gives, as f64: gradients by layer from the output down, weight and bias gradients in the same order.
struct All {
    gradients: Vec<Vec<f64>>,
    weights: Vec<Vec<f64>>,
    biases: Vec<Vec<f64>>,
}

fn all<K: ChainArithmetic>(arith: &K, network: &Network, setting: Setting, batch: usize) -> All {
    let ends = draw_ends((network.inputs(), network.outputs()), batch, Upstream::Normal, 3, 0);
    let rounded = Rounded::of(arith, network);
    let (input, upstream) = round_ends(arith, &ends);
    let trace = forward(arith, &rounded, setting.summation, batch, &input);
    let values = |numbers: &[K::Number]| numbers.iter().map(|&x| arith.value(x)).collect::<Vec<f64>>();
    let mut result = All { gradients: Vec::new(), weights: Vec::new(), biases: Vec::new() };
    backward(arith, &rounded, setting, Some(&trace), batch, &upstream, |step| {
        result.gradients.push(values(step.gradient));
        if let Some(delta) = step.delta {
            let h = &trace.post[rounded.depth() - step.passed];
            result.weights.push(values(&weight_gradient(arith, setting.summation, batch, delta, h)));
            result.biases.push(values(&bias_gradient(arith, setting.summation, batch, delta)));
        }
    })
    .unwrap();
    result
}

/// The loss `Σ upstream · h_d`, whose gradients the passes compute, in plain f64 loops.
fn loss(network: &Network, input: &[f64], upstream: &[f64], batch: usize) -> f64 {
    let value = |x: f64| match network.activation {
        Activation::Identity => x,
        Activation::Sigmoid => 1.0 / (1.0 + libm::exp(-x)),
        Activation::Relu => x.max(0.0),
        Activation::Tanh => libm::tanh(x),
        Activation::LeakyRelu => {
            if x > 0.0 {
                x
            } else {
                0.01 * x
            }
        }
        Activation::Elu => {
            if x > 0.0 {
                x
            } else {
                libm::expm1(x)
            }
        }
        Activation::Selu => {
            1.050_700_987_355_480_5 * if x > 0.0 { x } else { 1.673_263_242_354_377_2 * libm::expm1(x) }
        }
        Activation::Gelu => 0.5 * x * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2),
        Activation::GeluTanh => {
            0.5 * x * (1.0 + libm::tanh(0.797_884_560_802_865_4 * (x + 0.044715 * x * x * x)))
        }
        Activation::Silu => x / (1.0 + libm::exp(-x)),
        Activation::Softplus => libm::log1p(libm::exp(x)),
        Activation::Erf => libm::erf(x),
        Activation::HardTanh => x.clamp(-1.0, 1.0),
    };
    let mut h = input.to_vec();
    for layer in &network.layers {
        let (m, n) = (layer.outputs, layer.inputs);
        let z = |row: usize, i: usize| {
            let products = layer.weights[i * n..][..n].iter().zip(&h[row * n..]).map(|(w, h)| w * h);
            products.sum::<f64>() + layer.bias.as_ref().map_or(0.0, |bias| bias[i])
        };
        let over = |x: &mut dyn Iterator<Item = f64>| {
            let x: Vec<f64> = x.collect();
            let mean = x.iter().sum::<f64>() / x.len() as f64;
            let square = |from: f64| x.iter().map(|x| (x - from) * (x - from)).sum::<f64>() / x.len() as f64;
            (mean, square(0.0), square(mean))
        };
        let next = (0..batch * m).map(|at| {
            let (row, i) = (at / m, at % m);
            let z_here = z(row, i);
            match network.wiring {
                Wiring::Plain => value(z_here),
                Wiring::Residual { scale } if m == n => h[at] + scale * value(z_here),
                Wiring::Residual { .. } => value(z_here),
                Wiring::RmsNorm => {
                    let (_, square, _) = over(&mut (0..m).map(|i| z(row, i)));
                    value(z_here / (square + 1e-5).sqrt())
                }
                Wiring::BatchNorm => {
                    let (mean, _, variance) = over(&mut (0..batch).map(|row| z(row, i)));
                    value((z_here - mean) / (variance + 1e-5).sqrt())
                }
            }
        });
        h = next.collect();
    }
    h.iter().zip(upstream).map(|(h, g)| h * g).sum()
}

/// Central differences of the fourth order err by about ε^4 f^(5) / 30 + u f / ε at ε = 1e-4: the derivatives of a normalised layer grow by its factor, up
/// to a hundred, at each order, which makes 1e-8 relative to the gradient.
#[test]
fn gradients_are_those_of_the_loss() {
    let wirings = [
        Wiring::Plain,
        Wiring::Residual { scale: 1.0 },
        Wiring::Residual { scale: -0.25 },
        Wiring::RmsNorm,
        Wiring::BatchNorm,
    ];
    let activations = [Activation::Identity, Activation::Sigmoid, Activation::Relu, Activation::Tanh];
    for (activation, wiring) in activations.into_iter().flat_map(|f| wirings.map(|wiring| (f, wiring))) {
        let (network, batch) = (Network { wiring, ..draw(activation) }, 3);
        let ends = draw_ends((7, 3), batch, Upstream::Normal, 3, 0);
        let got = all(&Native::<f64>::new(Isa::PORTABLE), &network, PLAIN, batch);
        let depth = network.layers.len();
        let slope = |change: &dyn Fn(&mut Network, &mut Vec<f64>, f64)| {
            let at = |step: f64| {
                let (mut network, mut input) = (network.clone(), ends.input.clone());
                change(&mut network, &mut input, step);
                loss(&network, &input, &ends.upstream, batch)
            };
            (8.0 * (at(1e-4) - at(-1e-4)) - (at(2e-4) - at(-2e-4))) / 12e-4
        };
        for (i, got) in got.gradients[depth].iter().enumerate() {
            let expected = slope(&|_, input, step| input[i] += step);
            assert!(
                (got - expected).abs() < 1e-8 * (1.0 + expected.abs()),
                "{activation} {wiring:?} input {i}: {got}, {expected}"
            );
        }
        for t in 0..depth {
            for (i, got) in got.weights[depth - 1 - t].iter().enumerate() {
                let expected = slope(&|network, _, step| network.layers[t].weights[i] += step);
                assert!(
                    (got - expected).abs() < 1e-8 * (1.0 + expected.abs()),
                    "{activation} {wiring:?} layer {t} weight {i}: {got}, {expected}"
                );
            }
            for (i, got) in got.biases[depth - 1 - t].iter().enumerate() {
                let expected = slope(&|network, _, step| network.layers[t].bias.as_mut().unwrap()[i] += step);
                assert!(
                    (got - expected).abs() < 1e-8 * (1.0 + expected.abs()),
                    "{activation} {wiring:?} layer {t} bias {i}: {got}, {expected}"
                );
            }
        }
    }
}

/// Native and emulated passes of the same format agree in every bit, for every summation and path.
#[test]
fn native_passes_are_the_emulated_ones() {
    fn check<K: ChainArithmetic>(arith: &K) {
        let emulated = Emulated::new(arith.format(), Rules::default(), 0);
        for activation in Activation::ALL {
            let network = draw(activation);
            for summation in Summation::of(arith.format()) {
                for path in Path::ALL.into_iter().filter(|path| path.is_defined_for(activation)) {
                    let setting = Setting { summation, path, ..PLAIN };
                    let (got, expected) =
                        (all(arith, &network, setting, 2), all(&emulated, &network, setting, 2));
                    let context = format!("{} {activation} {summation} {path}", arith.format());
                    assert_eq!(got.gradients, expected.gradients, "{context}");
                    assert_eq!(got.weights, expected.weights, "{context}");
                    assert_eq!(got.biases, expected.biases, "{context}");
                }
            }
        }
    }
    for isa in Isa::available() {
        check(&Native::<f16>::new(isa));
        check(&Native::<bf16>::new(isa));
        check(&Native::<f32>::new(isa));
        check(&Native::<f64>::new(isa));
    }
}

/// A ReLU chain is the product of W^T over the active units, bit for bit.
#[test]
fn a_relu_chain_is_a_masked_linear_chain() {
    let network = draw(Activation::Relu);
    let arith = Native::<f32>::new(Isa::PORTABLE);
    let ends = draw_ends((7, 3), 1, Upstream::Normal, 3, 0);
    let rounded = Rounded::of(&arith, &network);
    let (input, upstream) = round_ends(&arith, &ends);
    let trace = forward(&arith, &rounded, Summation::Recursive, 1, &input);
    let setting = Setting { summation: Summation::Recursive, ..PLAIN };
    let mut relu = Vec::new();
    backward(&arith, &rounded, setting, Some(&trace), 1, &upstream, |step| relu.push(step.gradient.to_vec()))
        .unwrap();
    // The rows of inactive units set to zero, everything linear.
    let mut masked = network.clone();
    (masked.activation, masked.output) = (Activation::Identity, Activation::Identity);
    for (layer, pre) in masked.layers.iter_mut().zip(&trace.pre) {
        for (row, z) in layer.weights.chunks_exact_mut(layer.inputs).zip(pre) {
            if *z <= 0.0 {
                row.fill(0.0);
            }
        }
    }
    let mut linear = Vec::new();
    let rounded = Rounded::of(&arith, &masked);
    backward(&arith, &rounded, setting, None, 1, &upstream, |step| linear.push(step.gradient.to_vec()))
        .unwrap();
    assert_eq!(relu, linear);
}

#[test]
fn edges_of_shape_and_depth() {
    let arith = Native::<f16>::new(Isa::PORTABLE);
    // No layers: the gradient is the upstream gradient.
    let empty = Rounded::of(&arith, &Network::plain(Vec::new(), Activation::Identity));
    let mut seen = Vec::new();
    let two = [f16::from_f32(2.0)];
    backward(&arith, &empty, PLAIN, None, 1, &two, |step| seen.push((step.passed, step.gradient.to_vec())))
        .unwrap();
    assert_eq!(seen, [(0, two.to_vec())]);
    // A hundred thousand layers of width 1: 0.8 sticks at two least subnormals from layer 71 on.
    let gain = Init::Constant("0.8".parse().unwrap());
    let deep = Rounded::of(&arith, &Draw::square(gain, 1, 100_000, Activation::Identity, 1).network());
    let mut last = f16::ZERO;
    backward(&arith, &deep, PLAIN, None, 1, &[f16::ONE], |step| last = step.gradient[0]).unwrap();
    assert_eq!(last.to_bits(), 2);
    // An empty batch is nothing, in every layer.
    let network = Rounded::of(&arith, &draw(Activation::Relu));
    let trace = forward(&arith, &network, Summation::Wide, 0, &[]);
    let mut steps = 0;
    backward(&arith, &network, PLAIN, Some(&trace), 0, &[], |step| {
        assert!(step.gradient.is_empty());
        steps += 1;
    })
    .unwrap();
    assert_eq!(steps, 5);
}

/// A loss scale of 2^10 keeps what a chain of 2^-1 layers loses in f16 after 24 of them.
#[test]
fn a_loss_scale_keeps_small_gradients() {
    let arith = Native::<f16>::new(Isa::PORTABLE);
    let gain = Init::Constant("0.5".parse().unwrap());
    let network = Rounded::of(&arith, &Draw::square(gain, 1, 30, Activation::Identity, 1).network());
    let bottom = |remedy| {
        let mut last = f16::ZERO;
        let setting = Setting { remedy, ..PLAIN };
        backward(&arith, &network, setting, None, 1, &[f16::ONE], |step| last = step.gradient[0]).unwrap();
        last
    };
    assert_eq!(bottom(Remedy::None), f16::ZERO);
    assert_eq!(arith.value(bottom(Remedy::LossScale(1024.0))) / 1024.0, f64::powi(2.0, -30));
    assert!((arith.value(bottom(Remedy::Normalise)) - 1.0).abs() < 1e-3);
    let bad = Setting { remedy: Remedy::LossScale(3.0), ..PLAIN };
    assert!(backward(&arith, &network, bad, None, 1, &[f16::ONE], |_| ()).is_err());
}

/// Stochastic rounding: the same seed gives the same bits, another one others.
#[test]
fn stochastic_passes_are_reproducible() {
    let rules = Rules { rounding: gradchain_arith::Rounding::Stochastic, ..Rules::default() };
    let run =
        |seed| all(&Emulated::new(Format::BF16, rules, seed), &draw(Activation::Sigmoid), PLAIN, 2).gradients;
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

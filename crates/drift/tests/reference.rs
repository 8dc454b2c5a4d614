//! The reference against exact results: chains of matrices, deep networks, and scalar chains far beyond f64's range.

mod common;

use common::{
    Big, big, big_of, cases, chain_network, floats, linear, log2_error, mlp_network, read, scalar_chain,
    shifted,
};
use gradchain_activations::Activation;
use gradchain_arith::Isa;
use gradchain_chain::{Layer, Network};
use gradchain_drift::{
    DoubleDouble, Keep, Scaled, ScaledVector, Weights, bias_gradient_norm, reference_backward,
    reference_forward, upstream_from_targets, weight_gradient_norm,
};
use safetensors::SafeTensors;

fn isa() -> Isa {
    Isa::choose().expect("an instruction set")
}

/// Relative error of `got` against a number that is itself rounded to f64; 0 for two zeros.
fn error(got: Scaled, exact: Scaled) -> f64 {
    if exact.mantissa() == 0.0 {
        return if got.mantissa() == 0.0 { 0.0 } else { f64::INFINITY };
    }
    (got.divided_by(exact).to_f64() - 1.0).abs()
}

fn worst_error(got: &ScaledVector, exact: &[f64]) -> f64 {
    assert_eq!(got.len(), exact.len());
    exact.iter().enumerate().map(|(i, &x)| error(got.get(i), Scaled::from(x))).fold(0.0, f64::max)
}

#[test]
fn chains_of_matrices() {
    let (data, json) = read("chain");
    let file = SafeTensors::deserialize(&data).expect("safetensors");
    let (mut worst, mut worst_log2) = (0.0_f64, 0.0_f64);
    for case in cases(&json) {
        let id = case["id"].as_str().expect("id");
        let (n, depth) =
            (case["n"].as_u64().expect("n") as usize, case["depth"].as_u64().expect("depth") as usize);
        let tensor = |name: &str| floats(&file, &format!("{id}/{name}"));
        let g = tensor("g");
        let (mantissas, exponents) = (tensor("exact_v_mant"), tensor("exact_v_exp"));
        let log2_norm = tensor("log2_norm");
        let network = chain_network(&file, case);
        let mut visited = 0;
        reference_backward(isa(), &network, Weights::Stored, None, 1, &ScaledVector::new(&g), |step| {
            visited += 1;
            let t = step.passed;
            worst_log2 = worst_log2.max((step.gradient.norm().log2() - log2_norm[t]).abs());
            for i in 0..if t > 0 { n } else { 0 } {
                let at = (t - 1) * n + i;
                worst =
                    worst.max(error(step.gradient.get(i), Scaled::new(mantissas[at], exponents[at] as i64)));
            }
        });
        assert_eq!(visited, depth + 1, "{id}");
    }
    println!("{} chains: worst relative error {worst:e}, of log2 norms {worst_log2:e}", cases(&json).len());
    assert!(worst <= 1e-15, "{worst:e}");
    assert!(worst_log2 <= 1e-12, "{worst_log2:e}");
}

#[test]
fn deep_networks() {
    let (data, json) = read("mlp");
    let file = SafeTensors::deserialize(&data).expect("safetensors");
    for case in cases(&json) {
        let id = case["id"].as_str().expect("id");
        let depth = case["depth"].as_u64().expect("depth") as usize;
        let batch = case["batch"].as_u64().expect("batch") as usize;
        let network = mlp_network(&file, case);
        let tensor = |name: &str| floats(&file, &format!("{id}/{name}"));
        let trace = reference_forward(isa(), &network, Weights::Stored, batch, &tensor("x"), Keep::Values);
        let output = worst_error(&trace.output, &tensor("exact/h_last"));
        let upstream = upstream_from_targets(&trace.output, &tensor("y"));
        let loss = upstream.norm().times(upstream.norm()).times(Scaled::from(0.5));
        let loss = error(loss, Scaled::from(tensor("exact/loss")[0]));
        let (h_norms, w_norms, b_norms) =
            (tensor("exact/grad_h_norm"), tensor("exact/grad_w_norm"), tensor("exact/grad_b_norm"));
        let (mut elements, mut norms, mut weights) = (0.0_f64, 0.0_f64, 0.0_f64);
        reference_backward(isa(), &network, Weights::Stored, Some(&trace), batch, &upstream, |step| {
            let t = depth - step.passed;
            elements = elements.max(worst_error(step.gradient, &tensor(&format!("exact/grad_h/{t}"))));
            norms = norms.max(error(step.gradient.norm(), Scaled::from(h_norms[t])));
            if let Some(delta) = step.delta {
                let of_w = weight_gradient_norm(isa(), batch, delta, &trace.values[t]);
                let of_b = bias_gradient_norm(isa(), batch, delta);
                weights = weights
                    .max(error(of_w, Scaled::from(w_norms[t])))
                    .max(error(of_b, Scaled::from(b_norms[t])));
            }
        });
        println!(
            "{id}: output {output:.1e}, loss {loss:.1e}, gradients {elements:.1e}, their norms {norms:.1e}, norms of dL/dW and dL/db {weights:.1e}"
        );
        for worst in [output, loss, elements, norms, weights] {
            assert!(worst <= 1e-15, "{id}: {worst:e}");
        }
    }
}

/// `factor^n` to 400 bits.
fn power(factor: &Big, n: usize) -> Big {
    factor.powi(n.into())
}

/// The last gradient of a scalar chain with upstream 1, as the reference has it.
fn last(network: &Network, weights: Weights) -> (DoubleDouble, i64) {
    let mut result = (DoubleDouble::default(), 0);
    reference_backward(isa(), network, weights, None, 1, &ScaledVector::new(&[1.0]), |step| {
        result = (step.gradient.mantissa(0), step.gradient.exponent());
    });
    result
}

#[test]
fn powers_beyond_every_format() {
    let sqrt2 = {
        let mut root = big(std::f64::consts::SQRT_2);
        for _ in 0..4 {
            root = (&root + big(2.0) / &root) / big(2.0);
        }
        root
    };
    let ratio = |a: f64, b: f64| big(a) / big(b);
    for (name, exact, stored) in [
        ("1.5", ratio(3.0, 2.0), 1.5),
        ("0.8", ratio(4.0, 5.0), 0.8),
        ("sqrt 2", sqrt2, std::f64::consts::SQRT_2),
    ] {
        let rest = (&exact - big(stored)).to_f64().value();
        for depth in [100, 10_000, 100_000] {
            let network = scalar_chain(depth, stored, Some(rest));
            let (m, e) = last(&network, Weights::Stored);
            let of_stored = log2_error(&shifted(big_of(m), e), &power(&big(stored), depth));
            let (m, e) = last(&network, Weights::Unrounded);
            let of_true = log2_error(&shifted(big_of(m), e), &power(&exact, depth));
            println!("{name}^{depth}: 2^{of_stored:.1} stored, 2^{of_true:.1} unrounded");
            assert!(of_stored <= -85.0 && of_true <= -85.0);
        }
    }
    // The two kinds of weights differ by what they should: 0.8 in f64 is too large by 2^-54.2 relative.
    let network = scalar_chain(100_000, 0.8, Some((ratio(4.0, 5.0) - big(0.8)).to_f64().value()));
    let (stored, _) = last(&network, Weights::Stored);
    let (unrounded, _) = last(&network, Weights::Unrounded);
    let relative = (stored.minus(unrounded)).hi / unrounded.hi;
    assert!((relative / (100_000.0 * 5.551115123125783e-17) - 1.0).abs() < 1e-6, "{relative:e}");
}

#[test]
fn weights_of_any_size() {
    for weight in [5e-324, 1e-310, 1e-300, 1e300, f64::MAX] {
        for rest in [None, Some(weight * 1e-8)] {
            let network = scalar_chain(50, weight, rest);
            let exact = power(&(big(weight) + big(rest.unwrap_or(0.0))), 50);
            let (m, e) = last(&network, Weights::Unrounded);
            assert!(log2_error(&shifted(big_of(m), e), &exact) <= -95.0, "{weight:e}");
        }
    }
    // The same forward, through rows of 3 and of 37 inputs: less than a block of partial sums, and two blocks and a rest.
    for (n, bias) in [(3, 0.0), (3, 1e-290), (37, 1e305), (37, -1.0)] {
        let weights: Vec<f64> = (1..=n).map(|i| f64::from(i) * 1e-150).collect();
        let rest: Vec<f64> = (1..=n).map(|i| f64::from(i % 5) * 1e-167).collect();
        let input: Vec<f64> = (1..=n).map(|i| 1e-100 / f64::from(i)).collect();
        let terms = weights.iter().zip(&rest).zip(&input);
        let exact = terms.fold(big(bias), |sum, ((&w, &r), &x)| sum + (big(w) + big(r)) * big(x));
        let n = n as usize;
        let layer = Layer { weights_rest: Some(rest), bias: Some(vec![bias]), ..linear(1, n, weights) };
        let network = Network::plain(vec![layer], Activation::Identity);
        let forward = |weights| {
            let output = reference_forward(isa(), &network, weights, 1, &input, Keep::Slopes).output;
            log2_error(&shifted(big_of(output.mantissa(0)), output.exponent()), &exact)
        };
        assert!(forward(Weights::Unrounded) <= -100.0, "{n} inputs, bias {bias:e}");
        if bias == 0.0 {
            assert!(forward(Weights::Stored) > -70.0);
        }
    }
    // Beyond f64's range.
    let weights: Vec<f64> = (1..20).map(|i| f64::from(i) * 1e300).collect();
    let input: Vec<f64> = (1..20).map(|i| 1e200 / f64::from(i)).collect();
    let exact = weights.iter().zip(&input).fold(big(0.0), |sum, (&w, &x)| sum + big(w) * big(x));
    let network = Network::plain(vec![linear(1, 19, weights)], Activation::Identity);
    let trace = reference_forward(isa(), &network, Weights::Stored, 1, &input, Keep::Slopes);
    let got = shifted(big_of(trace.output.mantissa(0)), trace.output.exponent());
    assert!(log2_error(&got, &exact) <= -100.0);
}

/// log2 of the size of a number whose exponent f64 need not have.
fn log2_of(x: &Big) -> f64 {
    let (significand, exponent) = x.repr().clone().into_parts();
    let digits = shifted(Big::from_parts(significand, 0), -400).to_f64().value();
    libm::log2(digits.abs()) + 400.0 + exponent as f64
}

/// One layer of each activation at z = 1e6 and at z = 1e-300, beside what the exact derivatives are.
#[test]
fn slopes_far_outside_f64() {
    let gradient_at = |activation, z: f64| {
        let layer = Layer { bias: Some(vec![0.0]), ..linear(1, 1, vec![1.0]) };
        let network = Network::plain(vec![layer], activation);
        let trace = reference_forward(isa(), &network, Weights::Stored, 1, &[z], Keep::Slopes);
        let mut result = None;
        reference_backward(
            isa(),
            &network,
            Weights::Stored,
            Some(&trace),
            1,
            &ScaledVector::new(&[1.0]),
            |step| {
                result = Some((step.gradient.mantissa(0), step.gradient.exponent()));
            },
        );
        let (m, e) = result.expect("a gradient");
        (shifted(big_of(m), e), trace.output.get(0))
    };
    let (slope, value) = gradient_at(Activation::Sigmoid, 1e6);
    assert!(log2_error(&slope, &big(-1e6).exp()) <= -95.0);
    assert_eq!(value.to_f64(), 1.0);
    let (slope, value) = gradient_at(Activation::Sigmoid, -1e6);
    assert!(log2_error(&slope, &big(-1e6).exp()) <= -95.0);
    assert!((value.log2() + 1e6 / std::f64::consts::LN_2).abs() < 1e-8);
    let (slope, value) = gradient_at(Activation::Tanh, 1e6);
    assert!(log2_error(&slope, &(big(4.0) * big(-2e6).exp())) <= -95.0);
    assert_eq!(value.to_f64(), 1.0);
    let (slope, value) = gradient_at(Activation::Tanh, 1e-300);
    assert_eq!((slope, value.to_f64()), (big(1.0), 1e-300));
    let (slope, value) = gradient_at(Activation::Tanh, 5e-324);
    assert_eq!((slope, value.to_f64()), (big(1.0), 5e-324));
    let (slope, value) = gradient_at(Activation::Sigmoid, 1e-300);
    assert_eq!((slope, value.to_f64()), (big(0.25), 0.5));
    let (slope, _) = gradient_at(Activation::Sigmoid, 1e13);
    assert_eq!(slope, big(0.0));
    let (slope, value) = gradient_at(Activation::Relu, 1e-300);
    assert_eq!((slope, value.to_f64()), (big(1.0), 1e-300));
    let (slope, value) = gradient_at(Activation::Relu, 0.0);
    assert_eq!((slope, value.to_f64()), (big(0.0), 0.0));
    let (slope, value) = gradient_at(Activation::LeakyRelu, -3.0);
    assert_eq!((slope, value.to_f64()), (big(0.01), -0.03));
    let (slope, value) = gradient_at(Activation::HardTanh, -1e300);
    assert_eq!((slope, value.to_f64()), (big(0.0), -1.0));
    let (slope, value) = gradient_at(Activation::HardTanh, 1e-300);
    assert_eq!((slope, value.to_f64()), (big(1.0), 1e-300));
    // Far out gelu is -φ(x) and its derivative x φ(x), to a relative 1/x².
    let (slope, value) = gradient_at(Activation::Gelu, -1e6);
    let log2 = -0.5e12 / std::f64::consts::LN_2 - 0.5 * libm::log2(2.0 * std::f64::consts::PI);
    assert!((log2_of(&slope) - (log2 + libm::log2(1e6))).abs() < 1e-3, "{log2}");
    assert!((value.log2() - log2).abs() < 1e-3);
    let (slope, value) = gradient_at(Activation::Silu, 1e300);
    assert_eq!((slope, value.to_f64()), (big(1.0), 1e300));
    let (slope, value) = gradient_at(Activation::Elu, -1e6);
    assert!(log2_error(&slope, &big(-1e6).exp()) <= -95.0);
    assert_eq!(value.to_f64(), -1.0);
    let (slope, value) = gradient_at(Activation::Softplus, -1e6);
    assert!(log2_error(&slope, &big(-1e6).exp()) <= -95.0);
    assert!((value.log2() + 1e6 / std::f64::consts::LN_2).abs() < 1e-8);
}

#[test]
fn zeros_infinities_and_nan_pass_without_panic() {
    for activation in Activation::ALL {
        for weight in [0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            for input in [0.0, 1.0, f64::INFINITY, f64::NAN] {
                let mut network =
                    Network::plain(vec![linear(2, 2, vec![weight, 0.5, 0.25, 1.0]); 5], activation);
                network.layers[2].bias = Some(vec![f64::NAN, 0.0]);
                let trace =
                    reference_forward(isa(), &network, Weights::Stored, 1, &[input, 0.5], Keep::Values);
                let upstream = ScaledVector::new(&[1.0, weight]);
                let mut passed = 0;
                reference_backward(isa(), &network, Weights::Stored, Some(&trace), 1, &upstream, |step| {
                    passed = step.passed;
                    step.gradient.norm();
                });
                assert_eq!(passed, 5);
            }
        }
    }
    // A NaN reaches what depends on it and nothing else: column 0 of W alone holds it.
    let network = Network::plain(vec![linear(2, 2, vec![f64::NAN, 0.5, 0.25, 1.0])], Activation::Identity);
    reference_backward(isa(), &network, Weights::Stored, None, 1, &ScaledVector::new(&[1.0, 1.0]), |step| {
        if step.passed == 1 {
            assert!(step.gradient.get(0).mantissa().is_nan());
            assert_eq!(step.gradient.get(1).to_f64(), 1.5);
        }
    });
    let zeros = scalar_chain(10, 0.0, None);
    assert_eq!(last(&zeros, Weights::Stored).0, DoubleDouble::default());
}

/// A linear output with the weight 1 behind a sigmoid layer hands values and gradients on as they are.
#[test]
fn the_last_layer_has_its_own_activation() {
    let first = linear(1, 1, vec![0.75]);
    let alone = Network::plain(vec![first.clone()], Activation::Sigmoid);
    let layers = vec![first, linear(1, 1, vec![1.0])];
    let network = Network { output: Activation::Identity, ..Network::plain(layers, Activation::Sigmoid) };
    let pass = |network: &Network| {
        let trace = reference_forward(isa(), network, Weights::Stored, 1, &[2.0], Keep::Values);
        let mut gradient = None;
        reference_backward(
            isa(),
            network,
            Weights::Stored,
            Some(&trace),
            1,
            &ScaledVector::new(&[3.0]),
            |step| gradient = Some(step.gradient.get(0)),
        );
        (trace.output.get(0), gradient)
    };
    assert_eq!(pass(&network), pass(&alone));
    assert_ne!(pass(&network), pass(&Network { output: Activation::Sigmoid, ..network }));
}

#[test]
fn networks_without_layers_or_widths() {
    let empty = Network::plain(Vec::new(), Activation::Sigmoid);
    let trace = reference_forward(isa(), &empty, Weights::Stored, 2, &[1.0, -2.0], Keep::Values);
    assert_eq!(trace.output.to_f64(), [1.0, -2.0]);
    reference_backward(isa(), &empty, Weights::Stored, Some(&trace), 2, &trace.output, |step| {
        assert_eq!((step.passed, step.gradient.to_f64()), (0, vec![1.0, -2.0]));
    });
    for (outputs, inputs, batch) in [(0, 3, 2), (3, 0, 2), (0, 0, 1), (2, 2, 0)] {
        let network =
            Network::plain(vec![linear(outputs, inputs, vec![1.0; outputs * inputs])], Activation::Tanh);
        let trace = reference_forward(
            isa(),
            &network,
            Weights::Stored,
            batch,
            &vec![1.0; batch * inputs],
            Keep::Values,
        );
        assert_eq!(trace.output.to_f64(), vec![0.0; batch * outputs]);
        reference_backward(isa(), &network, Weights::Stored, Some(&trace), batch, &trace.output, |step| {
            let width = if step.passed == 0 { outputs } else { inputs };
            assert_eq!(step.gradient.to_f64(), vec![0.0; batch * width]);
            if let Some(delta) = step.delta {
                assert_eq!(weight_gradient_norm(isa(), batch, delta, &trace.values[0]), Scaled::ZERO);
                assert_eq!(bias_gradient_norm(isa(), batch, delta), Scaled::ZERO);
            }
        });
    }
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    let weights = |seed: usize| (0..19 * 19).map(|i| libm::sin((i * i + seed) as f64)).collect::<Vec<f64>>();
    for activation in Activation::ALL {
        let layers = (0..6).map(|t| Layer {
            weights_rest: Some(weights(t + 9).iter().map(|w| w * 1e-17).collect()),
            ..linear(19, 19, weights(t))
        });
        let network = Network::plain(layers.collect(), activation);
        let input: Vec<f64> = (0..2 * 19).map(|i| libm::cos(i as f64)).collect();
        let runs: Vec<(&str, Vec<ScaledVector>, Scaled)> = Isa::available()
            .into_iter()
            .map(|isa| {
                let trace = reference_forward(isa, &network, Weights::Unrounded, 2, &input, Keep::Values);
                let (mut gradients, mut norm) = (Vec::new(), Scaled::ZERO);
                reference_backward(
                    isa,
                    &network,
                    Weights::Unrounded,
                    Some(&trace),
                    2,
                    &trace.output,
                    |step| {
                        gradients.push(step.gradient.clone());
                        if let Some(delta) = step.delta {
                            norm = weight_gradient_norm(isa, 2, delta, &trace.values[6 - step.passed]);
                        }
                    },
                );
                (isa.name(), gradients, norm)
            })
            .collect();
        for run in &runs {
            assert!(run.1 == runs[0].1 && run.2 == runs[0].2, "{} and {}", run.0, runs[0].0);
        }
        println!("{activation:?}: {:?}", runs.iter().map(|run| run.0).collect::<Vec<_>>());
    }
}

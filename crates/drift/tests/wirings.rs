//! The reference for layers that are not plain, against differences of the loss in 400-bit arithmetic.

mod common;

use common::{BITS, Big, big, big_of, log2_error, shifted};
use gradchain_activations::Activation;
use gradchain_arith::Isa;
use gradchain_chain::{Draw, Ends, Init, Network, Upstream, Wiring, draw_ends};
use gradchain_drift::{
    Keep, ScaledVector, Weights, reference_backward, reference_forward, weight_gradient_norm,
};

const WIRINGS: [Wiring; 5] = [
    Wiring::Plain,
    Wiring::Residual { scale: 1.0 },
    Wiring::Residual { scale: -0.3 },
    Wiring::RmsNorm,
    Wiring::BatchNorm,
];

/// 1 / sqrt(x) of a positive number.
fn inverse_root(x: &Big) -> Big {
    // Newton's steps double the digits that f64 has.
    let mut y = big(1.0 / x.to_f64().value().sqrt());
    let (half, three) = (big(0.5), big(3.0));
    for _ in 0..4 {
        y = &half * &y * (&three - x * &y * &y);
    }
    y
}

fn leaky(x: Big) -> Big {
    if x < Big::ZERO { x * big(0.01) } else { x }
}

/// `h_d`, as the definition of the wiring has it.
fn output(network: &Network, batch: usize, input: &[Big]) -> Vec<Big> {
    let mut h = input.to_vec();
    for layer in &network.layers {
        let (m, n) = (layer.outputs, layer.inputs);
        let mut z: Vec<Big> = (0..batch * m)
            .map(|at| {
                let (row, unit) = (at / m, at % m);
                let terms = (0..n).map(|k| big(layer.weights[unit * n + k]) * &h[row * n + k]);
                let bias = layer.bias.as_ref().map_or(0.0, |bias| bias[unit]);
                terms.fold(big(bias), |sum, term| sum + term)
            })
            .collect();
        let mut over = |groups: Vec<Vec<usize>>, centred: bool| {
            for group in groups {
                let size = big(group.len() as f64);
                let mean = group.iter().fold(big(0.0), |sum, &i| sum + &z[i]) / &size;
                if centred {
                    group.iter().for_each(|&i| z[i] = &z[i] - &mean);
                }
                let square = group.iter().fold(big(0.0), |sum, &i| sum + &z[i] * &z[i]) / &size;
                let factor = inverse_root(&(square + big(1e-5)));
                group.iter().for_each(|&i| z[i] = &z[i] * &factor);
            }
        };
        match network.wiring {
            Wiring::RmsNorm => {
                over((0..batch).map(|row| (row * m..(row + 1) * m).collect()).collect(), false)
            }
            Wiring::BatchNorm => {
                over((0..m).map(|unit| (0..batch).map(|row| row * m + unit).collect()).collect(), true);
            }
            Wiring::Plain | Wiring::Residual { .. } => {}
        }
        let value = |x: Big| if network.activation == Activation::LeakyRelu { leaky(x) } else { x };
        let values = z.into_iter().map(value);
        h = match network.wiring {
            Wiring::Residual { scale } if m == n => {
                values.zip(&h).map(|(x, before)| before + big(scale) * x).collect()
            }
            Wiring::Plain | Wiring::Residual { .. } | Wiring::RmsNorm | Wiring::BatchNorm => values.collect(),
        };
    }
    h
}

/// The gradient by the input, from central differences. The loss is smooth around the point but for the kink of the activation, which no z is next to:
/// with a step of 2^-100 their error is 2^-200.
fn differences(network: &Network, ends: &Ends) -> Vec<Big> {
    let input: Vec<Big> = ends.input.iter().map(|&x| big(x)).collect();
    let loss = |input: &[Big]| {
        let terms = output(network, ends.batch, input).into_iter().zip(&ends.upstream);
        terms.fold(big(0.0), |sum, (h, &g)| sum + h * big(g))
    };
    let step = shifted(big(1.0), -100);
    (0..input.len())
        .map(|i| {
            let at = |step: &Big| {
                let mut moved = input.clone();
                moved[i] = &moved[i] + step;
                loss(&moved)
            };
            shifted(at(&step) - at(&-step.clone()), 99)
        })
        .collect()
}

#[test]
fn gradients_are_those_of_the_loss() {
    for activation in [Activation::Identity, Activation::LeakyRelu] {
        for wiring in WIRINGS {
            let draw = Draw {
                bias_scale: 0.3,
                inputs: 3,
                outputs: 2,
                ..Draw::square(Init::He, 4, 4, activation, 5)
            };
            let network = Network { wiring, ..draw.network() };
            let ends = draw_ends((3, 2), 3, Upstream::Normal, 5, 0);
            let isa = Isa::choose().unwrap();
            let trace = reference_forward(isa, &network, Weights::Stored, 3, &ends.input, Keep::Values);
            let exact = output(&network, 3, &ends.input.iter().map(|&x| big(x)).collect::<Vec<Big>>());
            let worst = |got: &ScaledVector, exact: &[Big]| {
                let error =
                    |i: usize| log2_error(&shifted(big_of(got.mantissa(i)), got.exponent()), &exact[i]);
                (0..got.len()).map(error).fold(f64::NEG_INFINITY, f64::max)
            };
            assert!(worst(&trace.output, &exact) < -94.0, "{wiring:?}: {}", worst(&trace.output, &exact));
            let mut bottom = ScaledVector::default();
            let upstream = ScaledVector::new(&ends.upstream);
            reference_backward(isa, &network, Weights::Stored, Some(&trace), 3, &upstream, |step| {
                bottom.clone_from(step.gradient);
            });
            let error = worst(&bottom, &differences(&network, &ends));
            assert!(error < -90.0, "{activation} {wiring:?}: 2^{error}, of {BITS} bits");
        }
    }
}

/// The weight gradient follows from D as it does in plain layers: for a residual layer D has the factor of the branch.
#[test]
fn weight_gradients_have_the_factor_of_the_branch() {
    let layer = common::linear(1, 1, vec![2.0]);
    let network = Network {
        wiring: Wiring::Residual { scale: 0.5 },
        ..Network::plain(vec![layer], Activation::Identity)
    };
    let isa = Isa::choose().unwrap();
    let trace = reference_forward(isa, &network, Weights::Stored, 1, &[3.0], Keep::Values);
    // h' = 3 + 0.5 · 2 · 3; dh'/dh = 2; dh'/dw = 1.5.
    assert_eq!(trace.output.to_f64(), [6.0]);
    reference_backward(isa, &network, Weights::Stored, Some(&trace), 1, &ScaledVector::new(&[1.0]), |step| {
        match step.delta {
            None => {}
            Some(delta) => {
                assert_eq!(step.gradient.to_f64(), [2.0]);
                assert_eq!(weight_gradient_norm(isa, 1, delta, &trace.values[0]).to_f64(), 1.5);
            }
        }
    });
}

/// Magnitudes that f64's squares do not reach, a batch of equal samples, and zeros, where ε alone stands under the root.
#[test]
fn normalising_at_the_edges() {
    let isa = Isa::choose().unwrap();
    let layer = common::linear(2, 2, vec![1.0, 0.0, 0.0, 1.0]);
    let network = |wiring| Network { wiring, ..Network::plain(vec![layer.clone()], Activation::Identity) };
    let of = |wiring, batch, input: &[f64]| {
        reference_forward(isa, &network(wiring), Weights::Stored, batch, input, Keep::Slopes).output.to_f64()
    };
    for size in [1e300, 1e8] {
        let [a, b] = of(Wiring::RmsNorm, 1, &[3.0 * size, -size]).try_into().unwrap();
        let root = 5.0_f64.sqrt();
        assert!((a - 3.0 / root).abs() < 1e-15 && (b + 1.0 / root).abs() < 1e-15, "{size}: {a}, {b}");
    }
    // Far below the root of ε: z / sqrt(1e-5).
    for size in [1e-300, 1e-20] {
        let [a, _] = of(Wiring::RmsNorm, 1, &[3.0 * size, -size]).try_into().unwrap();
        assert!((a / (3.0 * size) / 1e5_f64.sqrt() - 1.0).abs() < 1e-15, "{size}: {a}");
    }
    assert_eq!(of(Wiring::RmsNorm, 2, &[0.0; 4]), [0.0; 4]);
    assert_eq!(of(Wiring::BatchNorm, 2, &[7.0, 1.0, 7.0, 1.0]), [0.0; 4]);
    let [a, _, b, _] = of(Wiring::BatchNorm, 2, &[1e9 + 1.0, 0.0, 1e9 - 1.0, 0.0]).try_into().unwrap();
    assert!((a - 1.0 / 1.00001_f64.sqrt()).abs() < 1e-15 && a == -b, "{a}, {b}");
    assert!(of(Wiring::BatchNorm, 2, &[f64::NAN, 1.0, 2.0, 3.0])[0].is_nan());
}

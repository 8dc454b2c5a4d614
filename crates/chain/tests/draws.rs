//! Drawn networks: their bits, their moments, and what the seed does and does not change.

use gradchain_activations::Activation;
use gradchain_chain::{Decimal, Draw, Init, Network, StandardNormal, Upstream, draw_ends};

fn square(init: Init, width: usize, depth: usize) -> Draw {
    Draw::square(init, width, depth, Activation::Identity, 1)
}

fn hash(values: impl IntoIterator<Item = f64>) -> u64 {
    let bytes = values.into_iter().flat_map(|x| x.to_bits().to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn all_numbers(network: &Network) -> Vec<f64> {
    network
        .layers
        .iter()
        .flat_map(|layer| layer.weights.iter().chain(layer.bias.iter().flatten()).copied())
        .collect()
}

/// The stream of the generator and the bits of the draws, pinned: a change here changes every published seed.
#[test]
fn golden_hashes() {
    let got = [
        ("gaussian", hash(all_numbers(&Draw { bias_scale: 0.5, ..square(Init::Gaussian, 9, 5) }.network()))),
        ("xavier", hash(all_numbers(&square(Init::Xavier, 9, 5).network()))),
        ("he", hash(all_numbers(&square(Init::He, 9, 5).network()))),
        ("torch", hash(all_numbers(&square(Init::Torch, 9, 5).network()))),
        ("orthogonal", hash(all_numbers(&square(Init::Orthogonal, 9, 5).network()))),
        ("ends", {
            let ends = draw_ends((9, 9), 3, Upstream::Normal, 1, 2);
            hash(ends.input.into_iter().chain(ends.upstream))
        }),
    ];
    let golden: [(&str, u64); 6] = [
        ("gaussian", 0x3963_6524_9cc2_8b9b),
        ("xavier", 0x1c46_4948_ead2_7687),
        ("he", 0xb9f6_7cd6_51e0_2be2),
        ("torch", 0xc4db_0a9d_630a_a03a),
        ("orthogonal", 0xf37d_9334_4f5b_7499),
        ("ends", 0x2921_0bac_d659_6f8d),
    ];
    assert_eq!(got, golden, "{got:#x?}");
}

/// Mean 0 and the variance that the initialisation promises, within 4 standard errors: of the mean sqrt(V/N), of the variance V sqrt((k - 1)/N)
/// with the kurtosis k = 3 of normal and 9/5 of uniform numbers.
#[test]
fn moments() {
    let width = 100;
    for (init, variance, kurtosis) in [
        (Init::Gaussian, 0.01, 3.0),
        (Init::LeCun, 0.01, 3.0),
        (Init::He, 0.02, 3.0),
        (Init::Xavier, 0.01, 1.8),
        (Init::Torch, 0.01 / 3.0, 1.8),
        (Init::Orthogonal, 0.01, 3.0),
    ] {
        let network = Draw { weight_scale: 2.0, ..square(init, width, 10) }.network();
        let weights: Vec<f64> =
            network.layers.iter().flat_map(|layer| layer.weights.iter().copied()).collect();
        let n = weights.len() as f64;
        let variance = 4.0 * variance;
        let mean = weights.iter().sum::<f64>() / n;
        let square = weights.iter().map(|w| w * w).sum::<f64>() / n;
        assert!(mean.abs() < 4.0 * (variance / n).sqrt(), "{init:?}: mean {mean}");
        assert!(
            (square / variance - 1.0).abs() < 4.0 * ((kurtosis - 1.0) / n).sqrt(),
            "{init:?}: variance {square}"
        );
    }
}

#[test]
fn orthogonal_matrices_are_orthogonal_in_every_shape() {
    for (inputs, outputs) in [(7, 7), (3, 8), (8, 3), (1, 5), (5, 1)] {
        let draw = Draw { inputs, outputs, depth: 1, ..square(Init::Orthogonal, 4, 1) };
        let w = &draw.network().layers[0].weights;
        // W^T W or W W^T, whichever is smaller, is the identity to rounding.
        let (few, long) = (inputs.min(outputs), inputs.max(outputs));
        let at = |few: usize, long: usize| {
            if inputs <= outputs { w[long * inputs + few] } else { w[few * inputs + long] }
        };
        for a in 0..few {
            for b in 0..few {
                let dot: f64 = (0..long).map(|k| at(a, k) * at(b, k)).sum();
                assert!(
                    (dot - f64::from(a == b)).abs() < 1e-15 * long as f64,
                    "{inputs} x {outputs}: {a}, {b}: {dot}"
                );
            }
        }
    }
}

#[test]
fn gains() {
    let gain: Decimal = "0.8".parse().unwrap();
    let other: Decimal = "1.5".parse().unwrap();
    let network = square(Init::Constant(gain), 1, 3).network();
    assert!(
        network
            .layers
            .iter()
            .all(|layer| layer.weights == [0.8] && layer.weights_rest.as_deref() == Some(&[gain.rest][..]))
    );
    // The gradient passes the last layer first: that one has the first gain.
    let weights = |depth| -> Vec<f64> {
        square(Init::Alternating(other, gain), 1, depth)
            .network()
            .layers
            .iter()
            .map(|layer| layer.weights[0])
            .collect()
    };
    assert_eq!((weights(3), weights(4)), (vec![1.5, 0.8, 1.5], vec![0.8, 1.5, 0.8, 1.5]));
}

/// At larger widths a gain multiplies an orthogonal matrix: every row has it for its norm.
#[test]
fn gains_of_matrices() {
    let network = square(Init::Constant("0.8".parse().unwrap()), 6, 2).network();
    for row in network.layers.iter().flat_map(|layer| layer.weights.chunks_exact(6)) {
        let norm = row.iter().map(|w| w * w).sum::<f64>().sqrt();
        assert!((norm - 0.8).abs() < 1e-15, "{norm}");
    }
    assert!(network.layers.iter().all(|layer| layer.weights_rest.is_none()));
}

/// A drawn gain is `mean + sd · z` for the normal number z that comes next, one a layer.
#[test]
fn random_gains() {
    let gains = |mean, sd| -> Vec<f64> {
        let network = square(Init::RandomGain { mean, sd }, 1, 1000).network();
        network.layers.iter().map(|layer| layer.weights[0]).collect()
    };
    let normal: Vec<f64> =
        square(Init::Gaussian, 1, 1000).network().layers.iter().map(|layer| layer.weights[0]).collect();
    assert_eq!(gains(0.0, 1.0), normal);
    assert_eq!(gains(0.5, 0.25), normal.iter().map(|z| 0.5 + 0.25 * z).collect::<Vec<f64>>());
}

#[test]
fn draws_differ_by_number_and_seed_and_share_their_ends() {
    let network = |number, seed| Draw { number, seed, ..square(Init::Gaussian, 4, 2) }.network();
    assert_eq!(network(0, 1), network(0, 1));
    assert_ne!(network(0, 1), network(1, 1));
    assert_ne!(network(0, 1), network(0, 2));
    let ends = |upstream| draw_ends((4, 4), 2, upstream, 1, 0);
    assert_eq!(ends(Upstream::Unit).upstream, [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
    assert_eq!(ends(Upstream::Ones).upstream, [1.0; 8]);
    assert_eq!(ends(Upstream::Ones).input, ends(Upstream::Normal).input);
    assert!(square(Init::Gaussian, 3, 0).network().layers.is_empty());
}

/// Whole vectors of normal numbers are those that come one by one, on either side of the seams of a vector.
#[test]
fn filling_is_sampling() {
    use rand::SeedableRng;
    use rand_distr::Distribution;
    for size in [0, 1, 7, 255, 256, 257, 1000] {
        let [mut one, mut all] = [1, 1].map(rand_chacha::ChaCha8Rng::seed_from_u64);
        let mut filled = vec![0.0; size];
        StandardNormal.fill(&mut all, &mut filled);
        let sampled: Vec<f64> = StandardNormal.sample_iter(&mut one).take(size).collect();
        assert_eq!(
            filled.iter().map(|x| x.to_bits()).collect::<Vec<_>>(),
            sampled.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
        );
    }
}

//! Laws of norms of products: tables, a second derivation by Laplace transforms, and simulation.

mod common;

use common::{check, normal_matrix, standard_normal, times};
use gradchain_theory::products::{
    Ensemble, NormLaw, Step, chain_law, dead_probability, first_order_variance, inverse_widths, square_chain,
};
use gradchain_theory::{Activation, lyapunov, residual};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const LINEAR: (f64, f64) = (1.0, 1.0);
const RELU: (f64, f64) = (0.0, 1.0);

fn gaussian(slopes: (f64, f64), n: usize, depth: usize) -> NormLaw {
    // E‖g‖² is kept: σ_w² = 1, and 2 for ReLU.
    let variance = if slopes.0 == 1.0 { 1.0 } else { 2.0 };
    square_chain(Ensemble::Gaussian, slopes, n, depth, variance).unwrap()
}

/// n, d: mean and variance of ln‖g‖², linear and ReLU-He; mean of log2‖g‖, linear and ReLU-He.
const LAWS: [(usize, usize, [&str; 6]); 7] = [
    (16, 50, ["-3.19000319", "6.65685073", "-8.81986622", "20.9796697", "-2.30110089", "-6.36218863"]),
    (32, 50, ["-1.57876970", "3.22468917", "-4.12701040", "8.87488936", "-1.13884161", "-2.97700872"]),
    (64, 100, ["-1.57063723", "3.17433665", "-4.01085988", "8.29973506", "-1.13297527", "-2.89322383"]),
    (100, 100, ["-1.00333320", "2.02013332", "-2.54208856", "5.19399921", "-0.72375192", "-1.83372928"]),
    (128, 64, ["-0.50130205", "1.00785319", "-1.26632972", "2.57497553", "-0.36161299", "-0.91346380"]),
    (256, 100, ["-0.39113362", "0.78430971", "-0.98286594", "1.98187089", "-0.28214327", "-0.70898791"]),
    (1000, 100, ["-0.10003333", "0.20020013", "-0.25040954", "0.50185853", "-0.07215880", "-0.18063230"]),
];

#[test]
fn table_of_laws() {
    for (n, depth, [mean, variance, relu_mean, relu_variance, log2, relu_log2]) in LAWS {
        let (linear, relu) = (gaussian(LINEAR, n, depth), gaussian(RELU, n, depth));
        let what = format!("{n} {depth}");
        check(&what, linear.mean, mean);
        check(&what, linear.variance, variance);
        check(&what, relu.mean, relu_mean);
        check(&what, relu.variance, relu_variance);
        check(&what, linear.mean_log2_norm(), log2);
        check(&what, relu.mean_log2_norm(), relu_log2);
        // E‖g‖² = 1 and E‖g‖⁴ = (1 + 2/n)^d, (1 + 5/n)^d.
        let fourth = |law: NormLaw, c: f64| law.ln_moment2 - depth as f64 * libm::log1p(c / n as f64);
        for (law, c) in [(linear, 2.0), (relu, 5.0)] {
            assert!(law.ln_moment1.abs() < 1e-12 && fourth(law, c).abs() < 1e-11, "{law:?}");
        }
    }
    check("orthogonal", square_chain(Ensemble::Orthogonal, RELU, 64, 1, 2.0).unwrap().mean, "-0.0244022266");
    check(
        "orthogonal",
        square_chain(Ensemble::Orthogonal, RELU, 64, 1, 2.0).unwrap().variance,
        "0.0512539840",
    );
    check("orthogonal", square_chain(Ensemble::Orthogonal, RELU, 100, 1, 2.0).unwrap().mean, "-0.0153875536");
    check(
        "orthogonal",
        square_chain(Ensemble::Orthogonal, RELU, 100, 1, 2.0).unwrap().variance,
        "0.0317386589",
    );
    let still = square_chain(Ensemble::Orthogonal, LINEAR, 64, 100, 1.0).unwrap();
    assert_eq!((still.mean, still.variance), (0.0, 0.0));
    assert_eq!((still.probability_below(0.1), still.probability_below(-0.1)), (1.0, 0.0));
}

#[test]
fn lyapunov_exponents() {
    let rows = [
        (1, "-0.635181423", "4.934802"),
        (2, "-0.288607832", "1.644934"),
        (4, "-0.135181423", "0.644934"),
        (8, "-0.065088346", "0.283823"),
        (16, "-0.0319000319", "0.133137015"),
        (64, "-0.00785318613", "0.0317433665"),
        (100, "-0.00501666600", "0.0202013332"),
        (256, "-0.00195566812", "0.00784309705"),
        (1000, "-0.000500166667", "0.00200200133"),
    ];
    for (n, first, variance) in rows {
        check("lambda_1", lyapunov::exponent(n, 1, 1.0).unwrap(), first);
        let law = gaussian(LINEAR, n, 1);
        check("variance", law.variance, variance);
        assert!((law.mean - 2.0 * lyapunov::exponent(n, 1, 1.0).unwrap()).abs() < 1e-15);
    }
    let spectrum = lyapunov::spectrum(4, 1.0).unwrap();
    for (k, text) in ["-0.13518142", "-0.3283286", "-0.63518142", "-1.3283286"].into_iter().enumerate() {
        check("n = 4", spectrum[k], text);
    }
    let errors = ["0.0028", "0.0034", "0.0045", "0.0079"];
    for (k, text) in errors.into_iter().enumerate() {
        check("error", lyapunov::standard_error(4, k + 1, 20_000).unwrap(), text);
    }
    // A scale adds its logarithm; n times as many digits are kept at huge widths.
    assert!(
        (lyapunov::exponent(7, 3, 9.0).unwrap() - lyapunov::exponent(7, 3, 1.0).unwrap() - libm::log(3.0))
            < 1e-15
    );
    let far = lyapunov::exponent(1 << 30, 1, 1.0).unwrap();
    assert!((far * f64::from(1 << 30) / -0.5 - 1.0).abs() < 1e-9, "{far}");
    assert!(lyapunov::exponent(4, 5, 1.0).is_err() && lyapunov::exponent(4, 0, 1.0).is_err());
    assert!(lyapunov::spectrum(0, 1.0).is_err() && lyapunov::spectrum(3, f64::NAN).is_err());
}

/// `E ln S = ∫ (e^-t - E e^(-t S)) dt/t` knows nothing of digamma, binomials or betas: with n numbers z² that pass by D², the Laplace transform
/// of S is a power of that of one of them.
#[test]
fn means_by_laplace_transforms() {
    for (n, a) in [
        (1, 0.0),
        (2, 0.0),
        (5, 0.0),
        (16, 0.0),
        (64, 0.0),
        (1, 0.3),
        (3, 0.01),
        (7, 0.5),
        (64, 0.01),
        (64, 0.9),
    ] {
        let one = |t: f64| 0.5 / (1.0 + 2.0 * t).sqrt() + 0.5 / (1.0 + 2.0 * a * a * t).sqrt();
        let dead = if a == 0.0 { libm::pow(0.5, n as f64) } else { 0.0 };
        // Trapezoids over ln t, with both ends falling to nothing.
        let step = 1.0 / 64.0;
        let mut sum = 0.0;
        for k in (-64 * 45)..(64 * 240) {
            let t = libm::exp(f64::from(k) * step);
            sum += step * ((1.0 - dead) * libm::exp(-t) - (libm::pow(one(t), n as f64) - dead));
        }
        let mean = sum / (1.0 - dead) + libm::log(1.0 / n as f64);
        let matrix = Step::Gaussian { width: n, entry_variance: 1.0 / n as f64 };
        let law = chain_law([matrix, Step::Gate { width: n, negative_slope: a }]).unwrap();
        assert!((law.mean - mean).abs() < 1e-12, "{n} {a}: {} {mean}", law.mean);
    }
}

/// Rectangular layers, forward: the factors are χ² of the widths that come out.
#[test]
fn rectangles() {
    let widths = [7, 30, 12, 5];
    let steps = widths.windows(2).map(|w| Step::Gaussian { width: w[1], entry_variance: 1.0 / w[0] as f64 });
    let law = chain_law(steps).unwrap();
    assert!((law.ln_moment1 - libm::log(5.0 / 7.0)).abs() < 1e-14);
    let mut moment2 = 25.0 / 49.0;
    for n in &widths[1..] {
        moment2 *= 1.0 + 2.0 / *n as f64;
    }
    assert!((law.ln_moment2 - libm::log(moment2)).abs() < 1e-14);
    // An orthogonal matrix that loses dimensions is a Gaussian one over the chi-square of its input.
    let (to, from) = (5, 9);
    let lossy = Step::Orthogonal { from, to, gain: 1.0 }.law().unwrap();
    let (small, large) = (gaussian(LINEAR, to, 1), gaussian(LINEAR, from, 1));
    assert!((lossy.mean - (small.mean - large.mean + libm::log(5.0 / 9.0))).abs() < 1e-14);
    assert!((lossy.variance - (small.variance - large.variance)).abs() < 1e-14);
    let kept = Step::Orthogonal { from: 5, to: 9, gain: 3.0 }.law().unwrap();
    assert_eq!((kept.variance, kept.mean), (0.0, 2.0 * libm::log(3.0)));
}

#[test]
fn dead_networks() {
    for (n, depth, text) in [(4, 20, "0.72494"), (8, 50, "0.177737"), (10, 100, "0.0930827")] {
        check("dead", gaussian(RELU, n, depth).dead_probability(), text);
        check("dead", dead_probability(std::iter::repeat_n(n, depth)).unwrap(), text);
    }
    assert!((dead_probability([60]).unwrap() / libm::exp2(-60.0) - 1.0).abs() < 1e-15);
    assert_eq!(gaussian(RELU, 1, 5).dead_probability(), 1.0 - 1.0 / 32.0);
    assert_eq!(inverse_widths([4, 8]).unwrap(), 0.375);
    assert_eq!(first_order_variance(0.5, 100).unwrap(), 0.05);
    let exact = gaussian(RELU, 4096, 1).variance;
    assert!((exact * 4096.0 - 5.0).abs() < 0.01, "{exact}");
}

/// Sample mean and variance of ln‖g‖² within 4 standard errors: `√(V/N)`, and `V √((κ + 2)/N)` with the excess kurtosis κ of the logarithm, here
/// at most 1.
#[track_caller]
fn agrees(what: &str, sample: &[f64], law: NormLaw) {
    let count = sample.len() as f64;
    let mean = sample.iter().sum::<f64>() / count;
    let variance = sample.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (count - 1.0);
    let z = (mean - law.mean) / (law.variance / count).sqrt();
    assert!(z.abs() < 4.0, "{what}: mean {mean} for {}, z = {z}", law.mean);
    let ratio = variance / law.variance - 1.0;
    assert!(ratio.abs() < 4.0 * (3.0 / count).sqrt(), "{what}: variance {variance} for {}", law.variance);
}

/// Matrices, a real forward pass for the gates, and a random upstream gradient.
#[test]
fn simulated_networks() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    for (a, n, depth) in [(1.0, 6, 8), (0.0, 8, 5), (0.2, 6, 5)] {
        let (mut sample, mut dead, draws) = (Vec::new(), 0, 4000);
        for _ in 0..draws {
            let scale = (2.0 / (1.0 + a * a) / n as f64).sqrt();
            let mut x: Vec<f64> = (0..n).map(|_| standard_normal(&mut rng)).collect();
            let mut layers = Vec::new();
            for _ in 0..depth {
                let w = normal_matrix(&mut rng, n, n, scale);
                let h = times(&w, &x);
                let slopes: Vec<f64> = h.iter().map(|&h| if h < 0.0 { a } else { 1.0 }).collect();
                x = h.iter().zip(&slopes).map(|(h, s)| h * s).collect();
                layers.push((w, slopes));
            }
            let mut g: Vec<f64> = (0..n).map(|_| standard_normal(&mut rng)).collect();
            let before: f64 = g.iter().map(|g| g * g).sum();
            for (w, slopes) in layers.iter().rev() {
                let gated: Vec<f64> = g.iter().zip(slopes).map(|(g, s)| g * s).collect();
                g = (0..n).map(|j| (0..n).map(|i| w[i][j] * gated[i]).sum()).collect();
            }
            let after: f64 = g.iter().map(|g| g * g).sum();
            if after == 0.0 { dead += 1 } else { sample.push(libm::log(after / before)) }
        }
        let law = square_chain(Ensemble::Gaussian, (a, 1.0), n, depth, 2.0 / (1.0 + a * a)).unwrap();
        agrees(&format!("slope {a}"), &sample, law);
        let (p, part) = (law.dead_probability(), f64::from(dead) / f64::from(draws));
        assert!(
            (part - p).abs() <= 4.0 * (p * (1.0 - p) / f64::from(draws)).sqrt(),
            "slope {a}: {part} for {p}"
        );
    }
}

/// A vector of random direction through the gate alone, as an orthogonal matrix leaves it; and linear residual layers.
#[test]
fn simulated_gates_and_residuals() {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    for (n, a) in [(6, 0.0), (5, 0.3), (40, 0.05)] {
        let mut sample = Vec::new();
        while sample.len() < 20_000 {
            let (mut before, mut after) = (0.0, 0.0);
            for _ in 0..n {
                let z = standard_normal(&mut rng);
                let slope = if rng.random::<bool>() { 1.0 } else { a };
                before += z * z;
                after += slope * slope * z * z;
            }
            if after > 0.0 {
                sample.push(libm::log(after / before));
            }
        }
        let law = Step::Gate { width: n, negative_slope: a }.law().unwrap();
        // Few open gates of few make a long tail to the left: the kurtosis is measured, not bounded by 1.
        let count = sample.len() as f64;
        let mean = sample.iter().sum::<f64>() / count;
        let moment =
            |power: f64| sample.iter().map(|x| libm::pow((x - mean).abs(), power)).sum::<f64>() / count;
        assert!(
            (mean - law.mean).abs() < 4.0 * (law.variance / count).sqrt(),
            "{n} {a}: {mean} {}",
            law.mean
        );
        let error = ((moment(4.0) - moment(2.0) * moment(2.0)) / count).sqrt();
        assert!(
            (moment(2.0) - law.variance).abs() < 4.0 * error,
            "{n} {a}: {} {}",
            moment(2.0),
            law.variance
        );
    }
    for (n, alpha) in [(5, 1.0), (12, 0.2), (3, 4.0)] {
        let mut sample = Vec::new();
        for _ in 0..20_000 {
            // Any fixed vector: the first unit vector, and a column of W.
            let norm2: f64 = (0..n)
                .map(|i| {
                    f64::from(u8::from(i == 0)) + alpha / f64::sqrt(n as f64) * standard_normal(&mut rng)
                })
                .map(|x| x * x)
                .sum();
            sample.push(libm::log(norm2));
        }
        agrees(&format!("residual {n} {alpha}"), &sample, residual::linear_law(n, alpha, 1.0).unwrap());
    }
}

/// P7 in small: QR by Gram and Schmidt over 3000 layers, exponents within 4 standard errors. The logarithms of R's diagonal are exactly independent.
#[test]
fn simulated_lyapunov_spectrum() {
    let mut rng = ChaCha8Rng::seed_from_u64(14);
    let (n, depth, weight_variance) = (4, 3000, 1.7);
    let mut frame: Vec<Vec<f64>> =
        (0..n).map(|i| (0..n).map(|k| f64::from(u8::from(i == k))).collect()).collect();
    let mut logarithms = vec![0.0; n];
    for _ in 0..depth {
        let w = normal_matrix(&mut rng, n, n, f64::sqrt(weight_variance / n as f64));
        frame = frame.iter().map(|column| times(&w, column)).collect();
        for (k, logarithm) in logarithms.iter_mut().enumerate() {
            let (done, rest) = frame.split_at_mut(k);
            for earlier in done {
                let along: f64 = earlier.iter().zip(&rest[0]).map(|(a, b)| a * b).sum();
                rest[0].iter_mut().zip(&*earlier).for_each(|(x, e)| *x -= along * e);
            }
            let norm = rest[0].iter().map(|x| x * x).sum::<f64>().sqrt();
            rest[0].iter_mut().for_each(|x| *x /= norm);
            *logarithm += libm::log(norm);
        }
    }
    let spectrum = lyapunov::spectrum(n, weight_variance).unwrap();
    for k in 0..n {
        let (measured, error) =
            (logarithms[k] / depth as f64, lyapunov::standard_error(n, k + 1, depth).unwrap());
        assert!(
            (measured - spectrum[k]).abs() < 4.0 * error,
            "{k}: {measured} ± {error} for {}",
            spectrum[k]
        );
    }
    let sum: f64 = spectrum.iter().sum();
    assert_eq!(lyapunov::mean_log_determinant(n, weight_variance).unwrap(), sum);
}

#[test]
fn residual_laws() {
    for (n, alpha) in [(1, 1.0), (16, 0.125), (100, 3.0), (64, 1e-3)] {
        let law = residual::linear_law(n, alpha, 1.0).unwrap();
        assert!((law.ln_moment1 - libm::log1p(alpha * alpha)).abs() < 1e-15);
        assert!(law.mean < law.ln_moment1 && law.ln_moment2 > 2.0 * law.ln_moment1);
    }
    // The branch alone, in the limit of large α.
    let (branch, wide) = (gaussian(LINEAR, 9, 1), residual::linear_law(9, 1e9, 1e-18 * 4.0).unwrap());
    assert!(
        (residual::linear_law(9, 1e9, 1.0).unwrap().mean - branch.mean - 2.0 * libm::log(1e9)).abs() < 1e-12
    );
    assert!(wide.variance > 0.0);
    // The expansion meets the sum: means 1/(2β²) just below and above 1e8.
    let at = |half: f64| residual::linear_law(64, (0.5 / half * 64.0).sqrt(), 1.0).unwrap();
    let (below, above) = (at(0.999e8), at(1.001e8));
    assert!((below.variance * 0.999 / (above.variance * 1.001) - 1.0).abs() < 1e-8, "{below:?} {above:?}");
    assert!((below.mean * 0.999 / (above.mean * 1.001) - 1.0).abs() < 1e-6, "{below:?} {above:?}");
    assert_eq!(residual::linear_law(64, 0.0, 1.0).unwrap(), NormLaw::ONE);
    assert!(residual::linear_law(64, 1e200, 1.0).is_err());
    assert!(residual::linear_law(0, 1.0, 1.0).is_err());
}

#[test]
fn edges_of_parameters() {
    // Without layers, of width one, and of the largest width.
    assert_eq!(gaussian(RELU, 16, 0), NormLaw::ONE);
    assert_eq!(chain_law([]).unwrap(), NormLaw::ONE);
    let one = gaussian(RELU, 1, 1);
    // Given that it lives: ln 2z², z standard normal.
    check("one", one.variance, "4.934802");
    let widest = Step::Gate { width: 1 << 32, negative_slope: 0.0 }.law().unwrap();
    assert!((widest.variance * libm::exp2(32.0) - 3.0 + 2.0).abs() < 3.0, "{widest:?}");
    // A leaky gate of slope 1 does nothing; of a small slope it is the one of ReLU, but for dead vectors.
    let open = Step::Gate { width: 9, negative_slope: 1.0 }.law().unwrap();
    assert!(open.mean.abs() < 1e-12 && open.variance.abs() < 1e-12);
    let (leaky, relu) = (
        Step::Gate { width: 40, negative_slope: 1e-9 }.law().unwrap(),
        Step::Gate { width: 40, negative_slope: 0.0 }.law().unwrap(),
    );
    assert!((leaky.mean - relu.mean).abs() < 1e-9 && (leaky.variance - relu.variance).abs() < 1e-6);
    for bad in [
        Step::Gaussian { width: 0, entry_variance: 1.0 },
        Step::Gaussian { width: (1 << 32) + 1, entry_variance: 1.0 },
        Step::Gaussian { width: 3, entry_variance: f64::NAN },
        Step::Gaussian { width: 3, entry_variance: 0.0 },
        Step::Orthogonal { from: 3, to: 0, gain: 1.0 },
        Step::Orthogonal { from: 3, to: 3, gain: -1.0 },
        Step::Gate { width: 3, negative_slope: 1.5 },
        Step::Gate { width: 3, negative_slope: f64::NAN },
        Step::Gate { width: 1 << 23, negative_slope: 0.5 },
    ] {
        let error = bad.law().unwrap_err().to_string();
        assert!(error.contains("allowed: "), "{error}");
    }
    assert!(square_chain(Ensemble::Gaussian, (0.0, 2.0), 4, 4, 1.0).is_err());
    assert!(gaussian(RELU, 64, 100).probability_below(f64::NAN).is_nan());
    let law = gaussian(RELU, 64, 100);
    assert_eq!(law.probability_below(law.mean), 0.5);
    check("one deviation", law.probability_below(law.mean - law.variance.sqrt()), "0.158655254");
    // Slopes of activations by name.
    assert_eq!(Activation::LeakyRelu.homogeneous_slopes(), Some((0.01, 1.0)));
}

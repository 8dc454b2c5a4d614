//! Singular values: published tables, densities against moments, and simulated Jacobians.

mod common;

use common::{check, normal_matrix};
use gradchain_theory::Activation::{self, Relu, Tanh};
use gradchain_theory::criticality::critical_with_weights;
use gradchain_theory::moments::moments;
use gradchain_theory::products::Ensemble::{Gaussian, Orthogonal};
use gradchain_theory::singular_values::{
    fuss_catalan, fuss_catalan_density, largest, moment, quarter_circle_density, quarter_circle_mean,
    second_moment, variance,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

#[test]
fn edges() {
    let rows = [
        (2, "6.75", "11.09017", "4"),
        (5, "14.92992", "27.272773", "12.207031"),
        (10, "28.53116706", "54.410859", "25.811748"),
        (20, "55.71925181", "108.75392", "53.000687"),
        (50, "137.2709895", "271.83724", "134.55266"),
        (100, "273.1861968", "543.6609", "270.4679"),
    ];
    for (depth, linear, relu, orthogonal) in rows {
        check("linear", largest(Gaussian, depth, 1.0).unwrap(), linear);
        check("relu", largest(Gaussian, depth, 0.5).unwrap(), relu);
        check("orthogonal", largest(Orthogonal, depth, 0.5).unwrap(), orthogonal);
        assert_eq!(largest(Orthogonal, depth, 1.0).unwrap(), 1.0);
    }
    // One matrix: 4; one gate: 1/p; e per layer for many layers.
    assert!((largest(Gaussian, 1, 1.0).unwrap() - 4.0).abs() < 1e-14);
    assert!((largest(Orthogonal, 1, 0.3).unwrap() - 1.0 / 0.3).abs() < 1e-14);
    let far = largest(Gaussian, 10_000_000, 1.0).unwrap();
    assert!((far / 1e7 / std::f64::consts::E - 1.0).abs() < 1e-6, "{far}");
    assert_eq!(largest(Gaussian, 0, 0.5).unwrap(), 1.0);
    // The minimiser is one: the formula is above the edge at other z.
    let at = |z: f64| (1.0 + 1.0 / z) * libm::pow(1.0 + z / 0.37, 7.0);
    let edge = largest(Gaussian, 7, 0.37).unwrap();
    let least = (1..40_000).map(|i| at(f64::from(i) * 1e-4)).fold(f64::INFINITY, f64::min);
    assert!(edge <= least && least < edge * (1.0 + 1e-5), "{edge} {least}");
}

#[test]
fn variances() {
    for depth in [1, 7] {
        let d = depth as f64;
        for p in [1.0, 0.5, 0.3] {
            assert!((variance(Gaussian, depth, p, p).unwrap() - d / p).abs() < 1e-13 * d / p);
            assert!((variance(Orthogonal, depth, p, p).unwrap() - d * (1.0 - p) / p).abs() < 1e-13 * d / p);
            // The second moment less the square of the first.
            for ensemble in [Gaussian, Orthogonal] {
                let spread = moment(ensemble, depth, p, 2).unwrap() - 1.0;
                assert!(
                    (spread - variance(ensemble, depth, p, p).unwrap()).abs() < 1e-12 * d / p,
                    "{spread}"
                );
            }
        }
    }
    for (weights, text) in [(1.05, "0.0042689"), (1.76, "0.341689")] {
        let q = critical_with_weights(Tanh, weights).unwrap()[0].variance;
        let m = moments(Tanh, q);
        check("tanh", variance(Orthogonal, 1, m.slope2, m.slope4).unwrap(), text);
    }
    assert!(variance(Gaussian, 3, 0.5, 0.1).is_err());
    let relu = moments(Relu, 1.0);
    assert!((variance(Gaussian, 10, relu.slope2, relu.slope4).unwrap() - 20.0).abs() < 1e-12);
    assert_eq!(Activation::ALL.len(), 13);
}

#[test]
fn fuss_catalan_numbers() {
    // Catalan numbers, and those of two matrices.
    for (k, (one, two)) in
        [(1.0, 1.0), (1.0, 1.0), (2.0, 3.0), (5.0, 12.0), (14.0, 55.0), (42.0, 273.0)].into_iter().enumerate()
    {
        assert!((fuss_catalan(1, k) - one).abs() < 1e-12 && (fuss_catalan(2, k) - two).abs() < 1e-12, "{k}");
        assert!((moment(Gaussian, 2, 1.0, k).unwrap() - two).abs() < 1e-12);
    }
    for depth in [1, 3, 8] {
        for order in 0..9 {
            let exact = fuss_catalan(depth, order);
            assert!((moment(Gaussian, depth, 1.0, order).unwrap() / exact - 1.0).abs() < 1e-12);
            assert_eq!(moment(Orthogonal, depth, 1.0, order).unwrap(), 1.0);
            // The density has all these moments: ∫ x^k ρ dx over the angle, with x' = x ((L + 1)² cot (L + 1)θ - cot θ - L² cot Lθ).
            let (l, steps) = (depth as f64, 20_000);
            let end = std::f64::consts::PI / (l + 1.0);
            let cot = |x: f64| libm::cos(x) / libm::sin(x);
            let sum: f64 = (0..steps)
                .map(|i| {
                    let angle = end * (f64::from(i) + 0.5) / f64::from(steps);
                    let (x, density) = fuss_catalan_density(depth, angle).unwrap();
                    let rate =
                        (l + 1.0) * (l + 1.0) * cot((l + 1.0) * angle) - cot(angle) - l * l * cot(l * angle);
                    -libm::pow(x, order as f64 + 1.0) * density * rate * end / f64::from(steps)
                })
                .sum();
            assert!((sum / exact - 1.0).abs() < 1e-6, "{depth} {order}: {sum} {exact}");
        }
        let (edge, density) = fuss_catalan_density(depth, 1e-6).unwrap();
        assert!((edge / largest(Gaussian, depth, 1.0).unwrap() - 1.0).abs() < 1e-9 && density < 1e-4);
    }
    assert!(fuss_catalan(1000, 10_000).is_infinite());
    assert_eq!((fuss_catalan(0, usize::MAX), fuss_catalan(3, usize::MAX)), (1.0, f64::INFINITY));
    assert!(moment(Gaussian, 3, 0.5, 501).is_err());
    assert!(moment(Gaussian, usize::MAX, 1e-300, 500).unwrap().is_infinite());
    assert_eq!(moment(Gaussian, 0, 0.5, 500).unwrap(), 1.0);
    assert!(fuss_catalan_density(3, 0.0).is_err() && fuss_catalan_density(3, 0.8).is_err());
    assert!(fuss_catalan_density(0, 0.1).is_err() && fuss_catalan_density(3, f64::NAN).is_err());
}

/// One orthogonal matrix behind a gate has the squared singular values 1/p and 0; two with halves have moments that are whole numbers over powers
/// of two.
#[test]
fn orthogonal_moments() {
    for p in [0.5, 0.9, 0.01] {
        for order in 1..40 {
            let exact = libm::pow(p, 1.0 - order as f64);
            assert!((moment(Orthogonal, 1, p, order).unwrap() / exact - 1.0).abs() < 1e-13, "{p} {order}");
        }
    }
    // (1/3) (3 + 2 · 6 + 15) by hand.
    assert_eq!(moment(Orthogonal, 2, 0.5, 3).unwrap(), 10.0);
    assert_eq!(moment(Orthogonal, 0, 0.5, 3).unwrap(), 1.0);
    assert_eq!(moment(Gaussian, 0, 0.5, 3).unwrap(), 1.0);
}

/// High moments grow like powers of the edge, in every ensemble.
#[test]
fn moments_know_the_edge() {
    for (ensemble, depth, p) in
        [(Gaussian, 3, 0.5), (Gaussian, 2, 0.9), (Orthogonal, 3, 0.5), (Orthogonal, 30, 0.9)]
    {
        let of = |k| moment(ensemble, depth, p, k).unwrap();
        // m_(k+1)/m_k -> edge (1 - 3/(2k)) for a density that ends like a square root.
        let k = 60;
        let ratio = of(k + 1) / of(k) / (1.0 - 1.5 / (k as f64 + 1.0));
        let edge = largest(ensemble, depth, p).unwrap();
        assert!((ratio / edge - 1.0).abs() < 3e-3, "{ensemble:?} {depth} {p}: {ratio} {edge}");
    }
}

#[test]
fn second_moments_at_finite_width() {
    check("linear", second_moment(128, 10, 1.0).unwrap(), "11.4607059");
    check("linear", second_moment(256, 10, 1.0).unwrap(), "11.22249639");
    check("relu", second_moment(128, 10, 0.5).unwrap(), "24.42811439");
    check("relu", second_moment(256, 10, 0.5).unwrap(), "22.61529498");
    assert!((second_moment(1 << 32, 10, 0.5).unwrap() - 21.0).abs() < 1e-6);
    assert_eq!(second_moment(8, 0, 0.5).unwrap(), 1.0);
    // Any depth, at once.
    assert!(second_moment(1 << 32, 1 << 20, 1.0).unwrap() > 1e6);
    assert_eq!(second_moment(16, usize::MAX, 0.5).unwrap(), f64::INFINITY);
    assert_eq!(second_moment(2, 5000, 0.5).unwrap(), f64::INFINITY);
    // Width 1: (3/p)^d.
    assert!((second_moment(1, 4, 0.5).unwrap() - 1296.0).abs() < 1e-10);
    // Simulated: 4 standard errors.
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let (n, depth, draws) = (12, 3, 600);
    for p in [1.0, 0.5] {
        let mut samples = Vec::new();
        for _ in 0..draws {
            let mut j: Vec<Vec<f64>> =
                (0..n).map(|i| (0..n).map(|k| f64::from(u8::from(i == k))).collect()).collect();
            for _ in 0..depth {
                let w = normal_matrix(&mut rng, n, n, (1.0 / (p * n as f64)).sqrt());
                j = w
                    .iter()
                    .map(|row| {
                        let open = if p == 1.0 || rng.random::<f64>() < p { 1.0 } else { 0.0 };
                        (0..n).map(|k| open * (0..n).map(|i| row[i] * j[i][k]).sum::<f64>()).collect()
                    })
                    .collect();
            }
            let mut square = 0.0;
            for a in &j {
                for b in &j {
                    let inner: f64 = a.iter().zip(b).map(|(x, y)| x * y).sum();
                    square += inner * inner;
                }
            }
            samples.push(square / n as f64);
        }
        let mean = samples.iter().sum::<f64>() / f64::from(draws);
        let spread = samples.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / f64::from(draws - 1);
        let exact = second_moment(n, depth, p).unwrap();
        assert!((mean - exact).abs() < 4.0 * (spread / f64::from(draws)).sqrt(), "{p}: {mean} {exact}");
    }
}

#[test]
fn quarter_circle() {
    check("one", quarter_circle_mean(1.0).unwrap(), "0.848826");
    check("standard", quarter_circle_mean(1.0 / 3.0).unwrap(), "0.490070");
    // The density has this mean, and the variance as its mean square.
    for variance in [1.0, 0.3] {
        let (steps, end) = (200_000, 2.0 * f64::sqrt(variance));
        let (mut mass, mut mean, mut square) = (0.0, 0.0, 0.0);
        for i in 0..steps {
            let s = end * (f64::from(i) + 0.5) / f64::from(steps);
            let part = quarter_circle_density(variance, s).unwrap() * end / f64::from(steps);
            (mass, mean, square) = (mass + part, mean + part * s, square + part * s * s);
        }
        assert!((mass - 1.0).abs() < 1e-7 && (square - variance).abs() < 1e-7);
        assert!((mean - quarter_circle_mean(variance).unwrap()).abs() < 1e-7);
        assert_eq!(quarter_circle_density(variance, end * 1.001).unwrap(), 0.0);
    }
    assert!(quarter_circle_mean(-1.0).is_err() && quarter_circle_density(0.0, 1.0).is_err());
    for p in [0.0, 1.5, f64::NAN] {
        assert!(
            largest(Gaussian, 3, p).is_err()
                && moment(Gaussian, 3, p, 2).is_err()
                && second_moment(3, 3, p).is_err()
        );
    }
}

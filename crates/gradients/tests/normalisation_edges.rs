//! Normalisation layers at the edges: exact results, equal numbers, nothing to divide by, infinities, NaN, bad calls.

mod common;

use common::batch::{Batch, plain, run};
use common::numbers::{assert_same, native, same};
use gradchain_arith::{Emulated, Format, Rounding, Rules, bf16, f16};
use gradchain_gradients::layers::{Affine, NormLayer, backward, forward, parameter_gradients, statistics};

/// Results that are short numbers are found exactly: ties then go to even, and what cancels is zero.
#[test]
fn exact_results() {
    for (width, x) in [(1, -0.375), (3, 0.1), (7, 1e300), (1000, -f64::from_bits(1)), (16, f64::MAX)] {
        let row = vec![x; width];
        let gradient: Vec<f64> = (0..width).map(|i| i as f64 - 3.0).collect();
        let rms = run(&native::<f64>(), &plain(NormLayer::RmsNorm, 0.0, width, &row, &gradient));
        assert_same(&rms.y, &vec![x.signum(); width]);
        assert_eq!(rms.statistics.mean(0), 0.0);
        let layer = run(&native::<f64>(), &plain(NormLayer::LayerNorm, 1e-5, width, &row, &gradient));
        assert_same(&layer.y, &vec![0.0; width]);
        assert_eq!((layer.statistics.mean(0), layer.statistics.variance(0)), (x, 0.0));
    }
    // b + w x̂ halfway between two numbers of f16, with x̂ = ±1 from a root that is not a short number.
    let ulp = f64::powi(2.0, -10);
    let mut batch = plain(NormLayer::RmsNorm, 0.0, 3, &[0.1; 3], &[1.0; 3]);
    batch.weight = vec![ulp / 2.0, 1.5 * ulp, -ulp / 2.0];
    batch.bias = vec![1.0, 1.0, 1.0 + ulp];
    assert_same(&run(&native::<f16>(), &batch).y, &[1.0, 1.0 + 2.0 * ulp, 1.0]);
    // 2^-80 below halfway, which f64 cannot see: down, where the tie would go up.
    let mut batch = plain(NormLayer::UnitNorm, 0.0, 2, &[65504.0, f64::powi(2.0, -24)], &[1.0; 2]);
    batch.weight[0] = ulp / 2.0;
    batch.bias[0] = 1.0 + ulp;
    assert_eq!(run(&native::<f16>(), &batch).y[0], 1.0 + ulp);
    // Directed rounding keeps what is exact.
    for rounding in [Rounding::Up, Rounding::Down, Rounding::Zero, Rounding::Stochastic] {
        let arith = Emulated::new(Format::F16, Rules { rounding, ..Rules::default() }, 1);
        let constant = run(&arith, &plain(NormLayer::UnitNorm, 0.0, 16, &[0.09375; 16], &[1.0; 16]));
        assert_same(&constant.y, &[0.25; 16]);
        // r (γ - mean γ) with r = 2 and the mean 1, of three numbers.
        let thirds = run(&arith, &plain(NormLayer::LayerNorm, 0.25, 3, &[7.0; 3], &[3.0, 0.0, 0.0]));
        assert_same(&thirds.dx, &[4.0, -2.0, -2.0]);
    }
    // Two numbers: x̂ = ±1 whatever they are, so that no gradient passes.
    let batch = plain(NormLayer::LayerNorm, 0.0, 2, &[1e-300, 3.7, 5.0, -1e9], &[1.0, 0.3, -7.0, 1e-5]);
    let layer = run(&native::<f64>(), &batch);
    assert_same(&layer.y, &[-1.0, 1.0, 1.0, -1.0]);
    assert_same(&layer.dx, &[0.0; 4]);
    let columns = run(&native::<f64>(), &Batch { layer: NormLayer::BatchNorm, ..batch });
    assert_same(&columns.y, &[-1.0, 1.0, 1.0, -1.0]);
    assert_same(&columns.dx, &[0.0; 4]);
    let one = run(&native::<f64>(), &plain(NormLayer::RmsNorm, 0.0, 1, &[0.7, -3e-200], &[0.3, 1.0]));
    assert_same(&[one.y, one.dx].concat(), &[1.0, -1.0, 0.0, 0.0]);
}

/// Equal numbers with ε: x̂ = 0, so y is the bias, and dL/dx the deviation of γ over sqrt(ε). One row, one column, and nothing at all.
#[test]
fn equal_numbers_and_none() {
    let mut batch = plain(NormLayer::LayerNorm, 0.25, 2, &[7.0; 4], &[1.0, 4.0, -1.0, 1.0]);
    batch.weight = vec![2.0, -1.0];
    batch.bias = vec![0.5, -3.0];
    let rows = run(&native::<f32>(), &batch);
    assert_same(&rows.y, &[0.5, -3.0, 0.5, -3.0]);
    // γ = 2, -4 and -2, -1; r = 2.
    assert_same(&rows.dx, &[6.0, -6.0, -1.0, 1.0]);
    assert_same(&rows.weight_gradient, &[0.0, 0.0]);
    assert_same(&rows.bias_gradient, &[0.0, 5.0]);
    let factors = [rows.statistics.factor(0), rows.statistics.variance(1), rows.statistics.mean(1)];
    assert_eq!((factors, rows.statistics.len()), ([2.0, 0.0, 7.0], 2));
    // A batch of one row, and rows of one number.
    for (layer, width) in [(NormLayer::BatchNorm, 3), (NormLayer::LayerNorm, 1)] {
        let one = run(&native::<bf16>(), &plain(layer, 1e-5, width, &[1.0, 2.0, -5.0], &[1.0, -2.0, 3.0]));
        assert_same(&one.y, &[0.0; 3]);
        assert_same(&one.dx, &[0.0; 3]);
    }
    for layer in NormLayer::ALL {
        for width in [0, 3] {
            let none = run(&native::<f16>(), &plain(layer, 1e-5, width, &[], &[]));
            assert!(none.y.is_empty() && none.dx.is_empty());
            assert_same(&none.bias_gradient, &vec![0.0; width]);
            let groups = if layer == NormLayer::BatchNorm { width } else { 0 };
            assert_eq!((none.statistics.len(), none.statistics.is_empty()), (groups, groups == 0));
        }
    }
}

/// Nothing to divide by: zeros or equal numbers with ε = 0.
#[test]
fn zero_over_zero() {
    for layer in NormLayer::ALL {
        let x = [0.0, -0.0, 1.0, 2.0];
        let x = if layer == NormLayer::BatchNorm { [x[0], x[2], x[1], x[3]] } else { x };
        let found = run(&native::<f32>(), &plain(layer, 0.0, 2, &x, &[1.0; 4]));
        let bad = (0..4).map(|i| if layer == NormLayer::BatchNorm { i % 2 == 0 } else { i < 2 });
        for (i, bad) in bad.enumerate() {
            assert_eq!((found.y[i].is_nan(), found.dx[i].is_nan()), (bad, bad), "{layer} {i}");
        }
        assert!(found.statistics.factor(0).is_nan() && found.statistics.factor(1) > 0.0);
        // With an ε however small, zeros stay zeros.
        let found = run(&native::<f32>(), &plain(layer, f64::from_bits(1), 2, &x, &[1.0; 4]));
        assert!(found.y.iter().chain(&found.dx).all(|x| !x.is_nan()));
        assert_eq!(found.y[0], 0.0);
    }
    let x = f64::from_bits(1);
    assert_same(&run(&native::<f64>(), &plain(NormLayer::UnitNorm, 0.0, 1, &[-x], &[1.0])).y, &[-1.0]);
}

/// Below ε the unit norm divides by ε and its gradient passes; at ε and above it is projected, as torch's clamp does.
#[test]
fn unit_norm_at_eps() {
    let unit = |x: &[f64]| {
        let found = run(&native::<f64>(), &plain(NormLayer::UnitNorm, 5.0, 2, x, &[1.0, 2.0]));
        [found.y, found.dx].concat()
    };
    assert_same(&unit(&[1.5, 2.0]), &[0.3, 0.4, 0.2, 0.4]);
    // y = (0.6, 0.8), Σ y g = 2.2: (1 - 1.32) / 5 and (2 - 1.76) / 5.
    assert_same(&unit(&[3.0, 4.0]), &[0.6, 0.8, -0.064, 0.048]);
}

/// Infinities and NaN in x, gradient, weight and bias, as the module says.
#[test]
fn not_finite() {
    let (nan, infinity) = (f64::NAN, f64::INFINITY);
    for layer in NormLayer::ALL {
        let columns = layer == NormLayer::BatchNorm;
        let hit = |at: usize, i: usize| if columns { at % 3 == i % 3 } else { at / 3 == i / 3 };
        let usual =
            plain(layer, 1e-5, 3, &[1.0, -2.0, 3.0, -1.5, 2.5, -0.0], &[1.0, 2.0, 3.0, 4.0, 5.0, 7.0]);
        let before = run(&native::<f32>(), &usual);
        for bad in [nan, infinity, -infinity] {
            let mut batch = usual.clone();
            batch.x[3] = bad;
            let found = run(&native::<f32>(), &batch);
            for at in 0..6 {
                let centred = columns || layer == NormLayer::LayerNorm;
                let y = if !hit(at, 3) {
                    before.y[at]
                } else if centred || bad.is_nan() || at == 3 {
                    nan
                } else {
                    // A zero of the sign of x.
                    0.0_f64.copysign(batch.x[at])
                };
                assert!(same(found.y[at], y), "{layer} {bad} {at}: {} not {y}", found.y[at]);
                let dx = if hit(at, 3) { nan } else { before.dx[at] };
                assert!(same(found.dx[at], dx), "{layer} {bad} {at}");
            }
            for j in 0..3 {
                let spoiled = if columns { j == 0 } else { true };
                assert_eq!(found.weight_gradient[j].is_nan(), spoiled);
            }
            assert_same(&found.bias_gradient, &before.bias_gradient);

            let mut batch = usual.clone();
            batch.gradient[4] = bad;
            let found = run(&native::<f32>(), &batch);
            assert_same(&found.y, &before.y);
            for at in 0..6 {
                let dx = if hit(at, 4) { nan } else { before.dx[at] };
                assert!(same(found.dx[at], dx), "{layer} {bad} {at}");
            }
            assert!(found.weight_gradient[1].is_nan() && same(found.bias_gradient[1], bad));
            assert!(same(found.weight_gradient[0], before.weight_gradient[0]));
        }
        let mut batch = usual.clone();
        batch.gradient = vec![infinity, 1.0, 1.0, -infinity, 1.0, 1.0];
        assert_same(&run(&native::<f32>(), &batch).bias_gradient, &[nan, 2.0, 2.0]);
        // An infinite weight: IEEE 754 on x̂, whose zero (x = -0, not centred) gives NaN.
        let mut batch = usual.clone();
        batch.weight[2] = -infinity;
        let found = run(&native::<f32>(), &batch);
        assert_eq!(found.y[2], -infinity.copysign(before.y[2]));
        assert!(if before.y[5] == 0.0 { found.y[5].is_nan() } else { found.y[5].is_infinite() });
        assert!(found.dx[2].is_nan() && found.dx[5].is_nan());
        assert_eq!(found.dx[0].is_nan(), !columns);
        let mut batch = usual.clone();
        batch.bias[0] = infinity;
        let found = run(&native::<f32>(), &batch);
        assert_eq!((found.y[0], found.y[3]), (infinity, infinity));
        assert_same(&found.dx, &before.dx);
    }
}

/// What is refused, and in which words.
#[test]
fn bad_calls() {
    let arith = native::<f32>();
    for eps in [-1e-9, f64::NAN, f64::INFINITY] {
        let error = statistics(&arith, NormLayer::RmsNorm, eps, 2, &[1.0, 2.0]).unwrap_err();
        let allowed = "allowed: 0 and finite positive numbers";
        assert_eq!(error.to_string(), format!("eps = {eps} is out of range; {allowed}"));
    }
    for width in [0, 3] {
        let error = statistics(&arith, NormLayer::BatchNorm, 0.0, width, &[1.0, 2.0]).unwrap_err();
        assert_eq!(error.to_string(), format!("x has 2 numbers; allowed: a multiple of the width {width}"));
    }
    let x = [1.0, 2.0, 4.0, -1.0];
    let statistics = statistics(&arith, NormLayer::LayerNorm, 1e-5, 2, &x).unwrap();
    let mut out = [7.0; 4];
    let message = |result: Result<(), gradchain_gradients::GradientError>| result.unwrap_err().to_string();
    assert_eq!(
        message(forward(&arith, &statistics, &x[..2], Affine::NONE, &mut out)),
        "x has 2 numbers; allowed: 4"
    );
    let affine = Affine { weight: None, bias: Some(&x[..]) };
    assert_eq!(message(forward(&arith, &statistics, &x, affine, &mut out)), "bias has 4 numbers; allowed: 2");
    assert_eq!(
        message(backward(&arith, &statistics, &x, None, &x[1..], &mut out)),
        "gradient has 3 numbers; allowed: 4"
    );
    assert_eq!(
        message(backward(&arith, &statistics, &x, Some(&x[1..]), &x, &mut out)),
        "weight has 3 numbers; allowed: 2"
    );
    let (mut weights, mut biases) = ([7.0; 2], [7.0; 1]);
    assert_eq!(
        message(parameter_gradients(&arith, &statistics, &x, &x, &mut weights, &mut biases)),
        "bias_gradient has 1 numbers; allowed: 2"
    );
    assert!(out == [7.0; 4] && weights == [7.0; 2]);
    for layer in NormLayer::ALL {
        assert_eq!(layer.to_string().parse::<NormLayer>().unwrap(), layer);
    }
    assert_eq!(
        "groupnorm".parse::<NormLayer>().unwrap_err().to_string(),
        "unknown normalisation layer `groupnorm`; known: rmsnorm, layernorm, batchnorm, unitnorm"
    );
}

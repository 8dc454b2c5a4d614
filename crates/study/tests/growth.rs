//! The measure `growth` against exact laws and published factors, with the tolerances that their standard errors give: four of them, which a right program
//! fails once in sixteen thousand times. Expected numbers are of the literature, computed elsewhere, and not taken from this workspace's theory.

use gradchain_arith::Isa;
use gradchain_study::{Activation, Cell, Init, Measure, Remedy, Row, Value, measure};

fn row(cell: &Cell) -> Row {
    let mut rows = measure(cell, Isa::choose().unwrap()).unwrap();
    assert_eq!(rows.len(), 1);
    rows.remove(0)
}

fn number(row: &Row, name: &str) -> f64 {
    match row.get(name) {
        Some(Value::Number(x)) => *x,
        Some(Value::Integer(x)) => *x as f64,
        other => panic!("{name}: {other:?}"),
    }
}

fn cell(activation: Activation, init: Init, width: usize, depth: usize, draws: u64) -> Cell {
    let format = "f64".parse().unwrap();
    Cell { measure: Measure::Growth, activation, init, width, depth, draws, format, ..Cell::default() }
}

/// Mean and variance of ln‖g‖² of linear and ReLU networks (Newman 1986; Hanin and Nica 2018, with the laws at finite width), for two seeds.
#[test]
fn exact_laws() {
    let draws = 1000;
    for (activation, init, width, depth, mean, variance) in [
        (Activation::Identity, Init::Gaussian, 16, 50, -3.190_003_19, 6.656_850_73),
        (Activation::Relu, Init::He, 16, 50, -8.819_866_22, 20.979_669_7),
        (Activation::Relu, Init::He, 32, 50, -4.127_010_40, 8.874_889_36),
    ] {
        for seed in [1, 77] {
            let row = row(&Cell { seed, ..cell(activation, init.clone(), width, depth, draws) });
            let complete = number(&row, "complete");
            let (got_mean, got_variance) = (number(&row, "mean_ln_norm2"), number(&row, "var_ln_norm2"));
            let z = [
                (got_mean - mean) / (variance / complete).sqrt(),
                (got_variance / variance - 1.0) / (2.0 / (complete - 1.0)).sqrt(),
            ];
            println!(
                "{activation} {width} x {depth}, seed {seed}: mean {got_mean}, variance {got_variance}, z {z:.2?}"
            );
            assert!(z.iter().all(|z| z.abs() <= 4.0), "{activation} {width}: {z:?}");
            // The standard errors that the row claims are those that the law gives, to their own error of a few parts in a hundred.
            let claimed = number(&row, "mean_stderr") / (variance / complete).sqrt();
            assert!(
                (claimed - 1.0).abs() < 0.15,
                "{activation} {width}: standard error {claimed} times the law's"
            );
        }
    }
}

/// A linear orthogonal chain keeps the norm to rounding: `10 u sqrt(n d)`, in f16 too.
#[test]
fn orthogonal_chains_keep_the_norm() {
    for (format, unit) in [("f64", f64::EPSILON / 2.0), ("f16", 1.0 / 2048.0)] {
        let cell = cell(Activation::Identity, Init::Orthogonal, 64, 50, 8);
        let row = row(&Cell { format: format.parse().unwrap(), ..cell });
        let mean = number(&row, "mean_ln_norm2").abs();
        assert!(mean <= 10.0 * unit * (64.0 * 50.0_f64).sqrt(), "{format}: {mean}");
    }
}

/// Narrow ReLU networks die: 1 - (1 - 2^-n)^d (n = 4, d = 20: 0.7249).
#[test]
fn dead_networks() {
    let row = row(&cell(Activation::Relu, Init::He, 4, 20, 2000));
    let (p, got) = (0.724_94, number(&row, "dead_fraction"));
    assert!((got - p).abs() <= 4.0 * (p * (1.0 - p) / 2000.0_f64).sqrt(), "{got}");
}

/// χ_1 of tanh and sigmoid networks (Schoenholz et al. 2017), with the tolerance for finite width `[4 sqrt(v/(n d N)) + (v/2 + 2)/n] / (2 ln 2)`.
#[test]
fn mean_field_rates() {
    for (activation, weight_scale, bias_scale, chi, v) in [
        (Activation::Tanh, 1.5, 0.3, 1.060_981_264_14, 4.621),
        (Activation::Tanh, 1.0, 0.3, 0.700_258_146_603, 2.832),
        (Activation::Sigmoid, 1.0, 0.0, 0.055_720_706_769_7, 2.068),
    ] {
        let (n, d, draws) = (128.0_f64, 30.0, 20.0);
        let cell = cell(activation, Init::Gaussian, 128, 30, 20);
        let row = row(&Cell { weight_scale, bias_scale, ..cell });
        let error = number(&row, "rate_log2") - 0.5 * libm::log2(chi);
        let tolerance =
            (4.0 * (v / (n * d * draws)).sqrt() + (v / 2.0 + 2.0) / n) / (2.0 * std::f64::consts::LN_2);
        assert!(error.abs() <= tolerance, "{activation} {weight_scale}: {error}, allowed {tolerance}");
    }
}

/// Linear residual layers: E‖g‖² = (1 + α²)^d; with α² = 1/64 and d = 64 that is 2.697345, whose logarithm lies a little above the mean of the
/// logarithm. Linear batch normalisation of B = 6 samples: (B - 2)/(B - 3) = 4/3 a layer, to 5 %.
#[test]
fn remedies_of_the_network() {
    let linear = cell(Activation::Identity, Init::Gaussian, 128, 64, 100);
    let residual = row(&Cell { remedy: Remedy::Residual(0.125), ..linear.clone() });
    let (mean, variance) = (number(&residual, "mean_ln_norm2"), number(&residual, "var_ln_norm2"));
    // Log-normal to first order: the mean of the norm is exp(mean + variance / 2).
    let error = mean + variance / 2.0 - libm::log(2.697_345);
    assert!(error.abs() <= 4.0 * (variance / 100.0).sqrt(), "{error}");
    let norm = row(&Cell { remedy: Remedy::BatchNorm, batch: 6, depth: 4, draws: 60, ..linear });
    let factor = libm::exp(number(&norm, "mean_ln_norm2") / 4.0);
    assert!((factor / (4.0 / 3.0) - 1.0).abs() < 0.05, "{factor}");
}

/// Low precision does not change the rate before the first number leaves the normal range: within 5 u / sqrt(d) on the same weights.
#[test]
fn precision_does_not_change_the_rate() {
    let of = |format: &str, unit: f64| {
        let cell = cell(Activation::Tanh, Init::Gaussian, 64, 16, 4);
        let cell = Cell { weight_scale: 1.5, bias_scale: 0.3, format: format.parse().unwrap(), ..cell };
        (number(&row(&cell), "mean_ln_norm2") / (2.0 * std::f64::consts::LN_2 * 16.0), unit)
    };
    let (exact, _) = of("f64", 0.0);
    for (rate, unit) in [of("f16", 1.0 / 2048.0), of("bf16", 1.0 / 256.0), of("f32", 1.0 / 16_777_216.0)] {
        assert!((rate - exact).abs() <= 5.0 * unit / 4.0, "{}", rate - exact);
    }
}

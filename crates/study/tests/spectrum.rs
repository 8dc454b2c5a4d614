//! The measure `spectrum` against exact laws and published numbers, for two seeds, with tolerances from their standard errors; and what a format cannot keep.

use gradchain_arith::Isa;
use gradchain_study::{Activation, Cell, Init, Measure, Row, Study, Value, measure};

fn rows(cell: &Cell) -> Vec<Row> {
    measure(cell, Isa::choose().unwrap()).unwrap()
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
    Cell { measure: Measure::Spectrum, activation, init, width, depth, draws, format, ..Cell::default() }
}

/// Newman 1986: the four exponents at n = 4, by 20 000 layers, to four standard errors `√(ψ_1((n - k + 1)/2) / (4 d))`. At the end singular values are
/// e^(λ_k d): the exponents by the slow way, which nears λ_k as 1/d.
#[test]
fn lyapunov_exponents() {
    let expected =
        [(-0.135_181_42, 0.0028), (-0.328_328_6, 0.0034), (-0.635_181_42, 0.0045), (-1.328_328_6, 0.0079)];
    for seed in [1, 77] {
        let cell = Cell { seed, ..cell(Activation::Identity, Init::Gaussian, 4, 20_000, 1) };
        let rows = rows(&cell);
        assert_eq!(rows.len(), 4);
        for (k, (row, (exponent, error))) in rows.iter().zip(expected).enumerate() {
            let (got, claimed) = (number(row, "lyapunov"), number(row, "lyapunov_stderr"));
            println!("seed {seed}, λ_{}: {got:.5} ± {claimed:.5}, law {exponent} ± {error}", k + 1);
            assert_eq!(number(row, "index"), (k + 1) as f64);
            assert!((got - exponent).abs() <= 4.0 * error, "λ_{}: {got}", k + 1);
            // Of 142 blocks: the claimed error has one of 6 % itself.
            assert!((claimed / error - 1.0).abs() < 0.25, "λ_{}: {claimed} for {error}", k + 1);
            assert!((number(row, "theory_lyapunov") - exponent).abs() < 1e-7);
            assert!((number(row, "theory_lyapunov_stderr") / error - 1.0).abs() < 0.02);
            let slow = number(row, "log2_singular_value_reference") * std::f64::consts::LN_2 / 20_000.0;
            assert!((slow - got).abs() < 0.001, "λ_{}: {slow} from singular values", k + 1);
        }
    }
}

/// Fuss and Catalan, L = 5: the largest squared singular value lies from 15 % below to 5 % above the edge 6^6/5^5, and the second moment, 6 in the limit,
/// is at width n that of the exact recursion. Also for ReLU with He's weights, 2e L and 11 in the limit.
#[test]
fn edge_and_second_moment() {
    for (activation, init, n, edge, moment) in [
        (Activation::Identity, Init::Gaussian, 128, 14.929_92, 6.0),
        (Activation::Relu, Init::He, 128, 27.272_773, 11.0),
    ] {
        let row = &rows(&Cell { format: "f32".parse().unwrap(), ..cell(activation, init, n, 5, 16) })[0];
        let (got, error) = (number(row, "second_moment"), number(row, "second_moment_stderr"));
        let ratio = number(row, "largest_square") / edge;
        println!("{activation}: largest {ratio:.4} of the edge, second moment {got:.4} ± {error:.4}");
        assert!((0.85..=1.05).contains(&ratio), "{activation}: {ratio}");
        assert!((number(row, "theory_largest_square") / edge - 1.0).abs() < 1e-7);
        let exact = number(row, "theory_second_moment");
        // The recursion lies above the limit by terms of 1/n.
        assert!(exact > moment && exact < moment * (1.0 + 40.0 / n as f64), "{activation}: {exact}");
        assert!((got - exact).abs() <= 4.0 * error, "{activation}: {got}, exact {exact}");
    }
}

/// Orthogonal layers: exponents and logarithms of singular values are 0 to rounding, in f16 to its own.
#[test]
fn orthogonal_layers_keep_everything() {
    for (format, unit) in [("f64", f64::EPSILON / 2.0), ("f16", 1.0 / 2048.0)] {
        let cell = cell(Activation::Identity, Init::Orthogonal, 48, 40, 2);
        let rows = rows(&Cell { format: format.parse().unwrap(), ..cell });
        assert_eq!(rows.len(), 16);
        let allowed = 10.0 * unit * (48.0 * 40.0_f64).sqrt();
        for row in &rows {
            let exponent = number(row, "lyapunov") * 40.0;
            let (computed, reference) =
                (number(row, "log2_singular_value"), number(row, "log2_singular_value_reference"));
            assert!([exponent, computed, reference].iter().all(|x| x.abs() <= allowed), "{format}: {row:?}");
            assert_eq!(number(row, "theory_lyapunov"), 0.0);
        }
        assert_eq!((number(&rows[0], "rank"), number(&rows[0], "theory_second_moment")), (48.0, 1.0));
        assert!((number(&rows[0], "stable_rank") - 48.0).abs() < 48.0 * allowed);
    }
}

/// A computed Jacobian has noise of about u times its largest singular value in every direction: it keeps p bits less what a singular value lies below the
/// largest, to a few bits, and its condition ends near 2^p. Here n = 16, d = 64: the reference spreads over 2^100 and more.
#[test]
fn a_format_keeps_what_lies_above_its_noise() {
    for (format, precision) in [("f16", 11.0), ("bf16", 8.0), ("f32", 24.0), ("f64", 53.0)] {
        let cell = cell(Activation::Identity, Init::Gaussian, 16, 64, 6);
        let rows = rows(&Cell { format: format.parse().unwrap(), ..cell });
        let top = number(&rows[0], "log2_singular_value_reference");
        for row in &rows {
            let below = top - number(row, "log2_singular_value_reference");
            let bits = number(row, "singular_value_bits");
            assert!(bits <= precision, "{format}");
            // Small ones are lost; large ones keep most bits: 7 bits are noise of 128 u.
            if below > precision + 7.0 {
                assert!(bits < 1.0, "{format}: {bits} bits of 2^-{below}");
            } else if below < precision - 7.0 {
                assert!(bits > precision - below - 7.0, "{format}: {bits} bits of 2^-{below}");
            }
        }
        let condition = number(&rows[0], "log2_condition");
        let reference = number(&rows[0], "log2_condition_reference");
        println!("{format}: condition 2^{condition:.1}, reference 2^{reference:.1}");
        assert!(
            reference > 100.0 && condition < precision + 12.0 && condition > precision - 4.0,
            "{format}: {condition}"
        );
    }
}

/// Closed gates: the rank falls, exponents of lost dimensions are absent where no layer kept them, the first exponent follows the law of the norm.
#[test]
fn relu_networks_lose_dimensions() {
    let rows = rows(&cell(Activation::Relu, Init::He, 32, 24, 20));
    let first = &rows[0];
    assert!(number(first, "rank") < 20.0 && number(first, "log2_condition_reference") == f64::INFINITY);
    assert_eq!(number(&rows[15], "log2_singular_value_reference"), f64::NEG_INFINITY);
    let (got, theory) = (number(first, "lyapunov"), number(first, "theory_lyapunov"));
    let error = number(first, "theory_lyapunov_stderr");
    assert!((got - theory).abs() <= 4.0 * error, "{got} for {theory} ± {error}");
    // Hanin and Nica 2018 at finite width: -4.12701040 / 50 on ln‖g‖² a layer at width 32.
    assert!((theory - -4.127_010_40 / 100.0).abs() < 1e-7, "{theory}");
}

/// The same bytes on every instruction set.
#[test]
fn instruction_sets_agree() {
    for (activation, format) in [(Activation::Tanh, "f16"), (Activation::Relu, "f32")] {
        let cell = Cell { format: format.parse().unwrap(), ..cell(activation, Init::Gaussian, 20, 6, 2) };
        let expected = measure(&cell, Isa::PORTABLE).unwrap();
        for isa in Isa::available() {
            assert_eq!(measure(&cell, isa).unwrap(), expected, "{}", isa.name());
        }
    }
}

/// Depth 0, width 1, a gain, widths that change: rows as they must be.
#[test]
fn edges() {
    let identity = rows(&cell(Activation::Identity, Init::Gaussian, 3, 0, 1));
    assert!(identity.len() == 3 && identity.iter().all(|row| number(row, "log2_singular_value") == 0.0));
    assert!(identity.iter().all(|row| row.get("lyapunov").is_none()));
    let gain =
        Cell { gain: Some("1.5".parse().unwrap()), ..cell(Activation::Identity, Init::Gaussian, 1, 2000, 1) };
    let row = &rows(&gain)[0];
    assert!((number(row, "log2_singular_value") / (2000.0 * libm::log2(1.5)) - 1.0).abs() < 1e-12);
    let widths = Some("bottleneck:9,4".parse().unwrap());
    let bottleneck = rows(&Cell { widths, ..cell(Activation::Identity, Init::Gaussian, 1, 6, 1) });
    assert!(bottleneck.len() == 9 && number(&bottleneck[0], "rank") == 4.0);
    assert!(bottleneck[0].get("theory_lyapunov").is_none());
}

/// What has no meaning for the Jacobian at one input is refused.
#[test]
fn axes_without_meaning() {
    let text = "question = 'Why?'\nmeasure = 'spectrum'\n[axes]\n";
    for (axis, expected) in [
        ("batch = 2", "a batch of 2; the measure `spectrum` looks at the Jacobian at one input: allowed: 1"),
        ("remedy = 'rmsnorm'", "`rmsnorm` treats gradients or changes the network"),
        ("upstream = 'ones'", "allowed: normal, the default"),
        ("association = 'balanced'", "the measure `spectrum` goes layer by layer"),
    ] {
        let study = Study::parse("s", "s.toml", &format!("{text}{axis}")).unwrap();
        let message = study.plan(&|_, _| Err(String::new())).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
}

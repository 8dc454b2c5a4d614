//! The measure `association`: vector-first is the measure `chain`, and no order drifts above its bound.

use gradchain_arith::{Isa, Overflow, Rounding, Subnormals, Summation};
use gradchain_study::{Association, Cell, Gain, Init, Measure, Row, Upstream, Value, measure};

fn row(cell: &Cell) -> Row {
    let mut rows = measure(cell, Isa::choose().unwrap()).unwrap();
    assert_eq!(rows.len(), 1);
    rows.remove(0)
}

fn cell(format: &str) -> Cell {
    let widths = Some("bottleneck:9,2".parse().unwrap());
    Cell {
        measure: Measure::Association,
        format: format.parse().unwrap(),
        depth: 6,
        batch: 4,
        draws: 3,
        widths,
        ..Cell::default()
    }
}

fn integer(row: &Row, name: &str) -> i64 {
    match row.get(name) {
        Some(Value::Integer(x)) => *x,
        other => panic!("{name}: {other:?}"),
    }
}

/// log2 of a result.
fn log2(row: &Row, name: &str) -> f64 {
    match row.get(name) {
        Some(Value::Number(x)) => libm::log2(*x),
        Some(Value::Scaled { mantissa, exp2 }) => libm::log2(*mantissa) + *exp2 as f64,
        other => panic!("{name}: {other:?}"),
    }
}

/// Everything that both measures say is the same, stochastic rounding included; only the bounds are of different kinds.
#[test]
fn vector_first_is_the_measure_chain() {
    for format in ["f16", "bf16", "f32", "f64", "e4m3"] {
        for rounding in [Rounding::Nearest, Rounding::Stochastic] {
            let cell = Cell { rounding, ..cell(format) };
            let (ours, chain) = (row(&cell), row(&Cell { measure: Measure::Chain, ..cell }));
            for name in [
                "first_subnormal",
                "first_zero",
                "first_infinite",
                "first_nan",
                "log2_norm",
                "log2_norm_reference",
                "drift",
                "drift_min",
                "drift_max",
                "stderr",
                "total_error",
                "bits_left",
                "componentwise",
                "ulp",
                "cosine",
                "zero",
                "subnormal",
                "normal",
                "infinite",
                "nan",
                "dead_fraction",
            ] {
                assert_eq!(
                    format!("{:?}", ours.get(name)),
                    format!("{:?}", chain.get(name)),
                    "{format}: {name}"
                );
            }
            assert!(ours.get("theory_bound").is_some() && ours.get("stuck_at").is_none());
        }
    }
}

/// Widths 9 9 9 2 9 9 9 and 4 samples. From the left each of the 6 products costs 4 times the weights: 4 (4 · 81 + 2 · 18) = 1440. From the right the
/// Jacobian has 9 columns: 9 (3 · 81 + 2 · 18) and 4 · 81 for the gradient: 2835. From the waist outwards: the upper half times a matrix of 2 columns,
/// 2 · 2 · 81, then 4 · 9 · 2; the lower half under 2 rows, 2 · 2 · 81; and 4 · 2 · 9 to join them: 792.
#[test]
fn costs_by_hand() {
    let of = |association| {
        let row = row(&Cell { association, ..cell("f32") });
        (integer(&row, "multiply_adds"), integer(&row, "peak_numbers"))
    };
    // Two gradients of 4 x 9; a Jacobian before and after a product; the gradient beside the 4 x 2 and the 2 x 9 that make it.
    assert_eq!(of(Association::VectorFirst), (1440, 72));
    assert_eq!(of(Association::MatrixFirst), (2835, 162));
    assert_eq!(of(Association::Optimal), (792, 62));
    let (multiply_adds, _) = of(Association::Balanced);
    assert!((792..=2835).contains(&multiply_adds), "{multiply_adds}");
}

#[test]
fn no_row_drifts_above_its_bound() {
    let mut finite = 0;
    let mut check = |cell: &Cell| {
        for association in Association::ALL {
            let row = row(&Cell { association, ..cell.clone() });
            let (drift, bound) = (log2(&row, "drift_max"), log2(&row, "theory_bound"));
            assert!(drift <= bound, "{association}: 2^{drift} > 2^{bound}: {cell:?}");
            finite += usize::from(bound.is_finite());
        }
    };
    for format in ["f16", "bf16", "f32", "f64", "e4m3", "e5m2", "tf32"] {
        for summation in Summation::of(format.parse().unwrap()) {
            check(&Cell { summation, ..cell(format) });
            check(&Cell { summation, weight_scale: 0.02, ..cell(format) });
        }
        for rounding in [Rounding::Zero, Rounding::Up, Rounding::Down, Rounding::Stochastic] {
            check(&Cell { rounding, ..cell(format) });
            // Roundings that stop at the largest number hide an overflow.
            check(&Cell { rounding, weight_scale: 40.0, ..cell(format) });
        }
        check(&Cell { subnormals: Subnormals::Flush, weight_scale: 0.1, ..cell(format) });
        check(&Cell { overflow: Overflow::Saturate, weight_scale: 40.0, ..cell(format) });
        // Truncated scalars err in one direction, so that the errors of all products add up, also in the balanced tree with its few levels.
        let gain = Some("normal:1,0.1".parse().unwrap());
        check(&Cell {
            rounding: Rounding::Zero,
            gain,
            widths: None,
            width: 1,
            batch: 1,
            depth: 64,
            ..cell(format)
        });
        check(&Cell { init: Init::Orthogonal, widths: None, width: 5, depth: 20, ..cell(format) });
    }
    println!("{finite} finite bounds");
    assert!(finite > 300, "{finite}");
}

/// The same holds of the measure `chain`, whose bound is a running one.
#[test]
fn no_chain_that_hides_an_overflow_drifts_above_its_bound() {
    for rounding in [Rounding::Zero, Rounding::Up, Rounding::Down] {
        let gain: Gain = "1.5".parse().unwrap();
        let cell = Cell {
            measure: Measure::Chain,
            widths: None,
            width: 1,
            batch: 1,
            depth: 40,
            gain: Some(gain),
            upstream: Upstream::Ones,
            rounding,
            ..cell("f16")
        };
        let row = row(&cell);
        assert!(log2(&row, "drift_max") <= log2(&row, "theory_bound"), "{rounding:?}: {row:?}");
    }
}

#[test]
fn chains_without_layers_and_of_one() {
    for association in Association::ALL {
        for (depth, cost, peak) in [(0, 0, 0), (1, 4 * 81, 36)] {
            let cell = Cell { association, depth, ..cell("f32") };
            let row = row(&cell);
            assert_eq!((integer(&row, "multiply_adds"), integer(&row, "peak_numbers")), (cost, peak));
            assert_eq!(integer(&row, "normal"), 3 * 36, "{association} depth {depth}");
            if depth == 0 {
                assert_eq!(row.get("drift"), Some(&Value::Number(0.0)), "{association}");
            }
        }
        let scalar = row(&Cell {
            association,
            gain: Some("0.8".parse().unwrap()),
            widths: None,
            width: 1,
            batch: 1,
            depth: 100,
            draws: 1,
            upstream: Upstream::Ones,
            ..cell("bf16")
        });
        assert_eq!(integer(&scalar, "multiply_adds"), 100);
        assert!(matches!(scalar.get("signed_drift"), Some(Value::Number(x)) if *x != 0.0), "{association}");
    }
}

/// 27 gains of 2 in f16, which ends below 2^16: from the left the gradient, which starts at 1, is infinite after 16 products; from the right the Jacobian,
/// which starts at 2, after 15; and the balanced tree only when its halves, 2^13 (with the gradient) and 2^14, meet in the last.
#[test]
fn overflow_is_counted_in_products() {
    let first = |association| {
        let cell = Cell {
            association,
            gain: Some("2".parse().unwrap()),
            widths: None,
            width: 1,
            batch: 1,
            depth: 27,
            draws: 1,
            upstream: Upstream::Ones,
            ..cell("f16")
        };
        integer(&row(&cell), "first_infinite")
    };
    assert_eq!(first(Association::VectorFirst), 16);
    assert_eq!(first(Association::MatrixFirst), 15);
    assert_eq!(first(Association::Balanced), 27);
}

#[test]
fn a_chain_too_long_for_the_optimal_order_is_an_error() {
    let cell = Cell {
        association: Association::Optimal,
        depth: 1025,
        widths: None,
        width: 1,
        batch: 1,
        ..cell("f32")
    };
    let message = measure(&cell, Isa::choose().unwrap()).unwrap_err().to_string();
    assert!(message.contains("1025 layers") && message.contains("at most 1024"), "{message}");
}

//! Scalar chains, bit for bit: the published table of depths at which each format overflows, turns subnormal, sticks, or reaches zero (two
//! independent implementations in exact arithmetic agree on it), and the values after 100 layers.

mod published_scalars;

use Fate::{Never, Normal, Over, Stuck, Zero};
use gradchain_arith::{Format, Isa, Overflow, Rounding, Subnormals};
use gradchain_study::{Cell, Row, Upstream, Value, measure};
use published_scalars::{FORMATS, Fate, TABLE, cell};

fn row(cell: &Cell) -> Row {
    let mut rows = measure(cell, Isa::choose().unwrap()).unwrap();
    assert_eq!(rows.len(), 1);
    rows.remove(0)
}

fn integer(row: &Row, name: &str) -> Option<i64> {
    match row.get(name) {
        Some(Value::Integer(x)) => Some(*x),
        Some(Value::Null) => None,
        other => panic!("{name}: {other:?}"),
    }
}

fn number(row: &Row, name: &str) -> f64 {
    match row.get(name) {
        Some(Value::Number(x)) => *x,
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn every_entry_of_the_published_table() {
    for (gain, fates) in &TABLE {
        for (format, fate) in FORMATS.into_iter().zip(fates) {
            let row = row(&cell(format, gain, 100_000));
            let is = |name| integer(&row, name);
            let overflow = is("first_infinite").or(is("first_nan"));
            let seen = (overflow, is("first_subnormal"), is("first_zero"), is("stuck_at"));
            let expected = match *fate {
                Over(k) => (Some(k), None, None, None),
                Stuck(k, at, _) => (None, Some(k), None, Some(at)),
                Zero(k, at) => (None, Some(k), Some(at), None),
                Normal(at, _) => (None, None, None, Some(at)),
                Never => (None, None, None, None),
            };
            assert_eq!(seen, expected, "{gain} in {format}: overflow, subnormal, zero, stuck");
            match *fate {
                Stuck(_, _, multiple) => {
                    assert_eq!(number(&row, "stuck_multiple"), multiple, "{gain} in {format}")
                }
                Normal(_, value) => assert_eq!(number(&row, "stuck_value"), value, "{gain} in {format}"),
                Over(_) => {
                    // The format without infinities overflows into NaN.
                    assert_eq!(is("first_infinite").is_none(), format == "e4m3", "{gain} in {format}");
                }
                Zero(..) | Never => {}
            }
        }
    }
}

#[test]
fn flushed_subnormals_are_zero_at_the_first_subnormal_depth() {
    for (gain, fates) in &TABLE {
        for (format, fate) in FORMATS.into_iter().zip(fates) {
            if let Stuck(k, ..) | Zero(k, _) = *fate {
                let row = row(&Cell { subnormals: Subnormals::Flush, ..cell(format, gain, 100_000) });
                assert_eq!(integer(&row, "first_zero"), Some(k), "{gain} in {format}");
                assert_eq!(integer(&row, "first_subnormal"), None, "{gain} in {format}");
            }
        }
    }
}

#[test]
fn a_saturating_format_sticks_at_its_largest_number() {
    let row = row(&Cell { overflow: Overflow::Saturate, ..cell("e4m3", "1.5", 100) });
    assert_eq!((integer(&row, "first_nan"), number(&row, "stuck_value")), (None, 448.0));
}

/// Values after 100 layers, exactly; relative errors against the rounded gain's power (drift) and the decimal power (total) to the digits
/// that are published.
#[test]
fn values_and_drift_after_100_layers() {
    let close = |got: f64, expected: f64, digits: f64| (got - expected).abs() <= expected.abs() * digits;
    for (gain, format, value, drift, total, digits) in [
        ("1.5", "bf16", 3.692951694443807e17, -9.16615e-2, -9.16615e-2, 1e-5),
        ("1.5", "f32", 4.065611575627612e17, -4.912533e-8, -4.912533e-8, 1e-6),
        ("1.5", "f64", 4.065611775352152e17, -1.3275e-17, -1.3275e-17, 1e-4),
        ("0.8", "bf16", 2.319211489520967e-10, 0.03264436, 0.1385226, 1e-6),
        ("0.8", "f32", 2.0370398423619207e-10, 4.077512e-7, 1.897869e-6, 1e-6),
        ("0.8", "f64", 2.0370359763344983e-10, 4.3304e-16, 5.98416e-15, 1e-4),
    ] {
        let row = row(&cell(format, gain, 100));
        assert_eq!(number(&row, "value"), value, "{gain} in {format}");
        let (got_drift, got_total) = (number(&row, "signed_drift"), number(&row, "signed_total_error"));
        assert!(
            close(got_drift, drift, digits),
            "{gain} in {format}: drift {got_drift:e}, published {drift:e}"
        );
        assert!(
            close(got_total, total, digits),
            "{gain} in {format}: total {got_total:e}, published {total:e}"
        );
    }
    assert_eq!(number(&row(&cell("f16", "1.5", 100)), "value"), f64::INFINITY);
    assert_eq!(number(&row(&cell("f16", "0.8", 100)), "value"), 1.1920928955078125e-7);
}

/// The random-walk law: rms drift 0.4247 u sqrt(d) when rounding to nearest, 0.6006 u sqrt(d) and no mean when rounding stochastically. Gains around 1
/// spread their products over several binades, as the law assumes.
#[test]
fn random_gains_drift_like_a_random_walk() {
    let draws = 20_000;
    let cell = Cell { draws, upstream: Upstream::Normal, ..cell("f32", "normal:1,0.5", 100) };
    let unit = Format::F32.unit_roundoff() * 10.0;
    let nearest = row(&cell);
    let rms = number(&nearest, "drift") / unit;
    println!("nearest: {rms} u sqrt(d), standard error {}", number(&nearest, "stderr") / unit);
    assert!((rms / 0.4247 - 1.0).abs() < 0.02, "{rms}");
    let stochastic = row(&Cell { rounding: Rounding::Stochastic, ..cell });
    let rms = number(&stochastic, "drift") / unit;
    let mean = number(&stochastic, "signed_drift") / number(&stochastic, "signed_stderr");
    println!("stochastic: {rms} u sqrt(d), mean {mean} standard errors");
    assert!((rms / 0.6006 - 1.0).abs() < 0.03, "{rms}");
    assert!(mean.abs() < 4.0, "{mean}");
}

//! The measure `remedies`: what depth remedies buy, and what they cannot.

use gradchain_arith::Isa;
use gradchain_study::{Activation, Cell, Init, Measure, Remedy, Row, Value, measure};

fn row(format: &str, remedy: &str) -> Row {
    let cell = Cell {
        measure: Measure::Remedies,
        activation: Activation::Sigmoid,
        init: Init::Xavier,
        format: format.parse().unwrap(),
        remedy: remedy.parse::<Remedy>().unwrap(),
        width: 32,
        depth: 64,
        batch: 4,
        draws: 2,
        ..Cell::default()
    };
    measure(&cell, Isa::choose().unwrap()).unwrap().remove(0)
}

fn number(row: &Row, name: &str) -> f64 {
    match row.get(name) {
        Some(Value::Number(x)) => *x,
        Some(Value::Integer(x)) => *x as f64,
        other => panic!("{name}: {other:?}"),
    }
}

/// A sigmoid layer of Xavier weights takes 2.08 of log2 of the norm: each factor of 16 buys two layers, clipping none, and what overflows at the top survives
/// nothing.
#[test]
fn what_buys_depth() {
    let depth = |remedy: &str| number(&row("f16", remedy), "surviving_depth");
    let none = depth("none");
    assert!((10.0..=12.0).contains(&none), "{none}");
    assert_eq!((depth("clip-value:1"), depth("clip-norm:100")), (none, none));
    assert!(depth("clip-norm:1") <= none);
    for (scale, layers) in [(16, 2.0), (256, 4.0), (4096, 6.0)] {
        let bought = depth(&format!("loss-scale:{scale}")) - none;
        assert!((bought - layers).abs() <= 1.0, "a scale of {scale} buys {bought}");
        let expected = number(&row("f16", &format!("loss-scale:{scale}")), "theory_surviving_depth");
        assert!((expected - none - bought).abs() <= 2.0, "theory: {expected}");
    }
    assert_eq!(depth("loss-scale:65536"), 0.0, "the upstream gradient overflows");
    assert_eq!((depth("normalise"), depth("residual:1")), (64.0, 64.0));
}

/// Normalising keeps the direction and loses the size: bits of the direction are left, and none of the gradient. Nothing is destroyed.
#[test]
fn normalising_keeps_the_direction() {
    let row = row("bf16", "normalise");
    assert!(number(&row, "direction_bits") > 3.0 && number(&row, "cosine") > 0.95);
    assert_eq!((number(&row, "bits_left"), number(&row, "destroyed")), (0.0, 0.0));
    // Two draws, four samples, 32 components each.
    let gone = self::row("f16", "none");
    assert_eq!((number(&gone, "destroyed"), number(&gone, "direction_bits")), (256.0, 0.0));
}

/// The reference has the residual branches too: what a residual network computes is near it.
#[test]
fn the_reference_has_the_wiring() {
    for (remedy, least) in [("residual:0.125", 20.0), ("rmsnorm", 18.0)] {
        let row = row("f32", remedy);
        assert!(number(&row, "bits_left") > least, "{remedy}: {row:?}");
    }
}

//! The measure `layers`: one step of the weights beside a training of one step, what formats and roundings lose of it, and which layers move.

use gradchain_arith::{Format, Isa};
use gradchain_study::{Activation, Cell, Init, Measure, Row, Value, measure};

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

fn cell(activation: Activation, format: &str, depth: usize) -> Cell {
    Cell {
        measure: Measure::Layers,
        activation,
        init: Init::Xavier,
        format: format.parse::<Format>().unwrap(),
        width: 16,
        batch: 16,
        depth,
        steps: 20,
        learning_rate: Some(0.1),
        ..Cell::default()
    }
}

/// One step of the trainer on a batch of all digits, which it takes in another order, is the step of the other columns: the layers move by the update ratio. Under every
/// remedy, though one text clips the gradient of a layer and the other those of a training. In f64, where the sums of the gradients differ by 512 · 2^-53 at most, and each new weight by
/// 2^-53 of it.
#[test]
fn one_step_of_training_is_the_step() {
    for remedy in [
        "none",
        "loss-scale:1024",
        "adaptive:0.001",
        "clip-norm:1",
        "clip-value:0.05",
        "normalise",
        "residual:0.5",
        "rmsnorm",
        "batchnorm",
    ] {
        let remedy = remedy.parse().unwrap();
        let cell = Cell { remedy, batch: 512, steps: 1, ..cell(Activation::Tanh, "f64", 3) };
        for (layer, row) in rows(&cell).iter().enumerate() {
            let (moved, ratio) = (number(row, "moved"), number(row, "update_ratio"));
            let tolerance = f64::powi(2.0, -44) + f64::powi(2.0, -53) / ratio;
            let error = (moved / ratio - 1.0).abs();
            assert!(error < tolerance, "{remedy}, layer {layer}: {moved}, {ratio}, {error:e}");
            let kept = number(row, "update_kept");
            assert!((kept - 1.0).abs() < tolerance && number(row, "lost_updates") < 0.2, "{remedy}: {kept}");
        }
    }
}

/// The step is λ/B times the gradient of the weights, whose norm another column has; and what was measured without a step is measured with it.
#[test]
fn a_step_adds_columns_and_changes_none() {
    let with = cell(Activation::Relu, "bf16", 4);
    let without = Cell { learning_rate: None, steps: Cell::default().steps, ..with.clone() };
    let twice = Cell { learning_rate: Some(0.2), ..with.clone() };
    for ((with, without), twice) in rows(&with).iter().zip(&rows(&without)).zip(&rows(&twice)) {
        for column in gradchain_study::COLUMNS {
            if let Some(value) = without.get(column.name) {
                assert_eq!(with.get(column.name), Some(value), "{}", column.name);
            }
        }
        assert_eq!((without.get("update_ratio"), without.get("moved")), (None, None));
        // Twice the rate is a shift of the exponent.
        let ratio = number(twice, "update_ratio") / number(with, "update_ratio");
        assert!((ratio - 2.0).abs() < 1e-12, "{ratio}");
        assert!(number(twice, "lost_updates") < number(with, "lost_updates"));
    }
}

/// Of the same steps bf16 loses more than f16, and f16 more than f32; rounded stochastically they arrive all the same. What is kept of K weights of one layer has a
/// standard error of at most half an ulp of the largest weights over the step: a tenth bounds four of them here.
#[test]
fn formats_lose_and_stochastic_rounding_gives_back() {
    let kept = |format: &str| {
        let row = rows(&cell(Activation::Tanh, format, 3)).remove(1);
        ["lost_updates", "update_kept", "update_kept_stochastic"].map(|name| number(&row, name))
    };
    let [bf16, f16, f32] = ["bf16", "f16", "f32"].map(kept);
    println!("bf16 {bf16:?}, f16 {f16:?}, f32 {f32:?}");
    assert!(bf16[0] > 2.0 * f16[0] && f16[0] > 10.0 * f32[0]);
    for [_, _, stochastic] in [bf16, f16, f32] {
        assert!((stochastic - 1.0).abs() < 0.1, "{stochastic}");
    }
}

/// The bottom layers of a deep sigmoid network do not learn. In f16 their gradient is gone, with a loss scale every update is lost: they stay where they are, while
/// the top layer moves. Gradients of norm 1 move them. tanh moves all layers.
#[test]
fn bottom_layers_of_sigmoid_networks_stay() {
    let sigmoid = |remedy: &str| {
        let remedy = remedy.parse().unwrap();
        rows(&Cell { remedy, ..cell(Activation::Sigmoid, "f16", 16) })
    };
    let none = sigmoid("none");
    assert_eq!(
        ["zero_updates", "moved", "moved_stochastic"].map(|name| number(&none[0], name)),
        [1.0, 0.0, 0.0]
    );
    assert_eq!(none[0].get("update_kept"), Some(&Value::Null));
    assert!(
        number(&none[15], "moved") > 0.05 && number(&none[15], "loss_last") < number(&none[15], "loss_first")
    );
    let scaled = sigmoid("loss-scale:16384");
    let bottom = ["zero_updates", "moved"].map(|name| number(&scaled[2], name));
    assert!(bottom[0] < 0.5 && bottom[1] == 0.0, "{bottom:?}");
    assert!(number(&scaled[2], "lost_updates") > 0.5);
    for row in sigmoid("normalise").iter().chain(&rows(&cell(Activation::Tanh, "f16", 16))) {
        assert!(number(row, "moved") > 1e-3, "{row:?}");
    }
}

/// The same rows on every instruction set.
#[test]
fn rows_depend_on_the_cell_alone() {
    let cell = Cell { steps: 3, ..cell(Activation::Sigmoid, "f16", 3) };
    let expected = rows(&cell);
    for isa in Isa::available() {
        assert_eq!(measure(&cell, isa).unwrap(), expected, "{isa}");
    }
}

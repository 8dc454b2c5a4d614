//! What committed rows say, as opposed to whether they can be recomputed (`gradchain check`).

use gradchain_study::{BUILTIN, Study};
use serde_json::Value;

fn rows(study: &str) -> Vec<Value> {
    let path = format!("{}/../../reports/{study}/rows.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the committed rows");
    text.lines().map(|line| serde_json::from_str(line).expect("a row")).collect()
}

/// log2 of a number of a row, which may lie beyond f64.
fn log2(value: &Value) -> f64 {
    if let Value::Object(scaled) = value {
        let part = |name: &str| scaled[name].as_f64().expect("a scaled number");
        return libm::log2(part("mantissa")) + part("exp2");
    }
    if value == "inf" {
        return f64::INFINITY;
    }
    libm::log2(value.as_f64().unwrap_or_else(|| panic!("no number: {value}")))
}

/// Resuming and merging tell a cell that was cut off from a whole one by its number of rows: every measure must give as many as it says.
#[test]
fn every_cell_has_as_many_rows_as_it_says() {
    for (study, text) in BUILTIN {
        let parsed = Study::parse(study, study, text).expect("a study");
        let cells = parsed.plan(&|path, _| Err(format!("no file is read here: {path}"))).expect("a plan");
        let planned = cells.iter().flat_map(|cell| std::iter::repeat_n(cell.id(), cell.row_count()));
        let measured = rows(study).into_iter().map(|row| row["cell"].as_str().expect("an id").to_owned());
        assert!(planned.eq(measured), "{study}");
    }
}

#[test]
fn nothing_measured_is_above_its_bound() {
    for (study, least) in [("drift", 400), ("association", 170)] {
        let mut finite = 0;
        for row in rows(study) {
            let (drift, bound) = (log2(&row["drift_max"]), log2(&row["theory_bound"]));
            assert!(drift <= bound, "{row}");
            finite += usize::from(bound.is_finite());
        }
        println!("{study}: {finite} finite bounds");
        assert!(finite > least, "{study}: {finite}");
    }
}

/// The answer to the question of `association`: no order costs less than the optimal one, and where f16 neither overflows nor loses half of its bits to
/// underflow, all four leave the same number of bits to within two, though their costs differ by up to a hundred.
#[test]
fn orders_differ_in_cost_and_hardly_in_drift() {
    let rows = rows("association");
    let (mut most_cost, mut most_bits) = (0.0_f64, 0.0_f64);
    assert!(rows.len().is_multiple_of(4) && !rows.is_empty());
    for group in rows.chunks_exact(4) {
        let number = |row: &Value, name: &str| row[name].as_f64().expect("a number");
        assert_eq!(group[3]["association"], "optimal");
        let least = number(&group[3], "multiply_adds");
        let costs = group.iter().map(|row| number(row, "multiply_adds") / least);
        most_cost =
            most_cost.max(costs.inspect(|cost| assert!(*cost >= 1.0, "{group:?}")).fold(0.0, f64::max));
        if group[0]["format"] == "f16" && group[0]["weight_scale"] != 1.0 {
            continue;
        }
        let bits = || group.iter().map(|row| number(row, "bits_left"));
        most_bits = most_bits.max(bits().fold(0.0, f64::max) - bits().fold(f64::MAX, f64::min));
    }
    println!("costs differ by up to {most_cost:.1}, bits by up to {most_bits:.2}");
    assert!(most_cost > 90.0 && most_bits < 2.0, "{most_cost} {most_bits}");
}

/// Orthogonal layers in formats that neither overflow nor underflow: the random-walk law. Each rms is over 4 draws of 32 components; were their errors
/// independent and normal it would have a standard error of 1 / sqrt(2 · 4 · 32) = 6 %. Four of those are 25 %; the mean over the rows
/// of a summation must come closer, within 10 %.
#[test]
fn drift_follows_the_random_walk_law() {
    for summation in ["recursive", "fused", "compensated", "wide"] {
        let ratios: Vec<f64> = rows("drift")
            .iter()
            .filter(|row| row["init"] == "orthogonal" && row["summation"] == summation)
            .filter(|row| ["f16", "bf16", "f32", "f64", "tf32"].iter().any(|format| row["format"] == *format))
            .map(|row| row["drift"].as_f64().expect("a drift") / row["theory_drift"].as_f64().expect("a law"))
            .collect();
        let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
        let (least, most) = ratios.iter().fold((f64::MAX, 0.0_f64), |(a, b), &x| (a.min(x), b.max(x)));
        println!("{summation}: {} rows, drift / law {least:.3} to {most:.3}, mean {mean:.3}", ratios.len());
        assert!(ratios.len() == 55 && 0.75 <= least && most <= 1.25, "{summation}: {least} to {most}");
        assert!((mean - 1.0).abs() < 0.1, "{summation}: {mean}");
    }
}

/// P14 in the committed rows: in f32 and f64, whatever depth, gain and momentum, the window of a linear chain ends within the 1/32 of an octave below the threshold of theory.
#[test]
fn windows_of_linear_chains_end_at_the_threshold() {
    let rows = rows("learning-rate");
    let exact = |row: &&Value| {
        row["theory_threshold"].is_number() && (row["format"] == "f32" || row["format"] == "f64")
    };
    let ratios: Vec<f64> = rows
        .iter()
        .filter(exact)
        .map(|row| log2(&row["window_high"]) - log2(&row["theory_threshold"]))
        .collect();
    let (least, most) = ratios.iter().fold((f64::MAX, f64::MIN), |(a, b), &x| (a.min(x), b.max(x)));
    println!("{} windows end {least:.4} to {most:.4} octaves from the threshold", ratios.len());
    assert!(ratios.len() == 24 && -1.0 / 32.0 - 1e-9 <= least && most < 1e-3, "{least} to {most}");
}

/// The answer to the question of `learning-rate`. In bf16 the window of a tanh network starts higher than in f32, the more the longer the training: an octave with 480
/// steps. Weights in f32 give that back.
#[test]
fn sixteen_bits_cost_the_low_end_and_masters_give_it_back() {
    let rows = rows("learning-rate");
    let low = |steps: u64, format: &str, master: &str| {
        let is = |row: &&Value| {
            row["activation"] == "tanh"
                && row["depth"] == 3
                && row["optimiser"] == "sgd"
                && row["steps"] == steps
                && row["format"] == format
                && row["master"] == master
        };
        log2(&rows.iter().find(is).expect("the cell")["window_low"])
    };
    let costs = [30, 120, 480].map(|steps| low(steps, "bf16", "none") - low(steps, "f32", "none"));
    println!("bf16 costs {costs:?} octaves with 30, 120 and 480 steps");
    assert!(costs[0] < costs[1] && costs[1] < costs[2] && costs[2] > 0.9);
    assert!((low(480, "bf16", "f32") - low(480, "f32", "none")).abs() <= 1.0 / 16.0);
    assert!((low(480, "f16", "none") - low(480, "f32", "none")).abs() <= 1.0 / 16.0);
}

/// The answer to the question of `layers`: the bottom half of a sigmoid network of 24 layers stays in every format, its top layer moves by a third of its weights or more; all
/// layers of a tanh network move by 2 % and more.
#[test]
fn bottom_layers_learn_or_stay() {
    let rows = rows("layers");
    let of = |activation: &str| {
        let activation = activation.to_owned();
        rows.iter().filter(move |row| row["activation"] == activation.as_str() && row["remedy"] == "none")
    };
    let number = |row: &Value, name: &str| row[name].as_f64().expect("a number");
    for row in of("sigmoid") {
        let (layer, moved) = (number(row, "layer"), number(row, "moved"));
        // Less than an ulp of f32; in 16 bits not at all.
        let most = if row["format"] == "f16" || row["format"] == "bf16" { 0.0 } else { f64::powi(2.0, -23) };
        assert!(layer > 12.0 || moved <= most, "{row}");
        assert!(layer < 24.0 || moved > 0.3, "{row}");
    }
    assert!(of("tanh").all(|row| number(row, "moved") > 0.02) && of("tanh").count() == 96);
    // The loss scale lifts the gradient of layer 12 into f16, and every update is lost.
    let lifted = rows
        .iter()
        .find(|row| row["remedy"] == "loss-scale:1024" && row["format"] == "f16" && row["layer"] == 12);
    let lifted = lifted.expect("the row");
    assert_eq!(
        (number(lifted, "zero_updates"), number(lifted, "lost_updates"), number(lifted, "moved")),
        (0.0, 1.0, 0.0)
    );
}

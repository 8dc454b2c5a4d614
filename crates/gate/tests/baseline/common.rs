//! Rows as text, and the gate on them.

use gradchain_gate::{Budget, DriftInput, Finding, judge};
use std::sync::LazyLock;

/// Read once: tests judge tens of thousands of times.
static BUDGET: LazyLock<Budget> = LazyLock::new(Budget::builtin);

/// A row of the study `s`.
pub(crate) fn row(cell: &str, fields: &str) -> String {
    format!(
        "{{\"schema_version\":1,\"study\":\"s\",\"cell\":\"{cell}\",{fields},\"provenance\":{{\"version\":\"0.1.0\",\"seed\":1}}}}\n"
    )
}

/// The cells of a text, in the order met.
pub(crate) fn plan(rows: &str) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for line in rows.lines() {
        let id = line.split("\"cell\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}

/// Judges committed against measured rows of the study `study`.
pub(crate) fn judge_study(
    study: &str,
    planned: &[String],
    committed: Option<&[u8]>,
    measured: &[u8],
    blessed: Option<&str>,
) -> Vec<Finding> {
    judge(&DriftInput {
        study,
        planned,
        committed,
        committed_place: "reports/s/rows.jsonl",
        measured,
        measured_place: "measured",
        blessed,
        schema_version: 1,
        unit: &|name| if name == "bits_left" { "bits".to_owned() } else { "1".to_owned() },
        budget: &BUDGET,
    })
}

/// [`judge_study`] for the study `s`.
pub(crate) fn judged(planned: &[String], committed: &str, measured: &str) -> Vec<Finding> {
    judge_study("s", planned, Some(committed.as_bytes()), measured.as_bytes(), None)
}

/// Three cells of two rows.
pub(crate) fn small() -> String {
    let mut text = String::new();
    for (depth, cell) in ["aaaa", "bbbb", "cccc"].iter().enumerate() {
        for layer in 1..=2 {
            let drift = 0.1 * (layer + 2 * depth) as f64;
            text += &row(
                cell,
                &format!(
                    "\"format\":\"f16\",\"depth\":{},\"draws\":1,\"layer\":{layer},\"log2_norm\":-1.5,\"drift\":{drift},\"bits_left\":0.25,\"first_infinite\":null,\"infinite\":0",
                    depth + 1
                ),
            );
        }
    }
    text
}

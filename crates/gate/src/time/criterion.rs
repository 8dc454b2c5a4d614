//! What criterion left on disk, held against what it was to measure: its times are reported and not judged, but no result may be missing, stale or no
//! number.
//!
//! Criterion keeps the results of benches that are gone, and says nothing of benches that it skipped; so results count only if they are in the list of
//! `cargo bench -- --list` and younger than it.

use crate::finding::{Effect, Figure, Finding, Level};
use crate::verdict::Verdict;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;

/// A result of one bench, from the folder `new` and the folder of a baseline.
#[derive(Clone, Debug, PartialEq)]
pub struct Result {
    /// The id, as `--list` has it.
    pub id: String,
    /// Whether it is younger than the list.
    pub fresh: bool,
    /// The median, in nanoseconds.
    pub median: f64,
    /// The median of the baseline, if there is one.
    pub baseline: Option<f64>,
}

/// Why a file is not one of criterion's.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{file}: {why}")]
pub struct CriterionError {
    /// Which file.
    pub file: String,
    /// What it lacks.
    pub why: String,
}

fn field<'a>(file: &str, text: &'a Value, path: &[&str]) -> std::result::Result<&'a Value, CriterionError> {
    path.iter().try_fold(text, |value, name| value.get(name)).ok_or_else(|| CriterionError {
        file: file.to_owned(),
        why: format!("there is no `{}`", path.join(".")),
    })
}

fn json(file: &str, text: &str) -> std::result::Result<Value, CriterionError> {
    serde_json::from_str(text).map_err(|e| CriterionError { file: file.to_owned(), why: e.to_string() })
}

/// The id in the text of a `benchmark.json`.
///
/// # Errors
/// If it is no JSON or has no id.
pub fn id(file: &str, text: &str) -> std::result::Result<String, CriterionError> {
    let value = json(file, text)?;
    let id = field(file, &value, &["full_id"])?.as_str();
    id.map(str::to_owned)
        .ok_or_else(|| CriterionError { file: file.to_owned(), why: "`full_id` is no text".to_owned() })
}

/// The median in the text of an `estimates.json`; NaN where criterion wrote none.
///
/// # Errors
/// If it is no JSON or has no median.
pub fn median(file: &str, text: &str) -> std::result::Result<f64, CriterionError> {
    let value = json(file, text)?;
    // Criterion writes null for what is not finite.
    Ok(field(file, &value, &["median", "point_estimate"])?.as_f64().unwrap_or(f64::NAN))
}

/// The ids that `cargo bench -- --list` names: lines `ID: benchmark`, between lines of other kinds.
pub fn listed(text: &str) -> Vec<String> {
    text.lines().filter_map(|line| line.strip_suffix(": benchmark")).map(str::to_owned).collect()
}

/// Findings on every id of either list, in the order of the head's, then of the base's. Without a list of the base nothing can have vanished.
pub fn judge(base: Option<&[String]>, head: &[String], results: &[Result]) -> Vec<Finding> {
    let of_id: BTreeMap<&str, &Result> = results.iter().map(|result| (result.id.as_str(), result)).collect();
    let (in_base, in_head): (BTreeSet<&String>, BTreeSet<&String>) =
        (base.unwrap_or_default().iter().collect(), head.iter().collect());
    let mut findings = Vec::new();
    for id in head {
        let result = of_id.get(id.as_str()).copied();
        let (verdict, message) = match result {
            _ if base.is_some() && !in_base.contains(id) => {
                (Verdict::New, "the head lists it, and the base does not")
            }
            None => (Verdict::NotMeasured, "criterion left no result"),
            Some(result) if !result.fresh => {
                (Verdict::NotMeasured, "the result is older than the list: of another run")
            }
            Some(result) if !(result.median.is_finite() && result.median > 0.0) => {
                (Verdict::NonFinite, "the result is no positive number")
            }
            Some(_) => (Verdict::Same, ""),
        };
        findings.push(finding(id, verdict, message, result.filter(|result| result.fresh)));
    }
    for id in base.unwrap_or_default().iter().filter(|id| !in_head.contains(id)) {
        findings.push(finding(id, Verdict::Missing, "the base lists it, and the head does not", None));
    }
    findings
}

fn finding(id: &str, verdict: Verdict, message: &str, result: Option<&Result>) -> Finding {
    let figure = |result: &Result| Figure {
        name: "median".to_owned(),
        row: 1,
        unit: "ns".to_owned(),
        base: result.baseline.map(|x| x.to_string()),
        head: Some(result.median.to_string()),
        effect: Effect::Neutral,
    };
    let level = result.filter(|result| result.median.is_finite());
    Finding {
        group: id.split('/').next().unwrap_or_default().to_owned(),
        id: id.to_owned(),
        label: String::new(),
        verdict,
        message: message.to_owned(),
        place: None,
        figures: result.map(figure).into_iter().collect(),
        level: level.map(|result| Level { name: "median of criterion, ns".to_owned(), value: result.median }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(id: &str, fresh: bool, median: f64) -> Result {
        Result { id: id.to_owned(), fresh, median, baseline: Some(2.0) }
    }

    fn ids(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    #[test]
    fn every_listed_id_has_a_finding() {
        let results = [
            result("g/fine", true, 3.0),
            result("g/stale", false, 3.0),
            result("g/zero", true, 0.0),
            result("g/nan", true, f64::NAN),
            result("g/deleted", true, 3.0),
            result("g/new", true, 3.0),
        ];
        let head = ids(&["g/fine", "g/stale", "g/zero", "g/nan", "g/none", "g/new"]);
        let base = ids(&["g/fine", "g/stale", "g/zero", "g/nan", "g/none", "g/gone"]);
        let verdicts = |base| -> Vec<(String, Verdict)> {
            judge(base, &head, &results).into_iter().map(|finding| (finding.id, finding.verdict)).collect()
        };
        let expected = |new| {
            [
                ("g/fine", Verdict::Same),
                ("g/stale", Verdict::NotMeasured),
                ("g/zero", Verdict::NonFinite),
                ("g/nan", Verdict::NonFinite),
                ("g/none", Verdict::NotMeasured),
                ("g/new", new),
            ]
            .map(|(id, verdict)| (id.to_owned(), verdict))
            .to_vec()
        };
        assert_eq!(verdicts(None), expected(Verdict::Same));
        let mut with_base = expected(Verdict::New);
        with_base.push(("g/gone".to_owned(), Verdict::Missing));
        assert_eq!(verdicts(Some(base.as_slice())), with_base);
        let fine = &judge(None, &head, &results)[0];
        assert_eq!(fine.figures[0].base.as_deref(), Some("2"));
        assert_eq!(fine.level.as_ref().unwrap().value, 3.0);
    }

    #[test]
    fn files_are_criterions() {
        assert_eq!(
            listed("a/b: benchmark\n\nrunning 1 test\nc: test\nd e, f/3: benchmark\n"),
            ["a/b", "d e, f/3"]
        );
        assert_eq!(id("f", r#"{"full_id":"a/b","x":1}"#), Ok("a/b".to_owned()));
        assert_eq!(median("f", r#"{"median":{"point_estimate":1.5}}"#), Ok(1.5));
        assert!(median("f", r#"{"median":{"point_estimate":null}}"#).unwrap().is_nan());
        let refused = |text: &str| median("f", text).unwrap_err().to_string();
        assert_eq!(refused(r#"{"mean":1}"#), "f: there is no `median.point_estimate`");
        assert!(refused("{\"median\":").starts_with("f: EOF while parsing"));
        assert_eq!(id("f", r#"{"full_id":7}"#).unwrap_err().to_string(), "f: `full_id` is no text");
    }
}

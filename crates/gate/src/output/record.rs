//! The report as JSON, and the schema of every file that a gate writes.

use crate::finding::{Figure, Finding, GateReport};
use serde_json::{Map, Value as Json, json as object};

/// The version of the report in JSON.
pub const REPORT_SCHEMA_VERSION: u64 = 1;

/// The JSON schema (draft 2020-12) of the report, of a line of a history and of a blessing, each under `$defs`.
pub const SCHEMA: &str = include_str!("schema.json");

/// The whole report as JSON; see [`SCHEMA`].
pub fn json(report: &GateReport) -> String {
    let counts: Map<String, Json> =
        report.counts().into_iter().map(|(verdict, n)| (verdict.name().to_owned(), object!(n))).collect();
    let findings: Vec<Json> = report.findings.iter().map(|finding| self::finding(report, finding)).collect();
    let whole = object!({
        "schema_version": REPORT_SCHEMA_VERSION,
        "gate": report.gate.name(),
        "outcome": report.outcome().name(),
        "exit_code": report.outcome().exit_code(),
        "summary": report.summary(),
        "version": report.run.version,
        "revision": report.run.revision,
        "at": report.run.at,
        "counts": counts,
        "notes": report.notes,
        "findings": findings,
    });
    format!("{whole:#}\n")
}

fn finding(report: &GateReport, finding: &Finding) -> Json {
    let figure = |figure: &Figure| {
        object!({
            "name": figure.name,
            "row": figure.row,
            "unit": figure.unit,
            "base": figure.base,
            "head": figure.head,
            "effect": figure.effect.name(),
        })
    };
    object!({
        "group": finding.group,
        "id": finding.id,
        "label": finding.label,
        "verdict": finding.verdict.name(),
        "outcome": finding.verdict.outcome(report.gate).name(),
        "message": finding.message,
        "place": finding.place.as_ref().map(|place| object!({"file": place.file, "line": place.line})),
        "level": finding.level.as_ref().map(|level| object!({"name": level.name, "value": level.value})),
        "figures": finding.figures.iter().map(figure).collect::<Vec<_>>(),
    })
}

//! Workflow commands of GitHub Actions: annotations that stand at the line of a file.
//!
//! Source: GitHub Docs, "Workflow commands for GitHub Actions": `::error file={name},line={line},title={title}::{message}`; in messages `%`, CR
//! and LF are escaped, in properties `:` and `,` too. A step shows ten errors and ten warnings at most.

use crate::finding::{Finding, GateReport};
use crate::verdict::Outcome;
use std::fmt::Write;

/// Annotations of a kind that GitHub shows for a step.
const SHOWN: usize = 10;

/// One line for each finding that does not pass, the gravest first: errors for what failed, warnings for what is incomplete. When there are more than
/// GitHub shows, the last line says how many.
pub fn github(report: &GateReport) -> String {
    let mut out = String::new();
    let differing = report.differing();
    for (level, wanted) in
        [("error", [Outcome::Unusable, Outcome::Failed].as_slice()), ("warning", &[Outcome::Incomplete])]
    {
        let of_level: Vec<&&Finding> = differing
            .iter()
            .filter(|finding| wanted.contains(&finding.verdict.outcome(report.gate)))
            .collect();
        let shown = if of_level.len() > SHOWN { SHOWN - 1 } else { of_level.len() };
        for finding in &of_level[..shown] {
            let mut properties = Vec::new();
            if let Some(place) = &finding.place {
                properties.push(format!("file={}", property(&place.file)));
                properties.extend(place.line.map(|line| format!("line={line}")));
            }
            let title = format!("{} gate: {}: {}", report.gate.name(), finding.verdict.name(), finding.group);
            properties.push(format!("title={}", property(&title)));
            let label =
                if finding.label.is_empty() { String::new() } else { format!(" ({})", finding.label) };
            let text = format!("{}{label}: {}", finding.id, finding.message);
            let _ = writeln!(out, "::{level} {}::{}", properties.join(","), message(&text));
        }
        if of_level.len() > shown {
            let title = property(&format!("{} gate", report.gate.name()));
            let _ = writeln!(
                out,
                "::{level} title={title}::and {} more; the report has all",
                of_level.len() - shown
            );
        }
    }
    if report.findings.is_empty() {
        let title = property(&format!("{} gate", report.gate.name()));
        let _ = writeln!(out, "::warning title={title}::nothing was measured");
    }
    out
}

fn message(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}

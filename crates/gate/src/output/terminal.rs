//! The report for a terminal: what differs, and one line for what does not.

use super::one_line;
use crate::finding::GateReport;
use crate::verdict::{Outcome, Verdict};
use std::fmt::Write;

/// Findings shown for each group; the first ones tell what happened.
const SHOWN: usize = 20;

/// The report in lines: for each group how many ids are the same and what differs, at the end the outcome.
pub fn terminal(report: &GateReport) -> String {
    let mut out = String::new();
    let (one, many) = report.nouns();
    for (group, findings) in report.groups() {
        let same = findings.iter().filter(|finding| finding.verdict == Verdict::Same).count();
        let total = findings.len();
        let noun = if total == 1 { one } else { many };
        let state = if same == total {
            format!("{total} {noun}: the same")
        } else {
            format!("{same} of {total} {noun} the same")
        };
        let _ = writeln!(out, "{}: {state}", one_line(group));
        let mut differing: Vec<_> = findings.into_iter().filter(|f| f.verdict != Verdict::Same).collect();
        differing.sort_by_key(|finding| std::cmp::Reverse(finding.verdict));
        for finding in differing.iter().take(SHOWN) {
            let label =
                if finding.label.is_empty() { String::new() } else { format!(" ({})", finding.label) };
            let _ = writeln!(
                out,
                "  {:<12} {}{}",
                finding.verdict.name(),
                one_line(&finding.id),
                one_line(&label)
            );
            if !finding.message.is_empty() {
                let _ = writeln!(out, "  {:12} {}", "", one_line(&finding.message));
            }
        }
        if differing.len() > SHOWN {
            let _ = writeln!(out, "  and {} more", differing.len() - SHOWN);
        }
    }
    for note in &report.notes {
        let _ = writeln!(out, "note: {}", one_line(note));
    }
    let word = match report.outcome() {
        Outcome::Passed => "passed",
        Outcome::Incomplete => "INCOMPLETE",
        Outcome::Failed => "FAILED",
        Outcome::Unusable => "NO VERDICT",
    };
    let _ = writeln!(out, "{} gate: {word}: {}", report.gate.name(), report.summary());
    out
}

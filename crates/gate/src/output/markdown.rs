//! The report in Markdown, for a comment on a pull request or the summary of a job.

use super::one_line;
use crate::finding::GateReport;
use crate::verdict::{Outcome, Verdict};
use std::fmt::Write;

/// Rows of the table; a comment on GitHub has at most 65 536 characters.
const SHOWN: usize = 50;

/// A heading with the outcome, a table of what differs, and a line for what does not.
pub fn markdown(report: &GateReport) -> String {
    let (word, mark) = match report.outcome() {
        Outcome::Passed => ("passed", "\u{2705}"),
        Outcome::Incomplete => ("is incomplete", "\u{26a0}\u{fe0f}"),
        Outcome::Failed => ("failed", "\u{274c}"),
        Outcome::Unusable => ("has no verdict", "\u{26d4}"),
    };
    let mut out = format!("### {mark} The {} gate {word}\n\n{}.\n", report.gate.name(), report.summary());
    let differing = report.differing();
    if !differing.is_empty() {
        out += "\n| verdict | id | what |\n| --- | --- | --- |\n";
        for finding in differing.iter().take(SHOWN) {
            let label =
                if finding.label.is_empty() { String::new() } else { format!(" {}", cell(&finding.label)) };
            let _ = writeln!(
                out,
                "| {} | {} `{}`{label} | {} |",
                finding.verdict.name(),
                cell(&finding.group),
                cell(&finding.id).replace('`', "'"),
                cell(&finding.message)
            );
        }
        if differing.len() > SHOWN {
            let _ = writeln!(out, "\nAnd {} more.", differing.len() - SHOWN);
        }
    }
    let same: Vec<String> = report
        .groups()
        .into_iter()
        .map(|(group, findings)| (group, findings.iter().filter(|f| f.verdict == Verdict::Same).count()))
        .filter(|(_, n)| *n > 0)
        .map(|(group, n)| format!("{} {n}", cell(group)))
        .collect();
    if !same.is_empty() {
        let _ = writeln!(out, "\nThe same: {}.", same.join(", "));
    }
    for note in &report.notes {
        let _ = writeln!(out, "\nNote: {}.", cell(note));
    }
    let revision = report.run.revision.as_ref().map_or(String::new(), |r| format!(", revision {}", cell(r)));
    let at = report.run.at.as_ref().map_or(String::new(), |at| format!(", {}", cell(at)));
    let _ = writeln!(out, "\n<sub>gradchain {}{revision}{at}</sub>", cell(&report.run.version));
    out
}

/// Text in a cell of a table: nothing of it is markup.
fn cell(text: &str) -> String {
    let mut out = String::new();
    for c in one_line(text).chars() {
        match c {
            '|' | '\\' | '*' | '_' | '[' | ']' | '#' | '~' => {
                out.push('\\');
                out.push(c);
            }
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '@' => out.push_str("&#64;"),
            c => out.push(c),
        }
    }
    out
}

//! JUnit XML: every id is a test case, so that one that vanishes is seen by what counts them.

use super::escape;
use crate::finding::{Finding, GateReport};
use crate::verdict::Outcome;
use std::fmt::Write;

/// The report as JUnit XML: a suite for each group; what failed is a failure, what is incomplete or allows no verdict an error. Nothing is
/// "skipped", for readers of JUnit let skipped tests pass.
pub fn junit(report: &GateReport) -> String {
    let failed = |finding: &Finding| finding.verdict.outcome(report.gate) == Outcome::Failed;
    let erred = |finding: &Finding| {
        matches!(finding.verdict.outcome(report.gate), Outcome::Incomplete | Outcome::Unusable)
    };
    let nothing = report.findings.is_empty();
    let count =
        |findings: &[&Finding], is: &dyn Fn(&Finding) -> bool| findings.iter().filter(|f| is(f)).count();
    let all: Vec<&Finding> = report.findings.iter().collect();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        out,
        "<testsuites name=\"gradchain {} gate\" tests=\"{}\" failures=\"{}\" errors=\"{}\">",
        report.gate.name(),
        all.len() + usize::from(nothing),
        count(&all, &failed),
        count(&all, &erred) + usize::from(nothing)
    );
    let time = report.run.at.as_ref().map_or(String::new(), |at| format!(" timestamp=\"{}\"", escape(at)));
    for (group, findings) in report.groups() {
        let _ = writeln!(
            out,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"0\"{time}>",
            escape(group),
            findings.len(),
            count(&findings, &failed),
            count(&findings, &erred)
        );
        findings.iter().for_each(|finding| out += &case(report, finding));
        out += "  </testsuite>\n";
    }
    if nothing {
        out += "  <testsuite name=\"gate\" tests=\"1\" failures=\"0\" errors=\"1\" skipped=\"0\">\n    <testcase classname=\"gate\" name=\"anything\"><error type=\"incomplete\" message=\"nothing was measured\"/></testcase>\n  </testsuite>\n";
    }
    out + "</testsuites>\n"
}

fn case(report: &GateReport, finding: &Finding) -> String {
    let label = if finding.label.is_empty() { String::new() } else { format!(" ({})", finding.label) };
    let file = finding.place.as_ref().map_or(String::new(), |place| {
        let line = place.line.map_or(String::new(), |line| format!(" line=\"{line}\""));
        format!(" file=\"{}\"{line}", escape(&place.file))
    });
    let open = format!(
        "    <testcase classname=\"{}\" name=\"{}{}\"{file}",
        escape(&finding.group),
        escape(&finding.id),
        escape(&label)
    );
    let element = match finding.verdict.outcome(report.gate) {
        Outcome::Passed => return format!("{open}/>\n"),
        Outcome::Failed => "failure",
        Outcome::Incomplete | Outcome::Unusable => "error",
    };
    format!(
        "{open}><{element} type=\"{}\" message=\"{}\"/></testcase>\n",
        finding.verdict.name(),
        escape(&finding.message)
    )
}

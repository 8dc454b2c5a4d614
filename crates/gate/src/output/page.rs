//! The report as one page: static, complete in itself, light and dark, at the width of a phone too.

use super::escape;
use crate::finding::{Figure, Finding, GateReport};
use crate::history::{History, key};
use crate::rows::short;
use crate::verdict::{Outcome, Verdict};
use std::collections::BTreeMap;
use std::fmt::Write;

const STYLE: &str = include_str!("page.css");
/// Findings on a page; the report in JSON has all.
const SHOWN: usize = 300;
/// Figures of one finding.
const FIGURES: usize = 40;
/// Runs that a sparkline and the bar of runs show, the last ones.
const RUNS: usize = 60;
/// Width and height of a sparkline.
const SPARK: (f64, f64) = (132.0, 30.0);

/// The page of a report: the outcome, the runs in `history`, what differs with its figures, and the course of every level that moved in the history.
/// `history` should hold this run as its last one.
pub fn page(report: &GateReport, history: &History) -> String {
    let title = format!("The {} gate {}", report.gate.name(), said(report.outcome()));
    let mut main = format!(
        "<h1 class=\"{}\">{}</h1>\n<p>{}.</p>\n",
        report.outcome().name(),
        escape(&title),
        escape(&report.summary())
    );
    main += &provenance(report);
    report.notes.iter().for_each(|note| {
        let _ = writeln!(main, "<p>{}.</p>", escape(note));
    });
    main += &groups(report);
    main += &runs(report, history);
    let ids: Vec<String> = report.findings.iter().map(key).collect();
    let series = history.series(report.gate, &ids);
    let differing = report.differing();
    if !differing.is_empty() {
        main += "<h2>What differs</h2>\n<ol class=\"findings\">\n";
        differing.iter().take(SHOWN).for_each(|finding| main += &item(report, finding, &series));
        main += "</ol>\n";
        if differing.len() > SHOWN {
            let _ = writeln!(
                main,
                "<p class=\"soft\">{} more are in the JSON report.</p>",
                differing.len() - SHOWN
            );
        }
    }
    main += &moved(report, &series);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<meta name=\"color-scheme\" content=\"light dark\"/>\n\
         <title>{} \u{2013} gradchain</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{main}</main>\n</body>\n</html>\n",
        escape(&title)
    )
}

fn said(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Incomplete => "is incomplete",
        Outcome::Failed => "failed",
        Outcome::Unusable => "has no verdict",
    }
}

fn provenance(report: &GateReport) -> String {
    let mut parts = vec![format!("gradchain {}", escape(&report.run.version))];
    parts.extend(
        report.run.revision.as_ref().map(|revision| format!("revision <code>{}</code>", escape(revision))),
    );
    parts.extend(report.run.at.as_ref().map(|at| escape(at)));
    format!("<p class=\"soft\">{}</p>\n", parts.join(", "))
}

/// What each group came to.
fn groups(report: &GateReport) -> String {
    let item = |(group, findings): (&str, Vec<&Finding>)| {
        let same = findings.iter().filter(|finding| finding.verdict == Verdict::Same).count();
        let total = findings.len();
        let outcome =
            findings.iter().map(|f| f.verdict.outcome(report.gate)).max().unwrap_or(Outcome::Incomplete);
        let state = if same == total {
            format!("all {total} the same")
        } else {
            format!("{same} of {total} the same")
        };
        format!("<li><b>{}</b> <span class=\"{}\">{state}</span></li>", escape(group), outcome.name())
    };
    let items: String = report.groups().into_iter().map(item).collect();
    if items.is_empty() { items } else { format!("<ul class=\"groups\">{items}</ul>\n") }
}

/// The last runs as a row of bars.
fn runs(report: &GateReport, history: &History) -> String {
    let all: Vec<_> = history.runs(report.gate).collect();
    let last = &all[all.len().saturating_sub(RUNS)..];
    if last.len() < 2 {
        return String::new();
    }
    let width = 10 * last.len();
    let mut bars = String::new();
    for (i, run) in last.iter().enumerate() {
        let counts: Vec<String> = run.counts.iter().map(|(name, n)| format!("{n} {name}")).collect();
        let parts =
            [run.at.clone(), run.revision.clone(), Some(run.outcome.clone()), Some(counts.join(", "))];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        let class = if ["passed", "failed", "incomplete"].contains(&run.outcome.as_str()) {
            &run.outcome
        } else {
            "unusable"
        };
        let _ = write!(
            bars,
            "<rect class=\"{class}\" x=\"{}\" y=\"0\" width=\"7\" height=\"22\" rx=\"1.5\"><title>{}</title></rect>",
            10 * i,
            escape(&parts.join(" \u{2013} "))
        );
    }
    let passed = last.iter().filter(|run| run.outcome == "passed").count();
    format!(
        "<h2>Runs</h2>\n<div class=\"scroll\"><svg style=\"margin-left:0\" role=\"img\" aria-label=\"outcomes of the last {0} runs, the newest right\" \
         width=\"{width}\" height=\"22\" viewBox=\"0 0 {width} 22\">{bars}</svg></div>\n<p class=\"soft\">{passed} of the last {0} runs passed.</p>\n",
        last.len()
    )
}

fn item(report: &GateReport, finding: &Finding, series: &BTreeMap<String, Vec<Option<f64>>>) -> String {
    let better = finding.verdict == Verdict::Better;
    let class = if better { "better" } else { finding.verdict.outcome(report.gate).name() };
    let label = if finding.label.is_empty() {
        String::new()
    } else {
        format!(" \u{2013} {}", escape(&finding.label))
    };
    let mut text = format!(
        "<p><span class=\"verdict {class}\">{}</span> {} <code>{}</code>{label}</p>",
        finding.verdict.name(),
        escape(&finding.group),
        escape(&finding.id)
    );
    if !finding.message.is_empty() {
        let _ = write!(text, "<p>{}</p>", escape(&finding.message));
    }
    let figures = if finding.figures.is_empty() { String::new() } else { table(&finding.figures) };
    format!("<li><div>{text}</div>{}{figures}</li>\n", course(finding, series))
}

fn table(figures: &[Figure]) -> String {
    let many = figures.iter().any(|figure| figure.row > 1);
    let row = |figure: &Figure| {
        let text = |value: &Option<String>| {
            value.as_ref().map_or("\u{2013}".to_owned(), |value| {
                format!("<span title=\"{}\">{}</span>", escape(value), escape(&short(value)))
            })
        };
        let number = if many { format!("<td>{}</td>", figure.row) } else { String::new() };
        let class = match figure.effect.name() {
            "better" => "better",
            "neutral" => "soft",
            _ => "failed",
        };
        format!(
            "<tr>{number}<td>{}</td><td>{}</td><td>{}</td><td>{}</td><td class=\"{class}\">{}</td></tr>",
            escape(&figure.name),
            text(&figure.base),
            text(&figure.head),
            escape(&figure.unit),
            figure.effect.name()
        )
    };
    let rows: String = figures.iter().take(FIGURES).map(row).collect();
    let number = if many { "<th>row</th>" } else { "" };
    let rest = if figures.len() > FIGURES {
        format!("<p class=\"soft\">{} more are in the JSON report.</p>", figures.len() - FIGURES)
    } else {
        String::new()
    };
    let noun = if figures.len() == 1 { "figure" } else { "figures" };
    format!(
        "<details><summary>{} {noun}</summary><div class=\"scroll\"><table><thead><tr>{number}<th>figure</th><th>baseline</th><th>now</th><th>unit</th><th>effect</th></tr></thead>\
         <tbody>{rows}</tbody></table></div>{rest}</details>",
        figures.len()
    )
}

/// Levels that moved in the history though the id is the same in this run.
fn moved(report: &GateReport, series: &BTreeMap<String, Vec<Option<f64>>>) -> String {
    let has_moved = |finding: &&Finding| {
        let levels = series.get(&key(finding)).map_or(&[][..], Vec::as_slice);
        let known: Vec<f64> = levels.iter().copied().flatten().collect();
        finding.verdict == Verdict::Same && known.iter().any(|level| Some(level) != known.first())
    };
    let moved: Vec<&Finding> = report.findings.iter().filter(has_moved).collect();
    if moved.is_empty() {
        return String::new();
    }
    let mut out = String::from("<h2>What moved in earlier runs</h2>\n<ol class=\"findings\">\n");
    moved.iter().take(SHOWN).for_each(|finding| out += &item(report, finding, series));
    out += "</ol>\n";
    if moved.len() > SHOWN {
        let _ = writeln!(out, "<p class=\"soft\">{} more are in the history.</p>", moved.len() - SHOWN);
    }
    out
}

/// The course of a level as a sparkline: runs without a level leave a gap.
fn course(finding: &Finding, series: &BTreeMap<String, Vec<Option<f64>>>) -> String {
    let Some(levels) = series.get(&key(finding)) else { return String::new() };
    let levels = &levels[levels.len().saturating_sub(RUNS)..];
    let known: Vec<f64> = levels.iter().copied().flatten().collect();
    if levels.len() < 2 || known.is_empty() {
        return String::new();
    }
    let (least, most) =
        known.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(*x), b.max(*x)));
    let span = most - least;
    let place = |(i, level): (usize, f64)| {
        let x = 4.0 + (SPARK.0 - 8.0) * i as f64 / (levels.len() - 1) as f64;
        let share = if span > 0.0 && span.is_finite() { (level - least) / span } else { 0.5 };
        (x, 4.0 + (SPARK.1 - 8.0) * (1.0 - share))
    };
    let (mut path, mut dots) = (String::new(), String::new());
    let mut open = false;
    for (i, level) in levels.iter().enumerate() {
        match level {
            Some(level) => {
                let (x, y) = place((i, *level));
                let _ = write!(path, "{}{x:.1} {y:.1}", if open { 'L' } else { 'M' });
                let alone = !open && levels.get(i + 1).copied().flatten().is_none();
                if alone || i + 1 == levels.len() {
                    let _ = write!(dots, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.4\"/>");
                }
                open = true;
            }
            None => open = false,
        }
    }
    let name = finding.level.as_ref().map_or("level", |level| &level.name);
    let text = |x: f64| short(&x.to_string());
    let range = if span == 0.0 { text(least) } else { format!("{} to {}", text(least), text(most)) };
    format!(
        "<figure><svg role=\"img\" aria-label=\"{0} over {1} runs: {range}\" width=\"{2}\" height=\"{3}\" viewBox=\"0 0 {2} {3}\"><path d=\"{path}\"/>{dots}</svg>\
         <figcaption>{0}: {range}</figcaption></figure>",
        escape(name),
        levels.len(),
        SPARK.0,
        SPARK.1
    )
}

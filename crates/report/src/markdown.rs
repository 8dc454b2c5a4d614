//! A study in Markdown: question, answer, and the rows as a table, for summaries of CI and terminals.

use crate::Report;
use crate::answer;
use crate::table::layout;

/// More rows than this are no summary.
const MOST_ROWS: usize = 40;

/// Question, answer and the first rows of a study.
pub fn markdown(report: &Report) -> String {
    let (rows, study) = (&report.rows, &report.study);
    let mut out = format!("## {}\n\n{}\n", escape(&report.name), escape(&study.question));
    if rows.rows.is_empty() {
        return out + "\nNo rows.\n";
    }
    out += "\n";
    for sentence in &report.answer {
        out += &format!("- {}\n", answer::markdown(sentence));
    }
    let layout = layout(rows, study);
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    out += "\n";
    out += &line(layout.columns.iter().map(|&c| escape(&rows.columns[c].name)).collect());
    out += &line(layout.numeric.iter().map(|n| if *n { "---:" } else { "---" }.to_owned()).collect());
    for row in 0..rows.rows.len().min(MOST_ROWS) {
        out += &line(layout.columns.iter().map(|&c| escape(&rows.get(row, c).short(5))).collect());
    }
    if rows.rows.len() > MOST_ROWS {
        out += &format!("\n{} of {} rows.\n", MOST_ROWS, rows.rows.len());
    }
    out
}

/// Without what Markdown or a table of it would read as a sign.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\n' | '\r' => out.push(' '),
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' => out.extend(['\\', c]),
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            c => out.push(c),
        }
    }
    out
}

//! Rows to pages that people read: HTML with charts in SVG, and Markdown.
//!
//! Text in, text out: the text of `study.toml` and of `rows.jsonl` becomes the text of a page. Nothing here touches files, and the same rows give
//! the same bytes.
//!
//! - A page is complete without script: every chart is a static `<svg>`, the table is a table. Script adds hover, sorting, filtering and a switch
//!   for the theme. Nothing is loaded; the page's content security policy forbids it.
//! - Charts are chosen by the shape of the rows (see `chart`), so that a new study has a page without a line of Rust.
//! - Magnitudes are drawn as log2 on a linear axis, never as raw numbers: 2^-7500 is no f64. Zero, infinity and NaN stand in gutters of their own.
//! - Colours are those of Okabe and Ito (2008), darkened on white where their contrast is below 3:1; each goes with a shape of mark, for eyes that do
//!   not tell them apart. Dashes are kept for predictions and references.
//!
//! ```
//! use gradchain_report::{Source, page, read};
//! let study = "question = 'How large?'\nmeasure = 'chain'\n";
//! let rows = r#"{"schema_version":1,"study":"x","cell":"0a","format":"f16","draws":1,"log2_norm":-3.5,"provenance":{"version":"0.1.0","seed":1}}"#;
//! let report = read(&Source { name: "x", study, rows }, &[])?;
//! assert!(page(&report, Some("rows.jsonl")).starts_with("<!DOCTYPE html>"));
//! # Ok::<(), gradchain_report::ReportError>(())
//! ```

mod answer;
mod chart;
mod companions;
mod formats;
mod grid;
mod heat;
mod index;
mod lifelines;
mod lines;
mod markdown;
mod names;
mod page;
mod panel;
mod rows;
mod scale;
mod study;
mod svg;
mod table;
mod trajectories;
mod value;

pub use index::index;
pub use markdown::markdown;
pub use page::page;

use std::fmt::{self, Display};

/// A study as it stands in files.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// What the study is called: its directory.
    pub name: &'a str,
    /// The text of `study.toml`.
    pub study: &'a str,
    /// The text of `rows.jsonl`.
    pub rows: &'a str,
}

/// What is known of a column of the rows. A page explains its columns by this, and charts take their units from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Column {
    /// The field in JSON.
    pub name: String,
    /// Whether it is a parameter of a cell; else a result.
    pub parameter: bool,
    /// Unit: `log2` for logarithms, `1` for pure numbers, `name` for names.
    pub unit: String,
    /// What it means.
    pub meaning: String,
}

/// A study that has been read: what [`page()`], [`index()`] and [`markdown()`] take.
#[derive(Clone, Debug)]
pub struct Report {
    pub(crate) name: String,
    pub(crate) study: study::Study,
    pub(crate) rows: rows::Rows,
    pub(crate) answer: Vec<answer::Sentence>,
}

impl Report {
    /// The name of the study.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Why a study has no page: the place, the line where there is one, and what is wrong there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ReportError {
    /// The study and the file, such as `scalar/rows.jsonl`.
    pub place: String,
    /// The line, counted from 1.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
}

impl Display for ReportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}: line {line}: {}", self.place, self.message),
            None => write!(f, "{}: {}", self.place, self.message),
        }
    }
}

/// Reads a study. Columns that `columns` does not explain are taken as they come: a parameter if they stand before `draws` in their row, else a result.
///
/// # Errors
/// If the study file is not TOML or has no question, or if a line of the rows is no row: the message names the line and the field.
pub fn read(source: &Source<'_>, columns: &[Column]) -> Result<Report, ReportError> {
    let study = study::Study::read(&format!("{}/study.toml", source.name), source.study)?;
    let rows = rows::Rows::read(&format!("{}/rows.jsonl", source.name), source.rows, columns)?;
    let answer = answer::answer(&rows, &study);
    Ok(Report { name: source.name.to_owned(), study, rows, answer })
}

//! Blessings: measured rows become the baseline, with a reason that stays beside them.
//!
//! `blessings.jsonl` beside the rows has one line for each blessing and is only ever appended to. The last line holds the hash of the rows that it
//! blessed, so that rows that changed without a reason are found.

use crate::drift::{DriftInput, judge};
use crate::finding::{Run, counts};
use crate::sha256;
use crate::verdict::Verdict;
use serde_json::{Map, Value as Json, json};
use std::fmt;

/// The version of the lines of `blessings.jsonl`.
pub const BLESSING_SCHEMA_VERSION: u64 = 1;

/// One line of `blessings.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blessing {
    /// Why the rows changed.
    pub reason: String,
    /// The version of gradchain that measured, and the revision of the source.
    pub run: Run,
    /// How many cells had each verdict against the rows before.
    pub counts: Vec<(Verdict, usize)>,
    /// SHA-256 of the rows before; none if there were none.
    pub before: Option<String>,
    /// SHA-256 of the blessed rows.
    pub blessed: String,
}

/// Why rows are not blessed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The reason says nothing.
    EmptyReason,
    /// The rows are as they were.
    NothingChanged,
    /// Measured rows are beyond limits that no blessing can pass: how many cells, and what the first is.
    OverBudget {
        /// Cells beyond a limit.
        cells: usize,
        /// The first of them, and what it breaks.
        first: String,
    },
    /// Not every cell was measured, or what was measured cannot be read.
    NotMeasured {
        /// What is wrong.
        message: String,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::EmptyReason => write!(f, "the reason is empty: say why the rows changed"),
            Refusal::NothingChanged => write!(f, "nothing changed: there is nothing to bless"),
            Refusal::OverBudget { cells: 1, first } => {
                write!(f, "1 cell is beyond a limit that no blessing can pass: {first}")
            }
            Refusal::OverBudget { cells, first } => {
                write!(f, "{cells} cells are beyond limits that no blessing can pass; the first: {first}")
            }
            Refusal::NotMeasured { message } => write!(f, "not everything was measured: {message}"),
        }
    }
}

impl std::error::Error for Refusal {}

impl Blessing {
    /// Judges the rows of a study and says what its blessing would be. `input.measured` are all rows, in the order of the file.
    ///
    /// # Errors
    /// The refusal, if the rows cannot be blessed.
    pub fn of(input: &DriftInput<'_>, reason: &str, run: &Run) -> Result<Blessing, Refusal> {
        if reason.trim().is_empty() {
            return Err(Refusal::EmptyReason);
        }
        let mut findings = judge(input);
        let counted = counts(&findings);
        if findings.iter().any(|finding| finding.verdict == Verdict::Unusable) {
            // A baseline of another version can be replaced; the limits hold for what replaces it.
            findings = judge(&DriftInput { committed: None, blessed: None, ..*input });
        }
        let with = |verdicts: &[Verdict]| {
            let found: Vec<_> =
                findings.iter().filter(|finding| verdicts.contains(&finding.verdict)).collect();
            found.first().map(|first| (found.len(), format!("cell {}: {}", first.id, first.message)))
        };
        if let Some((_, message)) = with(&[Verdict::Unusable, Verdict::NotMeasured]) {
            return Err(Refusal::NotMeasured { message });
        }
        if let Some((cells, first)) = with(&[Verdict::OverBudget]) {
            return Err(Refusal::OverBudget { cells, first });
        }
        let before = input.committed.map(sha256);
        let blessed = sha256(input.measured);
        if before.as_ref() == Some(&blessed) && input.blessed.is_none_or(|last| last == blessed) {
            return Err(Refusal::NothingChanged);
        }
        Ok(Blessing { reason: reason.trim().to_owned(), run: run.clone(), counts: counted, before, blessed })
    }

    /// The line, with its line feed.
    pub fn to_line(&self) -> String {
        let counts: Map<String, Json> =
            self.counts.iter().map(|(verdict, n)| (verdict.name().to_owned(), json!(n))).collect();
        let line = json!({
            "schema_version": BLESSING_SCHEMA_VERSION,
            "reason": self.reason,
            "version": self.run.version,
            "revision": self.run.revision,
            "counts": counts,
            "before": self.before,
            "blessed": self.blessed,
        });
        line.to_string() + "\n"
    }

    /// The hash of the rows that were last blessed, from the text of `blessings.jsonl`; none if it is empty.
    ///
    /// # Errors
    /// If the last line is no blessing of this version: the message says which line and why.
    pub fn last(text: &str) -> Result<Option<String>, String> {
        let Some((number, line)) = text.lines().enumerate().last() else { return Ok(None) };
        let error = |message: &str| format!("line {}: {message}", number + 1);
        if !text.ends_with('\n') {
            return Err(error("the line is torn: it has no line feed"));
        }
        let json: Json = serde_json::from_str(line).map_err(|e| error(&format!("no JSON: {e}")))?;
        let version = json.get("schema_version").and_then(Json::as_u64);
        if version != Some(BLESSING_SCHEMA_VERSION) {
            let found = json.get("schema_version").map_or("none".to_owned(), Json::to_string);
            return Err(error(&format!(
                "schema_version is {found}; this program reads {BLESSING_SCHEMA_VERSION}"
            )));
        }
        let hash = json.get("blessed").and_then(Json::as_str);
        hash.map(|hash| Some(hash.to_owned())).ok_or_else(|| error("`blessed` is missing or no text"))
    }
}

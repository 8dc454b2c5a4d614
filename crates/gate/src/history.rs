//! Runs of gates, one a line, in a file that is only ever appended to.
//!
//! A line holds the levels that differ from those of the run before: the whole of a gate that finds nothing new is a short line.

use crate::finding::{Finding, GateReport};
use crate::verdict::Gate;
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

/// The version of the lines.
pub const HISTORY_SCHEMA_VERSION: u64 = 1;

/// Levels by group and id.
type Levels = BTreeMap<String, Option<f64>>;

/// The runs of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    runs: Vec<PastRun>,
}

/// A run as its line tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct PastRun {
    /// The gate by name.
    pub gate: String,
    /// The version of gradchain.
    pub version: String,
    /// The revision of the source, if it was known.
    pub revision: Option<String>,
    /// The time, by RFC 3339, if it was told.
    pub at: Option<String>,
    /// The outcome by name.
    pub outcome: String,
    /// Findings by verdict.
    pub counts: Vec<(String, u64)>,
    /// Levels that differ from those of the run before; null where an id has none any more.
    changed: Levels,
}

/// What a history calls a finding.
pub(crate) fn key(finding: &Finding) -> String {
    format!("{}/{}", finding.group, finding.id)
}

impl History {
    /// Reads the text of a history.
    ///
    /// # Errors
    /// If a line is none of this version: the message says which and why. A file that cannot be read must not be appended to.
    pub fn read(text: &str) -> Result<History, String> {
        let mut runs = Vec::new();
        for (i, line) in text.split_inclusive('\n').enumerate() {
            let run = match line.strip_suffix('\n') {
                Some(line) => read_line(line),
                None => Err("the line is torn: it has no line feed".to_owned()),
            };
            runs.push(run.map_err(|message| format!("line {}: {message}", i + 1))?);
        }
        Ok(History { runs })
    }

    /// The runs of a gate, the oldest first.
    pub fn runs(&self, gate: Gate) -> impl Iterator<Item = &PastRun> {
        self.runs.iter().filter(move |run| run.gate == gate.name())
    }

    /// The levels of the ids `wanted` in every run of a gate, the oldest first.
    pub(crate) fn series(&self, gate: Gate, wanted: &[String]) -> BTreeMap<String, Vec<Option<f64>>> {
        let mut now: BTreeMap<&str, Option<f64>> = BTreeMap::new();
        let mut out: BTreeMap<String, Vec<Option<f64>>> =
            wanted.iter().map(|id| (id.clone(), Vec::new())).collect();
        for run in self.runs(gate) {
            run.changed.iter().for_each(|(id, level)| {
                now.insert(id, *level);
            });
            out.iter_mut().for_each(|(id, levels)| levels.push(now.get(id.as_str()).copied().flatten()));
        }
        out
    }

    /// The line of `report`, with its line feed; it is also added to this history.
    pub fn append(&mut self, report: &GateReport) -> String {
        let mut before: Levels = BTreeMap::new();
        for run in self.runs(report.gate) {
            before.extend(run.changed.iter().map(|(id, level)| (id.clone(), *level)));
        }
        let now: Levels = report
            .findings
            .iter()
            .map(|finding| (key(finding), finding.level.as_ref().map(|level| level.value)))
            .collect();
        let gone = before.iter().filter(|(id, level)| level.is_some() && !now.contains_key(*id));
        let mut changed: Levels = gone.map(|(id, _)| (id.clone(), None)).collect();
        let news = now.into_iter().filter(|(id, level)| before.get(id).copied().unwrap_or(None) != *level);
        changed.extend(news);
        let counts = report.counts().into_iter().map(|(verdict, n)| (verdict.name().to_owned(), n as u64));
        let run = PastRun {
            gate: report.gate.name().to_owned(),
            version: report.run.version.clone(),
            revision: report.run.revision.clone(),
            at: report.run.at.clone(),
            outcome: report.outcome().name().to_owned(),
            counts: counts.collect(),
            changed,
        };
        let line = run.to_line();
        self.runs.push(run);
        line
    }
}

impl PastRun {
    fn to_line(&self) -> String {
        let counts: Map<String, Json> =
            self.counts.iter().map(|(name, n)| (name.clone(), json!(n))).collect();
        let levels: Map<String, Json> =
            self.changed.iter().map(|(id, level)| (id.clone(), json!(level))).collect();
        let line = json!({
            "schema_version": HISTORY_SCHEMA_VERSION,
            "gate": self.gate,
            "version": self.version,
            "revision": self.revision,
            "at": self.at,
            "outcome": self.outcome,
            "counts": counts,
            "levels": levels,
        });
        line.to_string() + "\n"
    }
}

fn read_line(line: &str) -> Result<PastRun, String> {
    let json: Json = serde_json::from_str(line).map_err(|e| format!("no JSON: {e}"))?;
    let version = json.get("schema_version").and_then(Json::as_u64);
    if version != Some(HISTORY_SCHEMA_VERSION) {
        let found = json.get("schema_version").map_or("none".to_owned(), Json::to_string);
        return Err(format!("schema_version is {found}; this program reads {HISTORY_SCHEMA_VERSION}"));
    }
    let optional = |name: &str| json.get(name).and_then(Json::as_str).map(str::to_owned);
    let text = |name: &str| optional(name).ok_or_else(|| format!("`{name}` is missing or no text"));
    let object = |name: &str| {
        json.get(name).and_then(Json::as_object).ok_or_else(|| format!("`{name}` is missing or no object"))
    };
    let count = |(name, n): (&String, &Json)| n.as_u64().map(|n| (name.clone(), n));
    let level = |(id, level): (&String, &Json)| {
        let number = level.as_f64();
        (number.is_some() || level.is_null()).then(|| (id.clone(), number))
    };
    let counts: Option<Vec<_>> = object("counts")?.iter().map(count).collect();
    let changed: Option<Levels> = object("levels")?.iter().map(level).collect();
    Ok(PastRun {
        gate: text("gate")?,
        version: text("version")?,
        revision: optional("revision"),
        at: optional("at"),
        outcome: text("outcome")?,
        counts: counts.ok_or("`counts` holds what is no count")?,
        changed: changed.ok_or("`levels` holds what is no number")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{Level, Run};
    use crate::verdict::Verdict;

    fn report(levels: &[(&str, Option<f64>)]) -> GateReport {
        let finding = |(id, level): &(&str, Option<f64>)| Finding {
            group: "g".to_owned(),
            id: (*id).to_owned(),
            label: String::new(),
            verdict: Verdict::Same,
            message: String::new(),
            place: None,
            figures: Vec::new(),
            level: level.map(|value| Level { name: "bits_left".to_owned(), value }),
        };
        let run = Run { version: "1".to_owned(), revision: None, at: None };
        GateReport {
            gate: Gate::Drift,
            run,
            findings: levels.iter().map(finding).collect(),
            notes: Vec::new(),
        }
    }

    #[test]
    fn lines_hold_what_changed_and_series_hold_all() {
        let mut text = String::new();
        let runs: [&[(&str, Option<f64>)]; 4] = [
            &[("a", Some(1.0)), ("b", Some(0.1 + 0.2)), ("c", None)],
            &[("a", Some(1.0)), ("b", Some(2.0))],
            &[("a", Some(1.0))],
            &[("a", Some(1.0)), ("b", Some(2.0)), ("d", Some(-0.5))],
        ];
        let sizes: Vec<usize> = runs
            .iter()
            .map(|levels| {
                let mut history = History::read(&text).unwrap();
                let line = history.append(&report(levels));
                text += &line;
                assert_eq!(History::read(&text).unwrap(), history);
                history.runs.last().unwrap().changed.len()
            })
            .collect();
        assert_eq!(sizes, [2, 1, 1, 2]);
        let ids = ["g/a", "g/b", "g/c", "g/d"].map(str::to_owned);
        let series = History::read(&text).unwrap().series(Gate::Drift, &ids);
        assert_eq!(series["g/a"], [Some(1.0); 4]);
        assert_eq!(series["g/b"], [Some(0.1 + 0.2), Some(2.0), None, Some(2.0)]);
        assert_eq!(series["g/c"], [None; 4]);
        assert_eq!(series["g/d"], [None, None, None, Some(-0.5)]);
        assert!(History::read(&text).unwrap().series(Gate::Time, &ids)["g/a"].is_empty());
    }

    #[test]
    fn a_broken_history_is_refused() {
        let line = History::default().append(&report(&[("a", Some(1.0))]));
        for (text, reason) in [
            (line.trim_end().to_owned(), "line 1: the line is torn"),
            (line.clone() + "{}\n", "line 2: schema_version is none"),
            (
                line.replace("\"schema_version\":1", "\"schema_version\":9"),
                "line 1: schema_version is 9; this program reads 1",
            ),
            (line.replace("1.0}", "\"x\"}"), "`levels` holds what is no number"),
            (line.replace("\"outcome\"", "\"out\""), "`outcome` is missing"),
            ("\n".to_owned(), "no JSON"),
        ] {
            let message = History::read(&text).unwrap_err();
            assert!(message.contains(reason), "{message}");
        }
        assert_eq!(History::read("").unwrap(), History::default());
    }
}

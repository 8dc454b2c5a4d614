//! Findings, and the report of a run of a gate.

use crate::verdict::{Gate, Outcome, Verdict};
use std::cmp::Reverse;

/// What a change of one figure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Less error, more bits, less time.
    Better,
    /// The opposite.
    Worse,
    /// A difference without a direction, or a figure that is only told.
    Neutral,
    /// Finite on one side and not on the other, or infinite in another way.
    NonFinite,
}

impl Effect {
    /// The name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Effect::Better => "better",
            Effect::Worse => "worse",
            Effect::Neutral => "neutral",
            Effect::NonFinite => "non-finite",
        }
    }
}

/// One figure of a finding. Values are texts, so that every digit, infinities and numbers beyond f64 stay what they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// The column of the rows, or what was timed or counted.
    pub name: String,
    /// The row of the cell, from 1; 1 where there is but one.
    pub row: usize,
    /// Unit; `1` for pure numbers, empty where there is none.
    pub unit: String,
    /// The value in the baseline; none where it has none.
    pub base: Option<String>,
    /// The value now; none where there is none.
    pub head: Option<String>,
    /// What the change is.
    pub effect: Effect,
}

/// A place in a file of the project, for annotations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The path as the user knows it.
    pub file: String,
    /// The line, from 1.
    pub line: Option<usize>,
}

/// What a gate found of one id.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The study, or the group of benches.
    pub group: String,
    /// The cell, or the bench; with the group it names the finding from run to run.
    pub id: String,
    /// What a reader knows the id by: the axes of the cell. May be empty.
    pub label: String,
    /// What the gate says.
    pub verdict: Verdict,
    /// Why, in one sentence without a full stop; empty for ids that are the same.
    pub message: String,
    /// Where the baseline of the id stands.
    pub place: Option<Place>,
    /// What differs, gravest first; empty for ids that are the same.
    pub figures: Vec<Figure>,
    /// The number that the history follows, if the id has one.
    pub level: Option<Level>,
}

/// The one number of an id that a history follows from run to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Level {
    /// What it is: a column of the rows, or what was timed or counted.
    pub name: String,
    /// The number; finite.
    pub value: f64,
}

/// When and what a gate ran on. The gate reads no clock: the program gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// The version of gradchain.
    pub version: String,
    /// The revision of the source, if it is known.
    pub revision: Option<String>,
    /// The time, by RFC 3339, if it shall be told.
    pub at: Option<String>,
}

/// All findings of a run of a gate: one for each id of the baseline, and of what was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct GateReport {
    /// The gate.
    pub gate: Gate,
    /// When, and on what.
    pub run: Run,
    /// The findings, in the order of their studies and cells, or of their benches.
    pub findings: Vec<Finding>,
    /// What a reader must know beside the findings, one sentence each.
    pub notes: Vec<String>,
}

impl GateReport {
    /// The outcome: the gravest one of the findings. Without a finding nothing was measured, and nothing passes.
    pub fn outcome(&self) -> Outcome {
        let outcomes = self.findings.iter().map(|finding| finding.verdict.outcome(self.gate));
        outcomes.max().unwrap_or(Outcome::Incomplete)
    }

    /// How many findings have each verdict, in the order of gravity; verdicts without a finding are left out.
    pub fn counts(&self) -> Vec<(Verdict, usize)> {
        counts(&self.findings)
    }

    /// The name of the gate's ids for sentences: one, and many.
    pub(crate) fn nouns(&self) -> (&'static str, &'static str) {
        match self.gate {
            Gate::Drift => ("cell", "cells"),
            Gate::Time | Gate::Count => ("bench", "benches"),
            Gate::Ratios => ("ratio", "ratios"),
        }
    }

    /// The groups in the order met, each with its findings.
    pub(crate) fn groups(&self) -> Vec<(&str, Vec<&Finding>)> {
        let mut out: Vec<(&str, Vec<&Finding>)> = Vec::new();
        for finding in &self.findings {
            match out.iter_mut().find(|(name, _)| *name == finding.group) {
                Some((_, findings)) => findings.push(finding),
                None => out.push((&finding.group, vec![finding])),
            }
        }
        out
    }

    /// The findings that are not the same, the gravest first; else in their own order.
    pub(crate) fn differing(&self) -> Vec<&Finding> {
        let mut out: Vec<&Finding> = self.findings.iter().filter(|f| f.verdict != Verdict::Same).collect();
        out.sort_by_key(|finding| Reverse(finding.verdict));
        out
    }

    /// One sentence, without a full stop, that says how it ended and why.
    pub fn summary(&self) -> String {
        let (one, many) = self.nouns();
        let total = self.findings.len();
        let noun = if total == 1 { one } else { many };
        let others: Vec<String> = self
            .counts()
            .into_iter()
            .rev()
            .filter(|(verdict, _)| *verdict != Verdict::Same)
            .map(|(verdict, n)| format!("{n} {}", verdict.name()))
            .collect();
        match (total, others.is_empty()) {
            (0, _) => "nothing was measured".to_owned(),
            (_, true) => format!("{total} {noun}, all the same"),
            (_, false) => format!("{} of {total} {noun}", others.join(", ")),
        }
    }
}

/// How many findings have each verdict, in the order of gravity; verdicts without a finding are left out.
pub(crate) fn counts(findings: &[Finding]) -> Vec<(Verdict, usize)> {
    let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    Verdict::ALL.into_iter().map(|verdict| (verdict, count(verdict))).filter(|(_, n)| *n > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(gate: Gate, verdicts: &[Verdict]) -> GateReport {
        let finding = |(n, verdict): (usize, &Verdict)| Finding {
            group: "g".to_owned(),
            id: n.to_string(),
            label: String::new(),
            verdict: *verdict,
            message: String::new(),
            place: None,
            figures: Vec::new(),
            level: None,
        };
        let findings = verdicts.iter().enumerate().map(finding).collect();
        GateReport { gate, run: Run::default(), findings, notes: Vec::new() }
    }

    /// The exit code of every pair of verdicts, in both gates where they differ.
    #[test]
    fn exit_codes() {
        use Verdict::*;
        let alone = |verdict, gate| match verdict {
            Same => 0,
            Better => u8::from(gate == Gate::Drift),
            Inconclusive | NotMeasured => 3,
            Unusable => 2,
            Changed | New | Missing | Malformed | Worse | NonFinite | OverBudget => 1,
        };
        for gate in [Gate::Drift, Gate::Time] {
            assert_eq!(report(gate, &[]).outcome().exit_code(), 3, "nothing measured");
            for a in Verdict::ALL {
                for b in Verdict::ALL {
                    let codes = [alone(a, gate), alone(b, gate)];
                    let expected = [2, 1, 3, 0].into_iter().find(|code| codes.contains(code)).unwrap();
                    assert_eq!(report(gate, &[a, b]).outcome().exit_code(), expected, "{a:?} {b:?}");
                }
            }
        }
    }

    #[test]
    fn counts_are_in_the_order_of_gravity() {
        let report = report(Gate::Drift, &[Verdict::Worse, Verdict::Same, Verdict::Worse]);
        assert_eq!(report.counts(), [(Verdict::Same, 1), (Verdict::Worse, 2)]);
        assert!(Verdict::ALL.is_sorted());
    }
}

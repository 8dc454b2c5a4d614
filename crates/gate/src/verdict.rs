//! Verdicts, and what each means for the exit code.

/// Which gate speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Committed rows against rows measured now: exact.
    Drift,
    /// Time of two revisions, in pairs.
    Time,
    /// Instructions of two revisions.
    Count,
    /// Ratios within one run against stated ranges.
    Ratios,
}

impl Gate {
    /// The name in files and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Gate::Drift => "drift",
            Gate::Time => "time",
            Gate::Count => "count",
            Gate::Ratios => "ratios",
        }
    }
}

/// What a gate says of one id.
///
/// In the order of gravity: of several verdicts on one id the last one counts, and reports list the last one first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Equal bits; for the other gates, no difference beyond what they resolve.
    Same,
    /// Better in at least one column with a direction, and worse in none.
    Better,
    /// Different where nothing says which is better.
    Changed,
    /// Measured, but not in the baseline.
    New,
    /// It was measured, and nothing can be concluded.
    Inconclusive,
    /// It should have been measured, and was not.
    NotMeasured,
    /// In the baseline, but gone from what there is to measure.
    Missing,
    /// The baseline of this id cannot be read, or stands twice.
    Malformed,
    /// Worse in at least one column with a direction.
    Worse,
    /// A number became infinite or NaN, or was so and is not any more.
    NonFinite,
    /// Beyond an absolute limit, which no baseline can move.
    OverBudget,
    /// The input does not allow a verdict: another study, another schema, a torn file.
    Unusable,
}

/// What a verdict, or a whole run of a gate, means.
///
/// In the order of gravity: of a run with several outcomes the last one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// All well.
    Passed,
    /// Something was not measured, or nothing can be concluded from it.
    Incomplete,
    /// Something is not as it should be.
    Failed,
    /// Usage or input does not allow a verdict.
    Unusable,
}

impl Outcome {
    /// The name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Outcome::Passed => "passed",
            Outcome::Incomplete => "incomplete",
            Outcome::Failed => "failed",
            Outcome::Unusable => "unusable",
        }
    }

    /// The exit code of the program: 0 passed, 1 failed, 2 usage or input, 3 incomplete or inconclusive.
    pub const fn exit_code(self) -> u8 {
        match self {
            Outcome::Passed => 0,
            Outcome::Failed => 1,
            Outcome::Unusable => 2,
            Outcome::Incomplete => 3,
        }
    }
}

impl Verdict {
    /// All verdicts, in the order of gravity.
    pub const ALL: [Verdict; 12] = [
        Verdict::Same,
        Verdict::Better,
        Verdict::Changed,
        Verdict::New,
        Verdict::Inconclusive,
        Verdict::NotMeasured,
        Verdict::Missing,
        Verdict::Malformed,
        Verdict::Worse,
        Verdict::NonFinite,
        Verdict::OverBudget,
        Verdict::Unusable,
    ];

    /// The name in files and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Verdict::Same => "same",
            Verdict::Better => "better",
            Verdict::Changed => "changed",
            Verdict::New => "new",
            Verdict::Inconclusive => "inconclusive",
            Verdict::NotMeasured => "not-measured",
            Verdict::Missing => "missing",
            Verdict::Malformed => "malformed",
            Verdict::Worse => "worse",
            Verdict::NonFinite => "non-finite",
            Verdict::OverBudget => "over-budget",
            Verdict::Unusable => "unusable",
        }
    }

    /// What the verdict means for the exit code of `gate`. Drift is exact, so that there even better results fail until they are blessed; a
    /// program that became faster passes.
    pub const fn outcome(self, gate: Gate) -> Outcome {
        match (self, gate) {
            (Verdict::Same, _) | (Verdict::Better, Gate::Time | Gate::Count | Gate::Ratios) => {
                Outcome::Passed
            }
            (Verdict::Inconclusive | Verdict::NotMeasured, _) => Outcome::Incomplete,
            (
                Verdict::Better
                | Verdict::Changed
                | Verdict::New
                | Verdict::Missing
                | Verdict::Malformed
                | Verdict::Worse
                | Verdict::NonFinite
                | Verdict::OverBudget,
                _,
            ) => Outcome::Failed,
            (Verdict::Unusable, _) => Outcome::Unusable,
        }
    }
}

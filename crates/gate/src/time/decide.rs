//! What the medians of respawns say.

use crate::time::series::Series;
use crate::time::statistics::{holm, interval, median, sign_test};
use crate::verdict::Verdict;

/// The limits of a decision, as fractions: 0.015 is 1.5 %. Slowdowns by a fraction x and their inverses are alike: what is compared is `ln (1 + x)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// A slowdown beyond this fails, if the respawns agree on it.
    pub threshold: f64,
    /// A difference beyond this, either way, is measured again.
    pub routing: f64,
    /// A difference between the base and its copy beyond this says that the machine, or luck, makes differences of this size.
    pub null: f64,
    /// A pass must exclude, with 95 % confidence, slowdowns beyond this.
    pub resolution: f64,
    /// The probability of any false alarm among all tests of a run, by Holm's procedure, from what is random between respawns.
    pub error: f64,
}

impl Limits {
    /// For processor time on a processor of one's own choice.
    pub const PINNED: Limits =
        Limits { threshold: 0.015, routing: 0.01, null: 0.01, resolution: 0.05, error: 0.01 };
    /// How often a work that is inconclusive may be looked at, with more respawns each time. Each look has its share of the error (Bonferroni), so that
    /// looking again does not make alarms of noise.
    pub const LOOKS: usize = 3;
    /// The confidence of an interval is 1 minus twice this.
    pub const INTERVAL_ERROR: f64 = 0.05;

    /// Limits that are `factor` times wider, the error excepted.
    #[must_use]
    pub fn widened(self, factor: f64) -> Limits {
        Limits {
            threshold: self.threshold * factor,
            routing: self.routing * factor,
            null: self.null * factor,
            resolution: self.resolution * factor,
            error: self.error,
        }
    }

    /// Whether the first stage sends a test to the second: it stands out, its null stands out, or it has not the resolution.
    pub fn routes(&self, series: &Series) -> bool {
        let beyond = |values: &[f64], limit: f64| median(values).is_none_or(|x| x.abs() > ln(limit));
        beyond(&series.head, self.routing)
            || beyond(&series.null, self.null)
            || interval(&series.head, Limits::INTERVAL_ERROR)
                .is_none_or(|found| found.upper > ln(self.resolution))
    }
}

fn ln(fraction: f64) -> f64 {
    libm::log1p(fraction)
}

/// What was measured of one work by one clock.
#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    /// Its limits.
    pub limits: Limits,
    /// The first stage.
    pub routing: Series,
    /// The second stage, for what was routed: all its looks together.
    pub deciding: Option<Series>,
}

/// What is decided of a test. Fractions: 0.03 is 3 % slower, -0.03 a speed-up to 97 % of the time.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// The verdict: `Same`, `Better`, `Worse` or `Inconclusive`.
    pub verdict: Verdict,
    /// How much slower the head is: the median over respawns, of the second stage where there is one.
    pub slower: f64,
    /// Its 90 % interval: each bound is wrong with probability 5 %. Infinite where there are too few respawns.
    pub between: (f64, f64),
    /// How much slower the copy of the base is than the base.
    pub null: f64,
    /// The p value of the sign test for "slower than half the threshold", adjusted by Holm over all tests.
    pub p: f64,
    /// Respawns behind it.
    pub respawns: usize,
    /// Why, for verdicts that need it; else empty.
    pub message: String,
}

/// Decides all tests of a run, which are one family.
///
/// `Worse` takes three things, in the second stage: the median slowdown is beyond the threshold; if the null is beyond its limit, by more than the null;
/// and the exact sign test over respawns rejects "at most half the threshold", with a p value of at most the error over [`Limits::LOOKS`]. A median beyond the threshold without the rest is
/// `Inconclusive`, and so are a null beyond its limit, a test that was routed and not measured again, and one that cannot exclude slowdowns beyond the resolution.
/// `Better` is `Worse` the other way round.
pub fn decide(tests: &[Test]) -> Vec<Judged> {
    let p_of = |sign: f64| {
        let p = tests.iter().map(|test| match &test.deciding {
            None => 1.0,
            Some(series) => {
                let half = ln(test.limits.threshold) / 2.0;
                let beyond = series.head.iter().filter(|&&x| sign * x > half).count();
                sign_test(beyond, series.head.len())
            }
        });
        holm(&p.collect::<Vec<_>>())
    };
    let (slower, faster) = (p_of(1.0), p_of(-1.0));
    tests
        .iter()
        .zip(slower.into_iter().zip(faster))
        .map(|(test, (slower, faster))| one(test, slower, faster))
        .collect()
}

fn one(test: &Test, p_slower: f64, p_faster: f64) -> Judged {
    let Limits { threshold, null: null_limit, resolution, error, .. } = test.limits;
    let error = error / Limits::LOOKS as f64;
    let series = test.deciding.as_ref().unwrap_or(&test.routing);
    let between = interval(&series.head, Limits::INTERVAL_ERROR);
    let (lower, upper) =
        between.map_or((f64::NEG_INFINITY, f64::INFINITY), |found| (found.lower, found.upper));
    let (slower, null) = (median(&series.head), median(&series.null));
    let mut judged = Judged {
        verdict: Verdict::Inconclusive,
        slower: slower.map_or(f64::NAN, libm::expm1),
        between: (libm::expm1(lower), libm::expm1(upper)),
        null: null.map_or(f64::NAN, libm::expm1),
        p: p_slower,
        respawns: series.head.len(),
        message: String::new(),
    };
    let (Some(slower), Some(null)) = (slower, null) else {
        judged.message = "no respawn was measured".to_owned();
        return judged;
    };
    let unstable = null.abs() > ln(null_limit);
    let doubt = if unstable { null.abs() } else { 0.0 };
    let beyond = ln(threshold) + doubt;
    let what = |x: f64| percent(libm::expm1(x));
    (judged.verdict, judged.message) = if test.deciding.is_none() && test.limits.routes(&test.routing) {
        (Verdict::Inconclusive, "it stood out, and there was no time to measure it again".to_owned())
    } else if slower > beyond && p_slower <= error {
        (Verdict::Worse, format!("{} slower, between {} and {}", what(slower), what(lower), what(upper)))
    } else if -slower > beyond && p_faster <= error {
        (Verdict::Better, format!("{} less time", what(slower).trim_start_matches('-')))
    } else if unstable {
        let message = format!(
            "the base differs from its own copy by {}, beyond {}: the machine is not calm enough to tell",
            what(null),
            percent(null_limit)
        );
        (Verdict::Inconclusive, message)
    } else if slower > beyond {
        let half = ln(threshold) / 2.0;
        let agree = series.head.iter().filter(|&&x| x > half).count();
        let message = format!(
            "{} slower in the median, but only {agree} of {} respawns are beyond half the threshold",
            what(slower),
            series.head.len()
        );
        (Verdict::Inconclusive, message)
    } else if upper > ln(resolution) {
        let message = if upper.is_finite() {
            format!(
                "too noisy: slowdowns of {} cannot be excluded, beyond {}",
                what(upper),
                percent(resolution)
            )
        } else {
            format!("{} respawns are too few to exclude anything", series.head.len())
        };
        (Verdict::Inconclusive, message)
    } else {
        (Verdict::Same, String::new())
    };
    judged
}

/// A fraction as people read it: `2.13 %`.
pub(crate) fn percent(fraction: f64) -> String {
    format!("{:.2} %", 100.0 * fraction)
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;

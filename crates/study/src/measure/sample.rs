//! What one draw says about one gradient, and the row that all draws give.

use crate::cell::Cell;
use crate::row::{Row, Value};
use gradchain_arith::{Counts, Format};
use gradchain_drift::{Comparison, EventReport, Scaled};

/// One gradient of one draw, compared.
pub(super) struct Sample {
    /// Against the reference for the same rounded inputs.
    pub drift: Comparison,
    /// Against the reference for the unrounded inputs.
    pub total: Comparison,
    /// Classes of its components.
    pub counts: Counts,
    /// The published bound on the drift, where there is one.
    pub bound: Option<Scaled>,
}

/// Writes the statistics of `samples`, one a draw, into `row`. Draws whose reference gradient is exactly zero count in `dead_fraction` alone.
pub(super) fn summarise(row: &mut Row, samples: &[Sample], cell: &Cell) {
    let alive: Vec<&Sample> =
        samples.iter().filter(|sample| sample.drift.log2_norm_reference != f64::NEG_INFINITY).collect();
    if cell.draws > 1 || alive.is_empty() {
        row.set("dead_fraction", (samples.len() - alive.len()) as f64 / samples.len() as f64);
    }
    let of = |f: fn(&Sample) -> f64| alive.iter().map(|sample| f(sample)).collect::<Vec<f64>>();
    if !alive.is_empty() {
        let drift = RootMeanSquare::of(&of(|s| s.drift.drift));
        row.set("log2_norm", mean(&of(|s| s.drift.log2_norm)));
        row.set("log2_norm_reference", mean(&of(|s| s.drift.log2_norm_reference)));
        row.set("drift", drift.value);
        row.set("total_error", RootMeanSquare::of(&of(|s| s.total.drift)).value);
        row.set("bits_left", bits_left(&drift, &alive, cell.format));
        row.set("componentwise", largest(&of(|s| s.drift.worst_relative)));
        row.set("ulp", largest(&of(|s| s.drift.worst_ulp)));
        row.set("cosine", smallest(&of(|s| s.drift.cosine)));
        if alive.len() > 1 {
            row.set("drift_min", smallest(&of(|s| s.drift.drift)));
            row.set("drift_max", largest(&of(|s| s.drift.drift)));
            row.set("stderr", drift.standard_error);
        }
        signed(row, &alive);
        if let Some(bounds) = alive.iter().map(|sample| sample.bound).collect::<Option<Vec<Scaled>>>() {
            let largest = bounds
                .into_iter()
                .reduce(|a, b| if a.mantissa().is_nan() || a.log2() > b.log2() { a } else { b });
            row.set("theory_bound", largest.map(|bound| Value::scaled(bound.mantissa(), bound.exponent())));
        }
    }
    let mut counts = Counts::default();
    samples.iter().for_each(|sample| counts += sample.counts);
    for (name, count) in [
        ("zero", counts.zero),
        ("subnormal", counts.subnormal),
        ("normal", counts.normal),
        ("infinite", counts.infinite),
        ("nan", counts.nan),
    ] {
        row.set(name, count);
    }
}

/// Signed errors, which scalar chains have.
fn signed(row: &mut Row, alive: &[&Sample]) {
    let of = |f: fn(&Sample) -> Option<f64>| alive.iter().map(|s| f(s)).collect::<Option<Vec<f64>>>();
    if let (Some(drift), Some(total)) = (of(|s| s.drift.signed_relative), of(|s| s.total.signed_relative)) {
        row.set("signed_drift", mean(&drift));
        row.set("signed_total_error", mean(&total));
        if drift.len() > 1 {
            row.set("signed_stderr", standard_deviation(&drift) / (drift.len() as f64).sqrt());
        }
    }
}

/// Writes the earliest appearance of each class of numbers over the draws.
pub(super) fn earliest_classes(row: &mut Row, events: &[EventReport]) {
    let first = |f: fn(&EventReport) -> Option<usize>| events.iter().filter_map(f).min();
    row.set("first_subnormal", first(|e| e.first_subnormal));
    row.set("first_zero", first(|e| e.first_zero));
    row.set("first_infinite", first(|e| e.first_infinite));
    row.set("first_nan", first(|e| e.first_nan));
}

/// Writes the earliest of each event over the draws; what it is stuck at only where there is one draw.
pub(super) fn earliest(row: &mut Row, events: &[EventReport], format: Format) {
    earliest_classes(row, events);
    let first = |f: fn(&EventReport) -> Option<usize>| events.iter().filter_map(f).min();
    row.set("stuck_at", first(|e| e.stuck_at));
    row.set("direction_lost", first(|e| e.direction_lost));
    if let [event] = events {
        row.set("stuck_value", event.stuck_value);
        row.set("stuck_multiple", event.stuck_value.map(|value| value / format.min_subnormal()));
    }
}

/// `-log2` of the root mean square, from the only draw directly where there is one, since that is exact beyond f64 too.
fn bits_left(drift: &RootMeanSquare, alive: &[&Sample], format: Format) -> f64 {
    match alive {
        [only] => only.drift.bits_left,
        _ if drift.value.is_nan() => 0.0,
        _ => (0.0 - libm::log2(drift.value)).clamp(0.0, f64::from(format.precision())),
    }
}

/// A root mean square with its standard error.
struct RootMeanSquare {
    value: f64,
    /// `sd(x²) / (2 rms sqrt N)`, by the propagation of small errors.
    standard_error: f64,
}

impl RootMeanSquare {
    fn of(values: &[f64]) -> RootMeanSquare {
        let squares: Vec<f64> = values.iter().map(|x| x * x).collect();
        let value = mean(&squares).sqrt();
        let standard_error = match value > 0.0 {
            true => standard_deviation(&squares) / (2.0 * value * (values.len() as f64).sqrt()),
            false => 0.0,
        };
        RootMeanSquare { value, standard_error }
    }
}

/// Means and sums add in the order of the draws, so that their bits are those of one thread.
pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The sample standard deviation; 0 for a single value.
pub(super) fn standard_deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|x| (x - mean) * (x - mean)).sum();
    (squares / (values.len().max(2) - 1) as f64).sqrt()
}

/// The largest value; NaN where there is one.
fn largest(values: &[f64]) -> f64 {
    values.iter().copied().reduce(|a, b| if a.is_nan() || a > b { a } else { b }).unwrap_or(f64::NAN)
}

/// The smallest value; NaN where there is one.
fn smallest(values: &[f64]) -> f64 {
    -largest(&values.iter().map(|x| -x).collect::<Vec<f64>>())
}

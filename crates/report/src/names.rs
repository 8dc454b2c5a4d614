//! What columns are called on axes and headings, and which of them are events, errors or predictions.

use crate::Column;
use crate::rows::Rows;

/// The name of a column in words. What is not listed is called by its name without underscores.
pub(crate) fn words(name: &str) -> String {
    let known = match name {
        "log2_norm" => "norm of the gradient",
        "weight_gradient_log2_norm" => "norm of the weight gradient",
        "rate_log2" => "growth per layer, log2",
        "drift" => "drift",
        "total_error" => "total error",
        "cosine" => "cosine with the reference",
        "direction_bits" => "bits left of the direction",
        "surviving_depth" => "layers survived",
        "destroyed" => "components destroyed",
        "peak_numbers" => "numbers held at once",
        "multiply_adds" => "multiply-adds",
        "max_ulp" => "largest error in ulps",
        "mean_ulp" => "mean error in ulps",
        "max_ulp_core" => "largest error in ulps, between -4 and 4",
        "wrong_zeros" => "wrong zeros",
        "wrong_tenth" => "results wrong by more than a tenth",
        "not_rounded" => "results not correctly rounded",
        "first_subnormal" => "first subnormal",
        "first_zero" => "first all zero",
        "first_infinite" => "first infinite",
        "first_nan" => "first NaN",
        "stuck_at" => "stuck from",
        "direction_lost" => "direction lost",
        _ => return name.replace('_', " "),
    };
    known.to_owned()
}

/// What a column means, as a sentence without its end.
pub(crate) fn meaning(column: &Column) -> String {
    match column.meaning.strip_prefix('-') {
        Some(rest) => format!("\u{2212}{rest}"),
        None => heading(&column.meaning),
    }
}

/// With a capital, for headings.
pub(crate) fn heading(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}

/// Whether the column is the log2 of a magnitude, to be read as a power of two; a rate in log2 is read as it is.
pub(crate) fn is_magnitude(name: &str) -> bool {
    name.ends_with("log2_norm")
}

/// Whether the column says after how many layers something happened.
pub(crate) fn is_event(name: &str) -> bool {
    name.starts_with("first_") || ["stuck_at", "direction_lost"].contains(&name)
}

/// Whether the column counts layers from the loss on, so that a deeper chain of the same setting says the same or more.
pub(crate) fn is_horizon(name: &str) -> bool {
    is_event(name) || name == "surviving_depth"
}

/// Columns that a chart shows beside another column, or that only qualify one.
pub(crate) fn is_companion(name: &str) -> bool {
    const ENDS: [&str; 11] = [
        "_min",
        "_max",
        "_at",
        "_value",
        "_multiple",
        "_reference",
        "_negative",
        "_normal",
        "_core",
        "stderr",
        "_from",
    ];
    name.starts_with("theory_")
        || name.starts_with("signed_")
        || name == "value"
        || ENDS.iter().any(|end| name.ends_with(end))
}

/// Columns that say with more words what `bits_left` says.
pub(crate) const IN_BITS_LEFT: [&str; 4] = ["drift", "total_error", "componentwise", "ulp"];

/// The values of the axis that is nearest to what a chart tells apart by colour: the format if it matters, else the axis with the most values up to
/// `most`.
pub(crate) fn series_axis(rows: &Rows, of: &[usize], axes: &[usize], most: usize) -> Option<usize> {
    let count = |axis: usize| rows.distinct(of, axis).len();
    let format = axes.iter().copied().find(|&axis| rows.columns[axis].name == "format" && count(axis) > 1);
    format.or_else(|| {
        let fitting = axes.iter().copied().filter(|&axis| (2..=most).contains(&count(axis)));
        fitting.rev().max_by_key(|&axis| count(axis))
    })
}

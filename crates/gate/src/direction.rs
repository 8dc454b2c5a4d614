//! Which way of a column is the better one.
//!
//! An error, a loss of information and a cost have a direction. What happened, such as the depth of the first infinity, has none: a format overflows
//! where its arithmetic says, and too late is as wrong as too early. Nor has a prediction: it knows nothing of the program.

use crate::finding::Effect;
use crate::number::Number;
use serde_json::Value as Json;

/// Which way of a column is the better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Less is better: errors, wrong results, costs.
    Down,
    /// A smaller magnitude is better: errors with a sign.
    ToZero,
    /// More is better: bits, cosines, depth survived.
    Up,
    /// A count or a depth of results that are infinite or NaN: its change is a change of what is finite.
    Finiteness,
    /// Neither way is better: what a gradient is, what happened at which layer, what theory predicts.
    None,
}

/// Every result column and its direction. The order is that of interest: of several changes of a row the first in this list is told first.
///
/// A test of the program demands that each result column of the rows stands here, so that a new column comes with a decision.
pub const DIRECTIONS: [(&str, Direction); 109] = [
    ("drift", Direction::Down),
    ("total_error", Direction::Down),
    ("bits_left", Direction::Up),
    ("max_ulp", Direction::Down),
    ("not_rounded", Direction::Down),
    ("wrong_zeros", Direction::Down),
    ("surviving_depth", Direction::Up),
    ("direction_bits", Direction::Up),
    ("cosine", Direction::Up),
    ("destroyed", Direction::Down),
    ("drift_max", Direction::Down),
    ("drift_min", Direction::Down),
    ("signed_drift", Direction::ToZero),
    ("signed_total_error", Direction::ToZero),
    ("componentwise", Direction::Down),
    ("ulp", Direction::Down),
    ("max_ulp_core", Direction::Down),
    ("max_ulp_negative", Direction::Down),
    ("mean_ulp", Direction::Down),
    ("not_rounded_negative", Direction::Down),
    ("wrong_zeros_normal", Direction::Down),
    ("wrong_tenth", Direction::Down),
    ("wrong_tenth_normal", Direction::Down),
    ("wrong_whole", Direction::Down),
    ("multiply_adds", Direction::Down),
    ("peak_numbers", Direction::Down),
    ("singular_value_bits", Direction::Up),
    ("update_kept", Direction::Up),
    ("window_octaves", Direction::Up),
    ("lost_updates", Direction::Down),
    ("overflowed_at", Direction::Finiteness),
    ("infinite", Direction::Finiteness),
    ("nan", Direction::Finiteness),
    ("wrong_not_finite", Direction::Finiteness),
    ("first_infinite", Direction::Finiteness),
    ("first_nan", Direction::Finiteness),
    ("first_subnormal", Direction::None),
    ("first_zero", Direction::None),
    ("stuck_at", Direction::None),
    ("stuck_value", Direction::None),
    ("stuck_multiple", Direction::None),
    ("direction_lost", Direction::None),
    ("value", Direction::None),
    ("log2_norm", Direction::None),
    ("log2_norm_reference", Direction::None),
    ("weight_gradient_log2_norm", Direction::None),
    ("weight_gradient_log2_norm_reference", Direction::None),
    ("rate_log2", Direction::None),
    ("mean_ln_norm2", Direction::None),
    ("var_ln_norm2", Direction::None),
    ("dead_fraction", Direction::None),
    ("zero", Direction::None),
    ("subnormal", Direction::None),
    ("normal", Direction::None),
    ("complete", Direction::None),
    ("samples", Direction::None),
    ("inputs", Direction::None),
    ("layer", Direction::None),
    ("max_ulp_at", Direction::None),
    ("value_saturated_from", Direction::None),
    ("slope_zero_from", Direction::None),
    ("slope_zero_rightly_from", Direction::None),
    ("stderr", Direction::None),
    ("signed_stderr", Direction::None),
    ("rate_stderr", Direction::None),
    ("mean_stderr", Direction::None),
    ("var_stderr", Direction::None),
    ("theory_bound", Direction::None),
    ("theory_drift", Direction::None),
    ("theory_surviving_depth", Direction::None),
    ("theory_rate_log2", Direction::None),
    ("theory_rate_stderr", Direction::None),
    ("theory_mean_ln_norm2", Direction::None),
    ("theory_var_ln_norm2", Direction::None),
    ("theory_dead_fraction", Direction::None),
    ("index", Direction::None),
    ("lyapunov", Direction::None),
    ("lyapunov_stderr", Direction::None),
    ("theory_lyapunov", Direction::None),
    ("theory_lyapunov_stderr", Direction::None),
    ("log2_singular_value", Direction::None),
    ("log2_singular_value_reference", Direction::None),
    ("log2_condition", Direction::None),
    ("log2_condition_reference", Direction::None),
    ("rank", Direction::None),
    ("stable_rank", Direction::None),
    ("largest_square", Direction::None),
    ("theory_largest_square", Direction::None),
    ("second_moment", Direction::None),
    ("second_moment_stderr", Direction::None),
    ("theory_second_moment", Direction::None),
    ("outcome", Direction::None),
    ("diverged_at", Direction::None),
    ("loss_first", Direction::None),
    ("loss_last", Direction::None),
    ("update_ratio", Direction::None),
    ("zero_updates", Direction::None),
    ("lost_updates_stochastic", Direction::None),
    ("update_kept_stochastic", Direction::None),
    ("moved", Direction::None),
    ("moved_stochastic", Direction::None),
    ("usable", Direction::None),
    ("window_low", Direction::None),
    ("window_high", Direction::None),
    ("window_stderr", Direction::None),
    ("sweep", Direction::None),
    ("outcome_below", Direction::None),
    ("outcome_above", Direction::None),
    ("theory_threshold", Direction::None),
];

/// The direction of a column; [`Direction::None`] for one that is no result.
pub(crate) fn direction(column: &str) -> Direction {
    DIRECTIONS.iter().find(|(name, _)| *name == column).map_or(Direction::None, |(_, direction)| *direction)
}

/// The place of a column in the order of interest.
pub(crate) fn interest(column: &str) -> usize {
    DIRECTIONS.iter().position(|(name, _)| *name == column).unwrap_or(DIRECTIONS.len())
}

/// What it is that `column` holds `head` where it held `base`, the two being different.
///
/// A value that is finite on one side alone, or another infinity, is [`Effect::NonFinite`] in every column. Null (it did not happen) and absent
/// (not measured) are neither better nor worse than a number.
pub(crate) fn effect(column: &str, base: Option<&Json>, head: Option<&Json>) -> Effect {
    let direction = direction(column);
    if direction == Direction::Finiteness {
        return Effect::NonFinite;
    }
    let (base, head) = (base.and_then(Number::read), head.and_then(Number::read));
    let finite = |number: Option<Number>| number.is_none_or(Number::is_finite);
    if !finite(base) || !finite(head) {
        return if base == head { Effect::Neutral } else { Effect::NonFinite };
    }
    let (Some(base), Some(head)) = (base, head) else { return Effect::Neutral };
    let less = match direction {
        Direction::Down => head < base,
        Direction::Up => head > base,
        Direction::ToZero if head.magnitude() == base.magnitude() => return Effect::Neutral,
        Direction::ToZero => head.magnitude() < base.magnitude(),
        Direction::None | Direction::Finiteness => return Effect::Neutral,
    };
    match (less, head == base) {
        (_, true) => Effect::Neutral,
        (true, false) => Effect::Better,
        (false, false) => Effect::Worse,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn effects() {
        let told = |column: &str, base: Json, head: Json| effect(column, Some(&base), Some(&head));
        for (column, base, head, expected) in [
            ("drift", json!(0.5), json!(0.25), Effect::Better),
            ("drift", json!(0.5), json!(0.5000000000000001), Effect::Worse),
            ("drift", json!(0.5), json!("inf"), Effect::NonFinite),
            ("drift", json!("inf"), json!(0.5), Effect::NonFinite),
            ("drift", json!("inf"), json!("nan"), Effect::NonFinite),
            (
                "drift",
                json!({"mantissa": 1.0, "exp2": 2000}),
                json!({"mantissa": 1.5, "exp2": 1999}),
                Effect::Better,
            ),
            ("drift", json!(0), json!(0.0), Effect::Neutral),
            ("drift", json!(null), json!(0.0), Effect::Neutral),
            ("drift", json!(null), json!("nan"), Effect::NonFinite),
            ("bits_left", json!(3), json!(4), Effect::Better),
            ("bits_left", json!(4), json!(3), Effect::Worse),
            ("signed_drift", json!(-2), json!(1), Effect::Better),
            ("signed_drift", json!(1), json!(-2), Effect::Worse),
            ("signed_drift", json!(1), json!(-1), Effect::Neutral),
            ("infinite", json!(1), json!(0), Effect::NonFinite),
            ("first_infinite", json!(28), json!(null), Effect::NonFinite),
            ("first_zero", json!(28), json!(27), Effect::Neutral),
            ("log2_norm", json!(1), json!(2), Effect::Neutral),
            ("log2_norm", json!(1), json!("-inf"), Effect::NonFinite),
            ("format", json!("f16"), json!("bf16"), Effect::Neutral),
        ] {
            assert_eq!(told(column, base.clone(), head.clone()), expected, "{column}: {base} -> {head}");
        }
        assert_eq!(effect("drift", None, Some(&json!(1))), Effect::Neutral);
        assert_eq!(effect("drift", Some(&json!("inf")), None), Effect::NonFinite);
    }

    #[test]
    fn each_column_stands_once() {
        for (i, (name, _)) in DIRECTIONS.iter().enumerate() {
            assert!(DIRECTIONS[..i].iter().all(|(other, _)| other != name), "{name}");
        }
    }
}

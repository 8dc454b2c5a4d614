//! The one table of columns: what every field of a row is called, in which unit, and what it means.
//!
//! Rows, tables, CSV, `gradchain schema` and the messages of the drift gate all take their names and their order from here.

use crate::axis::Axis;

/// Where a column comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A parameter of the cell.
    Parameter,
    /// A result of the measure.
    Result,
}

impl Kind {
    /// The name in the schema.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Parameter => "parameter",
            Kind::Result => "result",
        }
    }
}

/// A column of the table of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// The field in JSON, the heading elsewhere.
    pub name: &'static str,
    /// Where it comes from.
    pub kind: Kind,
    /// Unit; `1` for pure numbers, `name` for names.
    pub unit: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

const fn axis(axis: Axis, unit: &'static str, meaning: &'static str) -> Column {
    Column { name: axis.name(), kind: Kind::Parameter, unit, meaning }
}

const fn result(name: &'static str, unit: &'static str, meaning: &'static str) -> Column {
    Column { name, kind: Kind::Result, unit, meaning }
}

/// All columns, in the order of the fields of a row.
pub const COLUMNS: [Column; 132] = [
    axis(Axis::Format, "name", "number format of the computation"),
    axis(Axis::Summation, "name", "how products are added"),
    axis(
        Axis::Association,
        "name",
        "order in which the matrices are multiplied; in rows of the measure `association` alone",
    ),
    axis(Axis::Path, "name", "how the derivative of the activation is computed"),
    axis(Axis::Rounding, "name", "which neighbour an inexact result becomes"),
    axis(
        Axis::Subnormals,
        "name",
        "whether results below the least normal number are kept or flushed to zero",
    ),
    axis(
        Axis::Overflow,
        "name",
        "whether results beyond the largest number become infinity or the largest number",
    ),
    axis(Axis::Activation, "name", "activation of every layer"),
    axis(Axis::Init, "name", "distribution of the weights, or the file of a network"),
    axis(Axis::WeightScale, "1", "factor on every weight, sigma_w; null where a file gives the network"),
    axis(
        Axis::BiasScale,
        "1",
        "standard deviation of the biases, sigma_b; null where a file gives the network",
    ),
    axis(Axis::Gain, "1", "factor of each layer, as text; null where `init` gives the weights"),
    axis(Axis::Width, "units", "outputs of each layer; null where `widths` or a file gives them"),
    axis(
        Axis::Widths,
        "units",
        "widths that differ from layer to layer, as text; null where `width` gives them, absent too from rows of other measures than `association`",
    ),
    axis(Axis::Depth, "layers", "number of layers; null where a file gives the network"),
    axis(Axis::Batch, "samples", "samples that pass at once"),
    axis(Axis::Remedy, "name", "what is done to the gradient after each layer"),
    axis(Axis::Upstream, "name", "gradient that enters at the last layer"),
    axis(
        Axis::LearningRate,
        "1",
        "learning rate; null: the row says at which ones training works. In rows of the measure `learning-rate`, and of `layers` where a step is made",
    ),
    axis(
        Axis::Optimiser,
        "name",
        "how a step follows from gradients: sgd, momentum:b (heavy ball) or nesterov:b. In rows of the measure `learning-rate` alone",
    ),
    axis(
        Axis::Master,
        "name",
        "how training keeps the weights; none: in the format of the passes, f32: in that, stochastic: in the format of the passes, updates rounded stochastically. In rows of the measure `learning-rate` alone",
    ),
    axis(
        Axis::Steps,
        "steps",
        "steps of one training, fewer where a number left the format. In rows of the measure `learning-rate`, and of `layers` where a step is made",
    ),
    Column {
        name: "draws",
        kind: Kind::Parameter,
        unit: "networks",
        meaning: "random networks that a row averages over",
    },
    result("layer", "layer", "layer of the row, counted from the input; 1 is the bottom layer"),
    result("index", "index", "the singular value and Lyapunov exponent of the row, the largest is 1"),
    result(
        "multiply_adds",
        "multiply-adds",
        "multiplications, each with an addition, of all products of matrices of one network",
    ),
    result("peak_numbers", "numbers", "most numbers that intermediate products take at once"),
    result(
        "first_subnormal",
        "layers",
        "layers passed (measure `association`: products made) when a subnormal number first appears; null: never",
    ),
    result(
        "first_zero",
        "layers",
        "layers passed (measure `association`: products made) when all of the gradient (or of a product) is first zero; null: never",
    ),
    result(
        "stuck_at",
        "layers",
        "layers passed when the gradient takes the value that it keeps for ever; null: never",
    ),
    result("stuck_value", "1", "the value that it keeps"),
    result(
        "stuck_multiple",
        "least subnormals",
        "the value that it keeps, in units of the least subnormal number",
    ),
    result(
        "first_infinite",
        "layers",
        "layers passed (measure `association`: products made) when an infinity first appears; null: never",
    ),
    result(
        "first_nan",
        "layers",
        "layers passed (measure `association`: products made) when a NaN first appears; null: never",
    ),
    result(
        "direction_lost",
        "layers",
        "layers passed when the cosine with the reference first falls below 0.9; null: never",
    ),
    result(
        "surviving_depth",
        "layers",
        "layers that the gradient passes before all of it is zero, one number is not finite, or its cosine with the reference falls below 0.9; least over draws",
    ),
    result(
        "theory_surviving_depth",
        "layers",
        "layers after which the root mean square of the components leaves the format by the rate that theory predicts, at most `depth`: each factor of two of a loss scale buys one over that rate",
    ),
    result("value", "1", "the computed gradient of a chain of width 1"),
    result("log2_norm", "log2", "log2 of the Euclidean norm of the computed gradient"),
    result("log2_norm_reference", "log2", "log2 of the Euclidean norm of the reference gradient"),
    result(
        "drift",
        "1",
        "arithmetic error: normwise relative distance from the reference for the same rounded inputs, rms over draws",
    ),
    result("drift_min", "1", "least drift over draws"),
    result("drift_max", "1", "greatest drift over draws"),
    result("stderr", "1", "standard error of drift over draws"),
    result("signed_drift", "1", "mean over draws of the signed relative arithmetic error, width 1"),
    result("signed_stderr", "1", "standard error of signed_drift"),
    result(
        "total_error",
        "1",
        "quantisation and arithmetic: normwise relative distance from the reference for the unrounded inputs, rms over draws",
    ),
    result("signed_total_error", "1", "mean over draws of the signed relative total error, width 1"),
    result("bits_left", "bits", "-log2 of drift, at least 0, at most the precision of the format"),
    result(
        "componentwise",
        "1",
        "worst relative error of a component, against the reference for the same rounded inputs",
    ),
    result("ulp", "ulps", "worst error of a component in units in the last place of the format"),
    result("cosine", "1", "cosine of the angle between computed and reference gradient"),
    result(
        "direction_bits",
        "bits",
        "-log2 of the sine of the angle between computed and reference gradient, rms over draws: bits left where a factor on all of the gradient does not count",
    ),
    result(
        "destroyed",
        "components",
        "components that are zero, infinite or NaN where the reference is neither, summed over draws",
    ),
    result("theory_bound", "1", "published bound on drift; inf where theory gives none"),
    result("theory_drift", "1", "drift that theory predicts"),
    result("zero", "components", "zeros in the computed gradient"),
    result("subnormal", "components", "subnormal numbers in the computed gradient"),
    result("normal", "components", "normal numbers in the computed gradient"),
    result("infinite", "components", "infinities in the computed gradient"),
    result("nan", "components", "NaNs in the computed gradient"),
    result(
        "dead_fraction",
        "1",
        "fraction of draws whose reference gradient is exactly zero; other statistics leave them out. Measure `growth`: fraction of samples that a layer of zero derivatives stops",
    ),
    result("samples", "samples", "gradients followed: the batch of every draw"),
    result(
        "rate_log2",
        "log2 per layer",
        "growth of log2 of the norm over all samples, divided by their layers: of each sample those up to the first subnormal number, or else up to the last layer that is neither zero nor infinite; dead samples left out",
    ),
    result(
        "rate_stderr",
        "log2 per layer",
        "standard error of rate_log2, from the scatter of the networks; null for one network",
    ),
    result(
        "complete",
        "samples",
        "gradients that are finite and not zero at the bottom: those of the next four columns",
    ),
    result(
        "mean_ln_norm2",
        "1",
        "mean of the natural logarithm of the squared norm at the bottom over that at the top",
    ),
    result("mean_stderr", "1", "standard error of mean_ln_norm2"),
    result("var_ln_norm2", "1", "sample variance of that logarithm"),
    result("var_stderr", "1", "standard error of var_ln_norm2"),
    result(
        "theory_rate_log2",
        "log2 per layer",
        "rate_log2 that theory predicts: exact at any width for linear, ReLU and leaky ReLU networks without biases, mean-field theory for others",
    ),
    result(
        "theory_rate_stderr",
        "log2 per layer",
        "standard error that theory predicts for rate_log2 over as many networks; null for batches of more than one sample",
    ),
    result("theory_mean_ln_norm2", "1", "mean_ln_norm2 that theory predicts"),
    result("theory_var_ln_norm2", "1", "var_ln_norm2 that theory predicts"),
    result("theory_dead_fraction", "1", "dead_fraction that theory predicts"),
    result("weight_gradient_log2_norm", "log2", "log2 of the Euclidean norm of dL/dW of the layer, computed"),
    result(
        "weight_gradient_log2_norm_reference",
        "log2",
        "log2 of the Euclidean norm of dL/dW of the layer, reference",
    ),
    result(
        "lyapunov",
        "1 per layer",
        "Lyapunov exponent: mean of the natural logarithm of the growth of the dimension of this index per layer, over the layers that have not lost it; of the network with rounded weights",
    ),
    result(
        "lyapunov_stderr",
        "1 per layer",
        "standard error of lyapunov, from the scatter of blocks of layers",
    ),
    result(
        "theory_lyapunov",
        "1 per layer",
        "lyapunov that theory predicts: exact at any width for linear networks; that of index 1 from the rate of growth",
    ),
    result(
        "theory_lyapunov_stderr",
        "1 per layer",
        "standard error that theory predicts for lyapunov over as many layers",
    ),
    result(
        "log2_singular_value",
        "log2",
        "log2 of the singular value of the Jacobian that the format computed, scaled after each layer; mean over draws",
    ),
    result(
        "log2_singular_value_reference",
        "log2",
        "log2 of the singular value of the Jacobian for the same rounded weights and input; mean over draws",
    ),
    result(
        "singular_value_bits",
        "bits",
        "-log2 of the relative error of the computed singular value, rms over draws, at least 0, at most the precision of the format",
    ),
    result(
        "log2_condition",
        "log2",
        "log2 of the largest over the smallest computed singular value, mean over draws; in the row of index 1",
    ),
    result("log2_condition_reference", "log2", "the same of the reference; in the row of index 1"),
    result(
        "rank",
        "dimensions",
        "singular values of the reference that are not 0, least over draws; in the row of index 1",
    ),
    result(
        "stable_rank",
        "dimensions",
        "sum of the squared singular values of the reference over the largest square, mean over draws; in the row of index 1",
    ),
    result(
        "largest_square",
        "1",
        "largest squared singular value of the reference over the mean of all of them, each a mean over draws; in the row of index 1",
    ),
    result(
        "theory_largest_square",
        "1",
        "largest_square that theory predicts at infinite width; at finite width it is lower by the order of n^(-2/3); networks no deeper than wide",
    ),
    result(
        "second_moment",
        "1",
        "mean fourth power of the singular values of the reference over the square of their mean square, each a mean over draws; in the row of index 1",
    ),
    result("second_moment_stderr", "1", "standard error of second_moment, from the scatter of the draws"),
    result(
        "theory_second_moment",
        "1",
        "second_moment that theory predicts: exact at any width for linear and ReLU networks with normal weights, infinite width for others; networks no deeper than wide",
    ),
    result(
        "inputs",
        "numbers",
        "numbers at which the derivative was computed: all finite ones of the format, or a sample",
    ),
    result(
        "max_ulp",
        "ulps",
        "largest error of the derivative in ulps of the true value; inf where a result is not finite",
    ),
    result("max_ulp_at", "1", "the number at which the largest error occurs"),
    result("max_ulp_core", "ulps", "largest error at numbers between -4 and 4"),
    result("max_ulp_negative", "ulps", "largest error at negative numbers"),
    result("mean_ulp", "ulps", "mean error over all numbers looked at"),
    result("not_rounded", "numbers", "results that are not the correctly rounded ones"),
    result("not_rounded_negative", "numbers", "of these, those at negative numbers"),
    result("wrong_zeros", "numbers", "results that are zero though the true value rounds to another number"),
    result("wrong_zeros_normal", "numbers", "of these, those where the true value is a normal number"),
    result(
        "wrong_tenth",
        "numbers",
        "results that are wrong by more than a tenth of the true value, where that does not round to zero",
    ),
    result("wrong_tenth_normal", "numbers", "of these, those where the true value is a normal number"),
    result(
        "wrong_whole",
        "numbers",
        "results that are wrong by the whole true value or more: zeros, NaNs and worse",
    ),
    result("wrong_not_finite", "numbers", "results that are infinite or NaN"),
    result(
        "value_saturated_from",
        "1",
        "number nearest to 0 from which on the computed value is what it tends to, on the side where the derivative tends to 0; null: never",
    ),
    result(
        "slope_zero_from",
        "1",
        "number nearest to 0 from which on the computed derivative is 0, on that side; null: never",
    ),
    result(
        "slope_zero_rightly_from",
        "1",
        "number nearest to 0 from which on the true derivative rounds to 0, on that side; null: never",
    ),
    result(
        "outcome",
        "name",
        "what became of training: converges, stalls, oscillates, explodes or diverges; that of most draws, the worse of equals. A loss that stays above 0.7 times that of a network that gives nothing stalls",
    ),
    result(
        "diverged_at",
        "step",
        "step from which on the loss stayed above one and a half times the first, or at which a number left the format; least over draws; null: never",
    ),
    result(
        "overflowed_at",
        "step",
        "step with the first infinity or NaN; least over draws; null: never. Without learning_rate: just above the window",
    ),
    result("loss_first", "1", "loss before the first step, mean over draws"),
    result(
        "loss_last",
        "1",
        "mean loss of the last 5 steps, mean over draws; without learning_rate the least of all learning rates tried",
    ),
    result(
        "lost_updates",
        "1",
        "updates of weights that rounding undid, as a fraction of all; mean over draws. Measure `learning-rate` without learning_rate: just below the window. Measure `layers`: in one step, rounded to nearest",
    ),
    result(
        "update_ratio",
        "1",
        "Euclidean norm of one step of the weights of the layer, before it is rounded, over that of the weights: learning_rate times the gradient of the mean loss",
    ),
    result(
        "zero_updates",
        "1",
        "fraction of the weights of the layer whose step is zero, the gradient being zero",
    ),
    result(
        "update_kept",
        "1",
        "scalar product of the change of the weights and of the step, over that of the step and itself, rounded to nearest: 1 where all of the step arrives; null without a step",
    ),
    result("lost_updates_stochastic", "1", "lost_updates where the new weights are rounded stochastically"),
    result(
        "update_kept_stochastic",
        "1",
        "update_kept where the new weights are rounded stochastically: 1 on average over the random bits",
    ),
    result(
        "moved",
        "1",
        "Euclidean norm of the change of the weights of the layer by a training, over that of the weights",
    ),
    result("moved_stochastic", "1", "moved where the updates are rounded stochastically"),
    result(
        "usable",
        "networks",
        "draws in which training works at the learning rate of the row, or at some where it has none: its last losses are below 0.7 times the first one and that of a network that gives nothing",
    ),
    result(
        "window_low",
        "1",
        "least learning rate of the window, in which training works; geometric mean over draws that have one",
    ),
    result(
        "window_high",
        "1",
        "greatest learning rate of the window; geometric mean over draws that have one",
    ),
    result(
        "window_octaves",
        "log2",
        "log2 of window_high over window_low, mean over all draws; a draw without a window counts as 0",
    ),
    result("window_stderr", "log2", "standard error of window_octaves over draws; null for one draw"),
    result(
        "sweep",
        "name",
        "outcome at each power of two from 2^-20 to 2^8, its first letter, a capital where training works in at least half of the draws: stalls, converges, oscillates, explodes, diverges; that of most draws, the worse of equals",
    ),
    result("outcome_below", "name", "outcome just below the window; null: it reaches 2^-20"),
    result("outcome_above", "name", "outcome just above the window; null: it reaches 2^8"),
    result(
        "theory_threshold",
        "1",
        "learning rate above which theory says that training leaves the minimum: for gradient descent 2 / (L s^(2 - 2/L)) in a linear chain of L layers of width 1, s being the product of its gains",
    ),
];

/// The column of this name.
pub fn column(name: &str) -> Option<&'static Column> {
    COLUMNS.iter().find(|column| column.name == name)
}

/// The result column of this name.
pub(crate) fn result_column(name: &str) -> Option<&'static Column> {
    column(name).filter(|column| column.kind == Kind::Result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_starts_with_the_axes_and_names_each_column_once() {
        for (axis, column) in Axis::ALL.iter().zip(&COLUMNS) {
            assert_eq!((axis.name(), Kind::Parameter), (column.name, column.kind));
        }
        for (i, column) in COLUMNS.iter().enumerate() {
            assert!(COLUMNS[..i].iter().all(|other| other.name != column.name), "{}", column.name);
        }
    }
}

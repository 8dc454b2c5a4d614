//! What theory says about the growth of the gradients of a cell, where its conditions hold.
//!
//! Linear, ReLU and leaky ReLU networks of one width without biases have exact laws at any width and depth. All others have mean-field theory, layer by layer
//! from the variance that the inputs give the first one, with the first-order correction for the width; layers that normalise have the factor of
//! the wide limit. Networks of a file, of gains, of changing widths, with an upstream gradient that is not random, or with clipped gradients have no prediction.

use crate::cell::{Cell, Init};
use crate::row::Row;
use gradchain_chain::{Upstream, Wiring};
use gradchain_gradients::Remedy;
use gradchain_theory::finite_width::log_variance_coefficient;
use gradchain_theory::moments::moments;
use gradchain_theory::normalisation::{batch_norm_factor, linear_batch_norm_factor, rms_norm_factor};
use gradchain_theory::products::{Ensemble, NormLaw, square_chain};
use gradchain_theory::residual::linear_law;
use gradchain_theory::{Activation, MeanField, TheoryError, lyapunov, singular_values};
use std::f64::consts::LN_2;

/// The law of ln of the squared norm of the gradient at the bottom over that at the top.
pub(super) struct Prediction {
    /// Mean of the logarithm.
    mean: f64,
    /// Its variance, where it is known.
    variance: Option<f64>,
    /// Probability that the gradient is exactly 0.
    dead: Option<f64>,
}

impl Prediction {
    /// The growth of log2 of the norm per layer.
    pub(super) fn rate_log2(&self, cell: &Cell) -> f64 {
        self.mean / (2.0 * LN_2 * cell.depth as f64)
    }

    /// Writes the prediction into the row of `cell`. What a rate scatters by is known for one sample of each network: the samples of a batch share its weights.
    pub(super) fn set(&self, row: &mut Row, cell: &Cell) {
        row.set("theory_rate_log2", self.rate_log2(cell));
        row.set("theory_mean_ln_norm2", self.mean);
        if let Some(variance) = self.variance {
            if cell.batch == 1 {
                row.set("theory_rate_stderr", self.rate_standard_error(variance, cell));
            }
            row.set("theory_var_ln_norm2", variance);
        }
        if let Some(dead) = self.dead {
            // Adding zero drops the sign of -0.
            row.set("theory_dead_fraction", dead + 0.0);
        }
    }

    /// What rate_log2 of one sample of each network scatters by, in log2 per layer.
    fn rate_standard_error(&self, variance: f64, cell: &Cell) -> f64 {
        (variance / cell.draws as f64).sqrt() / (2.0 * LN_2 * cell.depth as f64)
    }

    fn of_law(law: NormLaw) -> Prediction {
        Prediction { mean: law.mean, variance: Some(law.variance), dead: Some(law.dead_probability()) }
    }

    /// A factor on the squared norm that is the same in every layer.
    fn of_factor(factor: f64, depth: usize) -> Prediction {
        Prediction { mean: depth as f64 * libm::log(factor), variance: None, dead: None }
    }
}

/// From this batch on the factor of batch normalisation is taken for that of the limit.
const LARGE_BATCH: usize = 64;

/// The prediction for `cell`; none where theory has none, or says that a parameter is beyond it.
pub(super) fn predict(cell: &Cell) -> Option<Prediction> {
    let untouched = matches!(cell.remedy, Remedy::None | Remedy::LossScale(_));
    let random = cell.upstream == Upstream::Normal && cell.gain.is_none() && cell.widths.is_none();
    if !random || cell.depth == 0 || cell.weight_scale == 0.0 {
        return None;
    }
    let activation: Activation = cell.activation.name().parse().ok()?;
    let (ensemble, weight_variance, bias_variance) = variances(cell)?;
    let linear = activation == Activation::Identity;
    let result = match Wiring::of(cell.remedy) {
        Wiring::Plain if untouched => plain(cell, activation, ensemble, weight_variance, bias_variance),
        Wiring::Plain => return None,
        Wiring::Residual { scale } if linear && ensemble == Ensemble::Gaussian => {
            linear_law(cell.width, scale.abs(), weight_variance)
                .map(|law| Prediction::of_law(law.repeated(cell.depth)))
        }
        Wiring::Residual { .. } => return None,
        Wiring::RmsNorm => {
            rms_norm_factor(activation, 1.0).map(|factor| Prediction::of_factor(factor, cell.depth))
        }
        Wiring::BatchNorm if linear => {
            linear_batch_norm_factor(cell.batch).map(|factor| Prediction::of_factor(factor, cell.depth))
        }
        Wiring::BatchNorm if cell.batch < LARGE_BATCH => return None,
        Wiring::BatchNorm => Ok(Prediction::of_factor(batch_norm_factor(activation), cell.depth)),
    };
    result.ok().filter(|prediction| prediction.mean.is_finite())
}

/// σ_w², the variance of a weight times the width, and σ_b² of the cell's initialisation. Weights that are not normal are taken for normal ones of
/// the same variance, which changes laws by a relative order of 1/n.
fn variances(cell: &Cell) -> Option<(Ensemble, f64, f64)> {
    let scale = cell.weight_scale * cell.weight_scale;
    let bias = cell.bias_scale * cell.bias_scale;
    match cell.init {
        Init::Gaussian | Init::LeCun | Init::Xavier => Some((Ensemble::Gaussian, scale, bias)),
        Init::He => Some((Ensemble::Gaussian, 2.0 * scale, bias)),
        // Uniform on ±1/√n, weights and biases.
        Init::Torch => Some((Ensemble::Gaussian, scale / 3.0, 1.0 / (3.0 * cell.width as f64))),
        Init::Orthogonal => Some((Ensemble::Orthogonal, scale, bias)),
        Init::File(_) => None,
    }
}

fn plain(
    cell: &Cell,
    activation: Activation,
    ensemble: Ensemble,
    weight_variance: f64,
    bias_variance: f64,
) -> Result<Prediction, TheoryError> {
    match activation.homogeneous_slopes() {
        // Biases do not matter to a linear network.
        Some(slopes) if bias_variance == 0.0 || activation == Activation::Identity => {
            square_chain(ensemble, slopes, cell.width, cell.depth, weight_variance).map(Prediction::of_law)
        }
        _ => {
            let field = MeanField::from_variances(activation, weight_variance, bias_variance)?;
            // Inputs are N(0, 1).
            let start = weight_variance + bias_variance;
            let layers = field.transient(start, cell.depth)?;
            let wide: f64 = layers.iter().map(|layer| libm::log(layer.gradient_factor)).sum();
            let coefficient = match ensemble {
                Ensemble::Gaussian => {
                    let growth = field.growth(start)?;
                    log_variance_coefficient(field, &growth).ok().filter(|v| v.is_finite())
                }
                Ensemble::Orthogonal => None,
            };
            let ratio = cell.depth as f64 / cell.width as f64;
            Ok(Prediction {
                mean: wide - coefficient.map_or(0.0, |v| 0.5 * v * ratio),
                variance: coefficient.map(|v| v * ratio),
                dead: None,
            })
        }
    }
}

/// What theory says about the spectrum of the Jacobian of a cell.
pub(super) struct SpectrumPrediction {
    /// The activation of theory, where the network is square and drawn.
    network: Option<(Activation, Ensemble, f64, f64)>,
    /// The growth of a vector, which is that of the first dimension.
    growth: Option<Prediction>,
}

impl SpectrumPrediction {
    pub(super) fn of(cell: &Cell) -> SpectrumPrediction {
        let square =
            cell.gain.is_none() && cell.widths.is_none() && cell.depth > 0 && cell.weight_scale > 0.0;
        let activation = cell.activation.name().parse().ok().filter(|_| square);
        let network = activation.zip(variances(cell)).map(|(activation, (e, w, b))| (activation, e, w, b));
        SpectrumPrediction { network, growth: predict(cell) }
    }

    /// Writes λ_k, and what it scatters by over the layers of all draws.
    pub(super) fn set_exponent(&self, row: &mut Row, cell: &Cell, k: usize) {
        let Some((activation, ensemble, variance, _)) = self.network else { return };
        let layers = cell.depth as f64 * cell.draws as f64;
        let (exponent, error) = match (activation, ensemble, &self.growth) {
            (Activation::Identity, Ensemble::Gaussian, _) => {
                let exponent = lyapunov::exponent(cell.width, k, variance).ok();
                // The standard error over one layer, over the root of their number.
                let one = lyapunov::standard_error(cell.width, k, 1).ok();
                (exponent, one.map(|error| error / layers.sqrt()))
            }
            (Activation::Identity, Ensemble::Orthogonal, _) => (Some(0.5 * libm::log(variance)), Some(0.0)),
            (_, _, Some(growth)) if k == 1 => {
                let error = growth.variance.map(|v| LN_2 * growth.rate_standard_error(v, cell));
                (Some(LN_2 * growth.rate_log2(cell)), error)
            }
            _ => return,
        };
        if let Some(exponent) = exponent {
            row.set("theory_lyapunov", exponent);
            if let Some(error) = error {
                row.set("theory_lyapunov_stderr", error);
            }
        }
    }

    /// Writes the second moment and the edge, for networks that are no deeper than wide: beyond that a mean of fourth powers is made by networks that no sample of
    /// them meets, and the edge is far from that of infinite width.
    pub(super) fn set_moments(&self, row: &mut Row, cell: &Cell) {
        if cell.depth > cell.width {
            return;
        }
        let Some((activation, ensemble, weights, biases)) = self.network else { return };
        // The fraction of slopes that are 1, where the others are 0.
        let active = match activation.homogeneous_slopes() {
            Some((1.0, _)) => Some(1.0),
            Some((0.0, _)) if biases == 0.0 => Some(0.5),
            Some(_) | None => None,
        };
        let moment = match (active, ensemble) {
            (Some(active), Ensemble::Gaussian) => {
                singular_values::second_moment(cell.width, cell.depth, active)
            }
            (Some(active), Ensemble::Orthogonal) => singular_values::moment(ensemble, cell.depth, active, 2),
            (None, _) => wide_second_moment(activation, ensemble, weights, biases, cell.depth),
        };
        if let Ok(moment) = moment
            && moment.is_finite()
        {
            row.set("theory_second_moment", moment);
        }
        if let Some(edge) =
            active.and_then(|active| singular_values::largest(ensemble, cell.depth, active).ok())
        {
            row.set("theory_largest_square", edge);
        }
    }
}

/// One and the variances that the layers add, each at the variance of its pre-activations.
fn wide_second_moment(
    activation: Activation,
    ensemble: Ensemble,
    weights: f64,
    biases: f64,
    depth: usize,
) -> Result<f64, TheoryError> {
    let field = MeanField::from_variances(activation, weights, biases)?;
    let mut sum = 1.0;
    let mut last = (f64::NAN, 0.0);
    for layer in field.transient(weights + biases, depth)? {
        if layer.variance != last.0 {
            let at = moments(activation, layer.variance);
            last = (layer.variance, singular_values::variance(ensemble, 1, at.slope2, at.slope4)?);
        }
        sum += last.1;
    }
    Ok(sum)
}

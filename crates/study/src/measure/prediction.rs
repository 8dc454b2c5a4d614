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
use gradchain_theory::normalisation::{batch_norm_factor, linear_batch_norm_factor, rms_norm_factor};
use gradchain_theory::products::{Ensemble, NormLaw, square_chain};
use gradchain_theory::residual::linear_law;
use gradchain_theory::{Activation, MeanField, TheoryError};
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
        let layers = cell.depth as f64;
        row.set("theory_rate_log2", self.rate_log2(cell));
        row.set("theory_mean_ln_norm2", self.mean);
        if let Some(variance) = self.variance {
            if cell.batch == 1 {
                let error = (variance / cell.draws as f64).sqrt();
                row.set("theory_rate_stderr", error / (2.0 * LN_2 * layers));
            }
            row.set("theory_var_ln_norm2", variance);
        }
        if let Some(dead) = self.dead {
            // Adding zero drops the sign of -0.
            row.set("theory_dead_fraction", dead + 0.0);
        }
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

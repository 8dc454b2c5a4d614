//! Loss functions, and the upstream gradient that each one starts the backward pass with.
//!
//! A loss is computed in f64 from the values of the outputs, whatever their format, and is never rounded into it. The upstream gradient, times
//! the loss scale, is computed in f64 as well and rounded into the format once. So the loss is the one thing in a training step whose error is
//! that of f64 (a few units of 2^-53 relative, for each of its terms), and a format is charged with what it does to the passes alone.

use gradchain_arith::Arithmetic;
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// What is made small, with h the outputs of the last layer, one row a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Loss {
    /// The mean over the batch of `-ln p_c`, where `p_j = e^(h_j) / Σ_k e^(h_k)` and c is the class of the sample: softmax and cross-entropy.
    CrossEntropy,
    /// `½ Σ (h - y)²` over the outputs and the batch.
    HalfSquaredError,
    /// The mean over the batch of `½ Σ (h - y)²` over the outputs.
    MeanHalfSquaredError,
}

/// What the outputs of a batch should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Targets<'a> {
    /// The class of each sample, from 0. A squared error takes the unit vector of the class for y.
    Classes(&'a [usize]),
    /// y, row-major `batch · outputs`. Not for the cross-entropy.
    Values(&'a [f64]),
}

/// Targets that do not fit the outputs or the loss.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LossError {
    /// Too many or too few of them.
    #[error("{found} targets for a batch of {batch} with {outputs} outputs; allowed: {allowed}")]
    Length {
        /// How many there are.
        found: usize,
        /// Samples.
        batch: usize,
        /// Outputs of the network.
        outputs: usize,
        /// How many there should be.
        allowed: usize,
    },
    /// A class that has no output.
    #[error("class {class} of sample {sample} is out of range; allowed: 0 to {outputs} exclusive")]
    Class {
        /// The class.
        class: usize,
        /// Its place in the batch.
        sample: usize,
        /// Outputs of the network.
        outputs: usize,
    },
    /// Values where classes are needed.
    #[error("the loss `{0}` needs classes for its targets, not values")]
    Values(Loss),
    /// No loss of this name.
    #[error("unknown loss `{0}`; known: cross-entropy, half-squared-error, mean-half-squared-error")]
    Unknown(String),
}

impl Loss {
    /// All losses, in the order in which they are listed to users.
    pub const ALL: [Loss; 3] = [Loss::CrossEntropy, Loss::HalfSquaredError, Loss::MeanHalfSquaredError];

    /// The name.
    pub const fn name(self) -> &'static str {
        match self {
            Loss::CrossEntropy => "cross-entropy",
            Loss::HalfSquaredError => "half-squared-error",
            Loss::MeanHalfSquaredError => "mean-half-squared-error",
        }
    }

    /// The loss of `batch` rows of `outputs`; fills `upstream` with its gradient with respect to them, times `factor`.
    ///
    /// - Cross-entropy, with m the greatest output of the row and `e_j = exp(h_j - m)`: the loss `(m - h_c) + ln(1 + Σ' e_j)`, the sum without the
    ///   term of m itself; the gradient `e_j / Σ e_k`, less 1 for the class, where it is `-Σ_(j ≠ c) e_j / Σ e_k`, so that it keeps its relative
    ///   accuracy when the probability is near 1. `exp` does not overflow. A row with a NaN, with an infinite greatest output or with nothing but
    ///   -∞ gives NaN.
    /// - Squared error: gradient `h - y`. The loss is infinite where its square overflows f64.
    ///
    /// A mean divides by the batch: the gradient is multiplied by `factor / batch`, rounded to f64. Sums run in ascending order. An empty batch has
    /// the loss 0. Entry i is rounded with the random bits of stream i.
    ///
    /// # Errors
    /// If the targets do not fit.
    ///
    /// # Panics
    /// If `outputs` is not whole rows.
    pub fn evaluate<A: Arithmetic>(
        self,
        arith: &A,
        targets: Targets<'_>,
        batch: usize,
        outputs: &[A::Number],
        factor: f64,
        upstream: &mut Vec<A::Number>,
    ) -> Result<f64, LossError> {
        let width = outputs.len() / batch.max(1);
        assert_eq!(outputs.len(), batch * width, "{} outputs of {batch} samples", outputs.len());
        targets.check(batch, width)?;
        let share = match self {
            Loss::CrossEntropy | Loss::MeanHalfSquaredError => batch.max(1) as f64,
            Loss::HalfSquaredError => 1.0,
        };
        upstream.clear();
        let mut push = |gradient: f64| {
            upstream.push(arith.stream(upstream.len() as u64).round(gradient * (factor / share)))
        };
        let mut loss = 0.0;
        match (self, targets) {
            (Loss::CrossEntropy, Targets::Values(_)) => return Err(LossError::Values(self)),
            (Loss::CrossEntropy, Targets::Classes(classes)) => {
                let mut row = Vec::with_capacity(width);
                for (sample, &class) in classes.iter().enumerate() {
                    row.clear();
                    row.extend(outputs[sample * width..][..width].iter().map(|&h| arith.value(h)));
                    loss += cross_entropy(&mut row, class);
                    row.iter().for_each(|&gradient| push(gradient));
                }
            }
            (Loss::HalfSquaredError | Loss::MeanHalfSquaredError, _) => {
                for (i, &h) in outputs.iter().enumerate() {
                    let difference = arith.value(h) - targets.value(i, width);
                    loss += 0.5 * (difference * difference);
                    push(difference);
                }
            }
        }
        Ok(loss / share)
    }
}

/// The cross-entropy of one row of outputs, which it replaces by the gradient.
fn cross_entropy(row: &mut [f64], class: usize) -> f64 {
    let (mut greatest, mut m) = (0, f64::NEG_INFINITY);
    for (j, &h) in row.iter().enumerate() {
        if h > m {
            (greatest, m) = (j, h);
        }
    }
    let shortfall = m - row[class];
    row.iter_mut().for_each(|h| *h = libm::exp(*h - m));
    let sum_without = |row: &[f64], left_out: usize| {
        let terms = row.iter().enumerate().filter(|&(j, _)| j != left_out);
        terms.fold(0.0, |sum, (_, &e)| sum + e)
    };
    let rest = sum_without(row, greatest);
    let others = sum_without(row, class);
    let total: f64 = row.iter().sum();
    row.iter_mut().for_each(|e| *e /= total);
    row[class] = -others / total;
    if total.is_nan() { f64::NAN } else { shortfall + libm::log1p(rest) }
}

impl Targets<'_> {
    /// Refuses targets that are not those of `batch` samples with `outputs` outputs each.
    fn check(self, batch: usize, outputs: usize) -> Result<(), LossError> {
        let (found, allowed) = match self {
            Targets::Classes(classes) => (classes.len(), batch),
            Targets::Values(values) => (values.len(), batch * outputs),
        };
        if found != allowed {
            return Err(LossError::Length { found, batch, outputs, allowed });
        }
        if let Targets::Classes(classes) = self
            && let Some(sample) = classes.iter().position(|&class| class >= outputs)
        {
            return Err(LossError::Class { class: classes[sample], sample, outputs });
        }
        Ok(())
    }

    /// y number `i` of all the outputs of the batch.
    fn value(self, i: usize, outputs: usize) -> f64 {
        match self {
            Targets::Values(values) => values[i],
            Targets::Classes(classes) => f64::from(classes[i / outputs] == i % outputs),
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Loss {
    type Err = LossError;

    fn from_str(text: &str) -> Result<Loss, LossError> {
        let known = Loss::ALL.into_iter().find(|loss| loss.name() == text);
        known.ok_or_else(|| LossError::Unknown(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradchain_arith::{Isa, Native, f16};

    fn double(loss: Loss, targets: Targets<'_>, batch: usize, outputs: &[f64]) -> (f64, Vec<f64>) {
        let mut upstream = vec![9.0];
        let arith = Native::<f64>::new(Isa::PORTABLE);
        (loss.evaluate(&arith, targets, batch, outputs, 1.0, &mut upstream).unwrap(), upstream)
    }

    /// ln 2 and one half by hand, and rows whose exponentials f64 does not have.
    #[test]
    fn cross_entropy_by_hand() {
        let (loss, upstream) =
            double(Loss::CrossEntropy, Targets::Classes(&[0, 1]), 2, &[3.0, 3.0, 3.0, 3.0]);
        assert_eq!((loss, upstream), (std::f64::consts::LN_2, vec![-0.25, 0.25, 0.25, -0.25]));
        let (loss, upstream) =
            double(Loss::CrossEntropy, Targets::Classes(&[0]), 1, &[1000.0, 960.0, -1e300]);
        // e^-40 = 4.248354255291589e-18: far below the half ulp of 1, and still there in loss and gradient.
        let tail = 4.248_354_255_291_589e-18;
        assert!((loss / tail - 1.0).abs() < 1e-15 && (upstream[0] / -tail - 1.0).abs() < 1e-15, "{loss}");
        assert_eq!(upstream[2], 0.0);
        let (loss, upstream) = double(Loss::CrossEntropy, Targets::Classes(&[1]), 1, &[1e300, -1e300]);
        assert_eq!((loss, upstream), (2e300, vec![1.0, -1.0]));
        let infinite = double(Loss::CrossEntropy, Targets::Classes(&[1]), 1, &[1.0, f64::NEG_INFINITY]);
        assert_eq!(infinite, (f64::INFINITY, vec![1.0, -1.0]));
        for bad in [f64::NAN, f64::INFINITY] {
            for at in 0..3 {
                let mut row = [0.0, 1.0, 2.0];
                row[at] = bad;
                let (loss, upstream) = double(Loss::CrossEntropy, Targets::Classes(&[1]), 1, &row);
                assert!(loss.is_nan() && upstream.iter().all(|g| g.is_nan()), "{bad} at {at}: {loss}");
            }
        }
    }

    /// Central differences err by about ε² f''' / 6 + u / ε: below 1e-9 at ε = 1e-5.
    #[test]
    fn gradients_are_those_of_the_loss() {
        let outputs = [0.3, -1.2, 2.0, 0.7, 0.1, -0.4];
        let values = [0.5, 0.0, 1.0, -1.0, 2.0, 0.25];
        let classes = Targets::Classes(&[2, 0]);
        for (loss, targets) in [
            (Loss::CrossEntropy, classes),
            (Loss::HalfSquaredError, classes),
            (Loss::HalfSquaredError, Targets::Values(&values)),
            (Loss::MeanHalfSquaredError, Targets::Values(&values)),
        ] {
            let (_, upstream) = double(loss, targets, 2, &outputs);
            for i in 0..outputs.len() {
                let at = |step: f64| {
                    let mut outputs = outputs;
                    outputs[i] += step;
                    double(loss, targets, 2, &outputs).0
                };
                let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!((slope - upstream[i]).abs() < 1e-9, "{loss} {i}: {slope}, {}", upstream[i]);
            }
        }
    }

    /// The scale comes before the only rounding: a gradient below half of f16's least number survives it.
    #[test]
    fn the_loss_scale_comes_before_the_rounding() {
        let arith = Native::<f16>::new(Isa::PORTABLE);
        let outputs = [f16::from_f32(18.0), f16::ZERO];
        let gradient = |factor| {
            let mut upstream = Vec::new();
            Loss::CrossEntropy
                .evaluate(&arith, Targets::Classes(&[0]), 1, &outputs, factor, &mut upstream)
                .unwrap();
            f64::from(upstream[1])
        };
        // 1 / (1 + e^18) = 1.523e-8.
        assert_eq!(gradient(1.0), 0.0);
        let scaled = gradient(16384.0) / 16384.0;
        assert!((scaled / 1.522_997_95e-8 - 1.0).abs() < f64::powi(2.0, -11), "{scaled}");
    }

    #[test]
    fn targets_that_do_not_fit() {
        let arith = Native::<f64>::new(Isa::PORTABLE);
        let mut upstream = Vec::new();
        let mut error = |loss: Loss, targets| {
            loss.evaluate(&arith, targets, 2, &[0.0; 6], 1.0, &mut upstream).unwrap_err().to_string()
        };
        for (loss, targets, expected) in [
            (
                Loss::CrossEntropy,
                Targets::Classes(&[0]),
                "1 targets for a batch of 2 with 3 outputs; allowed: 2",
            ),
            (
                Loss::CrossEntropy,
                Targets::Classes(&[0, 3]),
                "class 3 of sample 1 is out of range; allowed: 0 to 3 exclusive",
            ),
            (Loss::CrossEntropy, Targets::Values(&[0.0; 6]), "the loss `cross-entropy` needs classes"),
            (
                Loss::HalfSquaredError,
                Targets::Values(&[0.0; 5]),
                "5 targets for a batch of 2 with 3 outputs; allowed: 6",
            ),
        ] {
            let message = error(loss, targets);
            assert!(message.starts_with(expected), "{message}");
        }
        for loss in Loss::ALL {
            assert_eq!(loss.to_string().parse::<Loss>().unwrap(), loss);
            assert_eq!(
                loss.evaluate(&arith, Targets::Classes(&[]), 0, &[], 1.0, &mut upstream).unwrap(),
                0.0
            );
        }
        assert!(
            "hinge"
                .parse::<Loss>()
                .unwrap_err()
                .to_string()
                .starts_with("unknown loss `hinge`; known: cross")
        );
    }
}

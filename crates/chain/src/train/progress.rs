//! What a step of training tells.

use gradchain_gradients::{Norm, Sum, Terms};

/// What one step tells. All of it is measured in f64, on the numbers as they are stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// The number of the step, from 0.
    pub step: u64,
    /// The loss of the batch before the update.
    pub loss: f64,
    /// The loss scale of this step, 1 where there is none.
    pub loss_scale: f64,
    /// The two-norm of the gradients of all parameters, exact and rounded once, without loss scale and before clipping.
    pub gradient_norm: Norm,
    /// Whether the gradients were clipped.
    pub clipped: bool,
    /// Whether parameters and velocities were left as they are, the gradients not being finite; see [`OnNonFinite`](super::OnNonFinite).
    pub skipped: bool,
    /// The first infinity or NaN of the step, in the order in which it computes.
    pub non_finite: Option<NonFinite>,
    /// The cosine of the angle between this change of the parameters and the one before; -1 where a step undoes the last one. None where the
    /// norm of one of them is not between 2^-500 and 2^500: zero, for one.
    pub turn: Option<f64>,
    /// The layers, from the first on.
    pub layers: Vec<LayerProgress>,
}

/// What one step tells about one layer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LayerProgress {
    /// ‖dL/dW‖, without loss scale and before clipping. Infinite from 2^1024 on.
    pub weight_gradient: f64,
    /// ‖dL/dh‖, h being what the layer gives, without loss scale, in the format of the passes.
    pub hidden_gradient: f64,
    /// ‖w' - w‖ / ‖w‖ of the weights as they are stored; the biases are left out.
    pub update_ratio: f64,
    /// How many weights and biases did not change although `λ` times what was to be taken off them is not zero: their format is too coarse.
    pub lost_updates: usize,
}

/// Where an infinity or a NaN stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NonFinite {
    /// In which numbers.
    pub place: Place,
    /// Of which layer, from 1.
    pub layer: usize,
}

/// Numbers of a step, in the order in which they are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// What the activation takes or gives.
    Forward,
    /// The loss itself; the outputs are finite.
    Loss,
    /// dL/dh, still with the loss scale.
    HiddenGradient,
    /// dL/dW or dL/db.
    ParameterGradient,
    /// A weight or bias after the update.
    Parameter,
}

impl Progress {
    /// A step of which nothing is known yet.
    pub(super) fn new(depth: usize) -> Progress {
        Progress {
            step: 0,
            loss: f64::NAN,
            loss_scale: 1.0,
            gradient_norm: Sum::new(Terms::Squares).norm(),
            clipped: false,
            skipped: false,
            non_finite: None,
            turn: None,
            layers: vec![LayerProgress::default(); depth],
        }
    }

    /// Updates lost in all layers.
    pub fn lost_updates(&self) -> usize {
        self.layers.iter().map(|layer| layer.lost_updates).sum()
    }

    /// Notes an infinity or a NaN in `values`, unless one was found before.
    pub(super) fn look(&mut self, place: Place, layer: usize, values: &[f64]) {
        // Without a branch, so that it is done on vectors.
        if self.non_finite.is_none() && !values.iter().fold(true, |finite, x| finite & x.is_finite()) {
            self.non_finite = Some(NonFinite { place, layer });
        }
    }
}

/// The two-norm of `values`: the root of a sum of squares in f64 over four interleaved partial sums, relative error at most
/// `(n / 4 + 5) 2^-53` to first order. Where the sum leaves 2^-900 to 2^900, squares may have been lost, and the exact sum takes its place.
pub(super) fn two_norm(values: &[f64]) -> f64 {
    let square = interleaved(values, |x| x * x);
    if (f64::powi(2.0, -900)..f64::powi(2.0, 900)).contains(&square) {
        return square.sqrt();
    }
    let mut sum = Sum::new(Terms::Squares);
    values.iter().for_each(|&x| sum.add(x));
    sum.norm().to_f64()
}

/// The sum of `values` over four partial sums, number i going to sum i mod 4.
pub(super) fn sum4(values: &[f64]) -> f64 {
    interleaved(values, |x| x)
}

fn interleaved(values: &[f64], term: impl Fn(f64) -> f64) -> f64 {
    let mut sums = [0.0; 4];
    let (fours, rest) = values.as_chunks::<4>();
    for four in fours {
        sums.iter_mut().zip(four).for_each(|(sum, &x)| *sum += term(x));
    }
    sums.iter_mut().zip(rest).for_each(|(sum, &x)| *sum += term(x));
    (sums[0] + sums[2]) + (sums[1] + sums[3])
}

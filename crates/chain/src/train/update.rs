//! One tensor of parameters and its update.

use super::recipe::{Clip, Momentum, OnNonFinite};
use gradchain_arith::Arithmetic;
use gradchain_gradients::{
    GradientError, Gradients, NonFinite, Norm, Order, Outcome, Units, clip_adaptively, clip_by_norm,
    clip_by_value, first_non_finite, norm,
};

/// The weights or the bias of a layer, with what training keeps beside them.
#[derive(Clone, Debug)]
pub(super) struct Tensor<N> {
    /// The layer, from 0.
    pub(super) layer: usize,
    /// Inputs of the layer, where these are its weights.
    pub(super) width: Option<usize>,
    /// The parameters as they are stored.
    pub(super) numbers: Vec<N>,
    /// The gradient of the step under way.
    pub(super) gradient: Vec<N>,
    /// The last change of the parameters.
    pub(super) change: Vec<f64>,
    /// v.
    velocity: Vec<N>,
}

/// What an update did to a tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Updated {
    /// The scalar product of this change and the one before.
    pub(super) along: f64,
    /// Updates that were not zero and changed nothing.
    pub(super) lost: usize,
}

impl<N: Copy> Tensor<N> {
    /// `values` rounded into the storage.
    pub(super) fn new<S: Arithmetic<Number = N>>(
        storage: &S,
        layer: usize,
        width: Option<usize>,
        values: impl Iterator<Item = f64>,
    ) -> Tensor<N> {
        let numbers: Vec<N> = values.map(|x| storage.round(x)).collect();
        let zeros = vec![storage.round(0.0); numbers.len()];
        Tensor {
            layer,
            width,
            change: vec![0.0; numbers.len()],
            gradient: zeros.clone(),
            velocity: zeros,
            numbers,
        }
    }

    /// The parameters.
    pub(super) fn values<S: Arithmetic<Number = N>>(&self, storage: &S) -> impl Iterator<Item = f64> + Clone {
        self.numbers.iter().map(|&x| storage.value(x))
    }

    /// Rounds the gradient `values` into the storage.
    pub(super) fn take_gradient<S: Arithmetic<Number = N>>(
        &mut self,
        storage: &S,
        values: impl Iterator<Item = f64>,
    ) {
        for (i, (g, value)) in self.gradient.iter_mut().zip(values).enumerate() {
            *g = storage.stream(i as u64).round(value);
        }
    }

    /// Updates every parameter, as the module's page says.
    pub(super) fn update<S: Arithmetic<Number = N>>(
        &mut self,
        storage: &S,
        rate: f64,
        momentum: Momentum,
    ) -> Updated {
        match momentum {
            Momentum::None => self.update_by(storage, rate, |_, _, g| g),
            Momentum::HeavyBall(factor) => self.update_by(storage, rate, |storage, v, g| {
                *v = storage.round(factor * storage.value(*v) + g);
                storage.value(*v)
            }),
            Momentum::Nesterov(factor) => self.update_by(storage, rate, |storage, v, g| {
                *v = storage.round(factor * storage.value(*v) + g);
                storage.value(storage.round(g + factor * storage.value(*v)))
            }),
        }
    }

    /// `direction` gives d from the velocity, which it updates, and the gradient.
    fn update_by<S: Arithmetic<Number = N>>(
        &mut self,
        storage: &S,
        rate: f64,
        direction: impl Fn(&S, &mut N, f64) -> f64,
    ) -> Updated {
        let mut result = Updated { along: 0.0, lost: 0 };
        let parameters =
            self.numbers.iter_mut().zip(&mut self.velocity).zip(&self.gradient).zip(&mut self.change);
        for (i, (((w, v), &g), change)) in parameters.enumerate() {
            let storage = storage.stream(i as u64);
            let step = rate * direction(&storage, v, storage.value(g));
            let before = storage.value(*w);
            *w = storage.round(before - step);
            let now = storage.value(*w) - before;
            // From an infinity nothing can be taken off: such a parameter is lost itself.
            result.lost += usize::from(now == 0.0 && step != 0.0 && before.is_finite());
            result.along += now * *change;
            *change = now;
        }
        result
    }
}

/// Clips the gradients of all parameters. Says what their two-norm was before, and whether a number was changed; where the norm is not finite and such steps
/// are skipped, none is. Adaptive clipping leaves alone the gradients of parameters that are not finite themselves.
pub(super) fn clip<S: Gradients>(
    storage: &S,
    clip: Clip,
    non_finite: OnNonFinite,
    tensors: &mut [Tensor<S::Number>],
) -> Result<(Norm, bool), GradientError> {
    let gradients: Vec<&[S::Number]> = tensors.iter().map(|tensor| tensor.gradient.as_slice()).collect();
    let norm = norm(storage, Order::Two, &gradients);
    if !norm.is_finite() && non_finite == OnNonFinite::Skip {
        return Ok((norm, false));
    }
    let mut clipped = false;
    match clip {
        Clip::None => {}
        Clip::Value(limit) => {
            for (t, tensor) in tensors.iter_mut().enumerate() {
                clipped |= clip_by_value(&storage.stream(t as u64), limit, &mut tensor.gradient)? > 0;
            }
        }
        Clip::Norm(limit) => {
            clipped = !norm.is_finite() || norm.exceeds(limit);
            if clipped {
                let mut gradients: Vec<&mut [S::Number]> =
                    tensors.iter_mut().map(|tensor| tensor.gradient.as_mut_slice()).collect();
                clip_by_norm(storage, Order::Two, limit, NonFinite::Propagate, &mut gradients)?;
            }
        }
        Clip::Adaptive(adaptive) => {
            for (t, tensor) in tensors.iter_mut().enumerate() {
                if first_non_finite(storage, &tensor.numbers).is_some() {
                    continue;
                }
                let storage = storage.stream(t as u64);
                let (units, width) = match tensor.width {
                    Some(width) => (Units::Rows, width),
                    None => (Units::Whole, 0),
                };
                let (policy, gradient) = (NonFinite::Propagate, &mut tensor.gradient);
                let units =
                    clip_adaptively(&storage, adaptive, units, width, policy, &tensor.numbers, gradient)?;
                clipped |=
                    units.iter().any(|unit| matches!(unit.outcome, Outcome::Scaled | Outcome::Spoiled));
            }
        }
    }
    Ok((norm, clipped))
}

/// Refuses limits out of range, by clipping nothing.
pub(super) fn check_clip<S: Gradients>(storage: &S, clip: Clip) -> Result<(), GradientError> {
    let policy = NonFinite::Propagate;
    match clip {
        Clip::None => Ok(()),
        Clip::Value(limit) => clip_by_value(storage, limit, &mut []).map(|_| ()),
        Clip::Norm(limit) => clip_by_norm(storage, Order::Two, limit, policy, &mut []).map(|_| ()),
        Clip::Adaptive(adaptive) => {
            clip_adaptively(storage, adaptive, Units::Whole, 0, policy, &[], &mut []).map(|_| ())
        }
    }
}

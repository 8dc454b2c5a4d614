//! One tensor of parameters and its update.

use super::recipe::{Clip, Momentum, OnNonFinite};
use gradchain_arith::Arithmetic;
use gradchain_gradients::{
    GradientError, Gradients, NonFinite, Norm, Order, clip_by_norm, clip_by_value, norm,
};

/// The weights or the bias of a layer, with what training keeps beside them.
#[derive(Clone, Debug)]
pub(super) struct Tensor<N> {
    /// The layer, from 0.
    pub(super) layer: usize,
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
        values: impl Iterator<Item = f64>,
    ) -> Tensor<N> {
        let numbers: Vec<N> = values.map(|x| storage.round(x)).collect();
        let zeros = vec![storage.round(0.0); numbers.len()];
        Tensor { layer, change: vec![0.0; numbers.len()], gradient: zeros.clone(), velocity: zeros, numbers }
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

/// Clips the gradients of all parameters together. Says what their two-norm was before, and whether a number was changed; where the norm is not finite and
/// such steps are skipped, none is.
pub(super) fn clip<S: Gradients>(
    storage: &S,
    clip: Clip,
    non_finite: OnNonFinite,
    gradients: &mut [&mut [S::Number]],
) -> Result<(Norm, bool), GradientError> {
    // On nothing first: a limit out of range is refused whatever the gradients are.
    match clip {
        Clip::None => Ok(()),
        Clip::Value(limit) => clip_by_value(storage, limit, &mut []).map(|_| ()),
        Clip::Norm(limit) => {
            clip_by_norm(storage, Order::Two, limit, NonFinite::Propagate, &mut []).map(|_| ())
        }
    }?;
    let tensors: Vec<&[S::Number]> = gradients.iter().map(|gradient| &**gradient).collect();
    let norm = norm(storage, Order::Two, &tensors);
    if !norm.is_finite() && non_finite == OnNonFinite::Skip {
        return Ok((norm, false));
    }
    let clipped = match clip {
        Clip::None => false,
        Clip::Value(limit) => {
            let mut clipped = 0;
            for (t, gradient) in gradients.iter_mut().enumerate() {
                clipped += clip_by_value(&storage.stream(t as u64), limit, gradient)?;
            }
            clipped > 0
        }
        Clip::Norm(limit) => {
            let above = !norm.is_finite() || norm.exceeds(limit);
            if above {
                clip_by_norm(storage, Order::Two, limit, NonFinite::Propagate, gradients)?;
            }
            above
        }
    };
    Ok((norm, clipped))
}

//! One tensor of parameters and its update.

use super::progress::sum4;
use super::recipe::{Clip, Momentum, OnNonFinite};
use super::storage::Storage;
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
    /// Their values.
    pub(super) values: Vec<f64>,
    /// The gradient of the step under way, until the update.
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
    pub(super) fn new<S: Storage<Number = N>>(
        storage: &S,
        layer: usize,
        width: Option<usize>,
        values: &[f64],
    ) -> Tensor<N> {
        let numbers: Vec<N> = values.iter().map(|&x| storage.round(x)).collect();
        let zeros = vec![storage.round(0.0); numbers.len()];
        Tensor {
            layer,
            width,
            values: numbers.iter().map(|&x| storage.value(x)).collect(),
            change: vec![0.0; numbers.len()],
            gradient: zeros.clone(),
            velocity: zeros,
            numbers,
        }
    }

    /// Updates every parameter, as the module's page says. `buffers` are overwritten.
    pub(super) fn update<S: Storage<Number = N>>(
        &mut self,
        storage: &S,
        rate: f64,
        momentum: Momentum,
        buffers: &mut [Vec<f64>; 2],
    ) -> Updated {
        let [direction, sum] = buffers;
        for buffer in [&mut *direction, &mut *sum] {
            buffer.clear();
            buffer.resize(self.numbers.len(), 0.0);
        }
        storage.values(&self.gradient, direction);
        let factor = momentum.factor();
        // Roundings in the stream of each number.
        let mut roundings = 0;
        if momentum != Momentum::None {
            storage.values(&self.velocity, sum);
            sum.iter_mut().zip(&*direction).for_each(|(v, g)| *v = factor * *v + g);
            storage.round_all(roundings, sum, &mut self.velocity);
            storage.values(&self.velocity, sum);
            roundings += 1;
        }
        match momentum {
            Momentum::None => {}
            Momentum::HeavyBall(_) => std::mem::swap(direction, sum),
            Momentum::Nesterov(_) => {
                direction.iter_mut().zip(&*sum).for_each(|(g, v)| *g += factor * v);
                storage.round_all(roundings, direction, &mut self.gradient);
                storage.values(&self.gradient, direction);
                roundings += 1;
            }
        }
        direction.iter_mut().for_each(|d| *d *= rate);
        for ((sum, w), step) in sum.iter_mut().zip(&self.values).zip(&*direction) {
            *sum = w - step;
        }
        storage.round_all(roundings, sum, &mut self.numbers);
        let before = sum;
        before.copy_from_slice(&self.values);
        storage.values(&self.numbers, &mut self.values);
        let mut lost = 0;
        for (((now, before), step), change) in
            self.values.iter().zip(&*before).zip(&mut *direction).zip(&mut self.change)
        {
            let moved = now - *before;
            // From an infinity nothing can be taken off: such a parameter is lost itself.
            lost += usize::from((moved == 0.0) & (*step != 0.0) & before.is_finite());
            // In place of the step, which is done.
            *step = moved * *change;
            *change = moved;
        }
        Updated { along: sum4(direction), lost }
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

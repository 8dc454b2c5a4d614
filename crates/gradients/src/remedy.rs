//! Remedies by name.

use crate::clip::{NonFinite, check_limit, clip_by_norm, clip_by_value, normalise};
use crate::error::GradientError;
use crate::norm::Order;
use crate::scale::{check_scale, scale, unscale};
use crate::stored::Gradients;
use std::fmt;
use std::str::FromStr;

/// What is done against explosion and vanishing: to the gradient of each layer, to the whole chain, to the gradients of the weights, or to the
/// network itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Remedy {
    /// Nothing.
    None,
    /// [`clip_by_value`] at this limit, on the gradient of each layer.
    ClipValue(f64),
    /// [`clip_by_norm`] at this limit of the two norm, on the gradient of each layer.
    ClipNorm(f64),
    /// Adaptive clipping of the gradients of the weights, unit by unit, at this fraction of the norm of the unit's weights; the gradient of a layer's
    /// input is left alone.
    Adaptive(f64),
    /// [`normalise`] to the two norm 1, on the gradient of each layer.
    Normalise,
    /// [`scale`] of the upstream gradient by this power of two, undone by [`unscale`] at the end.
    LossScale(f64),
    /// The network hands on the input of each layer beside this factor times what the layer computes.
    Residual(f64),
    /// The network divides what each layer computes by its root mean square, before the activation.
    RmsNorm,
    /// The network normalises each unit over the batch, before the activation.
    BatchNorm,
}

impl Remedy {
    /// The names of all remedies with what follows them, as they are listed to users.
    pub const NAMES: [&str; 9] = [
        "none",
        "clip-value:c",
        "clip-norm:c",
        "adaptive:lambda",
        "normalise",
        "loss-scale:s",
        "residual:alpha",
        "rmsnorm",
        "batchnorm",
    ];

    /// Does what the remedy does to the gradient of one layer; remedies that treat something else do nothing here. A norm that is not finite spoils
    /// the gradient as [`NonFinite::Propagate`] says.
    ///
    /// # Errors
    /// If the limit is negative or NaN.
    pub fn apply<A: Gradients>(&self, arith: &A, gradient: &mut [A::Number]) -> Result<(), GradientError> {
        let policy = NonFinite::Propagate;
        match *self {
            Remedy::None
            | Remedy::Adaptive(_)
            | Remedy::LossScale(_)
            | Remedy::Residual(_)
            | Remedy::RmsNorm
            | Remedy::BatchNorm => {}
            Remedy::ClipValue(limit) => {
                clip_by_value(arith, limit, gradient)?;
            }
            Remedy::ClipNorm(limit) => {
                clip_by_norm(arith, Order::Two, limit, policy, &mut [gradient])?;
            }
            Remedy::Normalise => {
                normalise(arith, Order::Two, policy, &mut [gradient])?;
            }
        }
        Ok(())
    }

    /// The loss scale, where the remedy is one.
    pub fn loss_scale(&self) -> Option<f64> {
        match *self {
            Remedy::LossScale(factor) => Some(factor),
            Remedy::None
            | Remedy::ClipValue(_)
            | Remedy::ClipNorm(_)
            | Remedy::Adaptive(_)
            | Remedy::Normalise
            | Remedy::Residual(_)
            | Remedy::RmsNorm
            | Remedy::BatchNorm => None,
        }
    }

    /// What the remedy does to the upstream gradient before the backward pass: [`scale`] for a loss scale, else nothing.
    ///
    /// # Errors
    /// If the loss scale is not a power of two.
    pub fn scale_upstream<A: Gradients>(
        &self,
        arith: &A,
        upstream: &mut [A::Number],
    ) -> Result<(), GradientError> {
        match self.loss_scale() {
            Some(factor) => scale(arith, factor, upstream),
            None => Ok(()),
        }
    }

    /// What the remedy does to a gradient after the backward pass: [`unscale`] for a loss scale, else nothing.
    ///
    /// # Errors
    /// If the loss scale is not a power of two.
    pub fn unscale_gradient<A: Gradients>(
        &self,
        arith: &A,
        gradient: &mut [A::Number],
    ) -> Result<(), GradientError> {
        match self.loss_scale() {
            Some(factor) => unscale(arith, factor, gradient),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Remedy::None => f.pad("none"),
            Remedy::ClipValue(limit) => f.pad(&format!("clip-value:{limit}")),
            Remedy::ClipNorm(limit) => f.pad(&format!("clip-norm:{limit}")),
            Remedy::Normalise => f.pad("normalise"),
            Remedy::LossScale(factor) => f.pad(&format!("loss-scale:{factor}")),
            Remedy::Adaptive(fraction) => f.pad(&format!("adaptive:{fraction}")),
            Remedy::Residual(scale) => f.pad(&format!("residual:{scale}")),
            Remedy::RmsNorm => f.pad("rmsnorm"),
            Remedy::BatchNorm => f.pad("batchnorm"),
        }
    }
}

impl FromStr for Remedy {
    type Err = GradientError;

    fn from_str(text: &str) -> Result<Remedy, GradientError> {
        let unknown = || GradientError::Unknown {
            kind: "remedy",
            text: text.to_owned(),
            known: Remedy::NAMES.join(", "),
        };
        let (name, number) = match text.split_once(':') {
            Some((name, number)) => (name, Some(number.trim().parse::<f64>().map_err(|_| unknown())?)),
            None => (text, None),
        };
        match (name, number) {
            ("none", None) => Ok(Remedy::None),
            ("normalise", None) => Ok(Remedy::Normalise),
            ("clip-value", Some(limit)) => {
                check_limit("clip-value", limit).map(|()| Remedy::ClipValue(limit))
            }
            ("clip-norm", Some(limit)) => check_limit("clip-norm", limit).map(|()| Remedy::ClipNorm(limit)),
            ("loss-scale", Some(factor)) => check_scale(factor).map(|()| Remedy::LossScale(factor)),
            ("adaptive", Some(fraction)) => {
                check_limit("adaptive", fraction).map(|()| Remedy::Adaptive(fraction))
            }
            ("residual", Some(scale)) if scale.is_finite() => Ok(Remedy::Residual(scale)),
            ("residual", Some(value)) => {
                Err(GradientError::OutOfRange { what: "residual", value, allowed: "finite numbers" })
            }
            ("rmsnorm", None) => Ok(Remedy::RmsNorm),
            ("batchnorm", None) => Ok(Remedy::BatchNorm),
            _ => Err(unknown()),
        }
    }
}

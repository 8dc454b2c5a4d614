//! Remedies by name.

use crate::clip::{NonFinite, check_limit, clip_by_norm, clip_by_value, normalise};
use crate::error::GradientError;
use crate::norm::Order;
use crate::scale::{check_scale, scale, unscale};
use gradchain_arith::Arithmetic;
use std::fmt;
use std::str::FromStr;

/// What is done to the gradient of each layer, or to the whole chain, against explosion and vanishing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Remedy {
    /// Nothing.
    None,
    /// [`clip_by_value`] at this limit, on the gradient of each layer.
    ClipValue(f64),
    /// [`clip_by_norm`] at this limit of the two norm, on the gradient of each layer.
    ClipNorm(f64),
    /// [`normalise`] to the two norm 1, on the gradient of each layer.
    Normalise,
    /// [`scale`] of the upstream gradient by this power of two, undone by [`unscale`] at the end.
    LossScale(f64),
}

/// The names of the remedies, as error messages list them.
const KNOWN: &str = "none, clip-value:c, clip-norm:c, normalise, loss-scale:s";

impl Remedy {
    /// Does what the remedy does to the gradient of one layer; a loss scale does nothing here. A norm that is not finite spoils
    /// the gradient as [`NonFinite::Propagate`] says.
    ///
    /// # Errors
    /// If the limit is negative or NaN.
    pub fn apply<A: Arithmetic>(&self, arith: &A, gradient: &mut [A::Number]) -> Result<(), GradientError> {
        let policy = NonFinite::Propagate;
        match *self {
            Remedy::None | Remedy::LossScale(_) => {}
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

    /// What the remedy does to the upstream gradient before the backward pass: [`scale`] for a loss scale, else nothing.
    ///
    /// # Errors
    /// If the loss scale is not a power of two.
    pub fn scale_upstream<A: Arithmetic>(
        &self,
        arith: &A,
        upstream: &mut [A::Number],
    ) -> Result<(), GradientError> {
        match *self {
            Remedy::None | Remedy::ClipValue(_) | Remedy::ClipNorm(_) | Remedy::Normalise => Ok(()),
            Remedy::LossScale(factor) => scale(arith, factor, upstream),
        }
    }

    /// What the remedy does to a gradient after the backward pass: [`unscale`] for a loss scale, else nothing.
    ///
    /// # Errors
    /// If the loss scale is not a power of two.
    pub fn unscale_gradient<A: Arithmetic>(
        &self,
        arith: &A,
        gradient: &mut [A::Number],
    ) -> Result<(), GradientError> {
        match *self {
            Remedy::None | Remedy::ClipValue(_) | Remedy::ClipNorm(_) | Remedy::Normalise => Ok(()),
            Remedy::LossScale(factor) => unscale(arith, factor, gradient),
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
        }
    }
}

impl FromStr for Remedy {
    type Err = GradientError;

    fn from_str(text: &str) -> Result<Remedy, GradientError> {
        let unknown = || GradientError::Unknown { kind: "remedy", text: text.to_owned(), known: KNOWN };
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
            _ => Err(unknown()),
        }
    }
}

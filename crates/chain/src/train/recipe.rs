//! How a network is trained: what does not depend on its weights.

use crate::loss::{Loss, LossError};
use crate::pass::Setting;
use gradchain_gradients::{Adaptive, GradientError, Remedy, ScaleRule};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// How training goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recipe {
    /// What is made small.
    pub loss: Loss,
    /// How the passes are computed, and what is done to the gradients between the layers. A loss scale and adaptive clipping are not remedies here:
    /// they treat what a backward pass leaves behind.
    pub setting: Setting,
    /// λ, finite and not negative. It is never rounded into a format.
    pub learning_rate: f64,
    /// What is added to the gradient from the steps before.
    pub momentum: Momentum,
    /// The factor on the upstream gradient, taken off the parameters' gradients again.
    pub loss_scale: LossScale,
    /// How the parameters' gradients are clipped, once the loss scale is off.
    pub clip: Clip,
    /// What becomes of a step whose parameters' gradients are not all finite.
    pub non_finite: OnNonFinite,
}

/// What is added to the gradient g from the steps before: PyTorch's `torch.optim.SGD` without dampening, with the velocity v = 0 at first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Momentum {
    /// `w' = w - λ g`.
    None,
    /// Heavy ball (Polyak 1964): `v' = μ v + g`, `w' = w - λ v'`, with 0 <= μ < 1.
    HeavyBall(f64),
    /// Nesterov (Sutskever et al. 2013, as PyTorch has it): `v' = μ v + g`, `w' = w - λ (g + μ v')`, with 0 <= μ < 1.
    Nesterov(f64),
}

/// The loss scale (Micikevicius et al. 2018, "Mixed precision training", section 3.2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LossScale {
    /// 1.
    None,
    /// A power of two that stays.
    Static(f64),
    /// A [`DynamicScale`](gradchain_gradients::DynamicScale) by this rule. Steps that are not finite are skipped, whatever [`OnNonFinite`] says.
    Dynamic(ScaleRule),
}

/// How the gradients of the parameters are clipped, after the loss scale is off. No epsilon is added to a norm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Clip {
    /// Not at all.
    None,
    /// Every number at this limit: [`clip_by_value`](gradchain_gradients::clip_by_value).
    Value(f64),
    /// Their common two-norm at this limit: [`clip_by_norm`](gradchain_gradients::clip_by_norm).
    Norm(f64),
    /// Each row of weights, and each bias as a whole, at a part of its parameters' norm: [`clip_adaptively`](gradchain_gradients::clip_adaptively). The
    /// last layer too, which the paper leaves out.
    Adaptive(Adaptive),
}

/// What becomes of a step whose parameters' gradients are not all finite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnNonFinite {
    /// It is done all the same: infinities and NaN reach the parameters.
    Step,
    /// Parameters and velocities stay as they are, as behind a loss scaler.
    Skip,
}

/// Why a network cannot be trained so, or a step not be done.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum TrainError {
    /// A number of the recipe outside its range.
    #[error("{what} = {value} is out of range; allowed: {allowed}")]
    OutOfRange {
        /// The name of the number.
        what: &'static str,
        /// The number given.
        value: f64,
        /// The range, in words.
        allowed: &'static str,
    },
    /// No rule of this name.
    #[error("unknown optimiser `{0}`; known: sgd, momentum:b, nesterov:b with 0 <= b < 1")]
    Momentum(String),
    /// A remedy that does nothing in the passes.
    #[error("remedy = {remedy} does nothing between the layers of a network in training; use {instead}")]
    Remedy {
        /// The remedy.
        remedy: Remedy,
        /// Where the recipe has it.
        instead: &'static str,
    },
    /// A remedy that changes the network, and a network that is built otherwise.
    #[error("remedy = {0} is built into a network; this one has another wiring")]
    Wiring(Remedy),
    /// An input that is not the batch's.
    #[error("{found} numbers of input for a batch of {batch}; allowed: {allowed}, {inputs} for each sample")]
    Input {
        /// How many there are.
        found: usize,
        /// Samples.
        batch: usize,
        /// Inputs of the network.
        inputs: usize,
        /// How many there should be.
        allowed: usize,
    },
    /// Targets that do not fit.
    #[error(transparent)]
    Loss(#[from] LossError),
    /// A limit or a loss scale outside its range.
    #[error(transparent)]
    Gradient(#[from] GradientError),
}

impl Recipe {
    /// Plain gradient descent.
    pub fn sgd(loss: Loss, setting: Setting, learning_rate: f64) -> Recipe {
        Recipe {
            loss,
            setting,
            learning_rate,
            momentum: Momentum::None,
            loss_scale: LossScale::None,
            clip: Clip::None,
            non_finite: OnNonFinite::Step,
        }
    }

    /// Refuses numbers outside their ranges; limits and scales are refused by the functions that take them.
    pub(super) fn check(&self) -> Result<(), TrainError> {
        let rate = self.learning_rate;
        if !(rate.is_finite() && rate >= 0.0) {
            let allowed = "finite numbers from 0 on";
            return Err(TrainError::OutOfRange { what: "learning_rate", value: rate, allowed });
        }
        self.momentum.check()?;
        let remedy = self.setting.remedy;
        if let Remedy::LossScale(_) = remedy {
            return Err(TrainError::Remedy { remedy, instead: "the loss scale of the recipe" });
        }
        if let Remedy::Adaptive(_) = remedy {
            return Err(TrainError::Remedy { remedy, instead: "the clipping of the recipe" });
        }
        Ok(())
    }
}

impl Momentum {
    /// μ.
    pub fn factor(self) -> f64 {
        match self {
            Momentum::None => 0.0,
            Momentum::HeavyBall(factor) | Momentum::Nesterov(factor) => factor,
        }
    }

    fn check(self) -> Result<Momentum, TrainError> {
        let value = self.factor();
        match (0.0..1.0).contains(&value) {
            true => Ok(self),
            false => Err(TrainError::OutOfRange { what: "momentum", value, allowed: "0 to 1 exclusive" }),
        }
    }
}

impl fmt::Display for Momentum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Momentum::None => f.pad("sgd"),
            Momentum::HeavyBall(factor) => f.pad(&format!("momentum:{factor}")),
            Momentum::Nesterov(factor) => f.pad(&format!("nesterov:{factor}")),
        }
    }
}

impl FromStr for Momentum {
    type Err = TrainError;

    fn from_str(text: &str) -> Result<Momentum, TrainError> {
        let unknown = || TrainError::Momentum(text.to_owned());
        if text == "sgd" {
            return Ok(Momentum::None);
        }
        let (name, factor) = text.split_once(':').ok_or_else(unknown)?;
        // Adding zero drops the sign of -0.
        let factor = factor.parse::<f64>().map_err(|_| unknown())? + 0.0;
        let momentum = match name {
            "momentum" => Momentum::HeavyBall(factor),
            "nesterov" => Momentum::Nesterov(factor),
            _ => return Err(unknown()),
        };
        momentum.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn momentum_by_name() {
        for text in ["sgd", "momentum:0.9", "nesterov:0"] {
            assert_eq!(text.parse::<Momentum>().unwrap().to_string(), text);
        }
        assert_eq!("momentum:-0".parse(), Ok(Momentum::HeavyBall(0.0)));
        for text in ["", "adam", "momentum", "momentum:", "nesterov:x", "sgd:0.9"] {
            let message = text.parse::<Momentum>().unwrap_err().to_string();
            assert!(message.contains(&format!("`{text}`")) && message.contains("nesterov:b"), "{message}");
        }
        for text in ["momentum:1", "nesterov:-0.1", "momentum:NaN", "nesterov:inf"] {
            let message = text.parse::<Momentum>().unwrap_err().to_string();
            assert!(message.contains("momentum = ") && message.contains("0 to 1 exclusive"), "{message}");
        }
    }
}

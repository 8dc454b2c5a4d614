//! A loss scale that follows the gradients.

use super::fixed::check_scale;
use crate::error::GradientError;

/// How a [`DynamicScale`] moves.
///
/// The defaults: 2^16, doubled after 2000 clean steps and halved at the first overflow, are those of PyTorch and of Micikevicius et al. (2018, section 3.2,
/// who name no numbers). The floor 2^-14 still fits gradients of 2^29, far beyond f16's 65504, so that a run that stays there is not short of
/// range but broken. The cap 2^24 lifts the least number of f16, 2^-24, to 1: more buys nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScaleRule {
    /// The scale before the first step, a power of two.
    pub init: f64,
    /// What the scale is multiplied by after `interval` clean steps in a row: a power of two above 1.
    pub growth: f64,
    /// What the scale is multiplied by when gradients overflow: a power of two below 1.
    pub backoff: f64,
    /// Clean steps in a row before the scale grows, at least 1.
    pub interval: u64,
    /// Overflows in a row before the scale is lowered, at least 1: a higher number sits out single bad batches (Megatron's and DeepSpeed's hysteresis).
    pub hysteresis: u64,
    /// The scale never falls below this power of two.
    pub floor: f64,
    /// The scale never rises above this power of two.
    pub cap: f64,
}

impl Default for ScaleRule {
    fn default() -> ScaleRule {
        ScaleRule {
            init: 65_536.0,
            growth: 2.0,
            backoff: 0.5,
            interval: 2000,
            hysteresis: 1,
            floor: 1.0 / 16_384.0,
            cap: 16_777_216.0,
        }
    }
}

/// What to do with the gradients of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// They are finite: unscale them and update the parameters.
    Step,
    /// One of them is not finite: leave the parameters alone.
    Skip,
}

/// A loss scale that is halved when gradients overflow and doubled after a number of clean steps.
///
/// It is a power of two at every moment, so that unscaling is exact up to subnormal results, and it stays between the floor and the cap: it neither reaches 0,
/// as PyTorch's does after 166 overflows in a row, nor infinity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DynamicScale {
    rule: ScaleRule,
    scale: f64,
    clean: u64,
    overflows: u64,
    skipped: u64,
}

impl DynamicScale {
    /// A scale that moves by `rule`.
    ///
    /// # Errors
    /// If a number of the rule lies outside its range; the error names it.
    pub fn new(rule: ScaleRule) -> Result<DynamicScale, GradientError> {
        for scale in [rule.init, rule.growth, rule.backoff, rule.floor, rule.cap] {
            check_scale(scale)?;
        }
        let check = |what, value, allowed, right: bool| match right {
            true => Ok(()),
            false => Err(GradientError::OutOfRange { what, value, allowed }),
        };
        check("growth", rule.growth, "powers of two above 1", rule.growth > 1.0)?;
        check("backoff", rule.backoff, "powers of two below 1", rule.backoff < 1.0)?;
        check("interval", rule.interval as f64, "1 and more", rule.interval >= 1)?;
        check("hysteresis", rule.hysteresis as f64, "1 and more", rule.hysteresis >= 1)?;
        check("floor", rule.floor, "powers of two up to init", rule.floor <= rule.init)?;
        check("cap", rule.cap, "powers of two from init on", rule.cap >= rule.init)?;
        Ok(DynamicScale { rule, scale: rule.init, clean: 0, overflows: 0, skipped: 0 })
    }

    /// What the loss, or the upstream gradient, of the next step is to be multiplied by.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// The rule.
    pub fn rule(&self) -> ScaleRule {
        self.rule
    }

    /// Skipped steps in a row, up to now. A trainer that sees it grow while the scale is at its floor has gradients that no scale can hold.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Whether the last step was skipped at the floor: a lower scale does not exist.
    pub fn is_stuck(&self) -> bool {
        self.skipped > 0 && self.scale == self.rule.floor
    }

    /// Says what to do with a step whose stored, scaled gradients hold an infinity or a NaN or not, and moves the scale for the next one.
    ///
    /// Ask that of each number (as [`first_non_finite`](super::first_non_finite) does), not of their sum, which may overflow where none of them has.
    pub fn update(&mut self, found_non_finite: bool) -> Decision {
        if found_non_finite {
            self.clean = 0;
            self.skipped += 1;
            self.overflows += 1;
            if self.overflows >= self.rule.hysteresis {
                self.overflows = 0;
                self.scale = (self.scale * self.rule.backoff).max(self.rule.floor);
            }
            return Decision::Skip;
        }
        self.overflows = 0;
        self.skipped = 0;
        self.clean += 1;
        if self.clean == self.rule.interval {
            self.clean = 0;
            self.scale = (self.scale * self.rule.growth).min(self.rule.cap);
        }
        Decision::Step
    }
}

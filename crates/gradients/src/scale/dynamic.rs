//! A loss scale that follows the gradients.

use super::fixed::{check_scale, first_non_finite};
use crate::error::GradientError;
use crate::stored::Gradients;

/// How a [`DynamicScale`] moves.
///
/// The defaults, for f16:
///
/// - 2^16, times 2 after 2000 clean steps, times 1/2 at the first overflow: PyTorch's. Beginning too high costs one skipped step per halving, beginning
///   too low costs 2000 steps per doubling, and a scale that is right is tried too high once in 2000 steps.
/// - The floor 2^-14 is the least normal number of f16. The backward pass begins with dL/dL = 1 times the scale, and below the floor that number itself
///   loses bits. A gradient that overflows there is 2^30 or larger: the run has diverged, and no scale is to blame.
/// - The cap 2^24 keeps gradients above 2^-49, while Micikevicius et al. (2018, section 3.2) saw scales from 8 to 32768 at work. A scale without a cap grows as
///   long as gradients are small or zero, and every doubling is a skipped step when they come back: here at most 38 from the cap to the floor.
/// - A hysteresis of 1, as in PyTorch and Keras. Megatron and DeepSpeed take 2: a stray overflow then skips a step and leaves the scale alone.
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
    /// The overflow in a row from which on each lowers the scale, at least 1: those before it skip their step only. A clean step starts the count anew
    /// (DeepSpeed's `consecutive_hysteresis`; Megatron's count starts anew when the scale grows).
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

/// A loss scale that backs off when gradients overflow and grows after a number of clean steps.
///
/// It is a power of two at every moment, so that unscaling is exact up to subnormal results, and it stays between the floor and the cap: it neither reaches 0,
/// as PyTorch's does after 166 overflows in a row, nor infinity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DynamicScale {
    rule: ScaleRule,
    scale: f64,
    clean: u64,
    skipped: u64,
    skipped_at_floor: u64,
}

impl DynamicScale {
    /// A scale that moves by `rule`.
    ///
    /// # Errors
    /// If a number of the rule lies outside its range; the error names it.
    pub fn new(rule: ScaleRule) -> Result<DynamicScale, GradientError> {
        let check = |what, value, allowed, right: bool| match right {
            true => Ok(()),
            false => Err(GradientError::OutOfRange { what, value, allowed }),
        };
        let power = |value: f64| check_scale(value).is_ok();
        let ScaleRule { init, growth, backoff, interval, hysteresis, floor, cap } = rule;
        check("loss-scale init", init, "the powers of two from 2^-1022 to 2^1022", power(init))?;
        check(
            "loss-scale growth",
            growth,
            "the powers of two from 2 to 2^1022",
            power(growth) && growth > 1.0,
        )?;
        let below_1 = power(backoff) && backoff < 1.0;
        check("loss-scale backoff", backoff, "the powers of two from 2^-1022 to 1/2", below_1)?;
        check("loss-scale interval", interval as f64, "1 and more", interval >= 1)?;
        check("loss-scale hysteresis", hysteresis as f64, "1 and more", hysteresis >= 1)?;
        check(
            "loss-scale floor",
            floor,
            "the powers of two from 2^-1022 to init",
            power(floor) && floor <= init,
        )?;
        check("loss-scale cap", cap, "the powers of two from init to 2^1022", power(cap) && cap >= init)?;
        Ok(DynamicScale { rule, scale: init, clean: 0, skipped: 0, skipped_at_floor: 0 })
    }

    /// What the loss, or the upstream gradient, of the next step is to be multiplied by.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// The rule.
    pub fn rule(&self) -> ScaleRule {
        self.rule
    }

    /// Clean steps in a row since the scale last grew, or since the last overflow.
    pub fn clean(&self) -> u64 {
        self.clean
    }

    /// Skipped steps in a row, up to now.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Those of the [`skipped`](DynamicScale::skipped) steps that ran at the floor. There is no lower scale: a trainer that sees this number grow should
    /// stop, for the gradients are infinite or NaN at any scale that the rule allows.
    pub fn skipped_at_floor(&self) -> u64 {
        self.skipped_at_floor
    }

    /// Says what to do with a step whose stored, scaled gradients hold an infinity or a NaN or not, and moves the scale for the next one.
    ///
    /// Ask that of each number, as [`update_from`](DynamicScale::update_from) does, not of their sum, which may overflow where none of them has. Numbers of a
    /// format that saturates are finite at any scale: no scaler sees their overflow.
    pub fn update(&mut self, found_non_finite: bool) -> Decision {
        if found_non_finite {
            self.clean = 0;
            self.skipped += 1;
            if self.scale == self.rule.floor {
                self.skipped_at_floor += 1;
            }
            if self.skipped >= self.rule.hysteresis {
                self.scale = (self.scale * self.rule.backoff).max(self.rule.floor);
            }
            return Decision::Skip;
        }
        self.skipped = 0;
        self.skipped_at_floor = 0;
        self.clean += 1;
        if self.clean == self.rule.interval {
            self.clean = 0;
            self.scale = (self.scale * self.rule.growth).min(self.rule.cap);
        }
        Decision::Step
    }

    /// [`update`](DynamicScale::update) by the stored, scaled gradients of a step.
    pub fn update_from<A: Gradients>(&mut self, arith: &A, gradients: &[&[A::Number]]) -> Decision {
        self.update(gradients.iter().any(|gradient| first_non_finite(arith, gradient).is_some()))
    }
}

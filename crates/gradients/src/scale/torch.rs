//! torch.amp.GradScaler, bit for bit: what the scale of [`DynamicScale`](super::DynamicScale) is compared with.
//!
//! Formulas of PyTorch 2.15 on the CPU (`torch/amp/grad_scaler.py`, `aten/src/ATen/native/cpu/AmpGradScalerKernels.cpp`). The scale
//! is an f32 that has no floor: overflow after overflow takes it through subnormals to 0, where it stays, and gradients are then multiplied by infinity.

use super::dynamic::Decision;
use crate::error::GradientError;
use gradchain_arith::{Format, Real};

/// The state of a GradScaler.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TorchScaler {
    scale: f32,
    growth_factor: f64,
    backoff_factor: f64,
    growth_interval: u64,
    growth_tracker: u64,
}

impl TorchScaler {
    /// A scaler with these parameters; torch's defaults are 65536, 2, 0.5 and 2000. The first scale is rounded to f32; like the interval it may be anything, 0
    /// too, as in torch.
    ///
    /// # Errors
    /// Where torch refuses: if the growth factor is not above 1, or the backoff factor not below 1.
    pub fn new(
        init_scale: f64,
        growth_factor: f64,
        backoff_factor: f64,
        growth_interval: u64,
    ) -> Result<TorchScaler, GradientError> {
        let check = |what, value, allowed, right: bool| match right {
            true => Ok(()),
            false => Err(GradientError::OutOfRange { what, value, allowed }),
        };
        check("growth_factor", growth_factor, "numbers above 1", growth_factor > 1.0)?;
        check("backoff_factor", backoff_factor, "numbers below 1", backoff_factor < 1.0)?;
        let scale = init_scale as f32;
        Ok(TorchScaler { scale, growth_factor, backoff_factor, growth_interval, growth_tracker: 0 })
    }

    /// The scale.
    pub fn scale(&self) -> f32 {
        self.scale
    }

    /// Clean steps since the scale last moved.
    pub fn growth_tracker(&self) -> u64 {
        self.growth_tracker
    }

    /// The scaled loss: an f64 one times the scale as f64, any other as f32, whatever its format.
    pub fn scaled_loss<T: Real>(&self, loss: T) -> f64 {
        if T::FORMAT == Format::F64 {
            loss.value() * f64::from(self.scale)
        } else {
            f64::from(loss.value() as f32 * self.scale)
        }
    }

    /// `unscale_`: multiplies the gradients of one optimizer by the reciprocal of the scale, which is taken in f64 and rounded to f32, and says whether one
    /// of them was not finite before. The product is f64 for f64 gradients and f32 for the others, then rounded into the format. A
    /// reciprocal of 1 multiplies nothing.
    ///
    /// # Errors
    /// For f16 gradients, as torch does.
    pub fn unscale<T: Real>(&self, gradients: &mut [T]) -> Result<bool, GradientError> {
        if T::FORMAT == Format::F16 {
            return Err(GradientError::TorchRefuses("Attempting to unscale FP16 gradients."));
        }
        let inverse = (1.0 / f64::from(self.scale)) as f32;
        let mut found = false;
        for g in gradients {
            found |= !g.value().is_finite();
            if inverse == 1.0 {
                continue;
            }
            *g = if T::FORMAT == Format::F64 {
                T::round_from(g.value() * f64::from(inverse))
            } else {
                T::round_from(f64::from(g.value() as f32 * inverse))
            };
        }
        Ok(found)
    }

    /// `step`: the parameters of an optimizer are updated unless one of its gradients was not finite. At scale 0 the gradients become NaN in
    /// [`unscale`](TorchScaler::unscale), after that question was asked, and the step is taken.
    pub fn step(&self, found_non_finite: bool) -> Decision {
        if found_non_finite { Decision::Skip } else { Decision::Step }
    }

    /// `update()`: the scale moves after a step, once for all optimizers, by what [`unscale`](TorchScaler::unscale) said of each.
    ///
    /// # Errors
    /// For no optimizer at all, as torch does.
    pub fn update(&mut self, found_non_finite: &[bool]) -> Result<(), GradientError> {
        if found_non_finite.is_empty() {
            return Err(GradientError::TorchRefuses("No inf checks were recorded prior to update."));
        }
        if found_non_finite.contains(&true) {
            self.scale = (f64::from(self.scale) * self.backoff_factor) as f32;
            self.growth_tracker = 0;
            return Ok(());
        }
        self.growth_tracker += 1;
        if self.growth_tracker == self.growth_interval {
            let grown = (f64::from(self.scale) * self.growth_factor) as f32;
            if grown.is_finite() {
                self.scale = grown;
            }
            self.growth_tracker = 0;
        }
        Ok(())
    }

    /// `update(new_scale)`: sets the scale and leaves the tracker.
    pub fn set(&mut self, scale: f64) {
        self.scale = scale as f32;
    }
}

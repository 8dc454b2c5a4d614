//! The functions on vectors of sixteen f64 numbers: one text for every instruction set, in two precisions.
//!
//! | file | functions |
//! | --- | --- |
//! | `logistic.rs` | sigmoid, tanh, SiLU, softplus |
//! | `normal.rs` | GELU in the erf form, erf |
//! | `gelu_tanh.rs` | GELU in the tanh form |
//! | `elu.rs` | ELU, SELU |
//!
//! `quick` has them once more in f32 lanes, for the formats of 16 bits, and `single` for f32 itself. The functions made of straight lines are
//! elsewhere: `flat.rs`, `leaky.rs`.

mod apply;
mod coefficients;
mod curve;
mod elu;
mod exp;
mod gelu_tanh;
mod logistic;
mod normal;
mod number;
mod pieces;
mod quick;
mod single;

pub(crate) use apply::Apply;
pub(crate) use elu::{LAMBDA, LAMBDA_ALPHA};
pub(crate) use quick::{ApplyQuick, Short};
pub(crate) use single::ApplySingle;

use crate::activation::Activation;
use curve::Curve;
use gradchain_arith::{LANES, Simd, WithSimd};
use number::Lanes;

/// What is computed of a function at x.
#[derive(Clone, Copy)]
pub(crate) enum What<'a> {
    /// The value.
    Value,
    /// The derivative.
    Slope,
    /// The derivative, times these numbers.
    Pull(&'a [[f64; LANES]]),
}

/// How closely: LOW for one rounding to at most 24 bits, FULL within 1 ulp of f64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precision {
    Low,
    Full,
}

/// `what` of the function at each number, in place. In LOW precision there are products alone: [`Apply`] has the values and slopes.
pub(crate) struct Evaluate<'a> {
    pub(crate) activation: Activation,
    pub(crate) precision: Precision,
    pub(crate) what: What<'a>,
    pub(crate) numbers: &'a mut [[f64; LANES]],
}

impl WithCurve for Evaluate<'_> {
    #[inline(always)]
    fn by<S: Simd, C: Curve>(self, simd: S) {
        let numbers = self.numbers;
        // Each loop is a function of its own: in one function with all the others it would be compiled for minutes.
        match (self.what, self.precision) {
            (What::Value, Precision::Full) => simd.call(
                #[inline(always)]
                || {
                    for numbers in numbers {
                        let x = Lanes::new(simd, simd.load_f64(numbers));
                        let y = C::value::<S, true>(x).join::<true>();
                        simd.store_f64(x.when(simd.is_nan_f64(x.value), y).value, numbers);
                    }
                },
            ),
            (What::Slope, Precision::Full) => simd.call(
                #[inline(always)]
                || {
                    for numbers in numbers {
                        let x = Lanes::new(simd, simd.load_f64(numbers));
                        let y = C::slope::<S, true>(x).join::<true>();
                        simd.store_f64(x.when(simd.is_nan_f64(x.value), y).value, numbers);
                    }
                },
            ),
            (What::Value | What::Slope, Precision::Low) => unreachable!("values and slopes are applied"),
            (What::Pull(gradients), Precision::Full) => pull::<S, C, true>(simd, numbers, gradients),
            (What::Pull(gradients), Precision::Low) => pull::<S, C, false>(simd, numbers, gradients),
        }
    }
}

#[inline(always)]
fn pull<S: Simd, C: Curve, const FULL: bool>(
    simd: S,
    numbers: &mut [[f64; LANES]],
    gradients: &[[f64; LANES]],
) {
    simd.call(
        #[inline(always)]
        || {
            for (numbers, gradients) in numbers.iter_mut().zip(gradients) {
                let x = Lanes::new(simd, simd.load_f64(numbers));
                let g = Lanes::new(simd, simd.load_f64(gradients));
                let y = C::pull::<S, FULL>(g, x);
                simd.store_f64(x.when(simd.is_nan_f64(x.value), y).value, numbers);
            }
        },
    );
}

impl WithSimd for Evaluate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        with_curve(self.activation, simd, self);
    }
}

/// Work that is written once for every smooth function.
trait WithCurve {
    /// The work on the function C.
    fn by<S: Simd, C: Curve>(self, simd: S);
}

/// The one place that joins names to functions.
#[inline(always)]
fn with_curve<S: Simd, W: WithCurve>(activation: Activation, simd: S, work: W) {
    match activation {
        Activation::Sigmoid => work.by::<S, logistic::Sigmoid>(simd),
        Activation::Tanh => work.by::<S, logistic::Tanh>(simd),
        Activation::Elu => work.by::<S, elu::Elu>(simd),
        Activation::Selu => work.by::<S, elu::Selu>(simd),
        Activation::Gelu => work.by::<S, normal::Gelu>(simd),
        Activation::GeluTanh => work.by::<S, gelu_tanh::GeluTanh>(simd),
        Activation::Silu => work.by::<S, logistic::Silu>(simd),
        Activation::Softplus => work.by::<S, logistic::Softplus>(simd),
        Activation::Erf => work.by::<S, normal::Erf>(simd),
        Activation::Identity | Activation::Relu | Activation::LeakyRelu | Activation::HardTanh => {
            unreachable!("functions made of straight lines do not come here")
        }
    }
}

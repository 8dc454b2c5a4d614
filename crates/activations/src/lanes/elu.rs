//! ELU, `x` or `e^x - 1` for x < 0, and SELU, `λ x` or `λ α (e^x - 1)`.

use super::curve::Curve;
use super::exp::{Power, power};
use super::number::{Lanes, Parts, Two};
use gradchain_arith::Simd;

/// SELU's λ, 1.0507009873554804934193349852946, and λ α with α = 1.6732632423543772848170429916717 (Klambauer et al. 2017; the digits are
/// PyTorch's).
pub(crate) const LAMBDA: [f64; 2] = [1.0507009873554805, 3.9874847667154144e-17];
pub(crate) const LAMBDA_ALPHA: [f64; 2] = [1.7580993408473768, 1.41535193800845e-17];

/// `e^x` for x < 0, and something finite elsewhere.
#[inline(always)]
fn falling<S: Simd, const FULL: bool>(x: Lanes<S>) -> Power<S> {
    power::<S, FULL>(Two::one(-x.abs().at_most(if FULL { 1500.0 } else { 400.0 })))
}

/// `e^x`, as [`falling`].
#[inline(always)]
fn exponential<S: Simd, const FULL: bool>(x: Lanes<S>) -> Parts<S> {
    let e = falling::<S, FULL>(x);
    if FULL {
        Parts { value: e.significand(), exponent: Some(e.exponent) }
    } else {
        e.number::<FULL>().into()
    }
}

pub(super) struct Elu;

impl Curve for Elu {
    const SLOPES_AT_INFINITY: [f64; 2] = [0.0, 1.0];

    #[inline(always)]
    fn value<S: Simd, const FULL: bool>(x: Lanes<S>) -> Parts<S> {
        falling::<S, FULL>(x).minus_one::<FULL>().when(x.negative(), Two::one(x)).into()
    }

    #[inline(always)]
    fn slope<S: Simd, const FULL: bool>(x: Lanes<S>) -> Parts<S> {
        exponential::<S, FULL>(x).when(x.negative(), Two::one(x.all(1.0)).into())
    }
}

/// The slope at 0 is that from the left, λ α, as in PyTorch and JAX.
pub(super) struct Selu;

impl Curve for Selu {
    const SLOPES_AT_INFINITY: [f64; 2] = [0.0, LAMBDA[0]];

    #[inline(always)]
    fn value<S: Simd, const FULL: bool>(x: Lanes<S>) -> Parts<S> {
        let m = falling::<S, FULL>(x).minus_one::<FULL>();
        if FULL {
            let left = m.times(Two::all(x, LAMBDA_ALPHA));
            left.when(x.negative(), Two::all(x, LAMBDA).times_one(x)).into()
        } else {
            Two::one((m.high * LAMBDA_ALPHA[0]).when(x.negative(), x * LAMBDA[0])).into()
        }
    }

    #[inline(always)]
    fn slope<S: Simd, const FULL: bool>(x: Lanes<S>) -> Parts<S> {
        let e = exponential::<S, FULL>(x);
        let positive = x.all(0.0).less(x);
        if FULL {
            let left = Parts { value: e.value.times(Two::all(x, LAMBDA_ALPHA)), exponent: e.exponent };
            Parts::from(Two::all(x, LAMBDA)).when(positive, left)
        } else {
            Two::one(x.all(LAMBDA[0]).when(positive, e.value.high * LAMBDA_ALPHA[0])).into()
        }
    }
}

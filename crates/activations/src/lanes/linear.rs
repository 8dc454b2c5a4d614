//! The functions made of straight lines: identity, ReLU, leaky ReLU, hard tanh.
//!
//! Where their slope is 0 or 1 they do not multiply: an active unit hands on the gradient as it is, an inactive one gives +0 whatever
//! comes from above.

use super::curve::Curve;
use super::number::{Lanes, Parts, Two};
use gradchain_arith::Simd;

pub(super) struct Identity;

impl Curve for Identity {
    const SLOPES_AT_INFINITY: [f64; 2] = [1.0, 1.0];
    const SLOPE_AT_NAN: f64 = 1.0;

    #[inline(always)]
    fn value<S: Simd, const FULL: bool>(x: Lanes<S>) -> Parts<S> {
        Two::one(x).into()
    }

    #[inline(always)]
    fn slope<S: Simd, const FULL: bool>(x: Lanes<S>) -> Parts<S> {
        Two::one(x.all(1.0)).into()
    }

    #[inline(always)]
    fn pull<S: Simd, const FULL: bool>(g: Lanes<S>, _x: Lanes<S>) -> Lanes<S> {
        g
    }
}

pub(super) struct Relu;

impl Curve for Relu {
    const SLOPES_AT_INFINITY: [f64; 2] = [0.0, 1.0];

    #[inline(always)]
    fn value<S: Simd, const FULL: bool>(x: Lanes<S>) -> Parts<S> {
        Two::one(x.at_least(0.0)).into()
    }

    #[inline(always)]
    fn slope<S: Simd, const FULL: bool>(x: Lanes<S>) -> Parts<S> {
        Two::one(Relu::pull::<S, FULL>(x.all(1.0), x)).into()
    }

    #[inline(always)]
    fn pull<S: Simd, const FULL: bool>(g: Lanes<S>, x: Lanes<S>) -> Lanes<S> {
        g.when(x.all(0.0).less(x), x.all(0.0))
    }
}

/// The slope at 0 is that from the left, as in PyTorch.
pub(super) struct LeakyRelu;

/// The decimal number 0.01.
const SLOPE: [f64; 2] = [0.01, -2.0816681711721684e-19];

impl Curve for LeakyRelu {
    const SLOPES_AT_INFINITY: [f64; 2] = [SLOPE[0], 1.0];

    #[inline(always)]
    fn value<S: Simd, const FULL: bool>(x: Lanes<S>) -> Parts<S> {
        Two::one(LeakyRelu::pull::<S, FULL>(x, x)).into()
    }

    #[inline(always)]
    fn slope<S: Simd, const FULL: bool>(x: Lanes<S>) -> Parts<S> {
        Two::one(x.all(1.0).when(x.all(0.0).less(x), x.all(SLOPE[0]))).into()
    }

    #[inline(always)]
    fn pull<S: Simd, const FULL: bool>(g: Lanes<S>, x: Lanes<S>) -> Lanes<S> {
        let mut left = g * SLOPE[0];
        if FULL {
            // An infinite g has two infinite parts of unlike signs, and so has a zero.
            let close = g.mul_add(g.all(SLOPE[0]), g * SLOPE[1]);
            left.value = g.simd.where_finite_f64(left.value, close.value);
            left = left.with_sign_of(g);
        }
        g.when(x.all(0.0).less(x), left)
    }
}

/// `x` between -1 and 1, and these beyond; the slope at -1 and 1 is 0, as in PyTorch.
pub(super) struct HardTanh;

impl Curve for HardTanh {
    const SLOPES_AT_INFINITY: [f64; 2] = [0.0, 0.0];

    #[inline(always)]
    fn value<S: Simd, const FULL: bool>(x: Lanes<S>) -> Parts<S> {
        Two::one(x.at_least(-1.0).at_most(1.0)).into()
    }

    #[inline(always)]
    fn slope<S: Simd, const FULL: bool>(x: Lanes<S>) -> Parts<S> {
        Two::one(HardTanh::pull::<S, FULL>(x.all(1.0), x)).into()
    }

    #[inline(always)]
    fn pull<S: Simd, const FULL: bool>(g: Lanes<S>, x: Lanes<S>) -> Lanes<S> {
        g.when(x.abs().less(x.all(1.0)), x.all(0.0))
    }
}

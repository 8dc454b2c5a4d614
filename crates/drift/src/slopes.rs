//! Activations of a layer and their derivatives, the slopes, in scaled double-double.

use crate::double_double::DoubleDouble;
use crate::functions;
use crate::scaled::{exponent_of, ldexp};
use crate::scaled_vector::ScaledVector;
use gradchain_activations::Activation;
use gradchain_arith::{Isa, Simd, WithSimd};

/// Above `2^SATURATED` a pre-activation saturates sigmoid and tanh: derivative 0.
const SATURATED: i64 = 40;

/// Below `2^LINEAR` sigmoid is 1/2 and tanh is the identity, with slopes 1/4 and 1, to a relative 2^-120.
const LINEAR: i64 = -120;

/// f'(z) for every component of a layer.
#[derive(Clone, Debug)]
pub(crate) enum Slopes {
    /// All of them 1.
    Ones,
    /// 0, 1, or NaN.
    Steps(Vec<f64>),
    /// `m · 2^e` each, since the slopes of one layer may be as far apart as 1/4 and e^-1000000.
    Scaled {
        /// The m.
        mantissas: Vec<DoubleDouble>,
        /// The e.
        exponents: Vec<i64>,
    },
}

/// Replaces z by f(z) and gives f'(z). ReLU'(0) = 0; where z is NaN both are.
pub(crate) fn activate(isa: Isa, activation: Activation, z: &mut ScaledVector) -> Slopes {
    match activation {
        Activation::Identity => Slopes::Ones,
        Activation::Relu => {
            let mut steps = Vec::with_capacity(z.len());
            for (hi, lo) in z.hi.iter_mut().zip(&mut z.lo) {
                let step = if hi.is_nan() { f64::NAN } else { f64::from(u8::from(*hi > 0.0)) };
                if step == 0.0 {
                    (*hi, *lo) = (0.0, 0.0);
                }
                steps.push(step);
            }
            z.renormalise();
            Slopes::Steps(steps)
        }
        Activation::Sigmoid => isa.run(Smooth { z, at: sigmoid_at }),
        Activation::Tanh => isa.run(Smooth { z, at: tanh_at }),
    }
}

/// `gradient ∘ slopes`, in place: `D = G ∘ f'(Z)`. A slope of 0 stops everything, infinities and NaN too.
pub(crate) fn times_slopes(isa: Isa, gradient: &mut ScaledVector, slopes: &Slopes, exponents: &mut Vec<i64>) {
    match slopes {
        Slopes::Ones => {}
        Slopes::Steps(steps) => {
            for ((hi, lo), &step) in gradient.hi.iter_mut().zip(&mut gradient.lo).zip(steps) {
                if step != 1.0 {
                    (*hi, *lo) = (step, step);
                }
            }
            gradient.renormalise();
        }
        Slopes::Scaled { mantissas, exponents: of_slopes } => {
            exponents.clear();
            exponents.extend(of_slopes.iter().map(|e| e.saturating_add(gradient.exponent)));
            isa.run(TimesMantissas { gradient, mantissas, exponents });
        }
    }
}

struct TimesMantissas<'a> {
    gradient: &'a mut ScaledVector,
    mantissas: &'a [DoubleDouble],
    exponents: &'a [i64],
}

impl WithSimd for TimesMantissas<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let TimesMantissas { gradient, mantissas, exponents } = self;
        for ((hi, lo), &slope) in gradient.hi.iter_mut().zip(&mut gradient.lo).zip(mantissas) {
            let product =
                if slope.hi == 0.0 { slope } else { DoubleDouble { hi: *hi, lo: *lo }.times(slope) };
            (*hi, *lo) = (product.hi, product.lo);
        }
        gradient.gather(exponents);
    }
}

/// A value and a slope, each with its exponent.
type AtPoint = ((DoubleDouble, i64), (DoubleDouble, i64));

struct Smooth<'a, F> {
    z: &'a mut ScaledVector,
    at: F,
}

impl<F: Fn(DoubleDouble, i64) -> AtPoint> WithSimd for Smooth<'_, F> {
    type Output = Slopes;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Slopes {
        let Smooth { z, at } = self;
        let (mut mantissas, mut exponents) = (Vec::with_capacity(z.len()), Vec::with_capacity(z.len()));
        let mut of_values = Vec::with_capacity(z.len());
        for i in 0..z.len() {
            let ((value, e), (slope, slope_e)) = at(z.mantissa(i), z.exponent);
            (z.hi[i], z.lo[i]) = (value.hi, value.lo);
            of_values.push(e);
            mantissas.push(slope);
            exponents.push(slope_e);
        }
        z.gather(&of_values);
        Slopes::Scaled { mantissas, exponents }
    }
}

/// Where `m · 2^e` lies for the functions.
enum Region {
    /// NaN included.
    Inside(DoubleDouble),
    /// Too large: the sign is left.
    Saturated { positive: bool },
    /// Too small to bend.
    Linear,
}

#[inline(always)]
fn region(m: DoubleDouble, e: i64) -> Region {
    if m.hi == 0.0 {
        return Region::Linear;
    }
    if !m.hi.is_finite() {
        return Region::Inside(DoubleDouble::from(f64::NAN));
    }
    let size = exponent_of(m.hi).saturating_add(e);
    if size > SATURATED {
        Region::Saturated { positive: m.hi > 0.0 }
    } else if size < LINEAR {
        Region::Linear
    } else {
        Region::Inside(DoubleDouble { hi: ldexp(m.hi, e), lo: ldexp(m.lo, e) })
    }
}

#[inline(always)]
fn sigmoid_at(m: DoubleDouble, e: i64) -> AtPoint {
    match region(m, e) {
        Region::Inside(z) => functions::sigmoid_with_derivative(z),
        Region::Saturated { positive } => {
            ((DoubleDouble::from(f64::from(u8::from(positive))), 0), (DoubleDouble::default(), 0))
        }
        Region::Linear => ((DoubleDouble::from(0.5), 0), (DoubleDouble::from(0.25), 0)),
    }
}

#[inline(always)]
fn tanh_at(m: DoubleDouble, e: i64) -> AtPoint {
    match region(m, e) {
        Region::Inside(z) => {
            let (value, slope) = functions::tanh_with_derivative(z);
            ((value, 0), slope)
        }
        Region::Saturated { positive } => {
            ((DoubleDouble::from(if positive { 1.0 } else { -1.0 }), 0), (DoubleDouble::default(), 0))
        }
        Region::Linear => ((m, e), (DoubleDouble::ONE, 0)),
    }
}

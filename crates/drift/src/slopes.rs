//! Activations of a layer and their derivatives, the slopes, in scaled double-double.

use crate::double_double::DoubleDouble;
use crate::functions::AtPoint;
use crate::pointwise::{evaluate, hard_tanh_at, leaky_relu_at, relu_at};
use crate::scaled::Scaled;
use crate::scaled_vector::ScaledVector;
use gradchain_activations::Activation;
use gradchain_arith::{Isa, Simd, WithSimd};

/// f'(z) for every component of a layer.
#[derive(Clone, Debug)]
pub(crate) enum Slopes {
    /// All of them 1.
    Ones,
    /// Of a piecewise linear function: f64 numbers, 0, 1 and NaN among them.
    Steps(Vec<f64>),
    /// `m · 2^e` each, since the slopes of one layer may be as far apart as 1/4 and e^-1000000.
    Scaled {
        /// The m.
        mantissas: Vec<DoubleDouble>,
        /// The e.
        exponents: Vec<i64>,
    },
}

impl Slopes {
    /// Each rounded to f64; none where all of them are 1.
    pub(crate) fn to_scaled(&self) -> Option<Vec<Scaled>> {
        match self {
            Slopes::Ones => None,
            Slopes::Steps(steps) => Some(steps.iter().map(|&x| Scaled::from(x)).collect()),
            Slopes::Scaled { mantissas, exponents } => {
                Some(mantissas.iter().zip(exponents).map(|(m, &e)| Scaled::new(m.hi, e)).collect())
            }
        }
    }
}

/// Replaces z by f(z) and gives f'(z), as [`values_and_slopes`](crate::values_and_slopes) has them. Where z is NaN both are, and an infinite z counts
/// as NaN unless the function is piecewise linear.
pub(crate) fn activate(isa: Isa, activation: Activation, z: &mut ScaledVector) -> Slopes {
    match activation {
        Activation::Identity => Slopes::Ones,
        Activation::Relu => steps(z, relu_at),
        Activation::LeakyRelu => steps(z, leaky_relu_at),
        Activation::HardTanh => steps(z, hard_tanh_at),
        Activation::Sigmoid
        | Activation::Tanh
        | Activation::Elu
        | Activation::Selu
        | Activation::Gelu
        | Activation::GeluTanh
        | Activation::Silu
        | Activation::Softplus
        | Activation::Erf => {
            for hi in &mut z.hi {
                *hi = if hi.is_finite() { *hi } else { f64::NAN };
            }
            let mut of_values = vec![z.exponent; z.len()];
            let (mantissas, exponents) = evaluate(isa, activation, &mut z.hi, &mut z.lo, &mut of_values);
            z.gather(&of_values);
            Slopes::Scaled { mantissas, exponents }
        }
    }
}

/// [`activate`] for a function whose slopes are f64 numbers.
fn steps(z: &mut ScaledVector, at: impl Fn(DoubleDouble, i64) -> AtPoint) -> Slopes {
    let (mut steps, mut of_values) = (Vec::with_capacity(z.len()), Vec::with_capacity(z.len()));
    for i in 0..z.len() {
        let ((value, e), (step, _)) = at(z.mantissa(i), z.exponent);
        (z.hi[i], z.lo[i]) = (value.hi, value.lo);
        of_values.push(e);
        steps.push(step.hi);
    }
    z.gather(&of_values);
    Slopes::Steps(steps)
}

/// `gradient ∘ slopes`, in place: `D = G ∘ f'(Z)`. A slope of 0 stops everything, infinities and NaN too.
pub(crate) fn times_slopes(isa: Isa, gradient: &mut ScaledVector, slopes: &Slopes, exponents: &mut Vec<i64>) {
    match slopes {
        Slopes::Ones => {}
        Slopes::Steps(steps) => {
            for ((hi, lo), &step) in gradient.hi.iter_mut().zip(&mut gradient.lo).zip(steps) {
                if step == 0.0 || step.is_nan() {
                    (*hi, *lo) = (step, step);
                } else if step != 1.0 {
                    let product = DoubleDouble { hi: *hi, lo: *lo }.times_f64(step);
                    (*hi, *lo) = (product.hi, product.lo);
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

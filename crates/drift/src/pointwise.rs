//! The reference of every activation at single points, of any exponent.

use crate::double_double::DoubleDouble;
use crate::error_function::{TWO_OVER_ROOT_PI, erf_with_derivative, gelu_with_derivative};
use crate::functions::{self, AtPoint};
use crate::scaled::{exponent_of, ldexp};
use crate::smooth::{
    CLOSED, LN_2, SELU_SCALE, SELU_SCALE_ALPHA, elu_with_derivative, gelu_tanh_with_derivative,
    selu_with_derivative, silu_with_derivative, softplus_with_derivative,
};
use gradchain_activations::Activation;
use gradchain_arith::{Isa, Simd, WithSimd};

/// Above `2^SATURATED` every activation is what it tends to, up to `e^-2^40`: 0, ±1, or x.
const SATURATED: i64 = 40;

/// Below `2^LINEAR` every activation is the line through its value at 0 with its slope there, to a relative 2^-119.
const LINEAR: i64 = -120;

/// 2^-115: what a value that is known to lie above a number is given on top of it, relative to it.
const ABOVE: f64 = 2.407412430484045e-35;

/// The slope of leaky ReLU below 0: the f64 number nearest to 0.01, taken for exact.
const LEAKY_SLOPE: f64 = 0.01;

/// Value and derivative of `activation` at each x, each as `(m, e)` for `m · 2^e`.
///
/// | activation | value | derivative |
/// | --- | --- | --- |
/// | identity | `x` | 1 |
/// | relu | `max(x, 0)` | 1 above 0, else 0 |
/// | leaky-relu | `x` above 0, else `0.01 x` | 1 above 0, else 0.01, the f64 number |
/// | hard-tanh | `max(-1, min(x, 1))` | 1 between -1 and 1, else 0 |
/// | sigmoid | `1 / (1 + e^-x)` | `σ(x) σ(-x)` |
/// | tanh | `tanh x` | `1 - tanh² x` |
/// | elu | `x` above 0, else `e^x - 1` | 1 above 0, else `e^x` |
/// | selu | `s x` above 0, else `s a (e^x - 1)` | s above 0, else `s a e^x` |
/// | gelu | `x Φ(x)` | `Φ(x) + x φ(x)` |
/// | gelu-tanh | `½ x (1 + tanh(sqrt(2/π) (x + 0.044715 x³)))` | of this, 0.044715 being the decimal |
/// | silu | `x σ(x)` | `σ(x) (1 + x σ(-x))` |
/// | softplus | `ln(1 + e^x)` | `σ(x)` |
/// | erf | `erf x` | `2/√π e^(-x²)` |
///
/// with `s = 1.0507009873554804934193349852946`, `a = 1.6732632423543772848170429916717`. At a kink the derivative is that of the branch below it, and
/// of hard-tanh at ±1 the outer one: all as PyTorch chooses.
///
/// Relative errors are at most 2^-95, whatever the exponent of the result: `gelu'(-1000)` is about `-2^-721339`. So too beside the roots of the
/// derivatives of gelu, gelu-tanh and silu, unless x is nearer to one than 2^-60, which no f64 number is: there it is 2^-155 over the distance. Where an exponential
/// falls below `e^-2^40` it counts as 0, whose sign is then that of the side it is approached from. NaN gives NaN, but the identity's slope is 1
/// everywhere; ±∞ gives the limits; ±0 keeps its sign where the value is 0, but for ReLU, whose value there is +0.
pub fn values_and_slopes(isa: Isa, activation: Activation, x: &[DoubleDouble]) -> Vec<AtPoint> {
    let (mut hi, mut lo, mut exponents) = (Vec::new(), Vec::new(), Vec::new());
    for &x in x {
        let (x, e) = away_from_the_ends(x);
        hi.push(x.hi);
        lo.push(x.lo);
        exponents.push(e);
    }
    let (mantissas, of_slopes) = evaluate(isa, activation, &mut hi, &mut lo, &mut exponents);
    let values = hi.iter().zip(&lo).map(|(&hi, &lo)| DoubleDouble { hi, lo }).zip(exponents);
    values.zip(mantissas.into_iter().zip(of_slopes)).collect()
}

/// `x = m · 2^e`, with e other than 0 where the error of a product with x could leave f64's range.
fn away_from_the_ends(x: DoubleDouble) -> (DoubleDouble, i64) {
    if x.hi == 0.0 || !x.hi.is_finite() {
        return (DoubleDouble::from(x.hi), 0);
    }
    let own = exponent_of(x.hi);
    if own.abs() < 800 {
        (x, 0)
    } else {
        (DoubleDouble { hi: ldexp(x.hi, -own), lo: ldexp(x.lo, -own) }, own)
    }
}

/// Replaces each `x_i = (hi_i + lo_i) · 2^exponents_i` by f(x_i) and gives the f'(x_i).
pub(crate) fn evaluate(
    isa: Isa,
    activation: Activation,
    hi: &mut [f64],
    lo: &mut [f64],
    exponents: &mut [i64],
) -> (Vec<DoubleDouble>, Vec<i64>) {
    match activation {
        Activation::Identity => isa.run(Evaluate { hi, lo, exponents, at: identity_at }),
        Activation::Sigmoid => isa.run(Evaluate { hi, lo, exponents, at: sigmoid_at }),
        Activation::Relu => isa.run(Evaluate { hi, lo, exponents, at: relu_at }),
        Activation::Tanh => isa.run(Evaluate { hi, lo, exponents, at: tanh_at }),
        Activation::LeakyRelu => isa.run(Evaluate { hi, lo, exponents, at: leaky_relu_at }),
        Activation::Elu => isa.run(Evaluate { hi, lo, exponents, at: elu_at }),
        Activation::Selu => isa.run(Evaluate { hi, lo, exponents, at: selu_at }),
        Activation::Gelu => isa.run(Evaluate { hi, lo, exponents, at: gelu_at }),
        Activation::GeluTanh => isa.run(Evaluate { hi, lo, exponents, at: gelu_tanh_at }),
        Activation::Silu => isa.run(Evaluate { hi, lo, exponents, at: silu_at }),
        Activation::Softplus => isa.run(Evaluate { hi, lo, exponents, at: softplus_at }),
        Activation::Erf => isa.run(Evaluate { hi, lo, exponents, at: erf_at }),
        Activation::HardTanh => isa.run(Evaluate { hi, lo, exponents, at: hard_tanh_at }),
    }
}

struct Evaluate<'a, F> {
    hi: &'a mut [f64],
    lo: &'a mut [f64],
    exponents: &'a mut [i64],
    at: F,
}

impl<F: Fn(DoubleDouble, i64) -> AtPoint> WithSimd for Evaluate<'_, F> {
    type Output = (Vec<DoubleDouble>, Vec<i64>);

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> (Vec<DoubleDouble>, Vec<i64>) {
        let Evaluate { hi, lo, exponents, at } = self;
        let (mut mantissas, mut of_slopes) = (Vec::with_capacity(hi.len()), Vec::with_capacity(hi.len()));
        for ((hi, lo), e) in hi.iter_mut().zip(lo).zip(exponents) {
            let (value, slope) = at(DoubleDouble { hi: *hi, lo: *lo }, *e);
            (*hi, *lo, *e) = (value.0.hi, value.0.lo, value.1);
            mantissas.push(slope.0);
            of_slopes.push(slope.1);
        }
        (mantissas, of_slopes)
    }
}

/// Where `m · 2^e` lies for the functions.
enum Region {
    /// NaN included.
    Inside(DoubleDouble),
    /// Too large, infinite included: the sign decides.
    Saturated { positive: bool },
    /// Too small to bend, 0 included.
    Linear,
}

#[inline(always)]
fn region(m: DoubleDouble, e: i64) -> Region {
    if m.hi == 0.0 {
        return Region::Linear;
    }
    if !m.hi.is_finite() {
        return if m.hi.is_nan() { Region::Inside(m) } else { Region::Saturated { positive: m.hi > 0.0 } };
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

/// A number of exponent 0.
#[inline(always)]
fn plain(x: f64) -> (DoubleDouble, i64) {
    (DoubleDouble::from(x), 0)
}

/// `m · c` for positive c, where m may be infinite or a zero with a sign.
#[inline(always)]
fn product(m: DoubleDouble, c: DoubleDouble) -> DoubleDouble {
    if m.hi.is_infinite() || m.hi == 0.0 { m } else { m.times(c) }
}

#[inline(always)]
fn identity_at(m: DoubleDouble, e: i64) -> AtPoint {
    ((m, e), plain(1.0))
}

/// ReLU: slope 0 at 0.
#[inline(always)]
pub(crate) fn relu_at(m: DoubleDouble, e: i64) -> AtPoint {
    if m.hi.is_nan() {
        (plain(m.hi), plain(m.hi))
    } else if m.hi > 0.0 {
        ((m, e), plain(1.0))
    } else {
        (plain(0.0), plain(0.0))
    }
}

/// Leaky ReLU: at 0 the slope is that of the branch below.
#[inline(always)]
pub(crate) fn leaky_relu_at(m: DoubleDouble, e: i64) -> AtPoint {
    if m.hi.is_nan() {
        (plain(m.hi), plain(m.hi))
    } else if m.hi > 0.0 {
        ((m, e), plain(1.0))
    } else {
        ((product(m, DoubleDouble::from(LEAKY_SLOPE)), e), plain(LEAKY_SLOPE))
    }
}

/// Hard tanh: slope 0 at ±1.
#[inline(always)]
pub(crate) fn hard_tanh_at(m: DoubleDouble, e: i64) -> AtPoint {
    if m.hi.is_nan() {
        return (plain(m.hi), plain(m.hi));
    }
    let beyond = if m.hi == 0.0 {
        false
    } else if m.hi.is_infinite() {
        true
    } else {
        let size = exponent_of(m.hi).saturating_add(e);
        // Between 1 and 2 the low part decides beside 1 itself.
        let whole = ldexp(m.hi, e).abs();
        size > 1 || size == 1 && (whole > 1.0 || m.lo * m.hi.signum() >= 0.0)
    };
    if beyond { (plain(f64::copysign(1.0, m.hi)), plain(0.0)) } else { ((m, e), plain(1.0)) }
}

#[inline(always)]
fn sigmoid_at(m: DoubleDouble, e: i64) -> AtPoint {
    match region(m, e) {
        Region::Inside(z) => functions::sigmoid_with_derivative(z),
        Region::Saturated { positive } => (plain(f64::from(u8::from(positive))), plain(0.0)),
        Region::Linear => (plain(0.5), plain(0.25)),
    }
}

#[inline(always)]
fn tanh_at(m: DoubleDouble, e: i64) -> AtPoint {
    match region(m, e) {
        Region::Inside(z) => {
            let (value, slope) = functions::tanh_with_derivative(z);
            ((value, 0), slope)
        }
        Region::Saturated { .. } => (plain(f64::copysign(1.0, m.hi)), plain(0.0)),
        Region::Linear => ((m, e), plain(1.0)),
    }
}

#[inline(always)]
fn elu_at(m: DoubleDouble, e: i64) -> AtPoint {
    if m.hi > 0.0 {
        return ((m, e), plain(1.0));
    }
    match region(m, e) {
        Region::Inside(z) => elu_with_derivative(z),
        Region::Saturated { .. } => (plain(-1.0), plain(0.0)),
        Region::Linear => ((m, e), plain(1.0)),
    }
}

/// SELU: at 0 the slope is that of the branch below.
#[inline(always)]
fn selu_at(m: DoubleDouble, e: i64) -> AtPoint {
    if m.hi > 0.0 {
        return ((product(m, SELU_SCALE), e), (SELU_SCALE, 0));
    }
    match region(m, e) {
        Region::Inside(z) => selu_with_derivative(z),
        Region::Saturated { .. } => ((SELU_SCALE_ALPHA.negated(), 0), plain(0.0)),
        Region::Linear => ((product(m, SELU_SCALE_ALPHA), e), (SELU_SCALE_ALPHA, 0)),
    }
}

#[inline(always)]
fn gelu_at(m: DoubleDouble, e: i64) -> AtPoint {
    gate_at(m, e, gelu_with_derivative)
}

#[inline(always)]
fn gelu_tanh_at(m: DoubleDouble, e: i64) -> AtPoint {
    gate_at(m, e, gelu_tanh_with_derivative)
}

#[inline(always)]
fn silu_at(m: DoubleDouble, e: i64) -> AtPoint {
    gate_at(m, e, silu_with_derivative)
}

/// x times a function that goes from 0 to 1: x/2 at 0, x above, 0 below, and that from below.
///
/// `x/2` of a subnormal x is a midpoint between two numbers of its format, and the true value, `x/2 + c x²`, lies above. A low part too small to
/// count as an error says so, because no double-double reaches down to `x²`.
#[inline(always)]
fn gate_at(m: DoubleDouble, e: i64, inside: impl Fn(DoubleDouble) -> AtPoint) -> AtPoint {
    match region(m, e) {
        Region::Inside(z) => inside(z),
        Region::Saturated { positive: true } => ((m, e), plain(1.0)),
        Region::Saturated { positive: false } => CLOSED,
        Region::Linear => {
            let above = if m.hi == 0.0 { m } else { DoubleDouble::new(m.hi, m.lo + m.hi.abs() * ABOVE) };
            ((above, e.saturating_sub(1)), plain(0.5))
        }
    }
}

#[inline(always)]
fn softplus_at(m: DoubleDouble, e: i64) -> AtPoint {
    match region(m, e) {
        Region::Inside(z) => softplus_with_derivative(z),
        Region::Saturated { positive: true } => ((m, e), plain(1.0)),
        Region::Saturated { positive: false } => (plain(0.0), plain(0.0)),
        Region::Linear => ((LN_2, 0), plain(0.5)),
    }
}

#[inline(always)]
fn erf_at(m: DoubleDouble, e: i64) -> AtPoint {
    match region(m, e) {
        Region::Inside(z) => erf_with_derivative(z),
        Region::Saturated { .. } => (plain(f64::copysign(1.0, m.hi)), plain(0.0)),
        Region::Linear => ((product(m, TWO_OVER_ROOT_PI), e), (TWO_OVER_ROOT_PI, 0)),
    }
}

//! The accurate values and slopes in every arithmetic: what the fused path is made of.

use crate::activation::Activation;
use crate::lanes::{self, Precision};
use crate::native::{self, Vectorized};
use crate::{sigmoid, tanh};
use gradchain_arith::{Arithmetic, Emulated, Format, Isa, Native, Rules};
use std::sync::OnceLock;

/// An arithmetic with accurate activation functions, on numbers and on slices: [`Native`] by vectors, [`Emulated`] one number after
/// the other, with the same bits where both have a format under the same rules.
///
/// These are the accurate functions themselves; [`apply`](crate::apply), [`derivative`](crate::derivative()) and so on add the other paths. Slices
/// must be as long as each other. In an emulated arithmetic element i draws its random bits from stream i.
pub trait Activations: Arithmetic {
    /// The value at x.
    fn accurate_value(&self, activation: Activation, x: Self::Number) -> Self::Number;

    /// The derivative at x.
    fn accurate_slope(&self, activation: Activation, x: Self::Number) -> Self::Number;

    /// The derivative at x times `upstream`, rounded once.
    fn accurate_pull(&self, activation: Activation, upstream: Self::Number, x: Self::Number) -> Self::Number;

    /// `out[i] = ` [`accurate_value`](Activations::accurate_value) at `x[i]`.
    fn accurate_values(&self, activation: Activation, x: &[Self::Number], out: &mut [Self::Number]) {
        for (i, (out, &x)) in out.iter_mut().zip(x).enumerate() {
            *out = self.stream(i as u64).accurate_value(activation, x);
        }
    }

    /// `out[i] = ` [`accurate_slope`](Activations::accurate_slope) at `x[i]`.
    fn accurate_slopes(&self, activation: Activation, x: &[Self::Number], out: &mut [Self::Number]) {
        for (i, (out, &x)) in out.iter_mut().zip(x).enumerate() {
            *out = self.stream(i as u64).accurate_slope(activation, x);
        }
    }

    /// `gradient[i] = ` [`accurate_pull`](Activations::accurate_pull) of `gradient[i]` at `x[i]`.
    fn accurate_pulls(&self, activation: Activation, gradient: &mut [Self::Number], x: &[Self::Number]) {
        for (i, (gradient, &x)) in gradient.iter_mut().zip(x).enumerate() {
            *gradient = self.stream(i as u64).accurate_pull(activation, *gradient, x);
        }
    }

    /// `gradient[i] = gradient[i] · ` [`accurate_slope`](Activations::accurate_slope) at `x[i]`: two roundings.
    fn accurate_products(&self, activation: Activation, gradient: &mut [Self::Number], x: &[Self::Number]) {
        for (i, (gradient, &x)) in gradient.iter_mut().zip(x).enumerate() {
            let arith = self.stream(i as u64);
            *gradient = arith.mul(*gradient, arith.accurate_slope(activation, x));
        }
    }
}

impl<T: Vectorized> Activations for Native<T> {
    fn accurate_value(&self, activation: Activation, x: T) -> T {
        if T::FORMAT == Format::F32 && native::correctly_rounded(activation) {
            return T::round_from(native::decided(activation, true, x.value() as f32).into());
        }
        T::round_from(lanes::value(self.isa(), activation, native::precision(T::FORMAT), x.value()))
    }

    fn accurate_slope(&self, activation: Activation, x: T) -> T {
        if T::FORMAT == Format::F32 && native::correctly_rounded(activation) {
            return T::round_from(native::decided(activation, false, x.value() as f32).into());
        }
        T::round_from(lanes::slope(self.isa(), activation, native::precision(T::FORMAT), x.value()))
    }

    fn accurate_pull(&self, activation: Activation, upstream: T, x: T) -> T {
        if has_flat_parts(activation) {
            // A gradient that is handed on keeps the bits of NaN too.
            let mut gradient = [upstream];
            T::pull(self.isa(), activation, &mut gradient, &[x]);
            return gradient[0];
        }
        let precision = native::precision(T::FORMAT);
        T::round_from(lanes::pull(self.isa(), activation, precision, upstream.value(), x.value()))
    }

    fn accurate_values(&self, activation: Activation, x: &[T], out: &mut [T]) {
        T::values(self.isa(), activation, x, out);
    }

    fn accurate_slopes(&self, activation: Activation, x: &[T], out: &mut [T]) {
        T::slopes(self.isa(), activation, x, out);
    }

    fn accurate_pulls(&self, activation: Activation, gradient: &mut [T], x: &[T]) {
        T::pull(self.isa(), activation, gradient, x);
    }

    fn accurate_products(&self, activation: Activation, gradient: &mut [T], x: &[T]) {
        T::multiply(self.isa(), activation, gradient, x);
    }
}

impl Activations for Emulated {
    fn accurate_value(&self, activation: Activation, x: f64) -> f64 {
        if activation == Activation::Identity {
            return x;
        }
        match (stored(self), activation == Activation::Tanh) {
            (Some(Precision::Low) | None, true) => tanh::value(self, x),
            (Some(Precision::Low) | None, false) if activation == Activation::Sigmoid => {
                sigmoid::value(self, x)
            }
            (precision, _) => {
                self.round(lanes::value(isa(), activation, precision.unwrap_or(Precision::Full), x))
            }
        }
    }

    fn accurate_slope(&self, activation: Activation, x: f64) -> f64 {
        match (stored(self), activation == Activation::Tanh) {
            (Some(Precision::Low) | None, true) => tanh::slope(self, x),
            (Some(Precision::Low) | None, false) if activation == Activation::Sigmoid => {
                sigmoid::slope(self, x)
            }
            (precision, _) => {
                self.round(lanes::slope(isa(), activation, precision.unwrap_or(Precision::Full), x))
            }
        }
    }

    fn accurate_pull(&self, activation: Activation, upstream: f64, x: f64) -> f64 {
        if let Some(precision) = stored(self) {
            return self.round(lanes::pull(isa(), activation, precision, upstream, x));
        }
        let slope = lanes::slope(isa(), activation, Precision::Full, x);
        if has_flat_parts(activation) {
            // Flat and unit parts do not multiply.
            if slope == 1.0 {
                return upstream;
            } else if slope == 0.0 {
                return self.round(0.0);
            }
        }
        self.mul(upstream, slope)
    }
}

/// Whether the slope of a linear function is 0 or 1 somewhere, where a gradient is handed on or not, and not multiplied.
pub(crate) fn has_flat_parts(activation: Activation) -> bool {
    matches!(
        activation,
        Activation::Identity | Activation::Relu | Activation::LeakyRelu | Activation::HardTanh
    )
}

/// The precision of the native arithmetic with the same results, where there is one: its bits are to be met.
fn stored(arith: &Emulated) -> Option<Precision> {
    let format = arith.format();
    let is_stored = [Format::F16, Format::BF16, Format::F32, Format::F64].contains(&format);
    (is_stored && arith.rules() == Rules::default()).then(|| native::precision(format))
}

/// Some instruction set: it does not change results.
fn isa() -> Isa {
    static ISA: OnceLock<Isa> = OnceLock::new();
    *ISA.get_or_init(|| Isa::choose().unwrap_or(Isa::PORTABLE))
}

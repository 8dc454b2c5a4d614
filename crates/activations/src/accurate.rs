//! The accurate values and slopes in every arithmetic: what the fused path is made of.

use crate::activation::Activation;
use crate::native::Vectorized;
use crate::path::Path;
use crate::{paths, sigmoid, slices, tanh};
use gradchain_arith::{Arithmetic, Emulated, Format, Isa, Native, Rules, bf16, f16};
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

    /// `d[i] = ` the [`derivative`](crate::derivative()) by `path`, one number after the other unless an arithmetic has vectors for it.
    fn path_slopes(
        &self,
        activation: Activation,
        path: Path,
        x: &[Self::Number],
        y: &[Self::Number],
        d: &mut [Self::Number],
    ) {
        slopes_one_by_one(self, activation, path, x, y, d);
    }

    /// `gradient[i] = ` [`backpropagate`](crate::backpropagate) by `path`, as [`path_slopes`](Activations::path_slopes).
    fn path_pulls(
        &self,
        activation: Activation,
        path: Path,
        gradient: &mut [Self::Number],
        x: &[Self::Number],
        y: &[Self::Number],
    ) {
        pulls_one_by_one(self, activation, path, gradient, x, y);
    }
}

/// The definition of [`Activations::path_slopes`].
fn slopes_one_by_one<A: Activations>(
    arith: &A,
    activation: Activation,
    path: Path,
    x: &[A::Number],
    y: &[A::Number],
    d: &mut [A::Number],
) {
    for (i, (d, (&x, &y))) in d.iter_mut().zip(x.iter().zip(y)).enumerate() {
        *d = paths::derivative(&arith.stream(i as u64), activation, path, x, y);
    }
}

/// The definition of [`Activations::path_pulls`].
fn pulls_one_by_one<A: Activations>(
    arith: &A,
    activation: Activation,
    path: Path,
    gradient: &mut [A::Number],
    x: &[A::Number],
    y: &[A::Number],
) {
    for (i, (g, (&x, &y))) in gradient.iter_mut().zip(x.iter().zip(y)).enumerate() {
        *g = paths::backpropagate(&arith.stream(i as u64), activation, path, *g, x, y);
    }
}

impl<T: Vectorized> Activations for Native<T> {
    fn accurate_value(&self, activation: Activation, x: T) -> T {
        let mut out = [x];
        T::values(self.isa(), activation, &[x], &mut out);
        out[0]
    }

    fn accurate_slope(&self, activation: Activation, x: T) -> T {
        let mut out = [x];
        T::slopes(self.isa(), activation, &[x], &mut out);
        out[0]
    }

    fn accurate_pull(&self, activation: Activation, upstream: T, x: T) -> T {
        let mut gradient = [upstream];
        T::pull(self.isa(), activation, &mut gradient, &[x]);
        gradient[0]
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

    fn path_slopes(&self, activation: Activation, path: Path, x: &[T], y: &[T], d: &mut [T]) {
        if slices::has(activation, path) {
            T::path_slopes(self.isa(), activation, path, [x, y], d);
        } else {
            slopes_one_by_one(self, activation, path, x, y, d);
        }
    }

    fn path_pulls(&self, activation: Activation, path: Path, gradient: &mut [T], x: &[T], y: &[T]) {
        if slices::has(activation, path) {
            T::path_pulls(self.isa(), activation, path, gradient, [x, y]);
        } else {
            pulls_one_by_one(self, activation, path, gradient, x, y);
        }
    }
}

impl Activations for Emulated {
    fn accurate_value(&self, activation: Activation, x: f64) -> f64 {
        if is_stored(self) {
            return as_native(self.format(), activation, Asked::Value, x);
        }
        if activation == Activation::Identity {
            x
        } else if activation == Activation::Sigmoid {
            sigmoid::value(self, x)
        } else if activation == Activation::Tanh {
            tanh::value(self, x)
        } else {
            self.round(as_native(Format::F64, activation, Asked::Value, x))
        }
    }

    fn accurate_slope(&self, activation: Activation, x: f64) -> f64 {
        if is_stored(self) {
            return as_native(self.format(), activation, Asked::Slope, x);
        }
        if activation == Activation::Sigmoid {
            sigmoid::slope(self, x)
        } else if activation == Activation::Tanh {
            tanh::slope(self, x)
        } else {
            self.round(as_native(Format::F64, activation, Asked::Slope, x))
        }
    }

    fn accurate_pull(&self, activation: Activation, upstream: f64, x: f64) -> f64 {
        if is_stored(self) {
            return as_native(self.format(), activation, Asked::Pull(upstream), x);
        }
        let slope = as_native(Format::F64, activation, Asked::Slope, x);
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

/// Whether there is a native arithmetic with the same results: its bits are to be met.
fn is_stored(arith: &Emulated) -> bool {
    [Format::F16, Format::BF16, Format::F32, Format::F64].contains(&arith.format())
        && arith.rules() == Rules::default()
}

/// What is asked for at a number.
#[derive(Clone, Copy)]
enum Asked {
    Value,
    Slope,
    /// The slope times this.
    Pull(f64),
}

/// What the native arithmetic of a stored format says.
fn as_native(format: Format, activation: Activation, asked: Asked, x: f64) -> f64 {
    fn by<T: Vectorized>(activation: Activation, asked: Asked, x: f64) -> f64 {
        let (arith, x) = (Native::<T>::new(isa()), T::round_from(x));
        let result = match asked {
            Asked::Value => arith.accurate_value(activation, x),
            Asked::Slope => arith.accurate_slope(activation, x),
            Asked::Pull(upstream) => arith.accurate_pull(activation, T::round_from(upstream), x),
        };
        result.value()
    }
    if format == Format::F16 {
        by::<f16>(activation, asked, x)
    } else if format == Format::BF16 {
        by::<bf16>(activation, asked, x)
    } else if format == Format::F32 {
        by::<f32>(activation, asked, x)
    } else {
        by::<f64>(activation, asked, x)
    }
}

/// Some instruction set: it does not change results.
fn isa() -> Isa {
    static ISA: OnceLock<Isa> = OnceLock::new();
    *ISA.get_or_init(|| Isa::choose().unwrap_or(Isa::PORTABLE))
}

//! The other paths on slices of a stored format, by vectors where their formulas are sums and products: the same operations as in `paths.rs`,
//! each rounded in the format.
//!
//! What needs an exponential that is rounded once, or a division, stays one number after the other: the input path and the native one of
//! the smooth functions, and softplus from its output.

use crate::accurate::has_flat_parts;
use crate::activation::Activation;
use crate::flat::{Bits, each};
use crate::lanes::{LAMBDA, LAMBDA_ALPHA};
use crate::native::{BLOCK, Multiply, Vectorized};
use crate::path::Path;
use crate::paths::kink;
use gradchain_arith::{Isa, LANES, Simd, WithSimd};

/// Numbers that are computed at a time where something is kept aside.
const STRETCH: usize = BLOCK * LANES;

/// Whether [`slopes`] and [`pulls`] have the path.
pub(crate) fn has(activation: Activation, path: Path) -> bool {
    let smooth = !has_flat_parts(activation);
    match path {
        Path::Fused | Path::Multiplied | Path::SlopeOne | Path::SlopeHalf => true,
        Path::Output => activation != Activation::Softplus,
        Path::Symmetric => true,
        Path::Input | Path::Native => !smooth,
    }
}

/// `d[i] = ` the derivative by a path that [`has`] names.
pub(crate) fn slopes<T: Bits + Vectorized>(
    isa: Isa,
    activation: Activation,
    path: Path,
    [x, y]: [&[T]; 2],
    d: &mut [T],
) {
    debug_assert!(has(activation, path));
    match (path, activation) {
        (Path::SlopeOne | Path::SlopeHalf, _) => {
            T::slopes(isa, activation, x, d);
            if has_kink(activation) {
                for (d, x) in d.iter_mut().zip(x) {
                    if let Some(slope) = kink(activation, path, x.value()) {
                        *d = T::round_from(slope);
                    }
                }
            }
        }
        (Path::Output, Activation::Sigmoid) => isa.run(FromOutput { formula: Formula::Product, y, d }),
        (Path::Output, Activation::Tanh) => isa.run(FromOutput { formula: Formula::Square, y, d }),
        (Path::Symmetric, Activation::Tanh) => isa.run(FromOutput { formula: Formula::Sides, y, d }),
        (Path::Output, Activation::Elu) => {
            isa.run(FromOutput { formula: Formula::Sum(T::ONE), y, d });
            right(isa, T::ONE, true, y, d);
        }
        (Path::Output, Activation::Selu) => {
            isa.run(FromOutput { formula: Formula::Sum(T::round_from(LAMBDA_ALPHA[0])), y, d });
            right(isa, T::round_from(LAMBDA[0]), false, y, d);
        }
        (Path::Symmetric, Activation::Sigmoid) => {
            let mut opposite = [T::default(); STRETCH];
            for ((x, y), d) in x.chunks(STRETCH).zip(y.chunks(STRETCH)).zip(d.chunks_mut(STRETCH)) {
                let opposite = &mut opposite[..x.len()];
                each(
                    isa,
                    x,
                    opposite,
                    #[inline(always)]
                    |x, _| x.negated(),
                );
                T::values(isa, activation, opposite, d);
                isa.run(Multiply { factors: y, to: d });
            }
        }
        _ => T::slopes(isa, activation, x, d),
    }
}

/// `gradient[i]` times the derivative by a path that [`has`] names, as `backpropagate` has it.
pub(crate) fn pulls<T: Bits + Vectorized>(
    isa: Isa,
    activation: Activation,
    path: Path,
    gradient: &mut [T],
    [x, y]: [&[T]; 2],
) {
    let handed_on = matches!(path, Path::SlopeOne | Path::SlopeHalf)
        || matches!(activation, Activation::Identity | Activation::Relu | Activation::HardTanh);
    let mut aside = [T::default(); STRETCH];
    let parts = x.chunks(STRETCH).zip(y.chunks(STRETCH));
    for ((x, y), gradient) in parts.zip(gradient.chunks_mut(STRETCH)) {
        let aside = &mut aside[..x.len()];
        if handed_on {
            aside.copy_from_slice(gradient);
            T::pull(isa, activation, gradient, x);
            if matches!(path, Path::SlopeOne | Path::SlopeHalf) && has_kink(activation) {
                at_kinks(isa, activation, path, aside, x, gradient);
            }
        } else {
            slopes(isa, activation, path, [x, y], aside);
            isa.run(Multiply { factors: aside, to: gradient });
        }
    }
}

/// The gradients at kinks, from those from above.
fn at_kinks<T: Vectorized>(
    isa: Isa,
    activation: Activation,
    path: Path,
    upstream: &[T],
    x: &[T],
    gradient: &mut [T],
) {
    for ((gradient, &upstream), x) in gradient.iter_mut().zip(upstream).zip(x) {
        match kink(activation, path, x.value()) {
            Some(1.0) => *gradient = upstream,
            Some(slope) => {
                let mut product = [upstream];
                isa.run(Multiply { factors: &[T::round_from(slope)], to: &mut product });
                [*gradient] = product;
            }
            None => {}
        }
    }
}

/// Whether [`kink`] ever finds one.
fn has_kink(activation: Activation) -> bool {
    matches!(activation, Activation::Relu | Activation::LeakyRelu | Activation::Selu | Activation::HardTanh)
}

/// `slope` where y is positive, or with ZERO also where it is 0.
fn right<T: Bits>(isa: Isa, slope: T, zero: bool, y: &[T], d: &mut [T]) {
    each(
        isa,
        y,
        d,
        #[inline(always)]
        |y, left| if y.is_positive() | (zero & y.is_zero()) { slope } else { left },
    );
}

/// A derivative from the output.
#[derive(Clone, Copy)]
enum Formula<T> {
    /// `y (1 - y)`.
    Product,
    /// `1 - y y`.
    Square,
    /// `(1 - y) (1 + y)`.
    Sides,
    /// `y + ` a constant.
    Sum(T),
}

struct FromOutput<'a, T> {
    formula: Formula<T>,
    y: &'a [T],
    d: &'a mut [T],
}

impl<T: Bits> FromOutput<'_, T> {
    #[inline(always)]
    fn each<S: Simd>(self, simd: S, formula: impl Fn(T::Vector<S>) -> T::Vector<S>) {
        let (vectors, rest) = self.y.as_chunks::<LANES>();
        let (d, rest_d) = self.d.as_chunks_mut::<LANES>();
        for (y, d) in vectors.iter().zip(d) {
            T::store(simd, formula(T::load(simd, y)), d);
        }
        if !rest.is_empty() {
            let mut last = [T::default(); LANES];
            last[..rest.len()].copy_from_slice(rest);
            let y = T::load(simd, &last);
            T::store(simd, formula(y), &mut last);
            rest_d.copy_from_slice(&last[..rest.len()]);
        }
    }
}

impl<T: Bits> WithSimd for FromOutput<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let one = T::splat(simd, T::ONE);
        match self.formula {
            Formula::Product => self.each(
                simd,
                #[inline(always)]
                |y| T::mul(simd, y, T::sub(simd, one, y)),
            ),
            Formula::Square => self.each(
                simd,
                #[inline(always)]
                |y| T::sub(simd, one, T::mul(simd, y, y)),
            ),
            Formula::Sides => self.each(
                simd,
                #[inline(always)]
                |y| T::mul(simd, T::sub(simd, one, y), T::add(simd, one, y)),
            ),
            Formula::Sum(constant) => {
                let constant = T::splat(simd, constant);
                self.each(
                    simd,
                    #[inline(always)]
                    |y| T::add(simd, y, constant),
                );
            }
        }
    }
}

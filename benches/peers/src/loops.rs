//! What activations are compared with: the loop that a user writes from the textbook's formulas, over `std`, over `libm`, and over the
//! numbers of `half`, which are computed in f32.
//!
//! Nothing is rearranged for accuracy: `s (1 - s)` loses the derivative of the sigmoid where s is near 1, and such is what is in use.

use crate::elementwise::What;
use gradchain_activations::{Activation, Vectorized};
use gradchain_arith::{bf16, f16};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};
use std::ops::{Add, Div, Mul, Neg, Sub};

/// Does `what` of an activation for each `x`, into `out`; a gradient is multiplied in place.
pub(crate) type Loop<T> = fn(Activation, What, &[T], &mut [T]);

/// A format with the loops over it.
pub(crate) trait Element: Vectorized<Computed: Plain> + bytemuck::Pod {
    /// The loops by name, that over `std` first.
    const LOOPS: [(&'static str, Loop<Self>); 2];
    /// As computed.
    fn widen(self) -> Self::Computed;
    /// As stored.
    fn narrow(x: Self::Computed) -> Self;
}

impl Element for f16 {
    const LOOPS: [(&'static str, Loop<f16>); 2] =
        [("half, std", over::<f16, Std>), ("half, libm", over::<f16, Libm>)];

    fn widen(self) -> f32 {
        self.to_f32()
    }

    fn narrow(x: f32) -> f16 {
        f16::from_f32(x)
    }
}

impl Element for bf16 {
    const LOOPS: [(&'static str, Loop<bf16>); 2] =
        [("half, std", over::<bf16, Std>), ("half, libm", over::<bf16, Libm>)];

    fn widen(self) -> f32 {
        self.to_f32()
    }

    fn narrow(x: f32) -> bf16 {
        bf16::from_f32(x)
    }
}

impl Element for f32 {
    const LOOPS: [(&'static str, Loop<f32>); 2] = [("std", over::<f32, Std>), ("libm", over::<f32, Libm>)];

    fn widen(self) -> f32 {
        self
    }

    fn narrow(x: f32) -> f32 {
        x
    }
}

impl Element for f64 {
    const LOOPS: [(&'static str, Loop<f64>); 2] = [("std", over::<f64, Std>), ("libm", over::<f64, Libm>)];

    fn widen(self) -> f64 {
        self
    }

    fn narrow(x: f64) -> f64 {
        x
    }
}

/// Which of [`Element::LOOPS`] do `what` of the activation in a way of their own: `std` has no erf, and the functions made of straight lines
/// need no library, so that both loops are one.
pub(crate) fn competing(activation: Activation, what: What) -> [bool; 2] {
    match activation {
        Activation::Identity | Activation::Relu | Activation::LeakyRelu | Activation::HardTanh => {
            [true, false]
        }
        Activation::Gelu | Activation::Erf => [what != What::Value, true],
        Activation::Sigmoid
        | Activation::Tanh
        | Activation::Elu
        | Activation::Selu
        | Activation::GeluTanh
        | Activation::Silu
        | Activation::Softplus => [true, true],
    }
}

/// f32 and f64, as formulas see them.
pub(crate) trait Plain:
    Copy
    + PartialOrd
    + Neg<Output = Self>
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
{
    /// A constant.
    fn of(x: f64) -> Self;
}

impl Plain for f32 {
    fn of(x: f64) -> f32 {
        x as f32
    }
}

impl Plain for f64 {
    fn of(x: f64) -> f64 {
        x
    }
}

/// A library of elementary functions.
trait Library<T> {
    fn exp(x: T) -> T;
    fn exp_m1(x: T) -> T;
    fn ln_1p(x: T) -> T;
    fn tanh(x: T) -> T;
    fn erf(x: T) -> T;
}

/// The platform's, and the erf of `libm`, since `std` has none.
struct Std;

#[expect(clippy::disallowed_methods, reason = "what users call is what ours is compared with")]
impl Library<f32> for Std {
    fn exp(x: f32) -> f32 {
        x.exp()
    }

    fn exp_m1(x: f32) -> f32 {
        x.exp_m1()
    }

    fn ln_1p(x: f32) -> f32 {
        x.ln_1p()
    }

    fn tanh(x: f32) -> f32 {
        x.tanh()
    }

    fn erf(x: f32) -> f32 {
        libm::erff(x)
    }
}

#[expect(clippy::disallowed_methods, reason = "what users call is what ours is compared with")]
impl Library<f64> for Std {
    fn exp(x: f64) -> f64 {
        x.exp()
    }

    fn exp_m1(x: f64) -> f64 {
        x.exp_m1()
    }

    fn ln_1p(x: f64) -> f64 {
        x.ln_1p()
    }

    fn tanh(x: f64) -> f64 {
        x.tanh()
    }

    fn erf(x: f64) -> f64 {
        libm::erf(x)
    }
}

/// The crate `libm`.
struct Libm;

impl Library<f32> for Libm {
    fn exp(x: f32) -> f32 {
        libm::expf(x)
    }

    fn exp_m1(x: f32) -> f32 {
        libm::expm1f(x)
    }

    fn ln_1p(x: f32) -> f32 {
        libm::log1pf(x)
    }

    fn tanh(x: f32) -> f32 {
        libm::tanhf(x)
    }

    fn erf(x: f32) -> f32 {
        libm::erff(x)
    }
}

impl Library<f64> for Libm {
    fn exp(x: f64) -> f64 {
        libm::exp(x)
    }

    fn exp_m1(x: f64) -> f64 {
        libm::expm1(x)
    }

    fn ln_1p(x: f64) -> f64 {
        libm::log1p(x)
    }

    fn tanh(x: f64) -> f64 {
        libm::tanh(x)
    }

    fn erf(x: f64) -> f64 {
        libm::erf(x)
    }
}

/// The loop over a library.
fn over<T: Element, L: Library<T::Computed>>(activation: Activation, what: What, x: &[T], out: &mut [T]) {
    // λ and α of SELU, and κ/2 and β of GELU's tanh form.
    const SELU: [f64; 2] = [1.0507009873554805, 1.6732632423543772];
    const GELU_TANH: [f64; 2] = [0.7978845608028654, 0.044715];
    let c = T::Computed::of;
    let (zero, half, one) = (c(0.0), c(0.5), c(1.0));
    let [lambda, alpha] = SELU.map(c);
    let [root, cube] = GELU_TANH.map(c);
    let sigmoid = |x: T::Computed| one / (one + L::exp(-x));
    let gaussian = |x: T::Computed| half * (one + L::erf(x * c(FRAC_1_SQRT_2)));
    let bent = |x: T::Computed| L::tanh(root * (x + cube * x * x * x));
    let left = |x: T::Computed| x <= zero;
    match activation {
        Activation::Identity => each(what, x, out, |x| x, |_| one),
        Activation::Sigmoid => each(what, x, out, sigmoid, |x| {
            let s = sigmoid(x);
            s * (one - s)
        }),
        Activation::Relu => {
            each(what, x, out, |x| if left(x) { zero } else { x }, |x| if left(x) { zero } else { one });
        }
        Activation::Tanh => each(what, x, out, L::tanh, |x| {
            let t = L::tanh(x);
            one - t * t
        }),
        Activation::LeakyRelu => {
            let slope = |x| if left(x) { c(0.01) } else { one };
            each(what, x, out, |x| slope(x) * x, slope);
        }
        Activation::Elu => {
            let value = |x| if left(x) { L::exp_m1(x) } else { x };
            each(what, x, out, value, |x| if left(x) { L::exp(x) } else { one });
        }
        Activation::Selu => {
            let value = |x| lambda * if left(x) { alpha * L::exp_m1(x) } else { x };
            each(what, x, out, value, |x| lambda * if left(x) { alpha * L::exp(x) } else { one });
        }
        Activation::Gelu => each(
            what,
            x,
            out,
            |x| x * gaussian(x),
            |x| gaussian(x) + x * L::exp(-half * x * x) * c(0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2),
        ),
        Activation::GeluTanh => each(
            what,
            x,
            out,
            |x| half * x * (one + bent(x)),
            |x| {
                let t = bent(x);
                half * (one + t) + half * x * (one - t * t) * root * (one + c(3.0) * cube * x * x)
            },
        ),
        Activation::Silu => each(
            what,
            x,
            out,
            |x| x * sigmoid(x),
            |x| {
                let s = sigmoid(x);
                s * (one + x * (one - s))
            },
        ),
        Activation::Softplus => {
            // e^-|x|, which does not overflow.
            let value = |x| if left(x) { L::ln_1p(L::exp(x)) } else { x + L::ln_1p(L::exp(-x)) };
            each(what, x, out, value, sigmoid);
        }
        Activation::Erf => each(what, x, out, L::erf, |x| c(FRAC_2_SQRT_PI) * L::exp(-x * x)),
        Activation::HardTanh => {
            let clamped = |x: T::Computed| {
                if x < -one {
                    -one
                } else if x > one {
                    one
                } else {
                    x
                }
            };
            let inside = |x: T::Computed| -one < x && x < one;
            each(what, x, out, clamped, |x| if inside(x) { one } else { zero });
        }
    }
}

/// The loop itself, compiled for each pair of formulas: what can be inlined is.
#[inline(always)]
fn each<T: Element>(
    what: What,
    x: &[T],
    out: &mut [T],
    value: impl Fn(T::Computed) -> T::Computed,
    slope: impl Fn(T::Computed) -> T::Computed,
) {
    let pairs = out.iter_mut().zip(x);
    match what {
        What::Value => pairs.for_each(|(out, x)| *out = T::narrow(value(x.widen()))),
        What::Derivative => pairs.for_each(|(out, x)| *out = T::narrow(slope(x.widen()))),
        What::Gradient => pairs.for_each(|(g, x)| *g = T::narrow(g.widen() * slope(x.widen()))),
    }
}

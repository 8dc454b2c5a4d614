//! The functions made of straight lines. Where their slopes are 0 or 1 they are comparisons and masks on the bits of a stored format, at the
//! speed of memory, and NaN keeps its bits: an active unit hands on the gradient as it is, an inactive one gives +0 whatever comes from above.

use crate::activation::Activation;
use crate::leaky::{Leak, Leaky};
use crate::native::Work;
use gradchain_arith::{Isa, Real, Simd, WithSimd, bf16, f16};

/// What the choices read of a number. On the bits, which compilers turn into integer vectors.
pub(crate) trait Bits: Real {
    /// 1.
    const ONE: Self;
    /// `x > 0`.
    fn is_positive(self) -> bool;
    /// Whether x is NaN.
    fn is_nan(self) -> bool;
    /// `|x| < 1`.
    fn is_small(self) -> bool;
    /// `x = 0`.
    fn is_zero(self) -> bool;
    /// x with the other sign.
    fn negated(self) -> Self;
    /// 1 with the sign of x.
    fn sign(self) -> Self;
}

macro_rules! bits {
    ($($format:ident, $signed:ident, $infinity:expr, $one:expr;)*) => {$(
        impl Bits for $format {
            const ONE: Self = $format::from_bits($one);

            // Positive numbers are positive integers, in the same order.
            #[inline(always)]
            fn is_positive(self) -> bool {
                let bits = self.to_bits() as $signed;
                bits > 0 && bits <= $infinity
            }

            #[inline(always)]
            fn is_nan(self) -> bool {
                self.to_bits() as $signed & $signed::MAX > $infinity
            }

            #[inline(always)]
            fn is_small(self) -> bool {
                (self.to_bits() as $signed & $signed::MAX) < $one
            }

            #[inline(always)]
            fn is_zero(self) -> bool {
                self.to_bits() as $signed & $signed::MAX == 0
            }

            #[inline(always)]
            fn negated(self) -> Self {
                $format::from_bits((self.to_bits() as $signed ^ $signed::MIN) as _)
            }

            #[inline(always)]
            fn sign(self) -> Self {
                $format::from_bits(((self.to_bits() as $signed & $signed::MIN) | $one) as _)
            }
        }
    )*};
}

bits! {
    f16, i16, 0x7c00, 0x3c00;
    bf16, i16, 0x7f80, 0x3f80;
    f32, i32, 0x7f80_0000, 0x3f80_0000;
    f64, i64, 0x7ff0_0000_0000_0000, 0x3ff0_0000_0000_0000;
}

/// `work` of the function in `out`, for the functions made of straight lines; else, and for gradients times rounded slopes, it says no and leaves
/// `out` as it is.
pub(crate) fn flat<T: Leaky>(isa: Isa, activation: Activation, work: Work, x: &[T], out: &mut [T]) -> bool {
    match (activation, work) {
        (Activation::Identity, Work::Value) => out.copy_from_slice(x),
        (Activation::Identity, Work::Slope) => out.fill(T::ONE),
        (Activation::Identity, Work::Pull) => {}
        (Activation::Relu, Work::Value) => each(
            isa,
            x,
            out,
            #[inline(always)]
            |x, _| masked(x, x.is_positive(), x),
        ),
        (Activation::Relu, Work::Slope) => each(
            isa,
            x,
            out,
            #[inline(always)]
            |x, _| masked(x, x.is_positive(), T::ONE),
        ),
        (Activation::Relu, Work::Pull) => each(
            isa,
            x,
            out,
            #[inline(always)]
            |x, g| masked(x, x.is_positive(), g),
        ),
        (Activation::HardTanh, Work::Value) => each(
            isa,
            x,
            out,
            #[inline(always)]
            |x, _| if x.is_small() | x.is_nan() { x } else { x.sign() },
        ),
        (Activation::HardTanh, Work::Slope) => each(
            isa,
            x,
            out,
            #[inline(always)]
            |x, _| masked(x, x.is_small(), T::ONE),
        ),
        (Activation::HardTanh, Work::Pull) => each(
            isa,
            x,
            out,
            #[inline(always)]
            |x, g| masked(x, x.is_small(), g),
        ),
        (Activation::LeakyRelu, Work::Value) => isa.run(Leak { hand_on: false, x, out }),
        (Activation::LeakyRelu, Work::Pull) => isa.run(Leak { hand_on: true, x, out }),
        (Activation::LeakyRelu, Work::Slope) => {
            let slope = T::round_from(0.01);
            each(
                isa,
                x,
                out,
                #[inline(always)]
                |x, _| {
                    let left = if x.is_nan() { x } else { slope };
                    if x.is_positive() { T::ONE } else { left }
                },
            );
        }
        _ => return false,
    }
    true
}

/// `active` where x is, NaN as it is, else +0.
#[inline(always)]
fn masked<T: Bits>(x: T, is_active: bool, active: T) -> T {
    let rest = if x.is_nan() { x } else { T::default() };
    if is_active { active } else { rest }
}

/// `out[i] = choice(x[i], out[i])`, compiled for the instruction set.
pub(crate) fn each<T: Copy>(isa: Isa, x: &[T], out: &mut [T], choice: impl Fn(T, T) -> T) {
    isa.run(Each { x, out, choice });
}

struct Each<'a, T, F> {
    x: &'a [T],
    out: &'a mut [T],
    choice: F,
}

impl<T: Copy, F: Fn(T, T) -> T> WithSimd for Each<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        for (out, &x) in self.out.iter_mut().zip(self.x) {
            *out = (self.choice)(x, *out);
        }
    }
}

//! The four formats that are stored and computed in: f16, bf16, f32, f64.
//!
//! On scalars and on vectors each operation gives the exact result rounded once to nearest. The 16-bit formats are computed in f32: for
//! `+ - ·` one f32 operation and one rounding give the correctly rounded result because 24 >= 2p + 2 (Figueroa 1995); the fused
//! operation goes through [`Simd::mul_add_odd`].

use crate::accumulate::{Accumulator, WideDoubleDouble, WideFused};
use crate::format::Format;
use crate::simd::{LANES, Simd, portable};
use half::{bf16, f16};
use std::fmt::Debug;

/// A stored number format of the machine, with its scalar and vector arithmetic.
pub trait Real: Copy + Default + PartialEq + PartialOrd + Debug + Send + Sync + 'static {
    /// The format.
    const FORMAT: Format;
    /// The format's name, as in [`Format::NAMED`].
    const NAME: &'static str;
    /// The format in which [`Summation::Wide`](crate::Summation::Wide) accumulates; f64 for f64, twice.
    type Wide: Real;
    /// [`LANES`] numbers, in registers of f32 or f64.
    type Vector<S: Simd>: Copy;
    /// The accumulator of [`Summation::Wide`](crate::Summation::Wide).
    type WideAccumulator<S: Simd>: Accumulator<Self, S>;

    /// `x` rounded once, to nearest.
    fn round_from(x: f64) -> Self;
    /// The value; exact.
    fn value(self) -> f64;
    /// `self · b + c`, rounded once.
    fn mul_add(self, b: Self, c: Self) -> Self;

    /// All lanes `x`.
    fn splat<S: Simd>(simd: S, x: Self) -> Self::Vector<S>;
    /// Lane i is `x[i]`.
    fn load<S: Simd>(simd: S, x: &[Self; LANES]) -> Self::Vector<S>;
    /// `out[i]` is lane i, which is a number of the format.
    fn store<S: Simd>(simd: S, x: Self::Vector<S>, out: &mut [Self; LANES]);
    /// `a + b`, rounded.
    fn add<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    /// `a - b`, rounded.
    fn sub<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    /// `a · b`, rounded.
    fn mul<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    /// `a · b + c`, rounded once.
    fn fused<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>, c: Self::Vector<S>)
    -> Self::Vector<S>;
    /// `corrected` where `sum` is finite, `sum` elsewhere.
    fn where_finite<S: Simd>(simd: S, sum: Self::Vector<S>, corrected: Self::Vector<S>) -> Self::Vector<S>;
    /// To the wide format; exact.
    fn to_wide<S: Simd>(simd: S, x: Self::Vector<S>) -> <Self::Wide as Real>::Vector<S>;
    /// From the wide format, rounded.
    fn from_wide<S: Simd>(simd: S, x: <Self::Wide as Real>::Vector<S>) -> Self::Vector<S>;
}

/// The two 16-bit formats differ in how they are loaded, rounded and stored; what is computed between is the same f32 arithmetic.
macro_rules! computed_in_f32 {
    ($type:ident, $format:ident, $name:literal, $value:ident, $load:ident, $store:ident, $round:ident) => {
        impl Real for $type {
            const FORMAT: Format = Format::$format;
            const NAME: &'static str = $name;
            type Wide = f32;
            type Vector<S: Simd> = S::F32;
            type WideAccumulator<S: Simd> = WideFused<$type, S>;

            fn round_from(x: f64) -> $type {
                // One rounding to odd, one to nearest: the same as one to nearest (Boldo and Melquiond 2008, theorem 1).
                <$type>::from_f32(portable::narrow_odd(x))
            }

            fn value(self) -> f64 {
                f64::from(portable::$value(self))
            }

            fn mul_add(self, b: $type, c: $type) -> $type {
                let [a, b, c] = [self, b, c].map(portable::$value);
                <$type>::from_f32(portable::mul_add_odd(a, b, c))
            }

            #[inline(always)]
            fn splat<S: Simd>(simd: S, x: $type) -> S::F32 {
                simd.splat_f32(portable::$value(x))
            }

            #[inline(always)]
            fn load<S: Simd>(simd: S, x: &[$type; LANES]) -> S::F32 {
                simd.$load(x)
            }

            #[inline(always)]
            fn store<S: Simd>(simd: S, x: S::F32, out: &mut [$type; LANES]) {
                simd.$store(x, out);
            }

            #[inline(always)]
            fn add<S: Simd>(simd: S, a: S::F32, b: S::F32) -> S::F32 {
                simd.$round(simd.add_f32(a, b))
            }

            #[inline(always)]
            fn sub<S: Simd>(simd: S, a: S::F32, b: S::F32) -> S::F32 {
                simd.$round(simd.sub_f32(a, b))
            }

            #[inline(always)]
            fn mul<S: Simd>(simd: S, a: S::F32, b: S::F32) -> S::F32 {
                simd.$round(simd.mul_f32(a, b))
            }

            #[inline(always)]
            fn fused<S: Simd>(simd: S, a: S::F32, b: S::F32, c: S::F32) -> S::F32 {
                simd.$round(simd.mul_add_odd(a, b, c))
            }

            #[inline(always)]
            fn where_finite<S: Simd>(simd: S, sum: S::F32, corrected: S::F32) -> S::F32 {
                simd.where_finite_f32(sum, corrected)
            }

            #[inline(always)]
            fn to_wide<S: Simd>(_simd: S, x: S::F32) -> S::F32 {
                x
            }

            #[inline(always)]
            fn from_wide<S: Simd>(simd: S, x: S::F32) -> S::F32 {
                simd.$round(x)
            }
        }
    };
}

computed_in_f32!(f16, F16, "f16", f16_value, load_f16, store_f16, round_f16);
computed_in_f32!(bf16, BF16, "bf16", bf16_value, load_bf16, store_bf16, round_bf16);

impl Real for f32 {
    const FORMAT: Format = Format::F32;
    const NAME: &'static str = "f32";
    type Wide = f64;
    type Vector<S: Simd> = S::F32;
    type WideAccumulator<S: Simd> = WideFused<f32, S>;

    fn round_from(x: f64) -> f32 {
        x as f32
    }

    fn value(self) -> f64 {
        f64::from(self)
    }

    fn mul_add(self, b: f32, c: f32) -> f32 {
        f32::mul_add(self, b, c)
    }

    #[inline(always)]
    fn splat<S: Simd>(simd: S, x: f32) -> S::F32 {
        simd.splat_f32(x)
    }

    #[inline(always)]
    fn load<S: Simd>(simd: S, x: &[f32; LANES]) -> S::F32 {
        simd.load_f32(x)
    }

    #[inline(always)]
    fn store<S: Simd>(simd: S, x: S::F32, out: &mut [f32; LANES]) {
        simd.store_f32(x, out);
    }

    #[inline(always)]
    fn add<S: Simd>(simd: S, a: S::F32, b: S::F32) -> S::F32 {
        simd.add_f32(a, b)
    }

    #[inline(always)]
    fn sub<S: Simd>(simd: S, a: S::F32, b: S::F32) -> S::F32 {
        simd.sub_f32(a, b)
    }

    #[inline(always)]
    fn mul<S: Simd>(simd: S, a: S::F32, b: S::F32) -> S::F32 {
        simd.mul_f32(a, b)
    }

    #[inline(always)]
    fn fused<S: Simd>(simd: S, a: S::F32, b: S::F32, c: S::F32) -> S::F32 {
        simd.mul_add_f32(a, b, c)
    }

    #[inline(always)]
    fn where_finite<S: Simd>(simd: S, sum: S::F32, corrected: S::F32) -> S::F32 {
        simd.where_finite_f32(sum, corrected)
    }

    #[inline(always)]
    fn to_wide<S: Simd>(simd: S, x: S::F32) -> S::F64 {
        simd.widen(x)
    }

    #[inline(always)]
    fn from_wide<S: Simd>(simd: S, x: S::F64) -> S::F32 {
        simd.narrow(x)
    }
}

impl Real for f64 {
    const FORMAT: Format = Format::F64;
    const NAME: &'static str = "f64";
    type Wide = f64;
    type Vector<S: Simd> = S::F64;
    type WideAccumulator<S: Simd> = WideDoubleDouble<S>;

    fn round_from(x: f64) -> f64 {
        x
    }

    fn value(self) -> f64 {
        self
    }

    fn mul_add(self, b: f64, c: f64) -> f64 {
        f64::mul_add(self, b, c)
    }

    #[inline(always)]
    fn splat<S: Simd>(simd: S, x: f64) -> S::F64 {
        simd.splat_f64(x)
    }

    #[inline(always)]
    fn load<S: Simd>(simd: S, x: &[f64; LANES]) -> S::F64 {
        simd.load_f64(x)
    }

    #[inline(always)]
    fn store<S: Simd>(simd: S, x: S::F64, out: &mut [f64; LANES]) {
        simd.store_f64(x, out);
    }

    #[inline(always)]
    fn add<S: Simd>(simd: S, a: S::F64, b: S::F64) -> S::F64 {
        simd.add_f64(a, b)
    }

    #[inline(always)]
    fn sub<S: Simd>(simd: S, a: S::F64, b: S::F64) -> S::F64 {
        simd.sub_f64(a, b)
    }

    #[inline(always)]
    fn mul<S: Simd>(simd: S, a: S::F64, b: S::F64) -> S::F64 {
        simd.mul_f64(a, b)
    }

    #[inline(always)]
    fn fused<S: Simd>(simd: S, a: S::F64, b: S::F64, c: S::F64) -> S::F64 {
        simd.mul_add_f64(a, b, c)
    }

    #[inline(always)]
    fn where_finite<S: Simd>(simd: S, sum: S::F64, corrected: S::F64) -> S::F64 {
        simd.where_finite_f64(sum, corrected)
    }

    #[inline(always)]
    fn to_wide<S: Simd>(_simd: S, x: S::F64) -> S::F64 {
        x
    }

    #[inline(always)]
    fn from_wide<S: Simd>(_simd: S, x: S::F64) -> S::F64 {
        x
    }
}

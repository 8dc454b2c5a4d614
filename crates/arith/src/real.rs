//! The four formats that are stored and computed in: f16, bf16, f32, f64.
//!
//! On scalars and on vectors each operation gives the exact result rounded once to nearest. The 16-bit formats are computed in f32: for
//! `+ - ·` one f32 operation and one rounding give the correctly rounded result because 24 >= 2p + 2 (Figueroa 1995); the fused
//! operation goes through [`Simd::mul_add_odd`].

use crate::accumulate::{Accumulator, Bf16Dot, Recursive, WideDoubleDouble, WideFused};
use crate::computed::Computed;
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
    /// The machine's format that [`Vector`](Real::Vector) has the lanes of: f32 or f64.
    type Computed: Computed;
    /// The accumulator of [`Summation::Wide`](crate::Summation::Wide).
    type WideAccumulator<S: Simd>: Accumulator<Self, S>;
    /// The accumulator of [`Summation::Bf16Dot`](crate::Summation::Bf16Dot); of another format than bf16, where that is not defined, a stand-in
    /// that no kernel runs.
    type Bf16DotAccumulator<S: Simd>: Accumulator<Self, S>;

    /// `x` rounded once, to nearest.
    fn round_from(x: f64) -> Self;
    /// The value; exact.
    fn value(self) -> f64;
    /// The value in the format that is computed in; exact.
    fn computed(self) -> Self::Computed;
    /// The value in the wide format; exact.
    fn wide(self) -> Self::Wide;
    /// `self · b + c`, rounded once.
    fn mul_add(self, b: Self, c: Self) -> Self;

    /// All lanes `x`.
    fn splat<S: Simd>(simd: S, x: Self) -> Self::Vector<S>;
    /// Lane i is `x[i]`.
    fn load<S: Simd>(simd: S, x: &[Self; LANES]) -> Self::Vector<S>;
    /// Whether [`load_two`](Real::load_two) takes the numbers with even index for its first vector and the others for its second, and not one
    /// half after the other: what costs less.
    const EVEN_ODD: bool;
    /// Two vectors of neighbours.
    fn load_two<S: Simd>(simd: S, x: &[Self; 2 * LANES]) -> [Self::Vector<S>; 2];
    /// [`store`](Real::store) of two vectors, in the order of [`load_two`](Real::load_two).
    fn store_two<S: Simd>(simd: S, x: [Self::Vector<S>; 2], out: &mut [Self; 2 * LANES]);
    /// `out[i]` is lane i, which is a number of the format.
    fn store<S: Simd>(simd: S, x: Self::Vector<S>, out: &mut [Self; LANES]);
    /// [`load`](Real::load) of numbers that are held in the format that is computed in.
    fn load_computed<S: Simd>(simd: S, x: &[Self::Computed; LANES]) -> Self::Vector<S>;
    /// [`splat`](Real::splat) of a number that is held in the format that is computed in.
    fn splat_computed<S: Simd>(simd: S, x: Self::Computed) -> Self::Vector<S>;
    /// [`store`](Real::store), in the format that is computed in.
    fn store_computed<S: Simd>(simd: S, x: Self::Vector<S>, out: &mut [Self::Computed; LANES]);
    /// Turns a square: lane j of `rows[i]` becomes lane i of `rows[j]`.
    fn transpose<S: Simd>(simd: S, rows: &mut [Self::Vector<S>; LANES]);
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
    /// To the format that is computed in; exact.
    fn to_computed<S: Simd>(simd: S, x: Self::Vector<S>) -> <Self::Computed as Real>::Vector<S>;
    /// From the format that is computed in, rounded.
    fn from_computed<S: Simd>(simd: S, x: <Self::Computed as Real>::Vector<S>) -> Self::Vector<S>;
    /// To f64; exact.
    fn to_f64<S: Simd>(simd: S, x: Self::Vector<S>) -> S::F64;
    /// `out[i]` is lane i, rounded once.
    fn store_f64<S: Simd>(simd: S, x: S::F64, out: &mut [Self; LANES]);
    /// To the wide format; exact.
    fn to_wide<S: Simd>(simd: S, x: Self::Vector<S>) -> <Self::Wide as Real>::Vector<S>;
    /// From the wide format, rounded.
    fn from_wide<S: Simd>(simd: S, x: <Self::Wide as Real>::Vector<S>) -> Self::Vector<S>;
}

/// The two 16-bit formats differ in how they are loaded, rounded and stored; what is computed between is the same f32 arithmetic.
macro_rules! computed_in_f32 {
    ($type:ident, $format:ident, $name:literal, ($dot:ty), $value:ident, $load:ident, $store:ident, $round:ident,
     $even_odd:literal, $load_two:path, $store_two:path) => {
        impl Real for $type {
            const FORMAT: Format = Format::$format;
            const NAME: &'static str = $name;
            type Wide = f32;
            type Vector<S: Simd> = S::F32;
            type Computed = f32;
            type WideAccumulator<S: Simd> = WideFused<$type, S>;
            type Bf16DotAccumulator<S: Simd> = $dot;

            fn round_from(x: f64) -> $type {
                // One rounding to odd, one to nearest: the same as one to nearest (Boldo and Melquiond 2008, theorem 1).
                <$type>::from_f32(portable::narrow_odd(x))
            }

            fn value(self) -> f64 {
                f64::from(portable::$value(self))
            }

            #[inline(always)]
            fn computed(self) -> f32 {
                portable::$value(self)
            }

            #[inline(always)]
            fn wide(self) -> f32 {
                portable::$value(self)
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

            const EVEN_ODD: bool = $even_odd;

            #[inline(always)]
            fn load_two<S: Simd>(simd: S, x: &[$type; 2 * LANES]) -> [S::F32; 2] {
                $load_two(simd, x)
            }

            #[inline(always)]
            fn store_two<S: Simd>(simd: S, x: [S::F32; 2], out: &mut [$type; 2 * LANES]) {
                $store_two(simd, x, out);
            }

            #[inline(always)]
            fn store<S: Simd>(simd: S, x: S::F32, out: &mut [$type; LANES]) {
                simd.$store(x, out);
            }

            #[inline(always)]
            fn load_computed<S: Simd>(simd: S, x: &[f32; LANES]) -> S::F32 {
                simd.load_f32(x)
            }

            #[inline(always)]
            fn splat_computed<S: Simd>(simd: S, x: f32) -> S::F32 {
                simd.splat_f32(x)
            }

            #[inline(always)]
            fn store_computed<S: Simd>(simd: S, x: S::F32, out: &mut [f32; LANES]) {
                simd.store_f32(x, out);
            }

            #[inline(always)]
            fn transpose<S: Simd>(simd: S, rows: &mut [S::F32; LANES]) {
                simd.transpose_f32(rows);
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
            fn to_computed<S: Simd>(_simd: S, x: S::F32) -> S::F32 {
                x
            }

            #[inline(always)]
            fn from_computed<S: Simd>(simd: S, x: S::F32) -> S::F32 {
                simd.$round(x)
            }

            #[inline(always)]
            fn to_f64<S: Simd>(simd: S, x: S::F32) -> S::F64 {
                simd.widen(x)
            }

            #[inline(always)]
            fn store_f64<S: Simd>(simd: S, x: S::F64, out: &mut [$type; LANES]) {
                // To odd and then to nearest is the same as once to nearest (Boldo and Melquiond 2008, theorem 1).
                simd.$store(simd.narrow_odd(x), out);
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

computed_in_f32!(
    f16,
    F16,
    "f16",
    (Recursive<f16, S>),
    f16_value,
    load_f16,
    store_f16,
    round_f16,
    false,
    load_two_f16,
    store_two_f16
);
computed_in_f32!(
    bf16,
    BF16,
    "bf16",
    (Bf16Dot<S>),
    bf16_value,
    load_bf16,
    store_bf16,
    round_bf16,
    true,
    Simd::load_even_odd_bf16,
    Simd::store_even_odd_bf16
);

#[inline(always)]
fn load_two_f16<S: Simd>(simd: S, x: &[f16; 2 * LANES]) -> [S::F32; 2] {
    let [low, high] = halves(x);
    [simd.load_f16(low), simd.load_f16(high)]
}

#[inline(always)]
fn store_two_f16<S: Simd>(simd: S, x: [S::F32; 2], out: &mut [f16; 2 * LANES]) {
    let (low, high) = out.split_at_mut(LANES);
    simd.store_f16(x[0], lane_array(low));
    simd.store_f16(x[1], lane_array(high));
}

#[inline(always)]
fn halves<T>(x: &[T; 2 * LANES]) -> [&[T; LANES]; 2] {
    let (low, high) = x.split_at(LANES);
    let is_half = "half of two vectors";
    [low.try_into().expect(is_half), high.try_into().expect(is_half)]
}

#[inline(always)]
fn lane_array<T>(x: &mut [T]) -> &mut [T; LANES] {
    x.try_into().expect("half of two vectors")
}

impl Real for f32 {
    const FORMAT: Format = Format::F32;
    const NAME: &'static str = "f32";
    type Wide = f64;
    type Vector<S: Simd> = S::F32;
    type Computed = f32;
    type WideAccumulator<S: Simd> = WideFused<f32, S>;
    type Bf16DotAccumulator<S: Simd> = Recursive<f32, S>;

    fn round_from(x: f64) -> f32 {
        x as f32
    }

    fn value(self) -> f64 {
        f64::from(self)
    }

    #[inline(always)]
    fn computed(self) -> f32 {
        self
    }

    #[inline(always)]
    fn wide(self) -> f64 {
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

    const EVEN_ODD: bool = false;

    #[inline(always)]
    fn load_two<S: Simd>(simd: S, x: &[f32; 2 * LANES]) -> [S::F32; 2] {
        let [low, high] = halves(x);
        [simd.load_f32(low), simd.load_f32(high)]
    }

    #[inline(always)]
    fn store_two<S: Simd>(simd: S, x: [S::F32; 2], out: &mut [f32; 2 * LANES]) {
        let (low, high) = out.split_at_mut(LANES);
        simd.store_f32(x[0], lane_array(low));
        simd.store_f32(x[1], lane_array(high));
    }

    #[inline(always)]
    fn store<S: Simd>(simd: S, x: S::F32, out: &mut [f32; LANES]) {
        simd.store_f32(x, out);
    }

    #[inline(always)]
    fn load_computed<S: Simd>(simd: S, x: &[f32; LANES]) -> S::F32 {
        simd.load_f32(x)
    }

    #[inline(always)]
    fn splat_computed<S: Simd>(simd: S, x: f32) -> S::F32 {
        simd.splat_f32(x)
    }

    #[inline(always)]
    fn store_computed<S: Simd>(simd: S, x: S::F32, out: &mut [f32; LANES]) {
        simd.store_f32(x, out);
    }

    #[inline(always)]
    fn transpose<S: Simd>(simd: S, rows: &mut [S::F32; LANES]) {
        simd.transpose_f32(rows);
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
    fn to_computed<S: Simd>(_simd: S, x: S::F32) -> S::F32 {
        x
    }

    #[inline(always)]
    fn from_computed<S: Simd>(_simd: S, x: S::F32) -> S::F32 {
        x
    }

    #[inline(always)]
    fn to_f64<S: Simd>(simd: S, x: S::F32) -> S::F64 {
        simd.widen(x)
    }

    #[inline(always)]
    fn store_f64<S: Simd>(simd: S, x: S::F64, out: &mut [f32; LANES]) {
        simd.store_f32(simd.narrow(x), out);
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
    type Computed = f64;
    type WideAccumulator<S: Simd> = WideDoubleDouble<f64, S>;
    type Bf16DotAccumulator<S: Simd> = Recursive<f64, S>;

    fn round_from(x: f64) -> f64 {
        x
    }

    fn value(self) -> f64 {
        self
    }

    #[inline(always)]
    fn computed(self) -> f64 {
        self
    }

    #[inline(always)]
    fn wide(self) -> f64 {
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

    const EVEN_ODD: bool = false;

    #[inline(always)]
    fn load_two<S: Simd>(simd: S, x: &[f64; 2 * LANES]) -> [S::F64; 2] {
        let [low, high] = halves(x);
        [simd.load_f64(low), simd.load_f64(high)]
    }

    #[inline(always)]
    fn store_two<S: Simd>(simd: S, x: [S::F64; 2], out: &mut [f64; 2 * LANES]) {
        let (low, high) = out.split_at_mut(LANES);
        simd.store_f64(x[0], lane_array(low));
        simd.store_f64(x[1], lane_array(high));
    }

    #[inline(always)]
    fn store<S: Simd>(simd: S, x: S::F64, out: &mut [f64; LANES]) {
        simd.store_f64(x, out);
    }

    #[inline(always)]
    fn load_computed<S: Simd>(simd: S, x: &[f64; LANES]) -> S::F64 {
        simd.load_f64(x)
    }

    #[inline(always)]
    fn splat_computed<S: Simd>(simd: S, x: f64) -> S::F64 {
        simd.splat_f64(x)
    }

    #[inline(always)]
    fn store_computed<S: Simd>(simd: S, x: S::F64, out: &mut [f64; LANES]) {
        simd.store_f64(x, out);
    }

    #[inline(always)]
    fn transpose<S: Simd>(simd: S, rows: &mut [S::F64; LANES]) {
        simd.transpose_f64(rows);
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
    fn to_computed<S: Simd>(_simd: S, x: S::F64) -> S::F64 {
        x
    }

    #[inline(always)]
    fn from_computed<S: Simd>(_simd: S, x: S::F64) -> S::F64 {
        x
    }

    #[inline(always)]
    fn to_f64<S: Simd>(_simd: S, x: S::F64) -> S::F64 {
        x
    }

    #[inline(always)]
    fn store_f64<S: Simd>(simd: S, x: S::F64, out: &mut [f64; LANES]) {
        simd.store_f64(x, out);
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

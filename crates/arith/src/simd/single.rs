//! What functions need of f32 lanes beyond sums and products: [`Singles`], and its plain instance.

use super::LANES;
use super::portable::{self, Portable};
use half::{bf16, f16};
use std::array::from_fn;

/// Operations on vectors of [`LANES`] numbers of f32 that functions are made of: the part of [`Simd`](super::Simd) that has a file of its own.
pub trait Singles: Copy {
    /// [`LANES`] numbers of f32.
    type F32: Copy;
    /// A yes or no for each lane of [`F32`](Singles::F32).
    type F32Mask: Copy;

    /// `a / b`.
    fn div_f32(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a` where `a > b`, else `b`: also where one is NaN or both are zeros.
    fn max_f32(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a` where `a < b`, else `b`: also where one is NaN or both are zeros.
    fn min_f32(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `x` without its sign bit.
    fn abs_f32(self, x: Self::F32) -> Self::F32;
    /// `magnitude` with the sign bit of `sign`.
    fn copysign_f32(self, magnitude: Self::F32, sign: Self::F32) -> Self::F32;
    /// `a < b`; no where one is NaN.
    fn less_f32(self, a: Self::F32, b: Self::F32) -> Self::F32Mask;
    /// `yes` where the mask says so, else `no`.
    fn select_f32(self, mask: Self::F32Mask, yes: Self::F32, no: Self::F32) -> Self::F32;
    /// Whether the mask says yes anywhere.
    fn any_f32(self, mask: Self::F32Mask) -> bool;
    /// The bits of `x` shifted left by 23: of `k + 1.5 · 2^23 + 127` they are 2^k, for whole k from -126 to 127. The sum that finds k, the
    /// whole number nearest to something, can have the constant already.
    fn last_bits_to_exponent_f32(self, x: Self::F32) -> Self::F32;
    /// The bits of `x` plus those of `k` shifted left by 19, as integers: of `k + 1.5 · 2^23` with a whole k from -2^22 to 2^22 they add k
    /// sixteenths to the exponent. A table for [`lookup_f32`](Singles::lookup_f32) at the same index can leave off the sixteenths that stand in
    /// the last four bits of k, so that whole ones are left.
    fn add_sixteenths_to_exponent_f32(self, x: Self::F32, k: Self::F32) -> Self::F32;
    /// The bits of `x` shifted right by 21, no number: the exponent field and the first two bits of the significand, as
    /// [`binade_quarter_f64`](super::Simd::binade_quarter_f64) has them: an index for [`lookup_f32`](Singles::lookup_f32).
    fn binade_quarter_f32(self, x: Self::F32) -> Self::F32;
    /// The number of `table` at the last four bits of each lane of `index`.
    fn lookup_f32(self, table: &[f32; LANES], index: Self::F32) -> Self::F32;
    /// f32 to f16, rounded to nearest, if `x · (1 - 2^-21)` and `x · (1 + 2^-21)`, each rounded to f32, give the same f16 in every lane, and
    /// whether they do. If not, `out` is what the first one gives.
    fn store_sure_f16(self, x: Self::F32, out: &mut [f16; LANES]) -> bool;
    /// f32 to bf16, rounded to nearest, if in every lane all numbers whose bits are at most 8 less or 7 more give the same, and whether they do.
    /// `out` is the upper half of the bits plus `0x8008`, which for NaN is NaN if its lower half is zeros, as that of all is that
    /// come from numbers of bf16.
    fn store_sure_bf16(self, x: Self::F32, out: &mut [bf16; LANES]) -> bool;
}

/// The factors whose products must round to the same f16.
pub(crate) const SPREAD: [f32; 2] = [1.0 - 1.0 / 2_097_152.0, 1.0 + 1.0 / 2_097_152.0];

/// Added to the bits of an f32 that is not next to a midpoint, it rounds them to their upper half; if it is at most 8 below or 7 above a midpoint of
/// two bf16 numbers, it leaves zeros at [`BF16_ZEROS`].
pub(crate) const BF16_SHIFT: u32 = 0x8008;
/// See [`BF16_SHIFT`].
pub(crate) const BF16_ZEROS: u32 = 0xfff0;

impl Singles for Portable {
    type F32 = [f32; LANES];
    type F32Mask = [bool; LANES];

    #[inline(always)]
    fn div_f32(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        from_fn(|i| a[i] / b[i])
    }

    #[inline(always)]
    fn max_f32(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        from_fn(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    fn min_f32(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        from_fn(|i| if a[i] < b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    fn abs_f32(self, x: [f32; LANES]) -> [f32; LANES] {
        x.map(f32::abs)
    }

    #[inline(always)]
    fn copysign_f32(self, magnitude: [f32; LANES], sign: [f32; LANES]) -> [f32; LANES] {
        from_fn(|i| magnitude[i].copysign(sign[i]))
    }

    #[inline(always)]
    fn less_f32(self, a: [f32; LANES], b: [f32; LANES]) -> [bool; LANES] {
        from_fn(|i| a[i] < b[i])
    }

    #[inline(always)]
    fn select_f32(self, mask: [bool; LANES], yes: [f32; LANES], no: [f32; LANES]) -> [f32; LANES] {
        from_fn(|i| if mask[i] { yes[i] } else { no[i] })
    }

    #[inline(always)]
    fn any_f32(self, mask: [bool; LANES]) -> bool {
        mask.contains(&true)
    }

    #[inline(always)]
    fn last_bits_to_exponent_f32(self, x: [f32; LANES]) -> [f32; LANES] {
        x.map(|x| f32::from_bits(x.to_bits() << 23))
    }

    #[inline(always)]
    fn add_sixteenths_to_exponent_f32(self, x: [f32; LANES], k: [f32; LANES]) -> [f32; LANES] {
        from_fn(|i| f32::from_bits(x[i].to_bits().wrapping_add(k[i].to_bits() << 19)))
    }

    #[inline(always)]
    fn binade_quarter_f32(self, x: [f32; LANES]) -> [f32; LANES] {
        x.map(|x| f32::from_bits(x.to_bits() >> 21))
    }

    #[inline(always)]
    fn lookup_f32(self, table: &[f32; LANES], index: [f32; LANES]) -> [f32; LANES] {
        index.map(|index| table[(index.to_bits() & 15) as usize])
    }

    #[inline(always)]
    fn store_sure_f16(self, x: [f32; LANES], out: &mut [f16; LANES]) -> bool {
        let rounded = |factor: f32| x.map(|x| portable::f16_of(portable::round_f16(x * factor)));
        let [low, high] = SPREAD.map(rounded);
        *out = low;
        low.map(f16::to_bits) == high.map(f16::to_bits)
    }

    #[inline(always)]
    fn store_sure_bf16(self, x: [f32; LANES], out: &mut [bf16; LANES]) -> bool {
        let moved = x.map(|x| x.to_bits().wrapping_add(BF16_SHIFT));
        *out = moved.map(|bits| bf16::from_bits((bits >> 16) as u16));
        !moved.iter().any(|bits| bits & BF16_ZEROS == 0)
    }
}

//! The instance in plain Rust: arrays and loops, the definition that the others are tested against.
//!
//! Operations that are many instructions a lane are functions of their own: sixteen copies of them in each place that uses one were more than a quarter
//! of the machine code of the kernels.

use super::{LANES, Simd, WithSimd, dot_bf16_in_steps};
use half::{bf16, f16};
use std::array::from_fn;
use std::cmp::Ordering;

/// The token of the plain instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Portable;

/// 1.5 · 2^52 + 1023: added to a whole k of -1022 to 1023, it leaves the exponent field of 2^k in the last bits.
pub(crate) const POWER_SHIFT: f64 = 6_755_399_441_056_767.0;

impl Simd for Portable {
    const NAME: &'static str = "portable";
    const REGISTERS: usize = 4;
    type F64 = [f64; LANES];
    type Mask = [bool; LANES];

    fn vectorize<W: WithSimd>(self, work: W) -> W::Output {
        work.run(self)
    }

    #[inline(never)]
    fn call<R>(self, work: impl FnOnce() -> R) -> R {
        work()
    }

    #[inline(always)]
    fn splat_f32(self, x: f32) -> [f32; LANES] {
        [x; LANES]
    }

    #[inline(always)]
    fn load_f32(self, x: &[f32; LANES]) -> [f32; LANES] {
        *x
    }

    #[inline(always)]
    fn store_f32(self, x: [f32; LANES], out: &mut [f32; LANES]) {
        *out = x;
    }

    #[inline(always)]
    fn add_f32(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        from_fn(|i| a[i] + b[i])
    }

    #[inline(always)]
    fn sub_f32(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        from_fn(|i| a[i] - b[i])
    }

    #[inline(always)]
    fn mul_f32(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        from_fn(|i| a[i] * b[i])
    }

    #[inline(never)]
    fn mul_add_f32(self, a: [f32; LANES], b: [f32; LANES], c: [f32; LANES]) -> [f32; LANES] {
        from_fn(|i| a[i].mul_add(b[i], c[i]))
    }

    #[inline(never)]
    fn mul_add_odd(self, a: [f32; LANES], b: [f32; LANES], c: [f32; LANES]) -> [f32; LANES] {
        from_fn(|i| mul_add_odd(a[i], b[i], c[i]))
    }

    #[inline(never)]
    fn where_finite_f32(self, sum: [f32; LANES], corrected: [f32; LANES]) -> [f32; LANES] {
        from_fn(|i| if sum[i].is_finite() { corrected[i] } else { sum[i] })
    }

    #[inline(always)]
    fn splat_f64(self, x: f64) -> [f64; LANES] {
        [x; LANES]
    }

    #[inline(always)]
    fn load_f64(self, x: &[f64; LANES]) -> [f64; LANES] {
        *x
    }

    #[inline(always)]
    fn store_f64(self, x: [f64; LANES], out: &mut [f64; LANES]) {
        *out = x;
    }

    #[inline(always)]
    fn add_f64(self, a: [f64; LANES], b: [f64; LANES]) -> [f64; LANES] {
        from_fn(|i| a[i] + b[i])
    }

    #[inline(always)]
    fn sub_f64(self, a: [f64; LANES], b: [f64; LANES]) -> [f64; LANES] {
        from_fn(|i| a[i] - b[i])
    }

    #[inline(always)]
    fn mul_f64(self, a: [f64; LANES], b: [f64; LANES]) -> [f64; LANES] {
        from_fn(|i| a[i] * b[i])
    }

    #[inline(never)]
    fn mul_add_f64(self, a: [f64; LANES], b: [f64; LANES], c: [f64; LANES]) -> [f64; LANES] {
        from_fn(|i| a[i].mul_add(b[i], c[i]))
    }

    #[inline(never)]
    fn where_finite_f64(self, sum: [f64; LANES], corrected: [f64; LANES]) -> [f64; LANES] {
        from_fn(|i| if sum[i].is_finite() { corrected[i] } else { sum[i] })
    }

    #[inline(never)]
    fn div_f64(self, a: [f64; LANES], b: [f64; LANES]) -> [f64; LANES] {
        from_fn(|i| a[i] / b[i])
    }

    #[inline(always)]
    fn max_f64(self, a: [f64; LANES], b: [f64; LANES]) -> [f64; LANES] {
        from_fn(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    fn min_f64(self, a: [f64; LANES], b: [f64; LANES]) -> [f64; LANES] {
        from_fn(|i| if a[i] < b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    fn abs_f64(self, x: [f64; LANES]) -> [f64; LANES] {
        x.map(f64::abs)
    }

    #[inline(always)]
    fn neg_f64(self, x: [f64; LANES]) -> [f64; LANES] {
        x.map(|x| -x)
    }

    #[inline(always)]
    fn copysign_f64(self, magnitude: [f64; LANES], sign: [f64; LANES]) -> [f64; LANES] {
        from_fn(|i| magnitude[i].copysign(sign[i]))
    }

    #[inline(always)]
    fn less_f64(self, a: [f64; LANES], b: [f64; LANES]) -> [bool; LANES] {
        from_fn(|i| a[i] < b[i])
    }

    #[inline(always)]
    fn is_nan_f64(self, x: [f64; LANES]) -> [bool; LANES] {
        x.map(f64::is_nan)
    }

    #[inline(always)]
    fn select_f64(self, mask: [bool; LANES], yes: [f64; LANES], no: [f64; LANES]) -> [f64; LANES] {
        from_fn(|i| if mask[i] { yes[i] } else { no[i] })
    }

    #[inline(always)]
    fn any(self, mask: [bool; LANES]) -> bool {
        mask.contains(&true)
    }

    #[inline(never)]
    fn power_of_two_f64(self, k: [f64; LANES]) -> [f64; LANES] {
        k.map(|k| f64::from_bits((k + POWER_SHIFT).to_bits() << 52))
    }

    #[inline(always)]
    fn binade_quarter_f64(self, x: [f64; LANES]) -> [f64; LANES] {
        x.map(|x| f64::from_bits(x.to_bits() >> 50))
    }

    #[inline(never)]
    fn lookup_f64(self, table: &[f64; LANES], index: [f64; LANES]) -> [f64; LANES] {
        index.map(|index| table[(index.to_bits() & 15) as usize])
    }

    #[inline(never)]
    fn narrow_odd(self, x: [f64; LANES]) -> [f32; LANES] {
        x.map(narrow_odd)
    }

    #[inline(never)]
    fn any_differs_f32(self, a: [f32; LANES], b: [f32; LANES]) -> bool {
        (0..LANES).any(|i| a[i].partial_cmp(&b[i]).is_some_and(Ordering::is_ne))
    }

    #[inline(always)]
    fn widen(self, x: [f32; LANES]) -> [f64; LANES] {
        x.map(f64::from)
    }

    #[inline(always)]
    fn narrow(self, x: [f64; LANES]) -> [f32; LANES] {
        x.map(|x| x as f32)
    }

    #[inline(never)]
    fn round_f16(self, x: [f32; LANES]) -> [f32; LANES] {
        x.map(round_f16)
    }

    #[inline(never)]
    fn round_bf16(self, x: [f32; LANES]) -> [f32; LANES] {
        x.map(round_bf16)
    }

    #[inline(never)]
    fn load_f16(self, x: &[f16; LANES]) -> [f32; LANES] {
        x.map(f16_value)
    }

    #[inline(never)]
    fn store_f16(self, x: [f32; LANES], out: &mut [f16; LANES]) {
        *out = x.map(|x| f16_of(round_f16(x)));
    }

    #[inline(never)]
    fn load_bf16(self, x: &[bf16; LANES]) -> [f32; LANES] {
        x.map(bf16_value)
    }

    #[inline(never)]
    fn store_bf16(self, x: [f32; LANES], out: &mut [bf16; LANES]) {
        *out = x.map(|x| bf16::from_bits((round_bf16(x).to_bits() >> 16) as u16));
    }

    #[inline(never)]
    fn load_even_odd_bf16(self, x: &[bf16; 2 * LANES]) -> [[f32; LANES]; 2] {
        [from_fn(|i| bf16_value(x[2 * i])), from_fn(|i| bf16_value(x[2 * i + 1]))]
    }

    #[inline(never)]
    fn store_even_odd_bf16(self, x: [[f32; LANES]; 2], out: &mut [bf16; 2 * LANES]) {
        *out = from_fn(|i| bf16::from_bits((round_bf16(x[i % 2][i / 2]).to_bits() >> 16) as u16));
    }

    #[inline(never)]
    fn transpose_f32(self, rows: &mut [[f32; LANES]; LANES]) {
        *rows = from_fn(|i| from_fn(|j| rows[j][i]));
    }

    #[inline(never)]
    fn transpose_f64(self, rows: &mut [[f64; LANES]; LANES]) {
        *rows = from_fn(|i| from_fn(|j| rows[j][i]));
    }

    #[inline(never)]
    fn sum_lanes_f32(self, vectors: &[[f32; LANES]; LANES]) -> [f32; LANES] {
        from_fn(|i| halved(vectors[i]))
    }

    #[inline(never)]
    fn sum_lanes_f64(self, vectors: &[[f64; LANES]; LANES]) -> [f64; LANES] {
        from_fn(|i| halved(vectors[i]))
    }

    #[inline(never)]
    fn pair_bf16(self, first: &[bf16; LANES], second: &[bf16; LANES]) -> [f32; LANES] {
        from_fn(|i| bf16_pair(first[i], second[i]))
    }

    #[inline(never)]
    fn pair_two_bf16(self, first: &[bf16; 2 * LANES], second: &[bf16; 2 * LANES]) -> [[f32; LANES]; 2] {
        [0, LANES].map(|start| from_fn(|i| bf16_pair(first[start + i], second[start + i])))
    }

    #[inline(never)]
    fn store_two_bf16(self, x: [[f32; LANES]; 2], out: &mut [bf16; 2 * LANES]) {
        *out = from_fn(|i| bf16::from_bits((round_bf16(x[i / LANES][i % LANES]).to_bits() >> 16) as u16));
    }

    #[inline(never)]
    fn load_bf16_pairs(self, x: &[bf16; 2 * LANES]) -> [f32; LANES] {
        from_fn(|i| bf16_pair(x[2 * i], x[2 * i + 1]))
    }

    #[inline(never)]
    fn dot_bf16(self, a: [f32; LANES], b: [f32; LANES], sum: [f32; LANES]) -> [f32; LANES] {
        let parts = |x: [f32; LANES]| {
            [x.map(|x| f32::from_bits(x.to_bits() << 16)), x.map(|x| f32::from_bits(x.to_bits() >> 16 << 16))]
        };
        dot_bf16_in_steps(self, parts(a), parts(b), sum, |x, y, limit| {
            from_fn(|i| zero_below(x[i], y[i], limit))
        })
    }
}

/// The sum of all numbers: the upper half added to the lower one until one number is left.
fn halved<T: Copy + std::ops::Add<Output = T>>(mut x: [T; LANES]) -> T {
    let mut left = LANES;
    while left > 1 {
        left /= 2;
        for j in 0..left {
            x[j] = x[j] + x[j + left];
        }
    }
    x[0]
}

/// The bits of two bf16 numbers in one f32, `first` below.
#[inline(always)]
pub(crate) fn bf16_pair(first: bf16, second: bf16) -> f32 {
    f32::from_bits(u32::from(first.to_bits()) | u32::from(second.to_bits()) << 16)
}

/// `x`, or a zero of its sign where `|y| < limit`.
#[inline(always)]
fn zero_below(x: f32, y: f32, limit: f32) -> f32 {
    if y.abs() < limit { f32::copysign(0.0, x) } else { x }
}

/// The rounding error of `sum = fl(a + b)` (TwoSum; Knuth 1969, theorem 4.2.2 B): `a + b = sum + error` exactly, absent overflow.
#[inline(always)]
fn sum_error(a: f64, b: f64, sum: f64) -> f64 {
    let from_b = sum - a;
    (a - (sum - from_b)) + (b - from_b)
}

/// `a · b + c` rounded to odd into f32. The product is exact in f64 (48 bits, exponents far inside), so that the sum is the only rounding
/// there; it is made odd, and odd again on the way to f32.
#[inline(always)]
pub(crate) fn mul_add_odd(a: f32, b: f32, c: f32) -> f32 {
    let product = f64::from(a) * f64::from(b);
    let sum = product + f64::from(c);
    narrow_odd(odd(sum, sum_error(product, f64::from(c), sum)))
}

/// `sum + error` rounded to odd, for a `sum` rounded to nearest with the rest `error`.
///
/// An inexact sum with an even last bit moves one step toward the exact value, onto the odd neighbour; an odd one is the result already.
#[inline(always)]
fn odd(sum: f64, error: f64) -> f64 {
    let bits = sum.to_bits();
    let inexact = error != 0.0 && !error.is_nan();
    let outward = (bits ^ error.to_bits()) >> 63 == 0;
    let step = if outward { 1 } else { u64::MAX };
    let moves = inexact && bits & 1 == 0;
    f64::from_bits(if moves { bits.wrapping_add(step) } else { bits })
}

/// `x` rounded to odd into f32. Beyond the largest f32 this is the largest f32, whose last bit is set.
#[inline(always)]
pub(crate) fn narrow_odd(x: f64) -> f32 {
    let near = x as f32;
    let bits = near.to_bits();
    let error = x - f64::from(near);
    let inexact = error != 0.0 && !error.is_nan();
    let outward = (x.to_bits() ^ error.to_bits()) >> 63 == 0;
    let step = if outward { 1 } else { u32::MAX };
    let moves = inexact && bits & 1 == 0;
    f32::from_bits(if moves { bits.wrapping_add(step) } else { bits })
}

/// The nearest f16 number. Normal results are rounded on the bits, at bit 13; for the others, adding and subtracting one half, whose ulp
/// is 2^-24, rounds to the quantum of the subnormals.
#[inline(always)]
pub(crate) fn round_f16(x: f32) -> f32 {
    let sign = x.to_bits() & 0x8000_0000;
    let magnitude = x.to_bits() & 0x7fff_ffff;
    let rounded = (magnitude + 0xfff + ((magnitude >> 13) & 1)) & !0x1fff;
    let normal = if rounded > 0x477f_e000 { 0x7f80_0000 } else { rounded };
    let subnormal = ((f32::from_bits(magnitude) + 0.5) - 0.5).to_bits();
    let finite = if magnitude < 0x3880_0000 { subnormal } else { normal };
    f32::from_bits(if magnitude > 0x7f80_0000 { 0x7fc0_0000 } else { finite } | sign)
}

/// The nearest bf16 number, on the bits.
#[inline(always)]
pub(crate) fn round_bf16(x: f32) -> f32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) & 0xffff_0000;
    f32::from_bits(if x.is_nan() { 0x7fc0_0000 } else { rounded })
}

/// The bits of an f16 number that is held as f32.
#[inline(always)]
pub(crate) fn f16_of(x: f32) -> f16 {
    let bits = x.to_bits();
    let sign = (bits >> 16) & 0x8000;
    let magnitude = bits & 0x7fff_ffff;
    // A subnormal is a multiple of 2^-24: one half plus it has that multiple in its last bits.
    let subnormal = (f32::from_bits(magnitude) + 0.5).to_bits() & 0x7ff;
    let normal = (magnitude >> 13).wrapping_sub(112 << 10);
    let special = if magnitude > 0x7f80_0000 { 0x7e00 } else { 0x7c00 };
    let field = if magnitude >= 0x7f80_0000 {
        special
    } else if magnitude < 0x3880_0000 {
        subnormal
    } else {
        normal
    };
    f16::from_bits((sign | field) as u16)
}

/// The value of an f16, on the bits: the field, moved to where f32 has it, is too small by 2^112.
#[inline(always)]
pub(crate) fn f16_value(x: f16) -> f32 {
    let bits = u32::from(x.to_bits());
    let sign = (bits & 0x8000) << 16;
    let field = (bits & 0x7fff) << 13;
    let scaled = (f32::from_bits(field) * f32::from_bits((127 + 112) << 23)).to_bits();
    let special = field | 0x7f80_0000;
    f32::from_bits(if field >= 0x0f80_0000 { special } else { scaled } | sign)
}

/// The value of a bf16: its bits are the upper half of the f32's.
#[inline(always)]
pub(crate) fn bf16_value(x: bf16) -> f32 {
    f32::from_bits(u32::from(x.to_bits()) << 16)
}

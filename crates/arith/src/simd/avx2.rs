//! AVX2 with FMA and F16C: a vector of f32 is two registers, a vector of f64 four.

use super::avx2_steps::{
    lookup, mul_add_odd, narrow_odd, power_of_two, round_bf16, sum_lanes_f32, sum_lanes_f64, transpose_f32,
    transpose_f64, where_finite_f32, where_finite_f64, zero_below,
};
use super::{LANES, Simd, WithSimd, dot_bf16_in_steps};
use half::{bf16, f16};
use std::arch::x86_64::*;

/// Proof that the CPU has AVX2, FMA and F16C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Avx2(());

impl Avx2 {
    pub(crate) fn detect() -> Option<Avx2> {
        let present = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        present.then_some(Avx2(()))
    }
}

type F32 = [__m256; 2];
type F64 = [__m256d; 4];

impl Simd for Avx2 {
    const NAME: &'static str = "avx2";
    const REGISTERS: usize = 8;
    type F64 = F64;
    type Mask = F64;

    fn vectorize<W: WithSimd>(self, work: W) -> W::Output {
        #[target_feature(enable = "avx2,fma,f16c")]
        fn inner<W: WithSimd>(token: Avx2, work: W) -> W::Output {
            work.run(token)
        }
        // SAFETY: the token proves that the CPU has the features that `inner` enables.
        unsafe { inner(self, work) }
    }

    #[inline(always)]
    fn call<R>(self, work: impl FnOnce() -> R) -> R {
        #[inline(never)]
        #[target_feature(enable = "avx2,fma,f16c")]
        fn inner<R>(work: impl FnOnce() -> R) -> R {
            work()
        }
        // SAFETY: the token proves that the CPU has the features that `inner` enables.
        unsafe { inner(work) }
    }

    #[inline(always)]
    fn splat_f32(self, x: f32) -> F32 {
        // SAFETY: the token proves AVX.
        unsafe { [_mm256_set1_ps(x); 2] }
    }

    #[inline(always)]
    fn load_f32(self, x: &[f32; LANES]) -> F32 {
        // SAFETY: the token proves AVX; both halves of the 64 bytes are readable.
        unsafe { [_mm256_loadu_ps(x.as_ptr()), _mm256_loadu_ps(x[8..].as_ptr())] }
    }

    #[inline(always)]
    fn store_f32(self, x: F32, out: &mut [f32; LANES]) {
        for (i, x) in x.into_iter().enumerate() {
            // SAFETY: the token proves AVX; both halves of the 64 bytes are writable.
            unsafe { _mm256_storeu_ps(out[8 * i..].as_mut_ptr(), x) }
        }
    }

    #[inline(always)]
    fn add_f32(self, a: F32, b: F32) -> F32 {
        // SAFETY: the token proves AVX.
        unsafe { [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn sub_f32(self, a: F32, b: F32) -> F32 {
        // SAFETY: the token proves AVX.
        unsafe { [_mm256_sub_ps(a[0], b[0]), _mm256_sub_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn mul_f32(self, a: F32, b: F32) -> F32 {
        // SAFETY: the token proves AVX.
        unsafe { [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn mul_add_f32(self, a: F32, b: F32, c: F32) -> F32 {
        // SAFETY: the token proves FMA.
        unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
    }

    #[inline(always)]
    fn mul_add_odd(self, a: F32, b: F32, c: F32) -> F32 {
        // SAFETY: the token proves AVX2.
        unsafe { [mul_add_odd(a[0], b[0], c[0]), mul_add_odd(a[1], b[1], c[1])] }
    }

    #[inline(always)]
    fn where_finite_f32(self, sum: F32, corrected: F32) -> F32 {
        // SAFETY: the token proves AVX.
        unsafe { [where_finite_f32(sum[0], corrected[0]), where_finite_f32(sum[1], corrected[1])] }
    }

    #[inline(always)]
    fn splat_f64(self, x: f64) -> F64 {
        // SAFETY: the token proves AVX.
        unsafe { [_mm256_set1_pd(x); 4] }
    }

    #[inline(always)]
    fn load_f64(self, x: &[f64; LANES]) -> F64 {
        // SAFETY: the token proves AVX; each quarter of the 128 bytes is readable.
        unsafe {
            [
                _mm256_loadu_pd(x.as_ptr()),
                _mm256_loadu_pd(x[4..].as_ptr()),
                _mm256_loadu_pd(x[8..].as_ptr()),
                _mm256_loadu_pd(x[12..].as_ptr()),
            ]
        }
    }

    #[inline(always)]
    fn store_f64(self, x: F64, out: &mut [f64; LANES]) {
        for (i, x) in x.into_iter().enumerate() {
            // SAFETY: the token proves AVX; each quarter of the 128 bytes is writable.
            unsafe { _mm256_storeu_pd(out[4 * i..].as_mut_ptr(), x) }
        }
    }

    #[inline(always)]
    fn add_f64(self, a: F64, b: F64) -> F64 {
        // SAFETY: the token proves AVX.
        unsafe {
            [
                _mm256_add_pd(a[0], b[0]),
                _mm256_add_pd(a[1], b[1]),
                _mm256_add_pd(a[2], b[2]),
                _mm256_add_pd(a[3], b[3]),
            ]
        }
    }

    #[inline(always)]
    fn sub_f64(self, a: F64, b: F64) -> F64 {
        // SAFETY: the token proves AVX.
        unsafe {
            [
                _mm256_sub_pd(a[0], b[0]),
                _mm256_sub_pd(a[1], b[1]),
                _mm256_sub_pd(a[2], b[2]),
                _mm256_sub_pd(a[3], b[3]),
            ]
        }
    }

    #[inline(always)]
    fn mul_f64(self, a: F64, b: F64) -> F64 {
        // SAFETY: the token proves AVX.
        unsafe {
            [
                _mm256_mul_pd(a[0], b[0]),
                _mm256_mul_pd(a[1], b[1]),
                _mm256_mul_pd(a[2], b[2]),
                _mm256_mul_pd(a[3], b[3]),
            ]
        }
    }

    #[inline(always)]
    fn mul_add_f64(self, a: F64, b: F64, c: F64) -> F64 {
        // SAFETY: the token proves FMA.
        unsafe {
            [
                _mm256_fmadd_pd(a[0], b[0], c[0]),
                _mm256_fmadd_pd(a[1], b[1], c[1]),
                _mm256_fmadd_pd(a[2], b[2], c[2]),
                _mm256_fmadd_pd(a[3], b[3], c[3]),
            ]
        }
    }

    #[inline(always)]
    fn where_finite_f64(self, sum: F64, corrected: F64) -> F64 {
        // SAFETY: the token proves AVX.
        unsafe {
            [
                where_finite_f64(sum[0], corrected[0]),
                where_finite_f64(sum[1], corrected[1]),
                where_finite_f64(sum[2], corrected[2]),
                where_finite_f64(sum[3], corrected[3]),
            ]
        }
    }

    #[inline(always)]
    fn div_f64(self, a: F64, b: F64) -> F64 {
        // SAFETY: the token proves AVX.
        unsafe {
            [
                _mm256_div_pd(a[0], b[0]),
                _mm256_div_pd(a[1], b[1]),
                _mm256_div_pd(a[2], b[2]),
                _mm256_div_pd(a[3], b[3]),
            ]
        }
    }

    #[inline(always)]
    fn max_f64(self, a: F64, b: F64) -> F64 {
        // SAFETY: the token proves AVX.
        unsafe {
            [
                _mm256_max_pd(a[0], b[0]),
                _mm256_max_pd(a[1], b[1]),
                _mm256_max_pd(a[2], b[2]),
                _mm256_max_pd(a[3], b[3]),
            ]
        }
    }

    #[inline(always)]
    fn min_f64(self, a: F64, b: F64) -> F64 {
        // SAFETY: the token proves AVX.
        unsafe {
            [
                _mm256_min_pd(a[0], b[0]),
                _mm256_min_pd(a[1], b[1]),
                _mm256_min_pd(a[2], b[2]),
                _mm256_min_pd(a[3], b[3]),
            ]
        }
    }

    #[inline(always)]
    fn abs_f64(self, x: F64) -> F64 {
        // SAFETY: the token proves AVX.
        unsafe {
            [
                _mm256_andnot_pd(_mm256_set1_pd(-0.0), x[0]),
                _mm256_andnot_pd(_mm256_set1_pd(-0.0), x[1]),
                _mm256_andnot_pd(_mm256_set1_pd(-0.0), x[2]),
                _mm256_andnot_pd(_mm256_set1_pd(-0.0), x[3]),
            ]
        }
    }

    #[inline(always)]
    fn neg_f64(self, x: F64) -> F64 {
        // SAFETY: the token proves AVX.
        unsafe {
            [
                _mm256_xor_pd(_mm256_set1_pd(-0.0), x[0]),
                _mm256_xor_pd(_mm256_set1_pd(-0.0), x[1]),
                _mm256_xor_pd(_mm256_set1_pd(-0.0), x[2]),
                _mm256_xor_pd(_mm256_set1_pd(-0.0), x[3]),
            ]
        }
    }

    #[inline(always)]
    fn copysign_f64(self, magnitude: F64, sign: F64) -> F64 {
        // SAFETY: the token proves AVX.
        unsafe {
            let bit = _mm256_set1_pd(-0.0);
            [
                _mm256_or_pd(_mm256_andnot_pd(bit, magnitude[0]), _mm256_and_pd(bit, sign[0])),
                _mm256_or_pd(_mm256_andnot_pd(bit, magnitude[1]), _mm256_and_pd(bit, sign[1])),
                _mm256_or_pd(_mm256_andnot_pd(bit, magnitude[2]), _mm256_and_pd(bit, sign[2])),
                _mm256_or_pd(_mm256_andnot_pd(bit, magnitude[3]), _mm256_and_pd(bit, sign[3])),
            ]
        }
    }

    #[inline(always)]
    fn less_f64(self, a: F64, b: F64) -> F64 {
        // SAFETY: the token proves AVX.
        unsafe {
            [
                _mm256_cmp_pd::<_CMP_LT_OQ>(a[0], b[0]),
                _mm256_cmp_pd::<_CMP_LT_OQ>(a[1], b[1]),
                _mm256_cmp_pd::<_CMP_LT_OQ>(a[2], b[2]),
                _mm256_cmp_pd::<_CMP_LT_OQ>(a[3], b[3]),
            ]
        }
    }

    #[inline(always)]
    fn is_nan_f64(self, x: F64) -> F64 {
        // SAFETY: the token proves AVX.
        unsafe {
            [
                _mm256_cmp_pd::<_CMP_UNORD_Q>(x[0], x[0]),
                _mm256_cmp_pd::<_CMP_UNORD_Q>(x[1], x[1]),
                _mm256_cmp_pd::<_CMP_UNORD_Q>(x[2], x[2]),
                _mm256_cmp_pd::<_CMP_UNORD_Q>(x[3], x[3]),
            ]
        }
    }

    #[inline(always)]
    fn select_f64(self, mask: F64, yes: F64, no: F64) -> F64 {
        // SAFETY: the token proves AVX.
        unsafe {
            [
                _mm256_blendv_pd(no[0], yes[0], mask[0]),
                _mm256_blendv_pd(no[1], yes[1], mask[1]),
                _mm256_blendv_pd(no[2], yes[2], mask[2]),
                _mm256_blendv_pd(no[3], yes[3], mask[3]),
            ]
        }
    }

    #[inline(always)]
    fn any(self, mask: F64) -> bool {
        // SAFETY: the token proves AVX.
        unsafe {
            let halves = [_mm256_or_pd(mask[0], mask[1]), _mm256_or_pd(mask[2], mask[3])];
            _mm256_movemask_pd(_mm256_or_pd(halves[0], halves[1])) != 0
        }
    }

    #[inline(always)]
    fn power_of_two_f64(self, k: F64) -> F64 {
        // SAFETY: the token proves AVX2.
        unsafe { [power_of_two(k[0]), power_of_two(k[1]), power_of_two(k[2]), power_of_two(k[3])] }
    }

    #[inline(always)]
    fn binade_quarter_f64(self, x: F64) -> F64 {
        // SAFETY: the token proves AVX2.
        unsafe {
            [
                _mm256_castsi256_pd(_mm256_srli_epi64::<50>(_mm256_castpd_si256(x[0]))),
                _mm256_castsi256_pd(_mm256_srli_epi64::<50>(_mm256_castpd_si256(x[1]))),
                _mm256_castsi256_pd(_mm256_srli_epi64::<50>(_mm256_castpd_si256(x[2]))),
                _mm256_castsi256_pd(_mm256_srli_epi64::<50>(_mm256_castpd_si256(x[3]))),
            ]
        }
    }

    #[inline(always)]
    fn lookup_f64(self, table: &[f64; LANES], index: F64) -> F64 {
        // SAFETY: the token proves AVX2.
        unsafe {
            [
                lookup(table, index[0]),
                lookup(table, index[1]),
                lookup(table, index[2]),
                lookup(table, index[3]),
            ]
        }
    }

    #[inline(always)]
    fn narrow_odd(self, x: F64) -> F32 {
        // SAFETY: the token proves AVX2.
        unsafe {
            [
                _mm256_set_m128(narrow_odd(x[1]), narrow_odd(x[0])),
                _mm256_set_m128(narrow_odd(x[3]), narrow_odd(x[2])),
            ]
        }
    }

    #[inline(always)]
    fn any_differs_f32(self, a: F32, b: F32) -> bool {
        // SAFETY: the token proves AVX.
        unsafe {
            let low = _mm256_cmp_ps::<_CMP_NEQ_OQ>(a[0], b[0]);
            let high = _mm256_cmp_ps::<_CMP_NEQ_OQ>(a[1], b[1]);
            _mm256_movemask_ps(_mm256_or_ps(low, high)) != 0
        }
    }

    #[inline(always)]
    fn widen(self, x: F32) -> F64 {
        // SAFETY: the token proves AVX.
        unsafe {
            [
                _mm256_cvtps_pd(_mm256_castps256_ps128(x[0])),
                _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(x[0])),
                _mm256_cvtps_pd(_mm256_castps256_ps128(x[1])),
                _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(x[1])),
            ]
        }
    }

    #[inline(always)]
    fn narrow(self, x: F64) -> F32 {
        // SAFETY: the token proves AVX.
        unsafe {
            [
                _mm256_set_m128(_mm256_cvtpd_ps(x[1]), _mm256_cvtpd_ps(x[0])),
                _mm256_set_m128(_mm256_cvtpd_ps(x[3]), _mm256_cvtpd_ps(x[2])),
            ]
        }
    }

    #[inline(always)]
    fn round_f16(self, x: F32) -> F32 {
        // SAFETY: the token proves F16C.
        unsafe {
            [
                _mm256_cvtph_ps(_mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x[0])),
                _mm256_cvtph_ps(_mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x[1])),
            ]
        }
    }

    #[inline(always)]
    fn round_bf16(self, x: F32) -> F32 {
        // SAFETY: the token proves AVX2.
        unsafe { [round_bf16(x[0]), round_bf16(x[1])] }
    }

    #[inline(always)]
    fn load_f16(self, x: &[f16; LANES]) -> F32 {
        // SAFETY: the token proves F16C; f16 is a transparent u16, so that both halves of the 32 bytes are readable.
        unsafe {
            [
                _mm256_cvtph_ps(_mm_loadu_si128(x.as_ptr().cast())),
                _mm256_cvtph_ps(_mm_loadu_si128(x[8..].as_ptr().cast())),
            ]
        }
    }

    #[inline(always)]
    fn store_f16(self, x: F32, out: &mut [f16; LANES]) {
        for (i, x) in x.into_iter().enumerate() {
            // SAFETY: the token proves F16C; both halves of the 32 bytes are writable.
            unsafe {
                let half = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x);
                _mm_storeu_si128(out[8 * i..].as_mut_ptr().cast(), half);
            }
        }
    }

    #[inline(always)]
    fn load_bf16(self, x: &[bf16; LANES]) -> F32 {
        // SAFETY: the token proves AVX2; bf16 is a transparent u16, so that the reference is to 32 readable bytes.
        unsafe {
            let bits = _mm256_loadu_si256(x.as_ptr().cast());
            let low = _mm256_cvtepu16_epi32(_mm256_castsi256_si128(bits));
            let high = _mm256_cvtepu16_epi32(_mm256_extracti128_si256::<1>(bits));
            let low = _mm256_castsi256_ps(_mm256_slli_epi32::<16>(low));
            let high = _mm256_castsi256_ps(_mm256_slli_epi32::<16>(high));
            [low, high]
        }
    }

    #[inline(always)]
    fn store_bf16(self, x: F32, out: &mut [bf16; LANES]) {
        let rounded = self.round_bf16(x);
        // SAFETY: the token proves AVX2; the reference is to 32 writable bytes. Packing works within 128-bit halves: the permutation
        // puts the four quarters back in order.
        unsafe {
            let low = _mm256_srli_epi32::<16>(_mm256_castps_si256(rounded[0]));
            let high = _mm256_srli_epi32::<16>(_mm256_castps_si256(rounded[1]));
            let packed = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi32(low, high));
            _mm256_storeu_si256(out.as_mut_ptr().cast(), packed);
        }
    }

    #[inline(always)]
    fn load_even_odd_bf16(self, x: &[bf16; 2 * LANES]) -> [F32; 2] {
        // SAFETY: the token proves AVX2; both halves of the 64 bytes are readable.
        unsafe {
            let low = _mm256_loadu_si256(x.as_ptr().cast());
            let high = _mm256_loadu_si256(x[LANES..].as_ptr().cast());
            let mask = _mm256_set1_epi32(0xffff_0000_u32 as i32);
            let even = [_mm256_slli_epi32::<16>(low), _mm256_slli_epi32::<16>(high)];
            let odd = [_mm256_and_si256(low, mask), _mm256_and_si256(high, mask)];
            [
                [_mm256_castsi256_ps(even[0]), _mm256_castsi256_ps(even[1])],
                [_mm256_castsi256_ps(odd[0]), _mm256_castsi256_ps(odd[1])],
            ]
        }
    }

    #[inline(always)]
    fn store_even_odd_bf16(self, x: [F32; 2], out: &mut [bf16; 2 * LANES]) {
        let (even, odd) = (self.round_bf16(x[0]), self.round_bf16(x[1]));
        for (i, out) in out.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
            // SAFETY: the token proves AVX2; the reference is to 32 writable bytes. The lower halves of rounded numbers are zeros.
            unsafe {
                let even = _mm256_srli_epi32::<16>(_mm256_castps_si256(even[i]));
                let both = _mm256_or_si256(even, _mm256_castps_si256(odd[i]));
                _mm256_storeu_si256(out.as_mut_ptr().cast(), both);
            }
        }
    }

    #[inline(always)]
    fn transpose_f32(self, rows: &mut [F32; LANES]) {
        // SAFETY: the token proves AVX.
        unsafe { transpose_f32(rows) }
    }

    #[inline(always)]
    fn transpose_f64(self, rows: &mut [F64; LANES]) {
        // SAFETY: the token proves AVX.
        unsafe { transpose_f64(rows) }
    }

    #[inline(always)]
    fn sum_lanes_f32(self, vectors: &[F32; LANES]) -> F32 {
        // SAFETY: the token proves AVX.
        unsafe { [sum_lanes_f32(&vectors[..8]), sum_lanes_f32(&vectors[8..])] }
    }

    #[inline(always)]
    fn sum_lanes_f64(self, vectors: &[F64; LANES]) -> F64 {
        let mut sums = self.splat_f64(0.0);
        for (sums, vectors) in sums.iter_mut().zip(vectors.as_chunks().0) {
            // SAFETY: the token proves AVX.
            *sums = unsafe { sum_lanes_f64(vectors) };
        }
        sums
    }

    #[inline(always)]
    fn pair_bf16(self, first: &[bf16; LANES], second: &[bf16; LANES]) -> F32 {
        // SAFETY: the token proves AVX2; bf16 is a transparent u16, so that both halves of each 32 bytes are readable.
        let half = |start: usize| unsafe {
            let first = _mm256_cvtepu16_epi32(_mm_loadu_si128(first[start..].as_ptr().cast()));
            let second = _mm256_cvtepu16_epi32(_mm_loadu_si128(second[start..].as_ptr().cast()));
            _mm256_castsi256_ps(_mm256_or_si256(first, _mm256_slli_epi32::<16>(second)))
        };
        [half(0), half(8)]
    }

    #[inline(always)]
    fn pair_two_bf16(self, first: &[bf16; 2 * LANES], second: &[bf16; 2 * LANES]) -> [F32; 2] {
        // SAFETY: the token proves AVX2; both halves of each 64 bytes are readable.
        let half = |start: usize| unsafe {
            let first = _mm256_loadu_si256(first[start..].as_ptr().cast());
            let second = _mm256_loadu_si256(second[start..].as_ptr().cast());
            (
                _mm256_castsi256_ps(_mm256_unpacklo_epi16(first, second)),
                _mm256_castsi256_ps(_mm256_unpackhi_epi16(first, second)),
            )
        };
        let (halves, others) = (half(0), half(LANES));
        [[halves.0, others.0], [halves.1, others.1]]
    }

    #[inline(always)]
    fn store_two_bf16(self, x: [F32; 2], out: &mut [bf16; 2 * LANES]) {
        let (low, high) = (self.round_bf16(x[0]), self.round_bf16(x[1]));
        for (i, out) in out.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
            // SAFETY: the token proves AVX2; the reference is to 32 writable bytes. Packing undoes the order of unpacking.
            unsafe {
                let low = _mm256_srli_epi32::<16>(_mm256_castps_si256(low[i]));
                let high = _mm256_srli_epi32::<16>(_mm256_castps_si256(high[i]));
                _mm256_storeu_si256(out.as_mut_ptr().cast(), _mm256_packus_epi32(low, high));
            }
        }
    }

    #[inline(always)]
    fn load_bf16_pairs(self, x: &[bf16; 2 * LANES]) -> F32 {
        // SAFETY: the token proves AVX; both halves of the 64 bytes are readable, and x86 has the first number of a pair below.
        unsafe { [_mm256_loadu_ps(x.as_ptr().cast()), _mm256_loadu_ps(x[LANES..].as_ptr().cast())] }
    }

    #[inline(always)]
    fn dot_bf16(self, a: F32, b: F32, sum: F32) -> F32 {
        // SAFETY: the token proves AVX2.
        let parts = |x: F32| unsafe {
            let bits = [_mm256_castps_si256(x[0]), _mm256_castps_si256(x[1])];
            let mask = _mm256_set1_ps(f32::from_bits(0xffff_0000));
            let first = [_mm256_slli_epi32::<16>(bits[0]), _mm256_slli_epi32::<16>(bits[1])];
            [
                [_mm256_castsi256_ps(first[0]), _mm256_castsi256_ps(first[1])],
                [_mm256_and_ps(x[0], mask), _mm256_and_ps(x[1], mask)],
            ]
        };
        // SAFETY: the token proves AVX.
        let zero_below = |x: F32, y: F32, limit: f32| unsafe {
            [zero_below(x[0], y[0], limit), zero_below(x[1], y[1], limit)]
        };
        dot_bf16_in_steps(self, parts(a), parts(b), sum, zero_below)
    }
}

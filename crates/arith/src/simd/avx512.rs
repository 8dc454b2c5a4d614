//! AVX-512 (F, BW, DQ, VL) with FMA and F16C: a vector of f32 is one register, a vector of f64 two.

use super::avx512_steps::{sum_lanes_f32, sum_lanes_f64, transpose_8x8, transpose_f32};
use super::portable::POWER_SHIFT;
use super::{LANES, Simd, WithSimd, dot_bf16_in_steps};
use half::{bf16, f16};
use std::arch::x86_64::*;
use std::mem::transmute;

/// Proof that the CPU has AVX-512 F, BW, DQ and VL, and with `BF16` also the dot product of AVX-512 BF16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Avx512<const BF16: bool>(());

impl Avx512<false> {
    pub(crate) fn detect() -> Option<Avx512<false>> {
        let present = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        present.then_some(Avx512(()))
    }

    /// The token with the dot product, where the CPU has it.
    pub(crate) fn with_bf16_dot(self) -> Option<Avx512<true>> {
        is_x86_feature_detected!("avx512bf16").then_some(Avx512(()))
    }
}

impl<const BF16: bool> Simd for Avx512<BF16> {
    const NAME: &'static str = "avx512";
    const REGISTERS: usize = 32;
    type F64 = [__m512d; 2];
    type Mask = [__mmask8; 2];

    fn vectorize<W: WithSimd>(self, work: W) -> W::Output {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
        fn inner<W: WithSimd>(token: impl Simd, work: W) -> W::Output {
            work.run(token)
        }
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,f16c")]
        fn inner_with_dot<W: WithSimd>(token: impl Simd, work: W) -> W::Output {
            work.run(token)
        }
        // SAFETY: the token proves that the CPU has the features that each function enables.
        unsafe { if BF16 { inner_with_dot(self, work) } else { inner(self, work) } }
    }

    #[inline(always)]
    fn call<R>(self, work: impl FnOnce() -> R) -> R {
        #[inline(never)]
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
        fn inner<R>(work: impl FnOnce() -> R) -> R {
            work()
        }
        #[inline(never)]
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,f16c")]
        fn inner_with_dot<R>(work: impl FnOnce() -> R) -> R {
            work()
        }
        // SAFETY: the token proves that the CPU has the features that each function enables.
        unsafe { if BF16 { inner_with_dot(work) } else { inner(work) } }
    }

    #[inline(always)]
    fn splat_f32(self, x: f32) -> __m512 {
        // SAFETY: the token proves AVX-512 F.
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    fn load_f32(self, x: &[f32; LANES]) -> __m512 {
        // SAFETY: the token proves AVX-512 F; the reference is to 64 readable bytes.
        unsafe { _mm512_loadu_ps(x.as_ptr()) }
    }

    #[inline(always)]
    fn store_f32(self, x: __m512, out: &mut [f32; LANES]) {
        // SAFETY: the token proves AVX-512 F; the reference is to 64 writable bytes.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr(), x) }
    }

    #[inline(always)]
    fn add_f32(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves AVX-512 F.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub_f32(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves AVX-512 F.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul_f32(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves AVX-512 F.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add_f32(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: the token proves AVX-512 F.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn mul_add_odd(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        const DOWN: i32 = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;
        const UP: i32 = _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC;
        // Rounded down and up an inexact result gives two neighbours, of which one is odd. An exact one gives the same number twice, but for
        // the sign of an exact zero sum, which `up` has as nearest does; then both are even, and `up` is taken.
        // SAFETY: the token proves AVX-512 F.
        unsafe {
            let down = _mm512_fmadd_round_ps::<DOWN>(a, b, c);
            let up = _mm512_fmadd_round_ps::<UP>(a, b, c);
            let down_is_odd = _mm512_test_epi32_mask(_mm512_castps_si512(down), _mm512_set1_epi32(1));
            _mm512_mask_blend_ps(down_is_odd, up, down)
        }
    }

    #[inline(always)]
    fn where_finite_f32(self, sum: __m512, corrected: __m512) -> __m512 {
        // SAFETY: the token proves AVX-512 F.
        unsafe {
            let infinity = _mm512_set1_ps(f32::INFINITY);
            let finite = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(_mm512_abs_ps(sum), infinity);
            _mm512_mask_blend_ps(finite, sum, corrected)
        }
    }

    #[inline(always)]
    fn splat_f64(self, x: f64) -> [__m512d; 2] {
        // SAFETY: the token proves AVX-512 F.
        unsafe { [_mm512_set1_pd(x); 2] }
    }

    #[inline(always)]
    fn load_f64(self, x: &[f64; LANES]) -> [__m512d; 2] {
        // SAFETY: the token proves AVX-512 F; both halves of the 128 bytes are readable.
        unsafe { [_mm512_loadu_pd(x.as_ptr()), _mm512_loadu_pd(x[8..].as_ptr())] }
    }

    #[inline(always)]
    fn store_f64(self, x: [__m512d; 2], out: &mut [f64; LANES]) {
        // SAFETY: the token proves AVX-512 F; both halves of the 128 bytes are writable.
        unsafe {
            _mm512_storeu_pd(out.as_mut_ptr(), x[0]);
            _mm512_storeu_pd(out[8..].as_mut_ptr(), x[1]);
        }
    }

    #[inline(always)]
    fn add_f64(self, a: [__m512d; 2], b: [__m512d; 2]) -> [__m512d; 2] {
        // SAFETY: the token proves AVX-512 F.
        unsafe { [_mm512_add_pd(a[0], b[0]), _mm512_add_pd(a[1], b[1])] }
    }

    #[inline(always)]
    fn sub_f64(self, a: [__m512d; 2], b: [__m512d; 2]) -> [__m512d; 2] {
        // SAFETY: the token proves AVX-512 F.
        unsafe { [_mm512_sub_pd(a[0], b[0]), _mm512_sub_pd(a[1], b[1])] }
    }

    #[inline(always)]
    fn mul_f64(self, a: [__m512d; 2], b: [__m512d; 2]) -> [__m512d; 2] {
        // SAFETY: the token proves AVX-512 F.
        unsafe { [_mm512_mul_pd(a[0], b[0]), _mm512_mul_pd(a[1], b[1])] }
    }

    #[inline(always)]
    fn mul_add_f64(self, a: [__m512d; 2], b: [__m512d; 2], c: [__m512d; 2]) -> [__m512d; 2] {
        // SAFETY: the token proves AVX-512 F.
        unsafe { [_mm512_fmadd_pd(a[0], b[0], c[0]), _mm512_fmadd_pd(a[1], b[1], c[1])] }
    }

    #[inline(always)]
    fn where_finite_f64(self, sum: [__m512d; 2], corrected: [__m512d; 2]) -> [__m512d; 2] {
        // SAFETY: the token proves AVX-512 F.
        unsafe {
            let infinity = _mm512_set1_pd(f64::INFINITY);
            let low = _mm512_cmp_pd_mask::<_CMP_LT_OQ>(_mm512_abs_pd(sum[0]), infinity);
            let high = _mm512_cmp_pd_mask::<_CMP_LT_OQ>(_mm512_abs_pd(sum[1]), infinity);
            [
                _mm512_mask_blend_pd(low, sum[0], corrected[0]),
                _mm512_mask_blend_pd(high, sum[1], corrected[1]),
            ]
        }
    }

    #[inline(always)]
    fn div_f64(self, a: [__m512d; 2], b: [__m512d; 2]) -> [__m512d; 2] {
        // SAFETY: the token proves AVX-512 F.
        unsafe { [_mm512_div_pd(a[0], b[0]), _mm512_div_pd(a[1], b[1])] }
    }

    #[inline(always)]
    fn max_f64(self, a: [__m512d; 2], b: [__m512d; 2]) -> [__m512d; 2] {
        // SAFETY: the token proves AVX-512 F.
        unsafe { [_mm512_max_pd(a[0], b[0]), _mm512_max_pd(a[1], b[1])] }
    }

    #[inline(always)]
    fn min_f64(self, a: [__m512d; 2], b: [__m512d; 2]) -> [__m512d; 2] {
        // SAFETY: the token proves AVX-512 F.
        unsafe { [_mm512_min_pd(a[0], b[0]), _mm512_min_pd(a[1], b[1])] }
    }

    #[inline(always)]
    fn abs_f64(self, x: [__m512d; 2]) -> [__m512d; 2] {
        // SAFETY: the token proves AVX-512 F.
        unsafe { [_mm512_abs_pd(x[0]), _mm512_abs_pd(x[1])] }
    }

    #[inline(always)]
    fn neg_f64(self, x: [__m512d; 2]) -> [__m512d; 2] {
        // SAFETY: the token proves AVX-512 DQ.
        unsafe { [_mm512_xor_pd(_mm512_set1_pd(-0.0), x[0]), _mm512_xor_pd(_mm512_set1_pd(-0.0), x[1])] }
    }

    #[inline(always)]
    fn copysign_f64(self, magnitude: [__m512d; 2], sign: [__m512d; 2]) -> [__m512d; 2] {
        // SAFETY: the token proves AVX-512 DQ.
        unsafe {
            let bit = _mm512_set1_pd(-0.0);
            [
                _mm512_or_pd(_mm512_andnot_pd(bit, magnitude[0]), _mm512_and_pd(bit, sign[0])),
                _mm512_or_pd(_mm512_andnot_pd(bit, magnitude[1]), _mm512_and_pd(bit, sign[1])),
            ]
        }
    }

    #[inline(always)]
    fn less_f64(self, a: [__m512d; 2], b: [__m512d; 2]) -> [__mmask8; 2] {
        // SAFETY: the token proves AVX-512 F.
        unsafe {
            [_mm512_cmp_pd_mask::<_CMP_LT_OQ>(a[0], b[0]), _mm512_cmp_pd_mask::<_CMP_LT_OQ>(a[1], b[1])]
        }
    }

    #[inline(always)]
    fn is_nan_f64(self, x: [__m512d; 2]) -> [__mmask8; 2] {
        // SAFETY: the token proves AVX-512 F.
        unsafe {
            [_mm512_cmp_pd_mask::<_CMP_UNORD_Q>(x[0], x[0]), _mm512_cmp_pd_mask::<_CMP_UNORD_Q>(x[1], x[1])]
        }
    }

    #[inline(always)]
    fn select_f64(self, mask: [__mmask8; 2], yes: [__m512d; 2], no: [__m512d; 2]) -> [__m512d; 2] {
        // SAFETY: the token proves AVX-512 F.
        unsafe {
            [_mm512_mask_blend_pd(mask[0], no[0], yes[0]), _mm512_mask_blend_pd(mask[1], no[1], yes[1])]
        }
    }

    #[inline(always)]
    fn any(self, mask: [__mmask8; 2]) -> bool {
        mask[0] | mask[1] != 0
    }

    #[inline(always)]
    fn power_of_two_f64(self, k: [__m512d; 2]) -> [__m512d; 2] {
        // SAFETY: the token proves AVX-512 F.
        unsafe {
            let shift = _mm512_set1_pd(POWER_SHIFT);
            [
                _mm512_castsi512_pd(_mm512_slli_epi64::<52>(_mm512_castpd_si512(_mm512_add_pd(k[0], shift)))),
                _mm512_castsi512_pd(_mm512_slli_epi64::<52>(_mm512_castpd_si512(_mm512_add_pd(k[1], shift)))),
            ]
        }
    }

    #[inline(always)]
    fn binade_quarter_f64(self, x: [__m512d; 2]) -> [__m512d; 2] {
        // SAFETY: the token proves AVX-512 F.
        unsafe {
            [
                _mm512_castsi512_pd(_mm512_srli_epi64::<50>(_mm512_castpd_si512(x[0]))),
                _mm512_castsi512_pd(_mm512_srli_epi64::<50>(_mm512_castpd_si512(x[1]))),
            ]
        }
    }

    #[inline(always)]
    fn lookup_f64(self, table: &[f64; LANES], index: [__m512d; 2]) -> [__m512d; 2] {
        // SAFETY: the token proves AVX-512 F; both halves of the 128 bytes are readable. The permutation reads the last four bits of an
        // index.
        unsafe {
            let (low, high) = (_mm512_loadu_pd(table.as_ptr()), _mm512_loadu_pd(table[8..].as_ptr()));
            [
                _mm512_permutex2var_pd(low, _mm512_castpd_si512(index[0]), high),
                _mm512_permutex2var_pd(low, _mm512_castpd_si512(index[1]), high),
            ]
        }
    }

    #[inline(always)]
    fn narrow_odd(self, x: [__m512d; 2]) -> __m512 {
        const TO_ZERO: i32 = _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC;
        // Cut off toward zero, and the last bit set where that lost anything.
        // SAFETY: the token proves AVX-512 F and DQ.
        unsafe {
            let cut = [_mm512_cvt_roundpd_ps::<TO_ZERO>(x[0]), _mm512_cvt_roundpd_ps::<TO_ZERO>(x[1])];
            let low = _mm512_cmp_pd_mask::<_CMP_NEQ_OQ>(_mm512_cvtps_pd(cut[0]), x[0]);
            let high = _mm512_cmp_pd_mask::<_CMP_NEQ_OQ>(_mm512_cvtps_pd(cut[1]), x[1]);
            let both = _mm512_insertf32x8::<1>(_mm512_castps256_ps512(cut[0]), cut[1]);
            let bits = _mm512_castps_si512(both);
            let inexact = u16::from(low) | u16::from(high) << 8;
            _mm512_castsi512_ps(_mm512_mask_or_epi32(bits, inexact, bits, _mm512_set1_epi32(1)))
        }
    }

    #[inline(always)]
    fn any_differs_f32(self, a: __m512, b: __m512) -> bool {
        // SAFETY: the token proves AVX-512 F.
        unsafe { _mm512_cmp_ps_mask::<_CMP_NEQ_OQ>(a, b) != 0 }
    }

    #[inline(always)]
    fn widen(self, x: __m512) -> [__m512d; 2] {
        // SAFETY: the token proves AVX-512 F and DQ.
        unsafe {
            [_mm512_cvtps_pd(_mm512_castps512_ps256(x)), _mm512_cvtps_pd(_mm512_extractf32x8_ps::<1>(x))]
        }
    }

    #[inline(always)]
    fn narrow(self, x: [__m512d; 2]) -> __m512 {
        // SAFETY: the token proves AVX-512 F and DQ.
        unsafe {
            let low = _mm512_castps256_ps512(_mm512_cvtpd_ps(x[0]));
            _mm512_insertf32x8::<1>(low, _mm512_cvtpd_ps(x[1]))
        }
    }

    #[inline(always)]
    fn round_f16(self, x: __m512) -> __m512 {
        // SAFETY: the token proves AVX-512 F.
        unsafe { _mm512_cvtph_ps(_mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x)) }
    }

    #[inline(always)]
    fn round_bf16(self, x: __m512) -> __m512 {
        // SAFETY: the token proves AVX-512 F.
        unsafe {
            let bits = _mm512_castps_si512(x);
            let last = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
            let sum = _mm512_add_epi32(bits, _mm512_add_epi32(last, _mm512_set1_epi32(0x7fff)));
            let rounded = _mm512_and_si512(sum, _mm512_set1_epi32(0xffff_0000_u32 as i32));
            let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(x, x);
            _mm512_mask_blend_ps(nan, _mm512_castsi512_ps(rounded), _mm512_set1_ps(f32::NAN))
        }
    }

    #[inline(always)]
    fn load_f16(self, x: &[f16; LANES]) -> __m512 {
        // SAFETY: the token proves AVX-512 F; f16 is a transparent u16, so that the reference is to 32 readable bytes.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(x.as_ptr().cast())) }
    }

    #[inline(always)]
    fn store_f16(self, x: __m512, out: &mut [f16; LANES]) {
        // SAFETY: the token proves AVX-512 F; the reference is to 32 writable bytes.
        unsafe {
            _mm256_storeu_si256(out.as_mut_ptr().cast(), _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x))
        }
    }

    #[inline(always)]
    fn load_bf16(self, x: &[bf16; LANES]) -> __m512 {
        // SAFETY: the token proves AVX-512 F; bf16 is a transparent u16, so that the reference is to 32 readable bytes.
        unsafe {
            let bits = _mm512_cvtepu16_epi32(_mm256_loadu_si256(x.as_ptr().cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(bits))
        }
    }

    #[inline(always)]
    fn store_bf16(self, x: __m512, out: &mut [bf16; LANES]) {
        let rounded = self.round_bf16(x);
        // SAFETY: the token proves AVX-512 F; the reference is to 32 writable bytes.
        unsafe {
            let upper = _mm512_srli_epi32::<16>(_mm512_castps_si512(rounded));
            _mm256_storeu_si256(out.as_mut_ptr().cast(), _mm512_cvtepi32_epi16(upper));
        }
    }

    #[inline(always)]
    fn load_even_odd_bf16(self, x: &[bf16; 2 * LANES]) -> [__m512; 2] {
        // SAFETY: the token proves AVX-512 F; the reference is to 64 readable bytes.
        unsafe {
            let bits = _mm512_loadu_si512(x.as_ptr().cast());
            let odd = _mm512_and_si512(bits, _mm512_set1_epi32(0xffff_0000_u32 as i32));
            [_mm512_castsi512_ps(_mm512_slli_epi32::<16>(bits)), _mm512_castsi512_ps(odd)]
        }
    }

    #[inline(always)]
    fn store_even_odd_bf16(self, x: [__m512; 2], out: &mut [bf16; 2 * LANES]) {
        let (even, odd) = (self.round_bf16(x[0]), self.round_bf16(x[1]));
        // SAFETY: the token proves AVX-512 F; the reference is to 64 writable bytes. The lower halves of rounded numbers are zeros.
        unsafe {
            let even = _mm512_srli_epi32::<16>(_mm512_castps_si512(even));
            _mm512_storeu_si512(out.as_mut_ptr().cast(), _mm512_or_si512(even, _mm512_castps_si512(odd)));
        }
    }

    #[inline(always)]
    fn transpose_f32(self, rows: &mut [__m512; LANES]) {
        // SAFETY: the token proves AVX-512 F.
        unsafe { transpose_f32(rows) }
    }

    #[inline(always)]
    fn transpose_f64(self, rows: &mut [[__m512d; 2]; LANES]) {
        // The square is four squares of 8 x 8; those off the diagonal change places.
        let old = *rows;
        for (upper, half) in [(0, 0), (0, 1), (8, 0), (8, 1)] {
            let mut square = [old[0][0]; 8];
            for i in 0..8 {
                square[i] = old[upper + i][half];
            }
            // SAFETY: the token proves AVX-512 F.
            unsafe { transpose_8x8(&mut square) }
            for i in 0..8 {
                rows[8 * half + i][upper / 8] = square[i];
            }
        }
    }

    #[inline(always)]
    fn sum_lanes_f32(self, vectors: &[__m512; LANES]) -> __m512 {
        // SAFETY: the token proves AVX-512 F.
        unsafe { sum_lanes_f32(vectors) }
    }

    #[inline(always)]
    fn sum_lanes_f64(self, vectors: &[[__m512d; 2]; LANES]) -> [__m512d; 2] {
        // SAFETY: the token proves AVX-512 F.
        unsafe { [sum_lanes_f64(&vectors[..8]), sum_lanes_f64(&vectors[8..])] }
    }

    #[inline(always)]
    fn pair_bf16(self, first: &[bf16; LANES], second: &[bf16; LANES]) -> __m512 {
        // SAFETY: the token proves AVX-512 F; bf16 is a transparent u16, so that both references are to 32 readable bytes.
        unsafe {
            let first = _mm512_cvtepu16_epi32(_mm256_loadu_si256(first.as_ptr().cast()));
            let second = _mm512_cvtepu16_epi32(_mm256_loadu_si256(second.as_ptr().cast()));
            _mm512_castsi512_ps(_mm512_or_si512(first, _mm512_slli_epi32::<16>(second)))
        }
    }

    #[inline(always)]
    fn pair_two_bf16(self, first: &[bf16; 2 * LANES], second: &[bf16; 2 * LANES]) -> [__m512; 2] {
        // SAFETY: the token proves AVX-512 F and BW; both references are to 64 readable bytes.
        unsafe {
            let first = _mm512_loadu_si512(first.as_ptr().cast());
            let second = _mm512_loadu_si512(second.as_ptr().cast());
            [
                _mm512_castsi512_ps(_mm512_unpacklo_epi16(first, second)),
                _mm512_castsi512_ps(_mm512_unpackhi_epi16(first, second)),
            ]
        }
    }

    #[inline(always)]
    fn store_two_bf16(self, x: [__m512; 2], out: &mut [bf16; 2 * LANES]) {
        let (low, high) = (self.round_bf16(x[0]), self.round_bf16(x[1]));
        // SAFETY: the token proves AVX-512 F and BW; the reference is to 64 writable bytes. Packing undoes the order of unpacking.
        unsafe {
            let low = _mm512_srli_epi32::<16>(_mm512_castps_si512(low));
            let high = _mm512_srli_epi32::<16>(_mm512_castps_si512(high));
            _mm512_storeu_si512(out.as_mut_ptr().cast(), _mm512_packus_epi32(low, high));
        }
    }

    #[inline(always)]
    fn load_bf16_pairs(self, x: &[bf16; 2 * LANES]) -> __m512 {
        // SAFETY: the token proves AVX-512 F; the reference is to 64 readable bytes, and x86 has the first number of a pair below.
        unsafe { _mm512_loadu_ps(x.as_ptr().cast()) }
    }

    #[inline(always)]
    fn dot_bf16(self, a: __m512, b: __m512, sum: __m512) -> __m512 {
        if BF16 {
            // SAFETY: the token with `BF16` proves the instruction; both types are 64 bytes without invalid values.
            return unsafe {
                _mm512_dpbf16_ps(sum, transmute::<__m512, __m512bh>(a), transmute::<__m512, __m512bh>(b))
            };
        }
        // SAFETY: the token proves AVX-512 F.
        let parts = |x: __m512| unsafe {
            let bits = _mm512_castps_si512(x);
            let second = _mm512_and_si512(bits, _mm512_set1_epi32(0xffff_0000_u32 as i32));
            [_mm512_castsi512_ps(_mm512_slli_epi32::<16>(bits)), _mm512_castsi512_ps(second)]
        };
        // SAFETY: the token proves AVX-512 F and DQ.
        let zero_below = |x: __m512, y: __m512, limit: f32| unsafe {
            let below = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(_mm512_abs_ps(y), _mm512_set1_ps(limit));
            _mm512_mask_and_ps(x, below, x, _mm512_set1_ps(-0.0))
        };
        dot_bf16_in_steps(self, parts(a), parts(b), sum, zero_below)
    }
}

//! AVX-512 (F, BW, DQ, VL) with FMA and F16C: a vector of f32 is one register, a vector of f64 two.

use super::{LANES, Simd, WithSimd};
use half::{bf16, f16};
use std::arch::x86_64::*;

/// Proof that the CPU has AVX-512 F, BW, DQ and VL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Avx512(());

impl Avx512 {
    pub(crate) fn detect() -> Option<Avx512> {
        let present = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        present.then_some(Avx512(()))
    }
}

impl Simd for Avx512 {
    const NAME: &'static str = "avx512";
    type F32 = __m512;
    type F64 = [__m512d; 2];

    fn vectorize<W: WithSimd>(self, work: W) -> W::Output {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
        fn inner<W: WithSimd>(token: Avx512, work: W) -> W::Output {
            work.run(token)
        }
        // SAFETY: the token proves that the CPU has the features that `inner` enables.
        unsafe { inner(self, work) }
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
}

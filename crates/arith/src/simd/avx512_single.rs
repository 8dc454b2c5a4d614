//! AVX-512: [`Singles`], a vector of f32 in one register.

use super::avx512::Avx512;
use super::single::{BF16_SHIFT, BF16_ZEROS, SPREAD, Singles};
use super::{LANES, Simd};
use half::{bf16, f16};
use std::arch::x86_64::*;

impl<const BF16: bool> Singles for Avx512<BF16> {
    type F32 = __m512;
    type F32Mask = __mmask16;

    #[inline(always)]
    fn div_f32(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves AVX-512 F.
        unsafe { _mm512_div_ps(a, b) }
    }

    #[inline(always)]
    fn max_f32(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves AVX-512 F.
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    fn min_f32(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves AVX-512 F.
        unsafe { _mm512_min_ps(a, b) }
    }

    #[inline(always)]
    fn abs_f32(self, x: __m512) -> __m512 {
        // SAFETY: the token proves AVX-512 F.
        unsafe { _mm512_abs_ps(x) }
    }

    #[inline(always)]
    fn copysign_f32(self, magnitude: __m512, sign: __m512) -> __m512 {
        // SAFETY: the token proves AVX-512 DQ.
        unsafe {
            let bit = _mm512_set1_ps(-0.0);
            _mm512_or_ps(_mm512_andnot_ps(bit, magnitude), _mm512_and_ps(bit, sign))
        }
    }

    #[inline(always)]
    fn less_f32(self, a: __m512, b: __m512) -> __mmask16 {
        // SAFETY: the token proves AVX-512 F.
        unsafe { _mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b) }
    }

    #[inline(always)]
    fn select_f32(self, mask: __mmask16, yes: __m512, no: __m512) -> __m512 {
        // SAFETY: the token proves AVX-512 F.
        unsafe { _mm512_mask_blend_ps(mask, no, yes) }
    }

    #[inline(always)]
    fn any_f32(self, mask: __mmask16) -> bool {
        mask != 0
    }

    #[inline(always)]
    fn last_bits_to_exponent_f32(self, x: __m512) -> __m512 {
        // SAFETY: the token proves AVX-512 F.
        unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<23>(_mm512_castps_si512(x))) }
    }

    #[inline(always)]
    fn add_sixteenths_to_exponent_f32(self, x: __m512, k: __m512) -> __m512 {
        // SAFETY: the token proves AVX-512 F.
        unsafe {
            let sixteenths = _mm512_slli_epi32::<19>(_mm512_castps_si512(k));
            _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(x), sixteenths))
        }
    }

    #[inline(always)]
    fn binade_quarter_f32(self, x: __m512) -> __m512 {
        // SAFETY: the token proves AVX-512 F.
        unsafe { _mm512_castsi512_ps(_mm512_srli_epi32::<21>(_mm512_castps_si512(x))) }
    }

    #[inline(always)]
    fn lookup_f32(self, table: &[f32; LANES], index: __m512) -> __m512 {
        // SAFETY: the token proves AVX-512 F. The permutation reads the last four bits of an index.
        unsafe { _mm512_permutexvar_ps(_mm512_castps_si512(index), self.load_f32(table)) }
    }

    #[inline(always)]
    fn store_sure_f16(self, x: __m512, out: &mut [f16; LANES]) -> bool {
        // SAFETY: the token proves AVX-512 F, BW and VL; the reference is to 32 writable bytes.
        unsafe {
            let low = _mm512_mul_ps(x, _mm512_set1_ps(SPREAD[0]));
            let high = _mm512_mul_ps(x, _mm512_set1_ps(SPREAD[1]));
            let low = _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(low);
            let high = _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(high);
            _mm256_storeu_si256(out.as_mut_ptr().cast(), low);
            _mm256_cmpneq_epi16_mask(low, high) == 0
        }
    }

    #[inline(always)]
    fn store_sure_bf16(self, x: __m512, out: &mut [bf16; LANES]) -> bool {
        // SAFETY: the token proves AVX-512 F; the reference is to 32 writable bytes.
        unsafe {
            let moved = _mm512_add_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(BF16_SHIFT as i32));
            let upper = _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(moved));
            _mm256_storeu_si256(out.as_mut_ptr().cast(), upper);
            _mm512_testn_epi32_mask(moved, _mm512_set1_epi32(BF16_ZEROS as i32)) == 0
        }
    }
}

//! AVX2: [`Singles`], a vector of f32 in two registers.

use super::avx2::Avx2;
use super::single::{BF16_SHIFT, BF16_ZEROS, SPREAD, Singles};
use super::{LANES, Simd};
use half::{bf16, f16};
use std::arch::x86_64::*;

type F32 = [__m256; 2];

impl Singles for Avx2 {
    type F32 = F32;
    type F32Mask = F32;

    #[inline(always)]
    fn div_f32(self, a: F32, b: F32) -> F32 {
        // SAFETY: the token proves AVX.
        unsafe { [_mm256_div_ps(a[0], b[0]), _mm256_div_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn max_f32(self, a: F32, b: F32) -> F32 {
        // SAFETY: the token proves AVX.
        unsafe { [_mm256_max_ps(a[0], b[0]), _mm256_max_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn min_f32(self, a: F32, b: F32) -> F32 {
        // SAFETY: the token proves AVX.
        unsafe { [_mm256_min_ps(a[0], b[0]), _mm256_min_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn abs_f32(self, x: F32) -> F32 {
        // SAFETY: the token proves AVX.
        unsafe {
            let bit = _mm256_set1_ps(-0.0);
            [_mm256_andnot_ps(bit, x[0]), _mm256_andnot_ps(bit, x[1])]
        }
    }

    #[inline(always)]
    fn copysign_f32(self, magnitude: F32, sign: F32) -> F32 {
        // SAFETY: the token proves AVX.
        unsafe {
            let bit = _mm256_set1_ps(-0.0);
            [
                _mm256_or_ps(_mm256_andnot_ps(bit, magnitude[0]), _mm256_and_ps(bit, sign[0])),
                _mm256_or_ps(_mm256_andnot_ps(bit, magnitude[1]), _mm256_and_ps(bit, sign[1])),
            ]
        }
    }

    #[inline(always)]
    fn less_f32(self, a: F32, b: F32) -> F32 {
        // SAFETY: the token proves AVX.
        unsafe { [_mm256_cmp_ps::<_CMP_LT_OQ>(a[0], b[0]), _mm256_cmp_ps::<_CMP_LT_OQ>(a[1], b[1])] }
    }

    #[inline(always)]
    fn select_f32(self, mask: F32, yes: F32, no: F32) -> F32 {
        // SAFETY: the token proves AVX.
        unsafe { [_mm256_blendv_ps(no[0], yes[0], mask[0]), _mm256_blendv_ps(no[1], yes[1], mask[1])] }
    }

    #[inline(always)]
    fn any_f32(self, mask: F32) -> bool {
        // SAFETY: the token proves AVX.
        unsafe { _mm256_movemask_ps(_mm256_or_ps(mask[0], mask[1])) != 0 }
    }

    #[inline(always)]
    fn last_bits_to_exponent_f32(self, x: F32) -> F32 {
        // SAFETY: the token proves AVX2.
        unsafe {
            [
                _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_castps_si256(x[0]))),
                _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_castps_si256(x[1]))),
            ]
        }
    }

    #[inline(always)]
    fn add_sixteenths_to_exponent_f32(self, x: F32, k: F32) -> F32 {
        // SAFETY: the token proves AVX2.
        let of = |x: __m256, k: __m256| unsafe {
            let sixteenths = _mm256_slli_epi32::<19>(_mm256_castps_si256(k));
            _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(x), sixteenths))
        };
        [of(x[0], k[0]), of(x[1], k[1])]
    }

    #[inline(always)]
    fn binade_quarter_f32(self, x: F32) -> F32 {
        // SAFETY: the token proves AVX2.
        unsafe {
            [
                _mm256_castsi256_ps(_mm256_srli_epi32::<21>(_mm256_castps_si256(x[0]))),
                _mm256_castsi256_ps(_mm256_srli_epi32::<21>(_mm256_castps_si256(x[1]))),
            ]
        }
    }

    #[inline(always)]
    fn lookup_f32(self, table: &[f32; LANES], index: F32) -> F32 {
        let [low, high] = self.load_f32(table);
        // The permutations read the last three bits of an index; the fourth, moved to the sign, chooses between their results.
        // SAFETY: the token proves AVX2.
        let of = |index: __m256| unsafe {
            let bits = _mm256_castps_si256(index);
            let upper = _mm256_castsi256_ps(_mm256_slli_epi32::<28>(bits));
            let (low, high) = (_mm256_permutevar8x32_ps(low, bits), _mm256_permutevar8x32_ps(high, bits));
            _mm256_blendv_ps(low, high, upper)
        };
        [of(index[0]), of(index[1])]
    }

    #[inline(always)]
    fn store_sure_f16(self, x: F32, out: &mut [f16; LANES]) -> bool {
        let mut other = [f16::ZERO; LANES];
        self.store_f16(self.mul_f32(x, self.splat_f32(SPREAD[0])), out);
        self.store_f16(self.mul_f32(x, self.splat_f32(SPREAD[1])), &mut other);
        // SAFETY: the token proves AVX2; the references are to 32 readable bytes.
        unsafe {
            let low = _mm256_loadu_si256(out.as_ptr().cast());
            let high = _mm256_loadu_si256(other.as_ptr().cast());
            _mm256_movemask_epi8(_mm256_cmpeq_epi16(low, high)) == -1
        }
    }

    #[inline(always)]
    fn store_sure_bf16(self, x: F32, out: &mut [bf16; LANES]) -> bool {
        // SAFETY: the token proves AVX2; the reference is to 32 writable bytes. Packing works within 128-bit halves: the permutation
        // puts the four quarters back in order.
        unsafe {
            let (shift, zeros) = (_mm256_set1_epi32(BF16_SHIFT as i32), _mm256_set1_epi32(BF16_ZEROS as i32));
            let low = _mm256_add_epi32(_mm256_castps_si256(x[0]), shift);
            let high = _mm256_add_epi32(_mm256_castps_si256(x[1]), shift);
            let upper = _mm256_packus_epi32(_mm256_srli_epi32::<16>(low), _mm256_srli_epi32::<16>(high));
            _mm256_storeu_si256(out.as_mut_ptr().cast(), _mm256_permute4x64_epi64::<0b11_01_10_00>(upper));
            let zero = _mm256_setzero_si256();
            let near_low = _mm256_cmpeq_epi32(_mm256_and_si256(low, zeros), zero);
            let near_high = _mm256_cmpeq_epi32(_mm256_and_si256(high, zeros), zero);
            _mm256_movemask_epi8(_mm256_or_si256(near_low, near_high)) == 0
        }
    }
}

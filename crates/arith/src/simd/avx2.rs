//! AVX2 with FMA and F16C: a vector of f32 is two registers, a vector of f64 four.

use super::{LANES, Simd, WithSimd};
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
    type F32 = F32;
    type F64 = F64;

    fn vectorize<W: WithSimd>(self, work: W) -> W::Output {
        #[target_feature(enable = "avx2,fma,f16c")]
        fn inner<W: WithSimd>(token: Avx2, work: W) -> W::Output {
            work.run(token)
        }
        // SAFETY: the token proves that the CPU has the features that `inner` enables.
        unsafe { inner(self, work) }
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
}

/// The nearest bf16 numbers, on the bits.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn round_bf16(x: __m256) -> __m256 {
    let bits = _mm256_castps_si256(x);
    let last = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
    let sum = _mm256_add_epi32(bits, _mm256_add_epi32(last, _mm256_set1_epi32(0x7fff)));
    let rounded = _mm256_and_si256(sum, _mm256_set1_epi32(0xffff_0000_u32 as i32));
    let nan = _mm256_cmp_ps::<_CMP_UNORD_Q>(x, x);
    _mm256_blendv_ps(_mm256_castsi256_ps(rounded), _mm256_set1_ps(f32::NAN), nan)
}

/// `corrected` where `sum` is finite, `sum` elsewhere.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn where_finite_f32(sum: __m256, corrected: __m256) -> __m256 {
    let magnitude = _mm256_andnot_ps(_mm256_set1_ps(-0.0), sum);
    let finite = _mm256_cmp_ps::<_CMP_LT_OQ>(magnitude, _mm256_set1_ps(f32::INFINITY));
    _mm256_blendv_ps(sum, corrected, finite)
}

/// `corrected` where `sum` is finite, `sum` elsewhere.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn where_finite_f64(sum: __m256d, corrected: __m256d) -> __m256d {
    let magnitude = _mm256_andnot_pd(_mm256_set1_pd(-0.0), sum);
    let finite = _mm256_cmp_pd::<_CMP_LT_OQ>(magnitude, _mm256_set1_pd(f64::INFINITY));
    _mm256_blendv_pd(sum, corrected, finite)
}

/// `a · b + c` rounded to odd, by way of f64; the steps are those of the portable text.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn mul_add_odd(a: __m256, b: __m256, c: __m256) -> __m256 {
    let low =
        mul_add_odd_half(_mm256_castps256_ps128(a), _mm256_castps256_ps128(b), _mm256_castps256_ps128(c));
    let [a, b, c] =
        [_mm256_extractf128_ps::<1>(a), _mm256_extractf128_ps::<1>(b), _mm256_extractf128_ps::<1>(c)];
    _mm256_set_m128(mul_add_odd_half(a, b, c), low)
}

/// [`mul_add_odd`] of four numbers.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn mul_add_odd_half(a: __m128, b: __m128, c: __m128) -> __m128 {
    let product = _mm256_mul_pd(_mm256_cvtps_pd(a), _mm256_cvtps_pd(b));
    let c = _mm256_cvtps_pd(c);
    let sum = _mm256_add_pd(product, c);
    let from_c = _mm256_sub_pd(sum, product);
    let from_product = _mm256_sub_pd(sum, from_c);
    let error = _mm256_add_pd(_mm256_sub_pd(product, from_product), _mm256_sub_pd(c, from_c));
    let bits = _mm256_castpd_si256(sum);
    let even = _mm256_cmpeq_epi64(_mm256_and_si256(bits, _mm256_set1_epi64x(1)), _mm256_setzero_si256());
    let odd = _mm256_add_epi64(bits, _mm256_and_si256(even, step_to_odd(sum, error)));
    narrow_odd(_mm256_castsi256_pd(odd))
}

/// Four f64 numbers rounded to odd into f32.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn narrow_odd(x: __m256d) -> __m128 {
    let near = _mm256_cvtpd_ps(x);
    let error = _mm256_sub_pd(x, _mm256_cvtps_pd(near));
    // The steps are 0, 1 or -1 in 64 bits; their lower halves are the same in 32.
    let lower_halves = _mm256_setr_epi32(0, 2, 4, 6, 0, 0, 0, 0);
    let step = _mm256_castsi256_si128(_mm256_permutevar8x32_epi32(step_to_odd(x, error), lower_halves));
    let bits = _mm_castps_si128(near);
    let even = _mm_cmpeq_epi32(_mm_and_si128(bits, _mm_set1_epi32(1)), _mm_setzero_si128());
    _mm_castsi128_ps(_mm_add_epi32(bits, _mm_and_si128(even, step)))
}

/// By how much the bits of `x` change on the way toward `x + error`: 1 outward, -1 inward, 0 where the error is zero or NaN.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn step_to_odd(x: __m256d, error: __m256d) -> __m256i {
    let one = _mm256_set1_epi64x(1);
    let inexact = _mm256_castpd_si256(_mm256_cmp_pd::<_CMP_NEQ_OQ>(error, _mm256_setzero_pd()));
    let inward = _mm256_srli_epi64::<63>(_mm256_castpd_si256(_mm256_xor_pd(x, error)));
    _mm256_and_si256(inexact, _mm256_sub_epi64(one, _mm256_slli_epi64::<1>(inward)))
}

//! AVX2 with FMA and F16C: a vector of f32 is two registers, a vector of f64 four.

use super::portable::Portable;
use super::{LANES, Simd, WithSimd};
use half::{bf16, f16};
use std::arch::x86_64::*;
use std::array::from_fn;

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
        from_fn(|i| unsafe { _mm256_loadu_ps(x[8 * i..].as_ptr()) })
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
        from_fn(|i| unsafe { _mm256_add_ps(a[i], b[i]) })
    }

    #[inline(always)]
    fn sub_f32(self, a: F32, b: F32) -> F32 {
        // SAFETY: the token proves AVX.
        from_fn(|i| unsafe { _mm256_sub_ps(a[i], b[i]) })
    }

    #[inline(always)]
    fn mul_f32(self, a: F32, b: F32) -> F32 {
        // SAFETY: the token proves AVX.
        from_fn(|i| unsafe { _mm256_mul_ps(a[i], b[i]) })
    }

    #[inline(always)]
    fn mul_add_f32(self, a: F32, b: F32, c: F32) -> F32 {
        // SAFETY: the token proves FMA.
        from_fn(|i| unsafe { _mm256_fmadd_ps(a[i], b[i], c[i]) })
    }

    /// By the portable text, which the compiler vectorises: without rounding modes in the instruction there is no shorter way.
    #[inline(always)]
    fn mul_add_odd(self, a: F32, b: F32, c: F32) -> F32 {
        let lanes = |x| {
            let mut lanes = [0.0; LANES];
            self.store_f32(x, &mut lanes);
            lanes
        };
        self.load_f32(&Portable.mul_add_odd(lanes(a), lanes(b), lanes(c)))
    }

    #[inline(always)]
    fn where_finite_f32(self, sum: F32, corrected: F32) -> F32 {
        // SAFETY: the token proves AVX.
        from_fn(|i| unsafe {
            let magnitude = _mm256_andnot_ps(_mm256_set1_ps(-0.0), sum[i]);
            let finite = _mm256_cmp_ps::<_CMP_LT_OQ>(magnitude, _mm256_set1_ps(f32::INFINITY));
            _mm256_blendv_ps(sum[i], corrected[i], finite)
        })
    }

    #[inline(always)]
    fn splat_f64(self, x: f64) -> F64 {
        // SAFETY: the token proves AVX.
        unsafe { [_mm256_set1_pd(x); 4] }
    }

    #[inline(always)]
    fn load_f64(self, x: &[f64; LANES]) -> F64 {
        // SAFETY: the token proves AVX; each quarter of the 128 bytes is readable.
        from_fn(|i| unsafe { _mm256_loadu_pd(x[4 * i..].as_ptr()) })
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
        from_fn(|i| unsafe { _mm256_add_pd(a[i], b[i]) })
    }

    #[inline(always)]
    fn sub_f64(self, a: F64, b: F64) -> F64 {
        // SAFETY: the token proves AVX.
        from_fn(|i| unsafe { _mm256_sub_pd(a[i], b[i]) })
    }

    #[inline(always)]
    fn mul_f64(self, a: F64, b: F64) -> F64 {
        // SAFETY: the token proves AVX.
        from_fn(|i| unsafe { _mm256_mul_pd(a[i], b[i]) })
    }

    #[inline(always)]
    fn mul_add_f64(self, a: F64, b: F64, c: F64) -> F64 {
        // SAFETY: the token proves FMA.
        from_fn(|i| unsafe { _mm256_fmadd_pd(a[i], b[i], c[i]) })
    }

    #[inline(always)]
    fn where_finite_f64(self, sum: F64, corrected: F64) -> F64 {
        // SAFETY: the token proves AVX.
        from_fn(|i| unsafe {
            let magnitude = _mm256_andnot_pd(_mm256_set1_pd(-0.0), sum[i]);
            let finite = _mm256_cmp_pd::<_CMP_LT_OQ>(magnitude, _mm256_set1_pd(f64::INFINITY));
            _mm256_blendv_pd(sum[i], corrected[i], finite)
        })
    }

    #[inline(always)]
    fn widen(self, x: F32) -> F64 {
        // SAFETY: the token proves AVX.
        from_fn(|i| unsafe {
            let half = x[i / 2];
            _mm256_cvtps_pd(if i % 2 == 0 {
                _mm256_castps256_ps128(half)
            } else {
                _mm256_extractf128_ps::<1>(half)
            })
        })
    }

    #[inline(always)]
    fn narrow(self, x: F64) -> F32 {
        // SAFETY: the token proves AVX.
        from_fn(|i| unsafe { _mm256_set_m128(_mm256_cvtpd_ps(x[2 * i + 1]), _mm256_cvtpd_ps(x[2 * i])) })
    }

    #[inline(always)]
    fn round_f16(self, x: F32) -> F32 {
        // SAFETY: the token proves F16C.
        x.map(|x| unsafe { _mm256_cvtph_ps(_mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x)) })
    }

    #[inline(always)]
    fn round_bf16(self, x: F32) -> F32 {
        // SAFETY: the token proves AVX2.
        x.map(|x| unsafe {
            let bits = _mm256_castps_si256(x);
            let last = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
            let sum = _mm256_add_epi32(bits, _mm256_add_epi32(last, _mm256_set1_epi32(0x7fff)));
            let rounded = _mm256_and_si256(sum, _mm256_set1_epi32(0xffff_0000_u32 as i32));
            let nan = _mm256_cmp_ps::<_CMP_UNORD_Q>(x, x);
            _mm256_blendv_ps(_mm256_castsi256_ps(rounded), _mm256_set1_ps(f32::NAN), nan)
        })
    }

    #[inline(always)]
    fn load_f16(self, x: &[f16; LANES]) -> F32 {
        // SAFETY: the token proves F16C; f16 is a transparent u16, so that both halves of the 32 bytes are readable.
        from_fn(|i| unsafe { _mm256_cvtph_ps(_mm_loadu_si128(x[8 * i..].as_ptr().cast())) })
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
        // SAFETY: the token proves AVX2; bf16 is a transparent u16, so that both halves of the 32 bytes are readable.
        from_fn(|i| unsafe {
            let bits = _mm256_cvtepu16_epi32(_mm_loadu_si128(x[8 * i..].as_ptr().cast()));
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(bits))
        })
    }

    #[inline(always)]
    fn store_bf16(self, x: F32, out: &mut [bf16; LANES]) {
        let rounded = self.round_bf16(x);
        // SAFETY: the token proves AVX2; the reference is to 32 writable bytes. Packing works within 128-bit halves: the permutation
        // puts the four quarters back in order.
        unsafe {
            let [low, high] = rounded.map(|x| _mm256_srli_epi32::<16>(_mm256_castps_si256(x)));
            let packed = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi32(low, high));
            _mm256_storeu_si256(out.as_mut_ptr().cast(), packed);
        }
    }
}

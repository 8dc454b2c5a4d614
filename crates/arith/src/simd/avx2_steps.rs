//! Steps of the AVX2 instance that take several instructions, on single registers.

use super::LANES;
use super::portable::POWER_SHIFT;
use std::arch::x86_64::*;

/// `x`, and zeros of its sign where `|y| < limit`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn zero_below(x: __m256, y: __m256, limit: f32) -> __m256 {
    let sign = _mm256_set1_ps(-0.0);
    let below = _mm256_cmp_ps::<_CMP_LT_OQ>(_mm256_andnot_ps(sign, y), _mm256_set1_ps(limit));
    _mm256_andnot_ps(_mm256_andnot_ps(sign, below), x)
}

/// [`Simd::transpose_f32`](super::Simd::transpose_f32): four squares of 8 x 8; those off the diagonal change places.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn transpose_f32(rows: &mut [[__m256; 2]; LANES]) {
    let old = *rows;
    for (upper, half) in [(0, 0), (0, 1), (8, 0), (8, 1)] {
        let mut square = [old[0][0]; 8];
        for i in 0..8 {
            square[i] = old[upper + i][half];
        }
        transpose_8x8(&mut square);
        for i in 0..8 {
            rows[8 * half + i][upper / 8] = square[i];
        }
    }
}

/// [`Simd::transpose_f64`](super::Simd::transpose_f64): sixteen squares of 4 x 4.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn transpose_f64(rows: &mut [[__m256d; 4]; LANES]) {
    let old = *rows;
    for i in 0..4 {
        for j in 0..4 {
            let mut square = [old[4 * i][j], old[4 * i + 1][j], old[4 * i + 2][j], old[4 * i + 3][j]];
            transpose_4x4(&mut square);
            for (k, row) in square.into_iter().enumerate() {
                rows[4 * j + k][i] = row;
            }
        }
    }
}

/// Turns a square of 8 x 8 numbers.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn transpose_8x8(rows: &mut [__m256; 8]) {
    let mut quads = [_mm256_setzero_ps(); 8];
    for i in [0, 4] {
        let low = _mm256_unpacklo_ps(rows[i], rows[i + 1]);
        let high = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
        let next_low = _mm256_unpacklo_ps(rows[i + 2], rows[i + 3]);
        let next_high = _mm256_unpackhi_ps(rows[i + 2], rows[i + 3]);
        quads[i] = _mm256_shuffle_ps::<0b01_00_01_00>(low, next_low);
        quads[i + 1] = _mm256_shuffle_ps::<0b11_10_11_10>(low, next_low);
        quads[i + 2] = _mm256_shuffle_ps::<0b01_00_01_00>(high, next_high);
        quads[i + 3] = _mm256_shuffle_ps::<0b11_10_11_10>(high, next_high);
    }
    // quads[4 q + c] has in half k the column 4 k + c of rows 4 q .. 4 q + 3.
    for c in 0..4 {
        rows[c] = _mm256_permute2f128_ps::<0x20>(quads[c], quads[4 + c]);
        rows[4 + c] = _mm256_permute2f128_ps::<0x31>(quads[c], quads[4 + c]);
    }
}

/// [`Simd::sum_lanes_f32`](super::Simd::sum_lanes_f32) of eight vectors: each step folds two registers into one, which keeps the halves of both side by side.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn sum_lanes_f32(x: &[[__m256; 2]]) -> __m256 {
    // Halves: of x[i], x[i + 4].
    let mut halves = [_mm256_setzero_ps(); 4];
    for (k, halves) in halves.iter_mut().enumerate() {
        let (a, b) = (_mm256_add_ps(x[k][0], x[k][1]), _mm256_add_ps(x[k + 4][0], x[k + 4][1]));
        *halves = _mm256_add_ps(_mm256_permute2f128_ps::<0x20>(a, b), _mm256_permute2f128_ps::<0x31>(a, b));
    }
    let mut pairs = [_mm256_setzero_ps(); 2];
    for (k, pairs) in pairs.iter_mut().enumerate() {
        let (a, b) = (halves[2 * k], halves[2 * k + 1]);
        let (low, high) =
            (_mm256_shuffle_ps::<0b01_00_01_00>(a, b), _mm256_shuffle_ps::<0b11_10_11_10>(a, b));
        *pairs = _mm256_add_ps(low, high);
    }
    let [a, b] = pairs;
    _mm256_add_ps(_mm256_shuffle_ps::<0b10_00_10_00>(a, b), _mm256_shuffle_ps::<0b11_01_11_01>(a, b))
}

/// [`Simd::sum_lanes_f64`](super::Simd::sum_lanes_f64) of four vectors.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn sum_lanes_f64(x: &[[__m256d; 4]; 4]) -> __m256d {
    let mut quarters = [_mm256_setzero_pd(); 4];
    for (quarters, x) in quarters.iter_mut().zip(x) {
        *quarters = _mm256_add_pd(_mm256_add_pd(x[0], x[2]), _mm256_add_pd(x[1], x[3]));
    }
    // Halves: of x[i], x[i + 2].
    let mut halves = [_mm256_setzero_pd(); 2];
    for (k, halves) in halves.iter_mut().enumerate() {
        let (a, b) = (quarters[k], quarters[k + 2]);
        *halves = _mm256_add_pd(_mm256_permute2f128_pd::<0x20>(a, b), _mm256_permute2f128_pd::<0x31>(a, b));
    }
    let [a, b] = halves;
    _mm256_add_pd(_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b))
}

/// Turns a square of 4 x 4 numbers.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn transpose_4x4(rows: &mut [__m256d; 4]) {
    let [a, b, c, d] = *rows;
    let (low, high) = (_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b));
    let (next_low, next_high) = (_mm256_unpacklo_pd(c, d), _mm256_unpackhi_pd(c, d));
    rows[0] = _mm256_permute2f128_pd::<0x20>(low, next_low);
    rows[1] = _mm256_permute2f128_pd::<0x20>(high, next_high);
    rows[2] = _mm256_permute2f128_pd::<0x31>(low, next_low);
    rows[3] = _mm256_permute2f128_pd::<0x31>(high, next_high);
}

/// The nearest bf16 numbers, on the bits.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn round_bf16(x: __m256) -> __m256 {
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
pub(super) fn where_finite_f32(sum: __m256, corrected: __m256) -> __m256 {
    let magnitude = _mm256_andnot_ps(_mm256_set1_ps(-0.0), sum);
    let finite = _mm256_cmp_ps::<_CMP_LT_OQ>(magnitude, _mm256_set1_ps(f32::INFINITY));
    _mm256_blendv_ps(sum, corrected, finite)
}

/// `corrected` where `sum` is finite, `sum` elsewhere.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn where_finite_f64(sum: __m256d, corrected: __m256d) -> __m256d {
    let magnitude = _mm256_andnot_pd(_mm256_set1_pd(-0.0), sum);
    let finite = _mm256_cmp_pd::<_CMP_LT_OQ>(magnitude, _mm256_set1_pd(f64::INFINITY));
    _mm256_blendv_pd(sum, corrected, finite)
}

/// `a · b + c` rounded to odd, by way of f64; the steps are those of the portable text.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn mul_add_odd(a: __m256, b: __m256, c: __m256) -> __m256 {
    let low =
        mul_add_odd_half(_mm256_castps256_ps128(a), _mm256_castps256_ps128(b), _mm256_castps256_ps128(c));
    let [a, b, c] =
        [_mm256_extractf128_ps::<1>(a), _mm256_extractf128_ps::<1>(b), _mm256_extractf128_ps::<1>(c)];
    _mm256_set_m128(mul_add_odd_half(a, b, c), low)
}

/// [`mul_add_odd`] of four numbers.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn mul_add_odd_half(a: __m128, b: __m128, c: __m128) -> __m128 {
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
pub(super) fn narrow_odd(x: __m256d) -> __m128 {
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
pub(super) fn step_to_odd(x: __m256d, error: __m256d) -> __m256i {
    let one = _mm256_set1_epi64x(1);
    let inexact = _mm256_castpd_si256(_mm256_cmp_pd::<_CMP_NEQ_OQ>(error, _mm256_setzero_pd()));
    let inward = _mm256_srli_epi64::<63>(_mm256_castpd_si256(_mm256_xor_pd(x, error)));
    _mm256_and_si256(inexact, _mm256_sub_epi64(one, _mm256_slli_epi64::<1>(inward)))
}

/// 2^k for whole k: the sum holds 1023 + k in its last bits, which become the exponent.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn power_of_two(k: __m256d) -> __m256d {
    let sum = _mm256_add_pd(k, _mm256_set1_pd(POWER_SHIFT));
    _mm256_castsi256_pd(_mm256_slli_epi64::<52>(_mm256_castpd_si256(sum)))
}

/// The numbers of `table` at the last four bits of each index.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn lookup(table: &[f64; LANES], index: __m256d) -> __m256d {
    let index = _mm256_and_si256(_mm256_castpd_si256(index), _mm256_set1_epi64x(15));
    // SAFETY: an index of four bits lies inside of the table of sixteen numbers.
    unsafe { _mm256_i64gather_pd::<8>(table.as_ptr(), index) }
}

//! Steps of the AVX-512 instance that take many instructions: what moves numbers between lanes.

use super::LANES;
use std::arch::x86_64::*;

/// [`Simd::sum_lanes_f32`](super::Simd::sum_lanes_f32): each step folds two registers into one, which keeps the halves of both side by side.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn sum_lanes_f32(x: &[__m512; LANES]) -> __m512 {
    // Quarters: of x[i] twice, then of x[i + 4] twice.
    let mut halves = [_mm512_setzero_ps(); 8];
    for (k, halves) in halves.iter_mut().enumerate() {
        let (a, b) = (x[k / 4 * 8 + k % 4], x[k / 4 * 8 + k % 4 + 4]);
        let (low, high) =
            (_mm512_shuffle_f32x4::<0b01_00_01_00>(a, b), _mm512_shuffle_f32x4::<0b11_10_11_10>(a, b));
        *halves = _mm512_add_ps(low, high);
    }
    // Quarters: of x[i], x[i + 4], x[i + 8], x[i + 12].
    let mut quarters = [_mm512_setzero_ps(); 4];
    for (k, quarters) in quarters.iter_mut().enumerate() {
        let (a, b) = (halves[k], halves[k + 4]);
        let (even, odd) =
            (_mm512_shuffle_f32x4::<0b10_00_10_00>(a, b), _mm512_shuffle_f32x4::<0b11_01_11_01>(a, b));
        *quarters = _mm512_add_ps(even, odd);
    }
    let mut pairs = [_mm512_setzero_ps(); 2];
    for (k, pairs) in pairs.iter_mut().enumerate() {
        let (a, b) = (quarters[2 * k], quarters[2 * k + 1]);
        let (low, high) =
            (_mm512_shuffle_ps::<0b01_00_01_00>(a, b), _mm512_shuffle_ps::<0b11_10_11_10>(a, b));
        *pairs = _mm512_add_ps(low, high);
    }
    let [a, b] = pairs;
    _mm512_add_ps(_mm512_shuffle_ps::<0b10_00_10_00>(a, b), _mm512_shuffle_ps::<0b11_01_11_01>(a, b))
}

/// [`Simd::sum_lanes_f64`](super::Simd::sum_lanes_f64) of eight vectors.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn sum_lanes_f64(x: &[[__m512d; 2]]) -> __m512d {
    // Halves: of x[i], x[i + 2].
    let mut halves = [_mm512_setzero_pd(); 4];
    for (k, halves) in halves.iter_mut().enumerate() {
        let (a, b) = (&x[k / 2 * 4 + k % 2], &x[k / 2 * 4 + k % 2 + 2]);
        let (a, b) = (_mm512_add_pd(a[0], a[1]), _mm512_add_pd(b[0], b[1]));
        let (low, high) =
            (_mm512_shuffle_f64x2::<0b01_00_01_00>(a, b), _mm512_shuffle_f64x2::<0b11_10_11_10>(a, b));
        *halves = _mm512_add_pd(low, high);
    }
    // Quarters: of x[i], x[i + 2], x[i + 4], x[i + 6].
    let mut quarters = [_mm512_setzero_pd(); 2];
    for (k, quarters) in quarters.iter_mut().enumerate() {
        let (a, b) = (halves[k], halves[k + 2]);
        let (even, odd) =
            (_mm512_shuffle_f64x2::<0b10_00_10_00>(a, b), _mm512_shuffle_f64x2::<0b11_01_11_01>(a, b));
        *quarters = _mm512_add_pd(even, odd);
    }
    let [a, b] = quarters;
    _mm512_add_pd(_mm512_unpacklo_pd(a, b), _mm512_unpackhi_pd(a, b))
}

/// [`Simd::transpose_f32`](super::Simd::transpose_f32): pairs, then pairs of pairs within quarters of a register, then the quarters.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn transpose_f32(rows: &mut [__m512; LANES]) {
    let mut quads = [_mm512_setzero_ps(); LANES];
    for i in (0..LANES).step_by(4) {
        let low = _mm512_castps_pd(_mm512_unpacklo_ps(rows[i], rows[i + 1]));
        let high = _mm512_castps_pd(_mm512_unpackhi_ps(rows[i], rows[i + 1]));
        let next_low = _mm512_castps_pd(_mm512_unpacklo_ps(rows[i + 2], rows[i + 3]));
        let next_high = _mm512_castps_pd(_mm512_unpackhi_ps(rows[i + 2], rows[i + 3]));
        quads[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, next_low));
        quads[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, next_low));
        quads[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(high, next_high));
        quads[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(high, next_high));
    }
    // quads[4 q + c] has in quarter k the column 4 k + c of rows 4 q .. 4 q + 3.
    for c in 0..4 {
        let [a, b, d, e] = [quads[c], quads[4 + c], quads[8 + c], quads[12 + c]];
        let even_low = _mm512_shuffle_f32x4::<0b10_00_10_00>(a, b);
        let odd_low = _mm512_shuffle_f32x4::<0b11_01_11_01>(a, b);
        let even_high = _mm512_shuffle_f32x4::<0b10_00_10_00>(d, e);
        let odd_high = _mm512_shuffle_f32x4::<0b11_01_11_01>(d, e);
        rows[c] = _mm512_shuffle_f32x4::<0b10_00_10_00>(even_low, even_high);
        rows[8 + c] = _mm512_shuffle_f32x4::<0b11_01_11_01>(even_low, even_high);
        rows[4 + c] = _mm512_shuffle_f32x4::<0b10_00_10_00>(odd_low, odd_high);
        rows[12 + c] = _mm512_shuffle_f32x4::<0b11_01_11_01>(odd_low, odd_high);
    }
}

/// Turns a square of 8 x 8 numbers.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn transpose_8x8(rows: &mut [__m512d; 8]) {
    let mut pairs = [_mm512_setzero_pd(); 8];
    for i in (0..8).step_by(2) {
        pairs[i] = _mm512_unpacklo_pd(rows[i], rows[i + 1]);
        pairs[i + 1] = _mm512_unpackhi_pd(rows[i], rows[i + 1]);
    }
    // pairs[2 q + c] has in quarter k the column 2 k + c of rows 2 q and 2 q + 1.
    for c in 0..2 {
        let [a, b, d, e] = [pairs[c], pairs[2 + c], pairs[4 + c], pairs[6 + c]];
        let even_low = _mm512_shuffle_f64x2::<0b10_00_10_00>(a, b);
        let odd_low = _mm512_shuffle_f64x2::<0b11_01_11_01>(a, b);
        let even_high = _mm512_shuffle_f64x2::<0b10_00_10_00>(d, e);
        let odd_high = _mm512_shuffle_f64x2::<0b11_01_11_01>(d, e);
        rows[c] = _mm512_shuffle_f64x2::<0b10_00_10_00>(even_low, even_high);
        rows[4 + c] = _mm512_shuffle_f64x2::<0b11_01_11_01>(even_low, even_high);
        rows[2 + c] = _mm512_shuffle_f64x2::<0b10_00_10_00>(odd_low, odd_high);
        rows[6 + c] = _mm512_shuffle_f64x2::<0b11_01_11_01>(odd_low, odd_high);
    }
}

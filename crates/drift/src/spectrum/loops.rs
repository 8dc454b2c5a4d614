//! The loops over vectors, in one order: products are rounded, then added, and no compiler may fuse them.

use crate::scaled::{exponent_of, pow2};
use crate::scaled_vector::common_exponent;

/// Partial sums of a dot product.
const LANES: usize = 16;

/// `Σ a_i b_i`: term i goes to partial sum i mod 16, and the partial sums are halved until one is left.
#[inline(always)]
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let ((a, a_tail), (b, b_tail)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for k in 0..LANES {
            sums[k] += a[k] * b[k];
        }
    }
    for (sum, (a, b)) in sums.iter_mut().zip(a_tail.iter().zip(b_tail)) {
        *sum += a * b;
    }
    let mut half = LANES / 2;
    while half > 0 {
        for k in 0..half {
            sums[k] += sums[k + half];
        }
        half /= 2;
    }
    sums[0]
}

/// `y += factor · x`.
#[inline(always)]
pub(super) fn add_multiple(y: &mut [f64], factor: f64, x: &[f64]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y += factor * x;
    }
}

/// `(x, y) <- (c x - s y, c y + t x)`, where c may be 1.
#[inline(always)]
pub(super) fn rotate(x: &mut [f64], y: &mut [f64], c: f64, s: f64, t: f64) {
    for (x, y) in x.iter_mut().zip(y) {
        (*x, *y) = (c * *x - s * *y, c * *y + t * *x);
    }
}

/// `‖x‖` as `(m, e)` for `m · 2^e`: 0 for a vector of zeros. Numbers are taken to the size of 1 first, so that no square leaves the range of f64.
#[inline(always)]
pub(super) fn norm(x: &[f64]) -> (f64, i64) {
    let Some(exponent) = common_exponent(x) else { return (0.0, 0) };
    // Squares of numbers between 2^-500 and 2^500 are in range as they are, with nothing that matters below them.
    if (-400..=400).contains(&exponent) {
        return split(dot(x, x).sqrt(), 0);
    }
    let (first, second) = (pow2(-(exponent / 2)), pow2(-(exponent - exponent / 2)));
    let scaled: Vec<f64> = x.iter().map(|x| x * first * second).collect();
    split(dot(&scaled, &scaled).sqrt(), exponent)
}

/// `x · 2^e` with the mantissa in [1/2, 1), for a positive normal x.
#[inline(always)]
fn split(x: f64, e: i64) -> (f64, i64) {
    let own = exponent_of(x);
    (x * pow2(-own), e + own)
}

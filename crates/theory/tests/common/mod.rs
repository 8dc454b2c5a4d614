//! What several test files need.
#![allow(dead_code, reason = "each test file uses a part of it")]

use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// Panics unless `value` is `text` within half a unit of its last digit, and the rounding of the comparison.
#[track_caller]
pub(crate) fn check(what: &str, value: f64, text: &str) {
    let decimals = text.split_once('.').map_or(0, |(_, part)| part.len() as i32);
    let unit = libm::pow(10.0, -f64::from(decimals));
    assert!((value - text.parse::<f64>().unwrap()).abs() <= 0.5001 * unit, "{what}: {value:.15} for {text}");
}

pub(crate) fn standard_normal(rng: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(rng)
}

/// Rows of independent `N(0, scale²)`.
pub(crate) fn normal_matrix(rng: &mut ChaCha8Rng, rows: usize, columns: usize, scale: f64) -> Vec<Vec<f64>> {
    (0..rows).map(|_| (0..columns).map(|_| scale * standard_normal(rng)).collect()).collect()
}

/// W x.
pub(crate) fn times(w: &[Vec<f64>], x: &[f64]) -> Vec<f64> {
    w.iter().map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum()).collect()
}

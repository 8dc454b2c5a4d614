//! Singular values of rows with exponents of their own, by one-sided Jacobi rotations.

use super::loops::{dot, norm, rotate};
use crate::scaled::{Scaled, exponent_of, pow2};
use crate::scaled_vector::common_exponent;

/// Rows `t_i · 2^e_i`, where the largest magnitude of t_i lies in [1/2, 1).
#[derive(Clone, Debug)]
pub(super) struct GradedRows {
    rows: Vec<Vec<f64>>,
    exponents: Vec<i64>,
    columns: usize,
}

impl GradedRows {
    /// No rows, of `columns` numbers each.
    pub(super) fn new(columns: usize) -> GradedRows {
        GradedRows { rows: Vec::new(), exponents: Vec::new(), columns }
    }

    /// Adds the row `row · 2^exponent`, which is not zero.
    pub(super) fn push(&mut self, mut row: Vec<f64>, exponent: i64) {
        let shift = normalise(&mut row);
        self.rows.push(row);
        self.exponents.push(exponent.saturating_add(shift));
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    pub(super) fn row(&self, i: usize) -> &[f64] {
        &self.rows[i]
    }

    pub(super) fn exponents(&self) -> &[i64] {
        &self.exponents
    }
}

/// Brings the largest magnitude into [1/2, 1) and gives the exponent taken out; 0 for zeros.
#[inline(always)]
fn normalise(row: &mut [f64]) -> i64 {
    let Some(shift) = common_exponent(row) else { return 0 };
    if shift != 0 {
        let (first, second) = (pow2(-(shift / 2)), pow2(-(shift - shift / 2)));
        row.iter_mut().for_each(|x| *x = *x * first * second);
    }
    shift
}

/// Sweeps after which the rotations end in any case: they converge quadratically, in four to ten sweeps.
const MAX_SWEEPS: usize = 60;

/// The singular values of the matrix of these rows, the largest first, one a row.
///
/// Rows p and q are made orthogonal by the rotation of Hestenes (1958), until `|t_p · t_q| <= (n + 8) u ‖t_p‖ ‖t_q‖` for all of them: a test in which the exponents
/// do not stand. With `κ = 4^(e_q - e_p) <= 1` the tangent of the angle is `τ 2^(e_q - e_p)`, and all that is computed has the size of the mantissas:
///
/// ```text
/// h = (κ ‖t_q‖² - ‖t_p‖²) / 2        γ = t_p · t_q        τ = γ / (h ± √(h² + κ γ²))
/// t_p <- (t_p - κ τ t_q) / √(1 + κ τ²)                     t_q <- (t_q + τ t_p) / √(1 + κ τ²)
/// ```
///
/// with the sign of h. Where κ has become 0, that is Gram and Schmidt's projection. Sweeps go through the rows from the largest to the smallest.
#[inline(always)]
pub(super) fn jacobi(graded: GradedRows) -> Vec<Scaled> {
    let GradedRows { mut rows, mut exponents, columns } = graded;
    let tolerance = (columns as f64 + 8.0) * f64::EPSILON / 2.0;
    for _ in 0..MAX_SWEEPS {
        sort(&mut rows, &mut exponents);
        let mut rotated = false;
        for p in 0..rows.len() {
            for q in p + 1..rows.len() {
                rotated |= orthogonalise(&mut rows, &mut exponents, p, q, tolerance);
            }
        }
        if !rotated {
            break;
        }
    }
    sort(&mut rows, &mut exponents);
    let value = |(row, e): (&Vec<f64>, &i64)| {
        let (mantissa, exponent) = norm(row);
        Scaled::new(mantissa, exponent.saturating_add(*e))
    };
    rows.iter().zip(&exponents).map(value).collect()
}

/// One rotation where one is needed.
#[inline(always)]
fn orthogonalise(rows: &mut [Vec<f64>], exponents: &mut [i64], p: usize, q: usize, tolerance: f64) -> bool {
    let (head, tail) = rows.split_at_mut(q);
    let (mut x, mut y) = (&mut head[p], &mut tail[0]);
    let (mut p, mut q) = (p, q);
    if exponents[q] > exponents[p] {
        std::mem::swap(&mut x, &mut y);
        std::mem::swap(&mut p, &mut q);
    }
    let (alpha, beta, gamma) = (dot(x, x), dot(y, y), dot(x, y));
    // A row of zeros is orthogonal to all.
    if alpha == 0.0 || beta == 0.0 || gamma.abs() <= tolerance * (alpha * beta).sqrt() {
        return false;
    }
    let kappa = pow2(2 * exponents[q].saturating_sub(exponents[p]).max(-600));
    let h = 0.5 * (kappa * beta - alpha);
    let tau = gamma / (h + (h * h + kappa * gamma * gamma).sqrt().copysign(h));
    let cosine = 1.0 / (1.0 + kappa * tau * tau).sqrt();
    rotate(x, y, cosine, cosine * kappa * tau, cosine * tau);
    // What cancelled is brought back to the size of 1, so that no square leaves the range of f64.
    for i in [p, q] {
        let row = &mut rows[i];
        let largest = row.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
        if largest > 0.0 && !(-64..=64).contains(&exponent_of(largest)) {
            exponents[i] = exponents[i].saturating_add(normalise(row));
        }
    }
    true
}

/// Sorts the rows by falling norm; equal ones in their order.
#[inline(always)]
fn sort(rows: &mut Vec<Vec<f64>>, exponents: &mut Vec<i64>) {
    let size = |row: &Vec<f64>, e: i64| {
        let (mantissa, exponent) = norm(row);
        (if mantissa == 0.0 { i64::MIN } else { exponent.saturating_add(e) }, mantissa)
    };
    let mut all: Vec<((i64, f64), Vec<f64>, i64)> = std::mem::take(rows)
        .into_iter()
        .zip(std::mem::take(exponents))
        .map(|(row, e)| (size(&row, e), row, e))
        .collect();
    all.sort_by(|a, b| b.0.0.cmp(&a.0.0).then(b.0.1.total_cmp(&a.0.1)));
    for (_, row, e) in all {
        rows.push(row);
        exponents.push(e);
    }
}

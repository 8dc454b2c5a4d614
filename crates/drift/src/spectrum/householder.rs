//! QR factorisation by Householder's reflections, rows sorted by size, columns exchanged or not.

use super::loops::{add_multiple, dot, norm};
use crate::scaled::pow2;

/// Which column comes next.
#[derive(Clone, Copy)]
pub(super) enum Exchange<'a> {
    /// The next one as it stands.
    None,
    /// The one whose rest, times 2 to the exponent given for the column, is the longest (Businger and Golub 1965, with weights).
    Largest(&'a [i64]),
}

/// `A P = Q R`.
pub(super) struct Factors {
    /// Columns of Q and rows of R: the smaller dimension of A without its rows of zeros.
    pub(super) steps: usize,
    /// Row-major, `steps x columns`, the columns in the order `order`; zero below the diagonal.
    pub(super) r: Vec<f64>,
    /// Column j of `A P` is column `order[j]` of A.
    pub(super) order: Vec<usize>,
    /// Column-major, `rows x steps`.
    pub(super) q: Vec<f64>,
}

/// The factorisation of `a`, column-major `rows x columns`, of finite numbers of magnitude about 1 or below.
///
/// Reflections take the sign that does not cancel. Rows of zeros stay out of it: what they leave of Q is zero exactly.
#[inline(always)]
pub(super) fn factorise(a: Vec<f64>, rows: usize, columns: usize, exchange: Exchange<'_>) -> Factors {
    let sorted = rows_by_size(&a, rows);
    let present = sorted.len();
    let mut work: Vec<Vec<f64>> = match rows {
        0 => vec![Vec::new(); columns],
        _ => a.chunks_exact(rows).map(|column| sorted.iter().map(|&i| column[i]).collect()).collect(),
    };
    let steps = present.min(columns);
    let mut order: Vec<usize> = (0..columns).collect();
    // v of each reflection `I - β v vᵀ`, of magnitude at most 1, and β.
    let mut reflections: Vec<(Vec<f64>, f64)> = Vec::with_capacity(steps);
    for k in 0..steps {
        if let Exchange::Largest(exponents) = exchange {
            let size = |j: usize| {
                let (mantissa, exponent) = norm(&work[j][k..]);
                let weighted = exponent.saturating_add(exponents[order[j]]);
                // A column of zeros comes last.
                (if mantissa == 0.0 { i64::MIN } else { weighted }, mantissa)
            };
            let (mut best, mut of_best) = (k, size(k));
            for j in k + 1..columns {
                let of_j = size(j);
                if of_j > of_best {
                    (best, of_best) = (j, of_j);
                }
            }
            work.swap(k, best);
            order.swap(k, best);
        }
        let (pivot, others) = work.split_at_mut(k + 1);
        let pivot = &mut pivot[k];
        let (mantissa, exponent) = norm(&pivot[k..]);
        if mantissa == 0.0 {
            reflections.push((Vec::new(), 0.0));
            continue;
        }
        let (first, second) = (pow2(-(exponent / 2)), pow2(-(exponent - exponent / 2)));
        let mut v: Vec<f64> = pivot[k..].iter().map(|x| x * first * second).collect();
        let length = mantissa.copysign(v[0]);
        // ‖v‖² = 2 ‖a‖ (‖a‖ + |a_1|).
        let beta = 1.0 / (mantissa * (mantissa + v[0].abs()));
        v[0] += length;
        for column in others {
            let along = dot(&v, &column[k..]);
            add_multiple(&mut column[k..], -beta * along, &v);
        }
        // -length · 2^exponent, in range because the norm is at most that of A.
        pivot[k] = -length / first / second;
        pivot[k + 1..].fill(0.0);
        reflections.push((v, beta));
    }
    let mut r = vec![0.0; steps * columns];
    for (j, column) in work.iter().enumerate() {
        for k in 0..steps.min(j + 1) {
            r[k * columns + j] = column[k];
        }
    }
    Factors { steps, r, order, q: orthonormal(&reflections, &sorted, rows) }
}

/// The rows of `a` that are not zero, by falling largest magnitude; equal ones in their order.
#[inline(always)]
fn rows_by_size(a: &[f64], rows: usize) -> Vec<usize> {
    let mut sizes = vec![0.0_f64; rows];
    if rows > 0 {
        for column in a.chunks_exact(rows) {
            sizes.iter_mut().zip(column).for_each(|(size, x)| *size = size.max(x.abs()));
        }
    }
    let mut sorted: Vec<usize> = (0..rows).filter(|&i| sizes[i] > 0.0).collect();
    sorted.sort_by(|&i, &j| sizes[j].total_cmp(&sizes[i]));
    sorted
}

/// The first columns of the product of the reflections, as many as there are, rows back in their places.
#[inline(always)]
fn orthonormal(reflections: &[(Vec<f64>, f64)], sorted: &[usize], rows: usize) -> Vec<f64> {
    let mut q = vec![0.0; rows * reflections.len()];
    if rows == 0 {
        return q;
    }
    for (j, out) in q.chunks_exact_mut(rows).enumerate() {
        let mut column = vec![0.0; sorted.len()];
        column[j] = 1.0;
        // Reflections after the j-th leave the j-th unit vector as it is.
        for (k, (v, beta)) in reflections[..=j].iter().enumerate().rev() {
            let tail = column.len() - v.len();
            debug_assert!(v.is_empty() || tail == k);
            let along = dot(v, &column[tail..]);
            add_multiple(&mut column[tail..], -beta * along, v);
        }
        for (&i, x) in sorted.iter().zip(column) {
            out[i] = x;
        }
    }
    q
}

//! `g - Σ / n` of each row.

use super::pair::{self, Pair};
use super::tile::{Tile, deviation, load, store};
use super::{ROUNDINGS, sum_error};
use crate::stored::Bits;
use gradchain_arith::{LANES, Simd, WithSimd};

pub(super) struct Centre<'a, T> {
    pub(super) width: usize,
    pub(super) numbers: &'a mut [T],
    pub(super) changed: &'a mut bool,
}

impl<T: Bits> WithSimd for Centre<'_, T> {
    type Output = Vec<usize>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Vec<usize> {
        let Centre { width, numbers, changed } = self;
        let mut left = Vec::new();
        let mut centred = vec![T::default(); width];
        let tile = Tile::of_row(width, 0);
        for (i, row) in numbers.chunks_exact_mut(width).enumerate() {
            let sure = simd.call(
                #[inline(always)]
                || centre(simd, &tile, row, &mut centred),
            );
            if sure {
                row.copy_from_slice(&centred);
                *changed = true;
            } else {
                left.push(i);
            }
        }
        left
    }
}

/// Whether every difference is certain, and the mean is not 0. The mean is off by a, as for the layers; or it is an f64 number, which the sum shows: then a difference
/// is exact, and can lie in the middle between two numbers as well, as many do.
#[inline(always)]
fn centre<T: Bits, S: Simd>(simd: S, tile: &Tile, row: &[T], centred: &mut [T]) -> bool {
    let n = row.len() as f64;
    let zero = simd.splat_f64(0.0);
    let (mut sum, mut size, mut left_off) = (Pair { high: zero, low: zero }, zero, zero);
    for k in 0..tile.vectors {
        let (at, _, valid) = tile.vector(k);
        let x = load(simd, row, at, valid);
        let upper = pair::sum(simd, sum.high, x);
        sum = Pair { high: upper.high, low: simd.add_f64(sum.low, upper.low) };
        left_off = simd.add_f64(left_off, simd.abs_f64(upper.low));
        size = simd.add_f64(size, simd.abs_f64(x));
    }
    let mut lanes = [[0.0; LANES]; 4];
    for (lanes, vector) in lanes.iter_mut().zip([sum.high, sum.low, size, left_off]) {
        simd.store_f64(vector, lanes);
    }
    let [high, low, size, left_off] = lanes;
    let mut total = Pair::ZERO;
    let mut exact = left_off.iter().all(|rest| *rest == 0.0);
    for (high, low) in high.into_iter().zip(low) {
        total = total.plus(Pair { high, low });
        exact &= total.low == 0.0;
    }
    let mean = total.over(n);
    exact &= mean.low == 0.0 && mean.high.mul_add(-n, total.high) == 0.0;
    let size = size.into_iter().sum::<f64>() / n;
    let absolute = if exact { 0.0 } else { 4.0 * sum_error(row.len()) * size };
    if !(mean.high.abs() > absolute && (1e-270..=1e270).contains(&size)) {
        return false;
    }
    let mean = Pair { high: simd.splat_f64(mean.high), low: simd.splat_f64(mean.low) };
    let part = simd.splat_f64(if exact { 0.0 } else { ROUNDINGS });
    let mut unsure = 0;
    for k in 0..tile.vectors {
        let (at, _, valid) = tile.vector(k);
        let difference = deviation(simd, load(simd, row, at, valid), mean);
        let error = simd.mul_add_f64(simd.abs_f64(difference.high), part, simd.splat_f64(absolute));
        unsure |= store(simd, difference, error, zero, &mut centred[at..at + valid]);
    }
    unsure == 0
}

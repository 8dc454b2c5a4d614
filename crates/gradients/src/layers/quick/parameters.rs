//! `dL/dweight = Σ g x̂` and `dL/dbias = Σ g` over the rows.

use super::super::statistics::{Known, Statistics};
use super::pair::{self, Pair};
use super::tile::{Lanes, Tile, add, load, store};
use super::{LEFT_OFF, ROUNDINGS, sum_error};
use crate::stored::Bits;
use gradchain_arith::{LANES, Simd, WithSimd};

pub(super) struct Parameters<'a, T> {
    pub(super) statistics: &'a Statistics,
    pub(super) x: &'a [T],
    pub(super) gradient: &'a [T],
    pub(super) weight_gradient: &'a mut [T],
    pub(super) bias_gradient: &'a mut [T],
}

impl<T: Bits> WithSimd for Parameters<'_, T> {
    type Output = Vec<usize>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Vec<usize> {
        let mut pass = self;
        let Statistics { width, rows, layer, ref groups, .. } = *pass.statistics;
        // A row that is left to the definition has a part in every column.
        let whole = !layer.is_over_columns() && groups.iter().any(|group| matches!(group, Known::Defined(_)));
        let mut left: Vec<usize> = if whole { (0..width).collect() } else { Vec::new() };
        for number in 0..width.div_ceil(LANES) {
            let tile = Tile::of_columns(width, rows, number);
            if !whole {
                let unsure = simd.call(
                    #[inline(always)]
                    || weights(simd, &tile, &mut pass),
                );
                left.extend(tile.unsure(unsure));
            }
            let unsure = simd.call(
                #[inline(always)]
                || biases(simd, &tile, &mut pass),
            );
            left.extend(tile.unsure(unsure).map(|column| width + column));
        }
        left
    }
}

/// Off by E times the sum of magnitudes, and by what each x̂ is off by times |g|.
#[inline(always)]
fn weights<T: Bits, S: Simd>(simd: S, tile: &Tile, pass: &mut Parameters<'_, T>) -> u32 {
    let Parameters { statistics, x, gradient, weight_gradient, .. } = pass;
    let over_columns = statistics.layer.is_over_columns();
    let zero = simd.splat_f64(0.0);
    let mut sum = Pair { high: zero, low: zero };
    let (mut sizes, mut error) = (zero, zero);
    let first = if over_columns { *tile } else { Tile::of_row(statistics.width, 0) };
    let mut lanes = Lanes::of(simd, &first, &statistics.groups);
    for row in 0..tile.vectors {
        if !over_columns {
            lanes = Lanes::of(simd, &Tile::of_row(statistics.width, row), &statistics.groups);
        }
        let (at, _, valid) = tile.vector(row);
        let gradient = load(simd, gradient, at, valid);
        let (deviation, normalised) = lanes.normalised(simd, load(simd, x, at, valid));
        let term = pair::times_single(simd, normalised, gradient);
        add(simd, &mut sum, term);
        sizes = simd.add_f64(sizes, simd.abs_f64(term.high));
        let mut off = lanes.error(simd, deviation.high);
        if T::FORMAT.precision() == 53 {
            off = simd.add_f64(off, simd.splat_f64(LEFT_OFF));
        }
        error = simd.mul_add_f64(simd.abs_f64(gradient), off, error);
    }
    let off = simd.splat_f64(2.0 * (sum_error(tile.vectors) + 4.0 * ROUNDINGS));
    let error = simd.mul_add_f64(sizes, off, simd.add_f64(error, error));
    let (_, column, valid) = tile.vector(0);
    let sum = pair::settle(simd, sum.high, sum.low);
    store(simd, sum, error, zero, &mut weight_gradient[column..column + valid])
}

/// Off by E times the sum of magnitudes; or exact, where the upper part left nothing off: then a sum can lie in the middle between two numbers as well, as many
/// do.
#[inline(always)]
fn biases<T: Bits, S: Simd>(simd: S, tile: &Tile, pass: &mut Parameters<'_, T>) -> u32 {
    let Parameters { gradient, bias_gradient, .. } = pass;
    let zero = simd.splat_f64(0.0);
    let mut sum = Pair { high: zero, low: zero };
    let (mut sizes, mut left_off) = (zero, zero);
    for row in 0..tile.vectors {
        let (at, _, valid) = tile.vector(row);
        let gradient = load(simd, gradient, at, valid);
        let upper = pair::sum(simd, sum.high, gradient);
        sum = Pair { high: upper.high, low: simd.add_f64(sum.low, upper.low) };
        left_off = simd.add_f64(left_off, simd.abs_f64(upper.low));
        sizes = simd.add_f64(sizes, simd.abs_f64(gradient));
    }
    let off = simd.splat_f64(2.0 * (sum_error(tile.vectors) + 4.0 * ROUNDINGS));
    let error = simd.select_f64(simd.less_f64(zero, left_off), simd.mul_f64(sizes, off), left_off);
    let (_, column, valid) = tile.vector(0);
    let sum = pair::settle(simd, sum.high, sum.low);
    store(simd, sum, error, zero, &mut bias_gradient[column..column + valid])
}

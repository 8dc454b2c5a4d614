//! `dL/dweight = Σ g x̂` and `dL/dbias = Σ g` over the rows.

use super::super::statistics::{Known, Statistics};
use super::pair::{self, Pair};
use super::tile::{Lanes, Tile, add, load, store};
use super::{LEFT_OFF, ROUNDINGS, sum_error};
use crate::stored::Bits;
use gradchain_arith::{Simd, WithSimd};

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
        if !layer.is_over_columns() && groups.iter().any(|group| matches!(group, Known::Defined(_))) {
            // A row that is left to the definition has a part in every column.
            return (0..width).collect();
        }
        let mut left = Vec::new();
        for number in 0..width.div_ceil(gradchain_arith::LANES) {
            let tile = Tile::of_columns(width, rows, number);
            let unsure = simd.call(
                #[inline(always)]
                || parameters(simd, &tile, &mut pass),
            );
            left.extend(tile.unsure(unsure));
        }
        left
    }
}

/// Off by E times the sums of magnitudes, and by what each x̂ is off by times |g|.
#[inline(always)]
fn parameters<T: Bits, S: Simd>(simd: S, tile: &Tile, pass: &mut Parameters<'_, T>) -> u32 {
    let Parameters { statistics, x, gradient, weight_gradient, bias_gradient } = pass;
    let over_columns = statistics.layer.is_over_columns();
    let zero = simd.splat_f64(0.0);
    let nothing = Pair { high: zero, low: zero };
    let (mut weights, mut biases) = (nothing, nothing);
    let (mut weights_size, mut biases_size, mut error) = (zero, zero, zero);
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
        add(simd, &mut weights, term);
        add(simd, &mut biases, Pair { high: gradient, low: zero });
        let size = simd.abs_f64(gradient);
        weights_size = simd.add_f64(weights_size, simd.abs_f64(term.high));
        biases_size = simd.add_f64(biases_size, size);
        let mut off = lanes.error(simd, deviation.high);
        if T::FORMAT.precision() == 53 {
            off = simd.add_f64(off, simd.splat_f64(LEFT_OFF));
        }
        error = simd.mul_add_f64(size, off, error);
    }
    let off = simd.splat_f64(2.0 * (sum_error(tile.vectors) + 4.0 * ROUNDINGS));
    let error = simd.mul_add_f64(weights_size, off, simd.add_f64(error, error));
    let (_, column, valid) = tile.vector(0);
    let columns = column..column + valid;
    let weights = pair::settle(simd, weights.high, weights.low);
    let biases = pair::settle(simd, biases.high, biases.low);
    let unsure = store(simd, weights, error, zero, &mut weight_gradient[columns.clone()]);
    unsure | store(simd, biases, simd.mul_f64(biases_size, off), zero, &mut bias_gradient[columns])
}

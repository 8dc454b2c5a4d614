//! `y = weight · x̂ + bias`.

use super::super::affine::Affine;
use super::super::statistics::Statistics;
use super::pair;
use super::tile::{Lanes, Tile, load, load_or, store};
use super::{LEFT_OFF, ROUNDINGS, UNDERFLOW};
use crate::stored::Bits;
use gradchain_arith::{Simd, WithSimd};

pub(super) struct Forward<'a, T> {
    pub(super) statistics: &'a Statistics,
    pub(super) x: &'a [T],
    pub(super) affine: Affine<'a, T>,
    pub(super) out: &'a mut [T],
}

impl<T: Bits> WithSimd for Forward<'_, T> {
    type Output = Vec<usize>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Vec<usize> {
        let Forward { statistics, x, affine, out } = self;
        let mut left = Vec::new();
        for tile in Tile::of_groups(statistics) {
            let unsure = simd.call(
                #[inline(always)]
                || forward(simd, statistics, &tile, x, affine, out),
            );
            left.extend(tile.unsure(unsure));
        }
        left
    }
}

/// y is off by what `weight x̂` is off by, and by the roundings of the product and the sum.
#[inline(always)]
fn forward<T: Bits, S: Simd>(
    simd: S,
    statistics: &Statistics,
    tile: &Tile,
    x: &[T],
    affine: Affine<'_, T>,
    out: &mut [T],
) -> u32 {
    let lanes = Lanes::of(simd, tile, &statistics.groups);
    let zero = simd.splat_f64(0.0);
    let mut unsure = 0;
    for k in 0..tile.vectors {
        let (at, column, valid) = tile.vector(k);
        let weight = load_or(simd, affine.weight, column, valid, 1.0);
        // -0 is what added changes nothing.
        let bias = load_or(simd, affine.bias, column, valid, -0.0);
        let x = load(simd, x, at, valid);
        let (deviation, normalised) = lanes.normalised(simd, x);
        let product = pair::times_single(simd, normalised, weight);
        let sum = pair::sum(simd, product.high, bias);
        let result = pair::settle(simd, sum.high, simd.add_f64(sum.low, product.low));
        let roundings = simd.add_f64(simd.abs_f64(product.high), simd.abs_f64(bias));
        let error = lanes.error(simd, deviation.high);
        let error = simd.mul_f64(simd.mul_f64(error, simd.abs_f64(weight)), simd.splat_f64(2.0));
        let mut error = simd.mul_add_f64(roundings, simd.splat_f64(ROUNDINGS), error);
        if T::FORMAT.precision() == 53 {
            let [normalised, product] = [simd.abs_f64(normalised.high), simd.abs_f64(product.high)];
            let small = simd.less_f64(simd.min_f64(normalised, product), simd.splat_f64(UNDERFLOW));
            let some = simd.less_f64(zero, simd.abs_f64(deviation.high));
            let left = simd
                .mul_f64(simd.splat_f64(LEFT_OFF), simd.add_f64(simd.abs_f64(weight), simd.splat_f64(1.0)));
            error = simd.add_f64(error, simd.select_f64(small, simd.select_f64(some, left, zero), zero));
        }
        // Zeros times positive factors and weights of either sign, as IEEE 754 has them.
        let plain = simd.mul_f64(simd.sub_f64(x, lanes.mean.high), lanes.factor.high);
        let exact = simd.add_f64(simd.mul_f64(plain, weight), bias);
        unsure |= store(simd, result, error, exact, &mut out[at..at + valid]);
    }
    unsure
}

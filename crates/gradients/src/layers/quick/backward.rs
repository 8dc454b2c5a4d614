//! `dL/dx = r (γ - mean(γ) - x̂ mean(γ x̂))`, and the formulas like it.

use super::super::NormLayer;
use super::super::statistics::Statistics;
use super::pair::{self, Pair};
use super::tile::{Lanes, Tile, add, load, load_or, of_quick, store};
use super::{LEFT_OFF, ROUNDINGS, sum_error};
use crate::stored::Bits;
use gradchain_arith::{Simd, WithSimd};

pub(super) struct Backward<'a, T> {
    pub(super) statistics: &'a Statistics,
    pub(super) x: &'a [T],
    pub(super) weight: Option<&'a [T]>,
    pub(super) gradient: &'a [T],
    pub(super) out: &'a mut [T],
}

impl<T: Bits> WithSimd for Backward<'_, T> {
    type Output = Vec<usize>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Vec<usize> {
        let mut pass = self;
        let mut left = Vec::new();
        for tile in Tile::of_groups(pass.statistics) {
            let unsure = simd.call(
                #[inline(always)]
                || backward(simd, &tile, &mut pass),
            );
            left.extend(tile.unsure(unsure));
        }
        left
    }
}

/// With G and H the sums of |γ| and |γ x̂|, and x̂ off by `|d| p + q`:
///
/// ```text
/// Σ γ       off by E G
/// Σ γ x̂     off by (E + 2^-97) H + Σ |γ| (|d| p + q)
/// bracket   off by these over n, the second times |x̂|; (|d| p + q) H / n; and the roundings of its terms
/// ```
#[inline(always)]
fn backward<T: Bits, S: Simd>(simd: S, tile: &Tile, pass: &mut Backward<'_, T>) -> u32 {
    let &mut Backward { statistics, x, weight, gradient, ref mut out } = pass;
    let groups = &statistics.groups;
    let mut lanes = Lanes::of(simd, tile, groups);
    if T::FORMAT.precision() == 53 {
        lanes.absolute = simd.add_f64(lanes.absolute, simd.splat_f64(LEFT_OFF));
    }
    let zero = simd.splat_f64(0.0);
    let nothing = Pair { high: zero, low: zero };
    let (mut shift, mut slope) = (nothing, nothing);
    let (mut scaled_size, mut product_size, mut product_error) = (zero, zero, zero);
    for k in 0..tile.vectors {
        let (scaled, normalised, error) = terms(simd, tile, k, &lanes, [x, gradient], weight);
        let product = pair::times(simd, scaled, normalised);
        add(simd, &mut shift, scaled);
        add(simd, &mut slope, product);
        let size = simd.abs_f64(scaled.high);
        scaled_size = simd.add_f64(scaled_size, size);
        product_size = simd.add_f64(product_size, simd.abs_f64(product.high));
        product_error = simd.mul_add_f64(size, error, product_error);
    }
    // Where the divisor does not depend on x, the slope does not count.
    let counts = of_quick(simd, tile, groups, |quick| f64::from(u8::from(quick.varies)));
    let centred = simd.splat_f64(f64::from(u8::from(statistics.layer.is_centred())));
    let n = if statistics.layer == NormLayer::UnitNorm { 1.0 } else { statistics.members_each() as f64 };
    let part = simd.splat_f64(1.0 / n);
    let (shift, slope) = (tile.total(simd, shift), tile.total(simd, slope));
    let shift = pair::negated(
        simd,
        Pair { high: simd.mul_f64(shift.high, centred), low: simd.mul_f64(shift.low, centred) },
    );
    let slope = pair::negated(
        simd,
        Pair { high: simd.mul_f64(slope.high, counts), low: simd.mul_f64(slope.low, counts) },
    );
    let scaled_size = tile.total_single(simd, scaled_size);
    let product_size = simd.mul_f64(tile.total_single(simd, product_size), counts);
    let product_error = simd.mul_f64(tile.total_single(simd, product_error), counts);
    let off = simd.splat_f64(sum_error(statistics.members_each()) + 4.0 * ROUNDINGS);
    // What Σ γ and Σ γ x̂ are off by, over n.
    let shift_error = simd.mul_f64(simd.mul_f64(off, scaled_size), part);
    let slope_error = simd.mul_f64(simd.mul_add_f64(off, product_size, product_error), part);
    let (shift_error, slope_error) = if T::FORMAT.precision() == 53 {
        let left_off = simd.splat_f64(LEFT_OFF);
        (simd.add_f64(shift_error, left_off), simd.add_f64(slope_error, left_off))
    } else {
        (shift_error, slope_error)
    };
    let mean_product = simd.mul_f64(product_size, part);
    // The factor and the last roundings, as a part of the terms.
    let relative = of_quick(simd, tile, groups, |quick| quick.relative + 4.0 * ROUNDINGS);
    let twice = simd.mul_f64(simd.splat_f64(2.0), lanes.factor.high);
    let count = simd.splat_f64(n);
    // The bracket comes n times too large.
    let factor = Pair {
        high: of_quick(simd, tile, groups, |quick| quick.factor.over(n).high),
        low: of_quick(simd, tile, groups, |quick| quick.factor.over(n).low),
    };
    let mut unsure = 0;
    for k in 0..tile.vectors {
        let (scaled, normalised, error) = terms(simd, tile, k, &lanes, [x, gradient], weight);
        let bracket = pair::plus(simd, pair::times_single(simd, scaled, count), shift);
        let bracket = pair::plus(simd, bracket, pair::times(simd, normalised, slope));
        let result = pair::times(simd, bracket, factor);
        let size = simd.abs_f64(normalised.high);
        let magnitude = simd.add_f64(simd.abs_f64(scaled.high), simd.mul_f64(scaled_size, part));
        let magnitude = simd.mul_add_f64(size, mean_product, magnitude);
        let bound = simd.mul_add_f64(size, slope_error, shift_error);
        let bound = simd.mul_add_f64(error, mean_product, bound);
        let bound = simd.mul_f64(simd.mul_add_f64(magnitude, relative, bound), twice);
        // Without any gradient, what is left is a zero whose sign the definition knows.
        let bound = simd.select_f64(simd.less_f64(zero, scaled_size), bound, simd.splat_f64(f64::NAN));
        let (at, _, valid) = tile.vector(k);
        unsure |= store(simd, result, bound, zero, &mut out[at..at + valid]);
    }
    unsure
}

/// γ and x̂ of vector k, and what x̂ is off by.
#[inline(always)]
fn terms<T: Bits, S: Simd>(
    simd: S,
    tile: &Tile,
    k: usize,
    lanes: &Lanes<S::F64>,
    [x, gradient]: [&[T]; 2],
    weight: Option<&[T]>,
) -> (Pair<S::F64>, Pair<S::F64>, S::F64) {
    let (at, column, valid) = tile.vector(k);
    let weight = load_or(simd, weight, column, valid, 1.0);
    let scaled = pair::product(simd, load(simd, gradient, at, valid), weight);
    let (deviation, normalised) = lanes.normalised(simd, load(simd, x, at, valid));
    (scaled, normalised, lanes.error(simd, deviation.high))
}

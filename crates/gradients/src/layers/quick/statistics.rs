//! Means and factors.

use super::super::NormLayer;
use super::super::statistics::Statistics;
use super::pair::{self, Pair};
use super::tile::{Tile, add, deviation, load};
use super::{ROUNDINGS, sum_error};
use crate::stored::Bits;
use gradchain_arith::{LANES, Simd, WithSimd};

/// What vectors know of a group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quick {
    /// The mean; 0 where nothing is centred.
    pub(super) mean: Pair<f64>,
    /// The mean, and the variance, the mean square or the sum of squares, rounded to f64; none where that is not certain.
    pub(crate) nearest: Option<[f64; 2]>,
    /// 1 over the divisor; the upper part is the nearest f64.
    pub(super) factor: Pair<f64>,
    /// What a deviation is off by, beside a part of itself.
    pub(super) absolute: f64,
    /// What the factor is off by, as a part of it.
    pub(super) relative: f64,
    /// Whether the divisor depends on x.
    pub(super) varies: bool,
}

impl Quick {
    /// The factor rounded to f64.
    pub(crate) fn nearest_factor(&self) -> f64 {
        self.factor.high
    }

    /// A group of so many numbers with this mean, which is off by at most `absolute`, and this sum of squares of deviations.
    fn of(statistics: &Statistics, mean: Pair<f64>, absolute: f64, squares: Pair<f64>) -> Option<Quick> {
        let n = statistics.members_each();
        let (layer, eps) = (statistics.layer, statistics.eps);
        let spread = if layer == NormLayer::UnitNorm { squares } else { squares.over(n as f64) };
        if !(1e-270..=1e270).contains(&spread.high) {
            return None;
        }
        let off = 2.0 * sum_error(n) + 8.0 * absolute / spread.high.sqrt();
        let (square, varies) = if layer == NormLayer::UnitNorm {
            let least = Pair::product(eps, eps);
            let more = spread.high / least.high;
            // Next to it the definition decides.
            if (0.999..=1.001).contains(&more) || (eps > 0.0 && least.high < 1e-270 && more < 1e10) {
                return None;
            }
            if more > 1.0 { (spread, true) } else { (least, false) }
        } else {
            (spread.plus(Pair { high: eps, low: 0.0 }), true)
        };
        if !(off <= 1e-18 && (1e-270..=1e270).contains(&square.high)) {
            return None;
        }
        let factor = square.reciprocal_root();
        let relative = off + ROUNDINGS;
        factor.nearest(2.0 * relative * factor.high)?;
        let nearest = mean.nearest(absolute).zip(spread.nearest(2.0 * (off + ROUNDINGS) * spread.high));
        let nearest = nearest.map(|(mean, spread)| [mean, spread]);
        Some(Quick { mean, nearest, factor, absolute, relative, varies })
    }
}

/// Finds what vectors can know of each group.
pub(super) struct Find<'a, T> {
    pub(super) statistics: &'a Statistics,
    pub(super) x: &'a [T],
    pub(super) quick: &'a mut [Option<Quick>],
}

impl<T: Bits> WithSimd for Find<'_, T> {
    type Output = Vec<usize>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Vec<usize> {
        let Find { statistics, x, quick } = self;
        let mut left = Vec::new();
        for tile in Tile::of_groups(statistics) {
            let [mean_high, mean_low, size, high, low] = simd.call(
                #[inline(always)]
                || find(simd, statistics, &tile, x),
            );
            for (lane, group) in tile.groups().enumerate() {
                let mean = Pair { high: mean_high[lane], low: mean_low[lane] };
                let absolute = 4.0 * sum_error(statistics.members_each()) * size[lane];
                let squares = Pair { high: high[lane], low: low[lane] };
                quick[group] = Quick::of(statistics, mean, absolute, squares);
                if quick[group].is_none() {
                    left.push(group);
                }
            }
        }
        left
    }
}

/// The two parts of the means, the means of magnitudes, and the two parts of the sums of squares of deviations, of the groups in each lane.
#[inline(always)]
fn find<T: Bits, S: Simd>(simd: S, statistics: &Statistics, tile: &Tile, x: &[T]) -> [[f64; LANES]; 5] {
    let n = statistics.members_each() as f64;
    let zero = simd.splat_f64(0.0);
    let nothing = Pair { high: zero, low: zero };
    let (mut mean, mut size) = (nothing, zero);
    let centred = statistics.layer.is_centred();
    if centred {
        let mut sum = nothing;
        for k in 0..tile.vectors {
            let (at, _, valid) = tile.vector(k);
            let x = load(simd, x, at, valid);
            add(simd, &mut sum, Pair { high: x, low: zero });
            size = simd.add_f64(size, simd.abs_f64(x));
        }
        let sum = tile.total(simd, sum);
        let count = simd.splat_f64(n);
        let high = simd.div_f64(sum.high, count);
        let rest = simd.add_f64(simd.mul_add_f64(high, simd.neg_f64(count), sum.high), sum.low);
        mean = pair::settle(simd, high, simd.div_f64(rest, count));
        size = simd.div_f64(tile.total_single(simd, size), count);
    }
    let mut squares = nothing;
    let mut places = [0.0; LANES];
    places.iter_mut().enumerate().for_each(|(i, place)| *place = i as f64);
    let places = simd.load_f64(&places);
    for k in 0..tile.vectors {
        let (at, _, valid) = tile.vector(k);
        let deviation = deviation(simd, load(simd, x, at, valid), mean);
        let square = pair::product(simd, deviation.high, deviation.high);
        let twice = simd.add_f64(deviation.high, deviation.high);
        let square = Pair { low: simd.mul_add_f64(twice, deviation.low, square.low), ..square };
        // What stands for no number has no deviation.
        let inside = simd.less_f64(places, simd.splat_f64(valid as f64));
        let square = Pair {
            high: simd.select_f64(inside, square.high, zero),
            low: simd.select_f64(inside, square.low, zero),
        };
        add(simd, &mut squares, square);
    }
    let squares = tile.total(simd, squares);
    let mut found = [[0.0; LANES]; 5];
    for (lanes, vector) in found.iter_mut().zip([mean.high, mean.low, size, squares.high, squares.low]) {
        simd.store_f64(vector, lanes);
    }
    found
}

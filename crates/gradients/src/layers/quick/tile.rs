//! What the passes look at together: a row, vector by vector, or as many columns as a vector has lanes, row by row.

use super::super::statistics::{Known, Statistics};
use super::pair::{self, Pair};
use super::statistics::Quick;
use super::{LEFT_OFF, ROUNDINGS, UNDERFLOW};
use crate::stored::Bits;
use gradchain_arith::{LANES, Simd};

/// Some numbers of a batch.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    /// The group, or the first of as many neighbours as there are lanes.
    pub(super) group: usize,
    over_columns: bool,
    /// The place of the first number.
    first: usize,
    /// From a vector to the next.
    stride: usize,
    pub(super) vectors: usize,
    /// Numbers in the row; or columns.
    numbers: usize,
}

impl Tile {
    /// The groups of a batch.
    pub(super) fn of_groups(statistics: &Statistics) -> impl Iterator<Item = Tile> + use<> {
        let &Statistics { width, rows, .. } = statistics;
        let over_columns = statistics.layer.is_over_columns();
        let tiles = if over_columns { width.div_ceil(LANES) } else { rows };
        (0..tiles).map(move |tile| {
            if over_columns { Tile::of_columns(width, rows, tile) } else { Tile::of_row(width, tile) }
        })
    }

    pub(super) fn of_row(width: usize, row: usize) -> Tile {
        let vectors = width.div_ceil(LANES);
        Tile { group: row, over_columns: false, first: row * width, stride: LANES, vectors, numbers: width }
    }

    /// The columns from `tile` times the lanes.
    pub(super) fn of_columns(width: usize, rows: usize, tile: usize) -> Tile {
        let first = tile * LANES;
        let numbers = LANES.min(width - first);
        Tile { group: first, over_columns: true, first, stride: width, vectors: rows, numbers }
    }

    /// Where vector k begins, the column that it begins with, and its numbers.
    #[inline(always)]
    pub(super) fn vector(&self, k: usize) -> (usize, usize, usize) {
        let at = self.first + k * self.stride;
        if self.over_columns {
            (at, self.first, self.numbers)
        } else {
            (at, LANES * k, LANES.min(self.numbers - LANES * k))
        }
    }

    /// The groups of the tile.
    pub(super) fn groups(&self) -> std::ops::Range<usize> {
        self.group..self.group + if self.over_columns { self.numbers } else { 1 }
    }

    /// The groups of lanes of which a bit is set.
    pub(super) fn unsure(&self, lanes: u32) -> impl Iterator<Item = usize> + use<> {
        let lanes = if self.over_columns { lanes } else { u32::from(lanes != 0) };
        self.groups().enumerate().filter(move |(lane, _)| lanes >> lane & 1 == 1).map(|(_, group)| group)
    }

    /// The sum over each group of what its lanes hold, in all of them.
    #[inline(always)]
    pub(super) fn total<S: Simd>(&self, simd: S, sum: Pair<S::F64>) -> Pair<S::F64> {
        if self.over_columns {
            return pair::settle(simd, sum.high, sum.low);
        }
        let (mut high, mut low) = ([0.0; LANES], [0.0; LANES]);
        simd.store_f64(sum.high, &mut high);
        simd.store_f64(sum.low, &mut low);
        let mut total = Pair::ZERO;
        for (high, low) in high.into_iter().zip(low) {
            total = total.plus(Pair { high, low });
        }
        Pair { high: simd.splat_f64(total.high), low: simd.splat_f64(total.low) }
    }

    /// [`total`](Tile::total) of bounds, in one part.
    #[inline(always)]
    pub(super) fn total_single<S: Simd>(&self, simd: S, sum: S::F64) -> S::F64 {
        if self.over_columns {
            return sum;
        }
        let mut lanes = [0.0; LANES];
        simd.store_f64(sum, &mut lanes);
        simd.splat_f64(lanes.into_iter().sum())
    }
}

/// A number of the group of each lane; NaN where the definition must be asked.
#[inline(always)]
pub(super) fn of_quick<S: Simd>(
    simd: S,
    tile: &Tile,
    groups: &[Known],
    number: impl Fn(&Quick) -> f64,
) -> S::F64 {
    let mut lanes = [0.0; LANES];
    for (lane, group) in lanes.iter_mut().zip(&groups[tile.groups()]) {
        *lane = match group {
            Known::Quick(quick) => number(quick),
            Known::Defined(_) => f64::NAN,
        };
    }
    if tile.over_columns { simd.load_f64(&lanes) } else { simd.splat_f64(lanes[0]) }
}

/// A sum of many terms: what its upper part leaves off goes to the lower one.
#[inline(always)]
pub(super) fn add<S: Simd>(simd: S, sum: &mut Pair<S::F64>, term: Pair<S::F64>) {
    let upper = pair::sum(simd, sum.high, term.high);
    *sum = Pair { high: upper.high, low: simd.add_f64(sum.low, simd.add_f64(upper.low, term.low)) };
}

/// `valid` numbers, and zeros.
#[inline(always)]
pub(super) fn load<T: Bits, S: Simd>(simd: S, numbers: &[T], at: usize, valid: usize) -> S::F64 {
    let numbers = &numbers[at..at + valid];
    match numbers.first_chunk() {
        Some(numbers) => T::to_f64(simd, T::load(simd, numbers)),
        None => {
            let mut padded = [T::default(); LANES];
            padded[..valid].copy_from_slice(numbers);
            T::to_f64(simd, T::load(simd, &padded))
        }
    }
}

/// `numbers`, of each column, or 1 where there are none.
#[inline(always)]
pub(super) fn load_or<T: Bits, S: Simd>(
    simd: S,
    numbers: Option<&[T]>,
    at: usize,
    valid: usize,
    other: f64,
) -> S::F64 {
    match numbers {
        Some(numbers) => load(simd, numbers, at, valid),
        None => simd.splat_f64(other),
    }
}

/// What is known of the groups of the lanes; NaN where the definition must be asked.
#[derive(Clone, Copy)]
pub(super) struct Lanes<V> {
    pub(super) mean: Pair<V>,
    pub(super) factor: Pair<V>,
    /// x̂ is off by |d| times this, and
    pub(super) relative: V,
    /// this.
    pub(super) absolute: V,
}

impl<V: Copy> Lanes<V> {
    #[inline(always)]
    pub(super) fn of<S: Simd<F64 = V>>(simd: S, tile: &Tile, groups: &[Known]) -> Lanes<V> {
        let mean = Pair {
            high: of_quick(simd, tile, groups, |quick| quick.mean.high),
            low: of_quick(simd, tile, groups, |quick| quick.mean.low),
        };
        let factor = Pair {
            high: of_quick(simd, tile, groups, |quick| quick.factor.high),
            low: of_quick(simd, tile, groups, |quick| quick.factor.low),
        };
        let relative = of_quick(simd, tile, groups, |quick| quick.factor.high * (quick.relative + ROUNDINGS));
        let absolute = of_quick(simd, tile, groups, |quick| quick.factor.high * quick.absolute);
        Lanes { mean, factor, relative, absolute }
    }

    /// `x - m` and x̂.
    #[inline(always)]
    pub(super) fn normalised<S: Simd<F64 = V>>(&self, simd: S, x: V) -> (Pair<V>, Pair<V>) {
        let deviation = deviation(simd, x, self.mean);
        (deviation, pair::times(simd, deviation, self.factor))
    }

    /// What x̂ is off by, where the deviation has this magnitude.
    #[inline(always)]
    pub(super) fn error<S: Simd<F64 = V>>(&self, simd: S, deviation: V) -> V {
        simd.mul_add_f64(simd.abs_f64(deviation), self.relative, self.absolute)
    }
}

/// `x - m`.
#[inline(always)]
pub(super) fn deviation<S: Simd>(simd: S, x: S::F64, mean: Pair<S::F64>) -> Pair<S::F64> {
    let Pair { high, low } = pair::sum(simd, x, simd.neg_f64(mean.high));
    pair::settle(simd, high, simd.sub_f64(low, mean.low))
}

/// Writes what `result` rounds to, at `at`, if it is certain for all `valid` lanes where the result is off by at most `error`; else says for which it is not, a
/// bit for each lane. Zeros that are exact are `zero`.
#[inline(always)]
pub(super) fn store<T: Bits, S: Simd>(
    simd: S,
    result: Pair<S::F64>,
    error: S::F64,
    zero: S::F64,
    out: &mut [T],
) -> u32 {
    let size = simd.abs_f64(result.high);
    let is_zero = simd.less_f64(simd.add_f64(size, error), simd.splat_f64(f64::from_bits(1)));
    let (below, above) = if T::FORMAT.precision() == 53 {
        let small = simd.less_f64(size, simd.splat_f64(UNDERFLOW));
        let left_off = simd.select_f64(small, simd.splat_f64(LEFT_OFF), simd.splat_f64(0.0));
        let error = simd.add_f64(error, left_off);
        let below = simd.add_f64(result.high, simd.sub_f64(result.low, error));
        (below, simd.add_f64(result.high, simd.add_f64(result.low, error)))
    } else {
        // More than the rounding to f64 that comes first, where there is any.
        let inexact = simd.less_f64(simd.splat_f64(0.0), simd.add_f64(simd.abs_f64(result.low), error));
        let rounding = simd.mul_f64(size, simd.splat_f64(8.0 * f64::EPSILON));
        let error = simd.add_f64(error, simd.select_f64(inexact, rounding, error));
        (simd.sub_f64(result.high, error), simd.add_f64(result.high, error))
    };
    let below = simd.select_f64(is_zero, zero, below);
    let above = simd.select_f64(is_zero, zero, above);
    let mut rounded = [[T::default(); LANES]; 2];
    T::store_f64(simd, below, &mut rounded[0]);
    T::store_f64(simd, above, &mut rounded[1]);
    let valid = out.len();
    out.copy_from_slice(&rounded[0][..valid]);
    if T::agree(&rounded[0], &rounded[1]) {
        return 0;
    }
    let lanes = rounded[0][..valid].iter().zip(&rounded[1]).enumerate();
    lanes
        .fold(0, |unsure, (lane, (below, above))| unsure | u32::from(!T::agree(&[*below], &[*above])) << lane)
}

//! What a layer knows of each group: mean, variance, factor.

use super::quick::{Pass, Quick};
use super::{NormLayer, check_rows};
use crate::error::GradientError;
use crate::extended::Extended;
use crate::signed_sum::SignedSum;
use crate::stored::Gradients;
use gradchain_arith::Arithmetic;

/// The statistics of every group of a batch: one for each row, or for each column for BatchNorm.
#[derive(Clone, Debug)]
pub struct Statistics {
    pub(super) layer: NormLayer,
    pub(super) eps: f64,
    pub(super) width: usize,
    pub(super) rows: usize,
    pub(super) groups: Vec<Known>,
}

/// What is known of a group.
#[derive(Clone, Copy, Debug)]
pub(super) enum Known {
    /// Enough for vectors to decide nearly every result.
    Quick(Quick),
    /// What the definition takes.
    Defined(Group),
}

/// Whether x̂ is a number in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Finite numbers over a positive divisor.
    Finite,
    /// An infinity in a group that is not centred: the factor is 0.
    Infinite,
    /// A NaN, an infinity minus itself, or nothing to divide by.
    Undefined,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    pub(super) state: State,
    /// Numbers in the group; 1 where sums stand for means.
    pub(super) count: u64,
    /// The exact sum in two parts; zero if the group is not centred.
    sum: [Extended; 2],
    /// The variance, the mean square or the sum of squares, without ε.
    spread: Extended,
    /// 1 over the divisor.
    pub(super) factor: Extended,
    /// What a number (a deviation times the count, if centred) is multiplied by.
    rate: Extended,
    centred: bool,
    /// Whether the divisor depends on x.
    pub(super) varies: bool,
}

/// The statistics of `x`, `width` numbers a row, for `layer` with the ε `eps`.
///
/// # Errors
/// If `eps` is negative, infinite or NaN, or `x` is not made of whole rows.
pub fn statistics<A: Gradients>(
    arith: &A,
    layer: NormLayer,
    eps: f64,
    width: usize,
    x: &[A::Number],
) -> Result<Statistics, GradientError> {
    if !(eps >= 0.0 && eps.is_finite()) {
        return Err(GradientError::OutOfRange {
            what: "eps",
            value: eps,
            allowed: "0 and finite positive numbers",
        });
    }
    check_rows("x", x.len(), width)?;
    let rows = x.len().checked_div(width).unwrap_or(0);
    let mut statistics = Statistics { layer, eps, width, rows, groups: Vec::new() };
    let mut quick = vec![None; if layer.is_over_columns() { width } else { rows }];
    arith.layer_pass(Pass::Statistics { statistics: &statistics, x, quick: &mut quick }.into());
    let known = |(index, quick): (usize, Option<Quick>)| match quick {
        Some(mut quick) => {
            if quick.nearest.is_none() {
                let group = statistics.defined(arith, index, x);
                quick.nearest = Some([group.mean(), group.spread.to_nearest()]);
            }
            Known::Quick(quick)
        }
        None => Known::Defined(statistics.defined(arith, index, x)),
    };
    let groups = quick.into_iter().enumerate().map(known).collect();
    statistics.groups = groups;
    Ok(statistics)
}

impl Statistics {
    /// The layer.
    pub fn layer(&self) -> NormLayer {
        self.layer
    }

    /// Number of groups: rows, or columns for BatchNorm.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether there is no group.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The mean of group `index`, rounded to f64; 0 for RMSNorm and UnitNorm, which do not subtract it. NaN where x̂ is.
    ///
    /// # Panics
    /// If there is no such group.
    pub fn mean(&self, index: usize) -> f64 {
        match &self.groups[index] {
            Known::Quick(quick) => quick.nearest.map_or(f64::NAN, |[mean, _]| mean),
            Known::Defined(group) => group.mean(),
        }
    }

    /// The variance of group `index` about its mean, rounded to f64; for RMSNorm the mean square, for UnitNorm the sum of squares. Without ε. NaN
    /// where x̂ is NaN, else infinite if a number is.
    ///
    /// # Panics
    /// If there is no such group.
    pub fn variance(&self, index: usize) -> f64 {
        match &self.groups[index] {
            Known::Quick(quick) => quick.nearest.map_or(f64::NAN, |[_, spread]| spread),
            Known::Defined(group) => group.number(group.spread, f64::INFINITY),
        }
    }

    /// What the numbers of group `index` are multiplied by after centring, rounded to f64: 1 over the root or over the maximum. NaN where x̂
    /// is NaN, else 0 if a number is infinite.
    ///
    /// # Panics
    /// If there is no such group.
    pub fn factor(&self, index: usize) -> f64 {
        match &self.groups[index] {
            Known::Quick(quick) => quick.nearest_factor(),
            Known::Defined(group) => group.number(group.factor, 0.0),
        }
    }

    /// Numbers of a group.
    pub(super) fn members_each(&self) -> usize {
        if self.layer.is_over_columns() { self.rows } else { self.width }
    }

    /// What the definition takes of group `index` of `x`.
    pub(super) fn defined<A: Arithmetic>(&self, arith: &A, index: usize, x: &[A::Number]) -> Group {
        if let Some(Known::Defined(group)) = self.groups.get(index) {
            return *group;
        }
        let values: Vec<f64> = self.members(index).map(|(i, j)| arith.value(x[i * self.width + j])).collect();
        Group::of(self.layer, self.eps, &values)
    }

    /// The row and the column of each number of group `index`.
    pub(super) fn members(&self, index: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let over_columns = self.layer.is_over_columns();
        (0..self.members_each()).map(move |k| if over_columns { (k, index) } else { (index, k) })
    }

    /// The group of the number in `row` and `column`.
    pub(super) fn group_at(&self, row: usize, column: usize) -> usize {
        if self.layer.is_over_columns() { column } else { row }
    }
}

impl Group {
    fn of(layer: NormLayer, eps: f64, values: &[f64]) -> Group {
        let count = if layer == NormLayer::UnitNorm { 1 } else { values.len() as u64 };
        let centred = layer.is_centred();
        let mut group = Group {
            state: State::Undefined,
            count,
            sum: [Extended::ZERO; 2],
            spread: Extended::ZERO,
            factor: Extended::ZERO,
            rate: Extended::ZERO,
            centred,
            varies: true,
        };
        if values.is_empty() || values.iter().any(|x| x.is_nan() || (centred && x.is_infinite())) {
            return group;
        }
        if values.iter().any(|x| x.is_infinite()) {
            group.state = State::Infinite;
            return group;
        }
        if centred {
            group.sum = SignedSum::of(values.iter().copied()).parts();
        }
        let squares = values.iter().fold(Extended::ZERO, |sum, &x| {
            let deviation = group.deviation(x);
            sum.plus(deviation.times(deviation))
        });
        let mean = squares.divided_by(count);
        // Deviations are n times too large.
        group.spread = if centred { mean.divided_by(count).divided_by(count) } else { mean };
        let square = if layer == NormLayer::UnitNorm {
            let least = Extended::product(eps, eps);
            group.varies = !group.spread.is_below(least);
            if group.varies { group.spread } else { least }
        } else {
            group.spread.plus(Extended::from_f64(eps))
        };
        if square.is_zero() {
            return group;
        }
        group.state = State::Finite;
        group.factor = square.reciprocal_root();
        group.rate = if centred { group.factor.divided_by(count) } else { group.factor };
        group
    }

    /// `n x - Σ` if centred, else x.
    #[inline]
    fn deviation(&self, x: f64) -> Extended {
        if !self.centred {
            return Extended::from_f64(x);
        }
        // A whole number below 2^53 is an f64.
        Extended::product(self.count as f64, x).minus(self.sum[0]).minus(self.sum[1])
    }

    /// x̂ of `x`, a number of a group whose state is finite.
    #[inline]
    pub(super) fn normalised(&self, x: f64) -> Extended {
        self.deviation(x).times(self.rate).settled()
    }

    /// The mean rounded to f64.
    fn mean(&self) -> f64 {
        self.number(self.sum[0].plus(self.sum[1]).divided_by(self.count), 0.0)
    }

    /// `finite`, or what stands for it.
    fn number(&self, finite: Extended, infinite: f64) -> f64 {
        match self.state {
            State::Finite => finite.to_nearest(),
            State::Infinite => infinite,
            State::Undefined => f64::NAN,
        }
    }
}

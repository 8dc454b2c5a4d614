//! How many numbers of a gradient lie in each binade.

use crate::error::GradientError;
use gradchain_arith::{Arithmetic, Exact};
use std::collections::BTreeMap;

/// Counts of magnitudes by binade: binade e holds `2^e <= |g| < 2^(e+1)`. Histograms of parts of a gradient [`merge`](Histogram::merge) into that of the
/// whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    pub(super) binades: BTreeMap<i32, Binade>,
    /// Zeros of either sign.
    pub zeros: u64,
    /// Infinities of either sign.
    pub infinities: u64,
    /// NaNs.
    pub nans: u64,
}

/// The magnitudes of one binade.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Binade {
    /// How many there are.
    pub count: u64,
    /// How many of them are 2^e itself: at the edge of a format these round otherwise than the rest.
    pub powers: u64,
    /// The largest one, over 2^e.
    pub largest: f64,
}

impl Histogram {
    /// The histogram of the numbers of `tensors`.
    pub fn of<A: Arithmetic>(arith: &A, tensors: &[&[A::Number]]) -> Histogram {
        let mut histogram = Histogram::default();
        tensors.iter().flat_map(|tensor| tensor.iter()).for_each(|&g| histogram.add(arith.value(g)));
        histogram
    }

    /// The histogram with `zeros` zeros and, for each pair, so many magnitudes in the binade: what a publication prints. Magnitudes are taken for spread over
    /// their binade, its lower end left out and its upper end reached.
    ///
    /// # Errors
    /// If an exponent is not one of f64's, -1074 to 1023.
    pub fn from_binades(zeros: u64, counts: &[(i32, u64)]) -> Result<Histogram, GradientError> {
        let mut histogram = Histogram { zeros, ..Histogram::default() };
        for &(exponent, count) in counts {
            if !(-1074..=1023).contains(&exponent) {
                let (value, allowed) = (f64::from(exponent), "-1074 to 1023");
                return Err(GradientError::OutOfRange { what: "exponent of a binade", value, allowed });
            }
            if count > 0 {
                let binade = histogram.binades.entry(exponent).or_default();
                binade.count += count;
                binade.largest = 2.0 - f64::EPSILON;
            }
        }
        Ok(histogram)
    }

    /// Counts one number.
    pub fn add(&mut self, g: f64) {
        if g == 0.0 {
            self.zeros += 1;
        } else if g.is_infinite() {
            self.infinities += 1;
        } else if g.is_nan() {
            self.nans += 1;
        } else {
            let Exact { mantissa, exponent, .. } = Exact::from_f64(g.abs());
            let width = 127 - mantissa.leading_zeros() as i32;
            // At most 53 bits: exact.
            let over_power = mantissa as f64 / (1_u64 << width) as f64;
            let binade = self.binades.entry(exponent + width).or_default();
            binade.count += 1;
            binade.powers += u64::from(over_power == 1.0);
            binade.largest = binade.largest.max(over_power);
        }
    }

    /// Adds the counts of `other`.
    pub fn merge(&mut self, other: &Histogram) {
        self.zeros += other.zeros;
        self.infinities += other.infinities;
        self.nans += other.nans;
        for (&exponent, theirs) in &other.binades {
            let binade = self.binades.entry(exponent).or_default();
            binade.count += theirs.count;
            binade.powers += theirs.powers;
            binade.largest = binade.largest.max(theirs.largest);
        }
    }

    /// The count of each binade that holds a number, from the lowest on.
    pub fn binades(&self) -> impl Iterator<Item = (i32, u64)> {
        self.binades.iter().map(|(&exponent, binade)| (exponent, binade.count))
    }

    /// The finite numbers that are not zero.
    pub fn nonzero(&self) -> u64 {
        self.binades.values().map(|binade| binade.count).sum()
    }
}

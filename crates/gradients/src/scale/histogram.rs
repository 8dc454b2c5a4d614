//! How many numbers of a gradient have which magnitude.
//!
//! Magnitudes are counted by binade, and inside a binade by cell. Whatever scale a power of two is, a format draws its borders at places that depend on
//! its precision p alone (rounding to nearest): zero up to a power of two, that included; normal from the fraction 1 - 2^(1-p) of a binade on; beyond the largest
//! number from 1 - 2^-p on, in e4m3 above 13/16. So the cells are the power of two itself, one cell for each number of leading ones of the fraction, and a
//! cut at 13/16. Every border of every format lies between two cells, and counts are exact.

use super::fixed::check_scale;
use crate::error::GradientError;
use gradchain_arith::{Arithmetic, Exact, Format};
use std::collections::BTreeMap;

/// The magnitudes of a gradient, counted. Histograms of parts of a gradient [`merge`](Histogram::merge) into that of the whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Binade e holds `2^e <= |g| < 2^(e+1)`.
    binades: BTreeMap<i32, Binade>,
    /// Zeros of either sign.
    pub zeros: u64,
    /// Infinities of either sign.
    pub infinities: u64,
    /// NaNs.
    pub nans: u64,
}

/// The cells of a binade: 2^e; fractions with 0, 1, 2 (up to 13/16, and above), 3, … 52 leading ones.
const CELLS: usize = 55;

#[derive(Clone, Debug, PartialEq)]
struct Binade {
    cells: [u64; CELLS],
    /// Whether some of the numbers are known by their binade only.
    spread: bool,
}

/// A border: what lies below it lies in a lower binade, or in a lower cell of this one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Border {
    exponent: i32,
    cell: usize,
}

impl Border {
    /// 2^exponent.
    pub(super) fn power(exponent: i32) -> Border {
        Border { exponent, cell: 0 }
    }

    /// The least magnitude that does not become zero in `format`: above half the least number, which itself becomes zero (the tie goes to even).
    pub(super) fn not_zero(format: Format) -> Border {
        Border { exponent: format.min_exponent() - 1, cell: 1 }
    }

    /// The least magnitude that becomes a normal number of `format`: half a unit below the least one (the tie goes to even).
    pub(super) fn normal(format: Format) -> Border {
        Border { exponent: format.emin() - 1, cell: cell_of_ones(format.precision() - 1) }
    }

    /// The least magnitude that becomes infinity, or NaN: half a unit above the largest number, or above that where the tie goes to the number.
    pub(super) fn overflow(format: Format) -> Border {
        let cell = if format.has_infinities() {
            cell_of_ones(format.precision())
        } else {
            // e4m3, the one format without infinities, ends at 448 = 1.75 · 2^8; 464 = (1 + 13/16) · 2^8 still rounds to it.
            cell_of_ones(2) + 1
        };
        Border { exponent: format.emax(), cell }
    }

    /// The border of what is multiplied by 2^log2_scale first.
    pub(super) fn before_scaling(self, log2_scale: i32) -> Border {
        Border { exponent: self.exponent - log2_scale, ..self }
    }
}

impl Histogram {
    /// The histogram of the numbers of `tensors`.
    pub fn of<A: Arithmetic>(arith: &A, tensors: &[&[A::Number]]) -> Histogram {
        let mut histogram = Histogram::default();
        tensors.iter().flat_map(|tensor| tensor.iter()).for_each(|&g| histogram.add(arith.value(g)));
        histogram
    }

    /// The histogram with `zeros` zeros and, for each pair, so many magnitudes in the binade: what a publication prints.
    ///
    /// Magnitudes are taken for inside their binade, and the largest of them for at its upper end: none becomes zero or normal where only an end of the
    /// binade does, but the binade overflows where its end does.
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
                let binade = histogram.binade(exponent);
                binade.cells[cell_of_ones(0)] += count;
                binade.spread = true;
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
            let Exact { mantissa, exponent, .. } = Exact::from_f64(g);
            let mantissa = mantissa as u64;
            let zeros = mantissa.leading_zeros();
            // The fraction in units of 2^-64: the mantissa without its leading one.
            let fraction = mantissa << zeros << 1;
            self.binade(exponent + 63 - zeros as i32).cells[cell_of_fraction(fraction)] += 1;
        }
    }

    /// Adds the counts of `other`.
    pub fn merge(&mut self, other: &Histogram) {
        self.zeros += other.zeros;
        self.infinities += other.infinities;
        self.nans += other.nans;
        for (&exponent, theirs) in &other.binades {
            let binade = self.binade(exponent);
            for (count, theirs) in binade.cells.iter_mut().zip(theirs.cells) {
                *count += theirs;
            }
            binade.spread |= theirs.spread;
        }
    }

    /// The histogram of the gradient before it was multiplied by the loss scale `scale`; exact. What had become zero, infinite or NaN stays so.
    ///
    /// # Errors
    /// If `scale` is not a power of two from 2^-1022 to 2^1022.
    pub fn unscaled(self, scale: f64) -> Result<Histogram, GradientError> {
        check_scale(scale)?;
        let log2_scale = libm::ilogb(scale);
        let binades = self.binades.into_iter().map(|(exponent, binade)| (exponent - log2_scale, binade));
        Ok(Histogram { binades: binades.collect(), ..self })
    }

    /// The count of each binade that holds a number, from the lowest on.
    pub fn binades(&self) -> impl Iterator<Item = (i32, u64)> {
        self.binades.iter().map(|(&exponent, binade)| (exponent, binade.total()))
    }

    /// The finite numbers that are not zero.
    pub fn nonzero(&self) -> u64 {
        self.binades.values().map(Binade::total).sum()
    }

    /// The infinities and NaNs.
    pub fn non_finite(&self) -> u64 {
        self.infinities + self.nans
    }

    /// How many magnitudes lie below the border.
    pub(super) fn below(&self, border: Border) -> u64 {
        let whole: u64 = self.binades.range(..border.exponent).map(|(_, binade)| binade.total()).sum();
        let part = self.binades.get(&border.exponent);
        whole + part.map_or(0, |binade| binade.cells[..border.cell.min(CELLS)].iter().sum())
    }

    /// Whether the largest magnitude lies at or above the border; one known by its binade only is taken for at the binade's upper end.
    pub(super) fn reaches(&self, border: Border) -> bool {
        let Some((&exponent, binade)) = self.binades.last_key_value() else { return false };
        let top = binade.cells.iter().rposition(|&count| count > 0).unwrap_or(0);
        let top = if binade.spread { CELLS - 1 } else { top };
        (exponent, top) >= (border.exponent, border.cell)
    }

    /// The highest binade that holds a number.
    pub(super) fn top(&self) -> Option<i32> {
        self.binades.last_key_value().map(|(&exponent, _)| exponent)
    }

    fn binade(&mut self, exponent: i32) -> &mut Binade {
        self.binades.entry(exponent).or_insert(Binade { cells: [0; CELLS], spread: false })
    }
}

impl Binade {
    fn total(&self) -> u64 {
        self.cells.iter().sum()
    }
}

/// The first cell of the fractions with so many leading ones, and of none that is 0.
fn cell_of_ones(ones: u32) -> usize {
    let ones = ones as usize;
    if ones < 3 { ones + 1 } else { ones + 2 }
}

/// The cell of a fraction in units of 2^-64.
fn cell_of_fraction(fraction: u64) -> usize {
    if fraction == 0 {
        return 0;
    }
    let ones = fraction.leading_ones();
    cell_of_ones(ones) + usize::from(ones == 2 && fraction > 13 << 60)
}

//! Classification of numbers and exact counts.

use crate::format::Format;
use std::ops::AddAssign;

/// The five kinds of number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Zero of either sign.
    Zero,
    /// Non-zero, below the least normal number.
    Subnormal,
    /// Finite, at least the least normal number.
    Normal,
    /// Infinite.
    Infinite,
    /// Not a number.
    Nan,
}

impl Class {
    /// The class of `x`, a number of `format`.
    pub fn of(x: f64, format: Format) -> Class {
        let magnitude = x.abs();
        if x.is_nan() {
            Class::Nan
        } else if magnitude.is_infinite() {
            Class::Infinite
        } else if magnitude >= format.min_normal() {
            Class::Normal
        } else if magnitude > 0.0 {
            Class::Subnormal
        } else {
            Class::Zero
        }
    }
}

/// How many numbers of each class a vector holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Zeros of either sign.
    pub zero: u64,
    /// Subnormal numbers.
    pub subnormal: u64,
    /// Normal numbers.
    pub normal: u64,
    /// Infinities.
    pub infinite: u64,
    /// NaNs.
    pub nan: u64,
}

impl Counts {
    /// The counts over `values`, numbers of `format`.
    pub fn of(values: impl IntoIterator<Item = f64>, format: Format) -> Counts {
        let mut counts = Counts::default();
        for x in values {
            *match Class::of(x, format) {
                Class::Zero => &mut counts.zero,
                Class::Subnormal => &mut counts.subnormal,
                Class::Normal => &mut counts.normal,
                Class::Infinite => &mut counts.infinite,
                Class::Nan => &mut counts.nan,
            } += 1;
        }
        counts
    }

    /// The number of values counted.
    pub fn total(self) -> u64 {
        self.zero + self.subnormal + self.normal + self.infinite + self.nan
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.zero += other.zero;
        self.subnormal += other.subnormal;
        self.normal += other.normal;
        self.infinite += other.infinite;
        self.nan += other.nan;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Real;
    use half::{bf16, f16};

    /// Every 16-bit pattern, against the classes that the fields of the pattern spell out.
    #[test]
    fn all_patterns_of_both_16_bit_formats() {
        let by_fields = |bits: u16, fraction_bits: u32| {
            let fraction = bits & ((1 << fraction_bits) - 1);
            let top = (1u16 << (15 - fraction_bits)) - 1;
            match ((bits & 0x7fff) >> fraction_bits, fraction) {
                (0, 0) => Class::Zero,
                (0, _) => Class::Subnormal,
                (e, 0) if e == top => Class::Infinite,
                (e, _) if e == top => Class::Nan,
                _ => Class::Normal,
            }
        };
        for bits in 0..=u16::MAX {
            assert_eq!(
                Class::of(f16::from_bits(bits).value(), Format::F16),
                by_fields(bits, 10),
                "f16 {bits:#06x}"
            );
            assert_eq!(
                Class::of(bf16::from_bits(bits).value(), Format::BF16),
                by_fields(bits, 7),
                "bf16 {bits:#06x}"
            );
        }
        let counts = Counts::of((0..=u16::MAX).map(|bits| f16::from_bits(bits).value()), Format::F16);
        assert_eq!(counts, Counts { zero: 2, subnormal: 2046, normal: 61440, infinite: 2, nan: 2046 });
        assert_eq!(counts.total(), 65536);
    }
}

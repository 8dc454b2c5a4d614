//! Number formats as far as predictions need them, and where chains leave their range.

use crate::error::TheoryError;

/// Precision and range of a binary number format.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NumberFormat {
    precision: u32,
    min_exponent: i32,
    max_exponent: i32,
    largest: f64,
}

impl NumberFormat {
    /// The named formats of studies: IEEE 754 binary16, 32 and 64, bfloat16, TensorFloat-32, and the 8-bit formats of OCP (2023; Micikevicius et al.
    /// 2022, arXiv:2209.05433), of which e4m3 has no infinity and 448 as its largest number.
    pub const NAMED: [(&'static str, NumberFormat); 7] = [
        ("f16", NumberFormat { precision: 11, min_exponent: -14, max_exponent: 15, largest: 65504.0 }),
        ("bf16", NumberFormat { precision: 8, min_exponent: -126, max_exponent: 127, largest: 255.0 * P120 }),
        (
            "f32",
            NumberFormat { precision: 24, min_exponent: -126, max_exponent: 127, largest: f32::MAX as f64 },
        ),
        ("f64", NumberFormat { precision: 53, min_exponent: -1022, max_exponent: 1023, largest: f64::MAX }),
        ("e4m3", NumberFormat { precision: 4, min_exponent: -6, max_exponent: 8, largest: 448.0 }),
        ("e5m2", NumberFormat { precision: 3, min_exponent: -14, max_exponent: 15, largest: 57344.0 }),
        (
            "tf32",
            NumberFormat { precision: 11, min_exponent: -126, max_exponent: 127, largest: 2047.0 * P117 },
        ),
    ];

    /// The format of this name.
    ///
    /// # Errors
    /// If there is none.
    pub fn named(text: &str) -> Result<NumberFormat, TheoryError> {
        let found = NumberFormat::NAMED.iter().find(|(name, _)| *name == text);
        found.map(|&(_, format)| format).ok_or_else(|| TheoryError::Unknown {
            kind: "format",
            text: text.to_owned(),
            known: NumberFormat::NAMED.map(|(name, _)| name).join(", "),
        })
    }

    /// Any IEEE-like format of `precision` significant bits and normal exponents from `min_exponent` to `max_exponent`.
    ///
    /// # Errors
    /// If the precision is not in 2..=53 or the exponents are not in order within -1022..=1023.
    pub fn custom(precision: u32, min_exponent: i32, max_exponent: i32) -> Result<NumberFormat, TheoryError> {
        if !(2..=53).contains(&precision) {
            let value = f64::from(precision);
            return Err(TheoryError::OutOfRange { what: "precision", value, allowed: "2 to 53" });
        }
        if !(-1022..=1023).contains(&min_exponent) {
            let value = f64::from(min_exponent);
            return Err(TheoryError::OutOfRange { what: "min_exponent", value, allowed: "-1022 to 1023" });
        }
        if !(min_exponent..=1023).contains(&max_exponent) {
            let value = f64::from(max_exponent);
            return Err(TheoryError::OutOfRange {
                what: "max_exponent",
                value,
                allowed: "min_exponent to 1023",
            });
        }
        let largest = libm::ldexp(2.0 - libm::ldexp(1.0, 1 - precision as i32), max_exponent);
        Ok(NumberFormat { precision, min_exponent, max_exponent, largest })
    }

    /// Significant bits p.
    pub const fn precision(self) -> u32 {
        self.precision
    }

    /// The exponent of the largest number.
    pub const fn max_exponent(self) -> i32 {
        self.max_exponent
    }

    /// Unit roundoff `2^-p`.
    pub fn unit_roundoff(self) -> f64 {
        libm::ldexp(1.0, -(self.precision as i32))
    }

    /// The largest finite number.
    pub const fn largest(self) -> f64 {
        self.largest
    }

    /// Magnitudes from here on overflow under rounding to nearest: the largest number and half a unit in its last place. For f64 it is ∞, which
    /// no f64 below reaches; for e4m3, whose next number would be 480, the tie 464 itself still rounds down to 448.
    pub fn overflow_from(self) -> f64 {
        self.largest + libm::ldexp(1.0, self.max_exponent - self.precision as i32)
    }

    /// [`NumberFormat::overflow_from`] over the power of two of the largest number: between 1 and 2, which f64 itself can hold.
    pub fn overflow_significand(self) -> f64 {
        libm::ldexp(self.largest, -self.max_exponent) + self.unit_roundoff()
    }

    /// `log2` of [`NumberFormat::overflow_from`], for f64 as well (1024 - 1.6e-16, in f64 1024).
    pub fn log2_overflow(self) -> f64 {
        f64::from(self.max_exponent) + libm::log2(self.overflow_significand())
    }

    /// `log2` of the least normal number.
    pub fn log2_min_normal(self) -> f64 {
        f64::from(self.min_exponent)
    }

    /// `log2` of the least subnormal number.
    pub fn log2_min_subnormal(self) -> f64 {
        f64::from(self.min_exponent - self.precision as i32 + 1)
    }

    /// Magnitudes up to `2^this` round to 0 (the tie itself does): half the least subnormal number.
    pub fn log2_zero(self) -> f64 {
        self.log2_min_subnormal() - 1.0
    }

    /// Powers of two in the range, subnormal ones included: 40 for f16.
    pub fn powers_of_two(self) -> u32 {
        (self.max_exponent - self.min_exponent) as u32 + self.precision
    }
}

const P117: f64 = (1u128 << 117) as f64;
const P120: f64 = (1u128 << 120) as f64;

/// `log2` of the norm of n numbers of magnitude `2^log2_component` each: a threshold on components, drawn into a plot of norms.
pub fn log2_norm_of(log2_component: f64, width: usize) -> f64 {
    log2_component + 0.5 * libm::log2(width as f64)
}

/// The depth at which a norm that starts at `2^start` and grows by `rate` in log2 per layer passes `2^limit`: `(limit - start) / rate`, as a real
/// number. None if it never does, or an argument is NaN.
pub fn depth_until(start: f64, rate: f64, limit: f64) -> Option<f64> {
    let depth = (limit - start) / rate;
    (depth >= 0.0 && depth.is_finite()).then_some(depth)
}

//! Number formats: a few constants from which everything else follows.
//!
//! A number of a format is `± m · 2^(e - p + 1)` with an integer significand `m < 2^p` and `emin <= e <= emax`.
//! Numbers with `m >= 2^(p-1)` are normal; with `e = emin` and a smaller `m` they are subnormal.
//! The unit roundoff is `u = 2^-p`: the largest relative error of one rounding to nearest (IEEE 754-2019, 4.3.1).

use std::fmt;
use std::str::FromStr;

/// What the patterns with the largest exponent mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Specials {
    /// IEEE 754: the top exponent is kept for infinities and NaN.
    Infinities,
    /// The "fn" convention of the OCP 8-bit formats (OFP8, 2023): the top exponent holds numbers, only its all-ones
    /// significand is a NaN, and there is no infinity.
    NanOnly,
}

/// A number format: precision, exponent range, and what lies beyond the largest number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Format {
    precision: u32,
    emin: i32,
    emax: i32,
    specials: Specials,
}

impl Format {
    /// IEEE binary16: p = 11, largest number 65504.
    pub const F16: Format = Format::ieee(11, -14, 15);
    /// bfloat16: the exponents of binary32 with p = 8.
    pub const BF16: Format = Format::ieee(8, -126, 127);
    /// IEEE binary32: p = 24.
    pub const F32: Format = Format::ieee(24, -126, 127);
    /// IEEE binary64: p = 53.
    pub const F64: Format = Format::ieee(53, -1022, 1023);
    /// OCP E4M3 ("fn"): p = 4, largest number 448, no infinity.
    pub const E4M3: Format = Format { precision: 4, emin: -6, emax: 8, specials: Specials::NanOnly };
    /// OCP E5M2: p = 3, largest number 57344.
    pub const E5M2: Format = Format::ieee(3, -14, 15);
    /// TensorFloat-32 as a full format: p = 11 with the exponents of binary32 (the hardware only rounds operands to it).
    pub const TF32: Format = Format::ieee(11, -126, 127);

    /// The named formats, in the order in which they are listed to users.
    pub const NAMED: [(&'static str, Format); 7] = [
        ("f16", Format::F16),
        ("bf16", Format::BF16),
        ("f32", Format::F32),
        ("f64", Format::F64),
        ("e4m3", Format::E4M3),
        ("e5m2", Format::E5M2),
        ("tf32", Format::TF32),
    ];

    const fn ieee(precision: u32, emin: i32, emax: i32) -> Format {
        Format { precision, emin, emax, specials: Specials::Infinities }
    }

    /// A format with `precision` bits, normal exponents `emin..=emax`, infinities and NaN.
    ///
    /// # Errors
    /// If its numbers would not all be f64 numbers, or there would be none: allowed are `2 <= p <= 53`,
    /// `emin <= emax <= 1023` and `emin - p + 1 >= -1074`.
    pub fn custom(precision: u32, emin: i32, emax: i32) -> Result<Format, FormatError> {
        let out_of_range = |what, value| FormatError::OutOfRange { what, value };
        if !(2..=53).contains(&precision) {
            return Err(out_of_range("p", i64::from(precision)));
        }
        if emax > 1023 {
            return Err(out_of_range("emax", i64::from(emax)));
        }
        if emin > emax || emin < -1074 + precision as i32 - 1 {
            return Err(out_of_range("emin", i64::from(emin)));
        }
        Ok(Format::ieee(precision, emin, emax))
    }

    /// Number of significand bits p, the leading one included.
    pub const fn precision(self) -> u32 {
        self.precision
    }

    /// Exponent of the least normal number, 2^emin.
    pub const fn emin(self) -> i32 {
        self.emin
    }

    /// Exponent of the binade of the largest number.
    pub const fn emax(self) -> i32 {
        self.emax
    }

    /// What lies beyond the largest number.
    pub const fn specials(self) -> Specials {
        self.specials
    }

    /// Whether the format has infinities.
    pub const fn has_infinities(self) -> bool {
        matches!(self.specials, Specials::Infinities)
    }

    /// Unit roundoff u = 2^-p.
    pub fn unit_roundoff(self) -> f64 {
        pow2(-(self.precision as i32))
    }

    /// Largest finite number.
    pub fn max(self) -> f64 {
        let all_ones = (1u64 << self.precision) - 1;
        let significand = match self.specials {
            Specials::Infinities => all_ones,
            Specials::NanOnly => all_ones - 1,
        };
        ldexp(significand as f64, self.emax - self.precision as i32 + 1)
    }

    /// Least positive normal number, 2^emin.
    pub fn min_normal(self) -> f64 {
        pow2(self.emin)
    }

    /// Least positive number, the quantum of the subnormals, 2^(emin-p+1).
    pub fn min_subnormal(self) -> f64 {
        pow2(self.min_exponent())
    }

    /// Exponent of the least positive number: emin - p + 1.
    pub const fn min_exponent(self) -> i32 {
        self.emin - self.precision as i32 + 1
    }

    /// Whether the finite `x` is a number of the format.
    pub fn contains(self, x: f64) -> bool {
        if x == 0.0 {
            return true;
        }
        let (_, m, e) = decompose(x);
        let low = e + m.trailing_zeros() as i32;
        let high = e + 63 - m.leading_zeros() as i32;
        x.abs() <= self.max() && low >= (high.max(self.emin) - self.precision as i32 + 1)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Format::NAMED.iter().find(|(_, format)| format == self) {
            Some((name, _)) => f.pad(name),
            None => f.pad(&format!("custom:{},{},{}", self.precision, self.emin, self.emax)),
        }
    }
}

/// Why a text or a triple of numbers names no format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormatError {
    /// No format of this name.
    Unknown(String),
    /// A parameter of a custom format lies outside its range.
    OutOfRange {
        /// `p`, `emin` or `emax`.
        what: &'static str,
        /// The value given.
        value: i64,
    },
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FormatError::Unknown(name) => {
                let known: Vec<&str> = Format::NAMED.iter().map(|(name, _)| *name).collect();
                write!(f, "unknown format `{name}`; known: {}, custom:p,emin,emax", known.join(", "))
            }
            FormatError::OutOfRange { what, value } => write!(
                f,
                "custom format: {what} = {value} is out of range; allowed: 2 <= p <= 53, emin <= emax <= 1023, \
                 emin - p + 1 >= -1074"
            ),
        }
    }
}

impl std::error::Error for FormatError {}

impl FromStr for Format {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Format, FormatError> {
        if let Some((_, format)) = Format::NAMED.iter().find(|(name, _)| *name == text) {
            return Ok(*format);
        }
        let unknown = || FormatError::Unknown(text.to_owned());
        let numbers = text.strip_prefix("custom:").ok_or_else(unknown)?;
        let numbers: Vec<i32> =
            numbers.split(',').map(|n| n.trim().parse()).collect::<Result<_, _>>().map_err(|_| unknown())?;
        let &[precision, emin, emax] = numbers.as_slice() else { return Err(unknown()) };
        let precision = u32::try_from(precision)
            .map_err(|_| FormatError::OutOfRange { what: "p", value: i64::from(precision) })?;
        Format::custom(precision, emin, emax)
    }
}

/// 2^e for `-1074 <= e <= 1023`.
pub(crate) const fn pow2(e: i32) -> f64 {
    assert!(-1074 <= e && e <= 1023);
    if e >= -1022 { f64::from_bits(((e + 1023) as u64) << 52) } else { f64::from_bits(1 << (e + 1074)) }
}

/// `x · 2^e`, exact where the result is an f64 number; otherwise rounded, possibly twice below 2^-1022.
pub(crate) fn ldexp(x: f64, e: i32) -> f64 {
    let clamped = e.clamp(-3000, 3000);
    let first = clamped.clamp(-1000, 1000);
    let second = (clamped - first).clamp(-1000, 1000);
    let third = clamped - first - second;
    x * pow2(first) * pow2(second) * pow2(third)
}

/// The finite `x` as (is negative, m, e) with `|x| = m · 2^e` and `m < 2^53`.
#[inline]
pub(crate) fn decompose(x: f64) -> (bool, u64, i32) {
    let bits = x.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    let biased = ((bits >> 52) & 0x7ff) as i32;
    let (m, e) = if biased == 0 { (fraction, -1074) } else { (fraction | 1 << 52, biased - 1075) };
    (bits >> 63 == 1, m, e)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_match_the_published_tables() {
        // max, least normal, least subnormal: IEEE 754-2019 table 3.5, OFP8 table 1.
        let expected = [
            ("f16", 65504.0, 6.103515625e-5, 5.960464477539063e-8),
            ("bf16", 3.3895313892515355e38, f64::from(f32::MIN_POSITIVE), 9.183549615799121e-41),
            ("f32", f64::from(f32::MAX), f64::from(f32::MIN_POSITIVE), 1.401298464324817e-45),
            ("f64", f64::MAX, f64::MIN_POSITIVE, 5e-324),
            ("e4m3", 448.0, 0.015625, 0.001953125),
            ("e5m2", 57344.0, 6.103515625e-5, 1.52587890625e-5),
            ("tf32", 3.4011621342146535e38, f64::from(f32::MIN_POSITIVE), 1.1479437019748901e-41),
        ];
        for (name, max, min_normal, min_subnormal) in expected {
            let format: Format = name.parse().unwrap();
            assert_eq!(
                (format.max(), format.min_normal(), format.min_subnormal()),
                (max, min_normal, min_subnormal),
                "{name}"
            );
            assert_eq!(format.to_string(), name);
        }
    }

    #[test]
    fn custom_formats_parse_and_refuse() {
        let format: Format = "custom:5,-14,15".parse().unwrap();
        assert_eq!(format.unit_roundoff(), 1.0 / 32.0);
        assert_eq!(format.to_string(), "custom:5,-14,15");
        // The least number of all is the least f64.
        assert_eq!("custom:5,-1070,3".parse::<Format>().unwrap().min_subnormal(), 5e-324);
        for bad in [
            "f15",
            "custom:1,-14,15",
            "custom:54,-14,15",
            "custom:5,3,2",
            "custom:5,-14",
            "custom:5,-1071,3",
            "custom:5,-4,1024",
            "custom:x,1,2",
        ] {
            assert!(bad.parse::<Format>().is_err(), "{bad}");
        }
        assert!("f15".parse::<Format>().unwrap_err().to_string().contains("bf16"));
    }

    #[test]
    fn membership() {
        assert!(
            Format::F16.contains(65504.0) && !Format::F16.contains(65505.0) && !Format::F16.contains(65536.0)
        );
        assert!(Format::F16.contains(-5.960464477539063e-8) && !Format::F16.contains(2.98e-8));
        // A subnormal number has fewer bits.
        assert!(Format::F16.contains(1.5 * pow2(-23)) && !Format::F16.contains(1.25 * pow2(-23)));
        assert!(Format::E4M3.contains(448.0) && !Format::E4M3.contains(480.0) && Format::E4M3.contains(0.0));
    }

    #[test]
    fn ldexp_is_exact_over_the_whole_range() {
        assert_eq!(ldexp(1.0, -1074), 5e-324);
        assert_eq!(ldexp(5e-324, 1074 + 1023), pow2(1023));
        assert_eq!(ldexp(1.5, 100), 1.5 * pow2(100));
        assert_eq!(ldexp(1.0, 5000), f64::INFINITY);
        assert_eq!(ldexp(-1.0, -5000), 0.0);
    }
}

//! One rounding from an exact value to any format, in any direction.
//!
//! Everything that gradchain rounds is defined by [`round`]: the fast paths of the computed formats are proven equal to it.

use crate::exact::Exact;
use crate::format::{Format, ldexp};

/// Which of the two neighbouring numbers an inexact result becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rounding {
    /// To the nearest, ties to the even significand (IEEE roundTiesToEven).
    Nearest,
    /// Toward zero.
    Zero,
    /// Toward plus infinity.
    Up,
    /// Toward minus infinity.
    Down,
    /// Away from zero with the probability of the discarded fraction of a unit in the last place (Connolly, Higham and
    /// Mary 2021, mode 1), truncated to a multiple of 2^-64.
    Stochastic,
}

/// What becomes of results below the least normal number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subnormals {
    /// Gradual underflow.
    Keep,
    /// Zero of the same sign. Tininess is detected after rounding, as on x86.
    Flush,
}

/// What becomes of results beyond the largest number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Overflow {
    /// IEEE 754, 7.4: infinity where the rounding direction asks for it; NaN in a format that has no infinity.
    Infinity,
    /// The largest number with the sign of the result, infinite operands included (OFP8's saturating conversion).
    Saturate,
}

impl Rounding {
    /// All directions by name.
    pub const NAMED: [(&'static str, Rounding); 5] = [
        ("nearest", Rounding::Nearest),
        ("zero", Rounding::Zero),
        ("up", Rounding::Up),
        ("down", Rounding::Down),
        ("stochastic", Rounding::Stochastic),
    ];
}

impl Subnormals {
    /// Both treatments by name.
    pub const NAMED: [(&'static str, Subnormals); 2] =
        [("keep", Subnormals::Keep), ("flush", Subnormals::Flush)];
}

impl Overflow {
    /// Both treatments by name.
    pub const NAMED: [(&'static str, Overflow); 2] =
        [("infinity", Overflow::Infinity), ("saturate", Overflow::Saturate)];
}

/// How results enter a format: direction, underflow, overflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rules {
    /// Which neighbour an inexact result becomes.
    pub rounding: Rounding,
    /// What becomes of subnormal results.
    pub subnormals: Subnormals,
    /// What becomes of results that are too large.
    pub overflow: Overflow,
}

impl Default for Rules {
    /// IEEE 754's default: nearest, gradual underflow, infinities.
    fn default() -> Rules {
        Rules { rounding: Rounding::Nearest, subnormals: Subnormals::Keep, overflow: Overflow::Infinity }
    }
}

/// The f64 `x` rounded once into `format`. `random` holds the 64 random bits of [`Rounding::Stochastic`]; the other directions
/// ignore it.
pub fn round_f64(x: f64, format: Format, rules: Rules, random: u64) -> f64 {
    if x.is_nan() {
        return f64::NAN;
    }
    if x.is_infinite() {
        return beyond(format, rules, x < 0.0);
    }
    round(Exact::from_f64(x), format, rules, random)
}

/// The exact value `x` rounded once into `format`.
pub fn round(x: Exact, format: Format, rules: Rules, random: u64) -> f64 {
    let sign = if x.negative { -1.0 } else { 1.0 };
    if x.mantissa == 0 {
        return sign * 0.0;
    }
    let precision = format.precision() as i32;
    let leading = x.exponent + 127 - x.mantissa.leading_zeros() as i32;
    let top = match rules.subnormals {
        Subnormals::Keep => leading.max(format.emin()),
        Subnormals::Flush => leading,
    };
    // The result is a multiple of 2^quantum: cut the mantissa there and look at what falls off.
    let quantum = top - precision + 1;
    let cut = Cut::of(x.mantissa, quantum - x.exponent, x.sticky);
    let away = match rules.rounding {
        Rounding::Nearest => {
            cut.fraction > HALF || (cut.fraction == HALF && (cut.sticky || cut.kept & 1 == 1))
        }
        Rounding::Zero => false,
        Rounding::Up => !x.negative && cut.inexact(),
        Rounding::Down => x.negative && cut.inexact(),
        Rounding::Stochastic => random < cut.fraction,
    };
    let kept = cut.kept + u64::from(away);
    if kept == 0 {
        return sign * 0.0;
    }
    let leading = quantum + 63 - kept.leading_zeros() as i32;
    if leading > format.emax() {
        return overflow(format, rules, x.negative);
    }
    if leading < format.emin() && rules.subnormals == Subnormals::Flush {
        return sign * 0.0;
    }
    let magnitude = ldexp(kept as f64, quantum);
    if magnitude > format.max() {
        return overflow(format, rules, x.negative);
    }
    sign * magnitude
}

/// One half, as a fraction in units of 2^-64.
const HALF: u64 = 1 << 63;

/// A mantissa cut at a bit: what stays, the first 64 bits of what falls off, and whether anything lies below them.
struct Cut {
    kept: u64,
    fraction: u64,
    sticky: bool,
}

impl Cut {
    /// `mantissa / 2^shift`; the quotient fits 64 bits because the caller keeps at most 53.
    fn of(mantissa: u128, shift: i32, sticky: bool) -> Cut {
        if shift <= 0 {
            return Cut { kept: (mantissa << -shift) as u64, fraction: 0, sticky };
        }
        if shift >= 192 {
            // At most 128 bits of mantissa: all of it lies below the first 64 bits of the fraction.
            return Cut { kept: 0, fraction: 0, sticky: true };
        }
        let shift = shift as u32;
        let kept = if shift < 128 { (mantissa >> shift) as u64 } else { 0 };
        let (fraction, below) = if shift <= 64 {
            (((mantissa << (64 - shift)) as u64), 0)
        } else {
            ((mantissa >> (shift - 64)) as u64, mantissa & ((1u128 << (shift - 64)) - 1))
        };
        Cut { kept, fraction, sticky: sticky || below != 0 }
    }

    fn inexact(&self) -> bool {
        self.fraction != 0 || self.sticky
    }
}

/// A finite result beyond the largest number. Directions that point back at zero stop at the largest number (IEEE 754, 7.4).
fn overflow(format: Format, rules: Rules, negative: bool) -> f64 {
    let stops = match rules.rounding {
        Rounding::Nearest | Rounding::Stochastic => false,
        Rounding::Zero => true,
        Rounding::Up => negative,
        Rounding::Down => !negative,
    };
    if stops {
        return if negative { -format.max() } else { format.max() };
    }
    beyond(format, rules, negative)
}

/// What stands for an infinite value.
pub(crate) fn beyond(format: Format, rules: Rules, negative: bool) -> f64 {
    let magnitude = match (rules.overflow, format.has_infinities()) {
        (Overflow::Saturate, _) => format.max(),
        (Overflow::Infinity, true) => f64::INFINITY,
        (Overflow::Infinity, false) => return f64::NAN,
    };
    if negative { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nearest(x: f64, format: Format) -> f64 {
        round_f64(x, format, Rules::default(), 0)
    }

    fn directed(x: f64, format: Format, rounding: Rounding) -> f64 {
        round_f64(x, format, Rules { rounding, ..Rules::default() }, 0)
    }

    #[test]
    fn conversions_that_two_roundings_get_wrong() {
        let p = |e: i32| f64::powi(2.0, e);
        for (x, expected) in [
            (2047.4999999850988, 2047.0),
            (1.0 + p(-11) + p(-40), 1.0 + p(-10)),
            (p(-14) - p(-25) - p(-65), 1023.0 * p(-24)),
            (65520.0 - p(-20), 65504.0),
            (65519.99, 65504.0),
            (65520.0, f64::INFINITY),
            (p(-25), 0.0),
            (p(-25) + p(-60), p(-24)),
            (f64::from_bits(0x3f10020000001002), 6.109476089477539e-5),
        ] {
            assert_eq!(nearest(x, Format::F16), expected, "{x}");
        }
        assert_eq!(nearest(1.0 + p(-8) + p(-40), Format::BF16), 1.0078125);
        assert_eq!(nearest(464.0, Format::E4M3), 448.0);
        assert!(nearest(465.0, Format::E4M3).is_nan());
        assert_eq!(nearest(61439.0, Format::E5M2), 57344.0);
        assert_eq!(nearest(61440.0, Format::E5M2), f64::INFINITY);
    }

    #[test]
    fn directions_and_overflow() {
        let tiny = 1e-30;
        assert_eq!(directed(tiny, Format::F16, Rounding::Up), Format::F16.min_subnormal());
        assert_eq!(directed(tiny, Format::F16, Rounding::Down), 0.0);
        assert!(directed(-tiny, Format::F16, Rounding::Up).is_sign_negative());
        assert_eq!(directed(-tiny, Format::F16, Rounding::Down), -Format::F16.min_subnormal());
        assert_eq!(directed(1e300, Format::F16, Rounding::Zero), 65504.0);
        assert_eq!(directed(1e300, Format::F16, Rounding::Up), f64::INFINITY);
        assert_eq!(directed(-1e300, Format::F16, Rounding::Up), -65504.0);
        assert_eq!(directed(1e300, Format::F16, Rounding::Down), 65504.0);
        assert_eq!(directed(0.1, Format::F64, Rounding::Up), 0.1);
        let saturate = Rules { overflow: Overflow::Saturate, ..Rules::default() };
        assert_eq!(round_f64(465.0, Format::E4M3, saturate, 0), 448.0);
        assert_eq!(round_f64(f64::NEG_INFINITY, Format::E4M3, saturate, 0), -448.0);
        assert!(round_f64(f64::NAN, Format::E4M3, saturate, 0).is_nan());
        assert!(nearest(f64::INFINITY, Format::E4M3).is_nan());
    }

    #[test]
    fn flushing_detects_tininess_after_rounding() {
        let flush = Rules { subnormals: Subnormals::Flush, ..Rules::default() };
        let least = Format::F16.min_normal();
        assert_eq!(round_f64(least, Format::F16, flush, 0), least);
        assert_eq!(round_f64(least * (1.0 - 1.0 / 2048.0), Format::F16, flush, 0), 0.0);
        // Above the last midpoint of an unbounded exponent range the value rounds to the least normal number: not tiny.
        assert_eq!(round_f64(least * (1.0 - 1.0 / 8192.0), Format::F16, flush, 0), least);
        assert!(round_f64(-least / 2.0, Format::F16, flush, 0).is_sign_negative());
    }

    #[test]
    fn stochastic_rounding_goes_up_with_the_discarded_fraction() {
        let rules = Rules { rounding: Rounding::Stochastic, ..Rules::default() };
        let x = 1.0 + 0.25 / 1024.0; // a quarter of an f16 ulp above 1
        let up = 1.0 + 1.0 / 1024.0;
        let quarter = 1u64 << 62;
        assert_eq!(round_f64(x, Format::F16, rules, quarter - 1), up);
        assert_eq!(round_f64(x, Format::F16, rules, quarter), 1.0);
        assert_eq!(round_f64(1.0, Format::F16, rules, 0), 1.0);
        assert_eq!(round_f64(-x, Format::F16, rules, 0), -up);
        // Below the least subnormal the fraction is that of the quantum.
        assert_eq!(
            round_f64(Format::F16.min_subnormal() / 4.0, Format::F16, rules, quarter - 1),
            Format::F16.min_subnormal()
        );
        assert_eq!(round_f64(Format::F16.min_subnormal() / 4.0, Format::F16, rules, quarter), 0.0);
        // All of a mantissa of 128 bits lies below the quantum, by 150 - 128 binades: 2^-23 of it are left.
        let exponent = Format::F16.min_exponent() - 150;
        let x = Exact { negative: false, mantissa: 1 << 127, exponent, sticky: false };
        assert_eq!(round(x, Format::F16, rules, (1 << 41) - 1), Format::F16.min_subnormal());
        assert_eq!(round(x, Format::F16, rules, 1 << 41), 0.0);
    }
}

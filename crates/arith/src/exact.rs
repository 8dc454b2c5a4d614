//! Exact results of single operations, by integer arithmetic.
//!
//! `± mantissa · 2^exponent`, with `sticky` set where a non-zero part below the last bit of the mantissa was left off. Sums, products
//! and fused multiply-adds of f64 numbers and their quotients fit: 128 bits hold the exact result, or at least
//! 64 bits of it and the sticky bit, which is all that one rounding to 53 bits or fewer can ask for.

use crate::format::decompose;

/// An exact value, or its first bits with a mark that more follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exact {
    /// The sign, also that of a zero.
    pub negative: bool,
    /// The significand as an integer; zero only for an exact zero.
    pub mantissa: u128,
    /// The exponent of the mantissa's last bit.
    pub exponent: i32,
    /// Whether the magnitude is larger than the mantissa says, by less than one unit of its last bit.
    pub sticky: bool,
}

impl Exact {
    /// The finite f64 `x`.
    #[inline]
    pub fn from_f64(x: f64) -> Exact {
        debug_assert!(x.is_finite());
        let (negative, m, exponent) = decompose(x);
        Exact { negative, mantissa: u128::from(m), exponent, sticky: false }
    }

    /// `a · b`: at most 106 bits.
    pub fn product(a: f64, b: f64) -> Exact {
        let (a, b) = (Exact::from_f64(a), Exact::from_f64(b));
        Exact {
            negative: a.negative != b.negative,
            mantissa: a.mantissa * b.mantissa,
            exponent: a.exponent + b.exponent,
            sticky: false,
        }
    }

    /// `a / b` for finite `a` and finite non-zero `b`: 73 bits or more of the quotient.
    pub fn quotient(a: f64, b: f64) -> Exact {
        let (a, b) = (Exact::from_f64(a), Exact::from_f64(b));
        debug_assert!(b.mantissa != 0);
        if a.mantissa == 0 {
            return Exact { negative: a.negative != b.negative, ..a };
        }
        let shift = a.mantissa.leading_zeros() - 1;
        let dividend = a.mantissa << shift;
        Exact {
            negative: a.negative != b.negative,
            mantissa: dividend / b.mantissa,
            exponent: a.exponent - shift as i32 - b.exponent,
            sticky: dividend % b.mantissa != 0,
        }
    }

    /// `a + b` for values of at most 106 bits without sticky part. An exact zero sum of opposite signs is negative where
    /// `zero_is_negative` (IEEE 754, 6.3: only when rounding down).
    pub fn sum(a: Exact, b: Exact, zero_is_negative: bool) -> Exact {
        debug_assert!(!a.sticky && !b.sticky);
        if a.mantissa == 0 || b.mantissa == 0 {
            return match (a.mantissa == 0, b.mantissa == 0) {
                (true, true) if a.negative == b.negative => a,
                (true, true) => Exact { negative: zero_is_negative, ..a },
                (true, false) => b,
                (false, _) => a,
            };
        }
        let (high, low) = if a.leading() >= b.leading() { (a, b) } else { (b, a) };
        // The larger one's leading bit goes to bit 125: a carry fits above it, and where the smaller one loses bits below bit 0 it
        // lies at least 20 binades lower, so that no cancellation can bring the lost bits up.
        let shift = high.mantissa.leading_zeros() - 2;
        let exponent = high.exponent - shift as i32;
        let high_bits = high.mantissa << shift;
        let (low_bits, sticky) = if low.exponent >= exponent {
            (low.mantissa << (low.exponent - exponent), false)
        } else {
            let lost = (exponent - low.exponent) as u32;
            if lost >= 128 {
                (0, true)
            } else {
                (low.mantissa >> lost, low.mantissa & ((1 << lost) - 1) != 0)
            }
        };
        if high.negative == low.negative {
            return Exact { negative: high.negative, mantissa: high_bits + low_bits, exponent, sticky };
        }
        if high_bits == low_bits && !sticky {
            return Exact { negative: zero_is_negative, mantissa: 0, exponent, sticky };
        }
        // With equal leading bits the "low" one may be the larger; then nothing of it was lost.
        if low_bits > high_bits {
            return Exact { negative: low.negative, mantissa: low_bits - high_bits, exponent, sticky };
        }
        Exact {
            negative: high.negative,
            mantissa: high_bits - low_bits - u128::from(sticky),
            exponent,
            sticky,
        }
    }

    /// Exponent of the leading bit.
    fn leading(self) -> i32 {
        self.exponent + 127 - self.mantissa.leading_zeros() as i32
    }
}

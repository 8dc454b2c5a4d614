//! Numbers of 126 bits with any exponent.
//!
//! The layers compute in them: products of two f64 numbers are exact, nothing overflows or underflows, and a result is so far from the rounding
//! error of f64 that one more rounding, into the format, is the only one that shows.

use crate::norm::Norm;
use gradchain_arith::{Arithmetic, Exact};

/// The exponent of the leading bit of a mantissa.
const LEADING: i32 = 125;
/// Bits that [`Extended::settled`] rounds off.
const UNSETTLED: u32 = 14;

/// `± mantissa · 2^exponent`.
///
/// The mantissa has 126 bits, or is zero. Operations round to odd: they cut off, and set the last bit where something was cut off, so that a later
/// rounding to at most 124 bits sees on which side of a midpoint the result lies (Boldo and Melquiond 2008). Relative error below 2^-125 each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Extended {
    negative: bool,
    mantissa: u128,
    exponent: i32,
}

impl Extended {
    /// +0.
    pub(crate) const ZERO: Extended = Extended { negative: false, mantissa: 0, exponent: 0 };

    /// `± m · 2^exponent`, and a little more where `sticky`.
    #[inline]
    pub(crate) fn normalised(negative: bool, m: u128, exponent: i32, sticky: bool) -> Extended {
        if m == 0 {
            return Extended { negative, ..Extended::ZERO };
        }
        let zeros = m.leading_zeros();
        let room = 127 - LEADING as u32;
        if zeros >= room {
            let shift = zeros - room;
            let mantissa = m << shift | u128::from(sticky);
            return Extended { negative, mantissa, exponent: exponent - shift as i32 };
        }
        let shift = room - zeros;
        let lost = m & ((1 << shift) - 1) != 0;
        let mantissa = m >> shift | u128::from(sticky || lost);
        Extended { negative, mantissa, exponent: exponent + shift as i32 }
    }

    /// The finite f64 `x`.
    #[inline]
    pub(crate) fn from_f64(x: f64) -> Extended {
        let Exact { negative, mantissa, exponent, .. } = Exact::from_f64(x);
        Extended::normalised(negative, mantissa, exponent, false)
    }

    /// `a · b` of finite f64 numbers; exact.
    #[inline]
    pub(crate) fn product(a: f64, b: f64) -> Extended {
        let Exact { negative, mantissa, exponent, .. } = Exact::product(a, b);
        Extended::normalised(negative, mantissa, exponent, false)
    }

    pub(crate) fn is_negative(self) -> bool {
        self.negative
    }

    pub(crate) fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    pub(crate) fn mantissa(self) -> u128 {
        self.mantissa
    }

    /// The exponent of the mantissa's last bit.
    pub(crate) fn exponent(self) -> i32 {
        self.exponent
    }

    pub(crate) fn negated(self) -> Extended {
        Extended { negative: !self.negative, ..self }
    }

    /// `self + other`. The sum of opposite numbers is +0.
    #[inline]
    pub(crate) fn plus(self, other: Extended) -> Extended {
        if self.is_zero() || other.is_zero() {
            return match (self.is_zero(), other.is_zero()) {
                (true, true) => Extended { negative: self.negative && other.negative, ..Extended::ZERO },
                (true, false) => other,
                (false, _) => self,
            };
        }
        let (high, low) = if self.exponent >= other.exponent { (self, other) } else { (other, self) };
        // One bit below the last one: with exponents that differ by at most one, where all bits may cancel, the difference is exact.
        let (high_bits, exponent) = (high.mantissa << 1, high.exponent - 1);
        let lost = (high.exponent - low.exponent).min(127) as u32;
        let low_bits = (low.mantissa << 1) >> lost;
        let sticky = (low.mantissa << 1) & ((1 << lost) - 1) != 0;
        if high.negative == low.negative {
            return Extended::normalised(high.negative, high_bits + low_bits, exponent, sticky);
        }
        if high_bits == low_bits && !sticky {
            return Extended::ZERO;
        }
        if low_bits > high_bits {
            return Extended::normalised(low.negative, low_bits - high_bits, exponent, false);
        }
        Extended::normalised(high.negative, high_bits - low_bits - u128::from(sticky), exponent, sticky)
    }

    /// `self - other`.
    #[inline]
    pub(crate) fn minus(self, other: Extended) -> Extended {
        self.plus(other.negated())
    }

    /// `self · other`.
    #[inline]
    pub(crate) fn times(self, other: Extended) -> Extended {
        let negative = self.negative != other.negative;
        // Three more bits, so that the upper half of the product has 126 or 127.
        let (high, low) = full_product(self.mantissa << 2, other.mantissa << 1);
        Extended::normalised(negative, high, self.exponent + other.exponent + 125, low != 0)
    }

    /// `self / n` for a count `n` that is not zero.
    #[inline]
    pub(crate) fn divided_by(self, n: u64) -> Extended {
        if self.is_zero() {
            return self;
        }
        if n.is_power_of_two() {
            return Extended { exponent: self.exponent - n.trailing_zeros() as i32, ..self };
        }
        let n = u128::from(n);
        let dividend = self.mantissa << 2;
        let quotient = dividend / n;
        // The quotient has at least 64 bits, so that the rest and as many zeros fit 128.
        let shift = quotient.leading_zeros();
        let rest = (dividend - quotient * n) << shift;
        let below = rest / n;
        let mantissa = (quotient << shift) | below;
        Extended::normalised(self.negative, mantissa, self.exponent - 2 - shift as i32, below * n != rest)
    }

    /// `1 / sqrt(self)` for a positive number, relative error below 2^-122: Newton's iteration twice from the root in f64.
    pub(crate) fn reciprocal_root(self) -> Extended {
        debug_assert!(!self.is_zero() && !self.negative);
        // A number from 1 to 4, and an even exponent.
        let even = (self.exponent + LEADING) & !1;
        let reduced = Extended { exponent: self.exponent - even, ..self };
        let one = Extended::from_f64(1.0);
        let mut root = Extended::from_f64(1.0 / reduced.to_nearest().sqrt());
        for _ in 0..2 {
            let rest = one.minus(reduced.times(root).times(root));
            let half = Extended { exponent: rest.exponent - 1, ..rest };
            root = root.plus(root.times(half));
        }
        Extended { exponent: root.exponent - even / 2, ..root }
    }

    /// The number rounded to nearest at 112 bits: the 14 bits that are left off hold the errors of a few operations, so that a result that is
    /// exactly a short number (a row of equal numbers over its own root mean square) becomes that number.
    pub(crate) fn settled(self) -> Extended {
        let rounded = (self.mantissa + (1 << (UNSETTLED - 1))) >> UNSETTLED << UNSETTLED;
        Extended::normalised(self.negative, rounded, self.exponent, false)
    }

    /// Whether the magnitude is below that of `other`.
    pub(crate) fn is_below(self, other: Extended) -> bool {
        match (self.is_zero(), other.is_zero()) {
            (_, true) => false,
            (true, false) => true,
            (false, false) => (self.exponent, self.mantissa) < (other.exponent, other.mantissa),
        }
    }

    /// A number that is not negative, rounded to 53 bits whatever its exponent.
    pub(crate) fn to_norm(self) -> Norm {
        Norm::rounded(self.mantissa, i64::from(self.exponent), false)
    }

    /// The nearest f64, ties to even; infinite from `(2 - 2^-53) · 2^1023` on.
    #[inline]
    pub(crate) fn to_nearest(self) -> f64 {
        self.cut(f64::INFINITY, |m, lost, half| m + u64::from(lost > half || (lost == half && m & 1 == 1)))
    }

    /// The f64 that rounding to odd gives: the number itself, or the neighbour of it whose last bit is set. Never infinite.
    #[inline]
    fn to_odd(self) -> f64 {
        self.cut(f64::MAX, |m, lost, _| m | u64::from(lost != 0))
    }

    /// The f64 of the bits of f64 that `round` makes of (the bits of f64, what was cut off them, and half a unit of their last one), or `beyond`.
    #[inline(always)]
    fn cut(self, beyond: f64, round: impl Fn(u64, u128, u128) -> u64) -> f64 {
        let top = self.exponent + LEADING;
        let magnitude = if self.is_zero() {
            0
        } else if top > 1023 {
            beyond.to_bits()
        } else {
            let shift = (LEADING - 52 + (-1022 - top).max(0)).min(127) as u32;
            let m =
                round((self.mantissa >> shift) as u64, self.mantissa & ((1 << shift) - 1), 1 << (shift - 1));
            // The leading bit of a normal number is the first bit of its exponent: added, it makes 1 of 0. So does a carry.
            (((top.max(-1022) + 1022) as u64) << 52) + m
        };
        f64::from_bits(u64::from(self.negative) << 63 | magnitude)
    }

    /// The number rounded once by `arith`. In formats of more than 51 bits, or with subnormal numbers next to those of f64, it is rounded to the
    /// nearest f64 first.
    #[inline]
    pub(crate) fn round<A: Arithmetic>(self, arith: &A) -> A::Number {
        let format = arith.format();
        if format.precision() <= 51 && format.min_exponent() >= -1072 {
            arith.round(self.to_odd())
        } else {
            arith.round(self.to_nearest())
        }
    }
}

/// The 256 bits of `a · b`.
#[inline]
fn full_product(a: u128, b: u128) -> (u128, u128) {
    let low = |x: u128| u128::from(x as u64);
    let (a1, a0, b1, b0) = (a >> 64, low(a), b >> 64, low(b));
    let (high, cross, other, small) = (a1 * b1, a1 * b0, a0 * b1, a0 * b0);
    let middle = (small >> 64) + low(cross) + low(other);
    (high + (cross >> 64) + (other >> 64) + (middle >> 64), middle << 64 | low(small))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradchain_arith::{Format, Rounding, Rules, round};

    /// Random numbers of which many lie on midpoints of f64 or next to them, over all exponents.
    fn draws() -> impl Iterator<Item = Extended> {
        let mut state = 1_u64;
        (0..40_000).map(move |i| {
            let mut next = || {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                u128::from(state >> 16)
            };
            let kept = [126, 53, 54, 52, 30, 3][i % 6];
            let mantissa = (next() << 78 | next() << 39 | next()) & !(u128::MAX >> 2 >> kept) | 1 << 125;
            let mantissa =
                (mantissa & (u128::MAX >> 2)).saturating_add_signed(i128::from(i as i64 / 6 % 3 - 1));
            let exponent = (next() % 2300) as i32 - 1150 - LEADING;
            Extended::normalised(i % 2 == 0, mantissa, exponent, false)
        })
    }

    /// The roundings to f64 are those of the integer definition.
    #[test]
    fn roundings_to_f64() {
        for x in draws() {
            let exact =
                Exact { negative: x.negative, mantissa: x.mantissa, exponent: x.exponent, sticky: false };
            let with = |rounding| round(exact, Format::F64, Rules { rounding, ..Rules::default() }, 0);
            assert_eq!(x.to_nearest().to_bits(), with(Rounding::Nearest).to_bits(), "{x:?}");
            let zero = with(Rounding::Zero);
            let away = with(if x.negative { Rounding::Down } else { Rounding::Up });
            let odd =
                if zero == away || zero.to_bits() & 1 == 1 || zero.abs() == f64::MAX { zero } else { away };
            assert_eq!(x.to_odd().to_bits(), odd.to_bits(), "{x:?}");
        }
    }

    /// What 126 bits hold is exact, and undone exactly; the rest is cut off to odd.
    #[test]
    fn operations() {
        let one = Extended::from_f64(1.0);
        let unit = Extended { exponent: one.exponent, mantissa: 1 << LEADING, ..one };
        let last = Extended { exponent: unit.exponent - LEADING, ..unit };
        assert_eq!(unit, one);
        for x in draws() {
            for n in [1, 3, 10, 1 << 40, u64::MAX] {
                let quotient = x.divided_by(n);
                let back = quotient.times(Extended::normalised(false, n.into(), 0, false));
                // Two roundings to odd.
                let error = back.minus(x);
                assert!(
                    error.is_zero() || error.times(one).exponent <= x.exponent - LEADING + 2,
                    "{x:?} / {n}"
                );
            }
            assert!(x.minus(x).is_zero() && !x.minus(x).negative);
            let positive = Extended { negative: false, ..x };
            let root = positive.reciprocal_root();
            let rest = root.times(root).times(positive).minus(one);
            assert!(rest.to_nearest().abs() < f64::powi(2.0, -121), "{x:?}");
        }
        // Neighbours cancel exactly, across a binade too.
        let below = one.minus(last);
        assert_eq!(below.minus(one), last.negated());
        let half = Extended { exponent: last.exponent - 1, ..last };
        let under = Extended::normalised(false, (1 << (LEADING + 1)) - 1, -LEADING - 1, false);
        assert_eq!((one.minus(under), under.plus(half)), (half, one));
        // A rest of any size sets the last bit, and is undone by settling.
        let tiny = Extended::from_f64(f64::from_bits(1));
        assert_eq!(one.plus(tiny).mantissa, (1 << LEADING) | 1);
        assert_eq!(one.minus(tiny).mantissa, (1 << (LEADING + 1)) - 1);
        assert_eq!((one.plus(tiny).settled(), one.minus(tiny).settled()), (one, one));
        // So do the rest of a quotient, and the bit that a carry pushes out.
        assert!((3..100_u64).all(|n| n.is_power_of_two() || one.divided_by(n).mantissa & 1 == 1));
        let even = Extended { mantissa: one.mantissa | 4, ..one };
        assert_eq!(even.plus(Extended { mantissa: even.mantissa | 1, ..one }).mantissa, (1 << LEADING) | 5);
        // Three thirds are one only where they settle.
        let thirds = one.divided_by(3).times(Extended::from_f64(3.0));
        assert!(thirds != one && thirds.settled() == one);
        assert!(!one.is_below(one) && !one.is_below(Extended::ZERO) && Extended::ZERO.is_below(tiny));
    }
}

//! From a function of a real number to its value in a format: computed closely, rounded once.
//!
//! For formats of at most 24 bits the function is computed in f64 and that result is rounded. Above 12 bits this is done only where the
//! f64 result lies so far from a rounding midpoint that its error cannot matter; else, and for all wider formats, it is computed in
//! double-double, first with 62 bits, then with 100 (98 for σ' next to 0; Ziv 1991, "Fast evaluation of elementary mathematical functions with correctly
//! rounded last bit"). For the formats of at most 12 bits the tests try every input.
//!
//! Rounding to nearest is correct, up to the chance that a result agrees with a midpoint to 100 bits. The other directions round
//! the same close value: they are correct where [`strictly_between`] says on which side of a number of the format it lies, and else
//! wrong with a chance of about 2^-25 in f32 (that the value lies within an f64 error of a number of the format by accident). In an
//! emulated format of 52 or 53 bits that is not f64, and below 2^-960, the directed roundings see the nearest value.

use crate::pair::Pair;
use gradchain_arith::{Arithmetic, Exact, Format, Rules, round};

/// `pair · 2^exponent`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scaled {
    pub(crate) pair: Pair,
    pub(crate) exponent: i32,
}

impl From<Pair> for Scaled {
    fn from(pair: Pair) -> Scaled {
        Scaled { pair, exponent: 0 }
    }
}

impl Scaled {
    /// The value rounded once, to nearest, into a format of f64 numbers.
    pub(crate) fn nearest(self, format: Format) -> f64 {
        let exact = Exact::sum(Exact::from_f64(self.pair.high), Exact::from_f64(self.pair.low), false);
        round(Exact { exponent: exact.exponent + self.exponent, ..exact }, format, Rules::default(), 0)
    }

    /// The value rounded once by `arith`. Below 2^-960 it is rounded to the nearest f64 first, which changes nothing for f64 itself.
    pub(crate) fn round<A: Arithmetic>(self, arith: &A) -> A::Number {
        let leading = exponent_of(self.pair.high) + self.exponent;
        if leading < -960 {
            return arith.round(self.nearest(Format::F64));
        }
        let Pair { high, low } = self.pair.scale(power_of_two(self.exponent));
        let format = arith.format();
        if format == Format::F64 {
            // Both parts are numbers of the format, and a sum is rounded once.
            arith.add(arith.round(high), arith.round(low))
        } else if format.precision() > 51 {
            arith.round(self.nearest(format))
        } else {
            // Rounding to odd leaves the second rounding all it needs (Boldo and Melquiond 2008, theorem 1).
            arith.round(to_odd(high, low))
        }
    }

    /// Whether rounding the high part gives the value to nearest and the low part its side, when both are wrong by no more than 2^-62
    /// of the value.
    fn certain(self) -> bool {
        let Pair { high, low } = self.pair;
        let error = high.abs() * power_of_two(-62);
        let normal = exponent_of(high) + self.exponent > -960;
        normal && low.abs() > error && high + (low - error) == high + (low + error)
    }
}

/// `f(x)` in the format of `arith`, rounded once, where `quick` gives f in f64 with an error of at most 16 ulp, `close` as a scaled pair
/// with 62 bits, `closest` with 100. NaN gives NaN. An infinite x goes to `quick` alone, which must give the limit.
#[inline]
pub(crate) fn rounded<A: Arithmetic>(
    arith: &A,
    x: A::Number,
    quick: impl Fn(f64) -> f64,
    close: impl Fn(f64) -> Scaled,
    closest: impl Fn(f64) -> Scaled,
) -> A::Number {
    let format = arith.format();
    let x = arith.value(x);
    if x.is_nan() {
        return arith.round(f64::NAN);
    }
    // At zero the functions have exact values, which f64 finds.
    if x.is_infinite() || x == 0.0 {
        return arith.round(quick(x));
    }
    if format.precision() <= 24 && format.min_exponent() >= -900 {
        let y = quick(x);
        if format.precision() <= 12 || certain(y, format) {
            return arith.round(y);
        }
        return closest(x).round(arith);
    }
    let first = close(x);
    if first.certain() { first.round(arith) } else { closest(x).round(arith) }
}

/// Whether every number within 16 ulp of the f64 `y` rounds to the same number of `format`, to nearest. For formats of at most 24 bits.
pub(crate) fn certain(y: f64, format: Format) -> bool {
    const ULPS: u64 = 16;
    let leading = exponent_of(y);
    let significand = y.to_bits() & ((1 << 52) - 1) | 1 << 52;
    // The result is a multiple of 2^quantum, 2^cut ulps of y; midpoints lie halfway between these multiples.
    let quantum = leading.max(format.emin()) - format.precision() as i32 + 1;
    let cut = quantum - (leading - 52);
    if cut > 54 {
        // Less than half the least number.
        return true;
    }
    let below = significand & ((1 << cut) - 1);
    below.abs_diff(1 << (cut - 1)) > ULPS
}

/// `y`, moved into the open interval when it has been rounded onto an end of it: for a value that is known to lie inside.
#[inline]
pub(crate) fn strictly_between(low: f64, high: f64, y: f64) -> f64 {
    y.clamp(low.next_up(), high.next_down())
}

/// `high + low` rounded to odd: `high` where that is exact or its last bit is 1, else its neighbour on the side of `low`.
fn to_odd(high: f64, low: f64) -> f64 {
    let bits = high.to_bits();
    if low == 0.0 || bits & 1 == 1 {
        high
    } else if (low > 0.0) == (high > 0.0) {
        f64::from_bits(bits + 1)
    } else {
        f64::from_bits(bits - 1)
    }
}

/// The exponent of the leading bit of a finite number; -1023 for zero and below the normal range.
fn exponent_of(x: f64) -> i32 {
    ((x.to_bits() >> 52) & 0x7ff) as i32 - 1023
}

/// 2^k as an f64, for `-1022 <= k <= 1023`.
#[inline]
pub(crate) const fn power_of_two(k: i32) -> f64 {
    debug_assert!(-1022 <= k && k <= 1023);
    f64::from_bits(((k + 1023) as u64) << 52)
}

/// The greatest distance of `quick` from `closest` in ulps over numbers from 2^-90 to 100, of both signs.
#[cfg(test)]
pub(crate) fn greatest_ulps(quick: impl Fn(f64) -> f64, closest: impl Fn(f64) -> Scaled) -> f64 {
    let mut greatest: f64 = 0.0;
    for i in 0..60_000 {
        // Two in three within the range where the functions bend.
        let power = if i % 3 == 0 { i % 97 - 90 } else { i % 11 - 5 };
        let x = (1.0 + f64::from(i) / 60_000.0) * power_of_two(power) * [1.0, -1.0][i as usize % 2];
        let (y, close) = (quick(x), closest(x));
        let Pair { high, low } = close.pair.scale(power_of_two(close.exponent));
        let ulp = high.abs().next_up() - high.abs();
        greatest = greatest.max(((y - high) - low).abs() / ulp);
    }
    greatest
}

//! Norms of any order p: `m (Σ (|x| / m)^p)^(1/p)` with the largest magnitude m.
//!
//! Nothing overflows, since every quotient is at most 1, and of the quotients that underflow nothing would be seen. Each power is rounded to f64 and then to a
//! multiple of 2^-88, and these are added as integers: the sum does not depend on the order of the numbers, their grouping or the number of threads.
//!
//! The power function is that of the pinned `libm` crate, in plain Rust: its bits are the same on every machine, its error is below 0.7 ulp (Sun's
//! fdlibm, which it follows). The errors of the quotient and of the rounded 1/p, which a power multiplies, are taken into account to the first order. What remains,
//! relative to the norm: 1.4 u from the last power, 2.4 u / p from the terms, u from the last rounding, u = 2^-53; at most 2 ulp, and 1 ulp
//! in every case tested.

use crate::norm::{Norm, Power, times_power_of_two};

/// Bits below the point of the sum: 2^39 terms fit above it, more than memory holds.
const POINT: i32 = 88;

/// Powers of quotients of numbers: `(|x| / m)^p`, m being a largest magnitude, finite and not zero.
#[derive(Clone, Copy, Debug)]
pub struct Powers {
    p: f64,
    largest: Norm,
}

impl Powers {
    /// The sum over `values`, as a multiple of 2^-[`POINT`].
    pub(crate) fn sum(&self, values: impl Iterator<Item = f64>) -> u128 {
        let (m, exponent) = (self.largest.mantissa(), self.largest.exponent());
        values.map(|x| term(x.abs(), m, exponent, self.p)).sum()
    }
}

/// The norm of order p of numbers of which the largest magnitude is `largest`, by what `sum` says of their powers.
pub(crate) fn norm_of_power(power: Power, largest: Norm, sum: impl Fn(&Powers) -> u128) -> Norm {
    if largest.mantissa() == 0.0 || !largest.is_finite() {
        return largest;
    }
    let (p, m) = (power.p(), largest.mantissa());
    let exponent = largest.exponent();
    let sum = sum(&Powers { p, largest });
    // A number and what it leaves off of the sum: the sum has more bits than f64.
    let high = sum as f64;
    let low = (sum as i128 - high as i128) as f64;
    let (high, low) =
        (times_power_of_two(high, -i64::from(POINT)), times_power_of_two(low, -i64::from(POINT)));
    let inverse = 1.0 / p;
    let missing = f64::mul_add(-inverse, p, 1.0) / p;
    let root = libm::pow(high, inverse);
    let correction = root * (libm::log(high) * missing + low / high * inverse);
    // m times the root and its correction, rounded once but for the error of the correction.
    let product = m * root;
    let rest = f64::mul_add(m, root, -product) + m * correction;
    Norm::from_f64(product + rest).times_power_of_two(exponent)
}

/// `(x / (m 2^exponent))^p` over 2^-[`POINT`].
fn term(x: f64, m: f64, exponent: i64, p: f64) -> u128 {
    if x == 0.0 {
        return 0;
    }
    // Of the size of 1 before the division, unless it is too small to count.
    let x = times_power_of_two(x, -exponent);
    let quotient = x / m;
    if quotient < 1e-300 {
        // To the power of more than 1 it is below 2^-88.
        return 0;
    }
    let missing = f64::mul_add(-quotient, m, x) / x;
    let power = libm::pow(quotient, p);
    let power = power + power * (p * missing);
    if power < f64::MIN_POSITIVE {
        return 0;
    }
    let bits = power.to_bits();
    let (field, fraction) = ((bits >> 52) as i32, u128::from(bits & ((1 << 52) - 1) | 1 << 52));
    let shift = field - 1075 + POINT;
    match shift {
        0.. => fraction << shift,
        -54..0 => (fraction + (1 << (-shift - 1))) >> -shift,
        _ => 0,
    }
}

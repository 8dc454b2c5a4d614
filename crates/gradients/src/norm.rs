//! Norms that neither overflow nor underflow.

use crate::error::GradientError;
use crate::powers::norm_of_power;
use crate::stored::Gradients;
use crate::sum::Terms;
use gradchain_arith::{Exact, Format, Rules, round};
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// Which norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// `Σ |x|`.
    One,
    /// `sqrt(Σ x²)`.
    Two,
    /// `max |x|`.
    Infinity,
    /// `(Σ |x|^p)^(1/p)` for any other p.
    Power(Power),
}

/// A finite p above 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Power(u64);

impl Power {
    /// p.
    pub fn p(self) -> f64 {
        f64::from_bits(self.0)
    }
}

/// A norm: `mantissa · 2^exponent`, with `1 <= mantissa < 2`, or a mantissa of +0, infinity or NaN and the exponent 0.
///
/// It is rounded to 53 bits like an f64, but its exponent is not bounded: the norm of 10^6 numbers of 1e308 is a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Norm {
    mantissa: f64,
    exponent: i64,
}

/// The norm of all numbers of `tensors` as one vector: exact, rounded once to 53 bits (relative error at most 2^-53), for the orders 1, 2 and infinity; for
/// other orders within a few 2^-53, at most 2 ulp.
///
/// Does not depend on the order of the numbers or on their grouping into tensors. Empty lists and empty tensors give 0; a NaN anywhere
/// gives NaN, else an infinity anywhere gives infinity. -0 counts as 0, and the norm of zeros is +0.
pub fn norm<A: Gradients>(arith: &A, order: Order, tensors: &[&[A::Number]]) -> Norm {
    match order.terms() {
        Ok(terms) => arith.sum(terms, tensors).norm(),
        Err(power) => {
            let largest = arith.sum(Terms::Largest, tensors).norm();
            norm_of_power(power, largest, |powers| arith.sum_of_powers(powers, tensors))
        }
    }
}

/// The root of the mean square of all numbers of `tensors`: `sqrt(Σ x² / n)`, exact, rounded once to 53 bits; 0 for no numbers. What holds
/// of [`norm()`] holds of it.
pub fn root_mean_square<A: Gradients>(arith: &A, tensors: &[&[A::Number]]) -> Norm {
    let sum = arith.sum(Terms::Squares, tensors);
    sum.root_mean(tensors.iter().map(|tensor| tensor.len() as u64).sum())
}

impl Norm {
    /// The norm `x`, which is not negative.
    pub(crate) fn from_f64(x: f64) -> Norm {
        if !x.is_finite() {
            return Norm { mantissa: x, exponent: 0 };
        }
        let Exact { mantissa, exponent, .. } = Exact::from_f64(x);
        Norm::rounded(mantissa, i64::from(exponent), false)
    }

    /// `m · 2^exponent`, and a little more where `sticky`, rounded to 53 bits, to nearest.
    pub(crate) fn rounded(m: u128, exponent: i64, sticky: bool) -> Norm {
        if m == 0 {
            return Norm { mantissa: 0.0, exponent: 0 };
        }
        let leading = 127 - m.leading_zeros() as i32;
        // The leading bit at 2^0; rounding can carry it to 2^1.
        let exact = Exact { negative: false, mantissa: m, exponent: -leading, sticky };
        let mantissa = round(exact, Format::F64, Rules::default(), 0);
        let exponent = exponent + i64::from(leading);
        if mantissa < 2.0 {
            Norm { mantissa, exponent }
        } else {
            Norm { mantissa: 1.0, exponent: exponent + 1 }
        }
    }

    /// The square root of `m · 2^exponent`, and a little more where `sticky`, rounded to 53 bits. Unless it is zero, m has at least 108 bits, so that the root has
    /// the bits that rounding needs.
    pub(crate) fn root((m, exponent, sticky): (u128, i64, bool)) -> Norm {
        // An even exponent can be halved.
        let (m, exponent, sticky) = match exponent % 2 {
            0 => (m, exponent, sticky),
            _ => (m >> 1, exponent + 1, sticky || m & 1 == 1),
        };
        let root = m.isqrt();
        Norm::rounded(root, exponent / 2, sticky || root * root != m)
    }

    /// The number between 1 and 2; or 0, infinity, NaN.
    pub fn mantissa(self) -> f64 {
        self.mantissa
    }

    /// The exponent of two.
    pub fn exponent(self) -> i64 {
        self.exponent
    }

    /// The nearest f64: infinite from 2^1024 on.
    pub fn to_f64(self) -> f64 {
        times_power_of_two(self.mantissa, self.exponent)
    }

    /// The norm times 2^exponent; exact.
    pub(crate) fn times_power_of_two(self, exponent: i64) -> Norm {
        match self.mantissa == 0.0 || !self.mantissa.is_finite() {
            true => self,
            false => Norm { exponent: self.exponent + exponent, ..self },
        }
    }

    /// Whether the norm is neither infinite nor NaN.
    pub fn is_finite(self) -> bool {
        self.mantissa.is_finite()
    }

    /// Whether the norm is above `limit`, which is not negative. False for NaN.
    pub fn exceeds(self, limit: f64) -> bool {
        self.partial_cmp(&Norm::from_f64(limit)) == Some(Ordering::Greater)
    }
}

impl PartialOrd for Norm {
    fn partial_cmp(&self, other: &Norm) -> Option<Ordering> {
        let plain = |norm: &Norm| norm.mantissa == 0.0 || !norm.is_finite();
        if plain(self) || plain(other) || self.exponent == other.exponent {
            return self.mantissa.partial_cmp(&other.mantissa);
        }
        Some(self.exponent.cmp(&other.exponent))
    }
}

/// `x · 2^exponent`: exact where the result is a normal f64 number; otherwise rounded once, to nearest, unless x is subnormal as well.
pub(crate) fn times_power_of_two(x: f64, exponent: i64) -> f64 {
    let power = |e: i64| f64::from_bits(((e + 1023) as u64) << 52);
    // Three steps span all of f64. The largest comes last, so that no step but the last one leaves the normal range.
    let exponent = exponent.clamp(-3000, 3000);
    let last = exponent.clamp(-1022, 1023);
    let second = (exponent - last).clamp(-1022, 1023);
    let first = exponent - last - second;
    x * power(first) * power(second) * power(last)
}

impl Order {
    /// The norms that are exact, in the order in which they are listed to users.
    pub const EXACT: [Order; 3] = [Order::One, Order::Two, Order::Infinity];

    /// The norm of this p.
    ///
    /// # Errors
    /// Below 1, where it is no norm, and for NaN.
    pub fn of(p: f64) -> Result<Order, GradientError> {
        match p {
            1.0 => Ok(Order::One),
            2.0 => Ok(Order::Two),
            f64::INFINITY => Ok(Order::Infinity),
            p if p > 1.0 => Ok(Order::Power(Power(p.to_bits()))),
            value => Err(GradientError::OutOfRange { what: "norm", value, allowed: "1 to inf" }),
        }
    }

    /// p.
    pub fn p(self) -> f64 {
        match self {
            Order::One => 1.0,
            Order::Two => 2.0,
            Order::Infinity => f64::INFINITY,
            Order::Power(power) => power.p(),
        }
    }

    /// What is added for the norm; the power where that is no exact sum.
    pub(crate) fn terms(self) -> Result<Terms, Power> {
        match self {
            Order::One => Ok(Terms::Magnitudes),
            Order::Two => Ok(Terms::Squares),
            Order::Infinity => Ok(Terms::Largest),
            Order::Power(power) => Err(power),
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.p().to_string())
    }
}

impl FromStr for Order {
    type Err = GradientError;

    fn from_str(text: &str) -> Result<Order, GradientError> {
        let p: f64 = text.trim().parse().map_err(|_| GradientError::Unknown {
            kind: "norm",
            text: text.to_owned(),
            known: "1, 2, inf, any number from 1 on".to_owned(),
        })?;
        Order::of(p)
    }
}

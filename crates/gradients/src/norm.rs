//! Norms that neither overflow nor underflow.

use crate::error::GradientError;
use crate::sum::Sum;
use gradchain_arith::{Arithmetic, Exact, Format, Rules, round};
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
}

/// A norm: `mantissa · 2^exponent`, with `1 <= mantissa < 2`, or a mantissa of +0, infinity or NaN and the exponent 0.
///
/// It is rounded to 53 bits like an f64, but its exponent is not bounded: the norm of 10^6 numbers of 1e308 is a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Norm {
    mantissa: f64,
    exponent: i64,
}

/// The norm of all numbers of `tensors` as one vector: exact, rounded once to 53 bits (relative error at most 2^-53).
///
/// Does not depend on the order of the numbers or on their grouping into tensors. Empty lists and empty tensors give 0; a NaN anywhere
/// gives NaN, else an infinity anywhere gives infinity. -0 counts as 0, and the norm of zeros is +0.
pub fn norm<A: Arithmetic>(arith: &A, order: Order, tensors: &[&[A::Number]]) -> Norm {
    norm_of(order, tensors.iter().flat_map(|tensor| tensor.iter()).map(|&x| arith.value(x)))
}

/// The norm of `values`.
pub(crate) fn norm_of(order: Order, values: impl Iterator<Item = f64>) -> Norm {
    let mut sum = Sum::new(order);
    values.for_each(|x| sum.add(x));
    sum.norm()
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
    /// All norms, in the order in which they are listed to users.
    pub const ALL: [Order; 3] = [Order::One, Order::Two, Order::Infinity];

    /// The name: the p of the p-norm.
    pub const fn name(self) -> &'static str {
        match self {
            Order::One => "1",
            Order::Two => "2",
            Order::Infinity => "inf",
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Order {
    type Err = GradientError;

    fn from_str(text: &str) -> Result<Order, GradientError> {
        Order::ALL.into_iter().find(|order| order.name() == text).ok_or_else(|| GradientError::Unknown {
            kind: "norm",
            text: text.to_owned(),
            known: "1, 2, inf".to_owned(),
        })
    }
}

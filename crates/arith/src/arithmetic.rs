//! Scalar arithmetic in a format: every result rounded once.

use crate::exact::Exact;
use crate::format::Format;
use crate::random::philox;
use crate::real::Real;
use crate::rounding::{Rounding, Rules, beyond, round, round_f64};
use crate::simd::Isa;
use std::cell::Cell;
use std::fmt::Debug;
use std::marker::PhantomData;

/// Arithmetic in one format: each operation gives the exact result rounded once into the format.
///
/// [`Native`] computes in the machine's numbers, [`Emulated`] in integers; where both exist they agree bit for bit.
pub trait Arithmetic: Clone {
    /// A number of the format.
    type Number: Copy + PartialEq + Debug + Send + Sync;

    /// The format of the results.
    fn format(&self) -> Format;

    /// `x` rounded into the format.
    fn round(&self, x: f64) -> Self::Number;

    /// The value of a number; exact.
    fn value(&self, x: Self::Number) -> f64;

    /// `a + b`, rounded.
    fn add(&self, a: Self::Number, b: Self::Number) -> Self::Number;

    /// `a - b`, rounded.
    fn sub(&self, a: Self::Number, b: Self::Number) -> Self::Number;

    /// `a · b`, rounded.
    fn mul(&self, a: Self::Number, b: Self::Number) -> Self::Number;

    /// `a / b`, rounded.
    fn div(&self, a: Self::Number, b: Self::Number) -> Self::Number;

    /// `a · b + c`, rounded once.
    fn mul_add(&self, a: Self::Number, b: Self::Number, c: Self::Number) -> Self::Number;

    /// The same arithmetic with the random bits of another stream, for one of many results that may be computed in any order.
    /// Streams nest: `a.stream(i).stream(j)` depends on the order of i and j.
    #[must_use]
    fn stream(&self, id: u64) -> Self;
}

/// The arithmetic of a stored format with IEEE's default rules, and the instruction set that its kernels run on. The instruction set
/// does not change results.
#[derive(Debug)]
pub struct Native<T> {
    isa: Isa,
    format: PhantomData<T>,
}

impl<T> Native<T> {
    /// The arithmetic of `T`, on `isa`.
    pub const fn new(isa: Isa) -> Native<T> {
        Native { isa, format: PhantomData }
    }

    /// The instruction set that kernels run on.
    pub const fn isa(&self) -> Isa {
        self.isa
    }
}

impl<T> Clone for Native<T> {
    fn clone(&self) -> Native<T> {
        *self
    }
}

impl<T> Copy for Native<T> {}

impl<T: Real> Arithmetic for Native<T> {
    type Number = T;

    fn format(&self) -> Format {
        T::FORMAT
    }

    fn round(&self, x: f64) -> T {
        T::round_from(x)
    }

    fn value(&self, x: T) -> f64 {
        x.value()
    }

    // For f64 the operation itself is the rounding; for p <= 24 the f64 result of + - * / rounds on to the correctly rounded one
    // because 53 >= 2p + 2 (Figueroa 1995).
    fn add(&self, a: T, b: T) -> T {
        T::round_from(a.value() + b.value())
    }

    fn sub(&self, a: T, b: T) -> T {
        T::round_from(a.value() - b.value())
    }

    fn mul(&self, a: T, b: T) -> T {
        T::round_from(a.value() * b.value())
    }

    fn div(&self, a: T, b: T) -> T {
        T::round_from(a.value() / b.value())
    }

    fn mul_add(&self, a: T, b: T, c: T) -> T {
        a.mul_add(b, c)
    }

    fn stream(&self, _id: u64) -> Native<T> {
        *self
    }
}

/// The arithmetic of any format under any rules, in integers. Numbers are f64s that the format contains.
///
/// Stochastic rounding draws its bits by counter: the k-th rounding in a stream takes the k-th word of that stream.
#[derive(Clone, Debug)]
pub struct Emulated {
    format: Format,
    rules: Rules,
    seed: u64,
    stream: u64,
    drawn: Cell<u64>,
}

impl Emulated {
    /// The arithmetic of `format` under `rules`; `seed` matters to stochastic rounding only.
    pub fn new(format: Format, rules: Rules, seed: u64) -> Emulated {
        Emulated { format, rules, seed, stream: 0, drawn: Cell::new(0) }
    }

    /// The rules of rounding.
    pub fn rules(&self) -> Rules {
        self.rules
    }

    fn random(&self) -> u64 {
        if self.rules.rounding != Rounding::Stochastic {
            return 0;
        }
        let index = self.drawn.get();
        self.drawn.set(index + 1);
        philox(self.seed, self.stream, index)[0]
    }

    fn round_exact(&self, x: Exact) -> f64 {
        round(x, self.format, self.rules, self.random())
    }

    /// The result of an operation with an operand that is not finite, or of a division by zero: what IEEE 754 says, `ieee`, with the
    /// format's stand-in for infinity.
    fn special(&self, ieee: f64) -> f64 {
        if ieee.is_infinite() {
            beyond(self.format, self.rules, ieee < 0.0)
        } else if ieee.is_nan() {
            f64::NAN
        } else {
            ieee
        }
    }

    fn zero_is_negative(&self) -> bool {
        self.rules.rounding == Rounding::Down
    }
}

impl Arithmetic for Emulated {
    type Number = f64;

    fn format(&self) -> Format {
        self.format
    }

    fn round(&self, x: f64) -> f64 {
        round_f64(x, self.format, self.rules, self.random())
    }

    fn value(&self, x: f64) -> f64 {
        x
    }

    fn add(&self, a: f64, b: f64) -> f64 {
        if !(a.is_finite() && b.is_finite()) {
            return self.special(a + b);
        }
        self.round_exact(Exact::sum(Exact::from_f64(a), Exact::from_f64(b), self.zero_is_negative()))
    }

    fn sub(&self, a: f64, b: f64) -> f64 {
        self.add(a, -b)
    }

    fn mul(&self, a: f64, b: f64) -> f64 {
        if !(a.is_finite() && b.is_finite()) {
            return self.special(a * b);
        }
        self.round_exact(Exact::product(a, b))
    }

    fn div(&self, a: f64, b: f64) -> f64 {
        if !(a.is_finite() && b.is_finite()) || b == 0.0 {
            return self.special(a / b);
        }
        self.round_exact(Exact::quotient(a, b))
    }

    fn mul_add(&self, a: f64, b: f64, c: f64) -> f64 {
        if !(a.is_finite() && b.is_finite() && c.is_finite()) {
            // The product of finite numbers of a format does not overflow before the sum: it is only a sign here.
            let product = if a.is_finite() && b.is_finite() { 0.0 } else { a * b };
            return self.special(product + c);
        }
        self.round_exact(Exact::sum(Exact::product(a, b), Exact::from_f64(c), self.zero_is_negative()))
    }

    fn stream(&self, id: u64) -> Emulated {
        let stream = philox(self.stream, id, 0)[1];
        Emulated { stream, drawn: Cell::new(0), ..self.clone() }
    }
}

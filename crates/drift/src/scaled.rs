//! Numbers with an exponent of their own: `mantissa · 2^exponent`, where 1.5^100000 is a number and not an infinity.

/// `mantissa · 2^exponent` with `0.5 <= |mantissa| < 1`, or a mantissa that is 0, infinite or NaN with exponent 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scaled {
    mantissa: f64,
    exponent: i64,
}

impl Scaled {
    /// Zero.
    pub const ZERO: Scaled = Scaled { mantissa: 0.0, exponent: 0 };

    /// `x · 2^exponent`; exact.
    pub fn new(x: f64, exponent: i64) -> Scaled {
        if x == 0.0 || !x.is_finite() {
            return Scaled { mantissa: x, exponent: 0 };
        }
        let own = exponent_of(x);
        Scaled { mantissa: ldexp(x, -own), exponent: exponent.saturating_add(own) }
    }

    /// The mantissa.
    pub fn mantissa(self) -> f64 {
        self.mantissa
    }

    /// The exponent.
    pub fn exponent(self) -> i64 {
        self.exponent
    }

    /// The nearest f64 number: infinite above f64's range, subnormal or zero below it.
    pub fn to_f64(self) -> f64 {
        ldexp(self.mantissa, self.exponent)
    }

    /// `log2 |self|`, absolute error below 2^-52 · max(1, |log2|); negative infinity for 0.
    pub fn log2(self) -> f64 {
        let magnitude = self.mantissa.abs();
        // With a mantissa around 1 the two terms never cancel.
        if magnitude < std::f64::consts::FRAC_1_SQRT_2 {
            (self.exponent - 1) as f64 + libm::log2(2.0 * magnitude)
        } else {
            self.exponent as f64 + libm::log2(magnitude)
        }
    }

    /// `self / other`, rounded once; by the rules of IEEE 754 where one of them is 0, infinite or NaN.
    #[must_use]
    pub fn divided_by(self, other: Scaled) -> Scaled {
        Scaled::new(self.mantissa / other.mantissa, self.exponent.saturating_sub(other.exponent))
    }

    /// `self · other`, rounded once; by the rules of IEEE 754 where one of them is 0, infinite or NaN.
    #[must_use]
    pub fn times(self, other: Scaled) -> Scaled {
        Scaled::new(self.mantissa * other.mantissa, self.exponent.saturating_add(other.exponent))
    }
}

impl From<f64> for Scaled {
    fn from(x: f64) -> Scaled {
        Scaled::new(x, 0)
    }
}

/// The e with `2^(e-1) <= |x| < 2^e`, for finite non-zero x.
#[inline(always)]
pub(crate) fn exponent_of(x: f64) -> i64 {
    exponent_of_bits(x.to_bits() & !(1 << 63))
}

/// [`exponent_of`] the positive number of these bits.
#[inline(always)]
pub(crate) fn exponent_of_bits(bits: u64) -> i64 {
    let field = (bits >> 52) as i64;
    if field > 0 { field - 1022 } else { -1010 - i64::from(bits.leading_zeros()) }
}

/// 2^e where that is a normal number; 0 below, infinity above.
#[inline(always)]
pub(crate) fn pow2(e: i64) -> f64 {
    f64::from_bits((e.clamp(-1023, 1024) + 1023) as u64 * (1 << 52))
}

/// `x · 2^e`: exact, or rounded once where the result is subnormal, or infinite.
#[inline(always)]
pub(crate) fn ldexp(x: f64, e: i64) -> f64 {
    if (-1022..=1023).contains(&e) { x * pow2(e) } else { libm::scalbn(x, e.clamp(-4000, 4000) as i32) }
}

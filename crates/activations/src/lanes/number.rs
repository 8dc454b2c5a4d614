//! Sixteen f64 numbers with operators, and sums of two such.

use gradchain_arith::Simd;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// Sixteen f64 numbers on an instruction set; each operation is IEEE 754's on each lane.
#[derive(Clone, Copy)]
pub(super) struct Lanes<S: Simd> {
    pub(super) simd: S,
    pub(super) value: S::F64,
}

impl<S: Simd> Lanes<S> {
    #[inline(always)]
    pub(super) fn new(simd: S, value: S::F64) -> Lanes<S> {
        Lanes { simd, value }
    }

    /// All lanes `x`.
    #[inline(always)]
    pub(super) fn all(self, x: f64) -> Lanes<S> {
        Lanes { simd: self.simd, value: self.simd.splat_f64(x) }
    }

    /// `self · b + c`, rounded once.
    #[inline(always)]
    pub(super) fn mul_add(self, b: Lanes<S>, c: Lanes<S>) -> Lanes<S> {
        Lanes::new(self.simd, self.simd.mul_add_f64(self.value, b.value, c.value))
    }

    /// `self · b - c`, rounded once.
    #[inline(always)]
    pub(super) fn mul_sub(self, b: Lanes<S>, c: Lanes<S>) -> Lanes<S> {
        self.mul_add(b, -c)
    }

    #[inline(always)]
    pub(super) fn abs(self) -> Lanes<S> {
        Lanes::new(self.simd, self.simd.abs_f64(self.value))
    }

    /// The smaller one; `limit` for NaN.
    #[inline(always)]
    pub(super) fn at_most(self, limit: f64) -> Lanes<S> {
        Lanes::new(self.simd, self.simd.min_f64(self.value, self.simd.splat_f64(limit)))
    }

    /// The greater one; `limit` for NaN.
    #[inline(always)]
    pub(super) fn at_least(self, limit: f64) -> Lanes<S> {
        Lanes::new(self.simd, self.simd.max_f64(self.value, self.simd.splat_f64(limit)))
    }

    /// The same size with the sign of `sign`.
    #[inline(always)]
    pub(super) fn with_sign_of(self, sign: Lanes<S>) -> Lanes<S> {
        Lanes::new(self.simd, self.simd.copysign_f64(self.value, sign.value))
    }

    /// Where `self < b`.
    #[inline(always)]
    pub(super) fn less(self, b: Lanes<S>) -> S::Mask {
        self.simd.less_f64(self.value, b.value)
    }

    /// Where `self < 0`.
    #[inline(always)]
    pub(super) fn negative(self) -> S::Mask {
        self.less(self.all(0.0))
    }

    /// `self` where the mask says so, else `other`.
    #[inline(always)]
    pub(super) fn when(self, mask: S::Mask, other: Lanes<S>) -> Lanes<S> {
        Lanes::new(self.simd, self.simd.select_f64(mask, self.value, other.value))
    }

    /// The nearest whole number, for sizes below 2^51: adding 1.5 · 2^52 leaves no bits for a fraction.
    #[inline(always)]
    pub(super) fn nearest_integer(self) -> Lanes<S> {
        const SHIFT: f64 = 6_755_399_441_055_744.0;
        (self + SHIFT) - SHIFT
    }

    /// 2 to a whole power from -1022 to 1023.
    #[inline(always)]
    pub(super) fn power_of_two(self) -> Lanes<S> {
        Lanes::new(self.simd, self.simd.power_of_two_f64(self.value))
    }

    /// The polynomial with these coefficients, lowest degree first.
    #[inline(always)]
    pub(super) fn polynomial<const N: usize>(self, coefficients: &[f64; N]) -> Lanes<S> {
        let mut c = [self; N];
        for (c, &constant) in c.iter_mut().zip(coefficients) {
            *c = self.all(constant);
        }
        self.polynomial_of(&c)
    }

    /// The polynomial with these coefficients, at most sixteen, lowest degree first, by Estrin's scheme: neighbours are joined in pairs, and
    /// pairs of pairs. A processor holds the operations of a few vectors only, so that the time goes by how long one waits for another.
    #[inline(always)]
    pub(super) fn polynomial_of<const N: usize>(self, coefficients: &[Lanes<S>; N]) -> Lanes<S> {
        const { assert!(N > 1 && N <= 16) };
        let mut pairs = [self; 8];
        join_neighbours(coefficients, N, &mut pairs, self);
        let square = self * self;
        let mut fours = [self; 4];
        join_neighbours(&pairs, N.div_ceil(2), &mut fours, square);
        let fourth = square * square;
        let mut eights = [self; 2];
        join_neighbours(&fours, N.div_ceil(4), &mut eights, fourth);
        if N > 8 { eights[1].mul_add(fourth * fourth, eights[0]) } else { eights[0] }
    }
}

/// `joined[i] = c[2 i] + x c[2 i + 1]` of the first `count` coefficients.
#[inline(always)]
fn join_neighbours<S: Simd, const N: usize, const M: usize>(
    c: &[Lanes<S>; N],
    count: usize,
    joined: &mut [Lanes<S>; M],
    x: Lanes<S>,
) {
    for i in 0..M {
        if 2 * i + 1 < count {
            joined[i] = c[2 * i + 1].mul_add(x, c[2 * i]);
        } else if 2 * i < count {
            joined[i] = c[2 * i];
        }
    }
}

impl<S: Simd> Add for Lanes<S> {
    type Output = Lanes<S>;
    #[inline(always)]
    fn add(self, b: Lanes<S>) -> Lanes<S> {
        Lanes::new(self.simd, self.simd.add_f64(self.value, b.value))
    }
}

impl<S: Simd> Sub for Lanes<S> {
    type Output = Lanes<S>;
    #[inline(always)]
    fn sub(self, b: Lanes<S>) -> Lanes<S> {
        Lanes::new(self.simd, self.simd.sub_f64(self.value, b.value))
    }
}

impl<S: Simd> Mul for Lanes<S> {
    type Output = Lanes<S>;
    #[inline(always)]
    fn mul(self, b: Lanes<S>) -> Lanes<S> {
        Lanes::new(self.simd, self.simd.mul_f64(self.value, b.value))
    }
}

impl<S: Simd> Div for Lanes<S> {
    type Output = Lanes<S>;
    #[inline(always)]
    fn div(self, b: Lanes<S>) -> Lanes<S> {
        Lanes::new(self.simd, self.simd.div_f64(self.value, b.value))
    }
}

impl<S: Simd> Neg for Lanes<S> {
    type Output = Lanes<S>;
    #[inline(always)]
    fn neg(self) -> Lanes<S> {
        Lanes::new(self.simd, self.simd.neg_f64(self.value))
    }
}

impl<S: Simd> Add<f64> for Lanes<S> {
    type Output = Lanes<S>;
    #[inline(always)]
    fn add(self, b: f64) -> Lanes<S> {
        self + self.all(b)
    }
}

impl<S: Simd> Sub<f64> for Lanes<S> {
    type Output = Lanes<S>;
    #[inline(always)]
    fn sub(self, b: f64) -> Lanes<S> {
        self - self.all(b)
    }
}

impl<S: Simd> Mul<f64> for Lanes<S> {
    type Output = Lanes<S>;
    #[inline(always)]
    fn mul(self, b: f64) -> Lanes<S> {
        self * self.all(b)
    }
}

/// `high + low`, where `low` is of the order of the rounding error of `high`. Where only LOW precision is asked for, `low` is not computed:
/// it is zeros that nothing reads.
#[derive(Clone, Copy)]
pub(super) struct Two<S: Simd> {
    pub(super) high: Lanes<S>,
    pub(super) low: Lanes<S>,
}

impl<S: Simd> Two<S> {
    /// A number alone.
    #[inline(always)]
    pub(super) fn one(high: Lanes<S>) -> Two<S> {
        Two { high, low: high.all(0.0) }
    }

    /// `a + b` exactly, where `|a| >= |b|` or `a = 0` (Dekker's Fast2Sum).
    #[inline(always)]
    pub(super) fn sum_ordered(a: Lanes<S>, b: Lanes<S>) -> Two<S> {
        let high = a + b;
        Two { high, low: b - (high - a) }
    }

    /// `a + b` exactly, for any two numbers (Knuth's TwoSum).
    #[inline(always)]
    pub(super) fn sum(a: Lanes<S>, b: Lanes<S>) -> Two<S> {
        let high = a + b;
        let b_part = high - a;
        let a_part = high - b_part;
        Two { high, low: (a - a_part) + (b - b_part) }
    }

    /// `a · b` exactly, absent underflow.
    #[inline(always)]
    pub(super) fn product(a: Lanes<S>, b: Lanes<S>) -> Two<S> {
        let high = a * b;
        Two { high, low: a.mul_sub(b, high) }
    }

    /// `self · b`, the error of order 2^-105.
    #[inline(always)]
    pub(super) fn times(self, b: Two<S>) -> Two<S> {
        let product = Two::product(self.high, b.high);
        product.plus_low(self.high.mul_add(b.low, self.low * b.high))
    }

    /// `self · b` for a single number.
    #[inline(always)]
    pub(super) fn times_one(self, b: Lanes<S>) -> Two<S> {
        let product = Two::product(self.high, b);
        product.plus_low(self.low * b)
    }

    /// `self · power` for a power of two, absent underflow exact.
    #[inline(always)]
    pub(super) fn scaled(self, power: Lanes<S>) -> Two<S> {
        Two { high: self.high * power, low: self.low * power }
    }

    /// The low part greater by `more`.
    #[inline(always)]
    pub(super) fn plus_low(self, more: Lanes<S>) -> Two<S> {
        Two { high: self.high, low: self.low + more }
    }

    /// All lanes the sum of two constants.
    #[inline(always)]
    pub(super) fn all(like: Lanes<S>, [high, low]: [f64; 2]) -> Two<S> {
        Two { high: like.all(high), low: like.all(low) }
    }

    /// `self` where the mask says so, else `other`.
    #[inline(always)]
    pub(super) fn when(self, mask: S::Mask, other: Two<S>) -> Two<S> {
        Two { high: self.high.when(mask, other.high), low: self.low.when(mask, other.low) }
    }

    /// With the sign bits turned.
    #[inline(always)]
    pub(super) fn neg(self) -> Two<S> {
        Two { high: -self.high, low: -self.low }
    }

    /// With the sign of `sign`, for a `self` that is not negative.
    #[inline(always)]
    pub(super) fn signed(self, sign: Lanes<S>) -> Two<S> {
        let one = sign.all(1.0).with_sign_of(sign);
        Two { high: self.high.with_sign_of(sign), low: self.low * one }
    }
}

/// `a / b`, to 2^-53 (LOW) or the error of order 2^-104 (FULL: one division, then a step of correction by the remainder, which is exact up to
/// the low parts).
#[inline(always)]
pub(super) fn quotient<S: Simd, const FULL: bool>(a: Two<S>, b: Two<S>) -> Two<S> {
    if !FULL {
        return Two::one(a.high / b.high);
    }
    let inverse = a.high.all(1.0) / b.high;
    let high = a.high * inverse;
    let rest = (-high).mul_add(b.high, a.high) + (-high).mul_add(b.low, a.low);
    Two { high, low: rest * inverse }
}

/// `value · 2^exponent`; no exponent stands for 0.
#[derive(Clone, Copy)]
pub(super) struct Parts<S: Simd> {
    pub(super) value: Two<S>,
    pub(super) exponent: Option<Lanes<S>>,
}

impl<S: Simd> From<Two<S>> for Parts<S> {
    #[inline(always)]
    fn from(value: Two<S>) -> Parts<S> {
        Parts { value, exponent: None }
    }
}

impl<S: Simd> Parts<S> {
    /// `self` where the mask says so, else `other`.
    #[inline(always)]
    pub(super) fn when(self, mask: S::Mask, other: Parts<S>) -> Parts<S> {
        let value = self.value.when(mask, other.value);
        if self.exponent.is_none() && other.exponent.is_none() {
            return value.into();
        }
        let zero = value.high.all(0.0);
        let exponent = self.exponent.unwrap_or(zero).when(mask, other.exponent.unwrap_or(zero));
        Parts { value, exponent: Some(exponent) }
    }

    /// A function that is `x (1/2 + c x)` next to 0, with c > 0: where the value is subnormal, half of x, moved to the side of the true value that is
    /// decided by the term that f64 does not hold.
    #[inline(always)]
    pub(super) fn half_of_subnormal(self, x: Lanes<S>) -> Parts<S> {
        let factor = x.all(0.5f64.next_down()).when(x.negative(), x.all(0.5f64.next_up()));
        let half = Parts { value: Two::one(x * factor), exponent: None };
        half.when(x.abs().less(x.all(2.0 * f64::MIN_POSITIVE)), self)
    }

    /// One f64: rounded once, and once more where it is subnormal.
    #[inline(always)]
    pub(super) fn join<const FULL: bool>(self) -> Lanes<S> {
        let Two { high, low } = self.value;
        if !FULL {
            return high;
        }
        // Where the high part is infinite, the low one is NaN; where the sum is zero, the high part has the sign.
        let simd = high.simd;
        let sum = Lanes::new(simd, simd.where_finite_f64(high.value, (high + low).value));
        let sum = sum.when(high.all(0.0).less(sum.abs()), high);
        match self.exponent {
            None => sum,
            // In two steps, of which the first is exact, because 2^exponent alone may lie outside f64 where the product does not. What is
            // below 2^-2040 is zero anyway.
            Some(exponent) => {
                let exponent = exponent.at_least(-2040.0);
                let half = (exponent * 0.5).nearest_integer();
                sum * half.power_of_two() * (exponent - half).power_of_two()
            }
        }
    }

    /// `self · g`, as [`join`](Parts::join) gives it, rounded as if g could not make anything underflow on the way.
    #[inline(always)]
    pub(super) fn join_product<const FULL: bool>(self, g: Lanes<S>) -> Lanes<S> {
        if !FULL {
            return self.value.high * g;
        }
        // g is moved into the middle of the range, by 2^500 one way or the other.
        let large = g.all(1.0).less(g.abs());
        let moved = g * g.all(f64::powi(2.0, -500)).when(large, g.all(f64::powi(2.0, 500)));
        let back = g.all(500.0).when(large, g.all(-500.0));
        let exponent = self.exponent.map_or(back, |exponent| exponent + back);
        Parts { value: self.value.times_one(moved), exponent: Some(exponent) }.join::<FULL>()
    }
}

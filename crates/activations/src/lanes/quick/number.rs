//! Sixteen f32 numbers with operators, and `e^z` of them.

use gradchain_arith::{LANES, Simd};
use std::ops::{Add, Div, Mul, Neg, Sub};

/// Sixteen f32 numbers on an instruction set; each operation is IEEE 754's on each lane.
#[derive(Clone, Copy)]
pub(in crate::lanes) struct Quick<S: Simd> {
    pub(in crate::lanes) simd: S,
    pub(in crate::lanes) value: S::F32,
}

impl<S: Simd> Quick<S> {
    #[inline(always)]
    pub(in crate::lanes) fn new(simd: S, value: S::F32) -> Quick<S> {
        Quick { simd, value }
    }

    /// All lanes `x`.
    #[inline(always)]
    pub(in crate::lanes) fn all(self, x: f32) -> Quick<S> {
        Quick::new(self.simd, self.simd.splat_f32(x))
    }

    /// `self · b + c`, rounded once.
    #[inline(always)]
    pub(in crate::lanes) fn mul_add(self, b: Quick<S>, c: Quick<S>) -> Quick<S> {
        Quick::new(self.simd, self.simd.mul_add_f32(self.value, b.value, c.value))
    }

    #[inline(always)]
    pub(in crate::lanes) fn abs(self) -> Quick<S> {
        Quick::new(self.simd, self.simd.abs_f32(self.value))
    }

    /// The smaller one; NaN for NaN.
    #[inline(always)]
    pub(in crate::lanes) fn at_most(self, limit: f32) -> Quick<S> {
        Quick::new(self.simd, self.simd.min_f32(self.simd.splat_f32(limit), self.value))
    }

    /// The greater one; NaN for NaN.
    #[inline(always)]
    pub(in crate::lanes) fn at_least(self, limit: f32) -> Quick<S> {
        Quick::new(self.simd, self.simd.max_f32(self.simd.splat_f32(limit), self.value))
    }

    /// The same size with the sign of `sign`.
    #[inline(always)]
    pub(in crate::lanes) fn with_sign_of(self, sign: Quick<S>) -> Quick<S> {
        Quick::new(self.simd, self.simd.copysign_f32(self.value, sign.value))
    }

    /// Where `self < b`.
    #[inline(always)]
    pub(in crate::lanes) fn less(self, b: Quick<S>) -> S::F32Mask {
        self.simd.less_f32(self.value, b.value)
    }

    /// Where `self < 0`.
    #[inline(always)]
    pub(in crate::lanes) fn negative(self) -> S::F32Mask {
        self.less(self.all(0.0))
    }

    /// `self` where the mask says so, else `other`.
    #[inline(always)]
    pub(in crate::lanes) fn when(self, mask: S::F32Mask, other: Quick<S>) -> Quick<S> {
        Quick::new(self.simd, self.simd.select_f32(mask, self.value, other.value))
    }

    /// The polynomial with these coefficients, lowest degree first.
    #[inline(always)]
    pub(in crate::lanes) fn polynomial<const N: usize>(self, coefficients: &[f32; N]) -> Quick<S> {
        let mut c = [self; N];
        for (c, &constant) in c.iter_mut().zip(coefficients) {
            *c = self.all(constant);
        }
        self.polynomial_of(&c)
    }

    /// The polynomial with these coefficients, two or more, lowest degree first: neighbours are joined in pairs, and these by Horner's scheme in the
    /// square. That waits longer than Estrin's scheme, as f64 lanes have it, but has the fewest operations: several vectors of f32 are on
    /// their way at a time, and the functions have the square anyway.
    #[inline(always)]
    pub(in crate::lanes) fn polynomial_of<const N: usize>(self, c: &[Quick<S>; N]) -> Quick<S> {
        const { assert!(N > 1) };
        let square = self * self;
        let pairs = N / 2;
        let mut sum = c[N - 1];
        for i in (0..pairs).rev() {
            let pair = c[2 * i + 1].mul_add(self, c[2 * i]);
            // An even number of coefficients begins with a pair.
            sum = if i + 1 == pairs && N.is_multiple_of(2) { pair } else { sum.mul_add(square, pair) };
        }
        sum
    }

    /// The number of `table` for each lane's quarter of a binade.
    #[inline(always)]
    pub(in crate::lanes) fn of_table(self, table: &[f32; LANES]) -> Quick<S> {
        Quick::new(self.simd, self.simd.lookup_f32(table, self.value))
    }

    /// The index for [`of_table`](Quick::of_table).
    #[inline(always)]
    pub(in crate::lanes) fn binade_quarter(self) -> Quick<S> {
        Quick::new(self.simd, self.simd.binade_quarter_f32(self.value))
    }
}

impl<S: Simd> Add for Quick<S> {
    type Output = Quick<S>;
    #[inline(always)]
    fn add(self, b: Quick<S>) -> Quick<S> {
        Quick::new(self.simd, self.simd.add_f32(self.value, b.value))
    }
}

impl<S: Simd> Sub for Quick<S> {
    type Output = Quick<S>;
    #[inline(always)]
    fn sub(self, b: Quick<S>) -> Quick<S> {
        Quick::new(self.simd, self.simd.sub_f32(self.value, b.value))
    }
}

impl<S: Simd> Mul for Quick<S> {
    type Output = Quick<S>;
    #[inline(always)]
    fn mul(self, b: Quick<S>) -> Quick<S> {
        Quick::new(self.simd, self.simd.mul_f32(self.value, b.value))
    }
}

impl<S: Simd> Div for Quick<S> {
    type Output = Quick<S>;
    #[inline(always)]
    fn div(self, b: Quick<S>) -> Quick<S> {
        Quick::new(self.simd, self.simd.div_f32(self.value, b.value))
    }
}

impl<S: Simd> Neg for Quick<S> {
    type Output = Quick<S>;
    /// `-0 - x`, which is -x also for zeros.
    #[inline(always)]
    fn neg(self) -> Quick<S> {
        self.all(-0.0) - self
    }
}

impl<S: Simd> Add<f32> for Quick<S> {
    type Output = Quick<S>;
    #[inline(always)]
    fn add(self, b: f32) -> Quick<S> {
        self + self.all(b)
    }
}

impl<S: Simd> Sub<f32> for Quick<S> {
    type Output = Quick<S>;
    #[inline(always)]
    fn sub(self, b: f32) -> Quick<S> {
        self - self.all(b)
    }
}

impl<S: Simd> Mul<f32> for Quick<S> {
    type Output = Quick<S>;
    #[inline(always)]
    fn mul(self, b: f32) -> Quick<S> {
        self * self.all(b)
    }
}

/// `e^z = scale · (1 + rest)`.
#[derive(Clone, Copy)]
pub(in crate::lanes) struct QuickPower<S: Simd> {
    scale: Quick<S>,
    rest: Quick<S>,
}

/// The least z of [`power`]: the power of two is that of the least normal number.
pub(in crate::lanes) const LEAST: f32 = -86.0;

/// `(e^r - 1 - r) / r²` for `|r| <= 0.348`, interpolated as in `coefficients.rs`: error of `(e^r - 1) / r` below 2^-25.3.
const EXP: [f32; 5] = [0.5, 0.166_665_76, 0.041_666_552, 0.008_363_419, 0.001_392_648_4];

/// `e^(z + low)`, for z from [`LEAST`] to 0 and a low part that is far less than 1.
#[inline(always)]
pub(in crate::lanes) fn power<S: Simd>(z: Quick<S>, low: Option<Quick<S>>) -> QuickPower<S> {
    /// ln 2 in two parts, both products fused.
    const LN_2: [f32; 2] = [std::f32::consts::LN_2, -1.904_654_2e-9];
    /// 1.5 · 2^23 + 127: a sum with it has no bits for a fraction, and in its last bits the exponent field.
    const SHIFT: f32 = 12_583_039.0;
    let shifted = z.mul_add(z.all(std::f32::consts::LOG2_E), z.all(SHIFT));
    let scale = Quick::new(z.simd, z.simd.last_bits_to_exponent_f32(shifted.value));
    let exponent = shifted - SHIFT;
    let r = exponent.mul_add(z.all(-LN_2[0]), z);
    let r = exponent.mul_add(z.all(-LN_2[1]), r);
    let r = match low {
        Some(low) => r + low,
        None => r,
    };
    let rest = (r * r).mul_add(r.polynomial(&EXP), r);
    QuickPower { scale, rest }
}

impl<S: Simd> QuickPower<S> {
    /// `e^z`.
    #[inline(always)]
    pub(in crate::lanes) fn number(self) -> Quick<S> {
        self.rest.mul_add(self.scale, self.scale)
    }

    /// `e^z - 1`, with its relative accuracy next to z = 0.
    #[inline(always)]
    pub(in crate::lanes) fn minus_one(self) -> Quick<S> {
        self.rest.mul_add(self.scale, self.scale - 1.0)
    }
}

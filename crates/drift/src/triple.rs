//! Sums of three f64 numbers, for arguments of exponentials.
//!
//! `e^v` turns an absolute error of v into a relative one: at `|v| = 2^40` a v in double-double leaves 2^-65. The v that are computed here, squares
//! and cubes of a pre-activation, carry three parts instead, and the exponential keeps its 98 bits.

use crate::double_double::{DoubleDouble, quick_two_sum, two_prod, two_sum};
use crate::functions::{SATURATED, expm1_of_reduced, reduce};

/// `parts[0] + parts[1] + parts[2]`, each part about 2^-53 of the one before it or smaller.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Triple {
    pub(crate) parts: [f64; 3],
}

impl Triple {
    /// `self · other`, relative error below 2^-150: the products of the order of 1 and 2^-53 are taken with their errors, those of 2^-106 rounded.
    #[inline(always)]
    pub(crate) fn times(self, other: Triple) -> Triple {
        let ([a, b, c], [x, y, z]) = (self.parts, other.parts);
        let (head, head_error) = two_prod(a, x);
        let (first, first_error) = two_prod(a, y);
        let (second, second_error) = two_prod(b, x);
        let last = f64::mul_add(a, z, f64::mul_add(b, y, c * x)) + (first_error + second_error);
        let (middle, e) = two_sum(first, second);
        let (middle, f) = two_sum(middle, head_error);
        Triple::new(head, middle, last + (e + f))
    }

    /// `self + other` for numbers of one sign, relative error below 2^-150.
    #[inline(always)]
    pub(crate) fn plus(self, other: Triple) -> Triple {
        let ([a, b, c], [x, y, z]) = (self.parts, other.parts);
        let (head, head_error) = two_sum(a, x);
        let (middle, e) = two_sum(b, y);
        let (middle, f) = two_sum(middle, head_error);
        Triple::new(head, middle, (c + z) + (e + f))
    }

    /// `self · power` for a power of two; exact where nothing underflows.
    #[inline(always)]
    pub(crate) fn times_power(self, power: f64) -> Triple {
        Triple { parts: self.parts.map(|part| part * power) }
    }

    /// The first two parts.
    #[inline(always)]
    pub(crate) fn to_double_double(self) -> DoubleDouble {
        DoubleDouble { hi: self.parts[0], lo: self.parts[1] }
    }

    /// `e^self = m · 2^e` as [`exp`](crate::functions::exp) has it, with the same bound.
    #[inline(always)]
    pub(crate) fn exp(self) -> (DoubleDouble, i64) {
        let head = self.to_double_double();
        if head.hi.abs() >= SATURATED {
            return (DoubleDouble::from(if head.hi > 0.0 { f64::INFINITY } else { 0.0 }), 0);
        }
        let (rest, multiple) = reduce(head);
        (expm1_of_reduced(rest.plus_f64(self.parts[2])).plus_f64(1.0), multiple)
    }

    /// Parts of falling size whose sizes may overlap by a few bits.
    #[inline(always)]
    fn new(head: f64, middle: f64, last: f64) -> Triple {
        let (middle, last) = quick_two_sum(middle, last);
        let (head, middle) = quick_two_sum(head, middle);
        let (middle, last) = quick_two_sum(middle, last);
        Triple { parts: [head, middle, last] }
    }
}

impl From<DoubleDouble> for Triple {
    #[inline(always)]
    fn from(x: DoubleDouble) -> Triple {
        Triple { parts: [x.hi, x.lo, 0.0] }
    }
}

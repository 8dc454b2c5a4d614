//! Vectors in double-double with one exponent for all components.

use crate::double_double::{DoubleDouble, two_sum};
use crate::norm::SumOfSquares;
use crate::scaled::{Scaled, exponent_of_bits, ldexp, pow2};

/// `x_i = (hi_i + lo_i) · 2^exponent`, where the largest `|hi_i|` lies in [0.5, 1). A batch is its rows, one after the other.
///
/// What is lost: a component 2^-900 below the largest one or smaller keeps fewer than 106 bits, and none at
/// all below 2^-1074. A component that is not finite counts for nothing when the exponent is chosen. A vector of zeros has exponent 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScaledVector {
    pub(crate) hi: Vec<f64>,
    pub(crate) lo: Vec<f64>,
    pub(crate) exponent: i64,
}

impl ScaledVector {
    /// The vector of these numbers; exact but for what the type's documentation names.
    pub fn new(values: &[f64]) -> ScaledVector {
        let exponent = common_exponent(values).unwrap_or(0);
        let hi = values.iter().map(|&x| ldexp(x, -exponent)).collect();
        ScaledVector { hi, lo: vec![0.0; values.len()], exponent }
    }

    /// The vector with components `values_i · 2^exponent`.
    pub fn with_exponent(values: &[DoubleDouble], exponent: i64) -> ScaledVector {
        let mut vector = ScaledVector {
            hi: values.iter().map(|x| x.hi).collect(),
            lo: values.iter().map(|x| x.lo).collect(),
            exponent,
        };
        vector.renormalise();
        vector
    }

    /// Number of components.
    pub fn len(&self) -> usize {
        self.hi.len()
    }

    /// Whether there are no components.
    pub fn is_empty(&self) -> bool {
        self.hi.is_empty()
    }

    /// The exponent that all components share.
    pub fn exponent(&self) -> i64 {
        self.exponent
    }

    /// Component i over `2^exponent`.
    ///
    /// # Panics
    /// If there is no component i.
    #[inline(always)]
    pub fn mantissa(&self, i: usize) -> DoubleDouble {
        DoubleDouble { hi: self.hi[i], lo: self.lo[i] }
    }

    /// Component i, rounded to 53 bits.
    ///
    /// # Panics
    /// If there is no component i.
    pub fn get(&self, i: usize) -> Scaled {
        Scaled::new(self.hi[i], self.exponent)
    }

    /// The components as f64 numbers, infinite or zero where they leave its range.
    pub fn to_f64(&self) -> Vec<f64> {
        self.hi.iter().map(|&x| ldexp(x, self.exponent)).collect()
    }

    /// `||x||_2`, relative error below 2^-51; NaN where a component is not finite.
    pub fn norm(&self) -> Scaled {
        let mut sum = SumOfSquares::default();
        sum.add(&self.hi, &self.lo, self.exponent);
        sum.root()
    }

    /// Whether every component is finite.
    pub fn is_finite(&self) -> bool {
        self.hi.iter().all(|x| x.is_finite())
    }

    /// `len` zeros, in the memory that is there.
    pub(crate) fn reset(&mut self, len: usize) {
        for part in [&mut self.hi, &mut self.lo] {
            part.clear();
            part.resize(len, 0.0);
        }
        self.exponent = 0;
    }

    /// Brings the largest `|hi_i|` into [0.5, 1) by a power of two, which is exact.
    #[inline(always)]
    pub(crate) fn renormalise(&mut self) {
        self.renormalise_from(common_exponent(&self.hi));
    }

    /// [`ScaledVector::renormalise`] where the [`common_exponent`] of `hi` is known.
    #[inline(always)]
    pub(crate) fn renormalise_from(&mut self, exponent: Option<i64>) {
        match exponent {
            None => self.exponent = 0,
            Some(0) => {}
            Some(shift) => {
                self.shift_down(shift);
                self.exponent = self.exponent.saturating_add(shift);
            }
        }
    }

    /// Adds `sign · rows` to the vector, `rows` being repeated as often as the vector holds it. The sum is rounded to double-double.
    #[inline(always)]
    pub(crate) fn add_rows(&mut self, rows: &[f64], sign: f64) {
        let Some(of_rows) = common_exponent(rows) else {
            // Zeros and numbers that are not finite: only the latter change anything.
            self.hi.iter_mut().zip(rows.iter().cycle()).for_each(|(x, &y)| *x += y);
            return;
        };
        let exponent = if common_exponent(&self.hi).is_some() { self.exponent.max(of_rows) } else { of_rows };
        self.shift_down(exponent.saturating_sub(self.exponent));
        for ((hi, lo), &y) in self.hi.iter_mut().zip(&mut self.lo).zip(rows.iter().cycle()) {
            let sum = DoubleDouble { hi: *hi, lo: *lo }.plus_f64(sign * ldexp(y, -exponent));
            (*hi, *lo) = (sum.hi, sum.lo);
        }
        self.exponent = exponent;
        self.renormalise();
    }

    /// Adds `other`, which is as long. The sum is rounded to double-double.
    ///
    /// # Panics
    /// If the lengths differ.
    pub(crate) fn add(&mut self, other: &ScaledVector) {
        assert_eq!(self.len(), other.len(), "lengths of the terms of a sum");
        // A vector of zeros has no size of its own; what is not finite counts with any exponent.
        let exponent = match (common_exponent(&self.hi), common_exponent(&other.hi)) {
            (Some(_), Some(_)) => self.exponent.max(other.exponent),
            (None, Some(_)) => other.exponent,
            (_, None) => self.exponent,
        };
        self.shift_down(exponent.saturating_sub(self.exponent));
        let shift = other.exponent.saturating_sub(exponent);
        for i in 0..self.hi.len() {
            let term = DoubleDouble { hi: ldexp(other.hi[i], shift), lo: ldexp(other.lo[i], shift) };
            let sum = self.mantissa(i).plus(term);
            // The errors of infinities are NaN.
            let sum = if sum.hi.is_nan() { DoubleDouble::from(self.hi[i] + term.hi) } else { sum };
            (self.hi[i], self.lo[i]) = (sum.hi, sum.lo);
        }
        self.exponent = exponent;
        self.renormalise();
    }

    /// Multiplies by `factor`. The product is rounded to double-double.
    pub(crate) fn scale(&mut self, factor: f64) {
        let factor = Scaled::from(factor);
        for (hi, lo) in self.hi.iter_mut().zip(&mut self.lo) {
            let product = DoubleDouble { hi: *hi, lo: *lo }.times_f64(factor.mantissa());
            (*hi, *lo) = (product.hi, product.lo);
        }
        self.exponent = self.exponent.saturating_add(factor.exponent());
        self.renormalise();
    }

    /// Multiplies the mantissas by `2^-shift`.
    #[inline(always)]
    fn shift_down(&mut self, shift: i64) {
        // In two steps, since 2^-shift may itself leave f64's range.
        let shift = shift.clamp(-2200, 2200);
        let (first, second) = (pow2(-(shift / 2)), pow2(-(shift - shift / 2)));
        for x in self.hi.iter_mut().chain(&mut self.lo) {
            *x = *x * first * second;
        }
    }

    /// Takes the exponents of single components, `x_i = (hi_i + lo_i) · 2^exponents_i`, into the common one.
    #[inline(always)]
    pub(crate) fn gather(&mut self, exponents: &[i64]) {
        let present = |hi: f64| hi != 0.0 && hi.is_finite();
        let largest = self.hi.iter().zip(exponents).filter(|(hi, _)| present(**hi)).map(|(_, &e)| e).max();
        self.exponent = largest.unwrap_or(0);
        for ((hi, lo), &e) in self.hi.iter_mut().zip(&mut self.lo).zip(exponents) {
            if present(*hi) {
                let power = pow2(e.saturating_sub(self.exponent));
                (*hi, *lo) = (*hi * power, *lo * power);
            }
        }
        self.renormalise();
    }
}

/// The e with `2^(e-1) <= max |x_i| < 2^e` over the finite x_i; none where all of them are zero.
#[inline(always)]
pub(crate) fn common_exponent(values: &[f64]) -> Option<i64> {
    const LANES: usize = 16;
    // Bits of positive numbers are ordered as the numbers are, and integers, unlike numbers, have a maximum that vectorises.
    let larger = |largest: i64, x: f64| {
        let bits = x.abs().to_bits() as i64;
        largest.max(if bits < f64::INFINITY.to_bits() as i64 { bits } else { 0 })
    };
    let (blocks, tail) = values.as_chunks::<LANES>();
    let mut largest = tail.iter().fold(0, |largest, &x| larger(largest, x));
    if !blocks.is_empty() {
        let mut lanes = [0; LANES];
        for block in blocks {
            for k in 0..LANES {
                lanes[k] = larger(lanes[k], block[k]);
            }
        }
        largest = lanes.into_iter().fold(largest, i64::max);
    }
    (largest != 0).then(|| exponent_of_bits(largest as u64))
}

/// `output - targets`, the gradient of `L = ½ Σ (output - targets)²` by the output, both `batch · width`; then `L = ½ norm()²`.
///
/// # Panics
/// If the lengths differ.
pub fn upstream_from_targets(output: &ScaledVector, targets: &[f64]) -> ScaledVector {
    assert_eq!(output.len(), targets.len(), "outputs and targets differ in length");
    let mut upstream = output.clone();
    upstream.add_rows(targets, -1.0);
    upstream
}

/// `c - x` for an f64 number and component `i` of the vector as `(d, e)` for `d · 2^e`, rounded to 53 bits after the
/// subtraction. Neither overflows nor underflows.
#[inline(always)]
pub(crate) fn difference(c: f64, x: DoubleDouble, exponent: i64) -> (f64, i64) {
    let own = |value: f64, e: i64| common_exponent(&[value]).map(|own| own.saturating_add(e));
    let Some(base) = own(c, 0).max(own(x.hi, exponent)) else { return (c - x.hi, 0) };
    let c = ldexp(c, -base);
    let shift = exponent.saturating_sub(base);
    let (hi, lo) = (ldexp(x.hi, shift), ldexp(x.lo, shift));
    let (sum, error) = two_sum(c, -hi);
    (sum + (error - lo), base)
}

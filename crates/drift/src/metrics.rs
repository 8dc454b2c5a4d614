//! How far a computed vector is from the reference.

use crate::double_double::{DoubleDouble, two_sum};
use crate::norm::SumOfSquares;
use crate::scaled::{Scaled, exponent_of, ldexp, pow2};
use crate::scaled_vector::{ScaledVector, common_exponent, difference};
use gradchain_arith::Format;

/// Distances between a computed vector c and its reference r.
///
/// Differences are taken in scaled double-double, so nothing here overflows or underflows; only a result outside f64's range becomes infinite or 0,
/// and [`Comparison::log2_drift`] is there for those. Where a component of c is not finite: drift and the two worst errors are
/// infinite, no bit is left, the cosine is NaN. Where a component of r is not finite: everything about r is NaN, and no bit is left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// Normwise relative error `||c - r||_2 / ||r||_2`, relative error of a few 2^-53; 0 where c and r are both zero, infinite where only r is.
    pub drift: f64,
    /// log2 of the drift, also where the drift is beyond f64's range; negative infinity for 0.
    pub log2_drift: f64,
    /// `max |c_i - r_i| / |r_i|`; a component that is zero in both counts as 0, in r alone as infinite.
    pub worst_relative: f64,
    /// `max |c_i - r_i| / ulp(r_i)`, where `ulp(x) = 2^(max(e, emin) - p + 1)` for `2^e <= |x| < 2^(e+1)`: the ulp of the exact value in the format,
    /// of the least subnormal number below the normal range, and continued above the largest number.
    pub worst_ulp: f64,
    /// `c · r / (||c|| ||r||)`, within [-1, 1], absolute error below 2^-49; 1 where both are zero, 0 where one of them is.
    pub cosine: f64,
    /// `-log2 drift`, at least 0 and at most p.
    pub bits_left: f64,
    /// `log2 ||c||_2`: negative infinity for zero, infinity where c has an infinity and no NaN, NaN where it has a NaN.
    pub log2_norm: f64,
    /// `log2 ||r||_2`: negative infinity for zero.
    pub log2_norm_reference: f64,
    /// `(c - r) / r` with its sign, for vectors of one component; rules for zeros as for the drift.
    pub signed_relative: Option<f64>,
}

/// Compares `computed`, numbers of `format`, with the reference.
///
/// # Panics
/// If the lengths differ.
pub fn compare(computed: &[f64], reference: &ScaledVector, format: Format) -> Comparison {
    assert_eq!(computed.len(), reference.len(), "computed and reference vector differ in length");
    let norm = norm(computed);
    let norm_reference = reference.norm();
    let known = reference.is_finite();
    let finite = norm.mantissa().is_finite();
    let errors = match (known, finite) {
        (true, true) => errors(computed, reference, format),
        (true, false) => Errors::all(Scaled::from(f64::INFINITY)),
        (false, _) => Errors::all(Scaled::from(f64::NAN)),
    };
    let drift = if known { ratio(errors.norm, norm_reference) } else { Scaled::from(f64::NAN) };
    let log2_drift = drift.log2();
    let precision = f64::from(format.precision());
    Comparison {
        drift: drift.to_f64(),
        log2_drift,
        worst_relative: errors.relative,
        worst_ulp: errors.ulp,
        cosine: if known && finite { cosine_of(computed, norm, reference, norm_reference) } else { f64::NAN },
        // Subtracted, so that a drift of 1 leaves +0 bits.
        bits_left: if log2_drift.is_nan() { 0.0 } else { (0.0 - log2_drift).clamp(0.0, precision) },
        log2_norm: norm.log2(),
        log2_norm_reference: norm_reference.log2(),
        signed_relative: (computed.len() == 1).then(|| signed_relative(computed[0], reference)),
    }
}

/// [`Comparison::cosine`] alone, for a look at every layer of a chain.
///
/// # Panics
/// If the lengths differ.
pub fn cosine(computed: &[f64], reference: &ScaledVector) -> f64 {
    assert_eq!(computed.len(), reference.len(), "computed and reference vector differ in length");
    let norm = norm(computed);
    if norm.mantissa().is_finite() && reference.is_finite() {
        cosine_of(computed, norm, reference, reference.norm())
    } else {
        f64::NAN
    }
}

/// The sine of the angle between `computed` and the reference, `min over t of ||c - t r|| / ||c||` with t >= 0: what is left of the drift when a factor on
/// the whole gradient does not count. Relative error of a few 2^-52, and absolute error below n · 2^-100.
///
/// 1 where the cosine is not positive or only one of the two is zero, 0 where both are; NaN where a component of either is not finite.
///
/// # Panics
/// If the lengths differ.
pub fn sine(computed: &[f64], reference: &ScaledVector) -> f64 {
    let cosine = cosine(computed, reference);
    if cosine.is_nan() {
        return f64::NAN;
    }
    let Some(own) = common_exponent(computed) else {
        return if cosine == 1.0 { 0.0 } else { 1.0 };
    };
    if cosine <= 0.0 {
        return 1.0;
    }
    let scaled: Vec<f64> = computed.iter().map(|&c| ldexp(c, -own)).collect();
    let sum = |term: &dyn Fn(usize) -> DoubleDouble| {
        (0..scaled.len()).fold(DoubleDouble::default(), |sum, i| sum.plus(term(i)))
    };
    let along = sum(&|i| reference.mantissa(i).times_f64(scaled[i]));
    let square = sum(&|i| reference.mantissa(i).times(reference.mantissa(i)));
    let factor = along.divided_by(square);
    let rest: Vec<f64> = (0..scaled.len())
        .map(|i| DoubleDouble::from(scaled[i]).minus(reference.mantissa(i).times(factor)).hi)
        .collect();
    ratio(norm(&rest), norm(&scaled)).to_f64()
}

/// `||x||_2` of f64 numbers, relative error below 2^-51, overflow or not; infinite where x has an infinity and no NaN, NaN where it has a NaN.
pub fn norm(x: &[f64]) -> Scaled {
    if let Some(&bad) = x.iter().find(|x| x.is_nan()).or_else(|| x.iter().find(|x| x.is_infinite())) {
        return Scaled::from(bad.abs());
    }
    let mut squares = SumOfSquares::default();
    // A zero beside each number: what is compared is f64, without a low part.
    for chunk in x.chunks(ZEROS.len()) {
        squares.add(chunk, &ZEROS[..chunk.len()], 0);
    }
    squares.root()
}

const ZEROS: [f64; 64] = [0.0; 64];

/// The three ways to sum up the errors of the components.
struct Errors {
    norm: Scaled,
    relative: f64,
    ulp: f64,
}

impl Errors {
    fn all(norm: Scaled) -> Errors {
        Errors { norm, relative: norm.mantissa(), ulp: norm.mantissa() }
    }
}

fn errors(computed: &[f64], reference: &ScaledVector, format: Format) -> Errors {
    let mut squares = SumOfSquares::default();
    let (mut relative, mut ulp) = (0.0_f64, 0.0_f64);
    for (i, &c) in computed.iter().enumerate() {
        let r = reference.mantissa(i);
        let (d, exponent) = difference(c, r, reference.exponent());
        squares.add(&[d], &[0.0], exponent);
        let error = Scaled::new(d.abs(), exponent);
        relative = relative.max(ratio(error, Scaled::new(r.hi.abs(), reference.exponent())).to_f64());
        let ulp_exponent = ulp_exponent(reference, i, format);
        ulp = ulp.max(ldexp(error.mantissa(), error.exponent().saturating_sub(ulp_exponent)));
    }
    Errors { norm: squares.root(), relative, ulp }
}

/// log2 of the ulp of component i in the format.
fn ulp_exponent(reference: &ScaledVector, i: usize, format: Format) -> i64 {
    let r = reference.mantissa(i);
    let least = i64::from(format.min_exponent());
    if r.hi == 0.0 {
        return least;
    }
    // A power of two that the low part pulls down lies in the binade below.
    let power_of_two = r.hi.to_bits() & ((1 << 52) - 1) == 0 && r.hi.abs() >= f64::MIN_POSITIVE;
    let below = power_of_two && r.lo != 0.0 && (r.lo > 0.0) != (r.hi > 0.0);
    let binade = exponent_of(r.hi) - 1 - i64::from(below);
    let precision = i64::from(format.precision());
    least.max(binade.saturating_add(reference.exponent()) - precision + 1)
}

/// `error / size`, 0 for 0 / 0.
fn ratio(error: Scaled, size: Scaled) -> Scaled {
    if error.mantissa() == 0.0 && size.mantissa() == 0.0 { Scaled::ZERO } else { error.divided_by(size) }
}

fn cosine_of(computed: &[f64], norm: Scaled, reference: &ScaledVector, norm_reference: Scaled) -> f64 {
    match (norm.mantissa() == 0.0, norm_reference.mantissa() == 0.0) {
        (true, true) => return 1.0,
        (true, false) | (false, true) => return 0.0,
        (false, false) => {}
    }
    if let ([c], [r]) = (computed, reference.hi.as_slice()) {
        return f64::copysign(1.0, *c) * f64::copysign(1.0, *r);
    }
    let own = common_exponent(computed).unwrap_or(0);
    let (first, second) = (pow2(-(own / 2)), pow2(-(own - own / 2)));
    let (mut sum, mut error) = (0.0, 0.0);
    for (&c, &r) in computed.iter().zip(&reference.hi) {
        let (next, lost) = two_sum(sum, c * first * second * r);
        (sum, error) = (next, error + lost);
    }
    let product = Scaled::new(sum + error, own.saturating_add(reference.exponent()));
    product.divided_by(norm).divided_by(norm_reference).to_f64().clamp(-1.0, 1.0)
}

fn signed_relative(c: f64, reference: &ScaledVector) -> f64 {
    let r = reference.mantissa(0);
    if !c.is_finite() || !r.hi.is_finite() {
        return if r.hi.is_finite() { c * f64::copysign(1.0, r.hi) } else { f64::NAN };
    }
    let (d, exponent) = difference(c, r, reference.exponent());
    ratio(Scaled::new(d, exponent), Scaled::new(r.hi, reference.exponent())).to_f64()
}

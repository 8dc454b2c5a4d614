//! The exponential function by one fixed sequence of operations, the same bits on every machine.
//!
//! `e^x = 2^k · e^r` with `k` the integer nearest to `x / ln 2` and `|r| <= ln 2 / 2 + 2^-40`, where `e^r` is its Taylor polynomial
//! (Muller 2016, "Elementary functions", chapter 11). No platform's libm and no fused multiply-add takes part.

use crate::pair::Pair;
use crate::rounded::{Scaled, certain, power_of_two};
use gradchain_arith::{Arithmetic, Format};

/// The coefficients `1 / n!`, n = 0 to 26, as pairs: the f64 nearest, and the f64 nearest to what it leaves.
#[rustfmt::skip]
const INVERSE_FACTORIALS: [(f64, f64); 27] = [
    (1.0, 0.0),
    (1.0, 0.0),
    (0.5, 0.0),
    (0.16666666666666666, 9.25185853854297e-18),
    (0.041666666666666664, 2.3129646346357427e-18),
    (0.008333333333333333, 1.1564823173178714e-19),
    (0.001388888888888889, -5.300543954373577e-20),
    (0.0001984126984126984, 1.7209558293420705e-22),
    (2.48015873015873e-05, 2.1511947866775882e-23),
    (2.7557319223985893e-06, -1.858393274046472e-22),
    (2.755731922398589e-07, 2.3767714622250297e-23),
    (2.505210838544172e-08, -1.448814070935912e-24),
    (2.08767569878681e-09, -1.20734505911326e-25),
    (1.6059043836821613e-10, 1.2585294588752098e-26),
    (1.1470745597729725e-11, 2.0655512752830745e-28),
    (7.647163731819816e-13, 7.03872877733453e-30),
    (4.779477332387385e-14, 4.399205485834081e-31),
    (2.8114572543455206e-15, 1.6508842730861433e-31),
    (1.5619206968586225e-16, 1.1910679660273754e-32),
    (8.22063524662433e-18, 2.2141894119604265e-34),
    (4.110317623312165e-19, 1.4412973378659527e-36),
    (1.9572941063391263e-20, -1.3643503830087908e-36),
    (8.896791392450574e-22, -7.911402614872376e-38),
    (3.868170170630684e-23, -8.843177655482344e-40),
    (1.6117375710961184e-24, -3.6846573564509766e-41),
    (6.446950284384474e-26, -1.9330404233703465e-42),
    (2.4795962632247976e-27, -1.2953730964765229e-43),
];

/// `e^x` in f64, error below 1 ulp where the result is a normal number. For x that is not NaN; 0 and infinity where the result
/// is beyond the range.
#[inline]
pub(crate) fn exp(x: f64) -> f64 {
    let (k, minus_one) = exp_parts(x);
    // In two steps, because 2^k alone may lie outside f64 where the product does not.
    (1.0 + minus_one) * power_of_two(k >> 1) * power_of_two(k - (k >> 1))
}

/// `e^x` as `2^k · (1 + m)`, with (k, m) returned; m has a relative error below 2^-51 where k = 0. x beyond -760 or 720 is taken as these.
#[inline]
pub(crate) fn exp_parts(x: f64) -> (i32, f64) {
    // ln 2 in two parts, the first with 33 bits: its product with k is exact.
    const LN_2: [f64; 2] = [0.6931471804855391, 7.440617110012397e-11];
    let x = x.clamp(-760.0, 720.0);
    let k = nearest_integer(x * std::f64::consts::LOG2_E);
    let r = (x - k * LN_2[0]) - k * LN_2[1];
    // Estrin's scheme: the quarters do not wait for each other. The terms left off, from r^14 / 14! on, are below 2^-57 of r.
    let c = |n: usize| INVERSE_FACTORIALS[n].0;
    let r2 = r * r;
    let r4 = r2 * r2;
    let a = (c(2) + r * c(3)) + r2 * (c(4) + r * c(5));
    let b = (c(6) + r * c(7)) + r2 * (c(8) + r * c(9));
    let d = (c(10) + r * c(11)) + r2 * (c(12) + r * c(13));
    (k as i32, r + r2 * (a + r4 * (b + r4 * d)))
}

/// `e^x` as `2^exponent · (1 + minus_one)`, where `1 + minus_one` lies between 0.7 and 1.42.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exponential {
    pub(crate) exponent: i32,
    pub(crate) minus_one: Pair,
}

impl Exponential {
    /// `1 + minus_one`.
    pub(crate) fn significand(self) -> Pair {
        Pair::ONE.add(self.minus_one)
    }

    /// `1 + e^x`, where `x <= 0`. An e^x below 2^-300 is taken larger than it is: what counts is that it is not zero.
    pub(crate) fn plus_one(self) -> Pair {
        Pair::ONE.add(self.significand().scale(power_of_two(self.exponent.max(-300))))
    }
}

/// `e^x` for `|x| <= 2000`, with TERMS terms of the Taylor polynomial in double-double and the rest in f64. Relative error of `e^r - 1`
/// and of `e^r` below 2^-100 with 14 terms, and below 2^-62 with 4 (the largest term in f64 is r^4 / 5! of 1: 2^-13 · 2^-52 and
/// the errors of the five operations around it).
pub(crate) fn exp_pair<const TERMS: usize>(x: f64) -> Exponential {
    // ln 2 in three parts, the first two with 40 bits: their products with k, of at most 12 bits, are exact.
    const LN_2: [f64; 3] = [0.6931471805592082, 7.371002565161996e-13, 5.8029889835956905e-25];
    debug_assert!(x.abs() <= 2000.0);
    let k = nearest_integer(x * std::f64::consts::LOG2_E);
    let r = Pair::sum(x - k * LN_2[0], -k * LN_2[1]);
    let r = Pair::sum_ordered(r.high, r.low - k * LN_2[2]);
    // (e^r - 1) / r = Σ r^n / (n + 1)!, n = 0 to 25, by Horner's rule from the last term on.
    let mut tail = 0.0;
    for &(c, _) in INVERSE_FACTORIALS[TERMS + 1..].iter().rev() {
        tail = c + r.high * tail;
    }
    let mut q = Pair { high: tail, low: 0.0 };
    for &(high, low) in INVERSE_FACTORIALS[1..=TERMS].iter().rev() {
        q = Pair { high, low }.add(r.mul(q));
    }
    Exponential { exponent: k as i32, minus_one: r.mul(q) }
}

/// `e^x` rounded once by `arith`.
pub(crate) fn exp_rounded<A: Arithmetic>(arith: &A, x: f64) -> A::Number {
    if x.is_nan() {
        return arith.round(x);
    } else if x > 709.782_712_893_384 {
        // Beyond every format: what the arithmetic says of overflow.
        return arith.mul(arith.round(f64::MAX), arith.round(2.0));
    }
    let e = exp_pair::<14>(x.max(-2000.0));
    // Twice the significand, because 2^1024 is no f64.
    Scaled { pair: e.significand().scale(2.0), exponent: e.exponent - 1 }.round(arith)
}

/// `e^x` rounded once to f32, for x that is not NaN.
pub(crate) fn exp_f32(x: f64) -> f32 {
    let quick = exp(x);
    if x == 0.0 || certain(quick, Format::F32) { quick as f32 } else { exp_nearest(x, Format::F32) as f32 }
}

/// `e^x` rounded once to f64, for x that is not NaN.
pub(crate) fn exp_f64(x: f64) -> f64 {
    exp_nearest(x, Format::F64)
}

/// `e^x` rounded once, to nearest, into a format of f64 numbers.
fn exp_nearest(x: f64, format: Format) -> f64 {
    // Below 2^-60 the polynomial is 1 + x, whose rounding needs no more than the sign of x.
    let e = exp_pair::<14>(x.clamp(-2000.0, 2000.0));
    Scaled { pair: e.significand(), exponent: e.exponent }.nearest(format)
}

/// The integer nearest to x, for `|x| < 2^51`: adding 1.5 · 2^52 leaves no bits for a fraction.
fn nearest_integer(x: f64) -> f64 {
    const SHIFT: f64 = 6_755_399_441_055_744.0;
    (x + SHIFT) - SHIFT
}

#[cfg(test)]
mod tests {
    use super::*;
    use dashu_float::FBig;
    use dashu_float::round::mode::HalfEven;

    type Big = FBig<HalfEven, 2>;

    fn big(x: f64) -> Big {
        Big::try_from(x).unwrap().with_precision(400).value()
    }

    /// `|a - b| / |b|`, as a power of two.
    fn log2_error(a: &Big, b: &Big) -> f64 {
        let ratio = ((a - b) / b).to_f64().value().abs();
        if ratio == 0.0 { f64::NEG_INFINITY } else { (ratio.to_bits() >> 52) as f64 - 1022.0 }
    }

    /// The errors that are promised, against 400-bit arithmetic.
    #[test]
    fn error_bounds() {
        let (mut ulps, mut close, mut closest): (f64, f64, f64) = (0.0, f64::NEG_INFINITY, f64::NEG_INFINITY);
        for i in 1..3000 {
            let x = f64::from(i) * -0.236_067_977_499_789_7 * f64::powi(2.0, -(i % 23));
            let exact = big(x).exp();
            let got = exp(x);
            let ulp = f64::from_bits(got.to_bits() + 1) - got;
            ulps = ulps.max(((big(got) - &exact) / big(ulp)).to_f64().value().abs());
            let error = |e: Exponential| {
                let power = big(2.0).powi(e.exponent.into());
                let one =
                    log2_error(&((big(e.significand().high) + big(e.significand().low)) * &power), &exact);
                // Where no power of two is split off, e^x - 1 counts too.
                let minus_one = big(e.minus_one.high) + big(e.minus_one.low);
                if e.exponent == 0 { one.max(log2_error(&minus_one, &(&exact - big(1.0)))) } else { one }
            };
            close = close.max(error(exp_pair::<4>(x)));
            closest = closest.max(error(exp_pair::<14>(x)));
        }
        println!("f64: {ulps:.3} ulp; 4 terms: below 2^{close}; 14 terms: below 2^{closest}");
        assert!(ulps < 1.0 && close <= -62.0 && closest <= -100.0);
    }
}

//! Standard normal draws whose bits are the same on every machine.
//!
//! `rand_distr`'s own normal distribution takes the logarithm of the platform in its tail; this one inverts the distribution function
//! with a fixed sequence of `+ - · /`, a square root and the logarithm of the pinned `libm` crate.

use gradchain_arith::{Isa, Simd, WithSimd};
use rand::{Rng, RngExt};
use rand_distr::Distribution;
use std::sync::LazyLock;

/// N(0, 1) by inversion: one 53-bit uniform number a draw.
#[derive(Clone, Copy, Debug)]
pub struct StandardNormal;

impl Distribution<f64> for StandardNormal {
    fn sample<R: Rng + ?Sized>(&self, rng: &mut R) -> f64 {
        quantile(middle(rng.random::<u64>() >> 11))
    }
}

impl StandardNormal {
    /// Fills `out` with what as many calls of `sample` give, several times faster: the formula that five numbers of six take is computed for all of them, as
    /// vectors, and the others are computed again.
    pub fn fill<R: Rng + ?Sized>(self, rng: &mut R, out: &mut [f64]) {
        static ISA: LazyLock<Isa> = LazyLock::new(|| Isa::choose().unwrap_or(Isa::PORTABLE));
        let mut uniform = [0.0; 256];
        for out in out.chunks_mut(uniform.len()) {
            let uniform = &mut uniform[..out.len()];
            uniform.iter_mut().for_each(|p| *p = middle(rng.random::<u64>() >> 11));
            ISA.run(Centres { uniform, out });
            for (x, &p) in out.iter_mut().zip(&*uniform) {
                if (p - 0.5).abs() > CENTRAL {
                    *x = quantile(p);
                }
            }
        }
    }
}

/// The quantiles of the middle, whether a number lies there or not.
struct Centres<'a> {
    uniform: &'a [f64],
    out: &'a mut [f64],
}

impl WithSimd for Centres<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Centres { uniform, out } = self;
        simd.call(
            #[inline(always)]
            || {
                for (x, &p) in out.iter_mut().zip(uniform) {
                    *x = central(p - 0.5);
                }
            },
        );
    }
}

/// The middle of part number `part` of 2^53 equal parts of the unit interval: never 0 and never 1.
///
/// Middles above 1/2 need 54 bits and are rounded to even ends; the last one would become 1.
fn middle(part: u64) -> f64 {
    const LAST: f64 = 9_007_199_254_740_991.0;
    (part as f64 + 0.5).min(LAST) * f64::EPSILON / 2.0
}

/// The standard normal quantile of `0 < p < 1`, to about 1e-16 relative (algorithm AS 241, PPND16; Wichura 1988).
fn quantile(p: f64) -> f64 {
    let q = p - 0.5;
    if q.abs() <= CENTRAL {
        return central(q);
    }
    let tail = if q < 0.0 { p } else { 1.0 - p };
    let r = (-libm::log(tail)).sqrt();
    let magnitude = if r <= 5.0 {
        horner(&MIDDLE, r - 1.6) / horner(&MIDDLE_BELOW, r - 1.6)
    } else {
        horner(&FAR, r - 5.0) / horner(&FAR_BELOW, r - 5.0)
    };
    if q < 0.0 { -magnitude } else { magnitude }
}

/// Up to here from 1/2 the first formula holds.
const CENTRAL: f64 = 0.425;

#[inline(always)]
fn central(q: f64) -> f64 {
    let r = 0.180625 - q * q;
    q * horner(&CENTRE, r) / horner(&CENTRE_BELOW, r)
}

#[inline(always)]
fn horner(coefficients: &[f64; 8], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c)
}

const CENTRE: [f64; 8] = [
    3.387_132_872_796_366_5,
    1.331_416_678_917_843_8e2,
    1.971_590_950_306_551_3e3,
    1.373_169_376_550_946e4,
    4.592_195_393_154_987e4,
    6.726_577_092_700_87e4,
    3.343_057_558_358_813e4,
    2.509_080_928_730_122_7e3,
];
const CENTRE_BELOW: [f64; 8] = [
    1.0,
    4.231_333_070_160_091e1,
    6.871_870_074_920_579e2,
    5.394_196_021_424_751e3,
    2.121_379_430_158_659_7e4,
    3.930_789_580_009_271e4,
    2.872_908_573_572_194_3e4,
    5.226_495_278_852_854e3,
];
const MIDDLE: [f64; 8] = [
    1.423_437_110_749_683_5,
    4.630_337_846_156_546,
    5.769_497_221_460_691,
    3.647_848_324_763_204_5,
    1.270_458_252_452_368_4,
    2.417_807_251_774_506e-1,
    2.272_384_498_926_918_4e-2,
    7.745_450_142_783_414e-4,
];
const MIDDLE_BELOW: [f64; 8] = [
    1.0,
    2.053_191_626_637_759,
    1.676_384_830_183_803_8,
    6.897_673_349_851e-1,
    1.481_039_764_274_800_8e-1,
    1.519_866_656_361_645_7e-2,
    5.475_938_084_995_345e-4,
    1.050_750_071_644_416_9e-9,
];
const FAR: [f64; 8] = [
    6.657_904_643_501_103,
    5.463_784_911_164_114,
    1.784_826_539_917_291_3,
    2.965_605_718_285_048_7e-1,
    2.653_218_952_657_612_4e-2,
    1.242_660_947_388_078_4e-3,
    2.711_555_568_743_487_6e-5,
    2.010_334_399_292_288_1e-7,
];
const FAR_BELOW: [f64; 8] = [
    1.0,
    5.998_322_065_558_88e-1,
    1.369_298_809_227_358e-1,
    1.487_536_129_085_061_5e-2,
    7.868_691_311_456_133e-4,
    1.846_318_317_510_054_8e-5,
    1.421_511_758_316_446e-7,
    2.044_263_103_389_939_8e-15,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_the_unit_interval_are_never_drawn() {
        let last = (1 << 53) - 1;
        for (part, expected) in
            [(0, f64::EPSILON / 4.0), (last, 1.0 - f64::EPSILON / 2.0), (last - 1, 1.0 - f64::EPSILON)]
        {
            assert_eq!(middle(part), expected, "{part}");
            assert!(quantile(middle(part)).is_finite());
        }
    }

    /// Percentage points from the published tables of the normal distribution, to all their digits.
    #[test]
    fn percentage_points() {
        for (p, expected) in [
            (0.5, 0.0),
            (0.75, 0.674_489_750_196_081_7),
            (0.9, 1.281_551_565_544_600_4),
            (0.975, 1.959_963_984_540_054),
            (0.001, -3.090_232_306_167_813_5),
            (1e-10, -6.361_340_902_404_056),
            (1e-20, -9.262_340_089_798_408),
        ] {
            let got = quantile(p);
            assert!((got - expected).abs() <= 4e-16 * expected.abs(), "{p}: {got}, expected {expected}");
            if p > 1e-3 {
                assert!((quantile(1.0 - p) + got).abs() < 1e-14);
            }
        }
    }
}

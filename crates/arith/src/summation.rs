//! How products are added, and the published bound on the error of each way.
//!
//! A summation fixes the order of the additions and where roundings happen; it is part of what is computed. Terms are taken in
//! ascending index order.

use crate::format::{Format, pow2};
use std::fmt;
use std::str::FromStr;

/// A way to compute `Σ a_i · b_i` in a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Summation {
    /// One after the other, each product and each sum rounded: `s = fl(s + fl(a_i · b_i))`, from `s = +0`.
    Recursive,
    /// One after the other, one rounding a term: `s = fl(s + a_i · b_i)`, from `s = +0`.
    Fused,
    /// What fast libraries do: [`INTERLEAVED`] partial sums, of which number `i mod INTERLEAVED` takes term i, fused, in the narrowest format
    /// of the machine that holds the format ([`computed_format`]: f32 for 16-bit numbers and f32, f64 for f64). Then the sums are
    /// halved, sum j taking sum j + half, until one is left; it is rounded into the format.
    Interleaved,
    /// Rounded products added in a balanced binary tree: equal blocks are joined as in a binary counter, and what remains is joined from
    /// the smallest block up. Depth at most `ceil(log2 n)`.
    Pairwise,
    /// Dot2 of Ogita, Rump and Oishi (2005, algorithm 5.3): recursive, with the rounding error of each product and sum recovered
    /// (TwoProduct by FMA, TwoSum by Knuth), added up and given back at the end.
    Compensated,
    /// Fused in the next wider format and rounded once at the end: f32 for the 16-bit formats, f64 for f32. f64 has no wider
    /// format of the machine's: it accumulates in double-double. For emulated formats see [`wide_format`] and [`dot`](crate::dot()).
    Wide,
    /// bf16 only: the dot product of the hardware (AVX-512 BF16, VDPBF16PS), in f32, rounded once at the end. Terms go in pairs, of
    /// which the second is added first, each by a fused operation; subnormal operands, sums and results become zeros of their
    /// sign. A last term without a pair is the first of one whose second is `+0 · +0`.
    Bf16Dot,
}

impl Summation {
    /// All summations, in the order in which they are listed to users.
    pub const ALL: [Summation; 7] = [
        Summation::Recursive,
        Summation::Fused,
        Summation::Interleaved,
        Summation::Pairwise,
        Summation::Compensated,
        Summation::Wide,
        Summation::Bf16Dot,
    ];

    /// The name used in studies, rows and bench ids.
    pub const fn name(self) -> &'static str {
        match self {
            Summation::Recursive => "recursive",
            Summation::Fused => "fused",
            Summation::Interleaved => "interleaved",
            Summation::Pairwise => "pairwise",
            Summation::Compensated => "compensated",
            Summation::Wide => "wide",
            Summation::Bf16Dot => "bf16-dot",
        }
    }

    /// Whether there is such a sum of numbers of `format`.
    pub fn is_defined_for(self, format: Format) -> bool {
        self != Summation::Bf16Dot || format == Format::BF16
    }

    /// The summations that are defined for `format`, in the order of [`ALL`](Summation::ALL).
    pub fn of(format: Format) -> impl Iterator<Item = Summation> {
        Summation::ALL.into_iter().filter(move |summation| summation.is_defined_for(format))
    }

    /// The factor γ of the forward bound `|computed - Σ a_i b_i| <= γ Σ |a_i b_i|` for `n` terms and unit roundoff `u`, absent
    /// overflow and underflow. Infinite where the theory gives no bound (`n u >= 1`).
    ///
    /// - recursive, fused: `γ_n = n u / (1 - n u)` (Higham 2002, eq. 3.5);
    /// - interleaved, with m terms in the longest partial sum: `u + (1 + u) γ_(m + log2 INTERLEAVED)(u_computed)`, by the same count of the
    ///   roundings that a term meets;
    /// - pairwise: `γ_(ceil(log2 n) + 1)` (Higham 2002, eq. 4.6, one more for the product);
    /// - compensated: `u + γ_n²` (Ogita, Rump and Oishi 2005, prop. 5.5);
    /// - wide: `u + (1 + u) γ_n(u_wide)` (Blanchard, Higham, Lopez, Mary and Pranesh 2020, thm. 3.1, one block);
    /// - bf16-dot: the same, in f32, for operands that are normal numbers or zeros.
    ///
    /// Roundings that are not to nearest err by up to `2u` instead of `u`: pass twice the unit roundoff through `unit`. For the compensated
    /// sum, whose recovered errors are then rounded themselves, that is what is observed and not what the proposition proves.
    pub fn bound(self, n: usize, unit: f64, wide_unit: f64) -> f64 {
        if n == 0 {
            return 0.0;
        }
        let levels = n.next_power_of_two().trailing_zeros() as usize + 1;
        match self {
            Summation::Recursive | Summation::Fused => gamma(n, unit),
            Summation::Interleaved => {
                let roundings = n.div_ceil(INTERLEAVED) + INTERLEAVED.trailing_zeros() as usize;
                unit + (1.0 + unit) * gamma(roundings, computed_unit(unit))
            }
            Summation::Pairwise => gamma(levels, unit),
            Summation::Compensated => unit + gamma(n, unit) * gamma(n, unit),
            Summation::Wide => unit + (1.0 + unit) * gamma(n, wide_unit),
            Summation::Bf16Dot => unit + (1.0 + unit) * gamma(n, Format::F32.unit_roundoff()),
        }
    }

    /// What underflow can add to the error of `n` terms when rounding to nearest, absolutely, in units of the least subnormal η of the format and
    /// η_w of the wide one: half a unit for each product and each recovered error that underflows, doubled because a later rounding
    /// may magnify it by at most 1 + γ <= 2 (after Higham 2002, eq. 2.8). Sums of numbers of a format do not underflow, except in the
    /// hardware's dot product, which flushes each of them.
    pub fn underflow(self, n: usize, format: Format) -> f64 {
        let unit = format.min_subnormal();
        let n = n as f64;
        match (self, wide_format(format)) {
            (Summation::Recursive | Summation::Fused | Summation::Pairwise, _) => n * unit,
            (Summation::Interleaved, _) => {
                unit + n * computed_format(format).unwrap_or(format).min_subnormal()
            }
            (Summation::Compensated, _) | (Summation::Wide, None) => 2.0 * n * unit,
            (Summation::Bf16Dot, _) => 2.0 * n * format.min_normal(),
            (Summation::Wide, Some(wide)) => unit + n * wide.min_subnormal(),
        }
    }
}

/// `γ_n = n u / (1 - n u)`, infinite where `n u >= 1` (Higham 2002, lemma 3.1).
pub fn gamma(n: usize, unit: f64) -> f64 {
    let nu = n as f64 * unit;
    if nu < 1.0 { nu / (1.0 - nu) } else { f64::INFINITY }
}

/// The format in which [`Summation::Wide`] accumulates: the first of f32 and f64 that holds every product of two numbers of `format` exactly
/// where it neither overflows nor underflows; none for f64 and its like, which accumulate in double-double.
pub fn wide_format(format: Format) -> Option<Format> {
    [Format::F32, Format::F64].into_iter().find(|wide| {
        2 * format.precision() <= wide.precision()
            && format.emin() >= wide.emin()
            && format.emax() <= wide.emax()
    })
}

/// Partial sums of [`Summation::Interleaved`], a power of two.
pub const INTERLEAVED: usize = 64;

/// The format in which [`Summation::Interleaved`] adds up: the first of f32 and f64 that contains `format`; none for a format with more
/// precision or range than f64.
pub fn computed_format(format: Format) -> Option<Format> {
    [Format::F32, Format::F64].into_iter().find(|computed| {
        format.precision() <= computed.precision()
            && format.emin() >= computed.emin()
            && format.emax() <= computed.emax()
    })
}

/// An upper bound of the unit roundoff of [`computed_format`], for a format with unit roundoff `unit` or half of that.
fn computed_unit(unit: f64) -> f64 {
    [Format::F32, Format::F64].map(Format::unit_roundoff).into_iter().find(|&u| u <= unit).unwrap_or(unit)
}

/// The unit roundoff of the accumulator of [`Summation::Wide`]; 2^-104 for double-double (Joldes, Muller and Popescu 2017, theorem 3.1
/// gives 3u² for a sum, u = 2^-53).
pub fn wide_unit(format: Format) -> f64 {
    wide_format(format).map_or(pow2(-104), Format::unit_roundoff)
}

impl fmt::Display for Summation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Summation {
    type Err = String;

    fn from_str(text: &str) -> Result<Summation, String> {
        Summation::ALL.into_iter().find(|s| s.name() == text).ok_or_else(|| {
            let known = Summation::ALL.map(Summation::name).join(", ");
            format!("unknown summation `{text}`; known: {known}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wide_format_holds_every_product() {
        for (_, format) in Format::NAMED {
            let expected = match format.precision() {
                53 => None,
                24 => Some(Format::F64),
                _ => Some(Format::F32),
            };
            assert_eq!(wide_format(format), expected, "{format}");
        }
        // At and beyond each of the three borders of f32 and of f64.
        for (custom, expected) in [
            ((12, -126, 127), Some(Format::F32)),
            ((13, -126, 127), Some(Format::F64)),
            ((12, -127, 127), Some(Format::F64)),
            ((12, -126, 128), Some(Format::F64)),
            ((26, -1022, 1023), Some(Format::F64)),
            ((27, -126, 127), None),
            ((26, -1023, 1023), None),
        ] {
            let (p, emin, emax) = custom;
            assert_eq!(wide_format(Format::custom(p, emin, emax).unwrap()), expected, "{custom:?}");
        }
    }

    /// The factors for five terms: `u = 2^-4` gives γ_5 = 5/11 and, by three levels and a product, γ_4 = 1/3.
    #[test]
    fn factors_of_the_bounds() {
        let (u, wide) = (0.0625, 0.015625);
        let of = |summation: Summation, n| summation.bound(n, u, wide);
        assert_eq!((of(Summation::Recursive, 5), of(Summation::Fused, 5)), (gamma(5, u), gamma(5, u)));
        assert_eq!(gamma(5, u), 0.3125 / 0.6875);
        assert_eq!(Summation::Pairwise.bound(5, u, wide), gamma(4, u));
        assert_eq!(
            [1, 2, 3, 4, 8, 9].map(|n| of(Summation::Pairwise, n)),
            [1, 2, 3, 3, 4, 5].map(|n| gamma(n, u))
        );
        assert_eq!(of(Summation::Compensated, 5), u + gamma(5, u) * gamma(5, u));
        assert_eq!(of(Summation::Wide, 5), u + (1.0 + u) * gamma(5, wide));
        // f32 holds a format of this unit: two terms in the longest of 64 partial sums, and six halvings.
        assert_eq!(of(Summation::Interleaved, 65), u + (1.0 + u) * gamma(8, 2f64.powi(-24)));
        assert_eq!(
            Summation::Interleaved.bound(1, 2f64.powi(-53), 0.0),
            2f64.powi(-53) + (1.0 + 2f64.powi(-53)) * gamma(7, 2f64.powi(-53))
        );
        assert_eq!(of(Summation::Bf16Dot, 5), u + (1.0 + u) * gamma(5, 2f64.powi(-24)));
        // Where n u reaches 1 there is no bound, and nothing added up is exact.
        assert_eq!((of(Summation::Recursive, 16), of(Summation::Recursive, 15)), (f64::INFINITY, 15.0));
        assert_eq!(Summation::ALL.map(|summation| of(summation, 0)), [0.0; 7]);
    }
}

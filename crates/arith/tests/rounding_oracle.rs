//! Rounding and single operations against exact arithmetic: dashu-float with unlimited precision, and tables of all numbers of the small
//! formats decoded from their bit patterns. Nothing here calls the code under test to make an expectation.

use dashu_float::FBig;
use gradchain_arith::{
    Arithmetic, Emulated, Format, Isa, Native, Overflow, Real, Rounding, Rules, Subnormals, Summation, bf16,
    dot, f16, philox, round_f64,
};
use std::cmp::Ordering;

fn exact(x: f64) -> FBig {
    FBig::try_from(x).unwrap().with_precision(0).value()
}

/// 2^e for every f64 exponent (`powi` gives 0 for the subnormal ones).
fn pow2(e: i32) -> f64 {
    if e < -1022 { f64::from_bits(1 << (e + 1074)) } else { f64::from_bits(((e + 1023) as u64) << 52) }
}

/// The non-negative finite numbers of a format with `exponent_bits` and `fraction_bits`, ascending, decoded from the patterns.
fn decode_all(exponent_bits: u32, fraction_bits: u32, nan_only: bool) -> Vec<f64> {
    let bias = (1 << (exponent_bits - 1)) - 1;
    let top = (1u32 << exponent_bits) - 1;
    let mut numbers = Vec::new();
    for pattern in 0..1u32 << (exponent_bits + fraction_bits) {
        let (e, f) = (pattern >> fraction_bits, pattern & ((1 << fraction_bits) - 1));
        let special = if nan_only { e == top && f == (1 << fraction_bits) - 1 } else { e == top };
        if special {
            continue;
        }
        let hidden = if e == 0 { 0 } else { 1 << fraction_bits };
        let exponent = e.max(1) as i32 - bias - fraction_bits as i32;
        numbers.push(f64::from(f + hidden) * f64::powi(2.0, exponent));
    }
    numbers
}

fn small_formats() -> [(Format, Vec<f64>); 4] {
    [
        (Format::F16, decode_all(5, 10, false)),
        (Format::BF16, decode_all(8, 7, false)),
        (Format::E4M3, decode_all(4, 3, true)),
        (Format::E5M2, decode_all(5, 2, false)),
    ]
}

/// What the exact `x` rounds to among the `numbers`, under IEEE 754's rules for `rounding` (not stochastic).
fn nearest_in_table(x: &FBig, numbers: &[f64], format: Format, rounding: Rounding) -> f64 {
    let negative = *x < exact(0.0);
    let magnitude = if negative { -x.clone() } else { x.clone() };
    let sign = if negative { -1.0 } else { 1.0 };
    let infinite = if format.has_infinities() { sign * f64::INFINITY } else { f64::NAN };
    let above = numbers.partition_point(|&n| exact(n) < magnitude);
    if above < numbers.len() && exact(numbers[above]) == magnitude {
        return sign * numbers[above];
    }
    let below = numbers[above - 1];
    // Beyond the last number stands the one that the next exponent would have had.
    let step = numbers[numbers.len() - 1] - numbers[numbers.len() - 2];
    let next = numbers.get(above).copied().unwrap_or(below + step);
    let away = match rounding {
        Rounding::Nearest => match (magnitude.clone() - exact(below)).cmp(&(exact(next) - magnitude)) {
            Ordering::Less => false,
            Ordering::Greater => true,
            Ordering::Equal => (above - 1) % 2 == 1,
        },
        Rounding::Zero => false,
        Rounding::Up => !negative,
        Rounding::Down => negative,
        Rounding::Stochastic => unreachable!("not asked"),
    };
    match (away, above < numbers.len()) {
        (false, _) => sign * below,
        (true, true) => sign * next,
        (true, false) => infinite,
    }
}

fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

const DIRECTIONS: [Rounding; 4] = [Rounding::Nearest, Rounding::Zero, Rounding::Up, Rounding::Down];

#[test]
fn every_pattern_of_the_small_formats_is_contained_and_every_midpoint_rounds_right() {
    for (format, numbers) in small_formats() {
        let mut checked = 0;
        for pair in numbers.windows(2) {
            let middle = pair[0] / 2.0 + pair[1] / 2.0;
            for x in
                [pair[0], middle, f64::from_bits(middle.to_bits() - 1), f64::from_bits(middle.to_bits() + 1)]
            {
                for x in [x, -x] {
                    for rounding in DIRECTIONS {
                        let rules = Rules { rounding, ..Rules::default() };
                        let expected = if x == 0.0 {
                            x
                        } else {
                            nearest_in_table(&exact(x), &numbers, format, rounding)
                        };
                        let got = round_f64(x, format, rules, 0);
                        assert!(
                            same(got, expected),
                            "{format} {rounding:?}: {x:e} -> {got:e}, expected {expected:e}"
                        );
                        checked += 1;
                    }
                }
            }
            assert!(format.contains(pair[1]) && !format.contains(middle));
        }
        println!("{format}: {checked} roundings");
    }
}

/// Rounding to the stored 16-bit types, against the integer rounding, on values around every midpoint and on random bits.
#[test]
fn stored_types_round_as_their_formats_do() {
    fn check<T: Real>(x: f64) {
        let expected = round_f64(x, T::FORMAT, Rules::default(), 0);
        let got = T::round_from(x).value();
        assert!(
            same(got, expected),
            "{}: {x:e} ({:#x}) -> {got:e}, expected {expected:e}",
            T::NAME,
            x.to_bits()
        );
    }
    for k in 0..200_000 {
        let [bits, other] = philox(1, 0, k);
        let x = f64::from_bits(bits);
        // Uniform bits are mostly far outside the 16-bit ranges: the second value lies inside, near a tie, with rubbish far below it.
        let near = f64::from(f16::from_bits(other as u16).to_f32())
            * (1.0 + (2.0f64).powi(-11 - (other >> 60) as i32))
            + (2.0f64).powi(-60 - (other >> 56 & 15) as i32);
        for x in [x, near, -near] {
            check::<f16>(x);
            check::<bf16>(x);
            check::<f32>(x);
        }
    }
    // What two roundings, by way of f32, get wrong.
    let p = |e: i32| f64::powi(2.0, e);
    for x in [
        2047.4999999850988,
        1.0 + p(-11) + p(-40),
        p(-14) - p(-25) - p(-65),
        65520.0 - p(-20),
        p(-25) + p(-60),
        p(-25),
        1.0 + p(-8) + p(-40),
    ] {
        for x in [x, -x] {
            check::<f16>(x);
            check::<bf16>(x);
        }
    }
    check::<f32>(f64::MAX);
    for x in
        [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 5e-324, f64::MAX, 65520.0, 65519.999999999]
    {
        check::<f16>(x);
        check::<bf16>(x);
    }
}

/// Two operands of a format from 128 random bits: one anywhere, the other within `spread` binades of it, so that sums interact.
fn operands(format: Format, k: u64) -> (f64, f64, f64) {
    let [a, b] = philox(2, u64::from(format.precision()), k);
    let [c, d] = philox(3, u64::from(format.precision()), k);
    let number = |bits: u64, around: i32, spread: i32| {
        let significand = 1.0 + (bits >> 12) as f64 * f64::powi(2.0, -52);
        let exponent = around + (bits as u32 % (2 * spread + 1) as u32) as i32 - spread;
        let exponent = exponent.clamp(format.min_exponent(), format.emax());
        let sign = if bits >> 11 & 1 == 0 { 1.0 } else { -1.0 };
        let x =
            round_f64(sign * significand * f64::powi(2.0, exponent.max(-1000)), format, Rules::default(), 0);
        if x.is_finite() { x } else { format.max() }
    };
    let middle = (format.emax() + format.emin()) / 2;
    let half = (format.emax() - format.emin()) / 2;
    let anywhere = number(a, middle, half.min(900));
    let exponent = (anywhere.to_bits() >> 52 & 0x7ff) as i32 - 1023;
    let near = number(b, exponent.max(-1000), 30);
    let small = number(c, middle, half.min(900) / 2);
    let factor = number(d, 0, 12);
    match k % 3 {
        0 => (anywhere, near, small),
        1 => (anywhere, factor, near),
        _ => (small, factor, -(small * factor)),
    }
}

/// Whether `got` is what the exact value rounds to: checked by the definition, against the neighbours of `got` in the format.
fn check_by_definition(value: &FBig, got: f64, format: Format, rounding: Rounding, context: &str) {
    if got.is_infinite() || got.is_nan() {
        let max = exact(format.max());
        let magnitude = if *value < exact(0.0) { -value.clone() } else { value.clone() };
        assert!(magnitude > max, "{context}: {got} for a value inside the range");
        return;
    }
    assert!(format.contains(got), "{context}: {got:e} is no number of {format}");
    // Half the distance to the neighbours: the quantum of the binade of `got`, halved below a power of two.
    let quantum = |x: f64| {
        let e = (x.abs().to_bits() >> 52) as i32 - 1023;
        pow2(e.max(format.emin()) - format.precision() as i32 + 1)
    };
    let difference = value.clone() - exact(got);
    if difference == exact(0.0) {
        return;
    }
    let positive = difference > exact(0.0);
    let size = if positive { difference } else { -difference };
    let outward = positive == (got > 0.0) || got == 0.0;
    let stops = match rounding {
        Rounding::Nearest => false,
        Rounding::Zero | Rounding::Stochastic => true,
        Rounding::Up => got < 0.0,
        Rounding::Down => got > 0.0,
    };
    if outward && got.abs() == format.max() && stops {
        // Directions that point back at zero stop at the largest number, however far beyond it the value lies.
        return;
    }
    let step = if outward { quantum(got) } else { quantum(f64::from_bits(got.abs().to_bits() - 1)) };
    match rounding {
        Rounding::Nearest => {
            assert!(size.clone() + size <= exact(step), "{context}: {got:e} is not the nearest")
        }
        Rounding::Zero => {
            assert!(outward && size < exact(step), "{context}: {got:e} is not the next toward zero")
        }
        Rounding::Up => assert!(!positive && size < exact(step), "{context}: {got:e} is not the next above"),
        Rounding::Down => assert!(positive && size < exact(step), "{context}: {got:e} is not the next below"),
        Rounding::Stochastic => assert!(size < exact(step), "{context}: {got:e} is not a neighbour"),
    }
}

#[test]
fn emulated_operations_round_the_exact_result() {
    let custom = Format::custom(13, -40, 40).unwrap();
    let formats = Format::NAMED.map(|(_, format)| format).into_iter().chain([custom]);
    for format in formats {
        for rounding in DIRECTIONS.into_iter().chain([Rounding::Stochastic]) {
            let arith = Emulated::new(format, Rules { rounding, ..Rules::default() }, 7);
            for k in 0..1500 {
                let (a, b, c) = operands(format, k);
                let c = Some(arith.round(c)).filter(|c| c.is_finite()).unwrap_or(1.0);
                let (x, y, z) = (exact(a), exact(b), exact(c));
                let context = format!("{format} {rounding:?} a={a:e} b={b:e} c={c:e}");
                check_by_definition(
                    &(x.clone() + &y),
                    arith.add(a, b),
                    format,
                    rounding,
                    &format!("{context} a+b"),
                );
                check_by_definition(
                    &(x.clone() - &y),
                    arith.sub(a, b),
                    format,
                    rounding,
                    &format!("{context} a-b"),
                );
                check_by_definition(
                    &(x.clone() * &y),
                    arith.mul(a, b),
                    format,
                    rounding,
                    &format!("{context} a*b"),
                );
                let fused = x.clone() * &y + &z;
                check_by_definition(
                    &fused,
                    arith.mul_add(a, b, c),
                    format,
                    rounding,
                    &format!("{context} fma"),
                );
                if b != 0.0 && rounding != Rounding::Stochastic {
                    // x/y against the result r: compare x with (r ± step) y, without dividing.
                    let quotient = x.with_precision(400).value() / y.with_precision(400).value();
                    let quotient = quotient.with_precision(0).value();
                    check_by_definition(
                        &quotient,
                        arith.div(a, b),
                        format,
                        rounding,
                        &format!("{context} a/b"),
                    );
                }
            }
        }
    }
}

#[test]
fn native_operations_are_the_emulated_ones() {
    fn check<T: Real>() {
        let native = Native::<T>::new(Isa::PORTABLE);
        let emulated = Emulated::new(T::FORMAT, Rules::default(), 0);
        let specials = &[
            0.0,
            -0.0,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::NAN,
            T::FORMAT.max(),
            T::FORMAT.min_subnormal(),
        ];
        let triples = (0..40_000).map(|k| operands(T::FORMAT, k)).chain(
            specials
                .iter()
                .flat_map(|&a| specials.iter().flat_map(move |&b| specials.iter().map(move |&c| (a, b, c)))),
        );
        for (a, b, c) in triples {
            let c = emulated.round(c);
            let [x, y, z] = [a, b, c].map(T::round_from);
            for (name, got, expected) in [
                ("add", native.add(x, y), emulated.add(a, b)),
                ("sub", native.sub(x, y), emulated.sub(a, b)),
                ("mul", native.mul(x, y), emulated.mul(a, b)),
                ("div", native.div(x, y), emulated.div(a, b)),
                ("mul_add", native.mul_add(x, y, z), emulated.mul_add(a, b, c)),
            ] {
                assert!(
                    same(got.value(), expected),
                    "{} {name} {a:e} {b:e} {c:e}: {got:?}, {expected:e}",
                    T::NAME
                );
            }
        }
    }
    check::<f16>();
    check::<bf16>();
    check::<f32>();
    check::<f64>();
}

/// The mean of many stochastic roundings is the exact value: within 4 standard errors, sqrt(f (1 - f) / N) of a unit for a fraction f.
#[test]
fn stochastic_rounding_is_unbiased_and_reproducible() {
    let rules = Rules { rounding: Rounding::Stochastic, ..Rules::default() };
    let arith = Emulated::new(Format::BF16, rules, 11);
    let ulp = 1.0 / 128.0;
    for fraction in [0.1, 0.25, 0.5, 0.9] {
        let n = 20_000;
        let sum: f64 = (0..n).map(|_| (arith.round(1.0 + fraction * ulp) - 1.0) / ulp).sum();
        let tolerance = 4.0 * (fraction * (1.0 - fraction) / f64::from(n)).sqrt();
        assert!((sum / f64::from(n) - fraction).abs() < tolerance, "{fraction}: {}", sum / f64::from(n));
    }
    let draw = |stream: u64| {
        let arith = Emulated::new(Format::BF16, rules, 11).stream(stream);
        (0..64).map(|_| arith.round(1.0 + 0.5 * ulp).to_bits()).collect::<Vec<_>>()
    };
    assert_eq!(draw(3), draw(3));
    assert_ne!(draw(3), draw(4));
}

#[test]
fn saturating_and_flushing_arithmetic() {
    let saturating = Rules { overflow: Overflow::Saturate, ..Rules::default() };
    let e4m3 = Emulated::new(Format::E4M3, saturating, 0);
    assert_eq!(e4m3.mul(448.0, 448.0), 448.0);
    assert_eq!(e4m3.add(-448.0, -448.0), -448.0);
    assert!(Emulated::new(Format::E4M3, Rules::default(), 0).mul(448.0, 2.0).is_nan());
    let flushing = Rules { subnormals: Subnormals::Flush, ..Rules::default() };
    let f16 = Emulated::new(Format::F16, flushing, 0);
    assert_eq!(f16.mul(Format::F16.min_normal(), 0.5), 0.0);
    assert!(f16.mul(-Format::F16.min_normal(), 0.5).is_sign_negative());
    assert_eq!(Emulated::new(Format::F64, flushing, 0).mul(f64::MIN_POSITIVE, 0.5), 0.0);
}

/// IEEE 754, 6.3: a sum of opposite numbers is +0, and -0 only when rounding down; a sum of equal zeros keeps their sign.
#[test]
fn signs_of_zero_sums() {
    for rounding in DIRECTIONS {
        let arith = Emulated::new(Format::F16, Rules { rounding, ..Rules::default() }, 0);
        let sign = |x: f64| {
            assert_eq!(x, 0.0);
            x.is_sign_negative()
        };
        let down = rounding == Rounding::Down;
        for zero in [
            arith.add(1.5, -1.5),
            arith.sub(1.5, 1.5),
            arith.add(0.0, -0.0),
            arith.mul_add(2.0, 3.0, -6.0),
            arith.mul_add(-0.0, 1.0, 0.0),
        ] {
            assert_eq!(sign(zero), down, "{rounding:?}");
        }
        assert!(sign(arith.add(-0.0, -0.0)) && !sign(arith.add(0.0, 0.0)));
        assert!(sign(arith.mul(-0.0, 3.0)) && sign(arith.div(-0.0, 3.0)));
    }
}

/// The remainder of a division decides although the first 74 bits of the quotient look exact: `1 / (1 - ε) = 1 + ε + ε² + …`.
#[test]
fn quotients_just_above_a_number() {
    let (one, eps) = (1.0, f64::EPSILON);
    for (rounding, expected) in [
        (Rounding::Nearest, one + eps),
        (Rounding::Up, one + 2.0 * eps),
        (Rounding::Down, one + eps),
        (Rounding::Zero, one + eps),
    ] {
        let arith = Emulated::new(Format::F64, Rules { rounding, ..Rules::default() }, 0);
        assert_eq!(arith.div(one, one - eps), expected, "{rounding:?}");
        assert_eq!(arith.div(-one, eps - one), expected, "{rounding:?}");
    }
}

/// Infinite results of finite operands and infinite operands, in formats with and without infinities.
#[test]
fn infinite_results() {
    let saturate = Rules { overflow: Overflow::Saturate, ..Rules::default() };
    let [f16, e4m3] = [Format::F16, Format::E4M3].map(|format| Emulated::new(format, Rules::default(), 0));
    let [f16_saturating, e4m3_saturating] =
        [Format::F16, Format::E4M3].map(|format| Emulated::new(format, saturate, 0));
    assert_eq!((f16.div(-1.0, 0.0), f16_saturating.div(-1.0, 0.0)), (f64::NEG_INFINITY, -65504.0));
    assert!(e4m3.div(1.0, 0.0).is_nan());
    assert_eq!((e4m3_saturating.div(1.0, -0.0), e4m3_saturating.div(1.0, 0.0)), (-448.0, 448.0));
    assert_eq!(f16_saturating.add(f64::INFINITY, 1.0), 65504.0);
    assert_eq!(f16_saturating.mul_add(f64::NEG_INFINITY, 1.0, 1.0), -65504.0);
    assert!(f16_saturating.sub(f64::INFINITY, f64::INFINITY).is_nan() && f16.div(0.0, 0.0).is_nan());
}

/// A wide sum takes the rules of the format once, at its end: between, it rounds to nearest and overflows where the wide format does.
#[test]
fn a_wide_sum_has_the_rules_of_the_format_at_its_end_alone() {
    let ulp = f64::powi(2.0, -23);
    // In f32, 1 + 0.6 ulp is nearer to 1 + ulp, and taking that away again leaves an ulp.
    let terms = [(1.0, 1.0), (0.6 * ulp, 1.0), (-1.0, 1.0)].map(|(a, b)| (Format::BF16, a, b));
    for (rounding, expected) in [(Rounding::Zero, ulp), (Rounding::Down, ulp), (Rounding::Up, ulp)] {
        let arith = Emulated::new(Format::BF16, Rules { rounding, ..Rules::default() }, 0);
        let nearest = |(format, a, b): (Format, f64, f64)| (round_f64(a, format, Rules::default(), 0), b);
        assert_eq!(dot(&arith, Summation::Wide, terms.into_iter().map(nearest)), expected, "{rounding:?}");
    }
    let saturate = Emulated::new(Format::F16, Rules { overflow: Overflow::Saturate, ..Rules::default() }, 0);
    let products = [(65504.0, 2.0), (65504.0, 2.0), (-65504.0, 3.0)];
    assert_eq!(dot(&saturate, Summation::Wide, products.into_iter()), 65504.0);
    assert_eq!(dot(&saturate, Summation::Recursive, products.into_iter()), 0.0);
}

/// Tininess after rounding, in a chain: from 2^-14, the least normal number of e5m2, a gain of 0.9, which is 0.875 there, gives exactly 1.75 · 2^-15. Kept, that
/// is a tie of subnormals, 3.5 quanta, and goes to the even 4: back to 2^-14, for ever. Flushed, the result is rounded as if exponents had no end,
/// stays 1.75 · 2^-15, is tiny, and becomes zero. So a flushed chain can die one layer after a kept one stuck, with no subnormal number
/// ever seen; rounding first among the subnormals and then flushing would never give zero here.
#[test]
fn a_flushed_chain_reaches_zero_where_a_kept_one_sticks_at_the_least_normal_number() {
    let chain = |subnormals| {
        let arith = Emulated::new(Format::E5M2, Rules { subnormals, ..Rules::default() }, 0);
        let gain = arith.round(0.9);
        assert_eq!(gain, 0.875);
        std::iter::successors(Some(1.0), |x| Some(arith.mul(gain, *x))).take(1000).collect::<Vec<f64>>()
    };
    let (kept, flushed) = (chain(Subnormals::Keep), chain(Subnormals::Flush));
    let least = pow2(-14);
    assert!(least == Format::E5M2.min_normal() && kept.iter().all(|x| *x >= least));
    assert_eq!(kept.iter().position(|x| *x == least), Some(56));
    assert!(kept[56..].iter().all(|x| *x == least), "stuck");
    assert_eq!(flushed[..57], kept[..57]);
    assert!(flushed[57..].iter().all(|x| *x == 0.0), "{:e}", flushed[57]);
}

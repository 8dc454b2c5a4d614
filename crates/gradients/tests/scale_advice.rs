//! Histograms and advice: counts against brute force, thresholds to the last bit, published scales.

use gradchain_arith::{Arithmetic, Class, Counts, Exact, Format, Isa, Native, Real, Rules, f16, round};
use gradchain_gradients::{
    Advice, AtScale, Demand, Histogram, IRRELEVANT_BELOW, NARROW_FORMATS, advise, at_scale, unscale,
};

fn power(exponent: i32) -> f64 {
    libm::scalbn(1.0, exponent)
}

fn of(gradient: &[f64]) -> Histogram {
    Histogram::of(&Native::<f64>::new(Isa::PORTABLE), &[gradient])
}

/// `g · 2^log2_scale` rounded once, whatever the exponent.
fn scaled(g: f64, format: Format, log2_scale: i32) -> f64 {
    let exact = Exact::from_f64(g);
    round(Exact { exponent: exact.exponent + log2_scale, ..exact }, format, Rules::default(), 0)
}

/// The counts of `gradient`, which holds no zeros, after scaling and rounding.
fn counted(gradient: &[f64], format: Format, log2_scale: i32) -> Counts {
    Counts::of(gradient.iter().map(|&g| scaled(g, format, log2_scale)), format)
}

fn assert_counts(at: AtScale, counts: Counts, context: &str) {
    let total = counts.total() as f64;
    let overflowed = counts.infinite + counts.nan;
    let expected = [counts.zero, counts.subnormal, counts.normal, overflowed].map(|n| n as f64 / total);
    assert_eq!([at.flushed, at.subnormal, at.normal, at.overflowed], expected, "{context}");
    assert_eq!(at.overflows, overflowed > 0, "{context}");
}

/// All magnitudes of f16 at every scale that matters, in each narrow format.
#[test]
fn every_number_of_f16_at_every_scale() {
    let all: Vec<f64> = (1..0x7c00).map(|bits| f16::from_bits(bits).value()).collect();
    let histogram = of(&all);
    for format in NARROW_FORMATS {
        let from = format.min_exponent() - 18;
        for log2_scale in from.max(-60)..=40 {
            let counts = counted(&all, format, log2_scale);
            let context = format!("{format} at 2^{log2_scale}");
            assert_counts(at_scale(&histogram, format, log2_scale), counts, &context);
        }
    }
}

/// Both sides of every border of every format, named and custom of each precision, to the last bit.
#[test]
fn borders_to_the_last_bit() {
    let custom = (2..=53).map(|p| Format::custom(p, -30, 40).unwrap());
    let mut cases = 0;
    for format in Format::NAMED.into_iter().map(|(_, format)| format).chain(custom) {
        let (p, emin, emax) = (format.precision() as i32, format.emin(), format.emax());
        let unit = power(1 - p);
        // Over the power of two below it: half the least number; half a unit below the least normal number; half a unit above the largest number.
        let largest = libm::scalbn(format.max(), -emax);
        for (fraction, exponent) in
            [(1.0, emin - p), (2.0 - unit, emin - 1), (largest, emax), (largest + unit / 2.0, emax)]
        {
            for significand in [fraction.next_down(), fraction, fraction.next_up()] {
                let histogram = of(&[-significand]);
                for log2_scale in exponent - 1..=exponent + 1 {
                    let counts = counted(&[significand], format, log2_scale);
                    let context = format!("{format}: {significand:e} at 2^{log2_scale}");
                    assert_counts(at_scale(&histogram, format, log2_scale), counts, &context);
                    cases += 1;
                }
            }
        }
    }
    assert_eq!(cases, 59 * 4 * 3 * 3);
}

/// P16: in f16 2^-e is not zero from the scale 2^(e-24) on and normal from 2^(e-14) on. Half the least number is zero, a little more is not.
#[test]
fn powers_of_two_in_f16() {
    for e in 1..=60 {
        let histogram = of(&[power(-e)]);
        for k in 0..=60 {
            let at = at_scale(&histogram, Format::F16, k);
            assert_eq!(at.flushed == 0.0, k >= e - 24, "2^-{e} at 2^{k}");
            assert_eq!(at.normal + at.overflowed == 1.0, k >= e - 14, "2^-{e} at 2^{k}");
            assert_eq!(at.overflows, k >= e + 16, "2^-{e} at 2^{k}");
        }
    }
    let flushed = |g: f64| at_scale(&of(&[g]), Format::F16, 0).flushed == 1.0;
    assert!(flushed(power(-25)) && !flushed(power(-25).next_up()) && !flushed(1.0001 * power(-25)));
}

/// The published table of scales: from where on f16 overflows, up to where a number becomes zero, from where on it is normal.
#[test]
fn table_of_scales() {
    for (k, overflow, zero, normal) in [
        (0, 65520.0, 2.980e-8, 6.104e-5),
        (3, 8190.0, 3.725e-9, 7.63e-6),
        (7, 511.9, 2.328e-10, 4.77e-7),
        (15, 1.99951, 9.09e-13, 1.86e-9),
        (16, 0.99976, 4.55e-13, 9.31e-10),
    ] {
        // The figures are rounded to three digits and more: 0.1 % below and above.
        let at = |g: f64| at_scale(&of(&[g]), Format::F16, k);
        assert!(!at(overflow * 0.999).overflows && at(overflow * 1.001).overflows);
        assert!(at(zero * 0.999).flushed == 1.0 && at(zero * 1.001).flushed == 0.0);
        assert!(at(normal * 0.998).subnormal == 1.0 && at(normal * 1.002).normal == 1.0);
    }
    // A gradient of exactly 1 overflows at PyTorch's first scale.
    assert!(at_scale(&of(&[1.0]), Format::F16, 16).overflows);
}

fn random_gradient(seed: u64, lowest: i32, binades: u64) -> Vec<f64> {
    let mut state = seed;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 11
    };
    (0..300)
        .map(|i| {
            // Powers of two, fractions that begin with ones, and any.
            let significand = match i % 5 {
                0 => 1.0,
                1 => 2.0 - power(-((random() % 53) as i32)),
                _ => 1.0 + random() as f64 / power(53),
            };
            let sign = if i % 2 == 0 { 1.0 } else { -1.0 };
            sign * libm::scalbn(significand, lowest + (random() % binades) as i32)
        })
        .collect()
}

/// Advice against brute force over random gradients: the largest scale, the least that meets the demand, the fraction that is lost.
#[test]
fn advice_is_what_rounding_does() {
    let (mut found, mut refused, mut below_1) = (0, 0, 0);
    for format in NARROW_FORMATS.into_iter().chain([Format::F32, Format::F64]) {
        for (seed, (lowest, binades)) in
            [(-40, 30), (-20, 10), (-150, 200), (0, 12), (10, 20), (120, 30), (-1060, 40)]
                .into_iter()
                .enumerate()
        {
            let gradient = random_gradient(seed as u64, lowest, binades);
            let histogram = of(&gradient);
            for bits in [0, 1, 2, format.precision()] {
                for (irrelevant_below, tolerance, headroom) in
                    [(0.0, 0.0, 0), (0.0, 0.1, 2), (power(lowest + 5), 0.0, 0), (power(lowest + 3), 0.05, 1)]
                {
                    let demand = Demand { bits, irrelevant_below, tolerance, headroom };
                    let advice = advise(&histogram, format, demand).unwrap();
                    let context =
                        format!("{format}, 2^{lowest} and {binades} binades, {demand:?}: {advice:?}");
                    let overflow = |k: i32| gradient.iter().any(|&g| !scaled(g, format, k).is_finite());
                    let edge = advice.largest.unwrap() + headroom as i32;
                    assert!(!overflow(edge), "{context}");
                    assert!(overflow(edge + 1) || advice.largest == Some(1022), "{context}");
                    let lost = |k: i32| {
                        let gone = |g: f64| match bits {
                            0 => scaled(g, format, k) == 0.0,
                            bits => libm::ilogb(g) + k < format.min_exponent() + bits as i32 - 1,
                        };
                        gradient.iter().filter(|g| g.abs() >= irrelevant_below && gone(**g)).count()
                    };
                    let may = (tolerance * 300.0) as usize;
                    let range = 0.min(edge - headroom as i32)..=edge - headroom as i32;
                    match advice.recommended {
                        Some(k) => {
                            assert!(range.contains(&k) && lost(k) <= may, "{context}");
                            assert!(k <= 0 || lost(k - 1) > may, "not the least: {context}");
                            assert!(k >= 0 || overflow(headroom as i32), "1 would do: {context}");
                            found += 1;
                            below_1 += u32::from(k < 0);
                        }
                        None => {
                            assert!(range.clone().all(|k| lost(k) > may), "there is one: {context}");
                            refused += 1;
                        }
                    }
                    let at = advice.scaled.log2_scale;
                    assert_eq!(Some(at), advice.recommended.or(advice.largest));
                    assert_eq!(advice.lost, lost(at) as f64 / 300.0, "{context}");
                    assert_eq!(advice.scaled, at_scale(&histogram, format, at));
                    assert_eq!(advice.plain, at_scale(&histogram, format, 0));
                    assert_eq!(advice.survives(), advice.recommended.is_some());
                }
            }
        }
    }
    println!("{found} gradients with a scale, {below_1} of them below 1; {refused} without");
    assert!(found > 100 && refused > 100 && below_1 > 10);
}

/// b bits of a number mean an error of at most 2^-b of it, and the demand draws the line where a number can have more.
#[test]
fn bits_are_bounds_on_the_error() {
    let format = Format::F16;
    for bits in 1..=11 {
        let from = format.min_subnormal() * power(bits - 1);
        let error = |g: f64| (scaled(g, format, 0) - g).abs() / g;
        let mut worst = [0.0_f64; 2];
        for i in 0..20_000 {
            let step = f64::from(i) / 20_000.0;
            worst[0] = worst[0].max(error(from * (1.0 + step)));
            worst[1] = worst[1].max(error(from * (1.0 - 0.5 * step)));
        }
        assert!(worst[0] <= power(-bits) && worst[1] > power(-bits), "{bits} bits: {worst:?}");
    }
}

/// Micikevicius et al. 2018. SSD: 67 % zeros, 2 % in [2^-34, 2^-32), 2 % in [2^-24, 2^-23) are printed, the rest of the figure is filled evenly; what lies below 2^-27
/// is irrelevant and what lies from there to 2^-24 is not, so 8. bigLSTM: 128 sufficed, so gradients down to 2^-31. Classification networks need no scale.
#[test]
fn published_scales() {
    let fill = |e: i32| match e {
        -34 | -33 => 10,
        -24 => 20,
        -15 => 18,
        _ => 17,
    };
    let ssd: Vec<(i32, u64)> = (-34..=-15).map(|e| (e, fill(e))).collect();
    let binades = |zeros, counts: &[(i32, u64)]| Histogram::from_binades(zeros, counts).unwrap();
    let histogram = binades(670, &ssd);
    assert_eq!(histogram.zeros + histogram.nonzero(), 1000);
    let advice = |histogram: &Histogram, format| advise(histogram, format, Demand::default()).unwrap();
    let f16 = advice(&histogram, Format::F16);
    assert_eq!((f16.recommended, f16.largest), (Some(3), Some(29)), "{f16}");
    assert!(f16.plain.flushed > f16.scaled.flushed && f16.scaled.flushed > 0.0 && f16.survives());
    assert_eq!(advice(&histogram, Format::BF16).recommended, Some(0));
    // Were nothing irrelevant, the scale would have to reach down to 2^-34.
    let all = Demand { irrelevant_below: 0.0, ..Demand::default() };
    assert_eq!(advise(&histogram, Format::F16, all).unwrap().recommended, Some(10));
    assert_eq!(IRRELEVANT_BELOW, power(-27));

    let lstm = binades(0, &(-31..=-4).map(|e| (e, 5)).collect::<Vec<_>>());
    let of_lstm = |format| advise(&lstm, format, all).unwrap();
    // The highest binade, up to 2^-3, ends in numbers that round to 2^16 at the scale 2^19.
    assert_eq!((of_lstm(Format::F16).recommended, of_lstm(Format::F16).largest), (Some(7), Some(18)));
    // Five bits of exponent are enough for e5m2 with a scale; e4m3 has 18 binades, and 28 are needed.
    assert_eq!((of_lstm(Format::E5M2).recommended, of_lstm(Format::E5M2).survives()), (Some(15), true));
    let e4m3 = of_lstm(Format::E4M3);
    assert_eq!((e4m3.recommended, e4m3.largest, e4m3.survives()), (None, Some(11), false), "{e4m3}");

    let classification = binades(100, &(-23..=0).map(|e| (e, 5)).collect::<Vec<_>>());
    assert_eq!(advice(&classification, Format::F16).recommended, Some(0));
    assert_eq!(advise(&classification, Format::F16, all).unwrap().recommended, Some(0));
}

#[test]
fn histograms_merge_shift_and_refuse() {
    let arith = Native::<f32>::new(Isa::PORTABLE);
    let gradient = [0.0_f32, -0.0, 1.0, -1.5, 2.0, 1e-45, f32::INFINITY, f32::NAN, f32::MAX];
    let whole = Histogram::of(&arith, &[&gradient]);
    let mut parts = Histogram::of(&arith, &[&gradient[..4]]);
    parts.merge(&Histogram::of(&arith, &[&gradient[4..], &[]]));
    assert_eq!(whole, parts);
    assert_eq!((whole.zeros, whole.infinities, whole.nans, whole.nonzero()), (2, 1, 1, 5));
    assert_eq!(whole.non_finite(), 2);
    assert_eq!(whole.binades().collect::<Vec<_>>(), [(-149, 1), (0, 2), (1, 1), (127, 1)]);
    // Unscaling a histogram is unscaling its gradient.
    let unscaled = |scale: f64| of(&gradient.map(|g| f64::from(g) / scale));
    for scale in [power(16), 1.0, power(-7)] {
        assert_eq!(whole.clone().unscaled(scale).unwrap(), unscaled(scale));
    }
    let error = whole.clone().unscaled(3.0).unwrap_err().to_string();
    assert_eq!(error, "loss-scale = 3 is out of range; allowed: the powers of two from 2^-1022 to 2^1022");
    for (exponent, bad) in [(-1075, true), (-1074, false), (1023, false), (1024, true)] {
        let result = Histogram::from_binades(0, &[(exponent, 1)]);
        assert_eq!(result.is_err(), bad, "{exponent}");
    }
    // A binade that holds nothing is none; counts of the same binade add up.
    let twice = Histogram::from_binades(1, &[(3, 2), (4, 0), (3, 5)]).unwrap();
    assert_eq!((twice.binades().collect::<Vec<_>>(), twice.zeros), (vec![(3, 7)], 1));
    // Known by its binade only, a number may be as large as that ends; merged with one that is known it still may.
    let mut known = of(&[8.0]);
    assert!(!at_scale(&known, Format::F16, 12).overflows && at_scale(&twice, Format::F16, 12).overflows);
    known.merge(&twice);
    assert!(at_scale(&known, Format::F16, 12).overflows);
}

#[test]
fn demands_are_checked() {
    let histogram = of(&[1.0]);
    let demand = Demand::default();
    for (demand, expected) in [
        (
            Demand { irrelevant_below: -1.0, ..demand },
            "irrelevant-below = -1 is out of range; allowed: 0 and finite positive numbers",
        ),
        (
            Demand { irrelevant_below: f64::NAN, ..demand },
            "irrelevant-below = NaN is out of range; allowed: 0 and finite positive numbers",
        ),
        (
            Demand { irrelevant_below: f64::INFINITY, ..demand },
            "irrelevant-below = inf is out of range; allowed: 0 and finite positive numbers",
        ),
        (Demand { tolerance: 1.5, ..demand }, "tolerance = 1.5 is out of range; allowed: 0 to 1"),
        (Demand { tolerance: f64::NAN, ..demand }, "tolerance = NaN is out of range; allowed: 0 to 1"),
        (
            Demand { bits: 12, ..demand },
            "bits = 12 is out of range; allowed: 0 to the precision of the format",
        ),
    ] {
        assert_eq!(advise(&histogram, Format::F16, demand).unwrap_err().to_string(), expected);
    }
    let extreme = Demand { bits: 11, headroom: u32::MAX, ..demand };
    assert!(!advise(&histogram, Format::F16, extreme).unwrap().survives());
}

/// Gradients of nothing, of zeros, of infinities, and in formats that no scale can bring them into; and what is printed.
#[test]
fn edges_and_texts() {
    let advice = |gradient: &[f64], format: Format| -> Advice {
        advise(&of(gradient), format, Demand { irrelevant_below: 0.0, ..Demand::default() }).unwrap()
    };
    for nothing in [&[][..], &[0.0, -0.0]] {
        let advice = advice(nothing, Format::F16);
        assert_eq!((advice.largest, advice.recommended, advice.lost), (None, Some(0), 0.0));
        assert_eq!(
            advice.to_string(),
            "f16 needs no loss scale: 0.000 % of the numbers become zero, 0.000 % subnormal"
        );
    }
    let infinite = advice(&[1.0, f64::INFINITY, f64::NAN], Format::F16);
    assert_eq!((infinite.largest, infinite.recommended, infinite.survives()), (Some(15), None, false));
    assert_eq!(infinite.to_string(), "f16: no advice, 2 numbers of the gradient are infinite or NaN");
    let small = advice(&[power(-30), 1.0], Format::F16);
    assert_eq!(
        small.to_string(),
        "f16 needs the loss scale 2^6 (at most 2^15): 0.000 % become zero instead of 50.000 %, 50.000 % subnormal"
    );
    let large = advice(&[power(20), 1.0], Format::F16);
    assert_eq!(
        large.to_string(),
        "f16 needs the loss scale 2^-5 (at most 2^-5): 0.000 % become zero instead of 0.000 %, 0.000 % subnormal"
    );
    let wide = advice(&[power(-30), 1.0, power(30)], Format::F16);
    assert_eq!(
        wide.to_string(),
        "f16 cannot hold the gradient: at the largest scale without overflow, 2^-15, 33.333 % are lost"
    );
    // Scales end at 2^1022 and at 2^-1022.
    let least = advice(&[f64::from_bits(1)], Format::F64);
    assert_eq!((least.largest, least.recommended), (Some(1022), Some(0)));
    let low = Format::custom(8, -1000, -1).unwrap();
    let beyond = advice(&[f64::MAX], low);
    assert_eq!((beyond.largest, beyond.recommended), (Some(-1025), None));
    assert_eq!(
        at_scale(&of(&[power(-30), 1.0, power(-10), 3.0]), Format::F16, 15).to_string(),
        "   2^15    0.000       25.000    50.000      25.000"
    );
    assert_eq!(AtScale::HEADER.len(), at_scale(&of(&[]), Format::F16, 0).to_string().len());
}

/// The advice for a gradient holds for the gradient: at the largest scale every bit is kept, and unscaled in f16 itself they are lost again.
#[test]
fn advice_keeps_what_it_says() {
    let wide: Vec<f64> =
        (0..2000).map(|i| libm::scalbn(1.0 + f64::from(i % 7) / 8.0, -36 + i % 20)).collect();
    let full = Demand { bits: 11, irrelevant_below: 0.0, ..Demand::default() };
    let advice = advise(&of(&wide), Format::F16, full).unwrap();
    assert_eq!((advice.recommended, advice.scaled.normal), (Some(22), 1.0));
    let arith = Native::<f16>::new(Isa::PORTABLE);
    let s = power(22);
    let stored: Vec<f16> = wide.iter().map(|&g| arith.round(g * s)).collect();
    assert!(stored.iter().zip(&wide).all(|(x, g)| x.value() / s == *g));
    assert!(stored.iter().all(|x| Class::of(x.value(), Format::F16) == Class::Normal));
    // The histogram of what was stored, taken back, is that of the gradient.
    assert_eq!(Histogram::of(&arith, &[&stored]).unscaled(s).unwrap(), of(&wide));
    let mut unscaled = stored;
    unscale(&arith, s, &mut unscaled).unwrap();
    assert!(unscaled.iter().any(|x| x.value() == 0.0));
}

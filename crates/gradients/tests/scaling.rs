//! Loss scales: exactness of powers of two, the walk of a dynamic scale, unscaling and clipping at once.

mod common;

use common::numbers::{assert_same, native, numbers, same, values};
use dashu_float::FBig;
use dashu_float::round::mode::HalfEven;
use gradchain_arith::{Arithmetic, Emulated, Format, Real, Rounding, Rules, bf16, f16};
use gradchain_gradients::{
    Decision, DynamicScale, GradientError, Measured, NonFinite, Order, Outcome, ScaleRule, clip_by_norm,
    first_non_finite, norm, scale, unscale, unscale_and_clip,
};

/// Knuth's generator of 64 bits: numbers below `below`.
fn draws(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed;
    move |below| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    }
}

/// F: powers of two are undone bit for bit, unless a number leaves the normal range.
#[test]
fn loss_scales() {
    let arith = native::<f16>();
    let mut all: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
    scale(&arith, 8.0, &mut all).unwrap();
    unscale(&arith, 8.0, &mut all).unwrap();
    for (bits, g) in all.iter().enumerate() {
        let before = f16::from_bits(bits as u16).value();
        // 8 times a number overflows from 65520 / 8 on.
        let expected = if before.abs() >= 8190.0 { f64::INFINITY.copysign(before) } else { before };
        assert!(same(g.value(), expected) || before.is_nan(), "{before}");
    }
    // Down and up again: exact from the least normal number times the scale on; below that bits are lost.
    let mut small =
        [f16::round_from(1.0 / 1024.0 + f64::powi(2.0, -20)), f16::round_from(f64::powi(2.0, -24))];
    let before = small;
    unscale(&arith, 16.0, &mut small).unwrap();
    scale(&arith, 16.0, &mut small).unwrap();
    assert_eq!((small[0], small[1].value()), (before[0], 0.0));
    // The usual first scale sends a gradient of 1 to infinity.
    let mut one = [f16::round_from(1.0), f16::round_from(0.99951171875)];
    scale(&arith, 65536.0, &mut one).unwrap();
    assert_eq!((one[0].value(), one[1].value()), (f64::INFINITY, 65504.0));
    assert_eq!((first_non_finite(&arith, &one), first_non_finite(&arith, &one[1..])), (Some(0), None));
    // What the table of scales promises: kept above half the least number over the scale.
    for (factor, kept) in
        [(1.0, 2.98e-8), (8.0, 3.725e-9), (128.0, 2.328e-10), (32768.0, 9.09e-13), (65536.0, 4.55e-13)]
    {
        let mut upstream = [kept * 1.01, kept * 0.99];
        scale(&native::<f64>(), factor, &mut upstream).unwrap();
        assert_eq!(upstream.map(|g| arith.round(g).value()), [f64::powi(2.0, -24), 0.0]);
    }
    for bad in [0.0, -2.0, 3.0, 1.5, f64::NAN, f64::INFINITY, f64::from_bits(1), f64::powi(2.0, 1023)] {
        let expected =
            format!("loss-scale = {bad} is out of range; allowed: the powers of two from 2^-1022 to 2^1022");
        let mut g = [f16::ONE];
        assert_eq!(scale(&arith, bad, &mut g).unwrap_err().to_string(), expected);
        assert_eq!(unscale(&arith, bad, &mut g).unwrap_err().to_string(), expected);
        let both = unscale_and_clip(&arith, bad, Order::Two, 0.5, NonFinite::Propagate, &mut [&mut g]);
        assert_eq!((both.unwrap_err().to_string(), g), (expected, [f16::ONE]));
    }
}

/// Hysteresis by hand: the third overflow in a row lowers the scale, and each one after it; a clean step starts the count anew. Growth after four clean
/// steps, cut at the cap.
#[test]
fn hysteresis_growth_floor_and_cap() {
    let rule =
        ScaleRule { init: 8.0, interval: 4, hysteresis: 3, floor: 2.0, cap: 16.0, ..ScaleRule::default() };
    let mut scale = DynamicScale::new(rule).unwrap();
    let walk = "xx.xx..xxx..x....xxxxxx.............";
    let expected = [
        8, 8, 8, 8, 8, 8, 8, 8, 8, 4, 4, 4, 4, 4, 4, 4, 8, 8, 8, 4, 2, 2, 2, 2, 2, 2, 4, 4, 4, 4, 8, 8, 8, 8,
        16, 16,
    ];
    assert_eq!(walk.len(), expected.len());
    for (step, (event, expected)) in walk.chars().zip(expected).enumerate() {
        assert_eq!(scale.update(event == 'x') == Decision::Skip, event == 'x', "step {step}");
        assert_eq!(scale.scale(), f64::from(expected), "step {step} of {walk}");
    }
    (0..100).for_each(|_| assert_eq!(scale.update(false), Decision::Step));
    assert_eq!((scale.scale(), scale.rule()), (16.0, rule));
    // Steps larger than the range, and those that leave f64 on the way, end at the cap and at the floor.
    let (least, largest) = (f64::MIN_POSITIVE, 1.0 / f64::MIN_POSITIVE);
    let rule = ScaleRule { growth: largest, backoff: least, interval: 1, floor: least, cap: largest, ..rule };
    let mut scale = DynamicScale::new(ScaleRule { hysteresis: 1, ..rule }).unwrap();
    let walk = [false, false, true, true, true, false, false];
    let expected = [largest, largest, 1.0, least, least, 1.0, largest];
    for (bad, expected) in walk.into_iter().zip(expected) {
        scale.update(bad);
        assert_eq!(scale.scale(), expected);
    }
}

/// A run that no scale can save is counted: by skipped steps that ran at the floor, not by the one that led there.
#[test]
fn stuck_at_the_floor() {
    let mut scale = DynamicScale::new(ScaleRule::default()).unwrap();
    for step in 1..=200_u64 {
        assert_eq!(scale.update(true), Decision::Skip);
        let expected = (step, step.saturating_sub(30));
        assert_eq!((scale.skipped(), scale.skipped_at_floor()), expected);
        assert_eq!(scale.scale() == f64::powi(2.0, -14), step >= 30, "step {step}");
    }
    assert_eq!(scale.update(false), Decision::Step);
    assert_eq!((scale.skipped(), scale.skipped_at_floor(), scale.clean()), (0, 0, 1));
    assert_eq!(scale.update(true), Decision::Skip);
    assert_eq!((scale.skipped(), scale.skipped_at_floor(), scale.clean()), (1, 1, 0));
}

/// Whatever the rule and the events: the walk is that of a model in whole binades, so a power of two between floor and cap; no step on what is not finite.
#[test]
fn random_walks() {
    let mut random = draws(1);
    let (mut at_floor, mut at_cap) = (0, 0);
    for _ in 0..2000 {
        let floor = random(60) as i32 - 30;
        let init = floor + random(20) as i32;
        let cap = init + random(20) as i32;
        let (growth, backoff) = (1 + random(3) as i32, 1 + random(3) as i32);
        let (interval, hysteresis, bad_of_ten) = (1 + random(5), 1 + random(4), random(10));
        let power = |e: i32| f64::powi(2.0, e);
        let rule = ScaleRule {
            init: power(init),
            growth: power(growth),
            backoff: power(-backoff),
            interval,
            hysteresis,
            floor: power(floor),
            cap: power(cap),
        };
        let mut scale = DynamicScale::new(rule).unwrap();
        let mut exponent = init;
        // Overflows up to now and clean steps up to now or the last growth, in a row.
        let mut runs = (0, 0);
        for _ in 0..100 {
            let bad = random(10) < bad_of_ten;
            runs = if bad { (runs.0 + 1, 0) } else { (0, runs.1 + 1) };
            if bad && runs.0 >= hysteresis {
                exponent = (exponent - backoff).max(floor);
            }
            if runs.1 == interval {
                (exponent, runs.1) = ((exponent + growth).min(cap), 0);
            }
            assert_eq!(scale.update(bad) == Decision::Skip, bad);
            assert_eq!(scale.scale(), power(exponent), "{rule:?}");
            at_floor += u32::from(exponent == floor);
            at_cap += u32::from(exponent == cap);
        }
    }
    assert!(at_floor > 10_000 && at_cap > 10_000, "the walks reach both ends: {at_floor}, {at_cap}");
}

#[test]
fn bad_rules_are_refused_by_name() {
    let rule = ScaleRule::default();
    let powers = "the powers of two from 2^-1022 to 2^1022";
    let ups = "the powers of two from 2 to 2^1022";
    let downs = "the powers of two from 2^-1022 to 1/2";
    let (floors, caps) = ("the powers of two from 2^-1022 to init", "the powers of two from init to 2^1022");
    let mut cases = Vec::new();
    for bad in [0.0, -1.0, 3.0, f64::NAN, f64::INFINITY, f64::from_bits(1)] {
        cases.push((ScaleRule { init: bad, ..rule }, "init", bad, powers));
        cases.push((ScaleRule { growth: bad, ..rule }, "growth", bad, ups));
        cases.push((ScaleRule { backoff: bad, ..rule }, "backoff", bad, downs));
        cases.push((ScaleRule { floor: bad, ..rule }, "floor", bad, floors));
        cases.push((ScaleRule { cap: bad, ..rule }, "cap", bad, caps));
    }
    for bad in [0.5, 1.0, 1.5] {
        cases.push((ScaleRule { growth: bad, ..rule }, "growth", bad, ups));
    }
    for bad in [1.0, 2.0, 0.3] {
        cases.push((ScaleRule { backoff: bad, ..rule }, "backoff", bad, downs));
    }
    cases.push((ScaleRule { interval: 0, ..rule }, "interval", 0.0, "1 and more"));
    cases.push((ScaleRule { hysteresis: 0, ..rule }, "hysteresis", 0.0, "1 and more"));
    cases.push((ScaleRule { floor: 131_072.0, ..rule }, "floor", 131_072.0, floors));
    cases.push((ScaleRule { cap: 32_768.0, ..rule }, "cap", 32_768.0, caps));
    for (rule, name, value, allowed) in cases {
        let expected = format!("loss-scale {name} = {value} is out of range; allowed: {allowed}");
        assert_eq!(DynamicScale::new(rule).unwrap_err().to_string(), expected);
    }
    let equal = ScaleRule { floor: 4.0, init: 4.0, cap: 4.0, ..rule };
    assert_eq!(DynamicScale::new(equal).unwrap().scale(), 4.0);
}

/// What a scaler must look at are the stored numbers: the sum of finite ones overflows, and an infinity may be one of many, in any tensor.
#[test]
fn infinities_are_found_one_by_one() {
    let arith = native::<f16>();
    let large = vec![f16::MAX; 1000];
    let mut scale = DynamicScale::new(ScaleRule::default()).unwrap();
    assert_eq!(first_non_finite(&arith, &large), None);
    assert_eq!(scale.update_from(&arith, &[&large, &[], &large]), Decision::Step);
    for bad in [f16::NAN, f16::INFINITY, f16::NEG_INFINITY] {
        let mut one = large.clone();
        one[777] = bad;
        assert_eq!(first_non_finite(&arith, &one), Some(777));
        assert_eq!(scale.update_from(&arith, &[&large, &[], &one]), Decision::Skip);
    }
    assert_eq!((scale.skipped(), scale.scale()), (3, 8192.0));
    assert_eq!(first_non_finite(&native::<f32>(), &[f32::MAX; 2]), None);
}

/// A gradient of n numbers over some binades; every seventh is a zero.
fn gradient(seed: u64, n: usize, binades: u64) -> Vec<f64> {
    let mut random = draws(seed);
    (0..n)
        .map(|i| {
            let significand = 1.0 + random(1 << 30) as f64 / f64::powi(2.0, 30);
            let sign = if random(2) == 0 { 1.0 } else { -1.0 };
            let exponent = random(binades) as i32;
            if i % 7 == 6 { 0.0 * sign } else { sign * significand * f64::powi(2.0, -exponent) }
        })
        .collect()
}

/// In f64, where scaling loses nothing: the same bits as clipping the gradient that was never scaled, and as unscaling where the norm is within the limit.
#[test]
fn scaled_and_clipped_is_clipped() {
    let arith = native::<f64>();
    for seed in 0..40 {
        let plain = gradient(seed, 60, 25);
        for order in Order::EXACT {
            let whole = norm(&arith, order, &[&plain]).to_f64();
            for limit in [0.0, 1e-3, whole * 0.5, whole, whole * 1.5, 1e9, f64::INFINITY] {
                let mut expected = plain.clone();
                let (first, rest) = expected.split_at_mut(20);
                let clipped =
                    clip_by_norm(&arith, order, limit, NonFinite::Error, &mut [first, rest]).unwrap();
                for log2_scale in [-900, -40, -3, 0, 3, 16, 24, 900] {
                    let factor = f64::powi(2.0, log2_scale);
                    let mut g = plain.clone();
                    scale(&arith, factor, &mut g).unwrap();
                    let (first, rest) = g.split_at_mut(20);
                    let tensors: &mut [&mut [f64]] = &mut [first, rest];
                    let report =
                        unscale_and_clip(&arith, factor, order, limit, NonFinite::Error, tensors).unwrap();
                    assert_same(&g, &expected);
                    assert_eq!((report.norm, report.outcome), (clipped.norm, clipped.outcome));
                }
            }
        }
    }
}

type Big = FBig<HalfEven, 2>;

fn big(x: f64) -> Big {
    Big::try_from(x).unwrap().with_precision(400).value()
}

/// `g / scale · min(1, limit · scale / ‖g‖)` with 400 bits, rounded to 53.
fn exact(scale: f64, order: Order, limit: f64, scaled: &[f64]) -> Vec<f64> {
    let zero = big(0.0);
    let norm = match order {
        Order::One => scaled.iter().fold(zero, |sum, &g| sum + big(g.abs())),
        Order::Two => scaled.iter().fold(zero, |sum, &g| sum + big(g) * big(g)).sqrt(),
        Order::Infinity => big(scaled.iter().fold(0.0, |max, g| g.abs().max(max))),
        Order::Power(power) => panic!("no exact norm for {power:?}"),
    };
    let clips = norm > big(limit) * big(scale);
    let each = scaled.iter().map(|&g| if clips { big(g) * big(limit) / &norm } else { big(g) / big(scale) });
    each.map(|x| x.with_precision(53).value().to_f64().value()).collect()
}

/// How many units of the last place of `format` lie between `x` and its exact value.
fn ulps(format: Format, x: f64, exact: f64) -> f64 {
    let exponent = if exact == 0.0 { i32::MIN } else { libm::ilogb(exact) };
    (x - exact).abs() / f64::powi(2.0, exponent.max(format.emin()) - format.precision() as i32 + 1)
}

/// Against 400 bits: one factor means one rounding, half a unit. Unscaling first, and clipping what that left, rounds twice and is up to 1 unit
/// off; among subnormal numbers, which the scale had saved, that is all of a number.
#[test]
fn one_rounding() {
    fn worst<T: Real + Measured>(log2_scales: &[i32]) -> (f64, f64) {
        let arith = native::<T>();
        let (mut one, mut two) = (0.0_f64, 0.0_f64);
        for (seed, order) in (0..60).flat_map(|seed| Order::EXACT.map(|order| (seed, order))) {
            for &log2_scale in log2_scales {
                let factor = f64::powi(2.0, log2_scale);
                let scaled = values(&numbers::<T>(&gradient(seed, 40, 12)));
                let unscaled_norm = norm(&native::<f64>(), order, &[&scaled]).to_f64() / factor;
                for limit in [unscaled_norm * 0.37, unscaled_norm * 2.0] {
                    let mut g = numbers::<T>(&scaled);
                    unscale_and_clip(&arith, factor, order, limit, NonFinite::Error, &mut [&mut g]).unwrap();
                    let mut twice = numbers::<T>(&scaled);
                    unscale(&arith, factor, &mut twice).unwrap();
                    clip_by_norm(&arith, order, limit, NonFinite::Error, &mut [&mut twice]).unwrap();
                    for (i, exact) in exact(factor, order, limit, &scaled).into_iter().enumerate() {
                        one = one.max(ulps(T::FORMAT, g[i].value(), exact));
                        two = two.max(ulps(T::FORMAT, twice[i].value(), exact));
                    }
                }
            }
        }
        (one, two)
    }
    // Beside the half unit: the factor is off by 2^-52 of itself, in f32 2^-28 units.
    let most = 0.5 + f64::powi(2.0, -28);
    for (name, (one, two), doubles) in [
        ("f16", worst::<f16>(&[-3, 0, 8, 16, 20, 24]), true),
        ("bf16", worst::<bf16>(&[-3, 0, 8, 120, 128]), true),
        ("f32", worst::<f32>(&[-3, 0, 16, 130, 140]), true),
    ] {
        println!("{name}: {one:.9} ulp at once, {two:.9} in two steps");
        assert!(one <= most, "{name}: {one}");
        assert_eq!(two > 0.6, doubles, "{name}: {two}");
    }
}

/// The norm is that of the unscaled gradient even where the format could not hold one of its numbers.
#[test]
fn the_norm_needs_no_unscaled_numbers() {
    let arith = native::<f16>();
    let mut g = numbers::<f16>(&[3.0, 4.0, 0.0, -0.0]);
    let report = unscale_and_clip(
        &arith,
        f64::powi(2.0, 40),
        Order::Two,
        f64::powi(2.0, -20),
        NonFinite::Error,
        &mut [&mut g],
    );
    let report = report.unwrap();
    assert_eq!((report.norm.to_f64(), report.outcome), (5.0 * f64::powi(2.0, -40), Outcome::Kept));
    assert_eq!((report.coefficient.to_f64(), report.flushed), (f64::powi(2.0, -40), 2));
    assert_same(&values(&g), &[0.0, 0.0, 0.0, -0.0]);
    // A scale below 1, for gradients that overflow without: the factor is above 1, and the norm, 5 · 2^20, none of f16.
    let mut g = numbers::<f16>(&[3.0, -4.0]);
    let report =
        unscale_and_clip(&arith, f64::powi(2.0, -20), Order::Two, 100.0, NonFinite::Error, &mut [&mut g])
            .unwrap();
    assert_eq!((report.norm.to_f64(), report.outcome), (5.0 * f64::powi(2.0, 20), Outcome::Scaled));
    assert_eq!((report.coefficient.to_f64(), report.flushed), (20.0, 0));
    assert_same(&values(&g), &[60.0, -80.0]);
    // Limits and norms at both ends of f64.
    let (arith, least) = (native::<f64>(), f64::from_bits(1));
    for (factor, limit, expected) in [
        (f64::MIN_POSITIVE, least, least),
        (1.0 / f64::MIN_POSITIVE, least, least),
        (f64::MIN_POSITIVE, 0.0, 0.0),
        (f64::MIN_POSITIVE, 1.0, 0.5_f64.sqrt().next_down()),
    ] {
        let mut g = [f64::MAX, -f64::MAX];
        unscale_and_clip(&arith, factor, Order::Two, limit, NonFinite::Error, &mut [&mut g]).unwrap();
        assert_same(&g, &[expected, -expected]);
    }
    let mut none: [f64; 0] = [];
    let report = unscale_and_clip(&arith, 8.0, Order::One, 0.0, NonFinite::Error, &mut [&mut none]).unwrap();
    assert_eq!((report.norm.to_f64(), report.outcome), (0.0, Outcome::Kept));
}

/// The policies are those of clipping; gradients that are left alone stay scaled.
#[test]
fn policies() {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    for (policy, input, expected, outcome) in [
        (NonFinite::Propagate, [inf, 8.0, -16.0], [nan, 0.0, -0.0], Outcome::Spoiled),
        (NonFinite::Propagate, [nan, 8.0, inf], [nan; 3], Outcome::Spoiled),
        (NonFinite::AllNan, [inf, 8.0, -16.0], [nan; 3], Outcome::Spoiled),
        (NonFinite::Skip, [inf, 8.0, -16.0], [inf, 8.0, -16.0], Outcome::Skipped),
    ] {
        let mut g = numbers::<f16>(&input);
        let report = unscale_and_clip(&native::<f16>(), 8.0, Order::Two, 1.0, policy, &mut [&mut g]).unwrap();
        assert_same(&values(&g), &expected);
        assert_eq!((report.outcome, report.norm.is_finite()), (outcome, false));
    }
    let (mut first, mut second) = ([1.0_f32], [2.0, inf as f32]);
    let tensors: &mut [&mut [f32]] = &mut [&mut first, &mut second];
    let error = unscale_and_clip(&native(), 8.0, Order::Two, 1.0, NonFinite::Error, tensors).unwrap_err();
    assert_eq!(error, GradientError::NonFinite { tensor: 1, index: 1, value: inf });
    for limit in [-1.0, nan] {
        let expected = format!("clip-norm = {limit} is out of range; allowed: 0 to inf");
        let (finite, infinite): (&mut [f32], &mut [f32]) = (&mut first, &mut second);
        for g in [finite, infinite] {
            let error = unscale_and_clip(&native(), 8.0, Order::Two, limit, NonFinite::Propagate, &mut [g]);
            assert_eq!(error.unwrap_err().to_string(), expected);
        }
    }
    assert_eq!((first, second), ([1.0], [2.0, inf as f32]));
}

/// Number i of tensor t draws from stream t, i. The norm is 56 before and 7 after unscaling, so that the factor, 4.375 / 56 = 5 / 64, is exact.
#[test]
fn streams() {
    let rules = Rules { rounding: Rounding::Stochastic, ..Rules::default() };
    let arith = Emulated::new(Format::E4M3, rules, 3);
    let (mut a, mut b) = ([7.0; 32], [7.0; 32]);
    let tensors: &mut [&mut [f64]] = &mut [&mut a, &mut b];
    let report = unscale_and_clip(&arith, 8.0, Order::Two, 4.375, NonFinite::Error, tensors).unwrap();
    assert_eq!((report.norm.to_f64(), report.outcome), (7.0, Outcome::Scaled));
    for (t, tensor) in [a, b].iter().enumerate() {
        for (i, &got) in tensor.iter().enumerate() {
            assert_eq!(got, arith.stream(t as u64).stream(i as u64).round(7.0 * 5.0 / 64.0));
        }
    }
    assert!(a != b && a.iter().any(|x| *x != a[0]));
}

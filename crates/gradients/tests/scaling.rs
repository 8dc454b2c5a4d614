//! Loss scales: torch's traces, the walk of a dynamic scale, and advice from histograms.

use gradchain_arith::{Arithmetic, Emulated, Format, Isa, Native, Real, Rules, bf16, f16};
use gradchain_gradients::{
    Decision, DynamicScale, GradientError, Histogram, IRRELEVANT_BELOW, ScaleRule, TorchScaler, advise,
    at_scale, first_non_finite, scale, unscale,
};
use serde_json::Value;

fn fixture() -> Value {
    serde_json::from_str(include_str!("data/gradscaler.json")).unwrap()
}

/// A number of the fixture: those that are not finite are texts.
fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| match value.as_str() {
        Some("inf") => f64::INFINITY,
        Some("-inf") => f64::NEG_INFINITY,
        Some("nan") => f64::NAN,
        _ => panic!("no number: {value}"),
    })
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

/// A number or a list of them: does an optimizer have found one that is not finite?
fn found(value: &Value) -> Vec<bool> {
    let one = |x: &Value| number(x) > 0.0;
    value.as_array().map_or_else(|| vec![one(value)], |list| list.iter().map(one).collect())
}

#[test]
fn every_trace_of_torch() {
    let fixture = fixture();
    let traces = fixture["traces"].as_array().unwrap();
    let mut steps = 0;
    for trace in traces {
        let name = trace["name"].as_str().unwrap();
        let of = |key: &str| number(&trace[key]);
        let interval = trace["growth_interval"].as_u64().unwrap();
        let mut scaler =
            TorchScaler::new(of("init_scale"), of("growth_factor"), of("backoff_factor"), interval);
        let skipped_steps = trace.get("steps_kept_from").map_or(0, |kept| kept.as_u64().unwrap());
        (0..skipped_steps).for_each(|_| scaler.update(&[false]));
        for (i, step) in trace["steps"].as_array().unwrap().iter().enumerate() {
            let context = format!("{name}, step {i}");
            assert!(same(f64::from(scaler.scale()), number(&step["scale_before"])), "{context}");
            let found = found(&step["found_inf"]);
            let skipped: Vec<bool> = found.iter().map(|&found| !scaler.steps(found)).collect();
            let expected: Vec<bool> =
                step["step_skipped"].as_array().unwrap().iter().map(|x| x.as_bool().unwrap()).collect();
            assert_eq!(skipped, expected, "{context}");
            match trace.get("update_called_with").and_then(|called| called.get(i.to_string())) {
                Some(value) => scaler.set(number(value)),
                None => scaler.update(&found),
            }
            assert!(same(f64::from(scaler.scale()), number(&step["scale_after"])), "{context}: {scaler:?}");
            assert_eq!(scaler.growth_tracker(), step["growth_tracker"].as_u64().unwrap(), "{context}");
            steps += 1;
        }
    }
    assert_eq!((traces.len(), steps), (18, 766));
}

#[test]
fn every_unscaling_of_torch() {
    fn check<T: Real>(case: &Value) {
        let scaler = TorchScaler::new(number(&case["scale"]), 2.0, 0.5, 2000);
        let mut gradients: Vec<T> = numbers(&case["in"]).into_iter().map(T::round_from).collect();
        let result = scaler.unscale(&mut gradients);
        if case.get("raises").is_some() {
            assert!(result.unwrap_err().to_string().contains("Attempting to unscale FP16 gradients"));
            return;
        }
        assert_eq!(result.unwrap(), number(&case["found_inf"]) > 0.0, "{case}");
        for (got, expected) in gradients.iter().zip(numbers(&case["out"])) {
            assert!(same(got.value(), expected), "{}: {} for {expected}, {case}", T::NAME, got.value());
        }
    }
    let fixture = fixture();
    let cases = fixture["unscale"].as_array().unwrap();
    for case in cases {
        match case["dtype"].as_str().unwrap() {
            "f16" => check::<f16>(case),
            "bf16" => check::<bf16>(case),
            "f32" => check::<f32>(case),
            "f64" => check::<f64>(case),
            other => panic!("{other}"),
        }
    }
    assert_eq!(cases.len(), 21);
    let losses = fixture["scale"].as_array().unwrap();
    for case in losses {
        let scaler = TorchScaler::new(number(&case["scale"]), 2.0, 0.5, 2000);
        let loss = number(&case["loss"]);
        let got = match case["loss_dtype"].as_str().unwrap() {
            "f16" => scaler.scaled_loss(f16::round_from(loss)),
            "bf16" => scaler.scaled_loss(bf16::round_from(loss)),
            "f32" => scaler.scaled_loss(loss as f32),
            _ => scaler.scaled_loss(loss),
        };
        assert!(same(got, number(&case["out"])), "{case}: {got}");
    }
    assert!(losses.len() >= 16);
}

/// 166 overflows in a row make torch's scale 0, 144 its reciprocal infinite, and then a clean step writes NaN; 112 growths would reach infinity and do not.
#[test]
fn torch_walks_to_zero_and_this_scale_does_not() {
    let mut torch = TorchScaler::new(65_536.0, 2.0, 0.5, 2000);
    let mut ours = DynamicScale::new(ScaleRule::default()).unwrap();
    let mut zero_at = None;
    let mut infinite_at = None;
    for step in 1..=200 {
        torch.update(&[true]);
        assert_eq!(ours.update(true), Decision::Skip);
        let infinite = ((1.0 / f64::from(torch.scale())) as f32).is_infinite();
        zero_at = zero_at.or((torch.scale() == 0.0).then_some(step));
        infinite_at = infinite_at.or(infinite.then_some(step));
    }
    assert_eq!((zero_at, infinite_at), (Some(166), Some(144)));
    assert_eq!((ours.scale(), ours.skipped(), ours.is_stuck()), (1.0 / 16_384.0, 200, true));
    let mut gradients = [0.0_f32, 1.0];
    assert_eq!((torch.unscale(&mut gradients), torch.steps(false)), (Ok(false), true));
    assert!(gradients[0].is_nan() && gradients[1].is_infinite());
    let mut torch = TorchScaler::new(65_536.0, 2.0, 0.5, 1);
    (0..200).for_each(|_| torch.update(&[false]));
    assert_eq!(torch.scale(), 2.0_f32.powi(127));
    assert_eq!(ours.update(false), Decision::Step);
    assert_eq!((ours.skipped(), ours.is_stuck()), (0, false));
}

/// Hysteresis by hand: three overflows in a row lower the scale, a clean step between them starts the count anew; growth after four clean ones.
#[test]
fn hysteresis_and_growth() {
    let rule =
        ScaleRule { init: 8.0, interval: 4, hysteresis: 3, floor: 2.0, cap: 16.0, ..ScaleRule::default() };
    let mut scale = DynamicScale::new(rule).unwrap();
    let walk = "xx.xxx..x....xxxxxx.............";
    let expected =
        [8, 8, 8, 8, 8, 4, 4, 4, 4, 4, 4, 4, 8, 8, 8, 4, 4, 4, 2, 2, 2, 2, 4, 4, 4, 4, 8, 8, 8, 8, 16, 16];
    for (step, (event, expected)) in walk.chars().zip(expected).enumerate() {
        let decision = scale.update(event == 'x');
        assert_eq!(decision == Decision::Skip, event == 'x', "step {step}");
        assert_eq!(scale.scale(), f64::from(expected), "step {step} of {walk}");
    }
    (0..100).for_each(|_| {
        scale.update(false);
    });
    assert_eq!(scale.scale(), 16.0, "the cap");
}

/// Whatever the rule and the events: a power of two between floor and cap, and no step on what is not finite.
#[test]
fn random_walks_stay_between_floor_and_cap() {
    let mut state = 1_u64;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for _ in 0..500 {
        let floor = random(60) as i32 - 30;
        let init = floor + random(20) as i32;
        let cap = init + random(20) as i32;
        let rule = ScaleRule {
            init: libm::exp2(f64::from(init)),
            growth: libm::exp2(1.0 + random(3) as f64),
            backoff: libm::exp2(-1.0 - random(3) as f64),
            interval: 1 + random(5),
            hysteresis: 1 + random(4),
            floor: libm::exp2(f64::from(floor)),
            cap: libm::exp2(f64::from(cap)),
        };
        let mut scale = DynamicScale::new(rule).unwrap();
        for _ in 0..100 {
            let bad = random(3) == 0;
            assert_eq!(scale.update(bad) == Decision::Skip, bad);
            assert!((rule.floor..=rule.cap).contains(&scale.scale()), "{rule:?} {scale:?}");
            assert_eq!(scale.scale().to_bits() << 12, 0, "a power of two: {scale:?}");
        }
    }
}

#[test]
fn bad_rules_are_refused_by_name() {
    let rule = ScaleRule::default();
    for (rule, name) in [
        (ScaleRule { init: 0.0, ..rule }, "loss-scale = 0 "),
        (ScaleRule { init: 3.0, ..rule }, "loss-scale = 3 "),
        (ScaleRule { init: f64::NAN, ..rule }, "loss-scale = NaN"),
        (ScaleRule { init: f64::INFINITY, ..rule }, "loss-scale = inf"),
        (ScaleRule { growth: 1.0, ..rule }, "growth = 1 "),
        (ScaleRule { growth: 1.5, ..rule }, "loss-scale = 1.5 "),
        (ScaleRule { backoff: 1.0, ..rule }, "backoff = 1 "),
        (ScaleRule { backoff: 0.0, ..rule }, "loss-scale = 0 "),
        (ScaleRule { backoff: -0.5, ..rule }, "loss-scale = -0.5"),
        (ScaleRule { interval: 0, ..rule }, "interval = 0 "),
        (ScaleRule { hysteresis: 0, ..rule }, "hysteresis = 0 "),
        (ScaleRule { floor: 131_072.0, ..rule }, "floor = 131072 "),
        (ScaleRule { floor: 0.0, ..rule }, "loss-scale = 0 "),
        (ScaleRule { cap: 32_768.0, ..rule }, "cap = 32768 "),
        (ScaleRule { cap: f64::INFINITY, ..rule }, "loss-scale = inf"),
    ] {
        let message = DynamicScale::new(rule).unwrap_err().to_string();
        assert!(message.starts_with(name) && message.contains("allowed"), "{name}: {message}");
    }
}

/// What a scaler must look at are the stored numbers: the sum of finite ones overflows, and an infinity may be one of many.
#[test]
fn infinities_are_found_one_by_one() {
    let arith = Native::<f16>::new(Isa::PORTABLE);
    let large = vec![f16::MAX; 1000];
    assert_eq!(first_non_finite(&arith, &large), None);
    let mut one = large.clone();
    one[777] = f16::NAN;
    assert_eq!(first_non_finite(&arith, &one), Some(777));
}

/// The table of loss scales: where f16 overflows, where a number is kept, where it is normal, to the last bit on both sides.
#[test]
fn thresholds_of_f16() {
    let arith = Native::<f16>::new(Isa::PORTABLE);
    for exponent in [0, 3, 7, 15, 16] {
        let s = libm::exp2(f64::from(exponent));
        let scaled = |g: f64| arith.value(arith.round(g * s));
        let alone = |g: f64| {
            let mut histogram = Histogram::default();
            histogram.add(g);
            at_scale(&histogram, Format::F16, exponent)
        };
        for edge in [65_520.0 / s, libm::exp2(-25.0) / s, libm::exp2(-14.0) / s] {
            for g in [edge.next_down(), edge, edge.next_up()] {
                let (at, advice) = (scaled(g), alone(g));
                assert_eq!(advice.overflows, at.is_infinite(), "{g} at 2^{exponent}");
                assert_eq!(advice.flushed == 1.0, at == 0.0, "{g} at 2^{exponent}");
                // Just below the least normal number a number rounds up to it: the advice counts it as it is before rounding.
                let below = g * s < libm::exp2(-14.0) && at != 0.0;
                assert_eq!(advice.subnormal == 1.0, below, "{g} at 2^{exponent}");
            }
        }
        assert!(scaled(65_520.0 / s).is_infinite() && scaled((65_520.0 / s).next_down()) == 65_504.0);
        assert!(scaled(libm::exp2(-25.0) / s) == 0.0 && scaled((libm::exp2(-25.0) / s).next_up()) > 0.0);
    }
    // A gradient of exactly 1 overflows at PyTorch's first scale.
    assert!(scaled_at(1.0, 16).is_infinite() && scaled_at(0.999, 16).is_finite());

    fn scaled_at(g: f64, exponent: i32) -> f64 {
        let mut numbers = [f16::round_from(g)];
        scale(&Native::<f16>::new(Isa::PORTABLE), libm::exp2(f64::from(exponent)), &mut numbers).unwrap();
        numbers[0].value()
    }
}

/// Advice against brute force: every magnitude of a random gradient scaled and rounded, in each format.
#[test]
fn advice_is_what_rounding_does() {
    let mut state = 7_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 11
    };
    for format in [Format::F16, Format::BF16, Format::E5M2, Format::E4M3, Format::F32] {
        for (low, span) in [(-40, 30), (-20, 10), (-150, 200), (0, 12)] {
            let gradient: Vec<f64> = (0..300)
                .map(|i| {
                    let significand = if i % 5 == 0 { 1.0 } else { 1.0 + random() as f64 / libm::exp2(53.0) };
                    let sign = if i % 2 == 0 { 1.0 } else { -1.0 };
                    sign * libm::scalbn(significand, low + (random() % span) as i32)
                })
                .collect();
            let histogram = Histogram::of(&Native::<f64>::new(Isa::PORTABLE), &[&gradient]);
            assert_eq!(histogram.nonzero(), 300);
            let arith = Emulated::new(format, Rules::default(), 0);
            let rounded =
                |k: i32| gradient.iter().map(|&g| arith.round(libm::scalbn(g, k))).collect::<Vec<f64>>();
            let zeros = |k: i32| rounded(k).iter().filter(|x| **x == 0.0).count();
            let overflow = |k: i32| rounded(k).iter().any(|x| !x.is_finite());
            for k in -10..60 {
                let at = at_scale(&histogram, format, k);
                assert_eq!(at.overflows, overflow(k), "{format} 2^{k}");
                assert_eq!(at.flushed, zeros(k) as f64 / 300.0, "{format} 2^{k}");
            }
            let advice = advise(&histogram, format, 0.0, 0.1).unwrap();
            let largest = advice.largest.unwrap();
            assert!(!overflow(largest) && overflow(largest + 1), "{format}: largest 2^{largest}");
            let lost = |k: i32| {
                gradient.iter().filter(|g| libm::scalbn(g.abs(), k) < format.min_subnormal()).count()
            };
            match advice.recommended {
                Some(k) => {
                    assert!(lost(k) <= 30 && k <= largest, "{format}: recommended 2^{k}");
                    assert!(k == 0 || lost(k - 1) > 30, "{format}: 2^{k} is not the least");
                }
                None => assert!((0..=largest).all(|k| lost(k) > 30), "{format}: there is one"),
            }
        }
    }
}

/// Micikevicius et al. 2018: the activation gradients of Multibox SSD (67 % zeros, 2 % in [2^-34, 2^-32), 2 % in [2^-24, 2^-23), what lies below 2^-27 is
/// irrelevant) need the scale 8; gradients down to 2^-31, as a scale of 128 suffices for bigLSTM; and those of networks that need none.
#[test]
fn published_scales() {
    // Counts that agree with the percentages printed, per mille of all numbers; between them the histogram of the paper is a figure.
    let ssd: Vec<(i32, u64)> = (-34..=-15)
        .map(|e| {
            (
                e,
                if e <= -33 {
                    10
                } else if e == -24 {
                    20
                } else {
                    15
                },
            )
        })
        .collect();
    let of = |zeros, counts: &[(i32, u64)]| Histogram::from_binades(zeros, counts).unwrap();
    let advice = |histogram: &Histogram, format| advise(histogram, format, IRRELEVANT_BELOW, 0.0).unwrap();
    let f16 = advice(&of(670, &ssd), Format::F16);
    assert_eq!(f16.recommended, Some(3), "{f16}");
    assert!(f16.plain.flushed > 0.3 && f16.scaled.flushed < f16.plain.flushed && f16.survives());
    assert_eq!(advice(&of(670, &ssd), Format::BF16).recommended, Some(0));
    let lstm: Vec<(i32, u64)> = (-31..=-4).map(|e| (e, 5)).collect();
    let f16 = advise(&of(0, &lstm), Format::F16, 0.0, 0.0).unwrap();
    assert_eq!((f16.recommended, f16.largest), (Some(7), Some(18)), "{f16}");
    let classification: Vec<(i32, u64)> = (-23..=0).map(|e| (e, 5)).collect();
    assert_eq!(advice(&of(100, &classification), Format::F16).recommended, Some(0));
    // Five bits of exponent are enough for e5m2 with a scale; e4m3 has 18 binades, and 28 are needed.
    let e5m2 = advise(&of(0, &lstm), Format::E5M2, 0.0, 0.0).unwrap();
    assert_eq!((e5m2.recommended, e5m2.survives()), (Some(15), true), "{e5m2}");
    let e4m3 = advise(&of(0, &lstm), Format::E4M3, 0.0, 0.0).unwrap();
    assert_eq!((e4m3.recommended, e4m3.largest, e4m3.survives()), (None, Some(11), false), "{e4m3}");
}

#[test]
fn histograms_merge_and_refuse() {
    let arith = Native::<f32>::new(Isa::PORTABLE);
    let gradient = [0.0_f32, -0.0, 1.0, -1.5, 2.0, 1e-45, f32::INFINITY, f32::NAN, f32::MAX];
    let whole = Histogram::of(&arith, &[&gradient]);
    let mut parts = Histogram::of(&arith, &[&gradient[..4]]);
    parts.merge(&Histogram::of(&arith, &[&gradient[4..], &[]]));
    assert_eq!(whole, parts);
    assert_eq!((whole.zeros, whole.infinities, whole.nans, whole.nonzero()), (2, 1, 1, 5));
    assert_eq!(whole.binades().collect::<Vec<_>>(), [(-149, 1), (0, 2), (1, 1), (127, 1)]);
    let advice = advise(&whole, Format::F16, 0.0, 0.0).unwrap();
    assert!(!advice.survives(), "it is not finite: {advice}");
    let empty = advise(&Histogram::default(), Format::F16, 0.0, 0.0).unwrap();
    assert_eq!((empty.largest, empty.recommended, empty.plain.flushed), (None, Some(0), 0.0));
    for (threshold, tolerance, name) in [
        (-1.0, 0.0, "irrelevant-below"),
        (f64::NAN, 0.0, "irrelevant-below"),
        (0.0, 1.5, "tolerance"),
        (0.0, f64::NAN, "tolerance"),
    ] {
        let error = advise(&whole, Format::F16, threshold, tolerance).unwrap_err();
        assert!(matches!(error, GradientError::OutOfRange { what, .. } if what == name), "{error}");
    }
    assert!(
        Histogram::from_binades(0, &[(1024, 1)]).is_err()
            && Histogram::from_binades(0, &[(-1075, 1)]).is_err()
    );
}

/// The advice for a gradient holds for the gradient: scaled, stored and unscaled it keeps every bit that the format has.
#[test]
fn advice_keeps_what_it_says() {
    let wide: Vec<f64> =
        (0..2000).map(|i| libm::scalbn(1.0 + f64::from(i % 7) / 8.0, -36 + i % 20)).collect();
    let histogram = Histogram::of(&Native::<f64>::new(Isa::PORTABLE), &[&wide]);
    let advice = advise(&histogram, Format::F16, 0.0, 0.0).unwrap();
    let arith = Native::<f16>::new(Isa::PORTABLE);
    let s = libm::exp2(f64::from(advice.largest.unwrap()));
    let stored: Vec<f16> = wide.iter().map(|&g| arith.round(g * s)).collect();
    assert!(
        stored.iter().zip(&wide).all(|(x, g)| x.value() / s == *g),
        "largest scale 2^{:?}",
        advice.largest
    );
    let mut unscaled: Vec<f16> = stored.clone();
    unscale(&arith, s, &mut unscaled).unwrap();
    assert!(
        unscaled.iter().any(|x| x.value() == 0.0),
        "in f16 itself they are lost again: unscale into a wider format"
    );
}

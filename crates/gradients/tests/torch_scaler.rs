//! torch.amp.GradScaler: every trace, unscaling and scaled loss that torch itself printed, and where its scale walks to.

mod common;

use common::numbers::same;
use gradchain_arith::{Real, bf16, f16};
use gradchain_gradients::{Decision, TorchScaler};
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

fn defaults(scale: f64) -> TorchScaler {
    TorchScaler::new(scale, 2.0, 0.5, 2000).unwrap()
}

/// Whether an optimizer with one parameter skips its step, for the loss `parameter` or, where `bad` is a number, one whose gradient is that. Skipped
/// is what torch's traces call skipped: the parameter's bits stay.
fn skips(scaler: &TorchScaler, bad: Option<f64>) -> (bool, bool) {
    let mut gradient = [bad.map_or(scaler.scale(), |bad| bad as f32)];
    let found = scaler.unscale(&mut gradient).unwrap();
    let mut parameter = 1.0_f32;
    if scaler.step(found) == Decision::Step {
        parameter -= 0.5 * gradient[0];
    }
    (found, parameter.to_bits() == 1.0_f32.to_bits())
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
            TorchScaler::new(of("init_scale"), of("growth_factor"), of("backoff_factor"), interval).unwrap();
        let before = trace.get("steps_kept_from").map_or(0, |kept| kept.as_u64().unwrap());
        (0..before).for_each(|_| scaler.update(&[false]).unwrap());
        for (i, step) in trace["steps"].as_array().unwrap().iter().enumerate() {
            let context = format!("{name}, step {i}");
            assert!(same(f64::from(scaler.scale()), number(&step["scale_before"])), "{context}");
            // One number, or one for each optimizer.
            let found = &step["found_inf"];
            let found: Vec<bool> = match found.as_array() {
                Some(list) => list.iter().map(|x| number(x) > 0.0).collect(),
                None => vec![number(found) > 0.0],
            };
            assert_eq!(found.len() as u64, trace["optimizers"].as_u64().unwrap(), "{context}");
            let expected = step["step_skipped"].as_array().unwrap().iter().map(|x| x.as_bool().unwrap());
            for (&found, expected) in found.iter().zip(expected) {
                let bad = found.then(|| of("bad_value"));
                assert_eq!(skips(&scaler, bad), (found, expected), "{context}");
            }
            match trace.get("update_called_with").and_then(|called| called.get(i.to_string())) {
                Some(value) => scaler.set(number(value)),
                None => scaler.update(&found).unwrap(),
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
        let mut gradients: Vec<T> = numbers(&case["in"]).into_iter().map(T::round_from).collect();
        let before = gradients.clone();
        let result = defaults(number(&case["scale"])).unscale(&mut gradients);
        if let Some(raises) = case.get("raises") {
            let message = result.unwrap_err().to_string();
            let torch = raises.as_str().unwrap().strip_prefix("ValueError: ").unwrap();
            assert!(message.ends_with(torch), "{message}");
            assert_eq!(gradients, before);
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
}

#[test]
fn every_scaled_loss_of_torch() {
    let fixture = fixture();
    let losses = fixture["scale"].as_array().unwrap();
    for case in losses {
        let (scaler, loss) = (defaults(number(&case["scale"])), number(&case["loss"]));
        let got = match case["loss_dtype"].as_str().unwrap() {
            "f16" => scaler.scaled_loss(f16::round_from(loss)),
            "bf16" => scaler.scaled_loss(bf16::round_from(loss)),
            "f32" => scaler.scaled_loss(loss as f32),
            "f64" => scaler.scaled_loss(loss),
            other => panic!("{other}"),
        };
        assert!(same(got, number(&case["out"])), "{case}: {got}");
    }
    assert_eq!(losses.len(), 16);
}

/// 144 overflows in a row make torch's reciprocal infinite, 166 its scale 0; a clean step then writes NaN. 111 growths reach 2^127, and the 112th is refused.
#[test]
fn walks_to_zero_and_to_the_top() {
    let mut torch = defaults(65_536.0);
    for step in 1..=200 {
        torch.update(&[true]).unwrap();
        let mut one = [1.0_f32];
        torch.unscale(&mut one).unwrap();
        assert_eq!((one[0].is_infinite(), torch.scale() == 0.0), (step >= 144, step >= 166), "step {step}");
    }
    let mut gradients = [0.0_f32, -0.0, 1.0];
    assert_eq!(torch.unscale(&mut gradients), Ok(false));
    assert!(gradients[0].is_nan() && gradients[1].is_nan() && gradients[2].is_infinite());
    assert_eq!(skips(&torch, None), (false, false));
    assert_eq!(skips(&torch, Some(f64::NAN)), (true, true));

    let mut torch = TorchScaler::new(65_536.0, 2.0, 0.5, 1).unwrap();
    for step in 1..=200 {
        torch.update(&[false, false]).unwrap();
        assert_eq!((torch.scale(), torch.growth_tracker()), (2.0_f32.powi((16 + step).min(127)), 0));
    }
}

#[test]
fn refuses_what_torch_refuses() {
    for (growth, backoff, expected) in [
        (1.0, 0.5, "growth_factor = 1 is out of range; allowed: numbers above 1"),
        (f64::NAN, 0.5, "growth_factor = NaN is out of range; allowed: numbers above 1"),
        (2.0, 1.0, "backoff_factor = 1 is out of range; allowed: numbers below 1"),
        (2.0, f64::NAN, "backoff_factor = NaN is out of range; allowed: numbers below 1"),
    ] {
        assert_eq!(TorchScaler::new(1.0, growth, backoff, 1).unwrap_err().to_string(), expected);
    }
    let mut torch = defaults(8.0);
    let message = torch.update(&[]).unwrap_err().to_string();
    assert_eq!(message, "torch.amp.GradScaler refuses: No inf checks were recorded prior to update.");
    assert_eq!((torch.scale(), torch.growth_tracker()), (8.0, 0));
    // It checks neither the first scale nor the interval: at 0 the scale never grows.
    let mut never = TorchScaler::new(1e39, 2.0, -1.0, 0).unwrap();
    assert_eq!(never.scale(), f32::INFINITY);
    never.set(1.5);
    (0..100).for_each(|_| never.update(&[false]).unwrap());
    assert_eq!((never.scale(), never.growth_tracker()), (1.5, 100));
}

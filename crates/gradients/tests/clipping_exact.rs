//! Clipping against exact results: recorded ones, and products rounded once by integer arithmetic under every rule.

mod common;

use common::fixture::{Call, Recorded, lines, read};
use common::numbers::{assert_same, native, numbers, same, values};
use gradchain_arith::{
    Arithmetic, Emulated, Exact, Format, Overflow, Rounding, Rules, Subnormals, bf16, f16, round,
};
use gradchain_gradients::{Measured, NonFinite, Order, Outcome, clip_by_norm, clip_by_range, clip_by_value};
use safetensors::SafeTensors;

/// Numbers compared with the exact results rounded once.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Compared {
    calls: usize,
    equal: usize,
    neighbours: usize,
}

fn compare<T: Recorded>(call: Call, compared: &mut Compared) {
    let id = call.text("id");
    let limit = ["max_norm", "clip_value"].iter().find_map(|field| call.number(field)).unwrap();
    let Ok(order) = call.number("norm_type").unwrap_or(2.0).to_string().parse::<Order>() else { return };
    let mut g: Vec<Vec<T>> = call.tensors("in");
    let mut slices: Vec<&mut [T]> = g.iter_mut().map(Vec::as_mut_slice).collect();
    let report = clip_by_norm(&native::<T>(), order, limit, NonFinite::Error, &mut slices).unwrap();
    let exact = call.number("exact_norm").unwrap();
    let found = report.norm.to_f64();
    assert!(found == exact || (found / exact - 1.0).abs() <= 1e-15, "{id}: norm {found}, not {exact}");
    compared.calls += 1;
    for (&g, &ideal) in g.iter().flatten().zip(call.tensors::<T>("ideal").iter().flatten()) {
        let (g, ideal) = (g.value(), ideal.value());
        if same(g, ideal) {
            compared.equal += 1;
        } else {
            compared.neighbours += 1;
            // The norm and the factor are rounded to as many bits as f64 has.
            let near = g.to_bits().abs_diff(ideal.to_bits()) == 1;
            assert!(near && T::FORMAT == Format::F64, "{id}: {g}, not {ideal}");
        }
    }
}

/// Against `g · min(1, limit / norm)` with the exact norm, rounded once: the same bits, in f64 within one ulp.
#[test]
fn exact_results() {
    let bytes = read("clip.safetensors");
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let records = lines("clip.jsonl");
    let mut table = [Compared::default(); 4];
    for record in records.iter().filter(|record| !record["ideal"].is_null()) {
        let call = Call::new(record, &tensors);
        match call.text("dtype") {
            "f16" => compare::<f16>(call, &mut table[0]),
            "bf16" => compare::<bf16>(call, &mut table[1]),
            "f32" => compare::<f32>(call, &mut table[2]),
            "f64" => compare::<f64>(call, &mut table[3]),
            other => panic!("{other}"),
        }
    }
    for (name, Compared { calls, equal, neighbours }) in ["f16", "bf16", "f32", "f64"].iter().zip(table) {
        println!("{name}: {calls} calls, {equal} numbers equal to the exact result, {neighbours} next to it");
        assert!(calls >= 80 && equal > 1000 && (neighbours == 0 || *name == "f64"));
    }
}

/// Clipping by value agrees with torch's in every recorded call whose limit is one.
#[test]
fn clipping_by_value_as_torch() {
    fn check<T: Recorded>(call: Call) {
        let limit = call.number("clip_value").unwrap();
        let expected = call.tensors::<T>("out");
        for (mut g, expected) in call.tensors::<T>("in").into_iter().zip(expected) {
            let mut ranged = g.clone();
            clip_by_value(&native::<T>(), limit, &mut g).unwrap();
            assert_same(&values(&g), &values(&expected));
            let policy = NonFinite::Propagate;
            clip_by_range(&native::<T>(), -limit, limit, policy, &mut [&mut ranged]).unwrap();
            // A zero beside the limits 0 and -0 is inside.
            let unsigned = |g: &[T]| g.iter().map(|g| g.value() + 0.0).collect::<Vec<f64>>();
            assert_same(&unsigned(&ranged), &unsigned(&g));
        }
    }
    let bytes = read("clip.safetensors");
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut count = 0;
    for record in &lines("clip.jsonl") {
        let call = Call::new(record, &tensors);
        let limit = call.number("clip_value");
        if !limit.is_some_and(|limit| limit >= 0.0) || !record["raises"].is_null() {
            continue;
        }
        count += 1;
        match call.text("dtype") {
            "f16" => check::<f16>(call),
            "bf16" => check::<bf16>(call),
            "f32" => check::<f32>(call),
            _ => check::<f64>(call),
        }
    }
    // 22 calls a format, without the one on no gradients and those with the limits -1 and NaN.
    assert_eq!(count, 4 * 19);
}

/// Other formats and rules: every number is the exact product rounded once by these rules, against integer arithmetic.
#[test]
fn every_rule() {
    let formats = [Format::F16, Format::BF16, Format::F32, Format::E4M3, Format::E5M2, Format::TF32];
    let mut state = 5_u64;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        state >> 11
    };
    for format in formats {
        for rounding in [Rounding::Nearest, Rounding::Zero, Rounding::Up, Rounding::Down] {
            for subnormals in [Subnormals::Keep, Subnormals::Flush] {
                let rules = Rules { rounding, subnormals, overflow: Overflow::Infinity };
                let arith = Emulated::new(format, rules, 0);
                for _ in 0..40 {
                    let mut g: Vec<f64> = (0..9)
                        .map(|_| {
                            let binade = (next() % 30) as i32 - 20;
                            let x = (next() as f64 / f64::powi(2.0, 52) - 1.0) * f64::powi(2.0, binade);
                            arith.round(x.clamp(-200.0, 200.0))
                        })
                        .collect();
                    let before = g.clone();
                    let limit = f64::powi(2.0, -((next() % 12) as i32)) * (1.0 + next() as f64 / 1e16);
                    let report =
                        clip_by_norm(&arith, Order::One, limit, NonFinite::Error, &mut [&mut g]).unwrap();
                    if report.outcome == Outcome::Kept {
                        continue;
                    }
                    let factor = report.coefficient.to_f64();
                    for (before, after) in before.iter().zip(g) {
                        let exact = Exact::product(*before, factor);
                        let expected = round(exact, format, rules, 0);
                        assert!(
                            same(after, expected),
                            "{format:?} {rules:?}: {before} to {after}, not {expected}"
                        );
                    }
                }
            }
        }
    }
}

/// Products that lie so near to a midpoint of the format that f64 rounds them onto it: the exact product decides.
#[test]
fn no_double_rounding() {
    fn check<T: Measured>(binade: i32) {
        let arith = native::<T>();
        let (mut state, mut hard) = (9_u64, 0);
        let bits = T::FORMAT.precision() as i32;
        for _ in 0..2000 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            // A number below 1, an odd multiple of half its ulp below it, and the factor that comes next to taking one to the other.
            let x = T::round_from(0.75 + (state >> 40) as f64 / f64::powi(2.0, 26)).value();
            let midpoint = 0.5
                + (((state << 20 >> 44) as f64 / f64::powi(2.0, 22)) * f64::powi(2.0, bits - 3)).floor()
                    * f64::powi(2.0, 1 - bits)
                + f64::powi(2.0, -bits - 1);
            let factor = midpoint / x;
            if factor >= 1.0 {
                continue;
            }
            let scaled = x * f64::powi(2.0, binade);
            let mut g = numbers::<T>(&[1.0, scaled]);
            clip_by_norm(&arith, Order::Infinity, factor, NonFinite::Error, &mut [&mut g]).unwrap();
            let exact = Exact::product(scaled, factor);
            let expected = round(exact, T::FORMAT, Rules::default(), 0);
            assert!(same(g[1].value(), expected), "{}: {scaled:e} · {factor:e}", T::NAME);
            hard += usize::from(T::round_from(scaled * factor).value() != expected);
        }
        println!("{}: {hard} products that two roundings get wrong", T::NAME);
        assert!(hard > 0 || T::FORMAT == Format::F64);
    }
    check::<f16>(0);
    check::<bf16>(0);
    check::<f32>(0);
    check::<f64>(0);
    check::<f64>(-1060);
}

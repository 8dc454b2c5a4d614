//! Every recorded call of torch, optax and jax, reproduced.

mod common;

use common::fixture::{Call, Recorded, lines, number, read};
use gradchain_arith::{bf16, f16};
use gradchain_gradients::frameworks::optax::Leaf;
use gradchain_gradients::frameworks::{Raised, jax, optax, torch};
use safetensors::SafeTensors;
use std::collections::BTreeMap;

/// What a call returned: its norm if it has one, or what it raised.
fn replay<T: Recorded>(call: Call, tensors: &mut [Vec<T>]) -> Result<Option<f64>, Raised> {
    let argument = |field| call.number(field).unwrap();
    let params: Vec<Vec<T>> = call.tensors("param");
    let shape = |name: String| call.tensors.tensor(&name).unwrap().shape().to_vec();
    let shapes: Vec<Vec<usize>> = call.names("in").into_iter().map(shape).collect();
    let mut slices: Vec<&mut [T]> = tensors.iter_mut().map(Vec::as_mut_slice).collect();
    if call.text("lib") == "torch" {
        return match call.text("fn") {
            "clip_grad_norm_" => {
                let strict = call.record["error_if_nonfinite"].as_bool().unwrap_or(false);
                torch::clip_grad_norm(argument("max_norm"), argument("norm_type"), strict, &mut slices)
                    .map(Some)
            }
            "clip_grad_value_" => torch::clip_grad_value(argument("clip_value"), &mut slices).map(|()| None),
            other => panic!("{other}"),
        };
    }
    if call.text("fn") == "clip_grads" {
        return Ok(Some(jax::clip_grads(argument("max_norm"), &mut slices)));
    }
    let mut leaves: Vec<Leaf<T>> =
        slices.into_iter().zip(&shapes).map(|(numbers, shape)| Leaf { shape, numbers }).collect();
    let norm = optax::global_norm(&leaves);
    match call.text("fn") {
        "clip" => optax::clip(argument("max_delta"), &mut leaves),
        "clip_by_global_norm" => {
            assert_eq!(
                optax::clip_by_global_norm(argument("max_norm"), &mut leaves).to_bits(),
                norm.to_bits()
            );
        }
        "clip_by_block_rms" => optax::clip_by_block_rms(argument("threshold"), &mut leaves),
        "normalize_by_update_norm" => {
            optax::normalize_by_update_norm(argument("scale_factor"), argument("eps"), &mut leaves);
        }
        "adaptive_grad_clip" => {
            let params: Vec<&[T]> = params.iter().map(Vec::as_slice).collect();
            optax::adaptive_grad_clip(argument("clipping"), argument("eps"), &mut leaves, &params)?;
        }
        other => panic!("{other}"),
    }
    Ok(Some(norm))
}

/// How far two numbers of a format are apart, in representable numbers; NaN and NaN are the same.
fn steps<T: Recorded>(a: f64, b: f64) -> u64 {
    if a.is_nan() && b.is_nan() || a.to_bits() == b.to_bits() {
        return 0;
    }
    if a.is_nan() || b.is_nan() || a.is_sign_negative() != b.is_sign_negative() {
        return u64::MAX;
    }
    // The f64 bits of neighbours of a narrower format differ by a power of two or more.
    let spacing = 1_u64 << (53 - T::FORMAT.precision());
    a.to_bits().abs_diff(b.to_bits()).div_ceil(spacing)
}

/// The largest distance of a result of the call from the recorded one.
fn distance<T: Recorded>(call: Call) -> u64 {
    let id = call.text("id");
    let before: Vec<Vec<T>> = call.tensors("in");
    let mut tensors = before.clone();
    let values = |tensors: &[Vec<T>]| tensors.iter().flatten().map(|x| x.value()).collect::<Vec<f64>>();
    match replay(call, &mut tensors) {
        Err(raised) => {
            let message = call.record["raises"].as_str().unwrap_or_else(|| panic!("{id} raised {raised}"));
            let words = match raised {
                Raised::NonFiniteNorm { .. } => "is non-finite",
                Raised::EmptyNorm { .. } => "cannot compute the infinity norm on an empty tensor",
                Raised::NoGradients => "nested_tensorlist[0].empty()",
                Raised::Dimensions { .. } => "shape",
            };
            assert!(message.contains(words), "{id}: {raised}, not {message}");
            assert!(
                values(&tensors).iter().zip(values(&before)).all(|(&a, b)| steps::<T>(a, b) == 0),
                "{id}"
            );
            0
        }
        Ok(norm) => {
            assert!(call.record["raises"].is_null(), "{id} raised nothing");
            let expected = values(&call.tensors::<T>("out"));
            let got = values(&tensors);
            assert_eq!(got.len(), expected.len(), "{id}");
            let results = got.iter().zip(&expected).map(|(&a, &b)| steps::<T>(a, b));
            let norm = match (norm, call.number("norm")) {
                (Some(norm), Some(expected)) => steps::<T>(norm, expected),
                (_, None) => 0,
                (None, Some(_)) => panic!("{id}: no norm"),
            };
            results.chain([norm]).max().unwrap()
        }
    }
}

/// All 892 calls, norms and results, in every bit.
#[test]
fn recorded_calls() {
    let bytes = read("clip.safetensors");
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let records = lines("clip.jsonl");
    let (mut table, mut different) = (BTreeMap::new(), Vec::new());
    for record in &records {
        let call = Call::new(record, &tensors);
        let distance = match call.text("dtype") {
            "f16" => distance::<f16>(call),
            "bf16" => distance::<bf16>(call),
            "f32" => distance::<f32>(call),
            "f64" => distance::<f64>(call),
            other => panic!("{other}"),
        };
        let row =
            table.entry((call.text("lib"), call.text("fn"), call.text("dtype"))).or_insert([0_usize; 3]);
        row[distance.min(2) as usize] += 1;
        if distance > 0 {
            different.push((call.text("id"), distance));
        }
    }
    println!("{:6} {:26} {:6} {:>6} {:>11} {:>10}", "", "", "", "equal", "last place", "different");
    for ((lib, function, dtype), [equal, last, other]) in &table {
        println!("{lib:6} {function:26} {dtype:6} {equal:6} {last:11} {other:10}");
    }
    let all = table.values().fold([0; 3], |sum, row| [0, 1, 2].map(|i| sum[i] + row[i]));
    assert_eq!((records.len(), table.len()), (892, 32));
    assert_eq!((all, different), ([892, 0, 0], vec![]));
}

/// The norms of up to 2^20 equal numbers, where the order of summation shows: torch's in every bit; XLA adds 4096 numbers and more in an order
/// of its own, so that there f32 and f64 may differ in the last places.
#[test]
fn long_sums() {
    fn distances<T: Recorded>(n: usize, value: f64, recorded: [f64; 3]) -> [u64; 3] {
        let mut numbers = vec![T::round_from(value); n];
        let torch = torch::total_norm(2.0, &[&numbers]).unwrap();
        let jax = jax::l2_norm(&[&numbers]);
        let optax = optax::global_norm(&[Leaf { shape: &[n], numbers: &mut numbers }]);
        let found = [torch, optax, jax];
        [0, 1, 2].map(|lib| steps::<T>(found[lib], recorded[lib]))
    }
    let (mut equal, mut count) = ([0; 3], 0);
    for record in lines("fill_frameworks.jsonl") {
        let n = record["n"].as_u64().unwrap() as usize;
        let value = number(&record["value"]).unwrap();
        let recorded = ["torch", "optax", "jax"].map(|lib| number(&record[lib]).unwrap());
        let found = match record["dtype"].as_str().unwrap() {
            "f16" => distances::<f16>(n, value, recorded),
            "bf16" => distances::<bf16>(n, value, recorded),
            "f32" => distances::<f32>(n, value, recorded),
            "f64" => distances::<f64>(n, value, recorded),
            other => panic!("{other}"),
        };
        count += 1;
        for (equal, distance) in equal.iter_mut().zip(found) {
            *equal += usize::from(distance == 0);
            assert!(distance == 0 || (n >= 4096 && distance <= 8), "{record}: {found:?} places off");
        }
    }
    println!("{count} long sums: {equal:?} equal to torch, optax, jax");
    assert_eq!((count, equal), (39, [39, 29, 29]));
}

/// Norms of random tensors of shapes whose windows and unrolled rows matter, against JAX and optax.
#[test]
fn sums_of_shapes() {
    fn norms<T: Recorded>(shape: &[usize], bits: &str) -> [f64; 2] {
        let digits = 2 * size_of::<T>();
        let number = |i: usize| {
            let bits = u64::from_str_radix(&bits[i * digits..][..digits], 16).unwrap();
            T::of_bytes(&bits.to_le_bytes()[..size_of::<T>()])
        };
        let mut numbers: Vec<T> = (0..bits.len() / digits).map(number).collect();
        let jax = jax::l2_norm(&[&numbers]);
        [optax::global_norm(&[Leaf { shape, numbers: &mut numbers }]), jax]
    }
    let mut count = 0;
    for record in lines("xla_sums.jsonl") {
        let shape: Vec<usize> =
            record["shape"].as_array().unwrap().iter().map(|d| d.as_u64().unwrap() as usize).collect();
        let bits = record["bits"].as_str().unwrap();
        let found = match record["dtype"].as_str().unwrap() {
            "f16" => norms::<f16>(&shape, bits),
            "bf16" => norms::<bf16>(&shape, bits),
            "f32" => norms::<f32>(&shape, bits),
            "f64" => norms::<f64>(&shape, bits),
            other => panic!("{other}"),
        };
        let expected = ["optax", "jax"].map(|lib| number(&record[lib]).unwrap());
        assert_eq!(found, expected, "{} {shape:?}", record["dtype"]);
        count += 1;
    }
    assert_eq!(count, 50);
}

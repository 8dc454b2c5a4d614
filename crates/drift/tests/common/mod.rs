//! Reading the reference data, and exact numbers as oracles.
#![allow(dead_code, reason = "each test file uses its part")]

use dashu_float::FBig;
use dashu_float::round::mode::HalfEven;
use gradchain_activations::Activation;
use gradchain_chain::{Layer, Network};
use gradchain_drift::DoubleDouble;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

/// An exact or high-precision number.
pub(crate) type Big = FBig<HalfEven, 2>;

/// Bits of the oracle.
pub(crate) const BITS: usize = 400;

/// `x`, exactly, with [`BITS`] bits to compute with.
pub(crate) fn big(x: f64) -> Big {
    Big::try_from(x).expect("finite").with_precision(BITS).value()
}

/// `hi + lo`, exactly.
pub(crate) fn big_of(x: DoubleDouble) -> Big {
    big(x.hi) + big(x.lo)
}

/// `x · 2^e`.
pub(crate) fn shifted(x: Big, e: i64) -> Big {
    let shift = e as isize;
    if shift >= 0 { x << shift } else { x >> -shift }
}

/// log2 of `|got - exact| / |exact|`, to a few bits.
pub(crate) fn log2_error(got: &Big, exact: &Big) -> f64 {
    let difference = got - exact;
    if difference == Big::ZERO {
        return f64::NEG_INFINITY;
    }
    libm::log2(((difference / exact).to_f64().value()).abs())
}

/// A tensor of any floating-point type as f64 numbers.
pub(crate) fn floats(file: &SafeTensors<'_>, name: &str) -> Vec<f64> {
    let tensor = file.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}"));
    let (data, dtype) = (tensor.data(), tensor.dtype());
    if dtype == Dtype::F64 {
        chunks(data, f64::from_le_bytes)
    } else if dtype == Dtype::F32 {
        chunks(data, |b| f64::from(f32::from_le_bytes(b)))
    } else if dtype == Dtype::F16 {
        chunks(data, |b| f16_value(u16::from_le_bytes(b)))
    } else if dtype == Dtype::BF16 {
        chunks(data, |b| f64::from(f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)))
    } else if dtype == Dtype::I32 {
        chunks(data, |b| f64::from(i32::from_le_bytes(b)))
    } else {
        panic!("{name}: {dtype:?}")
    }
}

fn chunks<const N: usize>(data: &[u8], convert: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    data.chunks_exact(N).map(|chunk| convert(chunk.try_into().expect("a chunk"))).collect()
}

fn f16_value(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    let magnitude = if exponent == 0 {
        libm::scalbn(fraction, -24)
    } else {
        libm::scalbn(1024.0 + fraction, exponent - 25)
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

/// A layer without bias.
pub(crate) fn linear(outputs: usize, inputs: usize, weights: Vec<f64>) -> Layer {
    Layer { outputs, inputs, weights, weights_rest: None, bias: None }
}

/// A network of layers of width 1, all with these weights.
pub(crate) fn scalar_chain(depth: usize, weight: f64, rest: Option<f64>) -> Network {
    let layer = Layer { weights_rest: rest.map(|r| vec![r]), ..linear(1, 1, vec![weight]) };
    Network::plain(vec![layer; depth], Activation::Identity)
}

/// The tensors and the cases of a file of reference data.
pub(crate) fn read(name: &str) -> (Vec<u8>, Value) {
    let path = |ending: &str| format!("{}/tests/data/{name}.{ending}", env!("CARGO_MANIFEST_DIR"));
    let json = std::fs::read_to_string(path("json")).expect("the cases");
    (std::fs::read(path("safetensors")).expect("the data"), serde_json::from_str(&json).expect("JSON"))
}

/// The cases in the description of a file.
pub(crate) fn cases(json: &Value) -> &[Value] {
    json["cases"].as_array().expect("cases")
}

/// The network of a case of `mlp`.
pub(crate) fn mlp_network(file: &SafeTensors<'_>, case: &Value) -> Network {
    let id = case["id"].as_str().expect("id");
    let widths: Vec<usize> = case["widths"]
        .as_array()
        .expect("widths")
        .iter()
        .map(|width| width.as_u64().expect("a width") as usize)
        .collect();
    let layers = widths.windows(2).enumerate().map(|(i, widths)| Layer {
        bias: Some(floats(file, &format!("{id}/b/{i}"))),
        ..linear(widths[1], widths[0], floats(file, &format!("{id}/w/{i}")))
    });
    let activation = case["activation"].as_str().expect("activation").parse().expect("a known activation");
    Network::plain(layers.collect(), activation)
}

/// The linear chain of a case of `chain`. The backward pass goes through the last layer first, and that one is M_1.
pub(crate) fn chain_network(file: &SafeTensors<'_>, case: &Value) -> Network {
    let n = case["n"].as_u64().expect("n") as usize;
    let m = floats(file, &format!("{}/m", case["id"].as_str().expect("id")));
    let layers = m.chunks_exact(n * n).rev().map(|m| linear(n, n, m.to_vec())).collect();
    Network::plain(layers, Activation::Identity)
}

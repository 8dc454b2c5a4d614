//! Networks from safetensors files.
//!
//! A weight is a tensor of rank 2 named `<prefix>weight` (torch.nn.Linear in a Sequential: `0.weight`, `layers.3.weight`) or `w/<layer>`; its bias, if there
//! is one, is the tensor of rank 1 named `<prefix>bias` or `b/<layer>`. Layers are taken in the order of the numbers in their names. Other
//! tensors are an error: a network that is only half read would be measured as something that it is not.

use crate::network::{Layer, Network};
use gradchain_activations::Activation;
use gradchain_arith::{Format, bf16, f16};
use safetensors::tensor::{TensorInfo, TensorView};
use safetensors::{Dtype, SafeTensors};
use std::collections::BTreeMap;
use thiserror::Error;

/// Why a file is no network.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LoadError {
    /// The container itself is malformed.
    #[error("not a readable safetensors file: {0}")]
    Container(String),
    /// A tensor whose name or rank has no meaning here.
    #[error(
        "tensor `{name}` of shape {shape:?}: allowed are weights of rank 2 named `<prefix>weight` or `w/<layer>` and biases of rank 1 \
         named `<prefix>bias` or `b/<layer>`"
    )]
    Meaning {
        /// Name of the tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// A tensor of a type that is not a number format read here.
    #[error("tensor `{name}` has type {dtype}; allowed: F64, F32, F16, BF16, F8_E4M3, F8_E5M2")]
    Type {
        /// Name of the tensor.
        name: String,
        /// Its type.
        dtype: String,
    },
    /// Layers that do not fit together.
    #[error("tensor `{name}`: {problem}")]
    Fit {
        /// Name of the tensor.
        name: String,
        /// What does not fit, with the numbers.
        problem: String,
    },
    /// No weights at all.
    #[error("the file holds no weights; allowed names: `<prefix>weight`, `w/<layer>`")]
    Empty,
}

/// The network in the safetensors file `bytes`, every layer followed by `activation`.
///
/// # Errors
/// If the file is malformed, or holds tensors that do not make a chain of layers.
pub fn from_safetensors(bytes: &[u8], activation: Activation) -> Result<Network, LoadError> {
    let container = |e: safetensors::SafeTensorError| {
        LoadError::Container(malformed_tensor(bytes).unwrap_or_else(|| e.to_string()))
    };
    let file = SafeTensors::deserialize(bytes).map_err(container)?;
    let mut weights = BTreeMap::new();
    let mut biases = BTreeMap::new();
    for (name, tensor) in file.iter() {
        let meaning = || LoadError::Meaning { name: name.to_owned(), shape: tensor.shape().to_vec() };
        let (key, group) = match name {
            _ if name.ends_with("weight") => (name.trim_end_matches("weight"), &mut weights),
            _ if name.ends_with("bias") => (name.trim_end_matches("bias"), &mut biases),
            _ if name.starts_with("w/") => (&name[2..], &mut weights),
            _ if name.starts_with("b/") => (&name[2..], &mut biases),
            _ => return Err(meaning()),
        };
        let rank = if name.ends_with("bias") || name.starts_with("b/") { 1 } else { 2 };
        if tensor.shape().len() != rank {
            return Err(meaning());
        }
        if let Some((other, _)) = group.insert(natural(key), (name.to_owned(), tensor)) {
            let problem = format!("names the same layer as `{other}`");
            return Err(LoadError::Fit { name: name.to_owned(), problem });
        }
    }
    let mut layers: Vec<Layer> = Vec::new();
    for (key, (name, tensor)) in weights {
        let &[outputs, inputs] = tensor.shape() else { unreachable!("weights were checked to have rank 2") };
        let fit = |problem: String| LoadError::Fit { name: name.clone(), problem };
        if outputs == 0 || inputs == 0 {
            return Err(fit(format!("{outputs} x {inputs} has no weights; allowed: at least 1 x 1")));
        }
        if let Some(before) = layers.last()
            && before.outputs != inputs
        {
            return Err(fit(format!("{inputs} inputs after a layer with {} outputs", before.outputs)));
        }
        let bias = match biases.remove(&key) {
            Some((name, tensor)) if tensor.shape() != [outputs] => {
                let problem = format!("{} numbers for a layer with {outputs} outputs", tensor.shape()[0]);
                return Err(LoadError::Fit { name, problem });
            }
            Some((name, tensor)) => Some(numbers(&name, &tensor)?),
            None => None,
        };
        layers.push(Layer { outputs, inputs, weights: numbers(&name, &tensor)?, weights_rest: None, bias });
    }
    if let Some((name, _)) = biases.into_values().next() {
        return Err(LoadError::Fit { name, problem: "a bias without a weight of the same name".to_owned() });
    }
    if layers.is_empty() {
        return Err(LoadError::Empty);
    }
    Ok(Network::plain(layers, activation))
}

/// The first tensor that makes a file unreadable, and what is wrong with it: the errors of `safetensors` mostly leave the name out. None if the fault lies
/// elsewhere, in the length of the header or its JSON.
fn malformed_tensor(bytes: &[u8]) -> Option<String> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let (header, data) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    let header: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(header).ok()?;
    let mut tensors: Vec<(String, TensorInfo)> = Vec::new();
    for (name, info) in header.into_iter().filter(|(name, _)| name != "__metadata__") {
        match serde_json::from_value(info) {
            Ok(info) => tensors.push((name, info)),
            Err(e) => return Some(format!("tensor `{name}`: {e}")),
        }
    }
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    let mut end_before = 0;
    for (name, info) in &tensors {
        let (begin, end) = info.data_offsets;
        let elements = info.shape.iter().try_fold(1usize, |product, size| product.checked_mul(*size));
        let bits = elements.and_then(|elements| elements.checked_mul(info.dtype.bitsize()));
        let described = format!("shape {:?} of type {:?}", info.shape, info.dtype);
        let offsets = format!("data_offsets [{begin}, {end}]");
        let problem = match bits {
            None => format!("{described} has more bits than can be counted"),
            Some(_) if begin != end_before || end < begin => {
                format!("{offsets}; allowed: from {end_before}, where the data before end, and not backwards")
            }
            Some(bits) if bits != (end - begin).saturating_mul(8) => {
                format!("{described} takes {} bytes, {offsets} hold {}", bits.div_ceil(8), end - begin)
            }
            Some(_) if end > data.len() => {
                format!("{offsets} end behind the data; the file has {} bytes of them", data.len())
            }
            Some(_) => {
                end_before = end;
                continue;
            }
        };
        return Some(format!("tensor `{name}`: {problem}"));
    }
    let (last, _) = tensors.last()?;
    let left = data.len() - end_before;
    (left > 0).then(|| format!("{left} bytes follow the data of the last tensor, `{last}`"))
}

/// A name cut into text and numbers, so that `layer.10` comes after `layer.9`.
fn natural(name: &str) -> Vec<(String, u64)> {
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (text, tail) = rest.split_at(digits);
        let end = tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
        parts.push((text.to_owned(), tail[..end].parse().unwrap_or(0)));
        rest = &tail[end..];
    }
    parts
}

/// The numbers of a tensor as f64; exact for every type that is read.
fn numbers(name: &str, tensor: &TensorView<'_>) -> Result<Vec<f64>, LoadError> {
    fn each<const N: usize>(data: &[u8], value: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        data.as_chunks::<N>().0.iter().map(|&bytes| value(bytes)).collect()
    }
    let data = tensor.data();
    let unknown = |dtype: Dtype| LoadError::Type { name: name.to_owned(), dtype: format!("{dtype:?}") };
    let dtype = tensor.dtype();
    if dtype == Dtype::F64 {
        Ok(each(data, f64::from_le_bytes))
    } else if dtype == Dtype::F32 {
        Ok(each(data, |b| f64::from(f32::from_le_bytes(b))))
    } else if dtype == Dtype::F16 {
        Ok(each(data, |b| f64::from(f16::from_le_bytes(b).to_f32())))
    } else if dtype == Dtype::BF16 {
        Ok(each(data, |b| f64::from(bf16::from_le_bytes(b).to_f32())))
    } else if dtype == Dtype::F8_E4M3 {
        Ok(each(data, |[b]| eight_bits(b, Format::E4M3)))
    } else if dtype == Dtype::F8_E5M2 {
        Ok(each(data, |[b]| eight_bits(b, Format::E5M2)))
    } else {
        Err(unknown(dtype))
    }
}

/// The value of an 8-bit pattern: sign, exponent field, fraction.
fn eight_bits(bits: u8, format: Format) -> f64 {
    let fraction_bits = format.precision() - 1;
    let field = i32::from(bits & 0x7f) >> fraction_bits;
    let fraction = f64::from(bits & ((1 << fraction_bits) - 1)) / f64::from(1 << fraction_bits);
    let magnitude = match (field, format.has_infinities()) {
        (31, true) if fraction == 0.0 => f64::INFINITY,
        (31, true) => f64::NAN,
        (15, false) if bits & 7 == 7 => f64::NAN,
        (0, _) => fraction * format.min_normal(),
        _ => (1.0 + fraction) * format.min_normal() * f64::from(2u32.pow(field as u32 - 1)),
    };
    if bits >> 7 == 1 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::serialize;

    fn file(tensors: &[(&str, Dtype, &[usize], &[u8])]) -> Vec<u8> {
        let views = tensors
            .iter()
            .map(|&(name, dtype, shape, data)| (name, TensorView::new(dtype, shape.to_vec(), data).unwrap()));
        serialize(views, None).unwrap()
    }

    fn bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|x| x.to_le_bytes()).collect()
    }

    #[test]
    fn layers_come_in_the_order_of_their_numbers() {
        let (first, second, bias) = (bytes(&[1.0, 2.0]), bytes(&[3.0]), bytes(&[0.5]));
        let data = file(&[
            ("net.10.weight", Dtype::F32, &[1, 1], &second),
            ("net.9.weight", Dtype::F32, &[1, 2], &first),
            ("net.9.bias", Dtype::F32, &[1], &bias),
        ]);
        let network = from_safetensors(&data, Activation::Relu).unwrap();
        assert_eq!((network.inputs(), network.outputs()), (2, 1));
        assert_eq!(network.layers[0].weights, [1.0, 2.0]);
        assert_eq!(network.layers[0].bias.as_deref(), Some(&[0.5][..]));
        assert_eq!(
            (network.layers[1].weights.as_slice(), network.layers[1].bias.is_none()),
            (&[3.0][..], true)
        );
    }

    #[test]
    fn every_8_bit_pattern_decodes_to_a_number_of_its_format() {
        for (dtype, format, finite) in
            [(Dtype::F8_E4M3, Format::E4M3, 254), (Dtype::F8_E5M2, Format::E5M2, 248)]
        {
            let patterns: Vec<u8> = (0..=255).collect();
            let data = file(&[("w/0", dtype, &[1, 256], &patterns)]);
            let weights = from_safetensors(&data, Activation::Identity).unwrap().layers.remove(0).weights;
            let numbers: Vec<f64> = weights.iter().copied().filter(|x| x.is_finite()).collect();
            assert_eq!(numbers.len(), finite, "{format}");
            assert!(numbers.iter().all(|&x| format.contains(x)) && numbers.contains(&format.max()));
            assert!(
                weights[..100].windows(2).all(|pair| pair[0] < pair[1]),
                "{format} ascends with its patterns"
            );
            let (positive, negative) = weights.split_at(128);
            assert!(positive.iter().zip(negative).all(|(&p, &n)| n == -p || (p.is_nan() && n.is_nan())));
            // The patterns without a number stand at the end, NaN but for the infinity of E5M2.
            let (infinite, nan) = positive[finite / 2..].split_at(usize::from(format.has_infinities()));
            assert!(infinite.iter().all(|x| *x == f64::INFINITY) && nan.iter().all(|x| x.is_nan()));
        }
    }

    #[test]
    fn what_is_no_network_is_named() {
        let one = bytes(&[1.0]);
        let two = bytes(&[1.0, 2.0]);
        let cases = [
            (
                file(&[("w/0", Dtype::F32, &[2, 1], &two), ("w/1", Dtype::F32, &[1, 1], &one)]),
                "`w/1`: 1 inputs after a layer with 2",
            ),
            (
                file(&[("w/0", Dtype::F32, &[1, 1], &one), ("b/0", Dtype::F32, &[2], &two)]),
                "`b/0`: 2 numbers",
            ),
            (
                file(&[("w/0", Dtype::F32, &[1, 1], &one), ("b/1", Dtype::F32, &[1], &one)]),
                "`b/1`: a bias without",
            ),
            (
                file(&[("w/1", Dtype::F32, &[1, 1], &one), ("w/01", Dtype::F32, &[1, 1], &one)]),
                "names the same layer as",
            ),
            (file(&[("w/0", Dtype::I32, &[1, 1], &one)]), "`w/0` has type I32"),
            (file(&[("embedding", Dtype::F32, &[1, 1], &one)]), "`embedding` of shape [1, 1]"),
            (file(&[("w/0", Dtype::F32, &[1], &one)]), "`w/0` of shape [1]"),
            (file(&[("w/0", Dtype::F32, &[0, 1], &[])]), "no weights"),
            (file(&[]), "no weights"),
            (b"garbage".to_vec(), "not a readable safetensors file"),
        ];
        for (data, expected) in cases {
            let message = from_safetensors(&data, Activation::Identity).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
        // Cut anywhere, a file is refused without a panic.
        let whole = file(&[("w/0", Dtype::F32, &[1, 2], &two)]);
        for end in 0..whole.len() {
            assert!(from_safetensors(&whole[..end], Activation::Identity).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn a_tensor_that_makes_a_file_unreadable_is_named() {
        let with_header = |header: &str, data: usize| {
            let length = (header.len() as u64).to_le_bytes();
            [&length[..], header.as_bytes(), &vec![0; data]].concat()
        };
        let second = |info: &str| {
            let first = r#""w/0":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}"#;
            with_header(&format!(r#"{{"__metadata__":{{"format":"pt"}},{first},"w/1":{{{info}}}}}"#), 8)
        };
        for (data, expected) in [
            (
                second(r#""dtype":"F32","shape":[9,2],"data_offsets":[4,8]"#),
                "tensor `w/1`: shape [9, 2] of type F32 takes 72 bytes, data_offsets [4, 8] hold 4",
            ),
            (
                second(r#""dtype":"F31","shape":[1,1],"data_offsets":[4,8]"#),
                "tensor `w/1`: unknown variant `F31`",
            ),
            (
                second(r#""dtype":"F32","shape":[1,-1],"data_offsets":[4,8]"#),
                "tensor `w/1`: invalid value: integer `-1`",
            ),
            (second(r#""dtype":"F32","shape":[1,1]"#), "tensor `w/1`: missing field `data_offsets`"),
            (
                second(r#""dtype":"F32","shape":[1,1],"data_offsets":[5,9]"#),
                "tensor `w/1`: data_offsets [5, 9]; allowed: from 4, where the data before end",
            ),
            (
                second(r#""dtype":"F32","shape":[1,1],"data_offsets":[4,0]"#),
                "tensor `w/1`: data_offsets [4, 0]; allowed: from 4",
            ),
            (
                second(r#""dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[4,8]"#),
                "tensor `w/1`: shape [4294967296, 4294967296] of type F32 has more bits than can be counted",
            ),
            (
                second(r#""dtype":"F4","shape":[1,7],"data_offsets":[4,7]"#),
                "tensor `w/1`: shape [1, 7] of type F4 takes 4 bytes, data_offsets [4, 7] hold 3",
            ),
            (
                second(r#""dtype":"F64","shape":[1,1],"data_offsets":[4,12]"#),
                "tensor `w/1`: data_offsets [4, 12] end behind the data; the file has 8 bytes of them",
            ),
            (
                second(r#""dtype":"F16","shape":[1,1],"data_offsets":[4,6]"#),
                "2 bytes follow the data of the last tensor, `w/1`",
            ),
            (with_header("{x", 0), "invalid JSON in header"),
            (vec![0xff; 16], "header too large"),
        ] {
            let message = from_safetensors(&data, Activation::Identity).unwrap_err().to_string();
            let told = message.strip_prefix("not a readable safetensors file: ").unwrap_or_default();
            assert!(told.starts_with(expected), "{expected}: {message}");
        }
    }

    #[test]
    fn every_type_is_decoded() {
        // 1.5 and the negative of the least number of each type.
        let f64s: Vec<u8> = [1.5, -5e-324].iter().flat_map(|x: &f64| x.to_le_bytes()).collect();
        let f32s = bytes(&[1.5, -1e-45]);
        let least = |e| -f64::powi(2.0, e);
        for (dtype, data, expected) in [
            (Dtype::F64, f64s.as_slice(), -5e-324),
            (Dtype::F32, &f32s, least(-149)),
            (Dtype::F16, &[0x00, 0x3e, 0x01, 0x80], least(-24)),
            (Dtype::BF16, &[0xc0, 0x3f, 0x01, 0x80], least(-133)),
        ] {
            let data = file(&[("w/0", dtype, &[1, 2], data)]);
            let weights = from_safetensors(&data, Activation::Identity).unwrap().layers.remove(0).weights;
            assert_eq!(weights, [1.5, expected], "{dtype:?}");
        }
    }
}

//! The recorded calls of libraries: `clip.jsonl` names the tensors of `clip.safetensors`.

use gradchain_arith::{bf16, f16};
use safetensors::SafeTensors;
use serde_json::Value;

/// A format with the bytes of its numbers.
pub(crate) trait Recorded: gradchain_gradients::Measured {
    /// The number of these little-endian bytes.
    fn of_bytes(bytes: &[u8]) -> Self;
}

impl Recorded for f16 {
    fn of_bytes(bytes: &[u8]) -> f16 {
        f16::from_bits(u16::from_le_bytes(bytes.try_into().unwrap()))
    }
}

impl Recorded for bf16 {
    fn of_bytes(bytes: &[u8]) -> bf16 {
        bf16::from_bits(u16::from_le_bytes(bytes.try_into().unwrap()))
    }
}

impl Recorded for f32 {
    fn of_bytes(bytes: &[u8]) -> f32 {
        f32::from_le_bytes(bytes.try_into().unwrap())
    }
}

impl Recorded for f64 {
    fn of_bytes(bytes: &[u8]) -> f64 {
        f64::from_le_bytes(bytes.try_into().unwrap())
    }
}

/// The bytes of a file of the test data.
pub(crate) fn read(file: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/data/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// One JSON object a line.
pub(crate) fn lines(file: &str) -> Vec<Value> {
    let text = String::from_utf8(read(file)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A recorded call.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) record: &'a Value,
    pub(crate) tensors: &'a SafeTensors<'a>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(record: &'a Value, tensors: &'a SafeTensors<'a>) -> Call<'a> {
        Call { record, tensors }
    }

    pub(crate) fn text(&self, field: &str) -> &'a str {
        self.record[field].as_str().unwrap()
    }

    /// A number; those that are not finite are written as texts.
    pub(crate) fn number(&self, field: &str) -> Option<f64> {
        number(&self.record[field])
    }

    /// The tensors of a kind: `in`, `out`, `param`, `ideal`; none if the call has none.
    pub(crate) fn tensors<T: Recorded>(&self, kind: &str) -> Vec<Vec<T>> {
        let numbers = |name: String| -> Vec<T> {
            let tensor = self.tensors.tensor(&name).unwrap();
            tensor.data().chunks_exact(size_of::<T>()).map(T::of_bytes).collect()
        };
        self.names(kind).into_iter().map(numbers).collect()
    }

    /// The names of the tensors of a kind.
    pub(crate) fn names(&self, kind: &str) -> Vec<String> {
        let names = self.record[kind].as_array();
        names.map_or(Vec::new(), |names| names.iter().map(|name| name.to_string()).collect())
    }
}

pub(crate) fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str().map(|text| text.parse().unwrap()))
}

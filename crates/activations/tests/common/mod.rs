//! The committed tables of correctly rounded values.

use safetensors::SafeTensors;

/// The tensor `name` of a file of `tests/data`, its bytes read as little-endian numbers by `number`.
#[allow(dead_code, reason = "not every test reads tables")]
pub(crate) fn tensor<T, const SIZE: usize>(file: &str, name: &str, number: fn([u8; SIZE]) -> T) -> Vec<T> {
    let path = format!("{}/tests/data/{file}.safetensors", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let data = tensors.tensor(name).unwrap();
    data.data().chunks_exact(SIZE).map(|bytes| number(bytes.try_into().unwrap())).collect()
}

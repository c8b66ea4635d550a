//! Reference tensors from files, where the tests have them.

use safetensors::{Dtype, SafeTensors};
use std::collections::HashMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// The folder with the reference data: `IM2COL_SHARED`, or the nearest folder `shared` with a
/// `golden` in it, upward from the crate under test. `None` where neither exists.
#[must_use]
pub fn shared_dir() -> Option<PathBuf> {
    if let Some(dir) = env::var_os("IM2COL_SHARED") {
        return Some(PathBuf::from(dir));
    }
    let start = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).or_else(|| env::current_dir().ok())?;
    start.ancestors().map(|dir| dir.join("shared")).find(|shared| shared.join("golden").is_dir())
}

/// A tensor's shape and values, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor<T> {
    /// The size of each axis.
    pub shape: Vec<usize>,
    /// As many values as the product of the sizes.
    pub values: Vec<T>,
}

/// The tensors of one safetensors file, by name.
#[derive(Clone, Debug, Default)]
pub struct Tensors {
    floats: HashMap<String, Tensor<f32>>,
    integers: HashMap<String, Tensor<i64>>,
}

impl Tensors {
    /// Reads every tensor of type `F32` and `I64`.
    ///
    /// # Errors
    /// If the file cannot be read, is malformed or holds tensors of another type.
    pub fn read(path: &Path) -> Result<Self, Box<dyn Error>> {
        let bytes = fs::read(path)?;
        let mut tensors = Self::default();
        for (name, view) in SafeTensors::deserialize(&bytes)?.iter() {
            let (name, shape) = (name.to_owned(), view.shape().to_vec());
            match view.dtype() {
                Dtype::F32 => {
                    let values = little_endian(view.data(), f32::from_le_bytes);
                    tensors.floats.insert(name, Tensor { shape, values });
                }
                Dtype::I64 => {
                    let values = little_endian(view.data(), i64::from_le_bytes);
                    tensors.integers.insert(name, Tensor { shape, values });
                }
                dtype => return Err(format!("{name} has the type {dtype:?}").into()),
            }
        }
        Ok(tensors)
    }

    /// The tensor of that name, if its type is `F32`.
    #[must_use]
    pub fn f32(&self, name: &str) -> Option<&Tensor<f32>> {
        self.floats.get(name)
    }

    /// The tensor of that name, if its type is `I64`.
    #[must_use]
    pub fn i64(&self, name: &str) -> Option<&Tensor<i64>> {
        self.integers.get(name)
    }
}

/// Reads a JSON file.
///
/// # Errors
/// If the file cannot be read or is malformed.
pub fn read_json(path: &Path) -> Result<serde_json::Value, Box<dyn Error>> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

fn little_endian<T, const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (chunks, _) = bytes.as_chunks::<N>();
    chunks.iter().map(|&chunk| value(chunk)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_reference_tensors() {
        let Some(shared) = shared_dir() else {
            eprintln!("skipped: no shared/golden, and IM2COL_SHARED is not set");
            return;
        };
        let cases = read_json(&shared.join("golden/ops.json")).unwrap();
        assert_eq!(cases["cases"].as_array().unwrap().len(), 648);
        let tensors = Tensors::read(&shared.join("golden/ops.safetensors")).unwrap();
        for case in cases["cases"].as_array().unwrap() {
            for name in case["tensors"].as_object().unwrap().values() {
                let name = name.as_str().unwrap();
                let (shape, len) = match (tensors.f32(name), tensors.i64(name)) {
                    (Some(tensor), None) => (&tensor.shape, tensor.values.len()),
                    (None, Some(tensor)) => (&tensor.shape, tensor.values.len()),
                    _ => panic!("{name} is missing"),
                };
                assert_eq!(shape.iter().product::<usize>(), len, "{name}");
            }
        }
    }
}

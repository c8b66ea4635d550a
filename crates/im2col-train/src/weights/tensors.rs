//! Parameters as the tensors of a safetensors file, and back.

use std::collections::BTreeMap;
use std::path::Path;

use im2col::{Network, Parameter};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, SafeTensors};

use super::error::WeightsError;
use super::finite::check_finite_tensor;
use super::header::MAX_HEADER_LEN;
use super::names::{self, tensor_name};

/// A network's parameters, as a file has them.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// In `state_dict` order, every one finite.
    pub params: Vec<f32>,
    /// How the tensors were taken, in one line, if their names or types are others than this crate writes.
    pub note: Option<String>,
}

/// Fills groups of values, each as long as the network's parameters, from the tensors of a file, which has no
/// others. The names of a group's tensors are the parameters' with a prefix.
pub(crate) fn load<const L: usize>(
    file: &Path,
    tensors: &SafeTensors<'_>,
    network: &Network<L>,
    groups: &mut [(&str, &mut [f32])],
) -> Result<(), WeightsError> {
    let mut names = Vec::new();
    for (prefix, values) in groups {
        for parameter in network.parameters() {
            let name = tensor_name(prefix, &parameter);
            read(file, tensors, &name, &parameter, values)?;
            names.push(name);
        }
    }
    refuse_others(file, tensors, &names)
}

/// The parameters from tensors that may have other names or types, as long as it is clear which is which.
pub(super) fn load_any<const L: usize>(
    file: &Path,
    tensors: &SafeTensors<'_>,
    network: &Network<L>,
) -> Result<Loaded, WeightsError> {
    let (names, renamed) = names::matched(file, tensors, network)?;
    let mut params = vec![0.0; network.param_len()];
    let mut converted = Vec::new();
    for (parameter, name) in network.parameters().zip(&names) {
        let dtype = read(file, tensors, name, &parameter, &mut params)?;
        if dtype != Dtype::F32 && !converted.contains(&dtype) {
            converted.push(dtype);
        }
    }
    refuse_others(file, tensors, &names)?;
    let types = converted.iter().map(|dtype| format!("{dtype:?} converted to F32"));
    let notes: Vec<String> = renamed.into_iter().chain(types).collect();
    Ok(Loaded { params, note: (!notes.is_empty()).then(|| notes.join("; ")) })
}

/// Reads one tensor into the parameter's place, and returns its type.
fn read(
    file: &Path,
    tensors: &SafeTensors<'_>,
    name: &str,
    parameter: &Parameter,
    values: &mut [f32],
) -> Result<Dtype, WeightsError> {
    let tensor = tensors
        .tensor(name)
        .map_err(|_| WeightsError::Missing { file: file.to_owned(), tensor: name.to_owned() })?;
    let values = values.get_mut(parameter.range.clone()).unwrap_or_default();
    if tensor.shape() != parameter.dims() || !decode(tensor.dtype(), tensor.data(), values) {
        return Err(WeightsError::Tensor {
            file: file.to_owned(),
            tensor: name.to_owned(),
            required: parameter.dims().to_vec(),
            given: tensor.shape().to_vec(),
            given_dtype: tensor.dtype(),
        });
    }
    check_values(file, name, parameter.dims(), values)?;
    Ok(tensor.dtype())
}

/// Checks that the values of a tensor are finite.
pub(super) fn check_values(
    file: &Path,
    name: &str,
    dims: &[usize],
    values: &[f32],
) -> Result<(), WeightsError> {
    check_finite_tensor(|| name.to_owned(), values.iter().copied()).map_err(|stray| WeightsError::NotFinite {
        file: file.to_owned(),
        tensor: stray.tensor,
        index: index_of(stray.position, dims),
        value: stray.value,
    })
}

/// Makes f32 of little-endian numbers of another type; false: not of this type.
fn decode(dtype: Dtype, bytes: &[u8], values: &mut [f32]) -> bool {
    fn each<const N: usize>(bytes: &[u8], values: &mut [f32], value: impl Fn([u8; N]) -> f32) {
        values.iter_mut().zip(bytes.as_chunks().0).for_each(|(to, &bytes)| *to = value(bytes));
    }
    match dtype {
        Dtype::F32 => each(bytes, values, f32::from_le_bytes),
        Dtype::F16 => each(bytes, values, |bytes| from_half(u16::from_le_bytes(bytes))),
        Dtype::BF16 => {
            each(bytes, values, |bytes| f32::from_bits(u32::from(u16::from_le_bytes(bytes)) << 16))
        }
        Dtype::F64 => each(bytes, values, |bytes| rounded(f64::from_le_bytes(bytes))),
        _ => return false,
    }
    true
}

#[allow(clippy::cast_possible_truncation, reason = "to the nearest f32, as PyTorch does")]
fn rounded(number: f64) -> f32 {
    number as f32
}

/// The value of an IEEE 754 binary16 (1 bit sign, 5 exponent, 10 fraction), exactly.
fn from_half(half: u16) -> f32 {
    let sign = u32::from(half & 0x8000) << 16;
    let magnitude = u32::from(half & 0x7fff) << 13;
    let value = if half & 0x7c00 == 0x7c00 {
        // Infinite, or not a number.
        f32::from_bits(0x7f80_0000 | magnitude)
    } else {
        // 2^112: the exponents' biases are 15 and 127. Right for subnormal numbers too.
        f32::from_bits(magnitude) * f32::from_bits(239 << 23)
    };
    f32::from_bits(value.to_bits() | sign)
}

/// A value's place along each axis of its tensor.
fn index_of(position: usize, dims: &[usize]) -> Vec<usize> {
    let mut rest = position;
    let mut index: Vec<usize> = dims
        .iter()
        .rev()
        .map(|&dim| {
            let along = rest.checked_rem(dim).unwrap_or_default();
            rest = rest.checked_div(dim).unwrap_or_default();
            along
        })
        .collect();
    index.reverse();
    index
}

fn refuse_others(file: &Path, tensors: &SafeTensors<'_>, names: &[String]) -> Result<(), WeightsError> {
    let mut others: Vec<&str> =
        tensors.names().into_iter().filter(|name| !names.iter().any(|known| known == name)).collect();
    others.sort_unstable();
    match others.first() {
        Some(name) => Err(WeightsError::Unexpected { file: file.to_owned(), tensor: (*name).to_owned() }),
        None => Ok(()),
    }
}

/// The file that [`load`] reads. The same values and metadata give the same bytes.
pub(crate) fn serialize<const L: usize>(
    network: &Network<L>,
    groups: &[(&str, &[f32])],
    metadata: BTreeMap<String, String>,
) -> Result<Vec<u8>, SafeTensorError> {
    let mut tensors = Vec::new();
    for (prefix, values) in groups {
        for parameter in network.parameters() {
            let values = values.get(parameter.range.clone()).unwrap_or_default();
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            tensors.push((tensor_name(prefix, &parameter), parameter, bytes));
        }
    }
    let views = tensors
        .iter()
        .map(|(name, parameter, bytes)| {
            Ok((name, TensorView::new(Dtype::F32, parameter.dims().to_vec(), bytes)?))
        })
        .collect::<Result<Vec<_>, SafeTensorError>>()?;
    with_metadata(&safetensors::serialize(views, None)?, &metadata)
}

/// Puts metadata into the header of a file, in the order of the keys: the crate `safetensors` would write them in any.
fn with_metadata(file: &[u8], metadata: &BTreeMap<String, String>) -> Result<Vec<u8>, SafeTensorError> {
    let split = || {
        let (len, rest) = file.split_first_chunk()?;
        let (header, data) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*len)).ok()?)?;
        Some((header.trim_ascii_end().strip_prefix(b"{")?, data))
    };
    let (tensors, data) = split().ok_or(SafeTensorError::InvalidHeaderLength)?;
    let mut header = format!("{{\"__metadata__\":{}", serde_json::to_string(metadata)?).into_bytes();
    if tensors != b"}" {
        header.push(b',');
    }
    header.extend(tensors);
    header.resize(header.len().next_multiple_of(size_of::<u64>()), b' ');
    if header.len() > MAX_HEADER_LEN {
        return Err(SafeTensorError::HeaderTooLarge);
    }
    Ok([&(header.len() as u64).to_le_bytes()[..], &header, data].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_is_exact() {
        let two = |exponent: i32| 2.0_f32.powi(exponent);
        for (half, expected) in [
            (0x0000, 0.0),
            (0x0001, two(-24)),
            (0x03ff, 1023.0 * two(-24)),
            (0x0400, two(-14)),
            (0x3555, 1365.0 * two(-12)),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65_504.0),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
        ] {
            assert_eq!(from_half(half), expected, "{half:#x}");
        }
        assert!(from_half(0x7e00).is_nan() && from_half(0x7c01).is_nan());
        assert_eq!(from_half(0x8000).to_bits(), (-0.0_f32).to_bits());
        // All finite ones, from the definition.
        for half in (0..=u16::MAX).filter(|half| half & 0x7c00 != 0x7c00) {
            let (exponent, fraction) = (i32::from(half >> 10 & 31), f64::from(half & 0x3ff));
            let magnitude = match exponent {
                0 => fraction * 2.0_f64.powi(-24),
                _ => (1024.0 + fraction) * 2.0_f64.powi(exponent - 25),
            };
            assert_eq!(f64::from(from_half(half)).abs(), magnitude, "{half:#x}");
            assert_eq!(from_half(half).is_sign_negative(), half >> 15 == 1);
        }
    }

    #[test]
    fn positions_become_indices() {
        assert_eq!(index_of(0, &[2, 3, 4]), [0, 0, 0]);
        assert_eq!(index_of(23, &[2, 3, 4]), [1, 2, 3]);
        assert_eq!(index_of(5, &[6]), [5]);
    }
}

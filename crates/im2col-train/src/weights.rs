//! Trained parameters in safetensors files, with the names of PyTorch's `nn.Sequential.state_dict()`:
//! `0.weight`, `0.bias`, `3.weight` ... `11.bias`. The metadata names the network.
//!
//! After a crash there is the old file or the new one, never half of one. A file that is read is not trusted.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use im2col::{Network, Parameter};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, SafeTensors};
use thiserror::Error;

use crate::atomic::replace;

/// No larger file is read; LeNet's have 248 kB.
const MAX_FILE_LEN: u64 = 1 << 30;
pub(crate) const NETWORK_KEY: &str = "network";

/// Why parameters cannot be saved or loaded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// A file cannot be read or written.
    #[error("{}: {error}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A file is larger than any that is read.
    #[error("{}: larger than {MAX_FILE_LEN} bytes", file.display())]
    FileTooLong {
        /// The file.
        file: PathBuf,
    },
    /// The file is not a safetensors file, or is damaged.
    #[error("{}: not a sound safetensors file: {error}", file.display())]
    Format {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        error: SafeTensorError,
    },
    /// The network has a parameter that the file lacks.
    #[error("{}: {tensor} is missing", file.display())]
    Missing {
        /// The file.
        file: PathBuf,
        /// The parameter's name.
        tensor: String,
    },
    /// The file has a tensor that the network lacks.
    #[error("{}: {tensor} is not a parameter of the network", file.display())]
    Unexpected {
        /// The file.
        file: PathBuf,
        /// The tensor's name.
        tensor: String,
    },
    /// A tensor is not what the network needs.
    #[error("{}: {tensor} is {given_dtype} {given:?}, the network needs F32 {required:?}", file.display())]
    Tensor {
        /// The file.
        file: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// The dimensions that the network needs.
        required: Vec<usize>,
        /// The tensor's dimensions.
        given: Vec<usize>,
        /// The tensor's element type.
        given_dtype: Dtype,
    },
    /// The parameters are not this network's.
    #[error("the network has {required} parameters, not {given}")]
    Params {
        /// How many parameters the network has.
        required: usize,
        /// How many were given.
        given: usize,
    },
}

/// A safetensors file in memory.
#[derive(Clone, Debug)]
pub struct Weights {
    file: PathBuf,
    bytes: Vec<u8>,
    network: Option<String>,
}

impl Weights {
    /// Reads a file and checks that it is sound: each tensor lies where and is as long as the header says.
    ///
    /// # Errors
    /// The file cannot be read or is not a sound safetensors file.
    pub fn read(file: &Path) -> Result<Self, WeightsError> {
        Self::from_bytes(file, read_file(file)?)
    }

    /// The same for a file that is in memory already; `file` is its name in errors.
    ///
    /// # Errors
    /// The file is not a sound safetensors file.
    pub fn from_bytes(file: &Path, bytes: Vec<u8>) -> Result<Self, WeightsError> {
        let (_, metadata) = SafeTensors::read_metadata(&bytes)
            .map_err(|error| WeightsError::Format { file: file.to_owned(), error })?;
        let network = metadata.metadata().as_ref().and_then(|entries| entries.get(NETWORK_KEY)).cloned();
        Ok(Self { file: file.to_owned(), bytes, network })
    }

    /// The name of the network, if the file tells.
    #[must_use]
    pub fn network(&self) -> Option<&str> {
        self.network.as_deref()
    }

    /// The network's parameters in `state_dict` order.
    ///
    /// # Errors
    /// The tensors are not exactly those of the network; the error names the first that is wrong.
    pub fn params<const L: usize>(&self, network: &Network<L>) -> Result<Vec<f32>, WeightsError> {
        let tensors = SafeTensors::deserialize(&self.bytes)
            .map_err(|error| WeightsError::Format { file: self.file.clone(), error })?;
        let mut params = vec![0.0; network.param_len()];
        load(&self.file, &tensors, network, &mut [("", &mut params)])?;
        Ok(params)
    }
}

/// Saves a network's parameters, replacing the file at once or not at all.
///
/// # Errors
/// The parameters are not this network's, or the file cannot be written.
pub fn save<const L: usize>(
    file: &Path,
    network_name: &str,
    network: &Network<L>,
    params: &[f32],
) -> Result<(), WeightsError> {
    if params.len() != network.param_len() {
        return Err(WeightsError::Params { required: network.param_len(), given: params.len() });
    }
    let metadata = HashMap::from([(NETWORK_KEY.to_owned(), network_name.to_owned())]);
    let bytes = serialize(network, &[("", params)], metadata)
        .map_err(|error| WeightsError::Format { file: file.to_owned(), error })?;
    replace(file, &bytes).map_err(|error| WeightsError::Io { file: file.to_owned(), error })
}

/// The whole file, if it is not larger than any that is read.
pub(crate) fn read_file(file: &Path) -> Result<Vec<u8>, WeightsError> {
    let mut bytes = Vec::new();
    let limit = MAX_FILE_LEN.saturating_add(1);
    File::open(file)
        .and_then(|open| open.take(limit).read_to_end(&mut bytes))
        .map_err(|error| WeightsError::Io { file: file.to_owned(), error })?;
    if bytes.len() as u64 > MAX_FILE_LEN {
        return Err(WeightsError::FileTooLong { file: file.to_owned() });
    }
    Ok(bytes)
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
            let tensor = tensors
                .tensor(&name)
                .map_err(|_| WeightsError::Missing { file: file.to_owned(), tensor: name.clone() })?;
            if tensor.dtype() != Dtype::F32 || tensor.shape() != parameter.dims() {
                return Err(WeightsError::Tensor {
                    file: file.to_owned(),
                    tensor: name,
                    required: parameter.dims().to_vec(),
                    given: tensor.shape().to_vec(),
                    given_dtype: tensor.dtype(),
                });
            }
            let values = values.get_mut(parameter.range.clone()).unwrap_or_default();
            let (bytes, _) = tensor.data().as_chunks();
            values.iter_mut().zip(bytes).for_each(|(value, &bytes)| *value = f32::from_le_bytes(bytes));
            names.push(name);
        }
    }
    match tensors.names().into_iter().find(|name| !names.iter().any(|known| known == name)) {
        Some(name) => Err(WeightsError::Unexpected { file: file.to_owned(), tensor: name.to_owned() }),
        None => Ok(()),
    }
}

/// The file that [`load`] reads.
pub(crate) fn serialize<const L: usize>(
    network: &Network<L>,
    groups: &[(&str, &[f32])],
    metadata: HashMap<String, String>,
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
    safetensors::serialize(views, Some(metadata))
}

pub(crate) fn tensor_name(prefix: &str, parameter: &Parameter) -> String {
    format!("{prefix}{}.{}", parameter.layer, parameter.name)
}

//! Trained parameters in safetensors files, with the names of PyTorch's `nn.Sequential.state_dict()`:
//! `0.weight`, `0.bias`, `3.weight` ... `11.bias`. The metadata names the network.
//!
//! A file is written beside its destination, flushed to the disk and renamed: after a crash there is the old
//! file or the new one, never half of one. A file that is read is not trusted.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use im2col::{Network, Parameter};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, SafeTensors};
use thiserror::Error;

/// No larger file is read; LeNet's have 248 kB.
const MAX_FILE_LEN: u64 = 1 << 30;
const NETWORK_KEY: &str = "network";

/// Why parameters cannot be saved or loaded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// A file cannot be read or written.
    #[error("{}: {error}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A file is larger than any checkpoint.
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
pub struct Checkpoint {
    file: PathBuf,
    bytes: Vec<u8>,
    network: Option<String>,
}

impl Checkpoint {
    /// Reads a file and checks that it is sound: each tensor lies where and is as long as the header says.
    ///
    /// # Errors
    /// The file cannot be read or is not a sound safetensors file.
    pub fn read(file: &Path) -> Result<Self, CheckpointError> {
        let io_error = |error| CheckpointError::Io { file: file.to_owned(), error };
        let mut bytes = Vec::new();
        let limit = MAX_FILE_LEN.saturating_add(1);
        File::open(file).and_then(|open| open.take(limit).read_to_end(&mut bytes)).map_err(io_error)?;
        if bytes.len() as u64 > MAX_FILE_LEN {
            return Err(CheckpointError::FileTooLong { file: file.to_owned() });
        }
        Self::from_bytes(file, bytes)
    }

    /// The same for a file that is in memory already; `file` is its name in errors.
    ///
    /// # Errors
    /// The file is not a sound safetensors file.
    pub fn from_bytes(file: &Path, bytes: Vec<u8>) -> Result<Self, CheckpointError> {
        let (_, metadata) = SafeTensors::read_metadata(&bytes)
            .map_err(|error| CheckpointError::Format { file: file.to_owned(), error })?;
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
    pub fn params<const L: usize>(&self, network: &Network<L>) -> Result<Vec<f32>, CheckpointError> {
        let file = || self.file.clone();
        let tensors = SafeTensors::deserialize(&self.bytes)
            .map_err(|error| CheckpointError::Format { file: file(), error })?;
        let mut params = Vec::with_capacity(network.param_len());
        let mut names = Vec::new();
        for parameter in network.parameters() {
            let name = tensor_name(&parameter);
            let tensor = tensors
                .tensor(&name)
                .map_err(|_| CheckpointError::Missing { file: file(), tensor: name.clone() })?;
            if tensor.dtype() != Dtype::F32 || tensor.shape() != parameter.dims() {
                return Err(CheckpointError::Tensor {
                    file: file(),
                    tensor: name,
                    required: parameter.dims().to_vec(),
                    given: tensor.shape().to_vec(),
                    given_dtype: tensor.dtype(),
                });
            }
            let (values, _) = tensor.data().as_chunks();
            params.extend(values.iter().map(|&value| f32::from_le_bytes(value)));
            names.push(name);
        }
        match tensors.names().into_iter().find(|name| !names.iter().any(|known| known == name)) {
            Some(name) => Err(CheckpointError::Unexpected { file: file(), tensor: name.to_owned() }),
            None => Ok(params),
        }
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
) -> Result<(), CheckpointError> {
    if params.len() != network.param_len() {
        return Err(CheckpointError::Params { required: network.param_len(), given: params.len() });
    }
    let bytes = serialize(network_name, network, params)
        .map_err(|error| CheckpointError::Format { file: file.to_owned(), error })?;
    replace(file, &bytes).map_err(|error| CheckpointError::Io { file: file.to_owned(), error })
}

fn serialize<const L: usize>(
    network_name: &str,
    network: &Network<L>,
    params: &[f32],
) -> Result<Vec<u8>, SafeTensorError> {
    let tensors: Vec<(Parameter, Vec<u8>)> = network
        .parameters()
        .map(|parameter| {
            let values = params.get(parameter.range.clone()).unwrap_or_default();
            let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            (parameter, bytes)
        })
        .collect();
    let views = tensors
        .iter()
        .map(|(parameter, bytes)| {
            Ok((tensor_name(parameter), TensorView::new(Dtype::F32, parameter.dims().to_vec(), bytes)?))
        })
        .collect::<Result<Vec<_>, SafeTensorError>>()?;
    let metadata = HashMap::from([(NETWORK_KEY.to_owned(), network_name.to_owned())]);
    safetensors::serialize(views, Some(metadata))
}

fn tensor_name(parameter: &Parameter) -> String {
    format!("{}.{}", parameter.layer, parameter.name)
}

/// Writes a file so that a crash leaves the old one or the new one.
pub(crate) fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = file.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    // In the same directory, so that the rename stays within one file system; with the process's number, so
    // that two runs do not write into one file.
    let temporary = file.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let written = File::create(&temporary)
        .and_then(|mut open| open.write_all(bytes).and_then(|()| open.sync_all()))
        .and_then(|()| fs::rename(&temporary, file));
    if written.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(&temporary);
        return written;
    }
    sync_dir(file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

/// Makes a rename last: on Unix it is the directory that remembers it.
#[cfg(unix)]
fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(not(unix))]
fn sync_dir(_dir: &Path) -> io::Result<()> {
    Ok(())
}

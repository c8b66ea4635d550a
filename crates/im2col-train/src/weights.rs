//! Trained parameters in safetensors files, with the names of PyTorch's `nn.Sequential.state_dict()`:
//! `0.weight`, `0.bias`, `3.weight` ... `11.bias`. The metadata say what they are: [`Description`].
//!
//! After a crash there is the old file or the new one, never half of one. A file that is read is not trusted. Values
//! that are not finite are neither read nor written.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

mod description;
mod error;
mod finite;
mod header;
mod names;
mod tensors;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use im2col::Network;
use safetensors::SafeTensors;

pub(crate) use self::description::NETWORK_KEY;
pub use self::description::{Description, NORMALISATION};
pub use self::error::WeightsError;
pub use self::finite::NotFinite;
pub(crate) use self::finite::{check_finite, check_finite_group, check_finite_tensor};
pub(crate) use self::header::check as check_header;
pub(crate) use self::names::tensor_name;
pub use self::tensors::Loaded;
pub(crate) use self::tensors::{load, serialize};
use crate::atomic::replace;
use crate::file::{self, FileError};

/// No larger file is read; LeNet's have 248 kB.
pub(crate) const MAX_FILE_LEN: u64 = 1 << 30;

/// A safetensors file in memory.
#[derive(Clone, Debug)]
pub struct Weights {
    file: PathBuf,
    bytes: Vec<u8>,
    metadata: HashMap<String, String>,
}

impl Weights {
    /// Reads a file and checks that it is sound: each tensor lies where and is as long as the header says.
    ///
    /// # Errors
    /// The file cannot be read or is not a sound safetensors file.
    pub fn read(file: &Path) -> Result<Self, WeightsError> {
        Self::from_bytes(file, file::read(file, MAX_FILE_LEN)?)
    }

    /// The same for a file that is in memory already; `file` is its name in errors.
    ///
    /// # Errors
    /// The file is not a sound safetensors file.
    pub fn from_bytes(file: &Path, bytes: Vec<u8>) -> Result<Self, WeightsError> {
        check_header(&bytes).map_err(|error| WeightsError::Header { file: file.to_owned(), error })?;
        let (_, metadata) = SafeTensors::read_metadata(&bytes)
            .map_err(|error| WeightsError::Format { file: file.to_owned(), error })?;
        let metadata = metadata.metadata().clone().unwrap_or_default();
        Ok(Self { file: file.to_owned(), bytes, metadata })
    }

    /// The name of the network, if the file tells.
    #[must_use]
    pub fn network(&self) -> Option<&str> {
        self.metadata.get(NETWORK_KEY).map(String::as_str)
    }

    /// What the file says about the weights.
    ///
    /// # Errors
    /// It cannot be understood, or has control characters.
    pub fn description(&self) -> Result<Description, WeightsError> {
        Description::from_metadata(&self.metadata).map_err(|(key, problem)| WeightsError::Metadata {
            file: self.file.clone(),
            key,
            problem,
        })
    }

    /// The network's parameters, whose tensors may be F32, F16, BF16 or F64, and may have
    ///
    /// - the names of `nn.Sequential.state_dict()`: `0.weight`, `0.bias`, `3.weight` ...;
    /// - these names behind one prefix, such as `module.`;
    /// - names of their own, such as `conv1.weight`, if for each layer exactly one module of the file has its weight's
    ///   and its bias's dimensions, and modules that differ in a number (`fc1`, `fc2`) are in the order of the layers.
    ///
    /// # Errors
    /// The tensors are not exactly those of the network, or it is not clear which is which, or a value is not finite;
    /// the error names the first that is wrong.
    pub fn load<const L: usize>(&self, network: &Network<L>) -> Result<Loaded, WeightsError> {
        let tensors = SafeTensors::deserialize(&self.bytes)
            .map_err(|error| WeightsError::Format { file: self.file.clone(), error })?;
        tensors::load_any(&self.file, &tensors, network)
    }

    /// The parameters that [`load`](Self::load) gives, in `state_dict` order.
    ///
    /// # Errors
    /// Those of [`load`](Self::load).
    pub fn params<const L: usize>(&self, network: &Network<L>) -> Result<Vec<f32>, WeightsError> {
        Ok(self.load(network)?.params)
    }
}

/// Saves a network's parameters, replacing the file at once or not at all. `description`: the network's name, or a
/// whole [`Description`].
///
/// # Errors
/// The parameters are not this network's, one is infinite or not a number, or the file cannot be written.
pub fn save<const L: usize>(
    file: &Path,
    description: impl Into<Description>,
    network: &Network<L>,
    params: &[f32],
) -> Result<(), WeightsError> {
    if params.len() != network.param_len() {
        return Err(WeightsError::Params { required: network.param_len(), given: params.len() });
    }
    for parameter in network.parameters() {
        let values = params.get(parameter.range.clone()).unwrap_or_default();
        tensors::check_values(file, &tensor_name("", &parameter), parameter.dims(), values)?;
    }
    let bytes = serialize(network, &[("", params)], description.into().metadata())
        .map_err(|error| WeightsError::Format { file: file.to_owned(), error })?;
    Ok(replace(file, &bytes).map_err(FileError::at(file))?)
}

//! Why parameters cannot be saved or loaded.

use std::path::PathBuf;

use safetensors::{Dtype, SafeTensorError};
use thiserror::Error;

use crate::file::{FileError, FormatError};

/// Why parameters cannot be saved or loaded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is not a safetensors file, or its header contradicts itself or the file's length.
    #[error("{}: not a sound safetensors file: {error}", file.display())]
    Header {
        /// The file.
        file: PathBuf,
        /// Where, and what is wrong with it.
        error: FormatError,
    },
    /// The crate `safetensors` refuses the file or what is to be written.
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
    /// The metadata cannot be understood.
    #[error("{}: metadata {key:?}: {problem}", file.display())]
    Metadata {
        /// The file.
        file: PathBuf,
        /// The entry.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The tensors have names of their own, and it is not clear which is which.
    #[error("{}: {tensor}: {problem}", file.display())]
    Unclear {
        /// The file.
        file: PathBuf,
        /// The parameter, or the module of the file.
        tensor: String,
        /// Why it is not clear.
        problem: String,
    },
    /// A value that no network can use.
    #[error("{}: {tensor}{index:?} is {value} in F32: not a finite number", file.display())]
    NotFinite {
        /// The file.
        file: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// Where the value stands along each axis.
        index: Vec<usize>,
        /// The value.
        value: f32,
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

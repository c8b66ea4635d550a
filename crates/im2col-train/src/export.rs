//! Parameters for programs that do not train: firmware, other languages, the linker.
//!
//! ```text
//! safetensors   the tensors with PyTorch's names       safetensors: for PyTorch and this crate
//! raw           f32 after f32, little-endian           raw: for im2col::include_f32!, or for C
//! rust          a source file, ready to be a module    rust: needs only the crate im2col, and no std
//! ```

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

use std::fmt::Write;
use std::path::Path;

use im2col::{Network, Parameter};
use safetensors::SafeTensorError;
use thiserror::Error;

use crate::file::FileError;
use crate::weights::{Description, NotFinite, check_finite, serialize, tensor_name};
use crate::{atomic, digest};

/// The module up to the parameters.
const MODULE: &str = include_str!("export/module.txt");
/// Numbers in a line of source.
const LINE: usize = 8;

/// Why parameters cannot be exported.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The parameters are not this network's.
    #[error("the network has {required} parameters, not {given}")]
    Params {
        /// How many parameters the network has.
        required: usize,
        /// How many were given.
        given: usize,
    },
    /// A value that no network can use.
    #[error(transparent)]
    NotFinite(#[from] NotFinite),
    /// The tensors do not make a safetensors file.
    #[error("safetensors: {0}")]
    Safetensors(#[from] SafeTensorError),
    /// The file cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// A safetensors file with PyTorch's names. `description`: the network's name, or a whole [`Description`], becomes its
/// metadata.
///
/// # Errors
/// The parameters are not this network's, or one is infinite or not a number.
pub fn safetensors<const L: usize>(
    description: impl Into<Description>,
    network: &Network<L>,
    params: &[f32],
) -> Result<Vec<u8>, ExportError> {
    check(network, params)?;
    Ok(serialize(network, &[("", params)], description.into().metadata())?)
}

/// The parameters in `state_dict` order, four bytes each, little-endian.
///
/// ```
/// use im2col::{Layer, LinearParams, Network};
///
/// let network = Network::plan([Layer::Flatten, Layer::Linear(LinearParams::new(1, 1))], 1, [1, 1, 1])?;
/// let bytes = im2col_train::export::raw(&network, &[1.0, -0.5])?;
/// assert_eq!(bytes, [0, 0, 0x80, 0x3f, 0, 0, 0, 0xbf]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// The parameters are not this network's, or one is infinite or not a number.
pub fn raw<const L: usize>(network: &Network<L>, params: &[f32]) -> Result<Vec<u8>, ExportError> {
    check(network, params)?;
    Ok(params.iter().flat_map(|value| value.to_le_bytes()).collect())
}

/// A source file with the network, its parameters and the functions `logits` and `class`, ready to be a module of
/// any program that has the crate `im2col`.
///
/// `description`, the network's name or a whole [`Description`], is for people; `plan` is the expression that plans the network for one image, with absolute paths:
/// `"im2col::Network::plan(im2col::lenet::LENET, 1, [1, 28, 28])"`. The numbers are the shortest that mean the same
/// bits.
///
/// # Errors
/// The parameters are not this network's, or one is infinite or not a number.
pub fn rust<const L: usize>(
    description: impl Into<Description>,
    plan: &str,
    network: &Network<L>,
    params: &[f32],
) -> Result<String, ExportError> {
    let bytes = raw(network, params)?;
    let description = description.into();
    let mut source = MODULE.to_owned();
    for (field, value) in [
        ("{name}", description.network.as_deref().unwrap_or("of unknown name")),
        ("{plan}", plan),
        ("{layers}", &L.to_string()),
        ("{inputs}", &network.input_len().to_string()),
        ("{params}", &params.len().to_string()),
        ("{digest}", &digest::of_bytes(&bytes)),
        // Last: a name may look like a field.
        ("{learned}", &learned(&description)),
    ] {
        source = source.replace(field, value);
    }
    for parameter in network.parameters() {
        let dims: Vec<String> = parameter.dims().iter().map(usize::to_string).collect();
        // Writing to a string does not fail.
        let _ = writeln!(source, "    // {} [{}]", tensor_name("", &parameter), dims.join(", "));
        for line in values(params, &parameter).chunks(LINE) {
            let line: Vec<String> = line.iter().map(|value| format!("{value:?}")).collect();
            let _ = writeln!(source, "    {},", line.join(", "));
        }
    }
    source.push_str("];\n");
    Ok(source)
}

/// Writes a file at once or not at all; says its SHA-256.
///
/// Symbolic links are followed; a FIFO or a device is written to and stays what it is; `-` is the standard output. A
/// file that is replaced keeps its permissions.
///
/// # Errors
/// The file cannot be written.
pub fn write(file: &Path, bytes: &[u8]) -> Result<String, ExportError> {
    atomic::replace(file, bytes).map_err(FileError::at(file))?;
    Ok(digest::of_bytes(bytes))
}

/// Whether what [`write()`] writes under this name appears on the standard output: `-`, `/dev/stdout` and the like.
pub(crate) fn is_standard_output(file: &Path) -> bool {
    atomic::is_standard_output(file)
}

/// Comment lines with what is known about the weights, or nothing.
fn learned(description: &Description) -> String {
    let data_set = description.data_set.iter().map(|name| format!("data set: {name}"));
    let normalisation = description.normalisation.iter().map(|text| format!("inputs: {text}"));
    let classes = description.classes.iter().map(|names| {
        let numbered = names.iter().enumerate().map(|(class, name)| format!("{class} {name}"));
        format!("classes: {}", numbered.collect::<Vec<_>>().join(", "))
    });
    // Control characters would end the comment.
    let printable = |line: String| line.replace(char::is_control, "\u{fffd}");
    data_set.chain(normalisation).chain(classes).map(|line| format!("// {}\n", printable(line))).collect()
}

fn check<const L: usize>(network: &Network<L>, params: &[f32]) -> Result<(), ExportError> {
    if params.len() != network.param_len() {
        return Err(ExportError::Params { required: network.param_len(), given: params.len() });
    }
    Ok(check_finite(network, params)?)
}

fn values<'a>(params: &'a [f32], parameter: &Parameter) -> &'a [f32] {
    params.get(parameter.range.clone()).unwrap_or_default()
}

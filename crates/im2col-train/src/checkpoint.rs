//! Checkpoints: all that a run needs to go on, in one safetensors file.
//!
//! The tensors are the parameters under PyTorch's names, and what the optimiser keeps
//! (`optimizer.velocity.0.weight` ...). The metadata holds the rest, as JSON: the [`RunState`], the SHA-256 of
//! its configuration, and a SHA-256 of the whole file, computed with zeros in its own place. So every byte of the
//! file is covered. A file that is read is not trusted.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

mod error;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensorError, SafeTensors};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::error::CheckpointError;
use crate::atomic::replace_keeping;
use crate::digest;
use crate::file::{self, FileError};
use crate::samples::Fingerprint;
use crate::train::{Contradiction, Options, Position, Trainer};
use crate::weights::{
    self, MAX_FILE_LEN, NETWORK_KEY, WeightsError, check_finite_group, check_finite_tensor,
};

const CONFIGURATION_KEY: &str = "configuration";
const CONFIGURATION_SHA256_KEY: &str = "configuration_sha256";
const DATA_KEY: &str = "data";
const POSITION_KEY: &str = "position";
const RECORD_KEY: &str = "record";
const SHA256_KEY: &str = "sha256";
/// How many hexadecimal digits a SHA-256 has.
const SHA256_LEN: usize = 64;

/// What a run was asked to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// Of this crate.
    pub version: String,
    /// The network's name.
    pub network: String,
    /// The folder with the data; `None` for those that the program has itself.
    #[serde(default, with = "crate::paths")]
    pub data: Option<PathBuf>,
    /// SHA-256 of the [data](crate::samples::sha256).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_sha256: Option<DataSha256>,
    /// Whether images are read when they are needed.
    pub stream: bool,
    /// The file with the weights to start from; `None` for random ones.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::paths")]
    pub weights: Option<PathBuf>,
    /// The folder in which the program was called: relative paths begin there.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::paths")]
    pub called_in: Option<PathBuf>,
    /// How to train.
    pub options: Options,
}

impl Configuration {
    /// A path of the configuration, from where the program was called.
    #[must_use]
    pub fn absolute(&self, path: &Path) -> PathBuf {
        self.called_in.as_ref().map_or_else(|| path.to_owned(), |folder| folder.join(path))
    }
}

/// What tells the data of a run from others: [`samples::sha256`](crate::samples::sha256).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSha256 {
    /// Of the images to learn from.
    pub train: String,
    /// Of the images to be judged by.
    pub test: String,
}

/// What a run keeps apart from its trainer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRecord {
    /// The best share of the images held back that the network got right after an epoch.
    pub best_validation: Option<f64>,
    /// How long the file of metrics is.
    pub metrics_len: u64,
    /// How long this epoch has been learned from so far.
    pub seconds: f64,
}

/// What a checkpoint says of its run, beside the tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct RunState {
    /// What was asked for.
    pub configuration: Configuration,
    /// The images to learn from.
    pub data: Fingerprint,
    /// How far the trainer has come.
    pub position: Position,
    /// What else the run keeps.
    pub record: RunRecord,
}

impl RunState {
    /// Whether nothing is left to do.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.position.epoch >= self.configuration.options.epochs
    }
}

/// A checkpoint in memory, found to be sound.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    file: PathBuf,
    bytes: Vec<u8>,
    state: RunState,
}

impl Checkpoint {
    /// Reads a file and checks every byte of it.
    ///
    /// # Errors
    /// The file cannot be read, is damaged, is not a checkpoint, or a value in it is not finite.
    pub fn read(file: &Path) -> Result<Self, CheckpointError> {
        Self::from_bytes(file, file::read(file, MAX_FILE_LEN)?)
    }

    /// The same for a file that is in memory already; `file` is its name in errors.
    ///
    /// # Errors
    /// The same.
    pub fn from_bytes(file: &Path, bytes: Vec<u8>) -> Result<Self, CheckpointError> {
        weights::check_header(&bytes)
            .map_err(|error| WeightsError::Header { file: file.to_owned(), error })?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|error| format_error(file, error))?;
        let metadata = Metadata { file, entries: header.metadata().as_ref() };
        let required = metadata.text(SHA256_KEY)?;
        let given = digest(&bytes, required)
            .ok_or_else(|| metadata.error(SHA256_KEY, "is not a SHA-256 that stands in one place"))?;
        if given != *required {
            let required = file::printable(required);
            return Err(CheckpointError::Digest { file: file.to_owned(), required, given });
        }
        let configuration = metadata.text(CONFIGURATION_KEY)?;
        if *metadata.text(CONFIGURATION_SHA256_KEY)? != digest::of_bytes(configuration.as_bytes()) {
            return Err(metadata.error(CONFIGURATION_SHA256_KEY, "is another configuration's"));
        }
        let state = RunState {
            configuration: metadata.value(CONFIGURATION_KEY)?,
            data: metadata.value(DATA_KEY)?,
            position: metadata.value(POSITION_KEY)?,
            record: metadata.value(RECORD_KEY)?,
        };
        check_record(file, &state.record)?;
        check_values(file, &bytes)?;
        Ok(Self { file: file.to_owned(), bytes, state })
    }

    /// The file.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What it says of its run.
    #[must_use]
    pub fn state(&self) -> &RunState {
        &self.state
    }

    /// Takes a new trainer to where the run was. It may have another number of epochs, not fewer than are done; the
    /// [schedule](crate::schedule::Schedule) is then that of the new number.
    ///
    /// # Errors
    /// The trainer has another network, other options or other images than the run, or no trainer can have come there. It
    /// is not to be used then: some of its tensors may be the run's.
    pub fn restore<const L: usize>(&self, trainer: &mut Trainer<'_, L>) -> Result<(), CheckpointError> {
        let (state, file) = (&self.state, || self.file.clone());
        let Options { epochs, .. } = state.configuration.options;
        let given = Options { epochs, ..*trainer.options() };
        if given != state.configuration.options {
            let (option, required, given) = differing(&state.configuration.options, &given);
            return Err(CheckpointError::Options { file: file(), option, required, given });
        }
        let given = Fingerprint::of(trainer.samples());
        if given != state.data {
            let (required, given) = (Box::new(state.data.clone()), Box::new(given));
            return Err(CheckpointError::Data { file: file(), required, given });
        }
        let tensors =
            SafeTensors::deserialize(&self.bytes).map_err(|error| format_error(&self.file, error))?;
        let network = *trainer.network();
        let (params, optimiser) = trainer.tensors_mut();
        let mut moments: Vec<(String, &mut [f32])> =
            optimiser.moments_mut().map(|(name, values)| (moment_prefix(name), values)).collect();
        let mut groups: Vec<(&str, &mut [f32])> = vec![("", params)];
        groups.extend(moments.iter_mut().map(|(prefix, values)| (prefix.as_str(), &mut **values)));
        weights::load(&self.file, &tensors, &network, &mut groups)?;
        // Another network draws other numbers of random numbers, so its tensors come first.
        check_position(&self.file, trainer, &state.position)?;
        trainer.go_to(state.position);
        Ok(())
    }
}

/// Saves a checkpoint and keeps the one before as `previous`. After a crash at least one of the two is sound.
///
/// # Errors
/// The file cannot be written, a value is not finite, or the trainer has made [steps](Trainer::step) out of turn, after
/// which nobody could go on; both files are then as they were.
pub fn save<const L: usize>(
    file: &Path,
    previous: &Path,
    configuration: &Configuration,
    record: &RunRecord,
    trainer: &Trainer<'_, L>,
) -> Result<(), CheckpointError> {
    let bytes = serialize(file, configuration, record, trainer)?;
    Ok(replace_keeping(file, previous, &bytes).map_err(FileError::at(file))?)
}

fn serialize<const L: usize>(
    file: &Path,
    configuration: &Configuration,
    record: &RunRecord,
    trainer: &Trainer<'_, L>,
) -> Result<Vec<u8>, CheckpointError> {
    check_position(file, trainer, trainer.position())?;
    let json_error = |key| move |error| unwritten(file, key, &error);
    let network = configuration.network.clone();
    let data = Fingerprint::of(trainer.samples());
    let configuration = serde_json::to_string(configuration).map_err(json_error(CONFIGURATION_KEY))?;
    let entries = [
        (NETWORK_KEY, network),
        (CONFIGURATION_SHA256_KEY, digest::of_bytes(configuration.as_bytes())),
        (CONFIGURATION_KEY, configuration),
        (DATA_KEY, serde_json::to_string(&data).map_err(json_error(DATA_KEY))?),
        (POSITION_KEY, serde_json::to_string(trainer.position()).map_err(json_error(POSITION_KEY))?),
        (RECORD_KEY, serde_json::to_string(record).map_err(json_error(RECORD_KEY))?),
        (SHA256_KEY, "0".repeat(SHA256_LEN)),
    ];
    let moments: Vec<_> =
        trainer.optimiser().moments().map(|(name, values)| (moment_prefix(name), values)).collect();
    let mut groups = vec![("", trainer.params())];
    groups.extend(moments.iter().map(|(prefix, values)| (prefix.as_str(), *values)));
    for (prefix, values) in &groups {
        check_finite_group(trainer.network(), prefix, values)
            .map_err(|error| CheckpointError::Diverged { file: file.to_owned(), error })?;
    }
    let metadata = entries.map(|(key, value)| (key.to_owned(), value)).into();
    let mut bytes = weights::serialize(trainer.network(), &groups, metadata)
        .map_err(|error| format_error(file, error))?;

    let digest = digest::of_bytes(&bytes);
    let place = digest_offset(&bytes, &"0".repeat(SHA256_LEN))
        .and_then(|offset| bytes.get_mut(offset..)?.get_mut(..SHA256_LEN))
        .ok_or_else(|| unwritten(file, SHA256_KEY, &"has no place"))?;
    place.copy_from_slice(digest.as_bytes());
    Ok(bytes)
}

/// Checks that the counters of a position agree with each other, the options and the images.
fn check_position<const L: usize>(
    file: &Path,
    trainer: &Trainer<'_, L>,
    position: &Position,
) -> Result<(), CheckpointError> {
    match trainer.contradiction(position) {
        Some(contradiction) => Err(counter_error(file, POSITION_KEY, contradiction)),
        None => Ok(()),
    }
}

/// Checks that the numbers of a record can be what they count.
fn check_record(file: &Path, record: &RunRecord) -> Result<(), CheckpointError> {
    let wrong = |counter, required, given| {
        Err(counter_error(file, RECORD_KEY, Contradiction::new(counter, required, given)))
    };
    match *record {
        RunRecord { best_validation: Some(share), .. } if !(0.0..=1.0).contains(&share) => {
            wrong("best_validation", "from 0 to 1", share)
        }
        RunRecord { seconds, .. } if !(0.0..f64::INFINITY).contains(&seconds) => {
            wrong("seconds", "at least 0", seconds)
        }
        _ => Ok(()),
    }
}

/// The first option that differs, and both of its values as JSON.
fn differing(required: &Options, given: &Options) -> (String, String, String) {
    let [required, given] = [required, given].map(|options| match serde_json::to_value(options) {
        Ok(Value::Object(options)) => options,
        _ => Map::new(),
    });
    // An option that is not set may be left out.
    let value = |options: &Map<String, Value>, name: &str| options.get(name).cloned().unwrap_or_default();
    let mut names = required.keys().chain(given.keys());
    let name = names.find(|&name| value(&required, name) != value(&given, name)).cloned().unwrap_or_default();
    let [required, given] = [&required, &given].map(|options| value(options, &name).to_string());
    (name, required, given)
}

fn counter_error(file: &Path, key: &str, contradiction: Contradiction) -> CheckpointError {
    let Contradiction { counter, required, given } = contradiction;
    CheckpointError::Counter { file: file.to_owned(), counter: format!("{key}.{counter}"), required, given }
}

/// Checks that every value of every tensor is finite.
fn check_values(file: &Path, bytes: &[u8]) -> Result<(), CheckpointError> {
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| format_error(file, error))?;
    for (name, tensor) in tensors.iter().filter(|(_, tensor)| tensor.dtype() == Dtype::F32) {
        let (values, _) = tensor.data().as_chunks();
        check_finite_tensor(|| name.to_owned(), values.iter().map(|&value| f32::from_le_bytes(value)))
            .map_err(|error| CheckpointError::NotFinite { file: file.to_owned(), error })?;
    }
    Ok(())
}

fn unwritten(file: &Path, key: &'static str, problem: &dyn std::fmt::Display) -> CheckpointError {
    CheckpointError::Metadata { file: file.to_owned(), key, problem: problem.to_string() }
}

fn format_error(file: &Path, error: SafeTensorError) -> CheckpointError {
    WeightsError::Format { file: file.to_owned(), error }.into()
}

fn moment_prefix(name: &str) -> String {
    format!("optimizer.{name}.")
}

/// The SHA-256 of a file that says that it is `required`; `None` where the file does not say so in one place.
fn digest(bytes: &[u8], required: &str) -> Option<String> {
    let offset = digest_offset(bytes, required)?;
    let (before, rest) = bytes.split_at_checked(offset)?;
    let (_, after) = rest.split_at_checked(SHA256_LEN)?;
    Some(digest::of_parts(&[before, &[b'0'; SHA256_LEN], after]))
}

/// Where the file says that its SHA-256 is `required`. Quotes within JSON texts are escaped, so no other entry
/// can look the same.
fn digest_offset(bytes: &[u8], required: &str) -> Option<usize> {
    if required.len() != SHA256_LEN {
        return None;
    }
    let key = format!("\"{SHA256_KEY}\":\"");
    let header_len = u64::from_le_bytes(*bytes.first_chunk()?);
    let header = bytes.get(..usize::try_from(header_len).ok()?.checked_add(size_of::<u64>())?)?;
    let entry = [key.as_bytes(), required.as_bytes()].concat();
    let position = header.windows(entry.len()).position(|window| window == entry)?;
    position.checked_add(key.len())
}

/// The texts of a file's header, by name.
struct Metadata<'a> {
    file: &'a Path,
    entries: Option<&'a HashMap<String, String>>,
}

impl<'a> Metadata<'a> {
    fn text(&self, key: &'static str) -> Result<&'a String, CheckpointError> {
        self.entries.and_then(|entries| entries.get(key)).ok_or_else(|| self.error(key, "is missing"))
    }

    fn value<T: DeserializeOwned>(&self, key: &'static str) -> Result<T, CheckpointError> {
        serde_json::from_str(self.text(key)?)
            .map_err(|error| self.error(key, &file::printable(&error.to_string())))
    }

    fn error(&self, key: &'static str, problem: &str) -> CheckpointError {
        CheckpointError::Metadata { file: self.file.to_owned(), key, problem: problem.to_owned() }
    }
}

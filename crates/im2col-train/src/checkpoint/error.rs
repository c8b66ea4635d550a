//! Why a checkpoint cannot be written, read or gone on from.

use std::path::PathBuf;

use thiserror::Error;

use crate::file::{FileError, printable};
use crate::samples::Fingerprint;
use crate::weights::{NotFinite, WeightsError};

/// Why a checkpoint cannot be written, read or gone on from.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Something is wrong with its tensors.
    #[error(transparent)]
    Tensors(#[from] WeightsError),
    /// The file is not what was written.
    #[error("{}: damaged: its SHA-256 should be {required}, but is {given}", file.display())]
    Digest {
        /// The file.
        file: PathBuf,
        /// What the file says.
        required: String,
        /// What it is.
        given: String,
    },
    /// A part of the metadata is missing, or is not what it should be.
    #[error("{}: not a checkpoint: {key:?} {problem}", file.display())]
    Metadata {
        /// The file.
        file: PathBuf,
        /// The part's name.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A counter contradicts the rest: of the file, or of a trainer that has made steps out of turn.
    #[error("{}: {counter} is {given}, but should be {required}", file.display())]
    Counter {
        /// The file.
        file: PathBuf,
        /// The counter's name: `position.step`.
        counter: String,
        /// What it should be.
        required: String,
        /// What it is.
        given: String,
    },
    /// A value in the file with which no run can go on.
    #[error("{}: {error}", file.display())]
    NotFinite {
        /// The file.
        file: PathBuf,
        /// The value.
        error: NotFinite,
    },
    /// Training has left the numbers that f32 can hold: there is nothing to save.
    #[error("{}: not saved, {error}: a smaller learning rate (--lr) may help", file.display())]
    Diverged {
        /// The file.
        file: PathBuf,
        /// The value.
        error: NotFinite,
    },
    /// The trainer has other options than the run.
    #[error("{}: a run with other options: configuration.options.{option} is {required}, not {given}", file.display())]
    Options {
        /// The file.
        file: PathBuf,
        /// The first option that differs.
        option: String,
        /// The run's, as JSON.
        required: String,
        /// The trainer's, as JSON.
        given: String,
    },
    /// The trainer has other images than the run.
    #[error(
        "{}: the run learned from other images: {} of {:?} (channels, rows, columns) with labels {:.8}, \
         these are {} of {:?} with labels {:.8}",
        file.display(), required.images, required.image_dims, printable(&required.labels_sha256),
        given.images, given.image_dims, given.labels_sha256
    )]
    Data {
        /// The file.
        file: PathBuf,
        /// The run's images.
        required: Box<Fingerprint>,
        /// The trainer's.
        given: Box<Fingerprint>,
    },
}

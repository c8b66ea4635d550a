//! Why a run cannot begin, go on or be saved.

use std::path::PathBuf;

use thiserror::Error;

use super::files::{LOCK_FILE, RUN_FILE};
use crate::checkpoint::CheckpointError;
use crate::file::{FileError, printable};
use crate::weights::{NotFinite, WeightsError};

/// Why a run cannot begin, go on or be saved.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FolderError {
    /// A file or folder cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another process trains here.
    #[error("{}: another process trains here: it has locked {}", folder.display(), folder.join(LOCK_FILE).display())]
    Busy {
        /// The folder.
        folder: PathBuf,
    },
    /// A run here could still go on.
    #[error("{}: a run that is not finished", folder.display())]
    Unfinished {
        /// The folder.
        folder: PathBuf,
    },
    /// There are results here.
    #[error("{}: a run that is finished", folder.display())]
    Finished {
        /// The folder.
        folder: PathBuf,
    },
    /// There are results here, but nothing to go on from.
    #[error("{}: its checkpoints are gone, so the run cannot go on", folder.display())]
    NoCheckpoint {
        /// The folder.
        folder: PathBuf,
    },
    /// There is no run to go on with.
    #[error("{}: no run: there is neither a checkpoint nor {RUN_FILE}", folder.display())]
    NoRun {
        /// The folder.
        folder: PathBuf,
    },
    /// The file that says what was asked for cannot be understood.
    #[error("{}: {}", file.display(), printable(&error.to_string()))]
    Configuration {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        error: serde_json::Error,
    },
    /// A number that is not finite stands where it cannot be written.
    #[error("{}: not written: {what} is not a finite number", file.display())]
    Record {
        /// The file of records.
        file: PathBuf,
        /// The number's name.
        what: String,
    },
    /// Weights that are not finite are not written.
    #[error("{}: not written: {error}", file.display())]
    NotFinite {
        /// The file of weights.
        file: PathBuf,
        /// The value.
        error: NotFinite,
    },
    /// A checkpoint is damaged or cannot be written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The weights cannot be written.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

impl FolderError {
    /// The file that cannot be read or written, if that is the error.
    pub(crate) fn file(&self) -> Option<&FileError> {
        match self {
            Self::File(error)
            | Self::Weights(WeightsError::File(error))
            | Self::Checkpoint(
                CheckpointError::File(error) | CheckpointError::Tensors(WeightsError::File(error)),
            ) => Some(error),
            _ => None,
        }
    }
}

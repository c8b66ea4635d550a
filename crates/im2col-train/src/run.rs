//! The folder of a run, held by one process at a time. What lies in it: [`metrics`].

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::atomic::{remove_temporaries, replace, sync_dir};
use crate::checkpoint::{self, Checkpoint, CheckpointError, Configuration, RunRecord};
use crate::metrics::{self, METRICS_FILE, REPORT_FILE, RUN_FILE, Record, WEIGHTS_FILE};
use crate::train::Trainer;
use crate::weights::{self, Description, WeightsError};

/// The file of a run with all that is needed to go on.
pub const CHECKPOINT_FILE: &str = "checkpoint.safetensors";
/// The checkpoint before it.
pub const PREVIOUS_FILE: &str = "previous.safetensors";
/// Whoever has locked this file trains here. The lock ends with its process.
const LOCK_FILE: &str = ".lock";

/// Why a run cannot begin, go on or be saved.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FolderError {
    /// A file cannot be read or written.
    #[error("{}: {error}", file.display())]
    Io {
        /// The file or folder.
        file: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Another process trains here.
    #[error("{}: another process trains here", folder.display())]
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
    /// There is no run to go on with.
    #[error("{}: no run: there is neither a checkpoint nor {RUN_FILE}", folder.display())]
    NoRun {
        /// The folder.
        folder: PathBuf,
    },
    /// The file that says what was asked for cannot be understood.
    #[error("{}: {error}", file.display())]
    Configuration {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        error: serde_json::Error,
    },
    /// A checkpoint is damaged or cannot be written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The weights cannot be written.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

/// The folder of a run, to write to.
#[derive(Debug)]
pub struct Run {
    folder: PathBuf,
    configuration: Configuration,
    metrics: File,
    _lock: File,
}

impl Run {
    /// Begins a run. What a finished run has left in the folder is removed.
    ///
    /// # Errors
    /// There is a run that is not finished, unless `force` says that it does not matter; another process trains
    /// here; a file cannot be written.
    pub fn begin(folder: &Path, configuration: Configuration, force: bool) -> Result<Self, FolderError> {
        let made = !folder.exists();
        fs::create_dir_all(folder).map_err(|error| io_error(folder, error))?;
        if made {
            sync_dir(folder).map_err(|error| io_error(folder, error))?;
        }
        let lock = lock(folder)?;
        if !force && is_unfinished(folder) {
            return Err(FolderError::Unfinished { folder: folder.to_owned() });
        }
        // The checkpoints first: without them nobody takes the rest for a run that can go on.
        for name in [CHECKPOINT_FILE, PREVIOUS_FILE, METRICS_FILE, WEIGHTS_FILE, REPORT_FILE] {
            let file = folder.join(name);
            match fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error(&file, error)),
                _ => {}
            }
        }
        let file = folder.join(RUN_FILE);
        let json = serde_json::to_vec_pretty(&configuration)
            .map_err(|error| FolderError::Configuration { file: file.clone(), error })?;
        replace(&file, &json).map_err(|error| io_error(&file, error))?;
        Self::open(folder, configuration, lock, 0)
    }

    /// Goes on with a run: from its checkpoint, or from the one before if there is no other or if `previous` says
    /// so, which then takes the other's place. Without any, from the beginning. The records of what was done after
    /// the checkpoint are removed.
    ///
    /// # Errors
    /// There is no run or its checkpoint is damaged; another process trains here; a file cannot be written.
    pub fn resume(folder: &Path, previous: bool) -> Result<(Self, Option<Checkpoint>), FolderError> {
        if !folder.join(RUN_FILE).exists() && !has_checkpoint(folder) {
            return Err(FolderError::NoRun { folder: folder.to_owned() });
        }
        let lock = lock(folder)?;
        let (file, before) = (folder.join(CHECKPOINT_FILE), folder.join(PREVIOUS_FILE));
        let (checkpoint, configuration, len) = if has_checkpoint(folder) || previous {
            let from_before = previous || !file.exists();
            let checkpoint = Checkpoint::read(if from_before { &before } else { &file })?;
            if from_before {
                // Or else a damaged checkpoint would become the only one before the next.
                fs::rename(&before, &file).map_err(|error| io_error(&before, error))?;
            }
            let state = checkpoint.state();
            let (configuration, len) = (state.configuration.clone(), state.record.metrics_len);
            (Some(checkpoint), configuration, len)
        } else {
            (None, read_configuration(folder)?, 0)
        };
        Ok((Self::open(folder, configuration, lock, len)?, checkpoint))
    }

    fn open(folder: &Path, configuration: Configuration, lock: File, len: u64) -> Result<Self, FolderError> {
        let file = folder.join(METRICS_FILE);
        let metrics = OpenOptions::new().create(true).append(true).open(&file).and_then(|metrics| {
            let len = len.min(metrics.metadata()?.len());
            metrics.set_len(len)?;
            Ok(metrics)
        });
        for name in [RUN_FILE, WEIGHTS_FILE, CHECKPOINT_FILE] {
            remove_temporaries(&folder.join(name)).map_err(|error| io_error(folder, error))?;
        }
        let metrics = metrics.map_err(|error| io_error(&file, error))?;
        Ok(Self { folder: folder.to_owned(), configuration, metrics, _lock: lock })
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What was asked for.
    #[must_use]
    pub fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// Appends a record, with one write, so that it is there whole or has no end.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn record(&mut self, record: &Record) -> Result<(), FolderError> {
        serde_json::to_string(record)
            .map_err(io::Error::from)
            .and_then(|line| self.metrics.write_all((line + "\n").as_bytes()))
            .map_err(|error| io_error(&self.folder.join(METRICS_FILE), error))
    }

    /// Saves all that is needed to go on from here.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn save_checkpoint<const L: usize>(
        &self,
        record: &mut RunRecord,
        trainer: &Trainer<'_, L>,
    ) -> Result<(), FolderError> {
        // The records first: a checkpoint must not know of any that a crash may take.
        record.metrics_len = self
            .metrics
            .sync_all()
            .and_then(|()| self.metrics.metadata())
            .map_err(|error| io_error(&self.folder.join(METRICS_FILE), error))?
            .len();
        let (file, previous) = (self.folder.join(CHECKPOINT_FILE), self.folder.join(PREVIOUS_FILE));
        Ok(checkpoint::save(&file, &previous, &self.configuration, record, trainer)?)
    }

    /// Saves the trainer's parameters as the weights of the run, and returns the file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save_weights<const L: usize>(&self, trainer: &Trainer<'_, L>) -> Result<PathBuf, FolderError> {
        let file = self.folder.join(WEIGHTS_FILE);
        let Configuration { network, data, .. } = &self.configuration;
        let description = Description::new(network, trainer.samples(), data.as_deref());
        weights::save(&file, description, trainer.network(), trainer.params())?;
        Ok(file)
    }

    /// The last epoch that was recorded.
    ///
    /// # Errors
    /// The records cannot be read.
    pub fn last_epoch(&self) -> Result<Option<metrics::Epoch>, FolderError> {
        let records =
            metrics::read(&self.folder).map_err(|error| io_error(&self.folder.join(METRICS_FILE), error))?;
        Ok(records.into_iter().rev().find_map(|record| match record {
            Record::Epoch(epoch) => Some(epoch),
            _ => None,
        }))
    }
}

fn has_checkpoint(folder: &Path) -> bool {
    folder.join(CHECKPOINT_FILE).exists() || folder.join(PREVIOUS_FILE).exists()
}

/// Whether work would be lost. A damaged checkpoint is for its owner to judge.
fn is_unfinished(folder: &Path) -> bool {
    let finished =
        |name| Checkpoint::read(&folder.join(name)).is_ok_and(|checkpoint| checkpoint.state().is_finished());
    has_checkpoint(folder) && !finished(CHECKPOINT_FILE)
}

fn read_configuration(folder: &Path) -> Result<Configuration, FolderError> {
    let file = folder.join(RUN_FILE);
    let json = fs::read(&file).map_err(|error| io_error(&file, error))?;
    serde_json::from_slice(&json).map_err(|error| FolderError::Configuration { file, error })
}

fn lock(folder: &Path) -> Result<File, FolderError> {
    let file = folder.join(LOCK_FILE);
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&file)
        .map_err(|error| io_error(&file, error))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(FolderError::Busy { folder: folder.to_owned() }),
        Err(TryLockError::Error(error)) => Err(io_error(&file, error)),
    }
}

fn io_error(file: &Path, error: io::Error) -> FolderError {
    FolderError::Io { file: file.to_owned(), error }
}

//! The folder of a run, held by one process at a time. What lies in it: [`files`].
//!
//! A run never takes the place of another before it is complete: until then it stands in the folder `replacement` inside
//! the other's.

mod error;
pub mod files;
mod place;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

pub use self::error::FolderError;
use self::files::{CHECKPOINT_FILE, METRICS_FILE, PREVIOUS_FILE, REPLACEMENT_FOLDER, RUN_FILE, WEIGHTS_FILE};
use self::place::{
    check_free, has_checkpoint, is_run, lock, remove_folder, settle, take_over, write_configuration,
};
pub(crate) use self::place::{newest, place, read_configuration};
use crate::atomic::{remove_temporaries, sync_dir};
use crate::checkpoint::{self, Checkpoint, Configuration, RunRecord};
use crate::file::FileError;
use crate::metrics::{self, Record};
use crate::train::Trainer;
use crate::weights::{self, Description, check_finite};

/// How many folders are tried for a run.
const MOST_FOLDERS: usize = 10_000;

/// The folder of a run, to write to.
#[derive(Debug)]
pub struct Run {
    folder: PathBuf,
    /// Where the files are: in the folder, or in the one inside it until they take the place of another run's.
    place: PathBuf,
    configuration: Configuration,
    metrics: File,
    _lock: File,
}

impl Run {
    /// Begins a run in a folder. With `force` it replaces the run that is there, whose files stay as they are until the
    /// new run is [complete](Self::finish).
    ///
    /// # Errors
    /// There is a run, finished or not, and no `force`; another process trains here; a file cannot be written. Then nothing has
    /// begun, and the folder is as free as before.
    pub fn begin(folder: &Path, configuration: Configuration, force: bool) -> Result<Self, FolderError> {
        if !force {
            check_free(folder)?;
        }
        let made = !folder.exists();
        fs::create_dir_all(folder).map_err(FileError::at(folder))?;
        if made {
            sync_dir(folder).map_err(FileError::at(folder))?;
        }
        let lock = lock(folder)?;
        settle(folder)?;
        // Again, now that nobody else can begin here.
        let place = match check_free(folder) {
            Ok(()) => folder.to_owned(),
            Err(error) if !force => return Err(error),
            Err(_) => {
                let place = folder.join(REPLACEMENT_FOLDER);
                remove_folder(&place)?;
                fs::create_dir(&place).and_then(|()| sync_dir(&place)).map_err(FileError::at(&place))?;
                place
            }
        };
        let begun = write_configuration(&place, &configuration)
            .and_then(|()| Self::open(folder, place.clone(), configuration, lock, 0));
        begun.inspect_err(|_| {
            for name in [METRICS_FILE, RUN_FILE] {
                // The first error is the one to report.
                let _ = fs::remove_file(place.join(name));
            }
        })
    }

    /// Begins a run in the first of the folders `FOLDER`, `FOLDER-2`, `FOLDER-3` and so on that has no run; says why
    /// `FOLDER` was not free.
    ///
    /// # Errors
    /// A file cannot be written, or there is no free folder.
    pub fn begin_free(
        folder: &Path,
        configuration: &Configuration,
    ) -> Result<(Self, Option<FolderError>), FolderError> {
        let mut taken = None;
        for number in 1..=MOST_FOLDERS {
            let mut name = folder.as_os_str().to_owned();
            if number > 1 {
                name.push(format!("-{number}"));
            }
            match Self::begin(Path::new(&name), configuration.clone(), false) {
                Ok(run) => return Ok((run, taken)),
                Err(
                    error @ (FolderError::Unfinished { .. }
                    | FolderError::Finished { .. }
                    | FolderError::Busy { .. }),
                ) => taken = taken.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        Err(taken.unwrap_or_else(|| FolderError::NoRun { folder: folder.to_owned() }))
    }

    /// Goes on with a run: from its checkpoint, or from the one before if there is no other or if `previous` says
    /// so, which then takes the other's place. Without any, from the beginning. The records of what was done after
    /// the checkpoint are removed, and a last one without an end. Where a run was to be replaced, this is the new one.
    ///
    /// # Errors
    /// There is no run, its checkpoint is damaged or gone; another process trains here; a file cannot be written.
    pub fn resume(folder: &Path, previous: bool) -> Result<(Self, Option<Checkpoint>), FolderError> {
        if !is_run(folder) && !is_run(&folder.join(REPLACEMENT_FOLDER)) {
            return Err(FolderError::NoRun { folder: folder.to_owned() });
        }
        let lock = lock(folder)?;
        settle(folder)?;
        let place = place(folder);
        let (file, before) = (place.join(CHECKPOINT_FILE), place.join(PREVIOUS_FILE));
        let (checkpoint, configuration, len) = if has_checkpoint(&place) || previous {
            let from_before = previous || !file.exists();
            let checkpoint = Checkpoint::read(if from_before { &before } else { &file })?;
            if from_before {
                // Or else a damaged checkpoint would become the only one before the next.
                fs::rename(&before, &file).map_err(FileError::at(&before))?;
            }
            let state = checkpoint.state();
            let (configuration, len) = (state.configuration.clone(), state.record.metrics_len);
            (Some(checkpoint), configuration, len)
        } else if place.join(WEIGHTS_FILE).exists() {
            return Err(FolderError::NoCheckpoint { folder: folder.to_owned() });
        } else {
            (None, read_configuration(&place)?, 0)
        };
        Ok((Self::open(folder, place, configuration, lock, len)?, checkpoint))
    }

    fn open(
        folder: &Path,
        place: PathBuf,
        configuration: Configuration,
        lock: File,
        len: u64,
    ) -> Result<Self, FolderError> {
        let file = place.join(METRICS_FILE);
        let open = || {
            let metrics = OpenOptions::new().create(true).read(true).append(true).open(&file)?;
            let mut text = Vec::new();
            (&metrics).take(len).read_to_end(&mut text)?;
            metrics.set_len(metrics::whole_lines_len(&text) as u64)?;
            Ok(metrics)
        };
        for name in [RUN_FILE, WEIGHTS_FILE, CHECKPOINT_FILE] {
            remove_temporaries(&place.join(name)).map_err(FileError::at(&place))?;
        }
        let metrics = open().map_err(FileError::at(&file))?;
        Ok(Self { folder: folder.to_owned(), place, configuration, metrics, _lock: lock })
    }

    /// Ends a run that is complete: if it stands in another's folder, takes the other's place.
    ///
    /// # Errors
    /// A file cannot be moved or removed. Going on with the run moves it.
    pub fn finish(&mut self) -> Result<(), FolderError> {
        if self.place != self.folder {
            take_over(&self.folder)?;
            self.place.clone_from(&self.folder);
        }
        Ok(())
    }

    /// Asks for something else from here on: more epochs, data in another place.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn change(&mut self, configuration: Configuration) -> Result<(), FolderError> {
        if configuration != self.configuration {
            write_configuration(&self.place, &configuration)?;
            self.configuration = configuration;
        }
        Ok(())
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

    /// Whether it is to take the place of another run, whose files are still there.
    #[must_use]
    pub fn replaces(&self) -> bool {
        self.place != self.folder
    }

    /// Appends a record, with one write, so that it is there whole or has no end.
    ///
    /// # Errors
    /// A number is not finite, or the file cannot be written.
    pub fn record(&mut self, record: &Record) -> Result<(), FolderError> {
        let file = self.place.join(METRICS_FILE);
        let value = serde_json::to_value(record).map_err(|error| FileError::at(&file)(error.into()))?;
        // JSON has no other numbers: NaN and infinity would become null, which nobody could read again.
        if let Some((what, _)) = value.as_object().into_iter().flatten().find(|(_, value)| value.is_null()) {
            return Err(FolderError::Record { file, what: what.clone() });
        }
        let line = serde_json::to_string(record).map_err(io::Error::from);
        Ok(line
            .and_then(|line| self.metrics.write_all((line + "\n").as_bytes()))
            .map_err(FileError::at(&file))?)
    }

    /// Saves all that is needed to go on from here.
    ///
    /// # Errors
    /// A value is not finite, or a file cannot be written.
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
            .map_err(FileError::at(&self.place.join(METRICS_FILE)))?
            .len();
        let (file, previous) = (self.place.join(CHECKPOINT_FILE), self.place.join(PREVIOUS_FILE));
        Ok(checkpoint::save(&file, &previous, &self.configuration, record, trainer)?)
    }

    /// Saves the trainer's parameters as the weights of the run, and returns the file.
    ///
    /// # Errors
    /// A parameter is not finite, or the file cannot be written.
    pub fn save_weights<const L: usize>(&self, trainer: &Trainer<'_, L>) -> Result<PathBuf, FolderError> {
        let file = self.place.join(WEIGHTS_FILE);
        if let Err(error) = check_finite(trainer.network(), trainer.params()) {
            return Err(FolderError::NotFinite { file, error });
        }
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
        let records = metrics::read(&self.place)?;
        Ok(records.into_iter().rev().find_map(|record| match record {
            Record::Epoch(epoch) => Some(epoch),
            _ => None,
        }))
    }
}

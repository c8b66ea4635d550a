//! Which files of runs lie in a folder, and where.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::error::FolderError;
use super::files::{
    CHECKPOINT_FILE, FILES, LOCK_FILE, PREVIOUS_FILE, REPLACEMENT_FOLDER, REPORT_FILE, RUN_FILE, WEIGHTS_FILE,
};
use crate::atomic::{replace, sync_dir};
use crate::checkpoint::{Checkpoint, Configuration};
use crate::file::{self, FileError};

/// No longer `run.json` is read.
const MAX_CONFIGURATION_LEN: u64 = 1 << 20;

/// Where the files of the run are that would go on: in its folder, or in the one inside it until it takes the place
/// of the run around it.
pub(crate) fn place(folder: &Path) -> PathBuf {
    let replacement = folder.join(REPLACEMENT_FOLDER);
    if is_run(&replacement) { replacement } else { folder.to_owned() }
}

/// The folder in `runs` whose weights are the newest, and when they were written. Of several in one tick of the clock, that of
/// the highest number.
pub(crate) fn newest(runs: &Path) -> Option<(SystemTime, PathBuf)> {
    let folders = fs::read_dir(runs).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let dated = folders.filter_map(|folder| {
        let modified = fs::metadata(folder.join(WEIGHTS_FILE)).ok()?.modified().ok()?;
        Some((modified, folder))
    });
    // `lenet-10` is longer than `lenet-9`.
    dated.max_by_key(|(modified, folder)| (*modified, folder.as_os_str().len(), folder.clone()))
}

pub(super) fn is_run(place: &Path) -> bool {
    place.join(RUN_FILE).exists() || has_checkpoint(place)
}

pub(super) fn has_checkpoint(place: &Path) -> bool {
    place.join(CHECKPOINT_FILE).exists() || place.join(PREVIOUS_FILE).exists()
}

/// A damaged checkpoint is for its owner to judge.
fn is_finished(place: &Path) -> bool {
    Checkpoint::read(&place.join(CHECKPOINT_FILE)).is_ok_and(|checkpoint| checkpoint.state().is_finished())
}

/// An error if there is anything here that a run would replace.
pub(super) fn check_free(folder: &Path) -> Result<(), FolderError> {
    let files = FILES.iter().chain([&REPORT_FILE, &REPLACEMENT_FOLDER]);
    if !files.into_iter().any(|name| folder.join(name).exists()) {
        return Ok(());
    }
    let place = place(folder);
    let has_results = place.join(WEIGHTS_FILE).exists() || !is_run(&place);
    let folder = folder.to_owned();
    if is_finished(&place) || (!has_checkpoint(&place) && has_results) {
        Err(FolderError::Finished { folder })
    } else {
        Err(FolderError::Unfinished { folder })
    }
}

/// What a crash has left of a replacement: one that is complete takes the other run's place, one that had not begun is
/// removed.
pub(super) fn settle(folder: &Path) -> Result<(), FolderError> {
    let replacement = folder.join(REPLACEMENT_FOLDER);
    if is_finished(&replacement) {
        take_over(folder)
    } else if !is_run(&replacement) {
        remove_folder(&replacement)
    } else {
        Ok(())
    }
}

/// Moves the replacement's files over those of the run around it. After a crash, the rest can be moved.
pub(super) fn take_over(folder: &Path) -> Result<(), FolderError> {
    let replacement = folder.join(REPLACEMENT_FOLDER);
    // It shows the run that goes.
    remove_file(&folder.join(REPORT_FILE))?;
    for name in FILES {
        let (from, to) = (replacement.join(name), folder.join(name));
        match fs::rename(&from, &to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(FileError::at(&to)(error).into());
            }
            _ => {}
        }
    }
    sync_dir(&folder.join(RUN_FILE)).map_err(FileError::at(folder))?;
    remove_folder(&replacement)
}

fn remove_file(file: &Path) -> Result<(), FolderError> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FileError::at(file)(error).into()),
        _ => Ok(()),
    }
}

pub(super) fn remove_folder(folder: &Path) -> Result<(), FolderError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FileError::at(folder)(error).into()),
        _ => Ok(()),
    }
}

/// What the run whose files are in this folder was asked for.
///
/// # Errors
/// There is no `run.json`, or it cannot be understood.
pub(crate) fn read_configuration(place: &Path) -> Result<Configuration, FolderError> {
    let file = place.join(RUN_FILE);
    let json = file::read(&file, MAX_CONFIGURATION_LEN)?;
    serde_json::from_slice(&json).map_err(|error| FolderError::Configuration { file, error })
}

pub(super) fn write_configuration(place: &Path, configuration: &Configuration) -> Result<(), FolderError> {
    let file = place.join(RUN_FILE);
    let json = serde_json::to_vec_pretty(configuration)
        .map_err(|error| FolderError::Configuration { file: file.clone(), error })?;
    Ok(replace(&file, &json).map_err(FileError::at(&file))?)
}

pub(super) fn lock(folder: &Path) -> Result<File, FolderError> {
    let file = folder.join(LOCK_FILE);
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&file)
        .map_err(FileError::at(&file))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(FolderError::Busy { folder: folder.to_owned() }),
        Err(TryLockError::Error(error)) => Err(FileError::at(&file)(error).into()),
    }
}

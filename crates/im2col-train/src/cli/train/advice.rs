//! What to do about an error of a run's folder, files or images: a line after the error.

use std::io;
use std::path::Path;

use anyhow::{Error, anyhow};

use super::messages::{resume_command, start_over_command};
use crate::checkpoint::Checkpoint;
use crate::run::files::{CHECKPOINT_FILE, PREVIOUS_FILE, RUN_FILE};
use crate::run::{FolderError, place};
use crate::samples::DatasetError;
use crate::train::TrainError;

const OTHER_FOLDER: &str = "choose another folder: --out DIR";

/// A run that cannot begin in a folder.
pub(super) fn not_begun(error: FolderError, folder: &Path) -> Error {
    let advice = match &error {
        FolderError::Unfinished { .. } => {
            format!("to go on: {}; to replace it: --force; or {OTHER_FOLDER}", resume_command(folder))
        }
        FolderError::Finished { .. } => format!("to replace it: --force; or {OTHER_FOLDER}"),
        FolderError::Busy { .. } => format!("wait until it ends, or {OTHER_FOLDER}"),
        _ => match system_error(&error).map(remedy) {
            Some(Some(remedy)) => format!("{remedy}, or {OTHER_FOLDER}"),
            Some(None) => OTHER_FOLDER.to_owned(),
            None => return error.into(),
        },
    };
    anyhow!("{error}\n{advice}")
}

/// A run that cannot go on; `previous`: not from the checkpoint before the last.
pub(super) fn not_resumed(error: FolderError, folder: &Path, previous: bool) -> Error {
    let command = resume_command(folder);
    let advice = match &error {
        FolderError::Busy { .. } => format!("wait until it ends, then go on: {command}"),
        FolderError::NoCheckpoint { .. } => start_over(folder),
        FolderError::Checkpoint(_) => way_out(folder, previous),
        _ => match system_error(&error).and_then(remedy) {
            Some(remedy) => format!("{remedy}, then go on: {command}"),
            None => return error.into(),
        },
    };
    anyhow!("{error}\n{advice}")
}

/// A run that has begun, and ends too soon. Of errors that would come again there is nothing to say.
pub(super) fn cut_short(error: Error, folder: &Path) -> Error {
    let remedy = match (error.downcast_ref::<FolderError>(), error.downcast_ref::<TrainError>()) {
        (Some(folder_error), _) => system_error(folder_error).map(remedy),
        (_, Some(TrainError::Dataset(DatasetError::Changed { .. }))) => Some(Some("restore it")),
        (_, Some(TrainError::Dataset(_))) => Some(None),
        // The standard output.
        _ => error.downcast_ref().map(remedy),
    };
    let command = resume_command(folder);
    match remedy {
        Some(Some(remedy)) => {
            anyhow!("{error:#}\nnothing that was saved is lost; {remedy}, then go on: {command}")
        }
        Some(None) => anyhow!("{error:#}\nnothing that was saved is lost; to go on: {command}"),
        None => error,
    }
}

/// Images that are not there, or are not those of the run.
pub(super) fn without_data(error: &Error, folder: &Path) -> Error {
    let command = resume_command(folder);
    anyhow!("{error:#}\nrestore the data of the run; if they are elsewhere now: {command} --data DIR")
}

/// What the system says about a file of a run, if that is the error.
fn system_error(error: &FolderError) -> Option<&io::Error> {
    error.file()?.io()
}

fn remedy(error: &io::Error) -> Option<&'static str> {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some("make room"),
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => Some("make it writable"),
        _ => None,
    }
}

/// Where a checkpoint is damaged, offers the other one.
fn way_out(folder: &Path, previous: bool) -> String {
    let (name, option) = if previous { (CHECKPOINT_FILE, "") } else { (PREVIOUS_FILE, " --previous") };
    let file = place(folder).join(name);
    match Checkpoint::read(&file) {
        Ok(other) => {
            let position = other.state().position;
            format!(
                "{}: sound, from epoch {}, batch {}; to go on from there: {}{option}",
                file.display(),
                position.epoch + 1,
                position.batch + 1,
                resume_command(folder)
            )
        }
        Err(_) => format!("there is no sound checkpoint beside it; {}", start_over(folder)),
    }
}

fn start_over(folder: &Path) -> String {
    let options = place(folder).join(RUN_FILE);
    format!(
        "to start over, with the options that {} names: {}",
        options.display(),
        start_over_command(folder)
    )
}

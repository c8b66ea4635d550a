//! A page that shows a run: how it learned, what it learned, where it is wrong, and what its time went into.
//!
//! The page is one HTML file. It loads nothing, runs no script, and is the same, byte for byte, for the same run
//! but for the times.

mod asked;
mod charts;
mod contents;
mod curves;
mod error;
mod evaluation;
mod html;
mod page;
mod pictures;

use std::path::{Path, PathBuf};

pub(crate) use self::contents::Contents;
use self::curves::Curves;
pub(crate) use self::error::ReportError;
use self::evaluation::{Evaluation, Example};
pub(crate) use self::page::{Compared, compare};
use crate::atomic;
use crate::file::FileError;
use crate::run::files::REPORT_FILE;

/// The page.
///
/// # Errors
/// The network does not fit the images or the parameters.
pub(crate) fn html<const L: usize>(run: &Contents<'_, L>) -> Result<String, ReportError> {
    let evaluation = Evaluation::new(run.layers, run.params, run.test)?;
    let example = Example::new(run.layers, run.params, run.test, evaluation.first_right)?;
    page::html(run, &Curves::of(run.records), &evaluation, &example)
}

/// Writes the page into the run's folder, replacing an earlier one at once or not at all, and returns its path.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn write(folder: &Path, html: &str) -> Result<PathBuf, ReportError> {
    let file = folder.join(REPORT_FILE);
    atomic::replace(&file, html.as_bytes()).map_err(FileError::at(&file))?;
    Ok(file)
}

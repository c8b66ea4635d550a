//! A page that shows a run: how it learned, what it learned, where it is wrong, and what its time went into.
//!
//! The page is one HTML file. It loads nothing, runs no script, and is the same, byte for byte, for the same run
//! but for the times.

mod asked;
mod charts;
mod curves;
mod evaluation;
mod page;
mod pictures;

use std::path::{Path, PathBuf};

use im2col::Layer;
use image::ImageError;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::atomic;
use crate::dataset::Dataset;
use crate::error::TrainError;
use crate::file::FileError;
use crate::metrics::{REPORT_FILE, Record};
use crate::profile::Profile;
use curves::Curves;
use evaluation::{Evaluation, Example};
pub use page::compare::{Compared, compare};

/// Why there is no report.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The network does not run on the test images.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A picture cannot be encoded.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The page cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// What a report is made of.
#[derive(Clone, Copy, Debug)]
pub struct Contents<'a, const L: usize> {
    /// The run's folder, as the page shall call it.
    pub folder: &'a Path,
    /// The name of the network.
    pub network: &'a str,
    /// The folder of the data set; `None`: the built-in digits.
    pub data: Option<&'a Path>,
    /// What was asked for, to be listed: the fields of `run.json`.
    pub asked: &'a Map<String, Value>,
    /// The network.
    pub layers: [Layer; L],
    /// Its parameters, as they were learned.
    pub params: &'a [f32],
    /// What happened.
    pub records: &'a [Record],
    /// The images to be judged by.
    pub test: &'a Dataset,
    /// The times of a training step.
    pub profile: &'a Profile,
}

/// The page.
///
/// # Errors
/// The network does not fit the images or the parameters.
pub fn html<const L: usize>(run: &Contents<'_, L>) -> Result<String, ReportError> {
    let evaluation = Evaluation::new(run.layers, run.params, run.test)?;
    let example = Example::new(run.layers, run.params, run.test, evaluation.first_right)?;
    page::html(run, &Curves::of(run.records), &evaluation, &example)
}

/// Writes the page into the run's folder, replacing an earlier one at once or not at all, and returns its path.
///
/// # Errors
/// The file cannot be written.
pub fn write(folder: &Path, html: &str) -> Result<PathBuf, ReportError> {
    let file = folder.join(REPORT_FILE);
    atomic::replace(&file, html.as_bytes()).map_err(FileError::at(&file))?;
    Ok(file)
}

//! Why there is no report.

use image::ImageError;
use thiserror::Error;

use crate::error::TrainError;
use crate::file::FileError;

/// Why there is no report.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum ReportError {
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

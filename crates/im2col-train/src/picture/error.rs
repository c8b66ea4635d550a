//! Why a picture cannot be used.

use std::path::PathBuf;

use thiserror::Error;

use crate::file::{FileError, FormatError};

/// No larger file is read.
pub(super) const MAX_FILE_LEN: u64 = 1 << 26;

/// Why a picture cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PictureError {
    /// The file cannot be read, or is larger than any picture.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is no sound PNG, JPEG or PNM file, it is truncated, or its picture is larger than 8192 x 8192.
    #[error("{}: {error}", file.display())]
    Format {
        /// The file.
        file: PathBuf,
        /// Where, and what is wrong with it.
        error: FormatError,
    },
    /// The picture is of one colour, but for light and shadow, a frame, lines or noise.
    #[error("there is nothing to see but light, lines or noise")]
    Blank,
}

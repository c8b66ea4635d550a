//! Why a picture cannot be used.

use std::io;

use image::ImageError;
use thiserror::Error;

/// No larger file is read.
pub(super) const MAX_FILE_LEN: u64 = 1 << 26;

/// Why a picture cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PictureError {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file is larger than any picture.
    #[error("larger than {MAX_FILE_LEN} bytes")]
    FileTooLong,
    /// The file ends before the picture does.
    #[error("the file is truncated: it ends before the picture does")]
    Truncated,
    /// The file is no sound PNG, JPEG or PNM file, or its picture is larger than 8192 x 8192.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The picture is of one colour, but for light and shadow, a frame, lines or noise.
    #[error("there is nothing to see but light, lines or noise")]
    Blank,
}

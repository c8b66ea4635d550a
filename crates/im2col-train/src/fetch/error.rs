//! What can go wrong while a file is fetched.

use std::io;
use std::path::PathBuf;

use thiserror::Error;
use ureq::http::StatusCode;

use crate::file::FileError;

/// Why a file cannot be fetched.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum FetchError {
    /// A file cannot be read or written here.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another process is at it.
    #[error("{}: another process is fetching it", file.display())]
    Busy {
        /// The unfinished file.
        file: PathBuf,
    },
    /// No mirror had the file.
    #[error("{}: {}", file.display(), said(failures))]
    Mirrors {
        /// The file that is missing.
        file: PathBuf,
        /// What became of each mirror.
        failures: Vec<MirrorFailure>,
    },
}

/// Why one mirror did not help.
#[derive(Debug, Error)]
#[error("{url}: {cause}")]
pub(crate) struct MirrorFailure {
    /// What was asked for.
    pub url: String,
    /// What came instead.
    pub cause: Cause,
}

/// What a server did wrong.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum Cause {
    /// It could not be asked, or not in time.
    #[error(transparent)]
    Request(Box<ureq::Error>),
    /// It answered that it does not have the file.
    #[error("the server says {0}")]
    Status(StatusCode),
    /// It sent another part of the file than it was asked for.
    #[error("the server sent the range {given:?}, not the one from byte {required} on")]
    Range {
        /// The first byte that was asked for.
        required: u64,
        /// The header of the answer.
        given: String,
    },
    /// The file is longer than it should be, or the server says that it has another length.
    #[error("not the right file: {required} bytes expected, the server has {given}")]
    Len {
        /// The right length.
        required: u64,
        /// The length that the server states, or "more".
        given: String,
    },
    /// The connection broke, or was silent for too long.
    #[error("broken off after {given} of {required} bytes: {error}")]
    Broken {
        /// The right length.
        required: u64,
        /// How many bytes there are.
        given: u64,
        /// What the system says.
        error: io::Error,
    },
    /// The bytes are others.
    #[error("not the right file: its SHA-256 is {given}, not {required}")]
    Digest {
        /// That of the right file.
        required: String,
        /// That of what came.
        given: String,
    },
}

/// Who is to blame: with another mirror, only what went wrong there may go better.
pub(super) enum Failure {
    Here(FetchError),
    There(Cause),
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        Self::Here(error)
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        Self::Here(error.into())
    }
}

fn said(failures: &[MirrorFailure]) -> String {
    if failures.is_empty() {
        return "there is no mirror to ask".to_owned();
    }
    failures.iter().map(MirrorFailure::to_string).collect::<Vec<_>>().join("; ")
}

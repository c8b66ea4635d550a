//! Reading files of limited length, and the error of a file that cannot be read or written.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a file cannot be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FileError {
    /// The system refuses.
    #[error("{}: {error}", file.display())]
    Io {
        /// The file or folder.
        file: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The file is larger than any that is read.
    #[error("{}: larger than {limit} bytes", file.display())]
    TooLong {
        /// The file.
        file: PathBuf,
        /// The length of the largest file that is read.
        limit: u64,
    },
}

impl FileError {
    /// For `map_err`: makes an error of what the system says about `file`.
    pub(crate) fn at(file: &Path) -> impl Fn(io::Error) -> Self {
        move |error| Self::Io { file: file.to_owned(), error }
    }

    /// What the system says, if that is the error.
    pub(crate) fn io(&self) -> Option<&io::Error> {
        match self {
            Self::Io { error, .. } => Some(error),
            Self::TooLong { .. } => None,
        }
    }
}

/// The whole file, if it has at most `limit` bytes.
pub(crate) fn read(file: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    File::open(file)
        .and_then(|open| read_at_most(open, limit))
        .map_err(FileError::at(file))?
        .ok_or_else(|| FileError::TooLong { file: file.to_owned(), limit })
}

/// All bytes of `source`; `None` if there are more than `limit`.
pub(crate) fn read_at_most(source: impl Read, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    source.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= limit).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_up_to_the_limit() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        std::fs::write(&file, b"abc").unwrap();
        assert_eq!(read(&file, 3).unwrap(), b"abc");
        assert_eq!(read(&file, u64::MAX).unwrap(), b"abc");
        let text = |error: FileError| error.to_string();
        assert_eq!(read(&file, 2).map_err(text), Err(format!("{}: larger than 2 bytes", file.display())));
        let missing = dir.path().join("g");
        let error = read(&missing, 2).unwrap_err();
        assert!(matches!(&error, FileError::Io { file, .. } if *file == missing), "{error}");
    }
}

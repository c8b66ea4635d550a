//! A file on its way from `NAME.part` to its name.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::error::{Cause, Failure, FetchError};
use super::sets::RemoteFile;
use crate::file::FileError;
use crate::{atomic, digest};

const CHUNK_LEN: usize = 64 * 1024;

/// The file that is being received. Locked, so that two processes do not write into one.
pub(super) struct PartialFile<'a> {
    pub(super) file: &'a RemoteFile<'a>,
    path: PathBuf,
    open: File,
    /// How many bytes are there.
    pub(super) len: u64,
}

impl<'a> PartialFile<'a> {
    pub(super) fn open(path: &Path, file: &'a RemoteFile<'a>) -> Result<Self, FetchError> {
        let path = path.with_file_name(format!("{}.part", file.name));
        let open = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(FileError::at(&path))?;
        match open.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(FetchError::Busy { file: path }),
            Err(TryLockError::Error(error)) => return Err(FileError::at(&path)(error).into()),
        }
        let mut part = Self { file, path, open, len: 0 };
        part.len = part.open.seek(SeekFrom::End(0)).map_err(FileError::at(&part.path))?;
        if part.len > file.len {
            part.clear()?;
        }
        Ok(part)
    }

    pub(super) fn clear(&mut self) -> Result<(), FileError> {
        self.len = 0;
        self.open
            .set_len(0)
            .and_then(|()| self.open.seek(SeekFrom::Start(0)))
            .map(|_| ())
            .map_err(FileError::at(&self.path))
    }

    /// Appends what comes, but no byte more than the file has.
    pub(super) fn receive(
        &mut self,
        mut body: impl Read,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), Failure> {
        let mut chunk = vec![0; CHUNK_LEN];
        loop {
            let received = match body.read(&mut chunk) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.broken(error)),
            };
            let bytes = chunk.get(..received).unwrap_or_default();
            let len = self.len.saturating_add(bytes.len() as u64);
            if len > self.file.len {
                self.clear()?;
                return Err(self.wrong_len("more"));
            }
            if bytes.is_empty() {
                let complete = self.len == self.file.len;
                return if complete { Ok(()) } else { Err(self.broken(io::ErrorKind::UnexpectedEof.into())) };
            }
            self.open.write_all(bytes).map_err(FileError::at(&self.path))?;
            self.len = len;
            progress(len);
        }
    }

    /// Reads from the disk what will be relied on; wrong bytes are of no use to anybody.
    pub(super) fn check(&mut self) -> Result<(), Failure> {
        let given = self
            .open
            .sync_all()
            .and_then(|()| self.open.seek(SeekFrom::Start(0)))
            .and_then(|_| digest::of_source(&self.open))
            .map_err(FileError::at(&self.path))?;
        if given == self.file.sha256 {
            return Ok(());
        }
        self.clear()?;
        Err(Failure::There(Cause::Digest { required: self.file.sha256.to_owned(), given }))
    }

    pub(super) fn finish(self, path: &Path) -> Result<(), FileError> {
        atomic::publish(&self.path, path).map_err(FileError::at(path))
    }

    /// Stays for the next time, if there is anything in it.
    pub(super) fn leave(self) -> Result<(), FileError> {
        if self.len == 0 { self.remove() } else { Ok(()) }
    }

    pub(super) fn remove(self) -> Result<(), FileError> {
        match fs::remove_file(&self.path) {
            // Another process gave it its final name.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(FileError::at(&self.path)),
        }
    }

    fn broken(&self, error: io::Error) -> Failure {
        Failure::There(Cause::Broken { required: self.file.len, given: self.len, error })
    }

    pub(super) fn wrong_len(&self, given: &str) -> Failure {
        Failure::There(Cause::Len { required: self.file.len, given: given.to_owned() })
    }
}

/// Whether the file is there with the right bytes.
pub(super) fn is_right(path: &Path, file: &RemoteFile<'_>) -> Result<bool, FileError> {
    let metadata = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        metadata => metadata.map_err(FileError::at(path))?,
    };
    // Opening a FIFO would wait for somebody to write; the length is cheaper than the digest.
    if !metadata.is_file() || metadata.len() != file.len {
        return Ok(false);
    }
    let open = File::open(path).map_err(FileError::at(path))?;
    Ok(digest::of_source(open).map_err(FileError::at(path))? == file.sha256)
}

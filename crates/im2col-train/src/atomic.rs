//! Files that are replaced at once or not at all, whenever the machine stops.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Writes a file so that a crash leaves the old one or the new one.
pub(crate) fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = file.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    // In the same directory, so that the rename stays within one file system; with the process's number, so
    // that two runs do not write into one file.
    let temporary = file.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let written = File::create(&temporary)
        .and_then(|mut open| open.write_all(bytes).and_then(|()| open.sync_all()))
        .and_then(|()| rename(&temporary, file));
    if written.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Gives a file, whose bytes are on the disk, its final name in the same directory, and makes that last.
pub(crate) fn rename(temporary: &Path, file: &Path) -> io::Result<()> {
    fs::rename(temporary, file)?;
    sync_dir(file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

/// On Unix it is the directory that remembers a rename.
#[cfg(unix)]
fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(not(unix))]
fn sync_dir(_dir: &Path) -> io::Result<()> {
    Ok(())
}

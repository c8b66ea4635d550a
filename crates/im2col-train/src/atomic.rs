//! Files that a crash leaves old or new, never half of one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What the names of files that are not finished end in.
const TEMPORARY: &str = ".tmp";

/// Writes a file beside its destination, flushes it to the disk and renames it.
pub(crate) fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = write_beside(file, bytes)?;
    rename(&temporary, file)?;
    sync_dir(file)
}

/// The same; what was there before is kept as `previous`. A crash may leave `previous` alone.
pub(crate) fn replace_keeping(file: &Path, previous: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = write_beside(file, bytes)?;
    match fs::rename(file, previous) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            let _ = fs::remove_file(&temporary);
            return Err(error);
        }
        _ => rename(&temporary, file)?,
    }
    sync_dir(file)
}

/// Removes what processes that died have left beside this file.
pub(crate) fn remove_temporaries(file: &Path) -> io::Result<()> {
    let prefix = format!(".{}.", name(file)?);
    for entry in fs::read_dir(dir(file))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(&prefix) && name.ends_with(TEMPORARY) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn write_beside(file: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    // In the same directory, so that the rename stays within one file system; with the process's number, so
    // that two runs do not write into one file.
    let temporary = file.with_file_name(format!(".{}.{}{TEMPORARY}", name(file)?, std::process::id()));
    let written =
        File::create(&temporary).and_then(|mut open| open.write_all(bytes).and_then(|()| open.sync_all()));
    match written {
        Ok(()) => Ok(temporary),
        Err(error) => {
            // The first error is the one to report.
            let _ = fs::remove_file(&temporary);
            Err(error)
        }
    }
}

fn rename(temporary: &Path, file: &Path) -> io::Result<()> {
    fs::rename(temporary, file).inspect_err(|_| {
        let _ = fs::remove_file(temporary);
    })
}

fn name(file: &Path) -> io::Result<String> {
    Ok(file.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy().into_owned())
}

fn dir(file: &Path) -> &Path {
    file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes renames beside this file last: on Unix it is the directory that remembers them.
#[cfg(unix)]
pub(crate) fn sync_dir(file: &Path) -> io::Result<()> {
    File::open(dir(file))?.sync_all()
}

#[cfg(not(unix))]
pub(crate) fn sync_dir(_file: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_previous_file_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (file, previous) = (folder.path().join("now"), folder.path().join("before"));
        for (bytes, kept) in [("1", None), ("2", Some("1")), ("3", Some("2"))] {
            replace_keeping(&file, &previous, bytes.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), bytes);
            assert_eq!(fs::read_to_string(&previous).ok().as_deref(), kept);
        }
        fs::remove_file(&file).unwrap();
        replace_keeping(&file, &previous, b"4").unwrap();
        assert_eq!(fs::read_to_string(&previous).unwrap(), "2");

        fs::write(folder.path().join(".now.123.tmp"), "half").unwrap();
        fs::write(folder.path().join(".other.123.tmp"), "not ours").unwrap();
        remove_temporaries(&file).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }
}

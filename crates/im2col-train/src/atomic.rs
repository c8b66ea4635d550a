//! Files that a crash leaves old or new, never half of one.
//!
//! A name may lead elsewhere. Symbolic links are followed, also to a file that does not exist yet. What is not a regular
//! file (a FIFO, a device, a descriptor such as `/dev/stdout`) is written to and stays what it is. `-` is the standard
//! output. A file that is replaced keeps its permissions, and its owner where the system allows that.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::digest;

/// What the names of files that are not finished end in.
const TEMPORARY: &str = ".tmp";
/// The most bytes of a name that its temporary file repeats: file systems take 255 in all.
const MOST_REPEATED: usize = 200;
/// The most symbolic links that are followed one after the other, as on Linux.
const MOST_LINKS: usize = 40;
/// The folders of this process's open files, by number.
const DESCRIPTORS: [&str; 2] = ["/proc/self/fd", "/dev/fd"];

/// What a name leads to.
enum Destination {
    StandardOutput,
    /// Something that is written to as it is.
    Open(File),
    /// A place for a regular file, behind all links, and the file that is there.
    Place(PathBuf, Option<Metadata>),
}

/// Writes a file: beside its destination, flushed to the disk and renamed, where that is a regular file or nothing.
pub(crate) fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    write(destination(file)?, bytes)
}

fn write(destination: Destination, bytes: &[u8]) -> io::Result<()> {
    match destination {
        Destination::StandardOutput => {
            let mut stdout = io::stdout().lock();
            stdout.write_all(bytes)?;
            stdout.flush()
        }
        Destination::Open(mut open) => open.write_all(bytes),
        Destination::Place(place, replaced) => {
            let temporary = write_beside(&place, replaced.as_ref(), bytes)?;
            rename(&temporary, &place)?;
            sync_dir(&place)
        }
    }
}

/// Like [`replace`]; what was there before is kept as `previous`. A crash may leave `previous` alone.
pub(crate) fn replace_keeping(file: &Path, previous: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::read_link(file).is_ok() || fs::read_link(previous).is_ok() {
        // The two may lie on different disks, between which nothing is renamed.
        if fs::metadata(file).is_ok_and(|metadata| metadata.is_file()) {
            replace(previous, &fs::read(file)?)?;
        }
        return replace(file, bytes);
    }
    let replaced = match destination(file)? {
        Destination::Place(_, replaced) => replaced,
        other => return write(other, bytes),
    };
    let temporary = write_beside(file, replaced.as_ref(), bytes)?;
    match fs::rename(file, previous) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            let _ = fs::remove_file(&temporary);
            return Err(error);
        }
        _ => rename(&temporary, file)?,
    }
    sync_dir(file)
}

/// Gives a file, whose bytes are on the disk, its final name in the same directory, and makes that last.
pub(crate) fn publish(temporary: &Path, file: &Path) -> io::Result<()> {
    match destination(file)? {
        Destination::StandardOutput => io::copy(&mut File::open(temporary)?, &mut io::stdout().lock())?,
        Destination::Open(mut open) => io::copy(&mut File::open(temporary)?, &mut open)?,
        Destination::Place(place, replaced) => {
            if let Some(replaced) = replaced {
                keep_access(&File::open(temporary)?, &replaced)?;
            }
            fs::rename(temporary, &place)?;
            return sync_dir(&place);
        }
    };
    fs::remove_file(temporary)
}

/// Removes what processes that died have left beside this file.
pub(crate) fn remove_temporaries(file: &Path) -> io::Result<()> {
    let file = follow(file)?;
    let prefix = temporary_prefix(&file)?;
    for entry in fs::read_dir(dir(&file))? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        if name.starts_with(prefix.as_encoded_bytes()) && name.ends_with(TEMPORARY.as_bytes()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Whether what is written under this name appears on the standard output.
pub(crate) fn is_standard_output(file: &Path) -> bool {
    let is_first = |end: PathBuf| {
        let folder = descriptors_folder(&end)?;
        let own = DESCRIPTORS.iter().any(|own| fs::canonicalize(own).is_ok_and(|own| own == folder));
        Some(own && end.file_name() == Some(OsStr::new("1")))
    };
    file == Path::new("-") || follow(file).ok().and_then(is_first).unwrap_or(false)
}

/// The name at the end of all symbolic links; nothing need be there. A descriptor's name is an end.
pub(crate) fn follow(file: &Path) -> io::Result<PathBuf> {
    let mut end = file.to_owned();
    for _ in 0..=MOST_LINKS {
        if descriptors_folder(&end).is_some() {
            return Ok(end);
        }
        match fs::read_link(&end) {
            Ok(target) => end = dir(&end).join(target),
            Err(_) => return Ok(end),
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "too many symbolic links"))
}

fn destination(file: &Path) -> io::Result<Destination> {
    if is_standard_output(file) {
        return Ok(Destination::StandardOutput);
    }
    // Opening for writing tells what is there, changes nothing, and fails where the file is protected.
    let open = match File::options().write(true).open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Destination::Place(follow(file)?, None));
        }
        open => open?,
    };
    let (metadata, end) = (open.metadata()?, follow(file)?);
    if !metadata.is_file() {
        return Ok(Destination::Open(open));
    }
    if descriptors_folder(&end).is_some() {
        open.set_len(0)?;
        return Ok(Destination::Open(open));
    }
    Ok(Destination::Place(end, Some(metadata)))
}

/// The folder of this name, if its files are the open files of a process.
fn descriptors_folder(file: &Path) -> Option<PathBuf> {
    let folder = fs::canonicalize(dir(file)).ok()?;
    let is_system = folder.starts_with("/proc") || folder.starts_with("/dev");
    (is_system && folder.ends_with("fd")).then_some(folder)
}

/// Writes a temporary file in the same directory, so that renaming it stays within one file system.
fn write_beside(file: &Path, replaced: Option<&Metadata>, bytes: &[u8]) -> io::Result<PathBuf> {
    let mut temporary = temporary_prefix(file)?;
    // The process's number, so that two runs do not write into one file.
    temporary.push(format!("{}{TEMPORARY}", std::process::id()));
    let temporary = file.with_file_name(temporary);
    let written = create_new(&temporary, replaced.is_some()).and_then(|mut open| {
        open.write_all(bytes)?;
        if let Some(replaced) = replaced {
            keep_access(&open, replaced)?;
        }
        open.sync_all()
    });
    match written {
        Ok(()) => Ok(temporary),
        Err(error) => {
            // The first error is the one to report.
            let _ = fs::remove_file(&temporary);
            Err(error)
        }
    }
}

/// A file that was not there, whatever a process of the same number may have left; `private`: for its owner only.
fn create_new(file: &Path, private: bool) -> io::Result<File> {
    let _ = fs::remove_file(file);
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if private {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    #[cfg(not(unix))]
    let _ = private;
    options.open(file)
}

/// Gives a file the permissions of the one that it replaces and, where the system allows that, its owner.
#[cfg(unix)]
fn keep_access(open: &File, replaced: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    let _ = fchown(open, Some(replaced.uid()), Some(replaced.gid()));
    open.set_permissions(fs::Permissions::from_mode(replaced.mode() & 0o777))
}

#[cfg(not(unix))]
fn keep_access(_open: &File, _replaced: &Metadata) -> io::Result<()> {
    Ok(())
}

fn rename(temporary: &Path, file: &Path) -> io::Result<()> {
    fs::rename(temporary, file).inspect_err(|_| {
        let _ = fs::remove_file(temporary);
    })
}

/// What the names of a file's temporary files begin with. Of a long name, its SHA-256.
fn temporary_prefix(file: &Path) -> io::Result<OsString> {
    let name = file.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut prefix = OsString::from(".");
    if name.len() <= MOST_REPEATED {
        prefix.push(name);
    } else {
        prefix.push(digest::of_bytes(name.as_encoded_bytes()));
    }
    prefix.push(".");
    Ok(prefix)
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
mod tests;

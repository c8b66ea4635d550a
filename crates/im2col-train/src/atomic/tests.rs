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

#[test]
fn long_names_and_names_of_any_bytes_work() {
    let folder = tempfile::tempdir().unwrap();
    for name in [OsString::from("n".repeat(250)), OsString::from("n".repeat(255)), not_unicode()] {
        let file = folder.path().join(name);
        for bytes in ["1", "2"] {
            replace(&file, bytes.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), bytes);
        }
        let temporary = write_beside(&file, None, b"half").unwrap();
        remove_temporaries(&file).unwrap();
        assert!(!temporary.exists() && file.exists());
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
}

#[cfg(unix)]
fn not_unicode() -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(b"n\xff".to_vec())
}

#[cfg(not(unix))]
fn not_unicode() -> OsString {
    OsString::from("n")
}

#[cfg(unix)]
mod unix {
    use super::super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::process::Command;

    fn mode(file: &Path) -> u32 {
        fs::metadata(file).unwrap().permissions().mode() & 0o7777
    }

    fn set_mode(file: &Path, mode: u32) {
        fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn is_link(file: &Path) -> bool {
        fs::symlink_metadata(file).unwrap().is_symlink()
    }

    /// A way to write a file under its name, in which something may be already.
    type Write = fn(&Path, &[u8]) -> io::Result<()>;

    const WAYS: [Write; 3] = [
        replace,
        |file, bytes| replace_keeping(file, &file.with_file_name("previous"), bytes),
        |file, bytes| {
            let part = follow(file)?.with_file_name("part");
            fs::write(&part, bytes)?;
            publish(&part, file)
        },
    ];

    #[test]
    fn links_are_followed_and_stay() {
        for write_file in WAYS {
            let folder = tempfile::tempdir().unwrap();
            let path = |name: &str| folder.path().join(name);
            fs::create_dir(path("far")).unwrap();
            symlink("far/relative", path("a")).unwrap();
            symlink(path("far/absolute"), path("b")).unwrap();
            symlink("a", path("chain")).unwrap();
            for (link, end) in [("a", "far/relative"), ("b", "far/absolute"), ("chain", "far/relative")] {
                // First nothing is there, then a file.
                for bytes in ["1", "2"] {
                    write_file(&path(link), bytes.as_bytes()).unwrap();
                    assert!(is_link(&path(link)) && !is_link(&path(end)));
                    assert_eq!(fs::read_to_string(path(end)).unwrap(), bytes);
                }
            }
            symlink("loop", path("loop")).unwrap();
            write_file(&path("loop"), b"1").unwrap_err();
            assert!(is_link(&path("loop")));
            symlink("nowhere/file", path("lost")).unwrap();
            assert_eq!(write_file(&path("lost"), b"1").unwrap_err().kind(), io::ErrorKind::NotFound);
            assert!(is_link(&path("lost")));
        }
    }

    #[test]
    fn a_previous_file_that_is_a_link_gets_the_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        symlink("real", path("previous")).unwrap();
        for bytes in ["1", "2", "3"] {
            replace_keeping(&path("file"), &path("previous"), bytes.as_bytes()).unwrap();
        }
        assert!(is_link(&path("previous")));
        assert_eq!(fs::read_to_string(path("real")).unwrap(), "2");
        assert_eq!(fs::read_to_string(path("file")).unwrap(), "3");
    }

    #[test]
    fn modes_are_kept() {
        for write_file in WAYS {
            let folder = tempfile::tempdir().unwrap();
            let (file, link) = (folder.path().join("file"), folder.path().join("link"));
            symlink("file", &link).unwrap();
            write_file(&file, b"1").unwrap();
            let usual = folder.path().join("usual");
            fs::write(&usual, "").unwrap();
            assert_eq!(mode(&file), mode(&usual), "a new file has the usual mode");
            for name in [&file, &link] {
                for expected in [0o600, 0o640, 0o666, 0o755] {
                    set_mode(&file, expected);
                    write_file(name, b"2").unwrap();
                    assert_eq!(mode(&file), expected, "{expected:o}");
                }
            }
            assert_eq!(fs::read(&file).unwrap(), b"2");
        }
    }

    #[test]
    fn what_is_protected_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "old").unwrap();
        set_mode(&file, 0o400);
        if File::options().write(true).open(&file).is_ok() {
            eprintln!("SKIPPED: the superuser may write to every file");
            return;
        }
        assert_eq!(replace(&file, b"new").unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(fs::read_to_string(&file).unwrap(), "old");
    }

    #[test]
    fn a_fifo_is_written_to_and_stays() {
        use std::os::unix::fs::FileTypeExt;
        for write_file in WAYS {
            let folder = tempfile::tempdir().unwrap();
            let (fifo, link) = (folder.path().join("fifo"), folder.path().join("link"));
            assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
            symlink("fifo", &link).unwrap();
            for name in [&fifo, &link] {
                let reader = std::thread::spawn({
                    let fifo = fifo.clone();
                    move || fs::read(fifo).unwrap()
                });
                write_file(name, b"bytes").unwrap();
                assert_eq!(reader.join().unwrap(), b"bytes");
            }
            assert!(fs::symlink_metadata(&fifo).unwrap().file_type().is_fifo());
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left beside it");
        }
    }

    /// A null device of one's own: the machine's must not be tried.
    #[test]
    fn a_device_is_written_to_and_stays() {
        use std::os::unix::fs::FileTypeExt;
        let folder = tempfile::tempdir().unwrap();
        let device = folder.path().join("null");
        let made = Command::new("mknod").arg(&device).args(["c", "1", "3"]).output();
        if !made.is_ok_and(|made| made.status.success()) || File::options().write(true).open(&device).is_err()
        {
            eprintln!("SKIPPED: no device can be made or opened here");
            return;
        }
        for write_file in WAYS {
            write_file(&device, b"bytes").unwrap();
            assert!(fs::symlink_metadata(&device).unwrap().file_type().is_char_device());
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    /// What another program has redirected stays the file that it has open.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_descriptor_is_written_to() {
        use std::os::fd::AsRawFd;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "a longer text").unwrap();
        let open = File::options().read(true).write(true).open(&file).unwrap();
        replace(Path::new(&format!("/proc/self/fd/{}", open.as_raw_fd())), b"bytes").unwrap();
        // Read through the open file: a replaced one would still be the old.
        assert_eq!(io::read_to_string(&open).unwrap(), "bytes");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_standard_output_has_many_names() {
        for name in ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
            assert!(is_standard_output(Path::new(name)), "{name}");
        }
        for name in ["./-", "1", "/dev/stderr", "/dev/fd/2", "/dev/fd", "/dev/null", "missing/1"] {
            assert!(!is_standard_output(Path::new(name)), "{name}");
        }
    }
}

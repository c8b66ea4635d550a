//! What `lenet export --out` may be, beside a plain file: links, FIFOs, the standard output. And what stays.

#![cfg(unix)]

use std::fs::{self, File};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use im2col::lenet::LENET_RELU;
use im2col_train::dataset::Dataset;
use im2col_train::export::raw;
use im2col_train::train::{Options, Trainer};
use im2col_train::weights::save;

/// A folder with a file of weights, and the bytes that `--format raw` makes of them.
fn weights() -> (tempfile::TempDir, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let black = Dataset::new([1, 28, 28], vec![0; 784], vec![0]).unwrap();
    let trainer = Trainer::new(LENET_RELU, &black, Options::default()).unwrap();
    save(&dir.path().join("w"), "lenet-relu", trainer.network(), trainer.params()).unwrap();
    (dir, raw(trainer.network(), trainer.params()).unwrap())
}

/// Ready to run: `lenet export --format raw --out OUT`.
fn export(dir: &Path, out: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lenet"));
    command.args(["export", "--weights", "w", "--format", "raw", "--out", out]).current_dir(dir);
    command
}

fn run(dir: &Path, out: &str) {
    let output = export(dir, out).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8(output.stdout).unwrap().starts_with(&format!("{out}: 246824 bytes, SHA-256 ")));
}

#[test]
fn the_standard_output_gets_the_bytes_and_nothing_else() {
    let (dir, expected) = weights();
    for out in ["-", "/dev/stdout", "/dev/fd/1"] {
        for arguments in [&[][..], &["--json"]] {
            let output = export(dir.path(), out).args(arguments).output().unwrap();
            assert!(output.status.success());
            assert_eq!(output.stdout, expected, "{out}");
            let told = String::from_utf8(output.stderr).unwrap();
            assert!(told.starts_with(&format!("{out}: 246824 bytes, SHA-256 ")), "{told}");
        }
        let quiet = export(dir.path(), out).arg("-q").output().unwrap();
        assert!(quiet.stdout == expected && quiet.stderr.is_empty());
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

/// A shell's `>> file`: the file that is open gets the bytes, after what it has.
#[test]
fn a_redirected_standard_output_is_appended_to() {
    let (dir, expected) = weights();
    let file = dir.path().join("file");
    fs::write(&file, "before").unwrap();
    for out in ["-", "/dev/stdout"] {
        let open = File::options().append(true).open(&file).unwrap();
        assert!(export(dir.path(), out).stdout(Stdio::from(open)).status().unwrap().success());
    }
    assert_eq!(fs::read(&file).unwrap(), [b"before", &expected[..], &expected].concat());
}

#[test]
fn a_fifo_is_written_to() {
    let (dir, expected) = weights();
    let fifo = dir.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    symlink("fifo", dir.path().join("link")).unwrap();
    for out in ["fifo", "link"] {
        let reader = thread::spawn({
            let fifo = fifo.clone();
            move || fs::read(fifo).unwrap()
        });
        run(dir.path(), out);
        assert_eq!(reader.join().unwrap(), expected);
        assert!(fs::symlink_metadata(&fifo).unwrap().file_type().is_fifo());
    }
}

#[test]
fn links_and_modes_stay() {
    let (dir, expected) = weights();
    let path = |name: &str| dir.path().join(name);
    fs::create_dir(path("elsewhere")).unwrap();
    symlink("elsewhere/new", path("link")).unwrap();
    run(dir.path(), "link");
    assert!(fs::symlink_metadata(path("link")).unwrap().is_symlink());
    assert_eq!(fs::read(path("elsewhere/new")).unwrap(), expected);

    fs::write(path("secret"), "old").unwrap();
    for mode in [0o600, 0o640] {
        fs::set_permissions(path("secret"), fs::Permissions::from_mode(mode)).unwrap();
        run(dir.path(), "secret");
        assert_eq!(fs::metadata(path("secret")).unwrap().permissions().mode() & 0o7777, mode);
    }
    assert_eq!(fs::read(path("secret")).unwrap(), expected);
    assert_eq!(fs::read_dir(path("elsewhere")).unwrap().count(), 1);
}

#[test]
fn names_of_250_bytes_work() {
    let (dir, expected) = weights();
    for name in ["n".repeat(250), "ö".repeat(125)] {
        run(dir.path(), &name);
        assert_eq!(fs::read(dir.path().join(name)).unwrap(), expected);
    }
}

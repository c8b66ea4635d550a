//! What `lenet fetch` leaves: where it fails, and where a link was.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::thread;

/// A mirror that nobody serves.
const NOBODY: &str = "http://127.0.0.1:1/";

fn fetch_fails(dir: &Path, args: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_lenet"))
        .args(["fetch", "mnist", "--part", "test"])
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_failed_fetch_leaves_no_folder() {
    let dir = tempfile::tempdir().unwrap();
    let left = || fs::read_dir(dir.path()).unwrap().count();
    fetch_fails(dir.path(), &["--mirror", NOBODY]);
    fetch_fails(dir.path(), &["--mirror", NOBODY, "--out", "a/b/c"]);
    let absolute = dir.path().join("d/e");
    fetch_fails(dir.path(), &["--mirror", NOBODY, "--out", absolute.to_str().unwrap()]);
    assert_eq!(left(), 0);

    // What was there before stays.
    fs::create_dir(dir.path().join("a")).unwrap();
    fetch_fails(dir.path(), &["--mirror", NOBODY, "--out", "a/b"]);
    fetch_fails(dir.path(), &["--mirror", NOBODY, "--out", "a"]);
    assert_eq!(fs::read_dir(dir.path().join("a")).unwrap().count(), 0);
    assert_eq!(left(), 1);
}

#[test]
fn what_has_arrived_stays() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mirror = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            // The first bytes of a file, and then only refusals.
            let answer: &[u8] = match number {
                0 => b"HTTP/1.1 200 OK\r\nContent-Length: 1648877\r\nConnection: close\r\n\r\nfirst bytes",
                _ => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            };
            let _ = stream.write_all(answer);
        }
    });
    fetch_fails(dir.path(), &["--mirror", &mirror]);
    let part = dir.path().join("data/mnist/t10k-images-idx3-ubyte.gz.part");
    assert_eq!(fs::read(part).unwrap(), b"first bytes");
}

/// A name that leads to another folder goes on leading there, and a file's mode stays.
#[cfg(unix)]
#[test]
fn links_and_modes_stay() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../im2col-digits/data");
    let [images, labels] = ["t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"];
    let bytes = fs::read(own.join(labels)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mirror = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn({
        let bytes = bytes.clone();
        move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 4096]);
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    bytes.len()
                );
                let _ = stream.write_all(&[head.as_bytes(), &bytes].concat());
            }
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let (folder, far) = (dir.path().join("data/mnist"), dir.path().join("far"));
    fs::create_dir_all(&folder).unwrap();
    fs::create_dir(&far).unwrap();
    fs::copy(own.join(images), folder.join(images)).unwrap();
    fs::write(far.join("labels"), "wrong").unwrap();
    fs::set_permissions(far.join("labels"), fs::Permissions::from_mode(0o600)).unwrap();
    symlink("../../far/labels", folder.join(labels)).unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_lenet"))
        .args(["fetch", "mnist", "--part", "test", "-q", "--mirror", &mirror])
        .current_dir(dir.path())
        .status()
        .unwrap();
    assert!(status.success());
    assert!(fs::symlink_metadata(folder.join(labels)).unwrap().is_symlink());
    assert_eq!(fs::read(far.join("labels")).unwrap(), bytes);
    assert_eq!(fs::metadata(far.join("labels")).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!((fs::read_dir(&folder).unwrap().count(), fs::read_dir(&far).unwrap().count()), (2, 1));
}

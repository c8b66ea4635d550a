//! `lenet fetch`: what it prints and what arrives.

use std::fs;
use std::path::Path;
use std::process::Command;

use self::server::{Server, not_found, part};

#[allow(dead_code, reason = "unit tests use the rest")]
#[path = "../../src/fetch/tests/server.rs"]
mod server;

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The program itself, with MNIST's test set, which the repository has.
#[test]
fn the_command_fetches_from_a_mirror() {
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("../im2col-digits/data");
    let server = Server::new(move |number, (path, range)| {
        let bytes = fs::read(built_in.join(&path[1..])).unwrap();
        // The images break off at first.
        part(&bytes, *range, if number == 0 { 1_000_000 } else { usize::MAX })
    });
    let dir = tempfile::tempdir().unwrap();
    let run = |more: &[&str]| {
        let args = [&["fetch", "mnist", "--part", "test", "--mirror", &server.url][..], more].concat();
        let output =
            Command::new(env!("CARGO_BIN_EXE_lenet")).args(args).current_dir(dir.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.stderr, b"", "no progress bar without a terminal");
        String::from_utf8(output.stdout).unwrap()
    };
    let url = &server.url;
    assert_eq!(
        run(&[]),
        format!(
            "t10k-images-idx3-ubyte.gz   1,648,877 bytes  from {url}t10k-images-idx3-ubyte.gz\n\
             t10k-labels-idx1-ubyte.gz       4,542 bytes  from {url}t10k-labels-idx1-ubyte.gz\n\
             data/mnist: 2 files, their SHA-256 are right\n"
        )
    );
    assert_eq!(server.ranges(), [None, Some(1_000_000), None]);
    assert_eq!(
        names(&dir.path().join("data/mnist")),
        ["t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"]
    );

    let json = run(&["--json"]);
    let lines: Vec<serde_json::Value> =
        json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3, "{json}");
    assert!(lines[0]["from"].is_null() && lines[0]["bytes"] == 1_648_877, "{json}");
    assert_eq!(lines[2]["files"], 2);
    assert_eq!(run(&["--quiet"]), "data/mnist: 2 files, their SHA-256 are right\n");
    assert_eq!(server.ranges().len(), 3);
}

#[test]
fn the_command_says_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::new(|_, _| not_found());
    let output = Command::new(env!("CARGO_BIN_EXE_lenet"))
        .args(["fetch", "fashion-mnist", "--mirror", &server.url])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        format!(
            "error: data/fashion-mnist/train-images-idx3-ubyte.gz: \
             {}train-images-idx3-ubyte.gz: the server says 404 Not Found\n",
            server.url
        )
    );
}

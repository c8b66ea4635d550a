//! Every input that is committed runs without finding anything: what fuzzing has found, and where it starts. Of the files
//! among them, some are read to the end.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use im2col_fuzz_targets::{READERS, TARGETS};
use std::path::Path;
use std::{fs, panic};

fn main() {
    let mut failed = Vec::new();
    for (name, target) in TARGETS {
        let inputs = inputs(name);
        for (file, bytes) in &inputs {
            if panic::catch_unwind(|| target(bytes)).is_err() {
                failed.push(file.clone());
            }
        }
        println!("fuzz: {name}: {} inputs replayed", inputs.len());
    }
    assert!(failed.is_empty(), "found by {}", failed.join(", "));
    for (name, reader) in READERS {
        let read = inputs(name).iter().filter(|(_, bytes)| reader(bytes)).count();
        println!("fuzz: {name}: {read} of the inputs are read to the end");
        assert!(read > 0, "no input of {name} is read: what comes after is not reached");
    }
}

/// The corpus of a target: names and bytes.
fn inputs(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut inputs: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), fs::read(&path).unwrap()))
        .collect();
    inputs.sort();
    assert!(!inputs.is_empty(), "{}: no inputs", folder.display());
    inputs
}

//! Every input that is committed runs without finding anything: what fuzzing has found, and where it starts.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use im2col_fuzz_targets::TARGETS;
use std::path::Path;
use std::{fs, panic};

fn main() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus");
    let mut failed = Vec::new();
    for (name, target) in TARGETS {
        let folder = corpora.join(name);
        let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut inputs: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        inputs.sort();
        assert!(!inputs.is_empty(), "{}: no inputs", folder.display());
        for input in &inputs {
            let bytes = fs::read(input).unwrap();
            if panic::catch_unwind(|| target(&bytes)).is_err() {
                failed.push(input.display().to_string());
            }
        }
        println!("fuzz: {name}: {} inputs replayed", inputs.len());
    }
    assert!(failed.is_empty(), "found by {}", failed.join(", "));
}

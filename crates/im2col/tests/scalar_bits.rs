//! `Isa::SCALAR` gives the same bits on every target: results of all operations, by every algorithm, against hashes that
//! are committed.
//!
//! A change that is meant to change a result writes them anew: `IM2COL_WRITE_HASHES=1`, as the failing test says.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "scalar_bits/cases.rs"]
mod cases;

use cases::{Computed, NETWORKS_LEN, layers, networks};
use std::collections::BTreeMap;

/// A line for each result: its hash, its case and its name.
const COMMITTED: &str = include_str!("scalar_bits/hashes.txt");

const HOW_TO_WRITE: &str =
    "to write what was computed: IM2COL_WRITE_HASHES=1 cargo test -p im2col --test scalar_bits";

/// The lines of all results, and what was wrong on the way: a result that depends on how it is computed.
fn computed() -> (Vec<String>, Vec<String>) {
    let (mut lines, mut errors) = (Vec::new(), Vec::new());
    let mut first = BTreeMap::new();
    let mut tell = |Computed { case, result, by, hash }: Computed<'_>| {
        let name = format!("{case}: {result}");
        match first.get(&name) {
            None => {
                lines.push(format!("{hash:016x} {name}"));
                first.insert(name, (hash, by.to_owned()));
            }
            Some((expected, other)) if *expected != hash => {
                errors.push(format!("{name}: {hash:016x} by {by}, {expected:016x} by {other}"));
            }
            Some(_) => (),
        }
    };
    let mut memory = vec![0.0; NETWORKS_LEN[1]];
    layers(&mut memory[..cases::LAYERS_LEN], &mut tell);
    networks(&mut memory, &mut tell);
    (lines, errors)
}

/// The lines of `these` that `those` do not have, each after `label`.
fn missing(label: &str, these: &[&str], those: &[&str]) -> Vec<String> {
    these.iter().filter(|line| !those.contains(line)).map(|line| format!("{label} {line}")).collect()
}

#[test]
fn scalar_results_have_the_same_bits_on_every_target() {
    let (lines, mut errors) = computed();
    if std::env::var_os("IM2COL_WRITE_HASHES").is_some_and(|value| value == "1") {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scalar_bits/hashes.txt");
        std::fs::write(path, lines.join("\n") + "\n").unwrap();
        println!("{} hashes written to {path}", lines.len());
    } else {
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let committed: Vec<_> = COMMITTED.lines().collect();
        errors.extend(missing("committed:", &committed, &lines));
        errors.extend(missing("computed: ", &lines, &committed));
        println!("scalar bits: {} results on {}", lines.len(), std::env::consts::ARCH);
    }
    assert!(errors.is_empty(), "\n{}\n{HOW_TO_WRITE}", errors.join("\n"));
}

#[test]
fn a_hash_sees_every_bit_but_the_sign_of_a_zero() {
    let hash = cases::hash;
    // FNV-1a of the bytes 00 00 80 3f.
    assert_eq!(hash(&[1.0]), 0x4b72_477f_9c5c_2f98);
    assert_eq!(hash(&[0.0]), hash(&[-0.0]));
    for bit in 0..32 {
        assert_ne!(hash(&[1.0, 2.0]), hash(&[1.0, f32::from_bits(2.0_f32.to_bits() ^ 1 << bit)]));
    }
    assert_ne!(hash(&[1.0, 2.0]), hash(&[2.0, 1.0]));
    assert_ne!(hash(&[0.0]), hash(&[]));
}

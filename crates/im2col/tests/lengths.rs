//! The lengths of operands and scratches, which are part of the interface, and the algorithms that plans choose: of many
//! shapes, against lines that are committed. Where windows lie is compared with its definition, in `geometry`.
//!
//! A change that is meant to change a length or a choice writes the lines anew: `IM2COL_WRITE_LENGTHS=1`, as the failing
//! test says. Nothing is computed here, so all of it takes a moment.

#![cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "lengths/convolutions.rs"]
mod convolutions;
#[path = "lengths/geometry.rs"]
mod geometry;
#[path = "lengths/networks.rs"]
mod networks;
#[path = "lengths/pools.rs"]
mod pools;

const COMMITTED: &str = include_str!("lengths/lengths.txt");

const HOW_TO_WRITE: &str =
    "to write what was planned: IM2COL_WRITE_LENGTHS=1 cargo test -p im2col --features rayon --test lengths";

#[test]
fn lengths_and_choices_are_the_committed_ones() {
    let mut lines = Vec::new();
    convolutions::lines(&mut lines);
    pools::lines(&mut lines);
    networks::lines(&mut lines);
    if std::env::var_os("IM2COL_WRITE_LENGTHS").is_some_and(|value| value == "1") && cfg!(feature = "rayon") {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lengths/lengths.txt");
        std::fs::write(path, lines.join("\n") + "\n").unwrap();
        return;
    }
    // Lines of threads are written where there are any.
    let committed: Vec<_> =
        COMMITTED.lines().filter(|line| cfg!(feature = "rayon") || !line.starts_with("threads")).collect();
    for (line, committed) in lines.iter().zip(&committed) {
        assert_eq!(line, committed, "\n{HOW_TO_WRITE}");
    }
    assert_eq!(lines.len(), committed.len(), "{HOW_TO_WRITE}");
}

/// Numbers that follow from a seed alone.
struct Draw(im2col_testkit::operands::Rng);

impl Draw {
    fn new(seed: u64) -> Self {
        Self(im2col_testkit::operands::Rng::new(seed))
    }

    /// One of `choices`.
    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[(self.0.bits() >> 33) as usize % choices.len()]
    }

    fn three<T: Copy>(&mut self, choices: &[T]) -> [T; 3] {
        [self.of(choices), self.of(choices), self.of(choices)]
    }
}

//! Files from strangers: data sets, checkpoints, weights and pictures that are cut at every byte, have every bit flipped,
//! or lie in their headers. None makes a panic, what is damaged is rejected by an error that names the file and the
//! byte or the field, and what is accepted is what the file says.
//!
//! `IM2COL_SOAK=1` flips every bit of larger files too.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod data;
mod kind;
mod pictures;
mod runs;
mod tensors;

use im2col_testkit::alloc::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// One test only: the allocator counts the bytes of the whole program.
#[test]
fn hostile_files_are_rejected_or_read() {
    kind::check_the_checks();
    let counts = data::all() + tensors::all() + runs::all() + pictures::all();
    println!(
        "{} of {} files had to be rejected, by a length, a header or a digest, and were",
        counts.certain, counts.certain
    );
    println!("hostile files: {} distinct, 0 panics, {} rejected", counts.files, counts.rejected);
    assert!(counts.files >= 10_000 && counts.certain >= 10_000, "{} files", counts.files);
}

/// Whether what takes minutes is done too.
fn is_soak() -> bool {
    std::env::var_os("IM2COL_SOAK").is_some_and(|value| value == "1")
}

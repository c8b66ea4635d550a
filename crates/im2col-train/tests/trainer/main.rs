//! The library and the program from outside, in one binary: each further one would take seconds to link. What counts
//! the allocations of a whole program is in `tests/allocation.rs`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod checkpoint_mutations;
mod cli;
mod dataset;
mod destinations;
mod determinism;
mod export;
mod faults;
mod fetch;
mod fetch_folder;
mod golden_steps;
mod help_examples;
mod idx;
mod import_order;
mod messages;
mod paths;
mod predict;
mod report;
mod resumed_runs;
mod run_folders;
mod runs;
mod saved;
mod sheets;
mod uneven_light;
mod weights;

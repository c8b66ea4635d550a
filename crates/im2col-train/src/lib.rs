//! Trains LeNet on handwritten digits; every convolution is one of [`im2col`].
//!
//! ```text
//! IDX files -> Samples -> mini-batch -> forward -> loss -> backward -> optimiser -> safetensors
//! ```
//!
//! A [`Trainer`](train::Trainer) trains any network on any images: see `examples/own_network.rs`. The images may be a
//! [`Dataset`](dataset::Dataset) in memory, IDX files that stay on the disk ([`IdxStream`](stream::IdxStream)), or
//! anything else that implements [`Samples`](samples::Samples). A [`Run`](run::Run) is a folder with checkpoints, from
//! which training goes on after a crash and ends with the same bits.
//!
//! Everything runs on the current rayon pool, and the result does not depend on how many threads it has: a mini-batch is
//! cut into micro-batches of 16 images, or of 32 from 256 images on, whose gradients are summed in order.
//!
//! # Features
//!
//! `mpi`, off by default: `mpirun -n 4 lenet train` divides every batch among four processes, on one machine or several, and
//! ends with the bits of one process. It takes the crate `mpi`, which needs an MPI library such as Open MPI, and libclang to
//! be built. A program with it that is not started by `mpirun` is one process.
//!
//! # The program
//!
//! The program `lenet` calls [`cli::main`]; the modules that only it needs are private.
//!
//! ```no_run
//! use im2col::lenet::LENET_RELU;
//! use im2col_train::dataset::{Dataset, Part};
//! use im2col_train::train::{Options, Trainer};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (train, test) = (Dataset::built_in(Part::Train)?, Dataset::built_in(Part::Test)?);
//! let options = Options::default();
//! let mut trainer = Trainer::new(LENET_RELU, &train, options)?;
//! for epoch in 1..=options.epochs {
//!     let totals = trainer.epoch(|_images| ())?;
//!     println!("epoch {epoch}: loss {:.4}, test accuracy {:.4}", totals.loss(), trainer.test(&test)?.accuracy());
//! }
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod atomic;
mod augment;
pub mod checkpoint;
pub mod cli;
pub mod dataset;
mod digest;
mod error;
pub mod export;
mod fetch;
pub mod file;
pub mod idx;
mod init;
mod known;
pub mod metrics;
mod micro_batch;
pub mod optimiser;
mod paths;
pub mod picture;
pub mod predict;
pub mod profile;
pub mod random;
mod ranks;
mod report;
pub mod run;
mod runner;
pub mod samples;
pub mod schedule;
mod shell;
pub mod stream;
mod summary;
pub mod train;
pub mod weights;

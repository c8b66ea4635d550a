//! What the fuzzer runs, as functions of bytes that panic where a claim does not hold. `fuzz/README.md` has the claims.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "what a target finds is a panic"
)]

mod bytes;
mod compare;
mod conv;
mod hostile;
mod idx;
mod linear_loss;
mod network;
mod picture;
mod plan;
mod pool;
mod safetensors;
mod transposed;

pub use conv::{conv, conv_backward};
pub use idx::idx;
pub use linear_loss::linear_loss;
pub use network::network;
pub use picture::picture;
pub use plan::plan;
pub use pool::pool;
pub use safetensors::{checkpoint, weights};
pub use transposed::transposed;

use im2col_testkit::alloc::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// What the fuzzer runs.
pub type Target = fn(&[u8]);

/// What the fuzzer runs of readers of files, each of which returns whether it has read the file.
pub type Reader = fn(&[u8]) -> bool;

/// The targets by the names of their corpora.
pub const TARGETS: [(&str, Target); 11] = [
    ("plan", plan),
    ("conv", conv),
    ("conv_backward", conv_backward),
    ("transposed", transposed),
    ("pool", pool),
    ("network", network),
    ("linear_loss", linear_loss),
    ("idx", |file| _ = idx(file)),
    ("checkpoint", |file| _ = checkpoint(file)),
    ("weights", |file| _ = weights(file)),
    ("picture", |file| _ = picture(file)),
];

/// Those of them that read files.
pub const READERS: [(&str, Reader); 4] =
    [("idx", idx), ("checkpoint", checkpoint), ("weights", weights), ("picture", picture)];

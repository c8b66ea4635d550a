//! The names of the files in a run's folder.
//!
//! ```text
//! run.json                   what was asked for: the network, the data, the options
//! metrics.jsonl              a record in each line
//! checkpoint.safetensors     all that is needed to go on; the one before is previous.safetensors
//! weights.safetensors        the best weights so far, with PyTorch's names
//! report.html                what `lenet report` makes of it all
//! ```

/// What was asked for: a [`Configuration`](crate::checkpoint::Configuration).
pub const RUN_FILE: &str = "run.json";
/// A [`Record`](crate::metrics::Record) in each line.
pub const METRICS_FILE: &str = "metrics.jsonl";
/// All that is needed to go on: a [`Checkpoint`](crate::checkpoint::Checkpoint).
pub const CHECKPOINT_FILE: &str = "checkpoint.safetensors";
/// The checkpoint before the last.
pub const PREVIOUS_FILE: &str = "previous.safetensors";
/// The best weights so far.
pub const WEIGHTS_FILE: &str = "weights.safetensors";
/// The page that shows it all.
pub const REPORT_FILE: &str = "report.html";
/// Whoever has locked this file trains here. The lock ends with its process.
pub(crate) const LOCK_FILE: &str = ".lock";
/// Where a run is until it takes the place of the one around it.
pub(crate) const REPLACEMENT_FOLDER: &str = "replacement";
/// What a run leaves, in the order in which a complete one takes another's place: as long as its checkpoint has not
/// moved, it goes on being moved after a crash.
pub(crate) const FILES: [&str; 5] = [RUN_FILE, METRICS_FILE, WEIGHTS_FILE, PREVIOUS_FILE, CHECKPOINT_FILE];

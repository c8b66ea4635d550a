//! Where runs and their weights are, unless the command line says otherwise.

/// Where runs are, unless `train --out` says otherwise.
pub(super) const RUNS: &str = "runs";
/// The folder of the first run there.
pub(super) const FIRST_RUN: &str = "runs/lenet";
/// The weights that it leaves.
pub(super) const WEIGHTS: &str = "runs/lenet/weights.safetensors";

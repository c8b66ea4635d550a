//! Modules import from lower layers only.

use std::path::Path;

use im2col_testkit::import_order::check;

/// The modules of this crate, lowest layer first. None imports from its own layer or from above.
const LAYERS: &[&[&str]] = &[
    // Nothing of this crate.
    &["digest", "file", "idx", "optimiser", "paths", "random", "run/files", "schedule", "shell", "summary"],
    // Images.
    &["atomic", "samples"],
    &["augment", "dataset", "known"],
    &["stream"],
    // Downloads, and pictures that people take.
    &["fetch/error", "fetch/sets", "picture/error", "picture/ink", "picture/jpeg"],
    &["fetch/part", "picture/whole"],
    &["fetch", "picture"],
    // Parameters in files.
    &["weights/description", "weights/error", "weights/header"],
    &["weights/names"],
    &["weights/finite"],
    &["weights/tensors"],
    &["weights"],
    &["export", "predict"],
    // Training.
    &["error", "init"],
    &["ranks/alone", "ranks/mpi", "train/isa", "train/split"],
    &["ranks"],
    &["train/options"],
    &["micro_batch"],
    &["runner/totals"],
    &["runner"],
    &["train/position"],
    &["train"],
    &["profile"],
    // Runs.
    &["checkpoint/error"],
    &["checkpoint", "metrics"],
    &["run/error"],
    &["run/place"],
    &["run"],
    // The page of a run.
    &["report/asked", "report/contents", "report/curves", "report/error", "report/html"],
    &["report/charts", "report/evaluation"],
    &["report/pictures"],
    &["report/page/document", "report/page/names"],
    &["report/page/maps", "report/page/tables"],
    &["report/page/numbers"],
    &["report/page/compare"],
    &["report/page"],
    &["report"],
    // The command.
    &["cli/data", "cli/defaults", "cli/exit", "cli/network", "cli/sets", "cli/threads"],
    &["cli/output"],
    &["cli/saved"],
    &["cli/train/arguments/values"],
    &["cli/eval", "cli/export", "cli/fetch", "cli/predict", "cli/profile", "cli/report", "cli/summary"],
    &["cli/train/arguments", "cli/train/data", "cli/train/live", "cli/train/signals"],
    &["cli/train/messages", "cli/train/ranks"],
    &["cli/train/advice"],
    &["cli/train/epochs"],
    &["cli/train/resumed"],
    &["cli/train"],
    &["cli"],
    &["lib"],
];

#[test]
fn imports_point_down() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    if let Err(problems) = check(&src, LAYERS) {
        panic!("{}", problems.join("\n"));
    }
}

//! What `lenet train` tells at the beginning and at the end of a run.

use std::path::Path;

use anyhow::Result;
use serde_json::json;

use super::data::Data;
use crate::cli::network::NetworkName;
use crate::cli::output::Output;
use crate::run::files::WEIGHTS_FILE;
use crate::shell::quoted;
use crate::summary::grouped;
use crate::train::Trainer;

pub(super) fn say_what_is_trained(
    trainer: &Trainer<'_, 12>,
    network: NetworkName,
    data: &Data,
    output: Output,
) -> Result<()> {
    output.note(format_args!(
        "{}: {} parameters; {} images to train, {} to test",
        network.as_str(),
        grouped(trainer.params().len()),
        grouped(trainer.image_count()),
        grouped(data.test.labels().len()),
    ))?;
    let ranks = match trainer.ranks().size() {
        1 => String::new(),
        size => format!("processes: {size}, in each "),
    };
    output.note(format_args!(
        "{ranks}threads: {}, kernels: {}",
        rayon::current_num_threads(),
        trainer.isa().name()
    ))
}

pub(super) fn resume_command(folder: &Path) -> String {
    format!("lenet train --resume {}", quoted(folder))
}

pub(super) fn start_over_command(folder: &Path) -> String {
    format!("lenet train --force --out {}", quoted(folder))
}

/// The end of a run that is complete: where its weights are, what can be done with them, how good they are.
pub(super) fn say_result(folder: &Path, accuracy: f64, output: Output) -> Result<()> {
    let weights = folder.join(WEIGHTS_FILE);
    output.note(format_args!("next: lenet report {}", quoted(folder)))?;
    output.note(format_args!("      lenet predict PICTURE --weights {}", quoted(&weights)))?;
    output.result(
        format_args!("test accuracy: {:.2} %", 100.0 * accuracy),
        &json!({
            "run": folder.to_string_lossy(),
            "weights": weights.to_string_lossy(),
            "test_accuracy": accuracy,
        }),
    )
}

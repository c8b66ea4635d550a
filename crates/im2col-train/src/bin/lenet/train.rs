//! `lenet train`

mod arguments;
mod epochs;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use im2col::Isa;
use im2col_train::checkpoint::{Checkpoint, Configuration, RunRecord};
use im2col_train::dataset::{Dataset, Part};
use im2col_train::metrics::RUN_FILE;
use im2col_train::run::{CHECKPOINT_FILE, FolderError, PREVIOUS_FILE, Run};
use im2col_train::samples::Samples;
use im2col_train::stream::IdxStream;
use im2col_train::summary::grouped;
use im2col_train::train::Trainer;
use serde_json::json;

pub(crate) use self::arguments::{Arguments, EXAMPLES};
use crate::network::NetworkName;
use crate::output::Output;
use crate::thread_pool;

pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<()> {
    thread_pool(arguments.threads)?.install(|| train(arguments, output))
}

fn train(arguments: &Arguments, output: Output) -> Result<()> {
    // A checkpoint says which data it needs; a new run makes its folder when all else is well.
    let resumed = arguments.resume.as_deref().map(|folder| resume(folder, arguments.previous)).transpose()?;
    let configuration = match &resumed {
        Some((run, _)) => run.configuration().clone(),
        None => arguments.configuration(),
    };
    let Some(network) = NetworkName::from_name(&configuration.network) else {
        bail!("the network {:?} is unknown", configuration.network);
    };
    let (train, test) = (samples(&configuration, Part::Train)?, samples(&configuration, Part::Test)?);
    if train.image_dims() != test.image_dims() {
        bail!("the training images are {:?}, the test images {:?}", train.image_dims(), test.image_dims());
    }
    let mut trainer = Trainer::new(network.layers(), &*train, configuration.options)?;
    let (run, checkpoint) = match resumed {
        Some(resumed) => resumed,
        None => {
            let replaces = arguments.out.join(RUN_FILE).exists();
            let run = begin(&arguments.out, configuration, arguments.force)?;
            if replaces {
                output.note(format_args!("{}: replaces the run that was here", run.folder().display()))?;
            }
            (run, None)
        }
    };
    let mut record = RunRecord::default();
    if let Some(checkpoint) = &checkpoint {
        checkpoint.restore(&mut trainer)?;
        record = checkpoint.state().record;
        if checkpoint.state().is_finished() {
            return say_finished(&run, output);
        }
    }
    output.note(format_args!(
        "{}: {} parameters; {} images to train, {} to test",
        network.as_str(),
        grouped(trainer.params().len()),
        grouped(trainer.image_count()),
        grouped(test.labels().len()),
    ))?;
    output.note(format_args!(
        "threads: {}, kernels: {}",
        rayon::current_num_threads(),
        Isa::detect().name()
    ))?;
    if arguments.resume.is_some() {
        let position = trainer.position();
        let place = format!("epoch {}, batch {}", position.epoch + 1, position.batch + 1);
        output.note(format_args!("{}: goes on with {place}", run.folder().display()))?;
    }
    epochs::Epochs { trainer, test: &*test, run, record, output }.run(arguments.checkpoint_seconds)
}

fn begin(folder: &Path, configuration: Configuration, force: bool) -> Result<Run> {
    match Run::begin(folder, configuration, force) {
        Err(error @ FolderError::Unfinished { .. }) => {
            let command = resume_command(folder);
            Err(error).with_context(|| {
                format!("to go on: {command}; to start over: --force; or choose another folder: --out DIR")
            })
        }
        other => Ok(other?),
    }
}

/// Where the checkpoint is damaged, offers the one before.
fn resume(folder: &Path, previous: bool) -> Result<(Run, Option<Checkpoint>)> {
    match Run::resume(folder, previous) {
        Err(FolderError::Checkpoint(error)) if !previous => {
            let way_out = match Checkpoint::read(&folder.join(PREVIOUS_FILE)) {
                Ok(before) if folder.join(CHECKPOINT_FILE).exists() => {
                    let position = before.state().position;
                    format!(
                        "{}: sound, from epoch {}, batch {}; to go on from there: {} --previous",
                        folder.join(PREVIOUS_FILE).display(),
                        position.epoch + 1,
                        position.batch + 1,
                        resume_command(folder)
                    )
                }
                _ => "there is no sound checkpoint before it: the run has to start over".to_owned(),
            };
            bail!("{error}\n{way_out}")
        }
        other => Ok(other?),
    }
}

fn resume_command(folder: &Path) -> String {
    format!("lenet train --resume {}", folder.display())
}

fn samples(configuration: &Configuration, part: Part) -> Result<Box<dyn Samples>> {
    let data: Option<&PathBuf> = configuration.data.as_ref();
    Ok(match data {
        Some(dir) if configuration.stream => Box::new(IdxStream::open(dir, part)?),
        Some(dir) => Box::new(Dataset::load(dir, part)?),
        None => Box::new(Dataset::built_in(part)?),
    })
}

fn say_finished(run: &Run, output: Output) -> Result<()> {
    output.note(format_args!("{}: the run is finished", run.folder().display()))?;
    match run.last_epoch()? {
        Some(epoch) => say_result(epoch.test_accuracy, output),
        None => Ok(()),
    }
}

fn say_result(accuracy: f64, output: Output) -> Result<()> {
    output.result(
        format_args!("test accuracy: {:.2} %", 100.0 * accuracy),
        &json!({ "test_accuracy": accuracy }),
    )
}

//! `lenet train --resume`: a run goes on, wherever it and its data are now.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::arguments::Arguments;
use super::data::{Data, starting_from};
use super::epochs::Epochs;
use super::messages::{resume_command, say_result, say_what_is_trained};
use crate::checkpoint::{Checkpoint, Configuration, RunRecord, RunState};
use crate::cli::network::NetworkName;
use crate::cli::output::Output;
use crate::run::files::{CHECKPOINT_FILE, PREVIOUS_FILE};
use crate::run::{FolderError, Run, place};
use crate::weights::Weights;

pub(super) fn train(arguments: &Arguments, folder: &Path, output: Output) -> Result<()> {
    let (mut run, checkpoint) = resume(folder, arguments.previous)?;
    let mut configuration = run.configuration().clone();
    let state = checkpoint.as_ref().map(Checkpoint::state);
    let done = state.map_or(0, |state| state.position.epoch);
    if let Some(epochs) = arguments.epochs.map(|epochs| epochs as usize) {
        let is_asked_again = epochs == done && state.is_some_and(RunState::is_finished);
        if epochs <= done && !is_asked_again {
            bail!("--epochs {epochs}: {done} are done already in {}", folder.display());
        }
        configuration.options.epochs = epochs;
    }
    let is_finished = done >= configuration.options.epochs;
    if is_finished && arguments.data.is_none() {
        return say_finished(run, output);
    }
    let Some(network) = NetworkName::from_name(&configuration.network) else {
        bail!("the network {:?} is unknown", configuration.network);
    };
    let data = data(arguments, &configuration, folder)?;
    if let Some(moved) = &arguments.data {
        configuration.weights = configuration.weights.as_ref().map(|file| configuration.absolute(file));
        configuration.data = Some(moved.clone());
        configuration.called_in = env::current_dir().ok();
    }
    let mut trainer = data.trainer(network, &configuration)?;
    let mut record = RunRecord::default();
    if let Some(checkpoint) = &checkpoint {
        checkpoint.restore(&mut trainer)?;
        record = checkpoint.state().record;
    } else if let Some(file) = &configuration.weights {
        let file = configuration.absolute(file);
        trainer = starting_from(trainer, &Weights::read(&file)?, &file)?;
    }
    run.change(configuration)?;
    if is_finished {
        return say_finished(run, output);
    }
    say_what_is_trained(&trainer, network, &data, output)?;
    let (position, epochs) = (trainer.position(), trainer.options().epochs);
    output.note(format_args!(
        "{}: goes on with epoch {} of {epochs}, batch {}",
        folder.display(),
        position.epoch + 1,
        position.batch + 1
    ))?;
    Epochs { trainer, test: &*data.test, run, record, output }.run(arguments.checkpoint_seconds)
}

/// The images that the run learns from, from where they are now.
fn data(arguments: &Arguments, configuration: &Configuration, folder: &Path) -> Result<Data> {
    let found = data_folder(arguments, configuration);
    let data = Data::load(found.as_deref(), configuration.stream).with_context(|| {
        format!("the data of the run; if it is elsewhere now: {} --data DIR", resume_command(folder))
    })?;
    match &configuration.data_sha256 {
        Some(required) if data.sha256()? != *required => {
            bail!("{}: not the images of the run in {}, their SHA-256 differ", data.origin, folder.display())
        }
        _ => Ok(data),
    }
}

/// Where `--data` says; or where the data was; or in the folder of that name from here.
fn data_folder(arguments: &Arguments, configuration: &Configuration) -> Option<PathBuf> {
    if arguments.data.is_some() {
        return arguments.data.clone();
    }
    let recorded = configuration.data.as_ref()?;
    let before = configuration.absolute(recorded);
    Some(if before.exists() { before } else { recorded.clone() })
}

/// Where the checkpoint is damaged, offers the one before.
fn resume(folder: &Path, previous: bool) -> Result<(Run, Option<Checkpoint>)> {
    match Run::resume(folder, previous) {
        Err(FolderError::Checkpoint(error)) if !previous => {
            let place = place(folder);
            let file = place.join(PREVIOUS_FILE);
            let way_out = match Checkpoint::read(&file) {
                Ok(before) if place.join(CHECKPOINT_FILE).exists() => {
                    let position = before.state().position;
                    format!(
                        "{}: sound, from epoch {}, batch {}; to go on from there: {} --previous",
                        file.display(),
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

fn say_finished(run: Run, output: Output) -> Result<()> {
    output.note(format_args!("{}: the run is finished", run.folder().display()))?;
    match run.last_epoch()? {
        Some(epoch) => say_result(run.folder(), epoch.test_accuracy, output),
        None => Ok(()),
    }
}

//! `lenet train --resume`: a run goes on, wherever it and its data are now.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::advice::{cut_short, not_resumed, without_data};
use super::arguments::Arguments;
use super::data::{Data, starting_from};
use super::epochs::Epochs;
use super::messages::{say_result, say_what_is_trained};
use super::ranks::{check_same, follow};
use crate::checkpoint::{Checkpoint, Configuration, RunRecord, RunState};
use crate::cli::network::NetworkName;
use crate::cli::output::Output;
use crate::ranks::Ranks;
use crate::run::Run;
use crate::run::files::CHECKPOINT_FILE;
use crate::train::Trainer;
use crate::weights::Weights;

pub(super) fn train(arguments: &Arguments, folder: &Path, ranks: Ranks, output: Output) -> Result<()> {
    let (run, begun) = Begun::of_first(arguments, folder, ranks)?;
    let mut configuration = begun.configuration.clone();
    configuration.options.epochs = ranks.agree(begun.epochs(arguments, folder))?;
    let is_finished = begun.done() >= configuration.options.epochs;
    if is_finished && arguments.data.is_none() {
        return run.map_or(Ok(()), |run| say_finished(run, output));
    }
    let (network, data) = ranks.agree(begun.network_and_data(arguments, folder))?;
    if let Some(moved) = &arguments.data {
        configuration.weights = configuration.weights.as_ref().map(|file| configuration.absolute(file));
        configuration.data = Some(moved.clone());
        configuration.called_in = env::current_dir().ok();
    }
    let trainer = || data.trainer(ranks, network, &configuration).and_then(|trainer| begun.restore(trainer));
    let trainer = ranks.agree(trainer())?;
    check_same(&trainer, &configuration)?;
    let Some(mut run) = run else {
        return if is_finished { Ok(()) } else { follow(trainer, &configuration, &*data.test) };
    };
    run.change(configuration).map_err(|error| cut_short(error.into(), folder))?;
    if is_finished {
        return say_finished(run, output);
    }
    let (position, epochs) = (trainer.position(), trainer.options().epochs);
    let said = say_what_is_trained(&trainer, network, &data, output).and_then(|()| {
        output.note(format_args!(
            "{}: goes on with epoch {} of {epochs}, batch {}",
            folder.display(),
            position.epoch + 1,
            position.batch + 1
        ))
    });
    said.map_err(|error| cut_short(error, folder))?;
    let record =
        begun.checkpoint.as_ref().map_or_else(RunRecord::default, |checkpoint| checkpoint.state().record);
    Epochs { trainer, test: &*data.test, run, record, output }.run(arguments.checkpoint_seconds)
}

/// A run as it was left.
struct Begun {
    configuration: Configuration,
    checkpoint: Option<Checkpoint>,
}

impl Begun {
    /// The first process has the run's folder, which may be on its machine only, and tells the others what is in it.
    fn of_first(arguments: &Arguments, folder: &Path, ranks: Ranks) -> Result<(Option<Run>, Self)> {
        if ranks.is_first() {
            let previous = arguments.previous;
            let resumed = Run::resume(folder, previous);
            let (run, checkpoint) = resumed.map_err(|error| not_resumed(error, folder, previous))?;
            let configuration = run.configuration().clone();
            if !ranks.is_alone() {
                ranks.of_first(&serde_json::to_vec(&configuration)?);
                ranks.of_first(checkpoint.as_ref().map_or(&[], Checkpoint::as_bytes));
            }
            return Ok((Some(run), Self { configuration, checkpoint }));
        }
        let (configuration, checkpoint) = (ranks.of_first(&[]), ranks.of_first(&[]));
        let configuration = serde_json::from_slice(&configuration)?;
        let has_checkpoint = !checkpoint.is_empty();
        let checkpoint = has_checkpoint
            .then(|| Checkpoint::from_bytes(&folder.join(CHECKPOINT_FILE), checkpoint))
            .transpose()?;
        Ok((None, Self { configuration, checkpoint }))
    }

    /// How many epochs are done.
    fn done(&self) -> usize {
        self.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.state().position.epoch)
    }

    /// How many epochs there are to be.
    fn epochs(&self, arguments: &Arguments, folder: &Path) -> Result<usize> {
        let Some(epochs) = arguments.epochs.map(|epochs| epochs as usize) else {
            return Ok(self.configuration.options.epochs);
        };
        let state = self.checkpoint.as_ref().map(Checkpoint::state);
        let is_asked_again = epochs == self.done() && state.is_some_and(RunState::is_finished);
        if epochs <= self.done() && !is_asked_again {
            bail!("--epochs {epochs}: {} are done already in {}", self.done(), folder.display());
        }
        Ok(epochs)
    }

    fn network_and_data(&self, arguments: &Arguments, folder: &Path) -> Result<(NetworkName, Data)> {
        let Some(network) = NetworkName::from_name(&self.configuration.network) else {
            bail!("the network {:?} is unknown", self.configuration.network);
        };
        Ok((network, data(arguments, &self.configuration, folder)?))
    }

    /// Takes a new trainer to where the run was.
    fn restore<'d>(&self, mut trainer: Trainer<'d, 12>) -> Result<Trainer<'d, 12>> {
        if let Some(checkpoint) = &self.checkpoint {
            checkpoint.restore(&mut trainer)?;
        } else if let Some(file) = &self.configuration.weights {
            let file = self.configuration.absolute(file);
            return starting_from(trainer, &Weights::read(&file)?, &file);
        }
        Ok(trainer)
    }
}

/// The images that the run learns from, from where they are now.
fn data(arguments: &Arguments, configuration: &Configuration, folder: &Path) -> Result<Data> {
    let found = data_folder(arguments, configuration);
    let load = || -> Result<Data> {
        let data = Data::load(found.as_deref(), configuration.stream)?;
        match &configuration.data_sha256 {
            Some(required) if data.sha256()? != *required => {
                bail!(
                    "{}: not the images of the run in {}, their SHA-256 differ",
                    data.origin,
                    folder.display()
                )
            }
            _ => Ok(data),
        }
    };
    load().map_err(|error| without_data(&error, folder))
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

fn say_finished(run: Run, output: Output) -> Result<()> {
    output.note(format_args!("{}: the run is finished", run.folder().display()))?;
    match run.last_epoch()? {
        Some(epoch) => say_result(run.folder(), epoch.test_accuracy, output),
        None => Ok(()),
    }
}

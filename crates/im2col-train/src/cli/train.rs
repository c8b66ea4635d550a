//! `lenet train`

mod arguments;
mod data;
mod epochs;
mod live;
mod messages;
mod resumed;
mod signals;

use std::path::Path;

use anyhow::{Context, Result};

pub(crate) use self::arguments::Arguments;
use self::data::{Data, starting_from};
use self::epochs::Epochs;
use self::messages::{resume_command, say_what_is_trained};
use super::defaults::FIRST_RUN;
use super::network::NetworkName;
use super::output::Output;
use super::threads::thread_pool;
use crate::checkpoint::{Configuration, RunRecord};
use crate::run::{FolderError, Run};
use crate::weights::Weights;

pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<()> {
    // The work is worth more than what is said of it.
    let output = output.outliving_reader();
    thread_pool(arguments.threads)?.install(|| match &arguments.resume {
        Some(folder) => resumed::train(arguments, folder, output),
        None => train(arguments, output),
    })
}

/// A new run. Nothing is written before everything that was asked for is known to be there and to fit.
fn train(arguments: &Arguments, output: Output) -> Result<()> {
    let file = arguments.weights.as_deref();
    let weights = file.map(Weights::read).transpose()?.zip(file);
    let network = match &weights {
        Some((weights, file)) => NetworkName::of_file(arguments.network, weights, file)?,
        None => arguments.network.unwrap_or_default(),
    };
    arguments.check(network)?;
    let mut configuration = arguments.configuration(network);
    let data = Data::load(arguments.data.as_deref(), configuration.stream)?;
    let mut trainer = data.trainer(network, &configuration)?;
    if let Some((weights, file)) = &weights {
        trainer = starting_from(trainer, weights, file)?;
    }
    configuration.data_sha256 = Some(data.sha256()?);
    let run = begin(arguments, configuration, output)?;
    say_what_is_trained(&trainer, network, &data, output)?;
    let epochs = Epochs { trainer, test: &*data.test, run, record: RunRecord::default(), output };
    epochs.run(arguments.checkpoint_seconds)
}

fn begin(arguments: &Arguments, configuration: Configuration, output: Output) -> Result<Run> {
    let Some(folder) = arguments.out.as_deref().or(arguments.force.then_some(Path::new(FIRST_RUN))) else {
        let (run, taken) = Run::begin_free(Path::new(FIRST_RUN), &configuration)?;
        if let Some(taken) = taken {
            output.warn(format_args!("{taken}; this one goes to {}", run.folder().display()));
        }
        return Ok(run);
    };
    match Run::begin(folder, configuration, arguments.force) {
        Ok(run) => {
            if run.replaces() {
                let folder = folder.display();
                output.warn(format_args!(
                    "{folder}: the run that is here will be replaced when this one is complete"
                ));
            }
            Ok(run)
        }
        Err(error @ FolderError::Unfinished { .. }) => {
            let command = resume_command(folder);
            Err(error).with_context(|| {
                format!("to go on: {command}; to replace it: --force; or choose another folder: --out DIR")
            })
        }
        Err(error @ FolderError::Finished { .. }) => {
            Err(error).context("to replace it: --force; or choose another folder: --out DIR")
        }
        Err(error) => Err(error.into()),
    }
}

//! `lenet train`

mod advice;
mod arguments;
mod data;
mod epochs;
mod live;
mod messages;
mod ranks;
mod resumed;
mod signals;

use std::path::Path;

use anyhow::{Error, Result};

use self::advice::{cut_short, not_begun};
pub(crate) use self::arguments::Arguments;
use self::data::{Data, starting_from};
use self::epochs::Epochs;
use self::messages::say_what_is_trained;
use self::ranks::{check_same, follow};
use super::defaults::FIRST_RUN;
use super::exit::{is_told_by_other, tell};
use super::network::NetworkName;
use super::output::Output;
use super::threads::thread_pool;
use crate::checkpoint::{Configuration, RunRecord};
use crate::ranks::{Job, Ranks};
use crate::run::Run;
use crate::train::Trainer;
use crate::weights::Weights;

pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<()> {
    // The work is worth more than what is said of it.
    let output = output.outliving_reader();
    let job = Job::join()?;
    let ranks = job.ranks();
    let outcome = thread_pool(arguments.threads).and_then(|pool| {
        pool.install(|| match &arguments.resume {
            Some(folder) => resumed::train(arguments, folder, ranks, output),
            None => train(arguments, ranks, output),
        })
    });
    match outcome {
        Err(error) if !ranks.is_alone() && !is_told_by_other(&error) => {
            job.abort(tell(&of_rank(ranks.rank(), error)));
            Ok(())
        }
        // At the end of the job, a process waits for the others: also for one that has an error to tell, and then ends all.
        outcome => outcome,
    }
}

fn of_rank(rank: usize, error: Error) -> Error {
    if rank > 0 { error.context(format!("rank {rank}")) } else { error }
}

/// A new run. Nothing is written before everything that was asked for is known to be there and to fit.
fn train(arguments: &Arguments, ranks: Ranks, output: Output) -> Result<()> {
    let Asked { network, configuration, weights, data } = ranks.agree(Asked::load(arguments))?;
    let trainer = || -> Result<Trainer<'_, 12>> {
        let trainer = data.trainer(ranks, network, &configuration)?;
        match &weights {
            Some((weights, file)) => starting_from(trainer, weights, file),
            None => Ok(trainer),
        }
    };
    let trainer = ranks.agree(trainer())?;
    check_same(&trainer, &configuration)?;
    if !ranks.is_first() {
        return follow(trainer, &configuration, &*data.test);
    }
    let run = begin(arguments, configuration, output)?;
    let said = say_what_is_trained(&trainer, network, &data, output);
    said.map_err(|error| cut_short(error, run.folder()))?;
    let epochs = Epochs { trainer, test: &*data.test, run, record: RunRecord::default(), output };
    epochs.run(arguments.checkpoint_seconds)
}

/// What a new run is made of.
struct Asked<'a> {
    network: NetworkName,
    configuration: Configuration,
    /// Those to start from, and their file.
    weights: Option<(Weights, &'a Path)>,
    data: Data,
}

impl<'a> Asked<'a> {
    fn load(arguments: &'a Arguments) -> Result<Self> {
        let file = arguments.weights.as_deref();
        let weights = file.map(Weights::read).transpose()?.zip(file);
        let network = match &weights {
            Some((weights, file)) => NetworkName::of_file(arguments.network, weights, file)?,
            None => arguments.network.unwrap_or_default(),
        };
        arguments.check(network)?;
        let mut configuration = arguments.configuration(network);
        let data = Data::load(arguments.data.as_deref(), configuration.stream)?;
        configuration.data_sha256 = Some(data.sha256()?);
        Ok(Self { network, configuration, weights, data })
    }
}

fn begin(arguments: &Arguments, configuration: Configuration, output: Output) -> Result<Run> {
    let Some(folder) = arguments.out.as_deref().or(arguments.force.then_some(Path::new(FIRST_RUN))) else {
        let begun = Run::begin_free(Path::new(FIRST_RUN), &configuration);
        let (run, taken) = begun.map_err(|error| not_begun(error, Path::new(FIRST_RUN)))?;
        if let Some(taken) = taken {
            output.warn(format_args!("{taken}; this one goes to {}", run.folder().display()));
        }
        return Ok(run);
    };
    let begun = Run::begin(folder, configuration, arguments.force);
    let run = begun.map_err(|error| not_begun(error, folder))?;
    if run.replaces() {
        let folder = folder.display();
        output
            .warn(format_args!("{folder}: the run that is here will be replaced when this one is complete"));
    }
    Ok(run)
}

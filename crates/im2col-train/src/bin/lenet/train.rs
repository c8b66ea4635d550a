//! `lenet train`

mod arguments;
mod epochs;
mod live;
mod resumed;
mod signals;

use std::path::Path;

use anyhow::{Context, Result};
use im2col::Isa;
use im2col_train::checkpoint::{Configuration, DataSha256, RunRecord};
use im2col_train::dataset::{Dataset, Part};
use im2col_train::metrics::WEIGHTS_FILE;
use im2col_train::run::{FolderError, Run};
use im2col_train::samples::{self, Samples};
use im2col_train::shell::quoted;
use im2col_train::stream::IdxStream;
use im2col_train::summary::grouped;
use im2col_train::train::Trainer;
use im2col_train::weights::Weights;
use serde_json::json;

pub(crate) use self::arguments::Arguments;
use self::epochs::Epochs;
use crate::network::NetworkName;
use crate::output::Output;
use crate::{FIRST_RUN, check_image_size, images_of, thread_pool};

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

/// The images of a run.
struct Data {
    train: Box<dyn Samples>,
    test: Box<dyn Samples>,
    /// Where they come from, for people.
    origin: String,
}

impl Data {
    /// Both parts, of the size that networks take.
    fn load(folder: Option<&Path>, stream: bool) -> Result<Self> {
        let origin = folder.map_or("the built-in digits".to_owned(), |folder| folder.display().to_string());
        let load = |part| -> Result<Box<dyn Samples>> {
            let samples: Box<dyn Samples> = match folder {
                Some(folder) if stream => Box::new(IdxStream::open(folder, part)?),
                Some(folder) => Box::new(Dataset::load(folder, part)?),
                None => Box::new(Dataset::built_in(part)?),
            };
            check_image_size(&*samples).with_context(|| format!("{origin}: {}", images_of(part)))?;
            Ok(samples)
        };
        Ok(Self { train: load(Part::Train)?, test: load(Part::Test)?, origin })
    }

    /// A trainer for them, whose network has an output for every label of both parts.
    fn trainer(&self, network: NetworkName, configuration: &Configuration) -> Result<Trainer<'_, 12>> {
        let part = |part| format!("{}: {}", self.origin, images_of(part));
        let trainer = Trainer::new(network.layers(), &*self.train, configuration.options)
            .with_context(|| part(Part::Train))?;
        trainer.check(&*self.test).with_context(|| part(Part::Test))?;
        Ok(trainer)
    }

    fn sha256(&self) -> Result<DataSha256> {
        Ok(DataSha256 { train: samples::sha256(&*self.train)?, test: samples::sha256(&*self.test)? })
    }
}

/// The trainer with the weights of a file.
fn starting_from<'d>(trainer: Trainer<'d, 12>, weights: &Weights, file: &Path) -> Result<Trainer<'d, 12>> {
    let params = weights.params(trainer.network())?;
    trainer.with_params(params).with_context(|| file.display().to_string())
}

fn say_what_is_trained(
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
    output.note(format_args!("threads: {}, kernels: {}", rayon::current_num_threads(), Isa::detect().name()))
}

fn resume_command(folder: &Path) -> String {
    format!("lenet train --resume {}", quoted(folder))
}

/// The end of a run that is complete: where its weights are, what can be done with them, how good they are.
fn say_result(folder: &Path, accuracy: f64, output: Output) -> Result<()> {
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

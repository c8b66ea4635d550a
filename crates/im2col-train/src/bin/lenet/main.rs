//! `lenet`: trains, tests and shows LeNet on handwritten digits.

#![forbid(unsafe_code)]

mod eval;
mod export;
mod fetch;
mod network;
mod output;
mod predict;
mod profile;
mod report;
mod summary;
mod train;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use im2col_train::dataset::{Dataset, Part};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::output::Output;

/// The weights that `train` leaves, where nobody says otherwise.
const WEIGHTS: &str = "runs/lenet/weights.safetensors";
const MOST_THREADS: i64 = 256;
/// Height and width of a digit.
const SIDE: usize = 28;

/// The exit code after SIGINT or SIGTERM.
const INTERRUPTED: u8 = 130;

/// LeNet on handwritten digits, trained through im2col convolutions.
///
/// Exit codes: 0 all is well, 1 an error, 2 a command line that is not understood, 130 interrupted and saved.
#[derive(Debug, Parser)]
#[command(name = "lenet", version)]
struct Cli {
    #[command(flatten)]
    output: Output,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train a network and save its weights
    Train(train::Arguments),
    /// Write trained parameters for other programs
    Export(export::Arguments),
    /// Download a data set
    Fetch(fetch::Arguments),
    /// Print the test accuracy and loss of saved weights
    Eval(eval::Arguments),
    /// Print which digit a picture shows
    Predict(predict::Arguments),
    /// Print the layers with their output shapes, parameters and multiply-adds
    Summary(summary::Arguments),
    /// Print where the time of a training step goes
    #[command(after_help = profile::EXAMPLES)]
    Profile(profile::Arguments),
    /// Write a page that shows a run: curves, confusion matrix, kernels, feature maps, mistakes
    #[command(after_help = report::EXAMPLES)]
    Report(report::Arguments),
}

/// Not an error: the work is saved, and the text says how to go on.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Interrupted(String);

/// An error of which everything has been said.
#[derive(Debug, thiserror::Error)]
#[error("said before")]
struct Said;

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Said>() => ExitCode::FAILURE,
        Err(error) if error.is::<Interrupted>() => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::from(INTERRUPTED)
        }
        Err(error) => {
            // Where stderr is closed, the exit code has to do.
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    match &cli.command {
        Command::Train(arguments) => train::run(arguments, cli.output),
        Command::Export(arguments) => export::run(arguments, cli.output),
        Command::Fetch(arguments) => fetch::run(arguments, cli.output),
        Command::Eval(arguments) => eval::run(arguments, cli.output),
        Command::Predict(arguments) => predict::run(arguments, cli.output),
        Command::Summary(arguments) => summary::run(arguments, cli.output),
        Command::Profile(arguments) => profile::run(arguments, cli.output),
        Command::Report(arguments) => report::run(arguments, cli.output),
    }
}

/// By default, a thread for each core.
fn thread_pool(threads: Option<u16>) -> Result<ThreadPool> {
    let threads = threads.map_or(0, usize::from);
    ThreadPoolBuilder::new().num_threads(threads).build().context("the threads do not start")
}

/// The folder's data set, or the built-in one.
fn dataset(dir: Option<&Path>, part: Part) -> Result<Dataset> {
    Ok(match dir {
        Some(dir) => Dataset::load(dir, part)?,
        None => Dataset::built_in(part)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}

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
mod saved;
mod summary;
mod train;

use std::any::TypeId;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Arg, CommandFactory, FromArgMatches, Parser, Subcommand};
use im2col_train::dataset::{Dataset, Part};
use im2col_train::metrics::WEIGHTS_FILE;
use im2col_train::run;
use im2col_train::samples::Samples;
use im2col_train::summary::dims_text;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::output::{Output, ReaderGone};

/// Where runs are, unless `train --out` says otherwise.
const RUNS: &str = "runs";
/// The folder of the first run there.
const FIRST_RUN: &str = "runs/lenet";
/// The weights that it leaves.
const WEIGHTS: &str = "runs/lenet/weights.safetensors";
const MOST_THREADS: i64 = 256;
/// Height and width of a digit.
const SIDE: usize = 28;

/// The exit code of a command line that is not understood.
const MISUNDERSTOOD: u8 = 2;

/// LeNet on handwritten digits, trained through im2col convolutions.
///
/// Exit codes: 0 all is well, 1 an error, 2 a command line that is not understood, 130 interrupted by Ctrl-C and saved,
/// 143 ended by SIGTERM and saved.
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
#[error("{text}")]
struct Interrupted {
    text: String,
    /// 128 and the number of the signal, as shells have it.
    exit_code: u8,
}

/// An error of which everything has been said.
#[derive(Debug, thiserror::Error)]
#[error("said before")]
struct Said;

fn main() -> ExitCode {
    let outcome =
        Cli::from_arg_matches(&command().get_matches()).map_err(Into::into).and_then(|cli| run(&cli));
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    // Where stderr is closed, the exit code has to do.
    if let Some(Interrupted { exit_code, .. }) = error.downcast_ref() {
        let _ = writeln!(io::stderr(), "{error}");
        ExitCode::from(*exit_code)
    } else if error.is::<Said>() {
        ExitCode::FAILURE
    } else if error.is::<ReaderGone>() {
        // As in `lenet summary | head -1`: whoever read has had enough.
        ExitCode::SUCCESS
    } else if let Some(error) = error.downcast_ref::<clap::Error>() {
        let _ = error.print();
        ExitCode::from(MISUNDERSTOOD)
    } else {
        let _ = writeln!(io::stderr(), "error: {error:#}");
        ExitCode::FAILURE
    }
}

/// The command line. Every option that is a number takes one below 0, to be told its range; and instead of the first run that
/// there could be, the default is the newest that there is.
fn command() -> clap::Command {
    static RUN: LazyLock<Option<PathBuf>> = LazyLock::new(|| run::newest(Path::new(RUNS)));
    static FILE: LazyLock<Option<PathBuf>> = LazyLock::new(|| Some(RUN.as_ref()?.join(WEIGHTS_FILE)));
    Cli::command().mut_subcommands(|command| {
        command.mut_args(|arg| {
            let arg = match arg.get_default_values().first().and_then(|value| value.to_str()) {
                Some(FIRST_RUN) => newest_by_default(arg, RUN.as_deref()),
                Some(WEIGHTS) => newest_by_default(arg, FILE.as_deref()),
                _ => arg,
            };
            // Also -inf and -1e-3, which are no numbers to clap.
            if is_number(&arg) { arg.allow_hyphen_values(true) } else { arg }
        })
    })
}

fn is_number(arg: &Arg) -> bool {
    let parsed = arg.get_value_parser().type_id();
    let [float, byte] = [TypeId::of::<f64>(), TypeId::of::<u8>()];
    let wholes = [TypeId::of::<u16>(), TypeId::of::<u32>(), TypeId::of::<u64>()];
    let takes_value = arg.get_long().is_some() && arg.get_action().takes_values();
    takes_value
        && [float, byte, TypeId::of::<Duration>()].iter().chain(&wholes).any(|number| parsed == *number)
}

fn newest_by_default(arg: Arg, newest: Option<&'static Path>) -> Arg {
    match newest {
        Some(path) => arg.default_value(path.as_os_str()),
        None => arg,
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
    let Some(dir) = dir else { return Ok(Dataset::built_in(part)?) };
    let dataset = Dataset::load(dir, part)?;
    check_image_size(&dataset).with_context(|| format!("{}: {}", dir.display(), images_of(part)))?;
    Ok(dataset)
}

/// All networks take images of one size.
fn check_image_size(samples: &dyn Samples) -> Result<()> {
    match samples.image_dims() {
        [1, SIDE, SIDE] => Ok(()),
        [1, rows, columns] => {
            bail!(
                "images are {}, the network takes {}",
                dims_text(&[rows, columns]),
                dims_text(&[SIDE, SIDE])
            )
        }
        dims => bail!("images are {}, the network takes {}", dims_text(&dims), dims_text(&[1, SIDE, SIDE])),
    }
}

fn images_of(part: Part) -> &'static str {
    match part {
        Part::Train => "images to train with",
        Part::Test => "images to test with",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    /// Whatever takes a number says its range, not that the number is an unexpected argument.
    #[test]
    fn numbers_below_0_are_told_the_range() {
        let mut tried = 0;
        for subcommand in Cli::command().get_subcommands() {
            for option in subcommand.get_arguments().filter(|arg| is_number(arg)).filter_map(Arg::get_long) {
                for number in ["-1", "-0.1", "-.5", "-1e-5", "-inf"] {
                    let args = ["lenet", subcommand.get_name(), &format!("--{option}"), number];
                    let error = command().try_get_matches_from(args).unwrap_err().to_string();
                    let expected = format!("error: invalid value '{number}' for '--{option}");
                    assert!(error.starts_with(&expected), "{args:?}: {error}");
                    tried += 1;
                }
            }
        }
        assert!(tried >= 5 * 14, "{tried}");
    }
}

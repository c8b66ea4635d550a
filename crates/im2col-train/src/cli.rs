//! The command `lenet`: trains, tests and shows LeNet on handwritten digits.

mod data;
mod defaults;
mod eval;
mod exit;
mod export;
mod fetch;
mod network;
mod output;
mod predict;
mod profile;
mod report;
mod saved;
mod sets;
mod summary;
mod threads;
mod train;

use std::any::TypeId;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

use self::defaults::{FIRST_RUN, RUNS, WEIGHTS};
use self::output::Output;
use crate::run;
use crate::run::files::WEIGHTS_FILE;

/// What two clocks may differ by, for instance those of this computer and of the server that has its files.
const CLOCKS_DIFFER: Duration = Duration::from_secs(60);

/// The newest run, and when it was saved.
static NEWEST: LazyLock<Option<(SystemTime, PathBuf)>> = LazyLock::new(|| run::newest(Path::new(RUNS)));

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
    /// Print each layer's output shape, parameters and multiply-adds, and the memory of them all
    ///
    /// The memory is that of a program which takes one image at a time: does it fit into a microcontroller? Parameters are in flash
    /// for inference, in RAM for training. Inference takes input, output and scratch. A training step takes what is listed under it,
    /// the input, and a gradient as long as the output. Code and stack come on top. The least memory is that of
    /// `Network::with_scratch_limit(network.least_scratch_len())`, of training likewise; full speed is that of this computer.
    Summary(summary::Arguments),
    /// Print where the time of a training step goes
    #[command(after_help = profile::EXAMPLES)]
    Profile(profile::Arguments),
    /// Write a page that shows a run: curves, confusion matrix, kernels, feature maps, mistakes
    #[command(after_help = report::EXAMPLES)]
    Report(report::Arguments),
}

/// Does what the command line of this process asks for, prints what came of it, and returns the exit code: 0 all is well,
/// 1 an error, 2 a command line that is not understood, 130 interrupted by Ctrl-C and saved, 143 ended by SIGTERM and
/// saved.
#[must_use]
pub fn main() -> ExitCode {
    let matches = command().try_get_matches();
    let cli = matches.and_then(|matches| {
        let cli = Cli::from_arg_matches(&matches)?;
        warn_of_future(&matches, cli.output);
        Ok(cli)
    });
    match cli.map_err(Into::into).and_then(|cli| run(&cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => ExitCode::from(exit::tell(&error)),
    }
}

/// The command line. Every option that is a number takes one below 0, to be told its range; and instead of the first run that
/// there could be, the default is the newest that there is.
fn command() -> clap::Command {
    static RUN: LazyLock<Option<&Path>> = LazyLock::new(|| NEWEST.as_ref().map(|(_, run)| run.as_path()));
    static FILE: LazyLock<Option<PathBuf>> = LazyLock::new(|| Some(RUN.as_ref()?.join(WEIGHTS_FILE)));
    Cli::command().mut_subcommands(|command| {
        command.mut_args(|arg| {
            let arg = match arg.get_default_values().first().and_then(|value| value.to_str()) {
                Some(FIRST_RUN) => newest_by_default(arg, *RUN),
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

/// Says so where a command takes the newest run and the clock leaves open which that is.
fn warn_of_future(matches: &ArgMatches, output: Output) {
    let (Some((saved, run)), Some((_, arguments))) = (&*NEWEST, matches.subcommand()) else { return };
    let is_default = |name: &str| {
        arguments.try_contains_id(name).is_ok()
            && arguments.value_source(name) == Some(ValueSource::DefaultValue)
    };
    let is_future = *saved > SystemTime::now() + CLOCKS_DIFFER;
    if is_future && ["runs", "weights"].into_iter().any(is_default) {
        output.warn(format_args!(
            "{}: taken for the newest run, but saved in the future, so the clock was set: to be sure, name the run",
            run.display()
        ));
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

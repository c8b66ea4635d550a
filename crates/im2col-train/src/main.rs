//! `lenet`: trains, tests and shows LeNet on handwritten digits.

#![forbid(unsafe_code)]

mod args;

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Parser;
use im2col::{Isa, Network};
use im2col_train::checkpoint::{self, Checkpoint};
use im2col_train::dataset::{Dataset, Part};
use im2col_train::predict;
use im2col_train::runner::Runner;
use im2col_train::summary::{grouped, table};
use im2col_train::train::Trainer;
use indicatif::{ProgressBar, ProgressStyle};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::args::{Cli, Command, EvalArgs, NetworkName, PredictArgs, SummaryArgs, TrainArgs};

/// Height and width of a digit.
const SIDE: usize = 28;

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where stderr is closed, the exit code has to do.
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Train(args) => thread_pool(args.threads)?.install(|| train(&args)),
        Command::Eval(args) => thread_pool(args.threads)?.install(|| eval(&args)),
        Command::Predict(args) => predict(&args),
        Command::Summary(args) => summary(&args),
    }
}

/// By default, a thread for each core.
fn thread_pool(threads: Option<u16>) -> Result<ThreadPool> {
    let threads = threads.map_or(0, usize::from);
    ThreadPoolBuilder::new().num_threads(threads).build().context("the threads do not start")
}

fn train(args: &TrainArgs) -> Result<()> {
    let (train, test) =
        (dataset(args.data.as_deref(), Part::Train)?, dataset(args.data.as_deref(), Part::Test)?);
    if train.image_dims() != test.image_dims() {
        bail!("the training images are {:?}, the test images {:?}", train.image_dims(), test.image_dims());
    }
    let options = args.options();
    let mut trainer = Trainer::new(args.network.layers(), &train, options)?;
    // Before the work, not after it.
    fs::create_dir_all(&args.out).with_context(|| args.out.display().to_string())?;
    say(format_args!(
        "{}: {} parameters, {} training images, {} test images, threads: {}, kernels: {}",
        args.network.as_str(),
        grouped(trainer.params().len()),
        grouped(train.len()),
        grouped(test.len()),
        rayon::current_num_threads(),
        Isa::detect().name(),
    ))?;

    let mut accuracy = 0.0;
    for epoch in 1..=options.epochs {
        let bar = progress_bar(epoch, train.len())?;
        let start = Instant::now();
        let totals = trainer.epoch(|images| bar.inc(images as u64))?;
        let seconds = start.elapsed().as_secs_f64();
        bar.finish_and_clear();
        if !totals.loss().is_finite() {
            bail!("the loss is {} in epoch {epoch}: a smaller --lr may help", totals.loss());
        }
        accuracy = trainer.accuracy(&test)?;
        say(format_args!(
            "epoch {epoch:>2}/{}  loss {:.4}  train {:5.2} %  test {:5.2} %  {:.0} images/s",
            options.epochs,
            totals.loss(),
            100.0 * totals.accuracy(),
            100.0 * accuracy,
            train.len() as f64 / seconds,
        ))?;
    }

    let file = args.out.join(args::WEIGHTS_FILE);
    checkpoint::save(&file, args.network.as_str(), trainer.network(), trainer.params())?;
    say(format_args!("saved {}", file.display()))?;
    say_test_accuracy(accuracy)
}

fn eval(args: &EvalArgs) -> Result<()> {
    let test = dataset(args.data.as_deref(), Part::Test)?;
    let checkpoint = Checkpoint::read(&args.weights)?;
    let network = network_of(args.network, &checkpoint, &args.weights)?;
    let mut runner = Runner::new(network.layers(), test.image_dims(), test.len())?;
    let params = checkpoint.params(runner.network())?;
    say_test_accuracy(runner.accuracy(&params, &test)?)
}

fn predict(args: &PredictArgs) -> Result<()> {
    let checkpoint = Checkpoint::read(&args.weights)?;
    let network = network_of(args.network, &checkpoint, &args.weights)?;
    let network = Network::plan(network.layers(), 1, [1, SIDE, SIDE])?;
    let params = checkpoint.params(&network)?;
    let in_picture = || args.image.display().to_string();
    let picture = fs::read(&args.image).with_context(in_picture)?;
    let digit = predict::digit_from_png(&picture, SIDE as u32, SIDE as u32).with_context(in_picture)?;
    let probabilities = predict::probabilities(&network, &params, &digit)?;
    say(format_args!("digit: {}", im2col::argmax(&probabilities).unwrap_or_default()))?;
    for (class, probability) in probabilities.iter().enumerate() {
        say(format_args!("{class} {:>6.2} %", 100.0 * probability))?;
    }
    Ok(())
}

fn summary(args: &SummaryArgs) -> Result<()> {
    let network = Network::plan(args.network.layers(), 1, [1, SIDE, SIDE])?;
    say(table(&network).trim_end())
}

/// The folder's data set, or the built-in one.
fn dataset(dir: Option<&Path>, part: Part) -> Result<Dataset> {
    Ok(match dir {
        Some(dir) => Dataset::load(dir, part)?,
        None => Dataset::built_in(part)?,
    })
}

/// The network of a file: its tensors are the same for both, so its metadata decides, if it has any.
fn network_of(requested: Option<NetworkName>, checkpoint: &Checkpoint, file: &Path) -> Result<NetworkName> {
    let Some(saved) = checkpoint.network() else { return Ok(requested.unwrap_or_default()) };
    match NetworkName::from_name(saved) {
        None => bail!("{}: the network {saved:?} is unknown", file.display()),
        Some(saved) if requested.is_some_and(|requested| requested != saved) => {
            bail!("{}: these are weights of {}", file.display(), saved.as_str())
        }
        Some(saved) => Ok(saved),
    }
}

/// On stderr, and only if that is a terminal.
fn progress_bar(epoch: usize, images: usize) -> Result<ProgressBar> {
    let style = ProgressStyle::with_template("epoch {prefix:>2} [{bar:40}] {pos}/{len} images, {eta} to go")?;
    Ok(ProgressBar::new(images as u64).with_style(style.progress_chars("=> ")).with_prefix(epoch.to_string()))
}

fn say_test_accuracy(accuracy: f64) -> Result<()> {
    say(format_args!("test accuracy: {:.2} %", 100.0 * accuracy))
}

/// Like `println!`, but a closed pipe is an error, not a panic.
fn say(line: impl std::fmt::Display) -> Result<()> {
    writeln!(io::stdout(), "{line}").context("stdout")
}

//! `lenet train`

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum, value_parser};
use im2col::Isa;
use im2col_train::checkpoint;
use im2col_train::dataset::Part;
use im2col_train::schedule::Schedule;
use im2col_train::summary::grouped;
use im2col_train::train::{Options, Trainer};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::network::NetworkName;
use crate::output::Output;
use crate::{MOST_THREADS, dataset, thread_pool};

/// The file that `train` leaves in its folder.
const WEIGHTS_FILE: &str = "weights.safetensors";
const OUT_DIR: &str = "runs/lenet";

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Sigmoid and average pooling (lenet) or ReLU and max pooling (lenet-relu)
    #[arg(long, value_enum, default_value_t)]
    network: NetworkName,
    /// Folder with the four IDX files of MNIST or a relative [default: the built-in digits]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// How often each image is seen
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = value_parser!(u32).range(1..))]
    epochs: u32,
    /// Images per step
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = value_parser!(u32).range(1..))]
    batch: u32,
    /// Learning rate
    #[arg(long, value_name = "X", default_value_t = Options::default().rate, value_parser = learning_rate)]
    lr: f32,
    /// How the learning rate changes: not at all, or along half a cosine down to 0
    #[arg(long, value_enum, default_value_t)]
    schedule: ScheduleName,
    /// How much of a step goes into the next one, 0 to 1
    #[arg(long, value_name = "X", default_value_t = Options::default().momentum, value_parser = momentum)]
    momentum: f32,
    /// Decides the initial weights and the order of the images
    #[arg(long, value_name = "S", default_value_t = Options::default().seed)]
    seed: u64,
    /// Threads; the weights do not depend on it [default: one for each core]
    #[arg(long, value_name = "T", value_parser = value_parser!(u16).range(1..=MOST_THREADS))]
    threads: Option<u16>,
    /// Folder to leave weights.safetensors in
    #[arg(long, value_name = "DIR", default_value = OUT_DIR)]
    out: PathBuf,
}

impl Arguments {
    fn options(&self) -> Options {
        Options {
            epochs: self.epochs as usize,
            batch: self.batch as usize,
            rate: self.lr,
            schedule: match self.schedule {
                ScheduleName::Constant => Schedule::Constant,
                ScheduleName::Cosine => Schedule::Cosine,
            },
            momentum: self.momentum,
            seed: self.seed,
        }
    }
}

pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<()> {
    thread_pool(arguments.threads)?.install(|| train(arguments, output))
}

fn train(arguments: &Arguments, output: Output) -> Result<()> {
    let (train, test) =
        (dataset(arguments.data.as_deref(), Part::Train)?, dataset(arguments.data.as_deref(), Part::Test)?);
    if train.image_dims() != test.image_dims() {
        bail!("the training images are {:?}, the test images {:?}", train.image_dims(), test.image_dims());
    }
    let options = arguments.options();
    let mut trainer = Trainer::new(arguments.network.layers(), &train, options)?;
    // Before the work, not after it.
    fs::create_dir_all(&arguments.out).with_context(|| arguments.out.display().to_string())?;
    output.note(format_args!(
        "{}: {} parameters, {} training images, {} test images, threads: {}, kernels: {}",
        arguments.network.as_str(),
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
        output.note(format_args!(
            "epoch {epoch:>2}/{}  loss {:.4}  train {:5.2} %  test {:5.2} %  {:.0} images/s",
            options.epochs,
            totals.loss(),
            100.0 * totals.accuracy(),
            100.0 * accuracy,
            train.len() as f64 / seconds,
        ))?;
    }

    let file = arguments.out.join(WEIGHTS_FILE);
    checkpoint::save(&file, arguments.network.as_str(), trainer.network(), trainer.params())?;
    output.note(format_args!("saved {}", file.display()))?;
    output.result(
        format_args!("test accuracy: {:.2} %", 100.0 * accuracy),
        &json!({ "test_accuracy": accuracy }),
    )
}

/// On stderr, and only if that is a terminal.
fn progress_bar(epoch: usize, images: usize) -> Result<ProgressBar> {
    let style = ProgressStyle::with_template("epoch {prefix:>2} [{bar:40}] {pos}/{len} images, {eta} to go")?;
    Ok(ProgressBar::new(images as u64).with_style(style.progress_chars("=> ")).with_prefix(epoch.to_string()))
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum ScheduleName {
    Constant,
    #[default]
    Cosine,
}

fn learning_rate(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(rate),
        Ok(_) => Err("a learning rate is finite and greater than 0".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn momentum(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(momentum) if (0.0..1.0).contains(&momentum) => Ok(momentum),
        Ok(_) => Err("a momentum is at least 0 and less than 1".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Train {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn defaults_are_those_of_the_library() {
        let Train { arguments } = Train::parse_from(["train"]);
        assert_eq!(arguments.options(), Options::default());
        assert_eq!(PathBuf::from(crate::WEIGHTS), arguments.out.join(WEIGHTS_FILE));
    }

    #[test]
    fn wrong_values_are_refused() {
        for (option, value) in [
            ("--epochs", "0"),
            ("--batch", "0"),
            ("--batch", "-1"),
            ("--batch", "4294967296"),
            ("--lr", "0"),
            ("--lr", "-0.1"),
            ("--lr", "nan"),
            ("--lr", "inf"),
            ("--lr", "1e39"),
            ("--momentum", "1"),
            ("--momentum", "-0.1"),
            ("--momentum", "nan"),
            ("--threads", "0"),
            ("--threads", "257"),
            ("--seed", "-1"),
            ("--schedule", "linear"),
            ("--network", "alexnet"),
        ] {
            let argument = format!("{option}={value}");
            let error = Train::try_parse_from(["train", &argument]).unwrap_err();
            assert!(error.to_string().contains(option), "{error}");
        }
    }
}

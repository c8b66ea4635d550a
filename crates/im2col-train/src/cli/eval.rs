//! `lenet eval`

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::{Args, value_parser};
use im2col::Rounding;
use serde_json::json;

use super::data::dataset;
use super::defaults::WEIGHTS;
use super::network::NetworkName;
use super::output::Output;
use super::saved::Saved;
use super::threads::{MOST_THREADS, thread_pool};
use crate::dataset::Part;
use crate::ranks::Ranks;
use crate::runner::Runner;

const EXAMPLES: &str = "\
Examples:
  lenet eval
  lenet eval --data digits --weights runs/lenet/weights.safetensors --json";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Network, if the file does not name it [default: lenet-relu]
    #[arg(long, value_enum)]
    network: Option<NetworkName>,
    /// Folder with the test set's two IDX files [default: the built-in digits]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Safetensors file with PyTorch's names, ours or PyTorch's own
    #[arg(long, value_name = "FILE", default_value = WEIGHTS)]
    weights: PathBuf,
    /// Threads [default: one for each core]
    #[arg(long, value_name = "T", value_parser = value_parser!(u16).range(1..=MOST_THREADS))]
    threads: Option<u16>,
}

pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<()> {
    thread_pool(arguments.threads)?.install(|| eval(arguments, output))
}

fn eval(arguments: &Arguments, output: Output) -> Result<()> {
    let saved = Saved::read(&arguments.weights, arguments.network, output)?;
    let test = dataset(arguments.data.as_deref(), Part::Test)?;
    saved.check_images(&test, arguments.data.is_some())?;
    let mut runner = Runner::new(
        saved.network.layers(),
        test.image_dims(),
        test.len(),
        None,
        Rounding::Ordered,
        Ranks::ALONE,
    )?;
    let params = saved.params(runner.network())?;
    let totals = runner.test(&params, &test, |_| ())?;
    let (accuracy, loss) = (totals.accuracy(), totals.loss());
    ensure!(loss.is_finite(), "the test loss is {loss}: finite weights, but the sums of them are not");
    output.result(
        format_args!("test accuracy: {:.2} %\ntest loss: {loss:.4}", 100.0 * accuracy),
        &json!({ "test_accuracy": accuracy, "test_loss": loss }),
    )
}

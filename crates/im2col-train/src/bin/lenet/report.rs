//! `lenet report`

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use im2col::Network;
use im2col_train::dataset::Part;
use im2col_train::metrics::{self, RUN_FILE, WEIGHTS_FILE};
use im2col_train::paths;
use im2col_train::profile;
use im2col_train::report::{self, Contents};
use im2col_train::weights::Weights;
use serde_json::{Map, Value, json};

use crate::network::NetworkName;
use crate::output::Output;
use crate::{dataset, thread_pool};

/// The lecture's batch: what the times of the layers are taken for.
const PROFILED_BATCH: usize = 256;
const PROFILED_TIME: Duration = Duration::from_millis(700);

pub(crate) const EXAMPLES: &str = "\
Examples:
  lenet report
  lenet report runs/lenet --data digits";

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Folder that `train` left; gets the page report.html
    #[arg(value_name = "RUN", default_value = "runs/lenet")]
    run: PathBuf,
    /// Folder with the test set's two IDX files [default: that of the run]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<()> {
    let asked = read_run(&arguments.run)?;
    let field = |name: &str| asked.get(name).and_then(Value::as_str);
    let data = arguments.data.clone().or_else(|| asked.get("data").and_then(paths::from_json));
    let data = data.as_deref();
    let test = dataset(data, Part::Test)?;
    let records = metrics::read(&arguments.run)?;

    let file = arguments.run.join(WEIGHTS_FILE);
    let weights = Weights::read(&file)?;
    let requested = field("network").and_then(NetworkName::from_name);
    let network = NetworkName::of_file(requested, &weights, &file)?;
    let params = weights.params(&Network::plan(network.layers(), 1, test.image_dims())?)?;

    let profile = thread_pool(Some(1))?
        .install(|| profile::measure(network.layers(), &test, PROFILED_BATCH, PROFILED_TIME))?;
    let html = report::html(&Contents {
        folder: &arguments.run,
        network: network.as_str(),
        data,
        asked: &asked,
        layers: network.layers(),
        params: &params,
        records: &records,
        test: &test,
        profile: &profile,
    })?;
    let file = report::write(&arguments.run, &html)?;
    output.result(format_args!("wrote {}", file.display()), &json!({ "report": paths::shown(&file) }))
}

fn read_run(folder: &Path) -> Result<Map<String, Value>> {
    let file = folder.join(RUN_FILE);
    let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    serde_json::from_str(&text).with_context(|| file.display().to_string())
}

//! `lenet report`

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use im2col::Network;
use serde_json::json;

use super::data::dataset;
use super::network::NetworkName;
use super::output::Output;
use super::threads::thread_pool;
use crate::checkpoint::Configuration;
use crate::dataset::Part;
use crate::metrics::{self, Record};
use crate::paths::shown;
use crate::profile;
use crate::report::{self, Compared, Contents};
use crate::run::files::WEIGHTS_FILE;
use crate::run::read_configuration;
use crate::train::Options;
use crate::weights::Weights;

/// The lecture's batch: what the times of the layers are taken for.
const PROFILED_BATCH: usize = 256;
const PROFILED_TIME: Duration = Duration::from_millis(700);

pub(crate) const EXAMPLES: &str = "\
Examples:
  lenet report
  lenet report runs/lenet --data digits
  lenet report runs/lenet runs/lecture --out compared

One run becomes a page in its own folder; several become one page with their
curves, results and options side by side, in the folder --out.";

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Folders that `train` left: one gets the page report.html, of several one page is made
    #[arg(value_name = "RUN", default_value = "runs/lenet")]
    runs: Vec<PathBuf>,
    /// Folder with the test set's two IDX files [default: that of the run]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Folder for the page of several runs [default: .]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<()> {
    let (file, html) = match &arguments.runs[..] {
        [run] => {
            if arguments.out.is_some() {
                bail!("--out is for several runs: the page of one lies in its folder");
            }
            (run.as_path(), page(run, arguments.data.as_deref())?)
        }
        runs => {
            if arguments.data.is_some() {
                bail!("--data is for one run: several are compared by what they recorded");
            }
            let folder = arguments.out.as_deref().unwrap_or(Path::new("."));
            let html = compare(runs)?;
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
            (folder, html)
        }
    };
    let file = report::write(file, &html)?;
    let file = shown(&file);
    output.result(format_args!("wrote {file}"), &json!({ "report": file }))
}

fn compare(runs: &[PathBuf]) -> Result<String> {
    type Read = (String, Configuration, Vec<Record>);
    let read = |run: &PathBuf| Ok((shown(run), read_configuration(run)?, metrics::read(run)?));
    let runs = runs.iter().map(read).collect::<Result<Vec<Read>>>()?;
    let compared: Vec<Compared<'_>> = runs
        .iter()
        .map(|(folder, configuration, records)| Compared { folder, configuration, records })
        .collect();
    Ok(report::compare(&compared))
}

/// The page of one run; `given`: the folder of the test set, if it is not where the run had it.
fn page(folder: &Path, given: Option<&Path>) -> Result<String> {
    let configuration = read_configuration(folder)?;
    let recorded = configuration.data.as_deref();
    // A path in the records begins where the program was called.
    let place = given.map(Path::to_owned).or(recorded.map(|data| configuration.absolute(data)));
    let test = dataset(place.as_deref(), Part::Test);
    let test = match given {
        // The run may have been made elsewhere, or its data moved.
        None => test.context("the run's data set: if it has another place now, name it with --data DIR")?,
        Some(_) => test?,
    };
    let records = metrics::read(folder)?;

    let file = folder.join(WEIGHTS_FILE);
    let weights = Weights::read(&file)?;
    let requested = NetworkName::from_name(&configuration.network);
    let network = NetworkName::of_file(requested, &weights, &file)?;
    let params = weights.params(&Network::plan(network.layers(), 1, test.image_dims())?)?;

    let options = Options { batch: PROFILED_BATCH, ..Options::default() };
    let profile = thread_pool(Some(1))?
        .install(|| profile::measure(network.layers(), &test, options, PROFILED_TIME))?;
    Ok(report::html(&Contents {
        folder,
        network: network.as_str(),
        data: given.or(recorded),
        configuration: &configuration,
        layers: network.layers(),
        params: &params,
        records: &records,
        test: &test,
        profile: &profile,
    })?)
}

//! `lenet report`

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use im2col::Network;
use im2col_train::dataset::Part;
use im2col_train::metrics::{self, RUN_FILE, Record, WEIGHTS_FILE};
use im2col_train::paths;
use im2col_train::profile;
use im2col_train::report::{self, Compared, Contents};
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
    let file = paths::shown(&file);
    output.result(format_args!("wrote {file}"), &json!({ "report": file }))
}

fn compare(runs: &[PathBuf]) -> Result<String> {
    type Read = (String, Map<String, Value>, Vec<Record>);
    let read = |run: &PathBuf| Ok((run.display().to_string(), read_run(run)?, metrics::read(run)?));
    let runs = runs.iter().map(read).collect::<Result<Vec<Read>>>()?;
    let compared: Vec<Compared<'_>> =
        runs.iter().map(|(folder, asked, records)| Compared { folder, asked, records }).collect();
    Ok(report::compare(&compared))
}

fn page(folder: &Path, data: Option<&Path>) -> Result<String> {
    let asked = read_run(folder)?;
    let field = |name: &str| asked.get(name).and_then(Value::as_str);
    let given = data;
    let recorded = asked.get("data").and_then(paths::from_json);
    let data = given.or(recorded.as_deref());
    // A path in the records begins where the program was called.
    let called_in = asked.get("called_in").and_then(paths::from_json).unwrap_or_default();
    let place = given.map(Path::to_owned).or(recorded.as_ref().map(|data| called_in.join(data)));
    let test = dataset(place.as_deref(), Part::Test);
    let test = match given {
        // The run may have been made elsewhere, or its data moved.
        None => test.context("the run's data set: if it has another place now, name it with --data DIR")?,
        Some(_) => test?,
    };
    let records = metrics::read(folder)?;

    let file = folder.join(WEIGHTS_FILE);
    let weights = Weights::read(&file)?;
    let requested = field("network").and_then(NetworkName::from_name);
    let network = NetworkName::of_file(requested, &weights, &file)?;
    let params = weights.params(&Network::plan(network.layers(), 1, test.image_dims())?)?;

    let profile = thread_pool(Some(1))?
        .install(|| profile::measure(network.layers(), &test, PROFILED_BATCH, PROFILED_TIME))?;
    Ok(report::html(&Contents {
        folder,
        network: network.as_str(),
        data,
        asked: &asked,
        layers: network.layers(),
        params: &params,
        records: &records,
        test: &test,
        profile: &profile,
    })?)
}

fn read_run(folder: &Path) -> Result<Map<String, Value>> {
    let file = folder.join(RUN_FILE);
    let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    serde_json::from_str(&text).with_context(|| file.display().to_string())
}

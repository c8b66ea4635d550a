//! Times this crate on cases that another program names, so that it can be put beside other
//! libraries in one run. `benches/README.md` describes the protocol.

mod cases;
mod forward;
mod timing;
mod train;

use anyhow::{Context, Result, bail, ensure};
use cases::Case;
use im2col::{Layout, Rounding};
use std::io::{self, Write};
use std::{env, fs};
use timing::{Limits, Timing};

fn main() -> Result<()> {
    // This thread is one of them: with one thread nothing is handed over.
    let Options { threads, rounding, layout } = options()?;
    rayon::ThreadPoolBuilder::new().num_threads(threads).use_current_thread().build_global()?;
    let limits = Limits::from_env()?;
    let cases = Case::list()?;
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "READY")?;
    for line in io::stdin().lines() {
        let line = line?;
        let name = line.trim();
        if name.is_empty() {
            continue;
        }
        match answer(&cases, name, limits, rounding, layout) {
            Ok(line) => writeln!(stdout, "R,{name},{line}")?,
            // The reason is the last field of one line.
            Err(reason) => writeln!(stdout, "E,{name},{}", format!("{reason:#}").replace([',', '\n'], ";"))?,
        }
    }
    Ok(())
}

struct Options {
    threads: usize,
    rounding: Rounding,
    layout: Layout,
}

/// `--threads T`, 1 by default, `--any-rounding` and `--channels-last`.
fn options() -> Result<Options> {
    let mut arguments = env::args().skip(1);
    let mut options = Options { threads: 1, rounding: Rounding::Ordered, layout: Layout::ChannelsFirst };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--threads" => {
                options.threads = arguments.next().context("--threads needs a number")?.parse()?;
            }
            "--any-rounding" => options.rounding = Rounding::Any,
            "--channels-last" => options.layout = Layout::ChannelsLast,
            other => {
                bail!(
                    "unknown argument {other}; the options are --threads T, --any-rounding and --channels-last"
                )
            }
        }
    }
    ensure!(options.threads > 0, "--threads must be at least 1");
    Ok(options)
}

/// `<median_us>,<min_us>,<samples>,<max_abs_err>,<ref_max_abs>,<peak_rss_kb>`
fn answer(cases: &[Case], name: &str, limits: Limits, rounding: Rounding, layout: Layout) -> Result<String> {
    let case = cases.iter().find(|case| case.name == name).context("no such case")?;
    let (timing, output) = match case.kind.as_str() {
        "conv" => forward::conv(case, limits, rounding, layout)?,
        "gemm" => forward::gemm(case, limits)?,
        "maxpool" | "avgpool" => forward::pool(case, limits)?,
        "lenet" => forward::lenet(case, limits)?,
        "lenet_train" => train::lenet(case, limits)?,
        kind => bail!("kind {kind} is not supported"),
    };
    let reference = case.tensor("y")?;
    let error = max_abs_error(&output, &reference)?;
    let max = reference.iter().fold(0.0, |max: f32, value| max.max(value.abs()));
    let Timing { median, min, samples } = timing;
    Ok(format!("{median:.3},{min:.3},{samples},{error:.3e},{max:.3e},{}", peak_rss_kb()))
}

/// The largest difference; infinite where one is not a number.
fn max_abs_error(output: &[f32], reference: &[f32]) -> Result<f32> {
    ensure!(
        output.len() == reference.len(),
        "{} outputs; the reference has {}",
        output.len(),
        reference.len()
    );
    let differences = output.iter().zip(reference).map(|(value, expected)| (value - expected).abs());
    Ok(differences.map(|d| if d.is_nan() { f32::INFINITY } else { d }).fold(0.0, f32::max))
}

/// The most memory that this process has held, as Linux counts it; 0 elsewhere.
fn peak_rss_kb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

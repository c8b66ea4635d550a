//! `lenet profile`

use std::time::Duration;

use anyhow::Result;
use clap::{Args, value_parser};

use super::network::NetworkName;
use super::output::Output;
use super::threads::thread_pool;
use crate::dataset::{Dataset, Part};
use crate::profile;
use crate::summary::grouped;
use crate::train::Options;

/// The largest batch: its pixels are gathered micro-batch by micro-batch, so it costs time only.
const MOST_IMAGES: i64 = 65_536;

pub(crate) const EXAMPLES: &str = "\
Examples:
  lenet profile
  lenet profile --network lenet --batch 64 --seconds 0.5
  lenet profile --seconds 0.5 --json";

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Sigmoid and average pooling (lenet) or ReLU and max pooling (lenet-relu)
    #[arg(long, value_enum, default_value_t)]
    network: NetworkName,
    /// Images per step
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = value_parser!(u32).range(1..=MOST_IMAGES))]
    batch: u32,
    /// How long to measure
    #[arg(long, value_name = "S", default_value = "2", value_parser = seconds)]
    seconds: Duration,
}

pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<()> {
    let digits = Dataset::built_in(Part::Test)?;
    let (layers, batch) = (arguments.network.layers(), arguments.batch as usize);
    let options = Options { batch, ..Options::default() };
    let profile =
        thread_pool(Some(1))?.install(|| profile::measure(layers, &digits, options, arguments.seconds))?;
    let text = format!(
        "{}: a training step of {} images on one thread, {}\nmedians of {} steps, times in us\n\n{}\n{} images/s",
        arguments.network.as_str(),
        grouped(batch),
        profile.isa,
        grouped(profile.steps),
        profile.table(),
        grouped(profile.images_per_second.round() as usize),
    );
    output.result(text, &profile)
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|error| format!("{error}"))?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if (0.01..=3600.0).contains(&seconds) => Ok(duration),
        _ => Err("from 0.01 to 3600 seconds".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_few_and_finite() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for wrong in ["0", "-1", "nan", "inf", "3601", "1e300", "two"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}

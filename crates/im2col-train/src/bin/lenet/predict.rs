//! `lenet predict`

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use im2col::Network;
use im2col_train::predict;
use im2col_train::weights::Weights;
use serde_json::json;

use crate::network::NetworkName;
use crate::output::Output;
use crate::{SIDE, WEIGHTS};

pub(crate) const EXAMPLES: &str = "\
Examples:
  lenet predict digit.png";

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// PNG file of any size; dark ink on light paper is inverted
    #[arg(value_name = "IMAGE.png")]
    image: PathBuf,
    /// Network, if the file does not name it [default: lenet-relu]
    #[arg(long, value_enum)]
    network: Option<NetworkName>,
    /// Safetensors file with PyTorch's names
    #[arg(long, value_name = "FILE", default_value = WEIGHTS)]
    weights: PathBuf,
}

pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<()> {
    let weights = Weights::read(&arguments.weights)?;
    let network = NetworkName::of_file(arguments.network, &weights, &arguments.weights)?;
    let network = Network::plan(network.layers(), 1, [1, SIDE, SIDE])?;
    let params = weights.params(&network)?;
    let in_picture = || arguments.image.display().to_string();
    let picture = fs::read(&arguments.image).with_context(in_picture)?;
    let digit = predict::digit_from_png(&picture, SIDE as u32, SIDE as u32).with_context(in_picture)?;
    let probabilities = predict::probabilities(&network, &params, &digit)?;
    let digit = im2col::argmax(&probabilities).unwrap_or_default();
    let mut lines = format!("digit: {digit}");
    for (class, probability) in probabilities.iter().enumerate() {
        lines += &format!("\n{class} {:>6.2} %", 100.0 * probability);
    }
    output.result(lines, &json!({ "class": digit, "probabilities": probabilities }))
}

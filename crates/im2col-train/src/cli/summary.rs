//! `lenet summary`

use anyhow::Result;
use clap::Args;
use im2col::Network;
use serde_json::json;

use super::data::SIDE;
use super::network::NetworkName;
use super::output::Output;
use crate::summary::{Memory, table};

const EXAMPLES: &str = "\
Examples:
  lenet summary
  lenet summary --network lenet --json";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Sigmoid and average pooling (lenet) or ReLU and max pooling (lenet-relu)
    #[arg(long, value_enum, default_value_t)]
    network: NetworkName,
}

pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<()> {
    let network = Network::plan(arguments.network.layers(), 1, [1, SIDE, SIDE])?;
    let layers: Vec<_> = network
        .layers()
        .map(|layer| {
            json!({
                "index": layer.index,
                "name": layer.name,
                "output_dims": layer.output_dims(),
                "params": layer.params,
                "multiply_adds": layer.multiply_adds,
            })
        })
        .collect();
    let memory = Memory::of(&network)?;
    let text = format!("{}\n{}", table(&network), memory.table());
    output.result(text.trim_end(), &json!({ "layers": layers, "bytes": memory }))
}

//! `lenet summary`

use anyhow::Result;
use clap::Args;
use im2col::Network;
use im2col_train::summary::table;

use crate::SIDE;
use crate::network::NetworkName;
use crate::output::say;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Sigmoid and average pooling (lenet) or ReLU and max pooling (lenet-relu)
    #[arg(long, value_enum, default_value_t)]
    network: NetworkName,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let network = Network::plan(arguments.network.layers(), 1, [1, SIDE, SIDE])?;
    say(table(&network).trim_end())
}

//! LeNet: one image and batches, plain and packed, interleaved, from pixels, under limits, and training.

use crate::measure::Table;
use anyhow::Result;
use im2col::lenet::{LENET, LENET_RELU};
use im2col::{Isa, Layer, Network, NetworkWeights, Pixels};
use im2col_benches::operand;

pub(crate) fn measure(table: &mut Table) -> Result<()> {
    for layers in [LENET, LENET_RELU] {
        for batch in [1, 3, 64] {
            plans(table, layers, batch)?;
            for isa in Isa::available() {
                let network = Network::plan(layers, batch, [1, 28, 28])?.with_isa(isa);
                let apart = network.with_interleaving(false)?;
                passes(table, "layer by layer", &apart, isa)?;
                passes(table, "interleaved", &network.with_interleaving(true)?, isa)?;
                let limited = apart.with_scratch_limit(20_000)?;
                let limited = limited.with_train_scratch_limit(half_of_train_scratch(&apart))?;
                passes(table, "under a limit", &limited, isa)?;
                let least = network.with_scratch_limit(network.least_scratch_len())?;
                let least = least.with_train_scratch_limit(network.least_train_scratch_len())?;
                passes(table, "least memory", &least, isa)?;
            }
        }
    }
    Ok(())
}

/// A limit under which some layers run in place.
fn half_of_train_scratch<const L: usize>(network: &Network<L>) -> usize {
    network.least_train_scratch_len().midpoint(network.train_scratch_len())
}

fn plans<const L: usize>(table: &mut Table, layers: [Layer; L], batch: usize) -> Result<()> {
    table.call_any("Network::plan", || Network::plan(layers, batch, [1, 28, 28]))?;
    let network = Network::plan(layers, batch, [1, 28, 28])?;
    table.call_any("Network::with_isa", || network.with_isa(Isa::SCALAR))?;
    table.call_any("Network::least_scratch_len", || network.least_scratch_len())?;
    table.call_any("Network::least_train_scratch_len", || network.least_train_scratch_len())?;
    for limit in [network.least_scratch_len(), 20_000, usize::MAX] {
        table.call_any("Network::with_scratch_limit", || network.with_scratch_limit(limit))?;
    }
    for limit in [network.least_train_scratch_len(), half_of_train_scratch(&network), usize::MAX] {
        table.call_any("Network::with_train_scratch_limit", || network.with_train_scratch_limit(limit))?;
    }
    for is_interleaved in [false, true] {
        table.call_any("Network::with_interleaving", || network.with_interleaving(is_interleaved))?;
    }
    table.call_any("Network::layers", || network.layers().count())?;
    table.call_any("Network::parameters", || network.parameters().count())
}

fn passes<const L: usize>(table: &mut Table, mode: &str, network: &Network<L>, isa: Isa) -> Result<()> {
    let (params, input) = (operand(network.param_len(), 1), operand(network.input_len(), 2));
    let (pixels, mut output) = (vec![7; network.input_len()], operand(network.output_len(), 3));
    let mut scratch = vec![0.0; network.pixel_scratch_len().max(network.train_scratch_len())];
    let mut packed = vec![0.0; network.packed_weight_len()];
    table.call("Network::pack_weights", isa, || network.pack_weights(&params, &mut packed).is_ok())?;
    let packed = network.pack_weights(&params, &mut packed)?;
    let mut workspace = vec![0.0; network.workspace_len()];
    let kept = size_of::<NetworkWeights<'_, L>>();
    for weights in [NetworkWeights::Plain(&params), NetworkWeights::Packed { params: &params, packed }] {
        table.call_with(&format!("Network::forward, {mode}"), isa, kept, || {
            network.forward(weights, &input, &mut output, &mut scratch)
        })?;
        let pixels = Pixels { values: &pixels, scale: 0.01, shift: 0.0 };
        table.call_with(&format!("Network::forward_pixels, {mode}"), isa, kept, || {
            network.forward_pixels(weights, pixels, &mut output, &mut scratch)
        })?;
    }
    let weights = NetworkWeights::Plain(&params);
    table.call_with(&format!("Network::forward_train, {mode}"), isa, kept, || {
        network.forward_train(weights, &input, &mut workspace, &mut scratch)
    })?;
    let mut grads = vec![0.0; network.param_len()];
    table.call(&format!("Network::backward, {mode}"), isa, || {
        network.backward(&params, &input, &workspace, &output, &mut grads, &mut scratch)
    })?;
    table.call("Network::layer_output", isa, || network.layer_output(L - 1, &workspace).is_some())
}

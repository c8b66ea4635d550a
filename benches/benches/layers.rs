//! The other layers, forward, on one thread; and LeNet whole.

use anyhow::{Context, Result};
use criterion::{Criterion, Throughput};
use im2col::lenet::{LENET, LENET_RELU};
use im2col::{
    Activation, Layer, LinearOperands, LinearParams, Network, NetworkWeights, RunError, Weights, naive,
};
use im2col_benches::catalogue::{POOLS, PoolShape};
use im2col_benches::{ConvShape, check, operand};
use std::hint::black_box;
use std::time::Duration;

fn main() -> Result<()> {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    for (name, shape) in POOLS {
        pool(&mut criterion, name, shape).context(name)?;
    }
    for (name, activation) in
        [("relu", Activation::Relu), ("sigmoid", Activation::Sigmoid), ("tanh", Activation::Tanh)]
    {
        activate(&mut criterion, name, activation).context(name)?;
    }
    for batch in [1, 256] {
        linear(&mut criterion, batch).context("linear")?;
        lenet(&mut criterion, "lenet", LENET, batch).context("lenet")?;
        lenet(&mut criterion, "lenet_relu", LENET_RELU, batch).context("lenet_relu")?;
    }
    criterion.final_summary();
    Ok(())
}

/// Times `call`, which writes `output`; the throughput counts `work` elements.
fn time(
    criterion: &mut Criterion,
    name: &str,
    work: usize,
    output: &mut [f32],
    mut call: impl FnMut(&mut [f32]) -> Result<(), RunError>,
) {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(work as u64));
    group.bench_function("ours", |bencher| {
        bencher.iter(|| {
            let result = call(output);
            black_box(&mut *output);
            result
        });
    });
    group.finish();
}

fn pool(criterion: &mut Criterion, name: &str, shape: PoolShape) -> Result<()> {
    let plan = shape.params.plan(shape.batch, shape.channels, shape.input)?;
    let input = operand(plan.input_len(), 1);
    let mut output = vec![f32::NAN; plan.output_len()];
    plan.forward(&input, &mut output)?;
    let mut expected = vec![f32::NAN; plan.output_len()];
    naive::pool_forward(&plan, &input, &mut expected)?;
    check::close(&output, &expected, 1e-6)?;
    time(criterion, name, plan.input_len(), &mut output, |output| plan.forward(&input, output));
    Ok(())
}

/// As many values as LeNet's first activation has for 64 images.
fn activate(criterion: &mut Criterion, name: &str, activation: Activation) -> Result<()> {
    let input: Vec<f32> = operand(64 * 6 * 28 * 28, 1).iter().map(|value| 8.0 * value).collect();
    let mut output = vec![f32::NAN; input.len()];
    activation.forward(&input, &mut output)?;
    let exact = input.iter().map(|&value| match activation {
        Activation::Relu => value.max(0.0),
        Activation::Sigmoid => (1.0 / (1.0 + (-f64::from(value)).exp())) as f32,
        Activation::Tanh => f64::from(value).tanh() as f32,
        Activation::Identity => value,
    });
    check::close(&output, &exact.collect::<Vec<_>>(), 1e-6)?;
    time(criterion, name, input.len(), &mut output, |output| activation.forward(&input, output));
    Ok(())
}

/// LeNet's largest fully connected layer, 400 to 120.
fn linear(criterion: &mut Criterion, batch: usize) -> Result<()> {
    // The same sums as a 1x1 convolution of one pixel.
    let shape = ConvShape::new(batch, [400, 1, 1], 120, [1, 1]);
    let plan = LinearParams::new(400, 120).with_bias(false).plan(batch)?;
    let (input, weight) = (operand(plan.input_len(), 1), operand(plan.weight_len(), 2));
    let mut packed = vec![0.0; plan.packed_weight_len()];
    let packed = Weights::Packed(plan.pack_weights(&weight, &mut packed)?);
    let operands = LinearOperands { input: &input, weight: packed, bias: &[] };
    let mut scratch = vec![0.0; plan.scratch_len()];
    let mut output = vec![f32::NAN; plan.output_len()];
    plan.forward(operands, &mut output, &mut scratch)?;
    check::conv(&shape, &input, &weight, &output)?;
    let name = format!("linear_400_120_n{batch}");
    time(criterion, &name, shape.multiply_adds(), &mut output, |output| {
        plan.forward(operands, output, &mut scratch)
    });
    Ok(())
}

fn lenet(criterion: &mut Criterion, name: &str, layers: [Layer; 12], batch: usize) -> Result<()> {
    let network = Network::plan(layers, batch, [1, 28, 28])?;
    let input = operand(network.input_len(), 1);
    let params: Vec<f32> = operand(network.param_len(), 2).iter().map(|value| 0.1 * value).collect();
    let mut packed = vec![0.0; network.packed_weight_len()];
    let weights =
        NetworkWeights::Packed { params: &params, packed: network.pack_weights(&params, &mut packed)? };
    let mut scratch = vec![0.0; network.scratch_len()];
    let mut output = vec![f32::NAN; network.output_len()];
    network.forward(weights, &input, &mut output, &mut scratch)?;
    check::close(&output, &layer_by_layer(&network, &params, &input)?, 1e-5)?;
    let multiply_adds = network.layers().map(|layer| layer.multiply_adds).sum();
    let name = format!("{name}_n{batch}");
    time(criterion, &name, multiply_adds, &mut output, |output| {
        network.forward(weights, &input, output, &mut scratch)
    });
    Ok(())
}

/// The logits without anything fused or packed beforehand.
fn layer_by_layer<const L: usize>(network: &Network<L>, params: &[f32], input: &[f32]) -> Result<Vec<f32>> {
    let mut workspace = vec![f32::NAN; network.workspace_len()];
    let mut scratch = vec![f32::NAN; network.train_scratch_len()];
    network.forward_train(NetworkWeights::Plain(params), input, &mut workspace, &mut scratch)?;
    let logits = network.layer_output(L - 1, &workspace).context("no layers")?;
    Ok(logits.to_vec())
}

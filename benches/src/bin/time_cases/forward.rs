//! Convolution, GEMM, pooling and LeNet, forward. Planning and packing of weights that stay the same
//! happen before the clock starts; nothing else does.

use crate::cases::Case;
use crate::timing::{Limits, Timing, time};
use anyhow::Result;
use im2col::lenet::LENET;
use im2col::{ConvOperands, ConvParams, Layout, Network, NetworkWeights, PoolParams, Rounding, Weights};
use im2col_benches::Tensor;
use rayon::current_num_threads;
use std::hint::black_box;

/// How long it takes, and what comes out.
pub(crate) type Answer = (Timing, Vec<f32>);

/// x: `[batch, in_channels, h, w]`, w: `[out_channels, in_channels / groups, kernel..]`.
///
/// Rounded in order, or in any; in a layout, from and to which values are transposed while no clock runs.
pub(crate) fn conv(case: &Case, limits: Limits, rounding: Rounding, layout: Layout) -> Result<Answer> {
    match case.shape.params_1d() {
        Some(params) => conv_over(case, limits, (rounding, layout), params, [case.shape.input[1]]),
        None => conv_over(case, limits, (rounding, layout), case.shape.params(), case.shape.input),
    }
}

fn conv_over<const D: usize>(
    case: &Case,
    limits: Limits,
    (rounding, layout): (Rounding, Layout),
    params: ConvParams<D>,
    dims: [usize; D],
) -> Result<Answer> {
    let shape = case.shape;
    let (mut input, weight) = (case.tensor("x")?, case.tensor("w")?);
    if layout == Layout::ChannelsLast {
        input = transposed(&input, shape.batch, shape.in_channels);
    }
    let plan = params.plan(shape.batch, dims)?.with_threads(current_num_threads());
    let plan = plan.with_rounding(rounding).with_input_layout(layout)?.with_output_layout(layout)?;
    let mut packed = Tensor::zeros(plan.packed_weight_len());
    let weight = Weights::Packed(plan.pack_weights(&weight, &mut packed)?);
    let operands = ConvOperands { input: &input, weight, bias: &[] };
    let mut scratch = Tensor::zeros(plan.packed_scratch_len());
    let mut output = Tensor::zeros(shape.output_len());
    let timing = time(limits, || {
        plan.forward(operands, &mut output, &mut scratch)?;
        black_box(&mut output);
        Ok(())
    })?;
    if layout == Layout::ChannelsLast {
        output = transposed(&output, shape.batch, shape.positions());
    }
    Ok((timing, output.to_vec()))
}

/// The matrices of a batch, of so many rows, transposed.
fn transposed(values: &[f32], batch: usize, rows: usize) -> Tensor {
    let (len, columns) = (values.len() / batch, values.len() / batch / rows);
    let of_matrix =
        |matrix: &[f32]| (0..len).map(|i| matrix[i % rows * columns + i / rows]).collect::<Vec<_>>();
    values.chunks(len).flat_map(of_matrix).collect::<Vec<_>>().into()
}

/// w: `[m, k]` times x: `[k, n]`, as a convolution of `k` channels with `m` kernels of one tap.
///
/// Neither operand is known beforehand, so both are packed while the clock runs.
pub(crate) fn gemm(case: &Case, limits: Limits) -> Result<Answer> {
    let shape = case.shape;
    let (input, weight) = (case.tensor("x")?, case.tensor("w")?);
    let params = ConvParams::new(shape.in_channels, shape.out_channels, [1]).with_bias(false);
    let plan = params.plan(1, [shape.input[1]])?.with_threads(current_num_threads());
    let mut scratch = Tensor::zeros(plan.scratch_len());
    let mut output = Tensor::zeros(plan.output_len());
    let operands = ConvOperands { input: &input, weight: Weights::Plain(&weight), bias: &[] };
    let timing = time(limits, || {
        plan.forward(operands, &mut output, &mut scratch)?;
        black_box(&mut output);
        Ok(())
    })?;
    Ok((timing, output.to_vec()))
}

/// x: `[batch, channels, h, w]`; the window is the case's kernel.
pub(crate) fn pool(case: &Case, limits: Limits) -> Result<Answer> {
    let shape = case.shape;
    let input = case.tensor("x")?;
    let window = match case.kind.as_str() {
        "maxpool" => PoolParams::max(shape.kernel),
        _ => PoolParams::average(shape.kernel),
    };
    let params = window.with_stride(shape.stride).with_padding(shape.padding);
    let plan = params.plan(shape.batch, shape.in_channels, shape.input)?.with_threads(current_num_threads());
    let mut output = Tensor::zeros(shape.batch * shape.in_channels * shape.positions());
    let timing = time(limits, || {
        plan.forward(&input, &mut output)?;
        black_box(&mut output);
        Ok(())
    })?;
    Ok((timing, output.to_vec()))
}

/// x: `[batch, 1, 28, 28]`, w1, b1 ... w5, b5: the parameters; the answer is the logits.
pub(crate) fn lenet(case: &Case, limits: Limits) -> Result<Answer> {
    let input = case.tensor("x")?;
    let params = lenet_params(case)?;
    let network = Network::plan(LENET, case.shape.batch, [1, 28, 28])?.with_threads(current_num_threads());
    let mut packed = Tensor::zeros(network.packed_weight_len());
    let weights =
        NetworkWeights::Packed { params: &params, packed: network.pack_weights(&params, &mut packed)? };
    let mut scratch = Tensor::zeros(network.scratch_len());
    let mut output = Tensor::zeros(network.output_len());
    let timing = time(limits, || {
        network.forward(weights, &input, &mut output, &mut scratch)?;
        black_box(&mut output);
        Ok(())
    })?;
    Ok((timing, output.to_vec()))
}

/// The parameters of all layers, one after the other.
pub(crate) fn lenet_params(case: &Case) -> Result<Vec<f32>> {
    let mut params = Vec::new();
    for layer in 1..=5 {
        params.extend_from_slice(&case.tensor(&format!("w{layer}"))?);
        params.extend_from_slice(&case.tensor(&format!("b{layer}"))?);
    }
    Ok(params)
}

//! Transposed convolution.

use crate::{Case, Checked, lift, lower, on_every_isa, size, unwritten};
use im2col::{ConvOperands, ConvParams, Weights};
use im2col_testkit::bound;
use im2col_testkit::oracle::TransposeCase;

pub(crate) fn forward_and_backward<const D: usize>(case: &Case<'_>) -> Checked {
    let (input, weight) = (case.tensor("input")?, case.tensor("weight")?);
    let bias = case.values("bias").unwrap_or(&[]);
    let groups = size(&case.json["groups"]).ok_or("groups")?;
    // The output padding of a missing axis is 0, other than its sizes.
    let mut output_padding = case.sizes("output_padding");
    output_padding[..3 - D].fill(0);
    let oracle = TransposeCase {
        batch: input.shape[0],
        in_channels: input.shape[1],
        out_channels: weight.shape[1] * groups,
        groups,
        input: lift(&input.shape[2..], 1),
        kernel: lift(&weight.shape[2..], 1),
        stride: case.sizes("stride"),
        padding: case.padding().ok_or("padding")?,
        output_padding,
        dilation: case.sizes("dilation"),
    };
    let plan = ConvParams::<D>::new(oracle.in_channels, oracle.out_channels, lower(oracle.kernel))
        .with_stride(lower(oracle.stride))
        .with_padding_per_side(lower(oracle.padding))
        .with_dilation(lower(oracle.dilation))
        .with_groups(groups)
        .with_bias(!bias.is_empty())
        .with_output_padding(lower(output_padding))
        .plan_transposed(oracle.batch, lower(oracle.input))?;

    let (input, weight) = (&input.values, &weight.values);
    let grad_output = case.values("grad_output")?;
    let forward = oracle.forward(input, weight, bias);
    let grads = [
        oracle.grad_input(weight, grad_output),
        oracle.grad_weight(input, grad_output),
        oracle.grad_bias(grad_output),
    ];
    on_every_isa(|isa| {
        let plan = plan.with_isa(isa);
        let mut output = unwritten(plan.output_len());
        let operands = ConvOperands { input, weight: Weights::Plain(weight), bias };
        plan.forward(operands, &mut output, &mut unwritten(plan.scratch_len()))?;
        case.check("output", &output, &forward, oracle.forward_products())?;

        let mut grad_input = unwritten(plan.input_len());
        let scratch = &mut unwritten(plan.backward_input_scratch_len());
        plan.backward_input(weight, grad_output, &mut grad_input, scratch)?;
        case.check("grad_input", &grad_input, &grads[0], oracle.grad_input_products())?;

        let mut grad_weight = unwritten(plan.weight_len());
        let scratch = &mut unwritten(plan.backward_weight_scratch_len());
        plan.backward_weight(input, grad_output, &mut grad_weight, scratch)?;
        case.check("grad_weight", &grad_weight, &grads[1], bound::chained(oracle.grad_weight_products()))?;

        if bias.is_empty() {
            return Ok(());
        }
        let mut grad_bias = unwritten(plan.bias_len());
        plan.backward_bias(grad_output, &mut grad_bias)?;
        case.check("grad_bias", &grad_bias, &grads[2], bound::pairwise(oracle.grad_bias_terms()))
    })
}

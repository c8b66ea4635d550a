//! Pooling.

use crate::{Case, Checked, lift, lower, on_every_isa, unwritten};
use im2col::PoolParams;
use im2col_testkit::oracle::PoolCase;
use std::error::Error;

fn pool_case(case: &Case<'_>) -> Result<PoolCase, Box<dyn Error>> {
    let input = case.tensor("input")?;
    Ok(PoolCase {
        batch: input.shape[0],
        channels: input.shape[1],
        input: lift(&input.shape[2..], 1),
        window: case.sizes("kernel"),
        stride: case.sizes("stride"),
        padding: case.padding().ok_or("padding")?,
        dilation: case.sizes("dilation"),
        count_include_pad: case.json["count_include_pad"].as_bool().unwrap_or(true),
    })
}

pub(crate) fn max<const D: usize>(case: &Case<'_>) -> Checked {
    let (input, grad_output) = (case.values("input")?, case.values("grad_output")?);
    let oracle = pool_case(case)?;
    let plan = PoolParams::<D>::max(lower(oracle.window))
        .with_stride(lower(oracle.stride))
        .with_padding_per_side(lower(oracle.padding))
        .with_dilation(lower(oracle.dilation))
        .plan(oracle.batch, oracle.channels, lower(oracle.input))?;
    let grads = oracle.max_grad_input(input, grad_output);
    on_every_isa(|isa| {
        let plan = plan.with_isa(isa);
        let mut output = unwritten(plan.output_len());
        plan.forward(input, &mut output)?;
        case.check_exact("output", &output)?;

        let mut grad_input = unwritten(plan.input_len());
        plan.backward(input, grad_output, &mut grad_input)?;
        case.check("grad_input", &grad_input, &grads, oracle.products())
    })
}

pub(crate) fn average<const D: usize>(case: &Case<'_>) -> Checked {
    let (input, grad_output) = (case.values("input")?, case.values("grad_output")?);
    let oracle = pool_case(case)?;
    let plan = PoolParams::<D>::average(lower(oracle.window))
        .with_stride(lower(oracle.stride))
        .with_padding_per_side(lower(oracle.padding))
        .with_count_include_pad(oracle.count_include_pad)
        .plan(oracle.batch, oracle.channels, lower(oracle.input))?;
    let (means, grads) = (oracle.average(input), oracle.average_grad_input(grad_output));
    on_every_isa(|isa| {
        let plan = plan.with_isa(isa);
        let mut output = unwritten(plan.output_len());
        plan.forward(input, &mut output)?;
        case.check("output", &output, &means, oracle.products())?;

        let mut grad_input = unwritten(plan.input_len());
        plan.backward(input, grad_output, &mut grad_input)?;
        case.check("grad_input", &grad_input, &grads, oracle.products())
    })
}

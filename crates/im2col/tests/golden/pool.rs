//! Pooling.

use crate::{Case, Checked, lift, lower, on_every_isa, unwritten};
use im2col::{PoolParams, PoolPlan};
use im2col_testkit::oracle::PoolCase;
use std::error::Error;

fn pool_case(case: &Case<'_>) -> Result<PoolCase, Box<dyn Error>> {
    let input = case.tensor("input")?;
    let adaptive = case.json["output_dims"].is_array();
    Ok(PoolCase {
        batch: input.shape[0],
        channels: input.shape[1],
        input: lift(&input.shape[2..], 1),
        window: case.sizes("kernel"),
        stride: case.sizes("stride"),
        padding: if adaptive { [[0; 2]; 3] } else { case.padding().ok_or("padding")? },
        dilation: case.sizes("dilation"),
        count_include_pad: case.json["count_include_pad"].as_bool().unwrap_or(true),
        ceil_mode: case.json["ceil_mode"].as_bool().unwrap_or(false),
        divisor: None,
        adaptive: adaptive.then(|| case.sizes("output_dims")),
    })
}

pub(crate) fn max<const D: usize>(case: &Case<'_>) -> Checked {
    let oracle = pool_case(case)?;
    let params = PoolParams::<D>::max(lower(oracle.window))
        .with_stride(lower(oracle.stride))
        .with_padding_per_side(lower(oracle.padding))
        .with_dilation(lower(oracle.dilation))
        .with_ceil_mode(oracle.ceil_mode);
    maxima(case, &oracle, params)
}

pub(crate) fn average<const D: usize>(case: &Case<'_>) -> Checked {
    let oracle = pool_case(case)?;
    let params = PoolParams::<D>::average(lower(oracle.window))
        .with_stride(lower(oracle.stride))
        .with_padding_per_side(lower(oracle.padding))
        .with_count_include_pad(oracle.count_include_pad)
        .with_ceil_mode(oracle.ceil_mode);
    means(case, &oracle, params)
}

pub(crate) fn adaptive_max<const D: usize>(case: &Case<'_>) -> Checked {
    let oracle = pool_case(case)?;
    maxima(case, &oracle, PoolParams::<D>::adaptive_max(lower(case.sizes("output_dims"))))
}

pub(crate) fn adaptive_average<const D: usize>(case: &Case<'_>) -> Checked {
    let oracle = pool_case(case)?;
    means(case, &oracle, PoolParams::<D>::adaptive_average(lower(case.sizes("output_dims"))))
}

fn maxima<const D: usize>(case: &Case<'_>, oracle: &PoolCase, params: PoolParams<D>) -> Checked {
    let (input, grad_output) = (case.values("input")?, case.values("grad_output")?);
    let plan = params.plan(oracle.batch, oracle.channels, lower(oracle.input))?;
    let grads = oracle.max_grad_input(input, grad_output);
    let check_grad = |plan: &PoolPlan<D>, workspace: Option<&[u8]>| -> Checked {
        let mut grad_input = unwritten(plan.input_len());
        match workspace {
            None => plan.backward(input, grad_output, &mut grad_input)?,
            Some(workspace) => plan.backward_from_workspace(workspace, grad_output, &mut grad_input)?,
        }
        case.check("grad_input", &grad_input, &grads, oracle.products())
    };
    on_every_isa(|isa| {
        let plan = plan.with_isa(isa);
        let mut output = unwritten(plan.output_len());
        plan.forward(input, &mut output)?;
        case.check_exact("output", &output)?;
        check_grad(&plan, None)?;

        let mut workspace = vec![0xff; plan.workspace_bytes()];
        plan.forward_train(input, &mut output, &mut workspace)?;
        case.check_exact("output", &output)?;
        check_grad(&plan, Some(&workspace))?;

        let mut indices = vec![-1; plan.output_len()];
        plan.forward_with_indices(input, &mut output, &mut indices)?;
        case.check_exact("output", &output)?;
        match case.indices("indices") {
            Some(expected) if indices != expected => Err("indices".into()),
            None if oracle.adaptive.is_none() => Err("no tensor indices".into()),
            _ => Ok(()),
        }
    })
}

fn means<const D: usize>(case: &Case<'_>, oracle: &PoolCase, params: PoolParams<D>) -> Checked {
    let (input, grad_output) = (case.values("input")?, case.values("grad_output")?);
    let plan = params.plan(oracle.batch, oracle.channels, lower(oracle.input))?;
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

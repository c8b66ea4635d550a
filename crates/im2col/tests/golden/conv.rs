//! Convolution and im2col.

use crate::{Case, Checked, lift, lower, on_every_isa, size, unwritten};
use im2col::{ConvOperands, ConvParams, Padding, PaddingMode, Weights};
use im2col_testkit::bound;
use im2col_testkit::oracle::{ConvCase, Mode};

fn mode(case: &Case<'_>) -> Result<Mode, String> {
    match case.text("padding_mode") {
        "" | "zeros" => Ok(Mode::Zeros),
        "reflect" => Ok(Mode::Reflect),
        "replicate" => Ok(Mode::Replicate),
        "circular" => Ok(Mode::Circular),
        mode => Err(format!("padding mode {mode}")),
    }
}

fn padding_mode(mode: Mode) -> PaddingMode {
    match mode {
        Mode::Zeros => PaddingMode::Zeros,
        Mode::Reflect => PaddingMode::Reflect,
        Mode::Replicate => PaddingMode::Replicate,
        Mode::Circular => PaddingMode::Circular,
    }
}

pub(crate) fn forward_and_backward<const D: usize>(case: &Case<'_>) -> Checked {
    let (input, weight) = (case.tensor("input")?, case.tensor("weight")?);
    let bias = case.values("bias").unwrap_or(&[]);
    let (kernel, dilation) = (lift(&weight.shape[2..], 1), case.sizes("dilation"));
    // Padding "same": what keeps the size at stride 1; the odd one goes behind.
    let same = std::array::from_fn(|axis| {
        let total = dilation[axis] * (kernel[axis] - 1);
        [total / 2, total - total / 2]
    });
    let oracle = ConvCase {
        batch: input.shape[0],
        in_channels: input.shape[1],
        out_channels: weight.shape[0],
        groups: size(&case.json["groups"]).ok_or("groups")?,
        input: lift(&input.shape[2..], 1),
        kernel,
        stride: case.sizes("stride"),
        padding: case.padding().unwrap_or(same),
        mode: mode(case)?,
        dilation,
    };
    let explicit = Padding::PerSide(lower(oracle.padding));
    let plan = ConvParams::<D>::new(oracle.in_channels, oracle.out_channels, lower(kernel))
        .with_stride(lower(oracle.stride))
        .with_padding_rule(if case.padding().is_some() { explicit } else { Padding::SameUpper })
        .with_padding_mode(padding_mode(oracle.mode))
        .with_dilation(lower(dilation))
        .with_groups(oracle.groups)
        .with_bias(!bias.is_empty())
        .plan(oracle.batch, lower(oracle.input))?;

    let (input, weight) = (&input.values, &weight.values);
    let forward = oracle.forward(input, weight, bias);
    on_every_isa(|isa| {
        let mut output = unwritten(plan.output_len());
        let operands = ConvOperands { input, weight: Weights::Plain(weight), bias };
        plan.with_isa(isa).forward(operands, &mut output, &mut unwritten(plan.scratch_len()))?;
        case.check("output", &output, &forward, oracle.forward_products())
    })?;

    let Ok(grad_output) = case.values("grad_output") else { return Ok(()) };
    let grads = [
        oracle.grad_input(weight, grad_output),
        oracle.grad_weight(input, grad_output),
        oracle.grad_bias(grad_output),
    ];
    on_every_isa(|isa| {
        let plan = plan.with_isa(isa);
        let mut grad_input = unwritten(plan.input_len());
        let scratch = &mut unwritten(plan.backward_input_scratch_len());
        plan.backward_input(weight, grad_output, &mut grad_input, scratch)?;
        case.check("grad_input", &grad_input, &grads[0], oracle.grad_input_products())?;

        let mut grad_weight = unwritten(plan.weight_len());
        let scratch = &mut unwritten(plan.backward_weight_scratch_len());
        plan.backward_weight(input, grad_output, &mut grad_weight, scratch)?;
        let terms = oracle.grad_weight_products();
        case.check("grad_weight", &grad_weight, &grads[1], bound::chained(terms))?;

        if bias.is_empty() {
            return Ok(());
        }
        let mut grad_bias = unwritten(plan.bias_len());
        plan.backward_bias(grad_output, &mut grad_bias)?;
        case.check("grad_bias", &grad_bias, &grads[2], bound::pairwise(terms))
    })
}

/// im2col is the convolution by the identity, and col2im its gradient; this is all the oracle needs.
pub(crate) fn im2col<const D: usize>(case: &Case<'_>) -> Checked {
    let input = case.tensor("input")?;
    let (batch, channels, kernel) = (input.shape[0], input.shape[1], case.sizes("kernel"));
    let rows = channels * kernel.iter().product::<usize>();
    let oracle = ConvCase {
        batch,
        in_channels: channels,
        out_channels: rows,
        groups: 1,
        input: lift(&input.shape[2..], 1),
        kernel,
        stride: case.sizes("stride"),
        padding: case.padding().ok_or("padding")?,
        mode: Mode::Zeros,
        dilation: case.sizes("dilation"),
    };
    let identity: Vec<f32> = (0..rows * rows).map(|i| if i % (rows + 1) == 0 { 1.0 } else { 0.0 }).collect();
    let sums = oracle.grad_input(&identity, case.values("columns_in")?);
    let plan = ConvParams::<D>::new(channels, rows, lower(kernel))
        .with_stride(lower(oracle.stride))
        .with_padding_per_side(lower(oracle.padding))
        .with_dilation(lower(oracle.dilation))
        .plan(batch, lower(oracle.input))?;
    on_every_isa(|isa| {
        let plan = plan.with_isa(isa);
        let mut columns = unwritten(plan.columns_len());
        plan.im2col(&input.values, &mut columns)?;
        case.check_exact("columns", &columns)?;

        let mut input_sums = unwritten(plan.input_len());
        plan.col2im(case.values("columns_in")?, &mut input_sums)?;
        case.check("col2im", &input_sums, &sums, oracle.kernel.iter().product())
    })
}

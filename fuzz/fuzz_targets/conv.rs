//! On small integers a convolution and its gradients equal the definition bit for bit: with every
//! instruction set, every algorithm, plain and packed weights.

#![no_main]

use arbitrary::Arbitrary;
use im2col::{
    Activation, Algorithm, ConvOperands, ConvParams, ConvPlan, Isa, PaddingMode, RunError, Weights, naive,
};
use im2col_fuzz::{ALGORITHMS, Random};
use libfuzzer_sys::fuzz_target;

/// Enough for every tail of the tiles, and exact: 2^16 products of at most 4 * 4 stay below 2^24.
const MAX_MULTIPLY_ADDS: usize = 1 << 16;

#[derive(Arbitrary, Debug)]
struct Case {
    rank: u8,
    batch: u8,
    groups: u8,
    group_channels: [u8; 2],
    input: [u8; 3],
    kernel: [u8; 3],
    stride: [u8; 3],
    padding: [[u8; 2]; 3],
    dilation: [u8; 3],
    mode: u8,
    bias: bool,
    relu: bool,
    random: Random,
}

fuzz_target!(|case: Case| {
    let result = match case.rank % 3 {
        0 => check::<1>(&case),
        1 => check::<2>(&case),
        _ => check::<3>(&case),
    };
    assert_eq!(result, Ok(()));
});

const MODES: [PaddingMode; 4] =
    [PaddingMode::Zeros, PaddingMode::Reflect, PaddingMode::Replicate, PaddingMode::Circular];

/// A size in `1..=max`.
fn size(byte: u8, max: u8) -> usize {
    usize::from(byte % max) + 1
}

fn plan<const D: usize>(case: &Case) -> Option<ConvPlan<D>> {
    // Long rows where there is one axis, so that they fill several tiles.
    let max_input = [80, 20, 9][D - 1];
    let groups = size(case.groups, 3);
    let [group_in, group_out] = case.group_channels.map(|byte| size(byte, 14));
    let dims = |bytes: [u8; 3], max| core::array::from_fn(|axis| size(bytes[axis], max));
    ConvParams::<D>::new(groups * group_in, groups * group_out, dims(case.kernel, 5))
        .with_stride(dims(case.stride, 4))
        .with_padding_per_side(core::array::from_fn(|axis| {
            case.padding[axis].map(|byte| usize::from(byte % 5))
        }))
        .with_padding_mode(MODES[usize::from(case.mode % 4)])
        .with_dilation(dims(case.dilation, 3))
        .with_groups(groups)
        .with_bias(case.bias)
        .with_activation(if case.relu { Activation::Relu } else { Activation::Identity })
        .plan(size(case.batch, 3), dims(case.input, max_input))
        .ok()
        .filter(|plan| plan.multiply_adds() <= MAX_MULTIPLY_ADDS)
}

fn check<const D: usize>(case: &Case) -> Result<(), RunError> {
    let Some(plan) = plan::<D>(case) else { return Ok(()) };
    let mut random = case.random;
    let input = random.integers(plan.input_len());
    let weight = random.integers(plan.weight_len());
    let bias = random.integers(plan.bias_len());
    let grad_output = random.integers(plan.output_len());

    let mut expected = Results {
        output: vec![0.0; plan.output_len()],
        grad_input: vec![0.0; plan.input_len()],
        grad_weight: vec![0.0; plan.weight_len()],
        grad_bias: vec![0.0; plan.bias_len()],
    };
    naive::conv_forward(&plan, &input, &weight, &bias, &mut expected.output)?;
    naive::conv_backward_input(&plan, &weight, &grad_output, &mut expected.grad_input)?;
    naive::conv_backward_weight(&plan, &input, &grad_output, &mut expected.grad_weight)?;
    naive::conv_backward_bias(&plan, &grad_output, &mut expected.grad_bias)?;

    for algorithm in ALGORITHMS {
        let Ok(plan) = plan.with_algorithm(algorithm) else { continue };
        for isa in Isa::available() {
            let mut found = run(&plan.with_isa(isa), &input, &weight, &bias, &grad_output)?;
            if algorithm == Algorithm::Winograd {
                // The bound, 620 gamma(C + 31) C max |x| max |w|, is below 0.4 for C = 14: the nearest
                // integers are the sums.
                found.output.iter_mut().for_each(|y| *y = y.round());
            }
            assert_eq!(found, expected, "{algorithm:?}, {}", isa.name());
        }
    }
    Ok(())
}

#[derive(Debug, PartialEq)]
struct Results {
    output: Vec<f32>,
    grad_input: Vec<f32>,
    grad_weight: Vec<f32>,
    grad_bias: Vec<f32>,
}

/// Every result of the plan, on scratch and outputs that hold NaN.
fn run<const D: usize>(
    plan: &ConvPlan<D>,
    input: &[f32],
    weight: &[f32],
    bias: &[f32],
    grad_output: &[f32],
) -> Result<Results, RunError> {
    let garbage = |len| vec![f32::NAN; len];
    let mut output = garbage(plan.output_len());
    let mut scratch = garbage(plan.scratch_len());
    plan.forward(ConvOperands { input, weight: Weights::Plain(weight), bias }, &mut output, &mut scratch)?;
    // That crate packs for itself.
    if plan.algorithm() != Algorithm::Matrixmultiply {
        let mut packed = garbage(plan.packed_weight_len());
        let weight = Weights::Packed(plan.pack_weights(weight, &mut packed)?);
        let mut packed_output = garbage(plan.output_len());
        let mut scratch = garbage(plan.packed_scratch_len());
        plan.forward(ConvOperands { input, weight, bias }, &mut packed_output, &mut scratch)?;
        assert_eq!(output, packed_output);
    }

    let mut grad_input = garbage(plan.input_len());
    let mut grad_weight = garbage(plan.weight_len());
    let mut grad_bias = garbage(plan.bias_len());
    let mut scratch = garbage(plan.backward_input_scratch_len());
    plan.backward_input(weight, grad_output, &mut grad_input, &mut scratch)?;
    let mut scratch = garbage(plan.backward_weight_scratch_len());
    plan.backward_weight(input, grad_output, &mut grad_weight, &mut scratch)?;
    plan.backward_bias(grad_output, &mut grad_bias)?;
    Ok(Results { output, grad_input, grad_weight, grad_bias })
}

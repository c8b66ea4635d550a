//! Transposed convolution.

use crate::bytes::{Bytes, garbage};
use crate::compare::{Expected, assert_same_bits};
use crate::conv::{activated, activation, after, last};
use im2col::{ConvOperands, ConvParams, ConvTransposePlan, Gradients, Isa, Weights, naive};
use im2col_testkit::bound::{chained, gamma, pairwise};
use im2col_testkit::oracle::{Sum, TransposeCase};

const MAX_MULTIPLY_ADDS: usize = 1 << 12;

/// The forward pass, plain and packed, and the gradients, with every instruction set, under a limit of scratch, in
/// place, or without.
pub fn transposed(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    match bytes.below(3) {
        0 => check::<1>(&mut bytes),
        1 => check::<2>(&mut bytes),
        _ => check::<3>(&mut bytes),
    }
}

/// A transposed convolution of some rank that can be planned, and is small.
fn transpose_case(rank: usize, bytes: &mut Bytes<'_>) -> TransposeCase {
    let groups = 1 + bytes.below(3);
    let mut case = TransposeCase {
        batch: 1 + bytes.below(3),
        in_channels: groups * bytes.size(20),
        out_channels: groups * bytes.size(20),
        groups,
        input: [1; 3],
        kernel: [1; 3],
        stride: [1; 3],
        padding: [[0; 2]; 3],
        output_padding: [0; 3],
        dilation: [1; 3],
    };
    for axis in 3 - rank..3 {
        case.input[axis] = bytes.size([40, 9, 4][rank - 1]);
        case.kernel[axis] = 1 + bytes.below(5);
        case.stride[axis] = 1 + bytes.below(4);
        case.dilation[axis] = 1 + bytes.below(3);
        case.output_padding[axis] = bytes.below(4) % case.stride[axis].max(case.dilation[axis]);
    }
    while case.multiply_adds() > MAX_MULTIPLY_ADDS {
        let groups = case.groups;
        if case.batch > 1 {
            case.batch = 1;
        } else if case.in_channels > groups {
            case.in_channels = groups * (case.in_channels / groups / 2);
        } else if case.out_channels > groups {
            case.out_channels = groups * (case.out_channels / groups / 2);
        } else if let Some(kernel) = case.kernel.iter_mut().find(|kernel| **kernel > 1) {
            *kernel -= 1;
        } else {
            break;
        }
    }
    for (axis, uncropped) in case.output().into_iter().enumerate().skip(3 - rank) {
        let before = bytes.below(5).min(uncropped - 1);
        case.padding[axis] = [before, bytes.below(5).min(uncropped - 1 - before)];
    }
    case
}

fn check<const D: usize>(bytes: &mut Bytes<'_>) {
    let case = transpose_case(D, bytes);
    let mut numbers = bytes.numbers();
    let is_real = numbers.is_real;
    let activation = activation(bytes, is_real);
    let plan = ConvParams::<D>::new(case.in_channels, case.out_channels, last(case.kernel))
        .with_stride(last(case.stride))
        .with_padding_per_side(last(case.padding))
        .with_dilation(last(case.dilation))
        .with_output_padding(last(case.output_padding))
        .with_groups(case.groups)
        .with_bias(bytes.flag())
        .with_activation(activation)
        .plan_transposed(case.batch, last(case.input))
        .unwrap();
    let most = plan.scratch_len().max(plan.backward_scratch_len());
    let limit = [usize::MAX, most / 4 * bytes.below(4), 0][bytes.below(3)];
    let plan = plan.with_scratch_limit(limit).with_backward_scratch_limit(limit);
    let lens = [plan.input_len(), plan.weight_len(), plan.bias_len(), plan.output_len()];
    let operands @ [input, weight, bias, grad_output] = &lens.map(|len| numbers.operand(len));

    let mut naive = [plan.output_len(), plan.input_len(), plan.weight_len(), plan.bias_len()].map(garbage);
    let [output, grad_input, grad_weight, grad_bias] = &mut naive;
    naive::conv_transpose_forward(&plan, input, weight, bias, output).unwrap();
    naive::conv_transpose_backward_input(&plan, weight, grad_output, grad_input).unwrap();
    naive::conv_transpose_backward_weight(&plan, input, grad_output, grad_weight).unwrap();
    naive::conv_transpose_backward_bias(&plan, grad_output, grad_bias).unwrap();

    let bound = |roundings| move |sum: &Sum| gamma(roundings) * sum.magnitude;
    let of_output = |sum: &Sum| after(activation, gamma(case.forward_products() + 2) * sum.magnitude);
    let sums = || activated(activation, case.forward(input, weight, bias));
    let bias_sums = || if bias.is_empty() { Vec::new() } else { case.grad_bias(grad_output) };
    let [output, grad_input, grad_weight, grad_bias] = naive;
    let output = Expected::new(output, is_real, sums, of_output);
    // The definition adds in one chain.
    let [taps, positions, terms] =
        [case.grad_input_products(), case.grad_weight_products(), case.grad_bias_terms()];
    let grads = [
        Expected::new(grad_input, is_real, || case.grad_input(weight, grad_output), bound(taps + 2)),
        Expected::new(grad_weight, is_real, || case.grad_weight(input, grad_output), bound(positions + 2)),
        Expected::new(grad_bias, is_real, bias_sums, bound(terms + 2)),
    ];
    let roundings = [taps + 2, chained(positions) + 2, pairwise(terms)];

    for isa in Isa::available() {
        let plan = plan.with_isa(isa);
        output.check(&forward(&plan, operands), of_output, &(limit, plan));
        for ((expected, grad), roundings) in grads.iter().zip(backward(&plan, operands)).zip(roundings) {
            expected.check(&grad, bound(roundings), &(limit, plan));
        }
    }
}

/// The output with plain weights, which is that with packed weights bit for bit.
fn forward<const D: usize>(plan: &ConvTransposePlan<D>, operands: &[Vec<f32>; 4]) -> Vec<f32> {
    let [input, weight, bias, _] = operands;
    let mut packed = garbage(plan.packed_weight_len());
    let packed = Weights::Packed(plan.pack_weights(weight, &mut packed).unwrap());
    let [plain, packed] = [(Weights::Plain(weight), plan.scratch_len()), (packed, plan.packed_scratch_len())]
        .map(|(weight, scratch_len)| {
            let mut output = garbage(plan.output_len());
            let operands = ConvOperands { input, weight, bias };
            plan.forward(operands, &mut output, &mut garbage(scratch_len)).unwrap();
            output
        });
    assert_same_bits(&packed, &plain, plan);
    plain
}

/// The gradients of input, weight and bias.
fn backward<const D: usize>(plan: &ConvTransposePlan<D>, operands: &[Vec<f32>; 4]) -> [Vec<f32>; 3] {
    let [input, weight, _, grad_output] = operands;
    let mut grads = [plan.input_len(), plan.weight_len(), plan.bias_len()].map(garbage);
    let [grad_input, grad_weight, grad_bias] = &mut grads;
    let gradients = Gradients { input: grad_input, weight: grad_weight, bias: grad_bias };
    let mut scratch = garbage(plan.backward_scratch_len());
    plan.backward(input, weight, grad_output, gradients, &mut scratch).unwrap();
    grads
}

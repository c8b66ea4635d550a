//! What is not finite comes out where the definition says: products of it are not finite, sums of infinities of both signs
//! and of NaN are NaN. The finite operands are small integers, so the other values are equal.
//!
//! Only what meets zeros of the padding may differ: a weight in a forward pass, and in gradients the operand that
//! lies still. Winograd's outputs share what they see. Pooling has such operands in all of its tests, and losses in theirs.

use crate::plans::ordered_algorithms;
use crate::plans::{
    Operands, assert_same, backward, conv_plan, each_rank, forward, forward_packed, isas, last,
};
use im2col::{
    Activation, ConvOperands, ConvParams, ConvTransposePlan, Isa, LinearOperands, LinearParams, Weights,
    naive,
};
use im2col_testkit::operands::{garbage, integers, specials};
use im2col_testkit::oracle::{ConvCase, TransposeCase};
use im2col_testkit::property::{cases, for_all};
use im2col_testkit::strategies::linear_case;
use proptest::prelude::any;

each_rank!(weights, 500, conv_case, weights_propagate);

fn weights_propagate<const D: usize>(case: &ConvCase, seed: u64) {
    let case = ConvCase { padding: [[0; 2]; 3], ..*case };
    let fits = |axis: usize| case.dilation[axis] * (case.kernel[axis] - 1) < case.input[axis];
    if ![0, 1, 2].into_iter().all(fits) {
        return;
    }
    let mut operands = Operands::integers(&case, seed);
    operands.weight = specials(seed, case.weight_len());
    let plan = conv_plan::<D>(&case, &operands, Activation::Identity);
    let mut expected = garbage(1, plan.output_len());
    naive::conv_forward(&plan, &operands.input, &operands.weight, &operands.bias, &mut expected).unwrap();
    for plan in ordered_algorithms(plan).flat_map(isas) {
        assert_same(&forward(&plan, &operands), &expected, plan);
        assert_same(&forward_packed(&plan, &operands).unwrap(), &expected, ("packed", plan));
    }
}

each_rank!(gradients, 700, conv_case, gradients_propagate);

fn gradients_propagate<const D: usize>(case: &ConvCase, seed: u64) {
    let mut operands = Operands::integers(case, seed);
    let plan = conv_plan::<D>(case, &operands, Activation::Identity);
    let mut grad_weight = garbage(1, plan.weight_len());
    operands.input = specials(seed, case.input_len());
    naive::conv_backward_weight(&plan, &operands.input, &operands.grad_output, &mut grad_weight).unwrap();
    for plan in isas(plan) {
        assert_same(&backward(&plan, &operands)[1], &grad_weight, ("grad_weight", plan));
    }

    operands.input = integers(seed, case.input_len());
    operands.grad_output = specials(seed, case.output_len());
    let (mut grad_input, mut grad_bias) = (garbage(2, plan.input_len()), garbage(3, plan.bias_len()));
    naive::conv_backward_input(&plan, &operands.weight, &operands.grad_output, &mut grad_input).unwrap();
    naive::conv_backward_weight(&plan, &operands.input, &operands.grad_output, &mut grad_weight).unwrap();
    naive::conv_backward_bias(&plan, &operands.grad_output, &mut grad_bias).unwrap();
    for plan in isas(plan) {
        let given = backward(&plan, &operands);
        assert_same(&given[0], &grad_input, ("grad_input", plan));
        if case.padding == [[0; 2]; 3] {
            assert_same(&given[1], &grad_weight, ("grad_weight", plan));
        }
        assert_same(&given[2], &grad_bias, ("grad_bias", plan));
    }
}

each_rank!(transposed, 500, transpose_case, transposed_propagates);

fn transposed_propagates<const D: usize>(case: &TransposeCase, seed: u64) {
    let params = ConvParams::new(case.in_channels, case.out_channels, last(case.kernel))
        .with_stride(last(case.stride))
        .with_padding_per_side(last(case.padding))
        .with_dilation(last(case.dilation))
        .with_output_padding(last(case.output_padding))
        .with_groups(case.groups)
        .with_bias(false);
    let plan: ConvTransposePlan<D> = params.plan_transposed(case.batch, last(case.input)).unwrap();
    let weight = integers(seed, plan.weight_len());
    let (input, grad_output) = (specials(seed, plan.input_len()), specials(!seed, plan.output_len()));
    let (mut output, mut grad_input) = (garbage(1, plan.output_len()), garbage(2, plan.input_len()));
    naive::conv_transpose_forward(&plan, &input, &weight, &[], &mut output).unwrap();
    naive::conv_transpose_backward_input(&plan, &weight, &grad_output, &mut grad_input).unwrap();
    for plan in Isa::available().map(|isa| plan.with_isa(isa)) {
        let mut given = garbage(3, plan.output_len());
        let operands = ConvOperands { input: &input, weight: Weights::Plain(&weight), bias: &[] };
        plan.forward(operands, &mut given, &mut garbage(4, plan.scratch_len())).unwrap();
        assert_same(&given, &output, plan);
        let mut given = garbage(5, plan.input_len());
        let mut scratch = garbage(6, plan.backward_input_scratch_len());
        plan.backward_input(&weight, &grad_output, &mut given, &mut scratch).unwrap();
        assert_same(&given, &grad_input, ("grad_input", plan));
    }
}

#[test]
fn linear() {
    for_all(cases(800), (linear_case(), any::<u64>()), |(case, seed)| linear_propagates(&case, seed));
}

/// Nothing is padded, so any operand may hold what is not finite.
fn linear_propagates(case: &ConvCase, seed: u64) {
    let mut operands = Operands::integers(case, seed);
    operands.input = specials(seed, case.input_len());
    operands.weight = specials(!seed, case.weight_len());
    operands.grad_output = specials(seed ^ 1, case.output_len());
    let Operands { input, weight, bias, grad_output } = &operands;
    let params = LinearParams::new(case.in_channels, case.out_channels).with_bias(!bias.is_empty());
    let plan = params.plan(case.batch).unwrap();
    let mut output = garbage(1, plan.output_len());
    naive::linear_forward(&plan, input, weight, bias, &mut output).unwrap();
    let (mut grad_input, mut grad_weight) = (garbage(2, plan.input_len()), garbage(3, plan.weight_len()));
    naive::linear_backward_input(&plan, weight, grad_output, &mut grad_input).unwrap();
    naive::linear_backward_weight(&plan, input, grad_output, &mut grad_weight).unwrap();
    for plan in Isa::available().map(|isa| plan.with_isa(isa)) {
        let mut packed = garbage(4, plan.packed_weight_len());
        let packed = plan.pack_weights(weight, &mut packed).unwrap();
        for weight in [Weights::Plain(weight), Weights::Packed(packed)] {
            let mut given = garbage(5, plan.output_len());
            let mut scratch = garbage(6, plan.scratch_len());
            plan.forward(LinearOperands { input, weight, bias }, &mut given, &mut scratch).unwrap();
            assert_same(&given, &output, plan);
        }
        let mut given = garbage(7, plan.input_len());
        let mut scratch = garbage(8, plan.backward_input_scratch_len());
        plan.backward_input(weight, grad_output, &mut given, &mut scratch).unwrap();
        assert_same(&given, &grad_input, ("grad_input", plan));
        let mut given = garbage(9, plan.weight_len());
        let mut scratch = garbage(10, plan.backward_weight_scratch_len());
        plan.backward_weight(input, grad_output, &mut given, &mut scratch).unwrap();
        assert_same(&given, &grad_weight, ("grad_weight", plan));
    }
}

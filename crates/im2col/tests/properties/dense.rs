//! A convolution is a fully connected layer with a structured weight, and one of a single tap is a
//! fully connected layer over channels.

use crate::plans::{Operands, assert_same, conv_plan, each_rank, forward, isas};
use im2col::{Activation, ConvParams, LinearOperands, LinearParams, RunError, Weights, naive};
use im2col_testkit::operands::garbage;
use im2col_testkit::oracle::ConvCase;

each_rank!(matrices, 300, conv_case, the_dense_layer_is_the_convolution);

fn the_dense_layer_is_the_convolution<const D: usize>(case: &ConvCase, seed: u64) {
    let operands = Operands { bias: Vec::new(), ..Operands::integers(case, seed) };
    let plan = conv_plan::<D>(case, &operands, Activation::Relu);
    let Some(images) = (case.batch > 0).then_some(case.batch) else { return };
    let (inputs, outputs) = (plan.input_len() / images, plan.output_len() / images);
    if inputs * outputs > 1 << 16 {
        return;
    }
    let mut matrix = garbage(seed, inputs * outputs);
    naive::dense_matrix(&plan, &operands.weight, &mut matrix).unwrap();
    let linear = LinearParams::new(inputs, outputs).with_bias(false).with_activation(Activation::Relu);
    let linear = linear.plan(images).unwrap();
    let mut output = garbage(seed, plan.output_len());
    let dense = LinearOperands { input: &operands.input, weight: Weights::Plain(&matrix), bias: &[] };
    linear.forward(dense, &mut output, &mut garbage(1, linear.scratch_len())).unwrap();
    for plan in isas(plan) {
        assert_same(&forward(&plan, &operands), &output, plan);
    }
}

#[test]
fn lengths_are_checked() {
    let plan = ConvParams::new(2, 3, [2]).plan(5, [4]).unwrap();
    let mut matrix = vec![7.0; 9 * 8 - 1];
    let error = RunError::Length { operand: "matrix", required: 72, given: 71 };
    assert_eq!(naive::dense_matrix(&plan, &[0.0; 12], &mut matrix), Err(error));
    let error = RunError::Length { operand: "weight", required: 12, given: 11 };
    assert_eq!(naive::dense_matrix(&plan, &[0.0; 11], &mut [7.0; 72]), Err(error));
    assert!(matrix.iter().all(|&value| value == 7.0));
}

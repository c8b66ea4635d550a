//! The gradients are those of the definition.

use crate::plans::{Operands, assert_same, backward, conv_params, conv_plan, each_rank, isas};
use im2col::{Activation, naive};
use im2col_testkit::bound;
use im2col_testkit::operands::garbage;
use im2col_testkit::oracle::{ConvCase, Mode};

each_rank!(integers, 500, conv_case, equals_naive);

pub(crate) fn equals_naive<const D: usize>(case: &ConvCase, seed: u64) {
    let operands = Operands::integers(case, seed);
    let plan = conv_plan::<D>(case, &operands, Activation::Identity);
    let Operands { input, weight, grad_output, .. } = &operands;
    let mut grad_input = vec![f32::NAN; plan.input_len()];
    naive::conv_backward_input(&plan, weight, grad_output, &mut grad_input).unwrap();
    let mut grad_weight = vec![f32::NAN; plan.weight_len()];
    naive::conv_backward_weight(&plan, input, grad_output, &mut grad_weight).unwrap();
    let mut grad_bias = vec![f32::NAN; plan.bias_len()];
    naive::conv_backward_bias(&plan, grad_output, &mut grad_bias).unwrap();
    for plan in isas(plan) {
        let given = backward(&plan, &operands);
        assert_same(&given[0], &grad_input, ("grad_input", plan));
        assert_same(&given[1], &grad_weight, ("grad_weight", plan));
        assert_same(&given[2], &grad_bias, ("grad_bias", plan));
    }
}

// Sums of more than one chain.
each_rank!(long_integers, 60, long_conv_case, equals_naive);
each_rank!(long_error_bound, 40, long_conv_case, within_the_bound);

each_rank!(error_bound, 500, conv_case, within_the_bound);

fn within_the_bound<const D: usize>(case: &ConvCase, seed: u64) {
    let operands = Operands::reals(case, seed);
    let plan = conv_plan::<D>(case, &operands, Activation::Identity);
    let Operands { input, weight, grad_output, .. } = &operands;
    let grad_input = case.grad_input(weight, grad_output);
    let grad_weight = case.grad_weight(input, grad_output);
    let grad_bias = case.grad_bias(grad_output);
    for plan in isas(plan) {
        let given = backward(&plan, &operands);
        bound::check(&given[0], &grad_input, case.grad_input_products()).unwrap();
        let terms = case.grad_weight_products();
        bound::check(&given[1], &grad_weight, bound::chained(terms)).unwrap();
        if plan.params().has_bias() {
            let gamma = bound::gamma(bound::pairwise(terms));
            bound::check_each(&given[2], &grad_bias, |sum| gamma * sum.magnitude).unwrap();
        }
    }
}

/// A last chain of fewer images; many parts of an image, side by side or one below the other; padding and strides
/// that parts begin in the middle of; planes so large a power of two that a part is copied to be read.
#[test]
fn every_chain_counts() {
    let one = ConvCase::linear(1, 1, 1);
    let square = |channels: [usize; 2], kernel, padding, batch, side: usize| ConvCase {
        batch,
        in_channels: channels[0],
        out_channels: channels[1],
        input: [1, side, side],
        kernel: [1, kernel, kernel],
        padding: [[0; 2], [padding; 2], [padding; 2]],
        ..one
    };
    for case in [
        // 41 images of 49 positions are a chain, whose stage is shorter than that of the last 30.
        square([24, 2], 3, 1, 71, 7),
        square([24, 2], 3, 1, 41, 7),
        square([2, 3], 1, 0, 4097, 1),
        square([1, 1], 3, 1, 200, 4),
        square([2, 2], 3, 1, 2, 60),
        ConvCase { stride: [1, 2, 3], ..square([2, 2], 3, 2, 2, 140) },
        ConvCase { mode: Mode::Reflect, ..square([2, 2], 3, 2, 1, 60) },
        ConvCase {
            input: [5, 30, 31],
            kernel: [2, 2, 2],
            padding: [[1, 0]; 3],
            ..square([1, 7], 1, 0, 1, 1)
        },
        ConvCase {
            input: [1, 3, 5000],
            kernel: [1, 2, 2],
            padding: [[0; 2], [1, 0], [0, 1]],
            ..square([1, 7], 1, 0, 2, 1)
        },
        ConvCase {
            input: [1, 3, 5000],
            kernel: [1, 2, 2],
            padding: [[0; 2], [1, 0], [0, 1]],
            ..square([1, 2], 1, 0, 2, 1)
        },
        ConvCase { input: [1, 1, 1 << 18], stride: [1, 1, 7], ..square([1, 2], 1, 0, 1, 1) },
        ConvCase {
            input: [1, 2500, 2],
            kernel: [1, 2, 1],
            dilation: [1, 3, 1],
            ..square([1, 2], 1, 0, 1, 1)
        },
    ] {
        equals_naive::<3>(&case, 0);
    }
}

/// The products in a sum are the pairs of a position and a tap that see the value: all 2001 of them here.
#[test]
fn padding_that_shows_one_value_makes_long_sums() {
    let case = ConvCase {
        input: [1, 1, 1],
        padding: [[0; 2], [0; 2], [1000; 2]],
        mode: Mode::Replicate,
        ..ConvCase::linear(1, 1, 1)
    };
    assert_eq!(case.grad_input_products(), 2001);
    let tiny = 2.0_f32.powi(-25);
    let mut grad_output = vec![tiny; 2001];
    grad_output[0] = 1.0;
    let expected = case.grad_input(&[1.0], &grad_output);
    for plan in isas(conv_params::<1>(&case).with_bias(false).plan(1, [1]).unwrap()) {
        let mut grad_input = [f32::NAN];
        let mut scratch = garbage(1, plan.backward_input_scratch_len());
        plan.backward_input(&[1.0], &grad_output, &mut grad_input, &mut scratch).unwrap();
        bound::check(&grad_input, &expected, case.grad_input_products()).unwrap();
        // Each of the small ones is lost, which as many roundings as taps could not do.
        assert_eq!(grad_input, [1.0]);
        assert!(bound::check(&grad_input, &expected, 1).is_err());
    }
}

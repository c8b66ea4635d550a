//! A limit of scratch is kept by gradients and transposed convolutions, down to none at all, and changes no bit.

use crate::plans::{Operands, assert_same, backward, conv_plan, each_rank, isas, last};
use im2col::{
    Activation, ConvOperands, ConvParams, ConvPlan, ConvTransposePlan, Isa, LinearOperands, LinearParams,
    LinearPlan, Weights, naive,
};
use im2col_testkit::operands::{garbage, integers, reals};
use im2col_testkit::oracle::{ConvCase, TransposeCase};
use im2col_testkit::property::{cases, for_all};
use im2col_testkit::strategies::linear_case;
use proptest::prelude::any;

/// Limits around what a plan asks for, and one at random.
fn limits(full: usize, seed: u64) -> [usize; 8] {
    let random = (seed % (full as u64 + 1)) as usize;
    [0, 1, full / 3, full / 2, full.saturating_sub(1), full, usize::MAX, random]
}

each_rank!(convolution, 500, conv_case, of_a_convolution);

fn of_a_convolution<const D: usize>(case: &ConvCase, seed: u64) {
    let operands = Operands::reals(case, seed);
    let plan = conv_plan::<D>(case, &operands, Activation::Identity);
    for plan in isas(plan) {
        let expected = backward(&plan, &operands);
        for limit in limits(plan.backward_scratch_len(), seed) {
            let limited = plan.with_backward_scratch_limit(limit);
            let lens =
                |plan: &ConvPlan<D>| [plan.backward_input_scratch_len(), plan.backward_weight_scratch_len()];
            for (len, full) in lens(&limited).into_iter().zip(lens(&plan)) {
                // What fits stays as it is.
                assert!(len <= limit.min(full) && (len == full || full > limit), "{limited:?}");
            }
            for (given, expected) in backward(&limited, &operands).iter().zip(&expected) {
                assert_same(given, expected, (limit, limited));
            }
            assert_eq!(limited.with_backward_scratch_limit(usize::MAX), plan);
        }
    }
}

each_rank!(transposed_convolution, 500, transpose_case, of_a_transposed_convolution);

fn of_a_transposed_convolution<const D: usize>(case: &TransposeCase, seed: u64) {
    let plan = ConvParams::<D>::new(case.in_channels, case.out_channels, last(case.kernel))
        .with_stride(last(case.stride))
        .with_padding_per_side(last(case.padding))
        .with_dilation(last(case.dilation))
        .with_output_padding(last(case.output_padding))
        .with_groups(case.groups)
        .with_bias(false)
        .plan_transposed(case.batch, last(case.input))
        .unwrap();
    let input = reals(seed, plan.input_len());
    let (weight, grad_output) = (reals(!seed, plan.weight_len()), reals(seed ^ 1, plan.output_len()));
    let run = |plan: &ConvTransposePlan<D>| {
        let mut packed = garbage(1, plan.packed_weight_len());
        let packed = Weights::Packed(plan.pack_weights(&weight, &mut packed).unwrap());
        let [mut plain, mut of_packed] = [2, 3].map(|seed| garbage(seed, plan.output_len()));
        let operands = ConvOperands { input: &input, weight: Weights::Plain(&weight), bias: &[] };
        plan.forward(operands, &mut plain, &mut garbage(4, plan.scratch_len())).unwrap();
        let operands = ConvOperands { weight: packed, ..operands };
        plan.forward(operands, &mut of_packed, &mut garbage(5, plan.packed_scratch_len())).unwrap();
        let (mut grad_input, mut grad_weight) = (garbage(6, plan.input_len()), garbage(7, plan.weight_len()));
        let mut scratch = garbage(8, plan.backward_input_scratch_len());
        plan.backward_input(&weight, &grad_output, &mut grad_input, &mut scratch).unwrap();
        let mut scratch = garbage(9, plan.backward_weight_scratch_len());
        plan.backward_weight(&input, &grad_output, &mut grad_weight, &mut scratch).unwrap();
        [plain, of_packed, grad_input, grad_weight]
    };
    for plan in Isa::available().map(|isa| plan.with_isa(isa)) {
        let expected = run(&plan);
        for limit in limits(plan.scratch_len().max(plan.backward_scratch_len()), seed) {
            let limited = plan.with_scratch_limit(limit).with_backward_scratch_limit(limit);
            assert!(limited.scratch_len() <= limit && limited.packed_scratch_len() <= limit);
            assert!(limited.backward_scratch_len() <= limit);
            assert!(limit < plan.scratch_len() || limited.scratch_len() == plan.scratch_len());
            for (given, expected) in run(&limited).iter().zip(&expected) {
                assert_same(given, expected, (limit, limited));
            }
            // Each call says one thing, in any order.
            assert_eq!(plan.with_backward_scratch_limit(limit).with_scratch_limit(limit), limited);
        }
    }
}

/// Limits between nothing and everything: gradients in smaller blocks, where a group's weights fit.
#[test]
fn of_large_blocks() {
    let conv = ConvParams::new(64, 64, [3, 3]).with_padding([1, 1]).with_bias(false);
    let plan = conv.plan(2, [40, 41]).unwrap();
    let operands = Operands {
        input: reals(1, plan.input_len()),
        weight: reals(2, plan.weight_len()),
        bias: Vec::new(),
        grad_output: reals(3, plan.output_len()),
    };
    let expected = backward(&plan, &operands);
    let full = plan.backward_input_scratch_len();
    let limit = full - 10_000;
    let limited = plan.with_backward_scratch_limit(limit);
    assert!((1..=limit).contains(&limited.backward_input_scratch_len()), "{limited:?}");
    assert_same(&backward(&limited, &operands)[0], &expected[0], limited);
    let full = plan.backward_weight_scratch_len();
    let limit = full - 10_000;
    let limited = plan.with_backward_scratch_limit(limit);
    assert!((1..=limit).contains(&limited.backward_weight_scratch_len()), "{limited:?}");
    assert_same(&backward(&limited, &operands)[1], &expected[1], limited);
}

/// The last images of a batch are fewer than those before: larger blocks of them would not fit into the scratch.
#[test]
fn of_fewer_images_in_the_end() {
    let conv = ConvParams::new(1, 8, [17, 17]).with_stride([17, 17]).with_padding([1, 1]);
    let plan = conv.plan(5, [440, 440]).unwrap();
    let (input, grad_output) = (integers(1, plan.input_len()), integers(2, plan.output_len()));
    let mut expected = garbage(3, plan.weight_len());
    naive::conv_backward_weight(&plan, &input, &grad_output, &mut expected).unwrap();
    for limit in [usize::MAX, plan.backward_weight_scratch_len() - 1, 0] {
        let plan = plan.with_backward_scratch_limit(limit);
        let mut grad_weight = garbage(4, plan.weight_len());
        let mut scratch = garbage(5, plan.backward_weight_scratch_len());
        plan.backward_weight(&input, &grad_output, &mut grad_weight, &mut scratch).unwrap();
        assert_same(&grad_weight, &expected, limit);
    }
}

#[test]
fn of_a_linear_layer() {
    for_all(cases(500), (linear_case(), any::<u64>()), |(case, seed)| {
        let Operands { input, weight, bias, grad_output } = &Operands::reals(&case, seed);
        let params = LinearParams::new(case.in_channels, case.out_channels)
            .with_bias(!bias.is_empty())
            .with_activation(Activation::Relu);
        let run = |plan: &LinearPlan| {
            let mut packed = garbage(1, plan.packed_weight_len());
            let packed = Weights::Packed(plan.pack_weights(weight, &mut packed).unwrap());
            let mut outputs = [Weights::Plain(weight), packed].map(|weight| {
                let mut output = garbage(2, plan.output_len());
                let operands = LinearOperands { input, weight, bias };
                plan.forward(operands, &mut output, &mut garbage(3, plan.scratch_len())).unwrap();
                output
            });
            let mut grads = [plan.input_len(), plan.weight_len()].map(|len| garbage(4, len));
            let mut scratch = garbage(5, plan.backward_input_scratch_len());
            plan.backward_input(weight, grad_output, &mut grads[0], &mut scratch).unwrap();
            let mut scratch = garbage(6, plan.backward_weight_scratch_len());
            plan.backward_weight(input, grad_output, &mut grads[1], &mut scratch).unwrap();
            let [plain, packed] = &mut outputs;
            let [grad_input, grad_weight] = grads;
            [std::mem::take(plain), std::mem::take(packed), grad_input, grad_weight]
        };
        let plan = params.plan(case.batch).unwrap();
        for plan in Isa::available().map(|isa| plan.with_isa(isa)) {
            let expected = run(&plan);
            for limit in limits(plan.scratch_len().max(plan.backward_scratch_len()), seed) {
                let limited = plan.with_scratch_limit(limit).with_backward_scratch_limit(limit);
                assert!(limited.scratch_len().max(limited.backward_scratch_len()) <= limit);
                assert!(limit < plan.scratch_len() || limited.scratch_len() == plan.scratch_len());
                for (given, expected) in run(&limited).iter().zip(&expected) {
                    assert_same(given, expected, (limit, limited));
                }
                assert_eq!(plan.with_backward_scratch_limit(limit).with_scratch_limit(limit), limited);
            }
        }
    });
}

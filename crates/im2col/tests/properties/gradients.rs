//! All gradients in one call are those of the calls for each.

use crate::plans::{Operands, assert_same, backward, conv_plan, each_rank, isas, last};
use im2col::{Activation, ConvParams, Gradients, Isa, LinearParams, RunError};
use im2col_testkit::operands::{garbage, reals};
use im2col_testkit::oracle::{ConvCase, TransposeCase};
use im2col_testkit::property::{cases, for_all};
use im2col_testkit::strategies::linear_case;
use proptest::prelude::any;

/// Calls `backward` with gradients of these lengths and a scratch; everything that is written holds garbage before.
fn together(
    lens: [usize; 3],
    scratch: usize,
    backward: impl FnOnce(Gradients<'_>, &mut [f32]) -> Result<(), RunError>,
) -> [Vec<f32>; 3] {
    let [mut input, mut weight, mut bias] = lens.map(|len| garbage(11, len));
    let gradients = Gradients { input: &mut input, weight: &mut weight, bias: &mut bias };
    backward(gradients, &mut garbage(12, scratch)).unwrap();
    [input, weight, bias]
}

#[track_caller]
fn assert_all_same(given: &[Vec<f32>; 3], expected: &[Vec<f32>; 3], what: impl std::fmt::Debug) {
    for (i, (given, expected)) in given.iter().zip(expected).enumerate() {
        assert_same(given, expected, (["input", "weight", "bias"][i], &what));
    }
}

each_rank!(convolution, 300, conv_case, of_a_convolution);

fn of_a_convolution<const D: usize>(case: &ConvCase, seed: u64) {
    let operands = Operands::reals(case, seed);
    let Operands { input, weight, grad_output, .. } = &operands;
    for plan in isas(conv_plan::<D>(case, &operands, Activation::Identity)) {
        let lens = [plan.input_len(), plan.weight_len(), plan.bias_len()];
        let scratches = [plan.backward_input_scratch_len(), plan.backward_weight_scratch_len()];
        assert_eq!(Some(plan.backward_scratch_len()), scratches.into_iter().max());
        let given = together(lens, plan.backward_scratch_len(), |gradients, scratch| {
            plan.backward(input, weight, grad_output, gradients, scratch)
        });
        assert_all_same(&given, &backward(&plan, &operands), plan);
    }
}

each_rank!(transposed_convolution, 300, transpose_case, of_a_transposed_convolution);

fn of_a_transposed_convolution<const D: usize>(case: &TransposeCase, seed: u64) {
    let plan = ConvParams::<D>::new(case.in_channels, case.out_channels, last(case.kernel))
        .with_stride(last(case.stride))
        .with_padding_per_side(last(case.padding))
        .with_dilation(last(case.dilation))
        .with_output_padding(last(case.output_padding))
        .with_groups(case.groups)
        .with_bias(seed & 1 == 0)
        .plan_transposed(case.batch, last(case.input))
        .unwrap();
    let input = reals(seed, plan.input_len());
    let (weight, grad_output) = (reals(!seed, plan.weight_len()), reals(seed ^ 1, plan.output_len()));
    for plan in Isa::available().map(|isa| plan.with_isa(isa)) {
        let lens = [plan.input_len(), plan.weight_len(), plan.bias_len()];
        let scratches = [plan.backward_input_scratch_len(), plan.backward_weight_scratch_len()];
        assert_eq!(Some(plan.backward_scratch_len()), scratches.into_iter().max());
        let given = together(lens, plan.backward_scratch_len(), |gradients, scratch| {
            plan.backward(&input, &weight, &grad_output, gradients, scratch)
        });
        let mut expected = lens.map(|len| garbage(13, len));
        let [grad_input, grad_weight, grad_bias] = &mut expected;
        let mut scratch = scratches.map(|len| garbage(14, len));
        plan.backward_input(&weight, &grad_output, grad_input, &mut scratch[0]).unwrap();
        plan.backward_weight(&input, &grad_output, grad_weight, &mut scratch[1]).unwrap();
        plan.backward_bias(&grad_output, grad_bias).unwrap();
        assert_all_same(&given, &expected, plan);
    }
}

#[test]
fn of_a_linear_layer() {
    for_all(cases(300), (linear_case(), any::<u64>()), |(case, seed)| {
        let Operands { input, weight, grad_output, .. } = &Operands::reals(&case, seed);
        let params = LinearParams::new(case.in_channels, case.out_channels).with_bias(seed & 1 == 0);
        let plan = params.plan(case.batch).unwrap();
        for plan in Isa::available().map(|isa| plan.with_isa(isa)) {
            let lens = [plan.input_len(), plan.weight_len(), plan.bias_len()];
            let scratches = [plan.backward_input_scratch_len(), plan.backward_weight_scratch_len()];
            assert_eq!(Some(plan.backward_scratch_len()), scratches.into_iter().max());
            let given = together(lens, plan.backward_scratch_len(), |gradients, scratch| {
                plan.backward(input, weight, grad_output, gradients, scratch)
            });
            let mut expected = lens.map(|len| garbage(13, len));
            let [grad_input, grad_weight, grad_bias] = &mut expected;
            let mut scratch = scratches.map(|len| garbage(14, len));
            plan.backward_input(weight, grad_output, grad_input, &mut scratch[0]).unwrap();
            plan.backward_weight(input, grad_output, grad_weight, &mut scratch[1]).unwrap();
            plan.backward_bias(grad_output, grad_bias).unwrap();
            assert_all_same(&given, &expected, plan);
        }
    });
}

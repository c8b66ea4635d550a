//! One order of summation: which instruction sets and plans agree to the last bit.

use crate::plans::{
    Operands, assert_same, backward, conv_plan, each_rank, forward, last, ordered_algorithms,
};
use im2col::{Activation, ConvPlan, Isa, naive};
use im2col_testkit::oracle::ConvCase;

const ACTIVATIONS: [Activation; 4] =
    [Activation::Identity, Activation::Relu, Activation::Sigmoid, Activation::Tanh];

each_rank!(definition, 500, conv_case, scalar_is_the_definition);

/// Products in the same order, each a multiplication and an addition; then bias; then activation.
fn scalar_is_the_definition<const D: usize>(case: &ConvCase, seed: u64) {
    let operands = Operands::reals(case, seed);
    let plan = conv_plan::<D>(case, &operands, ACTIVATIONS[seed as usize % 4]);
    let Operands { input, weight, bias, .. } = &operands;
    let mut expected = vec![f32::NAN; plan.output_len()];
    naive::conv_forward(&plan, input, weight, bias, &mut expected).unwrap();
    for plan in ordered_algorithms(plan.with_isa(Isa::SCALAR)) {
        assert_same(&forward(&plan, &operands), &expected, plan);
    }
}

each_rank!(fused, 500, conv_case, fused_instruction_sets_agree);

fn fused_instruction_sets_agree<const D: usize>(case: &ConvCase, seed: u64) {
    let (Some(avx2_fma), Some(avx512f)) = (Isa::avx2_fma(), Isa::avx512f()) else { return };
    let operands = Operands::reals(case, seed);
    let plan = conv_plan::<D>(case, &operands, ACTIVATIONS[seed as usize % 4]);
    for plan in ordered_algorithms(plan) {
        let [left, right] = [avx2_fma, avx512f].map(|isa| forward(&plan.with_isa(isa), &operands));
        assert_same(&left, &right, plan);
    }
    let [left, right] = [avx2_fma, avx512f].map(|isa| backward(&plan.with_isa(isa), &operands));
    for i in 0..3 {
        assert_same(&left[i], &right[i], plan);
    }
}

each_rank!(algorithms, 500, conv_case, algorithms_agree);

fn algorithms_agree<const D: usize>(case: &ConvCase, seed: u64) {
    let operands = Operands::reals(case, seed);
    let plan = conv_plan::<D>(case, &operands, Activation::Identity);
    for isa in Isa::available() {
        let outputs: Vec<_> =
            ordered_algorithms(plan.with_isa(isa)).map(|plan| forward(&plan, &operands)).collect();
        for output in &outputs {
            assert_same(output, &outputs[0], plan);
        }
    }
}

each_rank!(batch, 500, conv_case, images_do_not_see_each_other);

fn images_do_not_see_each_other<const D: usize>(case: &ConvCase, seed: u64) {
    let operands = Operands::reals(case, seed);
    let plan = conv_plan::<D>(case, &operands, Activation::Identity);
    let one: ConvPlan<D> = plan.params().plan(1, last(case.input)).unwrap();
    for isa in Isa::available() {
        let together = forward(&plan.with_isa(isa), &operands);
        let images = operands.input.chunks_exact(one.input_len());
        for (input, together) in images.zip(together.chunks_exact(one.output_len())) {
            let Operands { weight, bias, grad_output, .. } = &operands;
            let (weight, bias, grad_output) = (weight.clone(), bias.clone(), grad_output.clone());
            let alone = Operands { input: input.to_vec(), weight, bias, grad_output };
            assert_same(together, &forward(&one.with_isa(isa), &alone), isa);
        }
    }
}

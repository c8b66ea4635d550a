//! The gradients are those of the definition.

use crate::plans::{Operands, assert_same, backward, conv_plan, each_rank, isas};
use im2col::{Activation, naive};
use im2col_testkit::bound;
use im2col_testkit::oracle::ConvCase;

each_rank!(integers, 500, conv_case, equals_naive);

pub(crate) fn equals_naive<const D: usize>(case: &ConvCase, seed: u64) {
    let operands = Operands::integers(case, seed);
    let plan = conv_plan::<D>(case, &operands, Activation::Identity);
    let Operands { input, weight, grad_output, .. } = &operands;
    let mut grad_input = vec![f32::NAN; plan.input_len()];
    naive::conv_grad_input(&plan, weight, grad_output, &mut grad_input).unwrap();
    let mut grad_weight = vec![f32::NAN; plan.weight_len()];
    naive::conv_grad_weight(&plan, input, grad_output, &mut grad_weight).unwrap();
    let mut grad_bias = vec![f32::NAN; plan.bias_len()];
    naive::conv_grad_bias(&plan, grad_output, &mut grad_bias).unwrap();
    for plan in isas(plan) {
        let given = backward(&plan, &operands);
        assert_same(&given[0], &grad_input, ("grad_input", plan));
        assert_same(&given[1], &grad_weight, ("grad_weight", plan));
        assert_same(&given[2], &grad_bias, ("grad_bias", plan));
    }
}

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
        bound::check(&given[1], &grad_weight, case.grad_weight_products()).unwrap();
        if plan.params().has_bias() {
            bound::check(&given[2], &grad_bias, case.grad_weight_products()).unwrap();
        }
    }
}

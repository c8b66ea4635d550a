//! Fully connected layers are their definition, forward and backward.

use crate::plans::{Operands, activation, assert_same};
use im2col::{Activation, Isa, LinearOperands, LinearParams, LinearPlan, Weights, naive};
use im2col_testkit::bound;
use im2col_testkit::operands::garbage;
use im2col_testkit::oracle::{ConvCase, Sum};
use im2col_testkit::property::{cases, for_all};
use im2col_testkit::strategies::{linear_case, long_linear_case};
use proptest::prelude::any;

fn linear_plan(case: &ConvCase, operands: &Operands, activation: Activation) -> LinearPlan {
    let params = LinearParams::new(case.in_channels, case.out_channels)
        .with_bias(!operands.bias.is_empty())
        .with_activation(activation);
    params.plan(case.batch).unwrap()
}

fn isas(plan: LinearPlan) -> impl Iterator<Item = LinearPlan> {
    Isa::available().map(move |isa| plan.with_isa(isa))
}

/// The output with plain and with packed weights.
fn forward(plan: &LinearPlan, operands: &Operands) -> [Vec<f32>; 2] {
    let Operands { input, weight, bias, .. } = operands;
    let mut packed = garbage(1, plan.packed_weight_len());
    let packed = plan.pack_weights(weight, &mut packed).unwrap();
    [Weights::Plain(weight), Weights::Packed(packed)].map(|weight| {
        let mut output = garbage(2, plan.output_len());
        let mut scratch = garbage(3, plan.scratch_len());
        plan.forward(LinearOperands { input, weight, bias }, &mut output, &mut scratch).unwrap();
        output
    })
}

fn backward(plan: &LinearPlan, operands: &Operands) -> [Vec<f32>; 3] {
    let Operands { input, weight, grad_output, .. } = operands;
    let mut grad_input = garbage(4, plan.input_len());
    let mut scratch = garbage(5, plan.backward_input_scratch_len());
    plan.backward_input(weight, grad_output, &mut grad_input, &mut scratch).unwrap();
    let mut grad_weight = garbage(6, plan.weight_len());
    let mut scratch = garbage(7, plan.backward_weight_scratch_len());
    plan.backward_weight(input, grad_output, &mut grad_weight, &mut scratch).unwrap();
    let mut grad_bias = garbage(8, plan.bias_len());
    plan.backward_bias(grad_output, &mut grad_bias).unwrap();
    [grad_input, grad_weight, grad_bias]
}

fn check_exact(case: &ConvCase, seed: u64) {
    let operands = Operands::integers(case, seed);
    let plan = linear_plan(case, &operands, activation(seed));
    let Operands { input, weight, bias, grad_output } = &operands;
    let mut expected = vec![f32::NAN; plan.output_len()];
    naive::linear_forward(&plan, input, weight, bias, &mut expected).unwrap();
    let exact = |sums: Vec<Sum>| -> Vec<f32> { sums.into_iter().map(|sum| sum.value as f32).collect() };
    let grad_input = exact(case.grad_input(weight, grad_output));
    let grad_weight = exact(case.grad_weight(input, grad_output));
    let grad_bias = exact(case.grad_bias(grad_output));
    let mut naive_grads =
        [plan.input_len(), plan.weight_len(), plan.bias_len()].map(|len| vec![f32::NAN; len]);
    let [of_input, of_weight, of_bias] = &mut naive_grads;
    naive::linear_backward_input(&plan, weight, grad_output, of_input).unwrap();
    naive::linear_backward_weight(&plan, input, grad_output, of_weight).unwrap();
    naive::linear_backward_bias(&plan, grad_output, of_bias).unwrap();
    assert_same(&naive_grads[0], &grad_input, "naive");
    assert_same(&naive_grads[1], &grad_weight, "naive");
    assert_same(&naive_grads[2], &grad_bias[..plan.bias_len()], "naive");
    for plan in isas(plan) {
        for output in forward(&plan, &operands) {
            assert_same(&output, &expected, plan);
        }
        let given = backward(&plan, &operands);
        assert_same(&given[0], &grad_input, ("grad_input", plan));
        assert_same(&given[1], &grad_weight, ("grad_weight", plan));
        assert_same(&given[2], &grad_bias[..plan.bias_len()], ("grad_bias", plan));
    }
}

#[test]
fn exact_on_integers() {
    for_all(cases(500), (linear_case(), any::<u64>()), |(case, seed)| check_exact(&case, seed));
}

/// Batches of more than one chain of 2048 inputs.
#[test]
fn long_chains_are_exact() {
    for_all(cases(60), (long_linear_case(), any::<u64>()), |(case, seed)| check_exact(&case, seed));
    for batch in [2047, 2048, 2049, 4096, 4097] {
        check_exact(&ConvCase::linear(batch, 3, 2), 0);
    }
}

#[test]
fn every_tail_is_exact() {
    for batch in 1..=13 {
        for outputs in 1..=33 {
            for inputs in [1, 2, 7, 8, 9, 16, 17] {
                check_exact(&ConvCase::linear(batch, inputs, outputs), 0);
            }
        }
    }
}

#[test]
fn within_the_bound_on_reals() {
    for_all(cases(500), (linear_case(), any::<u64>()), |(case, seed)| check_bounds(&case, seed));
    for_all(cases(40), (long_linear_case(), any::<u64>()), |(case, seed)| check_bounds(&case, seed));
}

fn check_bounds(case: &ConvCase, seed: u64) {
    let operands = Operands::reals(case, seed);
    let plan = linear_plan(case, &operands, activation(seed));
    let Operands { input, weight, bias, grad_output } = &operands;
    let mut output = case.forward(input, weight, bias);
    if plan.params().activation() == Activation::Relu {
        output = output.into_iter().map(Sum::relu).collect();
    }
    let grad_input = case.grad_input(weight, grad_output);
    let grad_weight = case.grad_weight(input, grad_output);
    let grad_bias = &case.grad_bias(grad_output)[..plan.bias_len()];
    for plan in isas(plan) {
        for given in forward(&plan, &operands) {
            bound::check(&given, &output, case.forward_products()).unwrap();
        }
        let given = backward(&plan, &operands);
        bound::check(&given[0], &grad_input, case.grad_input_products()).unwrap();
        bound::check(&given[1], &grad_weight, bound::chained(case.batch)).unwrap();
        let gamma = bound::gamma(bound::pairwise(case.batch));
        bound::check_each(&given[2], grad_bias, |sum| gamma * sum.magnitude).unwrap();
    }
}

//! Pooling is its definition, forward and backward.

use crate::plans::{assert_same, each_rank, pool_plan};
use im2col::{Isa, PoolKind, PoolPlan, naive};
use im2col_testkit::bound;
use im2col_testkit::operands::{garbage, integers, reals, specials};
use im2col_testkit::oracle::PoolCase;

fn isas<const D: usize>(plan: PoolPlan<D>) -> impl Iterator<Item = PoolPlan<D>> {
    Isa::available().map(move |isa| plan.with_isa(isa))
}

fn forward<const D: usize>(plan: &PoolPlan<D>, input: &[f32]) -> Vec<f32> {
    let mut output = garbage(1, plan.output_len());
    plan.forward(input, &mut output).unwrap();
    output
}

fn backward<const D: usize>(plan: &PoolPlan<D>, input: &[f32], grad_output: &[f32]) -> Vec<f32> {
    let mut grad_input = garbage(2, plan.input_len());
    plan.backward(input, grad_output, &mut grad_input).unwrap();
    grad_input
}

fn naive_forward<const D: usize>(plan: &PoolPlan<D>, input: &[f32]) -> Vec<f32> {
    let mut output = garbage(3, plan.output_len());
    naive::pool_forward(plan, input, &mut output).unwrap();
    output
}

fn naive_backward<const D: usize>(plan: &PoolPlan<D>, input: &[f32], grad_output: &[f32]) -> Vec<f32> {
    let mut grad_input = garbage(4, plan.input_len());
    naive::pool_grad_input(plan, input, grad_output, &mut grad_input).unwrap();
    grad_input
}

each_rank!(max, 700, max_pool_case, max_is_exact);

/// With ties, infinities and NaNs: the first maximum wins, a NaN wins over all.
fn max_is_exact<const D: usize>(case: &PoolCase, seed: u64) {
    let plan = pool_plan::<D>(case, PoolKind::Max);
    let grad_output = integers(seed, plan.output_len());
    for input in [reals(seed, plan.input_len()), specials(seed, plan.input_len())] {
        let output = case.max(&input);
        let sums = case.max_grad_input(&input, &grad_output);
        let grad_input: Vec<f32> = sums.into_iter().map(|sum| sum.value as f32).collect();
        assert_same(&naive_forward(&plan, &input), &output, "naive");
        assert_same(&naive_backward(&plan, &input, &grad_output), &grad_input, "naive");
        for plan in isas(plan) {
            assert_same(&forward(&plan, &input), &output, plan);
            assert_same(&backward(&plan, &input, &grad_output), &grad_input, plan);
        }
    }
}

each_rank!(max_gradient, 300, max_pool_case, max_gradient_is_within_the_bound);

fn max_gradient_is_within_the_bound<const D: usize>(case: &PoolCase, seed: u64) {
    let plan = pool_plan::<D>(case, PoolKind::Max);
    let (input, grad_output) = (reals(seed, plan.input_len()), reals(!seed, plan.output_len()));
    let expected = case.max_grad_input(&input, &grad_output);
    bound::check(&naive_backward(&plan, &input, &grad_output), &expected, case.products()).unwrap();
    for plan in isas(plan) {
        bound::check(&backward(&plan, &input, &grad_output), &expected, case.products()).unwrap();
    }
}

each_rank!(average, 700, average_pool_case, average_is_within_the_bound);

fn average_is_within_the_bound<const D: usize>(case: &PoolCase, seed: u64) {
    let plan = pool_plan::<D>(case, PoolKind::Average);
    let (input, grad_output) = (reals(seed, plan.input_len()), reals(!seed, plan.output_len()));
    let output = case.average(&input);
    let grad_input = case.average_grad_input(&grad_output);
    bound::check(&naive_forward(&plan, &input), &output, case.products()).unwrap();
    bound::check(&naive_backward(&plan, &input, &grad_output), &grad_input, case.products()).unwrap();
    for plan in isas(plan) {
        bound::check(&forward(&plan, &input), &output, case.products()).unwrap();
        bound::check(&backward(&plan, &input, &grad_output), &grad_input, case.products()).unwrap();
    }
}

each_rank!(average_non_finite, 300, average_pool_case, average_propagates_what_is_not_finite);

fn average_propagates_what_is_not_finite<const D: usize>(case: &PoolCase, seed: u64) {
    let plan = pool_plan::<D>(case, PoolKind::Average);
    let input = specials(seed, plan.input_len());
    let not_finite = |output: Vec<f32>| -> Vec<f32> {
        output.into_iter().map(|y| if y.is_finite() { 0.0 } else { y }).collect()
    };
    let expected = not_finite(naive_forward(&plan, &input));
    for plan in isas(plan) {
        assert_same(&not_finite(forward(&plan, &input)), &expected, plan);
    }
}

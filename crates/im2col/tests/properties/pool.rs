//! Pooling is its definition, forward and backward, whether its windows slide or adapt.

use crate::plans::{assert_same, each_rank, last, pool_plan};
use im2col::{Isa, PoolKind, PoolParams, PoolPlan, naive};
use im2col_testkit::bound;
use im2col_testkit::operands::{garbage, integers, reals, specials};
use im2col_testkit::oracle::PoolCase;

pub(crate) fn isas<const D: usize>(plan: PoolPlan<D>) -> impl Iterator<Item = PoolPlan<D>> {
    Isa::available().map(move |isa| plan.with_isa(isa))
}

pub(crate) fn forward<const D: usize>(plan: &PoolPlan<D>, input: &[f32]) -> Vec<f32> {
    let mut output = garbage(1, plan.output_len());
    plan.forward(input, &mut output).unwrap();
    output
}

pub(crate) fn backward<const D: usize>(plan: &PoolPlan<D>, input: &[f32], grad_output: &[f32]) -> Vec<f32> {
    let mut grad_input = garbage(2, plan.input_len());
    plan.backward(input, grad_output, &mut grad_input).unwrap();
    grad_input
}

pub(crate) fn naive_forward<const D: usize>(plan: &PoolPlan<D>, input: &[f32]) -> Vec<f32> {
    let mut output = garbage(3, plan.output_len());
    naive::pool_forward(plan, input, &mut output).unwrap();
    output
}

pub(crate) fn naive_backward<const D: usize>(
    plan: &PoolPlan<D>,
    input: &[f32],
    grad_output: &[f32],
) -> Vec<f32> {
    let mut grad_input = garbage(4, plan.input_len());
    naive::pool_backward(plan, input, grad_output, &mut grad_input).unwrap();
    grad_input
}

each_rank!(max, 700, max_pool_case, max_is_exact);
each_rank!(adaptive_max, 500, adaptive_pool_case, max_is_exact);

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
each_rank!(adaptive_max_gradient, 200, adaptive_pool_case, max_gradient_is_within_the_bound);

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
each_rank!(adaptive_average, 500, adaptive_pool_case, average_is_within_the_bound);
each_rank!(long_average, 150, long_pool_case, average_is_within_the_bound);

/// Roundings of a mean of so many values, as documented; two more are in every bound.
pub(crate) fn roundings(values: usize) -> usize {
    values.min(36 + values.next_power_of_two().trailing_zeros() as usize)
}

fn average_is_within_the_bound<const D: usize>(case: &PoolCase, seed: u64) {
    let plan = pool_plan::<D>(case, PoolKind::Average);
    let (input, grad_output) = (reals(seed, plan.input_len()), reals(!seed, plan.output_len()));
    let output = case.average(&input);
    let grad_input = case.average_grad_input(&grad_output);
    let roundings = roundings(case.products());
    bound::check(&naive_forward(&plan, &input), &output, roundings).unwrap();
    bound::check(&naive_backward(&plan, &input, &grad_output), &grad_input, case.products()).unwrap();
    let expected = forward(&plan, &input);
    for plan in isas(plan) {
        let given = forward(&plan, &input);
        bound::check(&given, &output, roundings).unwrap();
        assert_same(&given, &expected, plan);
        bound::check(&backward(&plan, &input, &grad_output), &grad_input, case.products()).unwrap();
    }
}

each_rank!(average_non_finite, 300, average_pool_case, average_propagates_what_is_not_finite);
each_rank!(long_average_non_finite, 50, long_pool_case, average_propagates_what_is_not_finite);
each_rank!(adaptive_average_non_finite, 200, adaptive_pool_case, average_propagates_what_is_not_finite);

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

each_rank!(adjoint, 300, average_pool_case, backward_is_the_adjoint_of_average);
each_rank!(adaptive_adjoint, 200, adaptive_pool_case, backward_is_the_adjoint_of_average);

/// `<average(x), g> = <x, backward(g)>`, up to the rounding of both.
fn backward_is_the_adjoint_of_average<const D: usize>(case: &PoolCase, seed: u64) {
    let plan = pool_plan::<D>(case, PoolKind::Average);
    let (x, g) = (integers(seed, plan.input_len()), integers(!seed, plan.output_len()));
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    let absolute = |values: &[f32]| -> Vec<f32> { values.iter().map(|x| x.abs()).collect() };
    for plan in isas(plan) {
        let magnitude = dot(&forward(&plan, &absolute(&x)), &absolute(&g));
        let difference = dot(&forward(&plan, &x), &g) - dot(&x, &backward(&plan, &x, &g));
        let bound = 3.0 * bound::gamma(case.products() + 2) * magnitude;
        assert!(difference.abs() <= bound, "{plan:?}: {difference:e} > {bound:e}");
    }
}

each_rank!(tiles, 300, adaptive_pool_case, adapting_to_a_divisor_is_sliding);

/// Where input sizes are multiples of the output's, adaptive windows are tiles: the same bits.
fn adapting_to_a_divisor_is_sliding<const D: usize>(case: &PoolCase, seed: u64) {
    let output = last::<usize, D>(case.output());
    let window = last::<usize, D>(case.input).map(|input| input.min(4));
    let input: [usize; D] = std::array::from_fn(|axis| output[axis] * window[axis]);
    if input.iter().product::<usize>() > 1 << 12 {
        return;
    }
    let pairs = [
        (PoolParams::adaptive_max(output), PoolParams::max(window)),
        (PoolParams::adaptive_average(output), PoolParams::average(window)),
    ];
    for (adaptive, sliding) in pairs {
        let [adaptive, sliding] =
            [adaptive, sliding].map(|params| params.plan(case.batch, case.channels, input).unwrap());
        assert_eq!(adaptive.output_dims(), sliding.output_dims());
        let (x, g) = (specials(seed, adaptive.input_len()), reals(seed, adaptive.output_len()));
        let (y, grad) = (forward(&sliding, &x), backward(&sliding, &x, &g));
        for plan in isas(adaptive) {
            assert_same(&forward(&plan, &x), &y, plan);
            assert_same(&backward(&plan, &x, &g), &grad, plan);
        }
    }
}

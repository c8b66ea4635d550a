//! Pooling with channels last: that of channels first in another order.

use crate::plans::{assert_same, each_rank, pool_plan};
use crate::pool::{backward, forward, isas, naive_backward, naive_forward, roundings};
use crate::pool_indices::{backward_from_workspace, train, unpool, unpool_backward, with_indices};
use im2col::{Layout, PoolKind, PoolParams, PoolPlan, ShapeError, naive};
use im2col_testkit::bound;
use im2col_testkit::operands::{channels_first, channels_last, integers, reals, specials};
use im2col_testkit::oracle::{PoolCase, Sum};

each_rank!(max, 300, max_pool_case, maxima_are_permuted);
each_rank!(adaptive_max, 300, adaptive_pool_case, maxima_are_permuted);
each_rank!(average, 300, average_pool_case, means_are_permuted);
each_rank!(adaptive_average, 300, adaptive_pool_case, means_are_permuted);
each_rank!(long_average, 100, long_pool_case, means_are_permuted);

/// The plan with channels last; none of volumes.
fn with_channels_last<const D: usize>(plan: PoolPlan<D>) -> Option<PoolPlan<D>> {
    let last = plan.with_layout(Layout::ChannelsLast);
    if D == 3 {
        let (option, operation) = ("channels last", "pooling of volumes");
        assert_eq!(last, Err(ShapeError::Inapplicable { option, operation }));
        return None;
    }
    let last = last.unwrap();
    assert_eq!((last.layout(), plan.layout()), (Layout::ChannelsLast, Layout::ChannelsFirst));
    assert_eq!(last.with_layout(Layout::ChannelsLast), Ok(last));
    assert_eq!(last.with_layout(Layout::ChannelsFirst), Ok(plan));
    assert_eq!([last.input_dims(), last.output_dims()], [plan.input_dims(), plan.output_dims()]);
    assert_eq!(last.padding(), plan.padding());
    let lens = |plan: &PoolPlan<D>| [plan.input_len(), plan.output_len(), plan.workspace_bytes()];
    assert_eq!(lens(&last), lens(&plan));
    Some(last)
}

fn maxima_are_permuted<const D: usize>(case: &PoolCase, seed: u64) {
    check_maxima(pool_plan::<D>(case, PoolKind::Max), seed);
}

/// Values, places, workspaces and gradients, with ties, infinities and NaN.
fn check_maxima<const D: usize>(plan: PoolPlan<D>, seed: u64) {
    let Some(last) = with_channels_last(plan) else { return };
    let (batch, channels) = (plan.batch(), plan.channels());
    let permuted = |values: &[f32]| channels_last(values, batch, channels);
    let grad_output = integers(!seed, plan.output_len());
    let grad_last = permuted(&grad_output);
    for input in [reals(seed, plan.input_len()), specials(seed, plan.input_len())] {
        let (output, indices) = with_indices(&plan, &input);
        let (_, workspace) = train(&plan, &input);
        let grad_input = permuted(&backward(&plan, &input, &grad_output));
        let unpooled = unpool(&plan, &output, &indices);
        let pooled = permuted(&unpool_backward(&plan, &input, &indices));
        let unpooled = permuted(&unpooled);

        let places = channels_last(&indices, batch, channels).into_iter().enumerate();
        let indices: Vec<i64> = places
            .map(|(i, place)| if place < 0 { -1 } else { place * channels as i64 + (i % channels) as i64 })
            .collect();
        let taps: Vec<Vec<u8>> = workspace
            .chunks((workspace.len() / plan.output_len().max(1)).max(1))
            .map(<[u8]>::to_vec)
            .collect();
        let workspace = channels_last(&taps, batch, channels).concat();
        let (input, output) = (permuted(&input), permuted(&output));

        let mut definition = vec![7; plan.output_len()];
        naive::pool_indices(&last, &input, &mut definition).unwrap();
        assert_eq!(definition, indices);
        assert_same(&naive_forward(&last, &input), &output, last);
        assert_same(&naive_backward(&last, &input, &grad_last), &grad_input, last);
        for last in isas(last) {
            assert_same(&forward(&last, &input), &output, last);
            let (marked, marks) = with_indices(&last, &input);
            assert_same(&marked, &output, last);
            assert_eq!(marks, indices, "{last:?}");
            assert_eq!(train(&last, &input).1, workspace, "{last:?}");
            assert_same(&backward(&last, &input, &grad_last), &grad_input, last);
            let from_workspace = backward_from_workspace(&last, &workspace, &grad_last);
            assert_same(&from_workspace, &grad_input, last);
            assert_same(&unpool(&last, &output, &indices), &unpooled, last);
            assert_same(&unpool_backward(&last, &input, &indices), &pooled, last);
        }
    }
}

fn means_are_permuted<const D: usize>(case: &PoolCase, seed: u64) {
    let plan = pool_plan::<D>(case, PoolKind::Average);
    let input = reals(seed, plan.input_len());
    check_means(plan, &input, &case.average(&input), case.products());
}

/// The bits of channels first where a mean is of at most 32 values, elsewhere within the bound; every instruction set alike.
fn check_means<const D: usize>(plan: PoolPlan<D>, input: &[f32], exact: &[Sum], values: usize) {
    let Some(last) = with_channels_last(plan) else { return };
    let (batch, channels) = (plan.batch(), plan.channels());
    let permuted = |values: &[f32]| channels_last(values, batch, channels);
    let grad_output: Vec<f32> = integers(3, plan.output_len());
    let (output, grad_input) = (forward(&plan, input), backward(&plan, input, &grad_output));
    let (given, grad_last) = (permuted(input), permuted(&grad_output));
    assert_same(&naive_forward(&last, &given), &permuted(&naive_forward(&plan, input)), last);
    let expected = forward(&last, &given);
    for last in isas(last) {
        let means = forward(&last, &given);
        assert_same(&means, &expected, last);
        bound::check(&channels_first(&means, batch, channels), exact, roundings(values)).unwrap();
        if values <= 32 {
            assert_same(&means, &permuted(&output), last);
        }
        assert_same(&backward(&last, &given, &grad_last), &permuted(&grad_input), last);
    }
}

/// Channels that fill no vector, one, several, and more than are pooled at a time; the poolings of networks.
#[test]
fn of_layers() {
    for channels in [1, 3, 4, 15, 16, 17, 64, 129, 330] {
        let plan = |params: PoolParams<2>| params.plan(2, channels, [9, 8]).unwrap();
        let sliding = |params: PoolParams<2>| params.with_stride([2, 2]).with_padding([1, 1]);
        for params in
            [PoolParams::max([2, 2]), sliding(PoolParams::max([3, 3])), PoolParams::adaptive_max([4, 3])]
        {
            check_maxima(plan(params), channels as u64);
        }
        for params in [
            PoolParams::average([2, 2]),
            sliding(PoolParams::average([3, 3])),
            PoolParams::adaptive_average([4, 3]),
            PoolParams::global_average(),
        ] {
            let plan = plan(params);
            let input = integers(channels as u64, plan.input_len());
            let largest = input.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
            let exact: Vec<Sum> = naive_forward(&plan, &input)
                .into_iter()
                .map(|mean| Sum { value: mean.into(), magnitude: largest.into() })
                .collect();
            check_means(plan, &input, &exact, plan.input_dims().iter().product());
        }
    }
}

#[test]
fn an_image_may_overflow_where_there_is_none() {
    let params = PoolParams::max([2]);
    let plan = params.plan(0, usize::MAX / 2, [4]).unwrap();
    assert_eq!(plan.with_layout(Layout::ChannelsLast), Err(ShapeError::Overflow { what: "image" }));
}

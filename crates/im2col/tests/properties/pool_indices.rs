//! Where maxima come from: indices, the workspace of taps, and unpooling.

use crate::plans::{assert_same, each_rank, pool_plan};
use crate::pool::{backward, forward, isas};
use im2col::{PoolKind, PoolParams, PoolPlan, RunError, naive};
use im2col_testkit::operands::{Rng, garbage, integers, reals, specials};
use im2col_testkit::oracle::PoolCase;

const GARBAGE_INDEX: i64 = i64::MIN;

pub(crate) fn with_indices<const D: usize>(plan: &PoolPlan<D>, input: &[f32]) -> (Vec<f32>, Vec<i64>) {
    let (mut output, mut indices) = (garbage(1, plan.output_len()), vec![GARBAGE_INDEX; plan.output_len()]);
    plan.forward_with_indices(input, &mut output, &mut indices).unwrap();
    (output, indices)
}

pub(crate) fn train<const D: usize>(plan: &PoolPlan<D>, input: &[f32]) -> (Vec<f32>, Vec<u8>) {
    let (mut output, mut workspace) = (garbage(2, plan.output_len()), vec![0xa5; plan.workspace_bytes()]);
    plan.forward_train(input, &mut output, &mut workspace).unwrap();
    (output, workspace)
}

pub(crate) fn backward_from_workspace<const D: usize>(
    plan: &PoolPlan<D>,
    workspace: &[u8],
    grad_output: &[f32],
) -> Vec<f32> {
    let mut grad_input = garbage(3, plan.input_len());
    plan.backward_from_workspace(workspace, grad_output, &mut grad_input).unwrap();
    grad_input
}

pub(crate) fn unpool<const D: usize>(plan: &PoolPlan<D>, pooled: &[f32], indices: &[i64]) -> Vec<f32> {
    let mut output = garbage(4, plan.input_len());
    plan.unpool(pooled, indices, &mut output).unwrap();
    output
}

pub(crate) fn unpool_backward<const D: usize>(
    plan: &PoolPlan<D>,
    grad_output: &[f32],
    indices: &[i64],
) -> Vec<f32> {
    let mut grad_pooled = garbage(5, plan.output_len());
    plan.unpool_backward(grad_output, indices, &mut grad_pooled).unwrap();
    grad_pooled
}

each_rank!(indices, 500, max_pool_case, indices_are_the_oracles);
each_rank!(adaptive_indices, 300, adaptive_pool_case, indices_are_the_oracles);

/// With ties, infinities and NaN.
fn indices_are_the_oracles<const D: usize>(case: &PoolCase, seed: u64) {
    let plan = pool_plan::<D>(case, PoolKind::Max);
    for input in [reals(seed, plan.input_len()), specials(seed, plan.input_len())] {
        let (output, expected) = (case.max(&input), case.indices(&input));
        let mut definition = vec![GARBAGE_INDEX; plan.output_len()];
        naive::pool_indices(&plan, &input, &mut definition).unwrap();
        assert_eq!(definition, expected);
        for plan in isas(plan) {
            let (y, indices) = with_indices(&plan, &input);
            assert_same(&y, &output, plan);
            assert_eq!(indices, expected, "{plan:?}");
        }
    }
}

each_rank!(workspace, 500, max_pool_case, the_workspace_stands_for_the_input);
each_rank!(adaptive_workspace, 300, adaptive_pool_case, the_workspace_stands_for_the_input);

/// The workspace holds the winning taps, and the gradient from it is that from the input.
fn the_workspace_stands_for_the_input<const D: usize>(case: &PoolCase, seed: u64) {
    let plan = pool_plan::<D>(case, PoolKind::Max);
    let grad_output = reals(!seed, plan.output_len());
    for input in [reals(seed, plan.input_len()), specials(seed, plan.input_len())] {
        let taps = case.winning_taps(&input);
        let size = plan.workspace_bytes() / plan.output_len().max(1);
        let bytes: Vec<u8> = taps.iter().flat_map(|tap| tap.to_le_bytes()[..size].to_vec()).collect();
        for plan in isas(plan) {
            let (output, workspace) = train(&plan, &input);
            assert_same(&output, &forward(&plan, &input), plan);
            assert_eq!(workspace, bytes, "{plan:?}");
            let expected = backward(&plan, &input, &grad_output);
            assert_same(&backward_from_workspace(&plan, &workspace, &grad_output), &expected, plan);
        }
    }
}

each_rank!(average_workspace, 200, average_pool_case, an_average_remembers_nothing);
each_rank!(adaptive_average_workspace, 100, adaptive_pool_case, an_average_remembers_nothing);

fn an_average_remembers_nothing<const D: usize>(case: &PoolCase, seed: u64) {
    let plan = pool_plan::<D>(case, PoolKind::Average);
    let (input, grad_output) = (reals(seed, plan.input_len()), reals(!seed, plan.output_len()));
    assert_eq!(plan.workspace_bytes(), 0);
    for plan in isas(plan) {
        let (output, workspace) = train(&plan, &input);
        assert_same(&output, &forward(&plan, &input), plan);
        let expected = backward(&plan, &input, &grad_output);
        assert_same(&backward_from_workspace(&plan, &workspace, &grad_output), &expected, plan);
    }
}

each_rank!(any_workspace, 300, max_pool_case, any_bytes_are_taps_or_an_error);
each_rank!(any_adaptive_workspace, 300, adaptive_pool_case, any_bytes_are_taps_or_an_error);

/// Bytes that nobody wrote: the first that names no tap is reported and nothing is written, or all
/// gradients arrive in their planes, but for those that go to the padding.
fn any_bytes_are_taps_or_an_error<const D: usize>(case: &PoolCase, seed: u64) {
    let plan = pool_plan::<D>(case, PoolKind::Max);
    let mut rng = Rng::new(seed);
    let limit = if seed & 1 == 0 { 256 } else { case.window.iter().product::<usize>() as u64 };
    let workspace: Vec<u8> = (0..plan.workspace_bytes()).map(|_| (rng.bits() % limit) as u8).collect();
    let grad_output: Vec<f32> = integers(seed, plan.output_len()).into_iter().map(f32::abs).collect();
    let planes = case.batch * case.channels;
    for plan in isas(plan) {
        let mut grad_input = vec![-1.0; plan.input_len()];
        match plan.backward_from_workspace(&workspace, &grad_output, &mut grad_input) {
            Err(RunError::Tap { position, taps, given }) => {
                let size = plan.workspace_bytes() / plan.output_len();
                assert!(given >= taps as u64 && position < plan.output_len());
                assert_eq!(given.to_le_bytes()[..size], workspace[position * size..][..size]);
                assert!(grad_input.iter().all(|&grad| grad == -1.0));
            }
            Ok(()) if planes > 0 => {
                let (outputs, inputs) = (plan.output_len() / planes, plan.input_len() / planes);
                let sums = |values: &[f32], len| -> Vec<f32> {
                    values.chunks_exact(len).map(|plane| plane.iter().sum()).collect()
                };
                let (given, expected) = (sums(&grad_input, inputs), sums(&grad_output, outputs));
                let all_see = case.padding == [[0; 2]; 3] && !case.ceil_mode;
                for (given, expected) in given.iter().zip(&expected) {
                    assert!(given <= expected && (given == expected || !all_see), "{plan:?}");
                }
            }
            result => assert_eq!((result, planes), (Ok(()), 0)),
        }
    }
}

each_rank!(unpooling, 400, max_pool_case, maxima_return_to_their_places);
each_rank!(adaptive_unpooling, 200, adaptive_pool_case, maxima_return_to_their_places);

fn maxima_return_to_their_places<const D: usize>(case: &PoolCase, seed: u64) {
    let plan = pool_plan::<D>(case, PoolKind::Max);
    let input = reals(seed, plan.input_len());
    let mut expected = vec![0.0; plan.input_len()];
    case.argmax(&input).into_iter().flatten().for_each(|i| expected[i] = input[i]);
    for plan in isas(plan) {
        let (output, indices) = with_indices(&plan, &input);
        assert_same(&unpool(&plan, &output, &indices), &expected, plan);
    }
}

each_rank!(unpooling_anything, 400, max_pool_case, unpooling_is_its_definition);

/// Indices in any order, with repetitions and -1. Without repetitions the gradient is the adjoint.
fn unpooling_is_its_definition<const D: usize>(case: &PoolCase, seed: u64) {
    let plan = pool_plan::<D>(case, PoolKind::Max);
    let (pooled, grad_output) = (integers(seed, plan.output_len()), integers(!seed, plan.input_len()));
    let plane_len = case.input.iter().product::<usize>() as u64;
    let positions = case.output().iter().product::<usize>();
    let mut rng = Rng::new(seed);
    let any: Vec<i64> = (0..plan.output_len()).map(|_| (rng.bits() % (plane_len + 1)) as i64 - 1).collect();
    let mut once = any.clone();
    for plane in once.chunks_mut(positions) {
        for i in 0..plane.len() {
            if plane[..i].contains(&plane[i]) {
                plane[i] = -1;
            }
        }
    }
    for indices in [&any, &once] {
        let (mut output, mut grad) = (garbage(6, plan.input_len()), garbage(7, plan.output_len()));
        naive::unpool(&plan, &pooled, indices, &mut output).unwrap();
        naive::unpool_backward(&plan, &grad_output, indices, &mut grad).unwrap();
        assert_same(&unpool(&plan, &pooled, indices), &output, plan);
        assert_same(&unpool_backward(&plan, &grad_output, indices), &grad, plan);
    }
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a * b)).sum::<f64>();
    let (output, grad) = (unpool(&plan, &pooled, &once), unpool_backward(&plan, &grad_output, &once));
    assert_eq!(dot(&output, &grad_output), dot(&pooled, &grad));
}

/// One byte for each output up to 256 taps, two up to 65,536, then four.
#[test]
fn taps_of_every_size() {
    for (window, size) in [(256, 1), (257, 2), (65_536, 2), (65_537, 4)] {
        let plan = PoolParams::max([window]).with_stride([3]).plan(2, 1, [window + 7]).unwrap();
        assert_eq!(plan.workspace_bytes(), plan.output_len() * size);
        // The maximum of the third window is its last value.
        let mut input = reals(1, plan.input_len());
        input[window + 5] = 1e9;
        let grad_output = integers(2, plan.output_len());
        for plan in isas(plan) {
            let (_, workspace) = train(&plan, &input);
            assert_eq!(workspace[2 * size..3 * size], (window - 1).to_le_bytes()[..size]);
            let expected = backward(&plan, &input, &grad_output);
            assert_same(&backward_from_workspace(&plan, &workspace, &grad_output), &expected, plan);
        }
    }
    // Eight bytes only in theory: such a window has more than 2^32 taps.
    #[cfg(target_pointer_width = "64")]
    assert_eq!(PoolParams::max([1 << 33]).plan(1, 1, [1 << 33]).unwrap().workspace_bytes(), 8);
}

/// Tiles of 2x2 in each plane of a volume, whose planes may be of odd height and width.
#[test]
fn tiles_of_volumes() {
    for (depth, height, width) in
        (1..4).flat_map(|z| (2..8).flat_map(move |y| (2..8).map(move |x| (z, y, x))))
    {
        let case = PoolCase {
            batch: 2,
            channels: 2,
            input: [depth, height, width],
            window: [1, 2, 2],
            stride: [1, 2, 2],
            padding: [[0; 2]; 3],
            dilation: [1; 3],
            count_include_pad: false,
            ceil_mode: false,
            divisor: None,
            adaptive: None,
        };
        let seed = (depth * 100 + height * 10 + width) as u64;
        indices_are_the_oracles::<3>(&case, seed);
        the_workspace_stands_for_the_input::<3>(&case, seed);
        maxima_return_to_their_places::<3>(&case, seed);
        an_average_remembers_nothing::<3>(&case, seed);
    }
}

//! Pooling of every small shape, and of some that are longer than what the kernels process at a time, is its definition.

use crate::plans::assert_same;
use crate::pool::{backward, forward, isas, naive_backward, naive_forward, roundings};
use im2col::{Layer, Network, NetworkWeights, Padding, PoolKind, PoolParams, PoolPlan, RunError, ShapeError};

/// The most taps of a mean that are summed in one chain.
const ONE_CHAIN: usize = 32;

/// Small integers in no order: every sum of them is exact.
fn integers(len: usize, seed: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 7919 + seed * 104_729) % 61) as f32 - 30.0).collect()
}

/// Values of which the naive mean may differ by the roundings of a sum: by 0 if these sums are exact.
fn check_values<const D: usize>(plan: PoolPlan<D>, input: &[f32], sums_are_exact: bool) {
    let grad_output = integers(plan.output_len(), 3);
    let (output, grad_input) = (naive_forward(&plan, input), naive_backward(&plan, input, &grad_output));
    let sizes = naive_forward(&plan, &input.iter().map(|x| x.abs()).collect::<Vec<_>>());
    // No window has more values than an image; a division follows.
    let values = plan.input_dims().iter().product();
    let most = if sums_are_exact { 0.0 } else { (roundings(values) + 2) as f32 * f32::EPSILON };
    let first = forward(&plan, input);
    for (i, (y, expected)) in first.iter().zip(&output).enumerate() {
        let is_near =
            y == expected || y.is_nan() && expected.is_nan() || (y - expected).abs() <= most * sizes[i];
        assert!(is_near, "{plan:?}\n{first:?}\n{output:?}");
    }
    for plan in isas(plan) {
        assert_same(&forward(&plan, input), &first, plan);
        assert_same(&backward(&plan, input, &grad_output), &grad_input, plan);
    }
}

/// The pooling of integers, of values that do not add up exactly, and of values with ties, NaN and
/// infinities. Whether there are any outputs.
fn check<const D: usize>(params: PoolParams<D>, batch: usize, channels: usize, input: [usize; D]) -> bool {
    let Ok(plan) = params.plan(batch, channels, input) else { return false };
    let integers = integers(plan.input_len(), 1);
    let reals: Vec<f32> = integers.iter().map(|x| x * 0.1 + 1e3 / (x + 100.0)).collect();
    let special = [0.0, 1.0, f32::NAN, -1.0, f32::NEG_INFINITY, 1.0, f32::INFINITY, 0.0, 1.0];
    let special: Vec<f32> = integers.iter().map(|x| special[(x + 30.0) as usize % 9]).collect();
    check_values(plan, &integers, true);
    check_values(plan, &reals, false);
    check_values(plan, &special, true);
    true
}

/// The mean of few values is one chain of sums, in ascending order: rows of windows of one axis ...
#[test]
fn means_of_few_values_are_one_chain() {
    for (taps, stride) in (1..=ONE_CHAIN).flat_map(|taps| [1, 2, 5, 40].map(|stride| (taps, stride))) {
        check_chains(PoolParams::average([1, 1, taps]).with_stride([1, 1, stride]), [1, 1, 200]);
    }
}

/// ... and windows of all axes, some of which begin and end in the padding.
#[test]
fn means_of_small_windows_are_one_chain() {
    for (kernel, padding) in [
        ([1, 2, 2], [0, 0, 0]),
        ([1, 2, 2], [0, 1, 1]),
        ([1, 3, 3], [0, 1, 0]),
        ([1, 3, 3], [0, 0, 1]),
        ([1, 3, 2], [0, 1, 1]),
        ([1, 5, 6], [0, 2, 3]),
        ([2, 2, 2], [0, 0, 0]),
        ([3, 2, 5], [1, 1, 2]),
    ] {
        for stride in [[1, 1, 1], [2, 2, 2], [1, 2, 1], [1, 1, 3]] {
            for width in [7, 16, 17, 33, 40] {
                let params = PoolParams::average(kernel).with_stride(stride).with_padding(padding);
                check_chains(params, [4, 7, width]);
                check_chains(params.with_count_include_pad(false), [4, 7, width]);
                check_chains(params.with_dilation([1, 1, 2]), [4, 7, width]);
                check_chains(params.with_divisor_override(3), [4, 7, width]);
            }
        }
    }
}

fn check_chains(params: PoolParams<3>, input_dims: [usize; 3]) {
    let plan = params.plan(1, 1, input_dims).unwrap();
    let (kernel, stride, dilation) = (params.window(), params.stride(), params.dilation());
    let input: Vec<f32> = (0..plan.input_len()).map(|i| 1.0 / (1.0 + (i * 7919 % 101) as f32)).collect();
    let points = |[d, h, w]: [usize; 3]| (0..d * h * w).map(move |i| [i / (h * w), i / w % h, i % w]);
    let mean = |o: [usize; 3]| {
        let (mut sum, mut inside) = (0.0, 0);
        for tap in points(kernel) {
            let at = [0, 1, 2].map(|axis| {
                (o[axis] * stride[axis] + tap[axis] * dilation[axis]).wrapping_sub(plan.padding()[axis][0])
            });
            if (0..3).all(|axis| at[axis] < input_dims[axis]) {
                sum += input[(at[0] * input_dims[1] + at[1]) * input_dims[2] + at[2]];
                inside += 1;
            }
        }
        let counted = if params.count_include_pad() { kernel.iter().product() } else { inside };
        sum / params.divisor_override().unwrap_or(counted.max(1)) as f32
    };
    let expected: Vec<f32> = points(plan.output_dims()).map(mean).collect();
    for plan in isas(plan) {
        assert_same(&forward(&plan, &input), &expected, plan);
    }
}

/// Both kinds, all ways to count, rounded down and up.
fn kinds<const D: usize>(window: [usize; D]) -> [PoolParams<D>; 7] {
    let (max, average) = (PoolParams::max(window), PoolParams::average(window));
    let not_padding = average.with_count_include_pad(false);
    let up = [max, average, not_padding].map(|params| params.with_ceil_mode(true));
    [max, average, not_padding, up[0], up[1], up[2], average.with_divisor_override(3)]
}

#[test]
fn rank_1() {
    let mut planned = 0;
    for (input, kernel) in (1..24).flat_map(|input| (1..6).map(move |kernel| (input, kernel))) {
        for (stride, before, after) in [
            (1, 0, 0),
            (1, 1, 1),
            (2, 0, 1),
            (2, 1, 0),
            (2, 2, 2),
            (3, 1, 2),
            (5, 0, 0),
            (1, 9, 2),
            (4, 3, 17),
        ] {
            for params in kinds([kernel]) {
                let params = params.with_stride([stride]).with_padding_per_side([[before, after]]);
                planned += usize::from(check(params, 2, 1, [input]));
                planned += usize::from(check(params.with_dilation([3]), 1, 1, [input]));
            }
        }
    }
    assert!(planned > 1000, "{planned}");
}

#[test]
fn rank_2() {
    let mut planned = 0;
    for (h, w) in (1..7).flat_map(|h| [1, 2, 3, 5, 8, 15, 16, 17, 33, 40].map(|w| (h, w))) {
        for kernel in [[1, 1], [2, 2], [3, 3], [1, 3], [3, 2], [2, 5]] {
            for (stride, padding) in
                [([2, 2], [0, 0]), ([1, 1], [1, 1]), ([2, 2], [1, 1]), ([1, 3], [0, 2]), ([2, 1], [4, 5])]
            {
                for params in kinds(kernel) {
                    let params = params.with_stride(stride).with_padding(padding);
                    planned += usize::from(check(params, 2, 3, [h, w]));
                    if w < 17 {
                        planned += usize::from(check(params.with_dilation([2, 3]), 1, 1, [h, w]));
                    }
                }
            }
        }
    }
    assert!(planned > 1000, "{planned}");
}

#[test]
fn rank_3() {
    let mut planned = 0;
    for input in [[1, 1, 1], [2, 3, 4], [4, 4, 4], [3, 5, 19], [5, 2, 34]] {
        for kernel in [[1, 2, 2], [2, 2, 2], [3, 3, 3], [2, 1, 3]] {
            for (stride, padding) in
                [([2; 3], [0; 3]), ([1, 2, 2], [0; 3]), ([1; 3], [1; 3]), ([1, 2, 1], [1, 0, 1])]
            {
                for params in kinds(kernel) {
                    let params = params.with_stride(stride).with_padding(padding);
                    planned += usize::from(check(params, 1, 2, input));
                }
            }
        }
    }
    assert!(planned > 100, "{planned}");
}

#[test]
fn rows_and_windows_longer_than_the_stage() {
    for params in kinds([3]).into_iter().chain(kinds([40])).chain(kinds([300])).chain(kinds([400])) {
        for (stride, padding) in [(1, 1), (2, 1), (3, 0), (64, 1), (usize::MAX, 0), (50, 700), (700, 3000)] {
            assert!(check(params.with_stride([stride]).with_padding([padding]), 1, 1, [1000]));
        }
    }
    for kind in [PoolKind::Max, PoolKind::Average] {
        assert!(check(PoolParams::new(kind, [4]).with_stride([1]).with_dilation([250]), 1, 1, [1000]));
        // Long rows, few rows, wide and narrow, of one and of more blocks, and some that lie together.
        for (window, input) in
            [([3, 40], [9, 60]), ([40, 3], [60, 9]), ([2, 600], [3, 602]), ([30, 20], [90, 20])]
        {
            let params = PoolParams::new(kind, window);
            assert!(check(params.with_stride([1, 1]), 1, 2, input));
            let params = params.with_stride([3, 90]);
            assert!(check(params, 1, 2, input));
            assert!(check(params.with_padding([7, 650]).with_ceil_mode(true), 1, 1, input));
        }
        let cube = PoolParams::new(kind, [2, 6, 7]).with_stride([1, 1, 1]);
        assert!(check(cube, 1, 2, [5, 6, 7]));
        assert!(check(cube.with_padding([1, 0, 0]), 1, 2, [5, 9, 7]));
    }
}

/// These have loops of their own, in chunks of outputs.
#[test]
fn windows_of_3x3() {
    for width in [1, 2, 3, 14, 15, 63, 64, 65, 127, 128, 129, 130, 131, 255, 256, 257, 258, 300, 513] {
        for (stride, padding) in [(1, 0), (1, 1), (2, 0), (2, 1)] {
            for before in 0..=padding {
                for up in [false, true] {
                    let max = PoolParams::max([3, 3]).with_stride([stride; 2]).with_ceil_mode(up);
                    for height in 1..=5 {
                        let padding = [[before, padding], [padding, before]];
                        check(max.with_padding_per_side(padding), 1, 2, [height, width]);
                    }
                    let max = PoolParams::max([1, 3, 3]).with_stride([2, stride, stride]).with_ceil_mode(up);
                    check(max.with_padding([0, padding, padding]), 1, 2, [3, 4, width]);
                }
            }
        }
    }
}

#[test]
fn adaptive_windows() {
    for input in 1..=24 {
        for output in 1..=24 {
            assert!(check(PoolParams::adaptive_max([output]), 2, 1, [input]));
            assert!(check(PoolParams::adaptive_average([output]), 1, 2, [input]));
        }
    }
    for (input, output) in [([7, 5], [3, 5]), ([6, 40], [3, 20]), ([6, 40], [4, 20]), ([3, 3], [5, 7])] {
        assert!(check(PoolParams::adaptive_max(output), 2, 2, input));
        assert!(check(PoolParams::adaptive_average(output), 2, 2, input));
    }
    assert!(check(PoolParams::adaptive_average([2, 3, 4]), 1, 2, [4, 5, 6]));
    assert!(check(PoolParams::global_max(), 2, 3, [3, 4, 5]));
    assert!(check(PoolParams::global_average(), 2, 3, [3, 4, 5]));
}

/// PyTorch's formula, for every small window.
#[test]
fn sizes_in_ceil_mode() {
    let mut planned = 0;
    for (input, kernel, stride) in
        (1..=9).flat_map(|i| (1..=5).flat_map(move |k| (1..=6).map(move |s| (i, k, s))))
    {
        for (padding, dilation) in (0..=kernel + 2).flat_map(|p| (1..=3).map(move |d| (p, d))) {
            let params = PoolParams::max([kernel as usize])
                .with_stride([stride as usize])
                .with_padding([padding as usize])
                .with_dilation([dilation as usize])
                .with_ceil_mode(true);
            let mut expected =
                (input + 2 * padding - dilation * (kernel - 1) - 1 + stride - 1_i32).div_euclid(stride) + 1;
            while (expected - 1) * stride >= input + padding {
                expected -= 1;
            }
            match params.plan(1, 1, [input as usize]) {
                Ok(plan) => assert_eq!(plan.output_dims(), [expected as usize], "{params:?} {input}"),
                Err(_) => assert!(expected < 1, "{params:?} {input}"),
            }
            planned += 1;
        }
    }
    assert!(planned > 1000, "{planned}");
}

#[test]
fn networks_take_adaptive_pooling() {
    let layers = [Layer::Pool(PoolParams::adaptive_max([2, 2])), Layer::Pool(PoolParams::global_average())];
    let network = Network::plan(layers, 1, [2, 3, 3]).unwrap();
    let input: Vec<f32> = (0..18).map(|x| x as f32).collect();
    let (mut output, mut scratch) = ([0.0; 2], vec![0.0; network.scratch_len()]);
    network.forward(NetworkWeights::Plain(&[]), &input, &mut output, &mut scratch).unwrap();
    assert_eq!(output, [6.0, 15.0]);
    let names: Vec<_> = network.layers().map(|layer| layer.name).collect();
    assert_eq!(names, ["AdaptiveMaxPool2d", "AdaptiveAvgPool2d"]);
}

/// PyTorch's size of `MaxUnpool`; planned back, the sizes are the pooled ones.
#[test]
fn sizes_of_unpooling() {
    for (pooled, window, stride) in
        (1..6).flat_map(|o| (1..5).flat_map(move |k| (1..5).map(move |s| (o, k, s))))
    {
        let params = PoolParams::max([window]).with_stride([stride]);
        for padding in 0..window {
            let padded = params.with_padding([padding]);
            let expected = ((pooled - 1) * stride + window).checked_sub(2 * padding).filter(|size| *size > 0);
            let plan = padded.plan_unpool(1, 1, [pooled]);
            assert_eq!(plan.ok().map(|plan| plan.input_dims()), expected.map(|size| [size]));
            let plans = [
                plan,
                padded.with_ceil_mode(true).plan_unpool(1, 1, [pooled]),
                params.with_padding_rule(Padding::SameUpper).plan_unpool(1, 1, [pooled]),
                params.with_padding_rule(Padding::SameLower).with_dilation([2]).plan_unpool(1, 1, [pooled]),
                params.with_padding_rule(Padding::Full).plan_unpool(1, 1, [pooled]),
            ];
            for plan in plans.into_iter().flatten() {
                assert_eq!(plan.output_dims(), [pooled], "{plan:?}");
            }
        }
    }
}

#[test]
fn a_dilated_window_may_straddle_the_input() {
    let plan = PoolParams::max([2]).with_padding([1]).with_dilation([3]).plan(1, 1, [2]).unwrap();
    let (mut y, mut grad) = ([0.0], [7.0; 2]);
    plan.forward(&[1.0, 2.0], &mut y).unwrap();
    plan.backward(&[1.0, 2.0], &[5.0], &mut grad).unwrap();
    assert_eq!((y, grad), ([f32::NEG_INFINITY], [0.0; 2]));
}

/// The lecture: 0..16 as 4x4, and with a second channel of x + 1.
#[test]
fn lecture() {
    let x: Vec<f32> = (0..32).map(|i| (i % 16 + i / 16) as f32).collect();
    let forward = |params: PoolParams<2>, channels: usize| {
        let plan = params.plan(1, channels, [4, 4]).unwrap();
        let mut y = vec![0.0; plan.output_len()];
        plan.forward(&x[..plan.input_len()], &mut y).unwrap();
        y
    };
    assert_eq!(forward(PoolParams::max([3, 3]), 1), [10.0]);
    let squares = PoolParams::max([3, 3]).with_padding([1, 1]).with_stride([2, 2]);
    assert_eq!(forward(squares, 1), [5.0, 7.0, 13.0, 15.0]);
    assert_eq!(forward(squares, 2), [5.0, 7.0, 13.0, 15.0, 6.0, 8.0, 14.0, 16.0]);
    assert_eq!(forward(PoolParams::max([2, 3]).with_padding([0, 1]), 1), [5.0, 7.0, 13.0, 15.0]);
}

/// `<pool(x), g> == <x, pool^T(g)>`: a mean is linear, and for a fixed `x` so is a maximum.
#[test]
fn backward_is_the_adjoint() {
    for params in kinds([4, 2]) {
        let params = params.with_stride([1, 2]).with_padding([2, 1]);
        let plan = params.plan(3, 2, [6, 9]).unwrap();
        // Multiples of the window's size, so that quotients are integers, whatever is counted.
        let x: Vec<f32> = integers(plan.input_len(), 1).iter().map(|x| x * 840.0).collect();
        let g = integers(plan.output_len(), 2).iter().map(|g| g * 840.0).collect::<Vec<_>>();
        let (mut y, mut grad_x) = (vec![0.0; plan.output_len()], vec![0.0; plan.input_len()]);
        plan.forward(&x, &mut y).unwrap();
        plan.backward(&x, &g, &mut grad_x).unwrap();
        let dot =
            |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        assert_eq!(dot(&y, &g), dot(&x, &grad_x), "{params:?}");
    }
}

#[test]
fn plans_are_checked() {
    let max = PoolParams::max([2, 3]);
    let inapplicable = |option, operation| Err(ShapeError::Inapplicable { option, operation });
    assert_eq!(max.with_stride([0, 1]).plan(1, 1, [9, 9]), Err(ShapeError::Zero { what: "stride" }));
    assert_eq!(max.with_divisor_override(2).plan(1, 1, [9, 9]), inapplicable("divisor", "maximum pooling"));
    assert_eq!(max.plan(usize::MAX, 2, [2, 3]), Err(ShapeError::Overflow { what: "input" }));
    assert_eq!(PoolParams::max([1; 4]).plan(1, 1, [1; 4]), Err(ShapeError::Rank { rank: 4 }));
    let extent = ShapeError::KernelExceedsInput { axis: 1, kernel_extent: 3, padded_input: 2 };
    assert_eq!(max.plan(1, 1, [2, 2]), Err(extent));
    assert_eq!(max.plan(0, 5, [4, 6]).map(|plan| (plan.input_len(), plan.output_len())), Ok((0, 0)));
}

#[test]
fn lengths_are_checked_before_anything_is_written() {
    let plan = PoolParams::max([2]).plan(1, 1, [4]).unwrap();
    let length = |operand, required, given| Err(RunError::Length { operand, required, given });
    let mut out = [7.0; 3];
    assert_eq!(plan.forward(&[0.0; 5], &mut out), length("input", 4, 5));
    assert_eq!(plan.forward(&[0.0; 4], &mut out), length("output", 2, 3));
    assert_eq!(plan.backward(&[0.0; 5], &[0.0; 2], &mut out), length("input", 4, 5));
    assert_eq!(plan.backward(&[0.0; 4], &[0.0; 3], &mut out), length("grad_output", 2, 3));
    assert_eq!(plan.backward(&[0.0; 4], &[0.0; 2], &mut out), length("grad_input", 4, 3));
    assert_eq!(out, [7.0; 3]);
}

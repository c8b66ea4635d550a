//! Every instruction set against a twin that is written anew from the formulas.

extern crate std;

use super::*;
use crate::error::{RunError, ShapeError};
use crate::kernel::Isa;
use crate::window::Window;
use std::{vec, vec::Vec};

/// Small integers in no order: every sum of them is exact.
fn integers(len: usize, seed: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 7919 + seed * 104_729) % 61) as f32 - 30.0).collect()
}

/// For each output, the flat offsets of what its window sees, in ascending order.
fn windows<const D: usize>(plan: &PoolPlan<D>) -> Vec<Vec<usize>> {
    let Window { input, kernel, stride, padding, dilation, output, .. } = plan.pooling.window;
    let points = |[d, h, w]: [usize; 3]| (0..d * h * w).map(move |i| [i / (h * w), i / w % h, i % w]);
    let mut windows = Vec::new();
    for plane in 0..plan.batch() * plan.channels() {
        for o in points(output) {
            let offset = |k: [usize; 3]| {
                let at = |axis: usize| {
                    let padded = o[axis] * stride[axis] + k[axis] * dilation[axis];
                    padded.checked_sub(padding[axis][0]).filter(|i| *i < input[axis])
                };
                Some(((plane * input[0] + at(0)?) * input[1] + at(1)?) * input[2] + at(2)?)
            };
            windows.push(points(kernel).filter_map(offset).collect());
        }
    }
    windows
}

fn twin_forward<const D: usize>(plan: &PoolPlan<D>, input: &[f32]) -> Vec<f32> {
    let pool = |window: &Vec<usize>| match plan.params().kind {
        PoolKind::Max => winner(input, window).map_or(f32::NEG_INFINITY, |i| input[i]),
        PoolKind::Average => window.iter().fold(0.0, |sum, i| sum + input[*i]) / divisor(plan, window),
    };
    windows(plan).iter().map(pool).collect()
}

fn twin_backward<const D: usize>(plan: &PoolPlan<D>, input: &[f32], grad_output: &[f32]) -> Vec<f32> {
    let mut grad_input = vec![0.0; input.len()];
    for (window, grad) in windows(plan).iter().zip(grad_output) {
        match plan.params().kind {
            PoolKind::Max => winner(input, window).into_iter().for_each(|i| grad_input[i] += grad),
            PoolKind::Average => window.iter().for_each(|i| grad_input[*i] += grad / divisor(plan, window)),
        }
    }
    grad_input
}

/// PyTorch's rule.
fn winner(input: &[f32], window: &[usize]) -> Option<usize> {
    let (mut best, mut at) = (f32::NEG_INFINITY, *window.first()?);
    for i in window {
        if input[*i] > best || input[*i].is_nan() {
            (best, at) = (input[*i], *i);
        }
    }
    Some(at)
}

fn divisor<const D: usize>(plan: &PoolPlan<D>, window: &[usize]) -> f32 {
    let full: usize = plan.params().window.iter().product();
    (if plan.params().count_include_pad { full } else { window.len() }) as f32
}

/// Equal, or both NaN.
fn same(got: &[f32], expected: &[f32]) -> bool {
    got.len() == expected.len() && got.iter().zip(expected).all(|(a, b)| a == b || a.is_nan() && b.is_nan())
}

fn check_values<const D: usize>(plan: PoolPlan<D>, input: &[f32]) {
    let grad_output = integers(plan.output_len(), 3);
    let (output, grad_input) = (twin_forward(&plan, input), twin_backward(&plan, input, &grad_output));
    for isa in Isa::available() {
        let plan = plan.with_isa(isa);
        let (mut y, mut grad_x) = (vec![f32::NAN; plan.output_len()], vec![f32::NAN; plan.input_len()]);
        plan.forward(input, &mut y).unwrap();
        assert!(same(&y, &output), "{plan:?}\n{y:?}\n{output:?}");
        plan.backward(input, &grad_output, &mut grad_x).unwrap();
        assert!(same(&grad_x, &grad_input), "{plan:?}\n{grad_x:?}\n{grad_input:?}");
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
    check_values(plan, &integers);
    check_values(plan, &reals);
    check_values(plan, &special);
    true
}

/// Both kinds, and both ways to count.
fn kinds<const D: usize>(window: [usize; D]) -> [PoolParams<D>; 3] {
    let average = PoolParams::average(window);
    [PoolParams::max(window), average, average.with_count_include_pad(false)]
}

#[test]
fn rank_1() {
    let mut planned = 0;
    for (input, kernel) in (1..24).flat_map(|input| (1..6).map(move |kernel| (input, kernel))) {
        for (stride, before, after) in
            [(1, 0, 0), (1, 1, 1), (2, 0, 1), (2, 1, 0), (2, 2, 2), (3, 1, 2), (5, 0, 0)]
        {
            for params in kinds([kernel]) {
                let params = params.with_stride([stride]).with_padding_per_side([[before, after]]);
                planned += usize::from(check(params, 2, 1, [input]));
                if params.kind == PoolKind::Max {
                    planned += usize::from(check(params.with_dilation([3]), 1, 1, [input]));
                }
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
            for (stride, padding) in [([2, 2], [0, 0]), ([1, 1], [1, 1]), ([2, 2], [1, 1]), ([1, 3], [0, 2])]
            {
                for params in kinds(kernel) {
                    let params = params.with_stride(stride).with_padding(padding);
                    planned += usize::from(check(params, 2, 3, [h, w]));
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
        for (stride, padding) in [(1, 1), (2, 1), (3, 0), (64, 1), (usize::MAX, 0)] {
            assert!(check(params.with_stride([stride]).with_padding([padding]), 1, 1, [1000]));
        }
    }
    assert!(check(PoolParams::max([4]).with_stride([1]).with_dilation([250]), 1, 1, [1000]));
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
    let too_much =
        |axis, padding, window| Err(ShapeError::PaddingExceedsHalfWindow { axis, padding, window });
    let inapplicable = |option, operation| Err(ShapeError::Inapplicable { option, operation });
    assert_eq!(max.with_padding([1, 2]).plan(1, 1, [9, 9]), too_much(1, 2, 3));
    assert_eq!(max.with_padding_per_side([[0, 2], [0, 0]]).plan(1, 1, [9, 9]), too_much(0, 2, 2));
    assert_eq!(max.with_stride([0, 1]).plan(1, 1, [9, 9]), Err(ShapeError::Zero { what: "stride" }));
    assert_eq!(
        PoolParams::average([2]).with_dilation([2]).plan(1, 1, [9]),
        inapplicable("dilation", "average pooling")
    );
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

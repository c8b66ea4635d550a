//! All small shapes, not a sample of them unless `PROPTEST_CASES` is small: the forward pass (and, up to rank 2, the
//! gradients) is the definition, and what does not fit is an error.

use crate::conv_backward;
use crate::conv_forward::equals_naive;
use crate::plans::{Operands, conv_params, last, report};
use im2col::{Activation, ShapeError};
use im2col_testkit::oracle::{ConvCase, Mode};
use im2col_testkit::property::sample;
use std::ops::RangeInclusive;

#[derive(Clone, Copy)]
struct Axis {
    input: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    padding: [usize; 2],
}

const TRIVIAL: Axis = Axis { input: 1, kernel: 1, stride: 1, dilation: 1, padding: [0; 2] };

fn axes(
    inputs: RangeInclusive<usize>,
    kernels: RangeInclusive<usize>,
    strides: RangeInclusive<usize>,
    dilations: RangeInclusive<usize>,
    pads: RangeInclusive<usize>,
) -> Vec<Axis> {
    let mut axes = Vec::new();
    for input in inputs {
        for kernel in kernels.clone() {
            for stride in strides.clone() {
                for dilation in dilations.clone() {
                    for before in pads.clone() {
                        for after in pads.clone() {
                            axes.push(Axis { input, kernel, stride, dilation, padding: [before, after] });
                        }
                    }
                }
            }
        }
    }
    axes
}

fn check<const D: usize>(axes: [Axis; 3], mode: Mode) {
    let case = ConvCase {
        batch: 1,
        in_channels: 2,
        out_channels: 3,
        groups: 1,
        input: axes.map(|axis| axis.input),
        kernel: axes.map(|axis| axis.kernel),
        stride: axes.map(|axis| axis.stride),
        padding: axes.map(|axis| axis.padding),
        mode,
        dilation: axes.map(|axis| axis.dilation),
    };
    let too_large = axes
        .iter()
        .position(|axis| axis.dilation * (axis.kernel - 1) >= axis.input + axis.padding[0] + axis.padding[1]);
    if let Some(axis) = too_large {
        let Axis { input, kernel, dilation, padding, .. } = axes[axis];
        let error = ShapeError::KernelExceedsInput {
            axis: axis + D - 3,
            kernel_extent: dilation * (kernel - 1) + 1,
            padded_input: input + padding[0] + padding[1],
        };
        assert_eq!(conv_params::<D>(&case).plan(1, last(case.input)), Err(error));
        return;
    }
    let larger = |axis: usize| case.padding[axis][0].max(case.padding[axis][1]);
    if let Some(axis) = (0..3).find(|&axis| larger(axis) > mode.limit(case.input[axis])) {
        let (padding, most) = (larger(axis), mode.limit(case.input[axis]));
        let error = ShapeError::PaddingExceedsInput { axis: axis + D - 3, padding, most };
        assert_eq!(conv_params::<D>(&case).plan(1, last(case.input)), Err(error));
    } else {
        equals_naive::<D>(&case, &Operands::integers(&case, 0), Activation::Identity);
        if D < 3 {
            conv_backward::equals_naive::<D>(&case, 0);
        }
    }
}

fn check_all<const D: usize>(shapes: impl Iterator<Item = ([Axis; 3], Mode)>) {
    let (mut is_taken, mut all, mut checked) = (sample(), 0, 0);
    for (axes, mode) in shapes {
        all += 1;
        if is_taken() {
            check::<D>(axes, mode);
            checked += 1;
        }
    }
    report(&format!("small shapes of rank {D}: {checked} of {all}"));
}

const MODES: [Mode; 4] = [Mode::Zeros, Mode::Reflect, Mode::Replicate, Mode::Circular];

/// A padding mode for every shape. Five in turn, so that no mode sticks to every fourth padding.
fn modes() -> impl Iterator<Item = Mode> {
    MODES.into_iter().chain([Mode::Zeros]).cycle()
}

#[test]
fn rank_1() {
    let axes = axes(1..=9, 1..=5, 1..=3, 1..=3, 0..=2);
    let shapes = MODES.into_iter().flat_map(|mode| axes.iter().map(move |&x| ([TRIVIAL, TRIVIAL, x], mode)));
    check_all::<1>(shapes);
}

#[test]
fn rank_2() {
    let axes = axes(1..=4, 1..=3, 1..=2, 1..=2, 0..=1);
    let pairs = axes.iter().flat_map(|&y| axes.iter().map(move |&x| [TRIVIAL, y, x]));
    check_all::<2>(pairs.zip(modes()));
}

#[test]
fn rank_3() {
    let axes = axes(1..=2, 1..=2, 1..=2, 1..=2, 0..=1);
    let pairs = || axes.iter().flat_map(|&y| axes.iter().map(move |&x| [y, x]));
    let triples = axes.iter().flat_map(|&z| pairs().map(move |[y, x]| [z, y, x]));
    check_all::<3>(triples.zip(modes()));
}

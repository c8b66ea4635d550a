//! Where windows lie, against the definition: every position whose taps, all of them, lie in the padded input.

use im2col::{ConvParams, Im2colParams, Padding, PaddingMode, PoolParams, ShapeError};

/// All of them on one axis: input, kernel, stride, dilation, padding before and after.
fn each_window(mut check: impl FnMut([usize; 4], [usize; 2])) {
    for (input, kernel) in (1..=6).flat_map(|input| (1..=4).map(move |kernel| (input, kernel))) {
        for (stride, dilation) in (1..=4).flat_map(|stride| (1..=3).map(move |dilation| (stride, dilation))) {
            for padding in [[0, 0], [1, 0], [0, 2], [2, 1]] {
                check([input, kernel, stride, dilation], padding);
            }
        }
    }
}

#[test]
fn positions_are_those_inside_the_padded_input() {
    each_window(|[input, kernel, stride, dilation], padding| {
        let [extent, padded] = [(kernel - 1) * dilation + 1, input + padding[0] + padding[1]];
        let positions = (0..=padded).filter(|at| at % stride == 0 && at + extent <= padded).count();
        for axis in 0..3 {
            let on_axis = |value: usize, other: usize| {
                let mut all = [other; 3];
                all[axis] = value;
                all
            };
            let mut sides = [[0; 2]; 3];
            sides[axis] = padding;
            let plan = ConvParams::new(1, 1, on_axis(kernel, 1))
                .with_stride(on_axis(stride, 1))
                .with_dilation(on_axis(dilation, 1))
                .with_padding_per_side(sides)
                .plan(1, on_axis(input, 2));
            let expected = if positions == 0 {
                Err(ShapeError::KernelExceedsInput { axis, kernel_extent: extent, padded_input: padded })
            } else {
                Ok(on_axis(positions, 2))
            };
            assert_eq!(plan.map(|plan| plan.output_dims()), expected, "{input} {kernel} {stride} {dilation}");
        }
    });
}

/// Rounded up: one more window, if it begins in the input or in the padding before it.
#[test]
fn ceil_mode_adds_a_window_that_is_cut() {
    each_window(|[input, kernel, stride, dilation], padding| {
        let [extent, padded] = [(kernel - 1) * dilation + 1, input + padding[0] + padding[1]];
        let is_cut = |at: usize| at + extent < padded + stride && at < input + padding[0];
        let positions = (0..=padded).filter(|at| at % stride == 0 && is_cut(*at)).count();
        let plan = PoolParams::average([kernel])
            .with_stride([stride])
            .with_dilation([dilation])
            .with_padding_per_side([padding])
            .with_ceil_mode(true)
            .plan(1, 1, [input]);
        match plan {
            Ok(plan) => assert_eq!(
                plan.output_dims(),
                [positions],
                "{input} {kernel} {stride} {dilation} {padding:?}"
            ),
            Err(error) => {
                let (kernel_extent, padded_input) = (extent, padded);
                assert_eq!(error, ShapeError::KernelExceedsInput { axis: 0, kernel_extent, padded_input });
                assert_eq!(positions, 0, "{input} {kernel} {stride} {dilation} {padding:?}");
            }
        }
    });
}

#[test]
fn padding_rules_follow_from_the_sizes() {
    each_window(|[input, kernel, stride, dilation], _| {
        let padding = |rule| {
            let params = ConvParams::new(1, 1, [kernel]).with_stride([stride]).with_dilation([dilation]);
            params.with_padding_rule(rule).plan(1, [input]).unwrap().padding()
        };
        let reach = (kernel - 1) * dilation;
        assert_eq!(padding(Padding::Full), [[reach; 2]]);
        let total = ((input.div_ceil(stride) - 1) * stride + reach + 1).saturating_sub(input);
        assert_eq!(padding(Padding::SameUpper), [[total / 2, total - total / 2]]);
        assert_eq!(padding(Padding::SameLower), [[total - total / 2, total / 2]]);
    });
}

/// What a window finds beside the input, value by value.
#[test]
fn padding_shows_the_input() {
    for (mode, shown) in [
        (PaddingMode::Zeros, [0., 0., 0., 1., 2., 3., 4., 0., 0., 0.]),
        (PaddingMode::Reflect, [4., 3., 2., 1., 2., 3., 4., 3., 2., 1.]),
        (PaddingMode::Replicate, [1., 1., 1., 1., 2., 3., 4., 4., 4., 4.]),
        (PaddingMode::Circular, [2., 3., 4., 1., 2., 3., 4., 1., 2., 3.]),
    ] {
        let params = Im2colParams::new(1, [1]).with_padding_per_side([[3, 3]]).with_padding_mode(mode);
        let plan = params.plan(1, [4]).unwrap();
        let view = plan.columns(&[1., 2., 3., 4.]).unwrap();
        assert_eq!([view.rows(), view.columns()], [1, 10]);
        let found: Vec<_> = (0..10).map(|column| view.get(0, column).unwrap()).collect();
        assert_eq!(found, shown, "{mode:?}");
        assert!(view.get(1, 0).is_none() && view.get(0, 10).is_none());
    }
}

#[test]
fn padding_modes_have_a_most() {
    let plan = |mode, padding: [usize; 2]| {
        let params = ConvParams::new(1, 1, [1, 1]).with_padding_per_side([[0, 0], padding]);
        params.with_padding_mode(mode).plan(1, [9, 4]).map(|_| ())
    };
    for (mode, most) in [(PaddingMode::Reflect, 3), (PaddingMode::Circular, 4)] {
        for padding in [[most, 0], [0, most], [most; 2]] {
            assert_eq!(plan(mode, padding), Ok(()));
        }
        for padding in [[most + 1, 0], [0, most + 1], [most, most + 1]] {
            let error = ShapeError::PaddingExceedsInput { axis: 1, padding: most + 1, most };
            assert_eq!(plan(mode, padding), Err(error));
        }
    }
    assert_eq!(plan(PaddingMode::Replicate, [50, 50]), Ok(()));
}

#[test]
fn sizes_of_nothing_are_named() {
    let zero = |what| Err(ShapeError::Zero { what });
    let plan = |params: ConvParams<2>, input| params.plan(1, input).map(|_| ());
    let one = ConvParams::new(1, 1, [1, 1]);
    assert_eq!(plan(one, [1, 0]), zero("input"));
    assert_eq!(plan(one.with_stride([0, 1]), [1, 1]), zero("stride"));
    assert_eq!(plan(one.with_dilation([1, 0]), [1, 1]), zero("dilation"));
    assert_eq!(plan(ConvParams::new(1, 1, [0, 1]), [1, 1]), zero("kernel"));
    assert_eq!(plan(one.with_stride([0, 1]).with_padding_rule(Padding::SameUpper), [1, 1]), zero("stride"));
    let error = ShapeError::Rank { rank: 4 };
    assert_eq!(ConvParams::new(1, 1, [1; 4]).plan(1, [1; 4]).map(|_| ()), Err(error));
    assert_eq!(ConvParams::new(1, 1, []).plan(1, []).map(|_| ()), Err(ShapeError::Rank { rank: 0 }));
}

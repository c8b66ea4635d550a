//! Inputs that are views of larger buffers: the values of a copy of what they see, bit for bit.

use crate::layouts::{LAYOUTS, square};
use crate::plans::{
    Operands, activation, assert_same, conv_params, conv_plan, each_rank, forward, forward_packed, isas,
    last, ordered_algorithms,
};
use im2col::{
    Algorithm, ConvOperands, ConvParams, ConvPlan, InputStrides, Layout, Rounding, RunError, ShapeError,
    Weights, naive,
};
use im2col_testkit::oracle::ConvCase;
use im2col_testkit::property::{cases, for_all};
use im2col_testkit::strategies::hostile_conv_case;
use proptest::prelude::Strategy;

/// Strides of a case, on three axes.
fn strides(image: usize, channel: usize, dims: [usize; 3]) -> InputStrides<3> {
    InputStrides { image, channel, dims }
}

/// Ways to see a case in a buffer, the values of a line or the channels of a position together.
fn views(case: &ConvCase, seed: u64) -> Vec<InputStrides<3>> {
    let ([depth, height, width], channels) = (case.input, case.in_channels);
    let margin = |bits: u32| (seed >> bits) as usize % 4;
    let [wide, high, deep, more] = [width + margin(3), height + margin(5), depth + margin(7), margin(9)];
    let plane = wide * high * deep;
    let last = channels + more;
    let mut views = vec![
        // A part of the planes, the lines, and the values of each.
        strides((channels + more) * plane, plane, [wide * high, wide, 1]),
        // A part of the channels of each position.
        strides(last * plane, 1, [wide * high * last, wide * last, last]),
        // The channels of a line follow each other.
        strides(channels * plane, wide, [wide * high * channels, wide * channels, 1]),
        // One image, one plane, or one line for all.
        strides(0, plane, [wide * high, wide, 1]),
        strides(plane, 0, [wide * high, wide, 1]),
        strides(wide, 0, [0, 0, 1]),
        // Images, lines and positions that overlap.
        strides(1, 1, [1, 1, 1]),
        strides(3, 1, [2, 5, 2]),
    ];
    if channels == 1 {
        // One channel of pixels.
        views.push(strides(2 * plane * 3, 77, [wide * high * 3, wide * 3, 3]));
    }
    views
}

/// The buffer of a view, what it does not see not a number; and a copy of what it sees, `[batch, in_channels, dims..]`.
fn buffer(case: &ConvCase, view: &InputStrides<3>, len: usize, values: &[f32]) -> [Vec<f32>; 2] {
    let (mut buffer, mut places) = (vec![f32::NAN; len], Vec::new());
    let [depth, height, width] = case.input;
    for image in 0..case.batch {
        for channel in 0..case.in_channels {
            for position in 0..depth * height * width {
                let at = [position / width / height, position / width % height, position % width];
                let of_axes: usize = at.iter().zip(view.dims).map(|(at, stride)| at * stride).sum();
                places.push(image * view.image + channel * view.channel + of_axes);
            }
        }
    }
    for (place, value) in places.iter().zip(values) {
        buffer[*place] = *value;
    }
    let copy = places.iter().map(|place| buffer[*place]).collect();
    [buffer, copy]
}

/// Every view, into both layouts, under every instruction set, by every algorithm, with plain and packed weights and under limits of
/// scratch: what a copy gives.
fn is_a_copy<const D: usize>(case: &ConvCase, seed: u64) {
    let mut operands = Operands::integers(case, seed);
    let plan = conv_plan::<D>(case, &operands, activation(seed));
    let values = operands.input.clone();
    for [_, output] in [LAYOUTS[0], LAYOUTS[2]] {
        let plan = plan.with_output_layout(output).unwrap();
        for view in views(case, seed) {
            let InputStrides { image, channel, dims } = view;
            let strided = plan.with_input_strides(InputStrides { image, channel, dims: last(dims) }).unwrap();
            let [buffer, copy] = buffer(case, &view, strided.input_len(), &values);
            assert!(buffer.last().is_none_or(|value| !value.is_nan()), "a buffer longer than what it shows");
            for (plan, strided) in isas(plan).zip(isas(strided)) {
                operands.input.clone_from(&copy);
                let expected = forward(&plan, &operands);
                operands.input.clone_from(&buffer);
                let limits = [0, strided.scratch_len() / 3].map(|limit| strided.with_scratch_limit(limit));
                for plan in ordered_algorithms(strided).chain(limits) {
                    assert_same(&forward(&plan, &operands), &expected, plan);
                    if let Some(packed) = forward_packed(&plan, &operands) {
                        assert_same(&packed, &expected, ("packed", plan));
                    }
                }
            }
        }
    }
}

each_rank!(of_any_shape, 100, conv_case, is_a_copy);

each_rank!(is_the_definition, 300, conv_case, defined);

fn defined<const D: usize>(case: &ConvCase, seed: u64) {
    let mut operands = Operands::integers(case, seed);
    let plan = conv_plan::<D>(case, &operands, activation(seed));
    let values = operands.input.clone();
    for InputStrides { image, channel, dims } in views(case, seed) {
        let plan = plan.with_input_strides(InputStrides { image, channel, dims: last(dims) }).unwrap();
        [operands.input, _] = buffer(case, &strides(image, channel, dims), plan.input_len(), &values);
        let Operands { input, weight, bias, .. } = &operands;
        let mut expected = vec![0.0; plan.output_len()];
        naive::conv_forward(&plan, input, weight, bias, &mut expected).unwrap();
        assert_same(&forward(&plan, &operands), &expected, plan);
    }
}

/// Lines longer than a vector, blocks of images and parts of images, groups, taps far apart, planes and positions that meet in L1.
#[test]
fn of_layers() {
    let unpadded = |case: ConvCase| ConvCase { padding: [[0; 2]; 3], ..case };
    let layers = [
        square(3, [16, 33], 7, 3),
        square(2, [64, 20], 9, 1),
        unpadded(square(1, [128, 18], 9, 3)),
        unpadded(square(7, [4, 20], 5, 2)),
        ConvCase { stride: [1, 2, 2], ..square(2, [6, 24], 17, 3) },
        ConvCase { dilation: [1, 2, 9], padding: [[0; 2], [2; 2], [9; 2]], ..square(1, [18, 20], 21, 3) },
        ConvCase { groups: 4, ..square(2, [32, 72], 5, 3) },
        ConvCase { groups: 20, ..square(2, [20, 20], 19, 3) },
        ConvCase { groups: 33, stride: [1, 2, 2], ..square(1, [33, 33], 20, 5) },
        ConvCase { groups: 30, ..square(2, [30, 60], 9, 3) },
        ConvCase { input: [4, 6, 7], kernel: [2, 3, 3], ..square(2, [8, 20], 7, 3) },
    ];
    for (seed, layer) in (0..).zip(&layers) {
        is_a_copy::<3>(layer, 0b1_0110_1101 + seed);
    }
}

/// Strides of a whole input are its layout, whatever they say of axes with one value; a layout takes strides away.
#[test]
fn of_a_whole_input() {
    let case =
        ConvCase { kernel: [1, 3, 3], padding: [[0; 2], [1; 2], [1; 2]], ..ConvCase::linear(1, 24, 40) };
    let plan = conv_params::<2>(&case).plan(3, [12, 9]).unwrap();
    for [layout, _] in [LAYOUTS[0], LAYOUTS[1]] {
        let whole = plan.with_input_layout(layout).unwrap();
        assert_eq!(plan.with_input_strides(whole.input_strides()), Ok(whole));
        assert_eq!(whole.with_input_strides(whole.input_strides()), Ok(whole));
    }
    let crop = InputStrides { image: 24 * 20 * 20, channel: 20 * 20, dims: [20, 1] };
    let view = plan.with_input_strides(crop).unwrap();
    assert_eq!((view.input_strides(), view.algorithm()), (crop, Algorithm::Broadcast));
    assert_eq!(view.input_len(), 2 * 24 * 400 + 23 * 400 + 11 * 20 + 8 + 1);
    assert_eq!(view.with_input_layout(Layout::ChannelsFirst), Ok(plan));
    let single = ConvParams::new(1, 6, [3, 1]).plan(1, [9, 1]).unwrap();
    let strides = InputStrides { image: 77, channel: 88, dims: [1, 99] };
    assert_eq!(single.with_input_strides(strides), Ok(single));
    // Strides without a second value make no other plan.
    let gray = ConvParams::new(1, 6, [3, 3]).plan(1, [1, 9].map(|size| size + 2)).unwrap();
    let of = |image, channel| gray.with_input_strides(InputStrides { image, channel, dims: [30, 2] });
    assert_eq!(of(0, 0), of(usize::MAX, usize::MAX));
    let error = ShapeError::InputStrides { channel: 2, last: 3 };
    assert_eq!(plan.with_input_strides(InputStrides { image: 0, channel: 2, dims: [30, 3] }), Err(error));
}

/// Strides, layouts, a limit of scratch, an algorithm, rounding and threads make one plan, in whatever order they are asked for.
#[test]
fn requests_have_no_order() {
    let params = ConvParams::new(24, 40, [3, 3]).with_padding([1, 1]);
    let plan = params.plan(3, [12, 12]).unwrap();
    let crop = InputStrides { image: 24 * 400, channel: 400, dims: [20, 1] };
    let view = |plan: ConvPlan<2>| plan.with_input_strides(crop).unwrap();
    for [input, output] in LAYOUTS {
        let to = |plan: ConvPlan<2>| plan.with_output_layout(output).unwrap();
        assert_eq!(to(view(plan)), view(to(plan)));
        assert_eq!(view(plan.with_input_layout(input).unwrap()), view(plan));
    }
    let limited = |plan: ConvPlan<2>| plan.with_scratch_limit(view(plan).scratch_len() / 2);
    assert_eq!(limited(view(plan)), view(limited(plan)));
    let any = |plan: ConvPlan<2>| plan.with_rounding(Rounding::Any);
    assert_eq!(any(view(plan)), view(any(plan)));
    for algorithm in [Algorithm::Broadcast, Algorithm::InPlace] {
        let by = |plan: ConvPlan<2>| plan.with_algorithm(algorithm).unwrap();
        assert_eq!(by(view(plan)), view(by(plan)));
    }
    // What needs whole planes gives way.
    let asked = view(plan.with_algorithm(Algorithm::Im2col).unwrap());
    assert_eq!(asked.algorithm(), Algorithm::Broadcast);
    let unsupported = ShapeError::Unsupported { algorithm: "Im2col" };
    assert_eq!(view(plan).with_algorithm(Algorithm::Im2col), Err(unsupported));
    let mut matrix = vec![7.0; plan.input_len() / 3 * plan.output_len() / 3];
    let dense = naive::dense_matrix(&view(plan), &vec![0.0; plan.weight_len()], &mut matrix);
    assert_eq!(dense, Err(RunError::Layout { operation: "dense_matrix" }));
    assert!(matrix.iter().all(|value| *value == 7.0));
    let (input, mut columns) = (vec![0.0; view(plan).input_len()], vec![7.0; plan.columns_len()]);
    assert_eq!(view(plan).im2col(&input, &mut columns), Err(RunError::Layout { operation: "im2col" }));
    assert!(columns.iter().all(|value| *value == 7.0));
}

/// Sizes and strides that may overflow: a plan or an error, and wrong lengths are errors.
#[test]
fn no_stride_panics() {
    let stride = || proptest::sample::select(vec![0, 1, 2, 16, 1 << 16, 1 << 31, usize::MAX / 7, usize::MAX]);
    let strategy = (hostile_conv_case(3), stride(), stride(), [stride(), stride(), stride()]);
    for_all(cases(20_000), strategy.boxed(), |(case, image, channel, dims)| {
        let Ok(plan) = conv_params::<3>(&case).plan(case.batch, case.input) else { return };
        for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
            let view = plan.with_input_strides(strides(image, channel, dims));
            let Ok(plan) = view.and_then(|plan| plan.with_output_layout(layout)) else { continue };
            let nothing = ConvOperands { input: &[], weight: Weights::Plain(&[]), bias: &[] };
            assert!(plan.forward(nothing, &mut [], &mut []).is_err());
            let limit = plan.scratch_len() / 2;
            assert!(plan.with_scratch_limit(limit).scratch_len() <= limit);
        }
    });
}

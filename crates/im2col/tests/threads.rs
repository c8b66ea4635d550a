//! The result is the same, bit for bit, for any number of threads, and so is the error.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use im2col::lenet::LENET;
use im2col::{
    Algorithm, ConvOperands, ConvParams, ConvPlan, InputStrides, Isa, Layout, Network, NetworkWeights,
    PoolParams, PoolPlan, RunError, ShapeError, Weights,
};

const THREADS: [usize; 5] = [2, 3, 4, 8, usize::MAX];

fn values(seed: u32, len: usize) -> Vec<f32> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    core::iter::repeat_with(next).take(len).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn forward<const D: usize>(plan: &ConvPlan<D>, is_packed: bool) -> Vec<u32> {
    let [input, weight] = [values(1, plan.input_len()), values(2, plan.weight_len())];
    let bias = values(3, plan.bias_len());
    let mut packed = vec![0.0; plan.packed_weight_len()];
    let (weight, scratch_len) = if is_packed {
        (Weights::Packed(plan.pack_weights(&weight, &mut packed).unwrap()), plan.packed_scratch_len())
    } else {
        (Weights::Plain(&weight), plan.scratch_len())
    };
    let mut output = vec![f32::NAN; plan.output_len()];
    let operands = ConvOperands { input: &input, weight, bias: &bias };
    plan.forward(operands, &mut output, &mut vec![f32::NAN; scratch_len]).unwrap();
    bits(&output)
}

/// How many times the scratch of one thread the plan asks for.
fn parts<const D: usize>(plan: &ConvPlan<D>, serial: &ConvPlan<D>) -> usize {
    plan.packed_scratch_len().checked_div(serial.packed_scratch_len()).unwrap_or(0)
}

#[test]
fn convolutions_are_the_same() {
    let conv = |i, o, k: [usize; 2]| ConvParams::new(i, o, k);
    let same = |params: ConvParams<2>| params.with_padding([1, 1]);
    let last = |plan: Result<ConvPlan<2>, ShapeError>, [input, output]: [bool; 2]| {
        let layout = |is_last| if is_last { Layout::ChannelsLast } else { Layout::ChannelsFirst };
        plan?.with_input_layout(layout(input))?.with_output_layout(layout(output))
    };
    let view = |plan: Result<ConvPlan<2>, ShapeError>, image, channel, dims| {
        plan?.with_input_strides(InputStrides { image, channel, dims })
    };
    let plans = [
        // Images apart, evenly and not.
        (same(conv(8, 16, [3, 3])).plan(7, [29, 31]), 3),
        (conv(1, 6, [5, 5]).with_padding([2, 2]).plan(64, [28, 28]), 3),
        // Blocks of five images of 20, of six of a part of six.
        (
            same(conv(14, 32, [3, 3]))
                .plan(20, [25, 25])
                .and_then(|plan| plan.with_algorithm(Algorithm::Broadcast)),
            20,
        ),
        // Groups apart.
        (same(conv(36, 60, [3, 3])).with_groups(3).plan(1, [40, 40]), 3),
        (same(conv(64, 64, [3, 3])).with_groups(64).plan(1, [56, 56]), 0),
        // Channels apart: a last panel that is not full; one channel more than two, or four, panels.
        (same(conv(32, 100, [3, 3])).plan(1, [28, 28]), 7),
        (conv(300, 65, [1, 1]).plan(1, [30, 30]), 5),
        (conv(200, 65, [1, 1]).plan(1, [30, 30]), 5),
        (same(conv(64, 7, [3, 3])).plan(1, [37, 41]), 1),
        // Channels last: images apart; of one image channels of the output or, where these come last, lines or positions.
        (last(same(conv(8, 16, [3, 3])).plan(7, [29, 31]), [true, true]), 3),
        (last(same(conv(32, 100, [3, 3])).plan(1, [28, 28]), [true, false]), 4),
        (last(same(conv(32, 100, [3, 3])).plan(1, [28, 28]), [true, true]), 10),
        (last(same(conv(32, 96, [3, 3])).with_stride([2, 2]).plan(1, [57, 55]), [true, true]), 10),
        (last(same(conv(200, 40, [3, 3])).with_dilation([2, 3]).plan(1, [40, 41]), [false, true]), 38),
        (last(conv(300, 64, [1, 1]).plan(1, [30, 31]), [true, true]), 8),
        (last(conv(64, 64, [1, 9]).with_padding([0, 4]).plan(1, [1, 999]), [true, true]), 17),
        (last(same(conv(36, 96, [3, 3])).with_groups(3).plan(1, [40, 40]), [true, true]), 7),
        (last(same(conv(64, 64, [3, 3])).with_groups(64).plan(1, [56, 55]), [true, true]), 0),
        (last(conv(64, 64, [1, 9]).with_padding([0, 4]).with_groups(64).plan(1, [1, 9999]), [true, true]), 0),
        (last(same(conv(64, 64, [3, 3])).with_groups(64).plan(5, [56, 56]), [true, true]), 0),
        (last(same(conv(36, 60, [3, 3])).with_groups(3).plan(1, [40, 40]), [true, false]), 1),
        // Views: images that overlap, groups of some of the channels, groups with channels last, lines of an output with channels last.
        (view(same(conv(8, 16, [3, 3])).plan(7, [29, 31]), 100, 2000, [40, 1]), 3),
        (view(same(conv(36, 60, [3, 3])).with_groups(3).plan(1, [40, 40]), 0, 5000, [50, 1]), 3),
        (view(same(conv(36, 60, [3, 3])).with_groups(3).plan(1, [40, 40]), 0, 1, [2500, 50]), 3),
        (view(last(same(conv(32, 100, [3, 3])).plan(1, [28, 28]), [false, true]), 0, 1000, [30, 1]), 10),
        (
            view(
                last(same(conv(64, 64, [3, 3])).with_groups(64).plan(1, [56, 55]), [true, true]),
                0,
                1,
                [4000, 70],
            ),
            0,
        ),
        // Too small for threads.
        (same(conv(8, 16, [3, 3])).plan(1, [16, 16]), 1),
    ];
    for (i, (plan, most)) in plans.into_iter().enumerate() {
        let serial = plan.unwrap();
        for is_packed in [false, true] {
            let expected = forward(&serial, is_packed);
            for threads in THREADS {
                let plan = serial.with_threads(threads);
                assert!(forward(&plan, is_packed) == expected, "plan {i}, {threads} threads");
            }
        }
        assert_eq!(parts(&serial.with_threads(usize::MAX), &serial), most, "plan {i}");
    }
}

/// Lines of an image with channels last, by each algorithm that has them, and by what stands in for `Depthwise` where there are no
/// vectors.
#[test]
fn lines_are_the_same_on_every_instruction_set() {
    let same = |params: ConvParams<2>| params.with_padding([1, 1]);
    let depthwise = same(ConvParams::new(40, 40, [3, 3])).with_groups(40).plan(1, [41, 39]).unwrap();
    let dense = same(ConvParams::new(40, 48, [3, 3])).plan(1, [20, 22]).unwrap();
    let in_place = dense.with_algorithm(Algorithm::InPlace).unwrap();
    lines_are_the_same(depthwise, 2);
    lines_are_the_same(dense, 3);
    lines_are_the_same(in_place, 3);
    // Planes of a volume.
    let volume =
        |groups| ConvParams::new(32, 32, [2, 3, 3]).with_groups(groups).plan(1, [7, 19, 20]).unwrap();
    lines_are_the_same(volume(1), 6);
    lines_are_the_same(volume(1).with_algorithm(Algorithm::InPlace).unwrap(), 6);
    lines_are_the_same(volume(32), 6);
    // Few channels, from one and from channels first: lines, positions of a line, planes.
    let lines = ConvParams::new(1, 6, [5, 5]).with_padding([2, 2]).plan(1, [171, 250]).unwrap();
    let lines = lines.with_output_layout(Layout::ChannelsLast).unwrap();
    assert_eq!(lines.algorithm(), Algorithm::Direct);
    threads_give_the_same(lines, 3);
    let direct = |plan: ConvPlan<2>| plan.with_algorithm(Algorithm::Direct).unwrap();
    let line = ConvParams::new(3, 13, [1, 7]).plan(1, [1, 30_011]).unwrap();
    threads_give_the_same(direct(line.with_output_layout(Layout::ChannelsLast).unwrap()), 3);
    // Lines that vectors cover, divided where these do not end; planes that are one line; lines that are read where they lie.
    let line = ConvParams::new(3, 6, [7]).plan(1, [40_022]).unwrap();
    let line = line.with_output_layout(Layout::ChannelsLast).unwrap();
    threads_give_the_same(line.with_algorithm(Algorithm::Direct).unwrap(), 2);
    let plane = ConvParams::new(64, 6, [1, 1]).plan(1, [128, 128]).unwrap();
    threads_give_the_same(direct(plane.with_output_layout(Layout::ChannelsLast).unwrap()), 3);
    let lines = ConvParams::new(16, 5, [3, 3]).plan(1, [130, 114]).unwrap();
    threads_give_the_same(direct(lines.with_output_layout(Layout::ChannelsLast).unwrap()), 4);
    let volume = ConvParams::new(3, 13, [2, 3, 3]).plan(1, [9, 41, 40]).unwrap();
    let volume = volume.with_output_layout(Layout::ChannelsLast).unwrap();
    threads_give_the_same(volume.with_algorithm(Algorithm::Direct).unwrap(), 3);
}

fn lines_are_the_same<const D: usize>(plan: ConvPlan<D>, most: usize) {
    let last = plan.with_input_layout(Layout::ChannelsLast).unwrap();
    threads_give_the_same(last.with_output_layout(Layout::ChannelsLast).unwrap(), most);
}

fn threads_give_the_same<const D: usize>(plan: ConvPlan<D>, most: usize) {
    for isa in Isa::available() {
        let serial = plan.with_isa(isa);
        for is_packed in [false, true] {
            let expected = forward(&serial, is_packed);
            for threads in THREADS {
                assert!(forward(&serial.with_threads(threads), is_packed) == expected, "{isa:?}");
            }
        }
        if serial.packed_scratch_len() > 0 {
            assert_eq!(parts(&serial.with_threads(usize::MAX), &serial), most);
        }
    }
}

#[test]
fn every_algorithm_is_the_same() {
    let serial = ConvParams::new(40, 70, [3, 3]).with_padding([1, 1]).plan(1, [20, 22]).unwrap();
    for algorithm in
        [Algorithm::Im2col, Algorithm::Broadcast, Algorithm::Winograd, Algorithm::Direct, Algorithm::InPlace]
    {
        let serial = serial.with_algorithm(algorithm).unwrap();
        for is_packed in [false, true] {
            let expected = forward(&serial, is_packed);
            for threads in THREADS {
                assert!(forward(&serial.with_threads(threads), is_packed) == expected, "{algorithm:?}");
            }
        }
    }
    // Three pairs of panels of channels.
    let winograd = serial.with_algorithm(Algorithm::Winograd).unwrap();
    assert_eq!(parts(&winograd.with_threads(usize::MAX), &winograd), 3);
}

/// A limit of scratch, a number of threads and an algorithm make one plan, in whatever order they are asked for.
#[test]
fn requests_have_no_order() {
    let plan = ConvParams::new(64, 64, [3, 3]).with_padding([1, 1]).plan(1, [56, 56]).unwrap();
    let serial = plan.scratch_len();
    let mut divided = 0;
    for limit in [0, 1, serial / 2, serial - 1, serial, 2 * serial, 3 * serial + 1, usize::MAX] {
        for threads in THREADS {
            for algorithm in [Algorithm::Im2col, Algorithm::Broadcast, Algorithm::Winograd, Algorithm::Direct]
            {
                let by = |plan: ConvPlan<2>| plan.with_algorithm(algorithm).unwrap();
                let expected = by(plan).with_threads(threads).with_scratch_limit(limit);
                assert!(expected.scratch_len() <= limit);
                divided += usize::from(expected.scratch_len() > by(plan).scratch_len());
                assert_eq!(by(plan).with_scratch_limit(limit).with_threads(threads), expected);
                assert_eq!(by(plan.with_threads(threads)).with_scratch_limit(limit), expected);
                assert_eq!(by(plan.with_threads(threads).with_scratch_limit(limit)), expected);
                assert_eq!(by(plan.with_scratch_limit(limit)).with_threads(threads), expected);
                assert_eq!(by(plan.with_scratch_limit(limit).with_threads(threads)), expected);
            }
        }
    }
    assert!(divided > 0, "no limit left room for two threads");
    assert!(plan.with_scratch_limit(50_000).with_threads(4).scratch_len() <= 50_000);
}

#[test]
fn the_scratch_of_all_threads_is_checked() {
    let serial = ConvParams::new(32, 64, [3, 3]).with_padding([1, 1]).plan(1, [28, 28]).unwrap();
    let plan = serial.with_threads(2);
    assert_eq!(plan.scratch_len(), 2 * serial.scratch_len());
    let limited = plan.with_scratch_limit(serial.scratch_len());
    assert_eq!((limited.algorithm(), limited.scratch_len()), (serial.algorithm(), serial.scratch_len()));
    let [input, weight, bias] = [plan.input_len(), plan.weight_len(), 64].map(|len| values(4, len));
    let mut output = vec![7.0; plan.output_len()];
    let operands = ConvOperands { input: &input, weight: Weights::Plain(&weight), bias: &bias };
    let given = plan.scratch_len() - 1;
    let error = plan.forward(operands, &mut output, &mut vec![0.0; given]).unwrap_err();
    assert_eq!(error, RunError::Scratch { required: given + 1, given });
    assert!(output.iter().all(|value| *value == 7.0));
}

#[test]
fn pools_are_the_same() {
    for params in [PoolParams::max([3, 3]).with_padding([1, 1]), PoolParams::average([2, 2])] {
        let first = params.plan(3, 11, [150, 151]).unwrap();
        pool_is_the_same(first);
        pool_is_the_same(first.with_layout(Layout::ChannelsLast).unwrap());
    }
}

fn pool_is_the_same(serial: PoolPlan<2>) {
    let input = values(5, serial.input_len());
    let pool = |plan: PoolPlan<2>| {
        let mut output = vec![f32::NAN; plan.output_len()];
        plan.forward(&input, &mut output).unwrap();
        bits(&output)
    };
    let expected = pool(serial);
    for threads in THREADS {
        assert!(pool(serial.with_threads(threads)) == expected);
    }
}

#[test]
fn networks_are_the_same() {
    let serial = Network::plan(LENET, 100, [1, 28, 28]).unwrap();
    let (params, input) = (values(6, serial.param_len()), values(7, serial.input_len()));
    let infer = |network: Network<12>, images: &[f32]| {
        let mut packed = vec![0.0; network.packed_weight_len()];
        let packed = network.pack_weights(&params, &mut packed).unwrap();
        let weights = NetworkWeights::Packed { params: &params, packed };
        let mut output = vec![f32::NAN; network.output_len()];
        network.forward(weights, images, &mut output, &mut vec![f32::NAN; network.scratch_len()]).unwrap();
        bits(&output)
    };
    let expected = infer(serial, &input);
    for threads in THREADS {
        assert!(infer(serial.with_threads(threads), &input) == expected);
    }
    // And for any number of images at a time.
    let single = Network::plan(LENET, 1, [1, 28, 28]).unwrap();
    let one_by_one: Vec<u32> = input.chunks(28 * 28).flat_map(|image| infer(single, image)).collect();
    assert!(one_by_one == expected);
}

//! Channels last: the values of channels first in another order, bit for bit.

use crate::plans::{
    Operands, activation, assert_same, conv_params, conv_plan, each_rank, forward, forward_packed, isas,
    ordered_algorithms,
};
use im2col::{
    Activation, Algorithm, ConvOperands, ConvParams, ConvPlan, Gradients, Layout, Rounding, RunError,
    ShapeError, Weights,
};
use im2col_testkit::operands::channels_last;
use im2col_testkit::oracle::{ConvCase, Mode};
use im2col_testkit::property::{cases, for_all};
use im2col_testkit::strategies::hostile_conv_case;
use proptest::prelude::Strategy;

use Layout::{ChannelsFirst, ChannelsLast};

/// All combinations of the layouts of input and output.
pub(crate) const LAYOUTS: [[Layout; 2]; 4] = [
    [ChannelsFirst, ChannelsFirst],
    [ChannelsLast, ChannelsFirst],
    [ChannelsFirst, ChannelsLast],
    [ChannelsLast, ChannelsLast],
];

pub(crate) fn with_layouts<const D: usize>(plan: ConvPlan<D>, [input, output]: [Layout; 2]) -> ConvPlan<D> {
    plan.with_input_layout(input).unwrap().with_output_layout(output).unwrap()
}

/// Values with channels first, of so many channels, in a layout.
fn in_layout(values: &[f32], batch: usize, channels: usize, layout: Layout) -> Vec<f32> {
    match layout {
        ChannelsFirst => values.to_vec(),
        ChannelsLast => channels_last(values, batch, channels),
    }
}

/// Every layout under every instruction set, by both algorithms, with plain and packed weights and under limits of scratch.
fn is_a_permutation<const D: usize>(case: &ConvCase, operands: &mut Operands, activation: Activation) {
    let plan = conv_plan::<D>(case, operands, activation);
    let input = operands.input.clone();
    for plan in isas(plan) {
        operands.input.clone_from(&input);
        let first = forward(&plan, operands);
        for layouts in LAYOUTS {
            let plan = with_layouts(plan, layouts);
            assert_eq!([plan.input_layout(), plan.output_layout()], layouts);
            operands.input = in_layout(&input, case.batch, case.in_channels, layouts[0]);
            let expected = in_layout(&first, case.batch, case.out_channels, layouts[1]);
            let is_depthwise = case.groups > 1 && [case.in_channels, case.out_channels] == [case.groups; 2];
            if layouts == [ChannelsLast; 2] && case.input != [1; 3] && is_depthwise {
                assert_eq!(plan.algorithm(), Algorithm::Depthwise);
            }
            let limits = [0, plan.scratch_len() / 3].map(|limit| plan.with_scratch_limit(limit));
            for plan in ordered_algorithms(plan).chain(limits) {
                assert_same(&forward(&plan, operands), &expected, plan);
                if let Some(packed) = forward_packed(&plan, operands) {
                    assert_same(&packed, &expected, ("packed", plan));
                }
            }
        }
    }
}

each_rank!(of_any_shape, 500, conv_case, on_integers);

fn on_integers<const D: usize>(case: &ConvCase, seed: u64) {
    is_a_permutation::<D>(case, &mut Operands::integers(case, seed), activation(seed));
}

/// A kernel of `taps` by `taps`, with padding that keeps the size of planes.
pub(crate) fn square(batch: usize, channels: [usize; 2], side: usize, taps: usize) -> ConvCase {
    ConvCase {
        batch,
        in_channels: channels[0],
        out_channels: channels[1],
        input: [1, side, side],
        kernel: [1, taps, taps],
        padding: [[0; 2], [taps / 2; 2], [taps / 2; 2]],
        ..ConvCase::linear(1, 1, 1)
    }
}

/// Channels that fill no vector, one, several, and so many that lines of L1 would meet; one tap and nine, strides, dilation that
/// takes taps apart, groups, every padding, blocks of images and parts of images.
#[test]
fn of_layers() {
    let unpadded = |case: ConvCase| ConvCase { padding: [[0; 2]; 3], ..case };
    let mut layers = vec![
        square(1, [3, 20], 33, 7),
        square(3, [32, 33], 9, 3),
        square(1, [64, 48], 20, 1),
        square(1, [512, 16], 7, 1),
        square(2, [1024, 40], 5, 1),
        // So many channels that their sums are not stored from registers.
        square(1, [2, 65_552], 2, 1),
        square(1, [128, 32], 24, 3),
        unpadded(square(2, [16, 64], 12, 3)),
        unpadded(square(1, [256, 17], 9, 3)),
        unpadded(square(1, [65, 7], 9, 5)),
        ConvCase { stride: [1, 2, 2], ..square(1, [96, 24], 15, 1) },
        ConvCase { stride: [1, 3, 2], ..square(2, [24, 40], 17, 3) },
        ConvCase { dilation: [1, 2, 9], padding: [[0; 2], [2; 2], [9; 2]], ..square(1, [48, 20], 21, 3) },
        ConvCase { groups: 4, ..square(2, [64, 72], 8, 3) },
        ConvCase { groups: 2, ..square(2, [96, 96], 9, 3) },
        ConvCase { groups: 2, ..unpadded(square(1, [128, 36], 6, 3)) },
        ConvCase { groups: 30, ..square(2, [30, 60], 9, 3) },
        ConvCase { input: [4, 6, 7], kernel: [2, 3, 3], ..square(2, [32, 20], 7, 3) },
    ];
    // One channel to a group: fewer than a vector and more, taps that are gathered at once and in two parts.
    for (channels, side, taps) in [(16, 14, 3), (40, 23, 3), (7, 12, 5), (33, 19, 7), (20, 6, 7)] {
        let depthwise = ConvCase { groups: channels, ..square(2, [channels; 2], side, taps) };
        layers.extend([
            depthwise,
            ConvCase { stride: [1, 2, 2], ..depthwise },
            ConvCase { dilation: [1, 1, 2], padding: [[0; 2], [3, 0], [1, 6]], ..depthwise },
            ConvCase { mode: Mode::Reflect, ..depthwise },
            ConvCase { input: [1, taps, taps], ..unpadded(depthwise) },
            ConvCase { input: [3, taps + 2, taps + 6], kernel: [2, taps, taps], ..depthwise },
        ]);
    }
    // A stride counts only where there is a second position.
    for groups in [1, 20] {
        let one = ConvCase { stride: [1, 1, usize::MAX], ..unpadded(square(2, [20, 20], 9, 3)) };
        layers.push(ConvCase { groups, input: [1, 9, 3], ..one });
        layers.push(ConvCase { groups, input: [1, 9, 4], padding: [[0; 2], [1; 2], [1, 0]], ..one });
    }
    // Taps that look far into the padding.
    let far = usize::MAX / 8;
    for groups in [1, 20] {
        let apart = ConvCase {
            dilation: [1, 1, far],
            padding: [[0; 2], [0; 2], [far; 2]],
            ..square(2, [20, 20], 4, 3)
        };
        layers.push(ConvCase { groups, kernel: [1, 1, 3], ..apart });
    }
    let modes = [Mode::Reflect, Mode::Replicate, Mode::Circular];
    layers.extend(modes.map(|mode| ConvCase { mode, ..square(2, [20, 18], 11, 5) }));
    for (seed, layer) in (0..).zip(&layers) {
        is_a_permutation::<3>(layer, &mut Operands::reals(layer, seed), Activation::Relu);
    }
}

/// Layouts, a limit of scratch, an algorithm and rounding make one plan, in whatever order they are asked for; channels first bring
/// everything back.
#[test]
fn requests_have_no_order() {
    let case =
        ConvCase { kernel: [1, 3, 3], padding: [[0; 2], [1; 2], [1; 2]], ..ConvCase::linear(1, 24, 40) };
    let plan = conv_params::<2>(&case).plan(3, [12, 12]).unwrap();
    let depthwise = ConvCase { in_channels: 40, groups: 40, ..case };
    let depthwise = conv_params::<2>(&depthwise).plan(3, [12, 12]).unwrap();
    let by = |plan: ConvPlan<2>| plan.with_algorithm(Algorithm::Depthwise).unwrap();
    assert_eq!(
        with_layouts(by(depthwise), [ChannelsLast; 2]),
        by(with_layouts(depthwise, [ChannelsLast; 2]))
    );
    for layouts in LAYOUTS {
        let last = with_layouts(plan, layouts);
        assert_eq!(with_layouts(last, [ChannelsFirst; 2]), plan);
        for limit in [0, last.scratch_len() / 2, last.scratch_len()] {
            assert_eq!(with_layouts(plan.with_scratch_limit(limit), layouts), last.with_scratch_limit(limit));
        }
        for algorithm in [Algorithm::Broadcast, Algorithm::InPlace] {
            let by = |plan: ConvPlan<2>| plan.with_algorithm(algorithm).unwrap();
            assert_eq!(with_layouts(by(plan), layouts), by(last));
        }
        let any = |plan: ConvPlan<2>| plan.with_rounding(Rounding::Any);
        assert_eq!(with_layouts(any(plan), layouts), any(last));
        let limit = plan.backward_input_scratch_len() / 2;
        let limited = |plan: ConvPlan<2>| plan.with_backward_scratch_limit(limit);
        assert_eq!(with_layouts(limited(plan), layouts), limited(last));
    }
}

/// Without a bias nothing is added to a sum: a zero has the sign that it has with channels first.
#[test]
fn zeros_keep_their_signs() {
    for groups in [1, 2] {
        let params = ConvParams::new(2, 4, [1]).with_groups(groups).with_bias(false);
        let plan = params.plan(1, [2]).unwrap().with_algorithm(Algorithm::Broadcast).unwrap();
        let (input, weight) = ([-1e-30; 4], vec![1e-30; plan.weight_len()]);
        let bits = |plan: ConvPlan<1>| {
            let (mut output, mut scratch) = (vec![1.0; plan.output_len()], vec![0.0; plan.scratch_len()]);
            let operands = ConvOperands { input: &input, weight: Weights::Plain(&weight), bias: &[] };
            plan.forward(operands, &mut output, &mut scratch).unwrap();
            output.into_iter().map(f32::to_bits).collect::<Vec<_>>()
        };
        for plan in isas(plan) {
            let first = bits(plan);
            for plan in LAYOUTS.map(|layouts| with_layouts(plan, layouts)) {
                assert_eq!(bits(plan), first, "{plan:?}");
                assert_eq!(bits(plan.with_scratch_limit(0)), first, "{plan:?}");
            }
        }
    }
}

/// Of a single channel or position both layouts are one, and every algorithm is there.
#[test]
fn a_single_channel_has_one_layout() {
    let gray = conv_params::<2>(&ConvCase { kernel: [1, 3, 3], ..ConvCase::linear(1, 1, 6) });
    let plan = gray.plan(2, [9, 9]).unwrap();
    let last = plan.with_input_layout(ChannelsLast).unwrap();
    assert_eq!((last.algorithm(), last.scratch_len()), (plan.algorithm(), plan.scratch_len()));
    assert!(last.algorithms().eq(plan.algorithms()));
    let mut grad_input = vec![0.0; plan.input_len()];
    let mut scratch = vec![0.0; plan.backward_input_scratch_len()];
    let (weight, grad_output) = (vec![0.0; plan.weight_len()], vec![0.0; plan.output_len()]);
    last.backward_input(&weight, &grad_output, &mut grad_input, &mut scratch).unwrap();
}

/// What takes channels first only says so, when it is asked for or before it writes.
#[test]
fn what_needs_channels_first() {
    let plan = conv_params::<2>(&ConvCase { kernel: [1, 3, 3], ..ConvCase::linear(1, 4, 6) });
    let plan = plan.plan(2, [9, 9]).unwrap();
    for [input, output] in LAYOUTS.into_iter().skip(1) {
        // From channels first there is one more.
        let is_direct = [input, output] == [ChannelsFirst, ChannelsLast];
        let others: &[_] = if is_direct { &[] } else { &[Algorithm::Direct] };
        assert_eq!(with_layouts(plan, [input, output]).with_algorithm(Algorithm::Direct).is_ok(), is_direct);
        for algorithm in [Algorithm::Im2col, Algorithm::Winograd].iter().chain(others).copied() {
            let unsupported = ShapeError::Unsupported { algorithm: algorithm.name() };
            let last = with_layouts(plan, [input, output]);
            assert_eq!(last.with_algorithm(algorithm).unwrap_err(), unsupported);
            // What was asked for before gives way, until the layouts are its own again.
            let asked = plan.with_algorithm(algorithm).unwrap();
            let last = with_layouts(asked, [input, output]);
            assert_eq!(last.algorithm(), Algorithm::Broadcast);
            assert_eq!(with_layouts(last, [ChannelsFirst; 2]), asked);
        }
        let plan = with_layouts(plan, [input, output]);
        assert_eq!(plan.algorithm(), Algorithm::Broadcast);
        let of = |len| vec![7.0; len];
        let (input, weight, grad_output) =
            (of(plan.input_len()), of(plan.weight_len()), of(plan.output_len()));
        let error = |operation| Err(RunError::Layout { operation });
        let (mut written, mut scratch) = (of(plan.input_len()), of(plan.backward_input_scratch_len()));
        assert_eq!(
            plan.backward_input(&weight, &grad_output, &mut written, &mut scratch),
            error("backward_input")
        );
        assert_eq!(written, input);
        let (mut written, mut scratch) = (of(plan.weight_len()), of(plan.backward_weight_scratch_len()));
        assert_eq!(
            plan.backward_weight(&input, &grad_output, &mut written, &mut scratch),
            error("backward_weight")
        );
        assert_eq!(written, weight);
        assert_eq!(plan.backward_bias(&grad_output, &mut of(6)), error("backward_bias"));
        let mut written = [of(plan.input_len()), of(plan.weight_len()), of(6)];
        let before = written.clone();
        let [input_gradient, weight_gradient, bias] = &mut written;
        let gradients = Gradients { input: input_gradient, weight: weight_gradient, bias };
        let mut scratch = of(plan.backward_scratch_len());
        assert!(plan.backward(&input, &weight, &grad_output, gradients, &mut scratch).is_err());
        assert_eq!(written, before);
        let mut columns = of(plan.columns_len());
        assert_eq!(plan.im2col(&input, &mut columns), error("im2col"));
        assert_eq!(plan.col2im(&columns, &mut of(plan.input_len())), error("col2im"));
        assert_eq!(plan.columns(&input).map(|_| ()), error("columns"));
    }
}

/// Sizes that may overflow: a plan or an error, and wrong lengths are errors.
#[test]
fn no_size_panics() {
    for_all(cases(20_000), hostile_conv_case(3).boxed(), |case| {
        let Ok(plan) = conv_params::<3>(&case).plan(case.batch, case.input) else { return };
        for [input, output] in LAYOUTS {
            let Ok(plan) = plan.with_input_layout(input) else { continue };
            let Ok(plan) = plan.with_output_layout(output) else { continue };
            let nothing = ConvOperands { input: &[], weight: Weights::Plain(&[]), bias: &[] };
            assert!(plan.forward(nothing, &mut [], &mut []).is_err());
            let limit = plan.scratch_len() / 2;
            assert!(plan.with_scratch_limit(limit).scratch_len() <= limit);
        }
    });
}

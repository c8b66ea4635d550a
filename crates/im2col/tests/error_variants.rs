//! Every variant of the errors is caused by a call, and says what is wrong in the words that are expected.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use im2col::{
    Activation, Algorithm, ConvOperands, ConvParams, CrossEntropy, InputStrides, Layer, Layout, LinearParams,
    Network, PaddingMode, PoolParams, Weights,
};
use std::collections::BTreeSet;
use std::fmt::{Debug, Display};

/// The names of the variants of an enum in the source of the errors.
fn variants(name: &str) -> BTreeSet<&'static str> {
    let source = include_str!("../src/error.rs");
    let body = source.split(&format!("pub enum {name} {{\n")).nth(1).unwrap().split("\n}").next().unwrap();
    body.lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| line.starts_with(char::is_uppercase))
        .map(|line| line.trim_end_matches([' ', '{', ',']))
        .collect()
}

/// Checks what the errors say, and that there is one of each variant.
#[track_caller]
fn check<E: Debug + Display>(name: &str, errors: &[(E, &str)]) {
    let debugged: Vec<String> = errors.iter().map(|(error, _)| format!("{error:?}")).collect();
    let caused: BTreeSet<&str> =
        debugged.iter().map(|text| text.split([' ', '{']).next().unwrap_or_default()).collect();
    assert_eq!(caused, variants(name));
    for (error, sentence) in errors {
        assert_eq!(error.to_string(), *sentence);
    }
}

/// 3x3, from 2 channels to 4.
const CONV: ConvParams<2> = ConvParams::new(2, 4, [3, 3]);

#[test]
fn every_shape_error() {
    let fails = |params: ConvParams<2>| params.plan(1, [5, 5]).unwrap_err();
    let network = |layers: [Layer; 2]| Network::plan(layers, 1, [2, 5, 5]);
    let convolutions = network([Layer::Conv(CONV), Layer::Conv(ConvParams::new(4, 1, [1, 1]))]).unwrap();
    let linear = Layer::Linear(LinearParams::new(9, 1));
    let packed = CONV.plan(1, [5, 5]).unwrap().packed::<4>(&[0.0; 71]);
    check(
        "ShapeError",
        &[
            (
                ConvParams::new(1, 1, [1; 4]).plan(1, [1; 4]).unwrap_err(),
                "rank 4: only 1, 2 and 3 are supported",
            ),
            (fails(CONV.with_stride([0, 1])), "stride is 0 and must be at least 1"),
            (CONV.plan(usize::MAX, [5, 5]).unwrap_err(), "an operand or scratch does not fit in usize"),
            (fails(CONV.with_dilation([1, 3])), "axis 1: the dilated kernel spans 7, the padded input has 5"),
            (fails(CONV.with_groups(3)), "in_channels = 2 is not a multiple of groups = 3"),
            (
                fails(CONV.with_padding([5, 0]).with_padding_mode(PaddingMode::Reflect)),
                "axis 0: padding 5, the padding mode is defined for at most 4",
            ),
            (
                CONV.with_padding([2, 0]).plan_transposed(1, [1, 1]).unwrap_err(),
                "axis 0: padding takes 4 away from an output of 3",
            ),
            (
                CONV.with_output_padding([0, 1]).plan_transposed(1, [5, 5]).unwrap_err(),
                "axis 1: output padding 1 must be less than 1, the larger of stride and dilation",
            ),
            (fails(CONV.with_output_padding([0, 1])), "output padding does not apply to convolution"),
            (
                CONV.plan(1, [5, 5]).unwrap().with_algorithm(Algorithm::Pointwise).unwrap_err(),
                "the algorithm Pointwise does not support this shape",
            ),
            (
                CONV.plan(1, [5, 5])
                    .unwrap()
                    .with_input_strides(InputStrides { image: 0, channel: 2, dims: [20, 4] })
                    .unwrap_err(),
                "input strides: 2 for channels and 4 for the last axis, one of which must be 1",
            ),
            (packed.unwrap_err(), "weight: 72 values required, 71 given"),
            (
                network([Layer::Conv(CONV), Layer::Conv(CONV)]).unwrap_err(),
                "layer 1 takes 2 channels or features and is given 4",
            ),
            (
                network([Layer::Activation(Activation::Tanh), linear]).unwrap_err(),
                "layer 1 takes 9 channels or features and is given none: a Flatten is missing or misplaced",
            ),
            (
                network([Layer::Conv(CONV), Layer::Pool(PoolParams::max([4, 4]))]).unwrap_err(),
                "layer 1: axis 0: the dilated kernel spans 4, the padded input has 3",
            ),
            (
                convolutions.with_scratch_limit(7).unwrap_err(),
                "a limit of 7 values of scratch is less than the 36 that layers hand on",
            ),
        ],
    );
}

#[test]
fn every_run_error() {
    let plan = CONV.plan(1, [5, 5]).unwrap();
    let (input, weight, mut output) = ([0.0; 50], [0.0; 72], [0.0; 36]);
    let mut scratch = vec![0.0; plan.scratch_len()];
    let mut run = |weight, bias: &[f32], scratch: &mut [f32]| {
        plan.forward(ConvOperands { input: &input, weight, bias }, &mut output, scratch).unwrap_err()
    };
    let other = ConvParams::new(1, 1, [1, 1]).plan(1, [5, 5]).unwrap();
    let mut panels = vec![0.0; other.packed_weight_len()];
    let foreign = Weights::Packed(other.pack_weights(&[0.0], &mut panels).unwrap());
    let least = plan.scratch_len();
    let columns = plan.columns(&input).unwrap();
    let channels_last = plan.with_input_layout(Layout::ChannelsLast).unwrap();
    let (mean, max) = (PoolParams::average([2]), PoolParams::max([2]));
    let (mean, max) = (mean.plan(1, 1, [4]).unwrap(), max.plan(1, 1, [4]).unwrap());
    check(
        "RunError",
        &[
            (
                channels_last.backward_bias(&[0.0; 36], &mut [0.0; 4]).unwrap_err(),
                "backward_bias takes whole planes with channels first, and the plan has another layout",
            ),
            (run(Weights::Plain(&weight), &[0.0; 3], &mut scratch), "bias: 4 values required, 3 given"),
            (
                run(Weights::Plain(&weight), &[0.0; 4], &mut scratch[1..]),
                &format!("scratch: at least {least} values required, {} given", least - 1),
            ),
            (
                run(foreign, &[0.0; 4], &mut scratch),
                "packed weights: packed for other sizes or another operation (288 values required, 16 given), or the \
                 algorithm takes plain weights only",
            ),
            (
                columns.copy_block(0..1, 3..10, &mut [0.0; 7]).unwrap_err(),
                "columns: 3..10 is not a range within 0..9",
            ),
            (
                CrossEntropy::new(2).forward(&[0.0; 4], &[1, 2]).unwrap_err(),
                "label 1: 2 is not one of 2 classes",
            ),
            (
                mean.forward_with_indices(&[0.0; 4], &mut [0.0; 2], &mut [0; 2]).unwrap_err(),
                "an average has no indices: only a maximum comes from one place",
            ),
            (
                max.unpool(&[0.0; 2], &[0, 4], &mut [0.0; 4]).unwrap_err(),
                "index 1: 4 is neither in a plane of 4 values nor -1",
            ),
            (
                max.backward_from_workspace(&[0, 2], &[0.0; 2], &mut [0.0; 4]).unwrap_err(),
                "workspace: output 1: 2 is not one of 2 taps",
            ),
        ],
    );
}

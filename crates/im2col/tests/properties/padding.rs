//! Padding: how much the rules give, and that the modes are what a padded copy would hold.

use crate::plans::{Operands, assert_same, backward, conv_params, each_rank, forward, isas, last};
use im2col::{ConvParams, ConvPlan, Padding, PaddingMode, ShapeError};
use im2col_testkit::operands::garbage;
use im2col_testkit::oracle::{ConvCase, Mode};
use im2col_testkit::property::{cases, for_all};
use im2col_testkit::strategies::hostile_size;
use proptest::prelude::any;

each_rank!(padded_copy, 500, conv_case, equals_a_padded_copy);

/// Every mode gives, bit for bit, what the unpadded convolution of a padded copy gives; gradients of
/// the weight, whose order of summation depends on the padding, on integers only. The copy is the
/// im2col matrix of a single tap.
fn equals_a_padded_copy<const D: usize>(case: &ConvCase, seed: u64) {
    let operands = |copied: &dyn Fn(Vec<f32>) -> Vec<f32>| {
        [Operands::reals(case, seed), Operands::integers(case, seed)]
            .map(|operands| Operands { input: copied(operands.input), ..operands })
    };
    let [reals, integers] = operands(&|input| input);
    let params = conv_params::<D>(case).with_bias(!reals.bias.is_empty());
    let plan = params.plan(case.batch, last(case.input)).unwrap();
    let copy = ConvParams::<D>::new(case.in_channels, 1, [1; D])
        .with_padding_per_side(plan.padding())
        .with_padding_mode(params.padding_mode())
        .plan(case.batch, plan.input_dims())
        .unwrap();
    let [padded_reals, padded_integers] = operands(&|input| {
        let mut padded = garbage(seed, copy.columns_len());
        copy.im2col(&input, &mut padded).unwrap();
        padded
    });

    let unpadded = params.with_padding([0; D]).with_padding_mode(PaddingMode::Zeros);
    let unpadded = unpadded.plan(case.batch, copy.output_dims()).unwrap();
    assert_eq!(unpadded.output_dims(), plan.output_dims());
    for (plan, unpadded) in isas(plan).zip(isas(unpadded)) {
        assert_same(&forward(&plan, &reals), &forward(&unpadded, &padded_reals), plan);
        let ([_, grad_weight, _], [_, expected, _]) =
            (backward(&plan, &integers), backward(&unpadded, &padded_integers));
        assert_same(&grad_weight, &expected, plan);
    }
}

#[test]
fn on_a_circle_rotation_of_the_input_rotates_the_output() {
    let size = (1..=40_usize, 1..=5_usize, 1..=3_usize);
    for_all(cases(500), (size, 0..40_usize, any::<u64>()), |((width, kernel, dilation), by, seed)| {
        let reach = dilation * (kernel - 1);
        let case = ConvCase {
            input: [1, 3, width.max(reach)],
            kernel: [1, 1, kernel],
            dilation: [1, 1, dilation],
            padding: [[0; 2], [0; 2], [reach / 3, reach - reach / 3]],
            mode: Mode::Circular,
            ..ConvCase::linear(2, 2, 7)
        };
        let [height, width] = last(case.input);
        let plan = conv_params::<2>(&case).plan(2, [height, width]).unwrap();
        assert_eq!(plan.output_dims(), [height, width]);
        let operands = Operands { bias: vec![0.5; 7], ..Operands::reals(&case, seed) };
        let rotate = |values: &[f32]| -> Vec<f32> {
            let mut values = values.to_vec();
            values.chunks_exact_mut(width).for_each(|line| line.rotate_right(by % width));
            values
        };
        let rotated =
            Operands { input: rotate(&operands.input), bias: vec![0.5; 7], ..Operands::reals(&case, seed) };
        for plan in isas(plan) {
            assert_same(&forward(&plan, &rotated), &rotate(&forward(&plan, &operands)), (plan, by));
        }
    });
}

#[test]
fn rules_of_any_size() {
    let size = hostile_size;
    for_all(cases(30_000), (size(), size(), size(), size()), |(input, kernel, stride, dilation)| {
        let conv = ConvParams::new(1, 1, [kernel]).with_stride([stride]).with_dilation([dilation]);
        let plan = |rule| conv.with_padding_rule(rule).plan(1, [input]);
        let [upper, lower, full] = [Padding::SameUpper, Padding::SameLower, Padding::Full].map(plan);
        let reach = |plan: &ConvPlan<1>| plan.params().dilation()[0] * (plan.params().kernel()[0] - 1);
        if let Ok(upper) = upper {
            let [[before, after]] = upper.padding();
            assert_eq!(upper.output_dims(), [input.div_ceil(stride)]);
            assert!(before == after || before + 1 == after);
            // No more than the last window needs.
            let needed = (upper.output_dims()[0] - 1) * stride + reach(&upper) + 1;
            assert_eq!(before + after, needed.saturating_sub(input));
            assert_eq!(lower.map(|lower| lower.padding()), Ok([[after, before]]));
        }
        if let Ok(full) = full {
            assert_eq!(full.padding(), [[reach(&full); 2]]);
            assert_eq!(full.output_dims(), [(input + reach(&full) - 1) / stride + 1]);
        }
    });
}

#[test]
fn modes_are_undefined_beyond_the_input() {
    let conv = ConvParams::new(1, 1, [1, 1]);
    let plan =
        |mode, padding| conv.with_padding_per_side([[0, 0], padding]).with_padding_mode(mode).plan(1, [1, 4]);
    let exceeds = |padding, most| Err(ShapeError::PaddingExceedsInput { axis: 1, padding, most });
    assert_eq!(plan(PaddingMode::Reflect, [4, 0]), exceeds(4, 3));
    assert_eq!(plan(PaddingMode::Circular, [1, 5]), exceeds(5, 4));
    assert!(plan(PaddingMode::Reflect, [3, 3]).is_ok());
    assert!(plan(PaddingMode::Circular, [4, 4]).is_ok());
    assert!(plan(PaddingMode::Replicate, [9, 9]).is_ok());
}

//! No argument, however absurd, makes the crate panic (overflow checks are on in tests) or compute
//! anything but the definition.

use crate::layouts::{LAYOUTS, with_layouts};
use crate::plans::{
    Operands, algorithms, assert_same, backward, conv_params, each_rank, forward, isas, last,
};
use im2col::{
    ConvOperands, ConvParams, ConvPlan, Isa, Layout, LinearOperands, LinearParams, Padding, PoolKind,
    PoolParams, PoolPlan, Weights, naive,
};
use im2col_testkit::operands::{Rng, garbage, integers, specials};
use im2col_testkit::oracle::ConvCase;
use im2col_testkit::property::{cases, for_all};
use im2col_testkit::strategies::hostile_size;

/// The most values of an operand, and sixteenths of multiply-adds, for which a plan is run.
const RUN: usize = 1 << 12;

each_rank!(convolution, 4000, hostile_conv_case, convolution_of_any_size);
each_rank!(convolution_partly, 4000, partly_hostile_conv_case, convolution_of_any_size);

/// Plans; runs what is small enough, and what is not with the wrong lengths.
fn convolution_of_any_size<const D: usize>(case: &ConvCase, seed: u64) {
    let Ok(plan) = conv_params::<D>(case).plan(case.batch, last(case.input)) else { return };
    let lens = [plan.input_len(), plan.weight_len(), plan.output_len(), plan.scratch_len()];
    let scratches = [plan.backward_input_scratch_len(), plan.backward_weight_scratch_len()];
    let largest = lens.into_iter().chain(scratches).max();
    if largest > Some(RUN) || plan.multiply_adds().max(plan.columns_len()) > 16 * RUN {
        let nothing = ConvOperands { input: &[], weight: Weights::Plain(&[]), bias: &[] };
        assert!(plan.forward(nothing, &mut [], &mut []).is_err());
        return;
    }
    let operands = Operands {
        input: integers(seed, plan.input_len()),
        weight: integers(seed.wrapping_add(1), plan.weight_len()),
        bias: integers(seed.wrapping_add(2), plan.bias_len()),
        grad_output: integers(seed.wrapping_add(3), plan.output_len()),
    };
    let Operands { input, weight, bias, grad_output } = &operands;
    let mut output = garbage(seed, plan.output_len());
    naive::conv_forward(&plan, input, weight, bias, &mut output).unwrap();
    let mut grad_input = garbage(seed, plan.input_len());
    naive::conv_backward_input(&plan, weight, grad_output, &mut grad_input).unwrap();
    let mut grad_weight = garbage(seed, plan.weight_len());
    naive::conv_backward_weight(&plan, input, grad_output, &mut grad_weight).unwrap();
    let laid = with_layouts(plan, LAYOUTS[seed as usize % 4]);
    let mut output_laid = garbage(seed, plan.output_len());
    naive::conv_forward(&laid, input, weight, bias, &mut output_laid).unwrap();
    let [mut columns, mut sums] = [plan.columns_len(), plan.input_len()].map(|len| garbage(seed, len));
    let small = |plan: &ConvPlan<D>| plan.scratch_len() <= 16 * RUN;
    for plan in algorithms(laid).filter(small).flat_map(isas) {
        assert_same(&forward(&plan, &operands), &output_laid, plan);
    }
    for plan in algorithms(plan).filter(small).flat_map(isas) {
        assert_same(&forward(&plan, &operands), &output, plan);
        let given = backward(&plan, &operands);
        assert_same(&given[0], &grad_input, plan);
        assert_same(&given[1], &grad_weight, plan);
        plan.im2col(input, &mut columns).unwrap();
        plan.col2im(&columns, &mut sums).unwrap();
    }
}

/// Every one of these has overflowed somewhere.
#[test]
fn shapes_that_once_failed() {
    let (max, huge) = (usize::MAX, 1 << (usize::BITS - 3));
    let one = ConvCase::linear(1, 1, 1);
    for case in [
        ConvCase { batch: 3, stride: [1, 1, max], ..one },
        ConvCase { batch: 0, input: [1, 1, 2 * huge], padding: [[0; 2], [0; 2], [0, 1]], ..one },
        ConvCase { batch: 0, ..one },
        ConvCase { batch: 0, in_channels: 8, input: [1, 1, huge], stride: [1, 1, huge], ..one },
        ConvCase { batch: 0, in_channels: 256, input: [1, 1, huge >> 5], ..one },
        ConvCase { batch: 0, out_channels: 256, input: [1, 1, huge >> 5], ..one },
        ConvCase {
            input: [1, 2, 10],
            kernel: [1, 2, 1],
            padding: [[0; 2], [0, huge], [0; 2]],
            dilation: [1, huge, 1],
            ..one
        },
        ConvCase {
            input: [2, 1, 3],
            kernel: [2, 1, 2],
            padding: [[0, max / 3], [0; 2], [0; 2]],
            dilation: [max / 3, 1, 1],
            ..one
        },
    ] {
        convolution_of_any_size::<3>(&case, 0);
    }
    // Scratch of an eighth of all addresses, for no image at all.
    let plan = ConvParams::new(8, 8, [1]).plan(0, [1 << (usize::BITS - 8)]).unwrap();
    assert_eq!(plan.backward_weight_scratch_len(), 0);
    assert!(plan.backward_input_scratch_len() < 1 << 17);
    // The operands fit; the count of what is done with them does not.
    let side = 1 << (usize::BITS / 3 + 1);
    let plan = LinearParams::new(side, side).plan(side).unwrap();
    assert_eq!(plan.multiply_adds(), max);
}

each_rank!(max_pooling, 4000, hostile_conv_case, max_pooling_of_any_size);
each_rank!(max_pooling_partly, 4000, partly_hostile_conv_case, max_pooling_of_any_size);

fn max_pooling_of_any_size<const D: usize>(case: &ConvCase, seed: u64) {
    let params = PoolParams::max(last(case.kernel)).with_dilation(last(case.dilation));
    sliding_of_any_size::<D>(case, params, seed);
}

each_rank!(average_pooling, 4000, hostile_conv_case, average_pooling_of_any_size);
each_rank!(average_pooling_partly, 4000, partly_hostile_conv_case, average_pooling_of_any_size);

fn average_pooling_of_any_size<const D: usize>(case: &ConvCase, seed: u64) {
    let params = PoolParams::average(last(case.kernel))
        .with_count_include_pad(seed.is_multiple_of(3))
        .with_dilation(last(case.dilation));
    match seed % 4 {
        0 => sliding_of_any_size::<D>(case, params.with_divisor_override(case.groups), seed),
        _ => sliding_of_any_size::<D>(case, params, seed),
    }
}

fn sliding_of_any_size<const D: usize>(case: &ConvCase, params: PoolParams<D>, seed: u64) {
    let padding = match seed >> 5 & 7 {
        0 => Padding::SameUpper,
        1 => Padding::SameLower,
        2 => Padding::Full,
        _ => Padding::PerSide(last(case.padding)),
    };
    let params =
        params.with_stride(last(case.stride)).with_padding_rule(padding).with_ceil_mode(seed & 16 == 0);
    // What is unpooled has the size that is pooled.
    let pooled = last::<usize, D>(case.input);
    if let Ok(plan) = params.plan_unpool(case.batch, case.in_channels, pooled) {
        assert_eq!(plan.output_dims(), pooled);
    }
    let taps = case.kernel.iter().fold(1, |taps: usize, &k| taps.saturating_mul(k));
    pooling_of_any_size(case, params, taps, seed);
}

each_rank!(adaptive_pooling, 4000, hostile_conv_case, adaptive_pooling_of_any_size);
each_rank!(adaptive_pooling_partly, 4000, partly_hostile_conv_case, adaptive_pooling_of_any_size);

/// The kernel of the case, or its stride, serves as the output's size.
fn adaptive_pooling_of_any_size<const D: usize>(case: &ConvCase, seed: u64) {
    let output = last(if seed & 1 == 0 { case.kernel } else { case.stride });
    let mut params = PoolParams::adaptive_max(output);
    if seed & 2 == 0 {
        params = PoolParams::adaptive_average(output);
    }
    let taps = case.input.iter().fold(1, |taps: usize, &input| taps.saturating_mul(input));
    pooling_of_any_size::<D>(case, params, taps, seed);
}

/// Plans; runs what is small enough, and what is not with the wrong lengths.
fn pooling_of_any_size<const D: usize>(case: &ConvCase, params: PoolParams<D>, taps: usize, seed: u64) {
    let Ok(plan) = params.plan(case.batch, case.in_channels, last(case.input)) else { return };
    run_pooling(plan, taps, seed);
    if let Ok(plan) = plan.with_layout(Layout::ChannelsLast) {
        run_pooling(plan, taps, seed);
    }
}

fn run_pooling<const D: usize>(plan: PoolPlan<D>, taps: usize, seed: u64) {
    if plan.input_len() > RUN || plan.output_len().saturating_mul(taps) > 4 * RUN {
        assert!(plan.forward(&[], &mut []).is_err());
        assert!(plan.forward_train(&[], &mut [], &mut []).is_err());
        assert!(plan.backward_from_workspace(&[], &[], &mut []).is_err());
        assert!(plan.forward_with_indices(&[], &mut [], &mut []).is_err());
        assert!(plan.unpool(&[], &[], &mut []).is_err());
        assert!(plan.unpool_backward(&[], &[], &mut []).is_err());
        return;
    }
    let (input, grad_output) = (specials(seed, plan.input_len()), integers(seed, plan.output_len()));
    let (mut expected, mut grad_input) = (garbage(1, plan.output_len()), garbage(2, plan.input_len()));
    naive::pool_forward(&plan, &input, &mut expected).unwrap();
    naive::pool_backward(&plan, &input, &grad_output, &mut grad_input).unwrap();
    for isa in Isa::available() {
        let plan = plan.with_isa(isa);
        let (mut output, mut grad) = (garbage(3, plan.output_len()), garbage(4, plan.input_len()));
        plan.forward(&input, &mut output).unwrap();
        plan.backward(&input, &grad_output, &mut grad).unwrap();
        let mut workspace = vec![0; plan.workspace_bytes()];
        let (mut output_too, mut grad_too) = (output.clone(), garbage(5, plan.input_len()));
        plan.forward_train(&input, &mut output_too, &mut workspace).unwrap();
        plan.backward_from_workspace(&workspace, &grad_output, &mut grad_too).unwrap();
        assert_same(&output_too, &output, plan);
        assert_same(&grad_too, &grad, plan);
        // Means are rounded; their bound is tested where the oracle can follow.
        if plan.params().kind() == PoolKind::Max {
            assert_same(&output, &expected, plan);
            assert_same(&grad, &grad_input, plan);
        }
    }
    if plan.params().kind() == PoolKind::Max {
        hostile_indices_and_bytes(&plan, seed);
    }
}

/// What says where the maxima were may be anything at all.
fn hostile_indices_and_bytes<const D: usize>(plan: &PoolPlan<D>, seed: u64) {
    const UNTOUCHED: f32 = -12_345.0;
    let mut rng = Rng::new(seed);
    let untouched = |values: &[f32]| values.iter().all(|&value| value == UNTOUCHED);
    let (values, places) = (integers(seed, plan.output_len()), integers(seed, plan.input_len()));
    for bits in [1, 4, 8, 64] {
        let indices: Vec<i64> =
            (0..plan.output_len()).map(|_| (rng.bits() >> (64 - bits)).cast_signed() - 1).collect();
        let (mut output, mut grad) = (vec![UNTOUCHED; places.len()], vec![UNTOUCHED; values.len()]);
        let result = plan.unpool(&values, &indices, &mut output);
        assert_eq!(result, plan.unpool_backward(&places, &indices, &mut grad));
        assert_eq!(result, naive::unpool(plan, &values, &indices, &mut output.clone()));
        assert_eq!(result.is_err(), untouched(&output) && !output.is_empty());
        assert_eq!(result.is_err(), untouched(&grad) && !grad.is_empty());

        let limit = u8::MAX >> (8 - bits.min(8));
        let bytes: Vec<u8> = (0..plan.workspace_bytes()).map(|_| rng.bits() as u8 & limit).collect();
        let mut grad_input = vec![UNTOUCHED; places.len()];
        let result = plan.backward_from_workspace(&bytes, &values, &mut grad_input);
        assert_eq!(result.is_err(), untouched(&grad_input) && !grad_input.is_empty());
    }
}

#[test]
fn ranks_that_do_not_exist() {
    assert!(ConvParams::new(1, 1, []).plan(1, []).is_err());
    assert!(ConvParams::new(1, 1, [1; 4]).plan(1, [1; 4]).is_err());
    assert!(PoolParams::max([]).plan(1, 1, []).is_err());
    assert!(PoolParams::average([1; 4]).plan(1, 1, [1; 4]).is_err());
    assert!(PoolParams::<0>::global_max().plan(1, 1, []).is_err());
    assert!(PoolParams::<4>::global_average().plan(1, 1, [1; 4]).is_err());
}

#[test]
fn linear_layers_of_any_size() {
    let size = hostile_size;
    for_all(cases(10_000), (size(), size(), size()), |(batch, inputs, outputs)| {
        let Ok(plan) = LinearParams::new(inputs, outputs).plan(batch) else { return };
        let nothing = LinearOperands { input: &[], weight: Weights::Plain(&[]), bias: &[] };
        let _ = plan.forward(nothing, &mut [], &mut []);
        if plan.input_len() > RUN || plan.output_len() > RUN || plan.weight_len() > RUN {
            return;
        }
        let (input, weight) = (garbage(1, plan.input_len()), garbage(2, plan.weight_len()));
        let (bias, mut output) = (garbage(3, plan.bias_len()), garbage(4, plan.output_len()));
        let operands = LinearOperands { input: &input, weight: Weights::Plain(&weight), bias: &bias };
        plan.forward(operands, &mut output, &mut garbage(5, plan.scratch_len())).unwrap();
    });
}

#[test]
fn matrices_of_any_size() {
    let size = hostile_size;
    for_all(cases(10_000), ([size(), size()], [size(), size()], 0..3_usize), |(x, k, len)| {
        let (values, mut y) = (garbage(1, len), garbage(2, len));
        let _ = naive::corr2d(&values, x, &values, k, &mut y);
        let _ = naive::true_conv2d(&values, x, &values, k, &mut y);
    });
}

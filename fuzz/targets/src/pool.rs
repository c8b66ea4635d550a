//! Pooling: maxima and means, their gradients, and unpooling.

use crate::bytes::{Bytes, garbage, integers};
use crate::compare::{Expected, assert_same, assert_same_bits};
use crate::conv::last;
use im2col::{Isa, PoolKind, PoolParams, PoolPlan, naive};
use im2col_testkit::bound::gamma;
use im2col_testkit::operands::{reals, specials};
use im2col_testkit::oracle::{PoolCase, Sum};

/// About as many values as all windows see together.
const MAX_TAPS: usize = 1 << 12;

/// Sliding and adaptive windows of any kind, forward and backward, with and without a workspace, with every
/// instruction set; the places of maxima, and unpooling with these and with any.
pub fn pool(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    match bytes.below(3) {
        0 => check::<1>(&mut bytes),
        1 => check::<2>(&mut bytes),
        _ => check::<3>(&mut bytes),
    }
}

/// A pooling of some rank that can be planned, and is small.
fn pool_case(rank: usize, bytes: &mut Bytes<'_>) -> PoolCase {
    let (kind, options) = (bytes.below(4), bytes.next());
    let has = |bit: u8| options >> bit & 1 == 1;
    let mut case = PoolCase {
        batch: 1 + bytes.below(3),
        channels: bytes.size(6),
        input: [1; 3],
        window: [1; 3],
        stride: [1; 3],
        padding: [[0; 2]; 3],
        dilation: [1; 3],
        count_include_pad: has(0),
        ceil_mode: has(1) && has(2),
        divisor: (has(3) && has(4)).then(|| bytes.size(20)),
        adaptive: None,
    };
    let mut output = [1; 3];
    for (axis, output) in output.iter_mut().enumerate().skip(3 - rank) {
        let most = [100, 24, 8][rank - 1];
        case.input[axis] = bytes.size(most);
        *output = bytes.size(most / 2);
        let [window, stride, dilation] = [bytes.size(most / 4 + 3), 1 + bytes.below(4), 1 + bytes.below(3)];
        let padding = [bytes.below(5), bytes.below(5)];
        (case.window[axis], case.stride[axis], case.padding[axis], case.dilation[axis]) = match kind {
            // Tiles of one size.
            0 => (2, 2, [0; 2], 1),
            1 => (window.min(4), window.min(4), [0; 2], 1),
            _ => (window, stride, padding, dilation),
        };
        let padded = case.input[axis] + case.padding[axis][0] + case.padding[axis][1];
        case.window[axis] = case.window[axis].min((padded - 1) / case.dilation[axis] + 1);
    }
    let volume = |of: [usize; 3]| of.iter().product::<usize>();
    if case.batch * case.channels * volume(case.input) * volume(case.window) > MAX_TAPS {
        (case.batch, case.channels) = (1, case.channels.min(2));
    }
    case.adaptive = (has(5) && has(6) && has(7)).then_some(output);
    case
}

fn check<const D: usize>(bytes: &mut Bytes<'_>) {
    let case = pool_case(D, bytes);
    let seed = u64::from(u16::from_le_bytes([bytes.next(), bytes.next()])) << 8;
    let kind = bytes.pick([PoolKind::Max, PoolKind::Average]);
    let params = match (case.adaptive, kind) {
        (Some(output), PoolKind::Max) => PoolParams::adaptive_max(last(output)),
        (Some(output), PoolKind::Average) => PoolParams::adaptive_average(last(output)),
        (None, _) => PoolParams::<D>::new(kind, last(case.window))
            .with_stride(last(case.stride))
            .with_padding_per_side(last(case.padding))
            .with_dilation(last(case.dilation))
            .with_ceil_mode(case.ceil_mode)
            .with_count_include_pad(case.count_include_pad),
    };
    let params = match case.divisor {
        Some(divisor) if kind == PoolKind::Average && case.adaptive.is_none() => {
            params.with_divisor_override(divisor)
        }
        _ => params,
    };
    let case = PoolCase { divisor: params.divisor_override(), ..case };
    let plan = params.plan(case.batch, case.channels, last(case.input)).unwrap();
    match kind {
        PoolKind::Max => max(&case, plan, seed, bytes),
        PoolKind::Average => average(&case, plan, seed, bytes),
    }
}

/// Forward and backward, with the input and with a workspace.
fn run<const D: usize>(plan: &PoolPlan<D>, input: &[f32], grad_output: &[f32]) -> [Vec<f32>; 2] {
    let [mut output, mut trained] = [plan.output_len(); 2].map(garbage);
    let [mut grad_input, mut from_workspace] = [plan.input_len(); 2].map(garbage);
    plan.forward(input, &mut output).unwrap();
    plan.backward(input, grad_output, &mut grad_input).unwrap();
    let mut workspace = vec![0xFF; plan.workspace_bytes()];
    plan.forward_train(input, &mut trained, &mut workspace).unwrap();
    plan.backward_from_workspace(&workspace, grad_output, &mut from_workspace).unwrap();
    assert_same(&trained, &output, plan);
    assert_same(&from_workspace, &grad_input, plan);
    [output, grad_input]
}

/// With ties, infinities and NaN: always exact.
fn max<const D: usize>(case: &PoolCase, plan: PoolPlan<D>, seed: u64, bytes: &mut Bytes<'_>) {
    let values = [reals, specials, |seed, len| integers(seed, len, 3)][bytes.below(3)];
    let (input, grad_output) = (values(seed, plan.input_len()), integers(seed + 1, plan.output_len(), 4));
    let [mut output, mut unpooled_grad] = [plan.output_len(); 2].map(garbage);
    let [mut grad_input, mut unpooled] = [plan.input_len(); 2].map(garbage);
    let mut indices = vec![0; plan.output_len()];
    naive::pool_forward(&plan, &input, &mut output).unwrap();
    naive::pool_backward(&plan, &input, &grad_output, &mut grad_input).unwrap();
    naive::pool_indices(&plan, &input, &mut indices).unwrap();
    assert_same(&output, &case.max(&input), &plan);
    assert_eq!(indices, case.indices(&input), "{plan:?}");

    for isa in Isa::available() {
        let plan = plan.with_isa(isa);
        let [given, grad] = run(&plan, &input, &grad_output);
        assert_same(&given, &output, &plan);
        assert_same(&grad, &grad_input, &plan);
        let mut places = vec![i64::MIN; plan.output_len()];
        let mut given = garbage(plan.output_len());
        plan.forward_with_indices(&input, &mut given, &mut places).unwrap();
        assert_same(&given, &output, &plan);
        assert_eq!(places, indices, "{plan:?}");
    }

    // These places, and any: in the plane, nowhere, or wrong.
    let mut any = integers(seed + 2, plan.output_len(), 100);
    any.iter_mut().for_each(|place| *place = (*place + 98.0).max(-2.0));
    let any: Vec<i64> = any.into_iter().map(|place| place as i64).collect();
    for places in [indices, any] {
        let [mut given, mut given_grad] = [garbage(plan.input_len()), garbage(plan.output_len())];
        let result = plan.unpool(&grad_output, &places, &mut given);
        assert_eq!(naive::unpool(&plan, &grad_output, &places, &mut unpooled), result, "{plan:?}");
        let of_grad = plan.unpool_backward(&input, &places, &mut given_grad);
        assert_eq!(naive::unpool_backward(&plan, &input, &places, &mut unpooled_grad), of_grad, "{plan:?}");
        if result.is_ok() {
            assert_same(&given, &unpooled, &plan);
            assert_same(&given_grad, &unpooled_grad, &plan);
        } else {
            assert!(given.iter().chain(&given_grad).all(|value| value.is_nan()), "{plan:?}");
        }
    }
}

/// Within the bounds, and forward the same bits with every instruction set.
fn average<const D: usize>(case: &PoolCase, plan: PoolPlan<D>, seed: u64, bytes: &mut Bytes<'_>) {
    let values = [reals, |seed, len| integers(seed, len, 4)][bytes.below(2)];
    let (input, grad_output) = (values(seed, plan.input_len()), values(seed + 1, plan.output_len()));
    let [mut output, mut grad_input] = [garbage(plan.output_len()), garbage(plan.input_len())];
    naive::pool_forward(&plan, &input, &mut output).unwrap();
    naive::pool_backward(&plan, &input, &grad_output, &mut grad_input).unwrap();
    let most = case.products();
    let roundings = most.min(36 + most.next_power_of_two().trailing_zeros() as usize) + 2;
    let bound = |roundings| move |sum: &Sum| gamma(roundings) * sum.magnitude;
    let output = Expected::new(output, true, || case.average(&input), bound(roundings));
    let grad_input =
        Expected::new(grad_input, true, || case.average_grad_input(&grad_output), bound(most + 2));

    let [first, _] = run(&plan.with_isa(Isa::SCALAR), &input, &grad_output);
    for isa in Isa::available() {
        let plan = plan.with_isa(isa);
        let [given, grad] = run(&plan, &input, &grad_output);
        output.check(&given, bound(roundings), &plan);
        assert_same_bits(&given, &first, &plan);
        grad_input.check(&grad, bound(most + 2), &plan);
    }
}

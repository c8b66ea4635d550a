//! Winograd's algorithm: near the definition, and the same bits whatever is computed beside them.

use crate::plans::{
    Operands, activation, assert_same, backward, conv_params, conv_plan, forward, forward_packed, isas,
    report,
};
use im2col::{Activation, Algorithm, ConvOperands, ConvParams, ConvPlan, Isa, Rounding, Weights};
use im2col_testkit::bound;
use im2col_testkit::operands::Rng;
use im2col_testkit::oracle::{ConvCase, Mode, Sum};
use im2col_testkit::property::{cases, for_all};
use im2col_testkit::strategies::{hostile_conv_case, winograd_case};
use proptest::prelude::{Strategy, any};
use std::cell::Cell;

/// Uniform in -1..1.
fn uniform(seed: u64, len: usize) -> Vec<f32> {
    let mut rng = Rng::new(seed);
    (0..len).map(|_| (rng.bits() >> 40) as f32 / (1_u32 << 23) as f32 - 1.0).collect()
}

fn operands(case: &ConvCase, seed: u64) -> Operands {
    let mut operands = Operands::integers(case, seed);
    operands.input = uniform(seed, case.input_len());
    operands.weight = uniform(seed + 1, case.weight_len());
    operands
}

fn winograd<const D: usize>(case: &ConvCase, operands: &Operands, activation: Activation) -> ConvPlan<D> {
    let plan = conv_plan::<D>(case, operands, activation);
    assert_ne!(plan.algorithm(), Algorithm::Winograd);
    plan.with_algorithm(Algorithm::Winograd).unwrap()
}

fn largest(values: &[f32]) -> f64 {
    values.iter().fold(0.0, |largest: f64, &value| largest.max(f64::from(value).abs()))
}

#[test]
fn within_the_bound() {
    for_all(cases(1500), (winograd_case(), any::<u32>()), |(case, seed)| {
        let seed = u64::from(seed);
        let operands = operands(&case, seed);
        let plan = winograd::<3>(&case, &operands, activation(seed));
        let mut expected = case.forward(&operands.input, &operands.weight, &operands.bias);
        if plan.params().activation() == Activation::Relu {
            expected = expected.into_iter().map(Sum::relu).collect();
        }
        let channels = case.in_channels / case.groups;
        let bound = bound::winograd(channels, largest(&operands.input), largest(&operands.weight));
        for plan in isas(plan) {
            let output = forward(&plan, &operands);
            // A bias is rounded once more.
            let of_bias = if operands.bias.is_empty() { 0.0 } else { bound::gamma(1) };
            bound::check_each(&output, &expected, |sum| bound + of_bias * (sum.magnitude + bound))
                .unwrap_or_else(|e| panic!("{plan:?}: {e}"));
            assert_same(&forward_packed(&plan, &operands).unwrap(), &output, plan);
        }
    });
}

/// Images one by one, and instruction sets with a fused multiply-add, give the same bits.
#[test]
fn tiles_do_not_depend_on_their_neighbours() {
    for_all(cases(300), (winograd_case(), any::<u32>()), |(mut case, seed)| {
        let mut operands = operands(&case, u64::from(seed));
        let plan = winograd::<3>(&case, &operands, Activation::Sigmoid);
        let outputs: Vec<_> = isas(plan).map(|plan| forward(&plan, &operands)).collect();
        if let (Some(avx2_fma), Some(avx512f)) = (Isa::avx2_fma(), Isa::avx512f()) {
            let [a, b] = [avx2_fma, avx512f].map(|isa| forward(&plan.with_isa(isa), &operands));
            assert_same(&a, &b, plan);
        }
        let images = case.batch;
        case.batch = 1;
        let input = std::mem::take(&mut operands.input);
        for image in 0..images {
            operands.input = input[image * case.input_len()..][..case.input_len()].to_vec();
            let plan = winograd::<3>(&case, &operands, Activation::Sigmoid);
            for (plan, output) in isas(plan).zip(&outputs) {
                let expected = &output[image * case.output_len()..][..case.output_len()];
                assert_same(&forward(&plan, &operands), expected, (image, plan));
            }
        }
    });
}

/// A limit that its scratch exceeds is kept, by another algorithm.
#[test]
fn limits() {
    for_all(cases(300), winograd_case(), |case| {
        let plan = winograd::<3>(&case, &operands(&case, 1), Activation::Identity);
        let full = plan.scratch_len();
        assert_eq!(plan.with_scratch_limit(full).algorithm(), Algorithm::Winograd);
        assert_eq!(plan.with_scratch_limit(full).scratch_len(), full);
        for limit in [0, full / 8, full / 2, full - 1] {
            let limited = plan.with_scratch_limit(limit);
            assert!(limited.scratch_len() <= limit);
            assert_ne!(limited.algorithm(), Algorithm::Winograd);
        }
    });
}

/// With any rounding a plan is either what it was, or Winograd's, and each way is taken; under a limit that Winograd's
/// scratch exceeds it is what it was. An algorithm that is asked for stays, and the default brings everything back.
#[test]
fn any_rounding() {
    let shapes = (1..200_usize, 1..200_usize, [1..30_usize, 1..30_usize], 1..4_usize);
    let (taken, left) = (Cell::new(0), Cell::new(0));
    for_all(cases(300), shapes, |(inputs, outputs, input, batch)| {
        let params = ConvParams::new(inputs, outputs, [3, 3]).with_padding([1, 1]);
        let ordered = params.plan(batch, input).unwrap();
        let winograd = ordered.with_algorithm(Algorithm::Winograd).unwrap();
        let any = ordered.with_rounding(Rounding::Any);
        assert_eq!((ordered.rounding(), any.rounding()), (Rounding::Ordered, Rounding::Any));
        if any.algorithm() == Algorithm::Winograd {
            taken.set(taken.get() + 1);
            assert_eq!(any.scratch_len(), winograd.scratch_len());
            assert_eq!(any.packed_weight_len(), winograd.packed_weight_len());
            let limit = winograd.scratch_len() - 1;
            let (any, ordered) = (any.with_scratch_limit(limit), ordered.with_scratch_limit(limit));
            assert_eq!((any.algorithm(), any.scratch_len()), (ordered.algorithm(), ordered.scratch_len()));
        } else {
            left.set(left.get() + 1);
            assert_eq!((any.algorithm(), any.scratch_len()), (ordered.algorithm(), ordered.scratch_len()));
        }
        assert_eq!(any.with_rounding(Rounding::Ordered), ordered);
        for algorithm in ordered.algorithms() {
            assert_eq!(any.with_algorithm(algorithm).unwrap().algorithm(), algorithm);
            let asked = ordered.with_algorithm(algorithm).unwrap().with_rounding(Rounding::Any);
            assert_eq!(asked, any.with_algorithm(algorithm).unwrap());
        }
    });
    assert!(taken.get() > 0 && left.get() > 0, "{taken:?} {left:?}");
}

/// With any rounding the gradient of the input is computed by Winograd's algorithm where that is faster, and is near the
/// definition; under a limit that its scratch exceeds it has the bits of the sums in order.
#[test]
fn gradients_of_inputs() {
    let shapes = (1..70_usize, 1..70_usize, [1..16_usize, 1..16_usize], [0..3_usize, 0..3_usize], 1..3_usize);
    let (taken, left) = (Cell::new(0), Cell::new(0));
    for_all(
        cases(150),
        (shapes, any::<u32>()),
        |((inputs, outputs, [height, width], [y, x], batch), seed)| {
            let (groups, planes) = (1 + seed as usize % 2, 1 + seed as usize / 2 % 2);
            let case = ConvCase {
                batch,
                in_channels: groups * inputs,
                out_channels: groups * outputs,
                groups,
                input: [planes, height + 2, width + 2],
                kernel: [1, 3, 3],
                stride: [1; 3],
                padding: [[0; 2], [y; 2], [x; 2]],
                mode: Mode::Zeros,
                dilation: [1; 3],
            };
            let mut operands = Operands::integers(&case, 1);
            operands.weight = uniform(u64::from(seed), case.weight_len());
            operands.grad_output = uniform(u64::from(seed) + 1, case.output_len());
            let expected = case.grad_input(&operands.weight, &operands.grad_output);
            let bound = bound::winograd(outputs, largest(&operands.grad_output), largest(&operands.weight));
            let ordered = conv_plan::<3>(&case, &operands, Activation::Identity);
            let any = ordered.with_rounding(Rounding::Any);
            let is_winograd = any.backward_input_scratch_len() != ordered.backward_input_scratch_len();
            let count = if is_winograd { &taken } else { &left };
            count.set(count.get() + 1);
            for (any, ordered) in isas(any).zip(isas(ordered)) {
                let [given, of_sums] = [any, ordered].map(|plan| backward(&plan, &operands));
                if is_winograd {
                    bound::check_each(&given[0], &expected, |_| bound)
                        .unwrap_or_else(|e| panic!("{any:?}: {e}"));
                } else {
                    assert_same(&given[0], &of_sums[0], any);
                }
                assert_same(&given[1], &of_sums[1], any);
                let limit = any.backward_input_scratch_len() - 1;
                let [limited, of_sums] = [any, ordered].map(|plan| plan.with_backward_scratch_limit(limit));
                assert_same(&backward(&limited, &operands)[0], &backward(&of_sums, &operands)[0], limited);
            }
            let limit = any.backward_input_scratch_len() / 2;
            let limited = ordered.with_backward_scratch_limit(limit).with_rounding(Rounding::Any);
            assert_eq!(limited, any.with_backward_scratch_limit(limit));
        },
    );
    assert!(taken.get() > 0 && left.get() > 0, "{taken:?} {left:?}");
}

/// Sizes that may overflow: a plan or an error, and wrong lengths are errors.
#[test]
fn no_size_panics() {
    let case = hostile_conv_case(3).boxed();
    for_all(cases(20_000), (case, any::<[bool; 3]>()), |(mut case, [small, no_batch, square])| {
        (case.kernel, case.stride, case.dilation) = ([1, 3, 3], [1; 3], [case.dilation[0], 1, 1]);
        if small {
            (case.groups, case.input[0]) = (1, 1);
        }
        if square {
            (case.padding, case.input[2]) = ([[0; 2]; 3], case.input[1]);
        }
        if no_batch {
            case.batch = 0;
        }
        let Ok(plan) = conv_params::<3>(&case).plan(case.batch, case.input) else { return };
        let any = plan.with_rounding(Rounding::Any);
        assert!(any.algorithm() == plan.algorithm() || any.algorithm() == Algorithm::Winograd);
        let Ok(plan) = plan.with_algorithm(Algorithm::Winograd) else { return };
        assert!(plan.scratch_len() > plan.packed_scratch_len());
        let nothing = ConvOperands { input: &[], weight: Weights::Plain(&[]), bias: &[] };
        assert!(plan.forward(nothing, &mut [], &mut []).is_err());
        let _ = plan.with_scratch_limit(plan.scratch_len() / 2);
    });
}

/// The largest error, relative to the sum of the products' magnitudes, on layers of ResNet-50.
#[test]
fn error_on_layers() {
    for (channels, side) in [(64, 56), (128, 28), (256, 14), (512, 7)] {
        let case = ConvCase {
            batch: 1,
            in_channels: channels,
            out_channels: 64,
            groups: 1,
            input: [1, side, side],
            kernel: [1, 3, 3],
            stride: [1; 3],
            padding: [[0; 2], [1; 2], [1; 2]],
            mode: Mode::Zeros,
            dilation: [1; 3],
        };
        let operands = operands(&case, 1);
        let winograd = winograd::<2>(&case, &operands, Activation::Identity);
        let broadcast = winograd.with_algorithm(Algorithm::Broadcast).unwrap();
        let expected = case.forward(&operands.input, &operands.weight, &[]);
        let [of_broadcast, of_winograd] = [broadcast, winograd].map(|plan| {
            let output = forward(&plan, &operands);
            let errors = output
                .iter()
                .zip(&expected)
                .map(|(y, sum)| (f64::from(*y) - sum.value).abs() / sum.magnitude);
            errors.fold(0.0, f64::max)
        });
        report(&format!(
            "{channels} channels of {side}x{side}: largest error {of_broadcast:.1e} by broadcast, {of_winograd:.1e} by winograd"
        ));
        assert!(of_winograd < 1e-6, "{of_winograd}");
    }
}

//! What a scratch held before, how long it is and where it begins cannot change a bit.

use crate::plans::{
    Operands, assert_same, conv_plan, each_rank, forward, forward_packed, isas, packing_algorithms,
};
use im2col::{Activation, Algorithm, ConvParams, LinearOperands, LinearParams, Weights};
use im2col_testkit::operands::garbage;
use im2col_testkit::oracle::ConvCase;
use im2col_testkit::property::{cases, for_all};
use im2col_testkit::strategies::linear_case;
use proptest::prelude::any;

/// Runs `operation` with scratches of `len` values and more, and compares what it returns.
#[track_caller]
fn scratch_is_irrelevant(len: usize, seed: u64, operation: impl Fn(&mut [f32]) -> Vec<f32>) {
    let expected = operation(&mut vec![0.0; len]);
    for fill in [f32::NAN, f32::INFINITY, f32::MIN_POSITIVE] {
        assert_same(&operation(&mut vec![fill; len]), &expected, fill);
    }
    assert_same(&operation(&mut garbage(seed, len)), &expected, "garbage");
    let offset = (seed % 17) as usize;
    let mut longer = garbage(seed, offset + len + offset);
    assert_same(&operation(&mut longer[offset..]), &expected, ("longer", offset));
    assert_same(&operation(&mut longer[offset..][..len]), &expected, ("moved", offset));
}

each_rank!(convolution, 150, conv_case, of_a_convolution);

fn of_a_convolution<const D: usize>(case: &ConvCase, seed: u64) {
    let operands = Operands::reals(case, seed);
    let Operands { input, weight, grad_output, .. } = &operands;
    for plan in packing_algorithms(conv_plan::<D>(case, &operands, Activation::Sigmoid)).flat_map(isas) {
        let mut packed = garbage(seed, plan.packed_weight_len());
        let packed = Weights::Packed(plan.pack_weights(weight, &mut packed).unwrap());
        for (weight, len) in
            [(Weights::Plain(weight), plan.scratch_len()), (packed, plan.packed_scratch_len())]
        {
            scratch_is_irrelevant(len, seed, |scratch| {
                let mut output = garbage(seed, plan.output_len());
                plan.forward(operands.of_conv(weight), &mut output, scratch).unwrap();
                output
            });
        }
        scratch_is_irrelevant(plan.backward_input_scratch_len(), seed, |scratch| {
            let mut grad_input = garbage(seed, plan.input_len());
            plan.backward_input(weight, grad_output, &mut grad_input, scratch).unwrap();
            grad_input
        });
        scratch_is_irrelevant(plan.backward_weight_scratch_len(), seed, |scratch| {
            let mut grad_weight = garbage(seed, plan.weight_len());
            plan.backward_weight(input, grad_output, &mut grad_weight, scratch).unwrap();
            grad_weight
        });
    }
}

#[test]
fn of_a_linear_layer() {
    for_all(cases(150), (linear_case(), any::<u64>()), |(case, seed)| {
        let Operands { input, weight, grad_output, .. } = &Operands::reals(&case, seed);
        let params = LinearParams::new(case.in_channels, case.out_channels).with_bias(false);
        let plan = params.plan(case.batch).unwrap();
        for isa in im2col::Isa::available() {
            let plan = plan.with_isa(isa);
            scratch_is_irrelevant(plan.scratch_len(), seed, |scratch| {
                let mut output = garbage(seed, plan.output_len());
                let operands = LinearOperands { input, weight: Weights::Plain(weight), bias: &[] };
                plan.forward(operands, &mut output, scratch).unwrap();
                output
            });
            scratch_is_irrelevant(plan.backward_input_scratch_len(), seed, |scratch| {
                let mut grad_input = garbage(seed, plan.input_len());
                plan.backward_input(weight, grad_output, &mut grad_input, scratch).unwrap();
                grad_input
            });
            scratch_is_irrelevant(plan.backward_weight_scratch_len(), seed, |scratch| {
                let mut grad_weight = garbage(seed, plan.weight_len());
                plan.backward_weight(input, grad_output, &mut grad_weight, scratch).unwrap();
                grad_weight
            });
        }
    });
}

each_rank!(limits, 500, conv_case, no_limit_changes_a_bit);

/// A limit is kept, down to none at all, and the result stays the same.
fn no_limit_changes_a_bit<const D: usize>(case: &ConvCase, seed: u64) {
    let operands = Operands::reals(case, seed);
    let plan = conv_plan::<D>(case, &operands, Activation::Relu);
    let full = plan.scratch_len();
    let limits = [0, 1, full / 3, full / 2, full.saturating_sub(1), full, usize::MAX];
    for limit in limits.into_iter().chain([(seed % (full as u64 + 1)) as usize]) {
        let limited = plan.with_scratch_limit(limit);
        assert!(limited.scratch_len() <= limit && limited.packed_scratch_len() <= limited.scratch_len());
        assert!(limit < full || (limited.algorithm(), limited.scratch_len()) == (plan.algorithm(), full));
        for (plan, limited) in isas(plan).zip(isas(limited)) {
            let expected = forward(&plan, &operands);
            assert_same(&forward(&limited, &operands), &expected, limited);
            assert_same(&forward_packed(&limited, &operands).unwrap(), &expected, limited);
        }
    }
}

/// What runs on a part of the images, or of the channels, has the scratch of all of them.
#[test]
fn a_part_needs_no_more_scratch_than_all() {
    let strategy = (1..40_usize, 1..80_usize, [1..60_usize, 1..60_usize], [1..4_usize, 1..4_usize]);
    for_all(cases(300), (strategy, 1..40_usize), |((channels, outputs, input, kernel), batch)| {
        let padding = kernel.map(|len| len / 2);
        let lens = |outputs, batch| {
            let params = ConvParams::new(channels, outputs, kernel).with_padding(padding);
            let plan = params.plan(batch, input).unwrap();
            let of = |algorithm| plan.with_algorithm(algorithm).map_or(0, |plan| plan.packed_scratch_len());
            [Algorithm::Broadcast, Algorithm::Winograd, Algorithm::Direct].map(of)
        };
        let (mut fewer_images, mut fewer_channels) = ([0; 3], [0; 3]);
        for batch in 1..=batch {
            let of_batch = lens(outputs, batch);
            assert!((0..3).all(|i| fewer_images[i] <= of_batch[i]), "{batch} images");
            fewer_images = of_batch;
        }
        for outputs in 1..=outputs {
            let of_outputs = lens(outputs, batch);
            assert!((0..3).all(|i| fewer_channels[i] <= of_outputs[i]), "{outputs} channels");
            fewer_channels = of_outputs;
        }
    });
}

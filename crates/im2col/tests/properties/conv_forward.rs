//! The forward pass is the definition.

use crate::layouts::{LAYOUTS, with_layouts};
use crate::plans::{
    Operands, activation, algorithms, assert_same, conv_plan, each_rank, forward, forward_packed, isa_names,
    isas, report,
};
use im2col::{Activation, Algorithm, naive};
use im2col_testkit::bound;
use im2col_testkit::operands::specials;
use im2col_testkit::oracle::{ConvCase, Sum};
use im2col_testkit::property::{cases, for_all};
use im2col_testkit::strategies::{conv_case, depthwise_case};
use proptest::prelude::any;
use std::thread;

/// Every algorithm under every instruction set, with plain and packed weights; and of the layouts with channels last one, whichever
/// the sizes name.
pub(crate) fn equals_naive<const D: usize>(case: &ConvCase, operands: &Operands, activation: Activation) {
    let plan = conv_plan::<D>(case, operands, activation);
    let Operands { input, weight, bias, .. } = operands;
    let of_sizes = 1 + (case.input_len() + case.weight_len()) % 3;
    for plan in [plan, with_layouts(plan, LAYOUTS[of_sizes])] {
        let mut expected = vec![f32::NAN; plan.output_len()];
        naive::conv_forward(&plan, input, weight, bias, &mut expected).unwrap();
        for plan in algorithms(plan).flat_map(isas) {
            assert_same(&forward(&plan, operands), &expected, plan);
            if let Some(packed) = forward_packed(&plan, operands) {
                assert_same(&packed, &expected, ("packed", plan));
            }
        }
    }
}

fn equals_naive_on_integers<const D: usize>() -> u32 {
    for_all(cases(4096), (conv_case(D), any::<u64>()), |(case, seed)| {
        equals_naive::<D>(&case, &Operands::integers(&case, seed), activation(seed));
    })
}

#[test]
fn equals_naive_bit_for_bit() {
    let ranks = [equals_naive_on_integers::<1>, equals_naive_on_integers::<2>, equals_naive_on_integers::<3>];
    let cases: u32 = if cfg!(target_family = "wasm") {
        // There are no threads.
        ranks.map(|rank| rank()).into_iter().sum()
    } else {
        thread::scope(|scope| {
            let threads = ranks.map(|rank| scope.spawn(rank));
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        })
    };
    report(&format!("im2col = naive: {cases} cases, isas: {}", isa_names()));
}

/// Outputs of odd width, whose positions are paired across images: whole buffers of pairs and less, one image left over, or
/// planes too large for it; of one image across lines, more of them than are computed at a time; blocks of several numbers of images.
#[test]
fn batches_of_odd_outputs() {
    let small = [[1, 1], [1, 3], [3, 3], [2, 5], [5, 5], [7, 7], [7, 9], [8, 9], [21, 7], [32, 9]];
    // The last are blocks of 7 and 6 images, and of 9, 9 and 7.
    let batches = [1, 2, 3, 8, 15, 31, 64].map(|batch| (batch, 3)).into_iter().chain([(13, 64), (25, 64)]);
    for (batch, channels) in batches {
        for [height, width] in small {
            let case = ConvCase {
                input: [1, height, width],
                kernel: [1, 3, 3],
                padding: [[0; 2], [1; 2], [1; 2]],
                ..ConvCase::linear(batch, channels, 18)
            };
            let operands = Operands::integers(&case, 1);
            let plan =
                conv_plan::<3>(&case, &operands, Activation::Relu).with_algorithm(Algorithm::Broadcast);
            let mut expected = vec![f32::NAN; case.output_len()];
            let Operands { input, weight, bias, .. } = &operands;
            naive::conv_forward(&plan.unwrap(), input, weight, bias, &mut expected).unwrap();
            for plan in isas(plan.unwrap()) {
                assert_same(&forward(&plan, &operands), &expected, (height, width, batch, plan));
            }
        }
    }
}

/// More output channels than pass a strip of the matrix at a time, in several strips of several blocks of products.
#[test]
fn many_channels() {
    for (channels, taps, side) in [(130, 1, 10), (24, 3, 12)] {
        let case = ConvCase {
            kernel: [1, taps, taps],
            input: [1, side, side],
            ..ConvCase::linear(1, channels, 1045)
        };
        let operands = Operands::integers(&case, 3);
        equals_naive::<2>(&case, &operands, Activation::Relu);
    }
}

each_rank!(error_bound, 500, conv_case, within_the_bound);

fn within_the_bound<const D: usize>(case: &ConvCase, seed: u64) {
    let operands = Operands::reals(case, seed);
    let plan = conv_plan::<D>(case, &operands, activation(seed));
    let Operands { input, weight, bias, .. } = &operands;
    let mut expected = case.forward(input, weight, bias);
    if plan.params().activation() == Activation::Relu {
        expected = expected.into_iter().map(Sum::relu).collect();
    }
    let check = |output: &[f32], what: &dyn std::fmt::Debug| {
        bound::check(output, &expected, case.forward_products()).unwrap_or_else(|e| panic!("{what:?}: {e}"));
    };
    let mut output = vec![f32::NAN; plan.output_len()];
    naive::conv_forward(&plan, input, weight, bias, &mut output).unwrap();
    check(&output, &"naive");
    for plan in algorithms(plan).flat_map(isas) {
        check(&forward(&plan, &operands), &plan);
    }
}

each_rank!(packed_weights, 500, conv_case, plain_and_packed_weights_agree);

fn plain_and_packed_weights_agree<const D: usize>(case: &ConvCase, seed: u64) {
    let operands = Operands::reals(case, seed);
    for plan in algorithms(conv_plan::<D>(case, &operands, Activation::Tanh)).flat_map(isas) {
        if let Some(packed) = forward_packed(&plan, &operands) {
            assert_same(&packed, &forward(&plan, &operands), plan);
        }
    }
}

each_rank!(non_finite, 300, conv_case, non_finite_inputs_propagate);

fn non_finite_inputs_propagate<const D: usize>(case: &ConvCase, seed: u64) {
    let mut operands = Operands::integers(case, seed);
    operands.input = specials(seed, case.input_len());
    equals_naive::<D>(case, &operands, Activation::Identity);
}

#[test]
fn depthwise() {
    for_all(cases(4000), (depthwise_case(), any::<u64>()), |(case, seed)| {
        let mut operands = Operands::integers(&case, seed);
        let plan = conv_plan::<2>(&case, &operands, activation(seed));
        assert_eq!(plan.algorithm(), Algorithm::Depthwise);
        assert_eq!(plan.scratch_len(), 0);
        equals_naive::<2>(&case, &operands, activation(seed));
        operands.input = specials(seed, case.input_len());
        equals_naive::<2>(&case, &operands, Activation::Sigmoid);
    });
}

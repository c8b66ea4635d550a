//! Every width up to three pairs of vectors and more, bands and parts of them, against the definition.

extern crate std;

use crate::{Algorithm, ConvOperands, ConvParams, Isa, Weights, naive};
use std::{vec, vec::Vec};

/// Small integers in no order: every sum of them is exact.
fn integers(len: usize, seed: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 7919 + seed * 104_729) % 61) as f32 - 30.0).collect()
}

/// Two images of two channels, on every instruction set.
fn equals_naive<const D: usize>(
    kernel: [usize; D],
    stride: [usize; D],
    padding: [usize; D],
    dims: [usize; D],
) {
    let params = ConvParams::new(2, 2, kernel).with_groups(2).with_stride(stride).with_padding(padding);
    let Ok(plan) = params.plan(2, dims) else { return };
    assert_eq!(plan.algorithm(), Algorithm::Depthwise);
    let (input, weight) = (integers(plan.input_len(), 1), integers(plan.weight_len(), 2));
    let (bias, mut expected) = ([3.0, -5.0], vec![0.0; plan.output_len()]);
    naive::conv_forward(&plan, &input, &weight, &bias, &mut expected).unwrap();
    for isa in Isa::available() {
        let mut output = vec![f32::NAN; plan.output_len()];
        let operands = ConvOperands { input: &input, weight: Weights::Plain(&weight), bias: &bias };
        plan.with_isa(isa).forward(operands, &mut output, &mut []).unwrap();
        assert!(output == expected, "{} {plan:?}", isa.name());
    }
}

#[test]
fn all_widths() {
    for width in 1..=104 {
        for height in [1, 2, 6, 7] {
            for (kernel, stride) in [(3, 1), (3, 2), (5, 1), (5, 2)] {
                for padding in [0, 1, 2, 17] {
                    equals_naive([kernel; 2], [stride; 2], [padding; 2], [height, width]);
                }
            }
        }
    }
}

#[test]
fn all_heights() {
    for height in (1..=64).chain([113, 114]) {
        for width in [3, 33, 66] {
            for (kernel, stride) in [(3, 1), (3, 2), (5, 1), (5, 2)] {
                for padding in [0, 1, 2, 30] {
                    equals_naive([kernel; 2], [stride; 2], [padding, 1], [height, width]);
                }
            }
        }
    }
}

#[test]
fn planes_of_volumes() {
    for depth in 1..=4 {
        for stride in 1..=2 {
            for padding in 0..=2 {
                let (strides, paddings) = ([stride, 1, 1], [padding, 1, 1]);
                equals_naive([1, 3, 3], strides, paddings, [depth, 5, 20]);
                equals_naive([1, 3, 3], [stride, 2, 2], paddings, [depth, 5, 70]);
            }
        }
    }
}

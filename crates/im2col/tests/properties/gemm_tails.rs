//! Every tail of every microkernel, forward and backward: products of matrices `[m, k] [k, n]` with
//! `m` up to two tiles, `n` up to more than two, and `k` shorter and longer than a block.

use crate::plans::{
    Operands, assert_same, backward, conv_plan, forward, forward_packed, isa_names, isas, ordered_algorithms,
    report,
};
use im2col::{Activation, naive};
use im2col_testkit::oracle::{ConvCase, Sum};
use im2col_testkit::property::sample;

/// Rows and columns of a tile.
const MR: usize = 6;
const NR: usize = 16;
/// Products per sum; a block has at most 320, or 512.
const DEPTHS: [usize; 11] = [1, 2, 3, 7, 8, 9, 31, 255, 256, 257, 600];

/// How many products were checked: all, unless `PROPTEST_CASES` is small.
fn for_each_product(check: impl Fn(usize, usize, usize)) -> usize {
    let (rows, columns) = (2 * MR, 2 * NR + 1);
    let (mut is_taken, mut count) = (sample(), 0);
    for k in DEPTHS {
        for m in 1..=rows {
            for n in 1..=columns {
                if is_taken() {
                    check(m, n, k);
                    count += 1;
                }
            }
        }
    }
    count
}

/// A convolution of one tap: the weight is `[out_channels, in_channels]`, the input is
/// `[in_channels, positions]`.
fn pointwise(out_channels: usize, in_channels: usize, positions: usize) -> ConvCase {
    ConvCase { input: [1, 1, positions], ..ConvCase::linear(1, in_channels, out_channels) }
}

fn values(sums: Vec<Sum>) -> Vec<f32> {
    sums.into_iter().map(|sum| sum.value as f32).collect()
}

#[test]
fn forward_is_exact() {
    let count = for_each_product(forward_is_exact_for);
    report(&format!("gemm tails: {count} shapes, isas: {}", isa_names()));
}

/// Rows around a panel of sixteen, and sums of several blocks; in planes as they are, and in such as are
/// packed, because many of them are the same distance apart.
#[test]
fn forward_is_exact_for_many_rows() {
    for m in 13..=18 {
        for (n, k) in [(15, 600), (37, 1100), (64, 1100), (192, 1100), (33, 4100)] {
            forward_is_exact_for(m, n, k);
        }
    }
}

fn forward_is_exact_for(m: usize, n: usize, k: usize) {
    let case = pointwise(m, k, n);
    let operands = Operands::integers(&case, 0);
    for activation in [Activation::Identity, Activation::Relu] {
        let plan = conv_plan::<1>(&case, &operands, activation);
        let mut expected = vec![f32::NAN; plan.output_len()];
        let Operands { input, weight, bias, .. } = &operands;
        naive::conv_forward(&plan, input, weight, bias, &mut expected).unwrap();
        for plan in ordered_algorithms(plan).flat_map(isas) {
            assert_same(&forward(&plan, &operands), &expected, plan);
            assert_same(&forward_packed(&plan, &operands).unwrap(), &expected, ("packed", plan));
        }
    }
}

#[test]
fn grad_input_is_exact() {
    for_each_product(|m, n, k| {
        let case = pointwise(k, m, n);
        let operands = Operands::integers(&case, 0);
        let expected = values(case.grad_input(&operands.weight, &operands.grad_output));
        for plan in isas(conv_plan::<1>(&case, &operands, Activation::Identity)) {
            assert_same(&backward(&plan, &operands)[0], &expected, plan);
        }
    });
}

#[test]
fn grad_weight_is_exact() {
    for_each_product(|m, n, k| {
        let case = pointwise(m, n, k);
        let operands = Operands::integers(&case, 0);
        let expected = values(case.grad_weight(&operands.input, &operands.grad_output));
        for plan in isas(conv_plan::<1>(&case, &operands, Activation::Identity)) {
            assert_same(&backward(&plan, &operands)[1], &expected, plan);
        }
    });
}

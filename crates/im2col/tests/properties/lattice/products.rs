//! Products of matrices `[m, k] [k, n]`, forward and backward: one row and column up to two of the largest tiles and more,
//! and `k` shorter and longer than a block.

use super::convolutions::{check_forward, check_grad_input, check_grad_weight, for_each_isa};
use crate::plans::{Operands, conv_plan};
use im2col::{Activation, naive};
use im2col_testkit::guard::Memory;
use im2col_testkit::oracle::ConvCase;
use im2col_testkit::property::sample;

/// Rows of the largest tile, and columns of the widest: those of AVX-512.
const ROWS: usize = 14;
const COLUMNS: usize = 32;
/// Products per sum, all pairs of rows and columns for those up to `DENSE` and some for the others; blocks have at most 128.
const DEPTHS: [usize; 14] = [1, 2, 3, 7, 8, 9, 31, 127, 128, 129, 255, 256, 257, 600];
const DENSE: usize = 9;

/// How many products were checked: all, unless `PROPTEST_CASES` is small.
pub(super) fn check() -> usize {
    let (mut is_taken, mut count, mut memory) = (sample(), 0, Memory::default());
    for (m, n, k) in shapes() {
        if is_taken() {
            check_product(&mut memory, m, n, k);
            count += 1;
        }
    }
    count
}

/// Where lanes are columns, those of a tile are more than its rows, and where lanes are rows they are fewer: so up to
/// two tiles of either. The sizes of what is deep are sampled, and each occurs with some of the depths.
fn shapes() -> impl Iterator<Item = (usize, usize, usize)> {
    let longest = 2 * COLUMNS + 1;
    let pairs = (1..=longest).flat_map(move |m| (1..=longest).map(move |n| (m, n)));
    let pairs: Vec<_> = pairs.filter(|&(m, n)| m.min(n) <= 2 * ROWS).collect();
    let lattice = DEPTHS.into_iter().flat_map(move |k| {
        let step = if k <= DENSE { 4 } else { k / 2 };
        let pairs: Vec<_> = pairs.iter().copied().skip(k % 4).step_by(step).collect();
        pairs.into_iter().map(move |(m, n)| (m, n, k))
    });
    // Rows around a panel of sixteen, and sums of several blocks; in planes as they are, and in such as are packed,
    // because many of them are the same distance apart.
    let many = [(15, 600), (37, 1100), (64, 1100), (192, 1100), (33, 4100)];
    lattice.chain((13..=18).flat_map(move |m| many.map(move |(n, k)| (m, n, k))))
}

/// A convolution of one tap: the weight is `[out_channels, in_channels]`, the input is
/// `[in_channels, positions]`.
fn pointwise(out_channels: usize, in_channels: usize, positions: usize) -> ConvCase {
    ConvCase { input: [1, 1, positions], ..ConvCase::linear(1, in_channels, out_channels) }
}

/// An output, a gradient of an input and one of a weight, each of which is such a product.
fn check_product(memory: &mut Memory, m: usize, n: usize, k: usize) {
    let activation = if n.is_multiple_of(2) { Activation::Relu } else { Activation::Identity };
    let plan_of = |case: ConvCase| {
        let operands = Operands::integers(&case, (m + n) as u64);
        (conv_plan::<1>(&case, &operands, activation), operands)
    };
    let mut expected = vec![f32::NAN; m * n];

    let (plan, operands) = plan_of(pointwise(m, k, n));
    naive::conv_forward(&plan, &operands.input, &operands.weight, &operands.bias, &mut expected).unwrap();
    for_each_isa(plan, |plan, flush| check_forward(memory, flush, plan, &operands, &expected));

    let (plan, operands) = plan_of(pointwise(k, m, n));
    naive::conv_backward_input(&plan, &operands.weight, &operands.grad_output, &mut expected).unwrap();
    for_each_isa(plan, |plan, flush| check_grad_input(memory, flush, plan, &operands, &expected));

    let (plan, operands) = plan_of(pointwise(m, n, k));
    naive::conv_backward_weight(&plan, &operands.input, &operands.grad_output, &mut expected).unwrap();
    for_each_isa(plan, |plan, flush| check_grad_weight(memory, flush, plan, &operands, &expected));
}

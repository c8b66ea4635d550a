//! The explicit im2col matrix and its adjoint.

use crate::plans::{Operands, conv_plan, each_rank, isas};
use im2col::Activation;
use im2col_testkit::operands::{garbage, integers};
use im2col_testkit::oracle::ConvCase;

/// The sum of products, exact: integers far below `2^53`.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

each_rank!(inner_products, 1000, conv_case, col2im_is_the_adjoint_of_im2col);

fn col2im_is_the_adjoint_of_im2col<const D: usize>(case: &ConvCase, seed: u64) {
    let operands = Operands::integers(case, seed);
    for plan in isas(conv_plan::<D>(case, &operands, Activation::Identity)) {
        let c = integers(!seed, plan.columns_len());
        let mut columns = garbage(seed, plan.columns_len());
        plan.im2col(&operands.input, &mut columns).unwrap();
        let mut sums = garbage(seed, plan.input_len());
        plan.col2im(&c, &mut sums).unwrap();
        assert_eq!(dot(&columns, &c), dot(&operands.input, &sums), "{plan:?}");
    }
}

each_rank!(products, 500, conv_case, weights_times_columns_are_the_convolution);

fn weights_times_columns_are_the_convolution<const D: usize>(case: &ConvCase, seed: u64) {
    let operands = Operands::integers(case, seed);
    let plan = conv_plan::<D>(case, &operands, Activation::Identity);
    let mut columns = garbage(seed, plan.columns_len());
    plan.im2col(&operands.input, &mut columns).unwrap();
    let expected = case.forward(&operands.input, &operands.weight, &[]);
    let positions: usize = case.output().iter().product();
    let depth = case.forward_products();
    let group_out = case.out_channels / case.groups;
    for (o, expected) in expected.iter().enumerate() {
        let (image, channel, position) =
            (o / positions / case.out_channels, o / positions % case.out_channels, o % positions);
        let first_row = (image * case.groups + channel / group_out) * depth;
        let column: Vec<f32> =
            (first_row..first_row + depth).map(|row| columns[row * positions + position]).collect();
        assert_eq!(dot(&operands.weight[channel * depth..][..depth], &column), expected.value, "output {o}");
    }
}

//! The explicit im2col matrix, its adjoint, and the view that makes none.

use crate::plans::{Operands, assert_same, conv_plan, each_rank, im2col_params, isas, last};
use im2col::{Activation, Im2colParams, Isa, Padding, ShapeError};
use im2col_testkit::operands::{Rng, garbage, integers};
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

each_rank!(without_convolution, 500, conv_case, a_plan_of_its_own_gives_the_same_matrices);

fn a_plan_of_its_own_gives_the_same_matrices<const D: usize>(case: &ConvCase, seed: u64) {
    let operands = Operands::reals(case, seed);
    let matrices = im2col_params::<D>(case).plan(case.batch, last(case.input)).unwrap();
    let conv = conv_plan::<D>(case, &operands, Activation::Identity);
    assert_eq!((matrices.input_len(), matrices.columns_len()), (conv.input_len(), conv.columns_len()));
    assert_eq!((matrices.input_dims(), matrices.output_dims()), (conv.input_dims(), conv.output_dims()));
    assert_eq!((matrices.batch(), matrices.padding()), (conv.batch(), conv.padding()));
    assert_eq!(matrices.rows(), case.in_channels * case.kernel.iter().product::<usize>());
    let mut expected = garbage(seed, conv.columns_len());
    conv.im2col(&operands.input, &mut expected).unwrap();
    let mut expected_sums = garbage(seed, conv.input_len());
    conv.col2im(&expected, &mut expected_sums).unwrap();
    for isa in Isa::available() {
        let plan = matrices.with_isa(isa);
        let mut columns = garbage(!seed, plan.columns_len());
        plan.im2col(&operands.input, &mut columns).unwrap();
        assert_same(&columns, &expected, plan);
        let mut sums = garbage(!seed, plan.input_len());
        plan.col2im(&columns, &mut sums).unwrap();
        assert_same(&sums, &expected_sums, plan);
        let view = plan.columns(&operands.input).unwrap();
        assert_eq!(
            (view.rows(), view.columns()),
            (plan.rows(), case.batch * plan.columns_len() / plan.rows() / case.batch.max(1))
        );
        assert_eq!(view.get(0, 0), expected.first().copied());
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

each_rank!(blocks, 500, conv_case, any_block_of_the_view_is_the_matrix);

fn any_block_of_the_view_is_the_matrix<const D: usize>(case: &ConvCase, seed: u64) {
    let operands = Operands::reals(case, seed);
    for plan in isas(conv_plan::<D>(case, &operands, Activation::Identity)) {
        let mut matrices = garbage(seed, plan.columns_len());
        plan.im2col(&operands.input, &mut matrices).unwrap();
        let view = plan.columns(&operands.input).unwrap();
        assert_eq!(view.rows() * view.columns(), matrices.len());
        // The matrices of the images lie one behind the other; the view puts them side by side.
        let positions = view.columns() / case.batch.max(1);
        let at = |row: usize, column: usize| {
            matrices[(column / positions * view.rows() + row) * positions + column % positions]
        };
        let mut rng = Rng::new(seed);
        let mut cut = |len: usize| {
            let mut ends = [0; 2].map(|_| (rng.bits() % (len as u64 + 1)) as usize);
            ends.sort_unstable();
            ends[0]..ends[1]
        };
        let (rows, columns) = (cut(view.rows()), cut(view.columns()));
        let mut block = garbage(seed, rows.len() * columns.len());
        view.copy_block(rows.clone(), columns.clone(), &mut block).unwrap();
        let expected: Vec<f32> = rows
            .clone()
            .flat_map(|row| columns.clone().map(move |column| (row, column)))
            .map(|(r, c)| at(r, c))
            .collect();
        assert_same(&block, &expected, (plan, rows.clone(), columns.clone()));
        if !block.is_empty() {
            assert_eq!(view.get(rows.start, columns.start), Some(block[0]));
        }
        assert_eq!(view.get(view.rows(), 0), None);
        assert_eq!(view.get(0, view.columns()), None);
        let mut untouched = [SENTINEL];
        for (rows, columns) in
            [(0..view.rows() + 1, 0..1), (0..1, 0..view.columns() + 1), (view.rows()..0, 0..1), (0..1, 0..2)]
        {
            assert!(view.copy_block(rows, columns, &mut untouched).is_err());
            assert_eq!(untouched, [SENTINEL]);
        }
    }
}

#[test]
fn matrices_that_do_not_exist() {
    let zero = |what| Err(ShapeError::Zero { what });
    assert_eq!(Im2colParams::new(0, [2]).plan(1, [4]), zero("channels"));
    assert_eq!(Im2colParams::new(1, [0]).plan(1, [4]), zero("kernel"));
    assert_eq!(Im2colParams::new(1, [2]).plan(1, [0]), zero("input"));
    assert_eq!(Im2colParams::new(1, [2]).with_stride([0]).plan(1, [4]), zero("stride"));
    assert_eq!(Im2colParams::new(1, [1; 4]).plan(1, [1; 4]), Err(ShapeError::Rank { rank: 4 }));
    let overflow = |what| Err(ShapeError::Overflow { what });
    assert_eq!(Im2colParams::new(usize::MAX, [1]).plan(0, [4]), overflow("an image"));
    assert_eq!(Im2colParams::new(4, [1]).plan(usize::MAX / 4, [4]), overflow("an operand"));
    assert_eq!(Im2colParams::new(1, [1]).plan(1 << (usize::BITS - 2), [1]), overflow("an operand"));
    // A batch of none is one.
    assert_eq!(Im2colParams::new(3, [2, 2]).plan(0, [4, 5]).map(|plan| plan.columns_len()), Ok(0));
    // Padding by rule, as a convolution has it.
    let same = Im2colParams::new(2, [4]).with_stride([2]).with_padding_rule(Padding::SameUpper);
    assert_eq!(same.plan(1, [7]).map(|plan| (plan.output_dims(), plan.padding())), Ok(([4], [[1, 2]])));
}

const SENTINEL: f32 = -12345.0;

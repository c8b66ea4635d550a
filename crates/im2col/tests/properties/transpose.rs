//! Transposed convolution.

use crate::plans::{assert_same, each_rank, last};
use im2col::{
    Activation, ConvOperands, ConvParams, ConvTransposePlan, Isa, Padding, PaddingMode, ShapeError, Weights,
    naive,
};
use im2col_testkit::bound;
use im2col_testkit::operands::{garbage, integers, reals};
use im2col_testkit::oracle::TransposeCase;
use im2col_testkit::property::{cases, for_all};
use im2col_testkit::strategies::hostile_size;

struct Operands {
    input: Vec<f32>,
    weight: Vec<f32>,
    /// Empty for every other seed.
    bias: Vec<f32>,
    grad_output: Vec<f32>,
}

impl Operands {
    fn new(case: &TransposeCase, seed: u64, values: impl Fn(u64, usize) -> Vec<f32>) -> Self {
        Self {
            input: values(seed, case.input_len()),
            weight: values(seed.wrapping_add(1), case.weight_len()),
            bias: if seed & 1 == 0 { values(seed.wrapping_add(2), case.out_channels) } else { Vec::new() },
            grad_output: values(seed.wrapping_add(3), case.output_len()),
        }
    }
}

fn params<const D: usize>(case: &TransposeCase) -> ConvParams<D> {
    ConvParams::new(case.in_channels, case.out_channels, last(case.kernel))
        .with_stride(last(case.stride))
        .with_padding_per_side(last(case.padding))
        .with_dilation(last(case.dilation))
        .with_output_padding(last(case.output_padding))
        .with_groups(case.groups)
}

fn plan<const D: usize>(
    case: &TransposeCase,
    operands: &Operands,
    activation: Activation,
) -> ConvTransposePlan<D> {
    let params = params(case).with_bias(!operands.bias.is_empty()).with_activation(activation);
    let plan = params.plan_transposed(case.batch, last(case.input)).unwrap();
    assert_eq!(plan.output_dims(), last(case.output()));
    assert_eq!(plan.input_dims(), last(case.input));
    assert_eq!(plan.input_len(), case.input_len());
    assert_eq!(plan.weight_len(), case.weight_len());
    assert_eq!(plan.output_len(), case.output_len());
    assert_eq!(plan.multiply_adds(), case.multiply_adds());
    plan
}

fn isas<const D: usize>(plan: ConvTransposePlan<D>) -> impl Iterator<Item = ConvTransposePlan<D>> {
    Isa::available().map(move |isa| plan.with_isa(isa))
}

/// The outputs with plain and with packed weights; everything that is written holds garbage before.
fn forward<const D: usize>(plan: &ConvTransposePlan<D>, operands: &Operands) -> [Vec<f32>; 2] {
    let Operands { input, weight, bias, .. } = operands;
    let mut packed = garbage(1, plan.packed_weight_len());
    let packed = Weights::Packed(plan.pack_weights(weight, &mut packed).unwrap());
    [(Weights::Plain(weight), plan.scratch_len()), (packed, plan.packed_scratch_len())].map(
        |(weight, scratch_len)| {
            let mut output = garbage(2, plan.output_len());
            let operands = ConvOperands { input, weight, bias };
            plan.forward(operands, &mut output, &mut garbage(3, scratch_len)).unwrap();
            output
        },
    )
}

/// The gradients of input, weight and bias.
fn backward<const D: usize>(plan: &ConvTransposePlan<D>, operands: &Operands) -> [Vec<f32>; 3] {
    let Operands { input, weight, grad_output, .. } = operands;
    let mut grad_input = garbage(4, plan.input_len());
    let mut scratch = garbage(5, plan.backward_input_scratch_len());
    plan.backward_input(weight, grad_output, &mut grad_input, &mut scratch).unwrap();
    let mut grad_weight = garbage(6, plan.weight_len());
    let mut scratch = garbage(7, plan.backward_weight_scratch_len());
    plan.backward_weight(input, grad_output, &mut grad_weight, &mut scratch).unwrap();
    let mut grad_bias = garbage(8, plan.bias_len());
    plan.backward_bias(grad_output, &mut grad_bias).unwrap();
    [grad_input, grad_weight, grad_bias]
}

each_rank!(integers_are_exact, 1500, transpose_case, equals_naive);

fn equals_naive<const D: usize>(case: &TransposeCase, seed: u64) {
    let operands = Operands::new(case, seed, integers);
    let activation = if seed & 2 == 0 { Activation::Identity } else { Activation::Relu };
    let plan = plan::<D>(case, &operands, activation);
    let Operands { input, weight, bias, grad_output } = &operands;
    let mut output = vec![f32::NAN; plan.output_len()];
    naive::conv_transpose_forward(&plan, input, weight, bias, &mut output).unwrap();
    let mut grad_input = vec![f32::NAN; plan.input_len()];
    naive::conv_transpose_backward_input(&plan, weight, grad_output, &mut grad_input).unwrap();
    let mut grad_weight = vec![f32::NAN; plan.weight_len()];
    naive::conv_transpose_backward_weight(&plan, input, grad_output, &mut grad_weight).unwrap();
    let mut grad_bias = vec![f32::NAN; plan.bias_len()];
    naive::conv_transpose_backward_bias(&plan, grad_output, &mut grad_bias).unwrap();
    for plan in isas(plan) {
        let [plain, packed] = forward(&plan, &operands);
        assert_same(&plain, &output, plan);
        assert_same(&packed, &output, ("packed", plan));
        let given = backward(&plan, &operands);
        assert_same(&given[0], &grad_input, ("grad_input", plan));
        assert_same(&given[1], &grad_weight, ("grad_weight", plan));
        assert_same(&given[2], &grad_bias, ("grad_bias", plan));
    }
}

each_rank!(error_bound, 500, transpose_case, within_the_bound);

fn within_the_bound<const D: usize>(case: &TransposeCase, seed: u64) {
    let operands = Operands::new(case, seed, reals);
    let plan = plan::<D>(case, &operands, Activation::Identity);
    let Operands { input, weight, bias, grad_output } = &operands;
    let output = case.forward(input, weight, bias);
    let grads = [
        (case.grad_input(weight, grad_output), case.grad_input_products()),
        (case.grad_weight(input, grad_output), bound::chained(case.grad_weight_products())),
    ];
    let grad_bias = case.grad_bias(grad_output);
    let gamma = bound::gamma(bound::pairwise(case.grad_bias_terms()));
    for plan in isas(plan) {
        for given in forward(&plan, &operands) {
            bound::check(&given, &output, case.forward_products()).unwrap();
        }
        let given = backward(&plan, &operands);
        for (given, (expected, products)) in given.iter().zip(&grads) {
            bound::check(given, expected, *products).unwrap();
        }
        if !given[2].is_empty() {
            bound::check_each(&given[2], &grad_bias, |sum| gamma * sum.magnitude).unwrap();
        }
    }
}

each_rank!(adjoint, 500, transpose_case, is_the_adjoint_of_the_convolution);

/// `<conv(y), x> = <y, transposed(x)>` for the convolution of the same parameters.
fn is_the_adjoint_of_the_convolution<const D: usize>(case: &TransposeCase, seed: u64) {
    let params = params::<D>(case).with_bias(false);
    let transposed = params.plan_transposed(case.batch, last(case.input)).unwrap();
    let conv = ConvParams::new(case.out_channels, case.in_channels, last(case.kernel))
        .with_stride(last(case.stride))
        .with_padding_per_side(last(case.padding))
        .with_dilation(last(case.dilation))
        .with_groups(case.groups)
        .with_bias(false)
        .plan(case.batch, transposed.output_dims())
        .unwrap();
    // Output padding of a stride or more leaves the convolution positions that the input has not.
    if conv.output_dims() != transposed.input_dims() {
        return;
    }
    let (x, y) = (integers(seed, transposed.input_len()), integers(!seed, conv.input_len()));
    let weight = integers(seed.wrapping_add(1), conv.weight_len());
    let (mut of_x, mut of_y) = (garbage(1, transposed.output_len()), garbage(2, conv.output_len()));
    let weight = Weights::Plain(&weight);
    let operands = ConvOperands { input: &x, weight, bias: &[] };
    transposed.forward(operands, &mut of_x, &mut garbage(3, transposed.scratch_len())).unwrap();
    let operands = ConvOperands { input: &y, weight, bias: &[] };
    conv.forward(operands, &mut of_y, &mut garbage(4, conv.scratch_len())).unwrap();
    let dot =
        |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum() };
    assert_eq!(dot(&of_y, &x), dot(&y, &of_x), "{transposed:?}");
}

#[test]
fn shapes() {
    let conv = ConvParams::new(4, 6, [3, 3]);
    let plan = |params: ConvParams<2>, input, output_padding| {
        params.with_output_padding(output_padding).plan_transposed(1, input).map(|plan| plan.output_dims())
    };
    assert_eq!(plan(conv, [5, 1], [0, 0]), Ok([7, 3]));
    assert_eq!(plan(conv.with_stride([2, 3]), [5, 5], [1, 2]), Ok([12, 17]));
    assert_eq!(plan(conv.with_padding([1, 2]), [5, 5], [0, 0]), Ok([5, 3]));
    // The names are the caller's, not those of the convolution behind.
    let zero = |what| Err(ShapeError::Zero { what });
    assert_eq!(plan(ConvParams::new(0, 6, [3, 3]), [5, 5], [0, 0]), zero("in_channels"));
    assert_eq!(plan(ConvParams::new(4, 0, [3, 3]), [5, 5], [0, 0]), zero("out_channels"));
    assert_eq!(plan(conv, [5, 0], [0, 0]), zero("input"));
    assert_eq!(plan(conv.with_padding([0, 9]), [5, 0], [0, 0]), zero("input"));
    assert_eq!(plan(conv.with_stride([1, 0]), [5, 5], [0, 0]), zero("stride"));
    assert_eq!(plan(conv.with_dilation([0, 1]), [5, 5], [0, 0]), zero("dilation"));
    assert_eq!(plan(ConvParams::new(4, 6, [3, 0]), [5, 5], [0, 0]), zero("kernel"));
    let groups = Err(ShapeError::Groups { what: "out_channels", channels: 6, groups: 4 });
    assert_eq!(plan(conv.with_groups(4), [5, 5], [0, 0]), groups);

    let output_padding = Err(ShapeError::OutputPadding { axis: 1, output_padding: 2, limit: 2 });
    assert_eq!(plan(conv.with_stride([1, 2]), [5, 5], [0, 2]), output_padding);
    let padding = Err(ShapeError::PaddingExceedsOutput { axis: 0, padding: 4, unpadded: 4 });
    assert_eq!(plan(conv.with_padding([2, 0]), [2, 5], [0, 0]), padding);
    let inapplicable = |option| Err(ShapeError::Inapplicable { option, operation: "transposed convolution" });
    let rule = conv.with_padding_rule(Padding::SameUpper);
    assert_eq!(plan(rule, [5, 5], [0, 0]), inapplicable("a padding rule"));
    let reflect = conv.with_padding_mode(PaddingMode::Reflect);
    assert_eq!(plan(reflect, [5, 5], [0, 0]), inapplicable("a padding mode"));
    let (option, operation) = ("output padding", "convolution");
    let output_padding = conv.with_stride([2, 2]).with_output_padding([0, 1]).plan(1, [5, 5]);
    assert_eq!(output_padding, Err(ShapeError::Inapplicable { option, operation }));
}

#[test]
fn of_any_size() {
    let size = hostile_size;
    let channels = (size(), size(), size(), size());
    let axis = (size(), size(), size(), size(), [size(), size()], size());
    for_all(cases(30_000), (channels, axis), |((batch, inputs, outputs, groups), axis)| {
        let (input, kernel, stride, dilation, padding, output_padding) = axis;
        let params = ConvParams::new(inputs, outputs, [kernel])
            .with_stride([stride])
            .with_dilation([dilation])
            .with_padding_per_side([padding])
            .with_output_padding([output_padding])
            .with_groups(groups);
        let Ok(plan) = params.plan_transposed(batch, [input]) else { return };
        let nothing = ConvOperands { input: &[], weight: Weights::Plain(&[]), bias: &[] };
        let lens = [plan.input_len(), plan.output_len(), plan.weight_len()];
        if lens.into_iter().max() > Some(1 << 10) || plan.multiply_adds() > 1 << 14 {
            assert!(plan.forward(nothing, &mut [], &mut []).is_err());
            return;
        }
        let case = TransposeCase {
            batch,
            in_channels: inputs,
            out_channels: outputs,
            groups,
            input: [1, 1, input],
            kernel: [1, 1, kernel],
            stride: [1, 1, stride],
            padding: [[0; 2], [0; 2], padding],
            output_padding: [0, 0, output_padding],
            dilation: [1, 1, dilation],
        };
        let scratches = [plan.scratch_len(), plan.backward_input_scratch_len()];
        if scratches.into_iter().max() < Some(1 << 18) {
            equals_naive::<1>(&case, 0);
        }
    });
}

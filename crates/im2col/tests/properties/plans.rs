//! From the testkit's cases and operands to plans, and the ways to run a plan.

use im2col::{
    Activation, Algorithm, ConvOperands, ConvParams, ConvPlan, Im2colParams, Isa, PaddingMode, PoolKind,
    PoolParams, PoolPlan, Weights,
};
use im2col_testkit::operands::{garbage, integers, reals};
use im2col_testkit::oracle::{ConvCase, Mode, PoolCase};
use std::io::Write;

/// The operands of a convolution or a linear layer.
pub(crate) struct Operands {
    pub(crate) input: Vec<f32>,
    pub(crate) weight: Vec<f32>,
    /// Empty for every other seed.
    pub(crate) bias: Vec<f32>,
    pub(crate) grad_output: Vec<f32>,
}

impl Operands {
    pub(crate) fn integers(case: &ConvCase, seed: u64) -> Self {
        Self::new(case, seed, integers)
    }

    pub(crate) fn reals(case: &ConvCase, seed: u64) -> Self {
        Self::new(case, seed, reals)
    }

    fn new(case: &ConvCase, seed: u64, values: impl Fn(u64, usize) -> Vec<f32>) -> Self {
        Self {
            input: values(seed, case.input_len()),
            weight: values(seed.wrapping_add(1), case.weight_len()),
            bias: if seed & 1 == 0 { values(seed.wrapping_add(2), case.out_channels) } else { Vec::new() },
            grad_output: values(seed.wrapping_add(3), case.output_len()),
        }
    }

    pub(crate) fn of_conv<'a>(&'a self, weight: Weights<'a>) -> ConvOperands<'a> {
        ConvOperands { input: &self.input, weight, bias: &self.bias }
    }
}

/// No activation or the one whose error bound is that of its argument.
pub(crate) fn activation(seed: u64) -> Activation {
    if seed & 2 == 0 { Activation::Identity } else { Activation::Relu }
}

/// The last `D` of three axes.
pub(crate) fn last<T: Copy, const D: usize>(axes: [T; 3]) -> [T; D] {
    std::array::from_fn(|axis| axes[3 - D + axis])
}

fn padding_mode(mode: Mode) -> PaddingMode {
    match mode {
        Mode::Zeros => PaddingMode::Zeros,
        Mode::Reflect => PaddingMode::Reflect,
        Mode::Replicate => PaddingMode::Replicate,
        Mode::Circular => PaddingMode::Circular,
    }
}

pub(crate) fn conv_params<const D: usize>(case: &ConvCase) -> ConvParams<D> {
    ConvParams::new(case.in_channels, case.out_channels, last(case.kernel))
        .with_stride(last(case.stride))
        .with_padding_per_side(last(case.padding))
        .with_padding_mode(padding_mode(case.mode))
        .with_dilation(last(case.dilation))
        .with_groups(case.groups)
}

/// The im2col matrices of a convolution.
pub(crate) fn im2col_params<const D: usize>(case: &ConvCase) -> Im2colParams<D> {
    Im2colParams::new(case.in_channels, last(case.kernel))
        .with_stride(last(case.stride))
        .with_padding_per_side(last(case.padding))
        .with_padding_mode(padding_mode(case.mode))
        .with_dilation(last(case.dilation))
}

/// Plans a valid case, with a bias if there is one in `operands`, and checks the plan's sizes.
pub(crate) fn conv_plan<const D: usize>(
    case: &ConvCase,
    operands: &Operands,
    activation: Activation,
) -> ConvPlan<D> {
    let params = conv_params(case).with_bias(!operands.bias.is_empty()).with_activation(activation);
    let plan = params.plan(case.batch, last(case.input)).unwrap();
    assert_eq!(plan.output_dims(), last(case.output()));
    assert_eq!(plan.input_len(), case.input_len());
    assert_eq!(plan.weight_len(), case.weight_len());
    assert_eq!(plan.output_len(), case.output_len());
    assert_eq!(plan.multiply_adds(), case.multiply_adds());
    plan
}

pub(crate) fn pool_plan<const D: usize>(case: &PoolCase, kind: PoolKind) -> PoolPlan<D> {
    let params = match (case.adaptive, kind) {
        (Some(output), PoolKind::Max) => PoolParams::adaptive_max(last(output)),
        (Some(output), PoolKind::Average) => PoolParams::adaptive_average(last(output)),
        (None, _) => sliding(case, kind),
    };
    let plan = params.plan(case.batch, case.channels, last(case.input)).unwrap();
    assert_eq!(plan.output_dims(), last(case.output()));
    assert_eq!(plan.input_len(), case.input_len());
    assert_eq!(plan.output_len(), case.output_len());
    plan
}

fn sliding<const D: usize>(case: &PoolCase, kind: PoolKind) -> PoolParams<D> {
    let params = PoolParams::new(kind, last(case.window))
        .with_dilation(last(case.dilation))
        .with_stride(last(case.stride))
        .with_padding_per_side(last(case.padding))
        .with_ceil_mode(case.ceil_mode)
        .with_count_include_pad(case.count_include_pad);
    match (kind, case.divisor) {
        (PoolKind::Average, Some(divisor)) => params.with_divisor_override(divisor),
        _ => params,
    }
}

/// The plan under every instruction set.
pub(crate) fn isas<const D: usize>(plan: ConvPlan<D>) -> impl Iterator<Item = ConvPlan<D>> {
    Isa::available().map(move |isa| plan.with_isa(isa))
}

/// The plan by every algorithm whose order of summation is the definition's.
pub(crate) fn ordered_algorithms<const D: usize>(plan: ConvPlan<D>) -> impl Iterator<Item = ConvPlan<D>> {
    let is_ordered = |algorithm: &Algorithm| {
        use Algorithm::{Broadcast, Depthwise, Direct, Im2col, InPlace, Pointwise};
        matches!(algorithm, Im2col | Pointwise | Broadcast | Direct | Depthwise | InPlace)
    };
    let by = move |algorithm| plan.with_algorithm(algorithm).unwrap();
    plan.algorithms().filter(is_ordered).map(by)
}

/// The plan by every algorithm whose weights may be packed: Winograd's sums have an order of their own.
pub(crate) fn packing_algorithms<const D: usize>(plan: ConvPlan<D>) -> impl Iterator<Item = ConvPlan<D>> {
    ordered_algorithms(plan).chain(plan.with_algorithm(Algorithm::Winograd).ok())
}

/// The plan by every algorithm that sums products of inputs and weights.
pub(crate) fn algorithms<const D: usize>(plan: ConvPlan<D>) -> impl Iterator<Item = ConvPlan<D>> {
    #[cfg(feature = "matrixmultiply")]
    let others = plan.with_algorithm(Algorithm::Matrixmultiply).ok();
    #[cfg(not(feature = "matrixmultiply"))]
    let others = None;
    ordered_algorithms(plan).chain(others)
}

/// The output with plain weights; output and scratch hold garbage before.
pub(crate) fn forward<const D: usize>(plan: &ConvPlan<D>, operands: &Operands) -> Vec<f32> {
    let mut output = garbage(1, plan.output_len());
    let mut scratch = garbage(2, plan.scratch_len());
    let weight = Weights::Plain(&operands.weight);
    plan.forward(operands.of_conv(weight), &mut output, &mut scratch).unwrap();
    output
}

/// The output with packed weights; `None` if the algorithm takes only plain ones.
pub(crate) fn forward_packed<const D: usize>(plan: &ConvPlan<D>, operands: &Operands) -> Option<Vec<f32>> {
    if !packing_algorithms(*plan).any(|packing| packing.algorithm() == plan.algorithm()) {
        return None;
    }
    let mut output = garbage(3, plan.output_len());
    let mut scratch = garbage(4, plan.packed_scratch_len());
    let mut packed = garbage(5, plan.packed_weight_len());
    let weight = Weights::Packed(plan.pack_weights(&operands.weight, &mut packed).unwrap());
    plan.forward(operands.of_conv(weight), &mut output, &mut scratch).unwrap();
    Some(output)
}

/// The gradients of input, weight and bias; everything that is written holds garbage before.
pub(crate) fn backward<const D: usize>(plan: &ConvPlan<D>, operands: &Operands) -> [Vec<f32>; 3] {
    let Operands { input, weight, grad_output, .. } = operands;
    let mut grad_input = garbage(6, plan.input_len());
    let mut scratch = garbage(7, plan.backward_input_scratch_len());
    plan.backward_input(weight, grad_output, &mut grad_input, &mut scratch).unwrap();
    let mut grad_weight = garbage(8, plan.weight_len());
    let mut scratch = garbage(9, plan.backward_weight_scratch_len());
    plan.backward_weight(input, grad_output, &mut grad_weight, &mut scratch).unwrap();
    let mut grad_bias = garbage(10, plan.bias_len());
    plan.backward_bias(grad_output, &mut grad_bias).unwrap();
    [grad_input, grad_weight, grad_bias]
}

/// Equal values, or NaN in the same places; says where and under what they differ.
#[track_caller]
pub(crate) fn assert_same(given: &[f32], expected: &[f32], what: impl std::fmt::Debug) {
    assert_eq!(given.len(), expected.len(), "{what:?}");
    let differ =
        |(given, expected): (&f32, &f32)| given != expected && !(given.is_nan() && expected.is_nan());
    if let Some(i) = given.iter().zip(expected).position(differ) {
        panic!("{what:?}: index {i} of {}: {} instead of {}", given.len(), given[i], expected[i]);
    }
}

/// Writes a line that the test harness does not hold back: what a passing run has to show.
pub(crate) fn report(line: &str) {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}").unwrap();
}

/// The names of the instruction sets that this CPU has.
pub(crate) fn isa_names() -> String {
    let names: Vec<_> = Isa::available().map(Isa::name).collect();
    names.join(" ")
}

/// A test of a property of rank 1, 2 and 3: `each_rank!(name, cases, strategy, property)`.
macro_rules! each_rank {
    ($name:ident, $cases:expr, $strategy:ident, $property:ident) => {
        mod $name {
            use im2col_testkit::property::{cases, for_all};
            use im2col_testkit::strategies::$strategy;
            use proptest::prelude::any;

            #[test]
            fn rank_1() {
                for_all(cases($cases), ($strategy(1), any::<u64>()), |(case, seed)| {
                    super::$property::<1>(&case, seed)
                });
            }

            #[test]
            fn rank_2() {
                for_all(cases($cases), ($strategy(2), any::<u64>()), |(case, seed)| {
                    super::$property::<2>(&case, seed)
                });
            }

            #[test]
            fn rank_3() {
                for_all(cases($cases), ($strategy(3), any::<u64>()), |(case, seed)| {
                    super::$property::<3>(&case, seed)
                });
            }
        }
    };
}
pub(crate) use each_rank;

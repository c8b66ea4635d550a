//! Convolutions of rank 1 to 3 by every algorithm, transposed ones, and their gradients.

use crate::layouts::{LAYOUTS, with_layouts};
use crate::plans::{
    Operands, activation, algorithms, assert_same, conv_plan, forward, im2col_params, isas, last,
};
use im2col::{
    Activation, Algorithm, ConvOperands, ConvParams, ConvPlan, ConvTransposePlan, Gradients, Isa, Layout,
    Weights, naive,
};
use im2col_testkit::guard::{Flush, Guarded, Memory};
use im2col_testkit::operands::{channels_last, integers};
use im2col_testkit::oracle::{ConvCase, Mode, TransposeCase};
use im2col_testkit::property::{cases, for_all};
use im2col_testkit::strategies::{conv_case, depthwise_case, transpose_case, winograd_case};
use proptest::prelude::any;
use proptest::strategy::Strategy;
use std::cell::RefCell;

/// What the naive twins of a plan give.
struct Expected {
    output: Vec<f32>,
    grad_input: Vec<f32>,
    grad_weight: Vec<f32>,
    grad_bias: Vec<f32>,
}

impl Expected {
    fn new<const D: usize>(plan: &ConvPlan<D>, operands: &Operands) -> Self {
        let Operands { input, weight, bias, grad_output } = operands;
        let mut expected =
            Self::empty([plan.input_len(), plan.weight_len(), plan.bias_len(), plan.output_len()]);
        naive::conv_forward(plan, input, weight, bias, &mut expected.output).unwrap();
        naive::conv_backward_input(plan, weight, grad_output, &mut expected.grad_input).unwrap();
        naive::conv_backward_weight(plan, input, grad_output, &mut expected.grad_weight).unwrap();
        naive::conv_backward_bias(plan, grad_output, &mut expected.grad_bias).unwrap();
        expected
    }

    fn transposed<const D: usize>(plan: &ConvTransposePlan<D>, operands: &Operands) -> Self {
        let Operands { input, weight, bias, grad_output } = operands;
        let mut expected =
            Self::empty([plan.input_len(), plan.weight_len(), plan.bias_len(), plan.output_len()]);
        naive::conv_transpose_forward(plan, input, weight, bias, &mut expected.output).unwrap();
        naive::conv_transpose_backward_input(plan, weight, grad_output, &mut expected.grad_input).unwrap();
        naive::conv_transpose_backward_weight(plan, input, grad_output, &mut expected.grad_weight).unwrap();
        naive::conv_transpose_backward_bias(plan, grad_output, &mut expected.grad_bias).unwrap();
        expected
    }

    fn empty([input, weight, bias, output]: [usize; 4]) -> Self {
        Self {
            output: vec![f32::NAN; output],
            grad_input: vec![f32::NAN; input],
            grad_weight: vec![f32::NAN; weight],
            grad_bias: vec![f32::NAN; bias],
        }
    }
}

/// Calls `check(plan, flush)` under every instruction set, with each end of the operands at a page that may not be touched.
pub(super) fn for_each_isa<const D: usize>(plan: ConvPlan<D>, mut check: impl FnMut(&ConvPlan<D>, Flush)) {
    for plan in isas(plan) {
        for flush in Flush::BOTH {
            check(&plan, flush);
        }
    }
}

/// The output by every algorithm, with plain and packed weights.
pub(super) fn check_forward<const D: usize>(
    memory: &mut Memory,
    flush: Flush,
    plan: &ConvPlan<D>,
    operands: &Operands,
    expected: &[f32],
) {
    for plan in algorithms(*plan) {
        check_output(memory, flush, &plan, operands, expected);
    }
}

fn check_output<const D: usize>(
    memory: &mut Memory,
    flush: Flush,
    plan: &ConvPlan<D>,
    operands: &Operands,
    expected: &[f32],
) {
    let Operands { input, weight, bias, .. } = operands;
    let len = plan.output_len();
    let given =
        memory.call(flush, [input, weight, bias, &[]], [len, plan.scratch_len()], |[x, w, b, _], y, s| {
            plan.forward(ConvOperands { input: x, weight: Weights::Plain(w), bias: b }, y, s)
        });
    assert_same(given, expected, (flush, plan));
    // (Without its feature this algorithm has no name that could be compared.)
    if format!("{:?}", plan.algorithm()) == "Matrixmultiply" {
        return;
    }
    let (mut plain, mut packed) = (Guarded::new(), Guarded::new());
    let packed = packed.filled(f32::NAN, plan.packed_weight_len(), flush);
    let packed = plan.pack_weights(plain.holding(weight, flush), packed).unwrap();
    let lens = [len, plan.packed_scratch_len()];
    let given = memory.call(flush, [input, bias, &[], &[]], lens, |[x, b, ..], y, s| {
        plan.forward(ConvOperands { input: x, weight: Weights::Packed(packed), bias: b }, y, s)
    });
    assert_same(given, expected, ("packed", flush, plan));
}

/// The gradients, one by one and in one call.
fn check_backward<const D: usize>(
    memory: &mut Memory,
    flush: Flush,
    plan: &ConvPlan<D>,
    operands: &Operands,
    expected: &Expected,
) {
    let Operands { input, weight, grad_output, .. } = operands;
    check_grad_input(memory, flush, plan, operands, &expected.grad_input);
    check_grad_weight(memory, flush, plan, operands, &expected.grad_weight);
    let given = memory.call(flush, [grad_output, &[], &[], &[]], [plan.bias_len(), 0], |[dy, ..], db, _| {
        plan.backward_bias(dy, db)
    });
    assert_same(given, &expected.grad_bias, ("grad_bias", flush, plan));
    let lens = [plan.input_len(), plan.weight_len(), plan.bias_len()];
    let [grad_input, grad_weight, grad_bias] = memory.call_for_three(
        flush,
        [input, weight, grad_output, &[]],
        lens,
        plan.backward_scratch_len(),
        |[x, w, dy, _], [input, weight, bias], s| {
            plan.backward(x, w, dy, Gradients { input, weight, bias }, s)
        },
    );
    assert_same(grad_input, &expected.grad_input, ("together", flush, plan));
    assert_same(grad_weight, &expected.grad_weight, ("together", flush, plan));
    assert_same(grad_bias, &expected.grad_bias, ("together", flush, plan));
}

pub(super) fn check_grad_input<const D: usize>(
    memory: &mut Memory,
    flush: Flush,
    plan: &ConvPlan<D>,
    Operands { weight, grad_output, .. }: &Operands,
    expected: &[f32],
) {
    let lens = [plan.input_len(), plan.backward_input_scratch_len()];
    let given = memory.call(flush, [weight, grad_output, &[], &[]], lens, |[w, dy, ..], dx, s| {
        plan.backward_input(w, dy, dx, s)
    });
    assert_same(given, expected, ("grad_input", flush, plan));
}

pub(super) fn check_grad_weight<const D: usize>(
    memory: &mut Memory,
    flush: Flush,
    plan: &ConvPlan<D>,
    Operands { input, grad_output, .. }: &Operands,
    expected: &[f32],
) {
    let lens = [plan.weight_len(), plan.backward_weight_scratch_len()];
    let given = memory.call(flush, [input, grad_output, &[], &[]], lens, |[x, dy, ..], dw, s| {
        plan.backward_weight(x, dy, dw, s)
    });
    assert_same(given, expected, ("grad_weight", flush, plan));
}

fn check_conv<const D: usize>(memory: &mut Memory, case: &ConvCase, seed: u64) {
    let operands = Operands::integers(case, seed);
    let plan = conv_plan::<D>(case, &operands, activation(seed));
    let expected = Expected::new(&plan, &operands);
    for_each_isa(plan, |plan, flush| {
        check_forward(memory, flush, plan, &operands, &expected.output);
        check_backward(memory, flush, plan, &operands, &expected);
    });
    isas(plan).for_each(|plan| check_winograd(memory, plan, &operands));
    // One of the layouts with channels last.
    let laid = with_layouts(plan, LAYOUTS[1 + seed as usize % 3]);
    let mut output = vec![f32::NAN; laid.output_len()];
    let Operands { input, weight, bias, .. } = &operands;
    naive::conv_forward(&laid, input, weight, bias, &mut output).unwrap();
    for_each_isa(laid, |plan, flush| check_forward(memory, flush, plan, &operands, &output));
    check_matrices::<D>(memory, case, &operands);
}

/// Winograd's sums round: their bound has tests of its own.
fn check_winograd<const D: usize>(memory: &mut Memory, plan: ConvPlan<D>, operands: &Operands) {
    let Ok(plan) = plan.with_algorithm(Algorithm::Winograd) else { return };
    let expected = forward(&plan, operands);
    for flush in Flush::BOTH {
        check_output(memory, flush, &plan, operands, &expected);
    }
}

/// The matrix of patches, and its adjoint.
fn check_matrices<const D: usize>(memory: &mut Memory, case: &ConvCase, operands: &Operands) {
    let plan = im2col_params::<D>(case).plan(case.batch, last(case.input)).unwrap();
    let (input, len) = (&operands.input, plan.columns_len());
    let scalar = plan.with_isa(Isa::SCALAR);
    let (mut columns, mut sums) = (vec![f32::NAN; len], vec![f32::NAN; input.len()]);
    scalar.im2col(input, &mut columns).unwrap();
    scalar.col2im(&columns, &mut sums).unwrap();
    for (isa, flush) in Isa::available().flat_map(|isa| Flush::BOTH.map(|flush| (isa, flush))) {
        let plan = plan.with_isa(isa);
        let given = memory.call(flush, [input, &[], &[], &[]], [len, 0], |[x, ..], c, _| plan.im2col(x, c));
        assert_same(given, &columns, (flush, plan));
        let lens = [input.len(), 0];
        let given = memory.call(flush, [&columns, &[], &[], &[]], lens, |[c, ..], x, _| plan.col2im(c, x));
        assert_same(given, &sums, (flush, plan));
    }
}

fn check_transposed<const D: usize>(memory: &mut Memory, case: &TransposeCase, seed: u64) {
    let operands = Operands {
        input: integers(seed, case.input_len()),
        weight: integers(seed.wrapping_add(1), case.weight_len()),
        bias: if seed & 1 == 0 { integers(seed.wrapping_add(2), case.out_channels) } else { Vec::new() },
        grad_output: integers(seed.wrapping_add(3), case.output_len()),
    };
    let params = ConvParams::new(case.in_channels, case.out_channels, last(case.kernel))
        .with_stride(last(case.stride))
        .with_padding_per_side(last(case.padding))
        .with_dilation(last(case.dilation))
        .with_output_padding(last(case.output_padding))
        .with_groups(case.groups)
        .with_bias(!operands.bias.is_empty())
        .with_activation(if seed & 2 == 0 { Activation::Identity } else { Activation::Relu });
    let plan: ConvTransposePlan<D> = params.plan_transposed(case.batch, last(case.input)).unwrap();
    let expected = Expected::transposed(&plan, &operands);
    for (isa, flush) in Isa::available().flat_map(|isa| Flush::BOTH.map(|flush| (isa, flush))) {
        check_transposed_plan(memory, flush, &plan.with_isa(isa), &operands, &expected);
    }
}

fn check_transposed_plan<const D: usize>(
    memory: &mut Memory,
    flush: Flush,
    plan: &ConvTransposePlan<D>,
    operands: &Operands,
    expected: &Expected,
) {
    let Operands { input, weight, bias, grad_output } = operands;
    let lens = [plan.output_len(), plan.scratch_len()];
    let given = memory.call(flush, [input, weight, bias, &[]], lens, |[x, w, b, _], y, s| {
        plan.forward(ConvOperands { input: x, weight: Weights::Plain(w), bias: b }, y, s)
    });
    assert_same(given, &expected.output, (flush, plan));
    let (mut plain, mut packed) = (Guarded::new(), Guarded::new());
    let packed = packed.filled(f32::NAN, plan.packed_weight_len(), flush);
    let packed = plan.pack_weights(plain.holding(weight, flush), packed).unwrap();
    let lens = [plan.output_len(), plan.packed_scratch_len()];
    let given = memory.call(flush, [input, bias, &[], &[]], lens, |[x, b, ..], y, s| {
        plan.forward(ConvOperands { input: x, weight: Weights::Packed(packed), bias: b }, y, s)
    });
    assert_same(given, &expected.output, ("packed", flush, plan));
    let lens = [plan.input_len(), plan.weight_len(), plan.bias_len()];
    let given = memory.call_for_three(
        flush,
        [input, weight, grad_output, &[]],
        lens,
        plan.backward_scratch_len(),
        |[x, w, dy, _], [input, weight, bias], s| {
            plan.backward(x, w, dy, Gradients { input, weight, bias }, s)
        },
    );
    assert_same(given[0], &expected.grad_input, ("grad_input", flush, plan));
    assert_same(given[1], &expected.grad_weight, ("grad_weight", flush, plan));
    assert_same(given[2], &expected.grad_bias, ("grad_bias", flush, plan));
    let lens = [plan.input_len(), plan.backward_input_scratch_len()];
    let given = memory.call(flush, [weight, grad_output, &[], &[]], lens, |[w, dy, ..], dx, s| {
        plan.backward_input(w, dy, dx, s)
    });
    assert_same(given, &expected.grad_input, ("alone", flush, plan));
    let lens = [plan.weight_len(), plan.backward_weight_scratch_len()];
    let given = memory.call(flush, [input, grad_output, &[], &[]], lens, |[x, dy, ..], dw, s| {
        plan.backward_weight(x, dy, dw, s)
    });
    assert_same(given, &expected.grad_weight, ("alone", flush, plan));
}

/// Few channels, and lines that whole vectors cover, which `Direct` reads where they lie.
fn check_whole_lines<const D: usize>(memory: &mut Memory) -> u32 {
    let mut count = 0;
    for (outputs, groups) in [(1, 1), (2, 1), (3, 2), (5, 1), (6, 1), (6, 2), (7, 1), (7, 2)] {
        for (kernel, dilation) in [([1, 1], 1), ([1, 3], 1), ([3, 2], 1), ([2, 3], 5)] {
            for width in [16, 32, 80] {
                let case = ConvCase {
                    batch: 2,
                    in_channels: 3 * groups,
                    out_channels: outputs * groups,
                    groups,
                    // Axes that are not there have one value.
                    input: [
                        if D > 2 { 3 } else { 1 },
                        if D > 1 { 5 } else { 1 },
                        width + (kernel[1] - 1) * dilation,
                    ],
                    kernel: [if D > 2 { kernel[0] } else { 1 }, if D > 1 { kernel[0] } else { 1 }, kernel[1]],
                    stride: [1, if D > 1 { 1 + width / 80 } else { 1 }, 1],
                    padding: [[0; 2]; 3],
                    mode: Mode::Zeros,
                    dilation: [1, 1, dilation],
                };
                let operands = Operands::integers(&case, count);
                let plan = conv_plan::<D>(&case, &operands, activation(count));
                let expected = Expected::new(&plan, &operands);
                for_each_isa(plan, |plan, flush| {
                    check_forward(memory, flush, plan, &operands, &expected.output);
                });
                let laid = with_layouts(plan, [Layout::ChannelsFirst, Layout::ChannelsLast]);
                let output = channels_last(&expected.output, case.batch, case.out_channels);
                for_each_isa(laid, |plan, flush| check_forward(memory, flush, plan, &operands, &output));
                count += 1;
            }
        }
    }
    count as u32
}

/// How many convolutions were checked.
pub(super) fn check() -> usize {
    let memory = RefCell::new(Memory::default());
    let of = |count,
              strategy: proptest::strategy::BoxedStrategy<ConvCase>,
              run: fn(&mut Memory, &ConvCase, u64)| {
        let memory = RefCell::new(Memory::default());
        for_all(cases(count), (strategy, any::<u64>()), move |(case, seed)| {
            run(&mut memory.borrow_mut(), &case, seed);
        })
    };
    let transposed = |count, rank, run: fn(&mut Memory, &TransposeCase, u64)| {
        for_all(cases(count), (transpose_case(rank), any::<u64>()), |(case, seed)| {
            run(&mut memory.borrow_mut(), &case, seed);
        })
    };
    let counts = [
        check_whole_lines::<1>(&mut Memory::default()),
        check_whole_lines::<2>(&mut Memory::default()),
        check_whole_lines::<3>(&mut Memory::default()),
        of(450, conv_case(1).boxed(), check_conv::<1>),
        of(450, conv_case(2).boxed(), check_conv::<2>),
        of(450, conv_case(3).boxed(), check_conv::<3>),
        of(350, depthwise_case().boxed(), check_conv::<2>),
        of(100, winograd_case().boxed(), check_conv::<3>),
        transposed(100, 1, check_transposed::<1>),
        transposed(100, 2, check_transposed::<2>),
        transposed(100, 3, check_transposed::<3>),
    ];
    counts.iter().sum::<u32>() as usize
}

//! Pooling, linear layers, activations and losses.

use crate::plans::{Operands, activation, assert_same, pool_plan};
use im2col::{
    Activation, CrossEntropy, Gradients, Isa, LinearOperands, LinearParams, LinearPlan, PoolKind, PoolPlan,
    Softmax, Weights, naive,
};
use im2col_testkit::guard::{Flush, Guarded, Memory, bytes};
use im2col_testkit::operands::{integers, reals};
use im2col_testkit::oracle::{ConvCase, PoolCase};
use im2col_testkit::property::{cases, for_all};
use im2col_testkit::strategies::{adaptive_pool_case, average_pool_case, linear_case, max_pool_case};
use proptest::prelude::any;
use proptest::strategy::{BoxedStrategy, Strategy};
use std::cell::RefCell;

/// How many layers were checked.
pub(super) fn check() -> usize {
    let memory = RefCell::new(Memory::default());
    let pools = |strategy: BoxedStrategy<PoolCase>, run: fn(&mut Memory, &PoolCase, PoolKind, u64), kind| {
        let memory = RefCell::new(Memory::default());
        for_all(cases(100), (strategy, any::<u64>()), move |(case, seed)| {
            run(&mut memory.borrow_mut(), &case, kind, seed);
        })
    };
    let (max, average) = (PoolKind::Max, PoolKind::Average);
    let counts = [
        pools(max_pool_case(1).boxed(), check_pool::<1>, max),
        pools(max_pool_case(2).boxed(), check_pool::<2>, max),
        pools(max_pool_case(3).boxed(), check_pool::<3>, max),
        pools(average_pool_case(1).boxed(), check_pool::<1>, average),
        pools(average_pool_case(2).boxed(), check_pool::<2>, average),
        pools(average_pool_case(3).boxed(), check_pool::<3>, average),
        pools(adaptive_pool_case(2).boxed(), check_pool::<2>, max),
        pools(adaptive_pool_case(2).boxed(), check_pool::<2>, average),
        for_all(cases(300), (linear_case(), any::<u64>()), |(case, seed)| {
            check_linear(&mut memory.borrow_mut(), &case, seed);
        }),
        // A layer of one row.
        for_all(cases(100), (1..=70_usize, 1..=70_usize, any::<u64>()), |(inputs, outputs, seed)| {
            check_linear(&mut memory.borrow_mut(), &ConvCase::linear(1, inputs, outputs), seed);
        }),
        for_all(cases(200), (0..=3_usize, 1..=70_usize, 1..=40_usize), |(batch, classes, positions)| {
            let memory = &mut memory.borrow_mut();
            Isa::available().for_each(|isa| check_loss(memory, isa, [batch, classes, positions]));
            Isa::available().for_each(|isa| check_activations(memory, isa, batch * classes + positions));
        }),
    ];
    counts.iter().sum::<u32>() as usize
}

fn check_pool<const D: usize>(memory: &mut Memory, case: &PoolCase, kind: PoolKind, seed: u64) {
    let plan = pool_plan::<D>(case, kind);
    let (input, grad_output) = (integers(seed, plan.input_len()), integers(!seed, plan.output_len()));
    let (mut output, mut grad_input) = (vec![f32::NAN; grad_output.len()], vec![f32::NAN; input.len()]);
    naive::pool_forward(&plan, &input, &mut output).unwrap();
    naive::pool_backward(&plan, &input, &grad_output, &mut grad_input).unwrap();
    for plan in Isa::available().map(|isa| plan.with_isa(isa)) {
        if kind == PoolKind::Average {
            // Means round.
            plan.forward(&input, &mut output).unwrap();
            plan.backward(&input, &grad_output, &mut grad_input).unwrap();
        }
        for flush in Flush::BOTH {
            check_pool_plan(memory, flush, &plan, [&input, &grad_output], [&output, &grad_input]);
        }
    }
}

fn check_pool_plan<const D: usize>(
    memory: &mut Memory,
    flush: Flush,
    plan: &PoolPlan<D>,
    [input, grad_output]: [&[f32]; 2],
    [output, grad_input]: [&[f32]; 2],
) {
    let lens = [output.len(), 0];
    let given = memory.call(flush, [input, &[], &[], &[]], lens, |[x, ..], y, _| plan.forward(x, y));
    assert_same(given, output, (flush, plan));
    let lens = [input.len(), 0];
    let given = memory
        .call(flush, [input, grad_output, &[], &[]], lens, |[x, dy, ..], dx, _| plan.backward(x, dy, dx));
    assert_same(given, grad_input, (flush, plan));
    check_training(memory, flush, plan, [input, grad_output], [output, grad_input]);
    if plan.params().kind() == PoolKind::Max {
        check_indices(memory, flush, plan, input, output);
    }
}

/// The pass that keeps where the maxima were, and the gradient from that.
fn check_training<const D: usize>(
    memory: &mut Memory,
    flush: Flush,
    plan: &PoolPlan<D>,
    [input, grad_output]: [&[f32]; 2],
    [output, grad_input]: [&[f32]; 2],
) {
    let mut kept = Guarded::new();
    let workspace = kept.filled(f32::NAN, plan.workspace_bytes().div_ceil(4), flush);
    let workspace = bytes(workspace, plan.workspace_bytes(), flush);
    let given = memory.call(flush, [input, &[], &[], &[]], [output.len(), 0], |[x, ..], y, _| {
        plan.forward_train(x, y, workspace)
    });
    assert_same(given, output, ("training", flush, plan));
    let given = memory.call(flush, [grad_output, &[], &[], &[]], [input.len(), 0], |[dy, ..], dx, _| {
        plan.backward_from_workspace(workspace, dy, dx)
    });
    assert_same(given, grad_input, ("workspace", flush, plan));
}

fn check_indices<const D: usize>(
    memory: &mut Memory,
    flush: Flush,
    plan: &PoolPlan<D>,
    input: &[f32],
    output: &[f32],
) {
    let mut kept = Guarded::new();
    let indices: &mut [i64] = bytemuck::cast_slice_mut(kept.filled(f32::NAN, 2 * output.len(), flush));
    let given = memory.call(flush, [input, &[], &[], &[]], [output.len(), 0], |[x, ..], y, _| {
        plan.forward_with_indices(x, y, indices)
    });
    assert_same(given, output, ("indices", flush, plan));
    if indices.iter().any(|&index| index < 0) {
        return;
    }
    let mut unpooled = vec![f32::NAN; input.len()];
    naive::unpool(plan, output, indices, &mut unpooled).unwrap();
    let given = memory
        .call(flush, [output, &[], &[], &[]], [input.len(), 0], |[y, ..], x, _| plan.unpool(y, indices, x));
    assert_same(given, &unpooled, ("unpool", flush, plan));
    let mut pooled = vec![f32::NAN; output.len()];
    naive::unpool_backward(plan, input, indices, &mut pooled).unwrap();
    let given = memory.call(flush, [input, &[], &[], &[]], [output.len(), 0], |[dx, ..], dy, _| {
        plan.unpool_backward(dx, indices, dy)
    });
    assert_same(given, &pooled, ("unpool_backward", flush, plan));
}

fn check_linear(memory: &mut Memory, case: &ConvCase, seed: u64) {
    let operands = Operands::integers(case, seed);
    let Operands { input, weight, bias, grad_output } = &operands;
    let params = LinearParams::new(case.in_channels, case.out_channels)
        .with_bias(!bias.is_empty())
        .with_activation(activation(seed));
    let plan = params.plan(case.batch).unwrap();
    let lens = [plan.input_len(), plan.weight_len(), plan.bias_len()];
    let mut output = vec![f32::NAN; plan.output_len()];
    naive::linear_forward(&plan, input, weight, bias, &mut output).unwrap();
    let [mut grad_input, mut grad_weight, mut grad_bias] = lens.map(|len| vec![f32::NAN; len]);
    naive::linear_backward_input(&plan, weight, grad_output, &mut grad_input).unwrap();
    naive::linear_backward_weight(&plan, input, grad_output, &mut grad_weight).unwrap();
    naive::linear_backward_bias(&plan, grad_output, &mut grad_bias).unwrap();
    for (isa, flush) in Isa::available().flat_map(|isa| Flush::BOTH.map(|flush| (isa, flush))) {
        let plan = plan.with_isa(isa);
        check_linear_output(memory, flush, &plan, &operands, &output);
        let [of_input, of_weight, of_bias] = memory.call_for_three(
            flush,
            [input, weight, grad_output, &[]],
            lens,
            plan.backward_scratch_len(),
            |[x, w, dy, _], [input, weight, bias], s| {
                plan.backward(x, w, dy, Gradients { input, weight, bias }, s)
            },
        );
        assert_same(of_input, &grad_input, ("grad_input", flush, plan));
        assert_same(of_weight, &grad_weight, ("grad_weight", flush, plan));
        assert_same(of_bias, &grad_bias, ("grad_bias", flush, plan));
    }
}

fn check_linear_output(
    memory: &mut Memory,
    flush: Flush,
    plan: &LinearPlan,
    operands: &Operands,
    expected: &[f32],
) {
    let Operands { input, weight, bias, .. } = operands;
    let lens = [expected.len(), plan.scratch_len()];
    let given = memory.call(flush, [input, weight, bias, &[]], lens, |[x, w, b, _], y, s| {
        plan.forward(LinearOperands { input: x, weight: Weights::Plain(w), bias: b }, y, s)
    });
    assert_same(given, expected, (flush, plan));
    let (mut plain, mut packed) = (Guarded::new(), Guarded::new());
    let packed = packed.filled(f32::NAN, plan.packed_weight_len(), flush);
    let packed = plan.pack_weights(plain.holding(weight, flush), packed).unwrap();
    let given = memory.call(flush, [input, bias, &[], &[]], lens, |[x, b, ..], y, s| {
        plan.forward(LinearOperands { input: x, weight: Weights::Packed(packed), bias: b }, y, s)
    });
    assert_same(given, expected, ("packed", flush, plan));
}

/// Equal to the same call on ordinary memory: the values are functions that round.
#[track_caller]
fn check_same<E: std::fmt::Debug>(
    memory: &mut Memory,
    operands: [&[f32]; 2],
    len: usize,
    f: impl Fn(&[f32], &[f32], &mut [f32]) -> Result<(), E>,
) {
    let mut expected = vec![f32::NAN; len];
    f(operands[0], operands[1], &mut expected).unwrap();
    for flush in Flush::BOTH {
        let given =
            memory.call(flush, [operands[0], operands[1], &[], &[]], [len, 0], |[a, b, ..], y, _| f(a, b, y));
        assert_same(given, &expected, flush);
    }
}

fn check_activations(memory: &mut Memory, isa: Isa, len: usize) {
    let (x, g) = (reals(1, len), reals(2, len));
    for activation in [Activation::Identity, Activation::Relu, Activation::Sigmoid, Activation::Tanh] {
        check_same(memory, [&x, &[]], len, |x, _, y| activation.forward_with_isa(isa, x, y));
        check_same(memory, [&x, &g], len, |x, g, y| activation.backward_with_isa(isa, x, g, y));
        check_same::<()>(memory, [&x, &[]], len, |x, _, y| {
            y.copy_from_slice(x);
            activation.forward_in_place_with_isa(isa, y);
            Ok(())
        });
        check_same(memory, [&x, &g], len, |x, g, y| {
            y.copy_from_slice(g);
            activation.backward_in_place_with_isa(isa, x, y)
        });
    }
}

fn check_loss(memory: &mut Memory, isa: Isa, [batch, classes, positions]: [usize; 3]) {
    let rows = batch * positions;
    let len = rows * classes;
    let (logits, targets) = (reals(3, len), reals(4, len));
    let labels: Vec<i32> = (0..rows).map(|row| (row * 7 % classes) as i32).collect();
    let softmax = Softmax::new(classes).with_positions(positions).with_isa(isa);
    let loss = CrossEntropy::new(classes).with_positions(positions).with_isa(isa);
    check_same(memory, [&logits, &[]], len, |x, _, y| softmax.forward(x, y));
    check_same(memory, [&logits, &targets], len, |x, g, y| softmax.backward(x, g, y));
    check_same(memory, [&logits, &[]], len, |x, _, y| loss.backward(x, &labels, 0.5, y).map(drop));
    check_same(memory, [&logits, &targets], len, |x, t, y| loss.backward_soft(x, t, 0.5, y).map(drop));
    check_same(memory, [&logits, &[]], 1, |x, _, y| loss.forward(x, &labels).map(|loss| y[0] = loss));
}

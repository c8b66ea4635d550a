//! The core never allocates, whatever the shape. Counts per thread, so other tests do not disturb.

use crate::plans::{Operands, conv_plan, each_rank, isas, packing_algorithms, pool_plan};
use im2col::{
    Activation, CrossEntropy, Isa, LinearOperands, LinearParams, LinearPlan, PoolKind, PoolPlan, RunError,
    Softmax, Weights,
};
use im2col_testkit::alloc::{CountingAllocator, count_allocations};
use im2col_testkit::oracle::{ConvCase, PoolCase};
use im2col_testkit::property::{cases, for_all};
use im2col_testkit::strategies::{linear_case, winograd_case};
use proptest::prelude::any;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Fails if `f` allocates or returns an error.
#[track_caller]
fn assert_no_allocation(f: impl FnOnce() -> Result<(), RunError>) {
    assert_eq!(count_allocations(f), (Ok(()), 0));
}

fn zeros(len: usize) -> Vec<f32> {
    vec![0.0; len]
}

#[test]
fn the_counter_counts() {
    assert_eq!(count_allocations(|| zeros(10)).1, 1);
}

each_rank!(convolution, 200, conv_case, a_convolution_does_not_allocate);

#[test]
fn winograd() {
    for_all(cases(50), (winograd_case(), any::<u64>()), |(case, seed)| {
        a_convolution_does_not_allocate::<3>(&case, seed);
    });
}

fn a_convolution_does_not_allocate<const D: usize>(case: &ConvCase, seed: u64) {
    let operands = Operands::reals(case, seed);
    let plan = conv_plan::<D>(case, &operands, Activation::Tanh);
    let dims = plan.input_dims();
    assert_no_allocation(|| plan.params().plan(case.batch, dims).map(|_| ()).map_err(|_| unreachable!()));
    for plan in packing_algorithms(plan).flat_map(isas) {
        let Operands { input, weight, grad_output, .. } = &operands;
        let [mut output, mut columns, mut packed] =
            [plan.output_len(), plan.columns_len(), plan.packed_weight_len()].map(zeros);
        let [mut grad_input, mut grad_weight, mut grad_bias] =
            [plan.input_len(), plan.weight_len(), plan.bias_len()].map(zeros);
        let scratches =
            [plan.scratch_len(), plan.backward_input_scratch_len(), plan.backward_weight_scratch_len()];
        let [mut scratch, mut input_scratch, mut weight_scratch] = scratches.map(zeros);
        assert_no_allocation(|| {
            let packed = Weights::Packed(plan.pack_weights(weight, &mut packed)?);
            plan.forward(operands.of_conv(packed), &mut output, &mut scratch)?;
            plan.forward(operands.of_conv(Weights::Plain(weight)), &mut output, &mut scratch)?;
            plan.backward_input(weight, grad_output, &mut grad_input, &mut input_scratch)?;
            plan.backward_weight(input, grad_output, &mut grad_weight, &mut weight_scratch)?;
            plan.backward_bias(grad_output, &mut grad_bias)?;
            plan.im2col(input, &mut columns)?;
            plan.col2im(&columns, &mut grad_input)
        });
    }
}

#[test]
fn a_linear_layer_does_not_allocate() {
    for_all(cases(300), (linear_case(), any::<u64>()), |(case, seed)| {
        let operands = Operands::reals(&case, seed);
        let params = LinearParams::new(case.in_channels, case.out_channels).with_bias(false);
        let plan = params.plan(case.batch).unwrap();
        Isa::available().for_each(|isa| linear(&plan.with_isa(isa), &operands));
    });
}

fn linear(plan: &LinearPlan, operands: &Operands) {
    let Operands { input, weight, grad_output, .. } = operands;
    let [mut output, mut packed] = [plan.output_len(), plan.packed_weight_len()].map(zeros);
    let [mut grad_input, mut grad_weight] = [plan.input_len(), plan.weight_len()].map(zeros);
    let scratches =
        [plan.scratch_len(), plan.backward_input_scratch_len(), plan.backward_weight_scratch_len()];
    let [mut scratch, mut input_scratch, mut weight_scratch] = scratches.map(zeros);
    assert_no_allocation(|| {
        let packed = Weights::Packed(plan.pack_weights(weight, &mut packed)?);
        for weight in [Weights::Plain(weight), packed] {
            plan.forward(LinearOperands { input, weight, bias: &[] }, &mut output, &mut scratch)?;
        }
        plan.backward_input(weight, grad_output, &mut grad_input, &mut input_scratch)?;
        plan.backward_weight(input, grad_output, &mut grad_weight, &mut weight_scratch)?;
        plan.backward_bias(grad_output, &mut [])
    });
}

#[test]
fn a_loss_does_not_allocate() {
    for isa in Isa::available() {
        for (classes, positions) in [(10, 1), (600, 1), (21, 35), (600, 17)] {
            let softmax = Softmax::new(classes).with_positions(positions).with_isa(isa);
            let loss = CrossEntropy::new(classes).with_positions(positions).with_isa(isa);
            let len = 3 * classes * positions;
            let (logits, labels) = (zeros(len), vec![1_u16; 3 * positions]);
            let [mut output, mut grad] = [len, len].map(zeros);
            assert_no_allocation(|| {
                softmax.forward(&logits, &mut output)?;
                softmax.backward(&output, &logits, &mut grad)?;
                loss.forward(&logits, &labels)?;
                loss.backward(&logits, &labels, 0.5, &mut grad)?;
                loss.forward_soft(&logits, &output)?;
                loss.backward_soft(&logits, &output, 0.5, &mut grad).map(|_| ())
            });
        }
    }
}

each_rank!(pooling, 200, average_pool_case, a_pooling_does_not_allocate);
each_rank!(adaptive_pooling, 100, adaptive_pool_case, a_pooling_does_not_allocate);

fn a_pooling_does_not_allocate<const D: usize>(case: &PoolCase, _seed: u64) {
    for kind in [PoolKind::Max, PoolKind::Average] {
        let plan: PoolPlan<D> = pool_plan(case, kind);
        for isa in Isa::available() {
            let plan = plan.with_isa(isa);
            let [input, mut output, mut grad_input] =
                [plan.input_len(), plan.output_len(), plan.input_len()].map(zeros);
            let (mut workspace, mut indices) = (vec![0; plan.workspace_bytes()], vec![0; plan.output_len()]);
            assert_no_allocation(|| {
                plan.forward(&input, &mut output)?;
                plan.backward(&input, &output, &mut grad_input)?;
                plan.forward_train(&input, &mut output, &mut workspace)?;
                plan.backward_from_workspace(&workspace, &output, &mut grad_input)?;
                if kind == PoolKind::Max {
                    plan.forward_with_indices(&input, &mut output, &mut indices)?;
                    plan.unpool(&output, &indices, &mut grad_input)?;
                    plan.unpool_backward(&input, &indices, &mut output)?;
                }
                Ok(())
            });
        }
    }
}

//! Pooling of rank 1 to 3, activations, losses, and what reports errors.

use crate::measure::Table;
use anyhow::Result;
use im2col::{
    Activation, ConvParams, CrossEntropy, Isa, PoolKind, PoolParams, PoolPlan, Softmax, argmax, naive,
};
use im2col_benches::catalogue::POOLS;
use im2col_benches::operand;

pub(crate) fn measure(table: &mut Table) -> Result<()> {
    for (_, shape) in POOLS {
        pooling(table, shape.params, [shape.batch.min(2), shape.channels], shape.input)?;
    }
    pooling(table, PoolParams::average([3]).with_padding([1]), [1, 3], [50])?;
    pooling(table, PoolParams::max([3, 3]).with_dilation([2, 2]).with_ceil_mode(true), [2, 3], [12, 12])?;
    pooling(table, PoolParams::average([9, 9]), [2, 3], [36, 36])?;
    pooling(table, PoolParams::adaptive_average([3, 5]), [2, 3], [17, 11])?;
    pooling(table, PoolParams::global_max(), [2, 3], [17, 11])?;
    pooling(table, PoolParams::max([2, 2, 2]), [2, 3], [6, 6, 6])?;
    for isa in Isa::available() {
        for activation in [Activation::Identity, Activation::Relu, Activation::Sigmoid, Activation::Tanh] {
            activations(table, activation, isa)?;
        }
        for (classes, positions) in [(10, 1), (600, 1), (21, 35), (600, 17)] {
            losses(table, isa, classes, positions)?;
        }
    }
    table.call_any("Isa::detect", Isa::detect)?;
    table.call_any("naive::corr2d", || naive::corr2d(&[1.0; 9], [3, 3], &[1.0; 4], [2, 2], &mut [0.0; 4]))?;
    table.call_any("naive::true_conv2d", || {
        naive::true_conv2d(&[1.0; 9], [3, 3], &[1.0; 4], [2, 2], &mut [0.0; 4])
    })?;
    if let Err(error) = ConvParams::new(2, 3, [9, 9]).plan(1, [4, 4]) {
        table.call_any("ShapeError::message", || error.message())?;
        table.call_any("ShapeError::to_string", || error.to_string())?;
    }
    if let Err(error) = Activation::Tanh.forward(&[0.0], &mut []) {
        table.call_any("RunError::to_string", || error.to_string())?;
    }
    Ok(())
}

fn pooling<const D: usize>(
    table: &mut Table,
    params: PoolParams<D>,
    [batch, channels]: [usize; 2],
    dims: [usize; D],
) -> Result<()> {
    table.call_any("PoolParams::plan", || params.plan(batch, channels, dims))?;
    let plan = params.plan(batch, channels, dims)?;
    for isa in Isa::available() {
        passes(table, &plan.with_isa(isa), isa)?;
        if plan.params().kind() == PoolKind::Max {
            indices(table, &plan.with_isa(isa), isa)?;
        }
    }
    Ok(())
}

fn passes<const D: usize>(table: &mut Table, plan: &PoolPlan<D>, isa: Isa) -> Result<()> {
    let (input, mut grad_input) = (operand(plan.input_len(), 1), operand(plan.input_len(), 2));
    let (mut output, mut workspace) = (operand(plan.output_len(), 3), vec![0; plan.workspace_bytes()]);
    table.call("PoolPlan::forward", isa, || plan.forward(&input, &mut output))?;
    table.call("PoolPlan::backward", isa, || plan.backward(&input, &output, &mut grad_input))?;
    table.call("PoolPlan::forward_train", isa, || plan.forward_train(&input, &mut output, &mut workspace))?;
    table.call("PoolPlan::backward_from_workspace", isa, || {
        plan.backward_from_workspace(&workspace, &output, &mut grad_input)
    })?;
    table.call_any("naive::pool_forward", || naive::pool_forward(plan, &input, &mut output))?;
    table.call_any("naive::pool_backward", || naive::pool_backward(plan, &input, &output, &mut grad_input))
}

fn indices<const D: usize>(table: &mut Table, plan: &PoolPlan<D>, isa: Isa) -> Result<()> {
    let (mut input, mut output) = (operand(plan.input_len(), 1), operand(plan.output_len(), 3));
    let mut indices = vec![0; plan.output_len()];
    table.call("PoolPlan::forward_with_indices", isa, || {
        plan.forward_with_indices(&input, &mut output, &mut indices)
    })?;
    table.call("PoolPlan::unpool", isa, || plan.unpool(&output, &indices, &mut input))?;
    table.call("PoolPlan::unpool_backward", isa, || plan.unpool_backward(&input, &indices, &mut output))?;
    table.call_any("naive::pool_indices", || naive::pool_indices(plan, &input, &mut indices))?;
    table.call_any("naive::unpool", || naive::unpool(plan, &output, &indices, &mut input))?;
    table.call_any("naive::unpool_backward", || naive::unpool_backward(plan, &input, &indices, &mut output))
}

fn activations(table: &mut Table, activation: Activation, isa: Isa) -> Result<()> {
    let (input, mut output, mut grad) = (operand(1000, 1), operand(1000, 2), operand(1000, 3));
    table.call("Activation::forward_with_isa", isa, || {
        activation.forward_with_isa(isa, &input, &mut output)
    })?;
    table.call("Activation::forward_in_place_with_isa", isa, || {
        activation.forward_in_place_with_isa(isa, &mut output)
    })?;
    table.call("Activation::backward_with_isa", isa, || {
        activation.backward_with_isa(isa, &output, &input, &mut grad)
    })?;
    table.call("Activation::backward_in_place_with_isa", isa, || {
        activation.backward_in_place_with_isa(isa, &output, &mut grad)
    })
}

fn losses(table: &mut Table, isa: Isa, classes: usize, positions: usize) -> Result<()> {
    let softmax = Softmax::new(classes).with_positions(positions).with_isa(isa);
    let loss = CrossEntropy::new(classes).with_positions(positions).with_isa(isa);
    let (logits, labels) = (operand(3 * classes * positions, 1), vec![1_u16; 3 * positions]);
    let (mut output, mut grad) = (logits.clone(), logits.clone());
    table.call("Softmax::forward", isa, || softmax.forward(&logits, &mut output))?;
    table.call("Softmax::backward", isa, || softmax.backward(&output, &logits, &mut grad))?;
    table.call("CrossEntropy::forward", isa, || loss.forward(&logits, &labels))?;
    table.call("CrossEntropy::backward", isa, || loss.backward(&logits, &labels, 0.5, &mut grad))?;
    table.call("CrossEntropy::forward_soft", isa, || loss.forward_soft(&logits, &output))?;
    table
        .call("CrossEntropy::backward_soft", isa, || loss.backward_soft(&logits, &output, 0.5, &mut grad))?;
    table.call_any("argmax", || argmax(&logits))?;
    let dims = [3, classes, positions];
    table.call_any("naive::softmax", || naive::softmax(&logits, dims, &mut output))?;
    table
        .call_any("naive::softmax_backward", || naive::softmax_backward(&output, &logits, dims, &mut grad))?;
    table.call_any("naive::cross_entropy", || naive::cross_entropy(&logits, &output, dims))?;
    table.call_any("naive::cross_entropy_backward", || {
        naive::cross_entropy_backward(&logits, &output, dims, &mut grad)
    })
}

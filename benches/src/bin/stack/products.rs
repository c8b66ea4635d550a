//! Convolutions of rank 1 to 3, transposed ones, im2col matrices, and linear layers: passes, gradients, limits, definitions.

use crate::measure::Table;
use anyhow::Result;
use im2col::{
    Activation, ConvOperands, ConvParams, ConvPlan, ConvTransposePlan, Gradients, Im2colParams, Isa,
    LinearOperands, LinearParams, LinearPlan, PaddingMode, Weights, naive,
};
use im2col_benches::catalogue::CONVOLUTIONS;
use im2col_benches::operand;

/// Larger shapes of the catalogue take the same code as smaller ones.
const MOST_PRODUCTS: usize = if cfg!(debug_assertions) { 1 << 21 } else { 1 << 24 };
/// What a definition computes in no time.
const MOST_NAIVE_PRODUCTS: usize = 1 << 17;

pub(crate) fn measure(table: &mut Table) -> Result<()> {
    for (_, shape) in CONVOLUTIONS {
        if shape.multiply_adds() <= MOST_PRODUCTS {
            convolution(table, shape.params(), shape.batch, shape.input)?;
        }
        if let Some(params) = shape.params_1d() {
            convolution(table, params, shape.batch, [100])?;
        }
    }
    let reflected =
        ConvParams::new(4, 40, [3, 3]).with_padding([1, 1]).with_padding_mode(PaddingMode::Reflect);
    convolution(table, reflected, 2, [12, 20])?;
    convolution(table, ConvParams::new(8, 20, [1, 1]).with_activation(Activation::Tanh), 1, [15, 15])?;
    convolution(
        table,
        ConvParams::new(16, 24, [3, 3]).with_stride([2, 2]).with_dilation([2, 2]),
        1,
        [21, 21],
    )?;
    convolution(table, ConvParams::new(8, 16, [3, 3, 3]).with_padding([1; 3]).with_groups(2), 1, [6; 3])?;
    transposed(table, ConvParams::new(6, 20, [9]).with_stride([3]), [40])?;
    transposed(table, ConvParams::new(6, 20, [4, 4]).with_stride([2, 2]).with_padding([1, 1]), [9, 9])?;
    transposed(table, ConvParams::new(8, 8, [3, 3]).with_groups(8), [9, 9])?;
    transposed(table, ConvParams::new(4, 20, [3, 3, 3]).with_stride([2; 3]), [4; 3])?;
    for (inputs, outputs, batch) in [(400, 120, 1), (400, 120, 64), (3, 5, 2)] {
        linear(table, LinearParams::new(inputs, outputs), batch)?;
    }
    Ok(())
}

fn convolution<const D: usize>(
    table: &mut Table,
    params: ConvParams<D>,
    batch: usize,
    dims: [usize; D],
) -> Result<()> {
    table.call_any("ConvParams::plan", || params.plan(batch, dims))?;
    let plan = params.plan(batch, dims)?;
    table.call_any("ConvPlan::algorithms", || plan.algorithms().count())?;
    let (len, backward_len) = (plan.scratch_len(), plan.backward_scratch_len());
    for isa in Isa::available() {
        let plan = plan.with_isa(isa);
        for algorithm in plan.algorithms() {
            table.call_any("ConvPlan::with_algorithm", || plan.with_algorithm(algorithm))?;
            forward(table, &plan.with_algorithm(algorithm)?, isa)?;
        }
        gradients(table, &plan, isa)?;
        for part in [0, 2] {
            let limit = len / 3 * part;
            table.call_any("ConvPlan::with_scratch_limit", || plan.with_scratch_limit(limit))?;
            forward(table, &plan.with_scratch_limit(limit), isa)?;
            let limit = backward_len / 3 * part;
            table.call_any("ConvPlan::with_backward_scratch_limit", || {
                plan.with_backward_scratch_limit(limit)
            })?;
            gradients(table, &plan.with_backward_scratch_limit(limit), isa)?;
        }
        matrices(table, &plan, isa)?;
    }
    if plan.multiply_adds() <= MOST_NAIVE_PRODUCTS {
        definitions(table, &plan)?;
    }
    let matrices =
        Im2colParams::new(params.in_channels(), params.kernel()).with_padding_rule(params.padding());
    table.call_any("Im2colParams::plan", || matrices.plan(batch, dims))
}

fn forward<const D: usize>(table: &mut Table, plan: &ConvPlan<D>, isa: Isa) -> Result<()> {
    let (input, weight) = (operand(plan.input_len(), 1), operand(plan.weight_len(), 2));
    let (bias, mut output) = (operand(plan.bias_len(), 3), operand(plan.output_len(), 4));
    let (mut scratch, mut packed) = (operand(plan.scratch_len(), 5), operand(plan.packed_weight_len(), 6));
    let operands = |weight| ConvOperands { input: &input, weight, bias: &bias };
    let name = format!("ConvPlan::forward, {}", plan.algorithm().name());
    table.call(&name, isa, || plan.forward(operands(Weights::Plain(&weight)), &mut output, &mut scratch))?;
    table.call("ConvPlan::pack_weights", isa, || plan.pack_weights(&weight, &mut packed).is_ok())?;
    let packed = plan.pack_weights(&weight, &mut packed)?;
    table.call(&name, isa, || plan.forward(operands(Weights::Packed(packed)), &mut output, &mut scratch))
}

fn gradients<const D: usize>(table: &mut Table, plan: &ConvPlan<D>, isa: Isa) -> Result<()> {
    let (input, weight) = (operand(plan.input_len(), 1), operand(plan.weight_len(), 2));
    let (grad, mut scratch) = (operand(plan.output_len(), 3), operand(plan.backward_scratch_len(), 4));
    let (mut grad_input, mut grad_weight) = (input.clone(), weight.clone());
    let mut grad_bias = operand(plan.bias_len(), 5);
    table.call("ConvPlan::backward_input", isa, || {
        plan.backward_input(&weight, &grad, &mut grad_input, &mut scratch)
    })?;
    table.call("ConvPlan::backward_weight", isa, || {
        plan.backward_weight(&input, &grad, &mut grad_weight, &mut scratch)
    })?;
    table.call("ConvPlan::backward_bias", isa, || plan.backward_bias(&grad, &mut grad_bias))?;
    table.call("ConvPlan::backward", isa, || {
        let gradients = Gradients { input: &mut grad_input, weight: &mut grad_weight, bias: &mut grad_bias };
        plan.backward(&input, &weight, &grad, gradients, &mut scratch)
    })
}

fn matrices<const D: usize>(table: &mut Table, plan: &ConvPlan<D>, isa: Isa) -> Result<()> {
    let mut input = operand(plan.input_len(), 1);
    let mut columns = vec![0.0; plan.columns_len()];
    table.call("ConvPlan::im2col", isa, || plan.im2col(&input, &mut columns))?;
    table.call("ConvPlan::col2im", isa, || plan.col2im(&columns, &mut input))?;
    table.call("ConvPlan::columns", isa, || plan.columns(&input).is_ok())?;
    let view = plan.columns(&input)?;
    table.call("Columns::get", isa, || view.get(0, 0))?;
    let block = &mut columns[..view.columns()];
    table.call("Columns::copy_block", isa, || view.copy_block(0..1, 0..view.columns(), block))
}

fn definitions<const D: usize>(table: &mut Table, plan: &ConvPlan<D>) -> Result<()> {
    let (mut input, mut weight) = (operand(plan.input_len(), 1), operand(plan.weight_len(), 2));
    let (mut bias, mut output) = (operand(plan.bias_len(), 3), operand(plan.output_len(), 4));
    table
        .call_any("naive::conv_forward", || naive::conv_forward(plan, &input, &weight, &bias, &mut output))?;
    table.call_any("naive::conv_backward_input", || {
        naive::conv_backward_input(plan, &weight, &output, &mut input)
    })?;
    table.call_any("naive::conv_backward_weight", || {
        naive::conv_backward_weight(plan, &input, &output, &mut weight)
    })?;
    table.call_any("naive::conv_backward_bias", || naive::conv_backward_bias(plan, &output, &mut bias))?;
    let mut matrix = vec![0.0; input.len() * output.len() / plan.batch() / plan.batch()];
    table.call_any("naive::dense_matrix", || naive::dense_matrix(plan, &weight, &mut matrix))
}

fn transposed<const D: usize>(table: &mut Table, params: ConvParams<D>, dims: [usize; D]) -> Result<()> {
    table.call_any("ConvParams::plan_transposed", || params.plan_transposed(2, dims))?;
    let plan = params.plan_transposed(2, dims)?;
    for isa in Isa::available() {
        let plan = plan.with_isa(isa);
        transposed_passes(table, &plan, isa)?;
        table.call_any("ConvTransposePlan::with_scratch_limit", || plan.with_scratch_limit(0))?;
        table.call_any("ConvTransposePlan::with_backward_scratch_limit", || {
            plan.with_backward_scratch_limit(0)
        })?;
        transposed_passes(table, &plan.with_scratch_limit(0).with_backward_scratch_limit(0), isa)?;
    }
    Ok(())
}

fn transposed_passes<const D: usize>(table: &mut Table, plan: &ConvTransposePlan<D>, isa: Isa) -> Result<()> {
    let (mut input, mut weight) = (operand(plan.input_len(), 1), operand(plan.weight_len(), 2));
    let (mut bias, mut output) = (operand(plan.bias_len(), 3), operand(plan.output_len(), 4));
    let mut scratch = operand(plan.scratch_len().max(plan.backward_scratch_len()), 5);
    let mut packed = operand(plan.packed_weight_len(), 6);
    table.call("ConvTransposePlan::pack_weights", isa, || plan.pack_weights(&weight, &mut packed).is_ok())?;
    let packed = plan.pack_weights(&weight, &mut packed)?;
    for weight in [Weights::Plain(&weight), Weights::Packed(packed)] {
        let operands = ConvOperands { input: &input, weight, bias: &bias };
        table
            .call("ConvTransposePlan::forward", isa, || plan.forward(operands, &mut output, &mut scratch))?;
    }
    let (grad, values, plain) = (output.clone(), input.clone(), weight.clone());
    table.call("ConvTransposePlan::backward", isa, || {
        let gradients = Gradients { input: &mut input, weight: &mut weight, bias: &mut bias };
        plan.backward(&values, &plain, &grad, gradients, &mut scratch)
    })?;
    table.call_any("naive::conv_transpose_forward", || {
        naive::conv_transpose_forward(plan, &values, &plain, &bias, &mut output)
    })?;
    table.call_any("naive::conv_transpose_backward_input", || {
        naive::conv_transpose_backward_input(plan, &plain, &grad, &mut input)
    })?;
    table.call_any("naive::conv_transpose_backward_weight", || {
        naive::conv_transpose_backward_weight(plan, &values, &grad, &mut weight)
    })?;
    table.call_any("naive::conv_transpose_backward_bias", || {
        naive::conv_transpose_backward_bias(plan, &grad, &mut bias)
    })
}

fn linear(table: &mut Table, params: LinearParams, batch: usize) -> Result<()> {
    table.call_any("LinearParams::plan", || params.plan(batch))?;
    let plan = params.plan(batch)?;
    for isa in Isa::available() {
        let plan = plan.with_isa(isa);
        linear_passes(table, &plan, isa)?;
        linear_passes(table, &plan.with_scratch_limit(0).with_backward_scratch_limit(0), isa)?;
    }
    Ok(())
}

fn linear_passes(table: &mut Table, plan: &LinearPlan, isa: Isa) -> Result<()> {
    let (mut input, mut weight) = (operand(plan.input_len(), 1), operand(plan.weight_len(), 2));
    let (mut bias, mut output) = (operand(plan.bias_len(), 3), operand(plan.output_len(), 4));
    let mut scratch = operand(plan.scratch_len().max(plan.backward_scratch_len()), 5);
    let mut packed = operand(plan.packed_weight_len(), 6);
    table.call("LinearPlan::pack_weights", isa, || plan.pack_weights(&weight, &mut packed).is_ok())?;
    let packed = plan.pack_weights(&weight, &mut packed)?;
    for weight in [Weights::Plain(&weight), Weights::Packed(packed)] {
        let operands = LinearOperands { input: &input, weight, bias: &bias };
        table.call("LinearPlan::forward", isa, || plan.forward(operands, &mut output, &mut scratch))?;
    }
    let (grad, values, plain) = (output.clone(), input.clone(), weight.clone());
    table.call("LinearPlan::backward", isa, || {
        let gradients = Gradients { input: &mut input, weight: &mut weight, bias: &mut bias };
        plan.backward(&values, &plain, &grad, gradients, &mut scratch)
    })?;
    table.call_any("naive::linear_forward", || {
        naive::linear_forward(plan, &values, &plain, &bias, &mut output)
    })?;
    table.call_any("naive::linear_backward_input", || {
        naive::linear_backward_input(plan, &plain, &grad, &mut input)
    })?;
    table.call_any("naive::linear_backward_weight", || {
        naive::linear_backward_weight(plan, &values, &grad, &mut weight)
    })?;
    table.call_any("naive::linear_backward_bias", || naive::linear_backward_bias(plan, &grad, &mut bias))
}

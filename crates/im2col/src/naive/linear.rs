//! Fully connected layers by their definition.

use crate::error::{RunError, check_len};
use crate::linear::LinearPlan;

/// A fully connected layer: `y[n, m] = act(b[m] + sum over i of x[n, i] w[m, i])`.
///
/// # Errors
///
/// If an operand's length is not the plan's.
pub fn linear_forward(
    plan: &LinearPlan,
    input: &[f32],
    weight: &[f32],
    bias: &[f32],
    output: &mut [f32],
) -> Result<(), RunError> {
    check_len("input", plan.input_len(), input.len())?;
    check_len("weight", plan.weight_len(), weight.len())?;
    check_len("bias", plan.bias_len(), bias.len())?;
    check_len("output", plan.output_len(), output.len())?;
    let (inputs, outputs) = (plan.params().inputs(), plan.params().outputs());
    for (o, y) in output.iter_mut().enumerate() {
        let (n, m) = (o / outputs, o % outputs);
        *y = 0.0;
        for i in 0..inputs {
            *y += input[n * inputs + i] * weight[m * inputs + i];
        }
        if plan.params().has_bias() {
            *y += bias[m];
        }
        *y = plan.params().activation().apply(*y);
    }
    Ok(())
}

/// `grad_input[n, i] = sum over m of grad_output[n, m] w[m, i]`.
///
/// # Errors
///
/// If an operand's length is not the plan's.
pub fn linear_backward_input(
    plan: &LinearPlan,
    weight: &[f32],
    grad_output: &[f32],
    grad_input: &mut [f32],
) -> Result<(), RunError> {
    check_len("weight", plan.weight_len(), weight.len())?;
    check_len("grad_output", plan.output_len(), grad_output.len())?;
    check_len("grad_input", plan.input_len(), grad_input.len())?;
    let (inputs, outputs) = (plan.params().inputs(), plan.params().outputs());
    grad_input.fill(0.0);
    for (o, grad) in grad_output.iter().enumerate() {
        let (n, m) = (o / outputs, o % outputs);
        for i in 0..inputs {
            grad_input[n * inputs + i] += grad * weight[m * inputs + i];
        }
    }
    Ok(())
}

/// `grad_weight[m, i] = sum over n of grad_output[n, m] x[n, i]`.
///
/// # Errors
///
/// If an operand's length is not the plan's.
pub fn linear_backward_weight(
    plan: &LinearPlan,
    input: &[f32],
    grad_output: &[f32],
    grad_weight: &mut [f32],
) -> Result<(), RunError> {
    check_len("input", plan.input_len(), input.len())?;
    check_len("grad_output", plan.output_len(), grad_output.len())?;
    check_len("grad_weight", plan.weight_len(), grad_weight.len())?;
    let (inputs, outputs) = (plan.params().inputs(), plan.params().outputs());
    grad_weight.fill(0.0);
    for (o, grad) in grad_output.iter().enumerate() {
        let (n, m) = (o / outputs, o % outputs);
        for i in 0..inputs {
            grad_weight[m * inputs + i] += grad * input[n * inputs + i];
        }
    }
    Ok(())
}

/// `grad_bias[m] = sum over n of grad_output[n, m]`.
///
/// # Errors
///
/// If an operand's length is not the plan's.
pub fn linear_backward_bias(
    plan: &LinearPlan,
    grad_output: &[f32],
    grad_bias: &mut [f32],
) -> Result<(), RunError> {
    check_len("grad_output", plan.output_len(), grad_output.len())?;
    check_len("grad_bias", plan.bias_len(), grad_bias.len())?;
    grad_bias.fill(0.0);
    if plan.params().has_bias() {
        for (o, grad) in grad_output.iter().enumerate() {
            grad_bias[o % plan.params().outputs()] += grad;
        }
    }
    Ok(())
}

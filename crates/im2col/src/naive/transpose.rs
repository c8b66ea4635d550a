//! Transposed convolution by its definition.

use super::loops::for_each_product;
use crate::conv::ConvTransposePlan;
use crate::error::{RunError, check_len};

/// Every input spreads the kernel over the output:
///
/// `y[n, m, p * stride + k * dilation - padding] += x[n, c, p] w[c, m, k]`
///
/// where `m` runs over the channels of the group of `c`; then bias and activation.
///
/// ```
/// use im2col::{ConvParams, naive};
///
/// let plan = ConvParams::new(1, 1, [2, 2]).with_bias(false).plan_transposed(1, [2, 2])?;
/// let mut y = [0.0; 9];
/// naive::conv_transpose_forward(&plan, &[0., 1., 2., 3.], &[0., 1., 2., 3.], &[], &mut y)?;
/// assert_eq!(y, [0., 0., 1., 0., 4., 6., 4., 12., 9.]);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
///
/// # Errors
///
/// If an operand's length is not the plan's.
pub fn conv_transpose_forward<const D: usize>(
    plan: &ConvTransposePlan<D>,
    input: &[f32],
    weight: &[f32],
    bias: &[f32],
    output: &mut [f32],
) -> Result<(), RunError> {
    check_len("input", plan.input_len(), input.len())?;
    check_len("weight", plan.weight_len(), weight.len())?;
    check_len("bias", plan.bias_len(), bias.len())?;
    check_len("output", plan.output_len(), output.len())?;
    output.fill(0.0);
    for_each_product(plan.mirror(), |i, o, w| output[o] += input[i] * weight[w]);
    for (o, y) in output.iter_mut().enumerate() {
        if plan.params().has_bias() {
            *y += bias[out_channel(plan, o)];
        }
        *y = plan.params().activation().apply(*y);
    }
    Ok(())
}

/// `grad_input[i] = sum of grad_output[o] w[k]` over the outputs `o` to which `x[i] w[k]` went.
///
/// # Errors
///
/// If an operand's length is not the plan's.
pub fn conv_transpose_backward_input<const D: usize>(
    plan: &ConvTransposePlan<D>,
    weight: &[f32],
    grad_output: &[f32],
    grad_input: &mut [f32],
) -> Result<(), RunError> {
    check_len("weight", plan.weight_len(), weight.len())?;
    check_len("grad_output", plan.output_len(), grad_output.len())?;
    check_len("grad_input", plan.input_len(), grad_input.len())?;
    grad_input.fill(0.0);
    for_each_product(plan.mirror(), |i, o, w| grad_input[i] += grad_output[o] * weight[w]);
    Ok(())
}

/// `grad_weight[k] = sum of grad_output[o] x[i]` over the outputs `o` to which `x[i] w[k]` went.
///
/// # Errors
///
/// If an operand's length is not the plan's.
pub fn conv_transpose_backward_weight<const D: usize>(
    plan: &ConvTransposePlan<D>,
    input: &[f32],
    grad_output: &[f32],
    grad_weight: &mut [f32],
) -> Result<(), RunError> {
    check_len("input", plan.input_len(), input.len())?;
    check_len("grad_output", plan.output_len(), grad_output.len())?;
    check_len("grad_weight", plan.weight_len(), grad_weight.len())?;
    grad_weight.fill(0.0);
    for_each_product(plan.mirror(), |i, o, w| grad_weight[w] += grad_output[o] * input[i]);
    Ok(())
}

/// `grad_bias[m] = sum over n, q of grad_output[n, m, q]`.
///
/// # Errors
///
/// If an operand's length is not the plan's.
pub fn conv_transpose_backward_bias<const D: usize>(
    plan: &ConvTransposePlan<D>,
    grad_output: &[f32],
    grad_bias: &mut [f32],
) -> Result<(), RunError> {
    check_len("grad_output", plan.output_len(), grad_output.len())?;
    check_len("grad_bias", plan.bias_len(), grad_bias.len())?;
    grad_bias.fill(0.0);
    if plan.params().has_bias() {
        for (o, grad) in grad_output.iter().enumerate() {
            grad_bias[out_channel(plan, o)] += grad;
        }
    }
    Ok(())
}

fn out_channel<const D: usize>(plan: &ConvTransposePlan<D>, o: usize) -> usize {
    o / plan.output_dims().iter().product::<usize>() % plan.params().out_channels()
}

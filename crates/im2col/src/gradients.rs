//! All gradients of a layer in one call.

use crate::conv::{ConvPlan, ConvTransposePlan};
use crate::error::{RunError, check_len, check_scratch};
use crate::linear::LinearPlan;
use crate::window::max;

/// Where a layer's `backward` writes: the gradients of everything that the forward pass read.
///
/// ```
/// use im2col::{ConvParams, Gradients};
///
/// // The gradient 1 of each of two outputs, `x0 w0 + x1 w1 + b` and `x1 w0 + x2 w1 + b`.
/// let plan = ConvParams::new(1, 1, [2]).plan(1, [3])?;
/// let (mut input, mut weight, mut bias) = ([0.0; 3], [0.0; 2], [0.0; 1]);
/// let gradients = Gradients { input: &mut input, weight: &mut weight, bias: &mut bias };
/// let mut scratch = vec![0.0; plan.backward_scratch_len()];
/// plan.backward(&[1., 2., 3.], &[10., 20.], &[1., 1.], gradients, &mut scratch)?;
/// assert_eq!((input, weight, bias), ([10., 30., 20.], [3., 5.], [2.]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Gradients<'a> {
    /// The gradient of the input, and as long.
    pub input: &'a mut [f32],
    /// The gradient of the weight, and as long.
    pub weight: &'a mut [f32],
    /// The gradient of the bias, and as long: empty without a bias.
    pub bias: &'a mut [f32],
}

/// Checks the operands of a `backward`: input, weight, output and bias have these lengths.
fn check(
    [input_len, weight_len, output_len, bias_len]: [usize; 4],
    [input, weight, grad_output]: [&[f32]; 3],
    gradients: &Gradients<'_>,
) -> Result<(), RunError> {
    check_len("input", input_len, input.len())?;
    check_len("weight", weight_len, weight.len())?;
    check_len("grad_output", output_len, grad_output.len())?;
    check_len("grad_input", input_len, gradients.input.len())?;
    check_len("grad_weight", weight_len, gradients.weight.len())?;
    check_len("grad_bias", bias_len, gradients.bias.len())
}

impl<const D: usize> ConvPlan<D> {
    /// Least scratch of [`ConvPlan::backward`], and enough for [`ConvPlan::backward_input`] and
    /// [`ConvPlan::backward_weight`].
    #[must_use]
    pub const fn backward_scratch_len(&self) -> usize {
        max(self.backward_input_scratch_len(), self.backward_weight_scratch_len())
    }

    /// Computes the gradients of input, weight and bias: [`ConvPlan::backward_input`],
    /// [`ConvPlan::backward_weight`] and [`ConvPlan::backward_bias`] in one call.
    ///
    /// `grad_output`, `[batch, out_channels, output_dims..]`, is the gradient of the convolution's sums: a fused
    /// activation is the caller's to differentiate first ([`Activation::backward`](crate::Activation::backward)).
    ///
    /// # Errors
    ///
    /// If an operand's length is not the plan's, or the scratch is shorter than
    /// [`ConvPlan::backward_scratch_len`]; [`RunError::Layout`] with channels last or strides. No gradient is touched then.
    pub fn backward(
        &self,
        input: &[f32],
        weight: &[f32],
        grad_output: &[f32],
        gradients: Gradients<'_>,
        scratch: &mut [f32],
    ) -> Result<(), RunError> {
        let lens = [self.input_len(), self.weight_len(), self.output_len(), self.bias_len()];
        check(lens, [input, weight, grad_output], &gradients)?;
        check_scratch(self.backward_scratch_len(), scratch.len())?;
        self.backward_input(weight, grad_output, gradients.input, scratch)?;
        self.backward_weight(input, grad_output, gradients.weight, scratch)?;
        self.backward_bias(grad_output, gradients.bias)
    }
}

impl<const D: usize> ConvTransposePlan<D> {
    /// Least scratch of [`ConvTransposePlan::backward`], and enough for [`ConvTransposePlan::backward_input`] and
    /// [`ConvTransposePlan::backward_weight`].
    #[must_use]
    pub const fn backward_scratch_len(&self) -> usize {
        max(self.backward_input_scratch_len(), self.backward_weight_scratch_len())
    }

    /// Computes the gradients of input, weight and bias: [`ConvTransposePlan::backward_input`],
    /// [`ConvTransposePlan::backward_weight`] and [`ConvTransposePlan::backward_bias`] in one call.
    ///
    /// `grad_output`, `[batch, out_channels, output_dims..]`, is the gradient before the activation.
    ///
    /// # Errors
    ///
    /// If an operand's length is not the plan's, or the scratch is shorter than
    /// [`ConvTransposePlan::backward_scratch_len`]. No gradient is touched then.
    pub fn backward(
        &self,
        input: &[f32],
        weight: &[f32],
        grad_output: &[f32],
        gradients: Gradients<'_>,
        scratch: &mut [f32],
    ) -> Result<(), RunError> {
        let lens = [self.input_len(), self.weight_len(), self.output_len(), self.bias_len()];
        check(lens, [input, weight, grad_output], &gradients)?;
        check_scratch(self.backward_scratch_len(), scratch.len())?;
        self.backward_input(weight, grad_output, gradients.input, scratch)?;
        self.backward_weight(input, grad_output, gradients.weight, scratch)?;
        self.backward_bias(grad_output, gradients.bias)
    }
}

impl LinearPlan {
    /// Least scratch of [`LinearPlan::backward`], and enough for [`LinearPlan::backward_input`] and
    /// [`LinearPlan::backward_weight`].
    #[must_use]
    pub const fn backward_scratch_len(&self) -> usize {
        max(self.backward_input_scratch_len(), self.backward_weight_scratch_len())
    }

    /// Computes the gradients of input, weight and bias: [`LinearPlan::backward_input`],
    /// [`LinearPlan::backward_weight`] and [`LinearPlan::backward_bias`] in one call.
    ///
    /// `grad_output`, `[batch, outputs]`, is the gradient of the sums, before a fused activation.
    ///
    /// # Errors
    ///
    /// If an operand's length is not the plan's, or the scratch is shorter than
    /// [`LinearPlan::backward_scratch_len`]. No gradient is touched then.
    pub fn backward(
        &self,
        input: &[f32],
        weight: &[f32],
        grad_output: &[f32],
        gradients: Gradients<'_>,
        scratch: &mut [f32],
    ) -> Result<(), RunError> {
        let lens = [self.input_len(), self.weight_len(), self.output_len(), self.bias_len()];
        check(lens, [input, weight, grad_output], &gradients)?;
        check_scratch(self.backward_scratch_len(), scratch.len())?;
        self.backward_input(weight, grad_output, gradients.input, scratch)?;
        self.backward_weight(input, grad_output, gradients.weight, scratch)?;
        self.backward_bias(grad_output, gradients.bias)
    }
}

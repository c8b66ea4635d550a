//! The backward pass: from the gradient of the output to the gradients of the parameters.

use super::interleaved::GradientSlices;
use super::layer::{LayerPlan, Op};
use super::ping_pong::PingPong;
use super::plan::Network;
use crate::activation::Activation;
use crate::error::{RunError, check_len, check_scratch};
use crate::pool::PoolKind;

/// What a backward pass reads, and the gradients that it writes.
pub(super) struct GradientOperands<'a> {
    pub(super) params: &'a [f32],
    pub(super) input: &'a [f32],
    pub(super) workspace: &'a [f32],
    pub(super) grad_output: &'a [f32],
    pub(super) grad_params: &'a mut [f32],
}

impl<const L: usize> Network<L> {
    /// Overwrites `grad_params` with the gradients of all parameters, in their order.
    ///
    /// `input` and `workspace` are those of [`forward_train`](Self::forward_train) with these
    /// `params`; `grad_output` is the gradient of the last layer's output. The gradient of the
    /// network's input is not computed.
    ///
    /// # Errors
    ///
    /// [`RunError::Length`] for any operand, [`RunError::Scratch`] below
    /// [`train_scratch_len`](Self::train_scratch_len); [`RunError::Layout`] with [channels last](Self::with_input_layout), of input
    /// or output. `grad_params` is then untouched.
    #[inline(always)]
    pub fn backward(
        &self,
        params: &[f32],
        input: &[f32],
        workspace: &[f32],
        grad_output: &[f32],
        grad_params: &mut [f32],
        scratch: &mut [f32],
    ) -> Result<(), RunError> {
        self.backward_observed(params, input, workspace, grad_output, grad_params, scratch, |_| ())
    }

    /// [`backward`](Self::backward), which calls `after` with the index of each layer that it has just
    /// gone back through, the last one first.
    ///
    /// # Errors
    ///
    /// Those of [`backward`](Self::backward).
    #[allow(clippy::too_many_arguments, reason = "those of `backward`, and a function")]
    // Inlined so that the compiler drops what a constant plan does not take.
    #[inline(always)]
    pub fn backward_observed(
        &self,
        params: &[f32],
        input: &[f32],
        workspace: &[f32],
        grad_output: &[f32],
        grad_params: &mut [f32],
        scratch: &mut [f32],
        after: impl FnMut(usize),
    ) -> Result<(), RunError> {
        self.check_channels_first("backward")?;
        check_len("params", self.param_len, params.len())?;
        check_len("input", self.input_len, input.len())?;
        check_len("workspace", self.workspace_len, workspace.len())?;
        check_len("grad_output", self.output_len(), grad_output.len())?;
        check_len("grad_params", self.param_len, grad_params.len())?;
        check_scratch(self.train_scratch_len, scratch.len())?;

        if let (Some(interleaving), true) = (&self.interleaving, self.trains_interleaved) {
            let grads = GradientSlices { params, workspace, grad_output, grad_params };
            self.backward_interleaved(interleaving, grads, scratch, after);
            return Ok(());
        }
        if self.trains_in_place {
            let operands = GradientOperands { params, input, workspace, grad_output, grad_params };
            return self.backward_in_place(operands, scratch, after);
        }
        let operands = GradientOperands { params, input, workspace, grad_output, grad_params };
        self.backward_layers(operands, scratch, after)
    }

    /// [`backward_observed`](Self::backward_observed), layer by layer.
    fn backward_layers(
        &self,
        operands: GradientOperands<'_>,
        scratch: &mut [f32],
        mut after: impl FnMut(usize),
    ) -> Result<(), RunError> {
        let GradientOperands { params, input, workspace, grad_output, grad_params } = operands;
        let (first, rest) = scratch.split_at_mut(self.gradient_len);
        let (second, scratch) = rest.split_at_mut(self.gradient_len);
        let mut grad = PingPong::new(grad_output, [first, second]);
        let (isa, first_trained) = (self.isa(), self.first_trained());
        // Whether the pass of a pool has already gone through the ReLU before it.
        let mut is_through_relu = false;
        for (index, layer) in self.layers.iter().enumerate().skip(first_trained).rev() {
            let layer_input = self.input_of(index, input, workspace);
            let layer_output = self.output_of(index, input, workspace);
            match layer.op {
                Op::Flatten => {}
                Op::Activation(_) if is_through_relu => is_through_relu = false,
                Op::Activation(activation) => grad.step(layer.output_len, |grad_output, grad_input| {
                    activation.backward_with_isa(isa, layer_output, grad_output, grad_input)
                })?,
                Op::Pool(plan) => {
                    is_through_relu =
                        matches!(plan.pooling.kind, PoolKind::Max) && self.is_of_relu(index, first_trained);
                    grad.step(layer_input.len(), |grad_output, grad_input| {
                        if is_through_relu {
                            plan.backward_through_relu(layer_input, grad_output, grad_input);
                            return Ok(());
                        }
                        plan.backward(layer_input, grad_output, grad_input)
                    })?;
                }
                Op::Conv(_) | Op::Linear(_) => {
                    if is_through_relu {
                        is_through_relu = false;
                    } else if layer.op.activation() != Activation::Identity {
                        let activation = layer.op.activation();
                        grad.step(layer.output_len, |grad_output, grad_input| {
                            activation.backward_with_isa(isa, layer_output, grad_output, grad_input)
                        })?;
                    }
                    let layer = LayerPlan { op: layer.op.training_backward(self.gradient_limit()), ..*layer };
                    layer.backward_params(layer_input, grad.value(), grad_params, scratch)?;
                    if index > first_trained {
                        grad.step(layer_input.len(), |grad_output, grad_input| {
                            layer.op.backward_input(layer.weight(params), grad_output, grad_input, scratch)
                        })?;
                    }
                }
            }
            after(index);
        }
        Ok(())
    }

    /// Whether a ReLU, which the backward pass goes through, makes what layer `index` reads.
    fn is_of_relu(&self, index: usize, first_trained: usize) -> bool {
        index > first_trained && self.layers[index - 1].op.last_activation() == Activation::Relu
    }
}

impl LayerPlan {
    fn backward_params(
        &self,
        input: &[f32],
        grad_output: &[f32],
        grad_params: &mut [f32],
        scratch: &mut [f32],
    ) -> Result<(), RunError> {
        let lens = self.op.sizes();
        let (grad_weight, rest) = grad_params[self.param_offset..].split_at_mut(lens.weight);
        let grad_bias = &mut rest[..lens.bias];
        match self.op {
            Op::Conv(plan) => {
                plan.backward_weight(input, grad_output, grad_weight, scratch)?;
                plan.backward_bias(grad_output, grad_bias)
            }
            Op::Linear(plan) => {
                plan.backward_weight(input, grad_output, grad_weight, scratch)?;
                plan.backward_bias(grad_output, grad_bias)
            }
            Op::Pool(_) | Op::Activation(_) | Op::Flatten => Ok(()),
        }
    }
}

impl Op {
    fn backward_input(
        &self,
        weight: &[f32],
        grad_output: &[f32],
        grad_input: &mut [f32],
        scratch: &mut [f32],
    ) -> Result<(), RunError> {
        match self {
            Self::Conv(plan) => plan.backward_input(weight, grad_output, grad_input, scratch),
            Self::Linear(plan) => plan.backward_input(weight, grad_output, grad_input, scratch),
            Self::Pool(_) | Self::Activation(_) | Self::Flatten => Ok(()),
        }
    }
}

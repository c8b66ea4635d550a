//! Layers in place, and training in the least memory: every layer forward and backward in place, with the bits of a plan that
//! takes scratch.

use super::backward::GradientOperands;
use super::bands::convolve;
use super::layer::{LayerPlan, Op};
use super::ping_pong::PingPong;
use super::plan::Network;
use crate::activation::Activation;
use crate::conv::LineOperands;
use crate::error::RunError;
use crate::pool::PoolPlan;
use crate::pool::windows::Pooling;
use crate::simd::Isa;

impl<const L: usize> Network<L> {
    /// [`Network::forward_train_observed`] without scratch.
    #[inline(always)]
    pub(super) fn forward_in_place(
        &self,
        params: &[f32],
        input: &[f32],
        workspace: &mut [f32],
        mut after: impl FnMut(usize),
    ) -> Result<(), RunError> {
        let isa = self.isa();
        for (index, layer) in self.layers.iter().enumerate() {
            let (Some(offset), false) = (layer.output_offset, matches!(layer.op, Op::Flatten)) else {
                continue;
            };
            let Some((kept, rest)) = workspace.split_at_mut_checked(offset) else { return Ok(()) };
            let (source, output) = (self.input_of(index, input, kept), first(rest, layer.output_len));
            match &layer.op {
                Op::Pool(plan) => self.pool_in_place(*plan, source, output)?,
                op => layer.forward_in_place(isa, op.activation(), None, params, source, output, &mut [])?,
            }
            after(index);
        }
        Ok(())
    }

    /// [`Network::backward_observed`] with scratch for the gradients of activations only.
    pub(super) fn backward_in_place(
        &self,
        operands: GradientOperands<'_>,
        scratch: &mut [f32],
        mut after: impl FnMut(usize),
    ) -> Result<(), RunError> {
        let GradientOperands { params, input, workspace, grad_output, grad_params } = operands;
        let Some((first, second)) = scratch.split_at_mut_checked(self.gradient_len) else { return Ok(()) };
        let mut grad = PingPong::new(grad_output, [first, second]);
        let (isa, first_trained) = (self.isa(), self.first_trained());
        for (index, layer) in self.layers.iter().enumerate().skip(first_trained).rev() {
            let layer_input = self.input_of(index, input, workspace);
            let layer_output = self.output_of(index, input, workspace);
            let activation = layer.op.last_activation();
            if activation != Activation::Identity {
                grad.step(layer.output_len, |grad_output, grad_input| {
                    activation.backward_with_isa(isa, layer_output, grad_output, grad_input)
                })?;
            }
            match &layer.op {
                Op::Flatten | Op::Activation(_) => {}
                Op::Pool(plan) => grad.step(layer_input.len(), |grad_output, grad_input| {
                    if self.has_only_tiles {
                        plan.pooling.tiles_backward(layer_input, grad_output, grad_input);
                        return Ok(());
                    }
                    plan.backward(layer_input, grad_output, grad_input)
                })?,
                Op::Conv(_) | Op::Linear(_) => {
                    layer.backward_params_in_place(layer_input, grad.value(), grad_params)?;
                    if index > first_trained {
                        grad.step(layer_input.len(), |grad_output, grad_input| {
                            layer.backward_input_in_place(params, grad_output, grad_input);
                        });
                    }
                }
            }
            after(index);
        }
        Ok(())
    }
}

impl<const L: usize> Network<L> {
    /// Pools images. Of a constant plan whose poolings all have tiles as windows, nothing else is linked.
    #[inline]
    pub(super) fn pool_in_place(
        &self,
        plan: PoolPlan<2>,
        input: &[f32],
        output: &mut [f32],
    ) -> Result<(), RunError> {
        if !self.has_only_tiles {
            return plan.forward(input, output);
        }
        plan.pooling.pool_all_tiles(input, output);
        Ok(())
    }
}

impl LayerPlan {
    /// Computes the layer's output for some images, with `activation`; a convolution also with the `pooling` behind it, for which
    /// `band` is scratch. Does nothing for a pooling layer.
    #[allow(
        clippy::too_many_arguments,
        reason = "the operands of a layer, and what is applied to its output"
    )]
    pub(super) fn forward_in_place(
        &self,
        isa: Isa,
        activation: Activation,
        pooling: Option<&Pooling>,
        params: &[f32],
        input: &[f32],
        output: &mut [f32],
        band: &mut [f32],
    ) -> Result<(), RunError> {
        let (weight, bias) = (self.weight(params), self.bias(params));
        match &self.op {
            Op::Conv(plan) => {
                let output_len = match pooling {
                    Some(pooling) => plan.params().out_channels() * pooling.window.positions(),
                    None => self.image_len(),
                };
                let mut outputs = output.chunks_exact_mut(output_len.max(1));
                for planes in input.chunks_exact(plan.image_len().max(1)) {
                    let Some(output) = outputs.next() else { break };
                    let window = plan.window();
                    let operands = LineOperands { planes, window, weight, bias, activation };
                    convolve(plan, pooling, &operands, output, band);
                }
                Ok(())
            }
            Op::Linear(plan) => {
                plan.forward_in_place(activation, weight, bias, input, output);
                Ok(())
            }
            Op::Activation(activation) => activation.forward_with_isa(isa, input, output),
            Op::Flatten => {
                output.iter_mut().zip(input).for_each(|(y, x)| *y = *x);
                Ok(())
            }
            // The network pools, for it knows the windows of all poolings.
            Op::Pool(_) => Ok(()),
        }
    }

    /// Overwrites the gradients of weight and bias.
    fn backward_params_in_place(
        &self,
        input: &[f32],
        grad_output: &[f32],
        grad_params: &mut [f32],
    ) -> Result<(), RunError> {
        let sizes = self.op.sizes();
        let grads = grad_params.get_mut(self.param_offset..).unwrap_or_default();
        let Some((grad_weight, rest)) = grads.split_at_mut_checked(sizes.weight) else { return Ok(()) };
        let grad_bias = first(rest, sizes.bias);
        match &self.op {
            Op::Conv(plan) => {
                plan.backward_weight_in_place(input, grad_output, grad_weight);
                plan.backward_bias(grad_output, grad_bias)
            }
            Op::Linear(plan) => {
                plan.backward_weight_in_place(input, grad_output, grad_weight);
                plan.backward_bias(grad_output, grad_bias)
            }
            Op::Pool(_) | Op::Activation(_) | Op::Flatten => Ok(()),
        }
    }

    /// Computes the gradient of the input of a layer with parameters.
    fn backward_input_in_place(&self, params: &[f32], grad_output: &[f32], grad_input: &mut [f32]) {
        let weight = self.weight(params);
        match &self.op {
            Op::Conv(plan) => plan.backward_input_in_place(weight, grad_output, grad_input),
            Op::Linear(plan) => plan.backward_input_in_place(weight, grad_output, grad_input),
            Op::Pool(_) | Op::Activation(_) | Op::Flatten => {}
        }
    }
}

/// The first `len` values.
fn first(values: &mut [f32], len: usize) -> &mut [f32] {
    values.get_mut(..len).unwrap_or_default()
}

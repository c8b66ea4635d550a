//! The passes of a layer over blocks of sixteen images.

use crate::activation::Activation;
use crate::interleaved::{
    Convolve, Fold, GradInput, GradInputs, GradKernels, GradWeights, Grads, ImageBlocks, LinearForward,
    PadPlanes, Pool,
};
use crate::network::layer::{LayerPlan, Op};
use crate::padding::PaddingMode;
use crate::simd::{Isa, Lanes, dispatch};

impl LayerPlan {
    /// Computes the layer's output, with this activation.
    pub(super) fn forward_lanes(
        &self,
        isa: Isa,
        activation: Activation,
        params: &[f32],
        input: &[Lanes],
        output: &mut [Lanes],
        scratch: &mut [Lanes],
    ) {
        let (weight, bias) = (self.weight(params), self.bias(params));
        match &self.op {
            Op::Conv(plan) => {
                let input = staged(isa, plan, input, scratch).0;
                let planes = plan.planes();
                Convolve { planes, weight, bias, activation, input, output }.compute(isa);
            }
            Op::Linear(_) => {
                let blocks = output.len() / self.image_len();
                LinearForward { weight, bias, activation, blocks, input, output }.compute(isa);
            }
            Op::Pool(plan) => Pool { pooling: &plan.pooling, input, output }.compute(isa),
            Op::Activation(activation) => {
                output.copy_from_slice(input);
                activation.forward_in_place_with_isa(isa, output.as_flattened_mut());
            }
            Op::Flatten => {}
        }
    }

    /// Begins the gradients of weight and bias, or adds to them.
    pub(super) fn backward_params_lanes(
        &self,
        isa: Isa,
        blocks: ImageBlocks,
        input: &[Lanes],
        grads: Grads<'_>,
        grad_params: &mut [f32],
        scratch: &mut [Lanes],
    ) {
        let lens = self.op.sizes();
        let (grad_weight, rest) = grad_params[self.param_offset..].split_at_mut(lens.weight);
        let grad_bias = &mut rest[..lens.bias];
        match (&self.op, grads) {
            (Op::Conv(plan), _) => {
                let (input, scratch) = staged(isa, plan, input, scratch);
                let planes = plan.planes();
                GradKernels { planes, blocks, input, grads, scratch, grad_weight, grad_bias }.compute(isa);
            }
            (Op::Linear(plan), Grads::Output(grad_output)) => {
                let scratch = &mut scratch[..GradWeights::scratch_len(plan.params().inputs(), blocks.count)];
                dispatch(isa, GradWeights { blocks, input, grad_output, scratch, grad_weight, grad_bias });
            }
            _ => {}
        }
    }

    pub(super) fn backward_input_lanes(
        &self,
        isa: Isa,
        params: &[f32],
        grad_output: &[Lanes],
        grad_input: &mut [Lanes],
        scratch: &mut [Lanes],
    ) {
        let weight = self.weight(params);
        match &self.op {
            Op::Conv(plan) => {
                let (planes, window) = (plan.planes(), plan.window());
                let is_whole = planes.is_padded() && !matches!(window.mode, PaddingMode::Zeros);
                let whole_len = if is_whole { planes.padded_len() } else { 0 };
                let (whole, scratch) = scratch.split_at_mut(whole_len);
                if is_whole {
                    let grad_whole =
                        GradInput { planes, is_whole, weight, grad_output, scratch, grad_input: &mut *whole };
                    grad_whole.compute(isa);
                    dispatch(isa, Fold { window, staged: whole, grad_input });
                } else {
                    GradInput { planes, is_whole, weight, grad_output, scratch, grad_input }.compute(isa);
                }
            }
            Op::Linear(_) => {
                let blocks = grad_output.len() / self.image_len();
                GradInputs { weight, blocks, grad_output, grad_input }.compute(isa);
            }
            Op::Pool(_) | Op::Activation(_) | Op::Flatten => {}
        }
    }
}

/// The input with its padding, and the rest of the scratch.
fn staged<'a>(
    isa: Isa,
    plan: &crate::conv::ConvPlan<2>,
    input: &'a [Lanes],
    scratch: &'a mut [Lanes],
) -> (&'a [Lanes], &'a mut [Lanes]) {
    let planes = plan.planes();
    // Without padding, or with it already.
    if input.len() == planes.padded_len() {
        return (input, scratch);
    }
    let (staged, scratch) = scratch.split_at_mut(planes.padded_len());
    dispatch(isa, PadPlanes { window: plan.window(), input, staged: &mut *staged });
    (staged, scratch)
}

//! Large batches of small images: sixteen images at a time, interleaved (`lanes.rs`).
//!
//! A workspace holds the output of the last layer, image by image, then how many values were skipped up to a cache
//! line, then group by group the images and the outputs of all layers. An activation behind a convolution or a linear
//! layer overwrites that layer's output, which no gradient needs.

use super::Network;
use super::plan::{LayerPlan, Op};
use super::relay::Relay;
use crate::activation::{Activation, BackwardInPlace, Forward};
use crate::kernel::{Isa, Lanes, NR, dispatch};
use crate::lanes::{
    Convolve, Fold, GradInput, GradInputs, GradKernels, GradWeights, Group, Interleave, Multiply, Pool,
    PoolBackward, Separate, Stage,
};
use crate::padding::PaddingMode;
use crate::scratch::{ALIGN, aligned};
use crate::window::checked_sum;

/// Fewer images are computed one by one: a group takes as long however many it has.
const LEAST_IMAGES: usize = 8;
/// The most parameters, and the most vectors that training keeps of a group: what stays in an L2 of 1 MiB.
const MOST_PARAMS: usize = 1 << 17;
const MOST_VECTORS: usize = 1 << 14;

/// How many vectors a group takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interleaving {
    /// What training keeps from the forward to the backward pass.
    kept: usize,
    /// What inference keeps between two layers stands in one of two buffers in turn.
    buffers: [usize; 2],
    /// Gradients likewise.
    grads: [usize; 2],
    /// What a layer needs besides, forward and backward.
    forward: usize,
    backward: usize,
}

impl<const L: usize> Network<L> {
    /// The same plan, or where it pays, one that interleaves images.
    pub(super) const fn interleaved(mut self) -> Self {
        let first_trained = self.first_trained();
        if self.batch < LEAST_IMAGES
            || first_trained == L
            || self.param_len > MOST_PARAMS
            || self.output_len() == 0
        {
            return self;
        }
        let mut lens = Interleaving {
            kept: self.image_len,
            buffers: [self.image_len, 0],
            grads: [0; 2],
            forward: 0,
            backward: 0,
        };
        let mut turn = 1;
        let mut index = 0;
        while index < L {
            let layer = self.layers[index];
            let len = layer.image_len();
            if layer.fused && index > 0 {
                self.layers[index].lane_offset = self.layers[index.wrapping_sub(1)].lane_offset;
            } else if matches!(layer.op, Op::Flatten) {
                // Behind no layer, the image: at 0, as every offset is before it is planned.
                if index > 0 {
                    self.layers[index].lane_offset = self.layers[index.wrapping_sub(1)].lane_offset;
                }
            } else {
                self.layers[index].lane_offset = lens.kept;
                lens.kept = lens.kept.saturating_add(len);
                lens.buffers[turn] = max(lens.buffers[turn], len);
                turn ^= 1;
            }
            let [forward, backward] = layer.lane_scratch();
            lens.forward = max(lens.forward, forward);
            lens.backward = max(lens.backward, backward);
            index = index.wrapping_add(1);
        }
        if lens.kept > MOST_VECTORS || lens.forward > MOST_VECTORS || lens.backward > MOST_VECTORS {
            return self;
        }
        // The gradient of the last output comes first.
        let mut turn = 0;
        let mut index = L;
        while index > first_trained {
            index = index.wrapping_sub(1);
            let layer = self.layers[index];
            if index.wrapping_add(1) == L {
                lens.grads[turn] = layer.image_len();
            }
            if index > first_trained && !matches!(layer.op, Op::Activation(_) | Op::Flatten) {
                turn ^= 1;
                lens.grads[turn] = max(lens.grads[turn], self.layers[index.wrapping_sub(1)].image_len());
            }
        }
        self.with_lens(lens)
    }

    const fn with_lens(mut self, lens: Interleaving) -> Self {
        let groups = self.batch.div_ceil(NR);
        let kept = lens.kept.saturating_mul(groups).saturating_mul(NR);
        let Some(workspace_len) = checked_sum([self.output_len(), 1, ALIGN, kept]) else { return self };
        // No sum of these overflows: none exceeds `MOST_VECTORS`.
        let [first, second] = lens.buffers;
        let inference = first.saturating_add(second).saturating_add(lens.forward);
        let [grads, more_grads] = lens.grads;
        let backward = grads.saturating_add(more_grads).saturating_add(lens.backward);
        let training = max(lens.forward, backward);
        self.workspace_len = workspace_len;
        self.scratch_len = inference.saturating_mul(NR).saturating_add(ALIGN);
        self.train_scratch_len = training.saturating_mul(NR).saturating_add(ALIGN);
        self.shard = NR;
        self.interleaving = Some(lens);
        self
    }

    fn isa(&self) -> Isa {
        self.isa.unwrap_or_else(Isa::detect)
    }

    /// Infers images group by group.
    pub(super) fn infer_interleaved(
        &self,
        lens: &Interleaving,
        params: &[f32],
        input: &[f32],
        output: &mut [f32],
        scratch: &mut [f32],
    ) {
        let isa = self.isa();
        let output_len = self.layers[L - 1].image_len();
        let groups = input.chunks(NR * self.image_len).zip(output.chunks_mut(NR * output_len));
        for (images, output) in groups {
            let (first, rest) = vectors(scratch).split_at_mut(lens.buffers[0]);
            let (second, scratch) = rest.split_at_mut(lens.buffers[1]);
            let mut value = Relay::new(&[], [first, second]);
            value.step(self.image_len, |_, group| dispatch(isa, Interleave { images, group }));
            for (index, layer) in self.layers.iter().enumerate().filter(|(_, layer)| layer.is_step()) {
                value.step(layer.image_len(), |input, output| {
                    layer.forward_lanes(isa, self.activation_of(index), params, input, output, scratch);
                });
            }
            dispatch(isa, Separate { group: value.value(), images: output });
        }
    }

    /// Runs the network and keeps the outputs.
    pub(super) fn forward_interleaved(
        &self,
        lens: &Interleaving,
        params: &[f32],
        input: &[f32],
        workspace: &mut [f32],
        scratch: &mut [f32],
        mut after: impl FnMut(usize),
    ) {
        let isa = self.isa();
        let (outputs, rest) = workspace.split_at_mut(self.output_len());
        let Some((skipped, kept)) = rest.split_first_mut() else { return };
        let skip = kept.len() - aligned(kept).len();
        *skipped = skip as f32;
        let groups = kept[skip..].as_chunks_mut::<NR>().0.chunks_exact_mut(lens.kept.max(1));
        let images = input.chunks(NR * self.image_len);
        let outputs = outputs.chunks_mut(NR * self.layers[L - 1].image_len());
        for ((kept, images), output) in groups.zip(images).zip(outputs) {
            let scratch = vectors(scratch);
            dispatch(isa, Interleave { images, group: &mut kept[..self.image_len] });
            for (index, layer) in self.layers.iter().enumerate() {
                if layer.is_step() {
                    let (before, rest) = kept.split_at_mut(layer.lane_offset);
                    let input = self.lanes_before(index, before);
                    let output = &mut rest[..layer.image_len()];
                    layer.forward_lanes(isa, self.activation_of(index), params, input, output, scratch);
                }
                if !matches!(layer.op, Op::Flatten) {
                    after(index);
                }
            }
            dispatch(isa, Separate { group: self.lanes_before(L, kept), images: output });
        }
    }

    /// The gradients of the parameters, from what [`forward_interleaved`](Self::forward_interleaved) kept.
    pub(super) fn backward_interleaved(
        &self,
        lens: &Interleaving,
        operands: Gradients<'_>,
        scratch: &mut [f32],
        mut after: impl FnMut(usize),
    ) {
        let isa = self.isa();
        let Gradients { params, input, workspace, grad_output, grad_params } = operands;
        let first_trained = self.first_trained();
        let (_, rest) = workspace.split_at(self.output_len());
        let Some((skipped, kept)) = rest.split_first() else { return };
        let skip = (*skipped as usize).min(ALIGN);
        let groups = kept[skip..].as_chunks::<NR>().0.chunks_exact(lens.kept.max(1));
        let grad_outputs = grad_output.chunks(NR * self.layers[L - 1].image_len());
        let groups = groups.zip(input.chunks(NR * self.image_len)).zip(grad_outputs);
        for (number, ((kept, images), grad_output)) in groups.enumerate() {
            let (first, rest) = vectors(scratch).split_at_mut(lens.grads[0]);
            let (second, scratch) = rest.split_at_mut(lens.grads[1]);
            let mut grad = Relay::new(&[], [first, second]);
            grad.step(self.layers[L - 1].image_len(), |_, group| {
                dispatch(isa, Interleave { images: grad_output, group });
            });
            let of = Group { images: images.len() / self.image_len, is_first: number == 0 };
            for (index, layer) in self.layers.iter().enumerate().skip(first_trained).rev() {
                let layer_input = self.lanes_before(index, kept);
                let layer_output = self.lanes_before(index + 1, kept);
                let activation = layer.op.last_activation();
                // The gradient of a pool behind has gone through the activation already.
                let is_pooled = self.layers.get(index + 1).is_some_and(|next| matches!(next.op, Op::Pool(_)));
                if activation != Activation::Identity && !is_pooled {
                    let (output, grad) = (layer_output.as_flattened(), grad.value_mut().as_flattened_mut());
                    dispatch(isa, BackwardInPlace { activation, output, grad });
                }
                layer.backward_params_lanes(isa, of, layer_input, grad.value(), grad_params, scratch);
                if index > first_trained && !matches!(layer.op, Op::Activation(_) | Op::Flatten) {
                    let before = self.layers[index - 1].op.last_activation();
                    grad.step(layer_input.len(), |grad_output, grad_input| match &layer.op {
                        Op::Pool(plan) => {
                            let (pooling, activation, input) = (&plan.pooling, before, layer_input);
                            dispatch(
                                isa,
                                PoolBackward { pooling, activation, input, grad_output, grad_input },
                            );
                        }
                        _ => layer.backward_input_lanes(isa, params, grad_output, grad_input, scratch),
                    });
                }
                after(index);
            }
        }
    }

    /// What layer `index` applies to its sums: its own activation, or that of the layer behind.
    fn activation_of(&self, index: usize) -> Activation {
        match self.layers.get(index + 1) {
            Some(&LayerPlan { fused: true, op: Op::Activation(activation), .. }) => activation,
            _ => self.layers[index].op.activation(),
        }
    }

    /// What layer `index` reads; `kept` needs to reach no further than that.
    fn lanes_before<'a>(&self, index: usize, kept: &'a [Lanes]) -> &'a [Lanes] {
        match index.checked_sub(1).map(|previous| &self.layers[previous]) {
            Some(layer) => &kept[layer.lane_offset..][..layer.image_len()],
            None => &kept[..self.image_len],
        }
    }
}

/// What a backward pass reads and writes.
pub(super) struct Gradients<'a> {
    pub(super) params: &'a [f32],
    pub(super) input: &'a [f32],
    pub(super) workspace: &'a [f32],
    pub(super) grad_output: &'a [f32],
    pub(super) grad_params: &'a mut [f32],
}

impl LayerPlan {
    /// Vectors that the layer needs besides its operands, forward and backward.
    const fn lane_scratch(&self) -> [usize; 2] {
        match self.op {
            Op::Conv(plan) => {
                let planes = plan.planes();
                let staged = if planes.is_padded() { planes.padded_len() } else { 0 };
                let whole = if matches!(plan.window().mode, PaddingMode::Zeros) { 0 } else { staged };
                let kernels = staged.saturating_add(GradKernels::scratch_len(&planes));
                let input = whole.saturating_add(GradInput::scratch_len(&planes));
                [staged, max(kernels, input)]
            }
            Op::Linear(plan) => [0, GradWeights::scratch_len(plan.params().inputs())],
            Op::Pool(_) | Op::Activation(_) | Op::Flatten => [0, 0],
        }
    }

    /// Computes the layer's output, with this activation.
    fn forward_lanes(
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
                dispatch(isa, Convolve { planes, weight, bias, activation, input, output });
            }
            Op::Linear(_) => dispatch(isa, Multiply { weight, bias, activation, input, output }),
            Op::Pool(plan) => dispatch(isa, Pool { pooling: &plan.pooling, input, output }),
            Op::Activation(activation) => {
                let (input, output) = (input.as_flattened(), output.as_flattened_mut());
                dispatch(isa, Forward { activation: *activation, input, output });
            }
            Op::Flatten => {}
        }
    }

    /// Begins the gradients of weight and bias, or adds to them.
    fn backward_params_lanes(
        &self,
        isa: Isa,
        group: Group,
        input: &[Lanes],
        grad_output: &[Lanes],
        grad_params: &mut [f32],
        scratch: &mut [Lanes],
    ) {
        let lens = self.op.lens();
        let (grad_weight, rest) = grad_params[self.param_offset..].split_at_mut(lens.weight);
        let grad_bias = &mut rest[..lens.bias];
        match &self.op {
            Op::Conv(plan) => {
                let (input, scratch) = staged(isa, plan, input, scratch);
                let planes = plan.planes();
                dispatch(
                    isa,
                    GradKernels { planes, group, input, grad_output, scratch, grad_weight, grad_bias },
                );
            }
            Op::Linear(plan) => {
                let scratch = &mut scratch[..GradWeights::scratch_len(plan.params().inputs())];
                dispatch(isa, GradWeights { group, input, grad_output, scratch, grad_weight, grad_bias });
            }
            Op::Pool(_) | Op::Activation(_) | Op::Flatten => {}
        }
    }

    fn backward_input_lanes(
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
                    dispatch(isa, grad_whole);
                    dispatch(isa, Fold { window, staged: whole, grad_input });
                } else {
                    dispatch(isa, GradInput { planes, is_whole, weight, grad_output, scratch, grad_input });
                }
            }
            Op::Linear(_) => dispatch(isa, GradInputs { weight, grad_output, grad_input }),
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
    if !planes.is_padded() {
        return (input, scratch);
    }
    let (staged, scratch) = scratch.split_at_mut(planes.padded_len());
    dispatch(isa, Stage { window: plan.window(), input, staged: &mut *staged });
    (staged, scratch)
}

/// The scratch as vectors, each a cache line.
fn vectors(scratch: &mut [f32]) -> &mut [Lanes] {
    aligned(scratch).as_chunks_mut::<NR>().0
}

const fn max(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}

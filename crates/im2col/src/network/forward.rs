//! The forward passes: inference, which keeps two activations, and training, which keeps them all.

use super::images::Images;
use super::layer::{LayerPlan, Op};
use super::ping_pong::PingPong;
use super::plan::Network;
use crate::conv::ConvOperands;
use crate::error::{RunError, check_len, check_scratch};
use crate::linear::LinearOperands;
use crate::pool::PoolPlan;
use crate::simd::Isa;
use crate::weights::{PackedWeights, Weights};

/// The packed weights of a network, from [`Network::pack_weights`].
#[derive(Clone, Copy, Debug)]
pub struct PackedNetwork<'a, const L: usize> {
    pub(super) layers: [Option<PackedWeights<'a>>; L],
}

/// The parameters of a network, with or without packed weights.
#[derive(Clone, Copy, Debug)]
pub enum NetworkWeights<'a, const L: usize> {
    /// Packed again on each call, in the scratch.
    Plain(&'a [f32]),
    /// Packed once. The biases are read from `params`.
    Packed {
        /// The parameters that were packed.
        params: &'a [f32],
        /// The weights among them, packed.
        packed: PackedNetwork<'a, L>,
    },
}

impl<'a, const L: usize> NetworkWeights<'a, L> {
    const fn params(&self) -> &'a [f32] {
        match *self {
            Self::Plain(params) | Self::Packed { params, .. } => params,
        }
    }
}

impl<const L: usize> Network<L> {
    /// Packs every layer's weight once, for many calls, also of other plans of the same layers. A plan that computes a layer by
    /// another algorithm, because of a [limit](Self::with_scratch_limit) or, with [`Rounding::Any`](crate::Rounding::Any), of the
    /// batch, reads that layer's weight from `params` on each call.
    ///
    /// # Errors
    ///
    /// [`RunError::Length`] if `params` is not [`param_len`](Self::param_len) or `packed` not
    /// [`packed_weight_len`](Self::packed_weight_len) long.
    pub fn pack_weights<'a>(
        &self,
        params: &[f32],
        mut packed: &'a mut [f32],
    ) -> Result<PackedNetwork<'a, L>, RunError> {
        check_len("params", self.param_len, params.len())?;
        check_len("packed", self.packed_weight_len, packed.len())?;
        let mut layers = [None; L];
        if self.infers_by_rows {
            return Ok(PackedNetwork { layers });
        }
        for (index, (slot, layer)) in layers.iter_mut().zip(&self.layers).enumerate() {
            let op = self.inferring(index, self.batch);
            let (panels, rest) = packed.split_at_mut(op.sizes().packed_weight);
            packed = rest;
            *slot = match op {
                Op::Conv(plan) => Some(plan.pack_weights(layer.weight(params), panels)?),
                Op::Linear(plan) => Some(plan.pack_weights(layer.weight(params), panels)?),
                Op::Pool(_) | Op::Activation(_) | Op::Flatten => None,
            };
        }
        Ok(PackedNetwork { layers })
    }

    /// Runs the network, and keeps nothing.
    ///
    /// An activation behind a convolution or a linear layer is applied while that layer stores.
    ///
    /// # Errors
    ///
    /// [`RunError::Length`] for `params`, `input` or `output`, [`RunError::Scratch`],
    /// [`RunError::PackedWeights`] if the weights were packed for other layers. `output` is then
    /// untouched.
    #[inline]
    pub fn forward(
        &self,
        weights: NetworkWeights<'_, L>,
        input: &[f32],
        output: &mut [f32],
        scratch: &mut [f32],
    ) -> Result<(), RunError> {
        self.check_weights(&weights)?;
        check_len("input", self.input_len, input.len())?;
        check_len("output", self.output_len(), output.len())?;
        check_scratch(self.scratch_len(), scratch.len())?;
        self.infer_images(&weights, Images::new(input, self.position_stride), output, scratch)
    }

    /// Infers some images in `parts` parts.
    ///
    /// Inlined, so that only one way to infer is linked where the plan is a constant.
    #[cfg_attr(not(feature = "rayon"), inline)]
    pub(super) fn infer_parts(
        &self,
        weights: &NetworkWeights<'_, L>,
        input: Images<'_>,
        output: &mut [f32],
        scratch: &mut [f32],
        parts: usize,
    ) -> Result<(), RunError> {
        #[cfg(feature = "rayon")]
        if parts > 1 {
            return self.infer_on_threads(weights, input, output, scratch, parts);
        }
        let _ = parts;
        let [image_len, image_output_len] = self.image_lens();
        if self.infers_by_rows {
            return self.infer_by_rows(weights.params(), input, output, scratch);
        }
        if let (Some(interleaving), true) = (&self.interleaving, self.infers_interleaved) {
            self.infer_interleaved(interleaving, weights.params(), input, output, scratch);
            return Ok(());
        }
        let mut inputs = input;
        for output in output.chunks_mut(self.images_at_once(input.need_conversion()) * image_output_len) {
            let (input, rest) = inputs.split_at(output.len() / image_output_len * image_len);
            inputs = rest;
            self.infer(weights, input, output, scratch)?;
        }
        Ok(())
    }

    /// Infers `parts` parts, at least two, on threads. Not inlined into [`infer_parts`](Self::infer_parts): waiting for a thread
    /// takes much of the stack.
    #[cfg(feature = "rayon")]
    #[inline(never)]
    fn infer_on_threads(
        &self,
        weights: &NetworkWeights<'_, L>,
        input: Images<'_>,
        output: &mut [f32],
        scratch: &mut [f32],
        parts: usize,
    ) -> Result<(), RunError> {
        let [image_len, image_output_len] = self.image_lens();
        let left = parts / 2;
        let images = output.len() / image_output_len / parts * left;
        let (input, inputs) = input.split_at(images * image_len);
        let (output, outputs) = output.split_at_mut(images * image_output_len);
        let (scratch, rest) = scratch.split_at_mut(left * self.part_scratch_len(input.need_conversion()));
        let (first, second) = rayon::join(
            || self.infer_parts(weights, input, output, scratch, left),
            || self.infer_parts(weights, inputs, outputs, rest, parts - left),
        );
        first.and(second)
    }

    /// Infers a shard, layer by layer. Not inlined: other ways of inference need not have its stack.
    #[inline(never)]
    fn infer(
        &self,
        weights: &NetworkWeights<'_, L>,
        input: Images<'_>,
        output: &mut [f32],
        scratch: &mut [f32],
    ) -> Result<(), RunError> {
        let (isa, images) = (self.isa(), output.len() / self.image_lens()[1]);
        let [first_len, second_len] = self.image_buffers(input.need_conversion());
        let (first, rest) = scratch.split_at_mut(first_len);
        let (second, scratch) = rest.split_at_mut(second_len);
        let mut value = PingPong::of_images(input, self.image_len, [first, second]);
        let last = self.last_step();
        for (index, layer) in self.layers[..=last].iter().enumerate() {
            if index < last && !layer.is_step() {
                continue;
            }
            let mut op = layer.op;
            self.set_inference(&mut op, index, images);
            let (weight, bias) = self.weights_of(index, &op, weights);
            if index == last {
                return op.forward(isa, weight, bias, value.value(), output, scratch);
            }
            value.step(images * layer.image_len(), |source, target| {
                op.forward(isa, weight, bias, source, target, scratch)
            })?;
        }
        Ok(())
    }

    /// The length of one image of the input, and of the output; neither is 0.
    pub(super) const fn image_lens(&self) -> [usize; 2] {
        [self.image_len, self.layers[L.wrapping_sub(1)].image_len()]
    }

    /// Runs the network and keeps every layer's output in `workspace`, for
    /// [`backward`](Self::backward) and [`layer_output`](Self::layer_output).
    ///
    /// # Errors
    ///
    /// [`RunError::Length`] for `params`, `input` or `workspace`, [`RunError::Scratch`] below
    /// [`train_scratch_len`](Self::train_scratch_len), [`RunError::PackedWeights`] if the weights were packed for other layers;
    /// [`RunError::Layout`] with [channels last](Self::with_input_layout), of input or output. `workspace` is then untouched.
    #[inline(always)]
    pub fn forward_train(
        &self,
        weights: NetworkWeights<'_, L>,
        input: &[f32],
        workspace: &mut [f32],
        scratch: &mut [f32],
    ) -> Result<(), RunError> {
        self.forward_train_observed(weights, input, workspace, scratch, |_| ())
    }

    /// [`forward_train`](Self::forward_train), which calls `after` with the index of each layer whose
    /// output it has just computed: where a clock is read, or one output looked at before the next.
    ///
    /// # Errors
    ///
    /// Those of [`forward_train`](Self::forward_train).
    // Inlined so that the compiler drops what a constant plan does not take.
    #[inline(always)]
    pub fn forward_train_observed(
        &self,
        weights: NetworkWeights<'_, L>,
        input: &[f32],
        workspace: &mut [f32],
        scratch: &mut [f32],
        after: impl FnMut(usize),
    ) -> Result<(), RunError> {
        self.check_channels_first("forward_train")?;
        self.check_weights(&weights)?;
        check_len("input", self.input_len, input.len())?;
        check_len("workspace", self.workspace_len, workspace.len())?;
        check_scratch(self.train_scratch_len, scratch.len())?;

        if let (Some(interleaving), true) = (&self.interleaving, self.trains_interleaved) {
            self.forward_interleaved(interleaving, weights.params(), input, workspace, scratch, after);
            return Ok(());
        }
        if self.trains_in_place {
            return self.forward_in_place(weights.params(), input, workspace, after);
        }
        self.forward_layers(&weights, input, workspace, scratch, after)
    }

    /// [`forward_train_observed`](Self::forward_train_observed), layer by layer.
    fn forward_layers(
        &self,
        weights: &NetworkWeights<'_, L>,
        input: &[f32],
        workspace: &mut [f32],
        scratch: &mut [f32],
        mut after: impl FnMut(usize),
    ) -> Result<(), RunError> {
        let isa = self.isa();
        for (index, layer) in self.layers.iter().enumerate() {
            let (Some(offset), false) = (layer.output_offset, matches!(layer.op, Op::Flatten)) else {
                continue;
            };
            let (kept, rest) = workspace.split_at_mut(offset);
            let source = self.input_of(index, input, kept);
            let mut op = layer.op;
            op.limit_scratch(self.train_scratch_len);
            let (weight, bias) = self.weights_of(index, &op, weights);
            op.forward(isa, weight, bias, source, &mut rest[..layer.output_len], scratch)?;
            after(index);
        }
        Ok(())
    }

    /// The output of a layer, from the workspace that [`forward_train`](Self::forward_train) filled.
    ///
    /// `None` if there is no such layer, if the workspace has another length, or if the output is
    /// the network's input itself: a Flatten that stands first. A plan that [interleaves](Network#large-batches)
    /// images shows the last layer's output only.
    #[must_use]
    pub fn layer_output<'w>(&self, layer: usize, workspace: &'w [f32]) -> Option<&'w [f32]> {
        let is_last = layer.saturating_add(1) == L;
        let layer = self.layers.get(layer)?;
        let offset = layer.output_offset?;
        check_len("workspace", self.workspace_len, workspace.len()).ok()?;
        if self.trains_interleaved {
            return if is_last { workspace.get(..layer.output_len) } else { None };
        }
        workspace.get(offset..)?.get(..layer.output_len)
    }

    /// Checks the number of the parameters, and that packed weights are packed for this plan's layers. Inlined so that the compiler
    /// drops the latter where weights are plain.
    #[inline(always)]
    pub(super) fn check_weights(&self, weights: &NetworkWeights<'_, L>) -> Result<(), RunError> {
        check_len("params", self.param_len, weights.params().len())?;
        match weights {
            NetworkWeights::Plain(_) => Ok(()),
            NetworkWeights::Packed { packed, .. } => self.check_packed(packed),
        }
    }

    fn check_packed(&self, packed: &PackedNetwork<'_, L>) -> Result<(), RunError> {
        for (index, packed) in packed.layers.iter().enumerate() {
            let Some(packed) = packed else { continue };
            if self.layers[index].op.layout().is_none_or(|layout| !packed.layout.has_dims_of(layout)) {
                let required = self.inferring(index, self.batch).sizes().packed_weight;
                return Err(RunError::PackedWeights { required, given: packed.panels.len() });
            }
        }
        Ok(())
    }

    /// A layer's weight and bias; empty where it has none. Weights that are packed for another algorithm than the one
    /// that `op` uses, or not packed, are read as they are.
    fn weights_of<'a>(
        &self,
        index: usize,
        op: &Op,
        weights: &NetworkWeights<'a, L>,
    ) -> (Weights<'a>, &'a [f32]) {
        let layer = &self.layers[index];
        let params = weights.params();
        let weight = match weights {
            NetworkWeights::Packed { packed, .. } => {
                packed.layers[index].filter(|packed| Some(packed.layout) == op.layout()).map(Weights::Packed)
            }
            NetworkWeights::Plain(_) => None,
        };
        (weight.unwrap_or(Weights::Plain(layer.weight(params))), layer.bias(params))
    }

    /// Makes of a layer what inference runs on some images, with the activation that it applies for the next one.
    fn set_inference(&self, op: &mut Op, index: usize, images: usize) {
        op.infer(images, self.layer_limit());
        if let Some(&LayerPlan { fused: true, op: Op::Activation(activation), .. }) =
            self.layers.get(index + 1)
        {
            op.set_activation(activation);
        }
    }

    /// What a layer reads; `workspace` needs to reach no further than that.
    pub(super) fn input_of<'a>(&self, index: usize, input: &'a [f32], workspace: &'a [f32]) -> &'a [f32] {
        match index.checked_sub(1) {
            None => input,
            Some(previous) => self.output_of(previous, input, workspace),
        }
    }

    pub(super) fn output_of<'a>(&self, index: usize, input: &'a [f32], workspace: &'a [f32]) -> &'a [f32] {
        let Some(layer) = self.layers.get(index) else { return &[] };
        match layer.output_offset {
            None => input,
            Some(offset) => {
                workspace.get(offset..).and_then(|rest| rest.get(..layer.output_len)).unwrap_or_default()
            }
        }
    }
}

impl Op {
    /// `isa`: of a layer that has no plan to know it.
    fn forward(
        &self,
        isa: Isa,
        weight: Weights<'_>,
        bias: &[f32],
        input: &[f32],
        output: &mut [f32],
        scratch: &mut [f32],
    ) -> Result<(), RunError> {
        match self {
            Self::Conv(plan) => plan.forward(ConvOperands { input, weight, bias }, output, scratch),
            Self::Linear(plan) => plan.forward(LinearOperands { input, weight, bias }, output, scratch),
            Self::Pool(plan) => pool(plan, input, output),
            Self::Activation(activation) => activation.forward_with_isa(isa, input, output),
            Self::Flatten => {
                output.copy_from_slice(input);
                Ok(())
            }
        }
    }
}

/// Runs a pooling. Not inlined: other layers need not have its stack.
#[inline(never)]
fn pool(plan: &PoolPlan<2>, input: &[f32], output: &mut [f32]) -> Result<(), RunError> {
    plan.forward(input, output)
}

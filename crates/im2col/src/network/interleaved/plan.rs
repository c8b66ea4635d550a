//! Planning: whether images are interleaved, and what that takes.

use crate::error::ShapeError;
use crate::interleaved::{GradInput, GradKernels, GradWeights, STRETCH};
use crate::network::interleaving::{Interleaving, MOST_BLOCKS};
use crate::network::layer::{LayerPlan, Op};
use crate::network::plan::Network;
use crate::padding::PaddingMode;
use crate::scratch::ALIGN;
use crate::simd::NR;
use crate::sum::Cascade;
use crate::window::{checked_sum, max};

/// Fewer images are computed one by one: a block of sixteen takes as long however many it has.
const LEAST_IMAGES: usize = 8;
/// The most parameters, and the most vectors that training keeps of a block: what stays in an L2 of 1 MiB, or of
/// a pair of blocks, in 2 MiB.
const MOST_PARAMS: usize = 1 << 17;
const MOST_VECTORS: usize = 1 << 14;

impl<const L: usize> Network<L> {
    /// Whether [`forward`](Self::forward) [interleaves](Network#large-batches) images.
    #[must_use]
    pub const fn is_interleaved(&self) -> bool {
        self.infers_interleaved
    }

    /// Whether [`forward_train`](Self::forward_train) and [`backward`](Self::backward)
    /// [interleave](Network#large-batches) images: under limits of scratch inference may differ.
    #[must_use]
    pub const fn is_training_interleaved(&self) -> bool {
        self.trains_interleaved
    }

    /// The same network with interleaved images, or without; a plan that is not told [decides by
    /// itself](Network#large-batches). Images that are told to interleave are still taken one by one where they exceed a
    /// limit of scratch and single images do not.
    ///
    /// The outputs stay the same, bit for bit but for the sign of a zero, for finite parameters; gradients are summed in
    /// another order. The lengths of workspace and scratch and the packed weights are those of the new plan.
    ///
    /// ```
    /// use im2col::{Network, lenet::LENET};
    ///
    /// let network = Network::plan(LENET, 64, [1, 28, 28])?;
    /// assert!(network.is_interleaved() && network.is_training_interleaved());
    /// let network = network.with_interleaving(false)?;
    /// assert!(!network.is_interleaved() && !network.is_training_interleaved());
    /// # Ok::<(), im2col::ShapeError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ShapeError::Inapplicable`] for interleaving an empty batch, a network without parameters, or one that keeps or
    /// needs more than 16,384 values for an image, whose gradients would be sums of long chains;
    /// [`ShapeError::Overflow`] for its workspace; [`ShapeError::ScratchLimit`] if the network does not fit its limits.
    pub const fn with_interleaving(mut self, is_interleaved: bool) -> Result<Self, ShapeError> {
        self.interleaving = None;
        if is_interleaved {
            let option = "interleaving";
            if self.first_trained() == L || self.output_len() == 0 {
                let operation = "a network without images or parameters";
                return Err(ShapeError::Inapplicable { option, operation });
            }
            let Some(lens) = self.plan_interleaving() else {
                let operation = "more than 16,384 values of an image";
                return Err(ShapeError::Inapplicable { option, operation });
            };
            if !self.has_workspace_for(&lens) {
                return Err(ShapeError::Overflow { what: "workspace" });
            }
            self.interleaving = Some(lens);
        }
        match self.plan_passes() {
            Ok(()) => Ok(self),
            Err(error) => Err(error),
        }
    }

    /// Interleaves images where that pays.
    pub(in crate::network) const fn interleave(&mut self) {
        if let Some(lens) = self.plan_interleaving()
            && self.batch >= LEAST_IMAGES
            && self.param_len <= MOST_PARAMS
            && self.has_workspace_for(&lens)
        {
            self.interleaving = Some(lens);
            self.plan_interleaved_inference(&lens);
            self.plan_interleaved_training(&lens);
        }
    }

    /// How images are interleaved, unless there are none, no parameters, or too many values.
    const fn plan_interleaving(&mut self) -> Option<Interleaving> {
        let first_trained = self.first_trained();
        if first_trained == L || self.output_len() == 0 {
            return None;
        }
        let mut lens = Interleaving {
            classifier: L,
            features_kept: 0,
            kept: self.kept_image_len(),
            buffers: [self.image_len, 0],
            feature_grads: [0; 2],
            classifier_grads: [0; 2],
            // The image before it is padded.
            forward: if self.kept_image_len() > self.image_len { self.image_len } else { 0 },
            backward: 0,
        };
        // What a layer needs for a block besides its operands: what decides does not depend on the batch.
        let mut most = 0;
        let mut turn = 1;
        let mut index = 0;
        while index < L {
            let layer = self.layers[index];
            let len = layer.image_len();
            if matches!(layer.op, Op::Linear(_)) && index < lens.classifier {
                lens.classifier = index;
            }
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
            let [forward, backward] = layer.lane_scratch(self.blocks_at_once(), index > first_trained);
            lens.forward = max(lens.forward, forward);
            lens.backward = max(lens.backward, backward);
            let [_, backward] = layer.lane_scratch(1, index > first_trained);
            most = max(most, max(forward, backward));
            index = index.wrapping_add(1);
        }
        lens.features_kept =
            if lens.classifier > 0 { self.layers[lens.classifier.wrapping_sub(1)].lane_offset } else { 0 };
        lens.classifier_grads = self.grad_lens(lens.classifier, L);
        if first_trained < lens.classifier {
            lens.feature_grads = self.grad_lens(first_trained, lens.classifier);
        }
        if lens.kept > MOST_VECTORS || most > MOST_VECTORS { None } else { Some(lens) }
    }

    /// Whether the length of the workspace of interleaved images fits in `usize`.
    const fn has_workspace_for(&self, lens: &Interleaving) -> bool {
        let kept = lens.kept.saturating_mul(self.batch.div_ceil(NR)).saturating_mul(NR);
        checked_sum([self.output_len(), 1, ALIGN, kept]).is_some()
    }

    /// The most vectors of the gradients that stand in either buffer while they go back through some layers, from
    /// that of the output before `end`.
    const fn grad_lens(&self, first: usize, end: usize) -> [usize; 2] {
        let mut lens = [self.layers[end.wrapping_sub(1)].image_len(), 0];
        let mut turn = 0;
        let mut index = end;
        while index > first {
            index = index.wrapping_sub(1);
            let layer = self.layers[index];
            if index > self.first_trained() && !matches!(layer.op, Op::Activation(_) | Op::Flatten) {
                turn ^= 1;
                lens[turn] = max(lens[turn], self.layers[index.wrapping_sub(1)].image_len());
            }
        }
        lens
    }

    /// Plans inference of interleaved images. No sum here overflows: none of a block exceeds `MOST_VECTORS`.
    pub(in crate::network) const fn plan_interleaved_inference(&mut self, lens: &Interleaving) {
        let [first, second] = lens.buffers;
        let inference = first.saturating_add(second).saturating_add(lens.forward);
        self.scratch_len = inference.saturating_mul(NR).saturating_add(ALIGN);
        self.shard = NR;
        self.buffer_lens = [0; 2];
        self.infers_interleaved = true;
        self.infers_by_rows = false;
        // All of them had a length when images were taken one by one.
        let _ = self.size_packed();
    }

    /// Plans training on interleaved images.
    pub(in crate::network) const fn plan_interleaved_training(&mut self, lens: &Interleaving) {
        let kept = lens.kept.saturating_mul(self.batch.div_ceil(NR)).saturating_mul(NR);
        let ([features, more_features], [classifier, more_classifier]) =
            (lens.feature_grads, lens.classifier_grads);
        let classifier = classifier.saturating_add(more_classifier).saturating_mul(self.blocks_at_once());
        let backward =
            classifier.saturating_add(features).saturating_add(more_features).saturating_add(lens.backward);
        let training = max(lens.forward, backward);
        // `has_workspace_for` has checked this sum.
        self.workspace_len = self.output_len().saturating_add(1).saturating_add(ALIGN).saturating_add(kept);
        let sums = self.stretches_len();
        self.train_scratch_len = training.saturating_mul(NR).saturating_add(ALIGN).saturating_add(sums);
        self.trains_interleaved = true;
        self.trains_in_place = false;
    }

    /// Where there are many stretches of images: the gradients of one, and the sums of many.
    pub(super) const fn stretches_len(&self) -> usize {
        if self.batch <= STRETCH {
            return 0;
        }
        let arrays = Cascade::levels(self.batch.div_ceil(STRETCH)).saturating_add(1);
        arrays.saturating_mul(self.param_len)
    }

    /// The vectors of the image as training keeps it: padded, if the first layer wants it so.
    pub(super) const fn kept_image_len(&self) -> usize {
        match self.layers[0].op {
            Op::Conv(plan) if plan.planes().is_padded() => plan.planes().padded_len(),
            _ => self.image_len,
        }
    }

    /// How many blocks go through the classifier at once.
    pub(super) const fn blocks_at_once(&self) -> usize {
        let whole = self.batch / NR;
        if whole > MOST_BLOCKS { MOST_BLOCKS } else { max(whole, 1) }
    }
}

impl LayerPlan {
    /// Vectors that the layer needs besides its operands, forward and backward, where its input may have a gradient.
    const fn lane_scratch(&self, blocks: usize, has_grad_input: bool) -> [usize; 2] {
        match self.op {
            Op::Conv(plan) => {
                let planes = plan.planes();
                let staged = if planes.is_padded() { planes.padded_len() } else { 0 };
                let whole = if matches!(plan.window().mode, PaddingMode::Zeros) { 0 } else { staged };
                let kernels = staged.saturating_add(GradKernels::scratch_len(&planes));
                let input = whole.saturating_add(GradInput::scratch_len(&planes));
                [staged, if has_grad_input { max(kernels, input) } else { kernels }]
            }
            Op::Linear(plan) => [0, GradWeights::scratch_len(plan.params().inputs(), blocks)],
            Op::Pool(_) | Op::Activation(_) | Op::Flatten => [0, 0],
        }
    }
}

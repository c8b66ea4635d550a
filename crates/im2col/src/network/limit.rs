//! How much scratch inference and training take, and how they do with less.

#![deny(clippy::arithmetic_side_effects)]

use super::layer::Op;
use super::plan::Network;
use crate::error::ShapeError;
use crate::simd::MR;
use crate::window::{checked_sum, max, min};

impl<const L: usize> Network<L> {
    /// The same network with at most `len` values of scratch for [`forward`](Self::forward), on all threads together; images with
    /// [channels last](Self::with_input_layout) may take more, as [pixels](Self::pixel_scratch_len) do, and so may an
    /// [output](Self::with_output_layout) with channels last.
    ///
    /// Where images do not fit interleaved, they are taken one by one; fewer of them at a time, if that leaves the
    /// layers what they need; otherwise an image at a time, with layers that run in what is left or in place; and in
    /// the least memory, [`least_scratch_len`](Self::least_scratch_len), with a convolution, its activation and its pooling computed
    /// row by row. Then no weights are packed, and a program whose plan is a constant links only what that takes. The
    /// outputs stay the same, bit for bit but for the sign of a zero, for finite parameters, unless
    /// [`Rounding::Any`](crate::Rounding::Any) had led to another order.
    ///
    /// ```
    /// use im2col::{Network, lenet::LENET, planned};
    ///
    /// const NETWORK: Network<12> = planned!(Network::plan(LENET, 1, [1, 28, 28]));
    /// const LIMITED: Network<12> = planned!(NETWORK.with_scratch_limit(6_000));
    /// assert!(NETWORK.scratch_len() > 6_000 && LIMITED.scratch_len() <= 6_000);
    /// ```
    ///
    /// # Errors
    ///
    /// [`ShapeError::ScratchLimit`] below [`least_scratch_len`](Self::least_scratch_len).
    pub const fn with_scratch_limit(mut self, len: usize) -> Result<Self, ShapeError> {
        match self.limit_inference(len) {
            Ok(()) => Ok(self),
            Err(error) => Err(error),
        }
    }

    /// [`with_scratch_limit`](Self::with_scratch_limit), without a copy of the network, which takes much of the stack.
    pub(super) const fn limit_inference(&mut self, len: usize) -> Result<(), ShapeError> {
        self.scratch_limit = len;
        let mut interleaved = usize::MAX;
        if let Some(lens) = self.interleaving {
            self.plan_interleaved_inference(&lens);
            interleaved = self.scratch_len;
            if interleaved <= len {
                return Ok(());
            }
        }
        match self.plan_inference(len) {
            Ok(()) => Ok(()),
            Err(error) => Err(or_least(error, interleaved)),
        }
    }

    /// The least limit that [`with_scratch_limit`](Self::with_scratch_limit) accepts.
    ///
    /// Images are taken one by one; the outputs of layers stand in two buffers in turn, each as long as the longest in it. A
    /// pooling behind a convolution (and its activation) counts as one layer with it, if its windows lie side by side within
    /// the planes and a mean has at most 32 values; then the lines of a row of windows are kept as well, of at most six
    /// output channels.
    ///
    /// ```
    /// use im2col::{Network, lenet::LENET, planned};
    ///
    /// const NETWORK: Network<12> = planned!(Network::plan(LENET, 1, [1, 28, 28]));
    /// const SMALL: Network<12> = planned!(NETWORK.with_scratch_limit(NETWORK.least_scratch_len()));
    ///
    /// // What either pooling gives, and two lines of each of the six channels before the first.
    /// assert_eq!(SMALL.scratch_len(), 6 * 14 * 14 + 16 * 5 * 5 + 6 * 2 * 28);
    /// ```
    #[must_use]
    pub const fn least_scratch_len(&self) -> usize {
        let mut network = *self;
        match network.limit_inference(0) {
            Err(ShapeError::ScratchLimit { least, .. }) => least,
            _ => 0,
        }
    }

    /// The least limit that [`with_train_scratch_limit`](Self::with_train_scratch_limit) accepts: twice the longest output of a
    /// layer from the first with parameters on, for the whole batch, or what interleaved images take if that is less.
    ///
    /// ```
    /// use im2col::{Network, lenet::LENET, planned};
    ///
    /// const NETWORK: Network<12> = planned!(Network::plan(LENET, 1, [1, 28, 28]));
    /// const SMALL: Network<12> = planned!(NETWORK.with_train_scratch_limit(NETWORK.least_train_scratch_len()));
    ///
    /// // Two gradients as long as the output of the first convolution.
    /// assert_eq!(SMALL.train_scratch_len(), 2 * 6 * 28 * 28);
    ///
    /// // Parameters and their gradients, what all layers give, scratch; then the image and the gradient of the output.
    /// let step = 2 * SMALL.param_len() + SMALL.workspace_len() + SMALL.train_scratch_len();
    /// let operands = SMALL.input_len() + SMALL.output_len();
    /// assert_eq!([4 * step, 4 * operands], [589_688, 3_176]); // bytes
    /// assert!(4 * (step + operands) <= 640 * 1024);
    /// ```
    #[must_use]
    pub const fn least_train_scratch_len(&self) -> usize {
        let mut network = *self;
        match network.limit_training(0) {
            Err(ShapeError::ScratchLimit { least, .. }) => least,
            _ => 0,
        }
    }

    /// The same network with at most `len` values of scratch for [`forward_train`](Self::forward_train) and
    /// [`backward`](Self::backward): by layers that run in smaller blocks or in place, backward in what the gradients of
    /// activations leave. [`least_train_scratch_len`](Self::least_train_scratch_len) is the least memory.
    ///
    /// The outputs and gradients stay the same, bit for bit but for the sign of a zero, for finite operands, unless
    /// [`Rounding::Any`](crate::Rounding::Any) had led to another order, or
    /// the plan [interleaves](Network#large-batches) images and these do not fit: the gradients are then summed in the
    /// order of a plan that does not, and [`workspace_len`](Self::workspace_len) is another one.
    ///
    /// # Errors
    ///
    /// [`ShapeError::ScratchLimit`] below [`least_train_scratch_len`](Self::least_train_scratch_len).
    pub const fn with_train_scratch_limit(mut self, len: usize) -> Result<Self, ShapeError> {
        match self.limit_training(len) {
            Ok(()) => Ok(self),
            Err(error) => Err(error),
        }
    }

    /// [`with_train_scratch_limit`](Self::with_train_scratch_limit), without a copy of the network.
    pub(super) const fn limit_training(&mut self, len: usize) -> Result<(), ShapeError> {
        self.train_scratch_limit = len;
        let mut interleaved = usize::MAX;
        if let Some(lens) = self.interleaving {
            self.plan_interleaved_training(&lens);
            interleaved = self.train_scratch_len;
            if interleaved <= len {
                return Ok(());
            }
        }
        match self.plan_training(len) {
            Ok(()) => Ok(()),
            Err(error) => Err(or_least(error, interleaved)),
        }
    }

    /// Plans inference of image after image, some at a time, in at most `limit` values of scratch.
    pub(super) const fn plan_inference(&mut self, limit: usize) -> Result<(), ShapeError> {
        let image_lens = self.kept_of_an_image();
        let [first, second] = image_lens;
        let kept = first.saturating_add(second);
        let whole = self.layers_scratch(self.batch, usize::MAX);
        let mut shard = shard_of(self.batch, kept);
        let within = match limit.checked_sub(whole) {
            Some(spare) => match spare.checked_div(kept) {
                Some(images) => images,
                None => shard,
            },
            None => 0,
        };
        let layers = if within > 0 {
            shard = min(within, shard);
            whole
        } else {
            shard = 1;
            if limit <= kept {
                let by_rows = self.plan_inference_by_rows(kept, limit);
                if limit < kept || by_rows.is_ok() {
                    return by_rows;
                }
            }
            self.layers_scratch(shard, limit.saturating_sub(kept))
        };
        let (Some(first), Some(second)) = (first.checked_mul(shard), second.checked_mul(shard)) else {
            return Err(ShapeError::Overflow { what: "scratch" });
        };
        let Some(scratch_len) = checked_sum([first, second, layers]) else {
            return Err(ShapeError::Overflow { what: "scratch" });
        };
        self.shard = shard;
        self.buffer_lens = [first, second];
        self.scratch_len = scratch_len;
        self.infers_interleaved = false;
        self.infers_by_rows = false;
        self.size_packed()
    }

    /// Plans inference that keeps no output of a convolution which is pooled, in at most `limit` values of scratch, which
    /// are no more than the `kept` values between whole layers.
    const fn plan_inference_by_rows(&mut self, kept: usize, limit: usize) -> Result<(), ShapeError> {
        let (buffer_lens, band) = self.kept_by_rows();
        let [first, second] = buffer_lens;
        // Without an image these lengths are checked one by one only. A sum that does not fit is above the limit.
        let scratch_len = first.saturating_add(second).saturating_add(band);
        if scratch_len > limit {
            return Err(ShapeError::ScratchLimit { least: min(scratch_len, kept), limit });
        }
        self.shard = 1;
        self.buffer_lens = buffer_lens;
        self.scratch_len = scratch_len;
        self.packed_weight_len = 0;
        self.infers_interleaved = false;
        self.infers_by_rows = true;
        Ok(())
    }

    /// What inference keeps of an image between two layers: one value in each of two buffers in turn.
    const fn kept_of_an_image(&self) -> [usize; 2] {
        let last_step = self.last_step();
        let mut lens = [0; 2];
        let (mut turn, mut index) = (0, 0);
        // The last step writes to the caller's output, so only those before it need a buffer.
        while index < last_step {
            let layer = self.layers[index];
            if layer.is_step() {
                lens[turn] = max(lens[turn], layer.image_len());
                turn ^= 1;
            }
            index = index.wrapping_add(1);
        }
        lens
    }

    /// The most scratch of a layer that infers so many images within the limit.
    const fn layers_scratch(&self, images: usize, limit: usize) -> usize {
        let (mut most, mut index) = (0, 0);
        while index < L {
            let mut op = self.layers[index].op;
            op.infer(images, limit);
            most = max(most, op.sizes().scratch);
            index = index.wrapping_add(1);
        }
        most
    }

    /// What inference leaves to a layer, besides what is kept between layers.
    pub(super) const fn layer_limit(&self) -> usize {
        let [first, second] = self.buffer_lens;
        if self.infers_interleaved {
            return usize::MAX;
        }
        self.scratch_len.saturating_sub(first).saturating_sub(second)
    }

    /// The layer as inference runs it on some images.
    pub(super) const fn inferring(&self, index: usize, images: usize) -> Op {
        let mut op = self.layers[index].op;
        op.infer(images, self.layer_limit());
        op
    }

    /// Sizes the packed weights of the algorithms that inference uses.
    pub(super) const fn size_packed(&mut self) -> Result<(), ShapeError> {
        let (mut packed_weight_len, mut index) = (0, 0);
        while index < L {
            let len = self.inferring(index, self.batch).sizes().packed_weight;
            packed_weight_len = match checked_sum([packed_weight_len, len]) {
                Some(len) => len,
                None => return Err(ShapeError::Overflow { what: "packed weights" }),
            };
            index = index.wrapping_add(1);
        }
        self.packed_weight_len = packed_weight_len;
        Ok(())
    }

    /// Plans training on the images of a batch together, layer by layer, in at most `limit` values of scratch.
    pub(super) const fn plan_training(&mut self, limit: usize) -> Result<(), ShapeError> {
        let Some(gradients) = self.gradient_len.checked_mul(2) else {
            return Err(ShapeError::Overflow { what: "scratch" });
        };
        let Some(spare) = limit.checked_sub(gradients) else {
            return Err(ShapeError::ScratchLimit { least: gradients, limit });
        };
        let first_trained = self.first_trained();
        let (mut forward, mut backward, mut wanted, mut index) = (0, 0, 0, 0);
        let mut workspace_len = 0;
        while index < L {
            let layer = self.layers[index];
            let mut op = layer.op;
            op.limit_scratch(limit);
            forward = max(forward, op.sizes().scratch);
            if index >= first_trained {
                backward = max(backward, layer.op.training_backward(spare).sizes().backward_scratch);
                wanted = max(wanted, layer.op.sizes().backward_scratch);
            }
            if let (Some(offset), false) = (layer.output_offset, matches!(layer.op, Op::Flatten)) {
                // `place` has checked this sum.
                workspace_len = offset.wrapping_add(layer.output_len);
            }
            index = index.wrapping_add(1);
        }
        // Where no gradient has room for scratch, the forward pass does without as well: then only what runs in place is linked.
        self.trains_in_place = backward == 0 && wanted > 0;
        let Some(backward) = checked_sum([gradients, backward]) else {
            return Err(ShapeError::Overflow { what: "scratch" });
        };
        self.train_scratch_len = if self.trains_in_place { gradients } else { max(backward, forward) };
        self.workspace_len = workspace_len;
        self.trains_interleaved = false;
        Ok(())
    }

    /// The longest gradient of an activation: of what lies between the first trained layer and the last one.
    pub(super) const fn longest_gradient(&self) -> usize {
        let (mut longest, mut index) = (0, self.first_trained());
        while index < L {
            longest = max(longest, self.layers[index].output_len);
            index = index.wrapping_add(1);
        }
        longest
    }

    /// What a training pass leaves to a layer's gradients, besides those of the activations.
    pub(super) const fn gradient_limit(&self) -> usize {
        self.train_scratch_len.saturating_sub(self.gradient_len).saturating_sub(self.gradient_len)
    }

    /// The scratch of all threads together, where the images are converted or not; or what an output with channels last takes
    /// after them, if that is longer.
    pub(super) const fn all_scratch_len(&self, converts: bool) -> usize {
        max(self.parts().saturating_mul(self.part_scratch_len(converts)), self.permuted_len())
    }

    /// How many parts the images are divided into, whole shards, each with a scratch of its own.
    pub(super) const fn parts(&self) -> usize {
        let shards = self.batch.div_ceil(self.shard);
        let mut parts = min(self.threads, shards);
        if let Some(affordable) = self.scratch_limit.checked_div(self.scratch_len) {
            parts = min(parts, affordable);
        }
        max(parts, 1)
    }
}

/// The error of a limit, with the least scratch of both ways: interleaved images take `interleaved`.
const fn or_least(error: ShapeError, interleaved: usize) -> ShapeError {
    match error {
        ShapeError::ScratchLimit { least, limit } if interleaved < least => {
            ShapeError::ScratchLimit { least: interleaved, limit }
        }
        other => other,
    }
}

/// How many images inference takes at a time, if between two layers it keeps `image_len` values of each:
/// as many as stay in L2, in whole tiles of the linear layers.
const fn shard_of(batch: usize, image_len: usize) -> usize {
    let most = match SHARD.checked_div(image_len) {
        Some(most) => most,
        None => batch,
    };
    let most = if most > MR { most.wrapping_sub(most % MR) } else { max(most, 1) };
    if batch < most { max(batch, 1) } else { most }
}

/// The most values that a shard keeps between two layers: 256 KiB, half of the smallest L2 in use.
pub(super) const SHARD: usize = 64 * 1024;

impl Op {
    /// Makes of the layer what inference runs: its first `images` images, in at most `limit` values of scratch. In place, as
    /// all changes of a layer: a copy takes much of the stack.
    pub(super) const fn infer(&mut self, images: usize, limit: usize) {
        // The limit first: by the batch that was planned, whose algorithm is the one of the packed weights.
        if matches!(self, Self::Conv(_)) {
            self.limit_scratch(limit);
        }
        match self {
            Self::Conv(plan) => plan.set_fewer_images(images),
            Self::Pool(plan) => plan.set_fewer_images(images),
            Self::Linear(plan) => {
                plan.set_fewer_images(images);
                self.limit_scratch(limit);
            }
            Self::Activation(_) | Self::Flatten => {}
        }
    }

    /// Limits the scratch of the forward pass to `limit` values.
    pub(super) const fn limit_scratch(&mut self, limit: usize) {
        match self {
            Self::Conv(plan) if plan.scratch_len() > limit => plan.set_scratch_limit(limit),
            Self::Linear(plan) if plan.scratch_len() > limit => *plan = plan.with_scratch_limit(limit),
            _ => {}
        }
    }

    /// The layer as training runs it backward, in at most `limit` values of scratch.
    pub(super) const fn training_backward(self, limit: usize) -> Self {
        match self {
            Self::Conv(plan) if plan.backward_scratch_len() > limit => {
                Self::Conv(plan.with_backward_scratch_limit(limit))
            }
            Self::Linear(plan) if plan.backward_scratch_len() > limit => {
                Self::Linear(plan.with_backward_scratch_limit(limit))
            }
            _ => self,
        }
    }
}

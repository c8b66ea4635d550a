//! Planning: each layer's own plan, and where its operands stand in the flat slices.

#![deny(clippy::arithmetic_side_effects)]

use super::interleaving::Interleaving;
use super::layer::{Layer, LayerPlan, Op, ValueShape};
use crate::activation::Activation;
use crate::conv::Rounding;
use crate::error::ShapeError;
use crate::simd::Isa;
use crate::window::checked_sum;

/// A planned network of `L` layers: every size is known, and every layer takes what the one before
/// it gives.
///
/// ```
/// use im2col::{Network, NetworkWeights, lenet::LENET, planned};
///
/// const NETWORK: Network<12> = planned!(Network::plan(LENET, 1, [1, 28, 28]));
///
/// let params = [0.01; NETWORK.param_len()];
/// let mut logits = [0.0; NETWORK.output_len()];
/// let mut scratch = [0.0; NETWORK.scratch_len()];
/// NETWORK.forward(NetworkWeights::Plain(&params), &[1.0; 784], &mut logits, &mut scratch)?;
/// assert_eq!(logits.len(), 10);
/// # Ok::<(), im2col::RunError>(())
/// ```
///
/// # Large batches
///
/// Where a network is small, up to 2^17 parameters, and a batch has at least eight images, these are interleaved:
/// sixteen images fill the lanes of the vectors, so that no channel or row needs to. A plan decides by itself, unless
/// [told](Network::with_interleaving). The outputs are the same, bit for bit; gradients are summed in another order, over the
/// positions of each image before the images. Packed weights are not used then, and [`layer_output`](Network::layer_output)
/// knows the last output only, because the workspace holds the others interleaved. The callback of an observed pass is called
/// once for each layer and block of 16 images; from the first fully connected layer on, for up to 32 images.
///
/// # Stack
///
/// A plan holds those of its layers, about 600 bytes each: 7 KiB for LeNet's twelve. A constant or a `static` takes nothing of
/// it from the stack. LeNet takes, on x86-64, besides the plan and its weights, which the caller keeps (`cargo run --release -p
/// im2col-benches --bin stack`, the most of all instruction sets):
///
/// | | `opt-level = 3` | `opt-level = 0` |
/// |---|--:|--:|
/// | [`plan`](Network::plan), when the program runs | 13 KiB | 36 KiB |
/// | [`forward`](Network::forward), image by image | 9 KiB | 80 KiB |
/// | [`forward`](Network::forward), interleaved | 5 KiB | 132 KiB |
/// | [`forward`](Network::forward), in the least memory | 8 KiB | 46 KiB |
/// | [`forward_train`](Network::forward_train) and [`backward`](Network::backward) | 11 KiB | 137 KiB |
///
/// Where a debug build has no such stack, optimise this crate alone in it, by `[profile.dev.package.im2col]` with
/// `opt-level = 3`.
///
/// # Layers that do not fit
///
/// A layer that does not fit does not compile:
///
/// ```compile_fail
/// use im2col::{Network, lenet::LENET, planned};
///
/// // The second convolution leaves 4x4, not 5x5, for the layer that takes 400 features.
/// const NETWORK: Network<12> = planned!(Network::plan(LENET, 1, [1, 26, 26]));
/// println!("{}", NETWORK.param_len());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network<const L: usize> {
    pub(super) layers: [LayerPlan; L],
    pub(super) batch: usize,
    /// How many images inference takes at a time.
    pub(super) shard: usize,
    /// At most as many threads.
    pub(super) threads: usize,
    pub(super) input_len: usize,
    /// Of one image.
    pub(super) image_len: usize,
    /// Of the input.
    pub(super) channels: usize,
    /// How far apart the values of a channel of the input lie: `channels` where they come last, otherwise 1.
    pub(super) position_stride: usize,
    /// Whether the output has channels last.
    pub(super) gives_channels_last: bool,
    pub(super) param_len: usize,
    pub(super) packed_weight_len: usize,
    pub(super) workspace_len: usize,
    /// What inference keeps of a shard between two layers stands in one of two buffers in turn.
    pub(super) buffer_lens: [usize; 2],
    /// Both buffers, then the layers' own scratch: what a thread needs.
    pub(super) scratch_len: usize,
    /// Training keeps a gradient in one of two buffers of this length.
    pub(super) gradient_len: usize,
    /// Both gradient buffers, then the layers' own scratch.
    pub(super) train_scratch_len: usize,
    pub(super) isa: Option<Isa>,
    /// How images can be interleaved, if that pays or was asked for, and whether inference and training do so.
    pub(super) interleaving: Option<Interleaving>,
    pub(super) infers_interleaved: bool,
    /// Whether inference takes image after image, and convolutions row by row.
    pub(super) infers_by_rows: bool,
    pub(super) trains_interleaved: bool,
    /// Whether training runs every layer in place.
    pub(super) trains_in_place: bool,
    /// Whether the windows of all poolings are tiles: then what runs in place needs no other pooling.
    pub(super) has_only_tiles: bool,
    /// The most scratch of all threads of inference together, and of training.
    pub(super) scratch_limit: usize,
    pub(super) train_scratch_limit: usize,
}

impl<const L: usize> Network<L> {
    /// Forces the instruction set of every layer. Otherwise the fastest one is detected.
    ///
    /// Outputs are then the same bits from [`forward`](Self::forward) and [`forward_train`](Self::forward_train), for any
    /// batch; under [`Isa::SCALAR`] on every target as well.
    #[must_use]
    pub const fn with_isa(mut self, isa: Isa) -> Self {
        let mut index = 0;
        while index < L {
            self.layers[index].op = self.layers[index].op.with_isa(isa);
            index = index.wrapping_add(1);
        }
        self.isa = Some(isa);
        self
    }

    /// The same network whose convolutions may be [rounded in another order](crate::ConvPlan::with_rounding), where that is faster,
    /// forward and in the gradients of their inputs. Where images are [interleaved](Network#large-batches) it makes no difference.
    ///
    /// A limit of scratch, [of inference](Self::with_scratch_limit) or [of training](Self::with_train_scratch_limit), may then change how
    /// outputs and gradients are rounded, as may the batch.
    ///
    /// # Errors
    ///
    /// [`ShapeError::Overflow`] for scratch or packed weights.
    pub const fn with_rounding(mut self, rounding: Rounding) -> Result<Self, ShapeError> {
        let mut index = 0;
        while index < L {
            if let Op::Conv(plan) = &mut self.layers[index].op {
                plan.set_rounding(rounding);
            }
            index = index.wrapping_add(1);
        }
        match self.plan_passes() {
            Ok(()) => Ok(self),
            Err(error) => Err(error),
        }
    }

    /// Plans inference and training anew, within their limits.
    pub(super) const fn plan_passes(&mut self) -> Result<(), ShapeError> {
        if let Err(error) = self.limit_inference(self.scratch_limit) {
            return Err(error);
        }
        self.limit_training(self.train_scratch_limit)
    }

    /// The instruction set that every layer runs on.
    pub(super) fn isa(&self) -> Isa {
        self.isa.unwrap_or_else(Isa::detect)
    }

    /// Runs [`forward`](Self::forward) on at most `threads` threads of the current rayon pool, images apart,
    /// so the result is the same, bit for bit, for any number. The scratch grows with it, within
    /// [`with_scratch_limit`](Self::with_scratch_limit).
    #[cfg(feature = "rayon")]
    #[must_use]
    pub const fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// How many images one call takes.
    #[must_use]
    pub const fn batch(&self) -> usize {
        self.batch
    }

    /// How many channels an image of the input has.
    #[must_use]
    pub const fn input_channels(&self) -> usize {
        self.channels
    }

    /// `batch * channels * height * width`.
    #[must_use]
    pub const fn input_len(&self) -> usize {
        self.input_len
    }

    /// The length of the last layer's output, for the whole batch.
    #[must_use]
    pub const fn output_len(&self) -> usize {
        self.layers[L.wrapping_sub(1)].output_len
    }

    /// How many parameters all layers have.
    #[must_use]
    pub const fn param_len(&self) -> usize {
        self.param_len
    }

    /// The length of the packed weights of all layers.
    #[must_use]
    pub const fn packed_weight_len(&self) -> usize {
        self.packed_weight_len
    }

    /// Whether the passes read [packed](Self::pack_weights) weights. A plan that [interleaves](Network#large-batches) images
    /// does not, nor does one whose [limit](Self::with_scratch_limit) leaves no room for them: packing for it alone would be in vain.
    ///
    /// ```
    /// use im2col::{Network, lenet::LENET};
    ///
    /// assert!(Network::plan(LENET, 1, [1, 28, 28])?.reads_packed_weights());
    /// assert!(!Network::plan(LENET, 32, [1, 28, 28])?.reads_packed_weights());
    /// # Ok::<(), im2col::ShapeError>(())
    /// ```
    #[must_use]
    pub const fn reads_packed_weights(&self) -> bool {
        self.interleaving.is_none() && !self.infers_by_rows
    }

    /// The least scratch of [`forward`](Self::forward).
    #[must_use]
    pub const fn scratch_len(&self) -> usize {
        self.all_scratch_len(self.position_stride > 1)
    }

    /// The length of what training keeps from [`forward_train`](Self::forward_train) to
    /// [`backward`](Self::backward): every layer's output. Flatten adds nothing.
    #[must_use]
    pub const fn workspace_len(&self) -> usize {
        self.workspace_len
    }

    /// The least scratch of [`forward_train`](Self::forward_train) and of
    /// [`backward`](Self::backward).
    #[must_use]
    pub const fn train_scratch_len(&self) -> usize {
        self.train_scratch_len
    }
}

impl<const L: usize> Network<L> {
    /// Plans `layers` for `batch` images of `[channels, height, width]`.
    ///
    /// # Errors
    ///
    /// [`ShapeError::Layer`] where a layer's channels or features are not those that arrive. Flatten
    /// has to stand between planes and a linear layer, as in PyTorch; where it is missing, or where
    /// a convolution or pooling comes after it, `given` is 0. [`ShapeError::InLayer`] with what a layer's own plan says;
    /// [`ShapeError::Zero`] for no layers or an empty image; [`ShapeError::Overflow`].
    pub const fn plan(layers: [Layer; L], batch: usize, input: [usize; 3]) -> Result<Self, ShapeError> {
        // Planned where it is returned, and nothing returned before: a copy takes much of the stack.
        let mut planned = Ok(Self::UNPLANNED);
        if let Ok(network) = &mut planned
            && let Err(error) = network.plan_layers(&layers, batch, input)
        {
            planned = Err(error);
        }
        planned
    }

    const UNPLANNED: Self = Self {
        layers: [LayerPlan::UNPLANNED; L],
        batch: 0,
        shard: 1,
        threads: 1,
        input_len: 0,
        image_len: 0,
        channels: 0,
        position_stride: 1,
        gives_channels_last: false,
        param_len: 0,
        packed_weight_len: 0,
        workspace_len: 0,
        buffer_lens: [0; 2],
        scratch_len: 0,
        gradient_len: 0,
        train_scratch_len: 0,
        isa: None,
        interleaving: None,
        infers_interleaved: false,
        infers_by_rows: false,
        trains_interleaved: false,
        trains_in_place: false,
        has_only_tiles: true,
        scratch_limit: usize::MAX,
        train_scratch_limit: usize::MAX,
    };

    /// Plans what is not yet planned.
    const fn plan_layers(
        &mut self,
        layers: &[Layer; L],
        batch: usize,
        input: [usize; 3],
    ) -> Result<(), ShapeError> {
        if L == 0 {
            return Err(ShapeError::Zero { what: "layers" });
        }
        let mut shape = ValueShape::Planes(input);
        self.batch = batch;
        self.channels = input[0];
        self.image_len = match shape.batch_len(1) {
            Ok(len) => len,
            Err(error) => return Err(error),
        };
        self.input_len = match shape.batch_len(batch) {
            Ok(len) => len,
            Err(error) => return Err(error),
        };
        let mut index = 0;
        while index < L {
            let op = match Op::plan(layers[index], index, batch, shape) {
                Ok(op) => op,
                Err(error) => return Err(error.in_layer(index)),
            };
            shape = op.output(shape);
            if let Op::Pool(plan) = &op {
                self.has_only_tiles &= plan.pooling.is_tiles();
            }
            if let Err(error) = self.place(index, op, shape) {
                return Err(error.in_layer(index));
            }
            index = index.wrapping_add(1);
        }
        self.gradient_len = self.longest_gradient();
        if let Err(error) = self.plan_inference(usize::MAX) {
            return Err(error);
        }
        if let Err(error) = self.plan_training(usize::MAX) {
            return Err(error);
        }
        self.interleave();
        Ok(())
    }

    /// Appends a layer's operands to the parameters, the packed weights and the workspace.
    const fn place(&mut self, index: usize, op: Op, output: ValueShape) -> Result<(), ShapeError> {
        let output_len = match output.batch_len(self.batch) {
            Ok(len) => len,
            Err(error) => return Err(error),
        };
        let previous = if index == 0 { None } else { Some(self.layers[index.wrapping_sub(1)]) };
        let output_offset = match (op, previous) {
            (Op::Flatten, None) => None,
            (Op::Flatten, Some(previous)) => previous.output_offset,
            _ => Some(self.workspace_len),
        };
        let kept_len = if matches!(op, Op::Flatten) { 0 } else { output_len };
        let fused = match (op, previous) {
            (Op::Activation(_), Some(previous)) => previous.op.can_fuse(),
            _ => false,
        };
        self.layers[index] = LayerPlan {
            op,
            fused,
            output,
            output_len,
            output_offset,
            lane_offset: 0,
            param_offset: self.param_len,
        };

        let sizes = op.sizes();
        let Some(param_len) = checked_sum([self.param_len, sizes.weight, sizes.bias]) else {
            return Err(ShapeError::Overflow { what: "parameters" });
        };
        let Some(workspace_len) = checked_sum([self.workspace_len, kept_len]) else {
            return Err(ShapeError::Overflow { what: "workspace" });
        };
        self.param_len = param_len;
        self.workspace_len = workspace_len;
        Ok(())
    }

    /// What layer `index` applies to its sums: its own activation, or that of the layer behind.
    pub(super) fn activation_of(&self, index: usize) -> Activation {
        match self.layers.get(index.wrapping_add(1)) {
            Some(&LayerPlan { fused: true, op: Op::Activation(activation), .. }) => activation,
            _ => self.layers.get(index).map_or(Activation::Identity, |layer| layer.op.activation()),
        }
    }

    /// The first layer that has parameters, or `L`: no gradient goes below it.
    pub(super) const fn first_trained(&self) -> usize {
        let mut index = 0;
        while index < L && self.layers[index].op.sizes().weight == 0 {
            index = index.wrapping_add(1);
        }
        index
    }

    /// The last layer that computes at inference, or 0 if none does.
    pub(super) const fn last_step(&self) -> usize {
        let mut index = L.saturating_sub(1);
        while index > 0 && index < L && !self.layers[index].is_step() {
            index = index.wrapping_sub(1);
        }
        index
    }
}

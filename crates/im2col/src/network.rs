//! Networks: an array of layers, planned together, run forward and backward on flat slices.
//!
//! One slice holds all parameters, in the order of PyTorch's `state_dict` (each layer's weight,
//! then its bias). Inference needs a scratch; training also needs a workspace, which keeps every
//! layer's output from [`Network::forward_train`] to [`Network::backward`].

mod backward;
mod forward;
mod interleaved;
mod limit;
mod ping_pong;
mod plan;
mod summary;

pub use forward::{NetworkWeights, PackedNetwork};
pub use summary::{LayerSummary, Parameter};

use crate::activation::Activation;
use crate::conv::ConvParams;
use crate::linear::LinearParams;
use crate::pool::PoolParams;
use crate::simd::Isa;
use interleaved::Interleaving;
use plan::LayerPlan;

/// One layer of a [`Network`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Layer {
    /// Cross-correlation with a learned kernel, on `[channels, height, width]`.
    Conv(ConvParams<2>),
    /// Maximum or average over a window, on `[channels, height, width]`.
    Pool(PoolParams<2>),
    /// A function of each value.
    Activation(Activation),
    /// `[channels, height, width]` becomes `[features]`; nothing moves.
    Flatten,
    /// A fully connected layer, on `[features]`.
    Linear(LinearParams),
}

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
/// sixteen images fill the lanes of the vectors, so that no channel or row needs to. A plan decides by itself. The
/// outputs are the same, bit for bit; gradients are summed in another order, in each image before the images. Packed
/// weights are not used then, and [`activation`](Network::activation) knows the last output only, because the workspace
/// holds the others interleaved. What observes a pass is called for each layer once for up to 32 images, or for sixteen.
///
/// # Stack
///
/// A plan holds those of its layers, about 600 bytes each: 7 KiB for LeNet's twelve. A constant or a `static` takes nothing of
/// it from the stack. LeNet takes, on x86-64 (found with threads of ever smaller stacks, that of an idle thread subtracted):
///
/// | | `opt-level = 3` | `opt-level = 0` |
/// |---|--:|--:|
/// | [`plan`](Network::plan), when the program runs | 26 KiB | 46 KiB |
/// | [`forward`](Network::forward), one image | 9 KiB | 158 KiB |
/// | [`forward`](Network::forward), 256 images | 5 KiB | 836 KiB |
/// | [`forward_train`](Network::forward_train) and [`backward`](Network::backward), 256 images | 11 KiB | 839 KiB |
///
/// Where a debug build has no such stack, optimise this crate alone in it, by `[profile.dev.package.im2col]` with
/// `opt-level = 3`: each of these is at most 59 KiB then.
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
    layers: [LayerPlan; L],
    batch: usize,
    /// How many images inference takes at a time.
    shard: usize,
    /// At most as many threads.
    threads: usize,
    input_len: usize,
    /// Of one image.
    image_len: usize,
    param_len: usize,
    packed_len: usize,
    workspace_len: usize,
    /// What inference keeps of a shard between two layers stands in one of two buffers in turn.
    buffer_lens: [usize; 2],
    /// Both buffers, then the layers' own scratch: what a thread needs.
    scratch_len: usize,
    /// Training keeps a gradient in one of two buffers of this length.
    gradient_len: usize,
    /// Both gradient buffers, then the layers' own scratch.
    train_scratch_len: usize,
    isa: Option<Isa>,
    /// How images can be interleaved, if that pays, and whether inference and training do so.
    interleaving: Option<Interleaving>,
    infers_interleaved: bool,
    trains_interleaved: bool,
    /// The most scratch of all threads of inference together.
    scratch_limit: usize,
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
            index += 1;
        }
        self.isa = Some(isa);
        self
    }

    /// The instruction set that every layer runs on.
    fn isa(&self) -> Isa {
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

    /// `batch * channels * height * width`.
    #[must_use]
    pub const fn input_len(&self) -> usize {
        self.input_len
    }

    /// The length of the last layer's output, for the whole batch.
    #[must_use]
    pub const fn output_len(&self) -> usize {
        self.layers[L - 1].output_len
    }

    /// How many parameters all layers have.
    #[must_use]
    pub const fn param_len(&self) -> usize {
        self.param_len
    }

    /// The length of the packed weights of all layers.
    #[must_use]
    pub const fn packed_len(&self) -> usize {
        self.packed_len
    }

    /// Whether the passes read [packed](Self::pack) weights. A plan that [interleaves](Network#large-batches) images
    /// does not: packing for it alone would be in vain.
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
        self.interleaving.is_none()
    }

    /// The least scratch of [`forward`](Self::forward).
    #[must_use]
    pub const fn scratch_len(&self) -> usize {
        self.parts() * self.scratch_len
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

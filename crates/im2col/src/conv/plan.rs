//! A convolution of one input size, and the choice of the algorithm.

use super::algorithm::Algorithm;
use super::limit::BackwardScratch;
use super::params::ConvParams;
use super::rounding::Rounding;
use super::sizes::ConvSizes;
use crate::activation::Activation;
use crate::conv::shape::ConvShape;
use crate::error::ShapeError;
use crate::layout::{InputStrides, Layout};
use crate::simd::Isa;
use crate::window::{Window, lift, min, unlift};

/// A convolution of one input size: lengths, algorithm and blocking.
///
/// Made by [`ConvParams::plan`]. A plan depends on the parameters and on the compilation target,
/// never on the CPU, so it can be a constant.
///
/// # Cost
///
/// The forward pass takes [`multiply_adds`](ConvPlan::multiply_adds) multiply-adds, and as many for
/// each of the gradients of input and weight. Scratch is 16 values of alignment, the group's weights
/// packed (unless they are packed beforehand), and a block of at most 65,536 values for
/// [`Algorithm::Broadcast`], [`Algorithm::Im2col`] and [`Algorithm::Pointwise`], the padded planes of a
/// group for [`Algorithm::Direct`] (unless it reads them where they lie), or for [`Algorithm::Winograd`] a block of about
/// 131,072 values or, where that takes more, of 16 tiles of four by four outputs, or of a row of up to 64 tiles under dilation;
/// [`scratch_len`](ConvPlan::scratch_len) times 4 is the number of bytes.
///
/// Operands may begin anywhere. [`Algorithm::Depthwise`] and others that read their input in place take up to a tenth less time if
/// input and output begin a cache line (64 bytes).
///
/// ```
/// use im2col::{ConvParams, ConvPlan, planned};
///
/// const CONV: ConvPlan<2> = planned!(ConvParams::new(16, 32, [3, 3]).with_padding([1, 1]).plan(1, [8, 8]));
/// assert_eq!(CONV.multiply_adds(), 32 * 8 * 8 * 16 * 9);
/// assert_eq!(CONV.with_scratch_limit(0).scratch_len(), 0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvPlan<const D: usize> {
    params: ConvParams<D>,
    pub(super) isa: Option<Isa>,
    /// What was asked for: an algorithm, or the order of its sums, the most values of scratch, the most threads, layouts.
    pub(super) requested: Option<Algorithm>,
    pub(super) rounding: Rounding,
    pub(super) scratch_limit: usize,
    pub(super) threads: usize,
    pub(super) input_layout: Layout,
    pub(super) output_layout: Layout,
    /// The strides of an input that is a view; of a whole one they mean nothing.
    pub(super) view: InputStrides<3>,
    /// What follows from the requests: see [`ConvPlan::resolve`].
    pub(super) algorithm: Algorithm,
    pub(super) shape: ConvShape,
    pub(super) sizes: ConvSizes,
    pub(super) backward: BackwardScratch,
}

pub(super) const NO_VIEW: InputStrides<3> = InputStrides { image: 0, channel: 0, dims: [0; 3] };
pub(super) const TOO_LONG: ShapeError = ShapeError::Overflow { what: "an operand or scratch" };

impl<const D: usize> ConvParams<D> {
    /// Plans the convolution of `batch` images of `input` values per channel.
    ///
    /// All arithmetic on sizes happens here. In a `const` it happens at compile time; see
    /// [`planned!`](crate::planned).
    ///
    /// # Errors
    ///
    /// A rank other than 1, 2 or 3; a size of 0 (a batch of 0 is allowed); a dilated kernel larger
    /// than the padded input; more padding than the padding mode is defined for; channels that are no
    /// multiple of the groups; a size, of an operand or
    /// of a scratch, that does not fit in `usize`; [`ShapeError::Inapplicable`] for output padding.
    pub const fn plan(self, batch: usize, input: [usize; D]) -> Result<ConvPlan<D>, ShapeError> {
        let mut axis = 0;
        while axis < D {
            if self.output_padding[axis] != 0 {
                let (option, operation) = ("output padding", "convolution");
                return Err(ShapeError::Inapplicable { option, operation });
            }
            axis += 1;
        }
        ConvPlan::new(self, batch, input)
    }
}

impl<const D: usize> ConvPlan<D> {
    pub(super) const fn new(
        params: ConvParams<D>,
        batch: usize,
        input: [usize; D],
    ) -> Result<Self, ShapeError> {
        Self::with_output(params, batch, input, None)
    }

    /// The plan of only the first `output` positions of each axis, which must exist.
    pub(super) const fn with_output(
        params: ConvParams<D>,
        batch: usize,
        input: [usize; D],
        output: Option<[usize; D]>,
    ) -> Result<Self, ShapeError> {
        let ConvParams { in_channels, out_channels, groups, .. } = params;
        let window = match (params.window(input), output) {
            (Ok(window), None) => window,
            (Ok(window), Some(output)) => Window { output: lift(output, 1), ..window },
            (Err(error), _) => return Err(error),
        };
        if let Err(error) = params.check_channels() {
            return Err(error);
        }
        let channels = [in_channels / groups, out_channels / groups];
        let shape = ConvShape::new(batch, groups, channels, window);
        // Without scratch: the choice of another algorithm relies on the checks of the operands.
        let algorithm = Algorithm::InPlace;
        let Some(sizes) = ConvSizes::new(&shape, algorithm, usize::MAX) else { return Err(TOO_LONG) };
        let mut plan = Self {
            params,
            isa: None,
            requested: None,
            rounding: Rounding::Ordered,
            scratch_limit: usize::MAX,
            threads: 1,
            input_layout: Layout::ChannelsFirst,
            output_layout: Layout::ChannelsFirst,
            view: NO_VIEW,
            algorithm,
            shape,
            sizes,
            backward: BackwardScratch::new(&shape, &sizes),
        };
        match plan.resolve() {
            Ok(()) => Ok(plan),
            Err(error) => Err(error),
        }
    }

    /// Sets the fused activation, on which no length depends.
    pub(crate) const fn set_activation(&mut self, activation: Activation) {
        self.params.activation = activation;
    }

    /// Keeps the first `batch` images, at most as many as planned.
    pub(crate) const fn set_fewer_images(&mut self, batch: usize) {
        let ConvShape { groups, in_group, out_group, window, .. } = self.shape;
        self.shape.batch = batch;
        self.sizes.input = batch * groups * in_group * window.plane_len();
        self.sizes.output = batch * groups * out_group * window.positions();
    }

    /// Groups, and input and output channels of one group.
    pub(crate) const fn group_channels(&self) -> [usize; 3] {
        [self.shape.groups, self.shape.in_group, self.shape.out_group]
    }

    /// The length of one image of the input.
    pub(crate) const fn image_len(&self) -> usize {
        let ConvShape { groups, in_group, window, .. } = &self.shape;
        // `ConvSizes` has checked this product.
        groups.wrapping_mul(*in_group).wrapping_mul(window.plane_len())
    }

    /// Whether the input is a view of a larger buffer.
    pub(crate) const fn is_view(&self) -> bool {
        self.shape.is_view
    }

    pub(crate) const fn window(&self) -> &Window {
        &self.shape.window
    }

    pub(super) fn isa(&self) -> Isa {
        self.isa.unwrap_or_else(Isa::detect)
    }

    /// What was planned.
    #[must_use]
    pub const fn params(&self) -> ConvParams<D> {
        self.params
    }

    /// How many images.
    #[must_use]
    pub const fn batch(&self) -> usize {
        self.shape.batch
    }

    /// The size of an input plane.
    #[must_use]
    pub const fn input_dims(&self) -> [usize; D] {
        unlift(self.shape.window.input)
    }

    /// The size of an output plane: `(input + padding - dilation (kernel - 1) - 1) / stride + 1`.
    #[must_use]
    pub const fn output_dims(&self) -> [usize; D] {
        unlift(self.shape.window.output)
    }

    /// The padding, `[before, after]` of each axis.
    #[must_use]
    pub const fn padding(&self) -> [[usize; 2]; D] {
        unlift(self.shape.window.padding)
    }

    /// The order of the input's axes. Of [strides](ConvPlan::with_input_strides): channels first if the values of a line follow each
    /// other, or if there is one, and channels last otherwise.
    #[must_use]
    pub const fn input_layout(&self) -> Layout {
        self.input_layout
    }

    /// How far apart the values of the input lie. In a view, the stride of an axis with a single value is 0, or 1 if it is the
    /// last; that of a single channel is 1, and that of a single image 0.
    #[must_use]
    pub const fn input_strides(&self) -> InputStrides<D> {
        let strides = if self.shape.is_view { self.view } else { self.shape.input_strides() };
        InputStrides { image: strides.image, channel: strides.channel, dims: unlift(strides.dims) }
    }

    /// The order of the output's axes.
    #[must_use]
    pub const fn output_layout(&self) -> Layout {
        self.output_layout
    }

    /// The algorithm of the forward pass.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Length of the input, `[batch, in_channels, dims..]`, of [another layout](ConvPlan::with_input_layout), or of
    /// [strides](ConvPlan::with_input_strides), from the first value to the last.
    #[must_use]
    pub const fn input_len(&self) -> usize {
        if self.shape.is_view
            && let Some(len) = self.shape.view_len(&self.view)
        {
            return len;
        }
        self.sizes.input
    }

    /// Length of the weight, `[out_channels, in_channels / groups, kernel..]`.
    #[must_use]
    pub const fn weight_len(&self) -> usize {
        self.sizes.weight
    }

    /// Length of the bias: `out_channels`, or 0 without one.
    #[must_use]
    pub const fn bias_len(&self) -> usize {
        if self.params.bias { self.params.out_channels } else { 0 }
    }

    /// Length of the output, `[batch, out_channels, output_dims..]`, or of [another layout](ConvPlan::with_output_layout).
    #[must_use]
    pub const fn output_len(&self) -> usize {
        self.sizes.output
    }

    /// Length of [packed weights](ConvPlan::pack_weights).
    #[must_use]
    pub const fn packed_weight_len(&self) -> usize {
        self.sizes.forward.weight
    }

    /// Length of the explicit im2col matrices, `[batch, in_channels * taps, positions]`.
    #[must_use]
    pub const fn columns_len(&self) -> usize {
        self.sizes.output / self.shape.out_group * self.shape.depth()
    }

    /// Multiply-adds of the forward pass: `output_len * in_channels / groups * taps`, at most
    /// `usize::MAX`.
    #[must_use]
    pub const fn multiply_adds(&self) -> usize {
        self.sizes.output.saturating_mul(self.shape.depth())
    }

    /// Least scratch of [`ConvPlan::forward`].
    #[must_use]
    pub const fn scratch_len(&self) -> usize {
        self.parts() * self.sizes.forward.plain
    }

    /// Least scratch of [`ConvPlan::forward`] with packed weights.
    #[must_use]
    pub const fn packed_scratch_len(&self) -> usize {
        self.parts() * self.sizes.forward.packed
    }

    /// How many parts the forward pass is divided into, each with a scratch of its own.
    pub(super) const fn parts(&self) -> usize {
        let affordable = match self.scratch_limit.checked_div(self.sizes.forward.plain) {
            Some(parts) => parts,
            None => usize::MAX,
        };
        let most = self.sizes.most_parts(&self.shape, self.algorithm);
        let parts = min(min(self.threads, affordable), most);
        if parts == 0 { 1 } else { parts }
    }

    /// Least scratch of [`ConvPlan::backward_input`].
    #[must_use]
    pub const fn backward_input_scratch_len(&self) -> usize {
        self.backward.input.len
    }

    /// Least scratch of [`ConvPlan::backward_weight`].
    #[must_use]
    pub const fn backward_weight_scratch_len(&self) -> usize {
        self.backward.weight.len
    }
}

//! The algorithms, and the match over them. Which one a plan takes stands in `choice.rs`.

mod broadcast;
mod depthwise;
pub(super) mod direct;
#[cfg(feature = "matrixmultiply")]
mod external;
pub(super) mod im2col;
mod in_place;
pub(super) mod pointwise;
pub(super) mod winograd;

use crate::activation::Activation;
use crate::conv::channel_lanes::PANELS_AT_ONCE;
use crate::conv::pass::{Pass, pack_channels};
use crate::conv::shape::ConvShape;
use crate::simd::{Isa, NR};
use crate::weights::Weights;
use crate::window::{checked, checked_product, checked_sum};

pub(super) use in_place::{convolve_reversed, forward_lines};

/// How a convolution is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Algorithm {
    /// Blocks of the im2col matrix are packed into panels on the fly.
    Im2col,
    /// For a kernel of one tap, stride 1, no padding: the planes of an image already are the matrix, strips of which are
    /// packed.
    Pointwise,
    /// No matrix: the lanes are output channels, and the input, or a padded copy of it, is read value by
    /// value.
    Broadcast,
    /// No matrix: shifted reads of a padded copy of a group's planes, or of the planes themselves for at most six output channels
    /// per group at stride 1 along lines, without padding, where whole vectors cover the output lines.
    Direct,
    /// For one channel in and one out per group, a kernel of 3x3 or 5x5, stride 1 or 2 on both of its
    /// axes, no dilation, padding of zeros; with [channels last](crate::Layout::ChannelsLast) in input and output any kernel,
    /// stride, dilation and padding: the input is read where it lies. No scratch.
    Depthwise,
    /// For a kernel of 3x3 on the last two axes and stride 1: outputs four by four, from transformed inputs and weights, take a
    /// quarter of the multiplications. A dilation must be at most the output's size on its axis; the positions of a tile are then as far
    /// apart as the taps, and a line of output has at most 64 tiles. Only by request or with
    /// [`Rounding::Any`](crate::Rounding::Any), because the sums are rounded differently: the largest error relative to `sum |x| |w|`, for uniform
    /// values in -1..1 on ResNet-50's 3x3 layers, is 4.9e-7 where that of `Broadcast` is 2.4e-7.
    /// Before the bias the bound is `620 gamma(C + 31) C max |x| max |w|` for `C` channels of a group,
    /// over the six by six inputs that four by four outputs see; if one of those is not finite, all 16
    /// outputs may be not a number. Images do not change each other's bits.
    Winograd,
    /// Any shape: input and weights are read where they lie. No scratch.
    InPlace,
    /// The whole im2col matrix of an image in scratch, multiplied by the `matrixmultiply` crate,
    /// which allocates. The sums are rounded in that crate's order.
    #[cfg(feature = "matrixmultiply")]
    Matrixmultiply,
}

/// All of them, those that round in another order last.
pub(super) const ALL: &[Algorithm] = &[
    Algorithm::Depthwise,
    Algorithm::Pointwise,
    Algorithm::Broadcast,
    Algorithm::Direct,
    Algorithm::Im2col,
    Algorithm::InPlace,
    Algorithm::Winograd,
    #[cfg(feature = "matrixmultiply")]
    Algorithm::Matrixmultiply,
];

impl Algorithm {
    /// The name of the variant, such as `"Broadcast"`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Im2col => "Im2col",
            Self::Pointwise => "Pointwise",
            Self::Broadcast => "Broadcast",
            Self::Direct => "Direct",
            Self::Depthwise => "Depthwise",
            Self::Winograd => "Winograd",
            Self::InPlace => "InPlace",
            #[cfg(feature = "matrixmultiply")]
            Self::Matrixmultiply => "Matrixmultiply",
        }
    }

    /// Whether this algorithm can compute the shape.
    pub(super) const fn fits(self, shape: &ConvShape) -> bool {
        match self {
            Self::Broadcast | Self::InPlace => true,
            Self::Depthwise => depthwise::fits(shape),
            Self::Direct => direct::fits(shape),
            // Others read lines, or store positions that follow each other.
            _ if !shape.is_planar() => false,
            Self::Pointwise => shape.is_pointwise(),
            Self::Winograd => winograd::fits(shape),
            _ => true,
        }
    }

    /// The shape that its kernels compute.
    const fn shape(self, shape: &ConvShape) -> ConvShape {
        match self {
            // Their kernels are for certain strides.
            Self::Depthwise | Self::Winograd => *shape,
            _ => shape.simplified(),
        }
    }

    /// Values of a group's packed weights.
    const fn packed_len(self, shape: &ConvShape) -> Option<usize> {
        let rows = checked!(shape.out_group.checked_next_multiple_of(NR));
        rows.checked_mul(checked!(self.packed_depth(shape)))
    }

    /// Packed weights of an output channel.
    pub(super) const fn packed_depth(self, shape: &ConvShape) -> Option<usize> {
        match self {
            Self::Winograd => checked_product([shape.in_group, winograd::POINTS]),
            _ => Some(shape.depth()),
        }
    }

    /// Packs the weights of a group.
    pub(super) fn pack(self, isa: Isa, shape: &ConvShape, weight: &[f32], panels: &mut [f32]) {
        match self {
            Self::Winograd => winograd::pack(isa, shape, weight, panels),
            _ => pack_channels(isa, shape, weight, panels),
        }
    }

    /// What a pass needs besides packed weights, in blocks of at most `most` values where it has blocks.
    const fn scratch_len(self, shape: &ConvShape, most: usize) -> Option<usize> {
        match self {
            Self::Im2col => im2col::scratch_len(shape),
            Self::Pointwise => pointwise::scratch_len(shape),
            Self::Broadcast => broadcast::scratch_len(shape, most),
            Self::Direct => direct::scratch_len(shape),
            Self::Winograd => winograd::scratch_len(shape),
            Self::Depthwise | Self::InPlace => Some(0),
            #[cfg(feature = "matrixmultiply")]
            Self::Matrixmultiply => external::scratch_len(shape),
        }
    }

    /// Into how many parts an image can be divided whose output has channels last.
    pub(super) const fn divisible(self, shape: &ConvShape) -> usize {
        let window = self.shape(shape).window;
        window.output[window.outer_axis()]
    }

    /// Output channels that one step computes: threads divide channels at multiples of this.
    pub(super) const fn channels_at_once(self) -> usize {
        match self {
            Self::Broadcast | Self::Winograd => PANELS_AT_ONCE * NR,
            _ => NR,
        }
    }
}

/// The lengths that the forward pass of an algorithm needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ForwardSizes {
    /// The most values of a block.
    most: usize,
    /// Packed weights.
    pub(super) weight: usize,
    /// Scratch with plain and with packed weights.
    pub(super) plain: usize,
    pub(super) packed: usize,
}

impl ForwardSizes {
    /// The lengths for a shape whose operands are known to fit in `usize`; none if one overflows. `most` limits blocks, in values.
    pub(super) const fn new(shape: &ConvShape, algorithm: Algorithm, most: usize) -> Option<Self> {
        let shape = &algorithm.shape(shape);
        let ConvShape { groups, out_group, window, .. } = *shape;
        // Rounding up to whole panels must not overflow either: the rows and columns of a group's matrices may
        // take a 128th of the address space.
        let sizes = [shape.depth(), window.positions(), out_group];
        checked!(checked_product([4, 2 * NR, checked!(checked_sum(sizes))]));
        let group = checked!(algorithm.packed_len(shape));
        let weight = checked!(groups.checked_mul(group));
        let packed = checked!(algorithm.scratch_len(shape, most));
        // Where plain weights are packed.
        let panels = match algorithm {
            Algorithm::Depthwise | Algorithm::InPlace => 0,
            #[cfg(feature = "matrixmultiply")]
            Algorithm::Matrixmultiply => 0,
            Algorithm::Broadcast => broadcast::panels_len_of(shape),
            _ => group,
        };
        Some(Self { most, weight, plain: checked!(packed.checked_add(panels)), packed })
    }
}

impl Pass<'_> {
    /// The pass of an algorithm, as yet without operands.
    #[inline]
    pub(super) fn new(shape: &ConvShape, algorithm: Algorithm, sizes: &ForwardSizes) -> Self {
        let mut pass = Self::in_place(algorithm.shape(shape));
        (pass.most, pass.scratch_len) = (sizes.most, sizes.packed);
        pass
    }

    /// A pass of [`Algorithm::InPlace`], as yet without operands.
    #[inline]
    pub(super) fn in_place(shape: ConvShape) -> Self {
        Self {
            shape,
            view: None,
            most: 0,
            scratch_len: 0,
            part: [0, shape.window.output[shape.window.outer_axis()]],
            input: &[],
            weight: Weights::Plain(&[]),
            bias: &[],
            activation: Activation::Identity,
            output: &mut [],
            scratch: &mut [],
        }
    }

    /// Inlined into the caller, so that only its own algorithm is linked where the plan is a constant.
    #[inline]
    pub(super) fn run(&mut self, algorithm: Algorithm, isa: Isa) {
        match algorithm {
            Algorithm::Im2col => im2col::forward(isa, self),
            Algorithm::Pointwise => pointwise::forward(isa, self),
            Algorithm::Broadcast => broadcast::forward(isa, self),
            Algorithm::Winograd => winograd::forward(isa, self),
            Algorithm::Direct => direct::forward(isa, self),
            // Without registers for its columns of sums; the bits are equal.
            Algorithm::Depthwise if isa.is_fallback() => in_place::forward(isa, self),
            Algorithm::Depthwise => depthwise::forward(isa, self),
            Algorithm::InPlace => in_place::forward(isa, self),
            #[cfg(feature = "matrixmultiply")]
            Algorithm::Matrixmultiply => external::forward(self),
        }
        self.activation.complete(isa, self.output);
    }
}

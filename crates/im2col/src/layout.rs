//! The order of channels and positions in memory, and how far apart they lie.

/// The order of the axes of an input or output in memory.
///
/// ```
/// use im2col::{ConvOperands, ConvParams, Layout, Weights};
///
/// // Two pixels of red, green and blue, as cameras and decoders of pictures give them; the output is the sum of the colours.
/// let plan = ConvParams::new(3, 1, [1, 1]).with_bias(false).plan(1, [1, 2])?;
/// let plan = plan.with_input_layout(Layout::ChannelsLast)?;
/// let weight = Weights::Plain(&[1.0; 3]);
/// let (mut output, mut scratch) = ([0.0; 2], vec![0.0; plan.scratch_len()]);
/// let operands = ConvOperands { input: &[1., 2., 3., 10., 20., 30.], weight, bias: &[] };
/// plan.forward(operands, &mut output, &mut scratch)?;
/// assert_eq!(output, [6.0, 60.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Layout {
    /// `[batch, channels, dims..]`, PyTorch's default.
    #[default]
    ChannelsFirst,
    /// `[batch, dims.., channels]`, the layout of most pictures, and of TensorFlow Lite.
    ChannelsLast,
}

impl Layout {
    /// How far apart neighbouring positions and neighbouring channels lie, in an image of so many of both.
    pub(crate) const fn strides(self, positions: usize, channels: usize) -> [usize; 2] {
        match self {
            Self::ChannelsFirst => [1, positions],
            Self::ChannelsLast => [channels, 1],
        }
    }

    /// This layout, or channels first where both are one: of a single position or channel.
    pub(crate) const fn of(self, positions: usize, channels: usize) -> Self {
        if positions == 1 || channels == 1 { Self::ChannelsFirst } else { self }
    }

    pub(crate) const fn is_last(self) -> bool {
        matches!(self, Self::ChannelsLast)
    }
}

/// How far apart the values of a convolution's input lie, counted in values: of neighbouring images, of neighbouring channels, and of
/// neighbouring positions on each axis. See [`ConvPlan::with_input_strides`](crate::ConvPlan::with_input_strides).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InputStrides<const D: usize> {
    /// Between one image and the next.
    pub image: usize,
    /// Between one channel and the next.
    pub channel: usize,
    /// Between one position and the next on each axis: planes, rows and columns in three dimensions.
    pub dims: [usize; D],
}

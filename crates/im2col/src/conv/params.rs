//! What a convolution is, but for the size of its input.

use crate::activation::Activation;
use crate::error::ShapeError;
use crate::padding::{Padding, PaddingMode};
use crate::window::{Window, checked_sum, lift, max, volume};

/// A convolution over `D` = 1, 2 or 3 spatial axes, without the size of its input.
///
/// A builder: [`ConvParams::new`] is stride 1, no padding, dilation 1, one group, a bias, and no
/// activation.
///
/// ```
/// use im2col::{ConvOperands, ConvParams, Weights};
///
/// // The lecture's example: a 3x3 input under a 2x2 kernel.
/// let plan = ConvParams::new(1, 1, [2, 2]).with_bias(false).plan(1, [3, 3])?;
/// assert_eq!(plan.output_dims(), [2, 2]);
///
/// let input = [0., 1., 2., 3., 4., 5., 6., 7., 8.];
/// let weight = Weights::Plain(&[0., 1., 2., 3.]);
/// let mut output = [0.0; 4];
/// let mut scratch = vec![0.0; plan.scratch_len()];
/// plan.forward(ConvOperands { input: &input, weight, bias: &[] }, &mut output, &mut scratch)?;
/// assert_eq!(output, [19., 25., 37., 43.]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvParams<const D: usize> {
    pub(super) in_channels: usize,
    pub(super) out_channels: usize,
    pub(super) kernel: [usize; D],
    pub(super) stride: [usize; D],
    pub(super) padding: Padding<D>,
    pub(super) padding_mode: PaddingMode,
    pub(super) dilation: [usize; D],
    pub(super) output_padding: [usize; D],
    pub(super) groups: usize,
    pub(super) bias: bool,
    pub(super) activation: Activation,
}

impl<const D: usize> ConvParams<D> {
    /// A convolution of `in_channels` into `out_channels` with a kernel of the given size.
    #[must_use]
    pub const fn new(in_channels: usize, out_channels: usize, kernel: [usize; D]) -> Self {
        Self {
            in_channels,
            out_channels,
            kernel,
            stride: [1; D],
            padding: Padding::PerSide([[0; 2]; D]),
            padding_mode: PaddingMode::Zeros,
            dilation: [1; D],
            output_padding: [0; D],
            groups: 1,
            bias: true,
            activation: Activation::Identity,
        }
    }

    /// How far the window moves from one output to the next.
    #[must_use]
    pub const fn with_stride(mut self, stride: [usize; D]) -> Self {
        self.stride = stride;
        self
    }

    /// Padding, the same on both sides of an axis.
    #[must_use]
    pub const fn with_padding(self, padding: [usize; D]) -> Self {
        let mut sides = [[0; 2]; D];
        let mut axis = 0;
        while axis < D {
            sides[axis] = [padding[axis]; 2];
            axis += 1;
        }
        self.with_padding_per_side(sides)
    }

    /// Padding, `[before, after]` on each axis.
    #[must_use]
    pub const fn with_padding_per_side(self, padding: [[usize; 2]; D]) -> Self {
        self.with_padding_rule(Padding::PerSide(padding))
    }

    /// Padding that follows from the sizes of input and kernel.
    ///
    /// ```
    /// use im2col::{ConvParams, Padding};
    ///
    /// let conv = ConvParams::new(1, 1, [4]).with_stride([2]);
    /// let same = conv.with_padding_rule(Padding::SameUpper).plan(1, [7])?;
    /// assert_eq!((same.output_dims(), same.padding()), ([4], [[1, 2]]));
    /// let full = conv.with_padding_rule(Padding::Full).plan(1, [7])?;
    /// assert_eq!((full.output_dims(), full.padding()), ([5], [[3, 3]]));
    /// # Ok::<(), im2col::ShapeError>(())
    /// ```
    #[must_use]
    pub const fn with_padding_rule(mut self, padding: Padding<D>) -> Self {
        self.padding = padding;
        self
    }

    /// Which values the padding holds. The input needs no padded copy: indices are mapped where it is
    /// read.
    ///
    /// ```
    /// use im2col::{ConvOperands, ConvParams, PaddingMode, Weights};
    ///
    /// let conv = ConvParams::new(1, 1, [3]).with_padding([1]).with_bias(false);
    /// let plan = conv.with_padding_mode(PaddingMode::Circular).plan(1, [4])?;
    /// let weight = Weights::Plain(&[1., 0., 10.]); // its neighbours, round a circle
    /// let mut output = [0.0; 4];
    /// let mut scratch = vec![0.0; plan.scratch_len()];
    /// plan.forward(ConvOperands { input: &[1., 2., 3., 4.], weight, bias: &[] }, &mut output, &mut scratch)?;
    /// assert_eq!(output, [24., 31., 42., 13.]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn with_padding_mode(mut self, mode: PaddingMode) -> Self {
        self.padding_mode = mode;
        self
    }

    /// The distance between the taps of the kernel.
    #[must_use]
    pub const fn with_dilation(mut self, dilation: [usize; D]) -> Self {
        self.dilation = dilation;
        self
    }

    /// Outputs that a [transposed](ConvParams::plan_transposed) convolution appends to each axis, where a stride
    /// leaves open how many there were (PyTorch's `output_padding`). A convolution has none.
    ///
    /// ```
    /// use im2col::ConvParams;
    ///
    /// // Both sizes become 4 under a kernel of three and a stride of two; the way back says which it was.
    /// let conv = ConvParams::new(1, 1, [3]).with_stride([2]).with_padding([1]);
    /// assert_eq!(conv.plan(1, [7])?.output_dims(), [4]);
    /// assert_eq!(conv.plan(1, [8])?.output_dims(), [4]);
    /// assert_eq!(conv.plan_transposed(1, [4])?.output_dims(), [7]);
    /// assert_eq!(conv.with_output_padding([1]).plan_transposed(1, [4])?.output_dims(), [8]);
    /// # Ok::<(), im2col::ShapeError>(())
    /// ```
    #[must_use]
    pub const fn with_output_padding(mut self, output_padding: [usize; D]) -> Self {
        self.output_padding = output_padding;
        self
    }

    /// Splits the channels into groups that do not see each other.
    #[must_use]
    pub const fn with_groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }

    /// Whether each output channel has a bias.
    #[must_use]
    pub const fn with_bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    /// An activation that the forward pass applies to the sums before it stores them.
    #[must_use]
    pub const fn with_activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// Channels of the input.
    #[must_use]
    pub const fn in_channels(&self) -> usize {
        self.in_channels
    }

    /// Channels of the output.
    #[must_use]
    pub const fn out_channels(&self) -> usize {
        self.out_channels
    }

    /// Taps of the kernel on each axis.
    #[must_use]
    pub const fn kernel(&self) -> [usize; D] {
        self.kernel
    }

    /// See [`ConvParams::with_stride`].
    #[must_use]
    pub const fn stride(&self) -> [usize; D] {
        self.stride
    }

    /// What was asked for; [`ConvPlan::padding`](crate::ConvPlan::padding) says how much it is.
    #[must_use]
    pub const fn padding(&self) -> Padding<D> {
        self.padding
    }

    /// See [`ConvParams::with_padding_mode`].
    #[must_use]
    pub const fn padding_mode(&self) -> PaddingMode {
        self.padding_mode
    }

    /// See [`ConvParams::with_dilation`].
    #[must_use]
    pub const fn dilation(&self) -> [usize; D] {
        self.dilation
    }

    /// See [`ConvParams::with_output_padding`].
    #[must_use]
    pub const fn output_padding(&self) -> [usize; D] {
        self.output_padding
    }

    /// See [`ConvParams::with_groups`].
    #[must_use]
    pub const fn groups(&self) -> usize {
        self.groups
    }

    /// See [`ConvParams::with_bias`].
    #[must_use]
    pub const fn has_bias(&self) -> bool {
        self.bias
    }

    /// See [`ConvParams::with_activation`].
    #[must_use]
    pub const fn activation(&self) -> Activation {
        self.activation
    }

    /// Channels are there, and groups divide them.
    pub(super) const fn check_channels(&self) -> Result<(), ShapeError> {
        let Self { in_channels, out_channels, groups, .. } = *self;
        let counts = [("groups", groups), ("in_channels", in_channels), ("out_channels", out_channels)];
        let mut i = 0;
        while i < counts.len() {
            let (what, count) = counts[i];
            if count == 0 {
                return Err(ShapeError::Zero { what });
            }
            if !count.is_multiple_of(groups) {
                return Err(ShapeError::Groups { what, channels: count, groups });
            }
            i += 1;
        }
        Ok(())
    }

    /// Where the kernel meets an input of this size, and its padding.
    pub(super) const fn window(&self, input: [usize; D]) -> Result<Window, ShapeError> {
        let Self { kernel, stride, dilation, .. } = *self;
        let mut padding = [[0; 2]; D];
        let mut axis = 0;
        while axis < D {
            let (kernel, stride, dilation) = (kernel[axis], stride[axis], dilation[axis]);
            padding[axis] = self.padding.of_axis(axis, input[axis], kernel, stride, dilation);
            axis += 1;
        }
        match Window::new(input, kernel, stride, padding, dilation) {
            Ok(window) => window.with_mode(self.padding_mode, D),
            Err(error) => Err(error),
        }
    }

    /// The output of a transposed convolution: `(input - 1) stride + dilation (kernel - 1) + output_padding + 1 - padding`.
    pub(super) const fn transposed_output(
        &self,
        padding: [[usize; 2]; D],
        input: [usize; D],
    ) -> Result<[usize; D], ShapeError> {
        let mut output = [0; D];
        let mut axis = 0;
        while axis < D {
            let (kernel, stride, dilation) = (self.kernel[axis], self.stride[axis], self.dilation[axis]);
            let sizes =
                [("input", input[axis]), ("kernel", kernel), ("stride", stride), ("dilation", dilation)];
            let mut i = 0;
            while i < sizes.len() {
                if sizes[i].1 == 0 {
                    return Err(ShapeError::Zero { what: sizes[i].0 });
                }
                i += 1;
            }
            let limit = max(stride, dilation);
            let output_padding = self.output_padding[axis];
            if output_padding >= limit {
                return Err(ShapeError::OutputPadding { axis, output_padding, limit });
            }
            let Some(input_extent) = (input[axis] - 1).checked_mul(stride) else {
                return Err(ShapeError::Overflow { what: "output" });
            };
            let Some(reach) = (kernel - 1).checked_mul(dilation) else {
                return Err(ShapeError::Overflow { what: "kernel" });
            };
            let unpadded = checked_sum([input_extent, reach, output_padding, 1]);
            let cropped = checked_sum(padding[axis]);
            let (Some(unpadded), Some(cropped)) = (unpadded, cropped) else {
                return Err(ShapeError::Overflow { what: "output" });
            };
            if cropped >= unpadded {
                return Err(ShapeError::PaddingExceedsOutput { axis, padding: cropped, unpadded });
            }
            output[axis] = unpadded - cropped;
            axis += 1;
        }
        if volume(lift(output, 1)).is_none() {
            return Err(ShapeError::Overflow { what: "output" });
        }
        Ok(output)
    }
}

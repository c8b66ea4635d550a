//! The shape of a convolution, independent of the crate that is measured.

use im2col::ConvParams;

/// A convolution without bias over two axes; one over a single axis has height 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// Images.
    pub batch: usize,
    /// Channels of an input image.
    pub in_channels: usize,
    /// Height and width of an input plane.
    pub input: [usize; 2],
    /// Channels of an output image.
    pub out_channels: usize,
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Input rows and columns from one output to the next.
    pub stride: [usize; 2],
    /// Zeros before and after each axis.
    pub padding: [usize; 2],
    /// Input rows and columns from one tap to the next.
    pub dilation: [usize; 2],
    /// Independent convolutions side by side.
    pub groups: usize,
}

impl ConvShape {
    /// `batch` images of `[in_channels, height, width]`; stride 1, padding 0, dilation 1, one group.
    #[must_use]
    pub const fn new(batch: usize, input: [usize; 3], out_channels: usize, kernel: [usize; 2]) -> Self {
        let [in_channels, height, width] = input;
        Self {
            batch,
            in_channels,
            input: [height, width],
            out_channels,
            kernel,
            stride: [1; 2],
            padding: [0; 2],
            dilation: [1; 2],
            groups: 1,
        }
    }

    /// Sets the stride.
    #[must_use]
    pub const fn stride(mut self, stride: [usize; 2]) -> Self {
        self.stride = stride;
        self
    }

    /// Sets the padding.
    #[must_use]
    pub const fn padding(mut self, padding: [usize; 2]) -> Self {
        self.padding = padding;
        self
    }

    /// Sets the dilation.
    #[must_use]
    pub const fn dilation(mut self, dilation: [usize; 2]) -> Self {
        self.dilation = dilation;
        self
    }

    /// Sets the groups.
    #[must_use]
    pub const fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }

    /// Height and width of an output plane.
    #[must_use]
    pub fn output(&self) -> [usize; 2] {
        [0, 1].map(|axis| {
            let reach = self.dilation[axis] * (self.kernel[axis] - 1);
            (self.input[axis] + 2 * self.padding[axis] - reach - 1) / self.stride[axis] + 1
        })
    }

    /// Positions of an output plane.
    #[must_use]
    pub fn positions(&self) -> usize {
        self.output().iter().product()
    }

    /// Products in one output: the taps of all channels of a group.
    #[must_use]
    pub fn patch_len(&self) -> usize {
        self.in_channels / self.groups * self.kernel[0] * self.kernel[1]
    }

    /// Values of the input.
    #[must_use]
    pub fn input_len(&self) -> usize {
        self.batch * self.in_channels * self.input[0] * self.input[1]
    }

    /// Values of the weight.
    #[must_use]
    pub fn weight_len(&self) -> usize {
        self.out_channels * self.patch_len()
    }

    /// Values of the output.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.batch * self.out_channels * self.positions()
    }

    /// Multiplications of the whole batch.
    #[must_use]
    pub fn multiply_adds(&self) -> usize {
        self.output_len() * self.patch_len()
    }

    /// The shape as the crate's parameters.
    #[must_use]
    pub const fn params(&self) -> ConvParams<2> {
        ConvParams::new(self.in_channels, self.out_channels, self.kernel)
            .with_stride(self.stride)
            .with_padding(self.padding)
            .with_dilation(self.dilation)
            .with_groups(self.groups)
            .with_bias(false)
    }

    /// The shape as the crate's parameters over one axis, if its height is 1.
    #[must_use]
    pub const fn params_1d(&self) -> Option<ConvParams<1>> {
        let ([1, _], [1, _], [0, padding]) = (self.input, self.kernel, self.padding) else {
            return None;
        };
        Some(
            ConvParams::new(self.in_channels, self.out_channels, [self.kernel[1]])
                .with_stride([self.stride[1]])
                .with_padding([padding])
                .with_dilation([self.dilation[1]])
                .with_groups(self.groups)
                .with_bias(false),
        )
    }
}

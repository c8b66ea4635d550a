//! A convolution lifted to three axes.

use crate::im2col::Patches;
use crate::layout::Layout;
use crate::weights::WeightDims;
use crate::window::Window;

/// A convolution lifted to three axes: what all ranks share. Its sizes are checked by the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ConvShape {
    pub(super) batch: usize,
    pub(super) groups: usize,
    /// Input and output channels of one group.
    pub(super) in_group: usize,
    pub(super) out_group: usize,
    pub(super) window: Window,
    pub(super) input_layout: Layout,
    pub(super) output_layout: Layout,
}

impl ConvShape {
    /// A convolution from channels first to channels first.
    pub(super) const fn new(
        batch: usize,
        groups: usize,
        [in_group, out_group]: [usize; 2],
        window: Window,
    ) -> Self {
        let [input_layout, output_layout] = [Layout::ChannelsFirst; 2];
        Self { batch, groups, in_group, out_group, window, input_layout, output_layout }
    }

    /// Rows of the im2col matrix of a group: products in a sum of the forward pass.
    pub(super) const fn depth(&self) -> usize {
        self.in_group * self.window.taps()
    }

    /// How far apart positions, channels, and groups of the input lie.
    pub(super) const fn input_strides(&self) -> [usize; 3] {
        let [position, channel] =
            self.input_layout.strides(self.window.plane_len(), self.groups * self.in_group);
        [position, channel, self.in_group * channel]
    }

    /// How far apart positions, channels, and groups of the output lie.
    pub(super) const fn output_strides(&self) -> [usize; 3] {
        let [position, channel] =
            self.output_layout.strides(self.window.positions(), self.groups * self.out_group);
        [position, channel, self.out_group * channel]
    }

    /// Whether channels of the input or of the output come last.
    pub(super) const fn has_channels_last(&self) -> bool {
        self.input_layout.is_last() || self.output_layout.is_last()
    }

    /// The im2col matrix of a group, whose images are whole inputs apart.
    pub(super) const fn patches(&self) -> Patches {
        Patches {
            window: self.window,
            channels: self.in_group,
            image_stride: self.groups * self.in_group * self.window.plane_len(),
        }
    }

    /// An equal convolution that is easier to compute. The planes of a pointwise convolution become single lines,
    /// and an axis of one value and one tap moves to the front: longer lines have fewer ends. Where an axis has
    /// one output, its stride becomes 1.
    pub(super) const fn simplified(&self) -> Self {
        if self.is_pointwise() {
            let line = [1, 1, self.window.plane_len()];
            return Self { window: Window { input: line, output: line, ..self.window }, ..*self };
        }
        let mut shape = *self;
        let mut axis = 0;
        while axis < 3 {
            if shape.window.output[axis] == 1 {
                shape.window.stride[axis] = 1;
            }
            axis += 1;
        }
        let mut turns = 0;
        while turns < 2 && shape.window.is_single(2) {
            shape.window = shape.window.turned();
            turns += 1;
        }
        shape
    }

    pub(super) const fn is_pointwise(&self) -> bool {
        let Window { input, kernel, stride, output, .. } = self.window;
        let mut axis = 0;
        while axis < 3 {
            // The mirror of a transposed convolution may have fewer outputs.
            if kernel[axis] != 1 || stride[axis] != 1 || output[axis] != input[axis] {
                return false;
            }
            axis += 1;
        }
        !self.window.is_padded()
    }

    pub(super) const fn weight_dims(&self) -> WeightDims {
        let Self { groups, in_group, out_group, window, .. } = *self;
        WeightDims { groups, out_group, in_group, kernel: window.kernel }
    }
}

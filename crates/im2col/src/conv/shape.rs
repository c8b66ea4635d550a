//! A convolution lifted to three axes.

use crate::im2col::Patches;
use crate::layout::{InputStrides, Layout};
use crate::weights::WeightDims;
use crate::window::{Window, checked, checked_sum};

/// A convolution lifted to three axes: what all ranks share. Its sizes are checked by the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ConvShape {
    pub(super) batch: usize,
    pub(super) groups: usize,
    /// Input and output channels of one group.
    pub(super) in_group: usize,
    pub(super) out_group: usize,
    pub(super) window: Window,
    /// Of a view: channels first if the values of a line follow each other, or if there is one, and channels last otherwise.
    pub(super) input_layout: Layout,
    pub(super) output_layout: Layout,
    /// Whether the input is a view of a larger buffer, whose strides the pass has.
    pub(super) is_view: bool,
}

impl InputStrides<3> {
    /// The offset in an image of the first channel's value at coordinates `at`, which wrap around before 0; `None` for a zero of the
    /// padding.
    #[inline(always)]
    pub(super) fn place(&self, window: &Window, at: [usize; 3]) -> Option<usize> {
        let z = window.mode.source(at[0], window.input[0])?;
        let y = window.mode.source(at[1], window.input[1])?;
        let x = window.mode.source(at[2], window.input[2])?;
        Some(z * self.dims[0] + y * self.dims[1] + x * self.dims[2])
    }
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
        Self { batch, groups, in_group, out_group, window, input_layout, output_layout, is_view: false }
    }

    /// Rows of the im2col matrix of a group: products in a sum of the forward pass.
    pub(super) const fn depth(&self) -> usize {
        self.in_group * self.window.taps()
    }

    /// How far apart the values of a whole input lie.
    #[inline(never)]
    pub(super) const fn input_strides(&self) -> InputStrides<3> {
        let ([_, height, width], channels) = (self.window.input, self.groups * self.in_group);
        let [position, channel] = self.input_layout.strides(self.window.plane_len(), channels);
        let dims = [height * width * position, width * position, position];
        InputStrides { image: channels * self.window.plane_len(), channel, dims }
    }

    /// Whether `other` are the strides of a whole input in this layout.
    pub(super) const fn are_input_strides(&self, other: &InputStrides<3>) -> bool {
        let InputStrides { image, channel, dims } = self.input_strides();
        // A stride counts only where there is a second value.
        let differ = [
            self.batch > 1 && image != other.image,
            self.groups * self.in_group > 1 && channel != other.channel,
            self.window.input[0] > 1 && dims[0] != other.dims[0],
            self.window.input[1] > 1 && dims[1] != other.dims[1],
            self.window.input[2] > 1 && dims[2] != other.dims[2],
        ];
        matches!(differ, [false, false, false, false, false])
    }

    /// The length of a view, from its first value to the last, if it fits in `usize`.
    pub(super) const fn view_len(&self, strides: &InputStrides<3>) -> Option<usize> {
        let Self { batch, groups, in_group, window, .. } = self;
        let InputStrides { image, channel, dims } = strides;
        let len = checked!(checked_sum([
            checked!(batch.saturating_sub(1).checked_mul(*image)),
            checked!((*groups * *in_group - 1).checked_mul(*channel)),
            checked!((window.input[0] - 1).checked_mul(dims[0])),
            checked!((window.input[1] - 1).checked_mul(dims[1])),
            checked!((window.input[2] - 1).checked_mul(dims[2])),
            1,
        ]));
        Some(if *batch == 0 { 0 } else { len })
    }

    /// How far apart positions, channels, and groups of the output lie.
    pub(super) const fn output_strides(&self) -> [usize; 3] {
        let [position, channel] =
            self.output_layout.strides(self.window.positions(), self.groups * self.out_group);
        [position, channel, self.out_group * channel]
    }

    /// Whether input and output are planes that follow each other: channels come first, and the input is no view.
    pub(super) const fn is_planar(&self) -> bool {
        !self.input_layout.is_last() && !self.output_layout.is_last() && !self.is_view
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
    /// one output, its stride becomes 1. The axes of a view stay.
    pub(super) const fn simplified(&self) -> Self {
        if self.is_pointwise() && !self.is_view {
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
        while turns < 2 && shape.window.is_single(2) && !shape.is_view {
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

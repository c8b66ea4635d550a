//! A convolution lifted to three axes.

use crate::im2col::Patches;
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
}

impl ConvShape {
    /// Rows of the im2col matrix of a group: products in a sum of the forward pass.
    pub(super) const fn depth(&self) -> usize {
        self.in_group * self.window.taps()
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

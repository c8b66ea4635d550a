//! A convolution lifted to three axes, and the choice of its algorithm.

use super::broadcast::is_staged;
use super::depthwise;
use super::direct::Stage;
use super::plan::Algorithm;
use crate::gemm::Blocking;
use crate::kernel::{MR, NR};
use crate::lower::Patches;
use crate::window::Window;

/// A convolution lifted to three axes: what all ranks share. Checked by [`Lens::new`](super::lens::Lens::new).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) batch: usize,
    pub(super) groups: usize,
    /// Input and output channels of one group.
    pub(super) in_group: usize,
    pub(super) out_group: usize,
    pub(super) window: Window,
}

impl Shape {
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

    /// The same for a pointwise convolution: the planes become single lines.
    pub(super) const fn pointwise(&self) -> Self {
        let line = [1, 1, self.window.plane_len()];
        let window = Window { input: line, output: line, ..self.window };
        Self { window, ..*self }
    }

    /// The same, or for a pointwise convolution its planes as single lines.
    pub(super) const fn as_lines(&self) -> Self {
        if self.is_pointwise() { self.pointwise() } else { *self }
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

    /// The length of the direct algorithm's stage, if padding does not make it too large.
    const fn stage_len(&self) -> Option<usize> {
        match Stage::new(self).len() {
            Some(len) if len / MOST_STAGE / self.in_group <= self.window.plane_len() + NR => Some(len),
            _ => None,
        }
    }

    /// The length of the stage on which the gradients of a depthwise convolution are computed; none
    /// if they are products of matrices, which from a whole panel of outputs on is as fast.
    pub(super) const fn depthwise_stage_len(&self) -> Option<usize> {
        let depthwise = self.in_group == 1 && self.out_group < MR && self.window.taps() > 1;
        if depthwise { self.stage_len() } else { None }
    }

    pub(super) const fn is_depthwise(&self) -> bool {
        self.in_group == 1 && self.out_group == 1 && depthwise::is_supported(&self.window)
    }

    /// Which packed weights the algorithm takes depends on the layer only: on nothing that follows from the
    /// size of its input.
    ///
    /// Measured under AVX2 and AVX-512 (the tables are in ARCHITECTURE.md): lanes that are channels win where
    /// three quarters of them are in use. With 17 to 23 channels, lanes that are positions take 0.7 of the
    /// time.
    pub(super) const fn best_algorithm(&self) -> Algorithm {
        if self.is_depthwise() {
            return Algorithm::Depthwise;
        }
        if self.is_pointwise() {
            return self.best_pointwise();
        }
        let lanes_used = self.out_group / (NR / 4 * 3) >= self.out_group.div_ceil(NR);
        if self.out_group > MR && lanes_used {
            return Algorithm::Broadcast;
        }
        // A single panel of weights never repays packing, and more of them only where most lanes would be
        // past the end of a line.
        let width = self.window.output[2];
        let is_wide = 2 * width >= width.next_multiple_of(NR);
        if self.stage_len().is_some() && (self.out_group <= MR || is_wide) {
            Algorithm::Direct
        } else {
            Algorithm::Im2col
        }
    }

    /// For one tap: both take the same packed weights.
    ///
    /// Lanes that are positions are stored as they are, which counts the more the fewer products there are:
    /// `rn50_1x1_64_256_56` takes 0.80 of the time, with 256 products they draw, with 1024 channels win by a
    /// tenth, unless it, too, has to copy the planes. A single panel of channels leaves broadcast's tiles half empty.
    const fn best_pointwise(&self) -> Algorithm {
        let positions = self.window.positions();
        let lost = positions.next_multiple_of(NR) - positions;
        let is_short = self.depth() <= FEW_PRODUCTS || is_staged(self);
        if (self.out_group <= NR && 3 * lost <= positions) || (is_short && 32 * lost <= positions) {
            Algorithm::Pointwise
        } else {
            Algorithm::Broadcast
        }
    }

    /// Blocks of the forward product: columns of all images together.
    pub(super) const fn forward_blocking(&self) -> Blocking {
        Blocking::new(self.depth(), self.batch * self.window.positions())
    }

    /// Blocks of `weight^T grad_output`, image by image: as many columns as keep the block of
    /// gradient columns, all of whose rows are needed, in L2.
    pub(super) const fn backward_input_blocking(&self) -> Blocking {
        let Blocking { kc, nc } = Blocking::new(self.out_group, self.window.positions());
        let most = GRAD_COLUMNS / self.depth() / NR * NR;
        let most = if most < NR { NR } else { most };
        Blocking { kc, nc: if nc < most { nc } else { most } }
    }
}

/// The most products in a sum for which not to transpose it outweighs reading a value of the input more
/// often.
const FEW_PRODUCTS: usize = 256;
/// The largest stage in use, in planes per plane: padding should not outweigh the input.
const MOST_STAGE: usize = 4;
/// The most values in a block of gradient columns: 128 KiB.
const GRAD_COLUMNS: usize = 32 * 1024;

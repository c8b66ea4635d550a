//! A convolution lifted to three axes, and the choice of its algorithm.

use super::direct::Stage;
use super::plan::Algorithm;
use super::{cost, depthwise};
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

    /// The length of a depthwise gradient's stage, if padding does not make it too large.
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

    /// The algorithm that is estimated to take the least time, of those whose copy of the input is no longer than
    /// [`MOST_COPY`] times what is read.
    pub(super) const fn best_algorithm(&self) -> Algorithm {
        if self.is_depthwise() {
            return Algorithm::Depthwise;
        }
        let candidates = [Algorithm::InPlace, Algorithm::Im2col, Algorithm::Broadcast, Algorithm::Direct];
        let (mut best, mut least) = (Algorithm::InPlace, u64::MAX);
        if self.is_pointwise() {
            (best, least) = (Algorithm::Pointwise, cost::estimate(self, Algorithm::Pointwise));
        }
        let mut i = 0;
        while i < candidates.len() {
            let estimate = cost::estimate(self, candidates[i]);
            let is_for = !matches!(candidates[i], Algorithm::Direct) || self.is_direct();
            if is_for && estimate < least {
                (best, least) = (candidates[i], estimate);
            }
            i += 1;
        }
        best
    }

    /// Whether the padded copy of a group's planes is not much longer than what is read of them.
    const fn is_direct(&self) -> bool {
        let (mut read, mut axis) = (self.in_group, 0);
        while axis < 3 {
            read = read.saturating_mul(self.window.values_read(axis));
            axis += 1;
        }
        match Stage::new(&self.simplified()).len() {
            Some(len) => len.saturating_sub(SMALL_STAGE) / MOST_COPY <= read,
            None => false,
        }
    }

    /// Blocks of the forward product: columns of all images together.
    pub(super) const fn forward_blocking(&self) -> Blocking {
        Blocking::new(self.out_group, self.depth(), self.batch * self.window.positions())
    }

    /// Blocks of `weight^T grad_output`, image by image: as many columns as keep the block of
    /// gradient columns, all of whose rows are needed, in L2.
    pub(super) const fn backward_input_blocking(&self) -> Blocking {
        let blocking = Blocking::new(self.depth(), self.out_group, self.window.positions());
        let most = GRAD_COLUMNS / self.depth() / NR * NR;
        let most = if most < NR { NR } else { most };
        let (nc, strip) = (blocking.nc, blocking.strip);
        Blocking {
            nc: if nc < most { nc } else { most },
            strip: if strip < most { strip } else { most },
            ..blocking
        }
    }
}

/// The largest stage of a depthwise gradient, in planes per plane: padding should not outweigh the input.
const MOST_STAGE: usize = 4;
/// The largest padded copy of the input, in values for each that is read, and what it may exceed that by: a block of
/// the other algorithms.
const MOST_COPY: usize = 2;
const SMALL_STAGE: usize = 64 * 1024;
/// The most values in a block of gradient columns: 128 KiB.
const GRAD_COLUMNS: usize = 32 * 1024;

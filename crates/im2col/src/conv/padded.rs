//! The padded copy of a group's planes, which the direct algorithm and depthwise gradients read instead of an im2col matrix.
//!
//! A padded copy of a group's planes, the *stage*, makes every row of the im2col matrix a shifted
//! read: the microkernel takes its rows of `B` straight from there. With a stride along the line,
//! the stage keeps each residue of `x` modulo the stride in a line of its own, so that the outputs
//! of a line still read consecutive values. It pays where the matrix would be used by few rows of
//! weights: packing it would cost as much as multiplying by it.
//!
//! J. Zhang, F. Franchetti, T. M. Low: High Performance Zero-Memory Overhead Direct Convolutions
//! (2018) is the source of the idea.

use crate::conv::shape::ConvShape;
use crate::padding::PaddingMode;
use crate::simd::NR;
use crate::simd::load::{fetch, zero};
use crate::window::{Window, checked_product, checked_sum};
use core::ops::Range;

const fn padded_dim(input: usize, [before, after]: [usize; 2]) -> usize {
    input + before + after
}

/// The padded copy of a group's planes.
#[derive(Clone, Copy, Debug)]
pub(super) struct PaddedPlanes {
    pub(super) window: Window,
    pub(super) channels: usize,
    /// Values of one residue of `x`; a line has `stride` of them.
    pub(super) residue_len: usize,
    /// Padded lines of a plane, and padded planes of a channel.
    pub(super) lines: [usize; 2],
}

impl PaddedPlanes {
    pub(super) const fn new(shape: &ConvShape) -> Self {
        let Window { input, padding, stride, .. } = shape.window;
        Self {
            window: shape.window,
            channels: shape.in_group,
            residue_len: padded_dim(input[2], padding[2]).div_ceil(stride[2]),
            lines: [padded_dim(input[0], padding[0]), padded_dim(input[1], padding[1])],
        }
    }

    /// The length of the stage: vectors are read and written less than `NR` values past its
    /// lines.
    pub(super) const fn len(&self) -> Option<usize> {
        let [planes, lines] = self.lines;
        match checked_product([self.channels, planes, lines, self.residue_len, self.window.stride[2]]) {
            Some(len) => checked_sum([len, NR]),
            None => None,
        }
    }

    pub(super) const fn line_len(&self) -> usize {
        self.residue_len * self.window.stride[2]
    }

    /// How far tap `tap` of a channel reads behind tap 0.
    #[inline(always)]
    pub(super) fn tap_offset(&self, tap: usize) -> usize {
        let Window { kernel, stride, dilation, .. } = &self.window;
        let x = tap % kernel[2] * dilation[2];
        let y = tap / kernel[2] % kernel[1] * dilation[1];
        let z = tap / kernel[2] / kernel[1] * dilation[0];
        (z * self.lines[1] + y) * self.line_len() + x % stride[2] * self.residue_len + x / stride[2]
    }

    /// Copies the planes, with their padding around them.
    #[inline(always)]
    pub(super) fn copy(&self, planes: &[f32], stage: &mut [f32]) {
        // Decided once: in the innermost loop the compiler would make a gather of all cases.
        match self.window.stride[2] {
            1 => self.fill::<1>(planes, stage),
            2 => self.fill::<2>(planes, stage),
            _ => self.fill::<0>(planes, stage),
        }
    }

    /// Zeros the stage.
    #[inline(always)]
    pub(super) fn clear(&self, stage: &mut [f32]) {
        let [planes, lines] = self.lines;
        stage[..self.channels * planes * lines * self.line_len() + NR].fill(0.0);
    }

    /// Adds what the stage holds to the planes: the adjoint of [`PaddedPlanes::copy`].
    #[inline(always)]
    pub(super) fn add_to(&self, stage: &[f32], planes: &mut [f32]) {
        let Window { input, padding, stride, mode, .. } = self.window;
        let mut lines = stage.chunks_exact(self.line_len());
        for plane in planes.chunks_exact_mut(self.window.plane_len()) {
            for z in 0..self.lines[0] {
                for y in 0..self.lines[1] {
                    let Some(staged) = lines.next() else {
                        debug_assert!(false, "the stage ends before its last line");
                        return;
                    };
                    let (z, y) = (z.wrapping_sub(padding[0][0]), y.wrapping_sub(padding[1][0]));
                    let Some(line) = self.window.source([z, y, 0]) else { continue };
                    let line = &mut plane[line..][..input[2]];
                    for (residue, staged) in staged.chunks_exact(self.residue_len).enumerate() {
                        let before = padding[2][0].saturating_sub(residue).div_ceil(stride[2]);
                        let start = (before * stride[2] + residue).saturating_sub(padding[2][0]);
                        let values = line.get_mut(start..).unwrap_or_default();
                        let staged = staged.get(before..).unwrap_or_default();
                        if stride[2] == 1 {
                            values.iter_mut().zip(staged).for_each(|(value, staged)| *value += staged);
                        } else {
                            let values = values.iter_mut().step_by(stride[2]);
                            values.zip(staged).for_each(|(value, staged)| *value += staged);
                        }
                    }
                    if mode != PaddingMode::Zeros {
                        self.add_ends(staged, line);
                    }
                }
            }
        }
    }

    /// Adds what stands in the padding of a line to the values that it shows.
    fn add_ends(&self, staged: &[f32], line: &mut [f32]) {
        let Window { padding, stride, mode, .. } = self.window;
        let [before, after] = padding[2];
        for x in (0..before).chain(before + line.len()..before + line.len() + after) {
            if let Some(i) = mode.source(x.wrapping_sub(before), line.len()) {
                line[i] += staged[x % stride[2] * self.residue_len + x / stride[2]];
            }
        }
    }

    /// [`PaddedPlanes::copy`] for a line stride of `STRIDE` (0: any).
    ///
    /// Whole vectors are written; what is written too much is in the part that comes next.
    #[inline(always)]
    fn fill<const STRIDE: usize>(&self, planes: &[f32], stage: &mut [f32]) {
        let Window { input, padding, stride, mode, .. } = self.window;
        let stride = stride[2];
        let mut at = 0;
        for channel in 0..self.channels {
            for z in 0..self.lines[0] {
                for y in 0..self.lines[1] {
                    let (z, y) = (z.wrapping_sub(padding[0][0]), y.wrapping_sub(padding[1][0]));
                    let Some(line) = self.window.source([z, y, 0]) else {
                        zero(&mut stage[at..], self.line_len());
                        at += self.line_len();
                        continue;
                    };
                    let line = channel * self.window.plane_len() + line;
                    for residue in 0..stride {
                        // Position `j` of the residue is input `j * stride + residue - padding`.
                        let before =
                            padding[2][0].saturating_sub(residue).div_ceil(stride).min(self.residue_len);
                        let start = (before * stride + residue).saturating_sub(padding[2][0]);
                        let inside =
                            input[2].saturating_sub(start).div_ceil(stride).min(self.residue_len - before);
                        zero(&mut stage[at..], before);
                        let mut done = 0;
                        while done < inside {
                            let to = &mut stage[at + before + done..];
                            fetch::<STRIDE>(planes, line + start + done * stride, stride, to);
                            done += NR;
                        }
                        zero(&mut stage[at + before + inside..], self.residue_len - before - inside);
                        if mode != PaddingMode::Zeros {
                            let line = &planes[line..][..input[2]];
                            self.fill_ends(line, residue, before..before + inside, &mut stage[at..]);
                        }
                        at += self.residue_len;
                    }
                }
            }
        }
    }

    /// Fills the positions of a residue that are not `inside` with values of the line.
    fn fill_ends(&self, line: &[f32], residue: usize, inside: Range<usize>, stage: &mut [f32]) {
        let Window { padding, stride, mode, .. } = self.window;
        for position in (0..inside.start).chain(inside.end..self.residue_len) {
            let x = (position * stride[2] + residue).wrapping_sub(padding[2][0]);
            if let Some(x) = mode.source(x, line.len()) {
                stage[position] = line[x];
            }
        }
    }
}

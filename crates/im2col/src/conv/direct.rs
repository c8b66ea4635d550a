//! The direct algorithm: no im2col matrix at all, not even block by block.
//!
//! A padded copy of a group's planes, the *stage*, makes every row of the im2col matrix a shifted
//! read: the microkernel takes its rows of `B` straight from there. With a stride along the line,
//! the stage keeps each residue of `x` modulo the stride in a line of its own, so that the outputs
//! of a line still read consecutive values. It pays where the matrix would be used by few rows of
//! weights: packing it would cost as much as multiplying by it.
//!
//! J. Zhang, F. Franchetti, T. M. Low: High Performance Zero-Memory Overhead Direct Convolutions
//! (2018) is the source of the idea.

use super::shape::Shape;
use crate::epilogue::Epilogue;
use crate::gemm::Panels;
use crate::kernel::{Lanes, MR, MulAdd, NR};
use crate::lower::fetch;
use crate::padding::PaddingMode;
use crate::window::{Window, checked_product, checked_sum};
use core::ops::Range;

const fn padded_dim(input: usize, [before, after]: [usize; 2]) -> usize {
    input + before + after
}

/// The length of what precedes the stage in the scratch of the forward pass: the sums of a tile.
pub(super) const TILE_LEN: usize = 4 * MR * NR;

/// The padded copy of a group's planes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stage {
    pub(super) window: Window,
    channels: usize,
    /// Values of one residue of `x`; a line has `stride` of them.
    residue_len: usize,
    /// Padded lines of a plane, and padded planes of a channel.
    lines: [usize; 2],
}

impl Stage {
    pub(super) const fn new(shape: &Shape) -> Self {
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

    const fn line_len(&self) -> usize {
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

    /// Adds what the stage holds to the planes: the adjoint of [`Stage::copy`].
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

    /// [`Stage::copy`] for a line stride of `STRIDE` (0: any).
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

    /// Convolves one image and group: `output` is `[out_group, positions]`.
    #[inline(always)]
    pub(super) fn convolve<const ROWS: usize, const SPOTS: usize>(
        &self,
        planes: &[f32],
        weights: Panels<'_, NR>,
        epilogue: Epilogue<'_>,
        output: &mut [f32],
        stage: &mut [f32],
        mul_add: impl MulAdd,
    ) {
        let (tile, stage) = stage.split_at_mut(TILE_LEN);
        let tile = tile.as_chunks_mut().0;
        self.copy(planes, stage);
        let positions = self.window.positions();
        for (panel, output) in output.chunks_mut(NR * positions).enumerate() {
            let (weights, channel) = (weights.panel(panel), panel * NR);
            if output.len() == positions {
                // A single channel: the registers are filled with positions instead.
                self.tiles::<1, ROWS>(weights, 0, epilogue, channel, output, stage, tile, mul_add);
                continue;
            }
            for part in (0..output.len() / positions).step_by(ROWS) {
                // The last of sixteen channels are computed with some before them once more.
                let part = part.min(NR - ROWS);
                let output = &mut output[part * positions..];
                self.tiles::<ROWS, SPOTS>(
                    weights,
                    part,
                    epilogue,
                    channel + part,
                    output,
                    stage,
                    tile,
                    mul_add,
                );
            }
        }
    }

    /// Computes up to `ROWS` channels, `output` `[channels, positions]`, from lane `part` of the
    /// weights on, `SPOTS` vectors at a time.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "the operands of one matrix product")]
    fn tiles<const ROWS: usize, const SPOTS: usize>(
        &self,
        weights: &[Lanes],
        part: usize,
        epilogue: Epilogue<'_>,
        channel: usize,
        output: &mut [f32],
        stage: &[f32],
        tile: &mut [Lanes],
        mul_add: impl MulAdd,
    ) {
        let positions = self.window.positions();
        let [planes, lines, width] = self.window.output;
        let mut next = Spot::default();
        let mut at = [0, 0, 0];
        while at[0] < planes {
            let mut spots = [Spot { len: 0, ..next }; SPOTS];
            for spot in &mut spots {
                if at[0] == planes {
                    break;
                }
                next = self.spot(at);
                *spot = next;
                at[2] += NR;
                if at[2] >= width {
                    at = if at[1] + 1 == lines { [at[0] + 1, 0, 0] } else { [at[0], at[1] + 1, 0] };
                }
            }
            let sums = self.sums::<ROWS, SPOTS>(weights, part, &spots, stage, mul_add);
            for i in 0..SPOTS {
                for j in 0..ROWS {
                    tile[i * ROWS + j] = sums[i][j];
                }
            }
            // From here on in memory: the loops below would take the sums out of their registers.
            let tile = tile.as_chunks_mut::<ROWS>().0;
            for (sums, spot) in tile.iter_mut().zip(&spots).filter(|(_, spot)| spot.len > 0) {
                epilogue.apply(sums, channel, 0);
                for (sums, plane) in sums.iter().zip(output.chunks_exact_mut(positions)) {
                    let plane = &mut plane[spot.output..];
                    // What a vector holds too much lies where the next one is stored.
                    match plane.first_chunk_mut() {
                        Some(plane) => *plane = *sums,
                        None => plane[..spot.len].copy_from_slice(&sums[..spot.len]),
                    }
                }
            }
        }
    }

    /// The vector of outputs that begins at `[z, y, x]`.
    #[inline(always)]
    pub(super) fn spot(&self, [z, y, x]: [usize; 3]) -> Spot {
        let Window { output, stride, .. } = &self.window;
        Spot {
            stage: (z * stride[0] * self.lines[1] + y * stride[1]) * self.line_len() + x,
            output: (z * output[1] + y) * output[2] + x,
            len: NR.min(output[2] - x),
        }
    }

    /// The microkernel: the sums of `ROWS` channels at each of the spots.
    #[inline(always)]
    fn sums<const ROWS: usize, const SPOTS: usize>(
        &self,
        weights: &[Lanes],
        part: usize,
        spots: &[Spot; SPOTS],
        stage: &[f32],
        mul_add: impl MulAdd,
    ) -> [[Lanes; ROWS]; SPOTS] {
        let Window { kernel, stride, dilation, .. } = &self.window;
        let (residue_step, step) = (dilation[2] % stride[2], dilation[2] / stride[2]);
        // Wrapping: a dilation counts only where there is a second tap.
        let line_step = dilation[1].wrapping_mul(self.line_len());
        let plane_step = dilation[0].wrapping_mul(self.lines[1] * self.line_len());
        let channel_step = self.lines[0] * self.lines[1] * self.line_len();
        // What a vector of positions sees lies in as many values for each of them, so one check a tap is
        // enough.
        let reach = (kernel[2] - 1) * dilation[2];
        let last_tap = (kernel[0] - 1) * plane_step + (kernel[1] - 1) * line_step + reach / stride[2];
        let last_residue = (stride[2] - 1).min(reach) * self.residue_len;
        let extent = (self.channels - 1) * channel_step + last_tap + last_residue + NR;
        let mut values: [&[f32]; SPOTS] = [&[]; SPOTS];
        for (values, spot) in values.iter_mut().zip(spots) {
            *values = &stage[spot.stage..][..extent];
        }
        let mut tile = [[[0.0; NR]; ROWS]; SPOTS];
        let (mut residue, mut column, mut tap) = (0, 0, [0; 3]);
        let (mut line, mut plane, mut channel) = (0_usize, 0_usize, 0);
        for weights in weights {
            let offset = line + residue * self.residue_len + column;
            if offset >= extent || extent - offset < NR {
                break;
            }
            let mut lanes = [[0.0; NR]; SPOTS];
            for i in 0..SPOTS {
                lanes[i].copy_from_slice(&values[i][offset..][..NR]);
            }
            for j in 0..ROWS {
                for i in 0..SPOTS {
                    tile[i][j] = mul_add(weights[part + j], lanes[i], tile[i][j]);
                }
            }
            (residue, column) = (residue + residue_step, column + step);
            if residue >= stride[2] {
                (residue, column) = (residue - stride[2], column + 1);
            }
            tap[2] += 1;
            if tap[2] == kernel[2] {
                (residue, column, tap[2]) = (0, 0, 0);
                line = line.wrapping_add(line_step);
                tap[1] += 1;
                if tap[1] == kernel[1] {
                    tap[1] = 0;
                    plane = plane.wrapping_add(plane_step);
                    tap[0] += 1;
                    if tap[0] == kernel[0] {
                        tap[0] = 0;
                        channel += channel_step;
                        plane = channel;
                    }
                    line = plane;
                }
            }
        }
        debug_assert_eq!(channel, self.channels * channel_step, "a sum without its last products");
        tile
    }
}

/// `NR` consecutive outputs of a line, of which `len` exist.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spot {
    /// Where tap 0 of the first one reads.
    pub(super) stage: usize,
    /// Where the first one is stored in its plane.
    pub(super) output: usize,
    pub(super) len: usize,
}

/// Zeros `len` values and up to `NR` more.
#[inline(always)]
pub(super) fn zero(stage: &mut [f32], len: usize) {
    for zeros in stage.as_chunks_mut::<NR>().0.iter_mut().take(len.div_ceil(NR)) {
        *zeros = [0.0; NR];
    }
}

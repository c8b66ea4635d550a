//! The gradients of a convolution's weight and bias.
//!
//! `grad_weight[o, c, k] = sum over images and positions of grad_output[o, position] input[c, position + k]`. Each
//! lane sums its own image, in chains of some lines, and the lanes are added at the end of a chain.

use super::blocks::{ImageBlocks, starts, transposed};
use super::conv::Planes;
use super::pool::PoolBackward;
use super::tile::{TileSize, with_tile};
use crate::activation::Activation;
use crate::pool::windows::Pooling;
use crate::simd::{Isa, Kernel, Lanes, MulAdd, NR, Vectors, dispatch};
use core::ops::Range;

/// The gradients that a block of images contributes.
pub(crate) struct GradKernels<'a> {
    pub(crate) planes: Planes,
    /// Of a single block.
    pub(crate) blocks: ImageBlocks,
    /// `[in_channels, padded height, padded width]`
    pub(crate) input: &'a [Lanes],
    pub(crate) grads: Grads<'a>,
    /// Room for [`GradKernels::scratch_len`] vectors.
    pub(crate) scratch: &'a mut [Lanes],
    /// `[out_channels, in_group, height, width]`
    pub(crate) grad_weight: &'a mut [f32],
    /// `[out_channels]`, or empty
    pub(crate) grad_bias: &'a mut [f32],
}

/// Where the gradient of the convolution's output comes from.
#[derive(Clone, Copy)]
pub(crate) enum Grads<'a> {
    /// `[out_channels, height, width]`
    Output(&'a [Lanes]),
    /// Computed from the gradient of a 2x2 pool behind the convolution, a few lines at a time, which stay in L1.
    Pooled {
        pooling: &'a Pooling,
        /// The activation between the convolution and the pool.
        activation: Activation,
        /// `[out_channels, height, width]`, of the activation
        output: &'a [Lanes],
        /// `[out_channels, height / 2, width / 2]`
        grad_pooled: &'a [Lanes],
    },
}

/// The most rows of a tile.
const MOST_ROWS: usize = 12;
/// The most vectors that a band of lines should have, so that it stays in L1 while all taps pass over it: 40 KiB.
const BAND: usize = 640;
/// The most positions of an image whose products are summed in one chain, if not of two lines.
const MOST_POSITIONS: usize = 2048;
/// The most taps of all input channels that a pooled gradient is multiplied by at once.
const MOST_TAPS: usize = 160;

impl GradKernels<'_> {
    /// The sums of a tile of output channels and the lines of a band; `usize::MAX` if they are more.
    pub(crate) const fn scratch_len(planes: &Planes) -> usize {
        let rows = if planes.out_group < MOST_ROWS { planes.out_group } else { MOST_ROWS };
        let channels = if Self::can_be_pooled(planes) { planes.in_group } else { 1 };
        let two_lines = (2 * rows).saturating_mul(planes.output[1]);
        let band_len = if two_lines > BAND { two_lines } else { BAND };
        (rows * channels).saturating_mul(planes.taps()).saturating_add(band_len)
    }

    /// Whether it may take a [`Grads::Pooled`].
    pub(crate) const fn can_be_pooled(planes: &Planes) -> bool {
        planes.in_group.saturating_mul(planes.taps()) <= MOST_TAPS
    }
}

impl GradKernels<'_> {
    pub(crate) fn compute(mut self, isa: Isa) {
        let planes = self.planes;
        let (taps, [height, width], [_, padded_width]) = (planes.taps(), planes.output, planes.padded());
        let tile = TileSize::best(isa, planes.out_group, taps, |columns| taps.div_ceil(columns));
        let rows = tile.rows;
        let band = (BAND / (rows * width + planes.stride[0] * padded_width)).max(1);
        // Pooled lines come in pairs, once for all input channels; of others, one channel at a time needs least room.
        let (band, channels_at_once) = match self.grads {
            Grads::Output(_) => (band, 1),
            Grads::Pooled { .. } => ((band & !1).max(2), planes.in_group),
        };
        // Whole pairs of lines.
        let chain = (MOST_POSITIONS / width).max(2) & !1;
        let scratch = core::mem::take(&mut self.scratch);
        let (all_sums, pooled) = scratch.split_at_mut(rows * channels_at_once * taps);
        for group in 0..planes.groups {
            let mut done = group * planes.out_group;
            for row in starts(planes.out_group, rows) {
                let row = group * planes.out_group + row;
                for channel in (0..planes.in_group).step_by(channels_at_once) {
                    let mut bias_sums = [[0.0; NR]; MOST_ROWS];
                    // Rows that overlap those before would be added twice.
                    let new = done - row..rows;
                    for start in (0..height).step_by(chain) {
                        let end = height.min(start + chain);
                        all_sums.fill([0.0; NR]);
                        for y in (start..end).step_by(band) {
                            let lines = y..end.min(y + band);
                            let (grads, grad_step) = match self.grads {
                                Grads::Output(grads) => {
                                    (&grads[row * planes.positions() + y * width..], planes.positions())
                                }
                                Grads::Pooled { pooling, activation, output, grad_pooled } => {
                                    let len = lines.len() * width;
                                    for (i, grad_input) in
                                        pooled[..rows * len].chunks_exact_mut(len).enumerate()
                                    {
                                        let input =
                                            &output[(row + i) * planes.positions() + y * width..][..len];
                                        let grad_output = pooled_lines(pooling, grad_pooled, row + i, &lines);
                                        PoolBackward { pooling, activation, input, grad_output, grad_input }
                                            .compute(isa);
                                    }
                                    (&*pooled, len)
                                }
                            };
                            if channel == 0 {
                                for (i, sums) in bias_sums[..rows].iter_mut().enumerate() {
                                    add_lines(&grads[i * grad_step..][..lines.len() * width], width, sums);
                                }
                            }
                            for (i, sums) in all_sums.chunks_exact_mut(rows * taps).enumerate() {
                                let plane = self.plane(group * planes.in_group + channel + i, y);
                                let band =
                                    Band { planes: &planes, plane, grads, grad_step, lines: lines.len() };
                                dispatch(isa, AddBand { band, tile, sums });
                            }
                        }
                        let is_first = self.blocks.is_first() && start == 0;
                        for (i, sums) in all_sums.chunks_exact_mut(rows * taps).enumerate() {
                            let lanes = self.blocks.lanes;
                            dispatch(isa, AddLanes { sums: &mut *sums, lanes });
                            let sums = sums.as_flattened();
                            let sums = &sums[new.start * taps..new.end * taps];
                            self.add_weights(done, channel + i, sums, is_first);
                        }
                    }
                    if channel == 0 {
                        self.add_biases(done, &bias_sums[new]);
                    }
                }
                done = row + rows;
            }
        }
    }
}

impl GradKernels<'_> {
    /// An input channel from the first line on that output line `y` sees.
    #[inline(always)]
    fn plane(&self, channel: usize, y: usize) -> &[Lanes] {
        let [height, width] = self.planes.padded();
        &self.input[channel * height * width..][..height * width][y * self.planes.stride[0] * width..]
    }

    /// Begins with these sums of an input channel, for output channels from `row` on, or adds them.
    #[inline(always)]
    fn add_weights(&mut self, row: usize, channel: usize, sums: &[f32], is_first: bool) {
        let taps = self.planes.taps();
        for (i, sums) in sums.chunks_exact(taps).enumerate() {
            let at = ((row + i) * self.planes.in_group + channel) * taps;
            for (grad, sum) in self.grad_weight[at..][..taps].iter_mut().zip(sums) {
                *grad = if is_first { *sum } else { *grad + sum };
            }
        }
    }

    /// Begins with the sums of these lanes, for output channels from `row` on, or adds them.
    #[inline(always)]
    fn add_biases(&mut self, row: usize, sums: &[Lanes]) {
        for (grad, sums) in self.grad_bias.iter_mut().skip(row).zip(sums) {
            if self.blocks.is_first() {
                *grad = 0.0;
            }
            sums[..self.blocks.lanes.min(NR)].iter().for_each(|sum| *grad += sum);
        }
    }
}

/// What a pool of 2x2 tiles makes of these lines of a channel, of which the last may be one too many.
#[inline(always)]
fn pooled_lines<'a>(
    pooling: &Pooling,
    pooled: &'a [Lanes],
    channel: usize,
    lines: &Range<usize>,
) -> &'a [Lanes] {
    let [_, height, width] = pooling.window.output;
    &pooled[channel * height * width..][lines.start / 2 * width..height.min(lines.end / 2) * width]
}

/// Adds lines to the sums, each the end of a chain of its own, so that chains of many lines overlap.
#[inline(always)]
fn add_lines(lines: &[Lanes], width: usize, sums: &mut Lanes) {
    for line in lines.chunks_exact(width) {
        let mut line_sums = [0.0; NR];
        for values in line {
            for i in 0..NR {
                line_sums[i] += values[i];
            }
        }
        for i in 0..NR {
            sums[i] += line_sums[i];
        }
    }
}

/// A few lines of an input channel, and of output channels that it has a part in.
struct Band<'a> {
    planes: &'a Planes,
    /// From the first line of the input on.
    plane: &'a [Lanes],
    /// From the first line of the first output channel on; another channel's is `grad_step` vectors further.
    grads: &'a [Lanes],
    grad_step: usize,
    /// Of the output.
    lines: usize,
}

impl Band<'_> {
    /// Adds the products with all taps to `[rows][taps]` sums.
    #[inline(always)]
    fn add<const ROWS: usize, const COLUMNS: usize>(&self, sums: &mut [Lanes], vectors: impl Vectors) {
        let taps = self.planes.taps();
        for tap in (0..taps).step_by(COLUMNS) {
            // A last tile that overlapped the one before would add its taps twice.
            if tap + COLUMNS <= taps {
                self.add_taps::<ROWS, COLUMNS>(tap, sums, vectors);
            } else {
                for tap in tap..taps {
                    self.add_taps::<ROWS, 1>(tap, sums, vectors);
                }
            }
        }
    }

    /// `sums[i][tap + j] += sum over the lines of grads[i] * plane shifted by tap + j`.
    #[inline(always)]
    fn add_taps<const ROWS: usize, const COLUMNS: usize>(
        &self,
        tap: usize,
        sums: &mut [Lanes],
        vectors: impl Vectors,
    ) {
        let (planes, plane) = (self.planes, self.plane);
        let [_, kernel_width] = planes.kernel;
        let offset = |tap: usize| {
            tap / kernel_width * planes.dilation[0] * planes.padded()[1]
                + tap % kernel_width * planes.dilation[1]
        };
        let extent = plane.len() - offset(tap + COLUMNS - 1);
        let mut columns: [&[Lanes]; COLUMNS] = [&[]; COLUMNS];
        for (j, column) in columns.iter_mut().enumerate() {
            *column = &plane[offset(tap + j)..][..extent];
        }
        self.add_columns::<ROWS, COLUMNS>(columns, tap, sums, vectors);
    }

    /// A single loop that carries its counters: between nested loops the compiler would keep the sums in memory.
    #[inline(always)]
    fn add_columns<const ROWS: usize, const COLUMNS: usize>(
        &self,
        columns: [&[Lanes]; COLUMNS],
        tap: usize,
        sums: &mut [Lanes],
        vectors: impl Vectors,
    ) {
        let (taps, width, padded_width) =
            (self.planes.taps(), self.planes.output[1], self.planes.padded()[1]);
        let positions = self.lines * width;
        let extent = columns.first().map_or(0, |column| column.len());
        let mut rows: [&[Lanes]; ROWS] = [&[]; ROWS];
        for (i, row) in rows.iter_mut().enumerate() {
            *row = &self.grads[i * self.grad_step..][..positions];
        }
        let mut tile = [[[0.0; NR]; COLUMNS]; ROWS];
        for i in 0..ROWS {
            for j in 0..COLUMNS {
                tile[i][j] = sums[i * taps + tap + j];
            }
        }
        let [stride_y, stride_x] = self.planes.stride;
        let next_line = (stride_y * padded_width).wrapping_sub(width * stride_x);
        let (mut position, mut at, mut left) = (0, 0, width);
        // Never out of bounds, but what the compiler does not know it would check for each row and column.
        while position < positions && at < extent {
            let mut grad = [[0.0; NR]; ROWS];
            for i in 0..ROWS {
                grad[i] = rows[i][position];
            }
            for j in 0..COLUMNS {
                let value = columns[j][at];
                for i in 0..ROWS {
                    tile[i][j] = vectors.product_add(grad[i], value, tile[i][j]);
                }
            }
            position += 1;
            at += stride_x;
            left -= 1;
            if left == 0 {
                left = width;
                at = at.wrapping_add(next_line);
            }
        }
        debug_assert_eq!(position, positions, "a sum without its last positions");
        for i in 0..ROWS {
            for j in 0..COLUMNS {
                sums[i * taps + tap + j] = tile[i][j];
            }
        }
    }
}

/// Adds the products with all taps to `[rows][taps]` sums.
struct AddBand<'a> {
    band: Band<'a>,
    tile: TileSize,
    sums: &'a mut [Lanes],
}

impl Kernel for AddBand<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        vectors: impl Vectors,
    ) {
        let Self { band, tile, sums } = self;
        with_tile!(ROWS, PANELS, tile, band.add(sums, vectors));
    }
}

/// Adds the first lanes of each vector, by pairs. The vectors make room for the sums, which come first.
struct AddLanes<'a> {
    sums: &'a mut [Lanes],
    lanes: usize,
}

impl Kernel for AddLanes<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        vectors: impl Vectors,
    ) {
        let Self { sums, lanes } = self;
        let len = sums.len();
        for (block, first) in (0..len).step_by(NR).enumerate() {
            let mut rows = transposed(&sums[first..len.min(first + NR)], vectors);
            rows[lanes.min(NR)..].fill([0.0; NR]);
            for half in [8, 4, 2, 1] {
                for i in 0..half {
                    let other = rows[i + half];
                    for lane in 0..NR {
                        rows[i][lane] += other[lane];
                    }
                }
            }
            sums[block] = rows[0];
        }
    }
}

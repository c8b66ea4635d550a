//! The gradients of a convolution's weight and bias.
//!
//! `grad_weight[o, c, k] = sum over images and positions of grad_output[o, position] input[c, position + k]`. Each
//! lane sums its own image, and the lanes are added in the end.

use super::conv::Planes;
use super::tile::{Tile, with_tile};
use super::{Block, starts, transposed};
use crate::kernel::{Job, Lanes, MulAdd, NR, Vectors};
use core::ops::Range;

/// The gradients that a bundle contributes.
pub(crate) struct GradKernels<'a> {
    pub(crate) planes: Planes,
    /// Of a single bundle.
    pub(crate) block: Block,
    /// `[in_channels, padded height, padded width]`
    pub(crate) input: &'a [Lanes],
    /// `[out_channels, height, width]`
    pub(crate) grad_output: &'a [Lanes],
    /// Room for [`GradKernels::scratch_len`] vectors.
    pub(crate) scratch: &'a mut [Lanes],
    /// `[out_channels, in_group, height, width]`
    pub(crate) grad_weight: &'a mut [f32],
    /// `[out_channels]`, or empty
    pub(crate) grad_bias: &'a mut [f32],
}

/// The most rows of a tile.
const MOST_ROWS: usize = 12;
/// The most vectors that a band of lines should have, so that it stays in L1 while all taps pass over it: 40 KiB.
const BAND: usize = 640;

impl GradKernels<'_> {
    /// The sums of all taps of one input channel, for a tile of output channels.
    pub(crate) const fn scratch_len(planes: &Planes) -> usize {
        planes.taps() * if planes.out_group < MOST_ROWS { planes.out_group } else { MOST_ROWS }
    }
}

impl Job for GradKernels<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        mut self,
        _: impl MulAdd,
        vectors: impl Vectors,
    ) {
        let taps = self.planes.taps();
        let tile = Tile::best::<PANELS, ROWS>(self.planes.out_group, taps, |columns| taps.div_ceil(columns));
        with_tile!(tile, self.weights(vectors));
        self.biases();
    }
}

impl GradKernels<'_> {
    #[inline(always)]
    fn weights<const ROWS: usize, const COLUMNS: usize>(&mut self, vectors: impl Vectors) {
        let planes = self.planes;
        let (taps, positions) = (planes.taps(), planes.positions());
        let ([height, width], [padded_height, padded_width]) = (planes.output, planes.padded());
        let plane_len = padded_height * padded_width;
        let band = (BAND / (ROWS * width + planes.stride[0] * padded_width)).max(1);
        for group in 0..planes.groups {
            let first = group * planes.out_group;
            let mut done = 0;
            for row in starts(planes.out_group, ROWS) {
                let grads = &self.grad_output[(first + row) * positions..][..ROWS * positions];
                for channel in 0..planes.in_group {
                    let at = (group * planes.in_group + channel) * plane_len;
                    let plane = &self.input[at..][..plane_len];
                    let sums = &mut self.scratch[..ROWS * taps];
                    sums.fill([0.0; NR]);
                    for y in (0..height).step_by(band) {
                        let lines = y..height.min(y + band);
                        for tap in (0..taps).step_by(COLUMNS) {
                            // A last tile that overlapped the one before would add its taps twice.
                            if tap + COLUMNS <= taps {
                                tile::<ROWS, COLUMNS>(
                                    &planes,
                                    plane,
                                    grads,
                                    lines.clone(),
                                    tap,
                                    sums,
                                    vectors,
                                );
                            } else {
                                for tap in tap..taps {
                                    tile::<ROWS, 1>(&planes, plane, grads, lines.clone(), tap, sums, vectors);
                                }
                            }
                        }
                    }
                    let sums = added_lanes(sums, self.block.lanes, vectors);
                    // Rows that overlap those before would be added twice as well.
                    for (i, sums) in sums.chunks_exact(taps).enumerate().take(ROWS).skip(done - row) {
                        let at = ((first + row + i) * planes.in_group + channel) * taps;
                        for (grad, sum) in self.grad_weight[at..][..taps].iter_mut().zip(sums) {
                            *grad = if self.block.is_first() { *sum } else { *grad + sum };
                        }
                    }
                }
                done = row + ROWS;
            }
        }
    }

    /// Each lane is a chain over the positions, and then the lanes are.
    #[inline(always)]
    fn biases(&mut self) {
        if self.block.is_first() {
            self.grad_bias.fill(0.0);
        }
        let grads = self.grad_output.chunks_exact(self.planes.positions());
        for (grad_bias, grads) in self.grad_bias.iter_mut().zip(grads) {
            let mut sums = [[0.0; NR]; 4];
            let (fours, rest) = grads.as_chunks::<4>();
            for grads in fours {
                for j in 0..4 {
                    for i in 0..NR {
                        sums[j][i] += grads[j][i];
                    }
                }
            }
            for (sum, grad) in sums.iter_mut().zip(rest) {
                for i in 0..NR {
                    sum[i] += grad[i];
                }
            }
            let [a, b, c, d] = sums;
            for i in 0..self.block.lanes.min(NR) {
                *grad_bias += (a[i] + b[i]) + (c[i] + d[i]);
            }
        }
    }
}

/// `sums[i][tap + j] += sum over the lines of grads[i] * plane shifted by tap + j`.
#[inline(always)]
fn tile<const ROWS: usize, const COLUMNS: usize>(
    planes: &Planes,
    plane: &[Lanes],
    grads: &[Lanes],
    lines: Range<usize>,
    tap: usize,
    sums: &mut [Lanes],
    vectors: impl Vectors,
) {
    let [_, kernel_width] = planes.kernel;
    let offset = |tap: usize| {
        tap / kernel_width * planes.dilation[0] * planes.padded()[1] + tap % kernel_width * planes.dilation[1]
    };
    let first = offset(tap);
    let extent = plane.len() - offset(tap + COLUMNS - 1);
    let mut columns: [&[Lanes]; COLUMNS] = [&[]; COLUMNS];
    if offset(tap + COLUMNS - 1) == first + COLUMNS - 1 {
        // Taps side by side need no addresses of their own.
        let plane = &plane[first..];
        for (j, column) in columns.iter_mut().enumerate() {
            *column = &plane[j..][..extent];
        }
        tile_of::<ROWS, COLUMNS>(planes, columns, grads, lines, tap, sums, vectors);
    } else {
        for (j, column) in columns.iter_mut().enumerate() {
            *column = &plane[offset(tap + j)..][..extent];
        }
        tile_of::<ROWS, COLUMNS>(planes, columns, grads, lines, tap, sums, vectors);
    }
}

/// A single loop that carries its counters: between nested loops the compiler would keep the sums in memory.
#[inline(always)]
fn tile_of<const ROWS: usize, const COLUMNS: usize>(
    planes: &Planes,
    columns: [&[Lanes]; COLUMNS],
    grads: &[Lanes],
    lines: Range<usize>,
    tap: usize,
    sums: &mut [Lanes],
    vectors: impl Vectors,
) {
    let (taps, positions, width) = (planes.taps(), planes.positions(), planes.output[1]);
    let padded_width = planes.padded()[1];
    let extent = columns.first().map_or(0, |column| column.len());
    let mut rows: [&[Lanes]; ROWS] = [&[]; ROWS];
    for (i, row) in rows.iter_mut().enumerate() {
        *row = &grads[i * positions..][..positions];
    }
    let mut tile = [[[0.0; NR]; COLUMNS]; ROWS];
    for i in 0..ROWS {
        for j in 0..COLUMNS {
            tile[i][j] = sums[i * taps + tap + j];
        }
    }
    let [stride_y, stride_x] = planes.stride;
    let mut at = lines.start * stride_y * padded_width;
    let next_line = (stride_y * padded_width).wrapping_sub(width * stride_x);
    let (mut position, mut left, mut left_lines) = (lines.start * width, width, lines.len());
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
            left_lines -= 1;
            if left_lines == 0 {
                break;
            }
        }
    }
    for i in 0..ROWS {
        for j in 0..COLUMNS {
            sums[i * taps + tap + j] = tile[i][j];
        }
    }
}

/// The sum of the first lanes of each vector, by pairs. The vectors make room for the sums.
#[inline(always)]
fn added_lanes(sums: &mut [Lanes], lanes: usize, vectors: impl Vectors) -> &[f32] {
    let len = sums.len();
    for (block, first) in (0..len).step_by(NR).enumerate() {
        let mut rows = transposed(&sums[first..len.min(first + NR)], vectors);
        rows[lanes.min(NR)..].fill([0.0; NR]);
        for half in [8, 4, 2, 1] {
            for i in 0..half {
                let other = rows[i + half];
                rows[i].iter_mut().zip(other).for_each(|(sum, other)| *sum += other);
            }
        }
        sums[block] = rows[0];
    }
    sums.as_flattened()
}

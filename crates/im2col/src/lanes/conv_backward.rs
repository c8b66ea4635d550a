//! The gradient of a convolution's input.
//!
//! `grad_input[c, Y, X] = sum over o, ky, kx of weight[o, c, ky, kx] grad_output[o, y, x]` where
//! `Y = y * stride + ky * dilation` in the padded plane, and `X` likewise. Of an axis, only the taps are visited that
//! meet a position; on the last axis those that meet one for any input of a tile.

use super::conv::Planes;
use super::starts;
use super::tile::{Nest, Operands, Tile, sums, with_tile};
use crate::kernel::{Job, Lanes, MulAdd, NR, Vectors};
use crate::window::Window;
use core::ops::Range;

/// `grad_input = weight^T * grad_output`, of the input or, if `is_whole`, of the padded input.
pub(crate) struct GradInput<'a> {
    pub(crate) planes: Planes,
    pub(crate) is_whole: bool,
    /// `[out_channels, in_group, height, width]`
    pub(crate) weight: &'a [f32],
    /// `[out_channels, height, width]`
    pub(crate) grad_output: &'a [Lanes],
    /// Room for [`GradInput::scratch_len`] vectors.
    pub(crate) scratch: &'a mut [Lanes],
    /// `[in_channels, height, width]`
    pub(crate) grad_input: &'a mut [Lanes],
}

/// The taps of an axis that meet positions from the inputs of one residue modulo the stride:
/// `first + n * step` for `n < count`. Where `first` meets position `p`, tap `n` meets `p - n * shift`.
#[derive(Clone, Copy)]
struct Taps {
    first: usize,
    step: usize,
    shift: usize,
    count: usize,
}

impl Planes {
    fn taps_of(&self, axis: usize, residue: usize) -> Taps {
        let (kernel, stride, dilation) = (self.kernel[axis], self.stride[axis], self.dilation[axis]);
        let meets = |tap: &usize| (tap % stride) * (dilation % stride) % stride == residue;
        let first = (0..kernel.min(stride)).find(meets).unwrap_or(kernel);
        // Taps meet positions from one residue at multiples of `stride / gcd(stride, dilation)`.
        let step =
            (1..stride).find(|step| (step * (dilation % stride)).is_multiple_of(stride)).unwrap_or(stride);
        let count = (kernel - first).div_ceil(step);
        Taps { first, step, shift: step * dilation / stride, count }
    }

    /// Columns of zeros on both sides of each line of the gradient.
    const fn margin(&self) -> usize {
        ((self.kernel[1] - 1) * self.dilation[1]).div_ceil(self.stride[1])
    }

    const fn line_len(&self) -> usize {
        self.output[1].saturating_add(self.margin().saturating_mul(2))
    }
}

impl Taps {
    /// Which of the taps meet a position in `0..positions`, from any of `len` inputs of which the first meets
    /// position `first` by the first tap.
    #[inline(always)]
    fn meeting(&self, first: isize, len: usize, positions: usize) -> Range<usize> {
        let shift = self.shift as isize;
        let (last, beyond) = (first + len as isize - 1, first - positions as isize + 1);
        if last < 0 {
            return 0..0;
        }
        let end = self.count.min((last / shift) as usize + 1);
        let start = if beyond > 0 { (beyond as usize).div_ceil(shift as usize) } else { 0 };
        start.min(end)..end
    }
}

impl GradInput<'_> {
    /// The lines of the gradient of the output, with columns of zeros on both sides; `usize::MAX` if they are more.
    pub(crate) const fn scratch_len(planes: &Planes) -> usize {
        let lines = planes.groups.saturating_mul(planes.out_group).saturating_mul(planes.output[0]);
        lines.saturating_mul(planes.line_len())
    }
}

impl Job for GradInput<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        mut self,
        mul_add: impl MulAdd,
        _: impl Vectors,
    ) {
        self.widen();
        let columns = self.dims()[1].div_ceil(self.planes.stride[1]);
        let tile =
            Tile::best::<PANELS, ROWS>(self.planes.in_group, columns, |width| self.meetings(columns, width));
        with_tile!(tile, self.gather(mul_add));
    }
}

impl GradInput<'_> {
    /// Height and width of the gradient.
    const fn dims(&self) -> [usize; 2] {
        if self.is_whole { self.planes.padded() } else { self.planes.input }
    }

    /// How many taps of a line meet tiles of this width, all tiles of a phase together: the narrower, the fewer
    /// products with the margins.
    fn meetings(&self, columns: usize, width: usize) -> usize {
        let [_, before] = self.before();
        let [_, stride] = self.planes.stride;
        let taps = self.planes.taps_of(1, before % stride);
        let position = place(before, taps.first, self.planes.dilation[1], stride);
        let meeting = |column| taps.meeting(position + column as isize, width, self.planes.output[1]).len();
        starts(columns, width).map(meeting).sum()
    }

    /// Where the planes begin in the padded ones.
    const fn before(&self) -> [usize; 2] {
        if self.is_whole { [0; 2] } else { [self.planes.padding[0][0], self.planes.padding[1][0]] }
    }

    #[inline(always)]
    fn widen(&mut self) {
        let (width, margin, len) = (self.planes.output[1], self.planes.margin(), self.planes.line_len());
        let lines = self.scratch.chunks_exact_mut(len);
        for (line, grad) in lines.zip(self.grad_output.chunks_exact(width)) {
            line[..margin].fill([0.0; NR]);
            line[margin..margin + width].copy_from_slice(grad);
            line[margin + width..].fill([0.0; NR]);
        }
    }

    #[inline(always)]
    fn gather<const ROWS: usize, const COLUMNS: usize>(&mut self, mul_add: impl MulAdd) {
        let planes = self.planes;
        let [height, width] = self.dims();
        let before = self.before();
        let [stride_y, stride_x] = planes.stride;
        for phase_y in 0..stride_y.min(height) {
            let taps_y = planes.taps_of(0, (phase_y + before[0]) % stride_y);
            for phase in 0..stride_x.min(width) {
                let taps_x = planes.taps_of(1, (phase + before[1]) % stride_x);
                let columns = (width - phase).div_ceil(stride_x);
                let tile_width = if columns >= COLUMNS { COLUMNS } else { 1 };
                // Downwards: most of what a tile reads, the one above it has read.
                for column in starts(columns, tile_width) {
                    for y in (phase_y..height).step_by(stride_y) {
                        let position_y = place(y + before[0], taps_y.first, planes.dilation[0], stride_y);
                        let meeting_y = taps_y.meeting(position_y, 1, planes.output[0]);
                        let mut line = Line { y, position_y, taps_y, meeting_y, taps_x, phase };
                        if columns >= COLUMNS {
                            self.tiles::<ROWS, COLUMNS>(&mut line, column, before[1], mul_add);
                        } else {
                            self.tiles::<ROWS, 1>(&mut line, column, before[1], mul_add);
                        }
                    }
                }
            }
        }
    }

    /// All channels of `COLUMNS` inputs, of which the first is number `column` of its phase.
    #[inline(always)]
    fn tiles<const ROWS: usize, const COLUMNS: usize>(
        &mut self,
        line: &mut Line,
        column: usize,
        before: usize,
        mul_add: impl MulAdd,
    ) {
        let planes = self.planes;
        let (taps_x, taps_y, [_, stride]) = (line.taps_x, line.taps_y, planes.stride);
        let x = line.phase + column * stride;
        let position_x = place(x + before, taps_x.first, planes.dilation[1], stride);
        let meeting_x = taps_x.meeting(position_x, COLUMNS, planes.output[1]);
        let meeting_y = line.meeting_y.clone();

        let (taps, line_len) = (planes.taps(), planes.line_len());
        let grad_plane = planes.output[0] * line_len;
        let nest = Nest {
            counts: [planes.out_group, meeting_y.len(), meeting_x.len()],
            in_weights: [planes.in_group * taps, taps_y.step * planes.kernel[1], taps_x.step],
            in_values: [
                grad_plane,
                taps_y.shift.wrapping_mul(line_len).wrapping_neg(),
                taps_x.shift.wrapping_neg(),
            ],
        };
        let tap_y = taps_y.first + meeting_y.start * taps_y.step;
        let tap_x = taps_x.first + meeting_x.start * taps_x.step;
        let grad_y = line.position_y - (meeting_y.start * taps_y.shift) as isize;
        let grad_x = position_x - (meeting_x.start * taps_x.shift) as isize + planes.margin() as isize;
        let first_value = (grad_y * line_len as isize + grad_x) as usize;

        let [height, width] = self.dims();
        let (group_weights, group_grads) =
            (planes.out_group * planes.in_group * taps, planes.out_group * grad_plane);
        for group in 0..planes.groups {
            let operands = Operands {
                weights: &self.weight[group * group_weights..][..group_weights],
                first_weight: tap_y * planes.kernel[1] + tap_x,
                row_step: taps,
                values: &self.scratch[group * group_grads..][..group_grads],
                first_value,
                column_step: 1,
            };
            for row in starts(planes.in_group, ROWS) {
                let first_weight = operands.first_weight + row * taps;
                let sums = sums::<ROWS, COLUMNS>(&nest, Operands { first_weight, ..operands }, mul_add);
                for (i, sums) in sums.iter().enumerate() {
                    let channel = group * planes.in_group + row + i;
                    let at = (channel * height + line.y) * width + x;
                    for (j, sum) in sums.iter().enumerate() {
                        self.grad_input[at + j * stride] = *sum;
                    }
                }
            }
        }
    }
}

/// A line of inputs, those of one phase.
struct Line {
    y: usize,
    position_y: isize,
    taps_y: Taps,
    meeting_y: Range<usize>,
    taps_x: Taps,
    phase: usize,
}

/// The position that an input meets by a tap, maybe one before the first.
#[inline(always)]
fn place(input: usize, tap: usize, dilation: usize, stride: usize) -> isize {
    // Exact: such a tap was looked for.
    (input as isize - (tap * dilation) as isize).div_euclid(stride as isize)
}

/// Adds the gradient of padded planes to those values that the padding showed.
pub(crate) struct Fold<'a> {
    pub(crate) window: &'a Window,
    /// `[channels, padded height, padded width]`
    pub(crate) staged: &'a [Lanes],
    /// `[channels, height, width]`
    pub(crate) grad_input: &'a mut [Lanes],
}

impl Job for Fold<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { window, staged, grad_input } = self;
        let planes = Planes::new([1; 3], window);
        let ([height, width], [padded_height, padded_width]) = (planes.input, planes.padded());
        let [[top, _], [left, _]] = planes.padding;
        grad_input.fill([0.0; NR]);
        let staged_planes = staged.chunks_exact(padded_height * padded_width);
        for (plane, staged) in grad_input.chunks_exact_mut(height * width).zip(staged_planes) {
            for (y, line) in staged.chunks_exact(padded_width).enumerate() {
                for (x, grad) in line.iter().enumerate() {
                    if let Some(source) = window.source([0, y.wrapping_sub(top), x.wrapping_sub(left)]) {
                        for (sum, grad) in plane[source].iter_mut().zip(grad) {
                            *sum += grad;
                        }
                    }
                }
            }
        }
    }
}

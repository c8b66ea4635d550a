//! The gradient of a convolution's input.
//!
//! `grad_input[c, Y, X] = sum over o, ky, kx of weight[o, c, ky, kx] grad_output[o, y, x]` where
//! `Y = y * stride + ky * dilation` in the padded plane, and `X` likewise. Of an axis, only the taps are visited that
//! meet a position from any input of a tile.

use super::blocks::starts;
use super::conv::Planes;
use super::tile::{Grid, Nest, Operands, TileSize};
use crate::simd::{Isa, Kernel, Lanes, MulAdd, NR, Vectors};
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
struct TapProgression {
    first: usize,
    step: usize,
    shift: usize,
    count: usize,
}

/// Finds the taps of an axis that meet positions from the inputs of a residue: what all residues have in common, so
/// that each of them takes a few steps, however large stride and kernel are.
#[derive(Clone, Copy)]
struct Residues {
    kernel: usize,
    stride: usize,
    dilation: usize,
    /// The greatest common divisor of stride and dilation.
    common: usize,
    /// `inverse * dilation = common` modulo the stride.
    inverse: usize,
}

impl Residues {
    /// Extended Euclidean algorithm.
    fn new(planes: &Planes, axis: usize) -> Self {
        let (kernel, stride, dilation) = (planes.kernel[axis], planes.stride[axis], planes.dilation[axis]);
        let (mut common, mut rest) = (stride, dilation % stride);
        // Each of them is its factor times the dilation, modulo the stride.
        let (mut factor, mut rest_factor) = (0, 1);
        while rest != 0 {
            let quotient = common / rest;
            (common, rest) = (rest, common % rest);
            (factor, rest_factor) = (rest_factor, factor - quotient as isize * rest_factor);
        }
        let inverse = factor.rem_euclid((stride / common) as isize) as usize;
        Self { kernel, stride, dilation, common, inverse }
    }

    /// The taps that meet a position from inputs whose residue modulo the stride is this one.
    fn taps(&self, residue: usize) -> TapProgression {
        let Self { kernel, stride, dilation, common, inverse } = *self;
        // Taps meet positions from one residue at multiples of `stride / common`.
        let step = stride / common;
        let meets = residue.is_multiple_of(common);
        let first = if meets { (residue / common * inverse % step).min(kernel) } else { kernel };
        TapProgression {
            first,
            step,
            shift: step * dilation / stride,
            count: (kernel - first).div_ceil(step),
        }
    }
}

impl Planes {
    /// Columns of zeros on both sides of each line of the gradient.
    const fn margin(&self) -> usize {
        ((self.kernel[1] - 1) * self.dilation[1]).div_ceil(self.stride[1])
    }

    const fn line_len(&self) -> usize {
        self.output[1].saturating_add(self.margin().saturating_mul(2))
    }
}

impl TapProgression {
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
    /// The planes of the gradient of the output, with zeros around; `usize::MAX` if they are more.
    pub(crate) const fn scratch_len(planes: &Planes) -> usize {
        let plane = planes.output[0].saturating_add(2).saturating_mul(planes.line_len());
        planes.groups.saturating_mul(planes.out_group).saturating_mul(plane)
    }
}

impl GradInput<'_> {
    pub(crate) fn compute(mut self, isa: Isa) {
        self.widen();
        let rows = self.planes.in_group;
        let [lines, columns] = [0, 1].map(|axis| self.dims()[axis].div_ceil(self.planes.stride[axis]));
        let tile = TileSize::best(isa, rows, columns, |columns_of_tile| {
            let [height, width] = layout(columns_of_tile);
            self.meetings(0, lines, height.min(lines)) * self.meetings(1, columns, width)
        });
        let single = TileSize::best(isa, rows, 1, |_| 1);
        self.gather(isa, tile, single);
    }
}

impl GradInput<'_> {
    /// Height and width of the gradient.
    const fn dims(&self) -> [usize; 2] {
        if self.is_whole { self.planes.padded() } else { self.planes.input }
    }

    /// How many taps of an axis meet tiles of this size, all tiles of a phase together: the smaller, the fewer
    /// products with the margins.
    fn meetings(&self, axis: usize, len: usize, size: usize) -> usize {
        let (before, stride) = (self.before()[axis], self.planes.stride[axis]);
        let taps = Residues::new(&self.planes, axis).taps(before % stride);
        let position = place(before, taps.first, self.planes.dilation[axis], stride);
        let meeting = |start| taps.meeting(position + start as isize, size, self.planes.output[axis]).len();
        starts(len, size).map(meeting).sum()
    }

    /// Where the planes begin in the padded ones.
    const fn before(&self) -> [usize; 2] {
        if self.is_whole { [0; 2] } else { [self.planes.padding[0][0], self.planes.padding[1][0]] }
    }

    fn widen(&mut self) {
        let ([height, width], margin, len) =
            (self.planes.output, self.planes.margin(), self.planes.line_len());
        let planes = self.scratch.chunks_exact_mut((height + 2) * len);
        for (plane, grads) in planes.zip(self.grad_output.chunks_exact(height * width)) {
            plane[..len].fill([0.0; NR]);
            plane[(height + 1) * len..].fill([0.0; NR]);
            for (line, grad) in plane[len..].chunks_exact_mut(len).zip(grads.chunks_exact(width)) {
                line[..margin].fill([0.0; NR]);
                line[margin..margin + width].copy_from_slice(grad);
                line[margin + width..].fill([0.0; NR]);
            }
        }
    }

    /// Computes tiles of inputs, or single ones where the inputs of a phase are fewer than a tile.
    fn gather(&mut self, isa: Isa, tile: TileSize, single: TileSize) {
        let planes = self.planes;
        let [height, width] = self.dims();
        let before = self.before();
        let [stride_y, stride_x] = planes.stride;
        let [residues_y, residues_x] = [0, 1].map(|axis| Residues::new(&planes, axis));
        for phase_y in 0..stride_y.min(height) {
            let taps_y = residues_y.taps((phase_y + before[0]) % stride_y);
            for phase in 0..stride_x.min(width) {
                let taps_x = residues_x.taps((phase + before[1]) % stride_x);
                let columns = (width - phase).div_ceil(stride_x);
                let lines = (height - phase_y).div_ceil(stride_y);
                let [tile_height, tile_width] = layout(tile.columns);
                let (tile, size) = if columns >= tile_width && lines >= tile_height {
                    (tile, [tile_height, tile_width])
                } else {
                    (single, [1, 1])
                };
                // Downwards: most of what a tile reads, the one above it has read.
                for column in starts(columns, size[1]) {
                    for line in starts(lines, size[0]) {
                        let y = phase_y + line * stride_y;
                        let position_y = place(y + before[0], taps_y.first, planes.dilation[0], stride_y);
                        let meeting_y = taps_y.meeting(position_y, size[0], planes.output[0]);
                        let line = PhaseLine { y, position_y, taps_y, meeting_y, taps_x, phase };
                        self.gather_tile(isa, tile, size, &line, column);
                    }
                }
            }
        }
    }

    /// All channels of a tile of inputs, `size` lines and columns of them, of which the first is number `column` of
    /// its phase.
    fn gather_tile(&mut self, isa: Isa, tile: TileSize, size: [usize; 2], line: &PhaseLine, column: usize) {
        let planes = self.planes;
        let (taps_x, taps_y, [stride_y, stride]) = (line.taps_x, line.taps_y, planes.stride);
        let (x, before) = (line.phase + column * stride, self.before()[1]);
        let position_x = place(x + before, taps_x.first, planes.dilation[1], stride);
        let meeting_x = taps_x.meeting(position_x, size[1], planes.output[1]);
        let meeting_y = line.meeting_y.clone();

        let (taps, line_len) = (planes.taps(), planes.line_len());
        let grad_plane = (planes.output[0] + 2) * line_len;
        let nest = Nest::new(
            [planes.out_group, meeting_y.len(), meeting_x.len()],
            [planes.in_group * taps, taps_y.step * planes.kernel[1], taps_x.step],
            [grad_plane, taps_y.shift.wrapping_mul(line_len).wrapping_neg(), taps_x.shift.wrapping_neg()],
        );
        let tap_y = taps_y.first + meeting_y.start * taps_y.step;
        let tap_x = taps_x.first + meeting_x.start * taps_x.step;
        let grad_y = line.position_y - (meeting_y.start * taps_y.shift) as isize + 1;
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
                line_step: if size[0] > 1 { line_len } else { 0 },
            };
            let grid = Grid {
                tile,
                nest: &nest,
                operands,
                rows: planes.in_group,
                columns: size[0] * size[1],
                is_by_rows: true,
                output: &mut self.grad_input[(group * planes.in_group * height + line.y) * width + x..],
                output_steps: [height * width, stride, stride_y * width],
            };
            grid.compute(isa);
        }
    }
}

/// How many lines and columns of inputs the columns of a tile are.
const fn layout(columns: usize) -> [usize; 2] {
    if columns == 4 { [2, 2] } else { [1, columns] }
}

/// A line of inputs, those of one phase, the first of its tile.
struct PhaseLine {
    y: usize,
    position_y: isize,
    taps_y: TapProgression,
    meeting_y: Range<usize>,
    taps_x: TapProgression,
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

impl Kernel for Fold<'_> {
    const USES_AVX2: bool = false;

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

#[cfg(test)]
mod tests {
    use super::*;

    /// Against the definition: the taps that meet a position are those whose distance is a multiple of the stride.
    #[test]
    fn taps_of_every_residue() {
        for (stride, dilation, kernel) in
            (1..=12).flat_map(|s| (1..=13).flat_map(move |d| [1, 2, 7, 30].map(|k| (s, d, k))))
        {
            let planes = Planes {
                groups: 1,
                in_group: 1,
                out_group: 1,
                kernel: [1, kernel],
                stride: [1, stride],
                dilation: [1, dilation],
                padding: [[0; 2]; 2],
                input: [1, 500],
                output: [1, 1],
            };
            let residues = Residues::new(&planes, 1);
            for residue in 0..stride {
                let TapProgression { first, step, shift, count } = residues.taps(residue);
                let meeting = (0..kernel).filter(|tap| tap * dilation % stride == residue);
                assert!(meeting.eq((0..count).map(|n| first + n * step)), "{stride} {dilation} {residue}");
                assert_eq!(shift * stride, step * dilation);
            }
        }
    }
}

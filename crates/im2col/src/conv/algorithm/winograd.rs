//! Winograd's minimal filtering for 3x3 kernels: F(4x4, 3x3).
//!
//! Four by four outputs, a *tile*, see six by six inputs. Inputs `d` and weights `g` of a channel are
//! transformed to values at 36 *points*, where a convolution is a product: the outputs are
//! `A^T [sum over channels of (G g G^T) * (B^T d B)] A`, which takes 36 multiplications instead of 144
//! (A. Lavin, S. Gray: Fast Algorithms for Convolutional Neural Networks, 2015). The points of each axis are
//! 0, two of either sign, and infinity.
//!
//! Lanes are channels everywhere: of the input where it is transformed, of the output where products are
//! summed and transformed back. A block of tiles is transformed once; then two panels of output channels
//! at a time are multiplied at all points, transformed back and stored. With dilation
//! the values of a tile are that far apart; nothing else changes.

mod multiply;
mod tiling;
mod transform;

use crate::conv::channel_lanes::{GroupOperands, PANELS_AT_ONCE, Store, Target};
use crate::conv::pass::Pass;
use crate::conv::shape::ConvShape;
use crate::gemm::Panels;
use crate::gemm::pack::panels_len;
use crate::scratch::ALIGN;
use crate::simd::{Isa, Lanes, NR, dispatch};
use crate::weights::Weights;
use crate::window::{Window, checked_product, checked_sum};
use core::ops::Range;
use multiply::MultiplyPoints;
pub(in crate::conv) use tiling::POINTS;
use tiling::{MOST_DILATED, TILE, Tiling, sums_stride};
use transform::{Inputs, LoadTiles, Outputs, PackPoints};

/// Whether the kernel is 3x3 on the last two axes and the stride 1. A dilation may be at most the output's size on its axis, and a row
/// then has at most [`MOST_DILATED`] tiles.
pub(in crate::conv) const fn fits(shape: &ConvShape) -> bool {
    let Window { kernel, stride, dilation, output, .. } = &shape.window;
    if !matches!((kernel, stride), ([1, 3, 3], [1, 1, 1])) {
        return false;
    }
    if dilation[1] == 1 && dilation[2] == 1 {
        return true;
    }
    let has_classes = dilation[1] <= output[1] && dilation[2] <= output[2];
    has_classes && Tiling::new(shape).columns <= MOST_DILATED
}

/// What the time of a group depends on: tiles, pairs of them that are multiplied, and blocks of tiles.
pub(in crate::conv) struct Counts {
    pub(in crate::conv) tiles: usize,
    pub(in crate::conv) pairs: usize,
    pub(in crate::conv) blocks: usize,
}

/// The counts of a group, for all images.
pub(in crate::conv) const fn counts(shape: &ConvShape) -> Counts {
    let tiling = Tiling::new(shape).evened(shape);
    let rows = tiling.classes[0].saturating_mul(tiling.rows);
    let rows = shape.batch.saturating_mul(shape.window.output[0]).saturating_mul(rows);
    let blocks =
        rows.div_ceil(tiling.block_rows).saturating_mul(tiling.columns.div_ceil(tiling.block_columns));
    Counts {
        tiles: rows.saturating_mul(tiling.columns),
        pairs: blocks.saturating_mul(tiling.tiles().div_ceil(2)),
        blocks,
    }
}

/// The length of the scratch.
pub(in crate::conv) const fn scratch_len(shape: &ConvShape) -> Option<usize> {
    let tiling = Tiling::new(shape);
    let tiles = tiling.tiles();
    let Some(values) = checked_product([POINTS, tiles, tiling.depth, NR]) else { return None };
    let sums = POINTS * sums_stride(tiles) * PANELS_AT_ONCE * NR;
    let stages = tiling.stage_len() + tiling.lines_len() + tiling.outputs_len();
    checked_sum([ALIGN, values, sums, stages * NR])
}

/// Runs the algorithm.
pub(in crate::conv) fn forward(isa: Isa, pass: &mut Pass<'_>) {
    let ConvShape { groups, in_group, out_group, .. } = pass.shape;
    let depth = POINTS * in_group;
    let len = panels_len::<NR>(depth, out_group);
    let (scratch, panels) = pass.take_scratch();
    for group in 0..groups {
        let weights = match pass.weight {
            Weights::Packed(packed) => &packed.panels[group * len..][..len],
            Weights::Plain(weight) => {
                let weight_len = out_group * pass.shape.depth();
                let weight = &weight[group * weight_len..][..weight_len];
                pack(isa, &pass.shape, weight, &mut panels[..len]);
                &panels[..len]
            }
        };
        let (channels, epilogue) = (0..out_group, pass.epilogue(group));
        let (input, weights, output) = (pass.input, Panels::new(weights, depth), &mut *pass.output);
        let operands = GroupOperands { group, channels, input, weights, epilogue, output };
        convolve(isa, &pass.shape, operands, scratch);
    }
}

/// Packs the weights of a group: panels of `NR` output channels at each point.
pub(super) fn pack(isa: Isa, shape: &ConvShape, weight: &[f32], panels: &mut [f32]) {
    dispatch(isa, PackPoints { weight, rows: shape.out_group, depth: shape.in_group, panels });
}

/// Computes the channels, for all images, block by block.
///
/// Each step is a kernel of its own: in one function, the constants of one would push the sums of another out
/// of the registers.
pub(in crate::conv) fn convolve(
    isa: Isa,
    shape: &ConvShape,
    mut operands: GroupOperands<'_>,
    scratch: &mut [f32],
) {
    let tiling = Tiling::new(shape).evened(shape);
    let ConvShape { batch, in_group, window, .. } = *shape;
    operands.input = operands.input.get(operands.group * in_group * window.plane_len()..).unwrap_or_default();
    let total = batch * window.output[0] * tiling.classes[0] * tiling.rows;
    for row in (0..total).step_by(tiling.block_rows) {
        for column in (0..tiling.columns).step_by(tiling.block_columns) {
            let rows = row..total.min(row + tiling.block_rows);
            let columns = column..tiling.columns.min(column + tiling.block_columns);
            TileBlock { rows, columns }.convolve(isa, shape, &tiling, &mut operands, scratch);
        }
    }
}

/// Some tiles: rows counted from the first image on, columns in each.
#[derive(Clone)]
struct TileBlock {
    rows: Range<usize>,
    columns: Range<usize>,
}

impl TileBlock {
    fn convolve(
        &self,
        isa: Isa,
        shape: &ConvShape,
        tiling: &Tiling,
        operands: &mut GroupOperands<'_>,
        scratch: &mut [f32],
    ) {
        let scratch = scratch.as_chunks_mut::<NR>().0;
        let (stage, scratch) = scratch.split_at_mut(tiling.stage_len() + tiling.lines_len());
        let (waiting, scratch) = scratch.split_at_mut(tiling.outputs_len());
        let tiles = self.rows.len() * self.columns.len();
        let stride = tiling.depth;
        let (values, sums) = scratch.split_at_mut(POINTS * tiles * stride);
        self.transform_inputs(isa, shape, tiling, operands.input, stage, values);
        let depth = shape.in_group;
        for (pair, start) in operands.channels.clone().step_by(PANELS_AT_ONCE * NR).enumerate() {
            let channels = start..operands.channels.end.min(start + PANELS_AT_ONCE * NR);
            let panels = channels.len().div_ceil(NR);
            let weights = operands.weights.skip(pair * PANELS_AT_ONCE);
            dispatch(isa, MultiplyPoints { values, stride, tiles, depth, weights, panels, sums });
            self.transform_sums(isa, shape, tiling, sums, panels, waiting);
            self.store(isa, shape, tiling, waiting, channels, operands);
        }
    }

    /// Transforms sixteen channels at a time: first their lanes are filled, then the points computed.
    fn transform_inputs(
        &self,
        isa: Isa,
        shape: &ConvShape,
        tiling: &Tiling,
        input: &[f32],
        stage: &mut [Lanes],
        values: &mut [Lanes],
    ) {
        let ConvShape { groups, in_group, window, .. } = shape;
        let tiles = self.rows.len() * self.columns.len();
        let columns = self.columns.len();
        let [classes, apart] = tiling.classes;
        let width = tiling.line_len(columns);
        let mut row = self.rows.start;
        while row < self.rows.end {
            // The rows of one class of a plane, whose tiles share lines.
            let (class, first_row) = tiling.class(row);
            let rows = (tiling.rows - first_row).min(self.rows.end - row);
            let (plane, class) = (class / classes, class % classes);
            let (image, plane) = (plane / window.output[0], plane % window.output[0]);
            let first = [plane, TILE * first_row * classes + class, TILE * self.columns.start];
            let mut at = [0; 3];
            for axis in 0..3 {
                at[axis] = first[axis].wrapping_sub(window.padding[axis][0]);
            }
            let input = input.get(image * groups * in_group * window.plane_len()..).unwrap_or_default();
            let tile = (row - self.rows.start) * columns;
            let (stage, lines) = stage.split_at_mut(tiling.stage_len());
            for (chunk, channel) in (0..*in_group).step_by(NR).enumerate() {
                let size = [TILE * rows + 2, width];
                dispatch(isa, LoadTiles { window, input, channel, channels: *in_group, at, size, stage });
                let place = tile * tiling.depth + chunk;
                let steps = [tiles * tiling.depth, tiling.depth];
                dispatch(isa, Inputs { stage, size: [rows, columns], apart, place, steps, lines, values });
            }
            row += rows;
        }
    }

    /// Transforms sums back to outputs that wait to be stored, line by line as in a plane.
    fn transform_sums(
        &self,
        isa: Isa,
        shape: &ConvShape,
        tiling: &Tiling,
        sums: &[Lanes],
        panels: usize,
        waiting: &mut [Lanes],
    ) {
        let columns = self.columns.len();
        let (line, apart) = (self.line_len(shape, tiling), tiling.classes[1]);
        let stride = sums_stride(self.rows.len() * columns);
        for (i, row) in self.rows.clone().enumerate() {
            let tile = i * columns;
            let place = if tiling.is_dilated() {
                TILE * TILE * tile
            } else {
                tiling.place(row, shape) - tiling.place(self.rows.start, shape)
            };
            dispatch(isa, Outputs { sums, stride, tile, columns, apart, panels, place, line, waiting });
        }
    }

    /// Outputs of a line of those that wait: under dilation of whole tiles.
    fn line_len(&self, shape: &ConvShape, tiling: &Tiling) -> usize {
        let whole = TILE * self.columns.len();
        if tiling.is_dilated() {
            whole
        } else {
            whole.min(shape.window.output[2] - TILE * self.columns.start)
        }
    }

    fn store(
        &self,
        isa: Isa,
        shape: &ConvShape,
        tiling: &Tiling,
        waiting: &[Lanes],
        channels: Range<usize>,
        operands: &mut GroupOperands<'_>,
    ) {
        let ConvShape { groups, out_group, window, .. } = *shape;
        let [_, height, width] = window.output;
        let positions = window.positions();
        let mut target = Target {
            values: operands.output.get_mut(operands.group * out_group * positions..).unwrap_or_default(),
            positions,
            position_stride: 1,
            channel_stride: positions,
            image_stride: groups * out_group * positions,
        };
        let (line, panels) = (self.line_len(shape, tiling), channels.len().div_ceil(NR));
        let mut store = |start: usize, first: usize, len: usize| {
            let (channels, epilogue, target) = (channels.clone(), operands.epilogue, &mut target);
            dispatch(isa, Store { waiting, start, panels, channels, epilogue, first, len, target });
        };
        if tiling.is_dilated() {
            for (i, row) in self.rows.clone().enumerate() {
                let (class, row) = tiling.class(row);
                let (plane, class) = (class / tiling.classes[0], class % tiling.classes[0]);
                let lines =
                    (class..height).step_by(tiling.classes[0].max(1)).enumerate().skip(TILE * row).take(TILE);
                for (j, y) in lines {
                    store((TILE * i + j - TILE * row) * line, (plane * height + y) * width, width);
                }
            }
            return;
        }
        let first = tiling.place(self.rows.start, shape) + TILE * self.columns.start;
        // Whole lines follow each other; of parts, each is stored for itself.
        let (len, parts) = if line == width {
            (tiling.place(self.rows.end, shape) - first, 1)
        } else {
            let (_, row) = tiling.class(self.rows.start);
            (line, TILE.min(height - TILE * row))
        };
        for part in 0..parts {
            store(part * len, first + part * width, len);
        }
    }
}

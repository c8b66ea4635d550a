//! How the outputs are divided into blocks of tiles.

use crate::conv::channel_lanes::PANELS_AT_ONCE;
use crate::conv::shape::ConvShape;
use crate::simd::NR;
use crate::window::{max, min};

/// Outputs of a tile along an axis, and the inputs that they see.
pub(super) const TILE: usize = 4;
pub(super) const SEEN: usize = TILE + 2;
/// Products for each pair of an input and an output channel of a tile.
pub(in crate::conv) const POINTS: usize = SEEN * SEEN;

/// The most transformed inputs and sums of a block, unless those are of a few tiles only.
pub(super) const VALUES: usize = 128 * 1024;
/// As many tiles as make it worth to read all weights once more.
pub(super) const FEW_TILES: usize = 16;
/// The most tiles of a row under dilation, where a block has whole rows, however many values these are.
pub(super) const MOST_DILATED: usize = 64;

/// How the outputs are divided into blocks of tiles.
///
/// A row of tiles is four lines of the output, or fewer at the end of a plane; rows follow each other through
/// planes and images. Under a dilation of `d` a tile has every `d`th line and position, and the lines of a plane are `d` *classes*,
/// each with rows of its own; a row lists the tiles of each class of positions in turn.
#[derive(Clone, Copy)]
pub(super) struct Tiling {
    /// Classes of lines, and of positions in a line.
    pub(super) classes: [usize; 2],
    /// Rows of tiles of a class of lines, and tiles of a row.
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// The largest block: some rows, or part of one.
    pub(super) block_rows: usize,
    pub(super) block_columns: usize,
    /// Vectors from the transformed inputs of a tile to those of the next: an odd number, or else they would
    /// fall into few sets of L1.
    pub(super) depth: usize,
}

impl Tiling {
    pub(super) const fn new(shape: &ConvShape) -> Self {
        let ([_, height, width], [_, dy, dx]) = (shape.window.output, shape.window.dilation);
        let classes = [dy, dx];
        let rows = height.div_ceil(dy).div_ceil(TILE);
        let columns = width.div_ceil(dx).div_ceil(TILE) * dx;
        let depth = shape.in_group.div_ceil(NR) | 1;
        let most = VALUES / POINTS / NR / depth.saturating_add(PANELS_AT_ONCE);
        let most = if most > FEW_TILES { most } else { FEW_TILES };
        let mut tiling = Self { classes, rows, columns, block_rows: 1, block_columns: columns, depth };
        if columns > most && !tiling.is_dilated() {
            // Lines of whole vectors.
            tiling.block_columns = evenly(columns, most).next_multiple_of(NR / TILE);
        } else {
            // As many as there is room for, so that fewer images never make a larger block. An empty batch has blocks, too,
            // and uses none of them.
            tiling.block_rows = min(tiling.all_rows(shape), max(most / columns, 1));
        }
        tiling
    }

    /// Rows of tiles of all images; of an empty batch those of one image.
    const fn all_rows(&self, shape: &ConvShape) -> usize {
        max(shape.batch, 1) * shape.window.output[0] * self.classes[0] * self.rows
    }

    pub(super) const fn is_dilated(&self) -> bool {
        self.classes[0] > 1 || self.classes[1] > 1
    }

    /// Spreads the rows of all images evenly over the blocks, of which there are as many as before.
    pub(super) const fn evened(mut self, shape: &ConvShape) -> Self {
        self.block_rows = evenly(self.all_rows(shape), self.block_rows);
        self
    }

    /// Tiles of the largest block.
    pub(super) const fn tiles(&self) -> usize {
        self.block_rows * self.block_columns
    }

    /// The longest stage: vectors are written less than `NR` of them past its end.
    pub(super) const fn stage_len(&self) -> usize {
        let rows = if self.block_rows < self.rows { self.block_rows } else { self.rows };
        (TILE * rows + 2) * self.line_len(self.block_columns) + NR
    }

    /// Values of a line that so many tiles of a row see.
    pub(super) const fn line_len(&self, columns: usize) -> usize {
        TILE * columns + 2 * self.classes[1]
    }

    /// A row of tiles, transformed along one axis.
    pub(super) const fn lines_len(&self) -> usize {
        SEEN * self.line_len(self.block_columns)
    }

    pub(super) const fn outputs_len(&self) -> usize {
        outputs_len(self.tiles())
    }

    /// The class of lines that a row is of, counted through planes and images, and the row's index in it.
    pub(super) const fn class(&self, row: usize) -> (usize, usize) {
        (row / self.rows, row % self.rows)
    }

    /// Without dilation: the place of a row's first output among those of all planes.
    pub(super) const fn place(&self, row: usize, shape: &ConvShape) -> usize {
        let [_, height, width] = shape.window.output;
        let (plane, row) = self.class(row);
        (plane * height + TILE * row) * width
    }
}

/// The longest part, if `len` is cut into as few as possible of at most `most`.
pub(super) const fn evenly(len: usize, most: usize) -> usize {
    len.div_ceil(len.div_ceil(most))
}

/// Length in vectors of the output buffer of `tiles` tiles, with room for the last line and the last vector to overrun.
pub(super) const fn outputs_len(tiles: usize) -> usize {
    (TILE * TILE * tiles + TILE + NR) * PANELS_AT_ONCE
}

/// Positions from the sums of a point to those of the next, odd for the same reason as [`Tiling::depth`]; tiles
/// come in pairs.
pub(super) const fn sums_stride(tiles: usize) -> usize {
    (tiles + 1) | 1
}

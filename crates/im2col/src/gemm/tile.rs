//! The microkernel, and what its sums are stored to.

use super::panels::{Panels, blocks};
use crate::epilogue::Epilogue;
use crate::simd::{Kernel, Lanes, MulAdd, NR, Vectors};
use core::ops::Range;

/// Where `C` lies: row `i`, column `j = (image, position)` is at
/// `image * image_stride + i * row_stride + position`.
#[derive(Debug)]
pub(crate) struct Destination<'a> {
    pub(crate) values: &'a mut [f32],
    pub(crate) row_stride: usize,
    /// Columns per image; with a single image, all of them.
    pub(crate) image_columns: usize,
    pub(crate) image_stride: usize,
}

/// Where a panel's columns begin, and how many of them follow each other in memory.
#[derive(Clone, Copy, Debug)]
struct PanelOrigin {
    offset: usize,
    run: usize,
}

/// The columns of a panel: from `column` on, `len` of them (0 if there is no such panel).
#[derive(Clone, Copy, Debug)]
struct PanelColumns {
    column: usize,
    len: usize,
    origin: PanelOrigin,
}

impl Destination<'_> {
    #[inline(always)]
    fn origin(&self, column: usize) -> PanelOrigin {
        let (image, position) = (column / self.image_columns, column % self.image_columns);
        PanelOrigin { offset: image * self.image_stride + position, run: self.image_columns - position }
    }

    /// Loads the sums of an earlier block at the edge of `C`: of fewer rows than a tile has, fewer columns than a panel has, or
    /// columns of several images.
    #[cold]
    #[inline(never)]
    fn load_part(&self, row: usize, columns: PanelColumns, sums: &mut [Lanes]) {
        let mut lane = 0;
        while lane < columns.len {
            let PanelOrigin { offset, run } = self.origin(columns.column + lane);
            let end = columns.len.min(lane.saturating_add(run));
            for (i, sums) in sums.iter_mut().enumerate() {
                let start = offset + (row + i) * self.row_stride;
                sums[lane..end].copy_from_slice(&self.values[start..][..end - lane]);
            }
            lane = end;
        }
    }

    /// Stores sums at the edge of `C`.
    #[cold]
    #[inline(never)]
    fn store_part(&mut self, row: usize, columns: PanelColumns, sums: &[Lanes]) {
        let mut lane = 0;
        while lane < columns.len {
            let PanelOrigin { offset, run } = self.origin(columns.column + lane);
            let end = columns.len.min(lane.saturating_add(run));
            for (i, sums) in sums.iter().enumerate() {
                let start = offset + (row + i) * self.row_stride;
                self.values[start..][..end - lane].copy_from_slice(&sums[lane..end]);
            }
            lane = end;
        }
    }
}

impl PanelColumns {
    /// Whether they fill the lanes and follow each other in memory.
    #[inline(always)]
    fn are_together(&self) -> bool {
        self.len == NR && self.origin.run >= NR
    }
}

/// A product of the `rows` of `A`, from the first of a panel on, with the `columns` of `b`, whose panel 0 holds `columns.start`.
///
/// Starts from 0, or with `accumulate` from what `c` holds. `epilogue` is applied where the sums are complete.
pub(super) struct PanelProduct<'a, 'c> {
    /// Panels of `A` that meet all of `B` before the next.
    pub(super) a_panels_at_once: usize,
    pub(super) rows: Range<usize>,
    pub(super) columns: Range<usize>,
    pub(super) b: Panels<'a, NR>,
    pub(super) accumulate: bool,
    pub(super) epilogue: Option<Epilogue<'a>>,
    pub(super) c: &'a mut Destination<'c>,
}

/// Computes a product, with `A` in panels.
pub(super) struct MultiplyPanels<'a, 'c> {
    pub(super) a: Panels<'a, NR>,
    pub(super) product: PanelProduct<'a, 'c>,
}

impl Kernel for MultiplyPanels<'_, '_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        mut self,
        mul_add: impl MulAdd,
        _: impl Vectors,
    ) {
        match PANELS {
            1 => self.product.multiply::<NR, ROWS, 1>(self.a, mul_add),
            _ => self.product.multiply::<NR, 8, 2>(self.a, mul_add),
        }
    }
}

/// Computes a product with a single row as `A`: the registers are filled with columns instead.
pub(super) struct MultiplyRow<'a, 'c> {
    pub(super) row: &'a [f32],
    pub(super) product: PanelProduct<'a, 'c>,
}

impl Kernel for MultiplyRow<'_, '_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        mut self,
        mul_add: impl MulAdd,
        _: impl Vectors,
    ) {
        let a = Panels::new(self.row, self.row.len());
        match PANELS {
            1 => self.product.multiply::<1, 1, 4>(a, mul_add),
            _ => self.product.multiply::<1, 1, 8>(a, mul_add),
        }
    }
}

/// Panels of `B` that a panel of `A` meets before the next one: with 128 products, 16 KiB.
const PANELS_AT_ONCE: usize = 2;

/// Rows of all panels of the largest tile.
const MOST_SUMS: usize = 16;

impl PanelProduct<'_, '_> {
    #[inline(always)]
    fn multiply<const W: usize, const ROWS: usize, const PANELS: usize>(
        &mut self,
        a: Panels<'_, W>,
        mul_add: impl MulAdd,
    ) {
        let edge = &mut [[0.0; NR]; MOST_SUMS];
        let (first, group) = (self.rows.start / W, PANELS_AT_ONCE.max(PANELS) * NR);
        for panels in blocks(self.rows.len().div_ceil(W), self.a_panels_at_once) {
            for columns in blocks(self.columns.len(), group) {
                for panel in panels.clone() {
                    let (a, row) = (a.panel(first + panel), (first + panel) * W);
                    for first in columns.clone().step_by(PANELS * NR) {
                        // A panel that is left over is a tile of its own.
                        let is_single = first + NR >= columns.end;
                        let first = self.columns.start + first;
                        if PANELS > 1 && W > 1 && is_single {
                            self.multiply_panel::<W, ROWS, 1>(a, row, first, edge, mul_add);
                        } else {
                            self.multiply_panel::<W, ROWS, PANELS>(a, row, first, edge, mul_add);
                        }
                    }
                }
            }
        }
    }

    /// Multiplies a panel of rows, the first of which is `row`, by `PANELS` panels of columns from `first` on.
    #[inline(always)]
    fn multiply_panel<const W: usize, const ROWS: usize, const PANELS: usize>(
        &mut self,
        a: &[[f32; W]],
        row: usize,
        first: usize,
        edge: &mut [Lanes; MOST_SUMS],
        mul_add: impl MulAdd,
    ) {
        let Range { start, end } = self.columns;
        let mut places =
            [PanelColumns { column: end, len: 0, origin: PanelOrigin { offset: 0, run: 0 } }; PANELS];
        let mut b: [&[Lanes]; PANELS] = [&[]; PANELS];
        for panel in 0..PANELS {
            let column = (first + panel * NR).min(end);
            places[panel] = PanelColumns { column, len: NR.min(end - column), origin: self.c.origin(column) };
            // A panel too many repeats the first one and is not stored.
            let from = if column < end { column } else { first };
            b[panel] = self.b.panel((from - start) / NR);
        }
        let rows = W.min(self.rows.end - row);
        let mut part = 0;
        while part < rows {
            let height = rows - part;
            if W.is_multiple_of(ROWS) || part + ROWS <= W {
                self.tile::<W, ROWS, PANELS>(a, part, b, row + part, height, places, edge, mul_add);
            } else {
                // Sixteen rows are two tiles of six and one of four.
                self.tile::<W, 4, PANELS>(a, part, b, row + part, height, places, edge, mul_add);
            }
            part += ROWS;
        }
    }

    /// Computes and stores one tile: `ROWS` rows from `row` on, of which `height` exist, which lie from lane `part` of
    /// the panel `a` on.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "the operands of one tile")]
    #[allow(clippy::needless_range_loop, reason = "loops over indices are unrolled into registers")]
    fn tile<const W: usize, const ROWS: usize, const PANELS: usize>(
        &mut self,
        a: &[[f32; W]],
        part: usize,
        b: [&[Lanes]; PANELS],
        row: usize,
        height: usize,
        places: [PanelColumns; PANELS],
        edge: &mut [Lanes; MOST_SUMS],
        mul_add: impl MulAdd,
    ) {
        // At the edge of `C` sums come from and go to `edge`, so that one loop serves all tiles.
        let is_whole = height >= ROWS && places.iter().all(PanelColumns::are_together);
        let height = height.min(ROWS);
        if !is_whole && self.accumulate {
            for (edge, place) in edge.chunks_exact_mut(ROWS).zip(places) {
                self.c.load_part(row, place, &mut edge[..height]);
            }
        }
        let (values, stride, starts) = if is_whole {
            let stride = self.c.row_stride;
            (&mut *self.c.values, stride, places.map(|place| place.origin.offset + row * stride))
        } else {
            (edge.as_flattened_mut(), NR, core::array::from_fn(|panel| panel * ROWS * NR))
        };
        let mut sums = [[[0.0; NR]; ROWS]; PANELS];
        if self.accumulate {
            for panel in 0..PANELS {
                let mut start = starts[panel];
                for i in 0..ROWS {
                    if let Some(values) = values.get(start..).and_then(|values| values.first_chunk()) {
                        sums[panel][i] = *values;
                    }
                    start += stride;
                }
            }
        }
        let sums = add_products(a, part, b, sums, mul_add);
        for panel in 0..PANELS {
            let mut start = starts[panel];
            for i in 0..ROWS {
                if let Some(values) = values.get_mut(start..).and_then(|values| values.first_chunk_mut()) {
                    *values = sums[panel][i];
                }
                start += stride;
            }
        }
        // Row by row, after they were stored: otherwise the compiler keeps the tile on the stack, not in registers.
        if let Some(epilogue) = self.epilogue
            && !epilogue.is_none()
        {
            for panel in 0..PANELS {
                let mut start = starts[panel];
                for row in row..row + height {
                    if let Some(values) = values.get_mut(start..).and_then(|values| values.first_chunk_mut())
                    {
                        let mut sums: [Lanes; 1] = [*values];
                        epilogue.apply(&mut sums, row, places[panel].column);
                        *values = sums[0];
                    }
                    start += stride;
                }
            }
        }
        if !is_whole {
            for (edge, place) in edge.chunks_exact(ROWS).zip(places) {
                self.c.store_part(row, place, &edge[..height]);
            }
        }
    }
}

/// The microkernel: `sums[p][i] + sum over k of a[k][part + i] * b[p][k]`, `k` ascending.
#[inline(always)]
fn add_products<const W: usize, const ROWS: usize, const PANELS: usize>(
    a: &[[f32; W]],
    part: usize,
    b: [&[Lanes]; PANELS],
    mut sums: [[Lanes; ROWS]; PANELS],
    mul_add: impl MulAdd,
) -> [[Lanes; ROWS]; PANELS] {
    let depth = a.len();
    let b = b.map(|b| &b[..depth]);
    for k in 0..depth {
        let b: [Lanes; PANELS] = core::array::from_fn(|panel| b[panel][k]);
        for (i, a) in a[k][part..part + ROWS].iter().enumerate() {
            for (sums, b) in sums.iter_mut().zip(b) {
                sums[i] = mul_add(*a, b, sums[i]);
            }
        }
    }
    sums
}

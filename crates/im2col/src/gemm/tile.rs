//! The microkernel, and what its sums are stored to.

use super::panels::{Panels, Rows, blocks};
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

    /// Takes up the sums of an earlier block.
    #[inline(always)]
    fn load<const ROWS: usize>(&self, row: usize, height: usize, columns: PanelColumns) -> [Lanes; ROWS] {
        let mut sums = [[0.0; NR]; ROWS];
        if columns.are_together() && height >= ROWS {
            for (i, sums) in sums.iter_mut().enumerate() {
                let start = columns.origin.offset + (row + i) * self.row_stride;
                sums.copy_from_slice(&self.values[start..][..NR]);
            }
        } else {
            self.load_part(row, columns, &mut sums[..height.min(ROWS)]);
        }
        sums
    }

    /// [`Destination::load`] for fewer rows than a tile has, fewer columns than a panel has, or columns of several
    /// images.
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

    #[inline(always)]
    fn store<const ROWS: usize>(
        &mut self,
        row: usize,
        height: usize,
        columns: PanelColumns,
        sums: &[Lanes; ROWS],
    ) {
        if columns.are_together() && height >= ROWS {
            for (i, sums) in sums.iter().enumerate() {
                let start = columns.origin.offset + (row + i) * self.row_stride;
                self.values[start..][..NR].copy_from_slice(sums);
            }
        } else {
            self.store_part(row, columns, &sums[..height.min(ROWS)]);
        }
    }

    /// [`Destination::store`] for fewer rows than a tile has, fewer columns than a panel has, or columns of several
    /// images.
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

/// Multiplies `rows` rows of `a` by the `columns` of `b`, whose panel 0 holds `columns.start`.
///
/// Starts from 0, or with `accumulate` from what `c` holds. `epilogue` is applied where the sums are complete.
pub(super) struct MultiplyPanels<'a, 'c> {
    /// Panels of `A` that meet all of `B` before the next.
    pub(super) a_panels_at_once: usize,
    pub(super) rows: usize,
    pub(super) columns: Range<usize>,
    pub(super) a: Rows<'a>,
    pub(super) b: Panels<'a, NR>,
    pub(super) accumulate: bool,
    pub(super) epilogue: Option<Epilogue<'a>>,
    pub(super) c: &'a mut Destination<'c>,
}

impl Kernel for MultiplyPanels<'_, '_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        mut self,
        mul_add: impl MulAdd,
        _: impl Vectors,
    ) {
        match (self.a, PANELS) {
            (Rows::Packed(a), 1) => self.multiply::<NR, ROWS, 1>(a, mul_add),
            (Rows::Packed(a), _) => self.multiply::<NR, 8, 2>(a, mul_add),
            // The registers are filled with columns instead.
            (Rows::Single(row), 1) => self.multiply::<1, 1, 4>(Panels::new(row, row.len()), mul_add),
            (Rows::Single(row), _) => self.multiply::<1, 1, 8>(Panels::new(row, row.len()), mul_add),
        }
    }
}

/// Panels of `B` that a panel of `A` meets before the next one: with 128 products, 16 KiB.
const PANELS_AT_ONCE: usize = 2;

impl MultiplyPanels<'_, '_> {
    #[inline(always)]
    fn multiply<const W: usize, const ROWS: usize, const PANELS: usize>(
        &mut self,
        a: Panels<'_, W>,
        mul_add: impl MulAdd,
    ) {
        let (panels, group) = (self.rows.div_ceil(W), PANELS_AT_ONCE.max(PANELS) * NR);
        for panels in blocks(panels, self.a_panels_at_once) {
            for columns in blocks(self.columns.len(), group) {
                for panel in panels.clone() {
                    for first in columns.clone().step_by(PANELS * NR) {
                        let first = self.columns.start + first;
                        self.multiply_panel::<W, ROWS, PANELS>(a.panel(panel), panel * W, first, mul_add);
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
        let rows = W.min(self.rows - row);
        let mut part = 0;
        while part < rows {
            let height = rows - part;
            if W.is_multiple_of(ROWS) || part + ROWS <= W {
                self.tile::<W, ROWS, PANELS>(a, part, b, row + part, height, places, mul_add);
            } else {
                // Sixteen rows are two tiles of six and one of four.
                self.tile::<W, 4, PANELS>(a, part, b, row + part, height, places, mul_add);
            }
            part += ROWS;
        }
    }

    /// Computes and stores one tile: `ROWS` rows from `row` on, of which `height` exist, which lie from lane `part` of
    /// the panel `a` on.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "the operands of one tile")]
    fn tile<const W: usize, const ROWS: usize, const PANELS: usize>(
        &mut self,
        a: &[[f32; W]],
        part: usize,
        b: [&[Lanes]; PANELS],
        row: usize,
        height: usize,
        places: [PanelColumns; PANELS],
        mul_add: impl MulAdd,
    ) {
        let mut sums = [[[0.0; NR]; ROWS]; PANELS];
        if self.accumulate {
            for panel in 0..PANELS {
                sums[panel] = self.c.load(row, height, places[panel]);
            }
        }
        add_products(a, part, b, &mut sums, mul_add);
        for (sums, place) in sums.iter_mut().zip(places) {
            if let Some(epilogue) = self.epilogue {
                epilogue.apply(sums, row, place.column);
            }
            self.c.store(row, height, place, sums);
        }
    }
}

/// The microkernel: `sums[p][i] += sum over k of a[k][part + i] * b[p][k]`, `k` ascending.
#[inline(always)]
fn add_products<const W: usize, const ROWS: usize, const PANELS: usize>(
    a: &[[f32; W]],
    part: usize,
    b: [&[Lanes]; PANELS],
    sums: &mut [[Lanes; ROWS]; PANELS],
    mul_add: impl MulAdd,
) {
    let depth = a.len();
    let b = b.map(|b| &b[..depth]);
    let mut tile = *sums;
    for k in 0..depth {
        let b: [Lanes; PANELS] = core::array::from_fn(|panel| b[panel][k]);
        for (i, a) in a[k][part..part + ROWS].iter().enumerate() {
            for (sums, b) in tile.iter_mut().zip(b) {
                sums[i] = mul_add(*a, b, sums[i]);
            }
        }
    }
    *sums = tile;
}

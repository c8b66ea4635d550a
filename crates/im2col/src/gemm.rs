//! The loops around the microkernel: `C = A B` over packed panels.
//!
//! `A` is packed into panels of `NR` rows and `B` into panels of `NR` columns, both with `k`
//! running slowest, so that the microkernel reads them front to back (K. Goto, R. van de Geijn:
//! Anatomy of High-Performance Matrix Multiplication, 2008). [`Blocks`] blocks `k` and `n` so
//! that what a tile reads comes from the L1 cache, but for a line of `A` in 512 multiply-adds.
//!
//! Each element of `C` is one chain of sums in ascending `k`. Blocking over `k` stores the chain
//! and takes it up again, so no choice of blocks can change a bit of the result.

pub(crate) mod pack;
pub(crate) mod product;

use crate::epilogue::Epilogue;
use crate::simd::{Isa, Kernel, Lanes, MulAdd, NR, Vectors, dispatch};
use core::ops::Range;
use pack::panels_len;

/// The longest `k` of a block.
const KC: usize = 128;
/// The most values in a strip of `B`, unless two panels have more: 16 KiB, which stay in an L1 of 32 KiB with 8 ways while
/// the panels of `A` pass, 8 KiB each. Each line of `A` is then read from L2 once for 512 multiply-adds.
const STRIP: usize = 2 * NR * KC;
/// The same where one panel of `A` passes, so that nothing is read twice: 64 KiB.
const SINGLE_STRIP: usize = 4 * STRIP;
/// The most values in a block of `C`, unless a strip has more: 256 KiB, half of the smallest L2 in use.
const C_BLOCK: usize = 64 * 1024;

/// How `k` and `n` are split into blocks, and a block of `n` into strips, of which one at a time is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blocking {
    pub(crate) kc: usize,
    pub(crate) nc: usize,
    pub(crate) strip: usize,
}

impl Blocking {
    /// Blocks for `rows` by `columns` sums of `k` products, as equal in size as they can be.
    pub(crate) const fn new(rows: usize, k: usize, columns: usize) -> Self {
        let kc = k.div_ceil(k.div_ceil(KC));
        // An even number of panels: microkernels take them in pairs.
        let most = if rows > NR { STRIP } else { SINGLE_STRIP };
        let most = most / kc / (2 * NR) * (2 * NR);
        let strip = if columns < most { columns } else { most };
        let strips = if rows == 0 || strip == 0 { 1 } else { C_BLOCK / rows / strip };
        let nc = strip * if strips > 1 { strips } else { 1 };
        Self { kc, nc: if columns < nc { columns } else { nc }, strip }
    }

    /// The length of a packed strip.
    pub(crate) const fn strip_len(&self) -> usize {
        panels_len::<NR>(self.kc, self.strip)
    }
}

/// Splits `0..len` into blocks of `size`; the last may be shorter.
#[inline(always)]
pub(crate) fn blocks(len: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(size.max(1)).map(move |start| start..len.min(start.saturating_add(size)))
}

/// Packed panels, each `[depth][W]`, of which the rows `k` take part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Panels<'a, const W: usize> {
    rows: &'a [[f32; W]],
    depth: usize,
    k: (usize, usize),
}

impl<'a, const W: usize> Panels<'a, W> {
    #[inline(always)]
    pub(crate) fn new(values: &'a [f32], depth: usize) -> Self {
        Self { rows: values.as_chunks().0, depth, k: (0, depth) }
    }

    /// The panels cut down to some of their rows: `k` counts from the first one that they have.
    #[inline(always)]
    pub(crate) fn rows(self, k: Range<usize>) -> Self {
        Self { k: (self.k.0 + k.start, self.k.0 + k.end), ..self }
    }

    /// The same panels from panel `first` on.
    #[inline(always)]
    pub(crate) fn skip(self, first: usize) -> Self {
        Self { rows: &self.rows[first * self.depth..], ..self }
    }

    #[inline(always)]
    pub(crate) fn panel(&self, index: usize) -> &'a [[f32; W]] {
        &self.rows[index * self.depth + self.k.0..index * self.depth + self.k.1]
    }
}

/// Where `C` lies: row `i`, column `j = (image, position)` is at
/// `image * image_stride + i * row_stride + position`.
#[derive(Debug)]
pub(crate) struct Destination<'a> {
    pub(crate) values: &'a mut [f32],
    pub(crate) row_stride: usize,
    /// PanelColumns per image; with a single image, all of them.
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
    spot: PanelOrigin,
}

impl Destination<'_> {
    #[inline(always)]
    fn spot(&self, column: usize) -> PanelOrigin {
        let (image, position) = (column / self.image_columns, column % self.image_columns);
        PanelOrigin { offset: image * self.image_stride + position, run: self.image_columns - position }
    }

    /// Takes up the sums of an earlier block.
    #[inline(always)]
    fn load<const ROWS: usize>(&self, row: usize, height: usize, columns: PanelColumns) -> [Lanes; ROWS] {
        let mut sums = [[0.0; NR]; ROWS];
        if columns.are_together() && height >= ROWS {
            for (i, sums) in sums.iter_mut().enumerate() {
                let start = columns.spot.offset + (row + i) * self.row_stride;
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
            let PanelOrigin { offset, run } = self.spot(columns.column + lane);
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
                let start = columns.spot.offset + (row + i) * self.row_stride;
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
            let PanelOrigin { offset, run } = self.spot(columns.column + lane);
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
        self.len == NR && self.spot.run >= NR
    }
}

/// The left-hand matrix.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rows<'a> {
    /// Panels of `NR` rows.
    Packed(Panels<'a, NR>),
    /// A single row, as it is.
    Single(&'a [f32]),
}

impl Rows<'_> {
    /// The columns `k` of the matrix.
    fn columns(self, k: Range<usize>) -> Self {
        match self {
            Self::Packed(panels) => Self::Packed(panels.rows(k)),
            Self::Single(row) => Self::Single(&row[k]),
        }
    }
}

/// A product of matrices, `C[rows, columns] = A[rows, depth] B[depth, columns]`, in blocks.
pub(crate) struct Blocks<'a, 'c> {
    pub(crate) rows: usize,
    pub(crate) depth: usize,
    pub(crate) columns: usize,
    pub(crate) blocking: Blocking,
    pub(crate) a: Rows<'a>,
    pub(crate) epilogue: Epilogue<'a>,
    pub(crate) c: Destination<'c>,
}

impl Blocks<'_, '_> {
    /// Computes it: `pack(k, columns, strip)` packs a strip of `B` into panels, behind each of which `spare` vectors are
    /// left.
    ///
    /// ```text
    /// for columns in blocks of nc:        C, [rows, nc], stays in L2
    ///     for k in blocks of kc:          A, [rows, kc], is read from L2
    ///         for strip in columns:       B, [kc, strip], is packed, and stays in L1
    ///             for a panel of A:       [kc, 16], from L2
    ///                 for a tile:         sums in registers: C += A B
    /// ```
    pub(crate) fn compute(
        mut self,
        isa: Isa,
        strip: &mut [f32],
        spare: usize,
        mut pack: impl FnMut(Range<usize>, Range<usize>, &mut [f32]),
    ) {
        let Blocking { kc, nc, strip: width } = self.blocking;
        // A part of a pass may have fewer rows than planned, and with them longer strips.
        let width = width.min(strip.len() / ((kc + spare) * NR) * NR);
        for block in blocks(self.columns, nc) {
            for k in blocks(self.depth, kc) {
                for columns in blocks(block.len(), width) {
                    let columns = block.start + columns.start..block.start + columns.end;
                    pack(k.clone(), columns.clone(), strip);
                    let b = Panels::new(strip, k.len() + spare).rows(0..k.len());
                    self.multiply(isa, k.clone(), columns, b);
                }
            }
        }
    }

    /// Computes it from panels that hold all of `B`.
    pub(crate) fn compute_packed(mut self, isa: Isa, b: Panels<'_, NR>) {
        for columns in blocks(self.columns, self.blocking.nc) {
            for k in blocks(self.depth, self.blocking.kc) {
                let b = b.skip(columns.start / NR).rows(k.clone());
                self.multiply(isa, k, columns.clone(), b);
            }
        }
    }

    fn multiply(&mut self, isa: Isa, k: Range<usize>, columns: Range<usize>, b: Panels<'_, NR>) {
        let (rows, epilogue, accumulate) =
            (self.rows, (k.end == self.depth).then_some(self.epilogue), k.start > 0);
        let (a, c) = (self.a.columns(k), &mut self.c);
        dispatch(isa, MultiplyPanels { rows, columns, a, b, accumulate, epilogue, c });
    }
}

/// Multiplies `rows` rows of `a` by the `columns` of `b`, whose panel 0 holds `columns.start`.
///
/// Starts from 0, or with `accumulate` from what `c` holds. `epilogue` is applied where the sums are complete.
struct MultiplyPanels<'a, 'c> {
    rows: usize,
    columns: Range<usize>,
    a: Rows<'a>,
    b: Panels<'a, NR>,
    accumulate: bool,
    epilogue: Option<Epilogue<'a>>,
    c: &'a mut Destination<'c>,
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

/// Panels of `B` that stay in L1 while those of `A` pass.
const PANELS_IN_L1: usize = 2;

impl MultiplyPanels<'_, '_> {
    #[inline(always)]
    fn multiply<const W: usize, const ROWS: usize, const PANELS: usize>(
        &mut self,
        a: Panels<'_, W>,
        mul_add: impl MulAdd,
    ) {
        let (rows, columns, group) = (self.rows, self.columns.clone(), PANELS_IN_L1.max(PANELS));
        for start in columns.clone().step_by(group * NR) {
            let end = columns.end.min(start + group * NR);
            for (panel, row) in (0..rows).step_by(W).enumerate() {
                let a = a.panel(panel);
                for first in (start..end).step_by(PANELS * NR) {
                    self.multiply_panel::<W, ROWS, PANELS>(a, row, first, mul_add);
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
            [PanelColumns { column: end, len: 0, spot: PanelOrigin { offset: 0, run: 0 } }; PANELS];
        let mut b: [&[Lanes]; PANELS] = [&[]; PANELS];
        for panel in 0..PANELS {
            let column = (first + panel * NR).min(end);
            places[panel] = PanelColumns { column, len: NR.min(end - column), spot: self.c.spot(column) };
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

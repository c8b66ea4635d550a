//! The loops around the microkernel: `C = A B` over packed panels.
//!
//! `A` is packed into panels of `MR` rows and `B` into panels of `NR` columns, both with `k`
//! running slowest, so that the microkernel reads them front to back (K. Goto, R. van de Geijn:
//! Anatomy of High-Performance Matrix Multiplication, 2008). Callers block `k` and `n` so that a
//! block of `B` stays in the L2 cache, and call [`multiply`] once per block.
//!
//! Each element of `C` is one chain of sums in ascending `k`. Blocking over `k` stores the chain
//! and takes it up again, so no choice of blocks can change a bit of the result.

#[cfg(feature = "matrixmultiply")]
pub(crate) mod external;
pub(crate) mod pack;
pub(crate) mod product;

use crate::epilogue::Epilogue;
use crate::kernel::{Lanes, MulAdd, NR};
use core::ops::Range;

/// The longest `k` of a block: a `B` panel (20 KiB) and an `A` panel (7.5 KiB) in an L1 of 32 KiB;
/// with AVX-512, which takes two `B` panels at once, in the 48 KiB of the CPUs that have it.
const KC: usize = 320;
/// The most values in a block of `B`: 128 KiB, a quarter of the smallest L2 in use (512 KiB).
const B_BLOCK: usize = 32 * 1024;

/// How `k` and `n` are split into blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blocking {
    pub(crate) kc: usize,
    pub(crate) nc: usize,
}

impl Blocking {
    /// Blocks for sums of `k` products, as equal in size as they can be, and of `n` columns.
    pub(crate) const fn new(k: usize, n: usize) -> Self {
        Self::within(k, n, KC, B_BLOCK)
    }

    /// The same with a `k` of at most `kc`, in blocks of at most `len` values.
    pub(crate) const fn within(k: usize, n: usize, kc: usize, len: usize) -> Self {
        let kc = k.div_ceil(k.div_ceil(kc));
        // An even number of panels: microkernels take them in pairs.
        let most = len / kc / (2 * NR) * (2 * NR);
        Self { kc, nc: if n < most { n } else { most } }
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

    /// The same panels, cut down to the rows `k`.
    #[inline(always)]
    pub(crate) fn rows(self, k: Range<usize>) -> Self {
        Self { k: (k.start, k.end), ..self }
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
    /// Columns per image; with a single image, all of them.
    pub(crate) image_columns: usize,
    pub(crate) image_stride: usize,
}

/// Where a panel's columns begin, and how many of them follow each other in memory.
#[derive(Clone, Copy, Debug)]
struct Spot {
    offset: usize,
    run: usize,
}

/// The columns of a panel: from `column` on, `len` of them (0 if there is no such panel).
#[derive(Clone, Copy, Debug)]
struct Columns {
    column: usize,
    len: usize,
    spot: Spot,
}

impl Destination<'_> {
    #[inline(always)]
    fn spot(&self, column: usize) -> Spot {
        let (image, position) = (column / self.image_columns, column % self.image_columns);
        Spot { offset: image * self.image_stride + position, run: self.image_columns - position }
    }

    /// Takes up the sums of an earlier block.
    #[inline(always)]
    fn load<const ROWS: usize>(&self, row: usize, height: usize, columns: Columns) -> [Lanes; ROWS] {
        let mut sums = [[0.0; NR]; ROWS];
        if columns.are_together() && height >= ROWS {
            for (i, sums) in sums.iter_mut().enumerate() {
                let start = columns.spot.offset + (row + i) * self.row_stride;
                sums.copy_from_slice(&self.values[start..][..NR]);
            }
        } else {
            for (i, sums) in sums.iter_mut().enumerate().take(height) {
                for (lane, sum) in sums.iter_mut().enumerate().take(columns.len) {
                    *sum = self.values[self.spot(columns.column + lane).offset + (row + i) * self.row_stride];
                }
            }
        }
        sums
    }

    #[inline(always)]
    fn store<const ROWS: usize>(
        &mut self,
        row: usize,
        height: usize,
        columns: Columns,
        sums: &[Lanes; ROWS],
    ) {
        if columns.are_together() && height >= ROWS {
            for (i, sums) in sums.iter().enumerate() {
                let start = columns.spot.offset + (row + i) * self.row_stride;
                self.values[start..][..NR].copy_from_slice(sums);
            }
            return;
        }
        // Fewer columns than a panel has, or columns of several images.
        let mut lane = 0;
        while lane < columns.len {
            let Spot { offset, run } = self.spot(columns.column + lane);
            let end = columns.len.min(lane.saturating_add(run));
            for (i, sums) in sums.iter().enumerate().take(height) {
                let values = &mut self.values[offset + (row + i) * self.row_stride..][..end - lane];
                for (value, sum) in values.iter_mut().zip(&sums[lane..end]) {
                    *value = *sum;
                }
            }
            lane = end;
        }
    }
}

impl Columns {
    /// Whether they fill the lanes and follow each other in memory.
    #[inline(always)]
    fn are_together(&self) -> bool {
        self.len == NR && self.spot.run >= NR
    }
}

/// Multiplies `rows` rows of `A`, in panels of `W`, by the `columns` of `B` (panel 0 holds `columns.start`).
///
/// Starts from 0, or with `accumulate` from what `c` holds. `epilogue` is applied where the sums
/// are complete.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "the operands of one matrix product")]
pub(crate) fn multiply<const W: usize, const ROWS: usize, const PANELS: usize>(
    rows: usize,
    columns: Range<usize>,
    a: Panels<'_, W>,
    b: Panels<'_, NR>,
    accumulate: bool,
    epilogue: Option<Epilogue<'_>>,
    c: &mut Destination<'_>,
    mul_add: impl MulAdd,
) {
    // B outside, A inside: the B panels stay in L1 while the A panels stream past from L2.
    for (group, first) in columns.clone().step_by(PANELS * NR).enumerate() {
        let places: [Columns; PANELS] = core::array::from_fn(|panel| {
            let column = (first + panel * NR).min(columns.end);
            Columns { column, len: NR.min(columns.end - column), spot: c.spot(column) }
        });
        // A panel too many is computed from the group's first, and not stored.
        let b: [&[Lanes]; PANELS] = core::array::from_fn(|panel| {
            b.panel(group * PANELS + if places[panel].len > 0 { panel } else { 0 })
        });
        for (panel, row) in (0..rows).step_by(W).enumerate() {
            let a = a.panel(panel);
            for part in (0..W.min(rows - row)).step_by(ROWS) {
                let rows = row + part..rows;
                if W.is_multiple_of(ROWS) || part + ROWS <= W {
                    multiply_rows::<W, ROWS, PANELS>(
                        a, part, b, rows, places, accumulate, epilogue, c, mul_add,
                    );
                } else {
                    // Sixteen rows are two tiles of six and one of four.
                    multiply_rows::<W, 4, PANELS>(a, part, b, rows, places, accumulate, epilogue, c, mul_add);
                }
            }
        }
    }
}

/// Computes and stores one tile: at most `ROWS` of the `rows`, from lane `part` of the panel `a` on.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "the operands of one tile")]
fn multiply_rows<const W: usize, const ROWS: usize, const PANELS: usize>(
    a: &[[f32; W]],
    part: usize,
    b: [&[Lanes]; PANELS],
    rows: Range<usize>,
    places: [Columns; PANELS],
    accumulate: bool,
    epilogue: Option<Epilogue<'_>>,
    c: &mut Destination<'_>,
    mul_add: impl MulAdd,
) {
    let (row, height) = (rows.start, rows.len());
    let mut sums =
        if accumulate { places.map(|place| c.load(row, height, place)) } else { [[[0.0; NR]; ROWS]; PANELS] };
    tile(a, part, b, &mut sums, mul_add);
    for (sums, place) in sums.iter_mut().zip(places) {
        if let Some(epilogue) = epilogue {
            epilogue.apply(sums, row, place.column);
        }
        c.store(row, height, place, sums);
    }
}

/// The microkernel: `sums[p][i] += sum over k of a[k][part + i] * b[p][k]`, `k` ascending.
#[inline(always)]
fn tile<const W: usize, const ROWS: usize, const PANELS: usize>(
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

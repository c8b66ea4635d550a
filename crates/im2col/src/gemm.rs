//! The loops around the microkernel: `C = A B` over packed panels.
//!
//! `A` is packed into panels of `NR` rows and `B` into panels of `NR` columns, both with `k`
//! running slowest, so that the microkernel reads them front to back (K. Goto, R. van de Geijn:
//! Anatomy of High-Performance Matrix Multiplication, 2008). [`Blocks`] blocks `k` and `n` so
//! that what a tile reads comes from the L1 cache, but for a line of `A` in 512 multiply-adds; and `m` so that this line comes from
//! L2.
//!
//! Each element of `C` is one chain of sums in ascending `k`. Blocking over `k` stores the chain
//! and takes it up again, so no choice of blocks can change a bit of the result.

pub(crate) mod pack;
mod panels;
pub(crate) mod product;
mod tile;

pub(crate) use panels::{Panels, Rows, blocks};
pub(crate) use tile::Destination;

use crate::epilogue::Epilogue;
use crate::simd::{Isa, NR, dispatch};
use core::ops::Range;
use pack::panels_len;
use tile::{MultiplyPanels, MultiplyRow, PanelProduct};

/// The longest `k` of a block. Two panels of `B`, 16 KiB, then stay in an L1 of 32 KiB with 8 ways while the panels of `A`
/// pass, 8 KiB each. Each line of `A` is read from L2 once for 512 multiply-adds.
const KC: usize = 128;
/// The most values in a strip of `B`: four panels of `KC` products, 32 KiB, which are packed together (`gemm/pack.rs`).
const STRIP: usize = 4 * NR * KC;
/// The most values in a strip of `B` where one panel of `A` passes, so that nothing is read twice, or where sums have few
/// products, so that long lines of `C` should be stored: 64 KiB.
const LONG_STRIP: usize = 2 * STRIP;
/// With at most this many products, two panels of `A` stay in L1 while those of `B` pass.
const FEW_PRODUCTS: usize = 64;
/// The most values in a block of `C`, unless a strip has more: 256 KiB, half of the smallest L2 in use.
const C_BLOCK: usize = 64 * 1024;
/// The most rows of a block: `KC` columns of them take 256 KiB, and stay in L2 from a strip of `B` to the next.
const MC: usize = 512;

/// How `k`, `m` and `n` are split into blocks, and a block of `n` into strips, of which one at a time is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blocking {
    pub(crate) kc: usize,
    pub(crate) nc: usize,
    pub(crate) strip: usize,
    pub(crate) mc: usize,
}

impl Blocking {
    /// Blocks for `rows` by `columns` sums of `k` products, as equal in size as they can be.
    pub(crate) const fn new(rows: usize, k: usize, columns: usize) -> Self {
        let kc = k.div_ceil(k.div_ceil(KC));
        // An even number of panels: microkernels take them in pairs.
        let most = if rows > NR && kc > FEW_PRODUCTS { STRIP } else { LONG_STRIP };
        let most = most / kc / (2 * NR) * (2 * NR);
        let strip = if columns < most { columns } else { most };
        // A single strip is packed once, however many rows there are.
        let mc = if rows <= MC || columns <= strip {
            rows
        } else {
            rows.div_ceil(rows.div_ceil(MC)).next_multiple_of(NR)
        };
        let strips = if mc == 0 || strip == 0 { 1 } else { C_BLOCK / mc / strip };
        let nc = strip * if strips > 1 { strips } else { 1 };
        Self { kc, nc: if columns < nc { columns } else { nc }, strip, mc }
    }

    /// The length of a packed strip.
    pub(crate) const fn strip_len(&self) -> usize {
        panels_len::<NR>(self.kc, self.strip)
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
    /// for rows in blocks of mc:               A, [rows, k], may be longer than L2
    ///     for columns in blocks of nc:        C, [rows, nc], stays in L2
    ///         for k in blocks of kc:          A, [rows, kc], is read from L2
    ///             for strip in columns:       B, [kc, strip], is packed
    ///                 for two panels of B:    [kc, 32], stay in L1
    ///                     for a panel of A:   [kc, 16], is read from L2
    ///                         for a tile:     sums in registers: C += A B
    /// ```
    pub(crate) fn compute(
        mut self,
        isa: Isa,
        strip: &mut [f32],
        spare: usize,
        mut pack: impl FnMut(Range<usize>, Range<usize>, &mut [f32]),
    ) {
        let Blocking { kc, nc, strip: width, mc } = self.blocking;
        // A part of a pass may have fewer rows than planned, and with them longer strips.
        let width = width.min(strip.len() / ((kc + spare) * NR) * NR);
        for rows in blocks(self.rows, mc) {
            for block in blocks(self.columns, nc) {
                for k in blocks(self.depth, kc) {
                    for columns in blocks(block.len(), width) {
                        let columns = block.start + columns.start..block.start + columns.end;
                        pack(k.clone(), columns.clone(), strip);
                        let b = Panels::new(strip, k.len() + spare).rows(0..k.len());
                        self.multiply(isa, rows.clone(), k.clone(), columns, b);
                    }
                }
            }
        }
    }

    /// Computes it from panels that hold all of `B`.
    pub(crate) fn compute_packed(mut self, isa: Isa, b: Panels<'_, NR>) {
        let Blocking { kc, nc, mc, .. } = self.blocking;
        // A single row reads all of `B` once.
        let kc = if let Rows::Single(_) = self.a { self.depth } else { kc };
        for rows in blocks(self.rows, mc) {
            for columns in blocks(self.columns, nc) {
                for k in blocks(self.depth, kc) {
                    let b = b.skip(columns.start / NR).rows(k.clone());
                    self.multiply(isa, rows.clone(), k, columns.clone(), b);
                }
            }
        }
    }

    fn multiply(
        &mut self,
        isa: Isa,
        rows: Range<usize>,
        k: Range<usize>,
        columns: Range<usize>,
        b: Panels<'_, NR>,
    ) {
        let (epilogue, accumulate) = ((k.end == self.depth).then_some(self.epilogue), k.start > 0);
        // Panels of `A` that stay in L1 while those of `B` pass; otherwise it is two of `B` that stay.
        let a_panels_at_once = if k.len() > FEW_PRODUCTS { usize::MAX } else { 2 };
        let (a, c) = (self.a.columns(k), &mut self.c);
        let product = PanelProduct { a_panels_at_once, rows, columns, b, accumulate, epilogue, c };
        match a {
            Rows::Packed(a) => dispatch(isa, MultiplyPanels { a, product }),
            Rows::Single(row) => dispatch(isa, MultiplyRow { row, product }),
        }
    }
}

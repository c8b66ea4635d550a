//! The product of two plain matrices, as linear layers need it.

use super::pack::{Matrix, PackRows, panels_len};
use super::{Blocking, Destination, Panels, blocks, multiply};
use crate::epilogue::Epilogue;
use crate::kernel::{Job, MR, MulAdd, NR, Vectors};
use crate::scratch::{ALIGN, aligned};
use crate::sum::Cascade;
use crate::window::checked_sum;

/// The right-hand matrix: as it is, or all of it packed into panels.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Right<'a> {
    Plain(Matrix<'a>),
    Packed(&'a [f32]),
}

/// `C[rows, columns] = A[rows, depth] B[depth, columns]`, `C` row-major.
#[derive(Debug)]
pub(crate) struct Product<'a> {
    pub(crate) rows: usize,
    pub(crate) depth: usize,
    pub(crate) columns: usize,
    pub(crate) a: Matrix<'a>,
    pub(crate) b: Right<'a>,
    pub(crate) epilogue: Epilogue<'a>,
    pub(crate) c: &'a mut [f32],
    pub(crate) scratch: &'a mut [f32],
}

impl Product<'_> {
    /// The scratch of a product of these sizes: `A` packed, and a block of `B`.
    pub(crate) const fn scratch_len(rows: usize, depth: usize, columns: usize) -> Option<usize> {
        let Some(panel_rows) = rows.checked_next_multiple_of(MR) else { return None };
        let Some(a) = panel_rows.checked_mul(depth) else { return None };
        let Blocking { kc, nc } = Blocking::new(depth, columns);
        checked_sum([ALIGN, a, panels_len::<NR>(kc, nc)])
    }
}

impl Job for Product<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        mul_add: impl MulAdd,
        vectors: impl Vectors,
    ) {
        let Self { rows, depth, columns, a, b, epilogue, c, scratch } = self;
        let Blocking { kc, nc } = Blocking::new(depth, columns);
        let (block, a_panels) = aligned(scratch).split_at_mut(panels_len::<NR>(kc, nc));
        let a_panels = &mut a_panels[..panels_len::<MR>(depth, rows)];
        a.pack_a(rows, 0..depth, a_panels);
        let a = Panels::new(a_panels, depth);
        let mut c = Destination { values: c, row_stride: columns, image_columns: columns, image_stride: 0 };
        for range in blocks(columns, nc) {
            for k in blocks(depth, kc) {
                let b = match b {
                    Right::Packed(panels) => {
                        Panels::new(panels, depth).skip(range.start / NR).rows(k.clone())
                    }
                    Right::Plain(b) => {
                        let (rows, depth) = (range.len(), k.len());
                        if b.row_stride == 1 {
                            let values = &b.values[range.start * b.column_stride + k.start..];
                            let (row_stride, panels) = (b.column_stride, &mut *block);
                            PackRows { values, row_stride, rows, depth, panels }.pack(vectors);
                        } else {
                            b.pack_b(k.clone(), range.clone(), block);
                        }
                        Panels::new(block, k.len())
                    }
                };
                let last = (k.end == depth).then_some(epilogue);
                let first = k.start == 0;
                let (a, columns, accumulate) = (a.rows(k), range.clone(), !first);
                match (rows, PANELS) {
                    // A single row: the registers are filled with columns instead.
                    (1, 1) => multiply::<MR, 1, 4>(1, columns, a, b, accumulate, last, &mut c, mul_add),
                    (1, _) => multiply::<MR, 1, 8>(1, columns, a, b, accumulate, last, &mut c, mul_add),
                    _ => multiply::<MR, ROWS, PANELS>(rows, columns, a, b, accumulate, last, &mut c, mul_add),
                }
            }
        }
    }
}

/// A product whose matrices are read where they lie: its scratch is not used.
#[derive(Debug)]
pub(crate) struct InPlace<'a> {
    pub(crate) product: Product<'a>,
    /// The most products that are summed in one chain; the chains are added as in a [`Cascade`].
    pub(crate) chain: usize,
}

impl Job for InPlace<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        mul_add: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { product: Product { rows, depth, columns, a, b, epilogue, c, .. }, chain } = self;
        let mut levels = [[[0.0; NR]; ROWS]; Cascade::MOST_LEVELS];
        for (block, c) in blocks(rows, ROWS).zip(c.chunks_mut((ROWS * columns).max(1))) {
            for (panel, range) in blocks(columns, NR).enumerate() {
                let mut total = [[0.0; NR]; ROWS];
                let levels = levels.as_flattened_mut().as_flattened_mut();
                let mut all = Cascade::new(total.as_flattened_mut(), levels, depth.div_ceil(chain));
                for products in blocks(depth, chain) {
                    let mut sums = [[0.0; NR]; ROWS];
                    for k in products {
                        let lanes = match b {
                            Right::Plain(b) => b.lanes(k, range.clone()),
                            Right::Packed(panels) => panels.as_chunks().0[panel * depth + k],
                        };
                        for (i, sums) in sums.iter_mut().enumerate() {
                            // Rows past the last repeat it; they are not stored.
                            let row = (block.start + i).min(rows - 1);
                            *sums = mul_add(a.values[row * a.row_stride + k * a.column_stride], lanes, *sums);
                        }
                    }
                    all.add(sums.as_flattened());
                }
                all.finish();
                epilogue.apply(&mut total, block.start, range.start);
                for (row, sums) in c.chunks_exact_mut(columns).zip(&total) {
                    row[range.clone()].copy_from_slice(&sums[..range.len()]);
                }
            }
        }
    }
}

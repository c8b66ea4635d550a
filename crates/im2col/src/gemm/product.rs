//! The product of two plain matrices, as linear layers need it.

use super::pack::Matrix;
use super::panels::{Panels, Rows, blocks};
use super::tile::Destination;
use super::{Blocking, Blocks};
use crate::epilogue::Epilogue;
use crate::scratch::{ALIGN, aligned};
use crate::simd::{Isa, Kernel, MulAdd, NR, Vectors};
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
    /// The scratch of a product of these sizes: `A` packed, unless it is a single row, and a block of `B`.
    /// A single row and a packed `B` need none.
    pub(crate) const fn scratch_len(rows: usize, depth: usize, columns: usize) -> Option<usize> {
        let panel_rows = if rows > 1 { rows.checked_next_multiple_of(NR) } else { Some(0) };
        let Some(panel_rows) = panel_rows else { return None };
        let Some(a) = panel_rows.checked_mul(depth) else { return None };
        checked_sum([ALIGN, a, Blocking::new(rows, depth, columns).strip_len()])
    }

    pub(crate) fn compute(self, isa: Isa) {
        let Self { rows, depth, columns, a, b, epilogue, c, scratch } = self;
        if rows == 0 {
            return;
        }
        let blocking = Blocking::new(rows, depth, columns);
        let scratch = aligned(scratch);
        let (strip, a_packed) = scratch.split_at_mut(blocking.strip_len().min(scratch.len()));
        let a = if rows > 1 {
            a.transposed().pack(isa, 0..depth, 0..rows, a_packed);
            Rows::Packed(Panels::new(a_packed, depth))
        } else {
            // The values of a single row are neighbours.
            Rows::Single(&a.values[..depth])
        };
        let c = Destination { values: c, row_stride: columns, image_columns: columns, image_stride: 0 };
        let product = Blocks { rows, depth, columns, blocking, a, epilogue, c };
        match b {
            Right::Packed(panels) => product.compute_packed(isa, Panels::new(panels, depth)),
            Right::Plain(b) => {
                product.compute(isa, strip, 0, |k, columns, strip| b.pack(isa, k, columns, strip));
            }
        }
    }
}

/// A product whose matrices are read where they lie: its scratch is not used.
#[derive(Debug)]
pub(crate) struct ProductInPlace<'a> {
    pub(crate) product: Product<'a>,
    /// The most products that are summed in one chain; the chains are added as in a [`Cascade`].
    pub(crate) chain: usize,
}

impl Kernel for ProductInPlace<'_> {
    const USES_AVX512: bool = false;

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

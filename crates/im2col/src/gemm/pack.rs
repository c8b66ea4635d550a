//! Packing of plain matrices into panels.

use crate::simd::load::{padded, put, rows_at, short_rows};
use crate::simd::{Isa, Kernel, Lanes, MulAdd, NR, Vectors, dispatch};
use core::ops::Range;

/// A strided view: element `(i, j)` is `values[i * row_stride + j * column_stride]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) row_stride: usize,
    pub(crate) column_stride: usize,
}

impl<'a> Matrix<'a> {
    #[inline(always)]
    pub(crate) fn row_major(values: &'a [f32], columns: usize) -> Self {
        Self { values, row_stride: columns, column_stride: 1 }
    }

    #[inline(always)]
    pub(crate) fn transposed(self) -> Self {
        Self { row_stride: self.column_stride, column_stride: self.row_stride, ..self }
    }

    /// Some columns of row `k`, at most `NR` of them; zeros past the last.
    #[inline(always)]
    pub(crate) fn lanes(&self, k: usize, columns: Range<usize>) -> Lanes {
        let row = &self.values[k * self.row_stride + columns.start * self.column_stride..];
        if self.column_stride == 1 && columns.len() == NR {
            return row.first_chunk().copied().unwrap_or_else(|| padded(row));
        }
        let mut lanes = [0.0; NR];
        for (i, lane) in lanes.iter_mut().enumerate().take(columns.len()) {
            *lane = row[i * self.column_stride];
        }
        lanes
    }

    /// Packs `depth` x `columns` values into panels of `NR` columns, `[panel][k][NR]`, columns past the last 0.
    pub(crate) fn pack(self, isa: Isa, depth: Range<usize>, columns: Range<usize>, panels: &mut [f32]) {
        let (rows, panels) = (columns.len(), &mut panels[..panels_len::<NR>(depth.len(), columns.len())]);
        if self.row_stride == 1 {
            let values = &self.values[columns.start * self.column_stride + depth.start..];
            let (row_stride, depth) = (self.column_stride, depth.len());
            dispatch(isa, PackRows { values, row_stride, rows, depth, panels });
        } else {
            dispatch(isa, PackColumns { matrix: self, depth, columns, panels });
        }
    }
}

/// How long the panels of `W` columns are.
pub(crate) const fn panels_len<const W: usize>(depth: usize, columns: usize) -> usize {
    columns.div_ceil(W) * W * depth
}

/// How many panels are packed together. Rows of the matrix may lie pages apart, and four cache lines of one page are read
/// in less time than one line of each of four pages.
const PACKED_AT_ONCE: usize = 4;

/// Packs columns of a matrix whose columns are neighbours, or lie at any stride.
struct PackColumns<'a> {
    matrix: Matrix<'a>,
    depth: Range<usize>,
    columns: Range<usize>,
    panels: &'a mut [f32],
}

impl Kernel for PackColumns<'_> {
    const USES_AVX2: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { matrix: m, depth, columns, panels } = self;
        let panels = panels.as_chunks_mut::<NR>().0.chunks_mut((PACKED_AT_ONCE * depth.len()).max(1));
        for (panels, first) in panels.zip(columns.clone().step_by(PACKED_AT_ONCE * NR)) {
            let (width, depth) = ((PACKED_AT_ONCE * NR).min(columns.end - first), depth.clone());
            if m.column_stride == 1 && width == PACKED_AT_ONCE * NR {
                for (line, k) in depth.clone().enumerate() {
                    let row = &m.values[k * m.row_stride + first..][..PACKED_AT_ONCE * NR];
                    for (panel, values) in row.as_chunks::<NR>().0.iter().enumerate() {
                        panels[panel * depth.len() + line] = *values;
                    }
                }
                continue;
            }
            for (lines, first) in
                panels.chunks_exact_mut(depth.len().max(1)).zip((first..columns.end).step_by(NR))
            {
                for (line, k) in lines.iter_mut().zip(depth.clone()) {
                    let end = (first + NR).min(columns.end);
                    *line = m.lanes(k, first..end);
                }
            }
        }
    }
}

/// Packs the rows of a row-major matrix into panels of `NR` rows, `[panel][k][NR]`, rows past the last 0.
#[derive(Debug)]
pub(crate) struct PackRows<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) row_stride: usize,
    pub(crate) rows: usize,
    pub(crate) depth: usize,
    pub(crate) panels: &'a mut [f32],
}

/// [`PackRows`] in constants: packs the rows of `values`, from value `start` on, into panels from value `place` of `packed` on.
pub(crate) const fn pack_rows_of_constant(
    values: &[f32],
    start: usize,
    [rows, depth]: [usize; 2],
    packed: &mut [f32],
    place: usize,
) {
    let mut row = 0;
    while row < rows {
        let (panel, lane) = (row / NR, row % NR);
        let mut k = 0;
        while k < depth {
            packed[place + (panel * depth + k) * NR + lane] = values[start + row * depth + k];
            k += 1;
        }
        row += 1;
    }
}

impl Kernel for PackRows<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        vectors: impl Vectors,
    ) {
        self.pack(vectors);
    }
}

impl PackRows<'_> {
    /// Sixteen by sixteen values at a time; the last ones of a row may be those before once more.
    #[inline(always)]
    pub(crate) fn pack(self, vectors: impl Vectors) {
        let Self { values, row_stride, rows, depth, panels } = self;
        debug_assert!(panels.len() >= panels_len::<NR>(depth, rows), "no room for the last panels");
        let panels = panels.as_chunks_mut::<NR>().0.chunks_exact_mut(depth.max(1));
        for (panel, first) in panels.zip((0..rows).step_by(NR)) {
            let values = &values[first * row_stride..];
            for k in (0..depth).step_by(NR) {
                let k = k.min(depth.saturating_sub(NR));
                let short;
                let block = if depth < NR {
                    short = short_rows(values, row_stride, rows - first);
                    short.each_ref()
                } else {
                    rows_at(&values[k..], row_stride, rows - first)
                };
                // In one place: wherever a transpose is inlined, it takes a block of the stack.
                put(vectors.transpose(block), &mut panel[k..]);
            }
        }
    }
}

//! im2col: the input seen as a matrix whose product with the weights is the convolution.
//!
//! Row `r = (channel, tap)` and column `j = (image, position)` of the matrix hold the input value
//! that tap `r` sees when the window is at `j`, or 0 where it sees a padding of zeros. The matrix is virtual:
//! blocks of it are packed straight into panels for the microkernel ([`Patches::pack`]). The whole
//! matrix exists only where a caller asks for it ([`Patches::copy_block`]).
//!
//! The columns of one output line are one *run*: on a row of the matrix they are a line of the
//! input from some `x` on, with a constant stride. Everything below moves whole runs.
//!
//! K. Chellapilla, S. Puri, P. Simard: High Performance Convolutional Neural Networks for Document
//! Processing (2006), is the source of the idea.

mod matrix;
mod panel;

pub(crate) use matrix::Patches;

use crate::gemm::blocks;
use crate::padding::PaddingMode;
use crate::simd::{Kernel, Lanes, MulAdd, NR, Vectors};
use core::ops::Range;
use matrix::{Cursor, MatrixRow};
use panel::Panel;

/// Packs a block of the matrix: see [`Patches::pack`].
pub(crate) struct PackPatches<'a> {
    pub(crate) patches: Patches,
    pub(crate) input: &'a [f32],
    pub(crate) rows: Range<usize>,
    pub(crate) columns: Range<usize>,
    pub(crate) block: &'a mut [f32],
}

impl Kernel for PackPatches<'_> {
    const USES_AVX2: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        _: impl Vectors,
    ) {
        self.patches.pack(self.input, self.rows, self.columns, self.block);
    }
}

/// Adds a block of columns to an image: see [`Patches::col2im_add`].
pub(crate) struct Col2imBlock<'a> {
    pub(crate) patches: Patches,
    pub(crate) matrix: &'a [f32],
    pub(crate) row_stride: usize,
    pub(crate) range: Range<usize>,
    pub(crate) image: &'a mut [f32],
}

impl Kernel for Col2imBlock<'_> {
    const USES_AVX2: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        _: impl Vectors,
    ) {
        self.patches.col2im_add(self.matrix, self.row_stride, self.range, self.image);
    }
}

/// Panels that are packed together: 256 bytes of each row.
const PANELS_AT_ONCE: usize = 4;

impl Patches {
    /// Packs a block of the matrix into panels of `NR` columns, `[panel][rows + 1][NR]`: each panel
    /// has a spare row.
    ///
    /// `input` begins at the group's first channel of image 0. Lanes past the last column hold
    /// whatever lies there: the sums they make are never stored.
    #[inline(always)]
    pub(crate) fn pack(&self, input: &[f32], rows: Range<usize>, columns: Range<usize>, block: &mut [f32]) {
        // Decided once: in the innermost loop the compiler would make a gather of all cases.
        match self.window.stride[2] {
            1 => self.pack_panels::<1>(input, rows, columns, block),
            2 => self.pack_panels::<2>(input, rows, columns, block),
            _ => self.pack_panels::<0>(input, rows, columns, block),
        }
    }

    /// [`Patches::pack`] for columns `STRIDE` apart (0: any).
    #[inline(always)]
    fn pack_panels<const STRIDE: usize>(
        &self,
        input: &[f32],
        rows: Range<usize>,
        columns: Range<usize>,
        block: &mut [f32],
    ) {
        let mut cursor = Cursor::at(columns.start, &self.window);
        let group = (rows.len() + 1) * NR * PANELS_AT_ONCE;
        // Placed anew for each group, but not cleared: that would take a fifth of the packing.
        let mut panels = [Panel::default(); PANELS_AT_ONCE];
        for (i, columns) in blocks(columns.len(), NR * PANELS_AT_ONCE).enumerate() {
            let panels = &mut panels[..columns.len().div_ceil(NR)];
            for (panel, lanes) in panels.iter_mut().zip(blocks(columns.len(), NR)) {
                panel.place(self, &mut cursor, lanes.len());
            }
            panel::pack::<STRIDE>(self, panels, input, rows.start, rows.len(), &mut block[i * group..]);
        }
    }

    /// Writes a block of the matrix, row-major `[rows, columns]`.
    #[inline(always)]
    pub(crate) fn copy_block(
        &self,
        input: &[f32],
        rows: Range<usize>,
        columns: Range<usize>,
        block: &mut [f32],
    ) {
        let window = &self.window;
        for (row, values) in rows.zip(block.chunks_exact_mut(columns.len().max(1))) {
            let MatrixRow { channel, tap: [kz, ky, kx] } = MatrixRow::at(row, window);
            let mut cursor = Cursor::at(columns.start, window);
            let mut at = 0;
            while at < columns.len() {
                let run = cursor.next(window, columns.len() - at);
                let values = &mut values[at..at + run.len];
                at += run.len;
                let x = run.x(window, kx);
                let Some(line) = run.line(window, kz, ky) else {
                    values.fill(0.0);
                    continue;
                };
                let line = &input[run.image * self.image_stride + channel * window.plane_len() + line..];
                let inside = run.inside(window, x);
                for (column, source) in run.outside(window, x, inside.clone()) {
                    values[column] = source.map_or(0.0, |source| line[source]);
                }
                for (i, value) in inside.clone().zip(&mut values[inside]) {
                    *value = line[(x + (i * window.stride[2]) as isize) as usize];
                }
            }
        }
    }

    /// Adds a block of columns of a matrix to the image they were taken from: the adjoint of
    /// im2col. `matrix` holds all rows of the block, `row_stride` apart.
    ///
    /// Each input value gets its summands in the order of column, then row.
    #[inline(always)]
    pub(crate) fn col2im_add(
        &self,
        matrix: &[f32],
        row_stride: usize,
        columns: Range<usize>,
        image: &mut [f32],
    ) {
        let window = &self.window;
        let stride = window.stride[2];
        let mut cursor = Cursor::at(columns.start, window);
        let mut at = 0;
        while at < columns.len() {
            let run = cursor.next(window, columns.len() - at);
            for row in 0..self.rows() {
                let MatrixRow { channel, tap: [kz, ky, kx] } = MatrixRow::at(row, window);
                let Some(line) = run.line(window, kz, ky) else { continue };
                let x = run.x(window, kx);
                let inside = run.inside(window, x);
                let values = &matrix[row * row_stride + at..][..run.len];
                let sums = &mut image[channel * window.plane_len() + line..];
                if window.mode != PaddingMode::Zeros {
                    for (column, source) in run.outside(window, x, inside.clone()) {
                        source.into_iter().for_each(|source| sums[source] += values[column]);
                    }
                }
                if inside.is_empty() {
                    continue;
                }
                let sums = &mut sums[(x + (inside.start * stride) as isize) as usize..];
                let values = &values[inside];
                if stride == 1 {
                    for (sum, value) in sums.iter_mut().zip(values) {
                        *sum += value;
                    }
                } else {
                    for (sum, value) in sums.iter_mut().step_by(stride).zip(values) {
                        *sum += value;
                    }
                }
            }
            at += run.len;
        }
    }

    /// [`Patches::col2im_add`] of a matrix that is computed on the fly, in the same order: `product(channel, tap, column)` returns
    /// its values in the rows of `tap` of `CHANNELS` channels from `channel` on, in `NR` columns from `column` on.
    #[inline(always)]
    pub(crate) fn spread<const CHANNELS: usize>(
        &self,
        columns: Range<usize>,
        image: &mut [f32],
        product: impl Fn(usize, usize, usize) -> [Lanes; CHANNELS],
    ) {
        let window = &self.window;
        let stride = window.stride[2];
        let mut cursor = Cursor::at(columns.start, window);
        let mut at = columns.start;
        while at < columns.end {
            let run = cursor.next(window, columns.end - at);
            for (chunk, planes) in image.chunks_mut(CHANNELS * window.plane_len()).enumerate() {
                let channel = chunk * CHANNELS;
                for tap in 0..window.taps() {
                    let MatrixRow { tap: [kz, ky, kx], .. } = MatrixRow::at(tap, window);
                    let Some(line) = run.line(window, kz, ky) else { continue };
                    let x = run.x(window, kx);
                    let inside = run.inside(window, x);
                    if window.mode != PaddingMode::Zeros {
                        for (column, source) in run.outside(window, x, inside.clone()) {
                            let Some(source) = source else { continue };
                            let sums = product(channel, tap, at + column);
                            for (plane, sums) in planes.chunks_exact_mut(window.plane_len()).zip(sums) {
                                plane[line + source] += sums[0];
                            }
                        }
                    }
                    for columns in blocks(inside.len(), NR) {
                        let column = inside.start + columns.start;
                        let sums = product(channel, tap, at + column);
                        let first = line + (x + (column * stride) as isize) as usize;
                        for (plane, sums) in planes.chunks_exact_mut(window.plane_len()).zip(sums) {
                            let values = plane[first..].iter_mut().step_by(stride);
                            for (value, sum) in values.zip(&sums[..columns.len()]) {
                                *value += sum;
                            }
                        }
                    }
                }
            }
            at += run.len;
        }
    }
}

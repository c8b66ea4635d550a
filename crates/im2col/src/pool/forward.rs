//! The forward pass, along rows of output.

use super::PoolKind;
use super::windows::{Divisor, Pooling};
use crate::kernel::{Job, MulAdd, NR};

/// Columns of input that are staged at a time: `CHUNKS` chunks at stride 2, and a window of 64.
const COLUMNS: usize = 320;
/// Chunks of `NR` outputs that are computed at a time.
const CHUNKS: usize = 8;
/// Shorter rows of output are not worth vectors.
const LEAST_WIDTH: usize = 4;

pub(super) struct Forward<'a> {
    pub(super) pooling: Pooling,
    pub(super) input: &'a [f32],
    pub(super) output: &'a mut [f32],
}

impl Job for Forward<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize>(self, _: impl MulAdd) {
        let Self { pooling, input, output } = self;
        match (pooling.kind, pooling.is_2x2()) {
            (PoolKind::Max, true) => tiles_2x2(&pooling, input, output, maximum, |max| max),
            (PoolKind::Average, true) => tiles_2x2(&pooling, input, output, sum, |sum| sum / 4.0),
            _ => for_each_row(&pooling, input, output),
        }
    }
}

/// The larger one; NaN, once found, stays.
#[inline(always)]
fn maximum(max: f32, v: f32) -> f32 {
    // The comparison is false for a NaN in `max`. Returning `v` for a NaN in `v` would make this
    // one selection, which with AVX-512 becomes a masked store, and the load of what was stored
    // then waits for the cache. So this is a vector maximum and a selection.
    let larger = if v > max { v } else { max };
    if v.is_nan() { f32::NAN } else { larger }
}

#[inline(always)]
fn sum(sum: f32, v: f32) -> f32 {
    sum + v
}

/// Windows that are the 2x2 tiles of a plane: one pass, one loop that becomes vector code.
#[inline(always)]
fn tiles_2x2(
    pooling: &Pooling,
    input: &[f32],
    output: &mut [f32],
    fold: impl Fn(f32, f32) -> f32,
    finish: impl Fn(f32) -> f32,
) {
    let ([_, height, width], [_, out_height, out_width]) = (pooling.window.input, pooling.window.output);
    let planes = input.chunks_exact(height * width).zip(output.chunks_exact_mut(out_height * out_width));
    for (plane, output) in planes {
        for (rows, output) in plane.chunks_exact(2 * width).zip(output.chunks_exact_mut(out_width)) {
            let (upper, lower) = rows.split_at(width);
            for ((upper, lower), y) in upper.chunks_exact(2).zip(lower.chunks_exact(2)).zip(output) {
                *y = finish(fold(fold(fold(upper[0], upper[1]), lower[0]), lower[1]));
            }
        }
    }
}

/// All other windows, a row of outputs at a time.
#[inline(always)]
fn for_each_row(pooling: &Pooling, input: &[f32], output: &mut [f32]) {
    let [_, height, width] = pooling.window.output;
    let staged = width >= LEAST_WIDTH && !pooling.adaptive;
    let chunks = if staged { pooling.staged_chunks() } else { 0 };
    let mut stage = Stage { columns: [0.0; COLUMNS], results: [[0.0; NR]; CHUNKS] };
    let planes = input.chunks_exact(pooling.window.plane_len());
    for (plane, output) in planes.zip(output.chunks_exact_mut(pooling.window.positions())) {
        for (z, output) in output.chunks_exact_mut(height * width).enumerate() {
            for (y, output) in output.chunks_exact_mut(width).enumerate() {
                match (chunks, pooling.kind) {
                    (0, _) => plain_row(pooling, plane, [z, y], output),
                    (_, PoolKind::Max) => stage.max_row(pooling, plane, [z, y], output, chunks),
                    (_, PoolKind::Average) => stage.sum_row(pooling, plane, [z, y], output, chunks),
                }
                if let PoolKind::Average = pooling.kind {
                    divide_row(pooling, [z, y], output);
                }
            }
        }
    }
}

#[inline(always)]
fn divide_row(pooling: &Pooling, [z, y]: [usize; 2], output: &mut [f32]) {
    if let Divisor::Constant(divisor) = pooling.divisor {
        output.iter_mut().for_each(|y| *y /= divisor as f32);
    } else {
        let rows = pooling.counted_rows(z, y);
        output.iter_mut().enumerate().for_each(|(x, y)| *y /= pooling.divisor(rows, x));
    }
}

/// A row of maxima or sums, one output after the other: for windows that do not fit the stage or
/// adapt, and rows too short for vectors.
#[inline(always)]
fn plain_row(pooling: &Pooling, plane: &[f32], [z, y]: [usize; 2], output: &mut [f32]) {
    for (x, output) in output.iter_mut().enumerate() {
        let (start, taps) = (pooling.start(2, x), pooling.taps(2, x));
        let values = pooling
            .input_rows(z, y)
            .flat_map(|row| taps.clone().map(move |tap| plane[row + pooling.column(start, tap)]));
        *output = match pooling.kind {
            PoolKind::Max => values.fold(f32::NEG_INFINITY, maximum),
            PoolKind::Average => values.fold(0.0, sum),
        };
    }
}

impl Pooling {
    /// How many chunks of `NR` outputs of a row the stage has room for.
    fn staged_chunks(&self) -> usize {
        let chunk = self.window.stride[2].saturating_mul(NR);
        (COLUMNS.saturating_sub(self.extent()) / chunk).min(CHUNKS)
    }

    /// How many columns the windows of so many chunks of outputs may read.
    #[inline(always)]
    fn staged_columns(&self, chunks: usize) -> usize {
        chunks * NR * self.window.stride[2] + self.extent()
    }
}

/// Where a row of input lies with its padding, so that the loops over outputs are whole chunks
/// without special cases, and what becomes of it. Less than 2 KiB of stack.
struct Stage {
    columns: [f32; COLUMNS],
    results: [[f32; NR]; CHUNKS],
}

impl Stage {
    /// First the maximum of each column, then of the columns: a window of `h` rows and `w` columns
    /// costs `h + w` steps and not `h * w`. For a maximum the order does not matter.
    #[inline(always)]
    fn max_row(
        &mut self,
        pooling: &Pooling,
        plane: &[f32],
        [z, y]: [usize; 2],
        output: &mut [f32],
        chunks: usize,
    ) {
        for (i, output) in output.chunks_mut(chunks * NR).enumerate() {
            let from = i * chunks * NR * pooling.window.stride[2];
            let chunks = output.len().div_ceil(NR);
            self.columns[..pooling.staged_columns(chunks)].fill(f32::NEG_INFINITY);
            pooling.input_rows(z, y).for_each(|row| self.fold_row(pooling, &plane[row..], from, maximum));
            self.results[..chunks].fill([f32::NEG_INFINITY; NR]);
            self.fold_taps(pooling, chunks, maximum);
            output.copy_from_slice(&self.results.as_flattened()[..output.len()]);
        }
    }

    /// The sums of the taps in ascending order.
    #[inline(always)]
    fn sum_row(
        &mut self,
        pooling: &Pooling,
        plane: &[f32],
        [z, y]: [usize; 2],
        output: &mut [f32],
        chunks: usize,
    ) {
        for (i, output) in output.chunks_mut(chunks * NR).enumerate() {
            let from = i * chunks * NR * pooling.window.stride[2];
            let chunks = output.len().div_ceil(NR);
            self.results[..chunks].fill([0.0; NR]);
            self.columns[..pooling.staged_columns(chunks)].fill(0.0);
            pooling.input_rows(z, y).for_each(|row| {
                self.fold_row(pooling, &plane[row..], from, |_, v| v);
                self.fold_taps(pooling, chunks, sum);
            });
            output.copy_from_slice(&self.results.as_flattened()[..output.len()]);
        }
    }

    /// Folds a row of input into the columns, which begin at column `from` of the padded row.
    #[inline(always)]
    fn fold_row(&mut self, pooling: &Pooling, row: &[f32], from: usize, fold: impl Fn(f32, f32) -> f32) {
        let before = pooling.window.padding[2][0];
        let row = &row[from.saturating_sub(before)..pooling.window.input[2]];
        for (column, v) in self.columns[before.saturating_sub(from)..].iter_mut().zip(row) {
            *column = fold(*column, *v);
        }
    }

    /// Folds the columns, tap by tap, into the first `chunks` results.
    #[inline(always)]
    fn fold_taps(&mut self, pooling: &Pooling, chunks: usize, fold: impl Fn(f32, f32) -> f32 + Copy) {
        // A stride that is known when this is compiled makes vector code.
        match pooling.window.stride[2] {
            1 => self.fold_taps_strided(pooling, 1, chunks, fold),
            2 => self.fold_taps_strided(pooling, 2, chunks, fold),
            stride => self.fold_taps_strided(pooling, stride, chunks, fold),
        }
    }

    #[inline(always)]
    fn fold_taps_strided(
        &mut self,
        pooling: &Pooling,
        stride: usize,
        chunks: usize,
        fold: impl Fn(f32, f32) -> f32 + Copy,
    ) {
        for (i, result) in self.results.iter_mut().take(chunks).enumerate() {
            let mut sums = *result;
            for tap in 0..pooling.window.kernel[2] {
                let columns =
                    &self.columns[i * NR * stride + tap * pooling.window.dilation[2]..][..NR * stride];
                for (j, sum) in sums.iter_mut().enumerate() {
                    *sum = fold(*sum, columns[j * stride]);
                }
            }
            *result = sums;
        }
    }
}

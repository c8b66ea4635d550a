//! The backward pass, along rows of output.

use super::stage::{Label, RowBuffers};
use super::windows::{Pooling, first_maximum};
use crate::simd::{Isa, Kernel, MulAdd, Vectors, dispatch};
use crate::window::Window;
use core::ops::Range;

pub(super) struct MaxBackward<'a> {
    pub(super) pooling: Pooling,
    pub(super) input: &'a [f32],
    pub(super) grad_output: &'a [f32],
    pub(super) grad_input: &'a mut [f32],
}

impl MaxBackward<'_> {
    /// Runs it.
    pub(crate) fn compute(self, isa: Isa) {
        dispatch(isa, self);
    }
}

impl Kernel for MaxBackward<'_> {
    const USES_AVX512: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { pooling, input, grad_output, grad_input } = self;
        grad_input.fill(0.0);
        let [_, height, width] = pooling.window.input;
        let [depth, out_height, _] = pooling.window.output;
        if pooling.is_2x2() {
            max_tiles_2x2(&pooling, grad_output, grad_input, |row, first, winners| {
                let rows = &input[(row / out_height * height + row % out_height * 2) * width..][..2 * width];
                let (upper, lower) = rows.split_at(width);
                let tiles = upper[2 * first..].chunks_exact(2).zip(lower[2 * first..].chunks_exact(2));
                for (winner, (upper, lower)) in winners.iter_mut().zip(tiles) {
                    *winner = first_maximum([upper[0], upper[1], lower[0], lower[1]]).1;
                }
            });
            return;
        }
        let (plane_len, mut stage) = (pooling.window.plane_len(), RowBuffers::new());
        for_each_row(&pooling, grad_output, grad_input, |row, at, grad_output, grad_input| {
            let plane = &input[row / (depth * out_height) * plane_len..][..plane_len];
            stage.for_each_winner(&pooling, plane, at, Label::Offset, |x, _, offset| {
                if let Some(offset) = offset {
                    grad_input[offset] += grad_output[x];
                }
            });
        });
    }
}

/// What a mean was taken of does not matter, so there is no input.
pub(super) struct MeanBackward<'a> {
    pub(super) pooling: Pooling,
    pub(super) grad_output: &'a [f32],
    pub(super) grad_input: &'a mut [f32],
}

impl MeanBackward<'_> {
    /// Runs it.
    pub(crate) fn compute(self, isa: Isa) {
        dispatch(isa, self);
    }
}

impl Kernel for MeanBackward<'_> {
    const USES_AVX512: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { pooling, grad_output, grad_input } = self;
        grad_input.fill(0.0);
        if pooling.is_2x2() {
            for_each_row_of_tiles(&pooling, grad_output, grad_input, |_, grad_y, upper, lower| {
                let tiles = upper.chunks_exact_mut(2).zip(lower.chunks_exact_mut(2));
                for ((upper, lower), grad) in tiles.zip(grad_y) {
                    upper.fill(grad / 4.0);
                    lower.fill(grad / 4.0);
                }
            });
        } else if pooling.staged_chunks() == 0 {
            for_each_row(&pooling, grad_output, grad_input, |_, at, grad_output, grad_input| {
                mean_row_by_output(&pooling, at, grad_output, grad_input);
            });
        } else {
            for_each_row(&pooling, grad_output, grad_input, |_, at, grad_output, grad_input| {
                mean_row(&pooling, at, grad_output, grad_input);
            });
        }
    }
}

/// How many winners of tiles are found at a time: to find them and to use them are two loops that
/// become vector code, and one loop would not.
const TILES: usize = 64;

/// The maxima of the 2x2 tiles of each plane: nothing adds up, and each gradient is written once.
///
/// `find(row, first, winners)` finds which of their four values won in the tiles from `first` of a row
/// of output, counted over all planes.
#[inline(always)]
pub(super) fn max_tiles_2x2(
    pooling: &Pooling,
    grad_output: &[f32],
    grad_input: &mut [f32],
    find: impl Fn(usize, usize, &mut [u8]),
) {
    for_each_row_of_tiles(pooling, grad_output, grad_input, |row, grad_y, upper, lower| {
        let squares = upper.chunks_mut(2 * TILES).zip(lower.chunks_mut(2 * TILES));
        for (i, (grad_y, (upper, lower))) in grad_y.chunks(TILES).zip(squares).enumerate() {
            let mut winners = [0; TILES];
            let winners = &mut winners[..grad_y.len()];
            find(row, i * TILES, winners);
            let squares = upper.chunks_exact_mut(2).zip(lower.chunks_exact_mut(2));
            for ((winner, grad), (upper, lower)) in winners.iter().zip(grad_y).zip(squares) {
                let shares = [0, 1, 2, 3].map(|i| if i == *winner { *grad } else { 0.0 });
                upper.copy_from_slice(&shares[..2]);
                lower.copy_from_slice(&shares[2..]);
            }
        }
    });
}

/// Calls `for_row(row, row of grad_output, upper row of grad_input, lower row)` for every row of 2x2
/// tiles, counted over all planes.
#[inline(always)]
fn for_each_row_of_tiles(
    pooling: &Pooling,
    grad_output: &[f32],
    grad_input: &mut [f32],
    for_row: impl Fn(usize, &[f32], &mut [f32], &mut [f32]),
) {
    let ([_, height, width], [_, out_height, out_width]) = (pooling.window.input, pooling.window.output);
    // Depth is not pooled, so its slices are planes.
    let planes = grad_input.chunks_exact_mut(height * width);
    for (i, (grad_x, grad_y)) in planes.zip(grad_output.chunks_exact(out_height * out_width)).enumerate() {
        let rows = grad_x.chunks_exact_mut(2 * width).zip(grad_y.chunks_exact(out_width));
        for (y, (grad_x, grad_y)) in rows.enumerate() {
            let (upper, lower) = grad_x.split_at_mut(width);
            for_row(i * out_height + y, grad_y, upper, lower);
        }
    }
}

/// Calls `for_row(row, [z, y], row of grad_output, plane of grad_input)` for every row of output,
/// counted over all planes.
#[inline(always)]
pub(super) fn for_each_row(
    pooling: &Pooling,
    grad_output: &[f32],
    grad_input: &mut [f32],
    mut for_row: impl FnMut(usize, [usize; 2], &[f32], &mut [f32]),
) {
    let [depth, height, width] = pooling.window.output;
    let planes = grad_input.chunks_exact_mut(pooling.window.plane_len());
    for (i, (grad_x, grad_y)) in planes.zip(grad_output.chunks_exact(pooling.window.positions())).enumerate()
    {
        for (z, grad_y) in grad_y.chunks_exact(height * width).enumerate() {
            for (y, grad_y) in grad_y.chunks_exact(width).enumerate() {
                for_row((i * depth + z) * height + y, [z, y], grad_y, grad_x);
            }
        }
    }
}

#[inline(always)]
fn mean_row(pooling: &Pooling, [z, y]: [usize; 2], grad_output: &[f32], grad_input: &mut [f32]) {
    let (width, stride) = (pooling.window.input[2], pooling.window.stride[2]);
    let rows = pooling.counted_rows(z, y);
    for row in pooling.input_rows(z, y) {
        let grad_input = &mut grad_input[row..row + width];
        // Taps descend, so that what meets in an input adds up in the order of the outputs.
        for tap in (0..pooling.window.kernel[2]).rev() {
            let outputs = outputs(pooling, tap);
            if outputs.is_empty() {
                continue;
            }
            let grad_input = &mut grad_input[pooling.column(outputs.start * stride, tap)..];
            for (x, grad_input) in outputs.zip(grad_input.chunks_mut(stride)) {
                grad_input[0] += grad_output[x] / pooling.divisor(rows, x);
            }
        }
    }
}

/// The same one output after the other: for windows that adapt or are long, and short rows of output.
#[inline(always)]
fn mean_row_by_output(pooling: &Pooling, [z, y]: [usize; 2], grad_output: &[f32], grad_input: &mut [f32]) {
    let rows = pooling.counted_rows(z, y);
    for (x, grad) in grad_output.iter().enumerate() {
        let (start, taps) = (pooling.start(2, x), pooling.taps(2, x));
        if taps.is_empty() {
            continue;
        }
        let (first, step) = (pooling.column(start, taps.start), pooling.window.dilation[2]);
        let part = grad / pooling.divisor(rows, x);
        for row in pooling.input_rows(z, y) {
            let seen = &mut grad_input[row + first..];
            if step == 1 {
                seen[..taps.len()].iter_mut().for_each(|grad| *grad += part);
            } else {
                seen.iter_mut().step_by(step).take(taps.len()).for_each(|grad| *grad += part);
            }
        }
    }
}

/// The outputs of a row whose tap `tap` sees the input.
#[inline(always)]
fn outputs(pooling: &Pooling, tap: usize) -> Range<usize> {
    let Window { input, output, stride, padding, dilation, .. } = &pooling.window;
    let reach = |columns: usize| columns.saturating_sub(tap * dilation[2]).div_ceil(stride[2]);
    let end = reach(padding[2][0] + input[2]).min(output[2]);
    reach(padding[2][0]).min(end)..end
}

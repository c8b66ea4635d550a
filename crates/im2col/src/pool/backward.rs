//! The backward pass, along rows of output.

use super::argmax::first_maximum;
use super::stage::{Label, Stage};
use super::windows::Pooling;
use crate::kernel::{Job, MulAdd};
use crate::window::Window;
use core::iter::repeat_n;
use core::ops::Range;

pub(super) struct MaxBackward<'a> {
    pub(super) pooling: Pooling,
    pub(super) input: &'a [f32],
    pub(super) grad_output: &'a [f32],
    pub(super) grad_input: &'a mut [f32],
}

impl Job for MaxBackward<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize>(self, _: impl MulAdd) {
        let Self { pooling, input, grad_output, grad_input } = self;
        grad_input.fill(0.0);
        let [_, height, width] = pooling.window.input;
        let [depth, out_height, _] = pooling.window.output;
        if pooling.is_2x2() {
            let tiles = |row: usize| {
                let rows = &input[(row / out_height * height + row % out_height * 2) * width..][..2 * width];
                let (upper, lower) = rows.split_at(width);
                upper.chunks_exact(2).zip(lower.chunks_exact(2))
            };
            tiles_2x2(&pooling, grad_output, grad_input, tiles, |(upper, lower), grad| {
                only(first_maximum([upper[0], upper[1], lower[0], lower[1]]).1 as u32, grad)
            });
            return;
        }
        let (plane_len, mut stage) = (pooling.window.plane_len(), Stage::new());
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

impl Job for MeanBackward<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize>(self, _: impl MulAdd) {
        let Self { pooling, grad_output, grad_input } = self;
        grad_input.fill(0.0);
        if pooling.is_2x2() {
            let tiles = |_| repeat_n((), pooling.window.output[2]);
            tiles_2x2(&pooling, grad_output, grad_input, tiles, |(), grad| [grad / 4.0; 4]);
        } else if pooling.adaptive {
            for_each_row(&pooling, grad_output, grad_input, |_, at, grad_output, grad_input| {
                adaptive_mean_row(&pooling, at, grad_output, grad_input);
            });
        } else {
            for_each_row(&pooling, grad_output, grad_input, |_, at, grad_output, grad_input| {
                mean_row(&pooling, at, grad_output, grad_input);
            });
        }
    }
}

/// What each of four values receives if one of them receives all.
#[inline(always)]
pub(super) fn only(winner: u32, grad: f32) -> [f32; 4] {
    [0, 1, 2, 3].map(|i| if i == winner { grad } else { 0.0 })
}

/// Windows that are the 2x2 tiles of a plane: nothing adds up, and each gradient is written once.
///
/// `tiles(row)` are the tiles of a row of output, counted over all planes, and `share(tile, grad)`
/// is what the four values of a tile receive.
#[inline(always)]
pub(super) fn tiles_2x2<Tiles: Iterator>(
    pooling: &Pooling,
    grad_output: &[f32],
    grad_input: &mut [f32],
    tiles: impl Fn(usize) -> Tiles,
    share: impl Fn(Tiles::Item, f32) -> [f32; 4],
) {
    let ([_, height, width], [_, out_height, out_width]) = (pooling.window.input, pooling.window.output);
    // Depth is not pooled, so its slices are planes.
    let planes = grad_input.chunks_exact_mut(height * width);
    for (i, (grad_x, grad_y)) in planes.zip(grad_output.chunks_exact(out_height * out_width)).enumerate() {
        let rows = grad_x.chunks_exact_mut(2 * width).zip(grad_y.chunks_exact(out_width));
        for (y, (grad_x, grad_y)) in rows.enumerate() {
            let (upper, lower) = grad_x.split_at_mut(width);
            let squares = upper.chunks_exact_mut(2).zip(lower.chunks_exact_mut(2));
            for ((tile, grad), (upper, lower)) in tiles(i * out_height + y).zip(grad_y).zip(squares) {
                let shares = share(tile, *grad);
                upper.copy_from_slice(&shares[..2]);
                lower.copy_from_slice(&shares[2..]);
            }
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
        for tap in seeing_taps(pooling).rev() {
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

/// The same for windows that adapt, one output after the other.
#[inline(always)]
fn adaptive_mean_row(pooling: &Pooling, [z, y]: [usize; 2], grad_output: &[f32], grad_input: &mut [f32]) {
    let rows = pooling.counted_rows(z, y);
    for (x, grad) in grad_output.iter().enumerate() {
        let (start, width) = (pooling.start(2, x), pooling.tap_count(2, x));
        let part = grad / pooling.divisor(rows, x);
        for row in pooling.input_rows(z, y) {
            grad_input[row + start..][..width].iter_mut().for_each(|grad| *grad += part);
        }
    }
}

/// The taps of a row that see the input from some output: of a window much larger than the input
/// only a few.
#[inline(always)]
fn seeing_taps(pooling: &Pooling) -> Range<usize> {
    let Window { input, kernel, stride, padding, output, .. } = &pooling.window;
    let before = padding[2][0];
    before.saturating_sub((output[2] - 1) * stride[2])..kernel[2].min(before + input[2])
}

/// The outputs of a row whose tap `tap` sees the input.
#[inline(always)]
fn outputs(pooling: &Pooling, tap: usize) -> Range<usize> {
    let Window { input, output, stride, padding, .. } = &pooling.window;
    let reach = |columns: usize| columns.saturating_sub(tap).div_ceil(stride[2]);
    let end = reach(padding[2][0] + input[2]).min(output[2]);
    reach(padding[2][0]).min(end)..end
}

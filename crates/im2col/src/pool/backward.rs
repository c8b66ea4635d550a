//! The backward pass, along rows of output.

use super::{PoolKind, Pooling};
use crate::kernel::{Job, MulAdd};
use crate::window::Window;
use core::ops::Range;

pub(super) struct Backward<'a> {
    pub(super) pooling: Pooling,
    pub(super) input: &'a [f32],
    pub(super) grad_output: &'a [f32],
    pub(super) grad_input: &'a mut [f32],
}

impl Job for Backward<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize>(self, _: impl MulAdd) {
        let Self { pooling, input, grad_output, grad_input } = self;
        grad_input.fill(0.0);
        match (pooling.kind, pooling.is_2x2()) {
            (PoolKind::Max, true) => tiles_2x2(&pooling, input, grad_output, grad_input, to_first_maximum),
            (PoolKind::Average, true) => tiles_2x2(&pooling, input, grad_output, grad_input, to_all),
            (PoolKind::Max, false) => for_each_row(&pooling, input, grad_output, grad_input, max_row),
            (PoolKind::Average, false) => for_each_row(&pooling, input, grad_output, grad_input, mean_row),
        }
    }
}

/// What each of four values in ascending order receives of the gradient of their maximum.
#[inline(always)]
fn to_first_maximum(values: [f32; 4], grad: f32) -> [f32; 4] {
    let (mut max, mut at) = (values[0], 0);
    for (i, v) in (0_u32..).zip(values) {
        let wins = v > max || v.is_nan();
        max = if wins { v } else { max };
        at = if wins { i } else { at };
    }
    [0, 1, 2, 3].map(|i| if i == at { grad } else { 0.0 })
}

/// What each of four values receives of the gradient of their mean.
#[inline(always)]
fn to_all(_: [f32; 4], grad: f32) -> [f32; 4] {
    [grad / 4.0; 4]
}

/// Windows that are the 2x2 tiles of a plane: nothing adds up, and each gradient is written once.
#[inline(always)]
fn tiles_2x2(
    pooling: &Pooling,
    input: &[f32],
    grad_output: &[f32],
    grad_input: &mut [f32],
    share: impl Fn([f32; 4], f32) -> [f32; 4],
) {
    let ([_, height, width], [_, out_height, out_width]) = (pooling.window.input, pooling.window.output);
    let planes = input.chunks_exact(height * width).zip(grad_input.chunks_exact_mut(height * width));
    for ((x, grad_x), grad_y) in planes.zip(grad_output.chunks_exact(out_height * out_width)) {
        let rows = x.chunks_exact(2 * width).zip(grad_x.chunks_exact_mut(2 * width));
        for ((x, grad_x), grad_y) in rows.zip(grad_y.chunks_exact(out_width)) {
            let (x0, x1) = x.split_at(width);
            let (grad_x0, grad_x1) = grad_x.split_at_mut(width);
            let upper = x0.chunks_exact(2).zip(grad_x0.chunks_exact_mut(2));
            let lower = x1.chunks_exact(2).zip(grad_x1.chunks_exact_mut(2));
            for (((x0, grad_x0), (x1, grad_x1)), grad) in upper.zip(lower).zip(grad_y) {
                let shares = share([x0[0], x0[1], x1[0], x1[1]], *grad);
                grad_x0.copy_from_slice(&shares[..2]);
                grad_x1.copy_from_slice(&shares[2..]);
            }
        }
    }
}

/// Calls `row(pooling, plane of input, [z, y], row of grad_output, plane of grad_input)` for every
/// row of output.
#[inline(always)]
fn for_each_row(
    pooling: &Pooling,
    input: &[f32],
    grad_output: &[f32],
    grad_input: &mut [f32],
    row: impl Fn(&Pooling, &[f32], [usize; 2], &[f32], &mut [f32]),
) {
    let [_, height, width] = pooling.window.output;
    let plane_len = pooling.window.plane_len();
    let planes = input.chunks_exact(plane_len).zip(grad_input.chunks_exact_mut(plane_len));
    for ((x, grad_x), grad_y) in planes.zip(grad_output.chunks_exact(pooling.window.positions())) {
        for (z, grad_y) in grad_y.chunks_exact(height * width).enumerate() {
            for (y, grad_y) in grad_y.chunks_exact(width).enumerate() {
                row(pooling, x, [z, y], grad_y, grad_x);
            }
        }
    }
}

#[inline(always)]
fn max_row(
    pooling: &Pooling,
    input: &[f32],
    [z, y]: [usize; 2],
    grad_output: &[f32],
    grad_input: &mut [f32],
) {
    for (x, grad) in grad_output.iter().enumerate() {
        let taps = pooling.taps(2, x);
        let mut first_max = None;
        let mut max = f32::NEG_INFINITY;
        for row in pooling.input_rows(z, y) {
            for tap in taps.clone() {
                let i = row + pooling.column(x, tap);
                let v = input[i];
                if v > max || v.is_nan() || first_max.is_none() {
                    (max, first_max) = (v, Some(i));
                }
            }
        }
        if let Some(i) = first_max {
            grad_input[i] += grad;
        }
    }
}

#[inline(always)]
fn mean_row(pooling: &Pooling, _: &[f32], [z, y]: [usize; 2], grad_output: &[f32], grad_input: &mut [f32]) {
    let (width, stride) = (pooling.window.input[2], pooling.window.stride[2]);
    let rows = pooling.input_rows(z, y).count();
    for row in pooling.input_rows(z, y) {
        let grad_input = &mut grad_input[row..row + width];
        // Taps descend, so that what meets in an input adds up in the order of the outputs.
        for tap in (0..pooling.window.kernel[2]).rev() {
            let outputs = outputs(pooling, tap);
            if outputs.is_empty() {
                continue;
            }
            let grad_input = &mut grad_input[pooling.column(outputs.start, tap)..];
            for (x, grad_input) in outputs.zip(grad_input.chunks_mut(stride)) {
                grad_input[0] += grad_output[x] / pooling.divisor(rows, x);
            }
        }
    }
}

/// The outputs of a row whose tap `tap` sees the input.
#[inline(always)]
fn outputs(pooling: &Pooling, tap: usize) -> Range<usize> {
    let Window { input, output, stride, padding, .. } = &pooling.window;
    let reach = |columns: usize| columns.saturating_sub(tap).div_ceil(stride[2]);
    let end = reach(padding[2][0] + input[2]).min(output[2]);
    reach(padding[2][0]).min(end)..end
}

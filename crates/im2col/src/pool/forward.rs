//! The forward pass, along rows of output.

use super::PoolKind;
use super::max3x3::Max3x3;
use super::stage::{Stage, maximum, sum};
use super::windows::{Divisor, Pooling};
use crate::kernel::{Isa, Job, MulAdd, Vectors, dispatch};

pub(super) struct Forward<'a> {
    pub(super) pooling: Pooling,
    pub(super) input: &'a [f32],
    pub(super) output: &'a mut [f32],
}

impl Forward<'_> {
    /// Pools all planes on this thread.
    pub(super) fn run_all(self, isa: Isa) {
        let Self { pooling, input, output } = self;
        if pooling.is_max_3x3() {
            dispatch(isa, Max3x3 { pooling, input, output });
        } else {
            dispatch(isa, Self { pooling, input, output });
        }
    }

    /// Runs in `parts` of whole planes, each on a thread of its own.
    #[cfg(feature = "rayon")]
    pub(super) fn run_parts(self, isa: Isa, parts: usize) {
        let Self { pooling, input, output } = self;
        let planes = output.len() / pooling.window.positions();
        if parts < 2 || planes < 2 {
            return Self { pooling, input, output }.run_all(isa);
        }
        let left = parts / 2;
        let share = (planes / parts * left).max(1);
        let (input, inputs) = input.split_at(share * pooling.window.plane_len());
        let (output, outputs) = output.split_at_mut(share * pooling.window.positions());
        rayon::join(
            || Self { pooling, input, output }.run_parts(isa, left),
            || Self { pooling, input: inputs, output: outputs }.run_parts(isa, parts - left),
        );
    }
}

impl Job for Forward<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { pooling, input, output } = self;
        match (pooling.kind, pooling.is_2x2()) {
            (PoolKind::Max, true) => tiles_2x2(&pooling, input, output, maximum, |max| max),
            (PoolKind::Average, true) => tiles_2x2(&pooling, input, output, sum, |sum| sum / 4.0),
            _ => for_each_row(&pooling, input, output),
        }
    }
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
    let chunks = pooling.staged_chunks();
    let mut stage = Stage::new();
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

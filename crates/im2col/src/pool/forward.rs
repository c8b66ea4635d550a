//! The forward pass, along rows of output.

use super::max3x3::Max3x3;
use super::params::PoolKind;
use super::stage::{RowBuffers, maximum, sum};
use super::sum::PairwiseMean;
use super::windows::{Divisor, Pooling};
use crate::simd::{Isa, Kernel, MulAdd, Vectors, dispatch};

pub(super) struct PoolForward<'a> {
    pub(super) pooling: Pooling,
    pub(super) input: &'a [f32],
    pub(super) output: &'a mut [f32],
}

impl PoolForward<'_> {
    /// Pools all planes on this thread.
    pub(super) fn run_all(self, isa: Isa) {
        let Self { pooling, input, output } = self;
        if pooling.is_max_3x3() {
            dispatch(isa, Max3x3 { pooling, input, output });
        } else if matches!(pooling.kind, PoolKind::Average) && pooling.is_long() {
            dispatch(isa, LongMeans { pooling, input, output });
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

impl Kernel for PoolForward<'_> {
    const USES_AVX512: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        mul_add: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { pooling, input, output } = self;
        match (pooling.kind, pooling.is_2x2()) {
            (PoolKind::Max, true) => tiles_2x2(&pooling, input, output, maximum, |max| max),
            (PoolKind::Average, true) => tiles_2x2(&pooling, input, output, sum, |sum| sum / 4.0),
            (PoolKind::Max, false) => max_rows(&pooling, input, output),
            (PoolKind::Average, false) => {
                sum_rows(&pooling.flattened(), input, output, mul_add);
                divide_rows(&pooling, output);
            }
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

/// All other maxima, a row of outputs at a time.
#[inline(always)]
fn max_rows(pooling: &Pooling, input: &[f32], output: &mut [f32]) {
    let (chunks, are_single) = (pooling.staged_chunks(), pooling.has_single_columns());
    let mut stage = RowBuffers::new();
    for (plane, at, output) in rows(pooling, input, output) {
        if are_single {
            fold_columns(pooling, plane, at, output, f32::NEG_INFINITY, maximum);
            continue;
        }
        if chunks > 0 {
            stage.max_row(pooling, plane, at, output, chunks);
            continue;
        }
        for (x, output) in output.iter_mut().enumerate() {
            *output = values(pooling, plane, at, x).fold(f32::NEG_INFINITY, maximum);
        }
    }
}

/// The sums of all other windows of few values, a row of outputs at a time.
#[inline(always)]
fn sum_rows(pooling: &Pooling, input: &[f32], output: &mut [f32], mul_add: impl MulAdd) {
    let (chunks, are_single) = (pooling.staged_chunks(), pooling.has_single_columns());
    let mut stage = RowBuffers::new();
    for (plane, at, output) in rows(pooling, input, output) {
        if are_single {
            fold_columns(pooling, plane, at, output, 0.0, sum);
            continue;
        }
        if chunks > 0 {
            stage.sum_row(pooling, plane, at, output, chunks, mul_add);
            continue;
        }
        for (x, output) in output.iter_mut().enumerate() {
            *output = values(pooling, plane, at, x).fold(0.0, sum);
        }
    }
}

/// Folds the rows of input that a row of output sees, value by value: each output sees a column of its own.
#[inline(always)]
fn fold_columns(
    pooling: &Pooling,
    plane: &[f32],
    [z, y]: [usize; 2],
    output: &mut [f32],
    first: f32,
    fold: impl Fn(f32, f32) -> f32,
) {
    output.fill(first);
    for row in pooling.input_rows(z, y) {
        for (output, value) in output.iter_mut().zip(&plane[row..]) {
            *output = fold(*output, *value);
        }
    }
}

/// Means of windows of many values: a kernel of its own, for it needs 5 KiB more of the stack.
struct LongMeans<'a> {
    pooling: Pooling,
    input: &'a [f32],
    output: &'a mut [f32],
}

impl Kernel for LongMeans<'_> {
    const USES_AVX2: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        mul_add: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { pooling, input, output } = self;
        let flattened = pooling.flattened();
        let rows = rows(&flattened, input, output);
        if flattened.staged_chunks() > 0 {
            let (mut stage, mut pairs) = (RowBuffers::new(), PairwiseMean::new());
            for (plane, at, output) in rows {
                stage.long_sum_row(&mut pairs, &flattened, plane, at, output, mul_add);
            }
        } else {
            let mut pairs = PairwiseMean::new();
            for (plane, at, output) in rows {
                for (x, output) in output.iter_mut().enumerate() {
                    *output = long_sum(&mut pairs, &flattened, plane, [at[0], at[1], x], mul_add);
                }
            }
        }
        divide_rows(&pooling, output);
    }
}

/// The plane, `[z, y]` and outputs of every row of output: an iterator, for the body of a loop is compiled for the
/// instruction set of the function that it is in; a closure need not be.
#[inline(always)]
fn rows<'a>(
    pooling: &Pooling,
    input: &'a [f32],
    output: &'a mut [f32],
) -> impl Iterator<Item = (&'a [f32], [usize; 2], &'a mut [f32])> {
    let [_, height, width] = pooling.window.output;
    let planes = input.chunks_exact(pooling.window.plane_len());
    let outputs = output.chunks_exact_mut(pooling.window.positions());
    planes.zip(outputs).flat_map(move |(plane, output)| {
        let rows = output.chunks_exact_mut(width).enumerate();
        rows.map(move |(row, output)| (plane, [row / height, row % height], output))
    })
}

/// What the window of output `x` sees in ascending order, one value after the other: for windows that do not fit the
/// stage or adapt, and rows too short for vectors.
#[inline(always)]
fn values(pooling: &Pooling, plane: &[f32], [z, y]: [usize; 2], x: usize) -> impl Iterator<Item = f32> {
    let (start, taps) = (pooling.start(2, x), pooling.taps(2, x));
    pooling
        .input_rows(z, y)
        .flat_map(move |row| taps.clone().map(move |tap| plane[row + pooling.column(start, tap)]))
}

/// The sum of what the window of output `x` sees, a vector at a time.
#[inline(always)]
fn long_sum(
    pairs: &mut PairwiseMean<1>,
    pooling: &Pooling,
    plane: &[f32],
    [z, y, x]: [usize; 3],
    mul_add: impl MulAdd,
) -> f32 {
    let taps = pooling.taps(2, x);
    if !taps.is_empty() {
        let first = pooling.column(pooling.start(2, x), taps.start);
        for row in pooling.input_rows(z, y) {
            pairs.add_row(&plane[row + first..], pooling.window.dilation[2], &taps, mul_add);
        }
    }
    pairs.take(|[a], [b]| [a + b])[0]
}

/// Divides the sums of all windows by what their means divide by.
#[inline(always)]
fn divide_rows(pooling: &Pooling, output: &mut [f32]) {
    if let Divisor::Constant(divisor) = pooling.divisor {
        output.iter_mut().for_each(|y| *y /= divisor as f32);
        return;
    }
    let [depth, height, width] = pooling.window.output;
    for (row, output) in output.chunks_exact_mut(width).enumerate() {
        let rows = pooling.counted_rows(row / height % depth, row % height);
        output.iter_mut().enumerate().for_each(|(x, y)| *y /= pooling.divisor(rows, x));
    }
}

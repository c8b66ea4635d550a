//! Pooling, forward and backward.

use crate::kernel::{Job, Lanes, MulAdd, NR, Vectors};
use crate::pool::PoolKind;
use crate::pool::windows::{Divisor, Pooling};

/// Pools planes; windows have one tap and one position on their first axis.
pub(crate) struct Pool<'a> {
    pub(crate) pooling: &'a Pooling,
    /// `[channels, height, width]`
    pub(crate) input: &'a [Lanes],
    /// `[channels, out height, out width]`
    pub(crate) output: &'a mut [Lanes],
}

impl Job for Pool<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { pooling, input, output } = self;
        let channels = output.len() / pooling.window.positions();
        match pooling.kind {
            PoolKind::Max => {
                for_each_window(pooling, channels, |plane, at, window| {
                    let plane = &input[plane * pooling.window.plane_len()..];
                    let mut max = [f32::NEG_INFINITY; NR];
                    window.for_each_tap(|_, offset| fold(&mut max, &plane[offset], larger));
                    output[at] = max;
                });
            }
            PoolKind::Average => {
                for_each_window(pooling, channels, |plane, at, window| {
                    let plane = &input[plane * pooling.window.plane_len()..];
                    let mut sum = [0.0; NR];
                    window.for_each_tap(|_, offset| fold(&mut sum, &plane[offset], |sum, value| sum + value));
                    window.divide(&mut sum);
                    output[at] = sum;
                });
            }
        }
    }
}

/// The gradient of pooling.
pub(crate) struct PoolBackward<'a> {
    pub(crate) pooling: &'a Pooling,
    /// `[channels, height, width]`
    pub(crate) input: &'a [Lanes],
    /// `[channels, out height, out width]`
    pub(crate) grad_output: &'a [Lanes],
    /// `[channels, height, width]`
    pub(crate) grad_input: &'a mut [Lanes],
}

impl Job for PoolBackward<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { pooling, input, grad_output, grad_input } = self;
        grad_input.fill([0.0; NR]);
        let plane_len = pooling.window.plane_len();
        let channels = grad_input.len() / plane_len;
        match pooling.kind {
            PoolKind::Max => {
                for_each_window(pooling, channels, |plane, at, window| {
                    let range = plane * plane_len..(plane + 1) * plane_len;
                    let (plane, grad_plane) = (&input[range.clone()], &mut grad_input[range]);
                    let (mut max, mut winner) = ([f32::NEG_INFINITY; NR], [0; NR]);
                    window.for_each_tap(|tap, offset| {
                        let values = &plane[offset];
                        for i in 0..NR {
                            // The first of the largest, or the last NaN.
                            let wins = values[i] > max[i] || values[i].is_nan();
                            max[i] = if wins { values[i] } else { max[i] };
                            winner[i] = if wins { tap } else { winner[i] };
                        }
                    });
                    let grads = &grad_output[at];
                    window.for_each_tap(|tap, offset| {
                        let to = &mut grad_plane[offset];
                        for i in 0..NR {
                            to[i] += if winner[i] == tap { grads[i] } else { 0.0 };
                        }
                    });
                });
            }
            PoolKind::Average => {
                for_each_window(pooling, channels, |plane, at, window| {
                    let grad_plane = &mut grad_input[plane * plane_len..(plane + 1) * plane_len];
                    let mut grads = grad_output[at];
                    window.divide(&mut grads);
                    window.for_each_tap(|_, offset| {
                        fold(&mut grad_plane[offset], &grads, |sum, grad| sum + grad)
                    });
                });
            }
        }
    }
}

/// A window, as far as it sees the plane.
struct Seen {
    /// Where in the plane the first tap is.
    first: usize,
    rows: usize,
    row_step: usize,
    columns: usize,
    column_step: usize,
    divisor: f32,
    /// One over the divisor, if that is exact.
    factor: Option<f32>,
}

impl Seen {
    /// Calls `visit(number, offset in the plane)` for each tap, in order.
    #[inline(always)]
    fn for_each_tap(&self, mut visit: impl FnMut(u32, usize)) {
        if (self.rows, self.columns) == (2, 2) {
            // Unrolled: LeNet's windows, and most networks'.
            visit(0, self.first);
            visit(1, self.first + self.column_step);
            visit(2, self.first + self.row_step);
            visit(3, self.first + self.row_step + self.column_step);
            return;
        }
        let mut number = 0;
        for row in 0..self.rows {
            for column in 0..self.columns {
                visit(number, self.first + row * self.row_step + column * self.column_step);
                number += 1;
            }
        }
    }

    /// Divides a sum by what its mean divides by.
    #[inline(always)]
    fn divide(&self, sum: &mut Lanes) {
        match self.factor {
            Some(factor) => sum.iter_mut().for_each(|sum| *sum *= factor),
            None => sum.iter_mut().for_each(|sum| *sum /= self.divisor),
        }
    }
}

/// Calls `visit(plane, position of the output, window)` for the windows of all planes.
#[inline(always)]
fn for_each_window(pooling: &Pooling, channels: usize, mut visit: impl FnMut(usize, usize, &Seen)) {
    let [_, height, width] = pooling.window.output;
    let [_, _, input_width] = pooling.window.input;
    let mut at = 0;
    for plane in 0..channels {
        for y in 0..height {
            let (mut first_row, mut rows) = (0, 0);
            for row in pooling.input_rows(0, y) {
                first_row = if rows == 0 { row } else { first_row };
                rows += 1;
            }
            let counted_rows = match pooling.divisor {
                Divisor::Constant(_) => 0,
                Divisor::Padded | Divisor::Seen => pooling.counted_rows(0, y),
            };
            for x in 0..width {
                let taps = pooling.taps(2, x);
                let divisor = pooling.divisor(counted_rows, x);
                let mut seen = Seen {
                    first: 0,
                    rows,
                    row_step: pooling.window.dilation[1] * input_width,
                    columns: taps.len(),
                    column_step: pooling.window.dilation[2],
                    divisor,
                    factor: (divisor as usize).is_power_of_two().then(|| 1.0 / divisor),
                };
                if seen.rows * seen.columns > 0 {
                    seen.first = first_row + pooling.column(pooling.start(2, x), taps.start);
                }
                visit(plane, at, &seen);
                at += 1;
            }
        }
    }
}

#[inline(always)]
fn fold(to: &mut Lanes, values: &Lanes, f: impl Fn(f32, f32) -> f32) {
    for i in 0..NR {
        to[i] = f(to[i], values[i]);
    }
}

/// The larger one; NaN, once found, stays.
#[inline(always)]
fn larger(max: f32, value: f32) -> f32 {
    if value > max || value.is_nan() { value } else { max }
}

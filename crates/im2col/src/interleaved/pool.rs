//! Pooling, forward and backward.

use crate::activation::{Activation, ApplyBackward, relu_backward, sigmoid_backward, tanh_backward};
use crate::pool::PoolKind;
use crate::pool::sum::{CHAINS, PairwiseMean, block_end, plus, sum_of_chains};
use crate::pool::windows::{Divisor, Pooling};
use crate::simd::{Isa, Kernel, Lanes, MulAdd, NR, Vectors, dispatch};
use core::ops::Range;

/// Pools planes; windows have one tap and one position on their first axis.
pub(crate) struct Pool<'a> {
    pub(crate) pooling: &'a Pooling,
    /// `[channels, height, width]`
    pub(crate) input: &'a [Lanes],
    /// `[channels, out height, out width]`
    pub(crate) output: &'a mut [Lanes],
}

impl Pool<'_> {
    pub(crate) fn compute(self, isa: Isa) {
        if self.pooling.is_2x2() {
            dispatch(isa, self);
        } else {
            dispatch(isa, Windows(self));
        }
    }
}

/// Windows that are the 2x2 tiles of a plane.
impl Kernel for Pool<'_> {
    const USES_AVX512: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { pooling, input, output } = self;
        match pooling.kind {
            PoolKind::Max => {
                for (output, offsets) in output.iter_mut().zip(Offsets2x2::new(pooling)) {
                    let [first, rest @ ..] = offsets.map(|offset| &input[offset]);
                    let mut max = *first;
                    rest.into_iter().for_each(|values| fold(&mut max, values, larger));
                    *output = max;
                }
            }
            PoolKind::Average => {
                for (output, offsets) in output.iter_mut().zip(Offsets2x2::new(pooling)) {
                    let [a, b, c, d] = offsets.map(|offset| &input[offset]);
                    let mut mean = [0.0; NR];
                    for i in 0..NR {
                        mean[i] = (((a[i] + b[i]) + c[i]) + d[i]) * 0.25;
                    }
                    *output = mean;
                }
            }
        }
    }
}

/// All other windows. A kernel of its own, since it takes 7 KiB more of the stack than 2x2 windows.
struct Windows<'a>(Pool<'a>);

impl Kernel for Windows<'_> {
    const USES_AVX512: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        mul_add: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self(Pool { pooling, input, output }) = self;
        match pooling.kind {
            PoolKind::Max => for_each_window(pooling, output.len(), |offset, at, window| {
                let (plane, mut max) = (&input[offset..], [f32::NEG_INFINITY; NR]);
                window.for_each_tap(|_, offset| fold(&mut max, &plane[offset], larger));
                output[at] = max;
            }),
            PoolKind::Average => {
                let mut pairs = PairwiseMean::new();
                for_each_window(&pooling.flattened(), output.len(), |offset, at, window| {
                    let plane = &input[offset..];
                    output[at] = if pooling.is_long() {
                        window.long_sum(plane, &mut pairs, plus(mul_add))
                    } else {
                        let mut sum = [0.0; NR];
                        window.for_each_tap(|_, offset| fold(&mut sum, &plane[offset], |sum, x| sum + x));
                        sum
                    };
                });
                for_each_window(pooling, output.len(), |_, at, window| {
                    output[at] = window.divided(output[at]);
                });
            }
        }
    }
}

/// The gradient of pooling, and of the activation before it.
pub(crate) struct PoolBackward<'a> {
    pub(crate) pooling: &'a Pooling,
    /// The activation whose output is `input`.
    pub(crate) activation: Activation,
    /// `[channels, height, width]`
    pub(crate) input: &'a [Lanes],
    /// `[channels, out height, out width]`
    pub(crate) grad_output: &'a [Lanes],
    /// `[channels, height, width]`, of what the activation was applied to
    pub(crate) grad_input: &'a mut [Lanes],
}

impl PoolBackward<'_> {
    /// Computes the gradient. Unless the windows are 2x2 tiles, the derivative of the activation is a pass of its own after the
    /// kernel.
    pub(crate) fn compute(self, isa: Isa) {
        let Self { pooling, activation, input, grad_output, grad_input } = self;
        dispatch(isa, PoolBackward { pooling, activation, input, grad_output, grad_input: &mut *grad_input });
        if !pooling.is_2x2() {
            let (output, grad) = (input.as_flattened(), grad_input.as_flattened_mut());
            ApplyBackward { activation, output, grad }.compute(isa);
        }
    }
}

impl Kernel for PoolBackward<'_> {
    const USES_AVX2: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        _: impl Vectors,
    ) {
        let [_, height, width] = self.pooling.window.input;
        let is_tiled = self.pooling.is_2x2();
        // Offsets2x2 write each value of even planes once.
        if !is_tiled || (height | width) & 1 != 0 {
            self.grad_input.fill([0.0; NR]);
        }
        if is_tiled {
            // Matched outside the loop, so that each loop is one vectorised expression.
            match self.activation {
                Activation::Identity => self.tiles(|_, grad| grad),
                Activation::Relu => self.tiles(relu_backward),
                Activation::Sigmoid => self.tiles(sigmoid_backward),
                Activation::Tanh => self.tiles(tanh_backward),
            }
        } else {
            let Self { pooling, input, grad_output, grad_input, .. } = self;
            for_each_window(pooling, grad_output.len(), |offset, at, window| {
                let (plane, grad_plane) = (&input[offset..], &mut grad_input[offset..]);
                let grad = &grad_output[at];
                match pooling.kind {
                    PoolKind::Max => {
                        let (mut max, mut winner) = ([f32::NEG_INFINITY; NR], [0; NR]);
                        window.for_each_tap(|tap, offset| win(tap, &plane[offset], &mut max, &mut winner));
                        window.for_each_tap(|tap, offset| {
                            fold(&mut grad_plane[offset], &share(tap, &winner, grad), |sum, grad| sum + grad);
                        });
                    }
                    PoolKind::Average => {
                        let part = window.divided(*grad);
                        window.for_each_tap(|_, offset| {
                            fold(&mut grad_plane[offset], &part, |sum, grad| sum + grad);
                        });
                    }
                }
            });
        }
    }
}

impl PoolBackward<'_> {
    /// `through(output, gradient)` is the gradient of the activation.
    #[inline(always)]
    fn tiles(self, through: impl Fn(f32, f32) -> f32) {
        let Self { pooling, input, grad_output, grad_input, .. } = self;
        match pooling.kind {
            PoolKind::Max => {
                for (grad, offsets) in grad_output.iter().zip(Offsets2x2::new(pooling)) {
                    let values = offsets.map(|offset| &input[offset]);
                    let (mut max, mut winner) = (*values[0], [0; NR]);
                    win(1, values[1], &mut max, &mut winner);
                    win(2, values[2], &mut max, &mut winner);
                    win(3, values[3], &mut max, &mut winner);
                    for ((tap, offset), values) in (0..).zip(offsets).zip(values) {
                        let mut share = share(tap, &winner, grad);
                        for i in 0..NR {
                            share[i] = through(values[i], share[i]);
                        }
                        grad_input[offset] = share;
                    }
                }
            }
            PoolKind::Average => {
                for (grad, offsets) in grad_output.iter().zip(Offsets2x2::new(pooling)) {
                    for offset in offsets {
                        let (values, mut share) = (&input[offset], [0.0; NR]);
                        for i in 0..NR {
                            share[i] = through(values[i], grad[i] * 0.25);
                        }
                        grad_input[offset] = share;
                    }
                }
            }
        }
    }
}

/// Takes note of a tap where its value is the largest so far: the first of the largest wins, or the last NaN.
#[inline(always)]
fn win(tap: u32, values: &Lanes, max: &mut Lanes, winner: &mut [u32; NR]) {
    for i in 0..NR {
        let wins = values[i] > max[i] || values[i].is_nan();
        max[i] = if wins { values[i] } else { max[i] };
        winner[i] = if wins { tap } else { winner[i] };
    }
}

/// What a tap gets of the gradient.
#[inline(always)]
fn share(tap: u32, winner: &[u32; NR], grad: &Lanes) -> Lanes {
    let mut share = [0.0; NR];
    for i in 0..NR {
        share[i] = if winner[i] == tap { grad[i] } else { 0.0 };
    }
    share
}

/// The offsets of the four inputs of each 2x2 tile, plane by plane.
///
/// An iterator, for the body of a loop is compiled for the instruction set of the function that it is in; a closure
/// that several of them share need not be.
struct Offsets2x2 {
    input: [usize; 2],
    output: [usize; 2],
    plane: usize,
    y: usize,
    x: usize,
    /// Of the tile's first input.
    upper: usize,
}

impl Offsets2x2 {
    #[inline(always)]
    fn new(pooling: &Pooling) -> Self {
        let ([_, height, width], [_, input_height, input_width]) =
            (pooling.window.output, pooling.window.input);
        Self { input: [input_height, input_width], output: [height, width], plane: 0, y: 0, x: 0, upper: 0 }
    }
}

impl Iterator for Offsets2x2 {
    type Item = [usize; 4];

    /// Never ends: zipped with the outputs.
    #[inline(always)]
    fn next(&mut self) -> Option<[usize; 4]> {
        let ([height, width], [input_height, input_width]) = (self.output, self.input);
        let (upper, lower) = (self.upper, self.upper + input_width);
        self.upper += 2;
        self.x += 1;
        if self.x == width {
            (self.x, self.y) = (0, self.y + 1);
            if self.y == height {
                (self.y, self.plane) = (0, self.plane + 1);
            }
            self.upper = (self.plane * input_height + 2 * self.y) * input_width;
        }
        Some([upper, upper + 1, lower, lower + 1])
    }
}

/// A window, as far as it sees the plane.
struct Seen {
    /// Where in the plane the first tap is.
    first: usize,
    rows: usize,
    row_step: usize,
    /// The taps of each row that see it.
    taps: Range<usize>,
    column_step: usize,
    divisor: f32,
    /// One over the divisor, if that is exact.
    factor: Option<f32>,
}

impl Seen {
    /// Calls `visit(number, offset in the plane)` for each tap, in order.
    #[inline(always)]
    fn for_each_tap(&self, mut visit: impl FnMut(u32, usize)) {
        let mut number = 0;
        for row in 0..self.rows {
            for column in 0..self.taps.len() {
                visit(number, self.first + row * self.row_step + column * self.column_step);
                number += 1;
            }
        }
    }

    /// The sum of many taps, in blocks (`pool/sum.rs`).
    #[inline(always)]
    fn long_sum(
        &self,
        plane: &[Lanes],
        pairs: &mut PairwiseMean<NR>,
        plus: impl Fn(Lanes, Lanes) -> Lanes + Copy,
    ) -> Lanes {
        for row in 0..self.rows {
            let first = self.first + row * self.row_step;
            let mut tap = self.taps.start;
            while tap < self.taps.end {
                let mut chains = [[0.0; NR]; CHAINS];
                let end = block_end(tap, &self.taps);
                for tap in tap..end {
                    let offset = first + (tap - self.taps.start) * self.column_step;
                    chains[tap % CHAINS] = plus(plane[offset], chains[tap % CHAINS]);
                }
                pairs.add(sum_of_chains(&mut chains, CHAINS, plus), plus);
                tap = end;
            }
        }
        pairs.take(plus)
    }

    /// A sum divided by what its mean divides by.
    #[inline(always)]
    fn divided(&self, mut sum: Lanes) -> Lanes {
        match self.factor {
            Some(factor) => sum.iter_mut().for_each(|sum| *sum *= factor),
            None => sum.iter_mut().for_each(|sum| *sum /= self.divisor),
        }
        sum
    }
}

/// Calls `visit(offset of the plane, position of the output, window)` for the windows of all planes.
#[inline(always)]
fn for_each_window(pooling: &Pooling, outputs: usize, mut visit: impl FnMut(usize, usize, &Seen)) {
    let [_, height, width] = pooling.window.output;
    let [_, _, input_width] = pooling.window.input;
    let mut at = 0;
    for plane in 0..outputs / pooling.window.positions() {
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
                    // Too large a step for an integer leaves one row.
                    row_step: pooling.window.dilation[1].wrapping_mul(input_width),
                    taps,
                    column_step: pooling.window.dilation[2],
                    divisor,
                    factor: (divisor as usize).is_power_of_two().then(|| 1.0 / divisor),
                };
                if seen.rows * seen.taps.len() > 0 {
                    seen.first = first_row + pooling.column(pooling.start(2, x), seen.taps.start);
                }
                visit(plane * pooling.window.plane_len(), at, &seen);
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

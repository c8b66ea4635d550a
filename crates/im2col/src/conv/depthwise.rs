//! Depthwise convolution: one channel in, one channel out, 3x3 or 5x5 taps, stride 1 or 2.
//!
//! The input is read where it lies, a vector for each tap. Which lanes of it are padding depends only
//! on the tap's column and on where in its line the vector stands: masks for the first and the last
//! vector serve all lines, and the others need none. Nothing is copied and no scratch is needed.

use super::forward::Forward;
use super::mask::{self, Mask};
use crate::activation::Activation;
use crate::kernel::{Isa, Job, Lanes, MulAdd, NR, dispatch};
use crate::padding::PaddingMode;
use crate::window::Window;
use core::ops::Range;

/// Whether there is a kernel for the window.
pub(super) const fn is_supported(window: &Window) -> bool {
    let Window { kernel: [planes, height, width], stride, dilation, mode, .. } = *window;
    let square = planes == 1 && height == width && (width == 3 || width == 5);
    let strided = stride[1] == stride[2] && (stride[2] == 1 || stride[2] == 2);
    square && strided && dilation[1] == 1 && dilation[2] == 1 && matches!(mode, PaddingMode::Zeros)
}

/// Runs the kernel for the window.
pub(super) fn forward(isa: Isa, forward: Forward<'_>) {
    match (forward.shape.window.kernel[2], forward.shape.window.stride[2]) {
        (3, 1) => dispatch(isa, Depthwise::<3, 1, { span(3, 1, 1) }, { span(3, 1, 2) }, 3>(forward)),
        (3, 2) => dispatch(isa, Depthwise::<3, 2, { span(3, 2, 1) }, { span(3, 2, 2) }, 2>(forward)),
        (5, 1) => dispatch(isa, Depthwise::<5, 1, { span(5, 1, 1) }, { span(5, 1, 2) }, 5>(forward)),
        (5, 2) => dispatch(isa, Depthwise::<5, 2, { span(5, 2, 1) }, { span(5, 2, 2) }, 3>(forward)),
        _ => {}
    }
}

/// A vector of outputs reads `SPAN` values of a line, two read `PAIR`, and a line is for at most `OPEN`
/// lines of output. Each kernel is a job of its own, or they would compete for registers.
struct Depthwise<
    'a,
    const K: usize,
    const STRIDE: usize,
    const SPAN: usize,
    const PAIR: usize,
    const OPEN: usize,
>(Forward<'a>);

impl<const K: usize, const STRIDE: usize, const SPAN: usize, const PAIR: usize, const OPEN: usize> Job
    for Depthwise<'_, K, STRIDE, SPAN, PAIR, OPEN>
{
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize>(self, mul_add: impl MulAdd) {
        let mut forward = self.0;
        let (shape, activation) = (forward.shape, forward.activation);
        let window = shape.window;
        let singles = Columns::<K, STRIDE, OPEN, 1, SPAN>::new(&window);
        let nothing_to_do = forward.bias.is_empty() && activation == Activation::Identity;
        for image in 0..shape.batch {
            for group in 0..shape.groups {
                let group_weights = forward.weights(group);
                let mut weights = [[0.0; K]; K];
                for (tap, weights) in weights.as_flattened_mut().iter_mut().enumerate() {
                    *weights = group_weights.at(tap);
                }
                let bias = (!nothing_to_do).then(|| forward.bias.get(group).copied().unwrap_or_default());
                let (planes, output) = forward.image(image, group);
                let [depth, lines, width] = window.output;
                for z in 0..depth {
                    let in_z = (z * window.stride[0]).wrapping_sub(window.padding[0][0]);
                    let output = &mut output[z * lines * width..][..lines * width];
                    if in_z >= window.input[0] {
                        output.fill(0.0);
                        continue;
                    }
                    let start = planes.start + in_z * window.input[1] * window.input[2];
                    for first in (0..lines).step_by(LINES) {
                        let lines = first..lines.min(first + LINES);
                        for x in (0..width).step_by(NR) {
                            singles.fill(planes.input, start, x, lines.clone(), &weights, output, mul_add);
                        }
                    }
                }
                if let Some(bias) = bias {
                    activation.finish(output, bias);
                }
            }
        }
    }
}

/// Lines of output that a column of vectors goes down before the next one begins.
const LINES: usize = 28;

/// How many values of a line so many vectors of outputs read.
const fn span(taps: usize, stride: usize, vectors: usize) -> usize {
    vectors * NR * stride + taps + (stride - 1) * 13
}

/// Columns of outputs that are `VECTORS` wide.
struct Columns<
    'a,
    const K: usize,
    const STRIDE: usize,
    const OPEN: usize,
    const VECTORS: usize,
    const SPAN: usize,
> {
    window: &'a Window,
    /// Which lanes of the first and of the last column see the input.
    left: [[Mask; K]; VECTORS],
    right: [[Mask; K]; VECTORS],
}

impl<'a, const K: usize, const STRIDE: usize, const OPEN: usize, const VECTORS: usize, const SPAN: usize>
    Columns<'a, K, STRIDE, OPEN, VECTORS, SPAN>
{
    #[inline(always)]
    fn new(window: &'a Window) -> Self {
        let mut columns = Self { window, left: [[[0; NR]; K]; VECTORS], right: [[[0; NR]; K]; VECTORS] };
        columns.left = columns.masks(columns.first_tap(0));
        columns.right = columns.masks(columns.first_tap(columns.last()));
        columns
    }

    /// The last column ends where the line does, if that is long enough.
    #[inline(always)]
    fn last(&self) -> usize {
        self.window.output[2].saturating_sub(VECTORS * NR)
    }

    /// Where on its line the first tap of output `x` reads; wraps around before it.
    #[inline(always)]
    fn first_tap(&self, x: usize) -> usize {
        (x * STRIDE).wrapping_sub(self.window.padding[2][0])
    }

    #[inline(always)]
    fn masks(&self, at: usize) -> [[Mask; K]; VECTORS] {
        let mut masks = [[[0; NR]; K]; VECTORS];
        for (vector, masks) in masks.iter_mut().enumerate() {
            *masks = self::masks::<K, STRIDE>(at.wrapping_add(vector * NR * STRIDE), self.window.input[2]);
        }
        masks
    }

    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "work in progress")]
    fn fill(
        &self,
        input: &[f32],
        start: usize,
        x: usize,
        lines: Range<usize>,
        weights: &[[f32; K]; K],
        output: &mut [f32],
        mul_add: impl MulAdd,
    ) {
        let (width, last) = (self.window.input[2], self.last());
        let x = x.min(last);
        let at = self.first_tap(x);
        let start = start.wrapping_add(at);
        if at < width && width - at >= (NR - 1) * STRIDE + K {
            self.column(input, start, x, lines, weights, None, output, mul_add);
        } else {
            let masks = if x == 0 {
                self.left
            } else if x == last {
                self.right
            } else {
                // Where a vector has fewer lanes than the kernel is wide.
                self.masks(at)
            };
            self.column(input, start, x, lines, weights, Some(masks), output, mul_add);
        }
    }

    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "work in progress")]
    fn column(
        &self,
        input: &[f32],
        start: usize,
        x: usize,
        lines: Range<usize>,
        weights: &[[f32; K]; K],
        masks: Option<[[Mask; K]; VECTORS]>,
        output: &mut [f32],
        mul_add: impl MulAdd,
    ) {
        let ([_, height, in_width], width) = (self.window.input, self.window.output[2]);
        let mut sums = [[[0.0; NR]; VECTORS]; OPEN];
        // The first lines of input are for outputs before, too, which are not stored.
        let mut row = (lines.start * STRIDE + K).wrapping_sub(self.window.padding[1][0] + OPEN * STRIDE);
        let mut to = lines.start * width + x;
        let steps = lines.len() + OPEN - 1;
        let mut step = 0;
        while step < steps {
            let at = start.wrapping_add(row.wrapping_mul(in_width));
            if step + 1 >= OPEN && row < height {
                let sure = (steps - step).min((height - row) / STRIDE);
                let values = input.get(at..).unwrap_or_default();
                let before = step;
                for values in values.windows(SPAN + (STRIDE - 1) * in_width).step_by(STRIDE * in_width).take(sure) {
                    let Some(upper) = values.first_chunk() else { break };
                    Self::line::<0>(weights, upper, &masks, &mut sums, mul_add);
                    if STRIDE == 2 {
                        let Some(lower) = values[in_width..].first_chunk() else { break };
                        Self::line::<1>(weights, lower, &masks, &mut sums, mul_add);
                    }
                    let done = sums[0];
                    let output = output.get_mut(to..).unwrap_or_default();
                    match output.as_chunks_mut::<NR>().0.first_chunk_mut() {
                        Some(output) => *output = done,
                        None => store_end(output, done[0]),
                    }
                    to += width;
                    next_line(&mut sums);
                    step += 1;
                }
                if step > before {
                    row += (step - before) * STRIDE;
                    continue;
                }
            }
            if row < height {
                let beyond;
                let values = match input.get(at..).and_then(<[f32]>::first_chunk) {
                    Some(values) => values,
                    None => {
                        beyond = read_each(input, at);
                        &beyond
                    }
                };
                Self::line::<0>(weights, values, &masks, &mut sums, mul_add);
            }
            if STRIDE == 2 && row.wrapping_add(1) < height {
                let at = at.wrapping_add(in_width);
                let beyond;
                let values = match input.get(at..).and_then(<[f32]>::first_chunk) {
                    Some(values) => values,
                    None => {
                        beyond = read_each(input, at);
                        &beyond
                    }
                };
                Self::line::<1>(weights, values, &masks, &mut sums, mul_add);
            }
            row = row.wrapping_add(STRIDE);
            if step + 1 >= OPEN {
                let done = sums[0];
                let output = output.get_mut(to..).unwrap_or_default();
                match output.as_chunks_mut::<NR>().0.first_chunk_mut() {
                    Some(output) => *output = done,
                    None => store_end(output, done[0]),
                }
                to += width;
            }
            next_line(&mut sums);
            step += 1;
        }
    }

    /// Adds what a line of input is for to the sums.
    #[inline(always)]
    fn line<const J: usize>(
        weights: &[[f32; K]; K],
        values: &[f32; SPAN],
        masks: &Option<[[Mask; K]; VECTORS]>,
        sums: &mut [[Lanes; VECTORS]; OPEN],
        mul_add: impl MulAdd,
    ) {
        let mut taps = taps::<K, STRIDE, VECTORS, SPAN>(values, mul_add);
        if let Some(masks) = masks {
            for kx in 0..K {
                for v in 0..VECTORS {
                    taps[kx][v] = mask::apply(&masks[v][kx], taps[kx][v]);
                }
            }
        }
        for kx in 0..K {
            for d in 0..OPEN {
                let ky = (K - STRIDE + J).wrapping_sub(d * STRIDE);
                if ky < K {
                    for v in 0..VECTORS {
                        sums[d][v] = mul_add(weights[ky][kx], taps[kx][v], sums[d][v]);
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn next_line<const VECTORS: usize, const OPEN: usize>(sums: &mut [[Lanes; VECTORS]; OPEN]) {
    sums[0] = sums[1];
    if OPEN > 2 {
        sums[1] = sums[2];
    }
    if OPEN > 3 {
        sums[2] = sums[3];
    }
    if OPEN > 4 {
        sums[3] = sums[4];
    }
    sums[OPEN - 1] = [[0.0; NR]; VECTORS];
}

/// What each tap finds in the values.
#[inline(always)]
fn taps<const K: usize, const STRIDE: usize, const VECTORS: usize, const SPAN: usize>(
    values: &[f32; SPAN],
    mul_add: impl MulAdd,
) -> [[Lanes; VECTORS]; K] {
    let mut taps = [[[0.0; NR]; VECTORS]; K];
    if STRIDE == 1 {
        for (kx, taps) in taps.iter_mut().enumerate() {
            for (v, lanes) in taps.iter_mut().enumerate() {
                lanes.copy_from_slice(&values[kx + v * NR..][..NR]);
            }
        }
        return taps;
    }
    for v in 0..VECTORS {
        let (mut a, mut b) = ([0.0; NR], [0.0; NR]);
        a.copy_from_slice(&values[2 * v * NR..][..NR]);
        b.copy_from_slice(&values[2 * v * NR + NR..][..NR]);
        let (a, b) = (mul_add(1.0, a, [-0.0; NR]), mul_add(1.0, b, [-0.0; NR]));
        taps[0][v] = even(a, b);
        taps[1][v] = odd(a, b);
    }
    for kx in 2..K {
        for v in 0..VECTORS {
            let mut next = [0.0; NR];
            next.copy_from_slice(&values[2 * NR + kx - 2..][..NR]);
            taps[kx][v] = shifted(taps[kx - 2][v], mul_add(1.0, next, [-0.0; NR]));
        }
    }
    taps
}

#[inline(always)]
fn even(a: Lanes, b: Lanes) -> Lanes {
    [
        a[0], a[2], a[4], a[6], a[8], a[10], a[12], a[14], b[0], b[2], b[4], b[6], b[8], b[10], b[12], b[14],
    ]
}

#[inline(always)]
fn odd(a: Lanes, b: Lanes) -> Lanes {
    [
        a[1], a[3], a[5], a[7], a[9], a[11], a[13], a[15], b[1], b[3], b[5], b[7], b[9], b[11], b[13], b[15],
    ]
}

#[inline(always)]
fn shifted(a: Lanes, next: Lanes) -> Lanes {
    [
        a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10], a[11], a[12], a[13], a[14], a[15], next[0],
    ]
}

/// For each tap, the lanes that see a line of `width` values when the first tap of the first lane is
/// at `x`.
#[inline(always)]
fn masks<const K: usize, const STRIDE: usize>(x: usize, width: usize) -> [Mask; K] {
    let mut masks = [[0; NR]; K];
    for (kx, mask) in masks.iter_mut().enumerate() {
        *mask = seen::<STRIDE>(x.wrapping_add(kx), width);
    }
    masks
}

/// The lanes that see a line of `width` values when the first is at `x`, which wraps around before it.
#[inline(always)]
fn seen<const STRIDE: usize>(x: usize, width: usize) -> Mask {
    let x = x as isize;
    let before = if x < 0 { x.unsigned_abs().div_ceil(STRIDE) } else { 0 };
    let end = width.saturating_add_signed(-x).div_ceil(STRIDE);
    let end = if x >= width as isize { 0 } else { end };
    mask::lanes(before.min(NR), end.min(NR))
}

/// The values from `start` on, which wraps around before the input; 0 for those that do not exist.
#[cold]
#[inline(never)]
fn read_each<const SPAN: usize>(input: &[f32], start: usize) -> [f32; SPAN] {
    let mut values = [0.0; SPAN];
    for (i, value) in values.iter_mut().enumerate() {
        *value = input.get(start.wrapping_add(i)).copied().unwrap_or_default();
    }
    values
}

/// The last vector of a plane, in parts of known length: a copy of any length is a call.
#[inline(always)]
fn store_end(output: &mut [f32], sums: Lanes) {
    let mut rest = [0.0; NR];
    rest.copy_from_slice(&sums);
    let output = store_part::<8>(output, &mut rest);
    let output = store_part::<4>(output, &mut rest);
    let output = store_part::<2>(output, &mut rest);
    store_part::<1>(output, &mut rest);
}

/// Stores so many values where there is room for them.
#[inline(always)]
fn store_part<'a, const LEN: usize>(output: &'a mut [f32], rest: &mut Lanes) -> &'a mut [f32] {
    if output.len() < LEN {
        return output;
    }
    let (part, output) = output.split_at_mut(LEN);
    part.copy_from_slice(&rest[..LEN]);
    for i in 0..LEN {
        rest[i] = rest[i + LEN];
    }
    output
}

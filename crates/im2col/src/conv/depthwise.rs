//! Depthwise convolution: one channel in, one channel out, 3x3 or 5x5 taps, stride 1 or 2.
//!
//! The input is read where it lies, a vector for each tap. Which lanes of it are padding depends only
//! on the tap's column and on where in its line the vector stands: masks for the first and the last
//! vector serve all lines, and the others need none. Nothing is copied and no scratch is needed.

use super::forward::Forward;
use super::in_place::{GroupWeights, Planes};
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
        (3, 1) => dispatch(isa, Depthwise::<3, 1, { span(3, 1) }, 3>(forward)),
        (3, 2) => dispatch(isa, Depthwise::<3, 2, { span(3, 2) }, 2>(forward)),
        (5, 1) => dispatch(isa, Depthwise::<5, 1, { span(5, 1) }, 5>(forward)),
        (5, 2) => dispatch(isa, Depthwise::<5, 2, { span(5, 2) }, 3>(forward)),
        _ => {}
    }
}

/// A vector of outputs reads `SPAN` values of a line, and a line is for at most `OPEN` lines of output.
/// Each kernel is a job of its own, or they would compete for registers.
struct Depthwise<'a, const K: usize, const STRIDE: usize, const SPAN: usize, const OPEN: usize>(Forward<'a>);

impl<const K: usize, const STRIDE: usize, const SPAN: usize, const OPEN: usize> Job
    for Depthwise<'_, K, STRIDE, SPAN, OPEN>
{
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize>(self, mul_add: impl MulAdd) {
        let mut forward = self.0;
        let (shape, activation) = (forward.shape, forward.activation);
        let kernel = Kernel::<K, STRIDE, SPAN, OPEN>::new(&shape.window);
        let nothing_to_do = forward.bias.is_empty() && activation == Activation::Identity;
        for image in 0..shape.batch {
            for group in 0..shape.groups {
                let weights = forward.weights(group);
                let bias = (!nothing_to_do).then(|| forward.bias.get(group).copied().unwrap_or_default());
                let (planes, output) = forward.image(image, group);
                kernel.convolve(planes, weights, output, mul_add);
                if let Some(bias) = bias {
                    activation.finish(output, bias);
                }
            }
        }
    }
}

/// Lines of output that a column of vectors goes down before the next one begins.
const LINES: usize = 28;

/// How many values of a line a vector of outputs reads.
const fn span(taps: usize, stride: usize) -> usize {
    (NR - 1) * stride + taps
}

struct Kernel<'a, const K: usize, const STRIDE: usize, const SPAN: usize, const OPEN: usize> {
    window: &'a Window,
    left: [Mask; K],
    right: [Mask; K],
}

/// The last vector of a line ends where the line does, if that is long enough.
const fn last_vector(width: usize) -> usize {
    width.saturating_sub(NR)
}

impl<'a, const K: usize, const STRIDE: usize, const SPAN: usize, const OPEN: usize>
    Kernel<'a, K, STRIDE, SPAN, OPEN>
{
    #[inline(always)]
    fn new(window: &'a Window) -> Self {
        let mut kernel = Self { window, left: [[0; NR]; K], right: [[0; NR]; K] };
        kernel.left = masks::<K, STRIDE>(kernel.first_tap(0), window.input[2]);
        kernel.right = masks::<K, STRIDE>(kernel.first_tap(last_vector(window.output[2])), window.input[2]);
        kernel
    }

    /// Where on its line the first tap of output `x` reads; wraps around before it.
    #[inline(always)]
    fn first_tap(&self, x: usize) -> usize {
        (x * STRIDE).wrapping_sub(self.window.padding[2][0])
    }

    /// Writes the sums of a plane, `[positions]`, without bias and activation.
    #[inline(always)]
    fn convolve(
        &self,
        plane: Planes<'_>,
        group: GroupWeights<'_>,
        output: &mut [f32],
        mul_add: impl MulAdd,
    ) {
        let mut weights = [[0.0; K]; K];
        for (tap, weights) in weights.as_flattened_mut().iter_mut().enumerate() {
            *weights = group.at(tap);
        }
        let Window { output: [planes, lines, width], input, stride, padding, .. } = *self.window;
        let last = last_vector(width);
        for z in 0..planes {
            let in_z = (z * stride[0]).wrapping_sub(padding[0][0]);
            let output = &mut output[z * lines * width..][..lines * width];
            if in_z >= input[0] {
                output.fill(0.0);
                continue;
            }
            let start = plane.start + in_z * input[1] * input[2];
            for first in (0..lines).step_by(LINES) {
                let lines = first..lines.min(first + LINES);
                for x in (0..width).step_by(NR) {
                    let x = x.min(last);
                    let at = self.first_tap(x);
                    let mut column = Column { input: plane.input, start: start.wrapping_add(at), x, lines: lines.clone(), masks: None };
                    if at < input[2] && input[2] - at >= SPAN {
                        self.column(&weights, column, output, mul_add);
                        continue;
                    }
                    let masks;
                    column.masks = Some(if x == 0 {
                        &self.left
                    } else if x == last {
                        &self.right
                    } else {
                        // Where a vector has fewer lanes than the kernel is wide.
                        masks = self::masks::<K, STRIDE>(at, input[2]);
                        &masks
                    });
                    self.column(&weights, column, output, mul_add);
                }
            }
        }
    }

    #[inline(always)]
    fn column(
        &self,
        weights: &[[f32; K]; K],
        column: Column<'_, K>,
        output: &mut [f32],
        mul_add: impl MulAdd,
    ) {
        let ([_, height, in_width], width) = (self.window.input, self.window.output[2]);
        let Column { input, start, x, lines, masks } = column;
        let mut sums = [[0.0; NR]; OPEN];
        // The first lines of input are for outputs before, too, which are not stored.
        let mut row = (lines.start * STRIDE + K).wrapping_sub(self.window.padding[1][0] + OPEN * STRIDE);
        for step in 0..lines.len() + OPEN - 1 {
            if row < height {
                let start = start.wrapping_add(row * in_width);
                Self::line::<0>(weights, input, start, masks, &mut sums, mul_add);
            }
            if STRIDE == 2 && row.wrapping_add(1) < height {
                let start = start.wrapping_add(row.wrapping_add(1) * in_width);
                Self::line::<1>(weights, input, start, masks, &mut sums, mul_add);
            }
            row = row.wrapping_add(STRIDE);
            if step + 1 >= OPEN {
                let line = lines.start + (step + 1 - OPEN);
                let output = &mut output[line * width + x..];
                let done = sums[0];
                match output.first_chunk_mut() {
                    Some(output) => *output = done,
                    None => store_end(output, done),
                }
            }
            next_line(&mut sums);
        }
    }

    /// Adds what a line of input is for to the sums.
    #[inline(always)]
    fn line<const J: usize>(
        weights: &[[f32; K]; K],
        input: &[f32],
        start: usize,
        masks: Option<&[Mask; K]>,
        sums: &mut [Lanes; OPEN],
        mul_add: impl MulAdd,
    ) {
        let beyond;
        let values = match input.get(start..).and_then(<[f32]>::first_chunk) {
            Some(values) => values,
            None => {
                beyond = read_each(input, start);
                &beyond
            }
        };
        let mut taps = taps::<K, STRIDE, SPAN>(values, mul_add);
        for kx in 0..K {
            if let Some(masks) = masks {
                taps[kx] = mask::apply(&masks[kx], taps[kx]);
            }
            for d in 0..OPEN {
                let ky = (K - STRIDE + J).wrapping_sub(d * STRIDE);
                if ky < K {
                    sums[d] = mul_add(weights[ky][kx], taps[kx], sums[d]);
                }
            }
        }
    }
}

/// Vectors of outputs below each other.
struct Column<'a, const K: usize> {
    input: &'a [f32],
    start: usize,
    x: usize,
    lines: Range<usize>,
    masks: Option<&'a [Mask; K]>,
}

#[inline(always)]
fn next_line<const OPEN: usize>(sums: &mut [Lanes; OPEN]) {
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
    sums[OPEN - 1] = [0.0; NR];
}

/// What each tap finds in the values.
#[inline(always)]
fn taps<const K: usize, const STRIDE: usize, const SPAN: usize>(values: &[f32; SPAN], mul_add: impl MulAdd) -> [Lanes; K] {
    let mut taps = [[0.0; NR]; K];
    if STRIDE == 1 {
        for (first, lanes) in taps.iter_mut().enumerate() {
            lanes.copy_from_slice(&values[first..][..NR]);
        }
        return taps;
    }
    let (mut a, mut b) = ([0.0; NR], [0.0; NR]);
    a.copy_from_slice(&values[..NR]);
    b.copy_from_slice(&values[NR..][..NR]);
    let (a, b) = (mul_add(1.0, a, [-0.0; NR]), mul_add(1.0, b, [-0.0; NR]));
    taps[0] = even(a, b);
    taps[1] = odd(a, b);
    for first in 2..K {
        taps[first] = shifted(taps[first - 2], values[2 * NR + first - 2]);
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
fn shifted(a: Lanes, next: f32) -> Lanes {
    [
        a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10], a[11], a[12], a[13], a[14], a[15], next,
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

/// The last vector of a plane.
#[inline(always)]
fn store_end(output: &mut [f32], sums: Lanes) {
    let len = output.len().min(NR);
    for lane in 0..NR {
        if lane < len {
            output[lane] = sums[lane];
        }
    }
}

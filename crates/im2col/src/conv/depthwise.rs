//! Depthwise convolution: one channel in, one channel out, 3x3 or 5x5 taps, stride 1 or 2.
//!
//! The input is read where it lies, a vector for each tap. Which lanes of it are padding depends only
//! on the tap's column and on where in its line the vector stands: masks for the first and the last
//! vector serve all lines, and the others need none. Nothing is copied and no scratch is needed.

use super::in_place::{GroupWeights, Planes};
use super::mask::{self, Mask};
use crate::kernel::{Lanes, MulAdd, NR};
use crate::padding::PaddingMode;
use crate::window::Window;

/// Whether there is a kernel for the window.
pub(super) const fn is_supported(window: &Window) -> bool {
    let Window { kernel: [planes, height, width], stride, dilation, mode, .. } = *window;
    let square = planes == 1 && height == width && (width == 3 || width == 5);
    let strided = stride[1] == stride[2] && (stride[2] == 1 || stride[2] == 2);
    square && strided && dilation[1] == 1 && dilation[2] == 1 && matches!(mode, PaddingMode::Zeros)
}

/// Writes the sums of a plane, `[positions]`, without bias and activation.
#[inline(always)]
pub(super) fn convolve(
    window: &Window,
    plane: Planes<'_>,
    weights: GroupWeights<'_>,
    output: &mut [f32],
    mul_add: impl MulAdd,
) {
    let kernel = Kernel { window, plane };
    match (window.kernel[2], window.stride[2]) {
        (3, 1) => kernel.run::<3, 1, { span(3, 1) }>(weights, output, mul_add),
        (3, 2) => kernel.run::<3, 2, { span(3, 2) }>(weights, output, mul_add),
        (5, 1) => kernel.run::<5, 1, { span(5, 1) }>(weights, output, mul_add),
        (5, 2) => kernel.run::<5, 2, { span(5, 2) }>(weights, output, mul_add),
        _ => {}
    }
}

/// Lines of output that are computed at once.
const LINES: usize = 4;

/// How many values of a line a vector of outputs reads.
const fn span(taps: usize, stride: usize) -> usize {
    taps - 1 + NR * stride
}

#[derive(Clone, Copy)]
struct Kernel<'a> {
    window: &'a Window,
    plane: Planes<'a>,
}

impl Kernel<'_> {
    #[inline(always)]
    fn run<const K: usize, const STRIDE: usize, const SPAN: usize>(
        self,
        group: GroupWeights<'_>,
        output: &mut [f32],
        mul_add: impl MulAdd,
    ) {
        let mut weights = [[0.0; K]; K];
        for (tap, weights) in weights.as_flattened_mut().iter_mut().enumerate() {
            *weights = group.at(tap);
        }
        let Window { output: [planes, lines, width], input, stride, padding, .. } = *self.window;
        let first = |x: usize| (x * STRIDE).wrapping_sub(padding[2][0]);
        let last = (width - 1) / NR * NR;
        let (left, right) =
            (masks::<K, STRIDE>(first(0), input[2]), masks::<K, STRIDE>(first(last), input[2]));
        for z in 0..planes {
            let in_z = (z * stride[0]).wrapping_sub(padding[0][0]);
            let output = &mut output[z * lines * width..][..lines * width];
            for y in (0..lines).step_by(LINES) {
                let in_y = (y * STRIDE).wrapping_sub(padding[1][0]);
                // The last vectors first: what they hold too much is overwritten by the next line's.
                for block in 0..width.div_ceil(NR) {
                    let x = if block == 0 { last } else { (block - 1) * NR };
                    let at = [in_z, in_y, first(x)];
                    let sums = if at[2] < input[2] && input[2] - at[2] >= SPAN {
                        self.sums::<K, STRIDE, SPAN>(&weights, at, None, mul_add)
                    } else if x == 0 {
                        self.sums::<K, STRIDE, SPAN>(&weights, at, Some(&left), mul_add)
                    } else if x == last {
                        self.sums::<K, STRIDE, SPAN>(&weights, at, Some(&right), mul_add)
                    } else {
                        // Where the last vector has fewer lanes than the kernel is wide.
                        let masks = masks::<K, STRIDE>(at[2], input[2]);
                        self.sums::<K, STRIDE, SPAN>(&weights, at, Some(&masks), mul_add)
                    };
                    for (sums, line) in sums.iter().zip(y..lines) {
                        let output = &mut output[line * width + x..];
                        match output.first_chunk_mut() {
                            Some(output) => *output = *sums,
                            None => store_end(output, sums),
                        }
                    }
                }
            }
        }
    }

    /// The sums of vectors on `LINES` lines of output, the first of which sees the input at `at`, which
    /// wraps around before it. Without masks no lane sees padding on its line.
    #[inline(always)]
    fn sums<const K: usize, const STRIDE: usize, const SPAN: usize>(
        self,
        weights: &[[f32; K]; K],
        [z, y, x]: [usize; 3],
        masks: Option<&[Mask; K]>,
        mul_add: impl MulAdd,
    ) -> [Lanes; LINES] {
        let [depth, height, width] = self.window.input;
        let mut sums = [[0.0; NR]; LINES];
        if z >= depth {
            return sums;
        }
        for row in 0..(LINES - 1) * STRIDE + K {
            let y = y.wrapping_add(row);
            if y >= height {
                continue;
            }
            let start = (self.plane.start + (z * height + y) * width).wrapping_add(x);
            let beyond;
            let values: &[f32; SPAN] = match self.plane.input.get(start..).and_then(<[f32]>::first_chunk) {
                Some(values) => values,
                None => {
                    beyond = read_each(self.plane.input, start);
                    &beyond
                }
            };
            for kx in 0..K {
                let mut lanes = take::<STRIDE, SPAN>(values, kx);
                if let Some(masks) = masks {
                    lanes = mask::apply(&masks[kx], lanes);
                }
                // Each value is read once for all lines that it is for.
                for (line, sums) in sums.iter_mut().enumerate() {
                    let ky = row.wrapping_sub(line * STRIDE);
                    if ky < K {
                        *sums = mul_add(weights[ky][kx], lanes, *sums);
                    }
                }
            }
        }
        sums
    }
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

/// The values `STRIDE` apart from `first` on.
#[inline(always)]
fn take<const STRIDE: usize, const SPAN: usize>(values: &[f32; SPAN], first: usize) -> Lanes {
    let mut lanes = [0.0; NR];
    for (lane, value) in lanes.iter_mut().zip(values[first..].iter().step_by(STRIDE)) {
        *lane = *value;
    }
    lanes
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

/// The last vector of a plane. A call, or the compiler makes both stores one of unknown length.
#[cold]
#[inline(never)]
fn store_end(output: &mut [f32], sums: &Lanes) {
    let len = output.len().min(NR);
    output[..len].copy_from_slice(&sums[..len]);
}

//! Targets with many registers: a whole vector is read for each tap, without regard to padding; then the lanes that see it are
//! mended.

use super::Channels;
use crate::padding::PaddingMode;
use crate::simd::load::fetch;
use crate::simd::mask::keep;
use crate::simd::{Lanes, MulAdd, NR};
use crate::window::Window;

impl<const ROWS: usize> Channels<'_, ROWS> {
    /// [`Channels::convolve`] tap by tap.
    #[inline(always)]
    pub(super) fn convolve_taps<const STRIDE: usize>(&self, output: &mut [f32], mul_add: impl MulAdd) {
        let [_, height, width] = self.shape.window.output;
        let plane_len = self.lines.len() * width;
        for (i, line) in self.lines.clone().enumerate() {
            let (z, y) = (line / height, line % height);
            for x in (0..width).step_by(NR) {
                let len = NR.min(width - x);
                let mut sums = self.sums_of_taps::<STRIDE>([z, y, x], len, mul_add);
                self.epilogue.apply(&mut sums, self.first, 0);
                let start = i * width + x;
                for (sums, plane) in sums.iter().zip(output.chunks_exact_mut(plane_len)) {
                    plane[start..][..len].copy_from_slice(&sums[..len]);
                }
            }
        }
    }

    /// The sums at `len` positions from `[z, y, x]` on.
    #[inline(always)]
    fn sums_of_taps<const STRIDE: usize>(
        &self,
        [z, y, x]: [usize; 3],
        len: usize,
        mul_add: impl MulAdd,
    ) -> [Lanes; ROWS] {
        let Self { shape, planes, weights, .. } = self;
        let window = &shape.window;
        let Window { kernel, stride, dilation, padding, .. } = window;
        let origin = |axis: usize, output: usize| (output * stride[axis]).wrapping_sub(padding[axis][0]);
        let origin = [origin(0, z), origin(1, y), origin(2, x)];
        let at = |axis: usize, tap: usize| origin[axis].wrapping_add(tap * dilation[axis]);
        let mut sums = [[0.0; NR]; ROWS];
        for channel in 0..shape.in_group {
            let mut weight = channel.wrapping_mul(weights.channel);
            for kz in 0..kernel[0] {
                for ky in 0..kernel[1] {
                    let Some(line) = window.source([at(0, kz), at(1, ky), 0]) else {
                        weight = weight.wrapping_add(kernel[2].wrapping_mul(weights.tap));
                        continue;
                    };
                    let line = planes.start + channel * window.plane_len() + line;
                    for kx in 0..kernel[2] {
                        let lanes = read::<STRIDE>(window, planes.input, line, at(2, kx), len);
                        for (sums, output) in sums.iter_mut().zip(&weights.outputs) {
                            *sums = mul_add(weights.values[weight.wrapping_add(*output)], lanes, *sums);
                        }
                        weight = weight.wrapping_add(weights.tap);
                    }
                }
            }
        }
        sums
    }
}

/// What the first `len` lanes see on the line that begins at `line`, the first of them at `x`, which
/// wraps around before it.
#[inline(always)]
fn read<const STRIDE: usize>(window: &Window, input: &[f32], line: usize, x: usize, len: usize) -> Lanes {
    let (width, stride) = (window.input[2], if STRIDE > 0 { STRIDE } else { window.stride[2] });
    let mut lanes = [0.0; NR];
    // In the padding this finds some other value.
    match stride {
        2 if STRIDE == 0 => fetch::<2>(input, line.wrapping_add(x), 2, &mut lanes),
        _ => fetch::<STRIDE>(input, line.wrapping_add(x), stride, &mut lanes),
    }
    if x < width && (len - 1) * stride < width - x {
        return lanes;
    }
    if window.mode != PaddingMode::Zeros {
        read_ends(window, &input[line..][..width], x, &mut lanes[..len]);
        return lanes;
    }
    let x = x as isize;
    let before = if x < 0 { x.unsigned_abs().div_ceil(stride) } else { 0 };
    let end = width.saturating_add_signed(-x).div_ceil(stride);
    keep(lanes, before.min(NR), end.min(NR))
}

/// Mends the lanes that see padding.
fn read_ends(window: &Window, line: &[f32], x: usize, lanes: &mut [f32]) {
    for (i, lane) in lanes.iter_mut().enumerate() {
        let at = x.wrapping_add(i * window.stride[2]);
        *lane = window.mode.source(at, line.len()).map_or(0.0, |x| line[x]);
    }
}

//! Maxima of 3x3 windows, the pooling between the stages of most networks.
//!
//! First the maximum of each column, of three lines at once, then of the columns of each window:
//! four steps of a vector for each output, and no line is staged by itself.

use super::params::PoolKind;
use super::stage::maximum;
use super::windows::Pooling;
use crate::simd::{Kernel, MulAdd, Vectors};
use crate::window::Window;

/// Outputs of a line that are computed at a time.
const OUTPUTS: usize = 128;

impl Pooling {
    /// Whether these are maxima of 3x3 values that lie together, the windows one or two apart.
    pub(super) fn is_max_3x3(&self) -> bool {
        let Window { kernel, stride, padding, dilation, .. } = self.window;
        let strided = stride[1] == stride[2] && (stride[2] == 1 || stride[2] == 2);
        let max = matches!(self.kind, PoolKind::Max) && !self.adaptive;
        // So that every window sees the input.
        let [depth, height, width] = padding.map(|[before, after]| before.max(after));
        let padded = depth == 0 && height <= 1 && width <= 1;
        max && kernel == [1, 3, 3] && dilation == [1; 3] && strided && padded
    }
}

/// A kernel of its own, as each algorithm is: 1.1x on `max3x3s2p1_64_112`.
pub(super) struct Max3x3<'a> {
    pub(super) pooling: Pooling,
    pub(super) input: &'a [f32],
    pub(super) output: &'a mut [f32],
}

impl Kernel for Max3x3<'_> {
    const USES_AVX512: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        _: impl Vectors,
    ) {
        // A stride that is known when this is compiled makes vector code.
        match self.pooling.window.stride[2] {
            1 => pool::<1>(&self.pooling, self.input, self.output),
            _ => pool::<2>(&self.pooling, self.input, self.output),
        }
    }
}

#[inline(always)]
fn pool<const STRIDE: usize>(pooling: &Pooling, input: &[f32], output: &mut [f32]) {
    let window = &pooling.window;
    let planes = input.chunks_exact(window.plane_len());
    let mut columns = [f32::NEG_INFINITY; 2 * OUTPUTS + 2];
    for (plane, output) in planes.zip(output.chunks_exact_mut(window.positions())) {
        let [_, height, width] = window.output;
        for (z, output) in output.chunks_exact_mut(height * width).enumerate() {
            let plane = &plane[z * window.stride[0] * window.input[1] * window.input[2]..];
            let mut first = 0;
            while first < width {
                let len = OUTPUTS.min(width - first);
                lines::<STRIDE>(window, plane, first, len, &mut columns, output);
                first += len;
            }
        }
    }
}

/// Outputs `first..first + len` of each line.
#[inline(always)]
fn lines<const STRIDE: usize>(
    window: &Window,
    plane: &[f32],
    first: usize,
    len: usize,
    columns: &mut [f32; 2 * OUTPUTS + 2],
    output: &mut [f32],
) {
    let [_, in_height, in_width] = window.input;
    let [_, before_y, before] = window.padding.map(|[before, _]| before);
    let start = (first * STRIDE).saturating_sub(before);
    let offset = start + before - first * STRIDE;
    let needed = (len - 1) * STRIDE + 3;
    let count = (needed - offset).min(in_width - start);
    // What stands around the columns of the input is padding for all lines.
    columns.fill(f32::NEG_INFINITY);
    for (y, output) in output.chunks_exact_mut(window.output[2]).enumerate() {
        let top = (y * STRIDE).saturating_sub(before_y);
        let bottom = (y * STRIDE + 2 - before_y).min(in_height - 1);
        let line = |y: usize| &plane[y * in_width + start..][..count];
        // Where the window sees fewer lines it sees one twice.
        let (a, b, c) = (line(top), line(bottom.min(top + 1)), line(bottom));
        for (((column, a), b), c) in columns[offset..][..count].iter_mut().zip(a).zip(b).zip(c) {
            *column = maximum(maximum(*a, *b), *c);
        }
        let output = &mut output[first..][..len];
        if STRIDE == 2 {
            let pairs = columns.chunks_exact(2).zip(columns[2..].chunks_exact(2));
            for (output, (pair, next)) in output.iter_mut().zip(pairs) {
                *output = maximum(maximum(pair[0], pair[1]), next[0]);
            }
        } else {
            for (output, columns) in output.iter_mut().zip(columns.windows(3)) {
                *output = maximum(maximum(columns[0], columns[1]), columns[2]);
            }
        }
    }
}

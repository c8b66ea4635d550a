//! The matrix: its rows are channels and taps, its columns images and positions.

use crate::gemm::pack::panels_len;
use crate::simd::NR;
use crate::window::Window;
use core::ops::Range;

/// The im2col matrix of one group of channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patches {
    pub(crate) window: Window,
    /// Channels of the group: the matrix has `channels * taps` rows.
    pub(crate) channels: usize,
    /// From one image to the next, in values.
    pub(crate) image_stride: usize,
}

/// Consecutive columns on one output line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) image: usize,
    pub(super) len: usize,
    /// Where tap 0 of the first column lies; before the input it wraps around, as padding does.
    pub(super) origin: [usize; 3],
}

impl Run {
    /// The offset in the plane of the input line that tap `(kz, ky)` sees; none if all zeros.
    #[inline(always)]
    pub(super) fn line(&self, window: &Window, kz: usize, ky: usize) -> Option<usize> {
        let z = self.origin[0].wrapping_add(kz * window.dilation[0]);
        let y = self.origin[1].wrapping_add(ky * window.dilation[1]);
        window.source([z, y, 0])
    }

    /// The `x` of the first column under tap `kx`; negative in the padding.
    #[inline(always)]
    pub(super) fn x(&self, window: &Window, kx: usize) -> isize {
        self.origin[2].wrapping_add(kx * window.dilation[2]) as isize
    }

    /// The columns of the run that see the input, not its padding, when the first is at `x`.
    #[inline(always)]
    pub(super) fn inside(&self, window: &Window, x: isize) -> Range<usize> {
        let (width, stride) = (window.input[2], window.stride[2]);
        let before = if x < 0 { x.unsigned_abs().div_ceil(stride) } else { 0 };
        let end = width.saturating_add_signed(-x).div_ceil(stride);
        let end = if x >= width as isize { 0 } else { end.min(self.len) };
        before.min(end)..end
    }

    /// The columns of the run that see the padding, each with the place in the input line of the
    /// value that it finds there; none if that is a zero.
    #[inline(always)]
    pub(super) fn outside(
        &self,
        window: &Window,
        x: isize,
        inside: Range<usize>,
    ) -> impl Iterator<Item = (usize, Option<usize>)> {
        let Window { input, stride, mode, .. } = *window;
        (0..inside.start).chain(inside.end..self.len).map(move |column| {
            let at = x.wrapping_add_unsigned(column * stride[2]) as usize;
            (column, mode.source(at, input[2]))
        })
    }
}

/// Walks the columns of the matrix in order, run by run, without a division per run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    pub(super) image: usize,
    pub(super) output: [usize; 3],
}

impl Cursor {
    #[inline(always)]
    pub(super) fn at(column: usize, window: &Window) -> Self {
        let [_, height, width] = window.output;
        let (image, position) = (column / window.positions(), column % window.positions());
        let (line, x) = (position / width, position % width);
        Self { image, output: [line / height, line % height, x] }
    }

    /// The next run, of `most` columns at most.
    #[inline(always)]
    pub(super) fn next(&mut self, window: &Window, most: usize) -> Run {
        let [z, y, x] = &mut self.output;
        let start = [*z, *y, *x];
        let len = most.min(window.output[2] - *x);
        let image = self.image;
        *x += len;
        if *x == window.output[2] {
            (*x, *y) = (0, *y + 1);
            if *y == window.output[1] {
                (*y, *z) = (0, *z + 1);
                if *z == window.output[0] {
                    (*z, self.image) = (0, image + 1);
                }
            }
        }
        let origin = |axis: usize| (start[axis] * window.stride[axis]).wrapping_sub(window.padding[axis][0]);
        Run { image, len, origin: [origin(0), origin(1), origin(2)] }
    }
}

/// A row of the matrix as channel and tap.
#[derive(Clone, Copy, Debug)]
pub(super) struct MatrixRow {
    pub(super) channel: usize,
    pub(super) tap: [usize; 3],
}

impl MatrixRow {
    #[inline(always)]
    pub(super) fn at(row: usize, window: &Window) -> Self {
        let [_, height, width] = window.kernel;
        let (channel, tap) = (row / window.taps(), row % window.taps());
        Self { channel, tap: [tap / (height * width), tap / width % height, tap % width] }
    }

    /// On to the first tap of the next kernel line.
    #[inline(always)]
    pub(super) fn next_line(&mut self, window: &Window) {
        let [z, y, x] = &mut self.tap;
        (*x, *y) = (0, *y + 1);
        if *y == window.kernel[1] {
            (*y, *z) = (0, *z + 1);
            if *z == window.kernel[0] {
                (*z, self.channel) = (0, self.channel + 1);
            }
        }
    }
}

impl Patches {
    /// How many rows the matrix has.
    pub(crate) const fn rows(&self) -> usize {
        self.channels * self.window.taps()
    }

    /// The length of a block of panels.
    pub(crate) const fn block_len(rows: usize, columns: usize) -> usize {
        panels_len::<NR>(rows + 1, columns)
    }
}

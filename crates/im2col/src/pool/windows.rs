//! Where the windows lie, and what a mean divides by.

use super::params::PoolKind;
use crate::window::Window;
use core::ops::Range;

/// A pooling lifted to three axes: what all ranks share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pooling {
    pub(crate) kind: PoolKind,
    pub(crate) divisor: Divisor,
    /// Where the windows adapt, their largest size, and a stride without meaning.
    pub(crate) window: Window,
    /// Whether each window follows from the sizes of input and output. Where these divide without a
    /// remainder the windows slide, and this is false.
    pub(crate) adaptive: bool,
}

/// What a mean divides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Divisor {
    /// The same for all windows.
    Constant(usize),
    /// How many taps of the window lie in the padded input.
    Padded,
    /// How many taps of the window see the input.
    Seen,
}

/// The most taps of a window whose mean is one chain in ascending order.
pub(crate) const CHAIN: usize = 32;

impl Pooling {
    /// Whether means are sums of blocks (`sum.rs`).
    pub(crate) fn is_long(&self) -> bool {
        self.window.taps() > CHAIN
    }

    /// The windows with as few rows as possible: those that are as wide as the input lie together in it, line after
    /// line, so that each of them, and likewise each plane of them, is one row. They see the same values, at the
    /// same places.
    pub(crate) fn flattened(mut self) -> Self {
        for axis in [1, 0] {
            let Window { input, kernel, stride, padding, dilation, output, .. } = &mut self.window;
            let is_dense =
                |axis: usize| padding[axis] == [0; 2] && (dilation[axis] == 1 || kernel[axis] == 1);
            let is_whole = kernel[2] == input[2] && output[2] == 1;
            if self.adaptive || !is_whole || !is_dense(2) || !is_dense(axis) {
                break;
            }
            // A stride that is too large to multiply leads nowhere, from a single window.
            stride[2] = stride[axis].saturating_mul(input[2]);
            kernel[2] *= kernel[axis];
            input[2] *= input[axis];
            output[2] = output[axis];
            dilation[2] = 1;
            (stride[axis], kernel[axis], input[axis], output[axis]) = (1, 1, 1, 1);
        }
        self
    }

    /// Whether the windows are the 2x2 tiles of each plane: the pooling of LeNet and of most networks. A volume of planes
    /// of odd height is none: its lines do not go on in pairs from plane to plane.
    pub(crate) fn is_2x2(&self) -> bool {
        let Window { input, kernel, stride, dilation, output, .. } = self.window;
        kernel == [1, 2, 2]
            && stride == [1, 2, 2]
            && dilation == [1; 3]
            && !self.window.is_padded()
            && (input[0] == 1 || input[1].is_multiple_of(2))
            // Rounded up, the last tile may be cut.
            && output[1] <= input[1] / 2
            && output[2] <= input[2] / 2
            && (matches!(self.kind, PoolKind::Max) || self.divisor == Divisor::Constant(4))
    }

    /// Whether each output of a row sees one column, its own: that of its channel, where channels come last.
    pub(crate) fn has_single_columns(&self) -> bool {
        let Window { input, kernel, padding, output, .. } = &self.window;
        kernel[2] == 1 && output[2] == input[2] && padding[2] == [0; 2]
    }

    /// How many inputs a window spans on an axis.
    #[inline(always)]
    pub(crate) fn extent(&self, axis: usize) -> usize {
        (self.window.kernel[axis] - 1) * self.window.dilation[axis] + 1
    }

    /// Where on an axis of the padded input the window at `output` begins.
    #[inline(always)]
    pub(crate) fn start(&self, axis: usize, output: usize) -> usize {
        if self.adaptive {
            self.adaptive_range(axis, output).start
        } else {
            output * self.window.stride[axis]
        }
    }

    /// The taps of one axis that see the input when the window is at `output`.
    #[inline(always)]
    pub(crate) fn taps(&self, axis: usize, output: usize) -> Range<usize> {
        if self.adaptive {
            return 0..self.adaptive_range(axis, output).len();
        }
        let Window { input, kernel, stride, padding, dilation, .. } = &self.window;
        let (start, before) = (output * stride[axis], padding[axis][0]);
        // Rows of output are short, and a division is slow.
        let reach = |columns: usize| match dilation[axis] {
            1 => columns,
            dilation => columns.div_ceil(dilation),
        };
        let end = reach((before + input[axis]).saturating_sub(start)).min(kernel[axis]);
        reach(before.saturating_sub(start)).min(end)..end
    }

    /// How many taps the window at `output` has on an axis, in the input and in the padding.
    #[inline(always)]
    pub(crate) fn tap_count(&self, axis: usize, output: usize) -> usize {
        if self.adaptive { self.adaptive_range(axis, output).len() } else { self.window.kernel[axis] }
    }

    #[inline(always)]
    fn adaptive_range(&self, axis: usize, output: usize) -> Range<usize> {
        let (inputs, outputs) = (self.window.input[axis], self.window.output[axis]);
        scaled_down(output, inputs, outputs)..scaled_up(output + 1, inputs, outputs)
    }

    /// The rows of input that the windows of output row `(z, y)` see, in the order of the taps:
    /// the row's number in the window, and where in a plane it begins.
    #[inline(always)]
    pub(crate) fn window_rows(
        &self,
        z: usize,
        y: usize,
    ) -> impl DoubleEndedIterator<Item = (usize, usize)> + Clone {
        let Window { input, padding, dilation, .. } = self.window;
        let (start_z, start_y, height) = (self.start(0, z), self.start(1, y), self.tap_count(1, y));
        let taps_y = self.taps(1, y);
        self.taps(0, z).flat_map(move |tap_z| {
            let z = start_z + tap_z * dilation[0] - padding[0][0];
            taps_y.clone().map(move |tap_y| {
                let y = start_y + tap_y * dilation[1] - padding[1][0];
                (tap_z * height + tap_y, (z * input[1] + y) * input[2])
            })
        })
    }

    /// Where in a plane the rows of [`window_rows`](Self::window_rows) begin.
    #[inline(always)]
    pub(crate) fn input_rows(&self, z: usize, y: usize) -> impl DoubleEndedIterator<Item = usize> + Clone {
        self.window_rows(z, y).map(|(_, row)| row)
    }

    /// Where in a row of input tap `tap` falls of a window that begins at `start`.
    #[inline(always)]
    pub(crate) fn column(&self, start: usize, tap: usize) -> usize {
        start + tap * self.window.dilation[2] - self.window.padding[2][0]
    }

    /// How many taps the window at `position` of the output has.
    pub(crate) fn taps_at(&self, position: usize) -> usize {
        if !self.adaptive {
            return self.window.taps();
        }
        let [depth, height, width] = self.window.output;
        let at = [position / width / height % depth, position / width % height, position % width];
        self.tap_count(0, at[0]) * self.tap_count(1, at[1]) * self.tap_count(2, at[2])
    }

    /// Where in a plane the maximum of the window at `[z, y, x]` is: the first of the largest values,
    /// or the last NaN. `None` if the window sees nothing but padding.
    #[inline(always)]
    pub(crate) fn winner(&self, plane: &[f32], [z, y, x]: [usize; 3]) -> Option<usize> {
        let (start, taps, step) = (self.start(2, x), self.taps(2, x), self.window.dilation[2]);
        if taps.is_empty() {
            return None;
        }
        let (first, span) = (self.column(start, taps.start), (taps.len() - 1) * step + 1);
        let mut max = f32::NEG_INFINITY;
        let mut winner = None;
        for row in self.input_rows(z, y) {
            for (i, v) in plane[row + first..][..span].iter().enumerate().step_by(step) {
                if *v > max || v.is_nan() || winner.is_none() {
                    (max, winner) = (*v, Some(row + first + i));
                }
            }
        }
        winner
    }

    /// Which tap of the window at `[z, y, x]` sees the value at `offset`: the inverse of
    /// [`offset_of`](Self::offset_of).
    #[inline(always)]
    pub(crate) fn tap_of(&self, [z, y, x]: [usize; 3], offset: usize) -> usize {
        let Window { input: [_, height, width], padding, dilation, .. } = self.window;
        let at = [offset / width / height, offset / width % height, offset % width];
        let mut tap = 0;
        for (axis, output) in [z, y, x].into_iter().enumerate() {
            let along = (at[axis] + padding[axis][0] - self.start(axis, output)) / dilation[axis];
            tap = tap * self.tap_count(axis, output) + along;
        }
        tap
    }

    /// Where in a plane tap `tap` falls of the window at `[z, y, x]`, which has that tap. `None` if in
    /// the padding.
    #[inline(always)]
    pub(crate) fn offset_of(&self, [z, y, x]: [usize; 3], tap: usize) -> Option<usize> {
        let (height, width) = (self.tap_count(1, y), self.tap_count(2, x));
        let taps = [tap / width / height, tap / width % height, tap % width];
        let mut offset = 0;
        for (axis, output) in [z, y, x].into_iter().enumerate() {
            let Window { input, padding, dilation, .. } = &self.window;
            let padded = self.start(axis, output) + taps[axis] * dilation[axis];
            let at = padded.checked_sub(padding[axis][0]).filter(|at| *at < input[axis])?;
            offset = offset * input[axis] + at;
        }
        Some(offset)
    }

    /// How many taps count on an axis for the divisor of the window at `output`.
    #[inline(always)]
    fn counted(&self, axis: usize, output: usize) -> usize {
        if let Divisor::Seen = self.divisor {
            return self.taps(axis, output).len();
        }
        let Window { input, kernel, stride, padding, dilation, .. } = &self.window;
        let [before, after] = padding[axis];
        (input[axis] + before + after - output * stride[axis]).div_ceil(dilation[axis]).min(kernel[axis])
    }

    /// How many rows count for the divisors of output row `(z, y)`.
    #[inline(always)]
    pub(crate) fn counted_rows(&self, z: usize, y: usize) -> usize {
        self.counted(0, z) * self.counted(1, y)
    }

    /// What a mean divides by, for output `x` of a row whose windows count so many rows.
    #[inline(always)]
    pub(crate) fn divisor(&self, counted_rows: usize, x: usize) -> f32 {
        let count = match self.divisor {
            Divisor::Constant(divisor) => divisor,
            // Where nothing is seen the sum is 0, and so is the mean.
            Divisor::Padded | Divisor::Seen => (counted_rows * self.counted(2, x)).max(1),
        };
        count as f32
    }
}

/// `floor(part * size / parts)`. A call, here and below: divisions take much code, and few windows adapt.
#[inline(never)]
fn scaled_down(part: usize, size: usize, parts: usize) -> usize {
    // The product of two sizes may exceed the larger integer of a small target, but seldom does.
    match part.checked_mul(size) {
        Some(product) => product / parts,
        None => (part as u128 * size as u128 / parts as u128) as usize,
    }
}

/// `ceil(part * size / parts)`.
#[inline(never)]
fn scaled_up(part: usize, size: usize, parts: usize) -> usize {
    match part.checked_mul(size) {
        Some(product) => product.div_ceil(parts),
        None => (part as u128 * size as u128).div_ceil(parts as u128) as usize,
    }
}

/// How many bytes the number of a tap takes, the largest of which is `taps - 1`.
pub(super) const fn tap_bytes(taps: usize) -> usize {
    match taps as u64 - 1 {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        _ => 8,
    }
}

/// The largest of four values, or the last NaN, and which it is. Selections, here, become vectors; by [`larger`] it is no loop over
/// vectors and takes 18 times as long.
#[inline(always)]
pub(super) fn first_maximum(values: [f32; 4]) -> (f32, u8) {
    let (mut max, mut at) = (values[0], 0);
    for (i, v) in (0..).zip(values) {
        let wins = v > max || v.is_nan();
        max = if wins { v } else { max };
        at = if wins { i } else { at };
    }
    (max, at)
}

/// All bits or none. Selections by masks do not become branches, which would be taken at random.
#[inline(always)]
pub(super) fn mask(condition: bool) -> u32 {
    u32::from(condition).wrapping_neg()
}

/// The larger value, or the last NaN, and a mask: all bits if that is the second one.
#[inline(always)]
pub(super) fn larger(max: f32, v: f32) -> (f32, u32) {
    let of_v = mask(v > max) | mask(v.is_nan());
    (f32::from_bits(v.to_bits() & of_v | max.to_bits() & !of_v), of_v)
}

//! Depthwise convolution with channels last: the lanes are sixteen channels, each with its own kernel of any size.
//!
//! Neighbouring positions share the weights of a tap, which are gathered once for all images.

use crate::conv::pass::Pass;
use crate::conv::shape::ConvShape;
use crate::epilogue::Epilogue;
use crate::gemm::blocks;
use crate::layout::InputStrides;
use crate::simd::{Kernel, Lanes, MulAdd, NR, Vectors};
use crate::window::Window;
use core::ops::Range;

/// The most taps that are summed in one pass. A larger kernel takes several passes, and the output holds the sums between them.
const MOST_TAPS: usize = 32;
/// Vectors of weights of a pass, 4.5 KiB: those of 3x3 taps for eight vectors of channels, which are neighbours in the input.
const MOST_WEIGHTS: usize = 72;
/// Positions whose sums are computed together.
const POSITIONS: usize = 6;

/// A convolution, or a part of it, from an input with channels last to an output with channels last.
pub(super) struct LanesOfChannels<'a>(pub(super) Pass<'a>);

impl Kernel for LanesOfChannels<'_> {
    const USES_AVX512: bool = false;
    const HAS_FALLBACK: bool = cfg!(not(target_arch = "x86_64"));

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        vectors: impl Vectors,
    ) {
        let Self(mut pass) = self;
        let ConvShape { batch, groups: channels, window, .. } = pass.shape;
        let (strides, output_len) = (pass.input_strides(), channels * window.positions());
        let ([_, height, width], [begin, end]) = (window.output, pass.part);
        let [lines, positions] = match window.outer_axis() {
            0 => [begin * height..end * height, 0..width],
            1 => [begin..end, 0..width],
            _ => [0..1, begin..end],
        };
        let output = core::mem::take(&mut pass.output);
        let epilogue = pass.epilogue(0).by_columns();
        for taps in blocks(window.taps(), MOST_TAPS) {
            let mut taps_at = [[0; 3]; MOST_TAPS];
            for (at, tap) in taps_at.iter_mut().zip(taps.clone()) {
                let [_, height, width] = window.kernel;
                *at = [tap / width / height, tap / width % height, tap % width];
            }
            let at_once = MOST_WEIGHTS / taps.len() * NR;
            for first in (0..channels).step_by(at_once) {
                let mut weights = [[0.0; NR]; MOST_WEIGHTS];
                let count = at_once.min(channels - first);
                for channel in 0..count {
                    let of_channel = pass.weights(first + channel);
                    for (i, tap) in taps.clone().enumerate() {
                        weights[channel / NR * taps.len() + i][channel % NR] = of_channel.at(tap);
                    }
                }
                let is_last = taps.end == window.taps();
                let lanes = ChannelLanes {
                    window: &window,
                    strides: &strides,
                    lines: lines.clone(),
                    positions: positions.clone(),
                    channels,
                    first,
                    is_first: taps.start == 0,
                    taps: &taps_at[..taps.len()],
                    weights: &weights[..count.div_ceil(NR) * taps.len()],
                    epilogue: is_last.then_some(epilogue),
                };
                for image in 0..batch {
                    let input = pass.input.get(image * strides.image..).unwrap_or_default();
                    let output = output.get_mut(image * output_len..).unwrap_or_default();
                    lanes.convolve(input, output, vectors);
                }
            }
        }
    }
}

/// One pass over an image: some taps of some of its channels, from channel `first` on.
struct ChannelLanes<'a> {
    window: &'a Window,
    strides: &'a InputStrides<3>,
    /// Those of the output that are computed, and their positions.
    lines: Range<usize>,
    positions: Range<usize>,
    channels: usize,
    first: usize,
    /// Whether this is the first pass, so that sums begin at zero.
    is_first: bool,
    /// `[z, y, x]` of each tap in the kernel.
    taps: &'a [[usize; 3]],
    /// `[vector of channels][tap]`, a lane per channel.
    weights: &'a [Lanes],
    /// Only in the last pass.
    epilogue: Option<Epilogue<'a>>,
}

/// The taps that read the input, not zeros of the padding, at a line or a position of the output.
struct Seen {
    taps: [SeenTap; MOST_TAPS],
    count: usize,
    /// The largest `place` of them.
    last: usize,
    /// Of a position: the coordinate on the last axis that a tap with `x = 0` reads.
    origin: Option<usize>,
}

/// A tap that reads the input.
#[derive(Clone, Copy)]
struct SeenTap {
    /// The offset of the value that it reads, from the slice that `add` is given.
    place: usize,
    /// Its distance on the last axis from the first tap of its line of the kernel, in positions.
    x: usize,
    /// Its index in `taps` and `weights`.
    tap: usize,
}

impl Seen {
    const fn none() -> Self {
        Self { taps: [SeenTap { place: 0, x: 0, tap: 0 }; MOST_TAPS], count: 0, last: 0, origin: None }
    }

    /// Removes all taps.
    #[inline(always)]
    fn clear(&mut self) {
        (self.count, self.last, self.origin) = (0, 0, None);
    }

    #[inline(always)]
    fn push(&mut self, tap: SeenTap) {
        if let Some(next) = self.taps.get_mut(self.count) {
            *next = tap;
            self.count += 1;
            self.last = self.last.max(tap.place);
        }
    }
}

impl ChannelLanes<'_> {
    /// Computes the channels of an image.
    #[inline(always)]
    fn convolve(&self, input: &[f32], output: &mut [f32], vectors: impl Vectors) {
        let Window { input: in_dims, kernel, stride, dilation, padding, output: dims, .. } = *self.window;
        let [_, height, _] = dims;
        let reach = (kernel[2] - 1) * dilation[2];
        let [plane_stride, line_stride, position_stride] = self.strides.dims;
        let step = stride[2].wrapping_mul(position_stride);
        let (mut of_line, mut of_ends) = (Seen::none(), [Seen::none(), Seen::none()]);
        // Where no tap of a line is in the padding above or below, places relative to the line's base are those of the line before.
        let mut is_inside = false;
        for line in self.lines.clone() {
            let was_inside = is_inside;
            let origin = |axis: usize, at: usize| (at * stride[axis]).wrapping_sub(padding[axis][0]);
            let [z, y] = [origin(0, line / height), origin(1, line % height)];
            let is_axis_inside = |axis: usize, origin: usize| {
                origin < in_dims[axis] && (kernel[axis] - 1) * dilation[axis] < in_dims[axis] - origin
            };
            is_inside = is_axis_inside(0, z) && is_axis_inside(1, y);
            let base = if is_inside { z * plane_stride + y * line_stride } else { 0 };
            if !(is_inside && was_inside) {
                self.find_lines([z, y], base, &mut of_line);
                of_ends.iter_mut().for_each(Seen::clear);
            }
            let input = input.get(base + self.first..).unwrap_or_default();
            let Range { start, end } = self.positions;
            let mut x = start;
            while x < end {
                let origin = (x * stride[2]).wrapping_sub(padding[2][0]);
                let place = (line - self.lines.start) * (end - start) + x - start;
                let place = place * self.channels + self.first;
                let output = output.get_mut(place..).unwrap_or_default();
                let sees_all = |positions: usize| {
                    // Wrapping: a stride counts only where there is a second position.
                    let last =
                        origin.wrapping_add((positions - 1).wrapping_mul(stride[2])).wrapping_add(reach);
                    x + positions <= end && origin < in_dims[2] && last < in_dims[2]
                };
                let (seen, at) = if sees_all(1) {
                    (&of_line, origin * position_stride)
                } else {
                    // Most lines have one position at each end that sees padding.
                    let of_end = &mut of_ends[usize::from(x > start)];
                    if of_end.origin != Some(origin) {
                        self.find_positions(origin, &of_line, of_end);
                    }
                    (&*of_end, 0)
                };
                let input = input.get(at..).unwrap_or_default();
                if sees_all(POSITIONS) {
                    self.add_all::<POSITIONS>(seen, input, step, output, vectors);
                    x += POSITIONS;
                } else {
                    self.add_all::<1>(seen, input, step, output, vectors);
                    x += 1;
                }
            }
        }
    }

    /// Puts into `seen` the taps whose line is in the input, for a line of the output whose first tap reads line `[z, y]`; places are
    /// relative to `base`.
    #[inline(always)]
    fn find_lines(&self, [z, y]: [usize; 2], base: usize, seen: &mut Seen) {
        let Window { dilation, .. } = *self.window;
        seen.clear();
        for (tap, [kz, ky, kx]) in self.taps.iter().enumerate() {
            let line = [z.wrapping_add(kz * dilation[0]), y.wrapping_add(ky * dilation[1]), 0];
            if let Some(line) = self.strides.place(self.window, line) {
                let x = kx * dilation[2];
                // Wrapping: in the padding on the left or right the place is meaningless, and `find_positions` replaces it.
                let place = line.wrapping_add(x.wrapping_mul(self.strides.dims[2])).wrapping_sub(base);
                seen.push(SeenTap { place, x, tap });
            }
        }
    }

    /// Puts into `seen` those taps of a line that read a value at one position, whose first tap reads coordinate `origin`.
    #[inline(always)]
    fn find_positions(&self, origin: usize, line: &Seen, seen: &mut Seen) {
        seen.clear();
        seen.origin = Some(origin);
        for tap in &line.taps[..line.count] {
            if let Some(x) = self.window.mode.source(origin.wrapping_add(tap.x), self.window.input[2]) {
                let place = tap.place.wrapping_add(x.wrapping_sub(tap.x).wrapping_mul(self.strides.dims[2]));
                seen.push(SeenTap { place, ..*tap });
            }
        }
    }

    /// Adds the products of the taps in `seen` to the sums of `COUNT` neighbouring positions, one vector of channels after the
    /// other. The inputs of neighbouring positions are `step` values apart.
    #[inline(always)]
    fn add_all<const COUNT: usize>(
        &self,
        seen: &Seen,
        input: &[f32],
        step: usize,
        output: &mut [f32],
        vectors: impl Vectors,
    ) {
        for (vector, weights) in self.weights.chunks_exact(self.taps.len()).enumerate() {
            let (first, input) = (self.first + vector * NR, input.get(vector * NR..).unwrap_or_default());
            let output = output.get_mut(vector * NR..).unwrap_or_default();
            if self.channels - first < NR {
                self.add::<false, COUNT>(seen, weights, first, input, step, output, vectors);
            } else {
                self.add::<true, COUNT>(seen, weights, first, input, step, output, vectors);
            }
        }
    }

    /// Adds the taps to the sums of the channels from `first` on. Unless `WHOLE`, they are fewer than sixteen.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "the operands of one tile")]
    #[allow(clippy::needless_range_loop, reason = "loops over indices are unrolled into registers")]
    fn add<const WHOLE: bool, const COUNT: usize>(
        &self,
        seen: &Seen,
        weights: &[Lanes],
        first: usize,
        input: &[f32],
        step: usize,
        output: &mut [f32],
        vectors: impl Vectors,
    ) {
        let len = if WHOLE { NR } else { self.channels - first };
        // A position reads only these values: with equal lengths one bounds check per tap is enough.
        let extent = seen.last + len;
        let (mut values, mut sums): ([&[f32]; COUNT], _) = ([&[]; COUNT], [[0.0; NR]; COUNT]);
        for i in 0..COUNT {
            values[i] = &input[i * step..][..extent];
            if !self.is_first {
                sums[i][..len].copy_from_slice(&output[i * self.channels..][..len]);
            }
        }
        for tap in &seen.taps[..seen.count] {
            let Some(weights) = weights.get(tap.tap) else { break };
            let place = tap.place;
            if place >= extent || extent - place < len {
                debug_assert!(false, "a sum without its last taps");
                break;
            }
            for i in 0..COUNT {
                let mut lanes = [0.0; NR];
                lanes[..len].copy_from_slice(&values[i][place..][..len]);
                sums[i] = vectors.product_add(lanes, *weights, sums[i]);
            }
        }
        if let Some(epilogue) = self.epilogue {
            epilogue.apply(&mut sums, 0, first);
        }
        for i in 0..COUNT {
            output[i * self.channels..][..len].copy_from_slice(&sums[i][..len]);
        }
    }
}

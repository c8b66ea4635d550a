//! Depthwise convolution: one channel in, one channel out, 3x3 or 5x5 taps, stride 1 or 2; with channels last any window.
//!
//! A vector of outputs slides down its column: each line of input is loaded once and added to the sums of
//! all lines of output that see it, which are as many registers. Which lanes of it are padding depends
//! only on where in its line the vector stands: masks for the first and the last column serve all
//! planes, and the others need none. Nothing is copied and no scratch is needed.

mod channels;
mod taps;
#[cfg(test)]
mod tests;

use crate::activation::Activation;
use crate::conv::pass::Pass;
use crate::conv::shape::ConvShape;
use crate::epilogue::finish;
use crate::padding::PaddingMode;
use crate::simd::mask::{self, Mask};
use crate::simd::{Isa, Kernel, Lanes, MulAdd, NR, Vectors, dispatch};
use crate::window::Window;
use channels::LanesOfChannels;
use core::ops::Range;
use taps::span;

/// Whether there is one channel in and out of each group, and a kernel for the window: any with channels last.
pub(in crate::conv) const fn fits(shape: &ConvShape) -> bool {
    if !shape.is_planar() {
        // A single position has but one layout.
        let is_input_last = shape.input_layout.is_last() || shape.window.plane_len() == 1 && !shape.is_view;
        let is_output_last = shape.output_layout.is_last() || shape.window.positions() == 1;
        return is_input_last && is_output_last && shape.in_group == 1 && shape.out_group == 1;
    }
    let window = &shape.window;
    let Window { kernel: [planes, height, width], stride, dilation, mode, .. } = *window;
    let single = shape.in_group == 1 && shape.out_group == 1;
    let square = planes == 1 && height == width && (width == 3 || width == 5);
    let strided = stride[1] == stride[2] && (stride[2] == 1 || stride[2] == 2);
    single && square && strided && dilation[1] == 1 && dilation[2] == 1 && matches!(mode, PaddingMode::Zeros)
}

/// Runs the kernel for the window.
pub(in crate::conv) fn forward(isa: Isa, pass: &mut Pass<'_>) {
    let pass = pass.reborrow();
    if !pass.shape.is_planar() {
        return dispatch(isa, LanesOfChannels(pass));
    }
    match (pass.shape.window.kernel[2], pass.shape.window.stride[2]) {
        (3, 1) => dispatch(isa, Depthwise::<3, 1, 3, 3, { span(3, 1, 1) }, 3, { span(3, 1, 1) }>(pass)),
        (3, 2) => dispatch(isa, Depthwise::<3, 2, 2, 3, { span(3, 2, 1) }, 5, { span(3, 2, 2) }>(pass)),
        (5, 1) => dispatch(isa, Depthwise::<5, 1, 5, 5, { span(5, 1, 1) }, 5, { span(5, 1, 1) }>(pass)),
        (5, 2) => dispatch(isa, Depthwise::<5, 2, 3, 3, { span(5, 2, 1) }, 5, { span(5, 2, 2) }>(pass)),
        _ => {}
    }
}

/// Depthwise convolution with channels first: `K` by `K` taps at stride `STRIDE`. A line of input is seen by at most `OPEN` lines
/// of output. A vector of outputs reads `SPAN` of its values as `SOURCES` vectors, a pair of vectors `PAIR_SPAN` as
/// `PAIR_SOURCES`. Each size is a kernel of its own, or they would compete for registers.
struct Depthwise<
    'a,
    const K: usize,
    const STRIDE: usize,
    const OPEN: usize,
    const SOURCES: usize,
    const SPAN: usize,
    const PAIR_SOURCES: usize,
    const PAIR_SPAN: usize,
>(Pass<'a>);

impl<
    const K: usize,
    const STRIDE: usize,
    const OPEN: usize,
    const SOURCES: usize,
    const SPAN: usize,
    const PAIR_SOURCES: usize,
    const PAIR_SPAN: usize,
> Kernel for Depthwise<'_, K, STRIDE, OPEN, SOURCES, SPAN, PAIR_SOURCES, PAIR_SPAN>
{
    const HAS_FALLBACK: bool = cfg!(not(target_arch = "x86_64"));

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        mul_add: impl MulAdd,
        _: impl Vectors,
    ) {
        let mut pass = self.0;
        let (shape, activation) = (pass.shape, pass.activation);
        let Window { input: [in_depth, in_height, in_width], output, stride, padding, .. } = shape.window;
        let [depth, height, width] = output;
        let singles = ColumnKernel::<K, STRIDE, OPEN, 1, SOURCES, SPAN, PANELS>::new(&shape.window);
        let pairs = ColumnKernel::<K, STRIDE, OPEN, 2, PAIR_SOURCES, PAIR_SPAN, PANELS>::new(&shape.window);
        // Where there are registers enough, neighbours share what both read at stride 2: 1.3x on
        // `mb_dw3x3s2_64_112`. At stride 1 there is nothing to share.
        let in_pairs = PANELS == 2 && STRIDE == 2 && width >= 2 * NR;
        let nothing_to_do = pass.bias.is_empty() && activation == Activation::Identity;
        for image in 0..shape.batch {
            for group in 0..shape.groups {
                let (mut weights, group_weights) = ([[0.0; K]; K], pass.weights(group));
                for (tap, weight) in weights.as_flattened_mut().iter_mut().enumerate() {
                    *weight = group_weights.at(tap);
                }
                let bias = (!nothing_to_do).then(|| pass.bias.get(group).copied().unwrap_or_default());
                let (planes, output) = pass.image(image, group);
                for z in 0..depth {
                    let in_z = (z * stride[0]).wrapping_sub(padding[0][0]);
                    let output = &mut output[z * height * width..][..height * width];
                    if in_z >= in_depth {
                        output.fill(0.0);
                        continue;
                    }
                    let start = planes.start + in_z * in_height * in_width;
                    let mut band = RowBand { input: planes.input, start, lines: 0..0, weights: &weights };
                    while band.lines.end < height {
                        band.lines = band.lines.end..height.min(band.lines.end + LINES);
                        let mut x = 0;
                        while x < width {
                            if in_pairs && width - x > NR {
                                pairs.fill(&band, x, output, mul_add);
                                x += 2 * NR;
                            } else {
                                singles.fill(&band, x, output, mul_add);
                                x += NR;
                            }
                        }
                    }
                }
                if let Some(bias) = bias {
                    finish(output, bias, activation);
                }
            }
        }
    }
}

/// Lines of output that a column of vectors goes down before the next one begins: what a band reads
/// stays in L1 for all of its columns.
const LINES: usize = 28;

/// Lines of output of a plane.
struct RowBand<'a, const K: usize> {
    input: &'a [f32],
    /// Where the plane of input begins.
    start: usize,
    lines: Range<usize>,
    weights: &'a [[f32; K]; K],
}

/// Columns of outputs that are `VECTORS` wide, for an instruction set whose tiles have `PANELS` panels.
struct ColumnKernel<
    'a,
    const K: usize,
    const STRIDE: usize,
    const OPEN: usize,
    const VECTORS: usize,
    const SOURCES: usize,
    const SPAN: usize,
    const PANELS: usize,
> {
    window: &'a Window,
    /// Which lanes of the first and of the last column see the input.
    left: [Mask; SOURCES],
    right: [Mask; SOURCES],
}

impl<
    'a,
    const K: usize,
    const STRIDE: usize,
    const OPEN: usize,
    const VECTORS: usize,
    const SOURCES: usize,
    const SPAN: usize,
    const PANELS: usize,
> ColumnKernel<'a, K, STRIDE, OPEN, VECTORS, SOURCES, SPAN, PANELS>
{
    #[inline(always)]
    fn new(window: &'a Window) -> Self {
        let mut columns = Self { window, left: [[0; NR]; SOURCES], right: [[0; NR]; SOURCES] };
        columns.left = columns.masks(0);
        columns.right = columns.masks(columns.last());
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
    fn masks(&self, x: usize) -> [Mask; SOURCES] {
        taps::masks::<STRIDE, SOURCES>(self.first_tap(x), self.window.input[2])
    }

    /// Computes the column of a band that begins at `x`.
    #[inline(always)]
    fn fill(&self, band: &RowBand<'_, K>, x: usize, output: &mut [f32], mul_add: impl MulAdd) {
        let (width, last) = (self.window.input[2], self.last());
        let x = x.min(last);
        let at = self.first_tap(x);
        if at < width && width - at >= (VECTORS * NR - 1) * STRIDE + K {
            self.column(band, x, None, output, mul_add);
        } else {
            let masks = if x == 0 {
                self.left
            } else if x == last {
                self.right
            } else {
                // A middle column that sees padding: the padding is wide, or the last column overlaps this one.
                self.masks(x)
            };
            self.column(band, x, Some(masks), output, mul_add);
        }
    }

    #[inline(always)]
    fn column(
        &self,
        band: &RowBand<'_, K>,
        x: usize,
        masks: Option<[Mask; SOURCES]>,
        output: &mut [f32],
        mul_add: impl MulAdd,
    ) {
        let RowBand { input, start, ref lines, weights } = *band;
        let start = start.wrapping_add(self.first_tap(x));
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
                // Nothing needs to be asked where all lines exist and end in the input.
                let sure = (steps - step).min((height - row) / STRIDE);
                let values = input.get(at..).unwrap_or_default();
                let before = step;
                for values in
                    values.windows(SPAN + (STRIDE - 1) * in_width).step_by(STRIDE * in_width).take(sure)
                {
                    let Some(upper) = values.first_chunk() else {
                        debug_assert!(false, "a line ends before what the taps see");
                        break;
                    };
                    Self::line::<0>(weights, upper, &masks, &mut sums, mul_add);
                    if STRIDE == 2 {
                        let Some(lower) = values[in_width..].first_chunk() else {
                            debug_assert!(false, "a line ends before what the taps see");
                            break;
                        };
                        Self::line::<1>(weights, lower, &masks, &mut sums, mul_add);
                    }
                    store(output, to, sums[0]);
                    next_line(&mut sums);
                    to += width;
                    step += 1;
                }
                if step > before {
                    row += (step - before) * STRIDE;
                    continue;
                }
            }
            if row < height {
                Self::line_at::<0>(weights, input, at, &masks, &mut sums, mul_add);
            }
            if STRIDE == 2 && row.wrapping_add(1) < height {
                let at = at.wrapping_add(in_width);
                Self::line_at::<1>(weights, input, at, &masks, &mut sums, mul_add);
            }
            if step + 1 >= OPEN {
                store(output, to, sums[0]);
                to += width;
            }
            next_line(&mut sums);
            row = row.wrapping_add(STRIDE);
            step += 1;
        }
    }

    /// [`line`](Self::line) where it may lie at an end of the input.
    #[inline(always)]
    fn line_at<const LINE: usize>(
        weights: &[[f32; K]; K],
        input: &[f32],
        at: usize,
        masks: &Option<[Mask; SOURCES]>,
        sums: &mut [[Lanes; VECTORS]; OPEN],
        mul_add: impl MulAdd,
    ) {
        let beyond;
        let values = match input.get(at..).and_then(<[f32]>::first_chunk) {
            Some(values) => values,
            None => {
                beyond = taps::read_each(input, at);
                &beyond
            }
        };
        Self::line::<LINE>(weights, values, masks, sums, mul_add);
    }

    /// Adds a line of input, number `LINE` of the `STRIDE` new ones, to the sums of all lines of output
    /// that see it.
    #[inline(always)]
    fn line<const LINE: usize>(
        weights: &[[f32; K]; K],
        values: &[f32; SPAN],
        masks: &Option<[Mask; SOURCES]>,
        sums: &mut [[Lanes; VECTORS]; OPEN],
        mul_add: impl MulAdd,
    ) {
        let mut sources: [Lanes; SOURCES] = taps::load::<STRIDE, SOURCES, SPAN>(values, mul_add);
        if let Some(masks) = masks {
            for i in 0..SOURCES {
                sources[i] = if STRIDE == 2 && PANELS == 1 {
                    mask::apply_by_fours(&masks[i], sources[i])
                } else {
                    mask::apply(&masks[i], sources[i])
                };
            }
        }
        let taps = taps::taps::<K, STRIDE, VECTORS, SOURCES>(&sources, mul_add);
        for kx in 0..K {
            for (line, sums) in sums.iter_mut().enumerate() {
                let ky = (K - STRIDE + LINE).wrapping_sub(line * STRIDE);
                if ky < K {
                    for v in 0..VECTORS {
                        sums[v] = mul_add(weights[ky][kx], taps[kx][v], sums[v]);
                    }
                }
            }
        }
    }
}

/// Takes the finished line of sums away.
#[inline(always)]
fn next_line<const VECTORS: usize, const OPEN: usize>(sums: &mut [[Lanes; VECTORS]; OPEN]) {
    // Not a loop, which would be made a copy in memory.
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

/// Stores sums at `to`. What a vector holds too much lies where the next line is stored; at the end of
/// the plane it is left away.
#[inline(always)]
fn store<const VECTORS: usize>(output: &mut [f32], to: usize, sums: [Lanes; VECTORS]) {
    let output = output.get_mut(to..).unwrap_or_default();
    match output.as_chunks_mut::<NR>().0.first_chunk_mut() {
        Some(output) => *output = sums,
        None => store_end(output, sums[0]),
    }
}

/// The last vector of a plane, in parts of known length: a copy of any length is a call.
#[inline(always)]
fn store_end(output: &mut [f32], sums: Lanes) {
    let mut rest = sums;
    let output = store_part::<8>(output, &mut rest);
    let output = store_part::<4>(output, &mut rest);
    let output = store_part::<2>(output, &mut rest);
    store_part::<1>(output, &mut rest);
}

/// Stores `LEN` values where there is room for them.
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

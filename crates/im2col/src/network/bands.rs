//! Convolutions of one image in place, band by band.
//!
//! A *band* is the lines of one row of the tiles of a pooling, of a few output channels. Activation and pooling follow while it
//! is in L1, and only what is pooled is kept. Where an image has to be converted, the lines that a band sees are converted
//! first.

use super::images::Images;
use crate::conv::{ConvPlan, LineOperands};
use crate::padding::PaddingMode;
use crate::pool::windows::Pooling;
use crate::simd::MR;
use crate::window::{Window, min};
use core::ops::Range;

/// The most output channels of a band: those of the largest tile of sums.
const BAND_CHANNELS: usize = MR;

/// How many lines a band has: as many as a tile, or one without pooling.
pub(super) const fn band_lines(pooling: Option<&Pooling>) -> usize {
    match pooling {
        Some(pooling) => pooling.window.kernel[1],
        None => 1,
    }
}

/// How long a band is.
pub(super) const fn band_len(plan: &ConvPlan<2>, pooling: Option<&Pooling>) -> usize {
    let [_, _, out_group] = plan.group_channels();
    let [.., width] = plan.window().output;
    // A part of the convolution's output, whose length is checked.
    min(BAND_CHANNELS, out_group).wrapping_mul(band_lines(pooling)).wrapping_mul(width)
}

/// How many values of input a band sees: of the lines of a group's planes.
pub(super) const fn seen_len(plan: &ConvPlan<2>, pooling: Option<&Pooling>) -> usize {
    let [_, in_group, _] = plan.group_channels();
    let [.., width] = plan.window().input;
    // A part of an image, whose length is checked.
    in_group.wrapping_mul(lines_seen(plan.window(), band_lines(pooling))).wrapping_mul(width)
}

/// From the first to the last line of input that `lines` lines of output see, at most all.
const fn lines_seen(window: &Window, lines: usize) -> usize {
    let between = lines.saturating_sub(1).saturating_mul(window.stride[1]);
    let reach = window.kernel[1].saturating_sub(1).saturating_mul(window.dilation[1]);
    min(between.saturating_add(reach).saturating_add(1), window.input[1])
}

/// Convolves an image of values, all planes of `operands`, and pools it.
pub(super) fn convolve(
    plan: &ConvPlan<2>,
    pooling: Option<&Pooling>,
    operands: &LineOperands<'_>,
    output: &mut [f32],
    band: &mut [f32],
) {
    let planes_of =
        |channel: usize| LineOperands { planes: plan.planes_of(operands.planes, channel), ..*operands };
    if pooling.is_some() {
        for_each_band(plan, pooling, output, band, |channels, lines, band| {
            plan.forward_lines(&planes_of(channels.start), channels, lines, band);
        });
        return;
    }
    let [groups, _, out_group] = plan.group_channels();
    let [height, _] = plan.output_dims();
    let group_outputs = output.chunks_exact_mut((output.len() / groups.max(1)).max(1));
    for (group, output) in group_outputs.enumerate() {
        let channels = group * out_group..(group + 1) * out_group;
        plan.forward_lines(&planes_of(channels.start), channels, 0..height, output);
    }
}

/// Convolves an image that has to be converted, and pools it. The lines that a band sees are converted in `seen`; `operands` has no
/// planes.
pub(super) fn convolve_unconverted(
    plan: &ConvPlan<2>,
    pooling: Option<&Pooling>,
    operands: &LineOperands<'_>,
    image: Images<'_>,
    output: &mut [f32],
    [band, seen]: [&mut [f32]; 2],
) {
    let [_, in_group, out_group] = plan.group_channels();
    for_each_band(plan, pooling, output, band, |channels, lines, band| {
        let first = channels.start / out_group.max(1) * in_group;
        let (window, lines) = convert_lines(image, first..first + in_group, plan.window(), lines, seen);
        plan.forward_lines(
            &LineOperands { planes: seen, window: &window, ..*operands },
            channels,
            lines,
            band,
        );
    });
}

/// Converts the lines of `channels` that `lines` of the output see. Returns a window over the converted lines, and which lines of
/// its output are `lines`.
///
/// Where all lines of the planes are seen, that is the whole window. Otherwise its input is the lines from the first seen to the
/// last, without those in a padding of zeros, which are its padding.
fn convert_lines(
    image: Images<'_>,
    channels: Range<usize>,
    window: &Window,
    lines: Range<usize>,
    converted: &mut [f32],
) -> (Window, Range<usize>) {
    let ([_, height, width], stride, dilation) = (window.input, window.stride[1], window.dilation[1]);
    let seen = lines_seen(window, lines.len());
    let is_whole = seen == height;
    // Wraps around before the planes, in the padding.
    let first = (lines.start * stride).wrapping_sub(window.padding[1][0]);
    let has_zeros = !is_whole && window.mode == PaddingMode::Zeros;
    let before = if has_zeros && first > isize::MAX as usize { min(first.wrapping_neg(), seen) } else { 0 };
    let end = if has_zeros { height.saturating_sub(first.wrapping_add(before)) } else { seen };
    let inside = min(seen - before, end);
    let converted_planes = converted.chunks_exact_mut((inside * width).max(1));
    for (channel, converted) in channels.zip(converted_planes) {
        let mut next = 0;
        for (line, tap) in (0..lines.len()).flat_map(|line| (0..window.kernel[1]).map(move |tap| (line, tap)))
        {
            let at = line * stride + tap * dilation;
            if at < next {
                continue;
            }
            next = if dilation == 1 { at + 1 } else { 0 };
            if let Some(y) = window.mode.source(first.wrapping_add(at), height) {
                let place = if is_whole { y } else { at.wrapping_sub(before) };
                let line = converted.get_mut(place * width..).unwrap_or_default();
                let line = line.get_mut(..width).unwrap_or_default();
                image.convert_line(image.line_at([channel, y], [height, width]), line);
            }
        }
    }
    if is_whole {
        return (*window, lines);
    }
    let mut window = *window;
    window.input[1] = inside;
    window.padding[1] = [before, seen - before - inside];
    window.output[1] = lines.len();
    (window, 0..lines.len())
}

/// Computes bands by `convolve`, of some channels and lines, and pools each; without pooling, it is copied.
fn for_each_band(
    plan: &ConvPlan<2>,
    pooling: Option<&Pooling>,
    output: &mut [f32],
    band: &mut [f32],
    mut convolve: impl FnMut(Range<usize>, Range<usize>, &mut [f32]),
) {
    let [_, _, out_group] = plan.group_channels();
    let [.., width] = plan.window().output;
    let [_, rows, row_len] = pooling.map_or(plan.window().output, |pooling| pooling.window.output);
    let height = band_lines(pooling);
    let (band_plane, plane) = (height * width, rows * row_len);
    for (group, output) in output.chunks_exact_mut((out_group * plane).max(1)).enumerate() {
        for (part, output) in output.chunks_mut((BAND_CHANNELS * plane).max(1)).enumerate() {
            let first = group * out_group + part * BAND_CHANNELS;
            let count = min(BAND_CHANNELS, out_group - part * BAND_CHANNELS);
            let Some(band) = band.get_mut(..count * band_plane) else { return };
            for row in 0..rows {
                convolve(first..first + count, row * height..(row + 1) * height, band);
                let mut planes = output.chunks_exact_mut(plane.max(1));
                for lines in band.chunks_exact(band_plane.max(1)) {
                    let Some(plane) = planes.next() else { break };
                    let stored = plane.get_mut(row * row_len..).unwrap_or_default();
                    let stored = stored.get_mut(..row_len).unwrap_or_default();
                    match pooling {
                        Some(pooling) => pooling.pool_tiles(lines, stored),
                        None => stored.iter_mut().zip(lines).for_each(|(stored, value)| *stored = *value),
                    }
                }
            }
        }
    }
}

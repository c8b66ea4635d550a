//! The algorithm that needs no scratch: input and weights are read where they lie.
//!
//! The sums of up to sixteen positions of a line stay in registers for all products. Where there are many registers, a vector
//! is read for each [tap](taps); small targets read a [segment](segments) of a line for all taps of a line of the kernel.

mod any_layout;
mod segments;
mod taps;

use crate::conv::pass::{GroupWeights, ImagePlanes, Pass};
use crate::conv::shape::ConvShape;
use crate::epilogue::Epilogue;
use crate::simd::{HAS_VECTORS, IS_SMALL, Isa, Kernel, MulAdd, NR, Vectors, dispatch};
use core::ops::Range;

/// Runs the algorithm.
pub(in crate::conv) fn forward(isa: Isa, pass: &mut Pass<'_>) {
    if !pass.shape.is_planar() {
        dispatch(isa, any_layout::InAnyLayout(pass.reborrow()));
        return;
    }
    let [depth, height, _] = pass.shape.window.output;
    forward_lines(isa, pass.reborrow(), 0..depth * height);
}

/// Runs the algorithm for some lines of the output planes, which are numbered through the slices of a plane: the output is
/// `[batch, groups, out_group, lines, width]`.
pub(in crate::conv) fn forward_lines(isa: Isa, pass: Pass<'_>, lines: Range<usize>) {
    dispatch(isa, InPlace { pass, lines });
}

struct InPlace<'a> {
    pass: Pass<'a>,
    lines: Range<usize>,
}

impl Kernel for InPlace<'_> {
    const USES_AVX512: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        mul_add: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { mut pass, lines } = self;
        let shape = pass.shape;
        let output = core::mem::take(&mut pass.output);
        let len = shape.in_group * shape.window.plane_len();
        let output_len = shape.out_group * lines.len() * shape.window.output[2];
        let (mut start, mut group) = (0, 0);
        for output in output.chunks_exact_mut(output_len.max(1)) {
            let planes = ImagePlanes { input: pass.input, start, len };
            let (weights, epilogue, lines) = (pass.weights(group), pass.epilogue(group), lines.clone());
            if !HAS_VECTORS || shape.out_group == 1 {
                convolve::<1>(&shape, planes, weights, epilogue, lines, output, mul_add);
            } else {
                convolve::<ROWS>(&shape, planes, weights, epilogue, lines, output, mul_add);
            }
            start += len;
            group = if group + 1 == shape.groups { 0 } else { group + 1 };
        }
    }
}

/// Where the weights of some outputs lie: of output `i`, channel `c` and tap `t` at
/// `outputs[i] + c * channel + t * tap`. Distances wrap, so they may be negative.
struct WeightPlaces<'a, const ROWS: usize> {
    values: &'a [f32],
    outputs: [usize; ROWS],
    channel: usize,
    tap: usize,
}

/// Convolves one image and group: `output` is `[out_group, lines, width]`.
#[inline(always)]
pub(in crate::conv) fn convolve<const ROWS: usize>(
    shape: &ConvShape,
    planes: ImagePlanes<'_>,
    weights: GroupWeights<'_>,
    epilogue: Epilogue<'_>,
    lines: Range<usize>,
    output: &mut [f32],
    mul_add: impl MulAdd,
) {
    let (depth, taps) = (shape.depth(), shape.window.taps());
    let plane_len = (lines.len() * shape.window.output[2]).max(1);
    for (panel, output) in output.chunks_mut((NR * plane_len).max(1)).enumerate() {
        let channels = output.len() / plane_len;
        for part in (0..channels).step_by(ROWS) {
            // The last of sixteen channels are computed with some before them once more.
            let part = part.min(NR - ROWS);
            let first = panel * NR + part;
            let output = output.get_mut(part * plane_len..).unwrap_or_default();
            let weights = match weights {
                GroupWeights::Plain(values) => WeightPlaces {
                    values,
                    outputs: rows_from::<ROWS>(first, shape.out_group, depth),
                    channel: taps,
                    tap: 1,
                },
                GroupWeights::Packed(values) => WeightPlaces {
                    values: values.get(panel * depth * NR..).unwrap_or_default(),
                    outputs: rows_from::<ROWS>(part, NR, 1),
                    channel: taps * NR,
                    tap: NR,
                },
            };
            let channels =
                Channels::<ROWS> { shape, planes, weights: &weights, epilogue, first, lines: lines.clone() };
            match shape.window.stride[2] {
                1 => channels.convolve::<1>(output, mul_add),
                2 if IS_SMALL => channels.convolve::<2>(output, mul_add),
                _ => channels.convolve::<0>(output, mul_add),
            }
        }
    }
}

/// Convolves one image and group by weights that stand in reverse: `weight` is `[in_group, out_group, taps]`, from
/// the last tap to the first. The stride is 1; `output` is `[out_group, positions]`.
#[inline(always)]
pub(in crate::conv) fn convolve_reversed<const ROWS: usize>(
    shape: &ConvShape,
    planes: ImagePlanes<'_>,
    weight: &[f32],
    output: &mut [f32],
    mul_add: impl MulAdd,
) {
    let ConvShape { out_group, window, .. } = shape;
    let taps = window.taps();
    let [depth, height, _] = window.output;
    for (chunk, output) in output.chunks_mut((ROWS * window.positions()).max(1)).enumerate() {
        let first = chunk * ROWS;
        let outputs: [_; ROWS] = rows_from(first, *out_group, taps).map(|row| row + taps - 1);
        let (channel, tap) = (out_group * taps, 1_usize.wrapping_neg());
        let weights = WeightPlaces { values: weight, outputs, channel, tap };
        let (epilogue, lines) = (Epilogue::NONE, 0..depth * height);
        Channels::<ROWS> { shape, planes, weights: &weights, epilogue, first, lines }
            .convolve::<1>(output, mul_add);
    }
}

/// Where rows begin that are `step` apart, from row `first` on. Rows past the last of `rows` repeat it; they are not
/// stored.
#[inline(always)]
fn rows_from<const ROWS: usize>(first: usize, rows: usize, step: usize) -> [usize; ROWS] {
    let mut starts = [0; ROWS];
    for (i, start) in starts.iter_mut().enumerate() {
        *start = (first + i).min(rows - 1) * step;
    }
    starts
}

/// Up to `ROWS` output channels of one image and group, from channel `first` on.
struct Channels<'a, const ROWS: usize> {
    shape: &'a ConvShape,
    planes: ImagePlanes<'a>,
    weights: &'a WeightPlaces<'a, ROWS>,
    epilogue: Epilogue<'a>,
    first: usize,
    lines: Range<usize>,
}

impl<const ROWS: usize> Channels<'_, ROWS> {
    /// Computes `output` `[channels, lines, width]`. `STRIDE` is that of the last axis, or 0 for any.
    #[inline(always)]
    fn convolve<const STRIDE: usize>(&self, output: &mut [f32], mul_add: impl MulAdd) {
        if IS_SMALL {
            self.convolve_segments::<STRIDE>(output, mul_add);
        } else {
            self.convolve_taps::<STRIDE>(output, mul_add);
        }
    }
}

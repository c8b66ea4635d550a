//! The gradient of the input without scratch; also the forward pass of a transposed convolution.
//!
//! Each value is summed in the order of the kernel that takes a scratch, so a limit changes no bit of it:
//!
//! - where it is a convolution ([`Mirrored`]), by the in-place algorithm, with the weights read from the last tap to
//!   the first;
//! - otherwise ([`Spread`]) the values of `weight^T grad_output` are added, one by one, where `col2im` adds them;
//! - with one input channel and few outputs per group ([`DepthwiseInputInPlace`]) each line of the padded plane is summed, then
//!   added to the line that it shows.

use super::{depthwise, input};
use crate::conv::algorithm::convolve_reversed;
use crate::conv::pass::ImagePlanes;
use crate::conv::shape::ConvShape;
use crate::gemm::{blocks, pack::panels_len};
use crate::padding::PaddingMode;
use crate::simd::load::padded;
use crate::simd::{Isa, Kernel, Lanes, MulAdd, NR, Vectors, dispatch};
use crate::weights::Weights;
use crate::window::Window;

/// Computes the gradient of the input of a convolution that has a `mirror`.
pub(in crate::conv) fn mirrored(
    isa: Isa,
    mirror: &ConvShape,
    weight: &[f32],
    grad_output: &[f32],
    grad_input: &mut [f32],
) {
    dispatch(isa, Mirrored { mirror: mirror.simplified(), weight, grad_output, grad_input });
}

/// Computes the gradient of the input of any other convolution; also the forward pass of the transposed one.
pub(in crate::conv) fn spread(
    isa: Isa,
    shape: &ConvShape,
    weight: Weights<'_>,
    grad_output: &[f32],
    grad_input: &mut [f32],
) {
    let shape = *shape;
    if depthwise::stage_len(&shape).is_some() {
        dispatch(isa, DepthwiseInputInPlace { shape, weight, grad_output, grad_input });
    } else {
        dispatch(isa, Spread { shape, weight, grad_output, grad_input });
    }
}

struct Mirrored<'a> {
    mirror: ConvShape,
    weight: &'a [f32],
    grad_output: &'a [f32],
    grad_input: &'a mut [f32],
}

impl Kernel for Mirrored<'_> {
    const USES_AVX512: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        mul_add: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { mirror, weight, grad_output, grad_input } = self;
        let ConvShape { groups, in_group, out_group, window, .. } = mirror;
        let (len, weight_len) = (in_group * window.plane_len(), out_group * mirror.depth());
        let outputs = grad_input.chunks_exact_mut(out_group * window.positions());
        for (place, output) in outputs.enumerate() {
            let planes = ImagePlanes { input: grad_output, start: place * len, len };
            let weight = &weight[place % groups * weight_len..][..weight_len];
            convolve_reversed::<ROWS>(&mirror, planes, weight, output, mul_add);
        }
    }
}

/// The weights of one group: `at(output, row)`, a row being an input channel of the group and a tap.
#[derive(Clone, Copy)]
enum TransposedWeights<'a> {
    /// `[out_group, depth]`
    Plain(&'a [f32]),
    /// Panels of rows.
    Packed(&'a [[f32; NR]]),
}

impl<'a> TransposedWeights<'a> {
    #[inline(always)]
    fn new(weight: Weights<'a>, shape: &ConvShape, group: usize) -> Self {
        let (depth, out_group) = (shape.depth(), shape.out_group);
        match weight {
            Weights::Plain(weight) => Self::Plain(&weight[group * out_group * depth..][..out_group * depth]),
            Weights::Packed(packed) => {
                let len = panels_len::<NR>(out_group, depth);
                Self::Packed(packed.panels[group * len..][..len].as_chunks().0)
            }
        }
    }

    #[inline(always)]
    fn at(&self, output: usize, row: usize, shape: &ConvShape) -> f32 {
        match self {
            Self::Plain(weight) => weight[output * shape.depth() + row],
            Self::Packed(panels) => panels[row / NR * shape.out_group + output][row % NR],
        }
    }
}

struct Spread<'a> {
    shape: ConvShape,
    weight: Weights<'a>,
    grad_output: &'a [f32],
    grad_input: &'a mut [f32],
}

impl Kernel for Spread<'_> {
    const USES_AVX512: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        mul_add: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { shape, weight, grad_output, grad_input } = self;
        let ConvShape { groups, in_group, out_group, window, .. } = shape;
        let (taps, positions) = (window.taps(), window.positions());
        let (patches, nc) = (shape.patches(), input::blocking(&shape).nc);
        grad_input.fill(0.0);
        let images = grad_input.chunks_exact_mut(in_group * window.plane_len());
        let grads = grad_output.chunks_exact(out_group * positions);
        for (place, (image, grads)) in images.zip(grads).enumerate() {
            let weight = TransposedWeights::new(weight, &shape, place % groups);
            // Values of `weight^T grad_output` for some channels, at one tap and sixteen positions.
            let product = |channel: usize, tap: usize, position: usize| {
                let mut sums = [[0.0; NR]; ROWS];
                for output in 0..out_group {
                    let grads = from(grads, output * positions + position);
                    for (i, sums) in sums.iter_mut().enumerate() {
                        let channel = (channel + i).min(in_group - 1);
                        *sums = mul_add(weight.at(output, channel * taps + tap, &shape), grads, *sums);
                    }
                }
                sums
            };
            // The blocks of `StridedInput`, which takes scratch: runs end at the same columns, so sums keep their order.
            for range in blocks(positions, nc) {
                patches.spread(range, image, product);
            }
        }
    }
}

struct DepthwiseInputInPlace<'a> {
    shape: ConvShape,
    weight: Weights<'a>,
    grad_output: &'a [f32],
    grad_input: &'a mut [f32],
}

impl Kernel for DepthwiseInputInPlace<'_> {
    const USES_AVX512: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        mul_add: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { shape, weight, grad_output, grad_input } = self;
        let ConvShape { groups, out_group, window, .. } = shape;
        let Window { input, padding, stride, mode, .. } = window;
        let padded = |axis: usize| input[axis] + padding[axis][0] + padding[axis][1];
        let ([_, _, width], [before, _], stride) = (input, padding[2], stride[2]);
        grad_input.fill(0.0);
        let planes = grad_input.chunks_exact_mut(window.plane_len());
        let grads = grad_output.chunks_exact(out_group * window.positions());
        for (place, (plane, grads)) in planes.zip(grads).enumerate() {
            let weight = TransposedWeights::new(weight, &shape, place % groups);
            for z in 0..padded(0) {
                for y in 0..padded(1) {
                    let shown = [z.wrapping_sub(padding[0][0]), y.wrapping_sub(padding[1][0]), 0];
                    let Some(line) = window.source(shown) else { continue };
                    let line = &mut plane[line..][..width];
                    let staged = StagedLine { shape: &shape, weight, grads, line: [z, y] };
                    for residue in 0..stride.min(width) {
                        for first in (residue..width).step_by(NR.saturating_mul(stride)) {
                            let sums = staged.sums(before + first, mul_add);
                            let values = line[first..].iter_mut().step_by(stride);
                            values.zip(sums).for_each(|(value, sum)| *value += sum);
                        }
                    }
                    if mode != PaddingMode::Zeros {
                        for x in (0..before).chain(before + width..padded(2)) {
                            if let Some(shown) = mode.source(x.wrapping_sub(before), width) {
                                line[shown] += staged.sums(x, mul_add)[0];
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A line of the padded plane, and what is summed there.
struct StagedLine<'a> {
    shape: &'a ConvShape,
    weight: TransposedWeights<'a>,
    /// `[out_group, positions]`
    grads: &'a [f32],
    /// Its `z` and `y`, counted from the first line of the padding.
    line: [usize; 2],
}

impl StagedLine<'_> {
    /// The sums at sixteen places from `x` on, a stride apart: they see positions that follow each other. Products
    /// are added in ascending order of output and tap.
    #[inline(always)]
    fn sums(&self, x: usize, mul_add: impl MulAdd) -> Lanes {
        let ConvShape { out_group, window, .. } = self.shape;
        let Window { kernel, stride, dilation, output: [planes, lines, width], .. } = *window;
        let [z, y] = self.line;
        let mut sums = [0.0; NR];
        for output in 0..*out_group {
            for kz in 0..kernel[0] {
                let Some(plane) = position(z, kz * dilation[0], stride[0]).filter(|&z| z < planes) else {
                    continue;
                };
                for ky in 0..kernel[1] {
                    let Some(line) = position(y, ky * dilation[1], stride[1]).filter(|&y| y < lines) else {
                        continue;
                    };
                    let line = &self.grads[((output * planes + plane) * lines + line) * width..][..width];
                    for kx in 0..kernel[2] {
                        let offset = kx * dilation[2];
                        if x.abs_diff(offset) % stride[2] != 0 {
                            continue;
                        }
                        // Lanes before the first position, then the first that is seen.
                        let (skipped, first) = match x.checked_sub(offset) {
                            Some(ahead) => (0, ahead / stride[2]),
                            None => ((offset - x) / stride[2], 0),
                        };
                        let seen = line.get(first..).unwrap_or_default();
                        if skipped >= NR || seen.is_empty() {
                            continue;
                        }
                        let mut grads = [0.0; NR];
                        grads[skipped..].iter_mut().zip(seen).for_each(|(lane, grad)| *lane = *grad);
                        let tap = (kz * kernel[1] + ky) * kernel[2] + kx;
                        sums = mul_add(self.weight.at(output, tap, self.shape), grads, sums);
                    }
                }
            }
        }
        sums
    }
}

/// The position whose tap at `offset` sees place `at` of a padded axis.
#[inline(always)]
fn position(at: usize, offset: usize, stride: usize) -> Option<usize> {
    let ahead = at.checked_sub(offset)?;
    (ahead % stride == 0).then(|| ahead / stride)
}

/// Sixteen values from `start` on; zeros past the last.
#[inline(always)]
fn from(values: &[f32], start: usize) -> Lanes {
    let values = &values[start..];
    match values.first_chunk() {
        Some(lanes) => *lanes,
        None => padded(values),
    }
}

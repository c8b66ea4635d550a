//! The algorithm that needs no scratch: the input is read where it lies.
//!
//! Neither input nor weights are copied. Whole vectors are read without regard to padding; then the
//! lanes that see it are mended.

use crate::conv::pass::{GroupWeights, ImagePlanes, Pass};
use crate::conv::shape::ConvShape;
use crate::epilogue::Epilogue;
use crate::padding::PaddingMode;
use crate::simd::load::fetch;
use crate::simd::mask::keep;
use crate::simd::{Isa, Kernel, Lanes, MulAdd, NR, Vectors, dispatch};
use crate::window::Window;

/// Runs the algorithm.
pub(in crate::conv) fn forward(isa: Isa, pass: Pass<'_>) {
    dispatch(isa, InPlace(pass));
}

struct InPlace<'a>(Pass<'a>);

impl Kernel for InPlace<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        mul_add: impl MulAdd,
        _: impl Vectors,
    ) {
        let mut pass = self.0;
        let shape = pass.shape;
        for group in 0..shape.groups {
            let (weights, epilogue) = (pass.weights(group), pass.epilogue(group));
            for image in 0..pass.shape.batch {
                let (planes, output) = pass.image(image, group);
                if shape.out_group == 1 {
                    convolve::<1>(&shape, planes, weights, epilogue, output, mul_add);
                } else {
                    convolve::<ROWS>(&shape, planes, weights, epilogue, output, mul_add);
                }
            }
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

/// Convolves one image and group: `output` is `[out_group, positions]`.
#[inline(always)]
pub(in crate::conv) fn convolve<const ROWS: usize>(
    shape: &ConvShape,
    planes: ImagePlanes<'_>,
    weights: GroupWeights<'_>,
    epilogue: Epilogue<'_>,
    output: &mut [f32],
    mul_add: impl MulAdd,
) {
    let (depth, positions, taps) = (shape.depth(), shape.window.positions(), shape.window.taps());
    for (panel, output) in output.chunks_mut(NR * positions).enumerate() {
        for part in (0..output.len() / positions).step_by(ROWS) {
            // The last of sixteen channels are computed with some before them once more.
            let part = part.min(NR - ROWS);
            let (first, output) = (panel * NR + part, &mut output[part * positions..]);
            let weights = match weights {
                GroupWeights::Plain(values) => WeightPlaces {
                    values,
                    outputs: rows_from(first, shape.out_group, depth),
                    channel: taps,
                    tap: 1,
                },
                GroupWeights::Packed(values) => WeightPlaces {
                    values: &values[panel * depth * NR..][..depth * NR],
                    outputs: rows_from(part, NR, 1),
                    channel: taps * NR,
                    tap: NR,
                },
            };
            match shape.window.stride[2] {
                1 => channels::<ROWS, 1>(shape, planes, &weights, epilogue, first, output, mul_add),
                2 => channels::<ROWS, 2>(shape, planes, &weights, epilogue, first, output, mul_add),
                _ => channels::<ROWS, 0>(shape, planes, &weights, epilogue, first, output, mul_add),
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
    let ConvShape { out_group, window, .. } = *shape;
    let (taps, positions) = (window.taps(), window.positions());
    for (chunk, output) in output.chunks_mut(ROWS * positions).enumerate() {
        let first = chunk * ROWS;
        let outputs = rows_from(first, out_group, taps).map(|row| row + taps - 1);
        let (channel, tap) = (out_group * taps, 1_usize.wrapping_neg());
        let weights = WeightPlaces { values: weight, outputs, channel, tap };
        channels::<ROWS, 1>(shape, planes, &weights, Epilogue::NONE, first, output, mul_add);
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

/// Computes up to `ROWS` channels, `output` `[channels, positions]`, a vector of positions at a time.
#[inline(always)]
fn channels<const ROWS: usize, const STRIDE: usize>(
    shape: &ConvShape,
    planes: ImagePlanes<'_>,
    weights: &WeightPlaces<'_, ROWS>,
    epilogue: Epilogue<'_>,
    channel: usize,
    output: &mut [f32],
    mul_add: impl MulAdd,
) {
    let [depth, height, width] = shape.window.output;
    let positions = shape.window.positions();
    for z in 0..depth {
        for y in 0..height {
            for x in (0..width).step_by(NR) {
                let len = NR.min(width - x);
                let mut sums = sums::<ROWS, STRIDE>(shape, planes, [z, y, x], len, weights, mul_add);
                epilogue.apply(&mut sums, channel, 0);
                let start = (z * height + y) * width + x;
                for (sums, plane) in sums.iter().zip(output.chunks_exact_mut(positions)) {
                    plane[start..][..len].copy_from_slice(&sums[..len]);
                }
            }
        }
    }
}

/// The sums of `ROWS` channels at `len` positions from `[z, y, x]` on.
#[inline(always)]
fn sums<const ROWS: usize, const STRIDE: usize>(
    shape: &ConvShape,
    planes: ImagePlanes<'_>,
    [z, y, x]: [usize; 3],
    len: usize,
    weights: &WeightPlaces<'_, ROWS>,
    mul_add: impl MulAdd,
) -> [Lanes; ROWS] {
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

/// What the first `len` lanes see on the line that begins at `line`, the first of them at `x`, which
/// wraps around before it.
#[inline(always)]
fn read<const STRIDE: usize>(window: &Window, input: &[f32], line: usize, x: usize, len: usize) -> Lanes {
    let (width, stride) = (window.input[2], if STRIDE > 0 { STRIDE } else { window.stride[2] });
    let mut lanes = [0.0; NR];
    // In the padding this finds some other value.
    fetch::<STRIDE>(input, line.wrapping_add(x), stride, &mut lanes);
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

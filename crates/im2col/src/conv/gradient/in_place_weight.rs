//! The gradient of the weight without scratch: what it is summed from is read where it lies.
//!
//! Each value is summed in the chains of the kernel that takes a scratch, so a limit changes no bit of it.

use super::depthwise::parts;
use super::parts::Part;
use super::weight::Chains;
use crate::conv::shape::ConvShape;
use crate::gemm::blocks;
use crate::simd::{Isa, Kernel, Lanes, MulAdd, NR, Vectors, dispatch};
use crate::sum::{Cascade, lanes};
use crate::window::Window;

/// Computes the gradient of the weight.
pub(in crate::conv) fn weight(
    isa: Isa,
    shape: &ConvShape,
    input: &[f32],
    grad_output: &[f32],
    grad_weight: &mut [f32],
) {
    let shape = *shape;
    if shape.batch == 0 {
        grad_weight.fill(0.0);
    } else if super::depthwise::stage_len(&shape).is_some() {
        dispatch(isa, DepthwiseWeightInPlace { shape, input, grad_output, grad_weight });
    } else {
        dispatch(isa, Weight { shape, input, grad_output, grad_weight });
    }
}

struct Weight<'a> {
    shape: ConvShape,
    input: &'a [f32],
    grad_output: &'a [f32],
    grad_weight: &'a mut [f32],
}

impl Kernel for Weight<'_> {
    const USES_AVX512: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        mul_add: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { shape, input, grad_output, grad_weight } = self;
        let ConvShape { batch, groups, in_group, out_group, window, .. } = shape;
        let (depth, taps) = (shape.depth(), window.taps());
        let (plane_len, positions) = (window.plane_len(), window.positions());
        let chains = Chains::new(&shape);
        let mut levels = [[[0.0; NR]; ROWS]; Cascade::MOST_LEVELS];
        for (group, grad_weight) in grad_weight.chunks_exact_mut(out_group * depth).enumerate() {
            for outputs in blocks(out_group, NR) {
                for rows in blocks(depth, ROWS) {
                    let mut total = [[0.0; NR]; ROWS];
                    let levels = levels.as_flattened_mut().as_flattened_mut();
                    let mut all = Cascade::new(total.as_flattened_mut(), levels, chains.count);
                    for images in blocks(batch, chains.images) {
                        for part in chains.parts.iter() {
                            let mut sums = [[0.0; NR]; ROWS];
                            for image in images.clone() {
                                let place = image * groups + group;
                                let first = (place * out_group + outputs.start) * positions;
                                let grads = &grad_output[first..][..outputs.len() * positions];
                                let planes: [Plane<'_>; ROWS] = core::array::from_fn(|i| {
                                    let row = (rows.start + i).min(rows.end - 1);
                                    let first = (place * in_group + row / taps) * plane_len;
                                    Plane { values: &input[first..][..plane_len], tap: row % taps }
                                });
                                add_products(&window, &part, &planes, grads, &mut sums, mul_add);
                            }
                            all.add(sums.as_flattened());
                        }
                    }
                    all.finish();
                    for (row, sums) in rows.zip(&total) {
                        for (output, sum) in outputs.clone().zip(sums) {
                            grad_weight[output * depth + row] = *sum;
                        }
                    }
                }
            }
        }
    }
}

/// A plane of the input, and the tap that sees it.
#[derive(Clone, Copy)]
struct Plane<'a> {
    values: &'a [f32],
    tap: usize,
}

impl<'a> Plane<'a> {
    /// What the tap sees of the positions `[z, y, ..]`.
    #[inline(always)]
    fn line(&self, window: &Window, z: usize, y: usize) -> InputLine<'a> {
        let Window { kernel, stride, dilation, padding, .. } = window;
        let [_, height, width] = *kernel;
        let tap = [self.tap / (height * width), self.tap / width % height, self.tap % width];
        let at = |axis: usize, output: usize| {
            (output * stride[axis] + tap[axis] * dilation[axis]).wrapping_sub(padding[axis][0])
        };
        let line = window.source([at(0, z), at(1, y), 0]);
        InputLine { values: line.map(|line| &self.values[line..][..window.input[2]]), first: at(2, 0) }
    }
}

/// A line of a plane, none if all of it is zero, and where position 0 sees it, which wraps around before the line.
#[derive(Clone, Copy)]
struct InputLine<'a> {
    values: Option<&'a [f32]>,
    first: usize,
}

impl InputLine<'_> {
    #[inline(always)]
    fn at(&self, window: &Window, x: usize) -> f32 {
        let Some(values) = self.values else { return 0.0 };
        let x = self.first.wrapping_add(x * window.stride[2]);
        window.mode.source(x, values.len()).map_or(0.0, |x| values[x])
    }
}

/// Adds to `sums[i]` the products of what the tap of plane `i` sees, position after position of the part, and of
/// `grads`, at most sixteen outputs of all positions each: the lanes.
#[inline(always)]
fn add_products<const ROWS: usize>(
    window: &Window,
    part: &Part,
    planes: &[Plane<'_>; ROWS],
    grads: &[f32],
    sums: &mut [Lanes; ROWS],
    mul_add: impl MulAdd,
) {
    let ([_, height, width], positions) = (window.output, window.positions());
    let [first_z, first_y, first_x] = part.start;
    for z in first_z..first_z + part.size[0] {
        for y in first_y..first_y + part.size[1] {
            let mut lines = [InputLine { values: None, first: 0 }; ROWS];
            for (line, plane) in lines.iter_mut().zip(planes) {
                *line = plane.line(window, z, y);
            }
            for x in first_x..first_x + part.size[2] {
                let mut lanes = [0.0; NR];
                for (lane, grads) in lanes.iter_mut().zip(grads.chunks_exact(positions)) {
                    *lane = grads[(z * height + y) * width + x];
                }
                for (sums, line) in sums.iter_mut().zip(&lines) {
                    *sums = mul_add(line.at(window, x), lanes, *sums);
                }
            }
        }
    }
}

struct DepthwiseWeightInPlace<'a> {
    shape: ConvShape,
    input: &'a [f32],
    grad_output: &'a [f32],
    grad_weight: &'a mut [f32],
}

impl Kernel for DepthwiseWeightInPlace<'_> {
    const USES_AVX512: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { shape, input, grad_output, grad_weight } = self;
        let ConvShape { batch, groups, out_group, window, .. } = shape;
        let (plane_len, positions, taps) = (window.plane_len(), window.positions(), window.taps());
        let parts = parts(&window);
        let mut levels = [0.0; Cascade::MOST_LEVELS];
        for (i, grad_weight) in grad_weight.iter_mut().enumerate() {
            let (output, tap) = (i / taps, i % taps);
            let total = core::slice::from_mut(grad_weight);
            let mut all = Cascade::new(total, &mut levels, batch * parts.count());
            for image in 0..batch {
                let values = &input[(image * groups + output / out_group) * plane_len..][..plane_len];
                let grads = &grad_output[(image * groups * out_group + output) * positions..][..positions];
                for part in parts.iter() {
                    let sums = inner_product(&window, &part, &Plane { values, tap }, grads);
                    all.add(&[lanes(sums)]);
                }
            }
            all.finish();
        }
    }
}

/// The products of what the tap sees and the gradients of a part, whose last axis is in vectors: in a chain for each
/// lane.
#[inline(always)]
fn inner_product(window: &Window, part: &Part, plane: &Plane<'_>, grads: &[f32]) -> Lanes {
    let [_, height, width] = window.output;
    let [first_z, first_y, first_x] = part.start;
    let mut sums = [0.0; NR];
    for z in first_z..first_z + part.size[0] {
        for y in first_y..first_y + part.size[1] {
            let line = plane.line(window, z, y);
            let grads = &grads[(z * height + y) * width..][..width];
            for first in (first_x..first_x + part.size[2]).map(|vector| vector * NR) {
                for (lane, grad) in grads[first..].iter().take(NR).enumerate() {
                    sums[lane] += grad * line.at(window, first + lane);
                }
            }
        }
    }
    sums
}

//! The gradient of the weight without scratch: what it is summed from is read where it lies.
//!
//! Each value is summed in the chains of the kernel that takes a scratch, so a limit changes no bit of it.

use super::super::backward_weight::images_at_once;
use super::super::shape::Shape;
use crate::gemm::blocks;
use crate::kernel::{Isa, Job, Lanes, MulAdd, NR, Vectors, dispatch};
use crate::window::Window;

/// Computes the gradient of the weight.
pub(in super::super) fn weight(
    isa: Isa,
    shape: &Shape,
    input: &[f32],
    grad_output: &[f32],
    grad_weight: &mut [f32],
) {
    let shape = *shape;
    if shape.depthwise_stage_len().is_some() {
        dispatch(isa, Depthwise { shape, input, grad_output, grad_weight });
    } else {
        dispatch(isa, Weight { shape, input, grad_output, grad_weight });
    }
}

struct Weight<'a> {
    shape: Shape,
    input: &'a [f32],
    grad_output: &'a [f32],
    grad_weight: &'a mut [f32],
}

impl Job for Weight<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        mul_add: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { shape, input, grad_output, grad_weight } = self;
        let Shape { batch, groups, in_group, out_group, window } = shape;
        let (depth, taps) = (shape.depth(), window.taps());
        let (plane_len, positions) = (window.plane_len(), window.positions());
        grad_weight.fill(0.0);
        for (group, grad_weight) in grad_weight.chunks_exact_mut(out_group * depth).enumerate() {
            for images in blocks(batch, images_at_once(&shape)) {
                for outputs in blocks(out_group, NR) {
                    for rows in blocks(depth, ROWS) {
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
                            add_products(&window, &planes, grads, &mut sums, mul_add);
                        }
                        for (row, sums) in rows.zip(&sums) {
                            for (output, sum) in outputs.clone().zip(sums) {
                                grad_weight[output * depth + row] += sum;
                            }
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
    fn line(&self, window: &Window, z: usize, y: usize) -> Line<'a> {
        let Window { kernel, stride, dilation, padding, .. } = window;
        let [_, height, width] = *kernel;
        let tap = [self.tap / (height * width), self.tap / width % height, self.tap % width];
        let at = |axis: usize, output: usize| {
            (output * stride[axis] + tap[axis] * dilation[axis]).wrapping_sub(padding[axis][0])
        };
        let line = window.source([at(0, z), at(1, y), 0]);
        Line { values: line.map(|line| &self.values[line..][..window.input[2]]), first: at(2, 0) }
    }
}

/// A line of a plane, none if all of it is zero, and where position 0 sees it, which wraps around before the line.
#[derive(Clone, Copy)]
struct Line<'a> {
    values: Option<&'a [f32]>,
    first: usize,
}

impl Line<'_> {
    #[inline(always)]
    fn at(&self, window: &Window, x: usize) -> f32 {
        let Some(values) = self.values else { return 0.0 };
        let x = self.first.wrapping_add(x * window.stride[2]);
        window.mode.source(x, values.len()).map_or(0.0, |x| values[x])
    }
}

/// Adds to `sums[i]` the products of what the tap of plane `i` sees, position after position, and of `grads`, at most
/// sixteen outputs of `positions` values each: the lanes.
#[inline(always)]
fn add_products<const ROWS: usize>(
    window: &Window,
    planes: &[Plane<'_>; ROWS],
    grads: &[f32],
    sums: &mut [Lanes; ROWS],
    mul_add: impl MulAdd,
) {
    let ([depth, height, width], positions) = (window.output, window.positions());
    let mut position = 0;
    for z in 0..depth {
        for y in 0..height {
            let mut lines = [Line { values: None, first: 0 }; ROWS];
            for (line, plane) in lines.iter_mut().zip(planes) {
                *line = plane.line(window, z, y);
            }
            for x in 0..width {
                let mut lanes = [0.0; NR];
                for (lane, grads) in lanes.iter_mut().zip(grads.chunks_exact(positions)) {
                    *lane = grads[position];
                }
                for (sums, line) in sums.iter_mut().zip(&lines) {
                    *sums = mul_add(line.at(window, x), lanes, *sums);
                }
                position += 1;
            }
        }
    }
}

struct Depthwise<'a> {
    shape: Shape,
    input: &'a [f32],
    grad_output: &'a [f32],
    grad_weight: &'a mut [f32],
}

impl Job for Depthwise<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { shape, input, grad_output, grad_weight } = self;
        let Shape { groups, out_group, window, .. } = shape;
        let (plane_len, taps) = (window.plane_len(), window.taps());
        grad_weight.fill(0.0);
        let grads = grad_output.chunks_exact(window.positions());
        for (place, grads) in grads.enumerate() {
            // Of image and group, then outputs.
            let (plane, output) = (place / out_group, place % (groups * out_group));
            let values = &input[plane * plane_len..][..plane_len];
            for (tap, grad_weight) in grad_weight[output * taps..][..taps].iter_mut().enumerate() {
                let lanes = inner_product(&window, &Plane { values, tap }, grads);
                *grad_weight = lanes.iter().fold(*grad_weight, |sum, lane| sum + lane);
            }
        }
    }
}

/// The products of what the tap sees and the gradients, in a chain for each lane: as vectors of positions fall, line
/// by line.
#[inline(always)]
fn inner_product(window: &Window, plane: &Plane<'_>, grads: &[f32]) -> Lanes {
    let [depth, height, width] = window.output;
    let mut sums = [0.0; NR];
    for z in 0..depth {
        for y in 0..height {
            let line = plane.line(window, z, y);
            let grads = &grads[(z * height + y) * width..][..width];
            for first in (0..width).step_by(NR) {
                for (lane, grad) in grads[first..].iter().take(NR).enumerate() {
                    sums[lane] += grad * line.at(window, first + lane);
                }
            }
        }
    }
    sums
}

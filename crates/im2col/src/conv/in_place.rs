//! The algorithm that needs no scratch: the input is read where it lies.
//!
//! Neither input nor weights are copied. Whole vectors are read where all lanes see the input;
//! at its ends, and under a stride, lane by lane.

use super::forward::Weights;
use super::plan::Shape;
use crate::gemm::Epilogue;
use crate::kernel::{Lanes, MR, MulAdd, NR};
use crate::lower::fetch;
use crate::window::Window;

/// The weights of a group, plain or as panels.
#[derive(Clone, Copy)]
pub(super) enum GroupWeights<'a> {
    /// `[out_group, depth]`
    Plain(&'a [f32]),
    /// `[panel][depth][MR]`
    Packed(&'a [f32]),
}

impl<'a> GroupWeights<'a> {
    /// The weights of `group`, whose panels have `panels_len` values.
    pub(super) fn new(weights: Weights<'a>, shape: &Shape, group: usize, panels_len: usize) -> Self {
        let plain_len = shape.out_group * shape.depth();
        match weights {
            Weights::Plain(weight) => Self::Plain(&weight[group * plain_len..][..plain_len]),
            Weights::Packed(packed) => Self::Packed(&packed.panels[group * panels_len..][..panels_len]),
        }
    }
}

/// Convolves one image and group: `planes` `[in_group, dims..]`, `output` `[out_group, positions]`.
#[inline(always)]
pub(super) fn convolve<const ROWS: usize>(
    shape: &Shape,
    planes: &[f32],
    weights: GroupWeights<'_>,
    epilogue: Epilogue<'_>,
    output: &mut [f32],
    mul_add: impl MulAdd,
) {
    let (depth, positions, last) = (shape.depth(), shape.window.positions(), shape.out_group - 1);
    for (chunk, output) in output.chunks_mut(ROWS * positions).enumerate() {
        let first = chunk * ROWS;
        match weights {
            GroupWeights::Plain(weight) => {
                // Rows past the last repeat it; they are not stored.
                let rows: [&[f32]; ROWS] =
                    core::array::from_fn(|i| &weight[(first + i).min(last) * depth..][..depth]);
                rows_of_output(shape, planes, |k| rows.map(|row| row[k]), epilogue, first, output, mul_add);
            }
            GroupWeights::Packed(panels) => {
                let panel = &panels.as_chunks::<MR>().0[first / MR * depth..][..depth];
                let part = first % MR;
                let weight = |k: usize| -> [f32; ROWS] { core::array::from_fn(|i| panel[k][part + i]) };
                rows_of_output(shape, planes, weight, epilogue, first, output, mul_add);
            }
        }
    }
}

/// Computes up to `ROWS` channels, `output` `[channels, positions]`, a vector of positions at a time.
#[inline(always)]
fn rows_of_output<const ROWS: usize>(
    shape: &Shape,
    planes: &[f32],
    weight: impl Fn(usize) -> [f32; ROWS],
    epilogue: Epilogue<'_>,
    channel: usize,
    output: &mut [f32],
    mul_add: impl MulAdd,
) {
    let [depth, height, width] = shape.window.output;
    let positions = shape.window.positions();
    for line in 0..depth * height {
        for x in (0..width).step_by(NR) {
            let at = [line / height, line % height, x];
            let len = NR.min(width - x);
            let mut sums = [[0.0; NR]; ROWS];
            let mut k = 0;
            for plane in planes.chunks_exact(shape.window.plane_len()) {
                k = add_channel(&shape.window, plane, at, len, &weight, k, &mut sums, mul_add);
            }
            epilogue.apply(&mut sums, channel, 0);
            for (sums, plane) in sums.iter().zip(output.chunks_exact_mut(positions)) {
                plane[line * width + x..][..len].copy_from_slice(&sums[..len]);
            }
        }
    }
}

/// Adds the products of one channel to the sums of `len` positions from `[z, y, x]` on. `k` is the
/// channel's first weight; the next channel's is returned.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "the operands of one sum")]
fn add_channel<const ROWS: usize>(
    window: &Window,
    plane: &[f32],
    [z, y, x]: [usize; 3],
    len: usize,
    weight: &impl Fn(usize) -> [f32; ROWS],
    mut k: usize,
    sums: &mut [Lanes; ROWS],
    mul_add: impl MulAdd,
) -> usize {
    let Window { kernel, stride, dilation, padding, .. } = window;
    let origin = |axis: usize, output: usize| (output * stride[axis]).wrapping_sub(padding[axis][0]);
    let origin = [origin(0, z), origin(1, y), origin(2, x)];
    for kz in 0..kernel[0] {
        for ky in 0..kernel[1] {
            let at = |axis: usize, tap: usize| origin[axis].wrapping_add(tap * dilation[axis]);
            let Some(line) = window.source([at(0, kz), at(1, ky), 0]) else {
                k += kernel[2];
                continue;
            };
            for kx in 0..kernel[2] {
                let lanes = read(window, plane, line, at(2, kx), len);
                for (sums, weight) in sums.iter_mut().zip(weight(k)) {
                    *sums = mul_add(weight, lanes, *sums);
                }
                k += 1;
            }
        }
    }
    k
}

/// What the first `len` lanes see on the line, the first of them at `x`, which wraps around before it.
#[inline(always)]
fn read(window: &Window, plane: &[f32], line: usize, x: usize, len: usize) -> Lanes {
    let (width, stride) = (window.input[2], window.stride[2]);
    let mut lanes = [0.0; NR];
    if x < width && (len - 1) * stride < width - x {
        // Lanes past the last find something else.
        match stride {
            1 => fetch::<1>(plane, line + x, 1, &mut lanes),
            2 => fetch::<2>(plane, line + x, 2, &mut lanes),
            _ => fetch::<0>(plane, line + x, stride, &mut lanes),
        }
    } else {
        read_ends(window, &plane[line..][..width], x, &mut lanes[..len]);
    }
    lanes
}

/// The same where some of the lanes see padding.
fn read_ends(window: &Window, line: &[f32], x: usize, lanes: &mut [f32]) {
    for (i, lane) in lanes.iter_mut().enumerate() {
        let at = x.wrapping_add(i * window.stride[2]);
        *lane = window.mode.source(at, line.len()).map_or(0.0, |x| line[x]);
    }
}

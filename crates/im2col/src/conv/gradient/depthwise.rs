//! The gradients of depthwise convolution: groups of one input channel and few outputs.
//!
//! As products of matrices they would have one row, or sums of one product. Here both work on the
//! stage of the direct algorithm, the padded copy of a plane on which every tap is a shift:
//!
//! - `grad_weight[m, k]` is the inner product of output `m`'s gradient and the stage shifted by `k`;
//! - `grad_input` is gathered on an empty stage: each tap adds the gradient, times its weight, to the
//!   stage shifted by `k`, and the padding hands what it got to the values that it showed.

use super::parts::{Part, Parts};
use crate::conv::padded::PaddedPlanes;
use crate::conv::shape::ConvShape;
use crate::gemm::pack::panels_len;
use crate::scratch::aligned;
use crate::simd::mask::{self, keep};
use crate::simd::{Isa, Kernel, Lanes, MR, MulAdd, NR, Vectors, dispatch};
use crate::sum::{self, Cascade};
use crate::weights::Weights;
use crate::window::Window;

/// The largest padded copy of a depthwise gradient, in planes per plane: padding should not outweigh the input.
const MOST_COPY: usize = 4;

/// The length of the padded copy on which the gradients of a depthwise convolution are computed; none if they are
/// products of matrices, which from a whole tile of outputs on is as fast, or if padding makes it too large.
pub(in crate::conv) const fn stage_len(shape: &ConvShape) -> Option<usize> {
    if shape.in_group != 1 || shape.out_group >= MR || shape.window.taps() == 1 {
        return None;
    }
    match PaddedPlanes::new(shape).len() {
        Some(len) if len / MOST_COPY <= shape.window.plane_len() + NR => Some(len),
        _ => None,
    }
}

/// The most vectors that a part of a plane has, and a lane adds in one chain.
const MOST_VECTORS: usize = 1024;

/// Taps whose inner products are computed at a time: with the gradient and a mask they take 14 registers under AVX2.
const TAPS: usize = 5;

/// The parts of a plane whose inner products are summed at once, on the last axis in vectors.
pub(in crate::conv) const fn parts(window: &Window) -> Parts {
    let [planes, lines, width] = window.output;
    Parts::new([planes, lines, width.div_ceil(NR)], MOST_VECTORS)
}

/// How many arrays of sums the gradient of a group's weight needs besides itself.
pub(in crate::conv) const fn levels(shape: &ConvShape) -> usize {
    Cascade::levels(shape.batch * parts(&shape.window).count())
}

/// Adds the inner products of a part of `grad_output` `[out_group, positions]` and the shifted plane to
/// `grad_weight` `[out_group, taps]`. The stage holds the padded plane.
///
/// Each is summed in `NR` chains, one per lane, which are then added by pairs.
#[inline(always)]
pub(in crate::conv) fn add_grad_weight(
    layout: &PaddedPlanes,
    stage: &[f32],
    grad_output: &[f32],
    part: &Part,
    grad_weight: &mut [f32],
) {
    let taps = layout.window.taps();
    let outputs = grad_output.chunks_exact(layout.window.positions());
    for (grad_output, grad_weight) in outputs.zip(grad_weight.chunks_exact_mut(taps)) {
        for (chunk, grad_weight) in grad_weight.chunks_mut(TAPS).enumerate() {
            let mut offsets = [0; TAPS];
            for (i, offset) in offsets.iter_mut().enumerate() {
                // Taps past the last repeat it; they are not stored.
                *offset = layout.tap_offset((chunk * TAPS + i).min(taps - 1));
            }
            let sums = inner_products(layout, stage, grad_output, part, offsets);
            for (weight, sums) in grad_weight.iter_mut().zip(sums) {
                *weight += sum::lanes(sums);
            }
        }
    }
}

/// The inner products of a part of `grad_output` and what each tap sees, in a chain for each lane.
#[inline(always)]
fn inner_products(
    layout: &PaddedPlanes,
    stage: &[f32],
    grad_output: &[f32],
    part: &Part,
    offsets: [usize; TAPS],
) -> [Lanes; TAPS] {
    let Part { start: [first_z, first_y, first_x], size: [planes, lines, vectors] } = *part;
    // The last values and zeros behind them, for a vector that reaches past the end.
    let (mut tail, tail_at) = ([0.0; 2 * NR], grad_output.len().saturating_sub(NR));
    tail[..grad_output.len() - tail_at].copy_from_slice(&grad_output[tail_at..]);
    let (mut sums, mut left) = ([[0.0; NR]; TAPS], vectors);
    let ([mut z, mut y], mut at) = ([first_z, first_y], layout.vector_at([first_z, first_y, first_x * NR]));
    let width = layout.window.output[2] - first_x * NR;
    let mut line_left = width;
    for _ in 0..planes * lines * vectors {
        if left == 0 {
            y += 1;
            if y == first_y + lines {
                (y, z) = (first_y, z + 1);
            }
            (left, line_left, at) = (vectors, width, layout.vector_at([z, y, first_x * NR]));
        }
        let grad = grad_output.get(at.output..).and_then(<[f32]>::first_chunk);
        let grad = grad.or_else(|| tail.get(at.output - tail_at..).and_then(<[f32]>::first_chunk));
        let (Some(grad), Some(stage)) = (grad, stage.get(at.stage..)) else {
            debug_assert!(false, "a part beyond the gradient or the stage");
            break;
        };
        // Zeros on both sides: what the next line holds may not be finite.
        let mask = mask::lanes(0, line_left.min(NR));
        let grad = mask::apply(&mask, *grad);
        for (sums, offset) in sums.iter_mut().zip(&offsets) {
            let Some(values) = stage[*offset..].first_chunk() else {
                debug_assert!(false, "the stage ends before what a tap sees");
                break;
            };
            let values = mask::apply(&mask, *values);
            for lane in 0..NR {
                sums[lane] += grad[lane] * values[lane];
            }
        }
        (at.stage, at.output) = (at.stage + NR, at.output + NR);
        (left, line_left) = (left - 1, line_left.wrapping_sub(NR));
    }
    sums
}

/// Adds to the stage, shifted tap by tap, `grad_output` `[out_group, positions]` times
/// `weight(output, tap)`.
#[inline(always)]
pub(in crate::conv) fn gather_grad_input(
    layout: &PaddedPlanes,
    stage: &mut [f32],
    grad_output: &[f32],
    weight: impl Fn(usize, usize) -> f32,
    mul_add: impl MulAdd,
) {
    let [planes, lines, width] = layout.window.output;
    for (output, grad_output) in grad_output.chunks_exact(layout.window.positions()).enumerate() {
        // A tap at a time over the whole plane: its neighbour reads what this one has just written.
        for tap in 0..layout.window.taps() {
            let (weight, offset) = (weight(output, tap), layout.tap_offset(tap));
            for z in 0..planes {
                for y in 0..lines {
                    for x in (0..width).step_by(NR) {
                        let at = layout.vector_at([z, y, x]);
                        let grad = read(grad_output, at.output, at.len);
                        let Some(sums) = stage[at.stage + offset..].first_chunk_mut::<NR>() else {
                            debug_assert!(false, "the stage ends before what a tap sees");
                            return;
                        };
                        let added = mul_add(weight, grad, *sums);
                        *sums = if at.len == NR { added } else { replace(*sums, added, at.len) };
                    }
                }
            }
        }
    }
}

/// `NR` values from `start` on, of which those from `len` on are zero.
#[inline(always)]
fn read(values: &[f32], start: usize, len: usize) -> Lanes {
    match values[start..].first_chunk::<NR>() {
        Some(lanes) if len == NR => *lanes,
        Some(lanes) => keep(*lanes, 0, len),
        None => {
            let mut lanes = [0.0; NR];
            lanes[..len].copy_from_slice(&values[start..][..len]);
            lanes
        }
    }
}

/// The first `len` lanes of `new`, the others of `old`.
#[inline(always)]
fn replace(old: Lanes, new: Lanes, len: usize) -> Lanes {
    let (mut lanes, new) = (keep(old, len, NR), keep(new, 0, len));
    for (lane, new) in lanes.iter_mut().zip(new) {
        *lane = f32::from_bits(lane.to_bits() | new.to_bits());
    }
    lanes
}

/// The gradient of the input, on a padded copy of each plane.
pub(in crate::conv) struct DepthwiseInput<'a> {
    pub(in crate::conv) shape: ConvShape,
    pub(in crate::conv) weight: Weights<'a>,
    pub(in crate::conv) grad_output: &'a [f32],
    pub(in crate::conv) grad_input: &'a mut [f32],
    pub(in crate::conv) scratch: &'a mut [f32],
}

impl Kernel for DepthwiseInput<'_> {
    const USES_AVX512: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        mul_add: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { shape, weight, grad_output, grad_input, scratch } = self;
        let ConvShape { groups, out_group, window, .. } = shape;
        let taps = window.taps();
        let layout = PaddedPlanes::new(&shape);
        let stage = aligned(scratch);
        let panels_len = panels_len::<NR>(out_group, taps);
        grad_input.fill(0.0);
        let planes = grad_input.chunks_exact_mut(window.plane_len());
        let grads = grad_output.chunks_exact(out_group * window.positions());
        for (i, (plane, grad_output)) in planes.zip(grads).enumerate() {
            let group = i % groups;
            layout.clear(stage);
            match weight {
                Weights::Plain(weight) => {
                    let weight = &weight[group * out_group * taps..][..out_group * taps];
                    let weight = |output: usize, tap: usize| weight[output * taps + tap];
                    gather_grad_input(&layout, stage, grad_output, weight, mul_add);
                }
                Weights::Packed(packed) => {
                    let panels = packed.panels[group * panels_len..][..panels_len].as_chunks::<NR>().0;
                    let weight = |output: usize, tap: usize| panels[tap / NR * out_group + output][tap % NR];
                    gather_grad_input(&layout, stage, grad_output, weight, mul_add);
                }
            }
            layout.add_to(stage, plane);
        }
    }
}

pub(in crate::conv) struct DepthwiseWeight<'a> {
    pub(in crate::conv) shape: &'a ConvShape,
    pub(in crate::conv) input: &'a [f32],
    pub(in crate::conv) grad_output: &'a [f32],
    pub(in crate::conv) grad_weight: &'a mut [f32],
    pub(in crate::conv) scratch: &'a mut [f32],
}

impl DepthwiseWeight<'_> {
    /// Runs it.
    pub(crate) fn compute(self, isa: Isa) {
        dispatch(isa, self);
    }
}

impl Kernel for DepthwiseWeight<'_> {
    const USES_AVX512: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { shape, input, grad_output, grad_weight, scratch } = self;
        let ConvShape { batch, groups, out_group, window, .. } = *shape;
        if batch == 0 {
            grad_weight.fill(0.0);
            return;
        }
        let (layout, parts, len) = (PaddedPlanes::new(shape), parts(&window), out_group * window.taps());
        let scratch = aligned(scratch);
        let (stage, levels) = scratch.split_at_mut(scratch.len() - levels(shape) * len);
        let (plane_len, grads_len) = (window.plane_len(), out_group * window.positions());
        for (group, grad_weight) in grad_weight.chunks_exact_mut(len).enumerate() {
            let mut all = Cascade::new(grad_weight, levels, batch * parts.count());
            for plane in (group..batch * groups).step_by(groups) {
                let grad_output = &grad_output[plane * grads_len..][..grads_len];
                layout.copy(&input[plane * plane_len..][..plane_len], stage);
                for part in parts.iter() {
                    let sums = all.lowest();
                    add_grad_weight(&layout, stage, grad_output, &part, sums);
                    all.carry();
                }
            }
            all.finish();
        }
    }
}

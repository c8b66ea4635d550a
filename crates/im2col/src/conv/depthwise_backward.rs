//! The gradients of depthwise convolution: groups of one input channel and few outputs.
//!
//! As products of matrices they would have one row, or sums of one product. Here both work on the
//! stage of the direct algorithm, the padded copy of a plane on which every tap is a shift:
//!
//! - `grad_weight[m, k]` is the inner product of output `m`'s gradient and the stage shifted by `k`;
//! - `grad_input` is gathered on an empty stage: each tap adds the gradient, times its weight, to the
//!   stage shifted by `k`, and the padding hands what it got to the values that it showed.

use super::backward_weight::{Part, Parts};
use super::direct::Stage;
use super::mask::keep;
use super::shape::Shape;
use crate::kernel::{Lanes, MulAdd, NR};
use crate::sum::{self, Cascade};
use crate::window::Window;

/// The most vectors that a part of a plane has, and a lane adds in one chain.
const MOST_VECTORS: usize = 1024;

/// The parts of a plane whose inner products are summed at once, on the last axis in vectors.
pub(super) const fn parts(window: &Window) -> Parts {
    let [planes, lines, width] = window.output;
    Parts::new([planes, lines, width.div_ceil(NR)], MOST_VECTORS)
}

/// How many arrays of sums the gradient of a group's weight needs besides itself.
pub(super) const fn levels(shape: &Shape) -> usize {
    Cascade::levels(shape.batch * parts(&shape.window).count())
}

/// Adds the inner products of a part of `grad_output` `[out_group, positions]` and the shifted plane to
/// `grad_weight` `[out_group, taps]`. The stage holds the padded plane.
///
/// Each is summed in `NR` chains, one per lane, which are then added by pairs.
#[inline(always)]
pub(super) fn add_grad_weight<const ROWS: usize, const PANELS: usize>(
    layout: &Stage,
    stage: &[f32],
    grad_output: &[f32],
    part: &Part,
    grad_weight: &mut [f32],
) {
    let taps = layout.window.taps();
    let outputs = grad_output.chunks_exact(layout.window.positions());
    for (grad_output, grad_weight) in outputs.zip(grad_weight.chunks_exact_mut(taps)) {
        // As many taps at a time as there are registers for their sums.
        for (chunk, grad_weight) in grad_weight.chunks_mut(ROWS * PANELS).enumerate() {
            let mut offsets = [[0; ROWS]; PANELS];
            for (i, offset) in offsets.as_flattened_mut().iter_mut().enumerate() {
                // Taps past the last repeat it; they are not stored.
                *offset = layout.tap_offset((chunk * ROWS * PANELS + i).min(taps - 1));
            }
            let sums = inner_products(layout, stage, grad_output, part, offsets);
            for (weight, sums) in grad_weight.iter_mut().zip(sums.as_flattened()) {
                *weight += sum::lanes(*sums);
            }
        }
    }
}

#[inline(always)]
fn inner_products<const ROWS: usize, const PANELS: usize>(
    layout: &Stage,
    stage: &[f32],
    grad_output: &[f32],
    part: &Part,
    offsets: [[usize; ROWS]; PANELS],
) -> [[Lanes; ROWS]; PANELS] {
    let Part { start: [first_z, first_y, first_x], size: [planes, lines, vectors] } = *part;
    let mut sums = [[[0.0; NR]; ROWS]; PANELS];
    for z in first_z..first_z + planes {
        for y in first_y..first_y + lines {
            for vector in first_x..first_x + vectors {
                let spot = layout.spot([z, y, vector * NR]);
                let grad = read(grad_output, spot.output, spot.len);
                for (sums, offsets) in sums.iter_mut().zip(offsets) {
                    for (sums, offset) in sums.iter_mut().zip(offsets) {
                        // Zeros on both sides: what the next line holds may not be finite.
                        let values = read(stage, spot.stage + offset, spot.len);
                        for lane in 0..NR {
                            sums[lane] += grad[lane] * values[lane];
                        }
                    }
                }
            }
        }
    }
    sums
}

/// Adds to the stage, shifted tap by tap, `grad_output` `[out_group, positions]` times
/// `weight(output, tap)`.
#[inline(always)]
pub(super) fn gather_grad_input(
    layout: &Stage,
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
                        let spot = layout.spot([z, y, x]);
                        let grad = read(grad_output, spot.output, spot.len);
                        let Some(sums) = stage[spot.stage + offset..].first_chunk_mut::<NR>() else {
                            debug_assert!(false, "the stage ends before what a tap sees");
                            return;
                        };
                        let added = mul_add(weight, grad, *sums);
                        *sums = if spot.len == NR { added } else { replace(*sums, added, spot.len) };
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

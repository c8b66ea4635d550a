//! The algorithm whose lanes are output channels.

use crate::conv::channel_lanes::{Block, GroupOperands, PANELS_AT_ONCE, Strides, convolve, is_staged};
use crate::conv::pass::Pass;
use crate::conv::shape::ConvShape;
use crate::gemm::pack::{PackRows, panels_len};
use crate::gemm::{Panels, blocks};
use crate::scratch::ALIGN;
use crate::simd::{Isa, NR, dispatch};
use crate::weights::Weights;
use crate::window::checked_sum;
use core::ops::Range;

/// The accumulator buffer and the padded copy, in blocks of at most `most` values.
pub(in crate::conv) const fn scratch_len(shape: &ConvShape, most: usize) -> Option<usize> {
    let block = Block::new(shape, most);
    match block.stage_len(shape) {
        Some(stage) => checked_sum([ALIGN, block.sums_len(), stage]),
        None => None,
    }
}

/// How many packed values plain weights take at a time: those of two panels or, where the input is staged, of a whole group,
/// so that each stage is filled once.
pub(in crate::conv) const fn panels_len_of(shape: &ConvShape) -> usize {
    let (rows, most) = (shape.out_group.next_multiple_of(NR), PANELS_AT_ONCE * NR);
    shape.depth() * if is_staged(shape) || rows < most { rows } else { most }
}

/// Runs the algorithm.
pub(in crate::conv) fn forward(isa: Isa, pass: &mut Pass<'_>) {
    let ConvShape { groups, out_group, .. } = pass.shape;
    let (depth, strides) = (pass.shape.depth(), Strides::new(pass));
    let len = panels_len::<NR>(depth, out_group);
    let (scratch, panels) = pass.take_scratch();
    let step = if is_staged(&pass.shape) { out_group } else { PANELS_AT_ONCE * NR };
    let block = Block::new(&pass.shape, pass.most).evened(&pass.shape);
    for group in 0..groups {
        let epilogue = pass.epilogue(group);
        let mut run = |channels: Range<usize>, weights: &[f32]| {
            let (input, weights) = (pass.input, Panels::new(weights, depth));
            let output = &mut *pass.output;
            let operands = GroupOperands { group, channels, input, weights, epilogue, output };
            convolve(isa, &pass.shape, pass.part, &block, &strides, operands, scratch);
        };
        match pass.weight {
            Weights::Packed(packed) => run(0..out_group, &packed.panels[group * len..][..len]),
            // Where no stage has to be filled again, a few channels at a time, which stay in the cache.
            Weights::Plain(weight) => {
                for channels in blocks(out_group, step) {
                    let values = &weight[(group * out_group + channels.start) * depth..];
                    let (rows, row_stride) = (channels.len(), depth);
                    let panels = &mut panels[..panels_len::<NR>(depth, rows)];
                    dispatch(isa, PackRows { values, row_stride, rows, depth, panels });
                    run(channels, panels);
                }
            }
        }
    }
}

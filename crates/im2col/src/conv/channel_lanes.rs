//! The engine whose lanes are output channels: of [`Broadcast`](super::Algorithm::Broadcast), of Winograd's products, and
//! of the gradient of the weight.
//!
//! A vector holds the weights of sixteen output channels for one tap; the input value that the tap sees
//! at a position is broadcast and multiplied by it. Single values can be read from anywhere, so there is
//! no matrix to pack, no lane is lost at the end of a line, and a stride costs nothing: what would be a
//! column of the im2col matrix is read where it lies, in the input or, where there is padding, in a
//! padded copy of it, the *stage*. The tile is [`PAIRS`](crate::simd::Kernel::run) pairs of
//! positions, neighbours or the same in two lines or images, by `PANELS` vectors of channels. Its sums stay in registers for a
//! block of products, whose weights stay in L1 while all tiles pass; between blocks they wait in a buffer. Finished
//! sums of sixteen positions at a time are transposed into lines of the output; with channels last they are stored as
//! they are, by the tile itself if channels fill vectors.
//!
//! The layout of weights and the choice of lanes are those of E. Georganas et al.: Anatomy of
//! High-Performance Deep Learning Convolutions on SIMD Architectures (2018); that tiles read the input
//! through computed places instead of a matrix is M. Dukhan's: The Indirect Convolution Algorithm (2019).

mod block;
mod pairs;
mod stage;
mod store;
mod tile;

pub(super) use block::{Block, Field, MOST_LINES, PANELS_AT_ONCE, SUMS_LEN, is_staged};
pub(super) use pairs::{PairBuffer, PositionPairs};
pub(super) use store::{Store, Target};
pub(super) use tile::{BlockTiles, Sums};

use crate::conv::pass::Pass;
use crate::conv::shape::ConvShape;
use crate::epilogue::Epilogue;
use crate::gemm::Panels;
use crate::layout::InputStrides;
use crate::simd::{Isa, NR, dispatch};
use block::Position;
use core::ops::Range;
use stage::FillPadded;
use store::StorePositions;
use tile::ComputeSums;

/// The most values from a position to the next for sums to stand in the output: places times strides cannot overflow.
const MOST_STRIDE: usize = 1 << 16;

/// The operands of some output channels of a group.
pub(super) struct GroupOperands<'a> {
    pub(super) group: usize,
    /// A range of the group's output channels.
    pub(super) channels: Range<usize>,
    /// The whole input.
    pub(super) input: &'a [f32],
    /// The weights of `channels`, as panels.
    pub(super) weights: Panels<'a, NR>,
    pub(super) epilogue: Epilogue<'a>,
    /// The output, or that of the part which is computed.
    pub(super) output: &'a mut [f32],
}

/// How far apart values of the whole input, and images, positions and channels of the whole output are. A part has the strides
/// of the whole, for it is of one image.
pub(super) struct Strides {
    pub(super) input: InputStrides<3>,
    pub(super) image: usize,
    pub(super) position: usize,
    pub(super) channel: usize,
}

impl Strides {
    pub(super) fn new(pass: &Pass<'_>) -> Self {
        let ConvShape { groups, out_group, window, .. } = pass.shape;
        let [position, channel, _] = pass.shape.output_strides();
        let image = groups * out_group * window.positions();
        Self { input: pass.input_strides(), image, position, channel }
    }
}

/// Computes channels of all images, or of a part of one: between two coordinates on the
/// [outer axis](crate::window::Window::outer_axis) of the output. Block by block.
///
/// Each step is a kernel of its own: in one function, what the others keep in registers would push the sums
/// out of them.
pub(super) fn convolve(
    isa: Isa,
    shape: &ConvShape,
    [begin, end]: [usize; 2],
    block: &Block,
    strides: &Strides,
    operands: GroupOperands<'_>,
    scratch: &mut [f32],
) {
    let GroupOperands { group, channels, input, weights, epilogue, output } = operands;
    let ConvShape { in_group, out_group, window, .. } = *shape;
    let Strides {
        input: input_strides,
        image: image_stride,
        position: position_stride,
        channel: channel_stride,
    } = strides;
    let [image_stride, position_stride, channel_stride] = [*image_stride, *position_stride, *channel_stride];
    let whole = Field::input(shape, input_strides);
    let input = input.get(group * in_group * input_strides.channel..).unwrap_or_default();
    let (waiting, stage) = scratch.split_at_mut(block.sums_len());
    let (axis, mut ends) = (window.outer_axis(), window.output);
    ends[axis] = end;
    let mut first = Position::default();
    first.at[axis] = begin;
    let before = first.place(shape);
    while first.image < shape.batch && first.at[axis] < end {
        let part = block.at(&first, shape.batch, ends);
        let (field, values) = if is_staged(shape) {
            dispatch(
                isa,
                FillPadded { block: &part, first: &first, shape, strides: input_strides, input, stage },
            );
            (Field::stage(&part, shape), &*stage)
        } else {
            (whole, &input[whole.at(first.image, first.at)..])
        };
        let start = first.image * image_stride + group * out_group * channel_stride;
        let mut positions = part.positions.iter().product();
        if positions * position_stride == image_stride {
            // One image follows the other.
            positions *= part.images;
        }
        let mut target = Target {
            values: &mut output[start + (first.place(shape) - before) * position_stride..],
            positions,
            position_stride,
            channel_stride,
            image_stride,
        };
        let tiles = BlockTiles { field, values, block: &part, kernel: window.kernel, channels: in_group };
        for (pair, start) in channels.clone().step_by(PANELS_AT_ONCE * NR).enumerate() {
            let weights = weights.skip(pair * PANELS_AT_ONCE);
            let channels = start..channels.end.min(start + PANELS_AT_ONCE * NR);
            tiles.convolve(isa, weights, channels, epilogue, &mut target, waiting);
        }
        first.next(block, shape);
    }
}

impl BlockTiles<'_> {
    /// Computes the channels, as many as two panels have, of the block.
    fn convolve(
        &self,
        isa: Isa,
        weights: Panels<'_, NR>,
        channels: Range<usize>,
        epilogue: Epilogue<'_>,
        target: &mut Target<'_>,
        waiting: &mut [f32],
    ) {
        let panels = channels.len().div_ceil(NR);
        let stride = PANELS_AT_ONCE * NR;
        let spare = waiting.len() / stride - 1;
        let total = self.block.images * self.block.positions.iter().product::<usize>();
        let has_channels_last = target.position_stride > 1;
        // Channels that are neighbours and fill panels: their sums go there from the registers.
        let is_in_output =
            has_channels_last && channels.len().is_multiple_of(NR) && target.position_stride < MOST_STRIDE;
        let (mut all, mut pairs) = (PositionPairs::new(self.block, self.field), PairBuffer::new());
        let mut first = 0;
        while first < total {
            let (count, end) = all.take(first, spare, &mut pairs);
            let output = is_in_output.then(|| target.places(first, end - first, &channels));
            let (pairs, step, sums) = (&pairs, all.step, Sums { waiting, output });
            dispatch(isa, ComputeSums { tiles: self, weights, panels, pairs, count, step, sums });
            let (sums, target, channels) = (waiting.as_chunks().0, &mut *target, channels.clone());
            let mut len = end - first;
            if has_channels_last {
                let waiting = (!is_in_output).then_some(sums);
                if waiting.is_some() || !epilogue.is_none() {
                    dispatch(isa, StorePositions { waiting, channels, epilogue, first, len, target });
                }
            } else {
                // Whole vectors, except at the end; the rest is the beginning of the next block.
                len = if end == total { len } else { len / NR * NR };
                dispatch(
                    isa,
                    Store { waiting: sums, start: 0, panels, channels, epilogue, first, len, target },
                );
                waiting.copy_within(len * stride..(end - first) * stride, 0);
            }
            first += len;
        }
    }
}

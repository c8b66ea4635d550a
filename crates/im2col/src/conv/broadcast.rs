//! The algorithm whose lanes are output channels.
//!
//! A vector holds the weights of sixteen output channels for one tap; the input value that the tap sees
//! at a position is broadcast and multiplied by it. Single values can be read from anywhere, so there is
//! no matrix to pack, no lane is lost at the end of a line, and a stride costs nothing: what would be a
//! column of the im2col matrix is read where it lies, in the input or, where there is padding, in a
//! padded copy of it, the *stage*. The tile is [`PAIRS`](crate::kernel::Job::run) pairs of
//! neighbouring positions by `PANELS` vectors of channels. Its sums stay in registers for all products;
//! then sixteen positions at a time are transposed into lines of the output.
//!
//! The layout of weights and the choice of lanes are those of E. Georganas et al.: Anatomy of
//! High-Performance Deep Learning Convolutions on SIMD Architectures (2018); that tiles read the input
//! through computed places instead of a matrix is M. Dukhan's: The Indirect Convolution Algorithm (2019).

mod block;
mod store;
mod tile;

pub(super) use block::{Block, Field, STRIP_LEN, is_staged};
pub(super) use store::{Store, Target};
pub(super) use tile::{PAIRS_AT_ONCE, Pair, Pairs, Tiles};

use super::forward::{Forward, Weights};
use super::shape::Shape;
use crate::epilogue::Epilogue;
use crate::gemm::pack::{PackRows, panels_len};
use crate::gemm::{Panels, blocks};
use crate::kernel::{Isa, NR, dispatch};
use block::{Fill, Position};
use core::ops::Range;
use tile::{MOST_PRODUCTS, Multiply};

/// The operands of some output channels of a group.
pub(super) struct Operands<'a> {
    pub(super) group: usize,
    /// Of the group's channels.
    pub(super) channels: Range<usize>,
    /// The whole input.
    pub(super) input: &'a [f32],
    /// Those of the channels, as panels.
    pub(super) weights: Panels<'a, NR>,
    pub(super) epilogue: Epilogue<'a>,
    /// The whole output.
    pub(super) output: &'a mut [f32],
}

/// How far apart values of the whole input, and images and channels of the whole output are.
pub(super) struct Strides {
    pub(super) input: Field,
    pub(super) image: usize,
    pub(super) channel: usize,
}

impl Strides {
    fn new(shape: &Shape) -> Self {
        let Shape { groups, out_group, window, .. } = *shape;
        let channel = window.positions();
        Self { input: Field::input(shape), image: groups * out_group * channel, channel }
    }
}

/// How many panels of weights are used before the next positions.
pub(super) const PANELS_AT_ONCE: usize = 2;
/// Runs the algorithm.
pub(super) fn forward(isa: Isa, mut forward: Forward<'_>) {
    let Shape { groups, out_group, .. } = forward.shape;
    let (depth, strides) = (forward.shape.depth(), Strides::new(&forward.shape));
    let len = panels_len::<NR>(depth, out_group);
    let (scratch, panels) = forward.take_scratch();
    let step = if is_staged(&forward.shape) { out_group } else { PANELS_AT_ONCE * NR };
    for group in 0..groups {
        let epilogue = forward.epilogue(group);
        let mut run = |channels: Range<usize>, weights: &[f32]| {
            let (input, weights) = (forward.input, Panels::new(weights, depth));
            let output = &mut *forward.output;
            let operands = Operands { group, channels, input, weights, epilogue, output };
            convolve(isa, &forward.shape, &forward.block, &strides, operands, scratch);
        };
        match forward.weight {
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

/// Computes channels of all images, block by block.
///
/// Each step is a job of its own: in one function, what the others keep in registers would push the sums
/// out of them.
pub(super) fn convolve(
    isa: Isa,
    shape: &Shape,
    block: &Block,
    strides: &Strides,
    operands: Operands<'_>,
    scratch: &mut [f32],
) {
    let Operands { group, channels, input, weights, epilogue, output } = operands;
    let Shape { in_group, out_group, window, .. } = *shape;
    let Strides { input: whole, image: image_stride, channel: channel_stride } = *strides;
    let [_, height, width] = window.output;
    let input = input.get(group * in_group * window.plane_len()..).unwrap_or_default();
    let (strip, stage) = scratch.split_at_mut(block.strip_len());
    let mut first = Position::default();
    while first.image < shape.batch {
        let part = block.at(&first, shape);
        let (field, values) = if is_staged(shape) {
            dispatch(isa, Fill { block: &part, first: &first, shape, field: &whole, input, stage });
            (Field::stage(&part, shape), &*stage)
        } else {
            (whole, &input[whole.at(first.image, first.at)..])
        };
        let [z, y, x] = first.at;
        let start = first.image * image_stride + group * out_group * channel_stride;
        let mut positions = part.positions.iter().product();
        if positions == image_stride {
            // One image follows the other.
            positions *= part.images;
        }
        let mut target = Target {
            values: &mut output[start + (z * height + y) * width + x..],
            positions,
            channel_stride,
            image_stride,
        };
        let tiles = Tiles { field, values, block: &part, kernel: window.kernel, channels: in_group };
        for (pair, start) in channels.clone().step_by(PANELS_AT_ONCE * NR).enumerate() {
            let weights = weights.skip(pair * PANELS_AT_ONCE);
            let channels = start..channels.end.min(start + PANELS_AT_ONCE * NR);
            tiles.convolve(isa, weights, channels, epilogue, &mut target, strip);
        }
        first.next(block, shape);
    }
}

impl Tiles<'_> {
    /// Computes the channels, as many as two panels have, of the block.
    fn convolve(
        &self,
        isa: Isa,
        weights: Panels<'_, NR>,
        channels: Range<usize>,
        epilogue: Epilogue<'_>,
        target: &mut Target<'_>,
        strip: &mut [f32],
    ) {
        let sums = strip.as_chunks_mut::<NR>().0;
        let (panels, spare) = (channels.len().div_ceil(NR), sums.len() / PANELS_AT_ONCE - 1);
        let total = self.block.images * self.block.positions.iter().product::<usize>();
        let (mut all, mut pairs) = (Pairs::new(self), [Pair::default(); _]);
        let mut first = 0;
        while first < total {
            let (count, end) = all.take(first, spare, &mut pairs);
            dispatch(isa, Multiply { tiles: self, weights, panels, pairs: &pairs, count, sums });
            // Whole vectors, except at the end; the rest is the beginning of the next strip.
            let len = if end == total { end - first } else { (end - first) / NR * NR };
            let (strip, target, channels) = (&*sums, &mut *target, channels.clone());
            dispatch(isa, Store { strip, start: 0, panels, channels, epilogue, first, len, target });
            for sums in sums.chunks_exact_mut(spare + 1) {
                sums.copy_within(len..end - first, 0);
            }
            first += len;
        }
    }
}

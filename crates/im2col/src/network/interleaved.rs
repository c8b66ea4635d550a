//! Large batches of small images: sixteen images at a time, interleaved (`interleaved/`).
//!
//! A block is sixteen images. Training takes a pair of blocks at a time through the fully connected layers, the
//! *classifier* of the network. The *feature layers* before have few weights, and take one block after the other.
//!
//! A workspace holds the output of the last layer, image by image, then how many values were skipped up to a cache
//! line, then pair by pair: for each block the image and the outputs of the feature layers, but for the last; then
//! that one and those of the classifier's layers, each for both blocks. An activation behind a convolution or a linear layer
//! overwrites that layer's output, which no gradient needs.

mod layer;
mod plan;

use super::images::Images;
use super::interleaving::{Interleaving, MOST_BLOCKS};
use super::layer::Op;
use super::ping_pong::PingPong;
use super::plan::Network;
use crate::activation::{Activation, ApplyBackward};
use crate::interleaved::{
    GradKernels, Grads, ImageBlocks, Interleave, PadPlanes, PoolBackward, STRETCH, Separate,
};
use crate::pool::windows::Pooling;
use crate::scratch::{ALIGN, aligned};
use crate::simd::{Lanes, NR};
use crate::sum::{Add, Cascade};
use core::ops::Range;

impl<const L: usize> Network<L> {
    /// Infers images block by block. Not inlined: other ways of inference need not have its stack.
    #[inline(never)]
    pub(super) fn infer_interleaved(
        &self,
        lens: &Interleaving,
        params: &[f32],
        mut input: Images<'_>,
        output: &mut [f32],
        scratch: &mut [f32],
    ) {
        let isa = self.isa();
        let output_len = self.layers[L - 1].image_len();
        let [first_len, second_len] = self.block_buffers(lens, input.need_conversion());
        for output in output.chunks_mut(NR * output_len) {
            let (images, rest) = input.split_at(output.len() / output_len * self.image_len);
            input = rest;
            let (first, rest) = vectors(scratch).split_at_mut(first_len);
            let (second, scratch) = rest.split_at_mut(second_len);
            // The second layer is the first that writes there.
            let room = second.as_flattened_mut();
            let images = match images.ready() {
                Some(values) => values,
                None => {
                    images.convert(self.image_len, room);
                    room.get(..images.len()).unwrap_or_default()
                }
            };
            Interleave { images, block: &mut first[..self.image_len] }.compute(isa);
            let mut value = PingPong::behind_first([first, second], self.image_len);
            for (index, layer) in self.layers.iter().enumerate().filter(|(_, layer)| layer.is_step()) {
                value.step(layer.image_len(), |input, output| {
                    layer.forward_lanes(isa, self.activation_of(index), params, input, output, scratch);
                });
            }
            Separate { block: value.value(), images: output }.compute(isa);
        }
    }

    /// Runs the network and keeps the outputs.
    pub(super) fn forward_interleaved(
        &self,
        lens: &Interleaving,
        params: &[f32],
        input: &[f32],
        workspace: &mut [f32],
        scratch: &mut [f32],
        mut after: impl FnMut(usize),
    ) {
        let isa = self.isa();
        let output_len = self.layers[L - 1].image_len();
        let (outputs, rest) = workspace.split_at_mut(self.output_len());
        let (skipped, kept) = rest.split_at_mut(1);
        let skip = kept.len() - aligned(kept).len();
        skipped[0] = skip as f32;
        let all_kept = kept[skip..].as_chunks_mut::<NR>().0;
        let scratch = vectors(scratch);
        for blocks in pairs_of_blocks(self.batch) {
            let kept = &mut all_kept[blocks.first / NR * lens.kept..][..blocks.count * lens.kept];
            let mut layers =
                |layers: Range<usize>, place: Place, kept: &mut [Lanes], scratch: &mut [Lanes]| {
                    for index in layers {
                        let layer = &self.layers[index];
                        if layer.is_step() {
                            let [input, output] =
                                [index, index + 1].map(|value| self.range(lens, value, place));
                            let (before, rest) = kept.split_at_mut(output.start);
                            let (input, output) = (&before[input], &mut rest[..output.len()]);
                            let activation = self.activation_of(index);
                            layer.forward_lanes(isa, activation, params, input, output, scratch);
                        }
                        if !matches!(layer.op, Op::Flatten) {
                            after(index);
                        }
                    }
                };
            let images = images_of(blocks, input, self.image_len).chunks(NR * self.image_len);
            for (block, images) in images.enumerate() {
                let place = Place { blocks, block: Some(block) };
                let image = &mut kept[self.range(lens, 0, place)];
                match &self.layers[0].op {
                    Op::Conv(plan) if plan.planes().is_padded() => {
                        let block = &mut scratch[..self.image_len];
                        Interleave { images, block: &mut *block }.compute(isa);
                        PadPlanes { window: plan.window(), input: block, staged: image }.compute(isa);
                    }
                    _ => Interleave { images, block: image }.compute(isa),
                }
                layers(0..lens.classifier, place, kept, scratch);
            }
            let place = Place { blocks, block: None };
            layers(lens.classifier..L, place, kept, scratch);
            let last = kept[self.range(lens, L, place)].chunks_exact(output_len);
            let outputs = &mut outputs[blocks.first * output_len..][..blocks.images() * output_len];
            for (block, images) in last.zip(outputs.chunks_mut(NR * output_len)) {
                Separate { block, images }.compute(isa);
            }
        }
    }

    /// The gradients of the parameters, from what [`forward_interleaved`](Self::forward_interleaved) kept.
    pub(super) fn backward_interleaved(
        &self,
        lens: &Interleaving,
        operands: GradientSlices<'_>,
        scratch: &mut [f32],
        mut after: impl FnMut(usize),
    ) {
        let isa = self.isa();
        let GradientSlices { params, workspace, grad_output, grad_params } = operands;
        let (spare, scratch) = scratch.split_at_mut(self.stretches_len());
        // Of one stretch, or of many.
        let mut stretches = None;
        let grad_params = if spare.is_empty() {
            grad_params
        } else {
            let (sums, levels) = spare.split_at_mut(self.param_len);
            stretches = Some(Cascade::new(grad_params, levels, self.batch.div_ceil(STRETCH)));
            sums
        };
        let first_trained = self.first_trained();
        let pooled = self.pool_taken_at_once();
        let output_len = self.layers[L - 1].image_len();
        let (skipped, kept) = workspace[self.output_len()..].split_at(1);
        let skip = (skipped[0] as usize).min(ALIGN);
        let all_kept = kept[skip..].as_chunks::<NR>().0;
        for blocks in pairs_of_blocks(self.batch) {
            let count = blocks.count;
            let kept = &all_kept[blocks.first / NR * lens.kept..][..count * lens.kept];
            let (classifier, rest) =
                split_two(vectors(scratch), lens.classifier_grads.map(|len| count * len));
            let mut grad = PingPong::new(&[], classifier);
            grad.step(count * output_len, |_, grads| {
                let images = images_of(blocks, grad_output, output_len).chunks(NR * output_len);
                for (images, block) in images.zip(grads.chunks_exact_mut(output_len)) {
                    Interleave { images, block }.compute(isa);
                }
            });
            let mut layers = |layers: Range<usize>,
                              place: Place,
                              grad: &mut PingPong<'_, Lanes>,
                              scratch: &mut [Lanes]| {
                for index in layers.rev() {
                    let layer = &self.layers[index];
                    let layer_input = &kept[self.range(lens, index, place)];
                    let layer_output = &kept[self.range(lens, index + 1, place)];
                    let activation = layer.op.last_activation();
                    // The gradient of a pool behind has gone through the activation already.
                    let is_pooled =
                        self.layers.get(index + 1).is_some_and(|next| matches!(next.op, Op::Pool(_)));
                    if activation != Activation::Identity && !is_pooled {
                        let (output, grad) =
                            (layer_output.as_flattened(), grad.value_mut().as_flattened_mut());
                        ApplyBackward { activation, output, grad }.compute(isa);
                    }
                    let of = place.blocks();
                    let grads = match pooled {
                        Some((pool, pooling)) if index == first_trained => Grads::Pooled {
                            pooling,
                            activation: self.layers[pool - 1].op.last_activation(),
                            output: layer_output,
                            grad_pooled: grad.value(),
                        },
                        _ => Grads::Output(grad.value()),
                    };
                    layer.backward_params_lanes(isa, of, layer_input, grads, grad_params, scratch);
                    let has_step = !matches!(layer.op, Op::Activation(_) | Op::Flatten);
                    if index > first_trained && has_step && pooled.is_none_or(|(pool, _)| index != pool) {
                        let before = self.layers[index - 1].op.last_activation();
                        grad.step(layer_input.len(), |grad_output, grad_input| match &layer.op {
                            Op::Pool(plan) => {
                                let (pooling, activation, input) = (&plan.pooling, before, layer_input);
                                PoolBackward { pooling, activation, input, grad_output, grad_input }
                                    .compute(isa);
                            }
                            _ => layer.backward_input_lanes(isa, params, grad_output, grad_input, scratch),
                        });
                    }
                    after(index);
                }
            };
            layers(lens.classifier..L, Place { blocks, block: None }, &mut grad, rest);
            if first_trained < lens.classifier {
                let ([first, second], rest) = split_two(rest, lens.feature_grads);
                let len = grad.value().len() / count;
                for (block, given) in grad.value().chunks_exact(len).enumerate() {
                    let mut grad = PingPong::new(&[], [&mut *first, &mut *second]);
                    grad.step(len, |_, grad| grad.copy_from_slice(given));
                    layers(
                        first_trained..lens.classifier,
                        Place { blocks, block: Some(block) },
                        &mut grad,
                        rest,
                    );
                }
            }
            if let Some(stretches) = &mut stretches
                && blocks.is_last(self.batch)
            {
                Add { values: grad_params, sums: stretches.lowest() }.compute(isa);
                stretches.carry();
            }
        }
        if let Some(stretches) = stretches {
            stretches.finish();
        }
    }

    /// The 2x2 pool behind the first trained layer, with its index, if that layer computes its gradients straight from the gradient
    /// of the pool's output: the gradient of the pool's input is then never stored whole.
    fn pool_taken_at_once(&self) -> Option<(usize, &Pooling)> {
        let first = self.first_trained();
        let Op::Conv(conv) = &self.layers.get(first)?.op else { return None };
        let behind = first + 1 + usize::from(self.layers.get(first + 1)?.fused);
        match &self.layers.get(behind)?.op {
            Op::Pool(pool) if pool.pooling.is_2x2() && GradKernels::can_be_pooled(&conv.planes()) => {
                Some((behind, &pool.pooling))
            }
            _ => None,
        }
    }

    /// Where blocks keep the image (0) or the output of a layer (its number from 1): behind what that layer reads.
    fn range(&self, lens: &Interleaving, value: usize, place: Place) -> Range<usize> {
        let (offset, len) = match value.checked_sub(1).map(|layer| &self.layers[layer]) {
            Some(layer) => (layer.lane_offset, layer.image_len()),
            None => (0, self.kept_image_len()),
        };
        let count = place.blocks.count;
        match place.block {
            Some(block) if offset < lens.features_kept => {
                let start = block * lens.features_kept + offset;
                start..start + len
            }
            Some(block) => {
                let start = count * offset + block * len;
                start..start + len
            }
            None => count * offset..count * (offset + len),
        }
    }
}

/// Blocks, or one of them.
#[derive(Clone, Copy)]
struct Place {
    blocks: ImageBlocks,
    block: Option<usize>,
}

impl Place {
    fn blocks(self) -> ImageBlocks {
        match self.block {
            Some(block) => ImageBlocks { first: self.blocks.first + block * NR, count: 1, ..self.blocks },
            None => self.blocks,
        }
    }
}

/// Pairs of whole blocks first, then a whole one, then the images that are left.
fn pairs_of_blocks(images: usize) -> impl Iterator<Item = ImageBlocks> {
    let mut first = 0;
    core::iter::from_fn(move || {
        let left = images - first;
        let blocks = ImageBlocks { first, count: (left / NR).clamp(1, MOST_BLOCKS), lanes: left.min(NR) };
        first += blocks.images();
        (left > 0).then_some(blocks)
    })
}

/// The images of some blocks, `len` values each.
fn images_of(blocks: ImageBlocks, images: &[f32], len: usize) -> &[f32] {
    &images[blocks.first * len..][..blocks.images() * len]
}

/// What a backward pass reads and writes.
pub(super) struct GradientSlices<'a> {
    pub(super) params: &'a [f32],
    pub(super) workspace: &'a [f32],
    pub(super) grad_output: &'a [f32],
    pub(super) grad_params: &'a mut [f32],
}

/// Two buffers, and what is left.
fn split_two<T>(values: &mut [T], [first, second]: [usize; 2]) -> ([&mut [T]; 2], &mut [T]) {
    let (first, rest) = values.split_at_mut(first);
    let (second, rest) = rest.split_at_mut(second);
    ([first, second], rest)
}

/// The scratch as vectors, each a cache line.
fn vectors(scratch: &mut [f32]) -> &mut [Lanes] {
    aligned(scratch).as_chunks_mut::<NR>().0
}

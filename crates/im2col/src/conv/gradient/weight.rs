//! The gradient of the weight is a convolution, too: of each channel of the input with the gradient of the
//! output, whose positions are its taps.
//!
//! In `grad_weight[o, c, tap] = sum over p of grad_output[o, p] input[c, p * stride + tap * dilation]` taps and
//! positions change places, and so do stride and dilation. Lanes are output channels: the gradient is
//! transposed into panels, and the broadcast algorithm's tiles read the input where it lies. No im2col matrix is
//! packed.

use super::depthwise;
use super::parts::{Part, Parts};
use crate::conv::channel_lanes::{Block, GroupOperands, SUMS_LEN, Strides, convolve, is_staged};
use crate::conv::shape::ConvShape;
use crate::epilogue::Epilogue;
use crate::gemm::Panels;
use crate::gemm::pack::{PackRows, panels_len};
use crate::layout::InputStrides;
use crate::scratch::{ALIGN, aligned};
use crate::simd::{Isa, NR, dispatch};
use crate::sum::{Add, Cascade};
use crate::window::{Window, checked_product, checked_sum};

/// The most positions whose products are summed in one chain: 128 KiB of a panel of gradients.
const MOST_POSITIONS: usize = 2048;

/// How the products of a gradient are cut into chains: over some images, or over a part of one.
#[derive(Clone, Copy)]
pub(in crate::conv) struct Chains {
    pub(in crate::conv) images: usize,
    pub(in crate::conv) parts: Parts,
    pub(in crate::conv) count: usize,
}

impl Chains {
    pub(in crate::conv) const fn new(shape: &ConvShape) -> Self {
        let ConvShape { batch, window, .. } = *shape;
        let parts = Parts::new(window.output, MOST_POSITIONS);
        let most = MOST_POSITIONS / window.positions();
        let images = if most == 0 {
            1
        } else if most < batch {
            most
        } else {
            batch
        };
        Self { images, parts, count: batch.div_ceil(images) * parts.count() }
    }

    /// The convolution of the longest chain.
    const fn mirror(&self, shape: &ConvShape) -> ConvShape {
        mirror(shape, self.images, &Part { start: [0; 3], size: self.parts.size }, false)
    }
}

/// The convolution whose outputs are the gradients of a group: its images are the input channels, its channels
/// are `images`, its taps a part of the positions. On a stage, what comes before the part is padding of a negative
/// length, which wraps around.
const fn mirror(shape: &ConvShape, images: usize, part: &Part, is_staged: bool) -> ConvShape {
    let Window { kernel, stride, dilation, mut padding, .. } = shape.window;
    if is_staged {
        let mut axis = 0;
        while axis < 3 {
            padding[axis][0] = padding[axis][0].wrapping_sub(part.start[axis] * stride[axis]);
            axis += 1;
        }
    }
    let taps = part.size;
    let window =
        Window { kernel: taps, stride: dilation, dilation: stride, output: kernel, padding, ..shape.window };
    ConvShape::new(shape.in_group, 1, [images, shape.out_group], window)
}

/// Where in a plane the part begins to see it.
fn offset(window: &Window, part: &Part) -> usize {
    let [z, y, x] = [0, 1, 2].map(|axis| part.start[axis] * window.stride[axis]);
    (z * window.input[1] + y) * window.input[2] + x
}

/// The scratch of [`backward_weight`], if it fits in `usize`: the gradients as panels, the sums of a chain, those of
/// many chains, sums that wait to be stored, and a stage; of a depthwise one the stage, and sums of many chains. A block has at
/// most `most` values.
pub(in crate::conv) const fn scratch_len(shape: &ConvShape, most: usize) -> Option<usize> {
    if shape.batch == 0 {
        return Some(0);
    }
    if let Some(stage) = depthwise::stage_len(shape) {
        let Some(levels) = checked_product([depthwise::levels(shape), shape.out_group, shape.depth()]) else {
            return None;
        };
        return checked_sum([ALIGN, stage, levels]);
    }
    let chains = Chains::new(shape);
    let mirror = chains.mirror(shape);
    let Some(stage) = Block::new(&mirror, most).stage_len(&mirror) else { return None };
    let rows = shape.out_group.next_multiple_of(NR);
    let Some(panels) = checked_product([chains.images, mirror.window.taps(), rows]) else { return None };
    let arrays = Cascade::levels(chains.count) + 1;
    let Some(sums) = checked_product([arrays, shape.out_group, shape.depth()]) else { return None };
    checked_sum([ALIGN, SUMS_LEN, stage, panels, sums])
}

/// Computes the gradient of the weight, in blocks of at most `most` values.
pub(in crate::conv) fn backward_weight(
    isa: Isa,
    shape: &ConvShape,
    most: usize,
    input: &[f32],
    grad_output: &[f32],
    grad_weight: &mut [f32],
    scratch: &mut [f32],
) {
    let ConvShape { batch, groups, in_group, out_group, window, .. } = *shape;
    if batch == 0 {
        grad_weight.fill(0.0);
        return;
    }
    let (plane_len, depth) = (window.plane_len(), shape.depth());
    let chains = Chains::new(shape);
    // Those of shorter chains have no more values than planned for the longest.
    let longest = chains.mirror(shape);
    let (block, is_staged) = (Block::new(&longest, most).evened(&longest), is_staged(&longest));
    let strides = |mirror: &ConvShape| {
        let channel = groups * in_group * plane_len;
        let input = InputStrides { image: plane_len, channel, ..mirror.input_strides() };
        Strides { input, image: window.taps(), position: 1, channel: depth }
    };
    let panels_len = panels_len::<NR>(chains.images * longest.window.taps(), out_group);
    let (panels, rest) = aligned(scratch).split_at_mut(panels_len);
    let (sums, rest) = rest.split_at_mut(out_group * depth);
    let (levels, scratch) = rest.split_at_mut(Cascade::levels(chains.count) * out_group * depth);
    for (group, grad_weight) in grad_weight.chunks_exact_mut(out_group * depth).enumerate() {
        let mut all = Cascade::new(grad_weight, levels, chains.count);
        for first in (0..batch).step_by(chains.images) {
            let images = chains.images.min(batch - first);
            for part in chains.parts.iter() {
                let mirror = mirror(shape, images, &part, is_staged);
                let grads = PartGradients { shape, group, first, images, part: &part };
                grads.pack(isa, grad_output, panels);
                let whole = [0, mirror.window.output[mirror.window.outer_axis()]];
                let skipped = if is_staged { 0 } else { offset(&window, &part) };
                let place = (first * groups + group) * in_group * plane_len + skipped;
                let operands = GroupOperands {
                    group: 0,
                    channels: 0..out_group,
                    input: &input[place..],
                    weights: Panels::new(panels, images * mirror.window.taps()),
                    epilogue: Epilogue::NONE,
                    output: &mut *sums,
                };
                convolve(isa, &mirror, whole, &block, &strides(&mirror), operands, scratch);
                dispatch(isa, Add { values: sums, sums: all.lowest() });
                all.carry();
            }
        }
        all.finish();
    }
}

/// The gradients of a part of the positions of some images, and of a group's channels.
struct PartGradients<'a> {
    shape: &'a ConvShape,
    group: usize,
    /// The first image.
    first: usize,
    images: usize,
    part: &'a Part,
}

impl PartGradients<'_> {
    /// Packs them into panels of `NR` channels, image by image.
    fn pack(&self, isa: Isa, grad_output: &[f32], panels: &mut [f32]) {
        let ConvShape { groups, out_group, window, .. } = *self.shape;
        let [_, height, width] = window.output;
        let [z, y, x] = self.part.start;
        let (positions, depth) = (window.positions(), self.part.size.iter().product::<usize>());
        let panel_len = self.images * depth * NR;
        for image in 0..self.images {
            let place = ((self.first + image) * groups + self.group) * out_group * positions;
            let grads = grad_output[place..][..out_group * positions].chunks(NR * positions);
            for (values, panel) in grads.zip(panels.chunks_exact_mut(panel_len)) {
                let panels = &mut panel[image * depth * NR..][..depth * NR];
                let (rows, row_stride) = (values.len() / positions, positions);
                let values = &values[(z * height + y) * width + x..];
                dispatch(isa, PackRows { values, row_stride, rows, depth, panels });
            }
        }
    }
}

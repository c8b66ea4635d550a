//! The gradient of the weight is a convolution, too: of each channel of the input with the gradient of the
//! output, whose positions are its taps.
//!
//! In `grad_weight[o, c, tap] = sum over p of grad_output[o, p] input[c, p * stride + tap * dilation]` taps and
//! positions change places, and so do stride and dilation. Lanes are output channels: the gradient is
//! transposed into panels, and the broadcast algorithm's tiles read the input where it lies. No im2col matrix is
//! packed.

use super::broadcast::{Block, Field, Operands, STRIP_LEN, Strides, convolve};
use super::shape::Shape;
use crate::gemm::pack::{PackRows, panels_len};
use crate::gemm::{Epilogue, Panels};
use crate::kernel::{Isa, Job, MulAdd, NR, Vectors, dispatch};
use crate::scratch::{ALIGN, aligned};
use crate::window::{Window, checked_product, checked_sum};

/// The most positions whose products are summed in one chain, if they are of several images: 128 KiB of a
/// panel of gradients.
const MOST_POSITIONS: usize = 2048;

/// How many images are summed in one chain.
pub(super) const fn images_at_once(shape: &Shape) -> usize {
    let images = MOST_POSITIONS / shape.window.positions();
    let images = if images < shape.batch { images } else { shape.batch };
    if images == 0 { 1 } else { images }
}

/// The convolution whose outputs are the gradients of a group: its images are the input channels, its channels
/// are `images`.
const fn mirror(shape: &Shape, images: usize) -> Shape {
    let Window { kernel, stride, dilation, output, .. } = shape.window;
    let window =
        Window { kernel: output, stride: dilation, dilation: stride, output: kernel, ..shape.window };
    Shape { batch: shape.in_group, groups: 1, in_group: images, out_group: shape.out_group, window }
}

/// The scratch of [`backward_weight`], if it fits in `usize`: a strip of sums, a stage, the gradients as panels, and
/// the sums of some images. A block has at most `most` values.
pub(super) const fn scratch_len(shape: &Shape, most: usize) -> Option<usize> {
    if shape.batch == 0 {
        return Some(0);
    }
    let images = images_at_once(shape);
    let mirror = mirror(shape, images);
    let Some(stage) = Block::new(&mirror, most).stage_len(&mirror) else { return None };
    let rows = shape.out_group.next_multiple_of(NR);
    let Some(panels) = checked_product([images, shape.window.positions(), rows]) else { return None };
    let Some(sums) = checked_product([shape.out_group, shape.depth()]) else { return None };
    checked_sum([ALIGN, STRIP_LEN, stage, panels, sums])
}

/// Computes the gradient of the weight, in blocks of at most `most` values.
pub(super) fn backward_weight(
    isa: Isa,
    shape: &Shape,
    most: usize,
    input: &[f32],
    grad_output: &[f32],
    grad_weight: &mut [f32],
    scratch: &mut [f32],
) {
    grad_weight.fill(0.0);
    let Shape { batch, groups, in_group, out_group, window } = *shape;
    if batch == 0 {
        return;
    }
    let (positions, plane_len, depth) = (window.positions(), window.plane_len(), shape.depth());
    let step = images_at_once(shape);
    // For fewer images in the end as well: larger blocks of those would exceed the scratch.
    let block = Block::new(&mirror(shape, step), most);
    let strides = |mirror: &Shape| {
        let input =
            Field { image: plane_len, channel: groups * in_group * plane_len, ..Field::input(mirror) };
        Strides { input, image: window.taps(), channel: depth }
    };
    let (panels, rest) = aligned(scratch).split_at_mut(panels_len::<NR>(step * positions, out_group));
    let (sums, scratch) = rest.split_at_mut(out_group * depth);
    for (group, grad_weight) in grad_weight.chunks_exact_mut(out_group * depth).enumerate() {
        for first in (0..batch).step_by(step) {
            let images = step.min(batch - first);
            let panel_len = images * positions * NR;
            for image in 0..images {
                let place = ((first + image) * groups + group) * out_group * positions;
                let grads = grad_output[place..][..out_group * positions].chunks(NR * positions);
                for (values, panel) in grads.zip(panels.chunks_exact_mut(panel_len)) {
                    let panels = &mut panel[image * positions * NR..][..positions * NR];
                    let (rows, row_stride, depth) = (values.len() / positions, positions, positions);
                    dispatch(isa, PackRows { values, row_stride, rows, depth, panels });
                }
            }
            let mirror = mirror(shape, images);
            let operands = Operands {
                group: 0,
                channels: 0..out_group,
                input: &input[(first * groups + group) * in_group * plane_len..],
                weights: Panels::new(panels, images * positions),
                epilogue: Epilogue::NONE,
                output: sums,
            };
            convolve(isa, &mirror, &block, &strides(&mirror), operands, scratch);
            dispatch(isa, Add { values: sums, sums: grad_weight });
        }
    }
}

struct Add<'a> {
    values: &'a [f32],
    sums: &'a mut [f32],
}

impl Job for Add<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        _: impl Vectors,
    ) {
        for (sum, value) in self.sums.iter_mut().zip(self.values) {
            *sum += value;
        }
    }
}

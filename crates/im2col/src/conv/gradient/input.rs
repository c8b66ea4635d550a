//! With a stride of 1 the gradient of the input is a convolution, too: of the gradient of the output with the
//! weight, whose taps are in reverse and whose channels change places.
//!
//! `grad_input[c, p] = sum over o, tap of grad_output[o, p + padding - tap * dilation] weight[o, c, tap]`: V. Dumoulin,
//! F. Visin: A guide to convolution arithmetic for deep learning (2016), chapter 4.

use super::depthwise::{self, DepthwiseInput};
use crate::conv::algorithm::{Algorithm, ForwardSizes};
use crate::conv::pass::Pass;
use crate::conv::shape::ConvShape;
use crate::epilogue::Epilogue;
use crate::gemm::pack::{Matrix, panels_len};
use crate::gemm::{Blocking, Blocks, Destination, Panels, Rows, blocks};
use crate::im2col::Col2imBlock;
use crate::padding::PaddingMode;
use crate::scratch::{ALIGN, aligned};
use crate::simd::{Isa, Kernel, MulAdd, NR, Vectors, dispatch};
use crate::weights::Weights;
use crate::window::{Window, checked, checked_product, checked_sum};

/// How many times longer than the output the input may be: what the mirror multiplies beyond the output is padding.
const MOST_PADDED: usize = 4;

/// The convolution that computes the gradient of the input, the *mirror*. None unless the stride is 1, the padding is zeros no
/// longer than the taps reach, and the input is at most `MOST_PADDED` times as long as the output; nor for a depthwise gradient
/// or an empty batch.
pub(in crate::conv) const fn mirror(shape: &ConvShape) -> Option<ConvShape> {
    let Window { input, kernel, stride, padding, mode, dilation, output } = shape.window;
    // Without images the planes may be of any size.
    if shape.batch == 0 || !matches!(mode, PaddingMode::Zeros) || depthwise::stage_len(shape).is_some() {
        return None;
    }
    if shape.window.plane_len() / MOST_PADDED > shape.window.positions() {
        return None;
    }
    let mut window = Window { input: output, output: input, ..shape.window };
    let mut axis = 0;
    while axis < 3 {
        let reach = (kernel[axis] - 1) * dilation[axis];
        let [before, _] = padding[axis];
        if stride[axis] != 1 || before > reach || input[axis] + before < output[axis] {
            return None;
        }
        // What follows is as long as it takes to get all of the input.
        window.padding[axis] = [reach - before, input[axis] + before - output[axis]];
        axis += 1;
    }
    let ConvShape { batch, groups, in_group, out_group, .. } = *shape;
    Some(ConvShape::new(batch, groups, [out_group, in_group], window))
}

/// The scratch of [`backward_input`], if it fits in `usize`: the weights in reverse, and what the convolution
/// takes.
pub(in crate::conv) const fn scratch_len(
    mirror: &ConvShape,
    algorithm: Algorithm,
    most: usize,
) -> Option<usize> {
    let Some(sizes) = ForwardSizes::new(mirror, algorithm, most) else { return None };
    checked_sum([sizes.plain, mirror.groups * mirror.out_group * mirror.depth()])
}

/// Computes the gradient of the input, in blocks of at most `most` values; `mirror` is the convolution that does so.
#[allow(clippy::too_many_arguments, reason = "operands, and how the plan computes")]
pub(in crate::conv) fn backward_input(
    isa: Isa,
    mirror: ConvShape,
    algorithm: Algorithm,
    most: usize,
    weight: &[f32],
    grad_output: &[f32],
    grad_input: &mut [f32],
    scratch: &mut [f32],
) {
    let Some(sizes) = ForwardSizes::new(&mirror, algorithm, most) else {
        debug_assert!(false, "the plan has computed the lengths of the mirror");
        return;
    };
    let (reversed, scratch) = scratch.split_at_mut(weight.len());
    dispatch(isa, Reverse { shape: &mirror, weight, reversed });
    let mut pass = Pass::new(&mirror, algorithm, &sizes);
    (pass.input, pass.weight) = (grad_output, Weights::Plain(reversed));
    (pass.output, pass.scratch) = (grad_input, scratch);
    pass.run(algorithm, isa);
}

/// The weights of the mirror, `[groups, out_group, in_group, taps]`.
struct Reverse<'a> {
    shape: &'a ConvShape,
    weight: &'a [f32],
    reversed: &'a mut [f32],
}

impl Kernel for Reverse<'_> {
    const USES_AVX512: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { shape: ConvShape { in_group, out_group, window, .. }, weight, reversed } = self;
        let taps = window.taps();
        let group_len = in_group * out_group * taps;
        let groups = weight.chunks_exact(group_len).zip(reversed.chunks_exact_mut(group_len));
        for (weight, reversed) in groups {
            for (i, reversed) in reversed.chunks_exact_mut(taps).enumerate() {
                let (output, input) = (i / in_group, i % in_group);
                let kernel = &weight[(input * out_group + output) * taps..][..taps];
                for (to, from) in reversed.iter_mut().zip(kernel.iter().rev()) {
                    *to = *from;
                }
            }
        }
    }
}

/// The most values in a block of gradient columns: 128 KiB.
const GRAD_COLUMNS: usize = 32 * 1024;

/// Blocks of `weight^T grad_output`, image by image: as many columns as keep the block of
/// gradient columns, all of whose rows are needed, in L2.
pub(in crate::conv) const fn blocking(shape: &ConvShape) -> Blocking {
    let blocking = Blocking::new(shape.depth(), shape.out_group, shape.window.positions());
    let most = GRAD_COLUMNS / shape.depth() / NR * NR;
    let most = if most < NR { NR } else { most };
    let (nc, strip) = (blocking.nc, blocking.strip);
    Blocking {
        nc: if nc < most { nc } else { most },
        strip: if strip < most { strip } else { most },
        // A block of columns is a product of its own, of one strip.
        mc: shape.depth(),
        ..blocking
    }
}

/// The scratch of [`StridedInput`] with plain and with packed weights, and the length of those.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::conv) struct StridedSizes {
    pub(in crate::conv) plain: usize,
    pub(in crate::conv) packed: usize,
    pub(in crate::conv) weight: usize,
}

impl StridedSizes {
    /// The sizes for a shape whose operands are known to fit in `usize`; none if one overflows.
    pub(in crate::conv) const fn new(shape: &ConvShape) -> Option<Self> {
        let (depth, blocking) = (shape.depth(), blocking(shape));
        let panels =
            checked!(checked_product([checked!(depth.checked_next_multiple_of(NR)), shape.out_group]));
        let (packed, weight) = match depthwise::stage_len(shape) {
            Some(stage) => (checked!(checked_sum([ALIGN, stage])), 0),
            None => {
                let columns = checked!(checked_product([depth, blocking.nc]));
                (checked!(checked_sum([ALIGN + blocking.strip_len(), columns])), panels)
            }
        };
        let plain = checked!(checked_sum([packed, weight]));
        Some(Self { plain, packed, weight: checked!(checked_product([shape.groups, panels])) })
    }
}

/// The gradient of the input; also the forward pass of the transposed convolution.
pub(in crate::conv) struct StridedInput<'a> {
    pub(in crate::conv) shape: ConvShape,
    pub(in crate::conv) weight: Weights<'a>,
    pub(in crate::conv) grad_output: &'a [f32],
    pub(in crate::conv) grad_input: &'a mut [f32],
    pub(in crate::conv) scratch: &'a mut [f32],
}

impl StridedInput<'_> {
    pub(in crate::conv) fn compute(self, isa: Isa) {
        if depthwise::stage_len(&self.shape).is_some() {
            let Self { shape, weight, grad_output, grad_input, scratch } = self;
            dispatch(isa, DepthwiseInput { shape, weight, grad_output, grad_input, scratch });
        } else {
            self.multiply(isa);
        }
    }

    /// `col2im` of a product, image by image.
    fn multiply(self, isa: Isa) {
        let ConvShape { groups, in_group, out_group, window, .. } = self.shape;
        let (depth, positions) = (self.shape.depth(), window.positions());
        let patches = self.shape.patches();
        let blocking = blocking(&self.shape);
        let nc = blocking.nc;
        let (strip, rest) = aligned(self.scratch).split_at_mut(blocking.strip_len());
        let (columns, weight_panels) = rest.split_at_mut(depth * nc);
        let panels_len = panels_len::<NR>(out_group, depth);
        self.grad_input.fill(0.0);
        for group in 0..groups {
            let panels = match self.weight {
                Weights::Packed(packed) => &packed.panels[group * panels_len..][..panels_len],
                Weights::Plain(weight) => {
                    let weight = &weight[group * out_group * depth..];
                    pack_group(isa, &self.shape, weight, weight_panels);
                    &weight_panels[..panels_len]
                }
            };
            let weights = Rows::Packed(Panels::new(panels, out_group));
            let inputs = self.grad_input.chunks_exact_mut(in_group * window.plane_len());
            let grads = self.grad_output.chunks_exact(out_group * positions);
            // One chunk per image and group; those of this group are `groups` apart.
            for (grad_input, grad_output) in inputs.zip(grads).skip(group).step_by(groups) {
                let grad_output = Matrix::row_major(grad_output, positions);
                for range in blocks(positions, nc) {
                    let (rows, depth, len) = (depth, out_group, range.len());
                    let c = Destination {
                        values: &mut *columns,
                        row_stride: nc,
                        image_columns: len,
                        image_stride: 0,
                    };
                    let epilogue = Epilogue::NONE;
                    let product = Blocks { rows, depth, columns: len, blocking, a: weights, epilogue, c };
                    product.compute(isa, strip, 0, |k, columns, strip| {
                        let columns = range.start + columns.start..range.start + columns.end;
                        grad_output.pack(isa, k, columns, strip);
                    });
                    dispatch(
                        isa,
                        Col2imBlock { patches, matrix: columns, row_stride: nc, range, image: grad_input },
                    );
                }
            }
        }
    }
}

/// The transposed weights of a group as panels: rows are outputs and taps, `k` is the input channel.
pub(in crate::conv) fn pack_group(isa: Isa, mirror: &ConvShape, weight: &[f32], panels: &mut [f32]) {
    let depth = mirror.depth();
    Matrix::row_major(weight, depth).pack(isa, 0..mirror.out_group, 0..depth, panels);
}

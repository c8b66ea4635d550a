//! The gradients.
//!
//! With `X` the im2col matrix of an image, `W` the weight as a matrix and `G` the gradient of the
//! output, the forward pass is `W X`, and
//!
//! - `grad_input = col2im(W^T G)`,
//! - `grad_weight = sum over images of G X^T`,
//! - `grad_bias = sum over images and positions of G`.
//!
//! No matrix is made where a convolution gives the same: `backward_input.rs`, `backward_weight.rs`.

use super::backward_input;
use super::backward_weight::backward_weight;
use super::depthwise_backward as depthwise;
use super::direct::Stage;
use super::forward::Weights;
use super::in_place;
use super::plan::ConvPlan;
use super::shape::Shape;
use super::transpose;
use crate::epilogue::Epilogue;
use crate::error::{RunError, check_len, check_scratch};
use crate::gemm::pack::{Matrix, panels_len};
use crate::gemm::{Blocks, Destination, Panels, Rows, blocks};
use crate::kernel::{Isa, Job, MulAdd, NR, Vectors, dispatch};
use crate::lower::Col2imBlock;
use crate::scratch::aligned;
use crate::sum::{Cascade, SumPlanes};

impl<const D: usize> ConvPlan<D> {
    /// Computes the gradient of the input, `[batch, in_channels, dims..]`.
    ///
    /// `grad_output`, `[batch, out_channels, output_dims..]`, is the gradient of the convolution's
    /// sums: a fused activation is the caller's to differentiate first
    /// ([`Activation::backward`](crate::Activation::backward)).
    ///
    /// `K` of the error bound ([`ConvPlan::forward`]) is the number of products in a sum: `out_channels / groups`
    /// times the pairs of a position and a tap that see the input value, in its place or in the padding that shows
    /// it. With padding of zeros there are at most as many pairs as taps. Other modes show one value many times: on
    /// an axis of one value under `Replicate`, all pairs see it. Products are added in a fixed order, those of one
    /// position and tap in a chain over the channels; the chains of a value that is shown more than once are added
    /// one after the other, wherever they come from. A weight that is not finite may or may not meet zeros beyond the
    /// ends of `grad_output`.
    ///
    /// # Errors
    ///
    /// If an operand's length is not the plan's, or the scratch is shorter than
    /// [`ConvPlan::backward_input_scratch_len`].
    pub fn backward_input(
        &self,
        weight: &[f32],
        grad_output: &[f32],
        grad_input: &mut [f32],
        scratch: &mut [f32],
    ) -> Result<(), RunError> {
        check_len("weight", self.weight_len(), weight.len())?;
        check_len("grad_output", self.output_len(), grad_output.len())?;
        check_len("grad_input", self.input_len(), grad_input.len())?;
        check_scratch(self.backward_input_scratch_len(), scratch.len())?;
        let (isa, shape, plain) = (self.isa(), self.shape, Weights::Plain(weight));
        match (backward_input::mirror(&shape), self.backward.input.most()) {
            (Some(mirror), Some(most)) => {
                backward_input::backward_input(isa, mirror, most, weight, grad_output, grad_input, scratch);
            }
            (Some(mirror), None) => in_place::mirrored(isa, &mirror, weight, grad_output, grad_input),
            (None, Some(_)) => {
                BackwardInput { shape, weight: plain, grad_output, grad_input, scratch }.compute(isa);
            }
            (None, None) => in_place::spread(isa, &shape, plain, grad_output, grad_input),
        }
        Ok(())
    }

    /// Computes the gradient of the weight, `[out_channels, in_channels / groups, kernel..]`.
    ///
    /// Each value is a sum of `n = batch * positions` products, in chains over images, then positions: over as many
    /// images as have at most 2048 positions, or of a larger one over parts of as many. At most 64 chains are added
    /// in order, of their sums again at most 64, and so on. With one input channel and fewer than six outputs per
    /// group a chain is 16 of them, one per lane, over at most 1024 vectors of positions of an image, added by pairs.
    /// `K` of the error bound is `min(n, 2048 + 64 l)` with the least `l` for which `512 * 64^l >= n`. `grad_output` is as in [`ConvPlan::backward_input`].
    ///
    /// # Errors
    ///
    /// If an operand's length is not the plan's, or the scratch is shorter than
    /// [`ConvPlan::backward_weight_scratch_len`].
    pub fn backward_weight(
        &self,
        input: &[f32],
        grad_output: &[f32],
        grad_weight: &mut [f32],
        scratch: &mut [f32],
    ) -> Result<(), RunError> {
        check_len("input", self.input_len(), input.len())?;
        check_len("grad_output", self.output_len(), grad_output.len())?;
        check_len("grad_weight", self.weight_len(), grad_weight.len())?;
        check_scratch(self.backward_weight_scratch_len(), scratch.len())?;
        let (isa, shape) = (self.isa(), &self.shape);
        match self.backward.weight.most() {
            Some(_) if shape.depthwise_stage_len().is_some() => {
                dispatch(isa, DepthwiseWeight { shape, input, grad_output, grad_weight, scratch });
            }
            Some(most) => backward_weight(isa, shape, most, input, grad_output, grad_weight, scratch),
            None => in_place::weight(isa, shape, input, grad_output, grad_weight),
        }
        Ok(())
    }

    /// Computes the gradient of the bias, `[out_channels]`: the sum of each output channel.
    ///
    /// Values are added in chains of at most 16, and the chains by pairs: with `n = batch * positions` each sum
    /// differs from the exact one by at most `gamma(min(n, 16 + log2(n))) sum |grad_output|`.
    ///
    /// # Errors
    ///
    /// If `grad_output` is not of [`ConvPlan::output_len`] or `grad_bias` not of
    /// [`ConvPlan::bias_len`].
    pub fn backward_bias(&self, grad_output: &[f32], grad_bias: &mut [f32]) -> Result<(), RunError> {
        check_len("grad_output", self.output_len(), grad_output.len())?;
        check_len("grad_bias", self.bias_len(), grad_bias.len())?;
        let plane_len = self.shape.window.positions();
        dispatch(self.isa(), SumPlanes { values: grad_output, plane_len, sums: grad_bias });
        Ok(())
    }
}

/// The gradient of the input; also the forward pass of the transposed convolution.
pub(super) struct BackwardInput<'a> {
    pub(super) shape: Shape,
    pub(super) weight: Weights<'a>,
    pub(super) grad_output: &'a [f32],
    pub(super) grad_input: &'a mut [f32],
    pub(super) scratch: &'a mut [f32],
}

impl BackwardInput<'_> {
    pub(super) fn compute(self, isa: Isa) {
        if self.shape.depthwise_stage_len().is_some() {
            dispatch(isa, DepthwiseInput(self));
        } else {
            self.multiply(isa);
        }
    }

    /// `col2im` of a product, image by image.
    fn multiply(self, isa: Isa) {
        let Shape { groups, in_group, out_group, window, .. } = self.shape;
        let (depth, positions) = (self.shape.depth(), window.positions());
        let patches = self.shape.patches();
        let blocking = self.shape.backward_input_blocking();
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
                    transpose::pack_group(isa, &self.shape, weight, weight_panels);
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

struct DepthwiseInput<'a>(BackwardInput<'a>);

impl Job for DepthwiseInput<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        mul_add: impl MulAdd,
        _: impl Vectors,
    ) {
        let BackwardInput { shape, weight, grad_output, grad_input, scratch } = self.0;
        let Shape { groups, out_group, window, .. } = shape;
        let taps = window.taps();
        let layout = Stage::new(&shape);
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
                    depthwise::gather_grad_input(&layout, stage, grad_output, weight, mul_add);
                }
                Weights::Packed(packed) => {
                    let panels = packed.panels[group * panels_len..][..panels_len].as_chunks::<NR>().0;
                    let weight = |output: usize, tap: usize| panels[tap / NR * out_group + output][tap % NR];
                    depthwise::gather_grad_input(&layout, stage, grad_output, weight, mul_add);
                }
            }
            layout.add_to(stage, plane);
        }
    }
}

struct DepthwiseWeight<'a> {
    shape: &'a Shape,
    input: &'a [f32],
    grad_output: &'a [f32],
    grad_weight: &'a mut [f32],
    scratch: &'a mut [f32],
}

impl Job for DepthwiseWeight<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { shape, input, grad_output, grad_weight, scratch } = self;
        let Shape { batch, groups, out_group, window, .. } = *shape;
        if batch == 0 {
            grad_weight.fill(0.0);
            return;
        }
        let (layout, parts, len) = (Stage::new(shape), depthwise::parts(&window), out_group * window.taps());
        let scratch = aligned(scratch);
        let (stage, levels) = scratch.split_at_mut(scratch.len() - depthwise::levels(shape) * len);
        let (plane_len, grads_len) = (window.plane_len(), out_group * window.positions());
        for (group, grad_weight) in grad_weight.chunks_exact_mut(len).enumerate() {
            let mut all = Cascade::new(grad_weight, levels, batch * parts.count());
            for plane in (group..batch * groups).step_by(groups) {
                let grad_output = &grad_output[plane * grads_len..][..grads_len];
                layout.copy(&input[plane * plane_len..][..plane_len], stage);
                for part in parts.iter() {
                    let sums = all.lowest();
                    depthwise::add_grad_weight::<ROWS, PANELS>(&layout, stage, grad_output, &part, sums);
                    all.carry();
                }
            }
            all.finish();
        }
    }
}

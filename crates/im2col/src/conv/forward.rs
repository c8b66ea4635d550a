//! The forward pass.

use super::direct::Stage;
use super::in_place::{self, GroupWeights, Planes};
use super::plan::{Algorithm, ConvPlan, Shape};
use crate::activation::Activation;
use crate::error::{RunError, check_len, check_scratch};
use crate::gemm::pack::{Matrix, panels_len};
use crate::gemm::{Bias, Blocking, Destination, Epilogue, Panels, blocks, multiply};
use crate::kernel::{Job, MR, MulAdd, dispatch};
use crate::scratch::{ALIGN, aligned};

/// What a convolution reads.
#[derive(Clone, Copy, Debug)]
pub struct ConvOperands<'a> {
    /// `[batch, in_channels, dims..]`
    pub input: &'a [f32],
    /// `[out_channels, in_channels / groups, kernel..]`
    pub weight: Weights<'a>,
    /// `[out_channels]`; empty without a bias.
    pub bias: &'a [f32],
}

/// Weights as they are, or packed beforehand.
#[derive(Clone, Copy, Debug)]
pub enum Weights<'a> {
    /// Packed anew at every call.
    Plain(&'a [f32]),
    /// Packed once, for many calls.
    Packed(PackedWeights<'a>),
}

/// Weights in the order in which the microkernel reads them. Made by `pack_weights`.
///
/// The layout depends on the shape of the weights only, so the plans of one layer for several
/// batch or input sizes share it. It is not stable across versions: store plain weights.
#[derive(Clone, Copy, Debug)]
pub struct PackedWeights<'a> {
    pub(crate) panels: &'a [f32],
    pub(crate) layout: Layout,
}

/// What the weights were packed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// `A` panels, group after group.
    Conv { groups: usize, rows: usize, depth: usize },
    /// The same of the transposed weights of a transposed convolution.
    ConvTranspose { groups: usize, rows: usize, depth: usize },
    /// `B` panels.
    Linear { inputs: usize, outputs: usize },
}

impl<const D: usize> ConvPlan<D> {
    pub(crate) const fn layout(&self) -> Layout {
        let Shape { groups, out_group: rows, .. } = self.shape;
        Layout::Conv { groups, rows, depth: self.shape.depth() }
    }

    /// Packs the weights into `packed`, for [`Weights::Packed`].
    ///
    /// # Errors
    ///
    /// If `weight` is not of [`ConvPlan::weight_len`] or `packed` not of
    /// [`ConvPlan::packed_weight_len`].
    pub fn pack_weights<'a>(
        &self,
        weight: &[f32],
        packed: &'a mut [f32],
    ) -> Result<PackedWeights<'a>, RunError> {
        check_len("weight", self.weight_len(), weight.len())?;
        check_len("packed", self.packed_weight_len(), packed.len())?;
        let Shape { groups, out_group, .. } = self.shape;
        let panels = packed.chunks_exact_mut(packed.len() / groups);
        for (weight, panels) in weight.chunks_exact(weight.len() / groups).zip(panels) {
            pack_group(weight, out_group, self.shape.depth(), panels);
        }
        Ok(PackedWeights { panels: packed, layout: self.layout() })
    }

    /// Computes `output` `[batch, out_channels, output_dims..]`.
    ///
    /// Each output is one chain of sums: products in ascending order of channel and tap, one fused
    /// multiply-add each (a multiplication and an addition under [`Isa::SCALAR`](crate::Isa::SCALAR)), then the bias,
    /// then the activation. With `K = in_channels / groups * taps` products it differs from the
    /// exact value by at most `gamma(K + 2) (sum |x| |w| + |b|)`, `gamma(n) = n u / (1 - n u)`,
    /// `u = 2^-24`, before the activation.
    ///
    /// # Errors
    ///
    /// If an operand's length is not the plan's, the scratch is shorter than
    /// [`ConvPlan::scratch_len`], the weights were packed for other sizes, or
    /// they are packed and the algorithm takes plain weights only.
    pub fn forward(
        &self,
        operands: ConvOperands<'_>,
        output: &mut [f32],
        scratch: &mut [f32],
    ) -> Result<(), RunError> {
        let ConvOperands { input, weight, bias } = operands;
        check_len("input", self.input_len(), input.len())?;
        check_len("bias", self.bias_len(), bias.len())?;
        check_len("output", self.output_len(), output.len())?;
        match weight {
            Weights::Plain(weight) => {
                check_len("weight", self.weight_len(), weight.len())?;
                check_scratch(self.scratch_len(), scratch.len())?;
            }
            Weights::Packed(packed) => {
                if packed.layout != self.layout() || self.takes_plain_weights_only() {
                    let required = self.packed_weight_len();
                    return Err(RunError::PackedWeights { required, given: packed.panels.len() });
                }
                check_scratch(self.packed_scratch_len(), scratch.len())?;
            }
        }
        let shape = match self.algorithm() {
            Algorithm::Pointwise => self.shape.pointwise(),
            _ => self.shape,
        };
        let (algorithm, blocking) = (self.algorithm(), self.lens.forward_blocking);
        let activation = self.params().activation();
        let block_len = self.packed_scratch_len().saturating_sub(ALIGN);
        let forward = Forward {
            shape,
            algorithm,
            blocking,
            block_len,
            input,
            weight,
            bias,
            activation,
            output,
            scratch,
        };
        match algorithm {
            Algorithm::Im2col | Algorithm::Pointwise | Algorithm::Direct | Algorithm::InPlace => {
                dispatch(self.isa(), forward);
            }
            #[cfg(feature = "matrixmultiply")]
            Algorithm::Matrixmultiply => forward.matrixmultiply(),
        }
        Ok(())
    }

    #[allow(clippy::unused_self, reason = "without the feature no algorithm needs plain weights")]
    fn takes_plain_weights_only(&self) -> bool {
        #[cfg(feature = "matrixmultiply")]
        return self.algorithm() == Algorithm::Matrixmultiply;
        #[cfg(not(feature = "matrixmultiply"))]
        false
    }
}

fn pack_group(weight: &[f32], rows: usize, depth: usize, panels: &mut [f32]) {
    Matrix::row_major(weight, depth).pack_a(rows, 0..depth, panels);
}

struct Forward<'a> {
    shape: Shape,
    algorithm: Algorithm,
    blocking: Blocking,
    block_len: usize,
    input: &'a [f32],
    weight: Weights<'a>,
    bias: &'a [f32],
    activation: Activation,
    output: &'a mut [f32],
    scratch: &'a mut [f32],
}

impl Job for Forward<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize>(mut self, mul_add: impl MulAdd) {
        if self.algorithm == Algorithm::InPlace {
            return self.in_place::<ROWS>(mul_add);
        }
        let Shape { groups, out_group, .. } = self.shape;
        let depth = self.shape.depth();
        let panels_len = panels_len::<MR>(depth, out_group);
        let (block, weight_panels) = aligned(core::mem::take(&mut self.scratch)).split_at_mut(self.block_len);
        for group in 0..groups {
            let panels = match self.weight {
                Weights::Packed(packed) => &packed.panels[group * panels_len..][..panels_len],
                Weights::Plain(weight) => {
                    let panels = &mut weight_panels[..panels_len];
                    pack_group(&weight[group * out_group * depth..], out_group, depth, panels);
                    panels
                }
            };
            let weights = Panels::new(panels, depth);
            match self.algorithm {
                Algorithm::Direct => self.direct::<ROWS, PANELS>(group, weights, block, mul_add),
                _ => self.multiply_blocks::<ROWS, PANELS>(group, weights, block, mul_add),
            }
        }
    }
}

impl<'a> Forward<'a> {
    fn epilogue(&self, group: usize) -> Epilogue<'a> {
        let bias = self.bias.get(group * self.shape.out_group..).map_or(Bias::None, Bias::PerRow);
        Epilogue { bias, activation: self.activation }
    }

    /// The input and output of each image in a group.
    fn images(&mut self, group: usize) -> impl Iterator<Item = (&'a [f32], &mut [f32])> {
        let Shape { groups, in_group, out_group, window, .. } = self.shape;
        // One chunk per image and group; those of this group are `groups` apart.
        let inputs = self.input.chunks_exact(in_group * window.plane_len());
        inputs.zip(self.output.chunks_exact_mut(out_group * window.positions())).skip(group).step_by(groups)
    }

    #[inline(always)]
    fn in_place<const ROWS: usize>(mut self, mul_add: impl MulAdd) {
        let shape = self.shape;
        let panels_len = panels_len::<MR>(shape.depth(), shape.out_group);
        let in_len = shape.in_group * shape.window.plane_len();
        for group in 0..shape.groups {
            let weights = GroupWeights::new(self.weight, &shape, group, panels_len);
            let (input, epilogue) = (self.input, self.epilogue(group));
            let starts = (group..).step_by(shape.groups).map(|plane| plane * in_len);
            for ((_, output), start) in self.images(group).zip(starts) {
                let planes = Planes { input, start };
                if shape.out_group == 1 {
                    in_place::convolve::<1>(&shape, planes, weights, epilogue, output, mul_add);
                } else {
                    in_place::convolve::<ROWS>(&shape, planes, weights, epilogue, output, mul_add);
                }
            }
        }
    }

    #[inline(always)]
    fn direct<const ROWS: usize, const PANELS: usize>(
        &mut self,
        group: usize,
        weights: Panels<'_, MR>,
        stage: &mut [f32],
        mul_add: impl MulAdd,
    ) {
        let (plan, epilogue) = (Stage::new(&self.shape), self.epilogue(group));
        for (planes, output) in self.images(group) {
            plan.convolve::<ROWS, PANELS>(planes, weights, epilogue, output, stage, mul_add);
        }
    }

    /// Multiplies the weights of a group by its im2col matrix, of all images together, block by block.
    #[inline(always)]
    fn multiply_blocks<const ROWS: usize, const PANELS: usize>(
        &mut self,
        group: usize,
        weights: Panels<'_, MR>,
        block: &mut [f32],
        mul_add: impl MulAdd,
    ) {
        let Shape { batch, groups, in_group, out_group, window, .. } = self.shape;
        let (depth, positions) = (self.shape.depth(), window.positions());
        let Blocking { kc, nc } = self.blocking;
        let (patches, epilogue) = (self.shape.patches(), self.epilogue(group));
        let input = self.input.get(group * in_group * window.plane_len()..).unwrap_or_default();
        let mut output = Destination {
            values: self.output.get_mut(group * out_group * positions..).unwrap_or_default(),
            row_stride: positions,
            image_columns: positions,
            image_stride: groups * out_group * positions,
        };
        for columns in blocks(batch * positions, nc) {
            for k in blocks(depth, kc) {
                patches.pack(input, k.clone(), columns.clone(), block);
                let b = Panels::new(block, k.len() + 1).rows(0..k.len());
                let last = (k.end == depth).then_some(epilogue);
                let first = k.start == 0;
                let a = weights.rows(k);
                multiply::<ROWS, PANELS>(
                    out_group,
                    columns.clone(),
                    a,
                    b,
                    !first,
                    last,
                    &mut output,
                    mul_add,
                );
            }
        }
    }
}

#[cfg(feature = "matrixmultiply")]
impl Forward<'_> {
    /// Image by image and group by group: im2col, then sgemm, then bias and activation.
    fn matrixmultiply(self) {
        let Weights::Plain(weight) = self.weight else { return };
        let Shape { groups, in_group, out_group, window, .. } = self.shape;
        let (depth, positions) = (self.shape.depth(), window.positions());
        let columns = &mut self.scratch[..depth * positions];
        let images = self.input.chunks_exact(in_group * window.plane_len());
        for (i, (image, output)) in
            images.zip(self.output.chunks_exact_mut(out_group * positions)).enumerate()
        {
            let group = i % groups;
            self.shape.patches().copy_block(image, 0..depth, 0..positions, columns);
            let weight = &weight[group * out_group * depth..][..out_group * depth];
            crate::gemm::external::sgemm([out_group, depth, positions], weight, columns, output);
            for (o, plane) in output.chunks_exact_mut(positions).enumerate() {
                let bias = self.bias.get(group * out_group + o).copied();
                plane.iter_mut().for_each(|y| *y = self.activation.apply(*y + bias.unwrap_or(0.0)));
            }
        }
    }
}

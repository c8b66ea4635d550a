//! The forward pass.

use super::broadcast::{self, Block};
use super::depthwise;
use super::direct::Stage;
use super::in_place::{self, GroupWeights, Planes};
use super::lens::ForwardLens;
use super::plan::{Algorithm, ConvPlan};
use super::pointwise;
use super::shape::Shape;
use super::winograd;
use crate::activation::Activation;
#[cfg(feature = "matrixmultiply")]
use crate::epilogue::finish;
use crate::epilogue::{Bias, Epilogue};
use crate::error::{RunError, check_len, check_scratch};
use crate::gemm::pack::{PackRows, panels_len};
use crate::gemm::{Blocks, Destination, Panels, Rows};
use crate::kernel::{Isa, Job, MulAdd, NR, Vectors, dispatch};
use crate::lower::PackPatches;
use crate::scratch::{ALIGN, aligned};

/// What a convolution reads.
#[derive(Clone, Copy, Debug)]
pub struct ConvOperands<'a> {
    /// `[batch, in_channels, dims..]`
    pub input: &'a [f32],
    /// `[out_channels, in_channels / groups, kernel..]`; of a transposed convolution
    /// `[in_channels, out_channels / groups, kernel..]`.
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
/// The layout depends only on groups, channels, kernel and, if one was asked for, the algorithm: plans of
/// one layer for several batch or input sizes share it. It is not stable across versions: store plain weights.
#[derive(Clone, Copy, Debug)]
pub struct PackedWeights<'a> {
    pub(crate) panels: &'a [f32],
    pub(crate) layout: Layout,
}

/// What weights were packed for: two layers share packed weights only if all of this is equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Panels of `NR` output channels, group after group: what every algorithm but Winograd's reads.
    Conv { weight: WeightDims },
    /// Panels of output channels at the points of Winograd's algorithm, group after group.
    Points { weight: WeightDims },
    /// Panels of the transposed weights of a transposed convolution; `weight` is its mirror's.
    ConvTranspose { weight: WeightDims },
    /// `B` panels.
    Linear { inputs: usize, outputs: usize },
}

/// The dimensions of a convolution's weight, `[groups, out_group, in_group, kernel..]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WeightDims {
    groups: usize,
    out_group: usize,
    in_group: usize,
    kernel: [usize; 3],
}

impl WeightDims {
    pub(super) const fn new(shape: &Shape) -> Self {
        let Shape { groups, in_group, out_group, window, .. } = *shape;
        Self { groups, out_group, in_group, kernel: window.kernel }
    }
}

impl<const D: usize> ConvPlan<D> {
    pub(crate) const fn layout(&self) -> Layout {
        let weight = WeightDims::new(&self.shape);
        match self.algorithm() {
            Algorithm::Winograd => Layout::Points { weight },
            _ => Layout::Conv { weight },
        }
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
        let (shape, isa) = (&self.shape, self.isa());
        let panels = packed.chunks_exact_mut(packed.len() / shape.groups);
        for (weight, panels) in weight.chunks_exact(weight.len() / shape.groups).zip(panels) {
            match self.algorithm() {
                Algorithm::Winograd => dispatch(isa, winograd::pack_points(shape, weight, panels)),
                _ => dispatch(isa, pack_channels(shape, weight, panels)),
            }
        }
        Ok(PackedWeights { panels: packed, layout: self.layout() })
    }

    /// Computes `output` `[batch, out_channels, output_dims..]`.
    ///
    /// But for `Winograd` and `Matrixmultiply`, each output is one chain of sums: products in ascending order of channel and tap, one fused
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
        let (activation, forward) =
            (self.params().activation(), Forward::new(&self.shape, self.algorithm(), &self.lens.forward));
        let forward = Forward { input, weight, bias, activation, output, scratch, ..forward };
        let (algorithm, isa) = (self.algorithm(), self.isa());
        #[cfg(feature = "rayon")]
        forward.run_parts(algorithm, isa, self.parts());
        #[cfg(not(feature = "rayon"))]
        forward.run(algorithm, isa);
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

/// Packs the weights of a group into panels of `NR` output channels.
fn pack_channels<'a>(shape: &Shape, weight: &'a [f32], panels: &'a mut [f32]) -> PackRows<'a> {
    let depth = shape.depth();
    PackRows { values: weight, row_stride: depth, rows: shape.out_group, depth, panels }
}

pub(super) struct Forward<'a> {
    pub(super) shape: Shape,
    pub(super) block: Block,
    pub(super) block_len: usize,
    /// Channels of a panel: what a part has whole ones of.
    #[cfg_attr(not(feature = "rayon"), expect(dead_code, reason = "only threads divide channels"))]
    pub(super) panel: usize,
    pub(super) input: &'a [f32],
    pub(super) weight: Weights<'a>,
    pub(super) bias: &'a [f32],
    pub(super) activation: Activation,
    pub(super) output: &'a mut [f32],
    pub(super) scratch: &'a mut [f32],
}

// Each algorithm is a job of its own: one function with all of them inlined would be so large that
// the compiler keeps in memory what belongs into registers.

struct InPlace<'a>(Forward<'a>);

/// A group of all images.
struct Direct<'f, 'a> {
    forward: &'f mut Forward<'a>,
    group: usize,
    weights: Panels<'f, NR>,
    stage: &'f mut [f32],
}

// Loops, not closures: a closure called by a helper is not compiled for the instruction set.

impl Job for Direct<'_, '_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        mul_add: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { forward, group, weights, stage } = self;
        let (layout, epilogue) = (Stage::new(&forward.shape), forward.epilogue(group));
        for image in 0..forward.shape.batch {
            let (planes, output) = forward.image(image, group);
            let planes = &planes.input[planes.start..][..planes.len];
            // Four vectors of positions where two panels fit beside them: 24 of 32 registers.
            if PANELS > 1 {
                layout.convolve::<ROWS, 4>(planes, weights, epilogue, output, stage, mul_add);
            } else {
                layout.convolve::<ROWS, 1>(planes, weights, epilogue, output, stage, mul_add);
            }
        }
    }
}

impl Job for InPlace<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        mul_add: impl MulAdd,
        _: impl Vectors,
    ) {
        let mut forward = self.0;
        let shape = forward.shape;
        for group in 0..shape.groups {
            let (weights, epilogue) = (forward.weights(group), forward.epilogue(group));
            for image in 0..forward.shape.batch {
                let (planes, output) = forward.image(image, group);
                if shape.out_group == 1 {
                    in_place::convolve::<1>(&shape, planes, weights, epilogue, output, mul_add);
                } else {
                    in_place::convolve::<ROWS>(&shape, planes, weights, epilogue, output, mul_add);
                }
            }
        }
    }
}

impl<'a> Forward<'a> {
    /// The pass of an algorithm, as yet without operands.
    pub(super) fn new(shape: &Shape, algorithm: Algorithm, lens: &ForwardLens) -> Self {
        Self {
            shape: match algorithm {
                // Their kernels are for certain strides.
                Algorithm::Depthwise | Algorithm::Winograd => *shape,
                _ => shape.simplified(),
            },
            block: lens.block,
            block_len: lens.packed.saturating_sub(ALIGN),
            panel: algorithm.panels_at_once(),
            input: &[],
            weight: Weights::Plain(&[]),
            bias: &[],
            activation: Activation::Identity,
            output: &mut [],
            scratch: &mut [],
        }
    }

    pub(super) fn run(mut self, algorithm: Algorithm, isa: Isa) {
        let output = core::mem::take(&mut self.output);
        let (activation, pass) = (self.activation, Forward { output: &mut *output, ..self });
        pass.run_kernels(algorithm, isa);
        activation.complete(isa, output);
    }

    /// Computes all but an activation that is not fused.
    fn run_kernels(mut self, algorithm: Algorithm, isa: Isa) {
        match algorithm {
            Algorithm::Im2col => self.im2col(isa),
            Algorithm::Pointwise => pointwise::forward(isa, self),
            Algorithm::Broadcast => broadcast::forward(isa, self),
            Algorithm::Winograd => winograd::forward(isa, self),
            Algorithm::Direct => self.direct(isa),
            Algorithm::Depthwise => depthwise::forward(isa, self),
            Algorithm::InPlace => dispatch(isa, InPlace(self)),
            #[cfg(feature = "matrixmultiply")]
            Algorithm::Matrixmultiply => self.matrixmultiply(),
        }
    }

    #[inline(always)]
    pub(super) fn epilogue(&self, group: usize) -> Epilogue<'a> {
        let bias = self.bias.get(group * self.shape.out_group..).map_or(Bias::None, Bias::PerRow);
        Epilogue::new(bias, self.activation)
    }

    /// The block or stage, and where plain weights are packed.
    #[inline(always)]
    pub(super) fn take_scratch(&mut self) -> (&'a mut [f32], &'a mut [f32]) {
        aligned(core::mem::take(&mut self.scratch)).split_at_mut(self.block_len)
    }

    #[inline(always)]
    fn panels_len(&self) -> usize {
        panels_len::<NR>(self.shape.depth(), self.shape.out_group)
    }

    /// The weights of a group as panels; plain ones are packed into `panels`.
    pub(super) fn panels<'b>(&self, isa: Isa, group: usize, panels: &'b mut [f32]) -> Panels<'b, NR>
    where
        'a: 'b,
    {
        let (depth, len, out_group) = (self.shape.depth(), self.panels_len(), self.shape.out_group);
        let panels = match self.weight {
            Weights::Packed(packed) => &packed.panels[group * len..][..len],
            Weights::Plain(weight) => {
                let weight = &weight[group * out_group * depth..];
                dispatch(isa, pack_channels(&self.shape, weight, &mut panels[..len]));
                &panels[..len]
            }
        };
        Panels::new(panels, depth)
    }

    /// The weights of a group as they are.
    #[inline(always)]
    pub(super) fn weights(&self, group: usize) -> GroupWeights<'a> {
        GroupWeights::new(self.weight, &self.shape, group, self.panels_len())
    }

    /// The input and output of a group of an image.
    #[inline(always)]
    pub(super) fn image(&mut self, image: usize, group: usize) -> (Planes<'a>, &mut [f32]) {
        let Shape { groups, in_group, out_group, window, .. } = self.shape;
        let (place, len) = (image * groups + group, in_group * window.plane_len());
        let out_len = out_group * window.positions();
        let planes = Planes { input: self.input, start: place * len, len };
        (planes, &mut self.output[place * out_len..][..out_len])
    }

    fn direct(&mut self, isa: Isa) {
        let (stage, panels) = self.take_scratch();
        for group in 0..self.shape.groups {
            let weights = self.panels(isa, group, panels);
            dispatch(isa, Direct { forward: self, group, weights, stage });
        }
    }

    /// Multiplies the weights of each group by its im2col matrix, of all images together.
    fn im2col(&mut self, isa: Isa) {
        let Shape { batch, groups, in_group, out_group, window, .. } = self.shape;
        let (depth, positions) = (self.shape.depth(), window.positions());
        let (patches, blocking) = (self.shape.patches(), self.shape.forward_blocking());
        let (strip, panels) = self.take_scratch();
        for group in 0..groups {
            let (weights, epilogue) = (self.panels(isa, group, panels), self.epilogue(group));
            let input = self.input.get(group * in_group * window.plane_len()..).unwrap_or_default();
            let c = Destination {
                values: self.output.get_mut(group * out_group * positions..).unwrap_or_default(),
                row_stride: positions,
                image_columns: positions,
                image_stride: groups * out_group * positions,
            };
            let (rows, columns, a) = (out_group, batch * positions, Rows::Packed(weights));
            let product = Blocks { rows, depth, columns, blocking, a, epilogue, c };
            product.compute(isa, strip, 1, |rows, columns, block| {
                dispatch(isa, PackPatches { patches, input, rows, columns, block });
            });
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
                finish(plane, bias.unwrap_or(0.0), self.activation);
            }
        }
    }
}

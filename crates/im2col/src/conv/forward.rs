//! The forward pass: operands are checked, then the algorithm runs.

use crate::activation::Activation;
use crate::conv::algorithm::{Algorithm, forward_lines};
use crate::conv::pass::Pass;
use crate::conv::plan::ConvPlan;
use crate::conv::shape::ConvShape;
use crate::error::{RunError, ShapeError, check_len, check_packed, check_scratch};
use crate::gemm::pack::pack_rows_of_constant;
use crate::weights::{PackedArray, PackedLayout, PackedWeights, Weights};
use crate::window::Window;
use core::ops::Range;

/// What a convolution reads.
#[derive(Clone, Copy, Debug)]
pub struct ConvOperands<'a> {
    /// `[batch, in_channels, dims..]`, or in the [layout](ConvPlan::with_input_layout) or with the
    /// [strides](ConvPlan::with_input_strides) of the plan.
    pub input: &'a [f32],
    /// `[out_channels, in_channels / groups, kernel..]`; of a transposed convolution
    /// `[in_channels, out_channels / groups, kernel..]`.
    pub weight: Weights<'a>,
    /// `[out_channels]`; empty without a bias.
    pub bias: &'a [f32],
}

/// What [`ConvPlan::forward_lines`] reads.
#[derive(Clone, Copy)]
pub(crate) struct LineOperands<'a> {
    /// The planes of a group: `[in_group, height, width]`.
    pub(crate) planes: &'a [f32],
    /// The plan's window, or one for planes that hold only some lines of the input.
    pub(crate) window: &'a Window,
    /// Those of all channels.
    pub(crate) weight: &'a [f32],
    pub(crate) bias: &'a [f32],
    pub(crate) activation: Activation,
}

impl<const D: usize> ConvPlan<D> {
    pub(crate) const fn layout(&self) -> PackedLayout {
        let weight = self.shape.weight_dims();
        match self.algorithm() {
            Algorithm::Winograd => PackedLayout::Points { weight },
            _ => PackedLayout::Conv { weight },
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
        let (shape, isa, algorithm) = (&self.shape, self.isa(), self.algorithm());
        let panels = packed.chunks_exact_mut(packed.len() / shape.groups);
        for (weight, panels) in weight.chunks_exact(weight.len() / shape.groups).zip(panels) {
            algorithm.pack(isa, shape, weight, panels);
        }
        Ok(PackedWeights { panels: packed, layout: self.layout() })
    }

    /// [`pack_weights`](ConvPlan::pack_weights) for constants: `N` is [`packed_weight_len`](ConvPlan::packed_weight_len).
    ///
    /// ```
    /// use im2col::{ConvParams, ConvPlan, PackedArray, planned};
    ///
    /// const CONV: ConvPlan<2> = planned!(ConvParams::new(1, 2, [3, 3]).plan(1, [8, 8]));
    /// static PACKED: PackedArray<{ CONV.packed_weight_len() }> = planned!(CONV.packed(&[0.5; CONV.weight_len()]));
    /// ```
    ///
    /// # Errors
    ///
    /// [`ShapeError::Length`] for `weight` or the packed weights; [`ShapeError::Inapplicable`] for
    /// [`Algorithm::Winograd`], whose weights are transformed when the program runs.
    pub const fn packed<const N: usize>(&self, weight: &[f32]) -> Result<PackedArray<N>, ShapeError> {
        if let Err(error) = self.check_pack_constant() {
            return Err(error);
        }
        if let Err(error) = check_packed::<N>(self.weight_len(), weight.len(), self.packed_weight_len()) {
            return Err(error);
        }
        let mut panels = [0.0; N];
        self.pack_constant(weight, 0, &mut panels, 0);
        Ok(PackedArray { panels, layout: self.layout() })
    }

    /// Checks that the compiler can pack the weights, which it cannot for Winograd's algorithm.
    pub(crate) const fn check_pack_constant(&self) -> Result<(), ShapeError> {
        match self.algorithm() {
            Algorithm::Winograd => {
                Err(ShapeError::Inapplicable { option: "packing by the compiler", operation: "Winograd" })
            }
            _ => Ok(()),
        }
    }

    /// Packs the weights that begin at `start` into panels that begin at `place`; see [`check_pack_constant`](Self::check_pack_constant).
    pub(crate) const fn pack_constant(&self, values: &[f32], start: usize, packed: &mut [f32], place: usize) {
        let ConvShape { groups, out_group, .. } = self.shape;
        let (depth, len) = (self.shape.depth(), self.packed_weight_len() / groups);
        let mut group = 0;
        while group < groups {
            let first = start + group * out_group * depth;
            pack_rows_of_constant(values, first, [out_group, depth], packed, place + group * len);
            group += 1;
        }
    }

    /// Computes `output` `[batch, out_channels, output_dims..]`, or in the [layout](ConvPlan::with_output_layout) of the plan.
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
        let (algorithm, isa) = (self.algorithm(), self.isa());
        // Changed where it stands: a copy for each step would take much of the stack.
        let mut pass = Pass::new(&self.shape, algorithm, &self.sizes.forward);
        pass.view = self.shape.is_view.then_some(&self.view);
        (pass.input, pass.weight, pass.bias) = (input, weight, bias);
        (pass.activation, pass.output, pass.scratch) = (self.params().activation(), output, scratch);
        #[cfg(feature = "rayon")]
        if self.parts() > 1 {
            pass.run_parts(algorithm, isa, self.parts());
            return Ok(());
        }
        pass.run(algorithm, isa);
        Ok(())
    }

    /// Computes lines of output channels of one group of an image in place: `output` is `[channels, lines, width]`.
    ///
    /// `activation` replaces that of the plan. No operand may be shorter than plan and window say.
    pub(crate) fn forward_lines(
        &self,
        operands: &LineOperands<'_>,
        channels: Range<usize>,
        lines: Range<usize>,
        output: &mut [f32],
    ) {
        let LineOperands { planes, window, weight, bias, activation } = *operands;
        let shape =
            ConvShape { batch: 1, groups: 1, out_group: channels.len(), window: *window, ..self.shape };
        let weight = weight.get(channels.start * shape.depth()..).unwrap_or_default();
        let pass = Pass {
            input: planes,
            weight: Weights::Plain(weight),
            bias: bias.get(channels).unwrap_or_default(),
            activation,
            output: &mut *output,
            ..Pass::in_place(shape)
        };
        let isa = self.isa();
        forward_lines(isa, pass, lines);
        activation.complete(isa, output);
    }

    /// The planes of the group that an output channel belongs to, in an image.
    pub(crate) fn planes_of<'a>(&self, image: &'a [f32], channel: usize) -> &'a [f32] {
        let ConvShape { in_group, out_group, window, .. } = self.shape;
        image.get(channel / out_group.max(1) * in_group * window.plane_len()..).unwrap_or_default()
    }

    #[allow(clippy::unused_self, reason = "without the feature no algorithm needs plain weights")]
    fn takes_plain_weights_only(&self) -> bool {
        #[cfg(feature = "matrixmultiply")]
        return self.algorithm() == Algorithm::Matrixmultiply;
        #[cfg(not(feature = "matrixmultiply"))]
        false
    }
}

//! Transposed convolution: the forward pass is the gradient of a convolution's input.
//!
//! `y[n, o, q] = b[o] + sum over c, p, k with p * stride + k * dilation - padding = q of
//! x[n, c, p] * w[c, o, k]`
//!
//! Every input spreads the kernel over the outputs that a convolution of the same parameters would
//! have computed it from. That convolution, from the output to the input, is the *mirror*: its
//! weight is the same array, its `backward_input` is the forward pass here, its forward pass is
//! `backward_input` here. H. Noh, S. Hong, B. Han: Learning Deconvolution Network (2015).

use super::forward::ConvOperands;
use super::gradient::in_place_input;
use super::gradient::input::{StridedInput, StridedSizes, pack_group};
use super::params::ConvParams;
use crate::activation::{Activation, Finish};
use crate::conv::plan::{ConvPlan, TOO_LONG};
use crate::conv::shape::ConvShape;
use crate::error::{RunError, ShapeError, check_len, check_scratch};
use crate::padding::{Padding, PaddingMode};
use crate::simd::Isa;
use crate::sum::SumPlanes;
use crate::weights::{PackedLayout, PackedWeights, Weights};

/// A transposed convolution of one input size. Made by [`ConvParams::plan_transposed`].
///
/// Forward takes [`multiply_adds`](ConvTransposePlan::multiply_adds) multiply-adds and as many
/// additions where kernels overlap; its scratch is that of [`ConvPlan::backward_input`].
///
/// ```
/// use im2col::{ConvOperands, ConvParams, Weights};
///
/// // Two inputs, two apart, spread a kernel of three: they meet in the middle.
/// let conv = ConvParams::new(1, 1, [3]).with_stride([2]);
/// let plan = conv.plan_transposed(1, [2])?;
/// assert_eq!(plan.output_dims(), [5]);
///
/// let weight = Weights::Plain(&[1., 2., 3.]);
/// let mut output = [0.0; 5];
/// let mut scratch = vec![0.0; plan.scratch_len()];
/// plan.forward(ConvOperands { input: &[1., 10.], weight, bias: &[0.5] }, &mut output, &mut scratch)?;
/// assert_eq!(output, [1.5, 2.5, 13.5, 20.5, 30.5]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvTransposePlan<const D: usize> {
    params: ConvParams<D>,
    /// The convolution from the output to the input.
    mirror: ConvPlan<D>,
    sizes: StridedSizes,
    /// Whether the forward pass does without scratch, because of a limit.
    is_in_place: bool,
}

impl<const D: usize> ConvParams<D> {
    /// Plans the *transposed* convolution of `batch` images of `input` values per channel: its forward pass is the gradient of
    /// the input of a convolution with the same parameters. Where that makes planes smaller, this makes them larger.
    ///
    /// The weight is `[in_channels, out_channels / groups, kernel..]`. Padding is *taken away* from
    /// the output; [output padding](Self::with_output_padding) is added to its end.
    ///
    /// # Errors
    ///
    /// As [`plan`](Self::plan), and: [`ShapeError::OutputPadding`] unless it is smaller than the
    /// stride or the dilation; [`ShapeError::PaddingExceedsOutput`] if nothing is left;
    /// [`ShapeError::Inapplicable`] for padding that is not given per side, or not of zeros.
    pub const fn plan_transposed(
        self,
        batch: usize,
        input: [usize; D],
    ) -> Result<ConvTransposePlan<D>, ShapeError> {
        ConvTransposePlan::new(self, batch, input)
    }
}

impl<const D: usize> ConvTransposePlan<D> {
    pub(super) const fn new(
        params: ConvParams<D>,
        batch: usize,
        input: [usize; D],
    ) -> Result<Self, ShapeError> {
        let operation = "transposed convolution";
        let Padding::PerSide(padding) = params.padding else {
            return Err(ShapeError::Inapplicable { option: "a padding rule", operation });
        };
        if !matches!(params.padding_mode, PaddingMode::Zeros) {
            return Err(ShapeError::Inapplicable { option: "a padding mode", operation });
        }
        // In the mirror they have each other's names.
        if let Err(error) = params.check_channels() {
            return Err(error);
        }
        let output = match params.transposed_output(padding, input) {
            Ok(output) => output,
            Err(error) => return Err(error),
        };
        let mirror = ConvParams {
            in_channels: params.out_channels,
            out_channels: params.in_channels,
            output_padding: [0; D],
            bias: false,
            activation: Activation::Identity,
            ..params
        };
        // Where the output padding is a stride or more, the convolution would have more positions
        // than the input has: they see nothing that the input could have spread to.
        let mirror = match ConvPlan::with_output(mirror, batch, output, Some(input)) {
            Ok(mirror) => mirror,
            Err(error) => return Err(error),
        };
        let Some(sizes) = StridedSizes::new(&mirror.shape) else { return Err(TOO_LONG) };
        Ok(Self { params, mirror, sizes, is_in_place: false })
    }

    /// Runs under this instruction set; otherwise under the fastest that the CPU has.
    #[must_use]
    pub const fn with_isa(mut self, isa: Isa) -> Self {
        self.mirror = self.mirror.with_isa(isa);
        self
    }

    /// The same transposed convolution with at most `len` values of scratch for [`ConvTransposePlan::forward`]: in
    /// place, which needs none and takes several times as long, if it does not fit otherwise.
    ///
    /// For finite operands the result stays the same, bit for bit but for the sign of a zero. The gradients have
    /// [a limit of their own](ConvTransposePlan::with_backward_scratch_limit).
    ///
    /// ```
    /// use im2col::ConvParams;
    ///
    /// let plan = ConvParams::new(8, 4, [4, 4]).with_stride([2, 2]).with_padding([1, 1]).plan_transposed(1, [16, 16])?;
    /// let len = plan.scratch_len();
    /// assert_eq!(plan.with_scratch_limit(len).scratch_len(), len);
    /// assert_eq!(plan.with_scratch_limit(len - 1).scratch_len(), 0);
    /// # Ok::<(), im2col::ShapeError>(())
    /// ```
    #[must_use]
    pub const fn with_scratch_limit(mut self, len: usize) -> Self {
        self.is_in_place = self.sizes.plain > len;
        self
    }

    /// The same transposed convolution with at most `len` values of scratch for
    /// [`ConvTransposePlan::backward_input`] and [`ConvTransposePlan::backward_weight`]: in smaller blocks, if that
    /// fits; otherwise in place, which needs none.
    ///
    /// For finite operands the gradients stay the same, bit for bit but for the sign of a zero.
    #[must_use]
    pub const fn with_backward_scratch_limit(mut self, len: usize) -> Self {
        self.mirror = self.mirror.with_scratch_limit(len);
        let ConvPlan { shape, sizes, backward, .. } = &self.mirror;
        self.mirror.backward = backward.with_weight_limit(shape, sizes, len);
        self
    }

    /// What was planned.
    #[must_use]
    pub const fn params(&self) -> ConvParams<D> {
        self.params
    }

    /// The convolution whose gradient this is, from the output to the input.
    pub(crate) const fn mirror(&self) -> &ConvPlan<D> {
        &self.mirror
    }

    /// How many images.
    #[must_use]
    pub const fn batch(&self) -> usize {
        self.mirror.batch()
    }

    /// The size of an input plane.
    #[must_use]
    pub const fn input_dims(&self) -> [usize; D] {
        self.mirror.output_dims()
    }

    /// The size of an output plane:
    /// `(input - 1) stride + dilation (kernel - 1) + output_padding + 1 - padding`.
    #[must_use]
    pub const fn output_dims(&self) -> [usize; D] {
        self.mirror.input_dims()
    }

    /// Length of the input, `[batch, in_channels, dims..]`.
    #[must_use]
    pub const fn input_len(&self) -> usize {
        self.mirror.output_len()
    }

    /// Length of the weight, `[in_channels, out_channels / groups, kernel..]`.
    #[must_use]
    pub const fn weight_len(&self) -> usize {
        self.mirror.weight_len()
    }

    /// Length of the bias: `out_channels`, or 0 without one.
    #[must_use]
    pub const fn bias_len(&self) -> usize {
        if self.params.bias { self.params.out_channels } else { 0 }
    }

    /// Length of the output, `[batch, out_channels, output_dims..]`.
    #[must_use]
    pub const fn output_len(&self) -> usize {
        self.mirror.input_len()
    }

    /// Length of [packed weights](ConvTransposePlan::pack_weights).
    #[must_use]
    pub const fn packed_weight_len(&self) -> usize {
        self.sizes.weight
    }

    /// Multiply-adds of the forward pass: `input_len * out_channels / groups * taps`, at most
    /// `usize::MAX`.
    #[must_use]
    pub const fn multiply_adds(&self) -> usize {
        self.mirror.multiply_adds()
    }

    /// Least scratch of [`ConvTransposePlan::forward`].
    #[must_use]
    pub const fn scratch_len(&self) -> usize {
        if self.is_in_place { 0 } else { self.sizes.plain }
    }

    /// Least scratch of [`ConvTransposePlan::forward`] with packed weights.
    #[must_use]
    pub const fn packed_scratch_len(&self) -> usize {
        if self.is_in_place { 0 } else { self.sizes.packed }
    }

    /// Least scratch of [`ConvTransposePlan::backward_input`].
    #[must_use]
    pub const fn backward_input_scratch_len(&self) -> usize {
        self.mirror.scratch_len()
    }

    /// Least scratch of [`ConvTransposePlan::backward_weight`].
    #[must_use]
    pub const fn backward_weight_scratch_len(&self) -> usize {
        self.mirror.backward_weight_scratch_len()
    }

    /// Packs the weights into `packed`, for [`Weights::Packed`].
    ///
    /// # Errors
    ///
    /// If `weight` is not of [`ConvTransposePlan::weight_len`] or `packed` not of
    /// [`ConvTransposePlan::packed_weight_len`].
    pub fn pack_weights<'a>(
        &self,
        weight: &[f32],
        packed: &'a mut [f32],
    ) -> Result<PackedWeights<'a>, RunError> {
        check_len("weight", self.weight_len(), weight.len())?;
        check_len("packed", self.packed_weight_len(), packed.len())?;
        let ConvShape { groups, .. } = self.mirror.shape;
        let panels = packed.chunks_exact_mut(packed.len() / groups);
        for (weight, panels) in weight.chunks_exact(weight.len() / groups).zip(panels) {
            pack_group(self.mirror.isa(), &self.mirror.shape, weight, panels);
        }
        Ok(PackedWeights { panels: packed, layout: layout(&self.mirror.shape) })
    }

    /// Computes `output` `[batch, out_channels, output_dims..]` from an input
    /// `[batch, in_channels, dims..]` and a weight `[in_channels, out_channels / groups, kernel..]`.
    ///
    /// An output is a sum of at most `K = in_channels / groups * taps` products, in a fixed order,
    /// then the bias, then the activation; the bound is that of [`ConvPlan::forward`].
    ///
    /// # Errors
    ///
    /// If an operand's length is not the plan's, the scratch is shorter than
    /// [`ConvTransposePlan::scratch_len`], or the weights were packed for other sizes.
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
                if packed.layout != layout(&self.mirror.shape) {
                    let required = self.packed_weight_len();
                    return Err(RunError::PackedWeights { required, given: packed.panels.len() });
                }
                check_scratch(self.packed_scratch_len(), scratch.len())?;
            }
        }
        let (shape, isa) = (self.mirror.shape, self.mirror.isa());
        if self.is_in_place {
            in_place_input::spread(isa, &shape, weight, input, output);
        } else {
            StridedInput { shape, weight, grad_output: input, grad_input: output, scratch }.compute(isa);
        }
        let activation = self.params.activation;
        let plane_len = shape.window.plane_len();
        Finish { plane_len, columns: 0..plane_len, bias, activation, output }.compute(isa);
        Ok(())
    }

    /// Computes the gradient of the input, `[batch, in_channels, dims..]`: a convolution of
    /// `grad_output`, `[batch, out_channels, output_dims..]`, the gradient before the activation.
    ///
    /// `K` of the error bound is `out_channels / groups * taps`.
    ///
    /// # Errors
    ///
    /// If an operand's length is not the plan's, or the scratch is shorter than
    /// [`ConvTransposePlan::backward_input_scratch_len`].
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
        let operands = ConvOperands { input: grad_output, weight: Weights::Plain(weight), bias: &[] };
        self.mirror.forward(operands, grad_input, scratch)
    }

    /// Computes the gradient of the weight, `[in_channels, out_channels / groups, kernel..]`.
    ///
    /// The order and the bound of the sums are those of [`ConvPlan::backward_weight`], whose positions are here those
    /// of the input. `grad_output` is the gradient before the activation.
    ///
    /// # Errors
    ///
    /// If an operand's length is not the plan's, or the scratch is shorter than
    /// [`ConvTransposePlan::backward_weight_scratch_len`].
    pub fn backward_weight(
        &self,
        input: &[f32],
        grad_output: &[f32],
        grad_weight: &mut [f32],
        scratch: &mut [f32],
    ) -> Result<(), RunError> {
        check_len("input", self.input_len(), input.len())?;
        check_len("grad_output", self.output_len(), grad_output.len())?;
        self.mirror.backward_weight(grad_output, input, grad_weight, scratch)
    }

    /// Computes the gradient of the bias, `[out_channels]`: the sum of each output channel.
    ///
    /// The order and the bound of the sums are those of [`ConvPlan::backward_bias`], with the positions of the output.
    ///
    /// # Errors
    ///
    /// If `grad_output` is not of [`ConvTransposePlan::output_len`] or `grad_bias` not of
    /// [`ConvTransposePlan::bias_len`].
    pub fn backward_bias(&self, grad_output: &[f32], grad_bias: &mut [f32]) -> Result<(), RunError> {
        check_len("grad_output", self.output_len(), grad_output.len())?;
        check_len("grad_bias", self.bias_len(), grad_bias.len())?;
        let plane_len = self.mirror.shape.window.plane_len();
        SumPlanes { values: grad_output, plane_len, sums: grad_bias }.compute(self.mirror.isa());
        Ok(())
    }
}

pub(super) const fn layout(mirror: &ConvShape) -> PackedLayout {
    PackedLayout::ConvTranspose { weight: mirror.weight_dims() }
}

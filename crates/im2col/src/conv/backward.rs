//! The gradients.
//!
//! With `X` the im2col matrix of an image, `W` the weight as a matrix and `G` the gradient of the
//! output, the forward pass is `W X`, and
//!
//! - `grad_input = col2im(W^T G)`,
//! - `grad_weight = sum over images of G X^T`,
//! - `grad_bias = sum over images and positions of G`.
//!
//! Where a convolution computes the gradient, no matrix is made: `gradient/input.rs`, `gradient/weight.rs`.

use crate::conv::gradient::depthwise::{self, DepthwiseWeight};
use crate::conv::gradient::input::{self, StridedInput};
use crate::conv::gradient::weight::backward_weight;
use crate::conv::gradient::{in_place_input, in_place_weight};
use crate::conv::plan::ConvPlan;
use crate::error::{RunError, check_len, check_scratch};
use crate::sum::SumPlanes;
use crate::weights::Weights;

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
    /// ends of `grad_output`. With [`Rounding::Any`](crate::Rounding::Any) the bound may be that of
    /// [`Algorithm::Winograd`](crate::Algorithm::Winograd), with `out_channels / groups` as `C` and the gradient as `x`.
    ///
    /// # Errors
    ///
    /// If an operand's length is not the plan's, or the scratch is shorter than
    /// [`ConvPlan::backward_input_scratch_len`]; [`RunError::Layout`] with channels last or strides.
    pub fn backward_input(
        &self,
        weight: &[f32],
        grad_output: &[f32],
        grad_input: &mut [f32],
        scratch: &mut [f32],
    ) -> Result<(), RunError> {
        self.check_channels_first("backward_input")?;
        check_len("weight", self.weight_len(), weight.len())?;
        check_len("grad_output", self.output_len(), grad_output.len())?;
        check_len("grad_input", self.input_len(), grad_input.len())?;
        check_scratch(self.backward_input_scratch_len(), scratch.len())?;
        let (isa, shape, plain) = (self.isa(), self.shape, Weights::Plain(weight));
        match (input::mirror(&shape), self.backward.input.most()) {
            (Some(mirror), Some(most)) => {
                let algorithm = self.backward.input_algorithm;
                input::backward_input(isa, mirror, algorithm, most, weight, grad_output, grad_input, scratch);
            }
            (_, None) => self.backward_input_in_place(weight, grad_output, grad_input),
            (None, Some(_)) => {
                StridedInput { shape, weight: plain, grad_output, grad_input, scratch }.compute(isa);
            }
        }
        Ok(())
    }

    /// [`backward_input`](Self::backward_input) in place. No operand may be shorter than the plan says.
    pub(crate) fn backward_input_in_place(
        &self,
        weight: &[f32],
        grad_output: &[f32],
        grad_input: &mut [f32],
    ) {
        let (isa, shape) = (self.isa(), &self.shape);
        match input::mirror(shape) {
            Some(mirror) => in_place_input::mirrored(isa, &mirror, weight, grad_output, grad_input),
            None => in_place_input::spread(isa, shape, Weights::Plain(weight), grad_output, grad_input),
        }
    }

    /// [`backward_weight`](Self::backward_weight) in place. No operand may be shorter than the plan says.
    pub(crate) fn backward_weight_in_place(
        &self,
        input: &[f32],
        grad_output: &[f32],
        grad_weight: &mut [f32],
    ) {
        in_place_weight::weight(self.isa(), &self.shape, input, grad_output, grad_weight);
    }

    /// Computes the gradient of the weight, `[out_channels, in_channels / groups, kernel..]`.
    ///
    /// Each value is a sum of `n = batch * positions` products, in chains of at most 2048: over several whole images or, where an
    /// image has more positions, over a part of it. At most 64 chains are added in order, then at most 64 of their sums, and so on.
    /// With one input channel and fewer than six outputs per group, several taps, and padding that makes planes at most four times
    /// as long, a chain covers at most 1024 vectors of positions of an image: each of its 16 lanes is summed in order, then the
    /// lanes by pairs. `K` of the error bound is `min(n, 2048 + 64 l)` with the least `l` for which `512 * 64^l >= n`.
    /// `grad_output` is as in [`ConvPlan::backward_input`].
    ///
    /// # Errors
    ///
    /// If an operand's length is not the plan's, or the scratch is shorter than
    /// [`ConvPlan::backward_weight_scratch_len`]; [`RunError::Layout`] with channels last or strides.
    pub fn backward_weight(
        &self,
        input: &[f32],
        grad_output: &[f32],
        grad_weight: &mut [f32],
        scratch: &mut [f32],
    ) -> Result<(), RunError> {
        self.check_channels_first("backward_weight")?;
        check_len("input", self.input_len(), input.len())?;
        check_len("grad_output", self.output_len(), grad_output.len())?;
        check_len("grad_weight", self.weight_len(), grad_weight.len())?;
        check_scratch(self.backward_weight_scratch_len(), scratch.len())?;
        let (isa, shape) = (self.isa(), &self.shape);
        match self.backward.weight.most() {
            Some(_) if depthwise::stage_len(shape).is_some() => {
                DepthwiseWeight { shape, input, grad_output, grad_weight, scratch }.compute(isa);
            }
            Some(most) => backward_weight(isa, shape, most, input, grad_output, grad_weight, scratch),
            None => self.backward_weight_in_place(input, grad_output, grad_weight),
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
    /// [`ConvPlan::bias_len`]; [`RunError::Layout`] with channels last or strides.
    pub fn backward_bias(&self, grad_output: &[f32], grad_bias: &mut [f32]) -> Result<(), RunError> {
        self.check_channels_first("backward_bias")?;
        check_len("grad_output", self.output_len(), grad_output.len())?;
        check_len("grad_bias", self.bias_len(), grad_bias.len())?;
        let plane_len = self.shape.window.positions();
        SumPlanes { values: grad_output, plane_len, sums: grad_bias }.compute(self.isa());
        Ok(())
    }

    /// Checks that input and output are whole planes with channels first, as the operation takes them.
    pub(super) const fn check_channels_first(&self, operation: &'static str) -> Result<(), RunError> {
        if self.shape.is_planar() { Ok(()) } else { Err(RunError::Layout { operation }) }
    }

    /// The same convolution with at most `len` values of scratch for [`ConvPlan::backward_input`] and
    /// [`ConvPlan::backward_weight`]: in smaller blocks, if that fits; otherwise in place, which needs none. Without
    /// scratch a gradient takes several times as long.
    ///
    /// For finite operands the gradients stay the same, bit for bit but for the sign of a zero, unless
    /// [`Rounding::Any`](crate::Rounding::Any) had led to another order. The forward pass has
    /// [a limit of its own](ConvPlan::with_scratch_limit).
    ///
    /// ```
    /// use im2col::ConvParams;
    ///
    /// let plan = ConvParams::new(64, 64, [3, 3]).with_padding([1, 1]).plan(1, [56, 56])?;
    /// let lengths = |limit| {
    ///     let plan = plan.with_backward_scratch_limit(limit);
    ///     [plan.backward_input_scratch_len(), plan.backward_weight_scratch_len()]
    /// };
    /// assert!(lengths(60_000).iter().all(|len| *len <= 60_000));
    /// assert_eq!(lengths(0), [0, 0]);
    /// # Ok::<(), im2col::ShapeError>(())
    /// ```
    #[must_use]
    pub const fn with_backward_scratch_limit(mut self, len: usize) -> Self {
        self.set_backward_scratch_limit(len);
        self
    }

    /// [`with_backward_scratch_limit`](Self::with_backward_scratch_limit), without a copy of the plan.
    pub(super) const fn set_backward_scratch_limit(&mut self, len: usize) {
        let Self { shape, sizes, backward, rounding, .. } = self;
        self.backward =
            backward.with_input_limit(shape, sizes, *rounding, len).with_weight_limit(shape, sizes, len);
    }
}

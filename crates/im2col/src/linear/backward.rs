//! The gradients of fully connected layers: products of matrices, as the forward pass is.

use super::{CHAIN, LinearParams, LinearPlan};
use crate::epilogue::Epilogue;
use crate::error::{RunError, check_len, check_scratch};
use crate::gemm::pack::Matrix;
use crate::gemm::product::{Product, ProductInPlace, Right};
use crate::simd::dispatch;
use crate::sum::{Add, Cascade, SumColumns};

impl LinearPlan {
    /// Computes the gradient of the input, `[batch, inputs]`: `grad_output weight`.
    ///
    /// `grad_output`, `[batch, outputs]`, is the gradient of the sums: a fused activation is the
    /// caller's to differentiate first. `K` of the error bound is `outputs`.
    ///
    /// # Errors
    ///
    /// If an operand's length is not the plan's, or the scratch is shorter than
    /// [`LinearPlan::backward_input_scratch_len`].
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
        let [_, is_in_place, _] = self.is_in_place;
        if is_in_place {
            self.backward_input_in_place(weight, grad_output, grad_input);
        } else {
            self.product_of_inputs(weight, grad_output, grad_input, scratch).compute(self.isa());
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
        let product = self.product_of_inputs(weight, grad_output, grad_input, &mut []);
        dispatch(self.isa(), ProductInPlace { product, chain: usize::MAX });
    }

    /// `grad_output weight`.
    fn product_of_inputs<'a>(
        &self,
        weight: &'a [f32],
        grad_output: &'a [f32],
        grad_input: &'a mut [f32],
        scratch: &'a mut [f32],
    ) -> Product<'a> {
        let LinearParams { inputs, outputs, .. } = self.params;
        let a = Matrix::row_major(grad_output, outputs);
        let b = Right::Plain(Matrix::row_major(weight, inputs));
        let (rows, depth, columns, epilogue) = (self.batch, outputs, inputs, Epilogue::NONE);
        Product { rows, depth, columns, a, b, epilogue, c: grad_input, scratch }
    }

    /// Computes the gradient of the weight, `[outputs, inputs]`: `grad_output^T input`.
    ///
    /// Each value is a chain of sums in ascending order of the batch, or of a larger batch a chain for every 2048
    /// inputs. At most 64 chains are added in order, of their sums again at most 64, and so on. `K` of the error bound
    /// is `min(batch, 2048 + 64 l)` with the least `l` for which `512 * 64^l >= batch`.
    ///
    /// # Errors
    ///
    /// If an operand's length is not the plan's, or the scratch is shorter than
    /// [`LinearPlan::backward_weight_scratch_len`].
    pub fn backward_weight(
        &self,
        input: &[f32],
        grad_output: &[f32],
        grad_weight: &mut [f32],
        scratch: &mut [f32],
    ) -> Result<(), RunError> {
        let LinearParams { inputs, outputs, .. } = self.params;
        check_len("input", self.input_len(), input.len())?;
        check_len("grad_output", self.output_len(), grad_output.len())?;
        check_len("grad_weight", self.weight_len(), grad_weight.len())?;
        check_scratch(self.backward_weight_scratch_len(), scratch.len())?;
        if self.batch == 0 {
            grad_weight.fill(0.0);
            return Ok(());
        }
        let [.., is_in_place] = self.is_in_place;
        if is_in_place {
            self.backward_weight_in_place(input, grad_output, grad_weight);
            return Ok(());
        }
        if self.batch <= CHAIN {
            self.product_of_weights(input, grad_output, grad_weight, scratch).compute(self.isa());
            return Ok(());
        }
        let (len, chains) = (self.weight_len(), self.batch.div_ceil(CHAIN));
        let (sums, rest) = scratch.split_at_mut(len);
        let (levels, scratch) = rest.split_at_mut(Cascade::levels(chains) * len);
        let mut all = Cascade::new(grad_weight, levels, chains);
        for (input, grad_output) in input.chunks(CHAIN * inputs).zip(grad_output.chunks(CHAIN * outputs)) {
            self.product_of_weights(input, grad_output, sums, scratch).compute(self.isa());
            dispatch(self.isa(), Add { values: sums, sums: all.lowest() });
            all.carry();
        }
        all.finish();
        Ok(())
    }

    /// [`backward_weight`](Self::backward_weight) in place. No operand may be shorter than the plan says.
    pub(crate) fn backward_weight_in_place(
        &self,
        input: &[f32],
        grad_output: &[f32],
        grad_weight: &mut [f32],
    ) {
        let product = self.product_of_weights(input, grad_output, grad_weight, &mut []);
        dispatch(self.isa(), ProductInPlace { product, chain: CHAIN });
    }

    /// The gradients that some inputs of the batch contribute: `grad_output^T input`.
    fn product_of_weights<'a>(
        &self,
        input: &'a [f32],
        grad_output: &'a [f32],
        sums: &'a mut [f32],
        scratch: &'a mut [f32],
    ) -> Product<'a> {
        let LinearParams { inputs, outputs, .. } = self.params;
        let a = Matrix::row_major(grad_output, outputs).transposed();
        let b = Right::Plain(Matrix::row_major(input, inputs));
        let (rows, depth, columns) = (outputs, input.len() / inputs.max(1), inputs);
        Product { rows, depth, columns, a, b, epilogue: Epilogue::NONE, c: sums, scratch }
    }

    /// Computes the gradient of the bias, `[outputs]`: the sum of `grad_output` over the batch.
    ///
    /// Values are added in chains of at most 16, and the chains by pairs: each sum differs from the exact one by at
    /// most `gamma(min(batch, 16 + log2(batch))) sum |grad_output|`.
    ///
    /// # Errors
    ///
    /// If `grad_output` is not of [`LinearPlan::output_len`] or `grad_bias` not of
    /// [`LinearPlan::bias_len`].
    pub fn backward_bias(&self, grad_output: &[f32], grad_bias: &mut [f32]) -> Result<(), RunError> {
        check_len("grad_output", self.output_len(), grad_output.len())?;
        check_len("grad_bias", self.bias_len(), grad_bias.len())?;
        dispatch(self.isa(), SumColumns { values: grad_output, sums: grad_bias });
        Ok(())
    }
}

//! Fully connected layers: `y[n, o] = b[o] + sum over i of x[n, i] * w[o, i]`.

mod backward;
mod dot_products;
mod limit;
mod params;

pub use params::LinearParams;

use crate::activation::Activation;
use crate::epilogue::{Bias, Epilogue};
use crate::error::{RunError, ShapeError, check_len, check_packed, check_scratch};
use crate::gemm::pack::{Matrix, PackRows, pack_rows_of_constant, panels_len};
use crate::gemm::product::{Product, ProductInPlace, Right};
use crate::simd::{IS_SMALL, Isa, NR, dispatch};
use crate::sum::Cascade;
use crate::weights::{PackedArray, PackedLayout, PackedWeights, Weights};
use crate::window::{checked, checked_product, checked_sum};
use dot_products::DotProducts;

impl LinearParams {
    /// Plans the layer for `batch` inputs.
    ///
    /// # Errors
    ///
    /// If there are no inputs or no outputs, or a size does not fit in `usize`.
    pub const fn plan(self, batch: usize) -> Result<LinearPlan, ShapeError> {
        let Self { inputs, outputs, .. } = self;
        if inputs == 0 {
            return Err(ShapeError::Zero { what: "inputs" });
        }
        if outputs == 0 {
            return Err(ShapeError::Zero { what: "outputs" });
        }
        match LinearPlan::new(self, batch) {
            Some(plan) => Ok(plan),
            None => Err(ShapeError::Overflow { what: "an operand or scratch" }),
        }
    }
}

/// A fully connected layer of one batch size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinearPlan {
    params: LinearParams,
    batch: usize,
    isa: Option<Isa>,
    /// Whether forward pass, gradient of the input and gradient of the weight run without their scratch.
    is_in_place: [bool; 3],
    forward: usize,
    backward_input: usize,
    backward_weight: usize,
}

/// What a fully connected layer reads.
#[derive(Clone, Copy, Debug)]
pub struct LinearOperands<'a> {
    /// `[batch, inputs]`
    pub input: &'a [f32],
    /// `[outputs, inputs]`
    pub weight: Weights<'a>,
    /// `[outputs]`; empty without a bias.
    pub bias: &'a [f32],
}

/// The most values of a weight that is packed for a single input: as many as L2 may hold, and none on small targets.
const PACKED_FOR_ONE: usize = if IS_SMALL { 0 } else { 1 << 17 };

/// The most inputs of the batch whose products are summed in one chain.
const CHAIN: usize = 2048;

/// Whether the forward pass is faster as dot products with the rows of the weight, which need no scratch.
const fn is_dot_products(batch: usize, inputs: usize, outputs: usize) -> bool {
    batch <= 1 && inputs.saturating_mul(outputs) > PACKED_FOR_ONE
}

/// The scratch of [`LinearPlan::backward_weight`]: of a product, and the sums of a chain and of many chains.
const fn backward_weight_scratch_len(batch: usize, inputs: usize, outputs: usize) -> Option<usize> {
    // A batch of 0 makes the gradient 0 without a product.
    let depth = if batch == 0 { 1 } else { batch };
    if depth <= CHAIN {
        return Product::scratch_len(outputs, depth, inputs);
    }
    let Some(product) = Product::scratch_len(outputs, CHAIN, inputs) else { return None };
    // Shorter chains are cut into other blocks.
    let last = match depth % CHAIN {
        0 => Some(0),
        rest => Product::scratch_len(outputs, rest, inputs),
    };
    let Some(last) = last else { return None };
    let arrays = Cascade::levels(batch.div_ceil(CHAIN)) + 1;
    let Some(sums) = checked_product([arrays, outputs, inputs]) else { return None };
    checked_sum([if last > product { last } else { product }, sums])
}

impl LinearPlan {
    const fn new(params: LinearParams, batch: usize) -> Option<Self> {
        let LinearParams { inputs, outputs, .. } = params;
        // Whole panels, of either matrix, must fit as well.
        let widest = checked!(checked_sum([batch, inputs, outputs, NR]));
        checked!(checked_product([4, 2 * NR, widest]));
        checked!(checked_product([4, checked!(outputs.checked_next_multiple_of(NR)), inputs]));
        checked!(checked_product([4, batch, checked!(checked_sum([inputs, outputs]))]));
        Some(Self {
            params,
            batch,
            isa: None,
            is_in_place: [is_dot_products(batch, inputs, outputs), false, false],
            forward: checked!(Product::scratch_len(batch, inputs, outputs)),
            backward_input: checked!(Product::scratch_len(batch, outputs, inputs)),
            backward_weight: checked!(backward_weight_scratch_len(batch, inputs, outputs)),
        })
    }

    /// Runs under this instruction set; otherwise under the fastest that the CPU has.
    #[must_use]
    pub const fn with_isa(mut self, isa: Isa) -> Self {
        self.isa = Some(isa);
        self
    }

    /// Sets the fused activation, on which no length depends.
    pub(crate) const fn set_activation(&mut self, activation: Activation) {
        self.params.activation = activation;
    }

    /// Keeps the first `batch` inputs, at most as many as planned.
    pub(crate) const fn set_fewer_images(&mut self, batch: usize) {
        self.batch = batch;
        self.is_in_place[0] |= is_dot_products(batch, self.params.inputs, self.params.outputs);
        if let Some(len) = Product::scratch_len(batch, self.params.inputs, self.params.outputs) {
            self.forward = len;
        }
    }

    fn isa(&self) -> Isa {
        self.isa.unwrap_or_else(Isa::detect)
    }

    /// What was planned.
    #[must_use]
    pub const fn params(&self) -> LinearParams {
        self.params
    }

    /// How many inputs.
    #[must_use]
    pub const fn batch(&self) -> usize {
        self.batch
    }

    /// Length of the input, `[batch, inputs]`.
    #[must_use]
    pub const fn input_len(&self) -> usize {
        self.batch * self.params.inputs
    }

    /// Length of the weight, `[outputs, inputs]`.
    #[must_use]
    pub const fn weight_len(&self) -> usize {
        self.params.outputs * self.params.inputs
    }

    /// Length of the bias: `outputs`, or 0 without one.
    #[must_use]
    pub const fn bias_len(&self) -> usize {
        if self.params.bias { self.params.outputs } else { 0 }
    }

    /// Length of the output, `[batch, outputs]`.
    #[must_use]
    pub const fn output_len(&self) -> usize {
        self.batch * self.params.outputs
    }

    /// Length of [packed weights](LinearPlan::pack_weights).
    #[must_use]
    pub const fn packed_weight_len(&self) -> usize {
        panels_len::<NR>(self.params.inputs, self.params.outputs)
    }

    /// Multiply-adds of the forward pass: `batch * inputs * outputs`, or `usize::MAX` if that does not fit.
    #[must_use]
    pub const fn multiply_adds(&self) -> usize {
        self.batch.saturating_mul(self.weight_len())
    }

    /// Least scratch of [`LinearPlan::forward`].
    #[must_use]
    pub const fn scratch_len(&self) -> usize {
        let [is_in_place, ..] = self.is_in_place;
        if is_in_place { 0 } else { self.forward }
    }

    /// Least scratch of [`LinearPlan::backward_input`].
    #[must_use]
    pub const fn backward_input_scratch_len(&self) -> usize {
        let [_, is_in_place, _] = self.is_in_place;
        if is_in_place { 0 } else { self.backward_input }
    }

    /// Least scratch of [`LinearPlan::backward_weight`].
    #[must_use]
    pub const fn backward_weight_scratch_len(&self) -> usize {
        let [.., is_in_place] = self.is_in_place;
        if is_in_place { 0 } else { self.backward_weight }
    }

    pub(crate) const fn layout(&self) -> PackedLayout {
        PackedLayout::Linear { inputs: self.params.inputs, outputs: self.params.outputs }
    }

    /// The weight as the right-hand matrix of the forward pass, `[inputs, outputs]`.
    fn right<'a>(&self, weight: &'a [f32]) -> Matrix<'a> {
        Matrix::row_major(weight, self.params.inputs).transposed()
    }

    /// Packs the weights into `packed`, for [`Weights::Packed`].
    ///
    /// # Errors
    ///
    /// If `weight` is not of [`LinearPlan::weight_len`] or `packed` not of
    /// [`LinearPlan::packed_weight_len`].
    pub fn pack_weights<'a>(
        &self,
        weight: &[f32],
        packed: &'a mut [f32],
    ) -> Result<PackedWeights<'a>, RunError> {
        check_len("weight", self.weight_len(), weight.len())?;
        check_len("packed", self.packed_weight_len(), packed.len())?;
        let (depth, rows) = (self.params.inputs, self.params.outputs);
        dispatch(self.isa(), PackRows { values: weight, row_stride: depth, rows, depth, panels: packed });
        Ok(PackedWeights { panels: packed, layout: self.layout() })
    }

    /// [`pack_weights`](LinearPlan::pack_weights) for constants: `N` is [`packed_weight_len`](LinearPlan::packed_weight_len).
    /// [`PackedArray`] has an example.
    ///
    /// # Errors
    ///
    /// [`ShapeError::Length`] for `weight` or the packed weights.
    pub const fn packed<const N: usize>(&self, weight: &[f32]) -> Result<PackedArray<N>, ShapeError> {
        if let Err(error) = check_packed::<N>(self.weight_len(), weight.len(), self.packed_weight_len()) {
            return Err(error);
        }
        let mut panels = [0.0; N];
        self.pack_constant(weight, 0, &mut panels, 0);
        Ok(PackedArray { panels, layout: self.layout() })
    }

    /// Packs the weights that begin at `start` into panels that begin at `place`.
    pub(crate) const fn pack_constant(&self, values: &[f32], start: usize, packed: &mut [f32], place: usize) {
        pack_rows_of_constant(values, start, [self.params.outputs, self.params.inputs], packed, place);
    }

    /// Computes `output` `[batch, outputs]`.
    ///
    /// Each output is one chain of sums in ascending order of the inputs, then the bias, then the
    /// activation; see [`ConvPlan::forward`](crate::ConvPlan::forward) for the bound of its error,
    /// here with `K = inputs`.
    ///
    /// # Errors
    ///
    /// If an operand's length is not the plan's, the scratch is shorter than
    /// [`LinearPlan::scratch_len`], or the weights were packed for other sizes.
    pub fn forward(
        &self,
        operands: LinearOperands<'_>,
        output: &mut [f32],
        scratch: &mut [f32],
    ) -> Result<(), RunError> {
        let LinearOperands { input, weight, bias } = operands;
        let LinearParams { inputs, outputs, activation, .. } = self.params;
        check_len("input", self.input_len(), input.len())?;
        check_len("bias", self.bias_len(), bias.len())?;
        check_len("output", self.output_len(), output.len())?;
        check_scratch(self.scratch_len(), scratch.len())?;
        let [is_in_place, ..] = self.is_in_place;
        let b = match weight {
            Weights::Plain(weight) => {
                check_len("weight", self.weight_len(), weight.len())?;
                if is_in_place {
                    self.forward_in_place(activation, weight, bias, input, output);
                    return Ok(());
                }
                Right::Plain(self.right(weight))
            }
            Weights::Packed(packed) if packed.layout == self.layout() => Right::Packed(packed.panels),
            Weights::Packed(packed) => {
                let (required, given) = (self.packed_weight_len(), packed.panels.len());
                return Err(RunError::PackedWeights { required, given });
            }
        };
        let bias = if bias.is_empty() { Bias::None } else { Bias::PerColumn(bias) };
        let epilogue = Epilogue::new(bias, activation);
        let a = Matrix::row_major(input, inputs);
        let product = Product {
            rows: self.batch,
            depth: inputs,
            columns: outputs,
            a,
            b,
            epilogue,
            c: &mut *output,
            scratch,
        };
        // A single row is read where it lies in any case.
        if is_in_place && self.batch > 1 {
            dispatch(self.isa(), ProductInPlace { product, chain: usize::MAX });
        } else {
            product.compute(self.isa());
        }
        activation.complete(self.isa(), output);
        Ok(())
    }

    /// Computes `output` `[batch, outputs]` without scratch, with another activation. No operand may be shorter than the plan
    /// says.
    pub(crate) fn forward_in_place(
        &self,
        activation: Activation,
        weight: &[f32],
        bias: &[f32],
        input: &[f32],
        output: &mut [f32],
    ) {
        let LinearParams { inputs, outputs, .. } = self.params;
        let bias = if bias.is_empty() { Bias::None } else { Bias::PerColumn(bias) };
        let epilogue = Epilogue::new(bias, activation);
        let isa = self.isa();
        dispatch(isa, DotProducts { inputs, outputs, input, weight, epilogue, output: &mut *output });
        activation.complete(isa, output);
    }
}

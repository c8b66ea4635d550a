//! Fully connected layers.

use super::tile::{Nest, Operands, Tile, sums, with_tile};
use super::{Group, starts, transposed};
use crate::activation::Activation;
use crate::kernel::{Job, Lanes, MulAdd, NR, Vectors};

/// `output[o] = sum over i of weight[o, i] input[i]`, bias and activation.
pub(crate) struct Multiply<'a> {
    /// `[outputs, inputs]`
    pub(crate) weight: &'a [f32],
    /// `[outputs]`, or empty
    pub(crate) bias: &'a [f32],
    pub(crate) activation: Activation,
    /// `[inputs]`
    pub(crate) input: &'a [Lanes],
    /// `[outputs]`
    pub(crate) output: &'a mut [Lanes],
}

impl Job for Multiply<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        mut self,
        mul_add: impl MulAdd,
        _: impl Vectors,
    ) {
        with_tile!(Tile::best::<PANELS, ROWS>(self.output.len(), 1, |_| 1), self.multiply(mul_add));
    }
}

impl Multiply<'_> {
    #[inline(always)]
    fn multiply<const ROWS: usize, const COLUMNS: usize>(&mut self, mul_add: impl MulAdd) {
        let inputs = self.input.len();
        let nest = Nest { counts: [1, 1, inputs], in_weights: [0, 0, 1], in_values: [0, 0, 1] };
        for row in starts(self.output.len(), ROWS) {
            let operands = Operands {
                weights: &self.weight[row * inputs..][..ROWS * inputs],
                first_weight: 0,
                row_step: inputs,
                values: self.input,
                first_value: 0,
                column_step: 0,
            };
            // There is one column.
            let sums = sums::<ROWS, 1>(&nest, operands, mul_add);
            for (output, sums) in self.output[row..].iter_mut().zip(sums) {
                *output = sums[0];
            }
        }
        for (i, output) in self.output.iter_mut().enumerate() {
            let bias = self.bias.get(i).copied();
            if bias.is_some() || self.activation != Activation::Identity {
                self.activation.finish(output, bias.unwrap_or(0.0), mul_add);
            }
        }
    }
}

/// `grad_input[i] = sum over o of weight[o, i] grad_output[o]`.
pub(crate) struct GradInputs<'a> {
    /// `[outputs, inputs]`
    pub(crate) weight: &'a [f32],
    /// `[outputs]`
    pub(crate) grad_output: &'a [Lanes],
    /// `[inputs]`
    pub(crate) grad_input: &'a mut [Lanes],
}

impl Job for GradInputs<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        mut self,
        mul_add: impl MulAdd,
        _: impl Vectors,
    ) {
        with_tile!(Tile::best::<PANELS, ROWS>(self.grad_input.len(), 1, |_| 1), self.gather(mul_add));
    }
}

impl GradInputs<'_> {
    #[inline(always)]
    fn gather<const ROWS: usize, const COLUMNS: usize>(&mut self, mul_add: impl MulAdd) {
        let inputs = self.grad_input.len();
        let outputs = self.grad_output.len();
        let nest = Nest { counts: [1, 1, outputs], in_weights: [0, 0, inputs], in_values: [0, 0, 1] };
        for row in starts(inputs, ROWS) {
            let operands = Operands {
                weights: self.weight,
                first_weight: row,
                row_step: 1,
                values: self.grad_output,
                first_value: 0,
                column_step: 0,
            };
            let sums = sums::<ROWS, 1>(&nest, operands, mul_add);
            for (grad, sums) in self.grad_input[row..].iter_mut().zip(sums) {
                *grad = sums[0];
            }
        }
    }
}

/// The gradients of weight and bias that a group contributes:
/// `grad_weight[o, i] = sum over images of grad_output[o] input[i]`. Lanes are inputs here.
pub(crate) struct GradWeights<'a> {
    pub(crate) group: Group,
    /// `[inputs]`
    pub(crate) input: &'a [Lanes],
    /// `[outputs]`
    pub(crate) grad_output: &'a [Lanes],
    /// Room for [`GradWeights::scratch_len`] vectors.
    pub(crate) scratch: &'a mut [Lanes],
    /// `[outputs, inputs]`
    pub(crate) grad_weight: &'a mut [f32],
    /// `[outputs]`, or empty
    pub(crate) grad_bias: &'a mut [f32],
}

/// Rows of sixteen inputs that are computed at once.
const PANELS_AT_ONCE: usize = 4;

impl GradWeights<'_> {
    /// The inputs image by image, in whole vectors.
    pub(crate) const fn scratch_len(inputs: usize) -> usize {
        inputs.div_ceil(NR) * NR
    }
}

impl Job for GradWeights<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        mul_add: impl MulAdd,
        vectors: impl Vectors,
    ) {
        let Self { group, input, grad_output, scratch, grad_weight, grad_bias } = self;
        // `[panels][images]`: sixteen inputs of an image are a vector.
        let panels = scratch.as_chunks_mut::<NR>().0;
        for (panel, block) in panels.iter_mut().zip(input.chunks(NR)) {
            *panel = transposed(block, vectors);
        }
        let panels = &*panels;
        let inputs = input.len();
        let rows = grad_weight.chunks_mut(6 * inputs).zip(grad_output.chunks(6));
        for (grad_weight, grads) in rows {
            let mut panel = 0;
            while panel < inputs.div_ceil(NR) {
                let columns = inputs - panel * NR;
                let is_whole = grads.len() == 6 && PANELS_AT_ONCE * NR <= columns && PANELS > 1;
                if is_whole {
                    let panels = &panels[panel..panel + PANELS_AT_ONCE];
                    outer::<6, PANELS_AT_ONCE>(
                        panels,
                        grads,
                        group,
                        &mut grad_weight[panel * NR..],
                        inputs,
                        columns,
                        mul_add,
                    );
                    panel += PANELS_AT_ONCE;
                } else {
                    let one = &panels[panel..panel + 1];
                    if grads.len() == 6 {
                        outer::<6, 1>(
                            one,
                            grads,
                            group,
                            &mut grad_weight[panel * NR..],
                            inputs,
                            columns,
                            mul_add,
                        );
                    } else {
                        for (i, grad) in grads.iter().enumerate() {
                            let to = &mut grad_weight[i * inputs + panel * NR..];
                            outer::<1, 1>(one, &[*grad], group, to, inputs, columns, mul_add);
                        }
                    }
                    panel += 1;
                }
            }
        }
        for (grad_bias, grads) in grad_bias.iter_mut().zip(grad_output) {
            if group.is_first {
                *grad_bias = 0.0;
            }
            grads[..group.images.min(NR)].iter().for_each(|grad| *grad_bias += grad);
        }
    }
}

/// `to[i][j] = sum over images of grads[i][image] * panels[j][image]`, or `+=` after the first group, in rows of
/// `inputs` values of which `columns` are left.
#[inline(always)]
fn outer<const ROWS: usize, const PANELS: usize>(
    panels: &[[Lanes; NR]],
    grads: &[Lanes],
    group: Group,
    to: &mut [f32],
    inputs: usize,
    columns: usize,
    mul_add: impl MulAdd,
) {
    let (Some(panels), Some(grads)) = (panels.first_chunk::<PANELS>(), grads.first_chunk::<ROWS>()) else {
        return;
    };
    let mut sums = [[[0.0; NR]; PANELS]; ROWS];
    for image in 0..group.images.min(NR) {
        for i in 0..ROWS {
            for j in 0..PANELS {
                sums[i][j] = mul_add(grads[i][image], panels[j][image], sums[i][j]);
            }
        }
    }
    // From here on in memory: the loops below would take the sums out of their registers.
    let mut stored = [[[0.0; NR]; PANELS]; ROWS];
    for i in 0..ROWS {
        for j in 0..PANELS {
            stored[i][j] = sums[i][j];
        }
    }
    for (i, sums) in stored.iter().enumerate() {
        for (j, sums) in sums.iter().enumerate() {
            let to = &mut to[i * inputs + j * NR..];
            match to.first_chunk_mut::<NR>() {
                Some(to) if columns >= PANELS * NR => {
                    if group.is_first {
                        *to = *sums;
                    } else {
                        for lane in 0..NR {
                            to[lane] += sums[lane];
                        }
                    }
                }
                _ => {
                    for (to, sum) in to.iter_mut().zip(sums).take(columns) {
                        *to = if group.is_first { *sum } else { *to + sum };
                    }
                }
            }
        }
    }
}

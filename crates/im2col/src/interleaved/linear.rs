//! Fully connected layers: a pair of blocks of images at once, for there are more weights than L1 holds.

use super::blocks::{ImageBlocks, transposed};
use super::tile::{Grid, Nest, Operands, TileSize};
use crate::activation::{Activation, Finish};
use crate::simd::{Isa, Kernel, Lanes, MulAdd, NR, Vectors, dispatch};

/// `output[o] = sum over i of weight[o, i] input[i]`, bias and activation.
pub(crate) struct LinearForward<'a> {
    /// `[outputs, inputs]`
    pub(crate) weight: &'a [f32],
    /// `[outputs]`, or empty
    pub(crate) bias: &'a [f32],
    pub(crate) activation: Activation,
    pub(crate) blocks: usize,
    /// `[blocks, inputs]`
    pub(crate) input: &'a [Lanes],
    /// `[blocks, outputs]`
    pub(crate) output: &'a mut [Lanes],
}

impl LinearForward<'_> {
    pub(crate) fn compute(self, isa: Isa) {
        let Self { weight, bias, activation, blocks, input, output } = self;
        let (inputs, outputs) = (input.len() / blocks, output.len() / blocks);
        let product =
            InterleavedProduct { weight, steps: [inputs, 1], blocks, factor: input, product: &mut *output };
        product.compute(isa);
        let (plane_len, columns, output) = (NR, 0..NR, output.as_flattened_mut());
        let bias = &bias[..bias.len().min(outputs)];
        dispatch(isa, Finish { plane_len, columns, bias, activation, output });
    }
}

/// `grad_input[i] = sum over o of weight[o, i] grad_output[o]`.
pub(crate) struct GradInputs<'a> {
    /// `[outputs, inputs]`
    pub(crate) weight: &'a [f32],
    pub(crate) blocks: usize,
    /// `[blocks, outputs]`
    pub(crate) grad_output: &'a [Lanes],
    /// `[blocks, inputs]`
    pub(crate) grad_input: &'a mut [Lanes],
}

impl GradInputs<'_> {
    pub(crate) fn compute(self, isa: Isa) {
        let Self { weight, blocks, grad_output, grad_input } = self;
        let steps = [1, grad_input.len() / blocks];
        InterleavedProduct { weight, steps, blocks, factor: grad_output, product: grad_input }.compute(isa);
    }
}

/// `product[block, i] = sum over k of weight[i, k] factor[block, k]`.
struct InterleavedProduct<'a> {
    weight: &'a [f32],
    /// From one `i` to the next in the weight, and from one `k`.
    steps: [usize; 2],
    blocks: usize,
    factor: &'a [Lanes],
    product: &'a mut [Lanes],
}

impl InterleavedProduct<'_> {
    fn compute(self, isa: Isa) {
        let Self { weight, steps: [row_step, step], blocks, factor, product } = self;
        let (len, depth) = (product.len() / blocks, factor.len() / blocks);
        let grid = Grid {
            tile: TileSize::best(isa, len, blocks, |columns| blocks.div_ceil(columns)),
            nest: &Nest::new([1, 1, depth], [0, 0, step], [0, 0, 1]),
            operands: Operands {
                weights: weight,
                first_weight: 0,
                row_step,
                values: factor,
                first_value: 0,
                column_step: depth,
                line_step: 0,
            },
            rows: len,
            columns: blocks,
            is_by_rows: true,
            output: product,
            output_steps: [1, len, 0],
        };
        grid.compute(isa);
    }
}

/// The gradients of weight and bias that some blocks contribute:
/// `grad_weight[o, i] = sum over images of grad_output[o] input[i]`. Lanes are inputs here.
pub(crate) struct GradWeights<'a> {
    pub(crate) blocks: ImageBlocks,
    /// `[blocks, inputs]`
    pub(crate) input: &'a [Lanes],
    /// `[blocks, outputs]`
    pub(crate) grad_output: &'a [Lanes],
    /// Room for [`GradWeights::scratch_len`] vectors.
    pub(crate) scratch: &'a mut [Lanes],
    /// `[outputs, inputs]`
    pub(crate) grad_weight: &'a mut [f32],
    /// `[outputs]`, or empty
    pub(crate) grad_bias: &'a mut [f32],
}

impl GradWeights<'_> {
    /// The inputs image by image, in whole vectors.
    pub(crate) const fn scratch_len(inputs: usize, blocks: usize) -> usize {
        (inputs.div_ceil(NR) * NR).saturating_mul(blocks)
    }
}

impl Kernel for GradWeights<'_> {
    const USES_AVX512: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        mut self,
        mul_add: impl MulAdd,
        vectors: impl Vectors,
    ) {
        let ImageBlocks { count: blocks, lanes, .. } = self.blocks;
        let (inputs, outputs) = (self.input.len() / blocks, self.grad_output.len() / blocks);
        // `[panels][blocks][lanes]`: sixteen inputs of an image are a vector.
        let squares = self.scratch.as_chunks_mut::<NR>().0;
        for (block, input) in self.input.chunks_exact(inputs).enumerate() {
            for (panel, columns) in input.chunks(NR).enumerate() {
                squares[panel * blocks + block] = transposed(columns, vectors);
            }
        }
        for row in (0..outputs).step_by(6) {
            let rows = (outputs - row).min(6);
            let mut panel = 0;
            while panel < inputs.div_ceil(NR) {
                if rows == 6 && panel + 4 <= inputs.div_ceil(NR) && PANELS > 1 {
                    self.add::<6, 4>(row, panel, mul_add);
                    panel += 4;
                } else {
                    if rows == 6 {
                        self.add::<6, 1>(row, panel, mul_add);
                    } else {
                        for row in row..outputs {
                            self.add::<1, 1>(row, panel, mul_add);
                        }
                    }
                    panel += 1;
                }
            }
        }
        if self.blocks.is_first() {
            self.grad_bias.fill(0.0);
        }
        for grads in self.grad_output.chunks_exact(outputs) {
            for (grad_bias, grads) in self.grad_bias.iter_mut().zip(grads) {
                grads[..lanes.min(NR)].iter().for_each(|grad| *grad_bias += grad);
            }
        }
    }
}

impl GradWeights<'_> {
    /// The gradients of `ROWS` outputs by `PANELS` times sixteen inputs, of which the last panel may have fewer.
    #[inline(always)]
    fn add<const ROWS: usize, const PANELS: usize>(
        &mut self,
        row: usize,
        panel: usize,
        mul_add: impl MulAdd,
    ) {
        let blocks = self.blocks.count;
        let (inputs, outputs) = (self.input.len() / blocks, self.grad_output.len() / blocks);
        let mut columns: [&[Lanes]; PANELS] = [&[]; PANELS];
        for (j, column) in columns.iter_mut().enumerate() {
            *column = &self.scratch[(panel + j) * blocks * NR..][..blocks * NR];
        }
        let grads = &self.grad_output.as_flattened()[row * NR..];
        let extent = grads.len() - (ROWS - 1) * NR;
        let mut rows: [&[f32]; ROWS] = [&[]; ROWS];
        for (i, row) in rows.iter_mut().enumerate() {
            *row = &grads[i * NR..][..extent];
        }
        let mut sums = [[[0.0; NR]; PANELS]; ROWS];
        // A single loop, as in `tile.rs`; the gradients of the next block are further on.
        let (mut image, mut at, mut left) = (0, 0, self.blocks.lanes);
        while image < blocks * NR && at < extent {
            let mut values = [[0.0; NR]; PANELS];
            for j in 0..PANELS {
                values[j] = columns[j][image];
            }
            for i in 0..ROWS {
                for j in 0..PANELS {
                    sums[i][j] = mul_add(rows[i][at], values[j], sums[i][j]);
                }
            }
            image += 1;
            at += 1;
            left -= 1;
            if left == 0 {
                left = self.blocks.lanes;
                image += NR - left;
                at += outputs * NR - left;
            }
        }
        debug_assert_eq!(image, blocks * NR, "a sum without its last images");
        // From here on in memory: the loops below would take the sums out of their registers.
        let mut stored = [[[0.0; NR]; PANELS]; ROWS];
        for i in 0..ROWS {
            for j in 0..PANELS {
                stored[i][j] = sums[i][j];
            }
        }
        let is_first = self.blocks.is_first();
        for (i, sums) in stored.iter().enumerate() {
            let row = &mut self.grad_weight[(row + i) * inputs..][..inputs];
            for (j, sums) in sums.iter().enumerate() {
                let to = &mut row[(panel + j) * NR..];
                match to.first_chunk_mut::<NR>() {
                    Some(to) if is_first => *to = *sums,
                    Some(to) => {
                        for lane in 0..NR {
                            to[lane] += sums[lane];
                        }
                    }
                    None => {
                        for (to, sum) in to.iter_mut().zip(sums) {
                            *to = if is_first { *sum } else { *to + sum };
                        }
                    }
                }
            }
        }
    }
}

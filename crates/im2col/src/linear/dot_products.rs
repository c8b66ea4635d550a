//! The forward pass without scratch: dot products with the rows of the weight, read where they lie.
//!
//! Sixteen outputs fill the lanes: of their rows sixteen columns at a time are transposed in registers. On small targets it is four
//! outputs and four columns. For a single input this is as fast as with a packed copy of the weight that has to be made first, or
//! faster, unless the weight is in L2.

use crate::epilogue::Epilogue;
use crate::simd::load::rows_at;
use crate::simd::{IS_SMALL, Kernel, Lanes, MulAdd, NR, Vectors};
use bytemuck::must_cast;
use wide::f32x4;

/// Computes `output` `[batch, outputs]` of `input` `[batch, inputs]` and `weight` `[outputs, inputs]`.
pub(super) struct DotProducts<'a> {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) input: &'a [f32],
    pub(super) weight: &'a [f32],
    pub(super) epilogue: Epilogue<'a>,
    pub(super) output: &'a mut [f32],
}

/// Outputs whose rows of the weight are transposed together.
const OUTPUTS: usize = if IS_SMALL { 4 } else { NR };

impl Kernel for DotProducts<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        mut self,
        mul_add: impl MulAdd,
        vectors: impl Vectors,
    ) {
        let output = core::mem::take(&mut self.output);
        let (inputs, outputs) = ((ROWS * self.inputs).max(1), (ROWS * self.outputs).max(1));
        if IS_SMALL || ROWS == 1 || output.len() == self.outputs {
            self.compute_each(output, mul_add, vectors);
            return;
        }
        for (input, output) in self.input.chunks(inputs).zip(output.chunks_mut(outputs)) {
            self.compute::<ROWS>(input, output, mul_add, vectors);
        }
    }
}

impl DotProducts<'_> {
    /// Computes the outputs of one input after the other.
    #[inline(always)]
    fn compute_each(&self, output: &mut [f32], mul_add: impl MulAdd, vectors: impl Vectors) {
        let mut inputs = self.input.chunks_exact(self.inputs.max(1));
        for output in output.chunks_exact_mut(self.outputs.max(1)) {
            let Some(input) = inputs.next() else { break };
            self.compute::<1>(input, output, mul_add, vectors);
        }
    }

    /// Computes the outputs of up to `ROWS` inputs.
    #[inline(always)]
    fn compute<const ROWS: usize>(
        &self,
        input: &[f32],
        output: &mut [f32],
        mul_add: impl MulAdd,
        vectors: impl Vectors,
    ) {
        let (inputs, outputs) = (self.inputs.max(1), self.outputs.max(1));
        let mut weights = self.weight.chunks((OUTPUTS * inputs).max(1));
        for first in (0..outputs).step_by(OUTPUTS) {
            let Some(weight) = weights.next() else { break };
            let all: [Lanes; ROWS] = if IS_SMALL {
                [sums_of_four(inputs, input, weight, mul_add); ROWS]
            } else {
                sums_of_sixteen(inputs, input, weight, mul_add, vectors)
            };
            // Lanes that are not copied are not computed.
            let mut sums = [[0.0; OUTPUTS]; ROWS];
            for (sums, all) in sums.iter_mut().zip(&all) {
                if let Some(all) = all.first_chunk() {
                    *sums = *all;
                }
            }
            self.epilogue.apply(&mut sums, 0, first);
            for (sums, output) in sums.iter().zip(output.chunks_exact_mut(outputs)) {
                let values = output.get_mut(first..).unwrap_or_default();
                values.iter_mut().zip(sums).for_each(|(value, sum)| *value = *sum);
            }
        }
    }
}

/// Sums the products of up to `ROWS` inputs and the rows of up to sixteen outputs.
#[inline(always)]
fn sums_of_sixteen<const ROWS: usize>(
    inputs: usize,
    input: &[f32],
    weight: &[f32],
    mul_add: impl MulAdd,
    vectors: impl Vectors,
) -> [Lanes; ROWS] {
    let mut sums = [[0.0; NR]; ROWS];
    let mut first = 0;
    while first < inputs {
        let last: ([Lanes; NR], [Lanes; ROWS]);
        let (rows, x) = if first + NR <= inputs {
            let [weight, input] = [weight, input].map(|rows| rows.get(first..).unwrap_or_default());
            (rows_at(weight, inputs, NR), rows_at(input, inputs, ROWS))
        } else {
            last = (last_columns(weight, inputs, first), last_columns(input, inputs, first));
            (last.0.each_ref(), last.1.each_ref())
        };
        let weights = vectors.transpose(rows);
        for k in 0..NR {
            for row in 0..ROWS {
                sums[row] = mul_add(x[row][k], weights[k], sums[row]);
            }
        }
        first += NR;
    }
    sums
}

/// Sums the products of an input and the rows of up to four outputs, four columns at a time. There is no loop over lanes, so that
/// they stay in registers where code is optimised for size, too.
#[inline(always)]
fn sums_of_four(inputs: usize, input: &[f32], weight: &[f32], mul_add: impl MulAdd) -> Lanes {
    let mut sums = [0.0; NR];
    let Some(first) = weight.get(..inputs) else { return sums };
    // Outputs past the last repeat the first; they are not stored.
    let row = |i: usize| weight.get(i * inputs..).and_then(|rest| rest.get(..inputs)).unwrap_or(first);
    let rows = [row(0).as_chunks::<4>(), row(1).as_chunks(), row(2).as_chunks(), row(3).as_chunks()];
    let mut add = |x: [f32; 4], rows: [[f32; 4]; 4]| {
        let columns = f32x4::transpose(must_cast(rows));
        let lanes = |k: usize| must_cast([columns[k], f32x4::ZERO, f32x4::ZERO, f32x4::ZERO]);
        sums = mul_add(x[0], lanes(0), sums);
        sums = mul_add(x[1], lanes(1), sums);
        sums = mul_add(x[2], lanes(2), sums);
        sums = mul_add(x[3], lanes(3), sums);
    };
    let (x, last_x) = input.as_chunks::<4>();
    for (k, x) in x.iter().enumerate() {
        let row = |i: usize| rows[i].0.get(k).copied().unwrap_or_default();
        add(*x, [row(0), row(1), row(2), row(3)]);
    }
    if !last_x.is_empty() {
        let row = |i: usize| first_values(rows[i].1);
        add(first_values(last_x), [row(0), row(1), row(2), row(3)]);
    }
    sums
}

/// Up to four values, and zeros.
#[inline(always)]
fn first_values(values: &[f32]) -> [f32; 4] {
    let value = |i: usize| values.get(i).copied().unwrap_or_default();
    [value(0), value(1), value(2), value(3)]
}

/// The columns from `first` on, fewer than sixteen, of the first `ROWS` rows of a row-major matrix. Zeros stay past the last; their
/// products change no sum.
#[cold]
#[inline(never)]
fn last_columns<const ROWS: usize>(matrix: &[f32], width: usize, first: usize) -> [Lanes; ROWS] {
    let mut rows = [[0.0; NR]; ROWS];
    for (values, row) in rows.iter_mut().zip(matrix.chunks_exact(width)) {
        values.iter_mut().zip(row.iter().skip(first)).for_each(|(value, x)| *value = *x);
    }
    rows
}

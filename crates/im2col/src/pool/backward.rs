//! The backward pass, along rows of output.

use super::stage::{Label, RowBuffers};
use super::windows::{Pooling, larger, mask};
use crate::simd::{Isa, Kernel, MulAdd, Vectors, dispatch};
use crate::window::Window;
use core::ops::Range;

pub(super) struct MaxBackward<'a> {
    pub(super) pooling: Pooling,
    /// Whether `input` is the output of a ReLU, and the gradient is that of the ReLU's input: a maximum of 0 passes none on.
    pub(super) is_of_relu: bool,
    pub(super) input: &'a [f32],
    pub(super) grad_output: &'a [f32],
    pub(super) grad_input: &'a mut [f32],
}

impl MaxBackward<'_> {
    /// Runs it.
    pub(crate) fn compute(self, isa: Isa) {
        dispatch(isa, self);
    }
}

impl Kernel for MaxBackward<'_> {
    const USES_AVX512: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { pooling, is_of_relu, input, grad_output, grad_input } = self;
        if pooling.is_2x2() {
            let winners = Winners::OfInput { pooling: &pooling, is_of_relu, input };
            max_tiles_2x2(&pooling, grad_output, grad_input, winners);
            return;
        }
        grad_input.fill(0.0);
        let [depth, out_height, _] = pooling.window.output;
        let (plane_len, mut stage) = (pooling.window.plane_len(), RowBuffers::new());
        for_each_row(&pooling, grad_output, grad_input, |row, at, grad_output, grad_input| {
            let plane = &input[row / (depth * out_height) * plane_len..][..plane_len];
            stage.for_each_winner(&pooling, plane, at, Label::Offset, |x, max, offset| {
                if let Some(offset) = offset
                    && (!is_of_relu || is_positive(max))
                {
                    grad_input[offset] += grad_output[x];
                }
            });
        });
    }
}

/// What a mean was taken of does not matter, so there is no input.
pub(super) struct MeanBackward<'a> {
    pub(super) pooling: Pooling,
    pub(super) grad_output: &'a [f32],
    pub(super) grad_input: &'a mut [f32],
}

impl MeanBackward<'_> {
    /// Runs it.
    pub(crate) fn compute(self, isa: Isa) {
        dispatch(isa, self);
    }
}

impl Kernel for MeanBackward<'_> {
    const USES_AVX2: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { pooling, grad_output, grad_input } = self;
        if pooling.is_2x2() {
            for (_, grads, [upper, lower]) in rows_of_tiles(&pooling, grad_output, grad_input) {
                let tiles = upper.chunks_exact_mut(2).zip(lower.chunks_exact_mut(2));
                for ((upper, lower), grad) in tiles.zip(grads) {
                    upper.fill(grad / 4.0);
                    lower.fill(grad / 4.0);
                }
            }
            return;
        }
        grad_input.fill(0.0);
        if pooling.staged_chunks() == 0 {
            for_each_row(&pooling, grad_output, grad_input, |_, at, grad_output, grad_input| {
                mean_row_by_output(&pooling, at, grad_output, grad_input);
            });
        } else {
            for_each_row(&pooling, grad_output, grad_input, |_, at, grad_output, grad_input| {
                mean_row(&pooling, at, grad_output, grad_input);
            });
        }
    }
}

/// Whether ReLU passes on the gradient of a value that it made.
#[inline(always)]
fn is_positive(value: f32) -> bool {
    value > 0.0
}

/// Where the winners of 2x2 tiles come from. No closure, which might not be compiled for the instruction set.
#[derive(Clone, Copy)]
pub(super) enum Winners<'a> {
    /// The values that were pooled.
    OfInput { pooling: &'a Pooling, is_of_relu: bool, input: &'a [f32] },
    /// The tap of each output.
    Taps { out_width: usize, taps: &'a [u8] },
}

/// The maxima of the 2x2 tiles of each plane: nothing adds up, and each gradient is written once.
#[inline(always)]
pub(super) fn max_tiles_2x2(
    pooling: &Pooling,
    grad_output: &[f32],
    grad_input: &mut [f32],
    winners: Winners<'_>,
) {
    for (row, grads, [upper, lower]) in rows_of_tiles(pooling, grad_output, grad_input) {
        let [grad_upper, grad_lower] = [upper.as_chunks_mut().0, lower.as_chunks_mut().0];
        match winners {
            Winners::OfInput { pooling, is_of_relu, input } => {
                let ([_, height, width], [_, out_height, _]) = (pooling.window.input, pooling.window.output);
                let rows = &input[(row / out_height * height + row % out_height * 2) * width..][..2 * width];
                let (upper, lower) = rows.split_at(width);
                let tiles = [upper.as_chunks().0, lower.as_chunks().0];
                let first = tiles_of_input::<16>(0, is_of_relu, tiles, grads, [grad_upper, grad_lower]);
                let first = tiles_of_input::<4>(first, is_of_relu, tiles, grads, [grad_upper, grad_lower]);
                tiles_of_input::<1>(first, is_of_relu, tiles, grads, [grad_upper, grad_lower]);
            }
            Winners::Taps { out_width, taps } => {
                let results = grads.iter().zip(grad_upper.iter_mut().zip(grad_lower));
                for (tap, (grad, (upper, lower))) in taps[row * out_width..].iter().zip(results) {
                    let share = |of| grad.to_bits() & mask(*tap == of);
                    (*upper, *lower) = (pair(share(0), share(1)), pair(share(2), share(3)));
                }
            }
        }
    }
}

/// Writes the gradients of whole groups of `TILES` tiles of a row, from tile `first` on; returns the first tile that is left.
#[inline(always)]
fn tiles_of_input<const TILES: usize>(
    first: usize,
    is_of_relu: bool,
    [upper, lower]: [&[[f32; 2]]; 2],
    grads: &[f32],
    [grad_upper, grad_lower]: [&mut [[f32; 2]]; 2],
) -> usize {
    let of_any = mask(!is_of_relu);
    let tiles = upper[first..].as_chunks::<TILES>().0.iter().zip(lower[first..].as_chunks::<TILES>().0);
    let grad_rows = grad_upper[first..]
        .as_chunks_mut::<TILES>()
        .0
        .iter_mut()
        .zip(grad_lower[first..].as_chunks_mut::<TILES>().0);
    let grads = grads[first..].as_chunks::<TILES>().0;
    for ((upper, lower), (grads, (grad_upper, grad_lower))) in tiles.zip(grads.iter().zip(grad_rows)) {
        // Copies, so that the compiler need not prove that the slices do not overlap.
        let (upper, lower, grads) = (*upper, *lower, *grads);
        let mut shares = [[[0.0; 2]; TILES]; 2];
        for i in 0..TILES {
            let ([a, b], [c, d]) = (halves(upper[i]), halves(lower[i]));
            let (max, of_b) = larger(a, b);
            let (max, of_c) = larger(max, c);
            let (max, of_d) = larger(max, d);
            let grad = grads[i].to_bits() & (of_any | mask(is_positive(max)));
            let (grad_abc, grad_d) = (grad & !of_d, grad & of_d);
            let (grad_ab, grad_c) = (grad_abc & !of_c, grad_abc & of_c);
            shares[0][i] = pair(grad_ab & !of_b, grad_ab & of_b);
            shares[1][i] = pair(grad_c, grad_d);
        }
        [*grad_upper, *grad_lower] = shares;
    }
    first + grads.len() * TILES
}

/// The two values of a pair, which is loaded as one number: the vectors of a loop are contiguous then.
#[inline(always)]
fn halves(pair: [f32; 2]) -> [f32; 2] {
    let bits: u64 = bytemuck::cast(pair);
    let [first, second] = if cfg!(target_endian = "big") { [bits >> 32, bits] } else { [bits, bits >> 32] };
    [f32::from_bits(first as u32), f32::from_bits(second as u32)]
}

/// The pair of two values, of which these are the bits, to be stored as one number.
#[inline(always)]
fn pair(first: u32, second: u32) -> [f32; 2] {
    let [low, high] = if cfg!(target_endian = "big") { [second, first] } else { [first, second] };
    bytemuck::cast(u64::from(low) | u64::from(high) << 32)
}

/// Every row of 2x2 tiles, counted over all planes: its row of `grad_output`, and both rows of `grad_input`. What no tile
/// covers becomes 0. An iterator: a closure that is called for each row might not be compiled for the instruction set.
#[inline(always)]
fn rows_of_tiles<'a>(
    pooling: &Pooling,
    grad_output: &'a [f32],
    grad_input: &'a mut [f32],
) -> impl Iterator<Item = (usize, &'a [f32], [&'a mut [f32]; 2])> + use<'a> {
    let ([_, height, width], [_, out_height, out_width]) = (pooling.window.input, pooling.window.output);
    if height != 2 * out_height || width != 2 * out_width {
        grad_input.fill(0.0);
    }
    // Depth is not pooled, so its slices are planes.
    let planes = grad_input.chunks_exact_mut(height * width);
    let rows = planes.flat_map(move |plane| plane.chunks_exact_mut(2 * width).take(out_height));
    grad_output.chunks_exact(out_width).zip(rows).enumerate().map(move |(row, (grads, rows))| {
        let (upper, lower) = rows.split_at_mut(width);
        (row, grads, [upper, lower])
    })
}

/// Calls `for_row(row, [z, y], row of grad_output, plane of grad_input)` for every row of output,
/// counted over all planes.
#[inline(always)]
pub(super) fn for_each_row(
    pooling: &Pooling,
    grad_output: &[f32],
    grad_input: &mut [f32],
    mut for_row: impl FnMut(usize, [usize; 2], &[f32], &mut [f32]),
) {
    let [depth, height, width] = pooling.window.output;
    let planes = grad_input.chunks_exact_mut(pooling.window.plane_len());
    for (i, (grad_x, grad_y)) in planes.zip(grad_output.chunks_exact(pooling.window.positions())).enumerate()
    {
        for (z, grad_y) in grad_y.chunks_exact(height * width).enumerate() {
            for (y, grad_y) in grad_y.chunks_exact(width).enumerate() {
                for_row((i * depth + z) * height + y, [z, y], grad_y, grad_x);
            }
        }
    }
}

/// How many outputs of a row have their gradients divided at once, before they are added to what the windows see.
const SHARES: usize = 128;

/// Adds the gradients of a row of means to the inputs that its windows see.
#[inline(always)]
fn mean_row(pooling: &Pooling, [z, y]: [usize; 2], grad_output: &[f32], grad_input: &mut [f32]) {
    let (width, stride) = (pooling.window.input[2], pooling.window.stride[2]);
    let rows = pooling.counted_rows(z, y);
    for (chunk, grad_output) in grad_output.chunks(SHARES).enumerate() {
        let (first, mut shares) = (chunk * SHARES, [0.0; SHARES]);
        for (x, (share, grad)) in shares.iter_mut().zip(grad_output).enumerate() {
            *share = grad / pooling.divisor(rows, first + x);
        }
        for row in pooling.input_rows(z, y) {
            let grad_input = &mut grad_input[row..row + width];
            // Taps descend, so that what meets in an input adds up in the order of the outputs.
            for tap in (0..pooling.window.kernel[2]).rev() {
                let Range { start, end } = outputs(pooling, tap);
                let (start, end) = (start.max(first), end.min(first + grad_output.len()));
                if start >= end {
                    continue;
                }
                let grad_input = &mut grad_input[pooling.column(start * stride, tap)..];
                let shares = &shares[start - first..end - first];
                if stride == 1 {
                    grad_input.iter_mut().zip(shares).for_each(|(grad, share)| *grad += share);
                } else {
                    let grads = grad_input.chunks_mut(stride);
                    grads.zip(shares).for_each(|(grads, share)| grads[0] += share);
                }
            }
        }
    }
}

/// [`mean_row`], one output after the other: for windows that adapt or are long, and for short rows of output.
#[inline(always)]
fn mean_row_by_output(pooling: &Pooling, [z, y]: [usize; 2], grad_output: &[f32], grad_input: &mut [f32]) {
    let rows = pooling.counted_rows(z, y);
    for (x, grad) in grad_output.iter().enumerate() {
        let (start, taps) = (pooling.start(2, x), pooling.taps(2, x));
        if taps.is_empty() {
            continue;
        }
        let (first, step) = (pooling.column(start, taps.start), pooling.window.dilation[2]);
        let part = grad / pooling.divisor(rows, x);
        for row in pooling.input_rows(z, y) {
            let seen = &mut grad_input[row + first..];
            if step == 1 {
                seen[..taps.len()].iter_mut().for_each(|grad| *grad += part);
            } else {
                seen.iter_mut().step_by(step).take(taps.len()).for_each(|grad| *grad += part);
            }
        }
    }
}

/// The outputs of a row whose tap `tap` sees the input.
#[inline(always)]
fn outputs(pooling: &Pooling, tap: usize) -> Range<usize> {
    let Window { input, output, stride, padding, dilation, .. } = &pooling.window;
    let reach = |columns: usize| columns.saturating_sub(tap * dilation[2]).div_ceil(stride[2]);
    let end = reach(padding[2][0] + input[2]).min(output[2]);
    reach(padding[2][0]).min(end)..end
}

#[cfg(test)]
mod tests {
    use super::{halves, pair};

    /// On targets of either byte order.
    #[test]
    fn pairs_keep_their_order() {
        assert_eq!(halves([1.0, 2.0]), [1.0, 2.0]);
        assert_eq!(pair(1.0_f32.to_bits(), 2.0_f32.to_bits()), [1.0, 2.0]);
    }
}

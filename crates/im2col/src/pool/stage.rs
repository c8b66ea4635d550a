//! Rows of input laid out so that rows of output are vectors.

use super::sum::{CHAINS, PairwiseMean, plus, sum_of_chains};
use super::windows::{Pooling, larger};
use crate::simd::{Lanes, MulAdd, NR};

/// Columns of input that are staged at a time: `CHUNKS` chunks at stride 2, and a window of 64.
const COLUMNS: usize = 320;
/// Chunks of `NR` outputs that are computed at a time.
const CHUNKS: usize = 8;
/// Shorter rows of output are not worth vectors.
const LEAST_WIDTH: usize = 4;

/// The larger one; NaN, once found, stays.
#[inline(always)]
pub(super) fn maximum(max: f32, v: f32) -> f32 {
    // The comparison is false for a NaN in `max`. Returning `v` for a NaN in `v` would make this
    // one selection, which with AVX-512 becomes a masked store, and the load of what was stored
    // then waits for the cache. So this is a vector maximum and a selection.
    let larger = if v > max { v } else { max };
    if v.is_nan() { f32::NAN } else { larger }
}

#[inline(always)]
pub(super) fn sum(sum: f32, v: f32) -> f32 {
    sum + v
}

/// Every `stride`th of the columns.
#[inline(always)]
fn strided(columns: &[f32], stride: usize) -> Lanes {
    match columns.first_chunk() {
        Some(vector) if stride == 1 => *vector,
        _ => {
            let mut vector = [0.0; NR];
            vector.iter_mut().zip(columns.iter().step_by(stride)).for_each(|(v, column)| *v = *column);
            vector
        }
    }
}

impl Pooling {
    /// How many chunks of `NR` outputs of a row the stage has room for; 0 if it is not worth it.
    pub(super) fn staged_chunks(&self) -> usize {
        if self.adaptive && !self.has_single_columns() || self.window.output[2] < LEAST_WIDTH {
            return 0;
        }
        let chunk = self.window.stride[2].saturating_mul(NR);
        (COLUMNS.saturating_sub(self.extent(2)) / chunk).min(CHUNKS)
    }

    /// How many columns the windows of so many chunks of outputs may read.
    #[inline(always)]
    fn staged_columns(&self, chunks: usize) -> usize {
        chunks * NR * self.window.stride[2] + self.extent(2)
    }
}

/// Where a row of input lies with its padding, so that the loops over outputs are whole chunks
/// without special cases, and what becomes of it. Less than 3 KiB of stack.
pub(super) struct RowBuffers {
    columns: [f32; COLUMNS],
    results: [[f32; NR]; CHUNKS],
    labels: [[u32; NR]; CHUNKS],
}

/// The label of a maximum that has not been found.
const NOWHERE: u32 = u32::MAX;

impl RowBuffers {
    pub(super) const fn new() -> Self {
        Self { columns: [0.0; COLUMNS], results: [[0.0; NR]; CHUNKS], labels: [[NOWHERE; NR]; CHUNKS] }
    }

    /// First the maximum of each column, then of the columns: a window of `h` rows and `w` columns
    /// costs `h + w` steps and not `h * w`. For a maximum the order does not matter.
    #[inline(always)]
    pub(super) fn max_row(
        &mut self,
        pooling: &Pooling,
        plane: &[f32],
        [z, y]: [usize; 2],
        output: &mut [f32],
        chunks: usize,
    ) {
        for (i, output) in output.chunks_mut(chunks * NR).enumerate() {
            let from = i * chunks * NR * pooling.window.stride[2];
            let chunks = output.len().div_ceil(NR);
            self.columns[..pooling.staged_columns(chunks)].fill(f32::NEG_INFINITY);
            for row in pooling.input_rows(z, y) {
                self.fold_row(pooling, &plane[row..], from, chunks, maximum);
            }
            self.results[..chunks].fill([f32::NEG_INFINITY; NR]);
            self.fold_taps(pooling, chunks, maximum);
            output.copy_from_slice(&self.results.as_flattened()[..output.len()]);
        }
    }

    /// The sums of the taps in ascending order.
    #[inline(always)]
    pub(super) fn sum_row(
        &mut self,
        pooling: &Pooling,
        plane: &[f32],
        [z, y]: [usize; 2],
        output: &mut [f32],
        chunks: usize,
        mul_add: impl MulAdd,
    ) {
        for (i, output) in output.chunks_mut(chunks * NR).enumerate() {
            let from = i * chunks * NR * pooling.window.stride[2];
            let chunks = output.len().div_ceil(NR);
            self.results[..chunks].fill([0.0; NR]);
            self.columns[..pooling.staged_columns(chunks)].fill(0.0);
            // A loop: a closure need not be compiled for the instruction set.
            for row in pooling.input_rows(z, y) {
                self.fold_row(pooling, &plane[row..], from, chunks, |_, v| v);
                if pooling.window.stride[2] == 1 {
                    self.sum_taps(pooling, chunks, plus(mul_add));
                } else {
                    self.fold_taps(pooling, chunks, sum);
                }
            }
            output.copy_from_slice(&self.results.as_flattened()[..output.len()]);
        }
    }

    /// The sums of long windows, sixteen outputs at a time: of each row of a window, which is one block, for the
    /// stage has no room for more, and of the rows by pairs.
    #[inline(always)]
    pub(super) fn long_sum_row(
        &mut self,
        pairs: &mut PairwiseMean<NR>,
        pooling: &Pooling,
        plane: &[f32],
        [z, y]: [usize; 2],
        output: &mut [f32],
        mul_add: impl MulAdd,
    ) {
        let (width, before) = (pooling.window.input[2], pooling.window.padding[2][0]);
        let staged = pooling.staged_columns(1);
        for (i, output) in output.chunks_mut(NR).enumerate() {
            // No more than these outputs see: each row is staged anew for the next ones.
            let from = i * NR * pooling.window.stride[2];
            let first = before.saturating_sub(from).min(staged);
            let start = from.saturating_sub(before).min(width);
            let len = (staged - first).min(width - start);
            self.columns[..staged].fill(0.0);
            for row in pooling.input_rows(z, y) {
                self.columns[first..][..len].copy_from_slice(&plane[row + start..][..len]);
                // A stride that is known when this is compiled makes vector code.
                let block = match pooling.window.stride[2] {
                    1 => self.add_taps(pooling, 1, plus(mul_add)),
                    2 => self.add_taps(pooling, 2, plus(mul_add)),
                    stride => self.add_taps(pooling, stride, plus(mul_add)),
                };
                pairs.add(block, plus(mul_add));
            }
            output.copy_from_slice(&pairs.take(plus(mul_add))[..output.len()]);
        }
    }

    /// Adds the columns, tap by tap, to the first `chunks` results, of windows at stride 1.
    #[inline(always)]
    fn sum_taps(&mut self, pooling: &Pooling, chunks: usize, plus: impl Fn(Lanes, Lanes) -> Lanes) {
        for (i, result) in self.results.iter_mut().take(chunks).enumerate() {
            let mut sums = *result;
            for tap in 0..pooling.window.kernel[2] {
                let columns = &self.columns[i * NR + tap * pooling.window.dilation[2]..][..NR];
                sums = plus(strided(columns, 1), sums);
            }
            *result = sums;
        }
    }

    /// The sums of the columns that the windows of the first sixteen outputs see.
    #[inline(always)]
    fn add_taps(&self, pooling: &Pooling, stride: usize, plus: impl Fn(Lanes, Lanes) -> Lanes) -> Lanes {
        let (taps, dilation) = (pooling.window.kernel[2], pooling.window.dilation[2]);
        if taps == 1 {
            return strided(&self.columns, stride);
        }
        let mut chains = [[0.0; NR]; CHAINS];
        // One chain after the other, each in registers.
        for (first, chain) in chains.iter_mut().enumerate().take(taps) {
            let mut sums = [0.0; NR];
            for tap in (first..taps).step_by(CHAINS) {
                let columns = &self.columns[tap * dilation..][..NR * stride];
                sums = plus(strided(columns, stride), sums);
            }
            *chain = sums;
        }
        sum_of_chains(&mut chains, taps, plus)
    }

    /// Folds a row of input into the columns of so many chunks, which begin at column `from` of the padded row.
    #[inline(always)]
    fn fold_row(
        &mut self,
        pooling: &Pooling,
        row: &[f32],
        from: usize,
        chunks: usize,
        fold: impl Fn(f32, f32) -> f32,
    ) {
        let before = pooling.window.padding[2][0];
        let (width, staged) = (pooling.window.input[2], pooling.staged_columns(chunks));
        // Where padding is longer than the stage, on either side, no column sees the row.
        let row = &row[from.saturating_sub(before).min(width)..width];
        for (column, v) in self.columns[before.saturating_sub(from).min(staged)..staged].iter_mut().zip(row) {
            *column = fold(*column, *v);
        }
    }

    /// Folds the columns, tap by tap, into the first `chunks` results.
    #[inline(always)]
    fn fold_taps(&mut self, pooling: &Pooling, chunks: usize, fold: impl Fn(f32, f32) -> f32 + Copy) {
        // A stride that is known when this is compiled makes vector code.
        match pooling.window.stride[2] {
            1 => self.fold_taps_strided(pooling, 1, chunks, fold),
            2 => self.fold_taps_strided(pooling, 2, chunks, fold),
            stride => self.fold_taps_strided(pooling, stride, chunks, fold),
        }
    }

    #[inline(always)]
    fn fold_taps_strided(
        &mut self,
        pooling: &Pooling,
        stride: usize,
        chunks: usize,
        fold: impl Fn(f32, f32) -> f32 + Copy,
    ) {
        for (i, result) in self.results.iter_mut().take(chunks).enumerate() {
            let mut sums = *result;
            for tap in 0..pooling.window.kernel[2] {
                let columns =
                    &self.columns[i * NR * stride + tap * pooling.window.dilation[2]..][..NR * stride];
                for (j, sum) in sums.iter_mut().enumerate() {
                    *sum = fold(*sum, columns[j * stride]);
                }
            }
            *result = sums;
        }
    }

    /// Calls `found(x, max, place)` for each output of a row, in order: its maximum and where that is,
    /// as `label` says; `None` if it sees nothing but padding.
    #[inline(always)]
    pub(super) fn for_each_winner(
        &mut self,
        pooling: &Pooling,
        plane: &[f32],
        [z, y]: [usize; 2],
        label: Label,
        mut found: impl FnMut(usize, f32, Option<usize>),
    ) {
        let plain = |x: usize| {
            let winner = pooling.winner(plane, [z, y, x]);
            let max = winner.map_or(f32::NEG_INFINITY, |offset| plane[offset]);
            (max, winner.map(|offset| label.of(pooling, [z, y, x], offset)))
        };
        let (width, stride) = (pooling.window.output[2], pooling.window.stride[2]);
        let step = pooling.staged_chunks() * NR;
        // Labels are 32 bits, as the values beside which they are selected.
        if step == 0 || pooling.window.taps().max(plane.len()) >= (NOWHERE / 2) as usize {
            for x in 0..width {
                let (max, place) = plain(x);
                found(x, max, place);
            }
            return;
        }
        for first in (0..width).step_by(step) {
            let len = step.min(width - first);
            self.find_winners(pooling, plane, [z, y], first * stride, len.div_ceil(NR), label);
            let results = self.results.as_flattened().iter().zip(self.labels.as_flattened());
            for (x, (max, found_label)) in (first..first + len).zip(results) {
                if *found_label == NOWHERE {
                    // Nothing but minus infinity, of which the first wins, or nothing at all.
                    let (max, place) = plain(x);
                    found(x, max, place);
                } else {
                    found(x, *max, Some(label.of_lane(pooling, x, *found_label as usize)));
                }
            }
        }
    }

    /// The maxima of so many chunks of outputs and their labels, in the order of the taps: padding is
    /// minus infinity here and never wins.
    #[inline(always)]
    fn find_winners(
        &mut self,
        pooling: &Pooling,
        plane: &[f32],
        [z, y]: [usize; 2],
        from: usize,
        chunks: usize,
        label: Label,
    ) {
        self.columns[..pooling.staged_columns(chunks)].fill(f32::NEG_INFINITY);
        self.results[..chunks].fill([f32::NEG_INFINITY; NR]);
        self.labels[..chunks].fill([NOWHERE; NR]);
        let window = &pooling.window;
        for (tap_row, row) in pooling.window_rows(z, y) {
            self.fold_row(pooling, &plane[row..], from, chunks, |_, v| v);
            let (first, step) = match label {
                Label::Tap => (tap_row * window.kernel[2], 1),
                Label::Offset => (row, window.dilation[2]),
            };
            let labels = [first as u32, step as u32];
            // A stride that is known when this is compiled makes vector code.
            match window.stride[2] {
                1 => self.fold_winners(pooling, 1, chunks, labels),
                2 => self.fold_winners(pooling, 2, chunks, labels),
                stride => self.fold_winners(pooling, stride, chunks, labels),
            }
        }
    }

    #[inline(always)]
    fn fold_winners(&mut self, pooling: &Pooling, stride: usize, chunks: usize, [first, step]: [u32; 2]) {
        let results = self.results.iter_mut().zip(&mut self.labels);
        for (i, (result, labels)) in results.take(chunks).enumerate() {
            let (mut max, mut at) = (*result, *labels);
            let mut label = first;
            for tap in 0..pooling.window.kernel[2] {
                let columns =
                    &self.columns[i * NR * stride + tap * pooling.window.dilation[2]..][..NR * stride];
                for ((max, at), v) in max.iter_mut().zip(&mut at).zip(strided(columns, stride)) {
                    let (larger, wins) = larger(*max, v);
                    (*max, *at) = (larger, label & wins | *at & !wins);
                }
                // Behind the last tap it may wrap: a window of one tap can have any dilation.
                label = label.wrapping_add(step);
            }
            (*result, *labels) = (max, at);
        }
    }
}

/// What names a maximum.
#[derive(Clone, Copy)]
pub(super) enum Label {
    /// Which tap of its window.
    Tap,
    /// Where in its plane.
    Offset,
}

impl Label {
    /// The label of the value at `offset`, seen by the window at `[z, y, x]`.
    #[inline(always)]
    pub(super) fn of(self, pooling: &Pooling, window: [usize; 3], offset: usize) -> usize {
        match self {
            Self::Tap => pooling.tap_of(window, offset),
            Self::Offset => offset,
        }
    }

    /// The label of output `x` from `common`, which its lane holds: the tap itself, or an offset to which the start of the window
    /// in its row is added.
    #[inline(always)]
    fn of_lane(self, pooling: &Pooling, x: usize, common: usize) -> usize {
        match self {
            Self::Tap => common,
            Self::Offset => common + x * pooling.window.stride[2] - pooling.window.padding[2][0],
        }
    }
}

//! Sums of many values: short chains in blocks, and the blocks by pairs, so that rounding errors hardly grow.

use crate::simd::{Lanes, MulAdd, NR};
use core::ops::Range;

/// Chains of a block: tap `k` belongs to chain `k % CHAINS`.
pub(crate) const CHAINS: usize = NR;
/// The most taps of a block: chains of 32 values.
pub(crate) const BLOCK: usize = 32 * CHAINS;
/// Twice as many blocks as a slice can hold values need no more.
const LEVELS: usize = usize::BITS as usize - 1;

/// The sums of `N` windows at once, as a binary counter: level `i` holds the sum of `2^i` blocks wherever bit `i` of
/// their number is set.
pub(crate) struct PairwiseMean<const N: usize> {
    levels: [[f32; N]; LEVELS],
    blocks: usize,
}

impl<const N: usize> PairwiseMean<N> {
    pub(crate) const fn new() -> Self {
        Self { levels: [[0.0; N]; LEVELS], blocks: 0 }
    }

    /// Adds a block to its windows; `plus` adds two vectors.
    #[inline(always)]
    pub(crate) fn add(&mut self, block: [f32; N], plus: impl Fn([f32; N], [f32; N]) -> [f32; N]) {
        let mut sum = block;
        let level = self.blocks.trailing_ones() as usize;
        for earlier in &self.levels[..level] {
            sum = plus(*earlier, sum);
        }
        self.levels[level] = sum;
        self.blocks += 1;
    }

    /// The sums, which begin anew.
    #[inline(always)]
    pub(crate) fn take(&mut self, plus: impl Fn([f32; N], [f32; N]) -> [f32; N]) -> [f32; N] {
        let mut sum = [0.0; N];
        while self.blocks != 0 {
            sum = plus(self.levels[self.blocks.trailing_zeros() as usize], sum);
            self.blocks &= self.blocks - 1;
        }
        sum
    }
}

/// Adds two vectors: a product by one is exact. A loop over the lanes would be one of single values.
#[inline(always)]
pub(crate) fn plus(mul_add: impl MulAdd) -> impl Fn(Lanes, Lanes) -> Lanes + Copy {
    move |a, b| mul_add(1.0, a, b)
}

/// The sums of the chains of a block of sixteen windows, of which at most the first `len` are not zero.
#[inline(always)]
pub(crate) fn sum_of_chains(
    chains: &mut [Lanes; CHAINS],
    len: usize,
    plus: impl Fn(Lanes, Lanes) -> Lanes,
) -> Lanes {
    for half in [8, 4, 2, 1] {
        // To add the zeros of the others would change nothing.
        for i in 0..half.min(len.saturating_sub(half)) {
            chains[i] = plus(chains[i + half], chains[i]);
        }
    }
    chains[0]
}

/// Where the block ends that begins with tap `first` of those that see the input.
#[inline(always)]
pub(crate) fn block_end(first: usize, taps: &Range<usize>) -> usize {
    taps.end.min((first / BLOCK + 1) * BLOCK)
}

impl PairwiseMean<1> {
    /// Adds a row of a window: `taps` see `values[0]`, `values[step]`, ...
    #[inline(always)]
    pub(crate) fn add_row(&mut self, values: &[f32], step: usize, taps: &Range<usize>, mul_add: impl MulAdd) {
        let mut first = taps.start;
        while first < taps.end {
            let end = block_end(first, taps);
            let values = &values[(first - taps.start) * step..];
            let sum = if step == 1 {
                dense_block(values, first, end, plus(mul_add))
            } else {
                block(values, step, first..end)
            };
            self.add([sum], |[a], [b]| [a + b]);
            first = end;
        }
    }
}

/// The sum of a block whose values lie together.
#[inline(always)]
fn dense_block(values: &[f32], first: usize, end: usize, plus: impl Fn(Lanes, Lanes) -> Lanes) -> f32 {
    let mut chains = [0.0; CHAINS];
    // Vectors begin at the first chain.
    let aligned = first.next_multiple_of(CHAINS).min(end);
    let (head, values) = values[..end - first].split_at(aligned - first);
    for (chain, v) in chains.iter_mut().skip(first % CHAINS).zip(head) {
        *chain += v;
    }
    let (vectors, tail) = values.as_chunks::<CHAINS>();
    for vector in vectors {
        chains = plus(*vector, chains);
    }
    chains.iter_mut().zip(tail).for_each(|(chain, v)| *chain += v);
    sum_by_halves(chains)
}

/// The sum of a block whose values lie `step` apart.
#[inline(always)]
fn block(values: &[f32], step: usize, taps: Range<usize>) -> f32 {
    let mut chains = [0.0; CHAINS];
    for (tap, v) in taps.zip(values.iter().step_by(step)) {
        chains[tap % CHAINS] += v;
    }
    sum_by_halves(chains)
}

#[inline(always)]
fn sum_by_halves(mut chains: [f32; CHAINS]) -> f32 {
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            chains[i] += chains[i + half];
        }
    }
    chains[0]
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    const PLUS: fn([f32; 1], [f32; 1]) -> [f32; 1] = |[a], [b]| [a + b];

    fn multiply_add(a: f32, b: Lanes, c: Lanes) -> Lanes {
        core::array::from_fn(|i| a * b[i] + c[i])
    }
    use std::vec::Vec;

    /// The order that is documented, by recursion.
    fn by_pairs(blocks: &[f32]) -> f32 {
        match blocks {
            [] => 0.0,
            [block] => *block,
            _ => {
                // The largest power of two that leaves something.
                let half = blocks.len().next_power_of_two() / 2;
                by_pairs(&blocks[..half]) + by_pairs(&blocks[half..])
            }
        }
    }

    fn block(values: &[f32]) -> f32 {
        let mut chains: [f32; 16] =
            core::array::from_fn(|i| values.iter().skip(i).step_by(16).fold(0.0, |sum, v| sum + v));
        for half in [8, 4, 2, 1] {
            (0..half).for_each(|i| chains[i] += chains[i + half]);
        }
        chains[0]
    }

    #[test]
    fn rows_are_added_in_the_order_that_is_documented() {
        for len in [0, 1, 15, 16, 17, 40, 511, 512, 513, 1024, 1500, 5000, 9000] {
            let values: Vec<f32> = (0..len).map(|i| 1.0 / (1 + i * 7919 % 61) as f32).collect();
            let blocks: Vec<f32> = values.chunks(512).map(block).collect();
            let mut pairs = PairwiseMean::new();
            // What the first taps see is padding, which counts as zeros.
            for seen in [0, 3, 16, 700] {
                let seen = seen.min(len);
                let mut padded = values.clone();
                padded[..seen].fill(0.0);
                pairs.add_row(&values[seen..], 1, &(seen..len), multiply_add);
                let spread: Vec<f32> = values[seen..].iter().flat_map(|v| [*v, 1e9, f32::NAN]).collect();
                let sum = pairs.take(PLUS)[0];
                pairs.add_row(&spread, 3, &(seen..len), multiply_add);
                assert_eq!(pairs.take(PLUS)[0], sum);
                let blocks: Vec<f32> = padded.chunks(512).skip(seen / 512).map(block).collect();
                assert_eq!(sum, by_pairs(&blocks), "{len} {seen}");
            }
            // Rows one after the other, all windows of a vector alike.
            let (mut rows, mut vectors) = (PairwiseMean::new(), PairwiseMean::<NR>::new());
            for block in &blocks {
                rows.add([*block], PLUS);
                vectors.add([*block; NR], plus(multiply_add));
            }
            let sum = rows.take(PLUS)[0];
            assert_eq!((sum, vectors.take(plus(multiply_add))), (by_pairs(&blocks), [sum; NR]));
        }
    }

    #[test]
    fn chains_without_values_may_be_left_out() {
        for len in 0..=16 {
            let chains: [Lanes; CHAINS] =
                core::array::from_fn(|i| if i < len { [1.0 / (i + 1) as f32; NR] } else { [0.0; NR] });
            let sum = |most| sum_of_chains(&mut { chains }, most, plus(multiply_add));
            assert_eq!(sum(len), sum(CHAINS), "{len}");
        }
    }
}

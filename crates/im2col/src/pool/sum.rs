//! Sums of many values: short chains in blocks, and the blocks by pairs, so that rounding errors hardly grow.

use crate::kernel::NR;
use core::ops::Range;

/// Chains of a block: tap `k` belongs to chain `k % CHAINS`.
pub(crate) const CHAINS: usize = NR;
/// The most taps of a block: chains of 32 values.
pub(crate) const BLOCK: usize = 32 * CHAINS;
/// Twice as many blocks as a slice can hold values need no more.
const LEVELS: usize = usize::BITS as usize - 1;

/// The sums of `N` windows at once, as a binary counter: level `i` holds the sum of `2^i` blocks wherever bit `i` of
/// their number is set.
pub(crate) struct Pairs<const N: usize> {
    levels: [[f32; N]; LEVELS],
    blocks: usize,
}

impl<const N: usize> Pairs<N> {
    pub(crate) const fn new() -> Self {
        Self { levels: [[0.0; N]; LEVELS], blocks: 0 }
    }

    /// Adds a block to its windows.
    #[inline(always)]
    pub(crate) fn add(&mut self, block: [f32; N]) {
        let mut sum = block;
        let level = self.blocks.trailing_ones() as usize;
        for earlier in &self.levels[..level] {
            add_to(&mut sum, earlier);
        }
        self.levels[level] = sum;
        self.blocks += 1;
    }

    /// The sums, which begin anew.
    #[inline(always)]
    pub(crate) fn take(&mut self) -> [f32; N] {
        let mut sum = [0.0; N];
        while self.blocks != 0 {
            add_to(&mut sum, &self.levels[self.blocks.trailing_zeros() as usize]);
            self.blocks &= self.blocks - 1;
        }
        sum
    }
}

/// The sum of the chains of a block, of which at most the first `len` are not zero.
#[inline(always)]
pub(crate) fn sum_of_chains<const N: usize>(mut chains: [[f32; N]; CHAINS], len: usize) -> [f32; N] {
    for half in [8, 4, 2, 1] {
        let (lower, upper) = chains.split_at_mut(half);
        // To add the zeros of the others would change nothing.
        for (sum, chain) in lower.iter_mut().zip(&*upper).take(len.saturating_sub(half)) {
            add_to(sum, chain);
        }
    }
    chains[0]
}

#[inline(always)]
fn add_to<const N: usize>(sum: &mut [f32; N], other: &[f32; N]) {
    for i in 0..N {
        sum[i] += other[i];
    }
}

/// Calls `block(taps)` for each block of the taps of a row that see the input.
#[inline(always)]
pub(crate) fn for_each_block(taps: &Range<usize>, mut block: impl FnMut(Range<usize>)) {
    let mut first = taps.start;
    while first < taps.end {
        let end = taps.end.min((first / BLOCK + 1) * BLOCK);
        block(first..end);
        first = end;
    }
}

impl Pairs<1> {
    /// Adds a row of a window: `taps` see `values[0]`, `values[step]`, ...
    #[inline(always)]
    pub(crate) fn add_row(&mut self, values: &[f32], step: usize, taps: &Range<usize>) {
        for_each_block(taps, |block| {
            let mut chains = [0.0; CHAINS];
            let first = (block.start - taps.start) * step;
            // Vectors begin at the first chain.
            let aligned = block.start.next_multiple_of(CHAINS).min(block.end);
            if step == 1 {
                let (head, values) = values[first..][..block.len()].split_at(aligned - block.start);
                for (chain, v) in chains.iter_mut().skip(block.start % CHAINS).zip(head) {
                    *chain += v;
                }
                let (vectors, tail) = values.as_chunks::<CHAINS>();
                for vector in vectors {
                    add_to(&mut chains, vector);
                }
                chains.iter_mut().zip(tail).for_each(|(chain, v)| *chain += v);
            } else {
                for (tap, v) in block.zip(values[first..].iter().step_by(step)) {
                    chains[tap % CHAINS] += v;
                }
            }
            for half in [8, 4, 2, 1] {
                for i in 0..half {
                    chains[i] += chains[i + half];
                }
            }
            self.add([chains[0]]);
        });
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
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
            let mut pairs = Pairs::new();
            // What the first taps see is padding, which counts as zeros.
            for seen in [0, 3, 16, 700] {
                let seen = seen.min(len);
                let mut padded = values.clone();
                padded[..seen].fill(0.0);
                pairs.add_row(&values[seen..], 1, &(seen..len));
                let spread: Vec<f32> = values[seen..].iter().flat_map(|v| [*v, 1e9, f32::NAN]).collect();
                let sum = pairs.take()[0];
                pairs.add_row(&spread, 3, &(seen..len));
                assert_eq!(pairs.take()[0], sum);
                let blocks: Vec<f32> = padded.chunks(512).skip(seen / 512).map(block).collect();
                assert_eq!(sum, by_pairs(&blocks), "{len} {seen}");
            }
            // Rows one after the other, all windows of a vector alike.
            let (mut rows, mut vectors) = (Pairs::new(), Pairs::<3>::new());
            for block in &blocks {
                rows.add([*block]);
                vectors.add([*block; 3]);
            }
            let sum = rows.take()[0];
            assert_eq!((sum, vectors.take()), (by_pairs(&blocks), [sum; 3]));
        }
    }

    #[test]
    fn chains_without_values_may_be_left_out() {
        for len in 0..=16 {
            let chains: [[f32; 2]; CHAINS] =
                core::array::from_fn(|i| if i < len { [1.0 / (i + 1) as f32, i as f32] } else { [0.0; 2] });
            assert_eq!(sum_of_chains(chains, len), sum_of_chains(chains, CHAINS), "{len}");
        }
    }
}

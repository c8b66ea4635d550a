//! Products at all points: at each a pointwise convolution whose positions are tiles.

use super::tiling::{POINTS, sums_stride};
use crate::conv::channel_lanes::{Block, BlockTiles, Field, PANELS_AT_ONCE, PairBuffer, PositionPairs, Sums};
use crate::gemm::Panels;
use crate::simd::{Kernel, Lanes, MulAdd, NR, Vectors};

/// Computes the sums of up to two panels of output channels: `[point][tile][panel][lane]`.
pub(in crate::conv) struct MultiplyPoints<'a> {
    /// The transformed inputs, `[point][tile][channel]`.
    pub(in crate::conv) values: &'a [Lanes],
    /// Vectors from a tile to the next.
    pub(in crate::conv) stride: usize,
    pub(in crate::conv) tiles: usize,
    /// Input channels.
    pub(in crate::conv) depth: usize,
    /// The transformed weights, panels of `[point][channel][lane]`.
    pub(in crate::conv) weights: Panels<'a, NR>,
    pub(in crate::conv) panels: usize,
    pub(in crate::conv) sums: &'a mut [Lanes],
}

impl Kernel for MultiplyPoints<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        mul_add: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { values, stride, tiles, depth, weights, panels, sums } = self;
        let block = Block { images: 1, positions: [1, 1, tiles] };
        let field = Field { image: 0, channel: 1, tap: [0; 3], position: [0, 0, stride * NR] };
        let values = values[..POINTS * tiles * stride].as_flattened();
        let first = BlockTiles { field, values, block: &block, kernel: [1; 3], channels: depth };
        let (mut all, mut pairs, mut done) = (PositionPairs::new(&block, field), PairBuffer::new(), 0);
        // The pairs of tiles are those of every point.
        while done < tiles {
            let (count, end) = all.take(0, sums_stride(tiles) - 1, &mut pairs);
            let sums = sums.chunks_exact_mut(sums_stride(tiles) * PANELS_AT_ONCE);
            for (point, sums) in sums.enumerate().take(POINTS) {
                let values = &values[point * tiles * stride * NR..];
                let points = BlockTiles { values, ..first };
                let weights = weights.rows(point * depth..(point + 1) * depth);
                let sums = Sums { waiting: sums.as_flattened_mut(), output: None };
                points.multiply::<PAIRS, PANELS>(weights, panels, (&pairs, count), all.step, sums, mul_add);
            }
            done = end;
        }
    }
}

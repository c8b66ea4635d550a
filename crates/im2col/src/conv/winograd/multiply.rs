//! The microkernel: products at all points.

use super::{POINTS, sums_stride};
use crate::conv::broadcast::PANELS_AT_ONCE;
use crate::gemm::Panels;
use crate::kernel::{Job, Lanes, MulAdd, NR, Transpose};

/// Computes the sums of up to two panels of output channels: `[point][tile][panel][lane]`.
pub(super) struct Multiply<'a> {
    /// The transformed inputs, `[point][tile][channel]`.
    pub(super) values: &'a [Lanes],
    /// Vectors from a tile to the next.
    pub(super) stride: usize,
    pub(super) tiles: usize,
    /// Input channels.
    pub(super) depth: usize,
    /// The transformed weights, panels of `[point][channel][lane]`.
    pub(super) weights: Panels<'a, NR>,
    pub(super) panels: usize,
    pub(super) sums: &'a mut [Lanes],
}

impl Job for Multiply<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        mul_add: impl MulAdd,
        _: impl Transpose,
    ) {
        let Self { values, stride, tiles, depth, weights, panels, sums } = self;
        let mut sums = sums.chunks_exact_mut(sums_stride(tiles) * PANELS_AT_ONCE);
        for point in 0..POINTS {
            let Some(sums) = sums.next() else { return };
            let values = values[point * tiles * stride..][..tiles * stride].as_flattened();
            let points = Point { values, stride: stride * NR, tiles, depth };
            let weights = weights.rows(point * depth..(point + 1) * depth);
            let mut panel = 0;
            while panel < panels {
                if panel + PANELS <= panels {
                    points.multiply::<PAIRS, PANELS>(weights, panel, sums, mul_add);
                    panel += PANELS;
                } else {
                    points.multiply::<PAIRS, 1>(weights, panel, sums, mul_add);
                    panel += 1;
                }
            }
        }
    }
}

/// The transformed inputs at a point.
struct Point<'a> {
    values: &'a [f32],
    stride: usize,
    tiles: usize,
    depth: usize,
}

impl Point<'_> {
    /// All tiles: as many as fit into the registers at a time, and fewer at the end.
    #[inline(always)]
    fn multiply<const PAIRS: usize, const PANELS: usize>(
        &self,
        weights: Panels<'_, NR>,
        panel: usize,
        sums: &mut [Lanes],
        mul_add: impl MulAdd,
    ) {
        let mut panels: [&[Lanes]; PANELS] = [&[]; PANELS];
        for (i, weights_of) in panels.iter_mut().enumerate() {
            *weights_of = weights.panel(panel + i);
        }
        let mut first = 0;
        while first < self.tiles {
            let left = self.tiles - first;
            if PAIRS > 2 && left <= 4 {
                self.sums::<2, PANELS>(&panels, panel, first, sums, mul_add);
                first += 4;
            } else if PAIRS > 4 && (left <= 8 || left == 15 || left == 16) {
                self.sums::<4, PANELS>(&panels, panel, first, sums, mul_add);
                first += 8;
            } else {
                self.sums::<PAIRS, PANELS>(&panels, panel, first, sums, mul_add);
                first += 2 * PAIRS;
            }
        }
    }

    /// The sums of `PAIRS` pairs of tiles; those beyond the last tile are the last ones once more.
    #[inline(always)]
    #[allow(
        clippy::needless_range_loop,
        clippy::manual_memcpy,
        reason = "loops over indices are unrolled into registers"
    )]
    fn sums<const PAIRS: usize, const PANELS: usize>(
        &self,
        weights: &[&[Lanes]; PANELS],
        panel: usize,
        first: usize,
        to: &mut [Lanes],
        mul_add: impl MulAdd,
    ) {
        let Self { stride, tiles, depth, .. } = *self;
        // From a tile of a pair to the other; a single tile is a pair of itself.
        let second = usize::from(tiles > 1);
        let step = second * stride;
        let extent = step + depth;
        let mut places = [0; PAIRS];
        let mut values: [&[f32]; PAIRS] = [&[]; PAIRS];
        for i in 0..PAIRS {
            places[i] = (first + 2 * i).min(tiles - 1 - second);
            values[i] = &self.values[places[i] * stride..][..extent];
        }
        let mut panels: [&[Lanes]; PANELS] = [&[]; PANELS];
        for i in 0..PANELS {
            panels[i] = &weights[i][..depth];
        }
        let mut sums = [[[[0.0; NR]; PANELS]; 2]; PAIRS];
        for k in 0..depth {
            let other = k + step;
            if k >= extent || other >= extent {
                break;
            }
            let mut weights = [[0.0; NR]; PANELS];
            for i in 0..PANELS {
                weights[i] = panels[i][k];
            }
            for i in 0..PAIRS {
                let (first, second) = (values[i][k], values[i][other]);
                for j in 0..PANELS {
                    sums[i][0][j] = mul_add(first, weights[j], sums[i][0][j]);
                }
                for j in 0..PANELS {
                    sums[i][1][j] = mul_add(second, weights[j], sums[i][1][j]);
                }
            }
        }
        for i in 0..PAIRS {
            for half in 0..2 {
                let to = &mut to[(places[i] + half * second) * PANELS_AT_ONCE + panel..][..PANELS];
                for j in 0..PANELS {
                    to[j] = sums[i][half][j];
                }
            }
        }
    }
}

//! The microkernel whose lanes are output channels.

use super::block::{Block, Field, MOST_PRODUCTS, PANELS_AT_ONCE, most_products};
use super::pairs::PairBuffer;
use crate::gemm::{Panels, blocks};
use crate::simd::{Kernel, Lanes, MulAdd, NR, Vectors};

/// A block, ready to be multiplied by panels of weights.
pub(in crate::conv) struct BlockTiles<'a> {
    pub(in crate::conv) field: Field,
    pub(in crate::conv) values: &'a [f32],
    pub(in crate::conv) block: &'a Block,
    pub(in crate::conv) kernel: [usize; 3],
    pub(in crate::conv) channels: usize,
}

/// Computes the sums of up to two panels of channels at pairs of positions.
pub(in crate::conv) struct ComputeSums<'a> {
    pub(in crate::conv) tiles: &'a BlockTiles<'a>,
    pub(in crate::conv) weights: Panels<'a, NR>,
    pub(in crate::conv) panels: usize,
    pub(in crate::conv) pairs: &'a PairBuffer,
    pub(in crate::conv) count: usize,
    /// How far apart the values of both positions of a pair lie.
    pub(in crate::conv) step: usize,
    pub(in crate::conv) sums: Sums<'a>,
}

/// Where sums stand: in a buffer, `[place][panel][lane]`, and with their last products in the output, if that is given.
pub(in crate::conv) struct Sums<'a> {
    pub(in crate::conv) waiting: &'a mut [f32],
    /// The output from the first place and channel on, and how far apart its places lie; what lies behind its end is not stored.
    pub(in crate::conv) output: Option<(&'a mut [f32], usize)>,
}

impl Sums<'_> {
    #[inline(always)]
    fn at<const PANELS: usize>(
        &mut self,
        place: u16,
        panel: usize,
        is_last: bool,
    ) -> Option<&mut [Lanes; PANELS]> {
        let (values, stride) = match &mut self.output {
            Some((values, stride)) if is_last => (&mut **values, *stride),
            _ => (&mut *self.waiting, PANELS_AT_ONCE * NR),
        };
        values.get_mut(place as usize * stride + panel * NR..)?.as_chunks_mut().0.first_chunk_mut()
    }
}

impl Kernel for ComputeSums<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        mul_add: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { tiles, weights, panels, pairs, count, step, sums } = self;
        tiles.multiply::<PAIRS, PANELS>(weights, panels, (pairs, count), step, sums, mul_add);
    }
}

impl BlockTiles<'_> {
    /// Computes the sums of up to two panels at `count` pairs, whose positions lie `step` apart, a block of products after the
    /// other.
    #[inline(always)]
    pub(in crate::conv) fn multiply<const PAIRS: usize, const PANELS: usize>(
        &self,
        weights: Panels<'_, NR>,
        panels: usize,
        (pairs, count): (&PairBuffer, usize),
        step: usize,
        mut sums: Sums<'_>,
        mul_add: impl MulAdd,
    ) {
        let depth = self.channels * self.kernel.iter().product::<usize>();
        let mut offsets = [0; MOST_PRODUCTS];
        let extent = self.extent(step);
        let most = most_products(self.kernel[2] > 1 || self.field.channel == 1, PANELS);
        for k in blocks(depth, depth.div_ceil(depth.div_ceil(most))) {
            let offsets = &mut offsets[..k.len()];
            self.offsets(k.start, offsets);
            let weights = weights.rows(k.clone());
            let (is_first, is_last) = (k.start == 0, k.end == depth);
            let block = Products { weights, offsets, step, extent, is_first, is_last };
            let mut panel = 0;
            while panel < panels {
                if panel + PANELS <= panels {
                    self.add_tiles::<PAIRS, PANELS>(&block, panel, (pairs, count), &mut sums, mul_add);
                    panel += PANELS;
                } else {
                    self.add_tiles::<PAIRS, 1>(&block, panel, (pairs, count), &mut sums, mul_add);
                    panel += 1;
                }
            }
        }
    }

    /// How many values lie from the first to the last one that a pair of positions, `step` apart, sees.
    #[inline(always)]
    fn extent(&self, step: usize) -> usize {
        let Field { channel, tap, .. } = self.field;
        let [planes, lines, width] = self.kernel;
        let last_tap = (planes - 1) * tap[0] + (lines - 1) * tap[1] + (width - 1) * tap[2];
        (self.channels - 1) * channel + last_tap + step + 1
    }

    /// How far behind the value of tap 0 the values of the products from `first` on lie.
    ///
    /// By additions alone: multiplying coordinates by steps took up to 7 % of a layer of few positions. The first
    /// channel goes tap by tap.
    #[inline(always)]
    fn offsets(&self, first: usize, offsets: &mut [usize]) {
        let ([planes, lines, width], Field { channel, tap, .. }) = (self.kernel, self.field);
        let [mut z, mut y, mut x] = [first / width / lines % planes, first / width % lines, first % width];
        // Wrapping: see `Field::input`.
        let mut of_channel = first / width / lines / planes * channel;
        let mut of_plane = of_channel.wrapping_add(z.wrapping_mul(tap[0]));
        let mut of_line = of_plane.wrapping_add(y.wrapping_mul(tap[1]));
        let mut at = of_line.wrapping_add(x.wrapping_mul(tap[2]));
        let taps = planes * lines * width;
        for offset in offsets.iter_mut().take(taps) {
            *offset = at;
            (at, x) = (at.wrapping_add(tap[2]), x + 1);
            if x == width {
                (of_line, x, y) = (of_line.wrapping_add(tap[1]), 0, y + 1);
                if y == lines {
                    (of_plane, y, z) = (of_plane.wrapping_add(tap[0]), 0, z + 1);
                    if z == planes {
                        (of_channel, z) = (of_channel.wrapping_add(channel), 0);
                        of_plane = of_channel;
                    }
                    of_line = of_plane;
                }
                at = of_line;
            }
        }
        // Then as many again as are found already.
        let (mut found, mut apart) = (taps, channel);
        while found < offsets.len() {
            let (known, others) = offsets.split_at_mut(found);
            others.iter_mut().zip(known).for_each(|(other, known)| *other = known.wrapping_add(apart));
            (found, apart) = (2 * found, apart.wrapping_mul(2));
        }
    }

    /// Adds a block of products to the sums of `PANELS` panels from `panel` on. The remainder is smaller than a tile;
    /// smaller tiles waste less on it.
    #[inline(always)]
    fn add_tiles<const PAIRS: usize, const PANELS: usize>(
        &self,
        block: &Products<'_>,
        panel: usize,
        (pairs, count): (&PairBuffer, usize),
        sums: &mut Sums<'_>,
        mul_add: impl MulAdd,
    ) {
        let mut panels: [&[Lanes]; PANELS] = [&[]; PANELS];
        for (i, weights) in panels.iter_mut().enumerate() {
            *weights = block.weights.panel(panel + i);
        }
        let mut done = 0;
        while done < count {
            done += match count - done {
                1 | 2 if PAIRS > 2 => {
                    self.add_tile::<2, PANELS>(block, &panels, panel, (pairs, done), sums, mul_add)
                }
                3 | 4 | 8 if PAIRS > 4 => {
                    self.add_tile::<4, PANELS>(block, &panels, panel, (pairs, done), sums, mul_add)
                }
                _ => self.add_tile::<PAIRS, PANELS>(block, &panels, panel, (pairs, done), sums, mul_add),
            };
        }
    }

    /// Adds a block of products to the sums of `PAIRS` pairs, from pair `done` on, and returns `PAIRS`.
    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "loops over indices are unrolled into registers")]
    fn add_tile<const PAIRS: usize, const PANELS: usize>(
        &self,
        block: &Products<'_>,
        panels: &[&[Lanes]; PANELS],
        panel: usize,
        (pairs, done): (&PairBuffer, usize),
        buffer: &mut Sums<'_>,
        mul_add: impl MulAdd,
    ) -> usize {
        let (Some(starts), Some(places)) =
            (pairs.starts[done..].first_chunk::<PAIRS>(), pairs.places[done..].first_chunk::<PAIRS>())
        else {
            debug_assert!(false, "a tile beyond the last pairs");
            return PAIRS;
        };
        let mut sums = [[[[0.0; NR]; PANELS]; 2]; PAIRS];
        if !block.is_first {
            for i in 0..PAIRS {
                for j in 0..2 {
                    if let Some(waiting) = buffer.at(places[i][j], panel, false) {
                        sums[i][j] = *waiting;
                    }
                }
            }
        }
        let sums = self.add_products::<PAIRS, PANELS>(block, panels, starts, sums, mul_add);
        for i in 0..PAIRS {
            for j in 0..2 {
                if let Some(place) = buffer.at(places[i][j], panel, block.is_last) {
                    *place = sums[i][j];
                }
            }
        }
        PAIRS
    }

    /// The microkernel: adds a block of products to the sums of `PANELS` vectors of channels at `PAIRS` pairs of
    /// positions.
    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "loops over indices are unrolled into registers")]
    fn add_products<const PAIRS: usize, const PANELS: usize>(
        &self,
        block: &Products<'_>,
        weights: &[&[Lanes]; PANELS],
        starts: &[usize; PAIRS],
        mut sums: [[[Lanes; PANELS]; 2]; PAIRS],
        mul_add: impl MulAdd,
    ) -> [[[Lanes; PANELS]; 2]; PAIRS] {
        let Products { offsets, step, extent, .. } = *block;
        let mut values: [&[f32]; PAIRS] = [&[]; PAIRS];
        for (values, start) in values.iter_mut().zip(starts) {
            *values = &self.values[*start..][..extent];
        }
        let mut panels: [&[Lanes]; PANELS] = [&[]; PANELS];
        for (panel, weights) in panels.iter_mut().zip(weights) {
            *panel = &weights[..offsets.len()];
        }
        for (k, (place, weight)) in offsets.iter().copied().zip(panels[0]).enumerate() {
            let other = place.wrapping_add(step);
            // Unreachable. It moves the bounds checks out of the loop.
            if place >= extent || other >= extent {
                debug_assert!(false, "a sum without its last products");
                break;
            }
            let mut weights = [*weight; PANELS];
            for i in 1..PANELS {
                weights[i] = panels[i][k];
            }
            for i in 0..PAIRS {
                let (first, second) = (values[i][place], values[i][other]);
                for j in 0..PANELS {
                    sums[i][0][j] = mul_add(first, weights[j], sums[i][0][j]);
                }
                for j in 0..PANELS {
                    sums[i][1][j] = mul_add(second, weights[j], sums[i][1][j]);
                }
            }
        }
        sums
    }
}

/// A block of the products of all sums.
struct Products<'a> {
    /// Those of the block, of all panels.
    weights: Panels<'a, NR>,
    /// Where the block's products read.
    offsets: &'a [usize],
    /// How far apart the values of both positions of a pair lie.
    step: usize,
    /// What a pair sees lies in as many values, so one check a product is enough.
    extent: usize,
    /// Whether sums begin with it, and whether they end with it.
    is_first: bool,
    is_last: bool,
}

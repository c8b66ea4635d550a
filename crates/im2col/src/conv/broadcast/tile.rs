//! The microkernel, and the walk over the positions of a block.

use super::PANELS_AT_ONCE;
use super::block::{Block, Field};
use crate::gemm::Panels;
use crate::kernel::{Job, Lanes, MulAdd, NR, Vectors};

/// A block, ready to be multiplied by panels of weights.
pub(in super::super) struct Tiles<'a> {
    pub(in super::super) field: Field,
    pub(in super::super) values: &'a [f32],
    pub(in super::super) block: &'a Block,
    pub(in super::super) kernel: [usize; 3],
    pub(in super::super) channels: usize,
}

/// Walks the positions of a block in pairs. In a line of odd length the last pair overlaps the one
/// before it; a line of one position is a pair of the same one twice.
#[derive(Clone, Copy)]
pub(in super::super) struct Walk {
    /// Pairs to come.
    left: usize,
    image: usize,
    at: [usize; 3],
    /// Of the line's first position: what tap 0 reads, and its place in the output.
    start: usize,
    place: usize,
}

impl Tiles<'_> {
    #[inline(always)]
    pub(in super::super) fn walk(&self) -> Walk {
        let Block { images, positions: [planes, lines, width] } = *self.block;
        let left = images * planes * lines * width.div_ceil(2);
        Walk { left, image: 0, at: [0; 3], start: 0, place: 0 }
    }

    #[inline(always)]
    fn step(&self, walk: &mut Walk) {
        let [planes, lines, width] = self.block.positions;
        walk.left -= 1;
        walk.at[2] += 2;
        if walk.at[2] < width {
            return;
        }
        walk.at[2] = 0;
        walk.place += width;
        walk.at[1] += 1;
        if walk.at[1] == lines {
            walk.at[1] = 0;
            walk.at[0] += 1;
            if walk.at[0] == planes {
                walk.at[0] = 0;
                walk.image += 1;
            }
        }
        walk.start = self.field.at(walk.image, walk.at);
    }
}

/// Computes the sums of a strip: `[position][panel][lane]`.
pub(super) struct Multiply<'a> {
    pub(super) tiles: &'a Tiles<'a>,
    pub(super) weights: Panels<'a, NR>,
    pub(super) panels: usize,
    pub(super) walk: &'a mut Walk,
    /// The place of the strip's first position, after one to spare.
    pub(super) first: usize,
    /// The place after the strip's last position.
    pub(super) end: &'a mut usize,
    pub(super) strip: &'a mut [Lanes],
}

impl Job for Multiply<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        mul_add: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { tiles, weights, panels, walk, first, end, strip } = self;
        let start = *walk;
        let mut panel = 0;
        while panel < panels {
            *walk = start;
            if panel + PANELS <= panels {
                *end = tiles.fill::<PAIRS, PANELS>(weights, panel, walk, first, strip, mul_add);
                panel += PANELS;
            } else {
                *end = tiles.fill::<PAIRS, 1>(weights, panel, walk, first, strip, mul_add);
                panel += 1;
            }
        }
    }
}

impl Tiles<'_> {
    /// Computes sums of `PANELS` panels from `panel` on as long as the strip, whose first position after one
    /// to spare is at place `first`, has room; the place after the last of them.
    ///
    /// The last pairs are fewer than a tile has: smaller tiles compute less in vain.
    #[inline(always)]
    pub(in super::super) fn fill<const PAIRS: usize, const PANELS: usize>(
        &self,
        weights: Panels<'_, NR>,
        panel: usize,
        walk: &mut Walk,
        first: usize,
        strip: &mut [Lanes],
        mul_add: impl MulAdd,
    ) -> usize {
        let mut panels: [&[Lanes]; PANELS] = [&[]; PANELS];
        for (i, weights_of) in panels.iter_mut().enumerate() {
            *weights_of = weights.panel(panel + i);
        }
        let end = first + strip.len() / PANELS_AT_ONCE - 1;
        let mut place = walk.place + walk.at[2];
        while walk.left > 0 && place + 2 * PAIRS.min(walk.left) <= end {
            let to = (&mut *strip, panel, first);
            place = match walk.left {
                1 | 2 if PAIRS > 2 => self.tile::<2, PANELS>(&panels, walk, to, mul_add),
                3 | 4 | 8 if PAIRS > 4 => self.tile::<4, PANELS>(&panels, walk, to, mul_add),
                _ => self.tile::<PAIRS, PANELS>(&panels, walk, to, mul_add),
            };
        }
        place
    }

    /// Computes the next `PAIRS` pairs; beyond the end the last one again. The place after them.
    #[inline(always)]
    fn tile<const PAIRS: usize, const PANELS: usize>(
        &self,
        panels: &[&[Lanes]; PANELS],
        walk: &mut Walk,
        (strip, panel, first): (&mut [Lanes], usize, usize),
        mul_add: impl MulAdd,
    ) -> usize {
        let [_, _, width] = self.block.positions;
        // From a position of a pair to the other.
        let second = usize::from(width > 1);
        let step = self.field.position[2];
        let (mut start, mut place) = (0, 0);
        let (mut starts, mut places) = ([0; PAIRS], [0; PAIRS]);
        for i in 0..PAIRS {
            if walk.left > 0 {
                let x = walk.at[2].min(width - 1 - second);
                // Wrapping: see `Field::input`.
                start = walk.start.wrapping_add(x.wrapping_mul(step));
                place = walk.place + x;
                self.step(walk);
            }
            (starts[i], places[i]) = (start, place);
        }
        let sums = self.sums::<PAIRS, PANELS>(panels, &starts, second * step, mul_add);
        for i in 0..PAIRS {
            for (sums, place) in sums[i].iter().zip([places[i], places[i] + second]) {
                let to = &mut strip[(place + 1 - first) * PANELS_AT_ONCE + panel..][..PANELS];
                to.copy_from_slice(sums);
            }
        }
        place + second + 1
    }

    /// The microkernel: the sums of `PANELS` vectors of channels at `PAIRS` pairs of positions.
    ///
    /// One loop over all products, with the place of the next tap computed by counting: around an inner
    /// loop the compiler would keep the sums in memory.
    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "loops over indices are unrolled into registers")]
    fn sums<const PAIRS: usize, const PANELS: usize>(
        &self,
        weights: &[&[Lanes]; PANELS],
        starts: &[usize; PAIRS],
        step: usize,
        mul_add: impl MulAdd,
    ) -> [[[Lanes; PANELS]; 2]; PAIRS] {
        let Field { channel, tap, .. } = self.field;
        let [planes, lines, width] = self.kernel;
        let next_line = tap[1].wrapping_sub(width.wrapping_mul(tap[2]));
        let next_plane = tap[0].wrapping_sub(lines.wrapping_mul(tap[1]));
        let next_channel = channel.wrapping_sub(planes.wrapping_mul(tap[0]));
        // What a pair sees lies in as many values for each of them, so one check a tap is enough.
        let last_tap = (planes - 1) * tap[0] + (lines - 1) * tap[1] + (width - 1) * tap[2];
        let extent = (self.channels - 1) * channel + last_tap + step + 1;
        let mut values: [&[f32]; PAIRS] = [&[]; PAIRS];
        for (values, start) in values.iter_mut().zip(starts) {
            *values = &self.values[*start..][..extent];
        }
        let depth = weights[0].len();
        let mut panels: [&[Lanes]; PANELS] = [&[]; PANELS];
        for (panel, weights) in panels.iter_mut().zip(weights) {
            *panel = &weights[..depth];
        }
        let mut sums = [[[[0.0; NR]; PANELS]; 2]; PAIRS];
        let (mut place, mut at) = (0_usize, [0_usize; 3]);
        let mut products = 0;
        for k in 0..depth {
            let other = place.wrapping_add(step);
            // Never so, but what the compiler does not know it would check for each value.
            if place >= extent || other >= extent {
                break;
            }
            let mut weights = [[0.0; NR]; PANELS];
            for i in 0..PANELS {
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
            products += 1;
            place = place.wrapping_add(tap[2]);
            at[2] += 1;
            if at[2] == width {
                at[2] = 0;
                place = place.wrapping_add(next_line);
                at[1] += 1;
                if at[1] == lines {
                    at[1] = 0;
                    place = place.wrapping_add(next_plane);
                    at[0] += 1;
                    if at[0] == planes {
                        at[0] = 0;
                        place = place.wrapping_add(next_channel);
                    }
                }
            }
        }
        debug_assert_eq!(products, self.channels * planes * lines * width, "a sum without its last products");
        sums
    }
}

//! Maxima and sums over the class axis of `[batch, classes, positions]`.

use crate::math;
use crate::simd::NR;
use crate::sum::Pairwise;

/// Sixteen classes at `W` neighbouring positions. `W` is 1 where each image has one position: the lanes of a vector
/// are classes then. Otherwise it is 16, and they are positions.
pub(super) type Group<const W: usize> = [[f32; W]; NR];

/// How many groups of classes are added one after the other.
const BLOCK: usize = 16;

/// The sizes of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Axis {
    pub(super) classes: usize,
    pub(super) positions: usize,
}

/// All classes at `width` neighbouring positions of an image.
#[derive(Clone, Copy)]
pub(super) struct RowTile {
    /// Where the first class of the first position is.
    pub(super) start: usize,
    /// The first position, counted over all images.
    pub(super) row: usize,
    pub(super) width: usize,
}

impl Axis {
    /// The tiles of so many values, which are a whole number of images.
    #[inline(always)]
    pub(super) fn tiles<const W: usize>(self, len: usize) -> impl Iterator<Item = RowTile> {
        let Self { classes, positions } = self;
        let images = len.checked_div(classes.saturating_mul(positions)).unwrap_or(0);
        (0..images).flat_map(move |image| {
            (0..positions).step_by(W).map(move |position| RowTile {
                start: image * classes * positions + position,
                row: image * positions + position,
                width: W.min(positions - position),
            })
        })
    }

    /// The first class of each group.
    #[inline(always)]
    pub(super) fn groups(self) -> impl Iterator<Item = usize> {
        (0..self.classes).step_by(NR)
    }

    /// How many rows of a group hold classes: all of them where they are the lanes of one vector.
    #[inline(always)]
    pub(super) fn rows<const W: usize>(self, first: usize) -> usize {
        if W == 1 { NR } else { NR.min(self.classes - first) }
    }

    /// The group that begins with the class `first`; `fill` where there are no more classes or positions.
    #[inline(always)]
    pub(super) fn load<const W: usize>(
        self,
        values: &[f32],
        tile: RowTile,
        first: usize,
        fill: f32,
    ) -> Group<W> {
        let mut group = [[fill; W]; NR];
        let classes = NR.min(self.classes - first);
        if W == 1 {
            let values = &values[tile.start + first..][..classes];
            let lanes = group.as_flattened_mut();
            match values.first_chunk::<NR>() {
                Some(values) => lanes.copy_from_slice(values),
                None => lanes[..classes].copy_from_slice(values),
            }
        } else {
            for (class, lanes) in (first..).zip(&mut group[..classes]) {
                let values = &values[tile.start + class * self.positions..][..tile.width];
                match values.first_chunk() {
                    Some(values) => *lanes = *values,
                    None => lanes[..tile.width].copy_from_slice(values),
                }
            }
        }
        group
    }

    /// Writes what [`load`](Self::load) reads.
    #[inline(always)]
    pub(super) fn store<const W: usize>(
        self,
        group: &Group<W>,
        values: &mut [f32],
        tile: RowTile,
        first: usize,
    ) {
        let classes = NR.min(self.classes - first);
        if W == 1 {
            let values = &mut values[tile.start + first..][..classes];
            let lanes = group.as_flattened();
            match values.first_chunk_mut::<NR>() {
                Some(values) => values.copy_from_slice(lanes),
                None => values.copy_from_slice(&lanes[..classes]),
            }
        } else {
            for (class, lanes) in (first..).zip(&group[..classes]) {
                let values = &mut values[tile.start + class * self.positions..][..tile.width];
                match values.first_chunk_mut() {
                    Some(values) => *values = *lanes,
                    None => values.copy_from_slice(&lanes[..tile.width]),
                }
            }
        }
    }

    /// The largest logit of each position, without the NaN.
    #[inline(always)]
    pub(super) fn max<const W: usize>(self, logits: &[f32], tile: RowTile) -> [f32; W] {
        let mut largest = [[f32::NEG_INFINITY; W]; NR];
        for first in self.groups() {
            let group = self.load::<W>(logits, tile, first, f32::NEG_INFINITY);
            let rows = self.rows::<W>(first);
            for (max, x) in largest.as_flattened_mut().iter_mut().zip(group[..rows].as_flattened()) {
                *max = if *x > *max { *x } else { *max };
            }
        }
        by_pairs(largest, |a, b| if b > a { b } else { a })
    }

    /// The sum of `e^(logit - max)` over all classes of each position but one whose logit is `max`. Writes the powers
    /// of all of them to `powers`, if that is given.
    ///
    /// What is left out is 1: the logarithm of 1 and a small sum has no digits to lose.
    #[inline(always)]
    pub(super) fn other_powers<const W: usize>(
        self,
        logits: &[f32],
        tile: RowTile,
        max: [f32; W],
        mut powers: Option<&mut [f32]>,
        (rest, ties): &mut (Sum<W>, Ties<W>),
    ) -> [f32; W] {
        for first in self.groups() {
            let mut group = self.load::<W>(logits, tile, first, f32::NEG_INFINITY);
            let rows = self.rows::<W>(first);
            let mut others = [[0.0; W]; NR];
            for row in &mut group[..rows] {
                for (x, max) in row.iter_mut().zip(&max) {
                    *x -= max;
                }
            }
            ties.add_zeros(&group[..rows]);
            let terms = others[..rows].as_flattened_mut().iter_mut().zip(group.as_flattened_mut());
            for (other, x) in terms {
                let power = math::exp(*x);
                *other = if *x == 0.0 { 0.0 } else { power };
                *x = power;
            }
            rest.add(&others[..rows]);
            if let Some(powers) = &mut powers {
                self.store(&group, powers, tile, first);
            }
        }
        let (mut sum, ties) = (rest.take(), ties.take());
        for (sum, ties) in sum.iter_mut().zip(ties) {
            *sum += ties - 1.0;
        }
        sum
    }
}

/// A sum over classes, for each of `W` positions: class `c` is a term of chain `c % 16`, a chain has sixteen terms, the
/// sixteen chains of 256 classes are added by pairs, and so are the sums of 256 classes.
pub(super) struct Sum<const W: usize> {
    chains: Group<W>,
    /// How many groups the chains hold.
    groups: usize,
    /// The sums of 256 classes, if there are more than that.
    blocks: Pairwise<W>,
    is_long: bool,
}

impl<const W: usize> Sum<W> {
    #[inline(always)]
    pub(super) const fn new() -> Self {
        Self { chains: [[0.0; W]; NR], groups: 0, blocks: Pairwise::of_vectors(), is_long: false }
    }

    #[inline(always)]
    pub(super) fn add(&mut self, group: &[[f32; W]]) {
        if self.groups == BLOCK {
            self.flush();
        }
        for (sum, x) in self.chains.as_flattened_mut().iter_mut().zip(group.as_flattened()) {
            *sum += x;
        }
        self.groups += 1;
    }

    /// The sum, and zero from then on.
    #[inline(always)]
    pub(super) fn take(&mut self) -> [f32; W] {
        if self.is_long { self.take_blocks() } else { self.take_chains() }
    }

    /// Adds what the chains hold to the sums of 256 classes. Few sums are so long: not compiled into each loop.
    #[cold]
    #[inline(never)]
    fn flush(&mut self) {
        let sum = self.take_chains();
        self.blocks.push_vector(sum);
        self.is_long = true;
    }

    #[cold]
    #[inline(never)]
    fn take_blocks(&mut self) -> [f32; W] {
        self.flush();
        let sum = self.blocks.total_vector();
        self.blocks.clear();
        self.is_long = false;
        sum
    }

    #[inline(always)]
    fn take_chains(&mut self) -> [f32; W] {
        let sum = by_pairs(self.chains, |a, b| a + b);
        (self.chains, self.groups) = ([[0.0; W]; NR], 0);
        sum
    }
}

/// How many classes have the largest logit, at each of `W` positions.
pub(super) struct Ties<const W: usize> {
    /// Exact: a chain has at most `MOST_GROUPS` ones.
    chains: Group<W>,
    /// How many groups the chains hold.
    groups: usize,
    /// Of the groups before, if there were any.
    counts: [u64; W],
    is_long: bool,
}

/// Sixteen chains with a one for each of so many groups have an exact sum.
const MOST_GROUPS: usize = 1 << 20;

impl<const W: usize> Ties<W> {
    #[inline(always)]
    pub(super) const fn new() -> Self {
        Self { chains: [[0.0; W]; NR], groups: 0, counts: [0; W], is_long: false }
    }

    /// Counts the zeros of a group.
    #[inline(always)]
    fn add_zeros(&mut self, group: &[[f32; W]]) {
        if self.groups == MOST_GROUPS {
            self.flush();
        }
        for (count, x) in self.chains.as_flattened_mut().iter_mut().zip(group.as_flattened()) {
            *count += if *x == 0.0 { 1.0 } else { 0.0 };
        }
        self.groups += 1;
    }

    /// The counts, and zero from then on.
    #[inline(always)]
    fn take(&mut self) -> [f32; W] {
        let mut ties = by_pairs(self.chains, |a, b| a + b);
        if self.is_long {
            self.flush();
            ties = self.counts.map(|count| count as f32);
            (self.counts, self.is_long) = ([0; W], false);
        }
        (self.chains, self.groups) = ([[0.0; W]; NR], 0);
        ties
    }

    /// Few rows have so many classes: not compiled into each loop.
    #[cold]
    #[inline(never)]
    fn flush(&mut self) {
        for (count, ties) in self.counts.iter_mut().zip(by_pairs(self.chains, |a, b| a + b)) {
            *count += ties as u64;
        }
        (self.chains, self.groups, self.is_long) = ([[0.0; W]; NR], 0, true);
    }
}

/// Sixteen rows become one: the first with the ninth and so on, then eight rows, four, two.
#[inline(always)]
fn by_pairs<const W: usize>(rows: Group<W>, combine: impl Fn(f32, f32) -> f32) -> [f32; W] {
    if W == 1 { pairs_inlined(rows, combine) } else { pairs(rows, combine) }
}

/// [`by_pairs`] by a call: for vectors it takes much code, and is needed once for all classes.
#[inline(never)]
fn pairs<const W: usize>(rows: Group<W>, combine: impl Fn(f32, f32) -> f32) -> [f32; W] {
    pairs_inlined(rows, combine)
}

#[inline(always)]
fn pairs_inlined<const W: usize>(mut rows: Group<W>, combine: impl Fn(f32, f32) -> f32) -> [f32; W] {
    let mut half = NR / 2;
    while half > 0 {
        let (first, second) = rows.split_at_mut(half);
        for (a, b) in first.as_flattened_mut().iter_mut().zip(second.as_flattened()) {
            *a = combine(*a, *b);
        }
        half /= 2;
    }
    rows[0]
}

#[cfg(test)]
mod tests {
    use super::{MOST_GROUPS, NR, Ties};

    #[test]
    fn more_ties_than_a_chain_holds_are_counted() {
        let mut ties = Ties::<2>::new();
        for groups in [1, MOST_GROUPS, 2 * MOST_GROUPS + 1, 1] {
            for _ in 0..groups {
                ties.add_zeros(&[[0.0, 1.0]; NR]);
            }
            assert_eq!(ties.take(), [(NR * groups) as f32, 0.0]);
        }
    }
}

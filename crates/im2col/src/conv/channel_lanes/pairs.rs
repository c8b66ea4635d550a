//! The pairs of positions that the microkernel computes.

use super::block::{Block, Field, PAIRS_AT_ONCE};

/// The pairs of positions that are computed together, and behind them those that fill up the last tile.
///
/// A pair is two positions of a block, neighbours in a line or the same in two lines or images: the input value that tap 0 of
/// the first one reads, and where the sums of both stand in the accumulator buffer. In a line of odd length the last pair begins
/// with the position before it once more; a line of one position is a pair of it twice; and the last image of an odd number is
/// paired with the one before it. What is computed twice is put where nobody reads it, at the end of the buffer.
pub(in crate::conv) struct PairBuffer {
    pub(super) starts: [usize; PAIRS_AT_ONCE + MOST_PAIRS - 1],
    /// Below 2^16, which takes less of the stack.
    pub(super) places: [[u16; 2]; PAIRS_AT_ONCE + MOST_PAIRS - 1],
}

impl PairBuffer {
    pub(in crate::conv) const fn new() -> Self {
        const LEN: usize = PAIRS_AT_ONCE + MOST_PAIRS - 1;
        Self { starts: [0; LEN], places: [[0; 2]; LEN] }
    }

    /// The first pairs, at most `count`: where each starts, and its places.
    #[inline(always)]
    fn first(&mut self, count: usize) -> impl Iterator<Item = (&mut usize, &mut [u16; 2])> {
        self.starts.iter_mut().zip(&mut self.places).take(count)
    }
}

/// Pairs of the largest tile.
const MOST_PAIRS: usize = 7;

/// Goes through the positions of a block in pairs.
pub(in crate::conv) struct PositionPairs<'a> {
    block: &'a Block,
    field: Field,
    /// How far apart the values of both positions of the pairs taken last lie.
    pub(in crate::conv) step: usize,
    left: usize,
    image: usize,
    at: [usize; 3],
    /// Of the current line's first position: the offset that tap 0 reads, and its index in the block.
    start: usize,
    place: usize,
}

impl<'a> PositionPairs<'a> {
    #[inline(always)]
    pub(in crate::conv) fn new(block: &'a Block, field: Field) -> Self {
        Self { block, field, step: 0, left: block.pairs(), image: 0, at: [0; 3], start: 0, place: 0 }
    }

    /// Takes the next pairs, whose sums stand in the buffer from position `first` on, or at `spare`: how many, and the
    /// position after them.
    #[inline(always)]
    pub(in crate::conv) fn take(
        &mut self,
        first: usize,
        spare: usize,
        pairs: &mut PairBuffer,
    ) -> (usize, usize) {
        let (block, field) = (self.block, self.field);
        let [_, lines, width] = block.positions;
        let (step, (count, end)) = if block.pairs_images() {
            (field.image, self.take_of_images(first, spare, pairs))
        } else if block.pairs_lines() && self.at[1] + 1 < lines {
            (field.position[1], self.take_of_two_lines(first, pairs))
        } else {
            let most = if block.pairs_lines() { width.div_ceil(2) } else { PAIRS_AT_ONCE };
            let step = if width > 1 { field.position[2] } else { 0 };
            (step, self.take_of_lines(first, spare, most, pairs))
        };
        self.step = step;
        self.left -= count;
        let last = pairs.starts[count.saturating_sub(1)];
        for (start, places) in pairs.first(count + MOST_PAIRS - 1).skip(count) {
            (*start, *places) = (last, [spare as u16; 2]);
        }
        (count, end)
    }

    /// [`take`](Self::take) of the positions of two images at a time, as many whole ones as there is room for.
    #[inline(always)]
    fn take_of_images(&mut self, first: usize, spare: usize, pairs: &mut PairBuffer) -> (usize, usize) {
        let Block { images, positions: [planes, lines, width] } = *self.block;
        let positions = planes * lines * width;
        let mut count = 0;
        for (start, places) in pairs.first(self.left.min(PAIRS_AT_ONCE / positions * positions)) {
            let place = self.place - first;
            let is_last = self.image + 1 == images;
            *start = self.field.at(if is_last { self.image - 1 } else { self.image }, self.at);
            *places = if is_last { [spare, place] } else { [place, place + positions] }.map(|p| p as u16);
            count += 1;
            self.place += 1;
            self.at[2] += 1;
            if self.at[2] == width {
                self.at = [self.at[0], self.at[1] + 1, 0];
                if self.at[1] == lines {
                    self.at = [self.at[0] + 1, 0, 0];
                    if self.at[0] == planes {
                        self.at[0] = 0;
                        self.image += 2;
                        self.place += if is_last { 0 } else { positions };
                    }
                }
            }
        }
        (count, self.place)
    }

    /// [`take`](Self::take) of the positions of two lines at a time, as many as there is room for.
    #[inline(always)]
    fn take_of_two_lines(&mut self, first: usize, pairs: &mut PairBuffer) -> (usize, usize) {
        let ([_, lines, width], field) = (self.block.positions, self.field);
        let twos = ((lines - self.at[1]) / 2).min(PAIRS_AT_ONCE / width);
        let mut pairs = pairs.first(twos * width);
        for _ in 0..twos {
            for (x, (start, places)) in pairs.by_ref().take(width).enumerate() {
                let place = self.place + x - first;
                // Wrapping: see `Field::input`.
                *start = self.start.wrapping_add(x.wrapping_mul(field.position[2]));
                *places = [place, place + width].map(|place| place as u16);
            }
            self.place += 2 * width;
            self.at[1] += 2;
            if self.at[1] == lines {
                self.at = [self.at[0] + 1, 0, 0];
            }
            self.start = field.at(self.image, self.at);
        }
        (twos * width, self.place)
    }

    /// [`take`](Self::take) of at most `most` neighbours.
    #[inline(always)]
    fn take_of_lines(
        &mut self,
        first: usize,
        spare: usize,
        most: usize,
        pairs: &mut PairBuffer,
    ) -> (usize, usize) {
        let [planes, lines, width] = self.block.positions;
        let is_single = width == 1;
        let (mut count, mut end) = (0, first);
        for (start, places) in pairs.first(self.left.min(most)) {
            let is_first_new = is_single || self.at[2] + 1 < width;
            let x = if is_first_new { self.at[2] } else { width - 2 };
            let place = (self.place + x).wrapping_sub(first);
            // Wrapping: see `Field::input`.
            *start = self.start.wrapping_add(x.wrapping_mul(self.field.position[2]));
            *places = [
                if is_first_new { place as u16 } else { spare as u16 },
                if is_single { spare as u16 } else { place.wrapping_add(1) as u16 },
            ];
            end = self.place + x + if is_single { 1 } else { 2 };
            count += 1;
            self.at[2] += 2;
            if self.at[2] >= width {
                self.at[2] = 0;
                self.place += width;
                self.at[1] += 1;
                if self.at[1] == lines {
                    self.at[1] = 0;
                    self.at[0] += 1;
                    if self.at[0] == planes {
                        self.at[0] = 0;
                        self.image += 1;
                    }
                }
                self.start = self.field.at(self.image, self.at);
            }
        }
        (count, end)
    }
}

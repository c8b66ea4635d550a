//! Images in the lanes of vectors: to and fro.

use crate::simd::load::{put, rows_at, short_rows};
use crate::simd::{Isa, Kernel, Lanes, MulAdd, NR, Vectors, dispatch};

/// The most images whose gradients are added one after the other: of 64 blocks.
pub(crate) const STRETCH: usize = 64 * NR;

/// The blocks of sixteen images that go through a network together: a pair, or a single one, perhaps of fewer images.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ImageBlocks {
    /// The first image.
    pub(crate) first: usize,
    pub(crate) count: usize,
    /// How many images each block has.
    pub(crate) lanes: usize,
}

impl ImageBlocks {
    pub(crate) const fn images(&self) -> usize {
        self.count * self.lanes
    }

    /// Whether these are the first of [`STRETCH`] images: their gradients overwrite, those of the others are added.
    pub(crate) const fn is_first(&self) -> bool {
        self.first.is_multiple_of(STRETCH)
    }

    /// Whether they are the last of [`STRETCH`] images, or of all.
    pub(crate) const fn is_last(&self, images: usize) -> bool {
        let end = self.first + self.images();
        end.is_multiple_of(STRETCH) || end == images
    }
}

/// Interleaves `[images, len]` into a block of `len` vectors.
pub(crate) struct Interleave<'a> {
    pub(crate) images: &'a [f32],
    pub(crate) block: &'a mut [Lanes],
}

impl Interleave<'_> {
    /// Runs it.
    pub(crate) fn compute(self, isa: Isa) {
        dispatch(isa, self);
    }
}

impl Kernel for Interleave<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        vectors: impl Vectors,
    ) {
        let Self { images, block } = self;
        let len = block.len();
        for (square, first) in block.chunks_mut(NR).zip((0..len).step_by(NR)) {
            let (images, count) = (&images[first..], images.len() / len);
            let short;
            let rows = if first + NR > len {
                short = short_rows(images, len, count);
                short.each_ref()
            } else {
                rows_at(images, len, count)
            };
            put(vectors.transpose(rows), square);
        }
    }
}

/// The inverse of [`Interleave`]: the first images of a block, as many as there is room for.
pub(crate) struct Separate<'a> {
    pub(crate) block: &'a [Lanes],
    pub(crate) images: &'a mut [f32],
}

impl Separate<'_> {
    /// Runs it.
    pub(crate) fn compute(self, isa: Isa) {
        dispatch(isa, self);
    }
}

impl Kernel for Separate<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        vectors: impl Vectors,
    ) {
        let Self { block, images } = self;
        let len = block.len();
        for (square, first) in block.chunks(NR).zip((0..len).step_by(NR)) {
            let rows = transposed(square, vectors);
            for (row, image) in rows.iter().zip(images.chunks_exact_mut(len)) {
                match image[first..].first_chunk_mut() {
                    Some(values) => *values = *row,
                    None => image[first..].copy_from_slice(&row[..len - first]),
                }
            }
        }
    }
}

/// The rows of at most sixteen columns; what is missing is zero.
#[inline(always)]
pub(super) fn transposed(columns: &[Lanes], vectors: impl Vectors) -> [Lanes; NR] {
    match columns.first_chunk() {
        Some(columns) => vectors.transpose(columns.each_ref()),
        None => {
            let mut whole = [[0.0; NR]; NR];
            whole[..columns.len()].copy_from_slice(columns);
            vectors.transpose(whole.each_ref())
        }
    }
}

/// Where tiles of `size` begin that cover `0..len`, `len >= size`; the last may overlap the one before.
#[inline(always)]
pub(super) fn starts(len: usize, size: usize) -> impl Iterator<Item = usize> {
    (0..len).step_by(size).map(move |start| start.min(len - size))
}

//! Sixteen images at a time: each is a lane of every vector.
//!
//! A small network has few channels and short rows, which fill vectors badly; but it has images enough. A *group*
//! is sixteen of them, interleaved: `[channels, height, width]` of vectors, the value of each image in a lane of its
//! own. Then the loops are those of the definition, with vectors for numbers: nothing is packed or shuffled, no lane
//! is lost, whatever the shape. Where there are fewer images, the other lanes are those of black ones, and count
//! for nothing.
//!
//! It pays where all that a group touches stays in the cache: [`Network`](crate::Network) decides.

mod conv;
mod conv_backward;
mod linear;
mod pool;
mod tile;
mod weights;

pub(crate) use conv::{Convolve, Planes, Stage};
pub(crate) use conv_backward::{Fold, GradInput};
pub(crate) use linear::{GradInputs, GradWeights, Multiply};
pub(crate) use pool::{Pool, PoolBackward};
pub(crate) use weights::GradKernels;

use crate::kernel::{Job, Lanes, MulAdd, NR, Vectors};

/// What gradients of weights must know of a group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    /// How many lanes count.
    pub(crate) images: usize,
    /// Whether gradients begin with this group; those of others are added.
    pub(crate) is_first: bool,
}

/// Interleaves `[images, len]` into a group of `len` vectors.
pub(crate) struct Interleave<'a> {
    pub(crate) images: &'a [f32],
    pub(crate) group: &'a mut [Lanes],
}

impl Job for Interleave<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        vectors: impl Vectors,
    ) {
        let Self { images, group } = self;
        let len = group.len();
        for (block, first) in group.chunks_mut(NR).zip((0..len).step_by(NR)) {
            let mut rows = [[0.0; NR]; NR];
            for (row, image) in rows.iter_mut().zip(images.chunks_exact(len)) {
                match image[first..].first_chunk() {
                    Some(values) => *row = *values,
                    None => row[..len - first].copy_from_slice(&image[first..]),
                }
            }
            let columns = vectors.transpose(&rows);
            match block.first_chunk_mut() {
                Some(block) => *block = columns,
                None => block.copy_from_slice(&columns[..len - first]),
            }
        }
    }
}

/// The inverse of [`Interleave`]: the first images of a group, as many as there is room for.
pub(crate) struct Separate<'a> {
    pub(crate) group: &'a [Lanes],
    pub(crate) images: &'a mut [f32],
}

impl Job for Separate<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        vectors: impl Vectors,
    ) {
        let Self { group, images } = self;
        let len = group.len();
        for (block, first) in group.chunks(NR).zip((0..len).step_by(NR)) {
            let rows = transposed(block, vectors);
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
fn transposed(columns: &[Lanes], vectors: impl Vectors) -> [Lanes; NR] {
    match columns.first_chunk() {
        Some(columns) => vectors.transpose(columns),
        None => {
            let mut whole = [[0.0; NR]; NR];
            whole[..columns.len()].copy_from_slice(columns);
            vectors.transpose(&whole)
        }
    }
}

/// Where tiles of `size` begin that cover `0..len`, `len >= size`; the last may overlap the one before.
#[inline(always)]
fn starts(len: usize, size: usize) -> impl Iterator<Item = usize> {
    (0..len).step_by(size).map(move |start| start.min(len - size))
}

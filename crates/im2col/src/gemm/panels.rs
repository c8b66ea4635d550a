//! Packed panels, and blocks of what they hold.

use crate::simd::NR;
use core::ops::Range;

/// Splits `0..len` into blocks of `size`; the last may be shorter.
#[inline(always)]
pub(crate) fn blocks(len: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(size.max(1)).map(move |start| start..len.min(start.saturating_add(size)))
}

/// Packed panels, each `[depth][W]`, of which the rows `k` take part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Panels<'a, const W: usize> {
    rows: &'a [[f32; W]],
    depth: usize,
    k: (usize, usize),
}

impl<'a, const W: usize> Panels<'a, W> {
    #[inline(always)]
    pub(crate) fn new(values: &'a [f32], depth: usize) -> Self {
        Self { rows: values.as_chunks().0, depth, k: (0, depth) }
    }

    /// The panels cut down to some of their rows: `k` counts from the first one that they have.
    #[inline(always)]
    pub(crate) fn rows(self, k: Range<usize>) -> Self {
        Self { k: (self.k.0 + k.start, self.k.0 + k.end), ..self }
    }

    /// The same panels from panel `first` on.
    #[inline(always)]
    pub(crate) fn skip(self, first: usize) -> Self {
        Self { rows: &self.rows[first * self.depth..], ..self }
    }

    #[inline(always)]
    pub(crate) fn panel(&self, index: usize) -> &'a [[f32; W]] {
        &self.rows[index * self.depth + self.k.0..index * self.depth + self.k.1]
    }
}

/// The left-hand matrix.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rows<'a> {
    /// Panels of `NR` rows.
    Packed(Panels<'a, NR>),
    /// A single row, as it is.
    Single(&'a [f32]),
}

impl Rows<'_> {
    /// The columns `k` of the matrix.
    pub(super) fn columns(self, k: Range<usize>) -> Self {
        match self {
            Self::Packed(panels) => Self::Packed(panels.rows(k)),
            Self::Single(row) => Self::Single(&row[k]),
        }
    }
}

//! What inference begins with.

use crate::pixels::Pixels;

/// Images: values, or pixels that become values in the scratch.
#[derive(Clone, Copy)]
pub(super) enum Images<'a> {
    Values(&'a [f32]),
    Pixels(Pixels<'a>),
}

impl<'a> Images<'a> {
    pub(super) const fn are_pixels(&self) -> bool {
        matches!(self, Self::Pixels(_))
    }

    /// The images in the first `len` values and the others; all of them where there are fewer.
    pub(super) fn split_at(self, len: usize) -> (Self, Self) {
        match self {
            Self::Values(values) => {
                let (first, rest) = values.split_at_checked(len).unwrap_or((values, &[]));
                (Self::Values(first), Self::Values(rest))
            }
            Self::Pixels(pixels) => {
                let (first, rest) = pixels.split_at(len);
                (Self::Pixels(first), Self::Pixels(rest))
            }
        }
    }

    /// The values: where they lie, or, of pixels, at the start of `room`.
    pub(super) fn values_in<'b>(self, room: &'b mut [f32]) -> &'b [f32]
    where
        'a: 'b,
    {
        match self {
            Self::Values(values) => values,
            Self::Pixels(pixels) => {
                pixels.convert(room);
                room.get(..pixels.values.len()).unwrap_or_default()
            }
        }
    }
}

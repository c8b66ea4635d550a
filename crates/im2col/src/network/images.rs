//! What inference begins with, and how it becomes values with channels first.

use crate::pixels::Pixels;

/// Images as they are given: values with channels first are read where they lie, all others are converted in the scratch.
#[derive(Clone, Copy)]
pub(super) struct Images<'a> {
    values: Values<'a>,
    /// How far apart the values of a channel lie: the number of channels where they come last, otherwise 1.
    position_stride: usize,
}

#[derive(Clone, Copy)]
enum Values<'a> {
    Floats(&'a [f32]),
    Pixels(Pixels<'a>),
}

impl<'a> Images<'a> {
    pub(super) const fn new(values: &'a [f32], position_stride: usize) -> Self {
        Self { values: Values::Floats(values), position_stride }
    }

    pub(super) const fn of_pixels(pixels: Pixels<'a>, position_stride: usize) -> Self {
        Self { values: Values::Pixels(pixels), position_stride }
    }

    /// The values, unless they have to be converted.
    pub(super) const fn ready(&self) -> Option<&'a [f32]> {
        match self.values {
            Values::Floats(values) if self.position_stride == 1 => Some(values),
            _ => None,
        }
    }

    pub(super) const fn need_conversion(&self) -> bool {
        self.ready().is_none()
    }

    pub(super) const fn len(&self) -> usize {
        match self.values {
            Values::Floats(values) => values.len(),
            Values::Pixels(pixels) => pixels.values.len(),
        }
    }

    /// The images in the first `len` values and the others; all of them where there are fewer.
    pub(super) fn split_at(self, len: usize) -> (Self, Self) {
        let (first, rest) = match self.values {
            Values::Floats(values) => {
                let (first, rest) = values.split_at_checked(len).unwrap_or((values, &[]));
                (Values::Floats(first), Values::Floats(rest))
            }
            Values::Pixels(pixels) => {
                let (first, rest) = pixels.split_at(len);
                (Values::Pixels(first), Values::Pixels(rest))
            }
        };
        (Self { values: first, ..self }, Self { values: rest, ..self })
    }

    /// Converts images of `image_len` values: into channels first, at the start of `room`.
    pub(super) fn convert(self, image_len: usize, room: &mut [f32]) {
        if self.position_stride == 1 {
            return self.convert_line(0, room);
        }
        let mut images = self;
        for image in room.chunks_exact_mut(image_len.max(1)).take(self.len() / image_len.max(1)) {
            let planes = image.chunks_exact_mut((image_len / self.position_stride.max(1)).max(1));
            planes.enumerate().for_each(|(channel, plane)| images.convert_line(channel, plane));
            images = images.split_at(image_len).1;
        }
    }

    /// Where in an image a line of `width` values begins, the `line`th of all lines of channel `channel`, of `lines`.
    pub(super) fn line_at(&self, [channel, line]: [usize; 2], [lines, width]: [usize; 2]) -> usize {
        match self.position_stride {
            1 => (channel * lines + line) * width,
            channels => line * width * channels + channel,
        }
    }

    /// Converts values of one channel that follow each other, from the one at `first` on: as many as there are and `line` has.
    pub(super) fn convert_line(self, first: usize, line: &mut [f32]) {
        match self.values {
            Values::Floats(values) => {
                let values =
                    values.get(first..).unwrap_or_default().iter().step_by(self.position_stride.max(1));
                line.iter_mut().zip(values).for_each(|(value, given)| *value = *given);
            }
            Values::Pixels(pixels) => {
                let values = pixels.values.get(first..).unwrap_or_default();
                Pixels { values, ..pixels }.convert(self.position_stride, line);
            }
        }
    }
}

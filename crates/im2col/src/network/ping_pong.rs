//! How a value travels through layers that cannot work in place.

use super::images::Images;

/// A value on its way from layer to layer: at first the caller's, then in one of two buffers in
/// turn.
pub(super) struct PingPong<'a, T> {
    given: Option<&'a [T]>,
    current: &'a mut [T],
    spare: &'a mut [T],
    len: usize,
}

impl<'a> PingPong<'a, f32> {
    /// Starts with images of `image_len` values, which are converted in the last buffer if they need it. The first step writes to
    /// `buffers[0]`.
    pub(super) fn of_images(images: Images<'a>, image_len: usize, buffers: [&'a mut [f32]; 2]) -> Self {
        if let Some(values) = images.ready() {
            return Self::new(values, buffers);
        }
        let [spare, current] = buffers;
        images.convert(image_len, current);
        Self { given: None, current, spare, len: images.len() }
    }
}

impl<'a, T> PingPong<'a, T> {
    /// The first step writes to `buffers[0]`, the second to `buffers[1]`, and so on in turn.
    pub(super) fn new(given: &'a [T], buffers: [&'a mut [T]; 2]) -> Self {
        let [spare, current] = buffers;
        Self { given: Some(given), current, spare, len: given.len() }
    }

    /// Starts behind the first step, which has written `len` values to `buffers[0]`.
    pub(super) fn behind_first(buffers: [&'a mut [T]; 2], len: usize) -> Self {
        let [current, spare] = buffers;
        Self { given: None, current, spare, len }
    }

    pub(super) fn value(&self) -> &[T] {
        self.given.unwrap_or_else(|| self.current.get(..self.len).unwrap_or_default())
    }

    /// The value after the first step, to be changed in place.
    pub(super) fn value_mut(&mut self) -> &mut [T] {
        self.current.get_mut(..self.len).unwrap_or_default()
    }

    /// Replaces the value by the `len` values that `step` computes from it.
    pub(super) fn step<R>(&mut self, len: usize, step: impl FnOnce(&[T], &mut [T]) -> R) -> R {
        let value = self.given.unwrap_or_else(|| self.current.get(..self.len).unwrap_or_default());
        let result = step(value, self.spare.get_mut(..len).unwrap_or_default());
        core::mem::swap(&mut self.current, &mut self.spare);
        self.given = None;
        self.len = len;
        result
    }
}

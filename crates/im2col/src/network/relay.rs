//! How a value travels through layers that cannot work in place.

use crate::error::RunError;

/// A value on its way from layer to layer: at first the caller's, then in one of two buffers in
/// turn.
pub(super) struct Relay<'a> {
    given: Option<&'a [f32]>,
    current: &'a mut [f32],
    spare: &'a mut [f32],
    len: usize,
}

impl<'a> Relay<'a> {
    /// The first step writes to `buffers[0]`, the second to `buffers[1]`, and so on in turn.
    pub(super) fn new(given: &'a [f32], buffers: [&'a mut [f32]; 2]) -> Self {
        let [spare, current] = buffers;
        Self { given: Some(given), current, spare, len: given.len() }
    }

    pub(super) fn value(&self) -> &[f32] {
        self.given.unwrap_or_else(|| &self.current[..self.len])
    }

    /// Replaces the value by the `len` values that `step` computes from it.
    pub(super) fn step(
        &mut self,
        len: usize,
        step: impl FnOnce(&[f32], &mut [f32]) -> Result<(), RunError>,
    ) -> Result<(), RunError> {
        let value = self.given.unwrap_or_else(|| &self.current[..self.len]);
        step(value, &mut self.spare[..len])?;
        core::mem::swap(&mut self.current, &mut self.spare);
        self.given = None;
        self.len = len;
        Ok(())
    }
}

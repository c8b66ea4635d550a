//! Values that begin a cache line.

use std::ops::{Deref, DerefMut};

/// Values in a cache line.
const LINE: usize = 16;

/// Values that begin a cache line, as those of other libraries do: what an allocator returns for a long `Vec<f32>` begins 16 bytes
/// behind one, so that every vector of AVX-512 straddles two.
#[derive(Clone, Debug)]
pub struct Tensor {
    buffer: Vec<f32>,
    start: usize,
    len: usize,
}

impl Tensor {
    /// `len` zeros.
    #[must_use]
    pub fn zeros(len: usize) -> Self {
        let buffer = vec![0.0; len + LINE];
        let start = buffer.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
        Self { buffer, start, len }
    }
}

impl From<Vec<f32>> for Tensor {
    fn from(values: Vec<f32>) -> Self {
        let mut tensor = Self::zeros(values.len());
        tensor.copy_from_slice(&values);
        tensor
    }
}

impl Deref for Tensor {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.buffer[self.start..][..self.len]
    }
}

impl DerefMut for Tensor {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.buffer[self.start..][..self.len]
    }
}

//! What lies around the input of a convolution: how much, and which values.
//!
//! Callers store no padding. Where a window reaches beyond the input, [`PaddingMode::source`] says
//! which input value it finds there, if any.

#![deny(clippy::arithmetic_side_effects)]

use crate::error::ShapeError;

/// How much padding a convolution or a pooling has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding<const D: usize> {
    /// `[before, after]` on each axis. All zero is what others call `valid`.
    PerSide([[usize; 2]; D]),
    /// As much as gives `ceil(input / stride)` outputs; of an odd total, one more after the input than before it (PyTorch,
    /// TensorFlow, ONNX `SAME_UPPER`).
    SameUpper,
    /// As much as [`SameUpper`](Self::SameUpper); of an odd total, one more before the input than after it (ONNX `SAME_LOWER`).
    SameLower,
    /// `dilation * (kernel - 1)` on both sides: every position where kernel and input overlap.
    Full,
}

/// Which values the padding of a convolution holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaddingMode {
    /// Zeros.
    Zeros,
    /// The input mirrored at its border values, which are not repeated: `2 1 | 0 1 2 | 1 0`.
    /// Padding has to be smaller than the input.
    Reflect,
    /// The border values repeated: `0 0 | 0 1 2 | 2 2`.
    Replicate,
    /// The input repeated: `1 2 | 0 1 2 | 0 1`. Padding may be as large as the input.
    Circular,
}

impl<const D: usize> Padding<D> {
    /// `[before, after]` of one axis. Sizes that make no sense are found by whoever takes the result.
    pub(crate) const fn of_axis(
        &self,
        axis: usize,
        input: usize,
        kernel: usize,
        stride: usize,
        dilation: usize,
    ) -> [usize; 2] {
        let reach = kernel.saturating_sub(1).saturating_mul(dilation);
        match self {
            Self::PerSide(padding) => padding[axis],
            Self::Full => [reach; 2],
            Self::SameUpper | Self::SameLower => {
                if stride == 0 {
                    return [0; 2];
                }
                // The last of `ceil(input / stride)` windows ends here.
                let end = input.div_ceil(stride).saturating_sub(1).saturating_mul(stride);
                let total = end.saturating_add(reach).saturating_add(1).saturating_sub(input);
                let (less, more) = (total / 2, total.div_ceil(2));
                if matches!(self, Self::SameUpper) { [less, more] } else { [more, less] }
            }
        }
    }
}

impl PaddingMode {
    /// Checks that the mode is defined for so much padding of an input.
    pub(crate) const fn check(
        self,
        axis: usize,
        input: usize,
        padding: [usize; 2],
    ) -> Result<(), ShapeError> {
        let most = match self {
            Self::Zeros | Self::Replicate => return Ok(()),
            Self::Reflect => input.saturating_sub(1),
            Self::Circular => input,
        };
        let padding = if padding[0] > padding[1] { padding[0] } else { padding[1] };
        if padding > most { Err(ShapeError::PaddingExceedsInput { axis, padding, most }) } else { Ok(()) }
    }

    /// The place in `0..len` of the value that is found at `at`, which wraps around before 0; none if
    /// that is a zero.
    #[inline(always)]
    pub(crate) const fn source(self, at: usize, len: usize) -> Option<usize> {
        if at < len {
            return Some(at);
        }
        match self {
            Self::Zeros => None,
            _ => self.shown(at, len),
        }
    }

    /// [`PaddingMode::source`] outside the input; a call, to keep it out of hot loops.
    #[cold]
    #[inline(never)]
    const fn shown(self, at: usize, len: usize) -> Option<usize> {
        let before = at > isize::MAX as usize;
        let place = match self {
            Self::Zeros => return None,
            Self::Replicate if before => 0,
            Self::Replicate => len.wrapping_sub(1),
            Self::Reflect if before => at.wrapping_neg(),
            Self::Reflect => len.wrapping_sub(1).wrapping_mul(2).wrapping_sub(at),
            Self::Circular if before => at.wrapping_add(len),
            Self::Circular => at.wrapping_sub(len),
        };
        // Lanes past the end of a line may ask for more than the padding that was checked.
        if place < len { Some(place) } else { None }
    }
}

//! The backward pass of a maximum from the taps that won.

use super::backward::{Winners, for_each_row, max_tiles_2x2};
use super::windows::Pooling;
use crate::error::RunError;
use crate::simd::{Isa, Kernel, MulAdd, Vectors, dispatch};
use crate::window::Window;
use core::ops::Range;

/// Checks that each of the numbers, `size` bytes long, is a tap of its window.
pub(super) fn check_taps(pooling: &Pooling, workspace: &[u8], size: usize) -> Result<(), RunError> {
    // A maximum of bytes is vector code; a search is not.
    let largest = if size == 1 { workspace.iter().fold(0, |max, byte| (*byte).max(max)) } else { 255 };
    if size == 1 && !pooling.adaptive && usize::from(largest) < pooling.window.taps() {
        return Ok(());
    }
    for (position, bytes) in workspace.chunks_exact(size).enumerate() {
        let (given, taps) = (read_tap(bytes), pooling.taps_at(position));
        if given >= taps as u64 {
            return Err(RunError::Tap { position, taps, given });
        }
    }
    Ok(())
}

#[inline(always)]
fn read_tap(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |tap, byte| tap << 8 | u64::from(*byte))
}

/// The backward pass of a maximum from a workspace whose taps have been checked.
pub(super) struct BackwardFrom<'a> {
    pub(super) pooling: Pooling,
    pub(super) workspace: &'a [u8],
    pub(super) size: usize,
    pub(super) grad_output: &'a [f32],
    pub(super) grad_input: &'a mut [f32],
}

impl BackwardFrom<'_> {
    /// Runs it.
    pub(crate) fn compute(self, isa: Isa) {
        dispatch(isa, self);
    }
}

impl Kernel for BackwardFrom<'_> {
    const USES_AVX512: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { pooling, workspace, size, grad_output, grad_input } = self;
        let width = pooling.window.output[2];
        if pooling.is_2x2() {
            let winners = Winners::Taps { out_width: width, taps: workspace };
            max_tiles_2x2(&pooling, grad_output, grad_input, winners);
            return;
        }
        grad_input.fill(0.0);
        if size == 1 && !pooling.adaptive {
            let places = Places::new(&pooling);
            for_each_row(&pooling, grad_output, grad_input, |row, at, grad_output, grad_input| {
                places.scatter_row(&pooling, at, &workspace[row * width..][..width], grad_output, grad_input);
            });
        } else {
            for_each_row(&pooling, grad_output, grad_input, |row, [z, y], grad_output, grad_input| {
                let taps = workspace[row * width * size..][..width * size].chunks_exact(size);
                for (x, (tap, grad)) in taps.zip(grad_output).enumerate() {
                    if let Some(offset) = pooling.offset_of([z, y, x], read_tap(tap) as usize) {
                        grad_input[offset] += grad;
                    }
                }
            });
        }
    }
}

/// Where the taps of a window lie from its start, so that windows that lie in the input need no
/// division. One byte names a tap, so there are at most 256.
struct Places {
    from_start: [usize; 256],
    /// The outputs of a row whose windows see no padding on either side.
    inside: Range<usize>,
}

impl Places {
    fn new(pooling: &Pooling) -> Self {
        let Window { input, kernel, stride, padding, dilation, output, .. } = &pooling.window;
        let mut from_start = [0_usize; 256];
        for (tap, place) in from_start.iter_mut().enumerate() {
            let at = [tap / kernel[2] / kernel[1], tap / kernel[2] % kernel[1], tap % kernel[2]];
            // Windows that exceed the input may wrap here, and do not ask.
            *place = (0..3).fold(0, |place: usize, axis| {
                place.wrapping_mul(input[axis]).wrapping_add(at[axis].wrapping_mul(dilation[axis]))
            });
        }
        let before = padding[2][0];
        let inside = match (before + input[2]).checked_sub(pooling.extent(2)) {
            Some(last_start) => before.div_ceil(stride[2])..(last_start / stride[2] + 1).min(output[2]),
            None => 0..0,
        };
        Self { from_start, inside }
    }

    #[inline(always)]
    fn scatter_row(
        &self,
        pooling: &Pooling,
        [z, y]: [usize; 2],
        taps: &[u8],
        grad_output: &[f32],
        grad_input: &mut [f32],
    ) {
        let Window { input, stride, padding, .. } = &pooling.window;
        // Where the window at output 0 of the row would start if there was no padding beside it.
        let start = match (Self::row_start(pooling, 0, z), Self::row_start(pooling, 1, y)) {
            (Some(z), Some(y)) => Some((z * input[1] + y) * input[2]),
            _ => None,
        };
        for (x, (tap, grad)) in taps.iter().zip(grad_output).enumerate() {
            let offset = match start {
                Some(start) if self.inside.contains(&x) => {
                    Some(start + x * stride[2] - padding[2][0] + self.from_start[usize::from(*tap)])
                }
                _ => pooling.offset_of([z, y, x], usize::from(*tap)),
            };
            if let Some(offset) = offset {
                grad_input[offset] += grad;
            }
        }
    }

    /// Where on an axis the windows of an output start, if none of their taps sees padding there.
    #[inline(always)]
    fn row_start(pooling: &Pooling, axis: usize, output: usize) -> Option<usize> {
        let start = pooling.start(axis, output).checked_sub(pooling.window.padding[axis][0])?;
        (start + pooling.extent(axis) <= pooling.window.input[axis]).then_some(start)
    }
}

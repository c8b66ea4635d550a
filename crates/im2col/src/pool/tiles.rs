//! Windows that are the tiles of a plane, a row of them at a time: for a convolution that is pooled as soon as the lines of a row of
//! tiles are computed.

use super::params::PoolKind;
use super::stage::maximum;
use super::windows::{CHAIN, Divisor, Pooling};
use crate::window::Window;

impl Pooling {
    /// Whether the windows lie side by side within the planes, and each mean is a single chain of sums.
    pub(crate) const fn is_tiles(&self) -> bool {
        let Window { input, kernel, stride, dilation, output, .. } = self.window;
        let mut axis = 0;
        while axis < 3 {
            let is_side_by_side = stride[axis] == kernel[axis] && dilation[axis] == 1;
            if !is_side_by_side || output[axis].saturating_mul(kernel[axis]) > input[axis] {
                return false;
            }
            axis += 1;
        }
        let is_single_chain = match self.kind {
            PoolKind::Max => true,
            PoolKind::Average => self.window.taps() <= CHAIN && matches!(self.divisor, Divisor::Constant(_)),
        };
        !self.adaptive && !self.window.is_padded() && is_single_chain
    }

    /// Pools a row of tiles: of `lines` `[tile height, input width]` to `output` `[output width]`.
    pub(crate) fn pool_tiles(&self, lines: &[f32], output: &mut [f32]) {
        let Window { input: [.., width], kernel: [.., taps], .. } = self.window;
        let divisor = match self.divisor {
            Divisor::Constant(divisor) => divisor as f32,
            Divisor::Padded | Divisor::Seen => 1.0,
        };
        for (tile, output) in output.iter_mut().enumerate() {
            let (mut max, mut sum) = (f32::NEG_INFINITY, 0.0);
            for line in lines.chunks_exact(width.max(1)) {
                for value in line.iter().skip(tile * taps).take(taps) {
                    match self.kind {
                        PoolKind::Max => max = maximum(max, *value),
                        PoolKind::Average => sum += *value,
                    }
                }
            }
            *output = match self.kind {
                PoolKind::Max => max,
                PoolKind::Average => sum / divisor,
            };
        }
    }
}

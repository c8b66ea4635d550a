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

    /// Pools a row of tiles: of `lines` `[tile height, input width]` to `output` `[output width]`. Not inlined: a second
    /// copy would take 5 KB of flash.
    #[inline(never)]
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

    /// Pools all planes: of `input` `[planes, input height, input width]` to `output` `[planes, output height, output width]`.
    pub(crate) fn pool_all_tiles(&self, input: &[f32], output: &mut [f32]) {
        let Window { kernel: [_, height, _], output: [.., out_width], .. } = self.window;
        let (plane_len, lines) = (self.window.plane_len().max(1), (height * self.window.input[2]).max(1));
        let mut planes = input.chunks_exact(plane_len);
        for output in output.chunks_exact_mut(self.window.positions().max(1)) {
            let Some(plane) = planes.next() else { return };
            let mut tiles = plane.chunks_exact(lines);
            for output in output.chunks_exact_mut(out_width.max(1)) {
                let Some(lines) = tiles.next() else { break };
                self.pool_tiles(lines, output);
            }
        }
    }

    /// The gradient of the input of [`pool_all_tiles`](Self::pool_all_tiles): that of a maximum goes to the first of the
    /// largest values, or the last NaN, that of a mean to all in equal parts.
    pub(crate) fn tiles_backward(&self, input: &[f32], grad_output: &[f32], grad_input: &mut [f32]) {
        let Window { kernel: [_, height, taps], input: [.., width], output: [.., out_width], .. } =
            self.window;
        grad_input.iter_mut().for_each(|grad| *grad = 0.0);
        let (plane_len, lines) = (self.window.plane_len().max(1), (height * width).max(1));
        let mut planes = input.chunks_exact(plane_len);
        let mut grad_rows = grad_output.chunks_exact(out_width.max(1));
        for grad_plane in grad_input.chunks_exact_mut(plane_len) {
            let Some(plane) = planes.next() else { return };
            let mut lines_of_tiles = plane.chunks_exact(lines);
            for grad_lines in grad_plane.chunks_exact_mut(lines).take(self.window.output[1]) {
                let (Some(lines), Some(grads)) = (lines_of_tiles.next(), grad_rows.next()) else { return };
                for (tile, grad) in grads.iter().enumerate() {
                    self.tile_backward(tile * taps, lines, *grad, grad_lines);
                }
            }
        }
    }

    /// The gradient of the tile whose first column is `first`.
    fn tile_backward(&self, first: usize, lines: &[f32], grad: f32, grad_lines: &mut [f32]) {
        let Window { input: [.., width], kernel: [.., taps], .. } = self.window;
        let share = match (self.kind, self.divisor) {
            (PoolKind::Average, Divisor::Constant(divisor)) => grad / divisor as f32,
            _ => grad,
        };
        let mut largest: Option<(f32, usize)> = None;
        for (line, values) in lines.chunks_exact(width.max(1)).enumerate() {
            for (column, value) in values.iter().enumerate().skip(first).take(taps) {
                let place = line * width + column;
                match self.kind {
                    PoolKind::Average => {
                        if let Some(grad) = grad_lines.get_mut(place) {
                            *grad = share;
                        }
                    }
                    PoolKind::Max if largest.is_none_or(|(max, _)| *value > max || value.is_nan()) => {
                        largest = Some((*value, place));
                    }
                    PoolKind::Max => {}
                }
            }
        }
        if let Some((_, place)) = largest
            && let Some(winner) = grad_lines.get_mut(place)
        {
            *winner = share;
        }
    }
}

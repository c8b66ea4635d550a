//! Packing of the im2col matrix, panel by panel.

use super::matrix::{Cursor, MatrixRow, Patches};
use crate::simd::load::fetch;
use crate::simd::{Lanes, NR};
use crate::window::Window;

/// Sixteen columns of the matrix.
///
/// On any row, the lanes of a segment are values of the input `stride` apart, from `base` on moved
/// by an offset that depends on the row only. In the padding that finds some other value, so a
/// panel is packed in two passes: whole vectors, without regard to padding; then the right values
/// for the few lanes and taps that see it. With stride 1 and an output as wide as the input, all lines of an
/// image make one segment.
#[derive(Clone, Copy, Default)]
pub(super) struct Panel {
    segments: [Segment; NR],
    count: usize,
    origins: [Origin; NR],
    lanes: usize,
}

#[derive(Clone, Copy, Default)]
struct Segment {
    base: usize,
    lane: usize,
}

/// Where tap 0 of a lane lies.
#[derive(Clone, Copy, Default)]
struct Origin {
    /// Where its image begins.
    image: usize,
    /// Before the input it wraps around.
    at: [usize; 3],
}

impl Panel {
    /// The next `lanes` columns.
    #[inline(always)]
    pub(super) fn place(&mut self, patches: &Patches, cursor: &mut Cursor, lanes: usize) {
        let Patches { window, image_stride, .. } = patches;
        let stride = window.stride[2];
        let (mut lane, mut follows) = (0, None);
        (self.count, self.lanes) = (0, lanes);
        while lane < lanes {
            let run = cursor.next(window, lanes - lane);
            let [z, y, x] = run.origin;
            let line = z.wrapping_mul(window.input[1]).wrapping_add(y).wrapping_mul(window.input[2]);
            let base = (run.image * image_stride).wrapping_add(line).wrapping_add(x);
            if follows != Some(base) {
                self.segments[self.count] = Segment { base, lane };
                self.count += 1;
            }
            follows = Some(base.wrapping_add(run.len * stride));
            if window.is_padded() {
                for (i, origin) in self.origins[lane..lane + run.len].iter_mut().enumerate() {
                    let at = [z, y, x.wrapping_add(i * stride)];
                    *origin = Origin { image: run.image * image_stride, at };
                }
            }
            lane += run.len;
        }
    }

    /// Mends the lanes of the taps that see padding, in the rows from `first` on. Scalar code, and a call:
    /// it would take registers from the loops around it.
    #[inline(never)]
    fn fill_padding(&self, window: &Window, input: &[f32], first: usize, rows: &mut [Lanes]) {
        let Window { kernel, dilation, .. } = window;
        let (taps, plane_len) = (window.taps(), window.plane_len());
        let phase = first % taps;
        for (lane, origin) in self.origins.iter().enumerate().take(self.lanes) {
            let at = |axis: usize, tap: usize| origin.at[axis].wrapping_add(tap * dilation[axis]);
            let inside = |axis: usize, tap: usize| at(axis, tap) < window.input[axis];
            // The taps of an axis are a progression: if both ends are inside, all are.
            if (0..3).all(|axis| inside(axis, 0) && inside(axis, kernel[axis] - 1)) {
                continue;
            }
            // Each tap of these rows once: the kernel may have far more.
            let mut tap = [phase / (kernel[1] * kernel[2]), phase / kernel[2] % kernel[1], phase % kernel[2]];
            for row in 0..taps.min(rows.len()) {
                let [kz, ky, kx] = tap;
                if !(inside(0, kz) && inside(1, ky) && inside(2, kx)) {
                    let lanes = rows.iter_mut().skip(row).step_by(taps).map(|row| &mut row[lane]);
                    match window.source([at(0, kz), at(1, ky), at(2, kx)]) {
                        None => lanes.for_each(|lane| *lane = 0.0),
                        Some(place) => {
                            let channel = (first + row) / taps;
                            let values = &input[origin.image + channel * plane_len + place..];
                            for (lane, value) in lanes.zip(values.iter().step_by(plane_len)) {
                                *lane = *value;
                            }
                        }
                    }
                }
                tap = next_tap(tap, kernel);
            }
        }
    }
}

/// The tap after `tap` in row-major order; after the last comes the first.
const fn next_tap([z, y, x]: [usize; 3], kernel: &[usize; 3]) -> [usize; 3] {
    if x + 1 < kernel[2] {
        [z, y, x + 1]
    } else if y + 1 < kernel[1] {
        [z, y + 1, 0]
    } else if z + 1 < kernel[0] {
        [z + 1, 0, 0]
    } else {
        [0, 0, 0]
    }
}

/// Packs `depth` rows, from `first` on, of neighbouring panels, each followed by a spare row.
///
/// Row by row over all of the panels: the columns of a row are neighbours in the input, while its
/// rows may be pages apart.
#[inline(always)]
pub(super) fn pack<const STRIDE: usize>(
    patches: &Patches,
    panels: &[Panel],
    input: &[f32],
    first: usize,
    depth: usize,
    block: &mut [f32],
) {
    let window = &patches.window;
    let mut row = MatrixRow::at(first, window);
    let mut at = 0;
    while at < depth {
        let [kz, ky, kx] = row.tap;
        // Taps may lie so far out in the padding that their offsets wrap; addresses wrap back.
        let line =
            (kz * window.dilation[0]).wrapping_mul(window.input[1]).wrapping_add(ky * window.dilation[1]);
        let line = (row.channel * window.plane_len()).wrapping_add(line.wrapping_mul(window.input[2]));
        for kx in kx..window.kernel[2].min(kx + depth - at) {
            let offset = line.wrapping_add(kx * window.dilation[2]);
            for (i, panel) in panels.iter().enumerate() {
                // A segment overwrites what the one before it read too much; the last one runs
                // over into the next row, which is written next, or into the spare row.
                for segment in &panel.segments[..panel.count] {
                    let lanes = &mut block[(i * (depth + 1) + at) * NR + segment.lane..];
                    fetch::<STRIDE>(input, segment.base.wrapping_add(offset), window.stride[2], lanes);
                }
            }
            at += 1;
        }
        row.next_line(window);
    }
    if window.is_padded() {
        for (panel, rows) in panels.iter().zip(block.as_chunks_mut().0.chunks_exact_mut(depth + 1)) {
            panel.fill_padding(window, input, first, &mut rows[..depth]);
        }
    }
}

//! The stage: the padded copy of what a block reads.

use super::block::{Block, Position, staged_channels};
use crate::conv::shape::ConvShape;
use crate::layout::InputStrides;
use crate::padding::PaddingMode;
use crate::simd::load::{fetch, zero};
use crate::simd::{Kernel, MulAdd, NR, Vectors};
use crate::window::Window;

/// Fills the stage of the block that begins at `first`.
pub(super) struct FillPadded<'a> {
    pub(super) block: &'a Block,
    pub(super) first: &'a Position,
    pub(super) shape: &'a ConvShape,
    pub(super) strides: &'a InputStrides<3>,
    pub(super) input: &'a [f32],
    pub(super) stage: &'a mut [f32],
}

impl Kernel for FillPadded<'_> {
    const USES_AVX2: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        _: impl Vectors,
    ) {
        self.block.fill(self.first, self.shape, self.strides, self.input, self.stage);
    }
}

impl Block {
    /// Fills the stage. Whole vectors are written; what is written too much is in what comes next.
    #[inline(always)]
    fn fill(
        &self,
        first: &Position,
        shape: &ConvShape,
        strides: &InputStrides<3>,
        input: &[f32],
        stage: &mut [f32],
    ) {
        if shape.input_layout.is_last() {
            self.fill_positions(first, shape, strides, input, stage);
            return;
        }
        let (window, dims) = (&shape.window, strides.dims);
        let [planes, lines, columns] = StageAxis::all(self, first, window);
        // Taps that lie together are one run of values, others a run each.
        let (runs, run_len, step) = if columns.is_together {
            (1, columns.len, 1)
        } else {
            (window.kernel[2], columns.positions, window.stride[2])
        };
        let mut run = Run::new(window, columns.start, run_len, step);
        zero(stage, run.before);
        let mut at = 0;
        for image in first.image..first.image + self.images {
            for channel in 0..shape.in_group {
                let plane = image * strides.image + channel * strides.channel;
                for z in 0..planes.len {
                    let z = window.mode.source(planes.coordinate(z), window.input[0]);
                    for y in 0..lines.len {
                        let y = window.mode.source(lines.coordinate(y), window.input[1]);
                        let line = z.zip(y).map(|(z, y)| plane + z * dims[0] + y * dims[1]);
                        for tap in 0..runs {
                            let to = &mut stage[at..];
                            if runs > 1 {
                                let x = columns.start.wrapping_add(tap.wrapping_mul(columns.dilation));
                                run = Run::new(window, x, run_len, step);
                                zero(to, run.before);
                            }
                            match step {
                                1 => run.fill::<1>(window, input, line, to),
                                2 => run.fill::<2>(window, input, line, to),
                                _ => run.fill::<0>(window, input, line, to),
                            }
                            at += run_len;
                        }
                    }
                }
            }
        }
    }

    /// Fills the stage with the channels of one position after the other.
    #[inline(always)]
    fn fill_positions(
        &self,
        first: &Position,
        shape: &ConvShape,
        strides: &InputStrides<3>,
        input: &[f32],
        stage: &mut [f32],
    ) {
        let (window, channels) = (&shape.window, shape.in_group);
        let [planes, lines, columns] = StageAxis::all(self, first, window);
        let staged = staged_channels(shape);
        // The positions of a line inside the input, if they are as far apart there as in the stage: one run of values.
        let inside = if strides.dims[2] == staged && columns.is_together {
            let Run { before, inside, .. } = Run::new(window, columns.start, columns.len, 1);
            before..before + inside
        } else {
            0..0
        };
        let mut at = 0;
        for image in first.image..first.image + self.images {
            for z in 0..planes.len {
                let z = planes.coordinate(z);
                for y in 0..lines.len {
                    let y = lines.coordinate(y);
                    let mut i = 0;
                    while i < columns.len {
                        let x = columns.coordinate(i);
                        let run = if i == inside.start { inside.len().max(1) } else { 1 };
                        match strides.place(window, [z, y, x]) {
                            Some(place) => {
                                let from = image * strides.image + place;
                                for done in (0..(run - 1) * staged + channels).step_by(NR) {
                                    fetch::<1>(input, from + done, 1, &mut stage[at + done..]);
                                }
                            }
                            None => zero(&mut stage[at..], run * staged),
                        }
                        (i, at) = (i + run, at + run * staged);
                    }
                }
            }
        }
    }
}

/// An axis of the stage.
struct StageAxis {
    /// How many values it holds.
    len: usize,
    /// The coordinate of the first of them in the input.
    start: usize,
    /// Whether they follow each other in the input; otherwise they are those of the first tap, of the second, and so on.
    is_together: bool,
    positions: usize,
    stride: usize,
    dilation: usize,
}

impl StageAxis {
    /// The axes of the block that begins at `first`.
    #[inline(always)]
    fn all(block: &Block, first: &Position, window: &Window) -> [Self; 3] {
        let dims = block.stage_dims(window);
        core::array::from_fn(|axis| Self {
            len: dims[axis],
            start: (first.at[axis] * window.stride[axis]).wrapping_sub(window.padding[axis][0]),
            is_together: dims[axis] == block.extent(window, axis),
            positions: block.positions[axis],
            stride: window.stride[axis],
            dilation: window.dilation[axis],
        })
    }

    /// The coordinate of place `i`; before the input it wraps around.
    #[inline(always)]
    fn coordinate(&self, i: usize) -> usize {
        if self.is_together {
            return self.start.wrapping_add(i);
        }
        let (tap, position) = (i / self.positions, i % self.positions);
        self.start.wrapping_add(position * self.stride).wrapping_add(tap * self.dilation)
    }
}

/// Values of a line of input, `step` apart from `x` on, which may lie before the line: some in the padding before it, some
/// inside, the others in the padding after it.
#[derive(Clone, Copy)]
struct Run {
    x: usize,
    step: usize,
    len: usize,
    before: usize,
    inside: usize,
}

impl Run {
    #[inline(always)]
    fn new(window: &Window, x: usize, len: usize, step: usize) -> Self {
        // How many of the values lie before a place.
        let up_to = |end: usize| {
            let distance = (end.wrapping_sub(x) as isize).max(0) as usize;
            let values = if step == 1 { distance } else { distance.div_ceil(step) };
            values.min(len)
        };
        let before = up_to(0);
        Self { x, step, len, before, inside: up_to(window.input[2]) - before }
    }

    /// Writes the run of the line that begins at `line` of the input; where there is no line, zeros. The padding before it must be
    /// zeros already: behind its end each run writes as many for the next one.
    #[inline(always)]
    fn fill<const STEP: usize>(&self, window: &Window, input: &[f32], line: Option<usize>, to: &mut [f32]) {
        let Self { x, step, len, before, inside } = *self;
        let step = if STEP == 0 { step } else { STEP };
        let Some(line) = line else {
            zero(&mut to[before..], len);
            return;
        };
        let mut from = line.wrapping_add(x).wrapping_add(before.wrapping_mul(step));
        for lanes in to[before..].as_chunks_mut::<NR>().0.iter_mut().take(inside.div_ceil(NR)) {
            fetch::<STEP>(input, from, step, lanes);
            from = from.wrapping_add(NR.wrapping_mul(step));
        }
        zero(&mut to[before + inside..], len - inside);
        if window.mode != PaddingMode::Zeros && inside < len {
            self.fill_padding(window, &input[line..][..window.input[2]], to);
        }
    }

    /// Writes the values in the padding of a line.
    #[inline(never)]
    fn fill_padding(&self, window: &Window, line: &[f32], to: &mut [f32]) {
        let end = self.before + self.inside;
        for i in (0..self.before).chain(end..self.len) {
            let x = self.x.wrapping_add(i.wrapping_mul(self.step));
            to[i] = window.mode.source(x, line.len()).map_or(0.0, |x| line[x]);
        }
    }
}

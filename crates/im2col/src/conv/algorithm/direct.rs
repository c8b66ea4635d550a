//! The algorithm without a matrix: shifted reads of a padded copy of a group's planes, or of the planes themselves.
//!
//! Its output may have channels last, if these are few: one group with no more of them than a panel has.

use crate::conv::padded::PaddedPlanes;
use crate::conv::pass::Pass;
use crate::conv::shape::ConvShape;
use crate::epilogue::Epilogue;
use crate::gemm::Panels;
use crate::scratch::ALIGN;
use crate::simd::{Isa, Kernel, Lanes, MR, MulAdd, NR, Vectors, dispatch};
use crate::window::{Window, checked_sum};

/// Whether input and output have layouts that it can read and write.
pub(in crate::conv) const fn fits(shape: &ConvShape) -> bool {
    let are_few = shape.groups == 1 && shape.out_group <= NR;
    let is_input_planar = !shape.input_layout.is_last() && !shape.is_view;
    is_input_planar && (are_few || !shape.output_layout.is_last())
}

/// The length of what precedes the stage in the scratch of the forward pass: the sums of a tile.
pub(in crate::conv) const TILE_LEN: usize = 4 * MR * NR;

/// Whether the planes are read without a copy: if there are few channels, which are a single tile under AVX2 and AVX-512, and whole
/// vectors cover the lines, so that none reads beyond the planes. Threads that cut a line leave vectors that are not whole.
pub(in crate::conv) const fn needs_no_copy(shape: &ConvShape) -> bool {
    let Window { stride, output, .. } = shape.window;
    let is_cut = shape.output_layout.is_last() && shape.window.outer_axis() == 2;
    let is_whole = output[2].is_multiple_of(NR) && !is_cut;
    shape.out_group <= MR && !shape.window.is_padded() && stride[2] == 1 && is_whole
}

/// The padded copy, if there is one, and a tile.
pub(in crate::conv) const fn scratch_len(shape: &ConvShape) -> Option<usize> {
    match PaddedPlanes::new(shape).len() {
        _ if needs_no_copy(shape) => Some(ALIGN + TILE_LEN),
        Some(len) => checked_sum([ALIGN, TILE_LEN, len]),
        None => None,
    }
}

/// Runs the algorithm, group by group.
pub(in crate::conv) fn forward(isa: Isa, pass: &mut Pass<'_>) {
    let (stage, panels) = pass.take_scratch();
    for group in 0..pass.shape.groups {
        let weights = pass.panels(isa, group, panels);
        dispatch(isa, Direct { pass: &mut *pass, group, weights, stage });
    }
}

/// A group of all images.
struct Direct<'f, 'a> {
    pass: &'f mut Pass<'a>,
    group: usize,
    weights: Panels<'f, NR>,
    stage: &'f mut [f32],
}

impl Kernel for Direct<'_, '_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        mul_add: impl MulAdd,
        vectors: impl Vectors,
    ) {
        let Self { pass, group, weights, stage } = self;
        let (layout, epilogue) = (PaddedPlanes::new(&pass.shape), pass.epilogue(group));
        let [position_stride, channel_stride, _] = pass.shape.output_strides();
        let place = Place { channel: 0, position_stride, channel_stride };
        let (part, start) = layout.part(pass.part);
        let needs_no_copy = needs_no_copy(&pass.shape);
        let (tile, stage) = stage.split_at_mut(TILE_LEN);
        let tile = tile.as_chunks_mut().0;
        for image in 0..pass.shape.batch {
            let (planes, output) = pass.image(image, group);
            let values = &planes.input[planes.start..][..planes.len];
            // All planes, also for a part of the output: they are few where this algorithm is chosen.
            let seen = if needs_no_copy {
                values
            } else {
                layout.copy(values, stage);
                &*stage
            };
            let seen = &seen[start..];
            // Four vectors of positions where two panels fit beside them: 24 of 32 registers.
            if PANELS > 1 {
                part.convolve::<ROWS, 4>(seen, weights, epilogue, place, output, tile, mul_add, vectors);
            } else {
                part.convolve::<ROWS, 1>(seen, weights, epilogue, place, output, tile, mul_add, vectors);
            }
        }
    }
}

/// Where outputs lie: the first channel of some, and how far apart positions and channels are.
#[derive(Clone, Copy)]
struct Place {
    channel: usize,
    position_stride: usize,
    channel_stride: usize,
}

impl PaddedPlanes {
    /// The planes for the part `begin..end` of the output on its outer axis, and the offset in them of the first value that
    /// this part reads.
    #[inline(always)]
    fn part(&self, [begin, end]: [usize; 2]) -> (Self, usize) {
        let (mut part, mut first, axis) = (*self, [0; 3], self.window.outer_axis());
        (part.window.output[axis], first[axis]) = (end - begin, begin);
        (part, self.vector_at(first).stage)
    }

    /// Convolves the planes of one image and group, or their padded copy: `stage`. `output` is `[out_group, positions]`, or
    /// `[positions, out_group]`.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "the operands of one convolution")]
    fn convolve<const ROWS: usize, const VECTORS: usize>(
        &self,
        stage: &[f32],
        weights: Panels<'_, NR>,
        epilogue: Epilogue<'_>,
        mut place: Place,
        output: &mut [f32],
        tile: &mut [Lanes],
        mul_add: impl MulAdd,
        vectors: impl Vectors,
    ) {
        let positions = self.window.positions();
        // Of channels last, one panel is the whole output.
        for (panel, output) in output.chunks_mut(NR * positions).enumerate() {
            let (weights, channels) = (weights.panel(panel), output.len() / positions);
            place.channel = panel * NR;
            if channels == 1 {
                // A single channel: the registers are filled with positions instead.
                self.tiles::<1, ROWS>(weights, 0, epilogue, place, output, stage, tile, mul_add, vectors);
                continue;
            }
            for part in (0..channels).step_by(ROWS) {
                // The last of sixteen channels are computed with some before them once more.
                let part = part.min(NR - ROWS);
                let place = Place { channel: place.channel + part, ..place };
                let output = &mut output[part * place.channel_stride..];
                self.tiles::<ROWS, VECTORS>(
                    weights, part, epilogue, place, output, stage, tile, mul_add, vectors,
                );
            }
        }
    }

    /// Computes up to `ROWS` channels, those of `output`, from lane `part` of the weights on, `VECTORS` vectors at a time.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "the operands of one matrix product")]
    fn tiles<const ROWS: usize, const VECTORS: usize>(
        &self,
        weights: &[Lanes],
        part: usize,
        epilogue: Epilogue<'_>,
        Place { channel, position_stride, .. }: Place,
        output: &mut [f32],
        stage: &[f32],
        tile: &mut [Lanes],
        mul_add: impl MulAdd,
        vectors: impl Vectors,
    ) {
        let positions = self.window.positions();
        let [planes, lines, width] = self.window.output;
        let mut next = OutputVector::default();
        let mut at = [0, 0, 0];
        while at[0] < planes {
            let mut outputs = [OutputVector { len: 0, ..next }; VECTORS];
            for vector in &mut outputs {
                if at[0] == planes {
                    break;
                }
                next = self.vector_at(at);
                *vector = next;
                at[2] += NR;
                if at[2] >= width {
                    at = if at[1] + 1 == lines { [at[0] + 1, 0, 0] } else { [at[0], at[1] + 1, 0] };
                }
            }
            let sums = self.sums::<ROWS, VECTORS>(weights, part, &outputs, stage, mul_add);
            for i in 0..VECTORS {
                for j in 0..ROWS {
                    tile[i * ROWS + j] = sums[i][j];
                }
            }
            // From here on in memory: the loops below would take the sums out of their registers.
            let tile = tile.as_chunks_mut::<ROWS>().0;
            for (sums, vector) in tile.iter_mut().zip(&outputs).filter(|(_, vector)| vector.len > 0) {
                epilogue.apply(sums, channel, 0);
                // A single channel has no layout.
                if ROWS > 1 && position_stride > 1 {
                    let mut channels = [[0.0; NR]; NR];
                    channels[..ROWS].copy_from_slice(sums);
                    let (channels, len) =
                        (vectors.transpose(channels.each_ref()), ROWS.min(position_stride - channel));
                    for (i, channels) in channels.iter().enumerate().take(vector.len) {
                        let values = &mut output[(vector.output + i) * position_stride..];
                        match values.first_chunk_mut() {
                            // What a vector holds too much lies where the next positions are stored.
                            Some(values) if len == position_stride => *values = *channels,
                            _ => values[..len].copy_from_slice(&channels[..len]),
                        }
                    }
                    continue;
                }
                for (sums, plane) in sums.iter().zip(output.chunks_exact_mut(positions)) {
                    let plane = &mut plane[vector.output..];
                    // What a vector holds too much lies where the next one is stored.
                    match plane.first_chunk_mut() {
                        Some(plane) => *plane = *sums,
                        None => plane[..vector.len].copy_from_slice(&sums[..vector.len]),
                    }
                }
            }
        }
    }

    /// The vector of outputs that begins at `[z, y, x]`.
    #[inline(always)]
    pub(in crate::conv) fn vector_at(&self, [z, y, x]: [usize; 3]) -> OutputVector {
        let Window { output, stride, .. } = &self.window;
        OutputVector {
            stage: (z * stride[0] * self.lines[1] + y * stride[1]) * self.line_len() + x,
            output: (z * output[1] + y) * output[2] + x,
            len: NR.min(output[2] - x),
        }
    }

    /// The microkernel: the sums of `ROWS` channels at each vector of positions.
    #[inline(always)]
    fn sums<const ROWS: usize, const VECTORS: usize>(
        &self,
        weights: &[Lanes],
        part: usize,
        vectors: &[OutputVector; VECTORS],
        stage: &[f32],
        mul_add: impl MulAdd,
    ) -> [[Lanes; ROWS]; VECTORS] {
        let Window { kernel, stride, dilation, .. } = &self.window;
        let (residue_step, step) = (dilation[2] % stride[2], dilation[2] / stride[2]);
        // Wrapping: a dilation counts only where there is a second tap.
        let line_step = dilation[1].wrapping_mul(self.line_len());
        let plane_step = dilation[0].wrapping_mul(self.lines[1] * self.line_len());
        let channel_step = self.lines[0] * self.lines[1] * self.line_len();
        // What a vector of positions sees lies in as many values for each of them, so one check a tap is
        // enough.
        let reach = (kernel[2] - 1) * dilation[2];
        let last_tap = (kernel[0] - 1) * plane_step + (kernel[1] - 1) * line_step + reach / stride[2];
        let last_residue = (stride[2] - 1).min(reach) * self.residue_len;
        let extent = (self.channels - 1) * channel_step + last_tap + last_residue + NR;
        let mut values: [&[f32]; VECTORS] = [&[]; VECTORS];
        for (values, vector) in values.iter_mut().zip(vectors) {
            *values = &stage[vector.stage..][..extent];
        }
        let mut tile = [[[0.0; NR]; ROWS]; VECTORS];
        let (mut residue, mut column, mut tap) = (0, 0, [0; 3]);
        let (mut line, mut plane, mut channel) = (0_usize, 0_usize, 0);
        for weights in weights {
            let offset = line + residue * self.residue_len + column;
            if offset >= extent || extent - offset < NR {
                break;
            }
            let mut lanes = [[0.0; NR]; VECTORS];
            for i in 0..VECTORS {
                lanes[i].copy_from_slice(&values[i][offset..][..NR]);
            }
            for j in 0..ROWS {
                for i in 0..VECTORS {
                    tile[i][j] = mul_add(weights[part + j], lanes[i], tile[i][j]);
                }
            }
            (residue, column) = (residue + residue_step, column + step);
            if residue >= stride[2] {
                (residue, column) = (residue - stride[2], column + 1);
            }
            tap[2] += 1;
            if tap[2] == kernel[2] {
                (residue, column, tap[2]) = (0, 0, 0);
                line = line.wrapping_add(line_step);
                tap[1] += 1;
                if tap[1] == kernel[1] {
                    tap[1] = 0;
                    plane = plane.wrapping_add(plane_step);
                    tap[0] += 1;
                    if tap[0] == kernel[0] {
                        tap[0] = 0;
                        channel += channel_step;
                        plane = channel;
                    }
                    line = plane;
                }
            }
        }
        debug_assert_eq!(channel, self.channels * channel_step, "a sum without its last products");
        tile
    }
}

/// `NR` consecutive outputs of a line, of which `len` exist.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::conv) struct OutputVector {
    /// Where tap 0 of the first one reads.
    pub(in crate::conv) stage: usize,
    /// Where the first one is stored in its plane.
    pub(in crate::conv) output: usize,
    pub(in crate::conv) len: usize,
}

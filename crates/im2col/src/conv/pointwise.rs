//! The algorithm for a single tap: the planes of an image are already the matrix.
//!
//! Lanes are positions, read where they lie, and rows are output channels, so that sums are stored as they
//! are: nothing is transposed. Where a plane is less than a vector, or planes lie so that their lines of
//! cache push each other out, a block of them is packed first.
//!
//! The order of the loops is that of K. Goto, R. van de Geijn: Anatomy of High-Performance Matrix
//! Multiplication (2008).

use super::broadcast::is_staged;
use super::forward::{Forward, Weights};
use super::shape::Shape;
use crate::activation::{Activation, Finish};
use crate::gemm::pack::{Matrix, PackRows, panels_len};
use crate::gemm::{Blocking, Panels, blocks};
use crate::kernel::{Isa, Job, Lanes, MR, MulAdd, NR, Vectors, dispatch};
use core::ops::Range;

/// The most sums of a tile: 24 of 32 registers.
const MOST_SUMS: usize = 24;

/// The longest `k` of a block: sums are stored and taken up again once in 4096 cycles of a tile.
pub(super) const KC: usize = 512;
/// The most values of a block of the planes: 256 KiB, half of the smallest L2 in use.
const BLOCK: usize = 64 * 1024;
/// Products in a sum, below which what is stored counts for more than what is read.
const FEW: usize = 64;

pub(super) const fn blocking(shape: &Shape) -> Blocking {
    Blocking::within(shape.depth(), shape.window.positions(), KC, BLOCK)
}

/// Whether blocks of the planes are packed.
pub(super) const fn is_packed(shape: &Shape) -> bool {
    shape.window.plane_len() < NR || is_staged(shape)
}

/// Runs the algorithm.
///
/// Each step is a job of its own: in one function, what the others keep in registers would push the sums
/// out of them.
pub(super) fn forward(isa: Isa, mut forward: Forward<'_>) {
    let Shape { batch, groups, out_group, window, .. } = forward.shape;
    let (depth, positions) = (forward.shape.depth(), window.positions());
    let (Blocking { kc, nc }, is_packed) = (forward.blocking, is_packed(&forward.shape));
    let len = panels_len::<NR>(depth, out_group);
    let (block, panels) = forward.take_scratch();
    for group in 0..groups {
        let weights = match forward.weight {
            Weights::Packed(packed) => &packed.panels[group * len..][..len],
            Weights::Plain(weight) => {
                let (values, rows, row_stride) = (&weight[group * out_group * depth..], out_group, depth);
                let panels = &mut panels[..len];
                dispatch(isa, PackRows { values, row_stride, rows, depth, panels });
                &panels[..len]
            }
        };
        let (weights, activation) = (
            Panels::new(weights, depth),
            if forward.activation.is_fused() { forward.activation } else { Activation::Identity },
        );
        let bias = forward.bias.get(group * out_group..).unwrap_or_default();
        for image in 0..batch {
            let (planes, output) = forward.image(image, group);
            let planes = &planes.input[planes.start..][..planes.len];
            for columns in blocks(positions, nc) {
                for k in blocks(depth, kc) {
                    let (planes, step) = if is_packed {
                        let matrix = Matrix::row_major(planes, positions);
                        let (k, columns, block) = (k.clone(), columns.clone(), &mut *block);
                        dispatch(isa, Pack { matrix, k, columns, block });
                        (&*block, NR)
                    } else {
                        (&planes[k.start * positions..], positions)
                    };
                    let (accumulate, is_last) = (k.start > 0, k.end == depth);
                    let weights = weights.rows(k);
                    for rows in blocks(out_group, NR) {
                        let (first, weights) = (rows.start, weights.panel(rows.start / NR));
                        let output = &mut output[first * positions..rows.end * positions];
                        let columns = columns.clone();
                        let strip =
                            Strip { weights, planes, step, is_packed, columns, positions, accumulate };
                        dispatch(isa, Multiply { strip: &strip, output });
                        if is_last {
                            let (plane_len, columns) = (positions, strip.columns);
                            let bias = bias.get(first..).unwrap_or_default();
                            dispatch(isa, Finish { plane_len, columns, bias, activation, output });
                        }
                    }
                }
            }
        }
    }
}

struct Pack<'a> {
    matrix: Matrix<'a>,
    k: Range<usize>,
    columns: Range<usize>,
    block: &'a mut [f32],
}

impl Job for Pack<'_> {
    const USES_AVX512: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        _: impl MulAdd,
        _: impl Vectors,
    ) {
        self.matrix.pack_b(self.k, self.columns, self.block);
    }
}

/// A panel of rows of a block of columns: `output[rows, columns] = weights[rows, k] planes[k, columns]`.
struct Strip<'a> {
    weights: &'a [Lanes],
    planes: &'a [f32],
    /// From a value to the one in the next row, and whether panels of `NR` columns follow each other.
    step: usize,
    is_packed: bool,
    columns: Range<usize>,
    positions: usize,
    /// Takes up the sums of the products before these.
    accumulate: bool,
}

/// The vector of positions that begins at `at`: its lanes `new` are to be stored.
#[derive(Clone, Copy)]
struct Spot {
    at: usize,
    new: (usize, usize),
}

struct Multiply<'a> {
    strip: &'a Strip<'a>,
    /// `[rows, positions]`
    output: &'a mut [f32],
}

impl Job for Multiply<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        mul_add: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { strip, output } = self;
        match (PANELS, output.len() / strip.positions) {
            (1, _) => strip.multiply::<ROWS, 1>(output, mul_add),
            (_, ..=MR) => strip.multiply::<MR, 4>(output, mul_add),
            _ => strip.multiply::<8, 2>(output, mul_add),
        }
    }
}

impl Strip<'_> {
    #[inline(always)]
    fn multiply<const ROWS: usize, const PANELS: usize>(&self, output: &mut [f32], mul_add: impl MulAdd) {
        let mut spare = [[0.0; NR]; MOST_SUMS];
        let rows = output.len() / self.positions;
        // As many rows as a tile has along all columns, so that their lines are written one after the other, where
        // there is little to read or it lies together; otherwise the whole panel, while columns are in L1.
        let step = if self.is_packed || self.weights.len() < FEW { ROWS } else { NR };
        let mut part = 0;
        while part < rows {
            let end = (part + step).min(rows);
            let mut column = self.columns.start;
            while column < self.columns.end {
                if PANELS > 1 && self.columns.end - column <= NR {
                    self.tiles::<ROWS, 1>(part..end, column, output, &mut spare, mul_add);
                } else {
                    self.tiles::<ROWS, PANELS>(part..end, column, output, &mut spare, mul_add);
                }
                column += PANELS * NR;
            }
            part = end;
        }
    }

    /// Computes all rows of `PANELS` vectors of columns.
    #[inline(always)]
    fn tiles<const ROWS: usize, const PANELS: usize>(
        &self,
        rows: Range<usize>,
        column: usize,
        output: &mut [f32],
        spare: &mut [Lanes],
        mul_add: impl MulAdd,
    ) {
        let mut part = rows.start;
        while part < rows.end {
            let output = &mut output[part * self.positions..];
            if part + ROWS <= NR {
                self.tile::<ROWS, PANELS>(part, column, output, spare, mul_add);
                part += ROWS;
            } else {
                // What sixes leave of sixteen.
                self.tile::<4, PANELS>(part, column, output, spare, mul_add);
                part += 4;
            }
        }
    }

    /// The vector that begins at `column`. At the end of the planes it begins earlier, unless columns are
    /// packed.
    #[inline(always)]
    fn spot(&self, column: usize) -> Spot {
        let len = NR.min(self.columns.end.saturating_sub(column));
        if self.is_packed {
            return Spot { at: column, new: (0, len) };
        }
        let at = column.min(self.positions - NR);
        let first = (column - at).min(NR);
        Spot { at, new: (first, (first + len).min(NR)) }
    }

    /// Computes `ROWS` rows, if there are as many, of `PANELS` vectors of columns from `column` on.
    #[inline(always)]
    fn tile<const ROWS: usize, const PANELS: usize>(
        &self,
        part: usize,
        column: usize,
        output: &mut [f32],
        spare: &mut [Lanes],
        mul_add: impl MulAdd,
    ) {
        let mut spots = [Spot { at: 0, new: (0, 0) }; PANELS];
        let mut values: [&[f32]; PANELS] = [&[]; PANELS];
        let mut is_whole = output.len() >= ROWS * self.positions;
        for i in 0..PANELS {
            let spot = self.spot(column + i * NR);
            let start = match self.is_packed {
                // A vector too many reads the first one again.
                true if spot.new.1 == 0 => (column - self.columns.start) * self.weights.len(),
                true => (spot.at - self.columns.start) * self.weights.len(),
                false => spot.at,
            };
            values[i] = &self.planes[start..];
            spots[i] = spot;
            is_whole &= spot.new == (0, NR);
        }
        let mut sums = [[[0.0; NR]; PANELS]; ROWS];
        if self.accumulate {
            self.load(&spots, is_whole, output, spare, &mut sums);
        }
        self.sums(part, values, &mut sums, mul_add);
        if !is_whole {
            for i in 0..ROWS {
                for j in 0..PANELS {
                    spare[i * PANELS + j] = sums[i][j];
                }
            }
            self.store_part(&spots, output, &spare[..ROWS * PANELS]);
            return;
        }
        for i in 0..ROWS {
            for j in 0..PANELS {
                if let Some(to) = output[i * self.positions + spots[j].at..].first_chunk_mut() {
                    *to = sums[i][j];
                }
            }
        }
    }

    /// Takes up the sums that are stored.
    #[inline(always)]
    fn load<const ROWS: usize, const PANELS: usize>(
        &self,
        spots: &[Spot; PANELS],
        is_whole: bool,
        output: &[f32],
        spare: &mut [Lanes],
        sums: &mut [[Lanes; PANELS]; ROWS],
    ) {
        if is_whole {
            for i in 0..ROWS {
                for j in 0..PANELS {
                    if let Some(line) = output[i * self.positions + spots[j].at..].first_chunk() {
                        sums[i][j] = *line;
                    }
                }
            }
        } else {
            self.load_part(spots, output, &mut spare[..ROWS * PANELS]);
            for i in 0..ROWS {
                for j in 0..PANELS {
                    sums[i][j] = spare[i * PANELS + j];
                }
            }
        }
    }

    /// The microkernel: `sums[i][j] += sum over k of weights[k][part + i] * values[j][k]`, `k` ascending.
    #[inline(always)]
    fn sums<const ROWS: usize, const PANELS: usize>(
        &self,
        part: usize,
        values: [&[f32]; PANELS],
        sums: &mut [[Lanes; PANELS]; ROWS],
        mul_add: impl MulAdd,
    ) {
        let (step, depth) = (self.step, self.weights.len());
        let extent = (depth - 1) * step + NR;
        let mut lines: [&[f32]; PANELS] = [&[]; PANELS];
        for i in 0..PANELS {
            lines[i] = &values[i][..extent];
        }
        let mut tile = *sums;
        let mut place = 0;
        for weights in self.weights {
            // Never so, but what the compiler does not know it would check for each value.
            if place >= extent || extent - place < NR {
                break;
            }
            let mut lanes = [[0.0; NR]; PANELS];
            for i in 0..PANELS {
                lanes[i].copy_from_slice(&lines[i][place..][..NR]);
            }
            for i in 0..ROWS {
                for j in 0..PANELS {
                    tile[i][j] = mul_add(weights[part + i], lanes[j], tile[i][j]);
                }
            }
            place += step;
        }
        debug_assert_eq!(place, depth * step, "a sum without its last products");
        *sums = tile;
    }

    /// [`Strip::load`] for fewer rows than a tile has, or fewer columns.
    #[cold]
    #[inline(never)]
    fn load_part(&self, spots: &[Spot], output: &[f32], sums: &mut [Lanes]) {
        for (sums, line) in sums.chunks_exact_mut(spots.len()).zip(output.chunks(self.positions)) {
            for (sums, Spot { at, new: (first, end) }) in sums.iter_mut().zip(spots) {
                if first < end {
                    sums[*first..*end].copy_from_slice(&line[at + first..at + end]);
                }
            }
        }
    }

    /// Stores fewer rows than a tile has, or fewer columns.
    #[cold]
    #[inline(never)]
    fn store_part(&self, spots: &[Spot], output: &mut [f32], sums: &[Lanes]) {
        for (sums, line) in sums.chunks_exact(spots.len()).zip(output.chunks_mut(self.positions)) {
            for (sums, Spot { at, new: (first, end) }) in sums.iter().zip(spots) {
                if first < end {
                    line[at + first..at + end].copy_from_slice(&sums[*first..*end]);
                }
            }
        }
    }
}

//! The transforms of inputs, weights and sums, sixteen channels at a time.

#![allow(
    clippy::needless_range_loop,
    clippy::manual_memcpy,
    reason = "loops over indices are unrolled into registers"
)]

use super::tiling::{POINTS, SEEN, TILE};
use crate::conv::channel_lanes::PANELS_AT_ONCE;
use crate::padding::PaddingMode;
use crate::simd::load::{padded, put, rows_at};
use crate::simd::{Kernel, Lanes, MulAdd, NR, Vectors};
use crate::window::Window;
use core::f32::consts::{FRAC_1_SQRT_2, SQRT_2};

/// The points besides 0 and infinity, of either sign. The largest errors are a third to a sixth of those with
/// the usual 1 and 2, whose powers differ more.
const A: f32 = FRAC_1_SQRT_2;
const B: f32 = SQRT_2;
/// Their squares.
const A2: f32 = 0.5;
const B2: f32 = 2.0;

/// A row of `B^T` times values of six positions.
#[inline(always)]
fn to_points(d: &[Lanes; SEEN], mul_add: impl MulAdd) -> [Lanes; SEEN] {
    let (even_a, odd_a) = (mul_add(-B2, d[2], d[4]), mul_add(-B2, d[1], d[3]));
    let (even_b, odd_b) = (mul_add(-A2, d[2], d[4]), mul_add(-A2, d[1], d[3]));
    [
        mul_add(A2 * B2, d[0], mul_add(-A2 - B2, d[2], d[4])),
        mul_add(A, odd_a, even_a),
        mul_add(-A, odd_a, even_a),
        mul_add(B, odd_b, even_b),
        mul_add(-B, odd_b, even_b),
        mul_add(A2 * B2, d[1], mul_add(-A2 - B2, d[3], d[5])),
    ]
}

/// `G` times the weights of three taps.
#[inline(always)]
fn weights_to_points(g: &[Lanes; 3], mul_add: impl MulAdd) -> [Lanes; SEEN] {
    const OF_A: f32 = 1.0 / (2.0 * A2 * (A2 - B2));
    const OF_B: f32 = 1.0 / (2.0 * B2 * (B2 - A2));
    const ZERO: Lanes = [0.0; NR];
    let even_a = mul_add(OF_A, g[0], mul_add(OF_A * A2, g[2], ZERO));
    let even_b = mul_add(OF_B, g[0], mul_add(OF_B * B2, g[2], ZERO));
    [
        mul_add(1.0 / (A2 * B2), g[0], ZERO),
        mul_add(OF_A * A, g[1], even_a),
        mul_add(-OF_A * A, g[1], even_a),
        mul_add(OF_B * B, g[1], even_b),
        mul_add(-OF_B * B, g[1], even_b),
        g[2],
    ]
}

/// `A^T` times sums at six points.
#[inline(always)]
fn to_outputs(m: &[Lanes; SEEN], mul_add: impl MulAdd) -> [Lanes; TILE] {
    const ZERO: Lanes = [0.0; NR];
    let (even_a, odd_a) = (mul_add(1.0, m[1], m[2]), mul_add(-1.0, m[2], m[1]));
    let (even_b, odd_b) = (mul_add(1.0, m[3], m[4]), mul_add(-1.0, m[4], m[3]));
    [
        mul_add(1.0, mul_add(1.0, even_a, m[0]), even_b),
        mul_add(B, odd_b, mul_add(A, odd_a, ZERO)),
        mul_add(B2, even_b, mul_add(A2, even_a, ZERO)),
        mul_add(B * B2, odd_b, mul_add(A * A2, odd_a, m[5])),
    ]
}

/// Transforms the weights of a group, `[row][channel][tap]`, to panels of `[point][channel][NR rows]`; rows
/// past the last are the last once more.
pub(in crate::conv) struct PackPoints<'a> {
    pub(in crate::conv) weight: &'a [f32],
    pub(in crate::conv) rows: usize,
    /// Input channels.
    pub(in crate::conv) depth: usize,
    pub(in crate::conv) panels: &'a mut [f32],
}

impl Kernel for PackPoints<'_> {
    const USES_AVX512: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        mul_add: impl MulAdd,
        vectors: impl Vectors,
    ) {
        const TAPS: usize = 9;
        let Self { weight, rows, depth, panels } = self;
        let panels = panels.as_chunks_mut::<NR>().0.chunks_exact_mut((POINTS * depth).max(1));
        for (panel, first) in panels.zip((0..rows).step_by(NR)) {
            for k in 0..depth {
                let mut taps = [[0.0; NR]; NR];
                for i in 0..NR {
                    let row = (first + i).min(rows - 1);
                    let weight = &weight[(row * depth + k) * TAPS..];
                    taps[i] = match weight.first_chunk() {
                        Some(taps) => *taps,
                        None => padded(weight),
                    };
                }
                let taps = vectors.transpose(taps.each_ref());
                let mut columns = [[[0.0; NR]; SEEN]; 3];
                for x in 0..3 {
                    columns[x] = weights_to_points(&[taps[x], taps[3 + x], taps[6 + x]], mul_add);
                }
                for y in 0..SEEN {
                    let points = weights_to_points(&[columns[0][y], columns[1][y], columns[2][y]], mul_add);
                    for x in 0..SEEN {
                        panel[(y * SEEN + x) * depth + k] = points[x];
                    }
                }
            }
        }
    }
}

/// Fills the stage with what the window sees of up to sixteen channels, `[y][x][channel]`.
pub(in crate::conv) struct LoadTiles<'a> {
    pub(in crate::conv) window: &'a Window,
    /// The planes of a group, of which there are `channels`.
    pub(in crate::conv) input: &'a [f32],
    pub(in crate::conv) channel: usize,
    pub(in crate::conv) channels: usize,
    /// The first value; before the input it wraps around.
    pub(in crate::conv) at: [usize; 3],
    /// Lines, and values of a line.
    pub(in crate::conv) size: [usize; 2],
    pub(in crate::conv) stage: &'a mut [Lanes],
}

impl Kernel for LoadTiles<'_> {
    const USES_AVX512: bool = false;

    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        mut self,
        _: impl MulAdd,
        vectors: impl Vectors,
    ) {
        let Self { window, at: [z, y, _], size: [lines, len], .. } = self;
        for line in 0..lines {
            let to = line * len;
            match window.source([z, y.wrapping_add(line.wrapping_mul(window.dilation[1])), 0]) {
                Some(line) => self.fill_line(line, to, vectors),
                None => zero(&mut self.stage[to..to + len]),
            }
        }
    }
}

impl LoadTiles<'_> {
    /// Fills the line at `to` from the line at `from` of each channel's plane.
    #[inline(always)]
    fn fill_line(&mut self, from: usize, to: usize, vectors: impl Vectors) {
        let (x, len, width) = (self.at[2], self.size[1], self.window.input[2]);
        let signed = x as isize;
        let before = if signed < 0 { signed.unsigned_abs().min(len) } else { 0 };
        let start = x.wrapping_add(before);
        let inside = width.saturating_sub(start).min(len - before);
        let plane_len = self.window.plane_len();
        for done in (0..inside).step_by(NR) {
            let (from, to) = (from + start + done, to + before + done);
            // What is too much is overwritten by what follows.
            let stage = &mut self.stage[to..to + NR];
            let planes = self.input.get(from..).unwrap_or_default();
            if planes.len() < (self.channels - 1) * plane_len + NR {
                take_each(planes, self.channel, plane_len, stage);
                continue;
            }
            // Lanes past the last channel are never read.
            let channels = &planes[self.channel * plane_len..];
            put(vectors.transpose(rows_at(channels, plane_len, self.channels - self.channel)), stage);
        }
        let stage = &mut self.stage[to..to + len];
        zero(&mut stage[..before]);
        zero(&mut stage[before + inside..]);
        if self.window.mode != PaddingMode::Zeros {
            self.fill_ends(from, to, before, before + inside);
        }
    }

    /// Fills what is before `start` and from `end` on with values of the line.
    #[inline(never)]
    fn fill_ends(&mut self, from: usize, to: usize, start: usize, end: usize) {
        let (len, plane_len) = (self.size[1], self.window.plane_len());
        for i in (0..start).chain(end..len) {
            let x = self.at[2].wrapping_add(i);
            let Some(x) = self.window.mode.source(x, self.window.input[2]) else { continue };
            let planes = self.input[self.channel * plane_len + from + x..].iter().step_by(plane_len);
            for (lane, value) in self.stage[to + i].iter_mut().zip(planes) {
                *lane = *value;
            }
        }
    }
}

/// Fills `stage` with sixteen channels from `channel` on, value by value, where vectors would reach past the end of the input.
#[cold]
#[inline(never)]
fn take_each(planes: &[f32], channel: usize, plane_len: usize, stage: &mut [Lanes]) {
    for (i, lanes) in stage.iter_mut().enumerate() {
        for (lane, value) in lanes.iter_mut().enumerate() {
            *value = planes.get((channel + lane) * plane_len + i).copied().unwrap_or_default();
        }
    }
}

#[inline(always)]
fn zero(lanes: &mut [Lanes]) {
    for lanes in lanes {
        *lanes = [0.0; NR];
    }
}

/// Transforms tiles of the stage: `values[point * steps[0] + tile * steps[1] + place]`.
pub(in crate::conv) struct Inputs<'a> {
    pub(in crate::conv) stage: &'a [Lanes],
    /// Rows and columns of tiles.
    pub(in crate::conv) size: [usize; 2],
    /// How far apart the values of a tile are in a line.
    pub(in crate::conv) apart: usize,
    pub(in crate::conv) place: usize,
    pub(in crate::conv) steps: [usize; 2],
    /// `SEEN` lines, for a row of tiles that is transformed along one axis.
    pub(in crate::conv) lines: &'a mut [Lanes],
    pub(in crate::conv) values: &'a mut [Lanes],
}

impl Kernel for Inputs<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        mul_add: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { stage, size: [rows, columns], apart, place, steps, lines, values } = self;
        let len = TILE * columns + 2 * apart;
        for row in 0..rows {
            let Some(lines) = split_mut(lines, len) else {
                debug_assert!(false, "no room for the lines of a row of tiles");
                return;
            };
            let mut seen = stage[TILE * row * len..].chunks_exact(len);
            let mut d: [&[Lanes]; SEEN] = [&[]; SEEN];
            for y in 0..SEEN {
                let Some(line) = seen.next() else {
                    debug_assert!(false, "the stage ends before what the last tiles see");
                    return;
                };
                d[y] = &line[..len];
            }
            for x in 0..len {
                let points = to_points(&[d[0][x], d[1][x], d[2][x], d[3][x], d[4][x], d[5][x]], mul_add);
                for y in 0..SEEN {
                    lines[y][x] = points[y];
                }
            }
            for y in 0..SEEN {
                let line = &lines[y][..len];
                let Some(points) = split_mut(&mut values[SEEN * y * steps[0]..], steps[0]) else {
                    debug_assert!(false, "no room for the points of a line");
                    return;
                };
                let mut place = place + row * columns * steps[1];
                for class in 0..apart {
                    for line in line[class..].windows(5 * apart + 1).step_by(TILE * apart) {
                        let [b, c, d, e, f] = [1, 2, 3, 4, 5].map(|x| x * apart);
                        let of_tile =
                            to_points(&[line[0], line[b], line[c], line[d], line[e], line[f]], mul_add);
                        for x in 0..SEEN {
                            points[x][place] = of_tile[x];
                        }
                        place += steps[1];
                    }
                }
            }
        }
    }
}

/// The first `SEEN` parts of `lanes`, `len` vectors each.
#[inline(always)]
fn split_mut(lanes: &mut [Lanes], len: usize) -> Option<[&mut [Lanes]; SEEN]> {
    let mut parts = lanes.chunks_exact_mut(len);
    Some([parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?])
}

/// Transforms the sums of a row of tiles to sums that wait to be stored: `[output][panel][lane]`.
pub(in crate::conv) struct Outputs<'a> {
    pub(in crate::conv) sums: &'a [Lanes],
    /// Tiles from a point to the next.
    pub(in crate::conv) stride: usize,
    pub(in crate::conv) tile: usize,
    pub(in crate::conv) columns: usize,
    /// How far apart the outputs of a tile are in a line.
    pub(in crate::conv) apart: usize,
    pub(in crate::conv) panels: usize,
    /// Of the row's first output.
    pub(in crate::conv) place: usize,
    /// Outputs of a line.
    pub(in crate::conv) line: usize,
    pub(in crate::conv) waiting: &'a mut [Lanes],
}

impl Kernel for Outputs<'_> {
    #[inline(always)]
    fn run<const ROWS: usize, const PANELS: usize, const PAIRS: usize>(
        self,
        mul_add: impl MulAdd,
        _: impl Vectors,
    ) {
        let Self { sums, stride, tile, columns, apart, panels, place, line, waiting } = self;
        // The last tile first, and lines in order: what a tile has too much, beyond the end of a line or
        // of a plane, is where others are stored later.
        let of_class = columns / apart;
        let tiles = (0..apart).flat_map(|class| (0..of_class).rev().map(move |i| (class, i)));
        for (class, i) in tiles {
            let (column, first) = (class * of_class + i, class + i * TILE * apart);
            for panel in 0..panels {
                let sums = &sums[(tile + column) * PANELS_AT_ONCE + panel..];
                let mut m = [[[0.0; NR]; SEEN]; SEEN];
                for y in 0..SEEN {
                    for x in 0..SEEN {
                        m[x][y] = sums[(y * SEEN + x) * stride * PANELS_AT_ONCE];
                    }
                }
                let mut columns = [[[0.0; NR]; TILE]; SEEN];
                for x in 0..SEEN {
                    columns[x] = to_outputs(&m[x], mul_add);
                }
                for y in 0..TILE {
                    let row = [
                        columns[0][y],
                        columns[1][y],
                        columns[2][y],
                        columns[3][y],
                        columns[4][y],
                        columns[5][y],
                    ];
                    let outputs = to_outputs(&row, mul_add);
                    let place = place + y * line + first;
                    for x in 0..TILE {
                        waiting[(place + x * apart) * PANELS_AT_ONCE + panel] = outputs[x];
                    }
                }
            }
        }
    }
}

//! The choice of the algorithm: that which is estimated to take the least time.
//!
//! An estimate is a sum of counts (calls, vectors, products, values copied) times picoseconds. The picoseconds
//! were fitted to the least times of 4,000 random shapes and the catalogue of the benches under AVX2 and under
//! AVX-512, by least squares of their logarithms; `choices --random` in the benches draws such shapes and measures
//! the choices; those of Winograd's algorithm to 500 shapes that it takes (`--any-rounding`). A plan cannot know
//! the CPU, so one estimate serves all instruction sets.

use crate::conv::algorithm::Algorithm;
use crate::conv::algorithm::{direct, im2col, pointwise, winograd};
use crate::conv::channel_lanes::{Block, MOST_LINES, is_staged};
use crate::conv::padded::PaddedPlanes;
use crate::conv::rounding::Rounding;
use crate::conv::shape::ConvShape;
use crate::padding::PaddingMode;
use crate::simd::{MR, NR};
use crate::window::{Window, min};

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;

/// The padded copy of `Direct` has at most `MOST_COPY` values for each input value that is read, and `SMALL_COPY` more: a
/// block of the other algorithms.
const MOST_COPY: usize = 2;
const SMALL_COPY: usize = 64 * 1024;

/// The algorithm that a plan takes by itself: `Depthwise` wherever it fits, otherwise the candidate with the least estimated
/// time, of those that round as `rounding` allows; `Direct` is a candidate only if [`is_direct`].
pub(super) const fn best(shape: &ConvShape, rounding: Rounding) -> Algorithm {
    if Algorithm::Depthwise.fits(shape) {
        return Algorithm::Depthwise;
    }
    if !shape.is_planar() {
        let is_direct = Algorithm::Direct.fits(shape) && is_direct(shape);
        if is_direct && estimate(shape, Algorithm::Direct) < estimate(shape, Algorithm::Broadcast) {
            return Algorithm::Direct;
        }
        return Algorithm::Broadcast;
    }
    let candidates = [Algorithm::InPlace, Algorithm::Im2col, Algorithm::Broadcast, Algorithm::Direct];
    let (mut best, mut least) = (Algorithm::InPlace, u64::MAX);
    if shape.is_pointwise() {
        (best, least) = (Algorithm::Pointwise, estimate(shape, Algorithm::Pointwise));
    }
    let mut i = 0;
    while i < candidates.len() {
        let estimate = estimate(shape, candidates[i]);
        let is_for = !matches!(candidates[i], Algorithm::Direct) || is_direct(shape);
        if is_for && estimate < least {
            (best, least) = (candidates[i], estimate);
        }
        i += 1;
    }
    if matches!(rounding, Rounding::Any)
        && Algorithm::Winograd.fits(shape)
        && estimate(shape, Algorithm::Winograd) < least
    {
        best = Algorithm::Winograd;
    }
    best
}

/// Whether the padded copy of a group's planes, if there is one, is not much longer than what is read of them.
const fn is_direct(shape: &ConvShape) -> bool {
    if direct::needs_no_copy(&shape.simplified()) {
        return true;
    }
    let (mut read, mut axis) = (shape.in_group, 0);
    while axis < 3 {
        read = read.saturating_mul(shape.window.values_read(axis));
        axis += 1;
    }
    match PaddedPlanes::new(&shape.simplified()).len() {
        Some(len) => len.saturating_sub(SMALL_COPY) / MOST_COPY <= read,
        None => false,
    }
}

/// The product of counts, at most `u64::MAX`.
const fn product<const N: usize>(factors: [usize; N]) -> u64 {
    let (mut product, mut i) = (1_u64, 0);
    while i < N {
        product = product.saturating_mul(factors[i] as u64);
        i += 1;
    }
    product
}

/// The sum of counts times picoseconds, at most `u64::MAX`.
const fn total<const N: usize>(terms: [(u64, u64); N]) -> u64 {
    let (mut total, mut i) = (0_u64, 0);
    while i < N {
        let (count, picoseconds) = terms[i];
        total = total.saturating_add(count.saturating_mul(picoseconds));
        i += 1;
    }
    total
}

/// What the estimates of all algorithms are made of.
struct Counts {
    /// Passes over one group of one image.
    passes: usize,
    groups: usize,
    /// Input channels and output channels of a group, and products in a sum.
    channels: usize,
    outputs: usize,
    depth: usize,
    /// Panels of `NR` output channels; tiles of `MR` or fewer of them, and the channels of whole tiles.
    panels: usize,
    tiles: usize,
    tile_rows: usize,
    /// Lines of output, and vectors of positions to a line and to a plane.
    lines: usize,
    line_vectors: usize,
    vectors: usize,
}

impl Counts {
    const fn new(shape: &ConvShape) -> Self {
        let ConvShape { batch, groups, in_group, out_group, window, .. } = *shape;
        let rest = out_group % NR;
        let tiles = out_group / NR * NR.div_ceil(MR) + rest.div_ceil(MR);
        let lines = window.output[0] * window.output[1];
        let line_vectors = window.output[2].div_ceil(NR);
        Self {
            passes: batch.saturating_mul(groups),
            groups,
            channels: in_group,
            outputs: out_group,
            depth: shape.depth(),
            panels: out_group.div_ceil(NR),
            tiles,
            tile_rows: if out_group == 1 { 1 } else { tiles.saturating_mul(MR) },
            lines,
            line_vectors,
            vectors: lines * line_vectors,
        }
    }
}

/// The estimate for an algorithm that can compute the shape, in picoseconds.
pub(super) const fn estimate(shape: &ConvShape, algorithm: Algorithm) -> u64 {
    if matches!(algorithm, Algorithm::Winograd) {
        return winograd_time(shape);
    }
    let (shape, counts) = (&shape.simplified(), &Counts::new(&shape.simplified()));
    match algorithm {
        Algorithm::Pointwise => pointwise_time(shape, counts),
        Algorithm::Broadcast => broadcast_time(shape, counts),
        Algorithm::Direct => direct_time(shape, counts),
        Algorithm::InPlace => in_place_time(shape, counts),
        Algorithm::Im2col => im2col_time(shape, counts),
        // Chosen wherever it can be, or only by request.
        _ => 0,
    }
}

const fn pointwise_time(shape: &ConvShape, counts: &Counts) -> u64 {
    let Counts { passes, groups, outputs, depth, panels, .. } = *counts;
    let vectors = shape.window.positions().div_ceil(NR);
    let blocks = depth.div_ceil(pointwise::blocking(shape).kc);
    total([
        (1, 54_800),
        (product([passes]), 43_100),
        (product([groups, depth, panels]), 1430),
        (product([passes, vectors, depth, panels]), 276),
        (product([passes, vectors, depth, outputs.next_multiple_of(8)]), 250),
        (product([passes, vectors, outputs, blocks]), 2370),
        (product([passes, vectors, depth]), 1560),
        (product([passes, vectors, blocks]), 1100),
        (product([passes, vectors, blocks, panels]), 14_300),
    ])
}

const fn broadcast_time(shape: &ConvShape, counts: &Counts) -> u64 {
    let Counts { passes, groups, channels, outputs, depth, panels, lines, .. } = *counts;
    let Window { output, .. } = &shape.window;
    let positions = lines * output[2];
    // What blocks have in common is copied for each of them.
    let block = Block::new(shape, usize::MAX);
    // Positions are computed in pairs, of neighbours, lines or images.
    let pairs_more = block.pairs_images() || block.pairs_lines();
    let twice = if pairs_more { 0 } else { lines * (output[2] % 2) };
    let paired = lines.saturating_mul(output[2]).saturating_add(twice);
    let [planes, rows, columns] = block.stage_dims(&shape.window);
    let [z, y, x] = block.positions;
    let blocks = output[0].div_ceil(z) * output[1].div_ceil(y) * output[2].div_ceil(x);
    let copies = if is_staged(shape) { product([passes, channels, blocks]) } else { 0 };
    let staged_lines = copies.saturating_mul(product([planes, rows]));
    let values = staged_lines.saturating_mul(columns as u64);
    // Values that follow each other in the input are copied by vectors.
    let is_together = columns == block.extent(&shape.window, 2);
    let (together, apart) = if is_together { (values, 0) } else { (0, values) };
    let picoseconds = match shape.window.stride[2] {
        1 => 300,
        2 => 1000,
        _ => 2730,
    };
    // Sums are stored and resumed.
    let resumed = depth.div_ceil(MOST_LINES) - 1;
    total([
        (1, 92_300),
        (product([groups]), 123_000),
        (product([passes, paired, depth, panels]), 305),
        (product([passes, positions, panels]), 1860),
        (product([passes, positions, panels, resumed]), 493),
        (product([passes, positions.div_ceil(NR), outputs]), 3560),
        (staged_lines, 8660),
        (together, 169),
        (apart, picoseconds),
    ])
}

const fn direct_time(shape: &ConvShape, counts: &Counts) -> u64 {
    let Counts { passes, groups, channels, outputs, depth, panels, tiles, tile_rows, vectors, .. } = *counts;
    let Window { input, padding, stride, .. } = &shape.window;
    let staged_lines = product([
        passes,
        channels,
        input[0].saturating_add(padding[0][0]).saturating_add(padding[0][1]),
        input[1].saturating_add(padding[1][0]).saturating_add(padding[1][1]),
        stride[2],
    ]);
    let residue = input[2].saturating_add(padding[2][0]).saturating_add(padding[2][1]).div_ceil(stride[2]);
    // Strides of 1 and 2 are copied by vectors, others value by value.
    let (vectors_copied, values_copied) = match stride[2] {
        _ if direct::needs_no_copy(shape) => (0, 0),
        1 | 2 => (staged_lines.saturating_mul(residue.div_ceil(NR) as u64), 0),
        _ => (0, staged_lines.saturating_mul(residue as u64)),
    };
    // Channels last are transposed, and stored position by position.
    let picoseconds = if shape.output_layout.is_last() { 7500 } else { 2500 };
    total([
        (1, 51_900),
        (product([passes]), 34_000),
        (product([groups, depth, panels]), 3220),
        (vectors_copied, 2810),
        (values_copied, 453),
        (product([passes, vectors, depth, tiles]), 365),
        (product([passes, vectors, depth, tile_rows]), 291),
        (product([passes, vectors, outputs]), picoseconds),
    ])
}

const fn in_place_time(shape: &ConvShape, counts: &Counts) -> u64 {
    let Counts { passes, channels, outputs, tiles, tile_rows, line_vectors, vectors, .. } = *counts;
    let Window { kernel, stride, .. } = &shape.window;
    // Lines of input that lines of output see, less those in a padding of zeros.
    let seen = pairs_inside(&shape.window, 0).saturating_mul(pairs_inside(&shape.window, 1));
    let fetched = product([passes, channels, seen, line_vectors, kernel[2]]);
    let picoseconds = match stride[2] {
        1 => 3560,
        2 => 4130,
        _ => 7330,
    };
    total([
        (1, 73_700),
        (product([passes]), 9700),
        (fetched.saturating_mul(tiles as u64), picoseconds),
        (fetched.saturating_mul(tile_rows as u64), 292),
        (product([passes, vectors, outputs]), 4250),
        (product([passes, counts.lines, channels, kernel[0], kernel[1], tiles]), 1150),
    ])
}

const fn im2col_time(shape: &ConvShape, counts: &Counts) -> u64 {
    let Counts { passes, groups, outputs, depth, panels, line_vectors, lines, .. } = *counts;
    let Window { input, stride, output, .. } = &shape.window;
    let columns = shape.batch.saturating_mul(lines).saturating_mul(output[2]);
    let vectors = columns.div_ceil(NR);
    // Stretches of a panel whose values follow each other in the input.
    let is_one = stride[0] == 1 && stride[1] == 1 && stride[2] == 1;
    let segments = if is_one && output[0] == input[0] && output[1] == input[1] && output[2] == input[2] {
        vectors.saturating_add(shape.batch)
    } else {
        vectors.saturating_add(shape.batch.saturating_mul(lines).saturating_mul(line_vectors))
    };
    let picoseconds = if stride[2] <= 2 { 1400 } else { 2420 };
    let blocks = depth.div_ceil(im2col::blocking(shape).kc);
    let mended = shape.batch.saturating_mul(positions_that_see_padding(&shape.window));
    let taps = shape.window.taps();
    total([
        (1, 63_800),
        (product([groups]), 60_600),
        (product([passes]), 16_500),
        (product([groups, depth, panels]), 1440),
        (product([groups, segments]), 2400),
        (product([groups, depth, segments]), picoseconds),
        (product([groups, vectors, depth, panels]), 2390),
        (product([groups, vectors, depth, outputs.next_multiple_of(8)]), 134),
        (product([groups, vectors, outputs, blocks]), 3260),
        (product([groups, mended, taps]), 1990),
        (product([groups, mended, depth]), 598),
        (product([groups, vectors, blocks]), 20_900),
    ])
}

const fn winograd_time(shape: &ConvShape) -> u64 {
    let ConvShape { batch, groups, in_group, out_group, window, .. } = *shape;
    let winograd::Counts { tiles, pairs, blocks } = winograd::counts(shape);
    let (chunks, panels) = (in_group.div_ceil(NR), out_group.div_ceil(NR));
    let weights = product([groups, winograd::POINTS, in_group, panels]);
    let lines = product([batch, groups, window.output[0], window.output[1], out_group]);
    total([
        (1, 460_000),
        (product([batch, groups]), 389_000),
        (product([groups, tiles, chunks]), 101_000),
        (weights.saturating_mul(pairs as u64), 524),
        (product([groups, tiles, panels]), 122_000),
        (weights.saturating_mul(blocks as u64), 944),
        (product([groups, blocks, chunks]), 400_000),
        (lines, 1320),
    ])
}

/// The taps of an axis for which pairs with outputs are counted; the others are taken to be like them.
const SAMPLES: usize = 64;

/// How many pairs of an output and a tap of an axis read the input or, unless it is zeros, its padding.
const fn pairs_inside(window: &Window, axis: usize) -> usize {
    let (input, output, kernel) = (window.input[axis], window.output[axis], window.kernel[axis]);
    if !matches!(window.mode, PaddingMode::Zeros) {
        return output.saturating_mul(kernel);
    }
    let (stride, dilation, [before, _]) = (window.stride[axis], window.dilation[axis], window.padding[axis]);
    let samples = min(kernel, SAMPLES);
    let (mut pairs, mut sample) = (0_usize, 0);
    while sample < samples {
        let tap = if samples == kernel { sample } else { kernel / samples * sample };
        let at = tap.saturating_mul(dilation);
        let first = before.saturating_sub(at).div_ceil(stride);
        let end = input.saturating_add(before).saturating_sub(at).div_ceil(stride);
        let end = min(end, output);
        pairs = pairs.saturating_add(end.saturating_sub(first));
        sample += 1;
    }
    if samples == kernel { pairs } else { pairs.saturating_mul(kernel / samples) }
}

/// How many positions of a plane see padding.
const fn positions_that_see_padding(window: &Window) -> usize {
    let (mut inside, mut axis) = (1, 0);
    while axis < 3 {
        let reach = (window.kernel[axis] - 1) * window.dilation[axis];
        let [before, _] = window.padding[axis];
        let first = before.div_ceil(window.stride[axis]);
        let end = match (window.input[axis] + before).checked_sub(reach) {
            Some(len) => len.div_ceil(window.stride[axis]),
            None => 0,
        };
        let end = min(end, window.output[axis]);
        inside *= end.saturating_sub(first);
        axis += 1;
    }
    window.positions() - inside
}

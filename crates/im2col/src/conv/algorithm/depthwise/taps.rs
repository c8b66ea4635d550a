//! What the taps of a sliding window find on a line of input, for vectors of outputs.
//!
//! At stride 1 the lanes of a tap lie together: each tap is a load. At stride 2 they lie two apart:
//! the line is loaded once, and its even and odd values serve all taps. What is loaded is called a
//! *source*; padding is masked there, before anything is rearranged.

use crate::simd::mask::{self, Mask};
use crate::simd::{Lanes, MulAdd, NR};

/// Sources that `vectors` vectors of outputs have on a line.
pub(crate) const fn sources(taps: usize, stride: usize, vectors: usize) -> usize {
    if stride == 1 { taps } else { 2 * vectors + 1 }
}

/// How many values of the line all sources together read.
pub(crate) const fn span(taps: usize, stride: usize, vectors: usize) -> usize {
    (sources(taps, stride, vectors) - 1) * source_step(stride) + NR
}

/// How far a source lies behind the one before.
const fn source_step(stride: usize) -> usize {
    if stride == 1 { 1 } else { NR }
}

/// Loads the sources.
#[inline(always)]
pub(crate) fn load<const STRIDE: usize, const SOURCES: usize, const SPAN: usize>(
    values: &[f32; SPAN],
    mul_add: impl MulAdd,
) -> [Lanes; SOURCES] {
    let mut sources = [[0.0; NR]; SOURCES];
    for (i, source) in sources.iter_mut().enumerate() {
        source.copy_from_slice(&values[i * source_step(STRIDE)..][..NR]);
        *source = in_register(*source, mul_add);
    }
    sources
}

/// Which lanes of the sources see a line of `width` values when the first is at `x`, which wraps
/// around before it.
#[inline(always)]
pub(crate) fn masks<const STRIDE: usize, const SOURCES: usize>(x: usize, width: usize) -> [Mask; SOURCES] {
    let mut masks = [[0; NR]; SOURCES];
    for (i, mask) in masks.iter_mut().enumerate() {
        *mask = seen(x.wrapping_add(i * source_step(STRIDE)), width);
    }
    masks
}

#[inline(always)]
fn seen(x: usize, width: usize) -> Mask {
    if x < width {
        return mask::lanes(0, NR.min(width - x));
    }
    // Before the line, or behind it.
    let before = x.wrapping_neg();
    if before < NR { mask::lanes(before, NR.min(before + width)) } else { [0; NR] }
}

/// What each tap finds in the sources.
#[inline(always)]
pub(crate) fn taps<const K: usize, const STRIDE: usize, const VECTORS: usize, const SOURCES: usize>(
    sources: &[Lanes; SOURCES],
    mul_add: impl MulAdd,
) -> [[Lanes; VECTORS]; K] {
    let mut taps = [[[0.0; NR]; VECTORS]; K];
    if STRIDE == 1 {
        for (taps, source) in taps.iter_mut().zip(sources) {
            taps[0] = *source;
        }
        return taps;
    }
    for v in 0..VECTORS {
        let (a, b) = (in_register(sources[2 * v], mul_add), in_register(sources[2 * v + 1], mul_add));
        taps[0][v] = even(a, b);
        taps[1][v] = odd(a, b);
    }
    let rest = in_register(sources[2 * VECTORS], mul_add);
    for kx in 2..K {
        for v in 0..VECTORS {
            let next = if v + 1 < VECTORS { taps[kx - 2][v + 1][0] } else { rest[kx - 2] };
            taps[kx][v] = shifted(taps[kx - 2][v], next);
        }
    }
    taps
}

/// The same lanes, as what the instruction set calculates with: a multiplication by 1 and an addition
/// of -0 change nothing and are no instruction. Otherwise the compiler sees 16 scalars in memory, and
/// picks them one by one instead of shuffling vectors (2.3x on `mb_dw3x3s2_64_112`).
#[inline(always)]
fn in_register(lanes: Lanes, mul_add: impl MulAdd) -> Lanes {
    mul_add(1.0, lanes, [-0.0; NR])
}

// Literals become one shuffle, loops do not.

#[inline(always)]
#[rustfmt::skip]
fn even(a: Lanes, b: Lanes) -> Lanes {
    [a[0], a[2], a[4], a[6], a[8], a[10], a[12], a[14], b[0], b[2], b[4], b[6], b[8], b[10], b[12], b[14]]
}

#[inline(always)]
#[rustfmt::skip]
fn odd(a: Lanes, b: Lanes) -> Lanes {
    [a[1], a[3], a[5], a[7], a[9], a[11], a[13], a[15], b[1], b[3], b[5], b[7], b[9], b[11], b[13], b[15]]
}

#[inline(always)]
#[rustfmt::skip]
fn shifted(a: Lanes, next: f32) -> Lanes {
    [a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10], a[11], a[12], a[13], a[14], a[15], next]
}

/// The values from `start` on, which wraps around before the input; 0 for those that do not exist.
#[cold]
#[inline(never)]
pub(crate) fn read_each<const SPAN: usize>(input: &[f32], start: usize) -> [f32; SPAN] {
    let mut values = [0.0; SPAN];
    for (i, value) in values.iter_mut().enumerate() {
        *value = input.get(start.wrapping_add(i)).copied().unwrap_or_default();
    }
    values
}
